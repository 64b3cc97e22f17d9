// SPDX-License-Identifier: Apache-2.0
//
// Values to bytes and back (guest/engine/serialize.h), inside the guest: each type against structuredClone,
// random values, hostile bytes, and bytes that must never change (values.golden).
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { Guest, hasRuntime, isBuilt } from "./harness.mjs";

const options = { skip: !(isBuilt && hasRuntime) && "LIMPET_ENGINE_WASM and LIMPET_BUILTINS are not set" };

/** Runs in the guest: what there is to see of a value, with identity. */
function dump(value) {
  const seen = new Map();
  const hidden = (v, names) => names.filter((n) => Object.hasOwn(v, n)).map((n) => [n, show(v[n]), Object.getOwnPropertyDescriptor(v, n).enumerable]);
  const members = (v) => Object.keys(v).map((k) => [k, show(v[k]), JSON.stringify(Object.getOwnPropertyDescriptor(v, k), ["writable", "enumerable", "configurable"])]);
  function show(v) {
    if (typeof v === "bigint") return `${v}n`;
    if (typeof v === "number") return Object.is(v, -0) ? "-0" : String(v);
    if (typeof v === "string") return JSON.stringify(v) + v.length;
    if (typeof v !== "object" || v === null) return String(v);
    if (seen.has(v)) return `#${seen.get(v)}`;
    seen.set(v, seen.size);
    const kind = Object.prototype.toString.call(v) + (Object.getPrototypeOf(v)?.constructor?.name ?? "null");
    if (Array.isArray(v)) return [kind, v.length, members(v)];
    if (v instanceof Map) return [kind, [...v].map(([k, x]) => [show(k), show(x)]), members(v)];
    if (v instanceof Set) return [kind, [...v].map(show), members(v)];
    if (v instanceof Date) return [kind, show(v.getTime()), members(v)];
    if (v instanceof RegExp) return [kind, v.source, v.flags, v.lastIndex];
    if (v instanceof ArrayBuffer) return [kind, v.resizable, v.maxByteLength, [...new Uint8Array(v)]];
    if (ArrayBuffer.isView(v)) return [kind, v.byteOffset, v.byteLength, show(v.buffer)];
    if (v instanceof DOMException) return [kind, v.name, v.message, v.code, typeof v.stack, members(v)];
    if (v instanceof Error) return [kind, v.name, v.message, v.stack, hidden(v, ["name", "message", "cause", "errors"]), members(v)];
    if (v instanceof Blob) return [kind, v.size, v.type, v.name, v.lastModified];
    if (v instanceof Number || v instanceof String || v instanceof Boolean || v instanceof BigInt) return [kind, show(v.valueOf())];
    return [kind, members(v)];
  }
  return JSON.stringify(show(value));
}

let guest;
/** Evaluates the body of a function of (serialize, deserialize, dump, input) in the guest; the result as JSON. */
function run(body, input) {
  if (!guest) {
    guest = new Guest({ runtime: false });
    guest.loading = true;
    assert.equal(guest.load(0, "capture", guest.compile("capture", "globalThis.native = globalThis.__limpet;")), 0, JSON.stringify(guest.fails));
    guest.loadRuntime();
    const source = `const { serialize, deserialize } = native; ${dump}
      export default async (request) => {
        const { body, input } = await request.json();
        return new Function("serialize", "deserialize", "dump", "input", "const hex = (b) => [...b].map((x) => x.toString(16).padStart(2, '0')).join(''), unhex = (t) => Uint8Array.from(t.match(/../g) ?? [], (x) => parseInt(x, 16));" + body)(serialize, deserialize, dump, input);
      }`;
    assert.equal(guest.load(1, "test", source), 0, JSON.stringify(guest.fails));
    guest.loading = false;
  }
  const answer = guest.http({ method: "POST", body: JSON.stringify({ body, input }) });
  if (answer.fail) throw new Error(`${answer.fail.name}: ${answer.fail.message}\n${answer.fail.stack}`);
  return JSON.parse(answer.body);
}
const evaluate = "const make = (text) => (0, eval)('(' + text + ')');";

