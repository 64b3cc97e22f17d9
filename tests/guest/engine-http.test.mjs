// SPDX-License-Identifier: Apache-2.0
//
// Headers, Request, Response and their bodies. What needs no host is run in Node as well and compared.
import assert from "node:assert/strict";
import { test } from "node:test";
import { evaluate, Guest, hasRuntime, isBuilt } from "./harness.mjs";

const options = { skip: !isBuilt && "LIMPET_ENGINE_WASM is not set" };
const needsRuntime = { skip: !hasRuntime && "LIMPET_BUILTINS is not set" };

/** Each expression gives the same here and in the guest; errors are compared by name. */
async function same(expressions) {
  const wrap = (e) => `(async () => { try { return { value: await (${e}) } } catch (e) { return { error: e.name } } })()`;
  const seen = evaluate(`return await Promise.all([${expressions.map(wrap).join(",")}])`);
  for (const [i, e] of expressions.entries()) {
    const expected = await (0, eval)(wrap(e));
    assert.deepEqual(seen[i], JSON.parse(JSON.stringify(expected)), e);
  }
}

test("what was there and wrong: as in Node", needsRuntime, () =>
  same([
    ...["'a'", "new ArrayBuffer(1)", "new Uint16Array(1)", "5", "null", "{}"].flatMap((chunk) => ["text", "arrayBuffer", "json", "blob"].map((read) => `new Response(new ReadableStream({ start(c) { c.enqueue(${chunk}); c.close() } })).${read}()`)),
    `new Response(new ReadableStream({ start(c) { c.enqueue(new Uint8Array([97])); c.enqueue(new Uint8Array(0)); c.close() } })).text()`,
    `new Response(new ReadableStream({ start(c) { c.enqueue("a"); c.close() } }).pipeThrough(new TextEncoderStream())).text()`,
    ...["text", "arrayBuffer", "blob"].flatMap((read) => [`"x"`, `new Blob(["x"])`, `new Uint8Array(3)`, `new ReadableStream({ start(c) { c.enqueue(new Uint8Array(1)); c.close() } })`].map((body) => `(async () => { const r = new Response(${body}); await r.${read}(); return [r.body.locked, r.bodyUsed, (() => { try { r.body.getReader() } catch (e) { return e.name } })()] })()`)),
    `(async () => { const r = new Response("x"), b = r.body; await r.text(); return [b.locked, b === r.body] })()`,
    `(async () => { const r = new Request("http://h/", { method: "POST", body: "x" }); await r.text(); return r.body.locked })()`,
    `new Headers(null)`, `new Response("", { headers: null })`, `new Request("http://h/", { headers: null })`, `[...new Headers(undefined)]`, `new Headers(5)`, `new Headers(Symbol())`,
    `(() => { const h = new Headers([["a", "b"]]); h[Symbol.iterator] = function* () { yield ["c", "d"] }; return [...new Headers(h)] })()`,
    `(() => { const h = new Headers([["a", "b"]]); h[Symbol.iterator] = null; return [...new Headers(h)].length })()`,
    `(() => { const log = []; new Headers(new Proxy({ a: 1, b: 2 }, { get(t, k) { log.push("get " + String(k)); return t[k] }, ownKeys(t) { log.push("keys"); return Reflect.ownKeys(t) }, getOwnPropertyDescriptor(t, k) { log.push("desc " + k); return Reflect.getOwnPropertyDescriptor(t, k) } })); return log })()`,
    `new Headers({ a: 1, [Symbol("x")]: 2 })`,
    `(() => { const keys = []; for (const k in new Headers()) if (k !== "getAll") keys.push(k); return keys.sort() })()`, `Object.keys(Response.prototype).filter((k) => k !== "webSocket").sort()`, `Object.keys(Response).sort()`, `Object.keys(TextDecoder.prototype).sort()`, `Object.keys(TextEncoder.prototype).sort()`,
    `["fetch", "atob", "btoa", "queueMicrotask", "setTimeout", "structuredClone", "Headers", "Response", "URL"].map((k) => Object.getOwnPropertyDescriptor(globalThis, k).enumerable)`,
    `new Blob([], 123)`, `new Blob([], "x")`, `new Blob([], true)`, `new File([], "a", 5)`, `new Blob([], null).type`, `new Blob([], () => 1).size`,
    ...["\\0utf-8", "\\vutf-8", "\\futf-8", "\\tutf-8", " utf-8\\n", "utf-8\\u00a0", "utf-8\\0"].map((label) => `new TextDecoder("${label}").encoding`),
    ...["cache: 'no-store'", "cache: 'x'", "cache: 'only-if-cached'", "cache: 'only-if-cached', mode: 'same-origin'", "keepalive: 1", "mode: 'no-cors'", "mode: 'navigate'", "credentials: 'omit'", "credentials: 'x'", "integrity: 'sha256-x'", "referrerPolicy: 'origin'", "referrerPolicy: 'x'", "redirect: 'manual'", "redirect: 'x'"].map((init) => `(({ cache, keepalive, mode, credentials, integrity, referrerPolicy, redirect }) => [cache, keepalive, mode, credentials, integrity, referrerPolicy, redirect])(new Request(new Request("http://h/", { ${init} })).clone())`),
    `new Request("http://h/", { referrer: "http://h/x" }).referrer`,
    `String(new Date(1e12))`, `new Date(0).toTimeString()`, `new Date(0).toDateString()`, `String(new Date(NaN))`, `String(new Date(-8.64e15))`, `Date.parse(String(new Date(1e12)))`, `Date().endsWith("(Coordinated Universal Time)")`,
    `(() => { const p = Object.getPrototypeOf(console); return [Reflect.ownKeys(p), Object.getPrototypeOf(p) === Object.prototype, Object.prototype.toString.call(console), "log" in console] })()`,
  ]));

