// SPDX-License-Identifier: Apache-2.0
//
// Dispatches: what a module may export, what a handler may return, failures, waitUntil, many at once.
import assert from "node:assert/strict";
import { test } from "node:test";
import { ERR, Guest, hasRuntime, isBuilt, OpError } from "./harness.mjs";

const options = { skip: !isBuilt && "LIMPET_ENGINE_WASM is not set" };
const needsRuntime = { skip: !hasRuntime && "LIMPET_BUILTINS is not set" };
const http = (source, request) => new Guest({ source }).http(request);

test("fetch of the default export answers", options, () => {
  const a = http(`export default { fetch() { return Response.json({ hello: "world" }) } }`);
  assert.equal(a.status, 200);
  assert.equal(a.body, '{"hello":"world"}');
  assert.deepEqual(a.headers, [["content-type", "application/json"]]);
});

test("an async fetch that awaits nothing answers in the same call", options, () => {
  const g = new Guest({ source: `export default { async fetch() { return new Response("x", { status: 201, headers: { "X-A": "b" } }) } }` });
  const { id, left } = g.dispatch(1, g.httpInput());
  assert.equal(left, 0);
  const a = g.answers.get(id);
  assert.deepEqual([a.status, a.body, a.headers], [201, "x", [["x-a", "b"], ["content-type", "text/plain;charset=UTF-8"]]]);
});

test("fetch is called with this, request, env and ctx", options, () => {
  const g = new Guest({
    env: { KEY: "v" },
    source: `export default { name: "me", fetch(r, env, ctx) { return [this.name, r.method, env.KEY, typeof ctx.waitUntil] } }`,
  });
  assert.equal(g.http({ method: "PUT" }).body, '["me","PUT","v","function"]');
});

test("a default function answers with a value as JSON", options, () => {
  assert.equal(http(`export default (r) => ({ url: r.url })`, { url: "http://a.localhost/p?q=1" }).body, '{"url":"http://a.localhost/p?q=1"}');
  assert.equal(http(`export default async () => "text"`).body, '"text"');
  assert.equal(http(`export default () => null`).body, "null");
  assert.equal(http(`export default () => 0`).body, "0");
});

test("the exports are reported", options, () => {
  const exports = (source) => new Guest({ source }).exports;
  assert.equal(exports(`export default { fetch() {} }`), 1);
  assert.equal(exports(`export default function () {}`), 2);
  assert.equal(exports(`export function handler() {}`), 4);
  assert.equal(exports(`export const handler = { setup() {}, handle() {} }`), 12);
  assert.equal(exports(`export default { fetch() {} }; export const handler = { handle() {} }`), 5);
});

