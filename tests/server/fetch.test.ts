// SPDX-License-Identifier: Apache-2.0
// fetch() out to a server of the test's own, allowed by --egress-allow: methods, headers, bodies, streams, redirects, abort, errors.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { errorOf, type Server, useServer, Origin } from './harness.ts';

let connections = 0;
const abandoned: string[] = [];
const asked: string[] = [];

const origin = new Origin(async (req, res) => {
    const url = new URL(req.url!, 'http://origin');
    const chunks: Buffer[] = [];
    asked.push(url.pathname);
    res.on('close', () => res.writableFinished || abandoned.push(url.pathname));
    if (url.pathname === '/early') {
        res.end('early'); // answers without reading
        return;
    }
    for await (const c of req) chunks.push(c as Buffer);
    const body = Buffer.concat(chunks);
    switch (url.pathname) {
    case '/echo':
        res.setHeader('set-cookie', ['a=1', 'b=2']);
        res.setHeader('content-type', 'application/json');
        res.end(JSON.stringify({ method: req.method, headers: req.headers, body: body.toString(), length: body.length }));
        return;
    case '/status':
        res.writeHead(Number(url.searchParams.get('code')), 'Special');
        res.end();
        return;
    case '/redirect':
        res.writeHead(Number(url.searchParams.get('code') ?? 302), { location: url.searchParams.get('to')! });
        res.end();
        return;
    case '/loop':
        res.writeHead(302, { location: '/loop' });
        res.end();
        return;
    case '/large':
        for (let i = 0; i < 100; i++) if (!res.write(Buffer.alloc(100_000, 'x'))) await once(res, 'drain');
        res.end();
        return;
    case '/never':
        return;
    case '/half':
        res.writeHead(200, { 'content-length': '100' });
        res.write('half');
        setImmediate(() => req.socket.destroy());
        return;
    case '/gzip':
        res.writeHead(200, { 'content-encoding': 'gzip' });
        res.end((await import('node:zlib')).gzipSync('unpacked'));
        return;
    default:
        res.writeHead(404);
        res.end('?');
    }
});
origin.server.on('connection', () => connections++);

const server = useServer(() => ({ args: ['--threads', '1', '--egress-allow', `127.0.0.1:${origin.port}`] }));

let serial = 0;
/** Runs body in a function; `base` is the origin's URL. Returns the answer. */
async function inside(body: string) {
    const s: Server = await server();
    const name = `fetch-${serial++}`;
    await s.deploy(name, `const base = "http://127.0.0.1:${origin.port}";\nexport default { async fetch(request) { ${body} } };`);
    return s.request(name, '/', { method: 'POST', body: 'from the client' });
}

test('method, headers and a text body', async () => {
    const res = await inside(`
const r = await fetch(base + "/echo", { method: "PUT", headers: { "X-Thing": "v", "content-type": "text/x" }, body: "hello" });
return Response.json({ status: r.status, ok: r.ok, url: r.url, redirected: r.redirected, cookies: r.headers.getSetCookie(), got: await r.json() });`);
    const { got, ...rest } = res.json;
    assert.deepEqual(rest, { status: 200, ok: true, url: `http://127.0.0.1:${origin.port}/echo`, redirected: false, cookies: ['a=1', 'b=2'] });
    assert.equal(got.method, 'PUT');
    assert.equal(got.headers['x-thing'], 'v');
    assert.equal(got.headers['content-type'], 'text/x');
    assert.equal(got.headers.host, `127.0.0.1:${origin.port}`);
    assert.equal(got.body, 'hello');
});

test('a Request as argument, JSON and bytes as bodies', async () => {
    const res = await inside(`
const a = await (await fetch(new Request(base + "/echo", { method: "POST", body: JSON.stringify({ n: 1 }) }))).json();
const b = await (await fetch(base + "/echo", { method: "POST", body: new Uint8Array(100000).fill(98) })).json();
const c = await (await fetch(new URL("/echo", base))).json();
return Response.json([a.body, b.length, c.method]);`);
    assert.deepEqual(res.json, ['{"n":1}', 100_000, 'GET']);
});

test('the body of the request streams on, the body of the answer streams back', async () => {
    const res = await inside('return fetch(base + "/echo", { method: "POST", body: request.body, duplex: "half" });');
    assert.equal(res.json.body, 'from the client');
    const large = await inside('return fetch(base + "/large");');
    assert.equal(large.body.length, 10_000_000);
});

test('a generated stream as body', async () => {
    const res = await inside(`
let n = 0;
const body = new ReadableStream({ pull(c) { if (n++ < 50) c.enqueue(new Uint8Array(10000).fill(65)); else c.close(); } });
const r = await (await fetch(base + "/echo", { method: "POST", body, duplex: "half" })).json();
return Response.json(r.length);`);
    assert.equal(res.json, 500_000);
});

test('statuses, empty answers and unpacking', async () => {
    const res = await inside(`
const out = [];
for (const code of [204, 304, 404, 500]) { const r = await fetch(base + "/status?code=" + code); out.push(r.status, r.statusText, (await r.text()).length); }
out.push(await (await fetch(base + "/gzip")).text());
return Response.json(out);`);
    assert.deepEqual(res.json, [204, 'Special', 0, 304, 'Special', 0, 404, 'Special', 0, 500, 'Special', 0, 'unpacked']);
});