// What structuredClone carries too, and in the same way.
const values = [
  "undefined", "null", "true", "false", "0", "-0", "1", "63", "64", "-1", "-64", "-65", "127", "128", "2147483647", "2147483648", "-2147483648", "-2147483649",
  "0.5", "NaN", "Infinity", "-Infinity", "5e-324", "1.7976931348623157e308", "9007199254740993", "1e21", "3.0", "2 ** 31 - 1 + 0.0",
  "0n", "1n", "-1n", "127n", "128n", "-128n", "-129n", "255n", "256n", "2n ** 31n", "-(2n ** 31n)", "2n ** 63n", "-(2n ** 63n)", "-(2n ** 63n) - 1n", "2n ** 64n", "10n ** 50n", "-(10n ** 50n)", "2n ** 4000n - 1n", "-(2n ** 127n)", "-(2n ** 128n)", "2n ** 127n",
  "''", "'a'", "'x'.repeat(127)", "'x'.repeat(128)", "'x'.repeat(70000)", "'\\u00e9\\u00ff'", "'\\u00e9'.repeat(300)", "'\\u0100'", "'日本'", "'😀'", "'\\ud800'", "'\\udc00\\ud83d'", "'a\\0b'", "'日本'.slice(0, 0)", "'ab日'.slice(0, 2)", "'日ab'.slice(1)",
  "'a' + 'b'.repeat(3000) + 'c'", "(() => { let s = ''; for (let i = 0; i < 5000; i++) s += i % 10; return s })()", "(() => { let s = '日'; for (let i = 0; i < 5000; i++) s += i % 10; return s })()", "'a long enough string to be sliced lazily, perhaps'.slice(2, 30)",
  "({})", "({ a: 1, b: 'x', c: null, d: undefined })", "({ 2: 'b', 1: 'a', x: 1, '-1': 0, '01': 3 })", "({ '': 1, 'é': 2, '日本': 3, '\\ud800': 4 })", "({ 3000000000: 1, a: 2, 4294967294: 3, 4294967295: 4, 7: 5 })", "({ a: { b: { c: {} } } })",
  "JSON.parse('{\"__proto__\":{\"x\":1},\"constructor\":2}')", "Object.create(null)", "Object.assign(Object.create(null), { a: 1 })", "Object.create({ inherited: 1 }, { own: { value: 1, enumerable: true }, hidden: { value: 2 } })",
  "(() => { const o = { a: 1, b: 2, c: 3 }; delete o.b; o.b = 4; return o })()", "({ [Symbol('s')]: 1, a: 2 })", "new (class A { #p = 1; x = 1; get y() { return this.#p } })", "new (class B extends Object { z = [1] })", "[new (class C { x = 1 }), new (class D { x = 2 })]", "Object.freeze({ a: Object.freeze([1]) })",
  "({ get a() { return 1 }, b: { get c() { return [2] } } })", "({ a: 1, get b() { delete this.c; this.d = 4; return 2 }, c: 3 })", "({ get a() { return this }, b: 1 })", "({ a: 1, get b() { return this.a2 ??= {} }, get c() { return this.a2 } })", "Object.defineProperty({ a: 1 }, 'h', { get() { throw 1 }, enumerable: false })",
  "[]", "[1, 'a', null, [2, [3]]]", "[1, , 3]", "[, ]", "new Array(5)", "Object.assign([], { 1e9: 1 })", "Object.assign([1, 2], { x: 1, y: [2] })", "Object.assign([1, , 2], { x: 1 })", "(() => { const a = [1, 2, 3]; delete a[1]; a[1] = 5; return a })()", "'abc'.match(/b(.)/)", "new (class extends Array {})(3)", "Object.assign([], { length: 4294967295 })",
  "(() => { const a = [1, 2, 3, 4]; Object.defineProperty(a, 1, { get() { delete a[2]; return 'g' }, enumerable: true, configurable: true }); return a })()", "(() => { const a = [1, 2, 3]; Object.defineProperty(a, 1, { enumerable: false }); return a })()", "(() => { const a = [0, 1]; Object.defineProperty(a, 0, { get() { a.push(9); return 'g' }, enumerable: true }); return a })()",
  "(function () { return arguments })(1, 2)", "(function (a) { 'use strict'; return arguments })({})",
  "new Date(0)", "new Date(1e12)", "new Date(-1.5)", "new Date(NaN)", "new Date(8.64e15)", "[new Date(5), Object.assign(new Date(6), { x: 1 })]",
  "/a+/gi", "/[\\/]\\n日/u", "new RegExp('')", "Object.assign(/x/y, { lastIndex: 3 })", "/(?<n>x)/dgimsuy", "/[\\p{L}--[a-z]]/v",
  "new Map()", "new Map([[1, 2], ['a', { b: 1 }], [{}, []], [NaN, -0]])", "new Set()", "new Set([1, 'a', {}, NaN, undefined])", "new (class extends Map {})([[1, 2]])", "new Map([[new Map(), new Set([new Set()])]])", "Object.assign(new Map([[1, 1]]), { x: 1 })",
  "(() => { const m = new Map([[1, 1], [2, 2]]); m.set(3, { get a() { m.delete(1); m.set(4, 4); return 1 } }); return m })()",
  "new ArrayBuffer(0)", "new Uint8Array([1, 2, 255]).buffer", "new ArrayBuffer(4, { maxByteLength: 16 })", "new ArrayBuffer(0, { maxByteLength: 0 })",
  ..."Int8 Uint8 Uint8Clamped Int16 Uint16 Int32 Uint32 Float16 Float32 Float64".split(" ").map((n) => `new ${n}Array([1, 2, 3.5, -1])`),
  "new BigInt64Array([1n, -1n])", "new BigUint64Array([1n, -1n])", "new Uint8Array()", "new Uint8Array(new ArrayBuffer(16), 3, 5)", "new DataView(new ArrayBuffer(16), 3, 5)", "new DataView(new ArrayBuffer(4))", "new Uint16Array(new ArrayBuffer(8, { maxByteLength: 64 }), 2, 2)",
  "(() => { const b = new ArrayBuffer(16); return { a: new Uint8Array(b, 1, 2), b, c: new DataView(b, 4), d: new Float64Array(b) } })()", "(() => { const a = new Uint8Array([1]); return [a, a, a.buffer] })()",
  "new Number(3)", "new Number(NaN)", "new String('日')", "new String('')", "new Boolean(false)", "new Boolean(true)", "Object(5n)", "(() => { const n = new Number(1); return [n, n] })()",
  "new Error('m')", "new Error()", "new TypeError('t')", "new RangeError('r')", "new EvalError('e')", "new ReferenceError('r')", "new SyntaxError('s')", "new URIError('u')", "new Error('m', { cause: new TypeError('c') })", "new Error('m', { cause: undefined })", "Object.assign(new Error('m'), { message: 5 })", "(() => { const e = new Error('x'); delete e.message; return e })()",
  "Object.defineProperty(new Error('x'), 'message', { get() { return 'g' } })", "Object.defineProperty(new Error('x'), 'name', { value: 'TypeError' })", "(() => { const e = new Error('cycle'); e.cause = e; return [e] })()", "new (class extends TypeError {})('sub')",
  "new DOMException('m', 'AbortError')", "new DOMException()", "new DOMException('m', 'Own')",
  "new Blob(['abc', new Uint8Array([0, 255])], { type: 'text/plain' })", "new Blob()", "new File(['abc'], 'ü.txt', { type: 'a/b', lastModified: 12 })", "(() => { const b = new Blob(['x']); return [b, b] })()",
  "(() => { const a = {}; a.a = a; return a })()", "(() => { const a = []; a.push({ a }, a); return a })()", "(() => { const a = { x: 1 }; return [a, a, { a }] })()", "(() => { const m = new Map(); m.set(m, m); return m })()", "(() => { const s = new Set(); s.add(s).add([s]); return s })()", "(() => { const a = { b: {} }; a.b.c = { a, b: a.b }; return a })()", "(() => { const a = [1, , 3]; a[1] = { a }; return { a, b: a } })()",
  "Array.from({ length: 100 }, (_, i) => ({ id: i, name: 'n' + i, tags: ['a', 'b'], at: new Date(i) }))", "Object.fromEntries(Array.from({ length: 300 }, (_, i) => ['k' + i, i / 3]))", "Array.from({ length: 200 }, (_, i) => ({ ['k' + i % 7]: i, same: { x: i } }))", "[{ a: 1, b: { a: 1, b: 2 } }, { a: 2, b: { a: 3, b: 4 } }, { b: 1, a: 2 }]",
  "(() => { let o = {}; for (let i = 0; i < 50; i++) o = i % 2 ? { o } : [o]; return o })()",
];

