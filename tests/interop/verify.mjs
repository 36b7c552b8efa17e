// Runs the frozen vectors through another implementation: Biscuit in WebAssembly, and canonical JSON,
// digests, facts and signatures written anew: see tests/vectors/README.md.
//
//     npm ci && node verify.mjs ../vectors/*.json
//
// Prints a line for each failure and then how many passed and failed; the exit status says the same.

import { createHash, createPrivateKey, createPublicKey, verify } from 'node:crypto';
import { readFileSync } from 'node:fs';

const INT64 = 1n << 63n;
const DEPTH = 32;
const DIGITS = 400;
const NAME = 256;
const ARGUMENTS = 256;
const LIST = 512;

let biscuit;
let passed = 0;
let failed = 0;
let where = '';

async function main(paths) {
  biscuit = await library();
  for (const path of paths) {
    const file = JSON.parse(readFileSync(path, 'utf8'));
    const kind = { calls, facts, capabilities, identities, contexts }[file.kind];
    where = kind ? file.kind : path;
    if (/^hessra-agents vectors [12]$/.test(file.format) && kind) kind(file);
    else check('file', false, 'an unknown format or kind');
  }
  console.log(`${passed} passed, ${failed} failed`);
  process.exitCode = failed || !passed ? 1 : 0;
}

function check(name, holds, detail = '') {
  if (holds) passed += 1;
  else {
    failed += 1;
    console.log(`FAILED ${where}: ${name}${detail && `: ${detail}`}`);
  }
}

function same(name, found, expected) {
  const [a, b] = [found, expected].map((value) => JSON.stringify(value));
  check(name, a === b, `${a} is not ${b}`);
}

// Kinds of vectors

function calls(file) {
  for (const one of file.cases) {
    let found;
    try {
      const { canonical, digest } = readCall(one);
      found = { verdict: 'read', canonical, digest };
    } catch (error) {
      if (!(error instanceof Malformed)) throw error;
      found = { verdict: 'malformed' };
    }
    const { verdict, canonical, digest } = one;
    same(one.name, found, JSON.parse(JSON.stringify({ verdict, canonical, digest })));
  }
}

function facts(file) {
  for (const one of file.cases) {
    if (one.predicate) {
      askedFact(one);
      continue;
    }
    const found = factsAt(new Reader(one.arguments).all(), one.key);
    for (const predicate of PRIMARY) {
      same(`${one.name}, ${predicate}`, found[predicate] ?? null, one.facts[predicate] ?? null);
    }
  }
}

// A fact that is stated where a token asks for it; those of shapes are judged in Python alone.
function askedFact({ name, arguments: json, predicate, key, parameter, values }) {
  if (!(predicate in ASKED) && !(predicate in FACTS)) return;
  const found = factAsked(new Reader(json).all(), predicate, key, parameter);
  const list = found === undefined ? null : valuesOf(predicate, found);
  same(name, list && list.map((value) => (typeof value === 'bigint' ? String(value) : value)), values);
}

function capabilities(file) {
  tokens(file);
  for (const one of file.cases) {
    const call = readCall(one);
    same(`${one.name}: digest`, call.digest, one.digest);
    for (const line of factLines(call)) {
      check(`${one.name}: authorizer`, one.authorizer.includes(line), `lacks ${JSON.stringify(line)}`);
    }
    for (const line of askedLines(file.tokens[one.token], file.keys, call)) {
      check(`${one.name}: authorizer`, one.authorizer.includes(line), `lacks ${JSON.stringify(line)}`);
    }
    limits(file, one, call);
    session(file, one, call);
    if (one.proof?.signature) statement(`${one.name}: proof`, file, one, one.proof, proofMessage(one.proof));
    for (const vote of one.approvals ?? []) {
      if (vote.signature) statement(`${one.name}: approval`, file, one, vote, approvalMessage(vote));
    }
  }
}

function identities(file) {
  tokens(file);
  for (const { name, now, claimed, authorizer } of file.cases) {
    const actor = text(claimed);
    const policies = [`${actor} == $s`, `${actor}.starts_with($s + ":")`];
    const allow = policies.map((policy) => `allow if subject($s), ${policy};\n`);
    same(`${name}: authorizer`, `time(${now});\nactor(${actor});\n${allow.join('')}`, authorizer);
  }
}

function contexts(file) {
  tokens(file);
  for (const { name, now, subject, excluded, authorizer } of file.cases) {
    const labels = excluded.filter((label) => !label.includes('*')).sort();
    const told = labels.map((label) => `exposure(${text(label)});\n`).join('');
    same(`${name}: authorizer`, `time(${now});\n${told}allow if context(${text(subject)});\n`, authorizer);
  }
}

