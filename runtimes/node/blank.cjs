// A bootstrap without a function: boots, rehearses, and waits to be assigned to one.
//
// The assignment brings the environment, the handler and the working directory. What follows must be the same as if
// Node.js had been started with them. A running Node.js cannot take up what it reads of its environment only when it
// starts (`NODE_OPTIONS` and the like): the platform assigns no function to a blank that was started with other values.
'use strict';

const Module = require('module');
const channel = require('./channel.cjs');
const { describe } = require('./context.cjs');
const { canRequireEsModules, load } = require('./handler.cjs');

const REHEARSAL = require.resolve('./rehearsal.cjs');
const MODULES = require.resolve('./modules.mjs');
const REHEARSALS = 8;

/** Runs a function that does nothing through the code that real ones will use, and leaves no trace of it. */
async function rehearse() {
  const paths = new Set(Object.keys(Module._pathCache));
  const { handler } = await load(__dirname, 'rehearsal.handler');
  // With `import`, a file would start the threads that read files, too.
  if (canRequireEsModules()) require(MODULES);
  else await import('data:text/javascript,export const handler = 1;');
  for (let count = 0; count < REHEARSALS; count += 1) {
    const event = JSON.parse('{"text": "a", "numbers": [1, 2.5, null, true]}');
    const meta = { id: '', arn: '', deadline_ms: 0, trace_id: '' };
    JSON.stringify(await handler(event, describe({}, meta)));
  }
  for (const file of [REHEARSAL, MODULES]) delete require.cache[file];
  for (const path of Object.keys(Module._pathCache)) if (!paths.has(path)) delete Module._pathCache[path];
}

/** Sets exactly these variables, in this order; but for a time zone that stays, which comes first. */
function replaceEnvironment(environment) {
  // A touched time zone is looked for among all that the system has: ten milliseconds and more.
  const stays = (name) => name === 'TZ' && process.env.TZ === environment.TZ;
  for (const name of Object.keys(process.env)) if (!stays(name)) delete process.env[name];
  for (const [name, value] of Object.entries(environment)) if (!stays(name)) process.env[name] = value;
  // Reads `NODE_PATH` and `HOME`.
  Module._initPaths();
}

/** Says that it waits, waits for the assignment, and makes this process the one that it asks for. */
exports.becomeAssigned = async () => {
  await rehearse();
  channel.send(channel.READY, '', '');
  const { environment, handler, working_directory: directory } = channel.receiveAssignment();
  replaceEnvironment({ ...environment, _HANDLER: handler });
  process.chdir(directory);
  process.argv.length = 2;
  for (const file of [__filename, REHEARSAL]) {
    const { children } = require.main;
    const index = children.findIndex((child) => child.filename === file);
    if (index >= 0) children.splice(index, 1);
    delete require.cache[file];
  }
};
