// Node.js's own modules that functions and their clients of services use most. Each takes up to some milliseconds when it
// is first used; a blank loads them while nobody waits, and with them the loader of ES modules.
import 'node:async_hooks';
import 'node:buffer';
import 'node:child_process';
import 'node:crypto';
import 'node:dns';
import 'node:events';
import 'node:fs';
import 'node:fs/promises';
import 'node:http';
import 'node:http2';
import 'node:https';
import 'node:net';
import 'node:os';
import 'node:path';
import 'node:perf_hooks';
import 'node:process';
import 'node:querystring';
import 'node:stream';
import 'node:stream/web';
import 'node:string_decoder';
import 'node:timers/promises';
import 'node:tls';
import 'node:url';
import 'node:util';
import 'node:zlib';