// Keys, tokens, and what the engine says of each case
function tokens(file) {
  for (const [name, key] of Object.entries(file.keys)) {
    if (key.seed) same(`key ${name}`, publicOf(key.seed), key.public);
  }
  for (const [name, token] of Object.entries(file.tokens)) {
    if (token.ids) same(`token ${name}`, shape(token, file.keys), { ids: token.ids, datalog: token.datalog });
  }
  for (const one of file.cases) {
    const token = file.tokens[one.token];
    const found = decide(token.token, file.keys[token.root].public, one.authorizer);
    same(`${one.name}: engine`, found, one.engine);
    check(`${one.name}: what is permitted is allowed`, one.verdict !== 'permitted' || found === 'allow');
  }
}

// The Datalog engine

function decide(token, root, source) {
  let read;
  try {
    read = biscuit.Biscuit.fromBase64(token, biscuitKey(root));
  } catch {
    return 'refuse';
  }
  const builder = new biscuit.AuthorizerBuilder();
  builder.addCode(source);
  try {
    builder.buildAuthenticated(read).authorize();
    return 'allow';
  } catch (error) {
    if (error instanceof Error) throw error; // a panic is no decision
    return error.RunLimit ? 'limit' : 'deny';
  }
}

function biscuitKey(text) {
  const [algorithm, hex] = text.split('/');
  const { Ed25519, Secp256r1 } = biscuit.SignatureAlgorithm;
  return biscuit.PublicKey.fromString(hex, algorithm === 'ed25519' ? Ed25519 : Secp256r1);
}

// The package's own entry imports its WebAssembly in a way that Node 20 and 22 do not know, and its engine
// gives up after 1 ms on the clock, whatever it is told. So it is loaded by hand, and its clock stands still.
async function library() {
  const at = (path) => new URL(path, import.meta.resolve('@biscuit-auth/biscuit-wasm'));
  const found = await import(at('biscuit_bg.js'));
  const module = await WebAssembly.compile(readFileSync(at('biscuit_bg.wasm')));
  const imports = {};
  for (const { module: from, name } of WebAssembly.Module.imports(module)) {
    imports[from] ??= { ...(await import(at(from))) };
    if (name === 'performance_now') imports[from][name] = () => 0;
    if (name.startsWith('__wbg_log_')) imports[from][name] = () => {}; // "biscuit-wasm loading"
  }
  const { exports } = await WebAssembly.instantiate(module, imports);
  found.__wbg_set_wasm(exports);
  exports.__wbindgen_start();
  return found;
}

// Block ids and Datalog versions, from the bytes

function shape(token, keys) {
  const [, , first, blocks] = fields(Buffer.from(token.token, 'base64url'));
  const signed = [...first, ...(blocks ?? [])].map(fields);
  const versions = signed.map((block) => fields(block[1][0])[3][0]);
  const ids = signed.map((block, index) => {
    if (block[4]) return sha256(fields(block[4][0])[1][0]).toString('hex');
    const p256 = index === 0 && keys[token.root].public.startsWith('secp256r1/');
    return p256 ? sha256(...parts(block[1][0], block[2][0])).toString('hex') : block[3][0].toString('hex');
  });
  return { ids, datalog: versions.map((version) => `3.${version - 3}`) };
}

// The fields of a protobuf message by number; only varints and byte strings occur.
function fields(data) {
  const found = [];
  let at = 0;
  const varint = () => {
    let value = 0;
    for (let unit = 1; ; unit *= 128) {
      const byte = data[at++];
      value += (byte & 0x7f) * unit;
      if (byte < 0x80) return value;
    }
  };
  while (at < data.length) {
    const tag = varint();
    const value = varint();
    (found[tag >> 3] ??= []).push(tag & 7 ? data.subarray(at, at + value) : value);
    if (tag & 7) at += value;
  }
  return found;
}

// Limits: what the call takes of each, the name of its budget, and what the engine is told

const KIND = /^(?:refund:)?(?:calls(?::([0-9]{1,8}))?|sum(?:\/([1-9]))?:(?:([0-9]{1,8}):)?(?![0-9]{1,8}:)(.+))$/su;

