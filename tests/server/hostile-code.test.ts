// SPDX-License-Identifier: Apache-2.0
// Hostile JavaScript harms nobody but itself: each case runs in a request of its own beside a neighbor on one engine thread. It may
// answer anything, or fail; the server stays, the neighbor is answered, what was acknowledged is there, and nothing is left behind.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Server, until, useServer } from './harness.ts';
import { complete, deployWorkflow, failure } from './workflow-harness.ts';

const server = useServer({ args: ['--threads', '1'] });

/** Runs what it is sent as the body of an async function. First it writes a row, whose number it acknowledges by a log line. */
const EVAL = `
import { exec, transaction } from "derp:runtime/sql";
const AsyncFunction = (async () => {}).constructor;
const detach = (view) => { structuredClone(view, { transfer: [view.buffer ?? view] }); return view; };
const nest = (n, leaf, wrap) => { let v = leaf; for (let i = 0; i < n; i++) v = wrap(v); return v; };
export const setup = () => { exec("CREATE TABLE IF NOT EXISTS done (what TEXT)"); };
export default { setup, async fetch(request, env, ctx) {
    const code = await request.text();
    exec("CREATE TABLE IF NOT EXISTS done (what TEXT)");
    exec("INSERT INTO done VALUES (?)", code);
    const run = new AsyncFunction("request", "env", "ctx", "exec", "transaction", "detach", "nest", code);
    const value = await run(request, env, ctx, exec, transaction, detach, nest);
    return value === undefined ? new Response("ran") : value;
} };`;

const DEEP: Record<string, string> = {
    'parse arrays': 'JSON.parse("[".repeat(1e6) + "]".repeat(1e6))',
    'parse objects': `JSON.parse('{"a":'.repeat(3e5) + "1" + "}".repeat(3e5))`,
    'parse with a reviver': 'JSON.parse("[".repeat(2e5) + "]".repeat(2e5), (k, v) => v)',
    'stringify arrays': 'JSON.stringify(nest(1e6, 0, (v) => [v]))',
    'stringify objects': 'JSON.stringify(nest(3e5, 0, (a) => ({ a })))',
    'stringify with an indent': 'JSON.stringify(nest(1e5, 0, (v) => [v]), null, 2)',
    'stringify toJSON that nests': 'JSON.stringify({ toJSON() { return { x: this }; } })',
    'Response.json': 'return Response.json(nest(1e6, 0, (v) => [v]))',
    'Response.json of toJSON': 'return Response.json({ toJSON() { return { x: this }; } })',
    'text to json()': 'await new Response("[".repeat(1e6)).json()',
    'structuredClone': 'structuredClone(nest(1e6, 0, (v) => [v]))',
    'structuredClone of maps': 'structuredClone(nest(2e5, 0, (v) => new Map([[v, v]])))',
    'console': 'console.log(nest(3e5, 0, (v) => [v]), nest(1e4, 0, (a) => ({ a })))',
    'flat': 'nest(1e6, 0, (v) => [v]).flat(Infinity)',
    'join': 'String(nest(1e6, 0, (v) => [v]))',
    'proxies': 'const p = nest(1e5, {}, (v) => new Proxy(v, {})); p.x; p.y = 1; Object.keys(p); p instanceof Array; Array.isArray(p); String(p)',
    'prototypes': 'nest(1e5, {}, (v) => Object.create(v)).x',
    'bound functions': 'nest(1e5, () => 1, (f) => f.bind(null, 1))()',
    'getters': 'const o = { get a() { return this.a; } }; o.a',
    'causes': 'throw nest(1e5, 0, (cause) => new Error("x", { cause }))',
    'errors of errors': 'throw nest(1e4, 0, (e) => new AggregateError([e, e]))',
    'promises': 'await nest(1e5, 1, (v) => ({ then(ok) { ok(v); } }))',
    'chains of then': 'await nest(1e5, Promise.resolve(), (p) => p.then((v) => v))',
    'generators': 'function* g(n) { if (n) yield* g(n - 1); yield n; } [...g(1e4)].length',
    'parentheses': 'eval("(".repeat(1e5) + ")".repeat(1e5))',
    'arrays in source': 'eval("[".repeat(1e5) + "]".repeat(1e5))',
    'functions in source': 'eval("()=>".repeat(1e5) + "1")',
    'blocks in source': 'eval("{".repeat(1e5) + "}".repeat(1e5))',
    'templates in source': 'eval("`${".repeat(2e4) + "1" + "}`".repeat(2e4))',
    'unary operators': 'eval("!".repeat(3e5) + "1")',
    'groups of a pattern': 'new RegExp("(".repeat(1e5) + ")".repeat(1e5))',
    'classes of a pattern': 'new RegExp("[".repeat(1e5), "v")',
    'backtracking': '/^(a+)+$/.test("a".repeat(5e4) + "b")',
    'replacing': 'const f = () => "a".replace("a", f); f()',
    'sorting': 'const f = () => [1, 2].sort(f); f()',
    'tees': 'let [a] = new Response("x".repeat(1e5)).body.tee(); for (let i = 0; i < 3000; i++) [a] = a.tee(); for await (const c of a);',
    'clones': 'let r = new Response(new ReadableStream({ pull(c) { c.enqueue(new Uint8Array(1000)); } })); for (let i = 0; i < 3000; i++) r = r.clone(); await r.body.getReader().read()',
    'signals of signals': 'const c = new AbortController(); let s = c.signal; for (let i = 0; i < 2e4; i++) s = AbortSignal.any([s]); c.abort()',
    'events': 'const t = new EventTarget(); t.addEventListener("x", () => t.dispatchEvent(new Event("x"))); t.dispatchEvent(new Event("x"))',
    'transactions': 'const f = () => transaction(f); f()',
    'imports': 'const f = () => import("limpet").then(f); await f()',
};

