// SPDX-License-Identifier: Apache-2.0
// Bodies of answers to fetch(): content codings undone as they are read, statuses that have none, and what a proxy passes on.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import { test } from 'node:test';
import zlib from 'node:zlib';
import { IS_ASAN, until, useServer, Origin } from './harness.ts';

const TEXT = Array.from({ length: 20_000 }, (_, i) => `line ${i}\n`).join('');
const coded: Record<string, Buffer> = {
    gzip: zlib.gzipSync(TEXT),
    'x-gzip': zlib.gzipSync(TEXT),
    deflate: zlib.deflateSync(TEXT),
    br: zlib.brotliCompressSync(TEXT),
    'gzip, br': zlib.brotliCompressSync(zlib.gzipSync(TEXT)),
    'utf-8': Buffer.from(TEXT),
    'aws-chunked': Buffer.from(TEXT),
    none: Buffer.from(TEXT),
    identity: Buffer.from(TEXT),
};
const ZEROS = 200 * 1024 * 1024;
const bomb = zlib.gzipSync(Buffer.alloc(ZEROS), { level: 9 });

let open = 0;

const origin = new Origin((req, res) => {
    const url = new URL(req.url!, 'http://origin');
    const coding = url.searchParams.get('coding')!;
    switch (url.pathname) {
    case '/coded':
        res.writeHead(200, { 'content-encoding': coding, 'content-length': coded[coding]!.length });
        res.end(coded[coding]);
        return;
    case '/cut':
        res.writeHead(200, { 'content-encoding': coding });
        res.end(coded[coding]!.subarray(0, -10));
        return;
    case '/bomb':
        res.writeHead(200, { 'content-encoding': 'gzip' });
        res.end(bomb);
        return;
    case '/lie':
        res.writeHead(200, { 'content-encoding': coding });
        res.end('this is no such thing');
        return;
    case '/status':
        res.writeHead(Number(url.searchParams.get('code')), { 'x-kept': 'yes' });
        res.end();
        return;
    case '/headers':
        res.end(JSON.stringify(req.headers));
        return;
    default:
        res.writeHead(200, { 'content-length': 9, etag: '"1"' });
        res.end('some text');
    }
});
origin.server.on('connection', (socket) => {
    open++;
    socket.on('close', () => open--);
});

const server = useServer(() => ({ args: ['--threads', '1', '--egress-allow', `127.0.0.1:${origin.port}`] }));

let serial = 0;
async function inside(body: string, options: Parameters<Awaited<ReturnType<typeof server>>['deploy']>[2] = {}, method = 'GET') {
    const s = await server();
    const name = `bodies-${serial++}`;
    await s.deploy(name, `const base = "http://127.0.0.1:${origin.port}";\nexport default { async fetch(request) { ${body} } };`, options);
    return s.request(name, '/', { method });
}

test('what content codings say is undone', async () => {
    for (const coding of ['gzip', 'x-gzip', 'deflate', 'br', 'gzip, br']) {
        const res = await inside(`
const r = await fetch(base + "/coded?coding=${encodeURIComponent(coding)}");
const text = await r.text();
return Response.json([text.length, text.slice(-9), r.headers.get("content-encoding"), r.headers.get("content-length")]);`);
        assert.deepEqual(res.json, [TEXT.length, TEXT.slice(-9), null, null], coding);
    }
});

test('a coding that is none, or not known, leaves the body as it is', async () => {
    for (const coding of ['utf-8', 'aws-chunked', 'none', 'identity']) {
        const res = await inside(`
const r = await fetch(base + "/coded?coding=${coding}");
return Response.json([(await r.text()).length, r.headers.get("content-encoding")]);`);
        assert.deepEqual(res.json, [TEXT.length, coding], coding);
    }
});

test('a decoded body can be passed on with the headers that came', async () => {
    for (const answer of ['return r;', 'return new Response(r.body, r);', 'return new Response(await r.text(), { headers: r.headers });',
        'return new Response(r.body.pipeThrough(new TransformStream()), r);']) {
        const res = await inside(`const r = await fetch(base + "/coded?coding=gzip"); ${answer}`);
        assert.equal(res.status, 200);
        assert.equal(res.headers['content-encoding'], undefined);
        assert.ok(res.text === TEXT, `${answer}: ${res.text.length} bytes`);
    }
});