function limits(file, one, call) {
  const { ids, token, root } = file.tokens[one.token];
  const told = one.limits ?? [];
  const named = ({ budget, handle }) => (budget === undefined ? ['limit', handle] : ['budget', budget]);
  const said = told.map((row) => {
    const [fact, name] = named(row);
    return `${fact}(${text(name)}, ${text(row.kind)}, ${row.most});\n`;
  });
  same(`${one.name}: limits told`, one.authorizer.split(/\n(?:limit|budget)\(/).length - 1, told.length);
  check(`${one.name}: limits`, one.authorizer.includes(said.join('')), 'the engine is told of others');
  if (!told.length) return;
  const read = biscuit.Biscuit.fromBase64(token, biscuitKey(file.keys[root].public));
  for (const row of told) {
    const { block, kind, amount, counter, most } = row;
    const [fact, label] = named(row);
    const source = read.getBlockSource(block);
    check(`${one.name}: its block`, source.includes(`check if ${fact}("${label}", "${kind}", ${most})`), source);
    const [, calls, places, spends, argument] = KIND.exec(kind);
    const window = calls ?? spends;
    const counted = `${argument === undefined ? 'calls' : places ? `sum/${places}` : 'sum'}${window ? `:${window}` : ''}`;
    const name =
      fact === 'limit'
        ? digest('hessra-agents/limit/1', ids[block], hex(label))
        : digest('hessra-agents/budget/1', hex(file.trust.authorities[root]), label, counted);
    same(`${one.name}: counter`, name.toString('hex'), counter);
    check(`${one.name}: window`, !window || (window[0] !== '0' && Number(window) <= 366 * 86400));
    const value = argument === undefined ? 1n : at(call.values, argument);
    const found = String(fixed(value, Number(places ?? 0)));
    same(`${one.name}: amount`, String(amount), found);
  }
}

// Sessions: what was returned where, and what was seen

function session(file, one, call) {
  const { results, clear } = one.told ?? { results: [], clear: [] };
  if (one.session) {
    const told = results.map(({ fact, key, tool, selector }) => String([fact, key, tool, selector]));
    told.push(...clear.map(({ pattern }) => pattern));
    same(`${one.name}: asked of the session`, told.sort(), asked(file.tokens[one.token], file.keys, call));
  }
  const facts = results.filter(({ holds }) => holds);
  const lines = facts.map(({ fact, key, tool, selector }) => `${fact}(${[key, tool, selector].map(text).join(', ')});\n`);
  lines.push(...clear.filter(({ holds }) => holds).map(({ pattern }) => `exposure_clear(${text(pattern)});\n`));
  const told = one.authorizer.split(/\n(?:results?_of|exposure_clear)\(/).length - 1;
  same(`${one.name}: told of the session`, told, lines.length);
  for (const line of lines) check(`${one.name}: authorizer`, one.authorizer.includes(line), `lacks ${line}`);
  for (const { fact, key, tool, selector, holds } of results) {
    const sources = one.session.results.filter((result) => result.tool === tool);
    const found = new Set(sources.flatMap((result) => selected(result, new Reader(selector).all())));
    const value = key.startsWith('/') ? resolve(call.values, key) : call.values.get(key);
    const each = fact === 'results_of';
    const asked = each ? (Array.isArray(value) && value.length <= LIST ? value : [undefined]) : [value];
    same(`${one.name}: ${selector}`, asked.every((each) => each !== undefined && found.has(encode(each))), holds);
  }
  for (const { pattern, holds } of clear) {
    const parts = pattern.split('*').map((part) => part.replace(/[\\^$.|?+()[\]{}]/g, '\\$&'));
    const means = new RegExp(`^${parts.join('.*')}$`, 'su');
    const seen = one.session.labels.some((label) => [label, ...label.split('&')].some((each) => means.test(each)));
    same(`${one.name}: ${pattern}`, !seen, holds);
  }
}

const SOURCED = /(results?_of)\("(.*?)", "(.*?)", "(\{.*?\})"\)/gsu;
const CLEAR = /^check if exposure_clear\("(.*)"\)(?: or resource\(\$\w+\), !\{(.*)\}\.contains\(\$\w+\))?$/su;

// What the blocks of a token ask of a session, for a call of this object.
function asked({ token, root, ids }, keys, { resource }) {
  const read = biscuit.Biscuit.fromBase64(token, biscuitKey(keys[root].public));
  const found = new Set();
  for (const line of ids.flatMap((_, index) => read.getBlockSource(index).split(/;\n/))) {
    const [, pattern, objects] = CLEAR.exec(line) ?? [];
    if (pattern !== undefined) {
      if (objects === undefined || objects.split(', ').includes(text(resource))) found.add(pattern);
      continue;
    }
    const branches = line.split(/ or (?=resource\()/).filter((one) => one.includes(`resource(${text(resource)})`));
    for (const [, ...terms] of branches.flatMap((one) => [...one.matchAll(SOURCED)])) found.add(String(terms));
  }
  return [...found].sort();
}

const STEP = /\.([A-Za-z_][A-Za-z0-9_]*)|\['((?:[^'\\]|\\['\\])+)'\]|\[(\*|-?[0-9]+)\]/gy;

// The canonical JSON of the values that a selector means in one result.
function selected({ text: json, untrusted }, selector) {
  if (untrusted && !selector.get('untrusted')) return [];
  let found = [{ value: new Reader(json).all() }];
  for (const [, plain, quoted, index] of selector.get('path').slice(1).matchAll(STEP)) {
    const name = plain ?? quoted?.replace(/\\(.)/g, '$1');
    found = found.flatMap((one) => below(one, name, index));
  }
  const field = ({ beside, value }, name) => (name === '@' ? value : beside?.get(name));
  for (const [name, wanted] of selector.get('where') ?? []) {
    found = found.filter((one) => field(one, name) === wanted);
  }
  for (const [name, prefix] of selector.get('starts') ?? []) {
    found = found.filter((one) => typeof field(one, name) === 'string' && field(one, name).startsWith(prefix));
  }
  for (const [name, sign] of [[selector.get('largest'), 1], [selector.get('smallest'), -1]]) {
    if (name === undefined) continue;
    const fields = found.map((one) => field(one, name));
    const texts = fields.every((one) => typeof one === 'string');
    const numbers = fields.every((one) => typeof one === 'number' || typeof one === 'bigint');
    if (!texts && !numbers) return [];
    const beats = (a, b) => sign * (texts ? points(a, b) : a < b ? -1 : a > b ? 1 : 0) > 0;
    found = found.filter((one) => !fields.some((other) => beats(other, field(one, name))));
  }
  const values = found.map(({ value }) => encode(value));
  return selector.get('unique') && new Set(values).size !== 1 ? [] : values;
}

// The values one step below a value, each with the object in which the last name was looked up.
function below({ value, beside }, name, index) {
  if (name !== undefined) {
    return value instanceof Map && value.has(name) ? [{ value: value.get(name), beside: value }] : [];
  }
  if (index === '*') {
    const inside = value instanceof Map ? [...value.values()] : Array.isArray(value) ? value : [];
    return inside.map((one) => ({ value: one, beside }));
  }
  const one = Array.isArray(value) ? value.at(Number(index)) : undefined;
  return one === undefined ? [] : [{ value: one, beside }];
}

function points(a, b) {
  const [one, other] = [a, b].map((text) => Array.from(text, (char) => char.codePointAt(0)));
  const at = one.findIndex((code, place) => code !== other[place]);
  return at < 0 ? one.length - other.length : at >= other.length ? 1 : one[at] - other[at];
}

// Statements

function proofMessage({ ids, handle, audience, call, nonce, time }) {
  const parts = [chain(ids), hex(handle), audience, hex(call), hex(nonce), uint64(time)];
  return digest('hessra-agents/proof/1', ...parts);
}

function approvalMessage({ ids, handle, call, expires, nonce }) {
  return digest('hessra-agents/approval/1', hex(handle), hex(call), chain(ids), uint64(expires), hex(nonce));
}

function statement(name, file, one, row, message) {
  same(`${name}: chain`, chain(row.ids).toString('hex'), row.chain);
  same(`${name}: message`, message.toString('hex'), row.message);
  const { public: text } = file.keys[row.key];
  const signature = hex(row.signature);
  check(`${name}: signature`, verify(null, message, publicKey(text), signature), 'not signed by its key');
  const proves = row.audience !== undefined;
  const body = proves
    ? [hex(row.nonce), uint64(row.time), hex(row.call), signature]
    : [hex(row.nonce), hex(row.handle), raw(text), uint64(row.expires), hex(row.call), signature];
  const written = Buffer.concat(body).toString('base64url');
  same(`${name}: text`, `${proves ? 'hp1.' : 'ha1.'}${written}`, row.text);
  if (row.holds) {
    const { ids } = file.tokens[one.token];
    same(`${name}: what it is for`, [row.ids, row.call], [ids, one.digest]);
    const fresh = proves ? Math.abs(row.time - one.now) <= 30 : one.now < row.expires;
    check(`${name}: where and when`, fresh && (!proves || row.audience === one.audience));
  }
}

function chain(ids) {
  return digest('hessra-agents/blocks/1', ...ids);
}

function uint64(value) {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(BigInt(value));
  return bytes;
}

function hex(text) {
  return Buffer.from(text, 'hex');
}

// The 32 bytes of ed25519/<hex>.
function raw(text) {
  return hex(text.slice('ed25519/'.length));
}

function publicKey(text) {
  const key = Buffer.concat([hex('302a300506032b6570032100'), raw(text)]);
  return createPublicKey({ key, format: 'der', type: 'spki' });
}

function publicOf(seed) {
  const key = hex(`302e020100300506032b657004220420${seed}`);
  const pair = createPublicKey(createPrivateKey({ key, format: 'der', type: 'pkcs8' }));
  return `ed25519/${Buffer.from(pair.export({ format: 'jwk' }).x, 'base64url').toString('hex')}`;
}

// Digests

function sha256(...chunks) {
  const hash = createHash('sha256');
  for (const chunk of chunks) hash.update(chunk);
  return hash.digest();
}

// Every part behind its length, in 4 bytes.
function parts(...values) {
  return values.flatMap((value) => {
    const bytes = Buffer.from(value);
    const length = Buffer.alloc(4);
    length.writeUInt32BE(bytes.length);
    return [length, bytes];
  });
}

function digest(domain, ...values) {
  return sha256(...parts(domain, ...values));
}

// Calls

function readCall({ tool, kind = 'tool', operation = 'invoke', arguments: json, arguments_hex: bytes }) {
  if (!tool || [...tool].length > NAME || !tool.isWellFormed()) throw new Malformed('the name of a tool');
  const values = new Reader(bytes === undefined ? json : utf8(hex(bytes))).all();
  if (!(values instanceof Map)) throw new Malformed('no object');
  if (values.size > ARGUMENTS) throw new Malformed('too many arguments');
  for (const name of values.keys()) {
    const usable = name && !name.startsWith('/') && [...name].length <= NAME;
    if (!usable) throw new Malformed('the name of an argument');
  }
  const canonical = encode(values);
  const resource = `${kind}:${tool}`;
  const hash = digest('hessra-agents/call/1', resource, operation, canonical).toString('hex');
  return { resource, operation, values, canonical, digest: hash };
}

class Malformed extends Error {}

function utf8(bytes) {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new Malformed('no UTF-8');
  }
}

// RFC 8785, but integers keep all digits.
function encode(value) {
  if (value instanceof Map) {
    // the order of `sort` is that of UTF-16 code units
    const names = [...value.keys()].sort();
    return `{${names.map((name) => `${JSON.stringify(name)}:${encode(value.get(name))}`).join(',')}}`;
  }
  if (Array.isArray(value)) return `[${value.map(encode).join(',')}]`;
  return typeof value === 'bigint' ? String(value) : JSON.stringify(value);
}

// JSON text into maps, lists, strings, bigints (integers), numbers (all else), booleans and null.
class Reader {
  constructor(text) {
    this.text = text;
    this.at = 0;
  }

  all() {
    const value = this.value(0);
    this.take(/[ \t\n\r]*/y);
    if (this.at < this.text.length) throw new Malformed('something follows');
    return value;
  }

  take(pattern) {
    pattern.lastIndex = this.at;
    const found = pattern.exec(this.text);
    if (found) this.at += found[0].length;
    return found?.[0];
  }

  token(pattern) {
    this.take(/[ \t\n\r]*/y);
    return this.take(pattern);
  }

  value(depth) {
    const open = this.token(/[[{]/y);
    if (open && depth === DEPTH) throw new Malformed('too deep');
    if (open === '[') return this.list(depth + 1);
    if (open === '{') return this.members(depth + 1);
    const literal = this.take(/true|false|null/y);
    if (literal) return JSON.parse(literal);
    const number = this.take(/-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?/y);
    return number ? this.number(number) : this.string();
  }

  string() {
    const text = this.token(/"(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"/y);
    if (text === undefined) throw new Malformed('not JSON');
    const value = JSON.parse(text);
    if (!value.isWellFormed()) throw new Malformed('a lone surrogate');
    return value;
  }

  number(text) {
    if (/^-?[0-9]+$/.test(text)) {
      if (text.replace('-', '').length > DIGITS) throw new Malformed('too many digits');
      return BigInt(text);
    }
    const value = Number(text);
    if (!Number.isFinite(value)) throw new Malformed('a number that overflows');
    // what prints as an integer is that integer
    const printed = String(value);
    return /^-?[0-9]+$/.test(printed) ? BigInt(printed) : value;
  }

  list(depth) {
    const found = [];
    if (this.token(/]/y)) return found;
    do found.push(this.value(depth));
    while (this.token(/,/y));
    if (!this.token(/]/y)) throw new Malformed('an unclosed list');
    return found;
  }

  members(depth) {
    const found = new Map();
    if (this.token(/}/y)) return found;
    do {
      const name = this.string();
      if (!this.token(/:/y)) throw new Malformed('no colon');
      if (found.has(name)) throw new Malformed('a name twice');
      found.set(name, this.value(depth));
    } while (this.token(/,/y));
    if (!this.token(/}/y)) throw new Malformed('an unclosed object');
    return found;
  }
}