const THROWS = '{ get() { throw new RangeError("trap"); }, has() { throw 1; }, ownKeys() { throw 2; }, getPrototypeOf() { throw 3; }, getOwnPropertyDescriptor() { throw 4; }, set() { throw 5; }, defineProperty() { throw 6; }, deleteProperty() { throw 7; }, apply() { throw 8; }, construct() { throw 9; } }';
const TARGETS = `[new Proxy({}, ${THROWS}), new Proxy([], ${THROWS}), new Proxy(function () {}, ${THROWS}), new Proxy(new Uint8Array(8), ${THROWS}), new Proxy(new Headers(), ${THROWS}), new Proxy(new Response("x"), ${THROWS}), new Proxy(new Request("http://h/"), ${THROWS}), new Proxy(new URL("http://h/"), {}), new Proxy(new Blob(["x"]), {}), new Proxy(new Response("x"), {}), new Proxy(new Uint8Array(8), {}), new Proxy(new ArrayBuffer(8), {}), new Proxy(new AbortController().signal, {}), new Proxy(new ReadableStream(), {}), Object.create(Response.prototype), Object.create(Request.prototype), Object.create(Headers.prototype), Object.create(Uint8Array.prototype), Object.create(ReadableStream.prototype), Object.create(AbortSignal.prototype), { toString() { throw 10; } }, { [Symbol.toPrimitive]() { return {}; } }, { get length() { throw 11; } }, { length: 2 ** 53 }, { length: -1 }, Symbol("s"), 2n ** 70n, null, undefined, NaN, -0, "\\ud800", new (class extends Array {})(5), document => 1, Object(Symbol()), new Date(NaN), /x/g, new Map(), new WeakMap(), new DataView(new ArrayBuffer(4)), new SharedArrayBuffer(8), new Uint8Array(new SharedArrayBuffer(8)), new Float16Array(3), revoked]`;

