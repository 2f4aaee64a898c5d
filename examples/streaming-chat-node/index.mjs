// Answers a question word by word, as chat services do: each word is on its way to the caller as soon as it is written.
import { setTimeout as pause } from 'node:timers/promises';

const MILLISECONDS_PER_WORD = 60;
const SAYINGS = {
  water: 'Nothing in the world is softer than water, and nothing is better against what is hard.',
  journey: 'A journey of a thousand miles begins under your feet.',
  silence: 'Those who know do not speak much; those who speak much do not know.',
};
const DEFAULT = 'Do nothing, and nothing is left undone. Ask me about water, a journey, or silence.';

/** The answer to a question. */
function reply(question) {
  const topic = Object.keys(SAYINGS).find((word) => question.toLowerCase().includes(word));
  return topic ? SAYINGS[topic] : DEFAULT;
}

/** The question: `?q=` of a request to the function URL, or the `question` of a plain event. */
function questionOf(event) {
  return event.queryStringParameters?.q ?? event.question ?? '';
}

export const handler = awslambda.streamifyResponse(async (event, stream) => {
  const events = awslambda.HttpResponseStream.from(stream, {
    statusCode: 200,
    headers: { 'content-type': 'text/event-stream', 'cache-control': 'no-store' },
  });
  for (const word of reply(questionOf(event)).split(' ')) {
    events.write(`data: ${word}\n\n`);
    await pause(MILLISECONDS_PER_WORD);
  }
  events.write('event: end\ndata:\n\n');
  events.end();
});