// Facts, but those of shapes: paths, URLs, addresses and commands are judged in Python alone

function at(values, key) {
  return key.startsWith('/') ? resolve(values, key) : values.get(key);
}

function factsAt(values, key) {
  if (key === '') return { arg_names: [sorted(values.keys())] };
  const value = at(values, key);
  if (value === undefined) return {};
  const found = {};
  for (const [name, fact] of Object.entries(FACTS)) {
    const stated = fact(value);
    if (stated !== undefined) found[name] = [stated];
  }
  return found;
}

function resolve(values, pointer) {
  let value = values;
  for (const step of pointer.slice(1).split('/')) {
    if (step in SPREADS) value = spread(value instanceof Many ? value : [value], step);
    else value = value instanceof Many ? ofEach(value, step) : one(value, step);
    if (value === undefined) return undefined;
  }
  return value;
}

function one(value, step) {
  if (step === '~w') return isText(value) && value.length <= 8192 && LINE.test(value) ? value.split(' ') : undefined;
  if (value instanceof Map) return value.get(step.replaceAll('~1', '/').replaceAll('~0', '~'));
  if (!Array.isArray(value)) return undefined;
  if (/^(?:0|[1-9][0-9]{0,5})$/.test(step)) return value[Number(step)];
  if (!/^(?:0|[1-9][0-9]{0,5}):$/.test(step)) return undefined;
  const from = Number(step.slice(0, -1));
  return from <= value.length ? value.slice(from) : undefined;
}