/** Each of these is called with each of TARGETS, in every place where an argument goes. */
const CALLS = [
    'new Headers(x)', 'new Headers([x])', 'new Headers([[x, x]])', 'new Headers({ a: x })', 'new Headers().append(x, x)', 'new Headers().forEach(x)',
    'new Request(x)', 'new Request("http://h/", x)', 'new Request("http://h/", { method: x })', 'new Request("http://h/", { method: "POST", body: x, duplex: "half" })', 'new Request("http://h/", { headers: x, signal: x })', 'new Request("http://h/", { redirect: x })',
    'await new Response(x).text()', 'new Response("", x)', 'new Response("", { status: x })', 'new Response("", { statusText: x })', 'new Response("", { headers: x })', 'Response.json(x)', 'Response.json(1, x)', 'Response.redirect(x, x)', 'Response.prototype.text.call(x)', 'Response.prototype.clone.call(x)', 'Headers.prototype.get.call(x, "a")', 'Object.getOwnPropertyDescriptor(Response.prototype, "body").get.call(x)',
    'await fetch(x)', 'await fetch("http://127.0.0.1:1/", x)', 'await fetch("http://127.0.0.1:1/", { method: "POST", body: x })', 'await fetch("http://127.0.0.1:1/", { signal: x })',
    'exec(x)', 'exec("SELECT ?", x)', 'exec("SELECT ?, ?", x, x)', 'exec("SELECT 1", ...[x])', 'transaction(x)', 'transaction(() => x)', 'transaction(async () => x)',
    'crypto.getRandomValues(x)', 'await crypto.subtle.digest(x, new Uint8Array(1))', 'await crypto.subtle.digest("SHA-256", x)', 'await crypto.subtle.importKey("raw", x, { name: "HMAC", hash: x }, x, x)', 'await crypto.subtle.sign(x, x, x)',
    'new TextDecoder(x)', 'new TextDecoder("utf-8", x)', 'new TextDecoder().decode(x)', 'new TextDecoder().decode(new Uint8Array(1), x)', 'new TextEncoder().encode(x)', 'new TextEncoder().encodeInto("a", x)', 'new TextEncoder().encodeInto(x, new Uint8Array(2))', 'atob(x)', 'btoa(x)',
    'new URL(x)', 'new URL("/", x)', 'new URLSearchParams(x)', 'new URL("http://h/").host = x', 'new Blob(x)', 'new Blob([x])', 'new Blob([], x)', 'new File([x], x)', 'new FormData().append(x, x)', 'new FormData().append("a", x, x)',
    'new ReadableStream(x)', 'new ReadableStream({ start: x })', 'new ReadableStream({}, x)', 'new ReadableStream({}, { size: x, highWaterMark: x })', 'await new ReadableStream().pipeTo(x)', 'new ReadableStream().pipeThrough(x)', 'ReadableStream.from(x)', 'new TransformStream(x)', 'new WritableStream(x)', 'await new ReadableStream({ pull(c) { c.enqueue(x); c.close(); } }).getReader().read()', 'await new Response(new ReadableStream({ pull(c) { c.enqueue(x); c.close(); } })).arrayBuffer()', 'new ReadableStream({ type: "bytes", pull(c) { c.byobRequest?.respond(x); c.close(); } }).getReader({ mode: "byob" }).read(new Uint8Array(4))', 'new ReadableStream({ type: "bytes" }).getReader({ mode: "byob" }).read(x)',
    'structuredClone(x)', 'structuredClone(1, { transfer: [x] })', 'structuredClone(1, x)', 'console.log(x)', 'console.error("%o %s %d", x, x, x)', 'console.table(x)', 'console.time(x)', 'setTimeout(x)', 'setTimeout(() => {}, x)', 'clearTimeout(x)', 'queueMicrotask(x)', 'reportError(x)', 'AbortSignal.any(x)', 'AbortSignal.any([x])', 'AbortSignal.timeout(x)', 'AbortSignal.abort(x).throwIfAborted()', 'new AbortController().abort(x)', 'new EventTarget().addEventListener("a", x, x)', 'new EventTarget().dispatchEvent(x)', 'new Event(x, x)', 'new DOMException(x, x)', 'JSON.stringify(x, x, x)', 'JSON.parse(x, x)', 'await import(x)', 'ctx.waitUntil(x)', 'env[x]', 'performance.mark?.(x)', 'new Error("e", { cause: x }).stack', 'Error.captureStackTrace(x)', 'await x', 'new WeakRef(x)', 'new FinalizationRegistry(x)', 'await Promise.race(x)', 'throw x',
];

const BUFFERS: Record<string, string> = {
    'detached, everywhere': `const all = ["new Response(u)", "new Blob([u])", "await crypto.subtle.digest('SHA-256', u)", "crypto.getRandomValues(u)", "exec('SELECT ?', u)", "new TextDecoder().decode(u)", "new TextEncoder().encodeInto('a', u)", "structuredClone(u)", "fetch('http://127.0.0.1:1/', { method: 'POST', body: u })", "console.log(u)", "JSON.stringify(u)", "new ReadableStream({ type: 'bytes' }).getReader({ mode: 'byob' }).read(u)"]; for (const b of [new Uint8Array(8), new DataView(new ArrayBuffer(8)), new ArrayBuffer(8), new Float64Array(4)]) { const u = detach(b); for (const call of all) try { await eval("(async () => " + call + ")()"); } catch {} }`,
    'detached by a getter of the options': 'for (const f of [(u) => new Response(u, { get status() { detach(u); return 200; } }).text(), (u) => new Request("http://h/", { method: "POST", body: u, get signal() { detach(u); } }).text(), (u) => crypto.subtle.digest({ get name() { detach(u); return "SHA-256"; } }, u), (u) => new TextDecoder().decode(u, { get stream() { detach(u); return false; } }), (u) => new Blob([u], { get type() { detach(u); return ""; } }).text(), (u) => new Blob([{ toString() { detach(u); return ""; } }, u]).text(), (u) => structuredClone([{ get a() { detach(u); return 1; } }, u]), (u) => exec("SELECT ?, ?", { valueOf() { detach(u); return 1; } }, u), (u) => new TextEncoder().encodeInto({ toString() { detach(u); return "abc"; } }, u)]) try { await f(new Uint8Array(1e5).fill(7)); } catch {}',
    'resized while in use': 'const b = new ArrayBuffer(1e5, { maxByteLength: 1e6 }), u = new Uint8Array(b), v = new Uint8Array(b, 5e4); const work = [new Response(u).text(), crypto.subtle.digest("SHA-256", v), new Blob([u, v]).arrayBuffer()]; b.resize(10); for (const f of [() => new Response(v).text(), () => new TextDecoder().decode(v), () => crypto.getRandomValues(v), () => structuredClone(v), () => exec("SELECT ?", v), () => exec("SELECT ?", u)]) try { await f(); } catch {} b.resize(1e6); await Promise.allSettled(work)',
    'resized by a getter': 'const b = new ArrayBuffer(1e5, { maxByteLength: 1e6 }), u = new Uint8Array(b); for (const f of [() => new Response(u, { get status() { b.resize(0); return 200; } }).text(), () => new TextDecoder().decode(u, { get stream() { b.resize(1); return false; } }), () => structuredClone([{ get a() { b.resize(0); return 1; } }, u])]) { b.resize(1e5); try { await f(); } catch {} }',
    'a body changed and detached after it was given': 'const u = new Uint8Array(1e5).fill(65); const r = new Response(u); detach(u); return r',
    'a stream of chunks that are detached on the way': 'const chunks = []; return new Response(new ReadableStream({ pull(c) { const u = new Uint8Array(70000); chunks.push(u); c.enqueue(u); for (const x of chunks) try { detach(x); } catch {} if (chunks.length > 5) c.close(); } }))',
    'byte streams and transferred views': 'const s = new ReadableStream({ type: "bytes", autoAllocateChunkSize: 16, pull(c) { const v = c.byobRequest.view; detach(v); c.byobRequest.respondWithNewView(new Uint8Array(4)); } }); await s.getReader().read()',
    'sizes that no memory has': 'for (const f of [() => new Uint8Array(2 ** 31), () => new ArrayBuffer(2 ** 40), () => new ArrayBuffer(8, { maxByteLength: 2 ** 40 }), () => "x".repeat(2 ** 29), () => new Array(2 ** 31).fill(0), () => 2n ** (2n ** 30n), () => new Blob(Array(5000).fill("x".repeat(1e5))).size, () => crypto.getRandomValues(new Uint8Array(1e6)), () => new SharedArrayBuffer(2 ** 31)]) try { f(); } catch {}',
    'species that are something else': `class E extends Uint8Array { static get [Symbol.species]() { return function () { return new Uint8Array(0); }; } } const e = new E(1000); class P extends Promise { static get [Symbol.species]() { return class { constructor(f) { f(() => {}, () => {}); } }; } } for (const f of [() => new Response(e).text(), () => new Blob([e]).slice(1, 5).text(), () => crypto.subtle.digest("SHA-256", e), () => exec("SELECT ?", e), () => P.resolve(1).then(() => 1), () => ctx.waitUntil(P.resolve(1))]) try { await f(); } catch {} Object.defineProperty(ArrayBuffer, Symbol.species, { get() { throw 1; } }); ArrayBuffer.prototype.slice = () => new ArrayBuffer(0); await new Response(e).arrayBuffer(); return new P((ok) => ok(new Response("p")))`,
};