test("carries what structuredClone carries, in the same way", options, () => {
  const results = run(`${evaluate} return input.map((text) => {
    try {
      const bytes = serialize(make(text)), back = deserialize(bytes);
      return { want: dump(structuredClone(make(text))), got: dump(back), size: bytes.length, again: hex(serialize(back)) === hex(serialize(structuredClone(make(text)))) };
    } catch (e) { return { threw: String(e), stack: e.stack }; }
  })`, values);
  results.forEach((r, i) => {
    assert.ok(!r.threw, `${values[i]}: ${r.threw} ${r.stack}`);
    // Where an error was made is in its stack.
    const plain = (t) => t.replace(/\(test:\d+:\d+\)|<anonymous>:\d+:\d+|:\d+:\d+/g, "");
    assert.equal(plain(r.got), plain(r.want), values[i]);
    if (!/Error|Exception/.test(values[i])) assert.ok(r.again, `other bytes the second time: ${values[i]}`);
  });
});

test("errors keep what structuredClone drops", options, () => {
  const results = run(`${evaluate} return input.map((text) => {
    const error = make(text), back = deserialize(serialize(error));
    return [Object.prototype.toString.call(back), back.constructor.name, back.name, Object.keys(back), JSON.stringify({ ...back }), back.stack === error.stack, back.errors?.map(String)];
  })`, [
    "Object.assign(new Error('m'), { code: 'E_NO', info: { n: 1 } })",
    "new (class PaymentError extends Error { name = 'PaymentError'; code = 7 })('m')",
    "new (class Quiet extends TypeError { get name() { return 'Quiet' } })('m')",
    "new AggregateError([new Error('a'), new TypeError('b')], 'both')",
    "(() => { const e = new Error('m'); e.stack = 'mine'; return e })()",
    "(() => { const e = new RangeError('m'); e.errors = [1]; e.cause = e; return e })()",
  ]);
  assert.deepEqual(results, [
    ["[object Error]", "Error", "Error", ["code", "info"], '{"code":"E_NO","info":{"n":1}}', true, null],
    ["[object Error]", "Error", "PaymentError", ["name", "code"], '{"name":"PaymentError","code":7}', true, null],
    ["[object Error]", "Error", "Quiet", [], "{}", true, null],
    ["[object Error]", "AggregateError", "AggregateError", [], "{}", true, ["Error: a", "TypeError: b"]],
    ["[object Error]", "Error", "Error", [], "{}", true, null],
    ["[object Error]", "RangeError", "RangeError", ["errors"], '{"errors":[1]}', true, ["1"]],
  ]);
});