// Many values: all elements of a list, or all names or values of an object, and what stands inside each.
class Many extends Array {}
const SPREADS = { '~*': Array.isArray, '~k': isMap, '~v': isMap };
const LINE = /^[A-Za-z0-9_./:@+,=-]+(?: [A-Za-z0-9_./:@+,=-]+)*$/;

function isMap(value) {
  return value instanceof Map;
}

function spread(values, step) {
  if (![...values].every(SPREADS[step])) return undefined;
  const found = [...values].flatMap((each) => [...(step === '~k' ? each.keys() : each.values())]);
  return found.length <= LIST ? Many.from(found) : undefined;
}

function ofEach(values, step) {
  const name = step.replace(/~\?$/, '');
  const kept = [...values].filter((each) => name === step || !isMap(each) || one(each, name) !== undefined);
  const found = kept.map((each) => (name.endsWith(':') && Array.isArray(each) ? undefined : one(each, name)));
  return found.includes(undefined) ? undefined : Many.from(found);
}

const isText = (value) => typeof value === 'string';
const isInt = (value) => typeof value === 'bigint' && -INT64 <= value && value < INT64;
const isPlain = (value) => isText(value) || isInt(value) || typeof value === 'boolean' || value === null;
const isOperand = (value) => isText(value) && value !== '' && value[0] !== '-';
const hasLength = (value) => isText(value) || Array.isArray(value);
const length = (value) => BigInt(isText(value) ? [...value].length : value.length);