const SPARSE: Record<string, string> = {
    'of all lengths': 'const a = []; a.length = 2 ** 32 - 1; a[5] = 1; console.log(a)',
    'as JSON': 'const a = []; a.length = 2 ** 32 - 1; JSON.stringify(a)',
    'as an answer': 'const a = []; a.length = 1e9; return Response.json(a)',
    'cloned': 'const a = []; a.length = 2 ** 32 - 1; structuredClone(a)',
    'as parameters': 'const a = []; a.length = 1e7; exec("SELECT 1", ...a)',
    'as headers': 'const a = []; a.length = 2 ** 32 - 1; new Headers(a)',
    'as parts': 'const a = []; a.length = 2 ** 32 - 1; new Blob(a)',
    'joined': 'const a = []; a.length = 2 ** 30; a.join("xx")',
    'sorted while it changes': 'const a = Array.from({ length: 1e4 }, (_, i) => i); a.sort((x, y) => { a.length = 0; a.push(1, 2, 3); return y - x; }); a.map(() => (a.length = 0)); a.splice({ valueOf() { a.length = 1e6; return 0; } }, 5)',
    'applied': 'Math.max.apply(null, { length: 1e8 })',
    'many properties': 'const o = {}; for (let i = 0; i < 1e6; i++) o["k" + i] = i; return Response.json(o)',
};