test("a module without a handler is refused and told what to export", options, () => {
  assert.throws(() => new Guest({ source: `export const x = 1` }), /export default \{ fetch/);
  assert.throws(() => new Guest({ source: `export const handler = { setup() {} }` }), /export const handler/);
});

test("undefined is an error that says what to return", options, () => {
  for (const source of [`export default () => {}`, `export default async () => {}`, `export default { fetch() { 1 } }`, `export const handler = () => {}`]) {
    const { fail } = http(source);
    assert.equal(fail.name, "TypeError");
    assert.match(fail.message, /returned undefined; it must return a Response/);
  }
});

test("what a handler throws is reported with name, message and stack", options, () => {
  const { fail } = http(`class Oops extends Error { name = "Oops" }\nfunction deep() { throw new Oops("broken") }\nexport default () => deep()`);
  assert.equal(fail.name, "Oops");
  assert.equal(fail.message, "broken");
  assert.match(fail.stack, /deep \(test:2/);
  assert.equal(http(`export default async () => { throw new RangeError("late") }`).fail.name, "RangeError");
  assert.deepEqual(http(`export default () => { throw "text" }`).fail.message, "text");
  assert.deepEqual(http(`export default () => { throw null }`).fail.message, "null");
  assert.deepEqual(http(`export default () => { throw undefined }`).fail.message, "undefined");
  assert.equal(http(`export default () => { throw { a: 1 } }`).fail.message, "{ a: 1 }");
});

test("derp's handler gets the parsed body and metadata", options, () => {
  const source = `export const handler = { prefix: "hi ", handle(req) { return { text: this.prefix + req.body.name, meta: req.metadata } } }`;
  const g = new Guest({ source });
  assert.deepEqual(JSON.parse(g.execute({ name: "Ann" }, { trace: 1 }).json), { text: "hi Ann", meta: { trace: 1 } });
  const a = g.http({ method: "POST", url: "http://t.localhost/x", headers: [["content-type", "application/json"]], body: '{"name":"Bo"}' });
  assert.deepEqual(JSON.parse(a.body), {
    text: "hi Bo",
    meta: { method: "POST", url: "http://t.localhost/x", headers: { "content-type": "application/json" } },
  });
});

test("derp's handler over HTTP: text, forms with JSON, no body, streamed bodies, broken JSON", options, () => {
  const g = new Guest({ source: `export function handler(req) { return { body: req.body } }` });
  const body = (request) => JSON.parse(g.http({ method: "POST", ...request }).body).body;
  assert.equal(body({ headers: [["content-type", "text/plain"]], body: "123" }), "123");
  assert.deepEqual(body({ headers: [["content-type", "application/x-www-form-urlencoded"]], body: '{"a":1}' }), { a: 1 });
  assert.equal(body({ headers: [["content-type", "application/x-www-form-urlencoded"]], body: "{a=1" }), "{a=1");
  assert.equal(body({}), null);
  assert.equal(body({ body: "5" }), 5);
  assert.deepEqual(body({ source: g.source(['{"a":', "[1,2]}"]), headers: [["content-type", "application/json"]] }), { a: [1, 2] });
  const bad = g.http({ method: "POST", headers: [["content-type", "application/json"]], body: '{"a":' });
  assert.equal(bad.status, 400);
  assert.equal(JSON.parse(bad.body).error.code, "invalid");
});

test("an execution of a fetch module is a POST with the JSON body", options, () => {
  const g = new Guest({ source: `export default { async fetch(r) { return Response.json({ m: r.method, u: r.url, t: r.headers.get("content-type"), b: await r.json() }, { status: 203 }) } }` });
  assert.deepEqual(JSON.parse(g.execute({ x: [1] }).json), { m: "POST", u: "http://test.localhost/", t: "application/json", b: { x: [1] } });
});

test("the output of an execution: JSON as it is, other text as a string, nothing as null", options, () => {
  const out = (expression) => {
    const a = new Guest({ source: `export default () => ${expression}` }).execute(null);
    return a.fail ?? a.json;
  };
  assert.equal(out(`new Response("plain")`), '"plain"');
  assert.equal(out(`new Response('{"a": 1}', { headers: { "content-type": "application/json" } })`), '{"a":1}');
  assert.equal(out(`new Response('{oops', { headers: { "content-type": "application/json" } })`), '"{oops"');
  assert.equal(out(`new Response(null, { status: 204 })`), "null");
  assert.equal(out(`({ a: 1 })`), '{"a":1}');
  assert.match(out(`(() => 1)`).message, /no JSON form/);
});

test("the output of an execution may be a stream", needsRuntime, () => {
  const g = new Guest({ source: `export default () => new Response(new ReadableStream({ start(c) { c.enqueue(new TextEncoder().encode('{"s":')); c.enqueue(new TextEncoder().encode("1}")); c.close() } }), { headers: { "content-type": "application/json" } })` });
  assert.equal(g.execute(null).json, '{"s":1}');
});

test("setup runs handler.setup and answers null", options, () => {
  const actions = [];
  const ops = { sql_transaction({ action }) { actions.push(action); } };
  const g = new Guest({ ops, source: `let n = 0; export const handler = { async setup() { n = 7 }, handle() { return n } }` });
  assert.equal(g.setup().json, "null");
  assert.deepEqual(actions, [3], "its transaction is committed, once");
  assert.equal(g.execute(1).json, "7");
  assert.equal(new Guest({ ops, source: `export const handler = { setup() { throw new Error("no table") }, handle() {} }` }).setup().fail.message, "no table");
  assert.deepEqual(actions, [3], "and not when it has failed");
});

test("waitUntil keeps the dispatch open after the answer", needsRuntime, () => {
  const g = new Guest({ source: `export default { fetch(r, e, ctx) { ctx.waitUntil(new Promise((ok) => setTimeout(() => { console.log("done"); ok() }, 5))); return new Response("now") } }` });
  const { id, left } = g.dispatch(1, g.httpInput());
  assert.equal(left, 1);
  assert.equal(g.answers.get(id).body, "now");
  assert.equal(g.settle(left), 0);
  assert.deepEqual(g.logs, [[1, "done"]]);
});

test("a rejected waitUntil promise is logged, once", options, () => {
  const g = new Guest({ source: `export default { fetch(r, e, ctx) { ctx.waitUntil(Promise.reject(new Error("lost"))); return new Response("now") } }` });
  assert.equal(g.http().body, "now");
  assert.equal(g.logs.length, 1);
  assert.equal(g.logs[0][0], 3);
  assert.match(g.logs[0][1], /^Uncaught in ctx.waitUntil\(\): Error: lost\n/);
});

test("unhandled rejections are logged and handled ones are not", options, () => {
  const g = new Guest({ source: `export default async () => { Promise.reject(new Error("nobody")); const p = Promise.reject(1); await null; p.catch(() => {}); return 1 }` });
  assert.equal(g.http().body, "1");
  assert.equal(g.logs.length, 1);
  assert.match(g.logs[0][1], /Uncaught \(in promise\) Error: nobody/);
});

test("many dispatches are in flight in one isolate and keep their own inputs", needsRuntime, () => {
  const g = new Guest({
    source: `let n = 0; export default { async fetch(r, env, ctx) { const me = ++n; await new Promise((ok) => setTimeout(ok, 10)); return Response.json([me, n, r.url, r.headers.get("x-i"), await r.text()]) } }`,
  });
  const ids = [1, 2, 3].map((i) => g.dispatch(1, g.httpInput({ method: "POST", url: `http://t.localhost/${i}`, headers: [["x-i", String(i)]], body: "b".repeat(i) })).id);
  assert.equal(g.last.left, 3);
  assert.equal(g.settle(3), 0);
  assert.deepEqual(ids.map((id) => JSON.parse(g.answers.get(id).body)), [1, 2, 3].map((i) => [i, 3, `http://t.localhost/${i}`, String(i), "b".repeat(i)]));
});

test("a thousand dispatches leave nothing behind", needsRuntime, () => {
  const g = new Guest({ source: `export default async (r) => { await null; JSON.stringify(await r.json()); return new Response(JSON.stringify({ a: [1, 2, 3].map(String) })) }` });
  const run = () => g.http({ method: "POST", body: '{"x":[1,2,{"y":"z"}]}' });
  for (let i = 0; i < 200; i++) run();
  const size = g.x.memory.buffer.byteLength;
  for (let i = 0; i < 1000; i++) run();
  assert.equal(g.x.memory.buffer.byteLength, size);
});

test("an aborted client aborts request.signal", needsRuntime, () => {
  const g = new Guest({ source: `export default (r) => new Promise((ok) => r.signal.addEventListener("abort", () => ok(new Response(r.signal.reason.name))))` });
  const { id, left } = g.dispatch(1, g.httpInput());
  assert.equal(left, 1);
  g.x.limpet_abort(id);
  assert.equal(g.run(), 0);
  assert.equal(g.answers.get(id).body, "AbortError");
});

test("unknown completions and aborts are ignored", options, () => {
  const g = new Guest({ source: `export default () => 1` });
  g.complete(12345, 0, "x");
  g.x.limpet_abort(99);
  assert.equal(g.run(), 0);
  assert.equal(g.http().body, "1");
});

test("memory that runs out is an error with a clear message", options, () => {
  const source = (push) => `export default (r) => { if (r.method === "PUT") return "fine"; const a = []; for (;;) a.push(${push}) }`;
  for (const push of ["new Uint8Array(100000)", "{ x: [1] }", "'x'.repeat(50000) + a.length", "new Array(1000).fill(0)", "new Map([[1, {}]])"]) {
    const g = new Guest({ source: source(push), memoryPages: 256 });
    const { fail } = g.http();
    assert.match(fail.message, /out of memory/, push);
    assert.ok(["InternalError", "RangeError", "Error"].includes(fail.name), fail.name);
  }
});

test("a loop that catches everything cannot hide that memory is out", options, () => {
  const g = new Guest({ source: `export default () => { const a = []; for (let i = 0; i < 1e4; i++) try { a.push("x".repeat(1e5) + i) } catch {} return a.length }`, memoryPages: 256 });
  assert.ok(Number(g.http().body) < 200);
});

test("the error of a refused op carries the host's message and code", options, () => {
  const refuse = (err) => ({ env_get: () => { throw new OpError(err, "no way") } });
  const source = `export default { fetch(r, env) { try { return env.X } catch (e) { return [e.name, e.message, e.code, e instanceof Error] } } }`;
  const seen = (err) => JSON.parse(new Guest({ source, ops: refuse(err) }).http().body);
  assert.deepEqual(seen(ERR.IO), ["Error", "no way", "io", true]);
  assert.deepEqual(seen(ERR.FORBIDDEN), ["TypeError", "no way", "forbidden", true]);
  assert.deepEqual(seen(ERR.TOO_LARGE), ["RangeError", "no way", "too_large", true]);
  assert.deepEqual(seen(ERR.TIMEOUT).slice(0, 2), ["TimeoutError", "no way"]);
});