const each = (test, map = (value) => value) => (value) =>
  Array.isArray(value) && value.length <= LIST && value.every(test) ? sorted(value.map(map)) : undefined;

// A number in units of 10 to the power of -places, rounded down and up: what its digits say, exactly.
function inUnits(value, places) {
  const [, sign, whole, fraction, exponent] = /^(-?)([0-9]+)(?:\.([0-9]+))?(?:e([-+][0-9]+))?$/.exec(String(value)) ?? [];
  if (whole === undefined || !['number', 'bigint'].includes(typeof value)) return undefined;
  const digits = BigInt(sign + whole + (fraction ?? ''));
  const shift = places + Number(exponent ?? 0) - (fraction ?? '').length;
  if (shift > 19 || digits < -INT64 || digits >= INT64) return undefined;
  const unit = 10n ** BigInt(Math.min(Math.abs(shift), 19));
  const floor = (count) => count / unit - (count % unit < 0n ? 1n : 0n);
  const [low, high] = shift >= 0 ? [digits * unit, digits * unit] : [floor(digits), -floor(-digits)];
  return -INT64 <= low && high < INT64 ? [low, high] : undefined;
}

function fixed(value, places) {
  const [low, high] = inUnits(value, places) ?? [];
  return low === high ? low : undefined;
}

// Days since 1970-01-01.
function day(value) {
  const [, year, month, date] = (isText(value) && /^([0-9]{4})-([0-9]{2})-([0-9]{2})$/u.exec(value)) || [];
  if (year === undefined || year === '0000') return undefined;
  const moment = new Date(0);
  moment.setUTCFullYear(Number(year), Number(month) - 1, Number(date));
  return moment.toISOString().startsWith(value) ? moment.getTime() / 86400000 : undefined;
}