test("members of a record that are not enumerable are no headers", options, () => {
  // The standard's; Node's Headers takes them all the same.
  assert.deepEqual(evaluate(`return [[...new Headers(Object.defineProperty({ a: 1 }, "b", { value: 2 }))], [...new Headers(Object.defineProperty({ a: 1 }, Symbol("b"), { value: 2 }))], [...new Headers(() => 1)]]`), [[["a", "1"]], [["a", "1"]], []]);
});

test("Headers", options, () =>
  same([
    `[...new Headers({ B: "2", a: "1", "X-c": " 3 \\t" })]`,
    `[...new Headers([["a", "1"], ["A", "2"], ["b", "x"]]).entries()]`,
    `[...new Headers(new Headers({ q: "1" })).keys()]`,
    `[...new Headers(new Map([["m", "1"]])).values()]`,
    `[...new Headers()]`,
    `new Headers({ a: "1" }).get("A")`,
    `new Headers().get("none")`,
    `new Headers({ a: "" }).get("a")`,
    `new Headers({ a: "1" }).has("A")`,
    `(() => { const h = new Headers(); h.append("x", "1"); h.append("X", "2"); h.set("y", "3"); h.set("x", h.get("x") + "!"); h.delete("Y"); return [...h] })()`,
    `(() => { const h = new Headers(); h.append("set-cookie", "a=1"); h.append("Set-Cookie", "b=2"); h.append("a", "z"); return [h.getSetCookie(), h.get("set-cookie"), [...h]] })()`,
    `(() => { const seen = []; new Headers({ b: "2", a: "1" }).forEach(function (v, k, h) { seen.push(v, k, h instanceof Headers, this.t) }, { t: 5 }); return seen })()`,
    `new Headers({ "é": "1" })`,
    `new Headers({ "a b": "1" })`,
    `new Headers({ "": "1" })`,
    `new Headers({ a: "1\\n2" })`,
    `new Headers({ a: "\\u0100" })`,
    `new Headers({ a: "\\u00e9" }).get("a")`,
    `new Headers([["a"]])`,
    `new Headers([["a", "b", "c"]])`,
    `new Headers(5)`,
    `new Headers({ a: 5, b: null, c: undefined, d: [1, 2] }).get("d")`,
    `Headers()`,
    `new Headers().append("a")`,
    `Object.prototype.toString.call(new Headers())`,
    `typeof Headers.prototype[Symbol.iterator]`,
    `Headers.prototype.get.call({}, "a")`,
    `Headers.prototype.entries === Headers.prototype[Symbol.iterator]`,
    `new (class H extends Headers { x() { return this.get("a") } })({ a: "sub" }).x()`,
    `(() => { const h = new Headers(); for (let i = 0; i < 200; i++) h.append("n" + i % 50, "v" + i); for (let i = 0; i < 50; i += 2) h.delete("n" + i); return [...h].length + h.get("n7") })()`,
  ]));