test("names what cannot be cloned, and where it is", options, () => {
  const cases = {
    "() => 1": "function (anonymous) could not be cloned",
    "function send() {}": "function send could not be cloned",
    "class Foo {}": "function Foo could not be cloned",
    "Symbol('x')": "Symbol(x) could not be cloned",
    "Symbol()": "Symbol() could not be cloned",
    "({ user: { tags: [1, { send() {} }] } })": "function send could not be cloned (at value.user.tags[1].send)",
    "new Map([[1, () => 1]])": "function (anonymous) could not be cloned (at value.entries()[0])",
    "Promise.resolve(1)": "a Promise could not be cloned",
    "new Proxy({}, {})": "a Proxy could not be cloned",
    "new Proxy(function f() {}, {})": "a Proxy could not be cloned",
    "[new Proxy([], {})]": "a Proxy could not be cloned (at value[0])",
    "new WeakMap()": "a WeakMap could not be cloned",
    "new WeakSet()": "a WeakSet could not be cloned",
    "new WeakRef({})": "a WeakRef could not be cloned",
    "Object(Symbol())": "a Symbol could not be cloned",
    "(function* () {})()": "a Generator could not be cloned",
    "[1].values()": "a Array Iterator could not be cloned",
    "new URL('http://a/')": "a URL could not be cloned",
    "new URLSearchParams()": "a URLSearchParams could not be cloned",
    "new Headers()": "a Headers could not be cloned",
    "new Request('http://a/')": "a Request could not be cloned",
    "new Response()": "a Response could not be cloned",
    "new ReadableStream()": "a ReadableStream could not be cloned",
    "new AbortController()": "a AbortController could not be cloned",
    "new EventTarget()": "a EventTarget could not be cloned",
    "new (class Mine extends EventTarget {})": "a Mine could not be cloned",
    "new FormData()": "a FormData could not be cloned",
    "({ e: new Error('x', { cause: () => 1 }) })": "function cause could not be cloned (at value.e.cause)",
    "(() => { const b = new ArrayBuffer(8); b.transfer(); return b })()": "an ArrayBuffer that is detached could not be cloned",
    "(() => { const v = new Uint8Array(8); v.buffer.transfer(); return [v] })()": "a view on an ArrayBuffer that is detached or too short could not be cloned (at value[0])",
    "(() => { const b = new ArrayBuffer(8, { maxByteLength: 8 }), v = new DataView(b, 4); b.resize(2); return v })()": "a view on an ArrayBuffer that is detached or too short could not be cloned",
  };
  const seen = run(`${evaluate} return input.map((text) => {
    const value = make(text);
    try { serialize(value); return "nothing"; } catch (e) { return e instanceof DOMException && e.name === "DataCloneError" ? e.message : String(e); }
  })`, Object.keys(cases));
  Object.values(cases).forEach((message, i) => assert.equal(seen[i], message, Object.keys(cases)[i]));
});