// Unix seconds, rounded down and up.
function instant(value) {
  const clock = /^(.{10})T([01][0-9]|2[0-3]):([0-5][0-9]):([0-5][0-9])(?:\.([0-9]{1,9}))?(Z|(?!-00:00)[-+]([01][0-9]|2[0-3]):([0-5][0-9]))$/u;
  const [, date, hour, minute, second, fraction, zone, hours, minutes] = (isText(value) && clock.exec(value)) || [];
  const days = day(date);
  if (days === undefined) return undefined;
  const offset = (zone[0] === '-' ? -1 : 1) * (Number(hours ?? 0) * 3600 + Number(minutes ?? 0) * 60);
  const low = days * 86400 + Number(hour) * 3600 + Number(minute) * 60 + Number(second) - offset;
  return [String(low), String(low + (/[1-9]/.test(fraction ?? '') ? 1 : 0))];
}

const FACTS = {
  arg_str: (value) => (isText(value) ? value : undefined),
  arg_int: (value) => (isInt(value) ? String(value) : undefined),
  arg_bool: (value) => (typeof value === 'boolean' ? value : undefined),
  arg_null: (value) => (value === null ? true : undefined),
  arg_json: (value) => (isPlain(value) ? undefined : sha256(encode(value)).toString('hex')),
  arg_scalar: (value) => (value instanceof Map || Array.isArray(value) ? undefined : encode(value)),
  arg_len: (value) => (hasLength(value) ? String(length(value)) : undefined),
  arg_operand: (value) => (isOperand(value) ? value : undefined),
  arg_fields: (value) => (value instanceof Map ? sorted(value.keys()) : undefined),
  arg_strs: each(isText),
  arg_ints: each(isInt),
  arg_lens: each(hasLength, length),
  arg_operands: each(isOperand),
};
const PRIMARY = ['arg_names', ...Object.keys(FACTS)];

// The least and the greatest of each value of a fact of the elements.
const range = (fact, arity = 1) => (value, places) => {
  if (!Array.isArray(value) || value.length > LIST) return undefined;
  const rows = [...value].map((each) => fact(each, places));
  if (rows.includes(undefined)) return undefined;
  const columns = Array.from({ length: arity }, (_, index) => rows.map((row) => BigInt([row].flat()[index])));
  const ends = columns.map((all) => [
    all.reduce((a, b) => (a < b ? a : b), INT64 - 1n),
    all.reduce((a, b) => (a > b ? a : b), -INT64),
  ]);
  return ends.flat().map(String);
};
const size = (value) => (isMap(value) ? BigInt(value.size) : undefined);
const isScalar = (value) => !isMap(value) && !Array.isArray(value);

// Facts that are stated only where a token asks for them; of many values only those of lists.
const ASKED = {
  arg_size: size,
  arg_distinct: (value) =>
    Array.isArray(value) && value.length <= LIST && new Set([...value].map(encode)).size === value.length || undefined,
  arg_scalars: each(isScalar, encode),
  arg_range: range((value) => (isInt(value) ? value : undefined)),
  arg_len_range: range((value) => (hasLength(value) ? length(value) : undefined)),
  arg_size_range: range(size),
  arg_number_range: range(inUnits, 2),
  arg_fixed_range: range(fixed),
  arg_date_range: range(day),
  arg_instant_range: range(instant, 2),
  arg_number: (value, places) => inUnits(value, places)?.map(String),
  arg_fixed: fixed,
  arg_date: (value) => day(value)?.toString(),
  arg_instant: instant,
  arg_count: (value) => (value instanceof Many ? BigInt(value.length) : undefined),
  arg_hex: (value) => (isText(value) && /^[0-9A-Fa-f]+$/u.test(value) ? value.toLowerCase() : undefined),
  arg_host: (value) => (isText(value) && isHost(value) ? value.toLowerCase() : undefined),
  arg_matches: matches,
  arg_each_matches: (value, pattern) =>
    Array.isArray(value) && value.length <= LIST && value.every((each) => matches(each, pattern)) ? [] : undefined,
  arg_same: (value, other, values) => {
    const found = at(values, other);
    return found !== undefined && encode(value) === encode(found) ? [] : undefined;
  },
};
const OF_MANY = ['arg_strs', 'arg_ints', 'arg_lens', 'arg_operands', 'arg_scalars', 'arg_count', 'arg_each_matches'];