test("Response", options, () =>
  same([
    `new Response("x").text()`,
    `new Response().text()`,
    `new Response(null, { status: 204 }).status`,
    `[new Response("a", { status: 404, statusText: "Nope" })].map((r) => [r.status, r.statusText, r.ok, r.type, r.url, r.redirected, r.bodyUsed])[0]`,
    `[...new Response("a").headers]`,
    `[...new Response("a", { headers: { "content-type": "text/html" } }).headers]`,
    `[...new Response(new Uint8Array([1])).headers]`,
    `[...Response.json({ a: 1 }).headers]`,
    `[...Response.json({ a: 1 }, { headers: { "content-type": "application/x" }, status: 201 }).headers]`,
    `Response.json({ a: [1, "é"] }).json()`,
    `Response.json(undefined)`,
    `new Response("x", { status: 99 })`,
    `new Response("x", { status: 600 })`,
    `new Response("x", { status: 204 })`,
    `new Response("x", { statusText: "\\n" })`,
    `new Response("x", 5)`,
    `Response("x")`,
    `[Response.error().type, Response.error().status]`,
    `Response.redirect("http://a/b").headers.get("location")`,
    `Response.redirect("http://a/b", 301).status`,
    `Response.redirect("http://a/b", 200)`,
    `Response.redirect("nonsense", 301)`,
    `(async () => { const r = new Response("once"); await r.text(); return [r.bodyUsed, await r.text().catch((e) => e.name)] })()`,
    `(async () => { const r = new Response("two", { status: 201, headers: { x: "1" } }), c = r.clone(); return [await r.text(), await c.text(), c.status, c.headers.get("x")] })()`,
    `(async () => { const r = new Response("x"); await r.text(); return r.clone() })()`,
    `new Response("[1,2]").json()`,
    `new Response("{").json()`,
    `new Response("\\ufeff[1]").json()`,
    `new Response("\\ufeffbom").text()`,
    `new Response(new Uint8Array([0xc3, 0xa9, 0xff, 0xe2, 0x82])).text()`,
    `new Response("é\\ud800").arrayBuffer().then((b) => [...new Uint8Array(b)])`,
    `new Response(new Uint16Array([1, 2]).subarray(1)).arrayBuffer().then((b) => [...new Uint8Array(b)])`,
    `new Response(new DataView(new Uint8Array([1, 2, 3]).buffer, 1, 1)).text().then((t) => t.length)`,
    `new Response(123).text()`,
    `new Response("a\\ud800é").text()`,
    `new Response({ toString: () => "obj" }).text()`,
    `(() => { const r = new Response("a"); return r.headers === r.headers })()`,
    `(() => { const r = new Response("a"); r.headers.set("x", "y"); return [...r.headers] })()`,
    `Object.prototype.toString.call(new Response())`,
    `(() => { class R extends Response { get z() { return this.status } } return [new R("", { status: 201 }).z, new R() instanceof Response] })()`,
    `new Response("a").body !== null`,
    `new Response().body`,
  ]));