test('redirects: follow, manual, error, and when the method changes', async () => {
    const res = await inside(`
const to = (path, code) => base + "/redirect?code=" + code + "&to=" + encodeURIComponent(path);
const out = [];
let r = await fetch(to("/echo", 302), { method: "POST", body: "x" }); let j = await r.json(); out.push(r.redirected, r.url === base + "/echo", j.method, j.body);
r = await fetch(to("/echo", 307), { method: "POST", body: "kept" }); j = await r.json(); out.push(j.method, j.body);
r = await fetch(to("/echo", 303), { method: "PUT", body: "x" }); out.push((await r.json()).method);
r = await fetch(to("/echo", 302), { redirect: "manual" }); out.push(r.status, r.headers.get("location"));
try { await fetch(to("/echo", 302), { redirect: "error" }); } catch (e) { out.push(e.name); }
try { await fetch(base + "/loop"); } catch (e) { out.push(e.name); }
return Response.json(out);`);
    assert.deepEqual(res.json, [true, true, 'GET', '', 'POST', 'kept', 'GET', 302, '/echo', 'TypeError', 'TypeError']);
});

test('many at once share connections', async () => {
    const before = connections;
    const res = await inside(`
const all = await Promise.all(Array.from({ length: 30 }, (_, i) => fetch(base + "/echo", { method: "POST", body: String(i) }).then((r) => r.json())));
for (let i = 0; i < 20; i++) await (await fetch(base + "/echo")).text();
return Response.json(all.map((a) => a.body));`);
    assert.deepEqual(res.json, Array.from({ length: 30 }, (_, i) => String(i)));
    assert.ok(connections - before <= 30, `${connections - before} connections for 50 requests`);
});

test('abort ends the request at the origin, too', async () => {
    const res = await inside(`
const c = new AbortController();
setTimeout(() => c.abort(), 20);
try { await fetch(base + "/never", { signal: c.signal }); return new Response("?"); } catch (e) { return new Response(e.name); }`);
    assert.equal(res.text, 'AbortError');
    const { until } = await import('./harness.ts');
    await until('the origin sees it gone', () => abandoned.includes('/never'));
});

test('a request that ends with fetches open cancels them', async () => {
    abandoned.length = 0;
    const res = await inside('fetch(base + "/never").catch(() => {}); await new Promise((r) => setTimeout(r, 20)); return new Response("done");');
    assert.equal(res.text, 'done');
    const { until } = await import('./harness.ts');
    await until('the origin sees it gone', () => abandoned.includes('/never'));
});

test('failures are TypeErrors that say what failed', async () => {
    const res = await inside(`
const out = [];
for (const url of ["http://127.0.0.1:1/", "ftp://127.0.0.1/", "nonsense", "http://no-such-name.invalid/"]) {
    try { await fetch(url); out.push("?"); } catch (e) { out.push(e.name); }
}
try { await (await fetch(base + "/half")).text(); out.push("?"); } catch (e) { out.push(e.name); }
try { await fetch(base + "/echo", { method: "GET", body: "x" }); out.push("?"); } catch (e) { out.push(e.name); }
return Response.json(out);`);
    assert.deepEqual(res.json, ['TypeError', 'TypeError', 'TypeError', 'TypeError', 'TypeError', 'TypeError']);
});

test('an origin that answers without reading the body is fine', async () => {
    const res = await inside('const r = await fetch(base + "/early", { method: "POST", body: "x".repeat(10) }); return new Response(await r.text());');
    assert.equal(res.text, 'early');
});

test('an uncaught failure of fetch is the request\'s error', async () => {
    const res = await inside('await fetch("http://127.0.0.1:1/"); return new Response("?");');
    const e = errorOf(res, 500, 'guest_error');
    assert.match(e.message, /127\.0\.0\.1/);
});

test("derp's synchronous http", async () => {
    const s = await server();
    await s.deploy('derp-http', `
import { fetch, getJson } from "derp:runtime/http";
export const handler = { handle(req) {
    const a = fetch({ method: "POST", url: "http://127.0.0.1:${origin.port}/echo", headers: [["X-A", "1"]], body: "sync" });
    const b = getJson<{ method: string }>("http://127.0.0.1:${origin.port}/echo");
    let failed = "";
    try { fetch({ method: "GET", url: "http://127.0.0.1:1/", headers: [] }); } catch (e) { failed = String(e); }
    return { status: a.status, body: b.body.method, bStatus: b.status, failed: failed.length > 0 };
} };`);
    const runs = await Promise.all(Array.from({ length: 5 }, () => s.execute('derp-http')));
    for (const run of runs) assert.deepEqual(run.json.output, { status: 200, body: 'GET', bStatus: 200, failed: true }, run.text);
});

test("derp's synchronous http inside a transaction is refused before it sends anything", async () => {
    const s = await server();
    await s.deploy('derp-in-transaction', `
import { fetch } from "derp:runtime/http";
import { exec, transaction } from "derp:runtime/sql";
export const handler = { setup() { exec("CREATE TABLE t (n)"); }, handle(req) {
    const base = "http://127.0.0.1:${origin.port}", said = [];
    const attempt = (request) => { try { fetch(request); said.push("?"); } catch (e) { said.push(e.message); } };
    transaction(() => {
        exec("INSERT INTO t VALUES (1)");
        attempt(base + "/refused");
        attempt({ method: "POST", url: base + "/refused", body: "x".repeat(2 * 1024 * 1024) });
    });
    for (let i = 0; i < 5; i++) fetch(base + "/echo"); // what had left before would be there by now
    return { said, rows: exec("SELECT count(*) AS n FROM t").one().n };
} };`);
    const run = await s.execute('derp-in-transaction');
    const refusal = 'fetch may not wait inside a transaction; do it before or after';
    assert.deepEqual(run.json.output, { said: [refusal, refusal], rows: 1 }, run.text);
    assert.ok(!asked.includes('/refused'));
});