const POLLUTION = [
    'Object.prototype.get = () => 5', 'Object.prototype.set = 5', 'Object.prototype.value = 7', 'Object.prototype.writable = false', 'Object.prototype.configurable = { a: 1 }', 'Object.prototype.enumerable = 1',
    'Object.prototype.then = function (ok) { ok(1); }', 'Object.prototype.status = 999', 'Object.prototype.headers = 5', 'Object.prototype.body = "b"', 'Object.prototype.signal = {}', 'Object.prototype.method = "\\n"', 'Object.prototype.toJSON = () => { throw 1; }', 'Object.prototype.name = 5', 'Object.prototype.message = {}', 'Object.prototype.stack = 5', 'Object.prototype.cause = Object.prototype', 'Object.prototype.timeout = "x"', 'Object.prototype.type = "bytes"', 'Object.prototype.size = () => NaN', 'Object.prototype.highWaterMark = -1', 'Object.prototype.pull = () => { throw 1; }', 'Object.prototype.start = 5', 'Object.prototype.cancel = 5', 'Object.prototype.aborted = true', 'Object.prototype.once = true', 'Object.prototype[Symbol.iterator] = function* () { for (;;) yield 1; }', 'Object.prototype[Symbol.toPrimitive] = () => { throw 1; }', 'Object.prototype[0] = 5', 'Object.prototype[Symbol.toStringTag] = 5',
    'Object.defineProperty(Object.prototype, "length", { get() { throw 1; } })', 'Object.defineProperty(Object.prototype, "constructor", { get() { throw 1; } })', 'Object.defineProperty(Array.prototype, "0", { set(v) { throw 1; }, get() { return 7; } })', 'Object.freeze(Object.prototype)', 'Object.freeze(Array.prototype)', 'Object.freeze(globalThis)', 'Object.preventExtensions(globalThis)', 'Object.setPrototypeOf(Array.prototype, null)', 'Object.setPrototypeOf(Response.prototype, null)', 'Object.setPrototypeOf(globalThis, new Proxy({}, { get(t, k) { if (typeof k === "string" && k.startsWith("zz")) throw 1; } }))',
    'Array.prototype[Symbol.iterator] = function* () {}', 'Array.prototype[Symbol.iterator] = null', 'delete Array.prototype[Symbol.iterator]', 'Object.getPrototypeOf([][Symbol.iterator]()).next = () => ({ done: true })', 'for (const k of Object.getOwnPropertyNames(Array.prototype)) if (k !== "constructor" && k !== "length") Array.prototype[k] = () => { throw new Error(k); }', 'for (const k of Object.getOwnPropertyNames(Object)) if (typeof Object[k] === "function") try { Object[k] = () => { throw new Error(k); }; } catch {}', 'for (const c of [Map, Set, WeakMap, WeakSet, WeakRef]) for (const k of Object.getOwnPropertyNames(c.prototype)) try { c.prototype[k] = () => { throw new Error(k); }; } catch {}', 'for (const k of Object.getOwnPropertyNames(String.prototype)) try { if (k !== "constructor") String.prototype[k] = () => { throw new Error(k); }; } catch {}', 'for (const k of ["call", "apply", "bind", Symbol.hasInstance]) Object.defineProperty(Function.prototype, k, { value() { throw new Error("f"); } })', 'for (const k of ["exec", "test", Symbol.replace, Symbol.split, Symbol.match]) RegExp.prototype[k] = () => { throw 1; }',
    'Promise.prototype.then = undefined', 'Promise.prototype.then = function () { return this; }', 'Promise.prototype.then = () => { throw 1; }', 'Promise.prototype.catch = 5', 'Promise.resolve = () => 5', 'Promise.reject = null', 'globalThis.Promise = null', 'Object.defineProperty(Promise.prototype, "constructor", { get() { throw 1; } })', 'Object.defineProperty(Promise, Symbol.species, { get() { throw 1; } })',
    'JSON.stringify = JSON.parse = () => { throw 1; }', 'globalThis.JSON = null', 'for (const k of Object.getOwnPropertyNames(globalThis)) try { if (k !== "Promise" && k !== "eval") globalThis[k] = null; } catch {}', 'for (const k of Reflect.ownKeys(globalThis)) try { delete globalThis[k]; } catch {}', 'for (const k of Object.getOwnPropertyNames(Reflect)) Reflect[k] = () => { throw 1; }', 'for (const k of Object.getOwnPropertyNames(Math)) try { Math[k] = () => NaN; } catch {}',
    'Error.prepareStackTrace = () => { throw new Error("again"); }', 'Error.prepareStackTrace = (e, s) => { const x = new Error("in"); return x.stack + s; }', 'Error.prepareStackTrace = () => ({ toString() { throw 1; } })', 'Object.defineProperty(Error, "stackTraceLimit", { get() { throw 1; } })', 'Error.stackTraceLimit = 2 ** 31', 'Error.stackTraceLimit = "x"', 'Object.defineProperty(Error.prototype, "name", { get() { throw 1; } })', 'Object.defineProperty(Error.prototype, "message", { get() { throw new Error("m"); } })', 'Object.defineProperty(Error.prototype, "stack", { get() { throw new Error("s"); } })', 'Error.prototype.toString = () => { throw 1; }', 'globalThis.DOMException = globalThis.Error = globalThis.TypeError = function () { throw 1; }',
    'for (const c of [Response, Request, Headers, URL, Blob, FormData, AbortSignal, AbortController, EventTarget, ReadableStream, WritableStream, TransformStream, TextEncoder, TextDecoder]) for (const k of Reflect.ownKeys(c.prototype)) try { Object.defineProperty(c.prototype, k, { get() { throw new Error(String(k)); }, configurable: true }); } catch {}', 'for (const k of Reflect.ownKeys(Uint8Array.prototype.__proto__)) try { Object.defineProperty(Uint8Array.prototype.__proto__, k, { get() { throw new Error(String(k)); } }); } catch {}', 'for (const k of Object.getOwnPropertyNames(ArrayBuffer.prototype)) try { Object.defineProperty(ArrayBuffer.prototype, k, { get() { return 2 ** 40; } }); } catch {}', 'globalThis.Uint8Array = globalThis.ArrayBuffer = function () { return []; }', 'Date.prototype.toISOString = Date.now = () => { throw 1; }', 'globalThis.Date = null', 'crypto.getRandomValues = crypto.randomUUID = () => { throw 1; }', 'console.log = console.error = () => { throw 1; }', 'globalThis.setTimeout = globalThis.queueMicrotask = (f) => { for (;;) f(); }', 'Symbol.prototype.toString = () => { throw 1; }', 'BigInt.prototype.toJSON = () => ({})',
];
/** What an ordinary request does after that; each part may fail. */
const ORDINARY = `
const tries = [
    () => console.log("x", { a: [1, new Map([[1, 2]])] }, new Error("e")), () => exec("INSERT INTO done VALUES ('after')"), () => exec("SELECT * FROM done LIMIT 3").toArray(), () => transaction(() => exec("SELECT 1").one()),
    () => new Headers({ a: "b" }).get("a"), () => [...new Headers([["a", "b"]])], () => new URL("http://h/?a=b").searchParams.get("a"), () => fetch("http://127.0.0.1:1/", { method: "POST", body: "x", headers: { a: "b" }, signal: AbortSignal.timeout(1000) }), () => new Response(new ReadableStream({ pull(c) { c.enqueue(new Uint8Array(3)); c.close(); } })).text(), () => Response.json({ a: [1, "x", null] }).text(),
    () => new Promise((ok) => setTimeout(ok, 1)), () => crypto.subtle.digest("SHA-256", new Uint8Array(3)), () => structuredClone({ a: new Date(0), m: new Map([[1, new Set([2])]]) }), () => new Blob(["a", new Uint8Array(3)]).text(), () => { const f = new FormData(); f.append("a", "b"); return new Response(f).formData(); }, () => new TextDecoder().decode(new TextEncoder().encode("ä")), () => { const c = new AbortController(); c.signal.addEventListener("abort", () => 1); c.abort(); }, () => ctx.waitUntil(new Promise((ok) => setTimeout(ok, 1))), () => crypto.randomUUID(), () => Promise.all([1, 2]), () => env.toString(), () => new Error("e").stack, () => { for (const x of [1, 2]) x; }, () => reportError(new TypeError("t")), () => request.clone?.(),
];
for (let i = 0; i < 25; i++) try { await tries[i](); } catch {}
`;