test("Request", options, () =>
  same([
    `[new Request("http://a/b?c#d")].map((r) => [r.url, r.method, [...r.headers], r.redirect, r.body, r.bodyUsed])[0]`,
    `new Request("http://a/b", { method: "post", body: "x", headers: { Q: "1" } }).text()`,
    `[...new Request("http://a/b", { method: "post", body: "x" }).headers]`,
    `["get", "Head", "dElete", "options", "post", "put", "patch", "custom"].map((method) => new Request("http://a", { method }).method)`,
    `new Request("http://a", { method: "CONNECT" })`,
    `new Request("http://a", { method: "trace" })`,
    `new Request("http://a", { method: "a b" })`,
    `new Request("http://a", { body: "x" })`,
    `new Request("http://a", { method: "HEAD", body: "x" })`,
    `new Request("/relative")`,
    `new Request()`,
    `Request("http://a")`,
    `new Request("http://a", { redirect: "error" }).redirect`,
    `new Request("http://a", { redirect: "what" })`,
    `new Request("http://a", { signal: 5 })`,
    `new Request(new Request("http://a", { method: "PUT", headers: { x: "1" }, body: "b" })).text()`,
    `[...new Request(new Request("http://a", { headers: { x: "1" } }), { headers: { y: "2" } }).headers]`,
    `(async () => { const r = new Request("http://a", { method: "POST", body: "b" }); const s = new Request(r, { method: "PUT" }); return [r.bodyUsed, s.method, await s.text()] })()`,
    `(async () => { const r = new Request("http://a", { method: "POST", body: "b" }); await r.text(); return new Request(r) })()`,
    `(async () => { const r = new Request("http://a", { method: "POST", body: "b" }); const c = r.clone(); return [await r.text(), await c.text(), c.method] })()`,
    `new Request({ toString: () => "http://a/x" }).url`,
    `Object.prototype.toString.call(new Request("http://a"))`,
  ]));

test("bodies of blobs, forms, search params and streams", needsRuntime, () =>
  same([
    `new Response(new Blob(["ab"], { type: "text/x" })).text()`,
    `new Response(new Blob(["ab"], { type: "text/x" })).headers.get("content-type")`,
    `new Response(new URLSearchParams({ a: "1 2" })).text()`,
    `new Response(new URLSearchParams()).headers.get("content-type")`,
    `new Response("a=1&b=%20x", { headers: { "content-type": "application/x-www-form-urlencoded" } }).formData().then((f) => [...f])`,
    `(async () => { const f = new FormData(); f.append("k", "v"); const r = new Response(f); return [...await r.formData()] })()`,
    `new Response("x").formData()`,
    `new Response("xy", { headers: { "content-type": "text/q" } }).blob().then(async (b) => [b.size, b.type, await b.text()])`,
    `new Response(new ReadableStream({ start(c) { c.enqueue(new TextEncoder().encode("st")); c.enqueue(new TextEncoder().encode("ream")); c.close() } })).text()`,
    `(async () => { const r = new Response("parts"); const out = []; for await (const c of r.body) out.push(...c); return [out, r.bodyUsed] })()`,
    `(async () => { const r = new Response(new ReadableStream({ start(c) { c.enqueue(new Uint8Array([65])); c.close() } })); const c = r.clone(); return [await r.text(), await c.text()] })()`,
    `(async () => { const r = new Response("x"); r.body.getReader(); return r.text() })()`,
    `(async () => { const s = new ReadableStream(); s.getReader(); return new Response(s) })()`,
    `(async () => { const r = new Response("x"); r.body; return [r.bodyUsed, await r.text(), r.bodyUsed] })()`,
    `(async () => { const r = new Response("x"); return r.body === r.body })()`,
    `new Request("http://a", { method: "POST", body: new ReadableStream({ start(c) { c.enqueue(new Uint8Array([66])); c.close() } }), duplex: "half" }).text()`,
  ]));

test("the request of a dispatch", options, () => {
  const g = new Guest({
    source: `export default async (r) => [r.method, r.url, [...r.headers], r.headers.get("x"), r instanceof Request, await r.text(), r.bodyUsed,
      (() => { try { r.headers.set("a", "b") } catch (e) { return e.name } })()]`,
  });
  const request = { method: "POST", url: "http://t.localhost/é?q", headers: [["x", "1"], ["b", "\u00e9"], ["x", "2"]], body: "körper" };
  assert.deepEqual(JSON.parse(g.http(request).body), ["POST", "http://t.localhost/é?q", [["b", "\u00e9"], ["x", "1, 2"]], "1, 2", true, "körper", true, "TypeError"]);
});

test("a request kept in a global outlives its dispatch", options, () => {
  const g = new Guest({ source: `let kept; export default async (r) => { if (!kept) { kept = r; return 1 } return [kept.url, kept.method, kept.headers.get("x"), await kept.text(), r.url] }` });
  g.http({ method: "POST", url: "http://t.localhost/first", headers: [["x", "1"]], body: "b1" });
  assert.deepEqual(JSON.parse(g.http({ url: "http://t.localhost/second-and-longer", headers: [["y", "2"]] }).body), ["http://t.localhost/first", "POST", "1", "b1", "http://t.localhost/second-and-longer"]);
});