// Labels of ASCII letters, digits and inner hyphens; not punycode, and no number at the end.
function isHost(value) {
  const label = '(?!xn--)[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?';
  const lower = /^[A-Za-z0-9.-]{1,253}$/u.test(value) ? value.toLowerCase() : '';
  return new RegExp(`^${label}(?:\\.${label})*$`, 'u').test(lower) && !/(?:^|\.)(?:[0-9]+|0x[0-9a-f]*)$/u.test(lower);
}

// A pattern means what it means as a regular expression.
function matches(value, pattern) {
  return isText(value) && new RegExp(`^${pattern}$`, 'u').test(value) ? [] : undefined;
}

// The facts that the blocks of a token ask for, and that are not stated of every place, as Datalog.
function* askedLines(token, keys, { values }) {
  if (!token.ids) return; // it is no token
  let read;
  try {
    read = biscuit.Biscuit.fromBase64(token.token, biscuitKey(keys[token.root].public));
  } catch {
    return; // nobody reads it, so it asks for nothing
  }
  const source = token.ids.map((_, index) => read.getBlockSource(index)).join('');
  for (const [, name, quoted, literal] of source.matchAll(/(arg_\w+)\("((?:[^"\\]|\\.)*)"(?:, ([0-9]|"(?:[^"\\]|\\.)*"))?/gsu)) {
    const key = unquoted(quoted);
    if (!(name in ASKED) && !key.split('/').some((step) => step in SPREADS || step === '~w')) continue;
    const asked = /_(?:number|fixed|matches|same)/.test(name) ? [literal] : [];
    const parameter = literal?.startsWith('"') ? unquoted(literal.slice(1, -1)) : Number(literal ?? 0);
    const stated = factAsked(values, name, key, parameter);
    if (stated === undefined) continue;
    const list = valuesOf(name, stated).map((value) => term(name, value));
    yield `${name}(${[text(key), ...asked, ...list].join(', ')});\n`;
  }
}

function valuesOf(predicate, stated) {
  return /_range$|_number$|_instant$|_matches$|_same$/.test(predicate) ? stated : [stated];
}

function unquoted(quoted) {
  return quoted.replace(/\\(.)/gsu, '$1');
}

function factAsked(values, name, key, parameter) {
  const value = at(values, key);
  if (value === undefined) return undefined;
  if (!(value instanceof Many)) return (ASKED[name] ?? FACTS[name])?.(value, parameter, values);
  if (name === 'arg_fields') return value.every(isMap) ? sorted([...value].flatMap((each) => [...each.keys()])) : undefined;
  return OF_MANY.includes(name) || name.endsWith('_range') ? (ASKED[name] ?? FACTS[name])?.(value, parameter) : undefined;
}

// Each element once, by code points (the bytes of UTF-8 sort alike) or by value; integers as text.
function sorted(values) {
  const order = (a, b) => (isText(a) ? Buffer.compare(Buffer.from(a), Buffer.from(b)) : a < b ? -1 : 1);
  return [...new Set(values)].sort(order).map((value) => (typeof value === 'bigint' ? String(value) : value));
}

// The same facts as Datalog, for the names and for every place.
function factLines({ values }) {
  const lines = [];
  for (const key of ['', ...places(values)]) {
    for (const [name, stated] of Object.entries(factsAt(values, key))) {
      const terms = stated.map((value) => term(name, value));
      lines.push(`${name}(${[...(key && [text(key)]), ...terms].join(', ')});\n`);
    }
  }
  return lines;
}

function term(predicate, value) {
  const whole = ['arg_int', 'arg_len', 'arg_date', 'arg_instant', 'arg_ints', 'arg_lens'].includes(predicate);
  if (typeof value === 'bigint' || /_(?:range|number|fixed)$/.test(predicate)) return String(value);
  const one = (element) => (whole ? element : text(element));
  if (Array.isArray(value)) return `{${value.map(one).join(', ') || ','}}`;
  if (predicate === 'arg_json') return `hex:${value}`;
  return typeof value === 'boolean' ? String(value) : one(value);
}

function text(value) {
  return `"${value.replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"`;
}

function* places(values) {
  for (const [name, value] of values) {
    yield name;
    yield* inside(`/${step(name)}`, value);
  }
}

function* inside(pointer, value) {
  const members = value instanceof Map ? [...value].map(([name, inner]) => [step(name), inner]) : [];
  if (Array.isArray(value)) members.push(...value.entries());
  for (const [name, inner] of members) {
    yield `${pointer}/${name}`;
    yield* inside(`${pointer}/${name}`, inner);
  }
  if (!Array.isArray(value)) return;
  for (let index = 0; index <= value.length; index += 1) yield `${pointer}/${index}:`;
}

function step(name) {
  return name.replaceAll('~', '~0').replaceAll('/', '~1');
}

await main(process.argv.slice(2));
