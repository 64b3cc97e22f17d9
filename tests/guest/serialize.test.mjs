// SPDX-License-Identifier: Apache-2.0
//
// Values to bytes and back (guest/engine/serialize.h), inside the guest: each type against structuredClone,
// random values, hostile bytes, and bytes that must never change (values.golden).
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { Guest, hasRuntime, isBuilt } from "./harness.mjs";

const options = { skip: !(isBuilt && hasRuntime) && "LIMPET_ENGINE_WASM and LIMPET_RUNTIME_JS are not set" };

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
    if (v instanceof Error) return [kind, v.name, v.message, v.stack, hidden(v, ["name", "message", "stack", "cause", "errors"]), members(v)];
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
    const runtime = readFileSync(process.env.LIMPET_RUNTIME_JS, "utf8");
    guest.loading = true;
    assert.equal(guest.load(0, "limpet:runtime", runtime + "\n;globalThis.native = globalThis.__limpet;"), 0, JSON.stringify(guest.fails));
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
