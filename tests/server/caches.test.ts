// SPDX-License-Identifier: Apache-2.0
// caches.default and caches.open(), as Workers have them: which responses are kept, what match() answers, and that nobody sees a torn body,
// another namespace's, or, in a workflow that is replayed, another than before.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { send, Server, useServer } from './harness.ts';
import { deployWorkflow, output, signal, start, suspended, withServer } from './workflow-harness.ts';

const server = useServer();

/** Each has a URL `u` of its own, the default cache `c`, and `put(body, headers, status)`. */
const CASES: Record<string, [body: string, expected: unknown]> = {
    'what is put is matched': ['await put("hi", { "cache-control": "max-age=60", "x-a": "b", etag: "\\"1\\"" }); const r = await c.match(u); return [r.status, await r.text(), r.headers.get("x-a"), r.headers.get("cf-cache-status"), r.headers.get("age"), r.url === u, (await c.match(new Request(u))).ok];',
        [200, 'hi', 'b', 'HIT', '0', true, true]],
    'what was not put is undefined': ['return [await c.match(u) === undefined, await c.delete(u)];', [true, false]],
    'a fragment is no part of the key, a query is': ['await c.put(u + "#a", ok("x")); return [await (await c.match(u + "#b")).text(), await c.match(u + "?x") === undefined];', ['x', true]],
    'the last one counts': ['await put("a"); await put("b"); return (await c.match(u)).text();', 'b'],
    'what is deleted is gone': ['await put("a"); return [await c.delete(u), await c.match(u) === undefined, await c.delete(u)];', [true, true, false]],
    'caches with names are apart': ['await put("a"); const d = await caches.open("other"), e = await caches.open("default"); await d.put(u, ok("d")); return [await (await c.match(u)).text(), await (await d.match(u)).text(), await e.match(u) === undefined, await (await (await caches.open("other")).match(u)).text()];', ['a', 'd', true, 'd']],
    'only responses to GET': ['const q = new Request(u, { method: "POST", body: "x" }); const e = await c.put(q, ok("a")).catch((x) => x.constructor.name); await put("a"); return [e, await c.match(q) === undefined, await (await c.match(q, { ignoreMethod: true })).text(), await c.delete(q), await c.delete(q, { ignoreMethod: true })];', ['TypeError', true, 'a', false, true]],
    'what cannot be kept is refused': ['const t = (r, k = u) => c.put(k, r).then(() => "kept", (x) => x.constructor.name); return [await t(new Response("x", { status: 206 })), await t(new Response("x", { headers: { vary: "a, *" } })), await t(Response.error()), await t("x"), await t(ok("x"), "ftp://x/"), await t(ok("x"), "nonsense"), await t(await (async () => { const r = ok("x"); await r.text(); return r; })())];',
        ['TypeError', 'TypeError', 'TypeError', 'TypeError', 'TypeError', 'TypeError', 'TypeError']],
    'what may not be kept is not, without a word': ['const kept = {}; for (const v of ["no-store", "no-cache", "private", "max-age=0", "private, max-age=60", "max-age=60", "private=set-cookie, max-age=60"]) { await put("x", { "cache-control": v, ...(v.includes("set-cookie") ? { "set-cookie": "a=b" } : {}) }); const r = await c.match(u); kept[v] = r ? r.headers.get("set-cookie") ?? "kept" : "not"; await c.delete(u); } await put("x", { "set-cookie": "a=b" }); kept.cookie = (await c.match(u)) ? "kept" : "not"; await put("x", {}, 500); kept.status = (await c.match(u)) ? "kept" : "not"; return kept;',
        { 'no-store': 'not', 'no-cache': 'not', private: 'not', 'max-age=0': 'not', 'private, max-age=60': 'not', 'max-age=60': 'kept', 'private=set-cookie, max-age=60': 'kept', cookie: 'not', status: 'not' }],
    'what may not be kept takes the place of what was': ['await put("a"); await put("b", { "cache-control": "no-store" }); return await c.match(u) === undefined;', true],
    'conditions': ['await put("hello", { etag: "\\"v1\\"", "last-modified": "Sun, 06 Nov 1994 08:49:37 GMT" }); const m = async (h) => { const r = await c.match(new Request(u, { headers: h })); return [r.status, await r.text(), r.headers.get("etag")]; }; return [await m({ "if-none-match": "W/\\"v1\\"" }), await m({ "if-none-match": "\\"v2\\"" }), await m({ "if-modified-since": "Sun, 06 Nov 1994 08:49:37 GMT" })];',
        [[304, '', '"v1"'], [200, 'hello', '"v1"'], [304, '', '"v1"']]],
    'ranges': ['await put("0123456789", { etag: "\\"v1\\"" }); const m = async (h) => { const r = await c.match(new Request(u, { headers: h })); return [r.status, await r.text(), r.headers.get("content-range")]; }; return [await m({ range: "bytes=2-4" }), await m({ range: "bytes=-3" }), await m({ range: "bytes=10-" }), await m({ range: "bytes=2-4", "if-range": "\\"v2\\"" })];',
        [[206, '234', 'bytes 2-4/10'], [206, '789', 'bytes 7-9/10'], [416, '', 'bytes */10'], [200, '0123456789', null]]],
    'other statuses': ['await put(null, { location: "/x" }, 301); const a = await c.match(u); await put("no", {}, 404); const b = await c.match(u); await c.put(u, new Response("late", { status: 504, headers: { "cache-control": "max-age=9" } })); const d = await c.match(u); return [a.status, a.headers.get("location"), b.status, await b.text(), d.status, await d.text()];', [301, '/x', 404, 'no', 504, 'late']],
    'a 304 is not kept, with a warning': ['await put("a"); await c.put(u, new Response(null, { status: 304 })); return (await c.match(u)).text();', 'a'],
    'put() uses the body': ['const r = ok("a"); const p = c.put(u, r); const used = r.bodyUsed; await p; return used;', true],
    'a stream is kept as it comes, and given as it is read': ['const n = 40, piece = new Uint8Array(65536); const s = new ReadableStream({ pull(x) { piece.fill(this.i = (this.i ?? 0) + 1); this.i > n ? x.close() : x.enqueue(piece.slice()); } }); await c.put(u, new Response(s, { headers: { "cache-control": "max-age=60" } })); const r = await c.match(u); let at = 0; for await (const p of r.body) for (let i = 0; i < p.length; i += 4096) { if (p[i] !== Math.floor((at + i) / 65536) + 1) return "torn at " + (at + i); if (i + 4096 >= p.length) at += p.length; } return at;', 40 * 65536],
    'a stream that fails is not kept': ['await put("old"); let n = 0; const s = new ReadableStream({ pull(x) { if (++n > 20) throw new Error("broken"); x.enqueue(new Uint8Array(65536)); } }); const e = await c.put(u, new Response(s, { headers: { "cache-control": "max-age=60" } })).catch(() => "rejected"); return [e, await (await c.match(u)).text()];', ['rejected', 'old']],
    'a body that is not read to its end disturbs nobody': ['await c.put(u, new Response(new Uint8Array(1 << 21))); const r = await c.match(u); const g = r.body.getReader(); await g.read(); await c.delete(u); await g.cancel(); return await c.match(u) === undefined;', true],
    'a matched response is immutable, as a fetched one': ['await put("a"); const r = await c.match(u); try { r.headers.set("x", "y"); } catch (x) { return [x.constructor.name, new Response(r.body, r).headers.get("cf-cache-status")]; }', ['TypeError', 'HIT']],
    'what is not there on Workers is not there': ['return [typeof caches.has, typeof c.add, typeof c.keys, String(caches), String(c), (() => { try { new Cache(); } catch (x) { return x.constructor.name; } })()];', ['undefined', 'undefined', 'undefined', '[object CacheStorage]', '[object Cache]', 'TypeError']],
    'names have a limit': ['return caches.open("x".repeat(1024)).catch((x) => x.constructor.name);', 'TypeError'],
    'fetch() does not reach it': ['return fetch("cache:default " + u).catch((x) => x.constructor.name);', 'TypeError'],
};