test("a prototype that is a proxy, and what getters throw", options, () => {
  const seen = run(`
    const out = [];
    const proxied = Object.create(new Proxy({}, { getPrototypeOf() { out.push("asked"); return Object.prototype; } }), { a: { value: 1, enumerable: true } });
    out.push(dump(deserialize(serialize(proxied))));
    const mine = new Error("mine");
    try { serialize({ a: { get b() { throw mine; } } }); } catch (e) { out.push(e === mine); }
    // The getter makes and drops objects, whose addresses come again.
    const o = { list: [] };
    for (let i = 0; i < 50; i++) Object.defineProperty(o, "g" + i, { enumerable: true, get() { return { ["k" + i]: { i } }; } });
    const back = deserialize(serialize(o));
    for (let i = 0; i < 50; i++) if (back["g" + i]["k" + i].i !== i) out.push("wrong " + i);
    return out;
  `);
  assert.equal(seen.at(-1), true);
  assert.equal(seen.filter((x) => String(x).startsWith("wrong")).length, 0);
  assert.ok(seen.some((x) => String(x).includes('["a","1"')), JSON.stringify(seen));
});

test("limits: 4 MiB, and 500 levels", options, () => {
  assert.deepEqual(run(`
    const out = [], note = (f) => { try { f(); out.push("fine"); } catch (e) { out.push(e.name + ": " + e.message); } };
    const max = 4 * 1024 * 1024;
    note(() => serialize("x".repeat(max - 6)));
    note(() => serialize("x".repeat(max - 5)));
    note(() => serialize("x".repeat(max * 2)));
    note(() => serialize("日".repeat(max)));
    note(() => serialize(new ArrayBuffer(max * 2)));
    note(() => serialize(new Uint8Array(max - 100)));
    note(() => serialize(new Blob([new Uint8Array(max + 1)])));
    note(() => serialize(Array.from({ length: 200 }, () => "x".repeat(30000))));
    note(() => serialize({ ["k".repeat(max)]: 1 }));
    const nest = (n, wrap) => { let v = 1; for (let i = 0; i < n; i++) v = wrap(v); return v; };
    for (const wrap of [(v) => [v], (v) => ({ v }), (v) => new Map([[1, v]]), (v) => new Set([v]), (v) => ({ get v() { return v; } }), (v) => [, v]]) {
      note(() => deserialize(serialize(nest(500, wrap))));
      note(() => serialize(nest(501, wrap)));
    }
    function make() { return { get next() { return make(); } }; }
    note(() => serialize(make()));
    return out;
  `), [
    "fine", ...Array(4).fill("RangeError: the value is too large: more than 4 MiB when serialized (docs/limits.md); keep it in a database or store, and its key here"), "fine", ...Array(3).fill("RangeError: the value is too large: more than 4 MiB when serialized (docs/limits.md); keep it in a database or store, and its key here"),
    ...Array(6).fill(["fine", "RangeError: the value is nested too deeply: more than 500 levels"]).flat(),
    "RangeError: the value is nested too deeply: more than 500 levels",
  ]);
});

