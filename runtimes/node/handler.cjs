// Finds and loads a function's handler: ES modules and CommonJS, in the order in which AWS's runtime tries them.
'use strict';

const { existsSync, readFileSync, statSync } = require('fs');
const { createRequire } = require('module');
const path = require('path');
const { isModuleNamespaceObject } = require('util').types;
const errors = require('./errors.cjs');

const STREAMING = Symbol.for('aws.lambda.runtime.handler.streaming');
const HIGH_WATER_MARK = Symbol.for('aws.lambda.runtime.handler.streaming.highWaterMark');

// Modules are required as if by the file that AWS's runtime is, which error messages name.
let requireModule;

/** What functions find as the global `awslambda`. */
exports.awslambda = {
  streamifyResponse(handler, options) {
    handler[STREAMING] = 'response';
    if (typeof options?.highWaterMark === 'number') handler[HIGH_WATER_MARK] = Math.trunc(options.highWaterMark);
    return handler;
  },
  get HttpResponseStream() {
    return require('./stream.cjs').HttpResponseStream;
  },
};

/** `dir/module.path.to.function` as its three parts. */
function split(setting) {
  if (setting.includes('..')) {
    throw new errors.MalformedHandlerName(
      `'${setting}' is not a valid handler name. Use absolute paths when specifying root directories in handler names.`,
    );
  }
  const last = path.basename(setting);
  const dot = last.indexOf('.');
  if (dot < 0) throw new errors.MalformedHandlerName('Bad handler');
  const directory = setting.slice(0, setting.indexOf(last));
  return { directory, module: last.slice(0, dot), property: last.slice(dot + 1) };
}

/** Whether the nearest package.json says that `.js` files are ES modules. */
function isModulePackage(directory) {
  for (let place = directory; !place.endsWith('/node_modules'); place = path.dirname(place)) {
    const file = path.join(place, 'package.json');
    if (existsSync(file)) {
      try {
        return JSON.parse(readFileSync(file, 'utf8'))?.type === 'module';
      } catch (error) {
        console.warn(`${file} cannot be read, it will be ignored for ES module detection purposes.`, error);
        return false;
      }
    }
    if (place === path.dirname(place)) return false;
  }
  return false;
}

const isFile = (file) => statSync(file, { throwIfNoEntry: false })?.isFile() ?? false;

const importFile = (file) => import(require('url').pathToFileURL(file).href);

/** First minor versions that say nothing about it in the function's log. */
const REQUIRES_QUIETLY = { 20: 19, 22: 13, 23: 5 };

/** Whether this Node.js can load an ES module at once. */
exports.canRequireEsModules = () => {
  const [major, minor] = process.versions.node.split('.').map(Number);
  return Boolean(process.features.require_module) && minor >= (REQUIRES_QUIETLY[major] ?? 0);
};

/**
 * Loads an ES module: at once where Node.js can, because `import` reads each file by four trips to another thread.
 *
 * What that refuses (a module that awaits at its top level) or what fails is left to `import`, which evaluates nothing
 * twice. Options of the function's own may have hooked into `import`.
 */
function loadEsModule(file) {
  if (!process.env.NODE_OPTIONS && exports.canRequireEsModules()) {
    try {
      const loaded = requireModule(file);
      if (isModuleNamespaceObject(loaded)) return loaded;
    } catch {
      // See above.
    } finally {
      // Of ES modules there is none.
      delete requireModule.cache[file];
    }
  }
  return importFile(file);
}

/** Loads the module at a path without its ending, or else as Node.js would resolve its name. */
async function loadModule(root, directory, name) {
  const base = path.resolve(root, directory, name);
  const directoryOfBase = path.dirname(base);
  const attempts = [
    ['', requireModule],
    ['.js', (file) => (isModulePackage(directoryOfBase) ? loadEsModule(file) : requireModule(file))],
    ['.mjs', loadEsModule],
    ['.cjs', requireModule],
  ];
  for (const [ending, load] of attempts) {
    if (isFile(base + ending)) {
      const loaded = await load(base + ending);
      if (loaded) return loaded;
    }
  }
  return requireModule(requireModule.resolve(name, { paths: [root, path.resolve(root, directory)] }));
}

/** A loaded function. It has the name that stack traces of AWS show. */
class Runtime {
  constructor(handler, highWaterMark) {
    this.handler = handler;
    this.isStreaming = Boolean(handler[STREAMING]);
    this.highWaterMark = Number.isNaN(highWaterMark) ? undefined : highWaterMark;
  }
}

function runtimeOf(handler) {
  const streaming = handler[STREAMING];
  if (streaming && streaming !== 'response') {
    throw new errors.MalformedStreamingHandler('Only response streaming is supported.');
  }
  return new Runtime(handler, Number.parseInt(handler[HIGH_WATER_MARK], 10));
}

/** Loads the handler that a setting names below `root`. */
exports.load = async (root, setting) => {
  requireModule = createRequire(path.join(process.env.LAMBDA_RUNTIME_DIR || '/var/runtime', 'index.mjs'));
  const { directory, module, property } = split(setting);
  let loaded;
  try {
    loaded = await loadModule(root, directory, module);
  } catch (error) {
    if (error instanceof SyntaxError) throw new errors.UserCodeSyntaxError(error);
    if (error?.code === 'MODULE_NOT_FOUND') throw new errors.ImportModuleError(error);
    throw error;
  }
  const handler = property.split('.').reduce((nested, key) => nested?.[key], loaded);
  if (!handler) throw new errors.HandlerNotFound(`${setting} is undefined or not exported`);
  if (typeof handler !== 'function') throw new errors.HandlerNotFound(`${setting} is not a function`);
  return runtimeOf(handler);
};
