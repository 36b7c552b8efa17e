// Compiles narrowed schemas with Ajv, whose patterns are ECMA-262 with `u`, and compares what it admits with
// what Python's validator admits.
//
//     python -m tests.interop.schemas | node tests/interop/schemas.mjs

import { createInterface } from 'node:readline';
import Ajv from 'ajv/dist/2020.js';

const ajv = new Ajv({ strict: false, validateFormats: false, unicodeRegExp: true });
let passed = 0;
let failed = 0;

for await (const line of createInterface({ input: process.stdin })) {
  const { schema, calls } = JSON.parse(line);
  const admits = ajv.compile(schema);
  for (const [call, expected] of calls) {
    if (admits(call) === expected) passed += 1;
    else {
      failed += 1;
      console.log(`FAILED ${JSON.stringify(call)}: ${expected} in Python, by ${JSON.stringify(schema)}`);
    }
  }
}
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed || !passed ? 1 : 0;