/** Runs in the guest: random values from a seed, with shared references and cycles. */
const randomValue = `
  let state = input.seed;
  const random = (n) => { state = (Math.imul(state, 1664525) + 1013904223) >>> 0; return Math.floor((state / 4294967296) * n); };
  const pool = [];
  const text = () => ["", "a", "id", "name", "größe", "日本", "\\ud800", "x".repeat(random(200)), String(random(1e9))][random(9)];
  const keep = (v) => (pool.push(v), v);
  const value = (depth) => {
    const kind = random(depth > 4 ? 9 : 22);
    switch (kind) {
      case 0: return [undefined, null, true, false][random(4)];
      case 1: return random(200) - 100;
      case 2: return (random(2e9) - 1e9) / 7;
      case 3: return random(4294967296) - 2147483648;
      case 4: case 5: return text();
      case 6: return BigInt(random(1e9) - 5e8) ** BigInt(random(12));
      case 7: return pool.length ? pool[random(pool.length)] : 1;
      case 8: return new Date(random(2e9) * 1000);
      case 9: case 10: case 11: case 12: { const o = keep({}); for (let n = random(6); n > 0; n--) o[text()] = value(depth + 1); return o; }
      case 13: case 14: case 15: { const a = keep([]); for (let n = random(8); n > 0; n--) a.push(value(depth + 1)); return a; }
      case 16: { const a = keep([]); for (let n = random(5); n > 0; n--) a[random(20)] = value(depth + 1); return a; }
      case 17: { const m = keep(new Map()); for (let n = random(5); n > 0; n--) m.set(value(depth + 1), value(depth + 1)); return m; }
      case 18: { const s = keep(new Set()); for (let n = random(5); n > 0; n--) s.add(value(depth + 1)); return s; }
      case 19: { const b = keep(new ArrayBuffer(8 * random(5))); return keep(new [Uint8Array, Int32Array, Float64Array, DataView, Uint16Array][random(5)](b)); }
      case 20: return keep(Object.assign(new [Error, TypeError, RangeError][random(3)](text(), { cause: value(depth + 1) }), { code: value(depth + 1) }));
      default: return keep(Object(["s", 1, true, 5n][random(4)]));
    }
  };`;

test("random values come back the same, and give the same bytes again", options, () => {
  for (let seed = 1; seed <= 20; seed++)
    assert.deepEqual(run(`${randomValue}
      for (let i = 0; i < 100; i++) {
        pool.length = 0;
        const v = value(0), bytes = serialize(v), back = deserialize(bytes);
        if (dump(v) !== dump(back)) return { i, want: dump(v), got: dump(back) };
        // Getters force the careful way, which must give the same bytes; so must a second time.
        if (hex(serialize(back)) !== hex(bytes)) return { i, again: dump(v) };
        const careful = hex(serialize({ v, get g() { return 1; } })), easy = hex(serialize({ v, g: 1 }));
        if (careful !== easy) return { i, careful, easy, v: dump(v) };
      }
      return "same"`, { seed }), "same", `seed ${seed}`);
});

test("hostile bytes are a SyntaxError, and never more", options, () => {
  for (let seed = 1; seed <= 20; seed++)
    assert.deepEqual(run(`${randomValue}
      const odd = [];
      for (let i = 0; i < 100; i++) {
        pool.length = 0;
        const bytes = serialize(value(0));
        for (let k = 0; k < 30; k++) {
          const bad = bytes.slice(0, random(4) ? bytes.length : random(bytes.length));
          for (let n = 1 + random(3); n > 0 && bad.length > 1; n--) bad[1 + random(bad.length - 1)] = random(3) ? random(256) : [0xff, 0x0a, 0x09, 0x10, 0x14][random(5)];
          try { const v = deserialize(bad); serialize(v); } catch (e) {
            if (!(e instanceof SyntaxError && e.message.startsWith("malformed value"))) odd.push(String(e) + " " + hex(bad).slice(0, 400));
          }
        }
      }
      return odd.slice(0, 3)`, { seed }), [], `seed ${seed}`);
});

