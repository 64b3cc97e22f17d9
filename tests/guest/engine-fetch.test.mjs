// SPDX-License-Identifier: Apache-2.0
//
// fetch(): what goes out, what comes back, streams, aborts and errors.
import assert from "node:assert/strict";
import { test } from "node:test";
import { ERR, Guest, hasRuntime, isBuilt, OpError, Reader } from "./harness.mjs";

const options = { skip: !isBuilt && "LIMPET_ENGINE_WASM is not set" };
const needsRuntime = { skip: !hasRuntime && "LIMPET_BUILTINS is not set" };

/** Runs a handler up to its fetch; returns the guest, the fetch's arguments and the dispatch. */
function start(code, request) {
  const g = new Guest({ source: `export default async (r, env, ctx) => { ${code} }` });
  const { id } = g.dispatch(1, g.httpInput(request));
  const [number, entry] = g.find("fetch") ?? [];
  return { g, id, number, entry, args: entry?.args, answer: () => g.answers.get(id) };
}

test("a fetch goes out as it was asked for", options, () => {
  const { g, args, answer } = start(`const a = await fetch("http://api.test/x?y", { method: "post", headers: { "X-A": "b" }, body: "text", redirect: "manual" }); return [a.status, a.statusText, a.ok, a.url, a.type, a.redirected, a.headers.get("q"), await a.text()]`);
  assert.deepEqual([args.method, args.url, args.body_kind, args.body.toString(), args.redirect], ["POST", "http://api.test/x?y", 1, "text", 2]);
  assert.deepEqual(new Reader(args.headers).headers(), [["x-a", "b"], ["content-type", "text/plain;charset=UTF-8"]]);
  assert.equal(g.answerFetch({ status: 404, statusText: "Not Found", headers: [["q", "1"], ["q", "2"]], body: "gone", url: "http://api.test/z", redirected: true }), 0);
  assert.deepEqual(JSON.parse(answer().body), [404, "Not Found", false, "http://api.test/z", "basic", true, "1, 2", "gone"]);
});

test("a Request can be fetched, and JSON comes back parsed", options, () => {
  const { g, args, answer } = start(`const a = await fetch(new Request("http://api.test/", { headers: { a: "1" } }), { headers: { b: "2" } }); return await a.json()`);
  assert.deepEqual(new Reader(args.headers).headers(), [["b", "2"]]);
  assert.equal(args.body_kind, 0);
  g.answerFetch({ body: '{"deep":[1,{"x":null}]}' });
  assert.equal(answer().body, '{"deep":[1,{"x":null}]}');
});

test("several fetches are in flight at once and complete in any order", options, () => {
  const { g, answer } = start(`return await Promise.all(["a", "b", "c"].map(async (n) => (await fetch("http://x/" + n)).text()))`);
  const numbers = [...g.pending.keys()];
  assert.equal(numbers.length, 3);
  for (const n of [numbers[2], numbers[0], numbers[1]]) {
    const { args } = g.pending.get(n);
    g.pending = new Map([[n, g.pending.get(n)], ...g.pending]);
    g.answerFetch({ body: args.url.slice(-1) });
  }
  assert.equal(answer().body, '["a","b","c"]');
});

test("a network failure is a TypeError", options, () => {
  const { g, number, answer } = start(`try { await fetch("http://x/") } catch (e) { return [e.name, e.message, e.code] }`);
  g.complete(number, ERR.NETWORK, "could not connect to x");
  g.run();
  assert.deepEqual(JSON.parse(answer().body), ["TypeError", "could not connect to x", "network"]);
});

test("refused and malformed fetches reject and do not throw", options, () => {
  const g = new Guest({
    source: `export default async () => { const seen = []; for (const f of [() => fetch("http://x/"), () => fetch("::"), () => fetch(), () => fetch("http://x/", { method: "GET", body: "x" })]) { let p; try { p = f() } catch { seen.push("threw"); continue } seen.push(await p.catch((e) => e.name + (e.code ?? ""))) } return seen }`,
    ops: { fetch: () => { throw new OpError(ERR.FORBIDDEN, "egress") } },
  });
  assert.deepEqual(JSON.parse(g.http().body), ["TypeErrorforbidden", "TypeError", "TypeError", "TypeError"]);
});