const MODULE = `
const cases = {
${Object.entries(CASES).map(([name, [body]], i) => `${JSON.stringify(name)}: async () => { const u = "http://cache.example/${i}", c = caches.default, ok = (b) => new Response(b, { headers: { "cache-control": "max-age=60" } }), put = (b, h = { "cache-control": "max-age=60" }, status = 200) => c.put(u, new Response(b, { status, headers: h })); ${body} }`).join(',\n')}
};
export default { async fetch(request) { return Response.json((await cases[decodeURIComponent(new URL(request.url).pathname.slice(1))]()) ?? null); } };`;

for (const [name, [, expected]] of Object.entries(CASES)) {
    test(name, async () => {
        const s = await server();
        await s.deploy('caching', MODULE);
        const answer = await s.request('caching', `/${encodeURIComponent(name)}`);
        assert.equal(answer.status, 200, answer.text);
        assert.deepEqual(answer.json, expected);
    });
}

const STORE = `export default { async fetch(request) {
    const u = "http://cache.example/shared", c = caches.default, size = Number(new URL(request.url).searchParams.get("size") ?? 3);
    if (request.method === "PUT") await c.put(u, new Response(new Uint8Array(size).fill(97)));
    const r = await c.match(u);
    return new Response(r ? String((await r.arrayBuffer()).byteLength) : "none");
} };`;