test("chosen hostile bytes", options, () => {
  const bad = {
    "nothing": "", "only a version": "01", "another version": "0200", "a byte too many": "010000", "an unknown tag": "011a", "a hole alone": "010d", "no such reference": "010900",
    "a reference to itself by a view": "011401000009" + "00", "a long string that is not there": "0107ffffff7f", "an endless varint": "0107" + "ff".repeat(12),
    "a huge array": "010bffffffff0f", "a huge map": "0110ffffff7f01", "a huge buffer": "0112ffffffff07", "longer than its longest": "0113020100", "a huge longest": "011300ffffffff7f",
    "a view on an array": "011401" + "0000" + "0b00", "a view beyond its buffer": "011401" + "0009" + "1208" + "00".repeat(8), "a view that is not aligned": "011405" + "0101" + "1208" + "00".repeat(8),
    "an unknown kind of view": "01140d" + "0000" + "1200", "an unknown error": "01150800" + "00", "unknown flags": "01150020" + "00", "a name that is a number": "011500014100", "a boxed null": "011701",
    "a boxed object": "01170a00", "a key twice": "010a01016140034100", "a key that is not there": "010a034000", "a bad regular expression": "010f8128" + "80", "bad flags": "010f8161" + "8178",
    "a length among an array's names": "010c0001066c656e6774684000", "an index beyond the length": "010c010101324000", "depth": "01" + "0b01".repeat(501) + "00", "depth by sets": "01" + "1101".repeat(501) + "00", "a hole in a set": "0111010d", "a date cut short": "010e0000",
  };
  const seen = run("return input.map((t) => { try { return 'value ' + dump(deserialize(unhex(t))); } catch (e) { return e.name + ': ' + e.message; } })", Object.values(bad));
  Object.keys(bad).forEach((name, i) => assert.match(seen[i], /^SyntaxError: malformed value/, name));
  // Odd, but no harm: what the writer would have written shorter.
  assert.deepEqual(run("return input.map((t) => dump(deserialize(unhex(t))))", ["010400", "0105000000000000f03f", "0104808000", "0106020100", "0105010000000000f8ff"]), ["0", "1", "0", "1n", "NaN"].map((t) => JSON.stringify(t)));
});

test("nothing that Error.prepareStackTrace does can hurt", options, () => {
  assert.deepEqual(run(`
    const bytes = serialize([{ a: 1, b: 2 }, new DOMException("m", "n"), { a: 3, b: 4 }]);
    let calls = 0;
    Error.prepareStackTrace = () => { calls++; Object.prototype.toString.call(deserialize(bytes.slice(0, 3))); return "x"; };
    try { return Array.from(deserialize(bytes), String); } catch (e) { return String(e); } finally { Error.prepareStackTrace = undefined; }
  `).length, 3);
});

test("the bytes of each type are those of the golden file", options, () => {
  const lines = readFileSync(new URL("values.golden", import.meta.url), "utf8").split("\n").filter((l) => l && !l.startsWith("#"));
  const cases = lines.map((l) => l.split("\t"));
  assert.ok(cases.length > 60);
  const seen = run(`${evaluate} return input.map(([bytes, text]) => {
    const want = make(text), got = deserialize(unhex(bytes));
    const bare = (v) => { if (v && typeof v === "object" && "stack" in v) Object.defineProperty(v, "stack", { value: "s" }); return v; };
    return [hex(serialize(bare(want))), dump(bare(want)), dump(bare(got))];
  })`, cases);
  cases.forEach(([bytes, text], i) => {
    assert.equal(seen[i][0], bytes, `written otherwise now: ${text}`);
    if (!text.includes("get()")) assert.equal(seen[i][2], seen[i][1], `read otherwise now: ${text}`);
  });
});