const ANSWERS: Record<string, string> = {
    'a proxy of a response': 'return new Proxy(new Response("x"), {})',
    'a proxy that throws': `return new Proxy({}, ${THROWS})`,
    'an object with the prototype': 'return Object.create(Response.prototype)',
    'a subclass whose getters throw': 'return new (class extends Response { get status() { throw 1; } get headers() { throw 2; } get body() { throw 3; } })("x")',
    'one twice': 'globalThis.r ??= new Response("x"); await globalThis.r.text(); return globalThis.r',
    'a locked one': 'const r = new Response("x"); r.body.getReader(); return r',
    'one that was torn apart': 'const r = new Response(new ReadableStream({ pull(c) { c.enqueue(new Uint8Array(10)); } })); const [a, b] = r.body.tee(); await a.cancel(); return new Response(b.pipeThrough(new TransformStream({ transform() { throw new Error("t"); } })))',
    'a promise with a broken constructor': 'const p = Promise.resolve(new Response("x")); Object.defineProperty(p, "constructor", { get() { throw 1; } }); return p',
    'a thenable that calls back for ever': 'return { then(ok) { for (let i = 0; i < 1e5; i++) ok(this); } }',
    'a thenable that is itself': 'const t = { then(ok) { ok(t); } }; return t',
    'a thenable that throws after': 'return { then(ok, no) { ok(new Response("x")); no(1); throw 2; } }',
    'thenables that re-enter': 'let n = 0; const t = { then(ok) { if (n++ < 1e5) Promise.resolve(t).then(ok); else ok(new Response("x")); } }; return t',
    'a stream that never ends': 'return new Response(new ReadableStream({ pull(c) { c.enqueue(new Uint8Array(1e5)); throw new Error("p"); } }))',
    'a stream that re-enters itself': 'let c; const s = new ReadableStream({ start(x) { c = x; }, pull() { c.enqueue("a"); c.close(); c.enqueue("b"); }, cancel() { c.error(1); return s.cancel(); } }); return new Response(s)',
    'a stream of what is no bytes': 'return new Response(new ReadableStream({ start(c) { c.enqueue({}); } }))',
    'a stream that cancels itself': 'const s = new ReadableStream({ pull() { return s.cancel().catch(() => {}); } }); return new Response(s)',
    'too many headers': 'const h = new Headers(); for (let i = 0; i < 1e5; i++) h.append("x-" + i, "y"); return new Response("x", { headers: h })',
    'a header too long': 'return new Response("x", { headers: { a: "x".repeat(5e6) } })',
    'headers that split': 'return new Response("x", { headers: { a: "x\\r\\nb: c" } })',
    'headers of the connection': 'return new Response("x", { headers: { "transfer-encoding": "chunked", connection: "upgrade", "content-length": "-5", upgrade: "h2c", te: "x" } })',
    'a length that is not its': 'return new Response("x", { headers: { "content-length": "1000000" } })',
    'endless headers': 'return new Response("x", { headers: { *[Symbol.iterator]() { for (;;) yield ["a", "b"]; } } })',
    'endless parts': 'return new Response(new Blob({ *[Symbol.iterator]() { for (;;) yield "x".repeat(1e5); } }))',
    'endless parameters': 'return new Response(new URLSearchParams({ *[Symbol.iterator]() { for (;;) yield ["a", "b"]; } }))',
    'microtasks for ever': 'const f = () => queueMicrotask(f); f(); await new Promise(() => {})',
    'timers by the thousand': 'for (let i = 0; i < 1e6; i++) setTimeout(() => {}, 1e6)',
    'work after the answer that never ends': 'for (let i = 0; i < 1000; i++) ctx.waitUntil(new Promise((ok) => setTimeout(ok, 5))); ctx.waitUntil((async () => { for (;;); })())',
    'rejections nobody handles': 'for (let i = 0; i < 1e4; i++) Promise.reject(new Proxy({}, { get() { throw 1; } }))',
    'what is collected': 'const r = new FinalizationRegistry(() => { throw 1; }); for (let i = 0; i < 1e5; i++) r.register({}, i); let o = {}; o.o = o; o = null; new Array(1e6).fill(0).map(() => ({}))',
    'abort from within': 'const c = new AbortController(); c.signal.addEventListener("abort", () => { c.abort(); c.signal.addEventListener("abort", () => {}); }); const f = fetch("http://127.0.0.1:1/", { signal: c.signal }); c.abort({ get name() { throw 1; } }); await f',
    'a transaction that is left open': 'exec("BEGIN"); exec("INSERT INTO done VALUES (1)")',
    'a transaction that awaits': 'transaction(async () => { exec("INSERT INTO done VALUES (1)"); await null; exec("INSERT INTO done VALUES (2)"); })',
    'SQL inside of SQL': 'exec("SELECT ?", { toString() { return exec("SELECT 1").one(); } }); for (const r of exec("SELECT * FROM done")) { exec("DELETE FROM done WHERE what = \'none\'"); transaction(() => { throw 1; }); }',
    'source that is long': 'new Function("return " + "1+".repeat(1e6) + "1")()',
    'source with many names': 'new Function("var " + Array.from({ length: 1e5 }, (_, i) => "a" + i).join())()',
    'source with many cases': 'new Function("switch (1) {" + Array.from({ length: 7e4 }, (_, i) => "case " + i + ":;").join("") + "}")()',
    'a deep class': 'let C = class {}; for (let i = 0; i < 1e4; i++) C = class extends C {}; new C()',
};