test('functions of a namespace share it, namespaces do not; one that is deleted takes it along', async () => {
    const s = await server();
    await s.deploy('store-a', STORE);
    await s.deploy('store-b', STORE);
    assert.equal((await s.request('store-a', '/', { method: 'PUT' })).text, '3');
    assert.equal((await s.request('store-b')).text, '3');
    const away = async (method: string) => (await send(s.httpPort, '/', { method, host: `store.away.localhost:${s.httpPort}` })).text;
    const made = async () => {
        assert.equal((await s.api('POST', '/namespaces', { name: 'away' })).status, 201);
        assert.equal((await s.api('POST', '/namespaces/away/functions?wait=60s', { name: 'store', source: STORE })).status, 200);
    };
    await made();
    assert.equal(await away('GET'), 'none');
    assert.equal(await away('PUT'), '3');
    assert.ok((await s.api('DELETE', '/namespaces/away/functions/store')).status < 300);
    assert.ok((await s.api('DELETE', '/namespaces/away')).status < 300);
    await made();
    assert.equal(await away('GET'), 'none');
});

test('outside of steps a workflow sees at a replay what it saw, whatever is there by then', async () => {
    await withServer({}, async (s, crashed) => {
        await deployWorkflow(s, 'cached', `
import { workflow, waitForEvent } from "limpet";
export default workflow(async () => {
    const c = caches.default, u = "http://cache.example/workflow";
    const seen = [await c.match(u) === undefined];
    await c.put(u, new Response("kept", { headers: { "cache-control": "max-age=60", "x-a": "b" } }));
    const r = await c.match(u);
    seen.push(await r.text(), r.headers.get("x-a"), r.headers.get("idempotency-key"));
    await waitForEvent("go");
    seen.push(await c.match(u) === undefined);
    return seen;
});`);
        const id = await start(s, 'cached', null);
        await suspended(s, id);
        s = await crashed({ args: ['--snapshot-after', '100000'] });
        await signal(s, id, 'go');
        assert.deepEqual(await output(s, id), [true, 'kept', 'b', null, true]);
    });
});

test('bodies on disk go with the process, and are not there at the next start', async () => {
    let s = await Server.start();
    try {
        await s.deploy('store', STORE);
        assert.equal((await s.request('store', '/?size=100000', { method: 'PUT' })).text, '100000');
        const folder = path.join(s.data, 'cache');
        assert.equal(fs.readdirSync(folder).length, 1);
        s = await s.restart();
        assert.deepEqual(fs.readdirSync(folder), []);
        assert.equal((await s.request('store')).text, 'none');
        const metrics = (await s.api('GET', '/metrics')).text;
        assert.match(metrics, /^limpet_cache_matches_total\{found="no"\} 1$/m);
        assert.match(metrics, /^limpet_cache_bytes 0$/m);
    } finally {
        await s.stop();
    }
});