test("a fetched stream that is only passed on is piped by the host", options, () => {
  for (const code of [`return fetch("http://x/")`, `const a = await fetch("http://x/"); return a`, `const a = await fetch("http://x/"); return new Response(a.body, a)`]) {
    if (code.includes("body") && !hasRuntime) continue;
    const { g, answer } = start(code);
    const source = g.source(["never read"]);
    g.answerFetch({ source, status: 201, headers: [["a", "b"]] });
    assert.deepEqual([answer().source, answer().status, answer().headers], [source, 201, [["a", "b"]]], code);
    assert.equal(g.calls.includes("stream_read"), false);
  }
});

test("a fetched stream is read to its end by text()", options, () => {
  const { g, answer } = start(`return await (await fetch("http://x/")).text()`);
  g.settle(g.answerFetch({ source: g.source(["one ", "two ", "three"]) }));
  assert.equal(answer().body, '"one two three"');
});

test("a stream that breaks rejects the read", options, () => {
  const { g, answer } = start(`try { await (await fetch("http://x/")).text() } catch (e) { return [e.name, e.message] }`);
  g.answerFetch({ source: g.source(["one"]) });
  const [read] = g.find("stream_read");
  g.complete(read, ERR.NETWORK, "connection reset");
  g.run();
  assert.deepEqual(JSON.parse(answer().body), ["TypeError", "connection reset"]);
});

test("the request's own stream as a fetch body is piped by the host", needsRuntime, () => {
  const { g, entry, args } = start(`return fetch("http://x/", { method: "POST", body: r.body, duplex: "half" })`, { method: "POST", source: 77 });
  assert.equal(args.body_kind, 2);
  const [, pipe] = g.find("stream_pipe");
  assert.deepEqual([pipe.args.source, pipe.args.sink], [77, entry.sink]);
});

test("a stream made in the guest is written to the fetch's sink", needsRuntime, () => {
  const { g, entry, answer } = start(`const a = await fetch("http://x/", { method: "POST", duplex: "half", body: new ReadableStream({ start(c) { c.enqueue(new TextEncoder().encode("ab")); c.enqueue(new TextEncoder().encode("cd")); c.close() } }) }); return await a.text()`);
  g.settle();
  assert.equal(g.sinkText(entry.sink), "abcd");
  assert.equal(g.sinks.get(entry.sink).ended, true);
  g.answerFetch({ body: "ok" });
  assert.equal(answer().body, '"ok"');
});

test("abort cancels the op and rejects with the reason", needsRuntime, () => {
  const { g, number, answer } = start(`const c = new AbortController(); const p = fetch("http://x/", { signal: c.signal }); queueMicrotask(() => c.abort(new Error("mine"))); try { await p } catch (e) { return e.message }`);
  assert.equal(answer().body, '"mine"');
  assert.equal(g.pending.has(number), false, "cancelled");
  assert.equal(g.run(), 0);
});

test("a signal that has aborted already stops the fetch before it begins", needsRuntime, () => {
  const { g, answer } = start(`try { await fetch("http://x/", { signal: AbortSignal.abort() }) } catch (e) { return e.name }`);
  assert.equal(answer().body, '"AbortError"');
  assert.equal(g.calls.includes("fetch"), false);
});

test("an abort after the answer changes nothing", needsRuntime, () => {
  const { g, answer } = start(`const c = new AbortController(); const a = await fetch("http://x/", { signal: c.signal }); c.abort(); return await a.text()`);
  g.answerFetch({ body: "kept" });
  assert.equal(answer().body, '"kept"');
  assert.equal(g.calls.includes("cancel"), false);
});