async function ask(s: Server, code: string): Promise<void> {
    try {
        const answer = await s.request('hostile', '/', { method: 'POST', body: code });
        assert.ok(answer.status >= 200 && answer.status < 600);
        if (process.env.LIMPET_SHOW) console.log(answer.status, answer.text.slice(0, 150), '|', code.slice(0, 90));
    } catch (e) { // an answer that was broken off: its connection is closed
        if (process.env.LIMPET_SHOW) console.log(String(e).slice(0, 150), '|', code.slice(0, 90));
        if (!/hang up|ECONNRESET|aborted|closed|Parse Error/i.test(String(e))) throw e;
    }
}

async function sweep(cases: string[]): Promise<void> {
    const s = await server();
    await s.deploy('hello', 'let n = 0; export default { fetch: () => new Response(`hello ${++n} ${[1, 2].map((v) => ({ v })).length}`) };');
    await s.deploy('hostile', EVAL, { cpu_ms: 400, wall_ms: 5000, memory_mb: 48 });
    const left = [...cases];
    const attacks = Promise.all(Array.from({ length: 3 }, async () => {
        for (let code = left.shift(); code !== undefined; code = left.shift()) {
            await ask(s, code);
            assert.ok(s.isAlive, `the server ended: ${code}`);
        }
    }));
    let isOver = false;
    const over = attacks.finally(() => (isOver = true));
    over.catch(() => {}); // awaited below
    do {
        assert.equal((await s.request('hello')).text, 'hello 1 2');
    } while (!isOver);
    await over;
    await until('nothing is left', async () => (await s.metrics()).get('limpet_isolates{state="live"}') === 0);
    const rows = await s.request('hostile', '/', { method: 'POST', body: 'return Response.json(exec("SELECT DISTINCT what FROM done").toArray().map((r) => r.what))' });
    assert.equal(rows.status, 200, rows.text);
    for (const code of cases) assert.ok((rows.json as string[]).includes(code), `what this wrote is gone: ${code}`);
}