test("copies of the dispatched request can be changed", options, () => {
  const g = new Guest({ source: `export default async (r) => { const d = new Request("http://x/", r.clone()); const c = new Request(r, { headers: { a: "1" } }); c.headers.set("b", "2"); return [[...c.headers], await c.text(), d.method, d.headers.get("q")] }` });
  assert.deepEqual(JSON.parse(g.http({ method: "PUT", headers: [["q", "z"]], body: "t" }).body), [[["a", "1"], ["b", "2"]], "t", "PUT", "z"]);
});

test("a streamed request body is read in chunks", needsRuntime, () => {
  const g = new Guest({ source: `export default async (r) => { const sizes = []; for await (const c of r.body) sizes.push(c.length); return sizes }` });
  assert.equal(g.http({ method: "POST", source: g.source(["abc", "de", "f"]) }).body, "[3,2,1]");
  const t = new Guest({ source: `export default async (r) => [await r.text(), r.bodyUsed]` });
  assert.equal(t.http({ method: "POST", source: t.source(["ä".slice(0, 1), "b"]) }).body, '["äb",true]');
  const e = new Guest({ source: `export default async (r) => [(await r.arrayBuffer()).byteLength]` });
  assert.equal(e.http({ method: "POST", source: e.source([]) }).body, "[0]");
});

test("nothing of a streamed body is read before it is asked for", needsRuntime, () => {
  const g = new Guest({ source: `export default (r) => { r.body; return 1 }` });
  g.http({ method: "POST", source: g.source(["abc"]) });
  assert.equal(g.calls.includes("stream_read"), false);
});

test("a request body that is only passed on is piped by the host", needsRuntime, () => {
  for (const code of ["new Response(r.body)", "new Response(r.body, { headers: { a: 'b' } })", "(r.body, new Response(new Response(r.body).body))"]) {
    const g = new Guest({ source: `export default (r) => ${code}` });
    const source = g.source(["abc"]);
    const a = g.http({ method: "POST", source });
    assert.equal(a.source, source, code);
    assert.equal(g.calls.includes("stream_read"), false);
  }
});

test("a streamed answer is written with back-pressure and ended", needsRuntime, () => {
  const g = new Guest({ source: `let pulls = 0; export default () => new Response(new ReadableStream({ pull(c) { if (++pulls > 3) return c.close(); c.enqueue(new TextEncoder().encode("chunk" + pulls)) } }, { highWaterMark: 0 }))` });
  const { id, left } = g.dispatch(1, g.httpInput());
  assert.equal(left, 1);
  const sink = g.answers.get(id).sink;
  assert.equal(g.sinks.get(sink).chunks.length, 1, "one write is under way");
  g.run();
  assert.equal(g.sinks.get(sink).chunks.length, 1, "no further write before the first is done");
  assert.equal(g.settle(left), 0);
  assert.equal(g.sinkText(sink), "chunk1chunk2chunk3");
  assert.deepEqual([g.sinks.get(sink).ended, g.sinks.get(sink).failed], [true, false]);
});

test("a streamed answer that breaks aborts the sink and is logged", needsRuntime, () => {
  const g = new Guest({ source: `export default () => new Response(new ReadableStream({ pull(c) { c.error(new Error("broke")) } }))` });
  const a = g.http();
  assert.deepEqual([g.sinks.get(a.sink).ended, g.sinks.get(a.sink).failed], [true, true]);
  assert.match(g.logs[0][1], /The response's stream failed: Error: broke/);
  assert.equal(g.left, 0);
});

test("an answer may be returned once only", options, () => {
  const g = new Guest({ source: `const r = new Response("x"); export default () => r` });
  assert.equal(g.http().body, "x");
  assert.match(g.http().fail.message, /body of the response returned has been read already/);
  assert.match(new Guest({ source: `export default () => Response.error()` }).http().fail.message, /Response.error/);
});