test('codings are asked for, unless the function says which', async () => {
    const res = await inside(`
const a = await (await fetch(base + "/headers")).json();
const b = await (await fetch(base + "/headers", { headers: { "accept-encoding": "identity" } })).json();
return Response.json([a["accept-encoding"], b["accept-encoding"]]);`);
    assert.deepEqual(res.json, ['gzip, deflate, br, zstd', 'identity']);
});

test('data that is cut or something else is an error that says so', async () => {
    for (const coding of ['gzip', 'deflate', 'br']) {
        for (const path of ['cut', 'lie']) {
            const res = await inside(`
const r = await fetch(base + "/${path}?coding=${coding}");
try { return new Response("read " + (await r.text()).length); } catch (e) { return Response.json([r.status, e.name, e.message]); }`);
            const [status, name, message] = res.json;
            assert.deepEqual([status, name], [200, 'TypeError']);
            assert.match(message, new RegExp(`content-encoding: ${coding}`), path);
        }
    }
});

test('an answer that unpacks to more than memory can be read piece by piece', async () => {
    const res = await inside(`
const r = await fetch(base + "/bomb");
let n = 0, largest = 0;
for await (const chunk of r.body) { n += chunk.length; largest = Math.max(largest, chunk.length); }
return Response.json([n, largest <= 65536]);`, { cpu_ms: 60_000, wall_ms: 300_000 });
    assert.deepEqual(res.json, [ZEROS, true]);
    const all = await inside('return new Response(String((await (await fetch(base + "/bomb")).arrayBuffer()).byteLength));', { cpu_ms: 60_000, wall_ms: 300_000 });
    assert.equal(all.status, 500, 'it does not fit');
});

test('answers that nobody reads are not unpacked', { skip: IS_ASAN && 'the sanitizer has memory of its own' }, async () => {
    const s = await server();
    const name = `bodies-${serial++}`;
    await s.deploy(name, `
export default { async fetch(request) {
    if (new URL(request.url).pathname === "/warm") return new Response("");
    const all = await Promise.all(Array.from({ length: 20 }, () => fetch("http://127.0.0.1:${origin.port}/bomb")));
    await (await fetch("http://127.0.0.1:${origin.port}/")).text();
    return new Response(new ReadableStream({ start(c) { c.enqueue(new TextEncoder().encode("open " + all.length)); } }));
} };`, { memory_mb: 64 });
    await s.request(name, '/warm');
    const idle = s.rssBytes();
    const stop = new AbortController();
    const req = http.get({ host: '127.0.0.1', port: s.httpPort, headers: { host: s.host(name) }, agent: false, signal: stop.signal });
    const [answer] = await once(req, 'response');
    const [first] = await once(answer, 'data');
    assert.equal(String(first), 'open 20');
    const grown = (s.rssBytes() - idle) / 1024 / 1024;
    assert.ok(grown < 80, `${grown} MiB more`);
    req.on('error', () => {});
    answer.on('error', () => {});
    stop.abort();
    await until('the origin sees them closed', () => open <= 2);
});

test('statuses without a body, and HEAD, have none', async () => {
    for (const code of [204, 205, 304]) {
        const res = await inside(`
const r = await fetch(base + "/status?code=${code}");
const isNull = r.body === null, copy = r.clone();
return new Response(r.body, { status: r.status, headers: { ...Object.fromEntries(r.headers), "x-null": String(isNull && copy.body === null), "x-text": (await copy.text()) + "." } });`);
        assert.equal(res.status, code);
        assert.equal(res.headers['x-null'], 'true');
        assert.equal(res.headers['x-text'], '.');
        const proxied = await inside(`const r = await fetch(base + "/status?code=${code}"); return new Response(r.body, r);`);
        assert.deepEqual([proxied.status, proxied.headers['x-kept'], proxied.text], [code, 'yes', '']);
        assert.equal((await inside(`return fetch(base + "/status?code=${code}");`)).status, code);
    }
    const head = await inside(`
const r = await fetch(base + "/", { method: "HEAD" });
return Response.json([r.body, await r.text(), r.headers.get("content-length"), r.headers.get("etag")]);`);
    assert.deepEqual(head.json, [null, '', '9', '"1"']);
    const coding = await inside('const r = await fetch(base + "/coded?coding=gzip", { method: "HEAD" }); return Response.json([r.body, r.headers.get("content-encoding")]);');
    assert.deepEqual(coding.json, [null, 'gzip']);
    const empty = await inside('const r = await fetch(base + "/status?code=200"); return Response.json([r.body === null, await r.text()]);');
    assert.deepEqual(empty.json, [false, '']);
});