test('depth', () => sweep(Object.values(DEEP)));
test('arguments of every kind', () => sweep(CALLS.map((call) => `const revoked = (() => { const r = Proxy.revocable({}, {}); r.revoke(); return r.proxy; })(); for (const x of ${TARGETS}) try { await Promise.race([(async () => { ${call} })(), new Promise((ok) => setTimeout(ok, 3))]); } catch {}`)));
test('buffers', () => sweep(Object.values(BUFFERS)));
test('arrays with holes', () => sweep(Object.values(SPARSE)));
test('polluted prototypes', () => sweep(POLLUTION.map((code) => `${code};${ORDINARY}`)));
test('answers', () => sweep(Object.values(ANSWERS)));

test('isolation by module: what pollutes itself pollutes no other', async () => {
    const s = await server();
    await s.deploy('hello', 'export default { fetch: () => new Response("hello") };');
    await s.deploy('keeps', EVAL, { isolation: 'module', cpu_ms: 400, wall_ms: 5000 });
    for (const code of POLLUTION) {
        try {
            await s.request('keeps', '/', { method: 'POST', body: code });
        } catch (e) {
            if (!/hang up|ECONNRESET|aborted|closed|Parse Error/i.test(String(e))) throw e;
        }
        assert.equal((await s.request('hello')).text, 'hello', code);
    }
});

test('in workflows: it fails, or it ends, and others go on', async () => {
    const s = await server();
    await deployWorkflow(s, 'hostile-flow', `
import { workflow, step, sleep, select, waitForEvent, startChild, progress } from "limpet";
const AsyncFunction = (async () => {}).constructor;
export default workflow(async (code, run) => {
    const value = await new AsyncFunction("run", "step", "sleep", "select", "waitForEvent", "startChild", "progress", code)(run, step, sleep, select, waitForEvent, startChild, progress);
    await step("after", () => 1);
    await sleep(1);
    return value === undefined ? "ended" : value;
});`, { cpu_ms: 500 });
    const codes = [
        ...POLLUTION.filter((code) => !code.includes('globalThis')),
        'let v = 0; for (let i = 0; i < 1e5; i++) v = [v]; return v', 'return { toJSON() { return { x: this }; } }', 'return new Proxy({}, { ownKeys() { throw 1; } })', 'await step("deep", { retries: 0 }, () => { let v = 0; for (let i = 0; i < 1e5; i++) v = [v]; return v; })',
        'await step("proxy", { retries: 0 }, () => new Proxy({}, { get() { throw 1; } }))', 'await step("thenable", { retries: 0 }, () => ({ then(ok) { ok(this); } }))', 'await step("throws", { retries: 0 }, () => { throw new Proxy({}, { get() { throw 1; } }); })', 'await step("getter", { retries: 0 }, () => ({ get a() { throw new Error("g"); } }))',
        'await step("options", new Proxy({}, { get() { throw 1; } }), () => 1)', 'await step({ toString() { throw 1; } }, () => 1)', 'await sleep({ valueOf() { throw 1; } })', 'await select(new Proxy({}, { ownKeys() { throw 1; } }))', 'await select({ a: { then(ok) { ok(1); } } })', 'await select({ get a() { throw 1; } })', 'await select({ a: () => new Proxy(Promise.resolve(), {}) })', 'await waitForEvent("x", { get timeout() { throw 1; } })', 'await waitForEvent("x", { signal: Object.create(AbortSignal.prototype) })', 'await startChild("hostile-flow", { toJSON() { throw 1; } })', 'progress({ toJSON() { return { x: this }; } })', 'throw new Proxy(new Error("x"), { get() { throw 1; } })', 'throw null',
        'const p = sleep(5); Object.defineProperty(p, "constructor", { get() { throw 1; } }); await p', 'const c = new AbortController(); c.signal.addEventListener = () => { throw 1; }; await sleep(5, { signal: c.signal })', 'const c = new AbortController(); c.signal.removeEventListener = () => { throw 1; }; await sleep(5, { signal: c.signal })', 'const c = new AbortController(); const s = c.signal; const all = [sleep(1e6, { signal: s }), waitForEvent("x", { signal: s })]; s.addEventListener("abort", () => c.abort()); all[0].catch(() => c.abort()); c.abort(all); await Promise.allSettled(all)',
    ];
    const ids = await Promise.all(codes.map(async (code) => (await s.api('POST', '/workflows/hostile-flow/execute', { body: code })).json.execution_id as string));
    for (const [n, id] of ids.entries()) {
        const row = await until(`the end of ${codes[n]}`, async () => {
            const res = await s.api('GET', `/executions/${id}?wait=10s`);
            return ['completed', 'failed'].includes(res.json.status) || res.json.parked ? res.json : undefined;
        });
        assert.ok(!row.parked, `${codes[n]}: ${JSON.stringify(row)}`);
        if (process.env.LIMPET_SHOW) console.log(row.status, JSON.stringify(row.error ?? row.output).slice(0, 150), '|', codes[n]!.slice(0, 90));
    }
    assert.equal(await complete(s, 'hostile-flow', 'return 5'), 5);
    assert.equal((await failure(s, 'hostile-flow', 'throw new TypeError("t")')).name, 'TypeError');
    assert.ok(s.isAlive);
});
