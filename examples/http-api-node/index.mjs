// A small JSON API behind a function URL, with a list of tasks that lives as long as the instance.

const json = (statusCode, document, headers = {}) => ({
  statusCode,
  headers: { "content-type": "application/json; charset=utf-8", ...headers },
  body: JSON.stringify(document),
});

const tasks = new Map();
let next = 1;

const bodyOf = (event) => {
  const text = event.isBase64Encoded ? Buffer.from(event.body, "base64").toString() : (event.body ?? "");
  return JSON.parse(text);
};

const list = () => json(200, { tasks: [...tasks.values()] });

const add = (event) => {
  let title;
  try {
    ({ title } = bodyOf(event));
  } catch {
    return json(400, { error: "the body must be JSON" });
  }
  if (typeof title !== "string" || title === "") {
    return json(400, { error: 'the body must be {"title": "..."}' });
  }
  const task = { id: next, title, done: false };
  tasks.set(next, task);
  next += 1;
  return json(201, task, { location: `/tasks/${task.id}` });
};

const finish = (event, id) => {
  const task = tasks.get(Number(id));
  if (task === undefined) {
    return json(404, { error: `no task ${id}` });
  }
  task.done = true;
  return json(200, task);
};

const routes = [
  ["GET", /^\/tasks$/, list],
  ["POST", /^\/tasks$/, add],
  ["PUT", /^\/tasks\/(\d+)\/done$/, finish],
];

export const handler = async (event) => {
  const { method } = event.requestContext.http;
  const fitting = routes.filter(([, pattern]) => pattern.test(event.rawPath));
  const route = fitting.find(([known]) => known === method);
  if (route !== undefined) {
    const [, pattern, answer] = route;
    return answer(event, ...pattern.exec(event.rawPath).slice(1));
  }
  if (fitting.length > 0) {
    return json(405, { error: `use ${fitting.map(([known]) => known).join(", ")}` });
  }
  return json(404, { error: `no such path: ${event.rawPath}` });
};
