// SPDX-License-Identifier: Apache-2.0
// Bodies stream both ways with back-pressure: a gibibyte passes through a function that pipes it, and the server
// stays small; what a client does not read is not produced.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import { test } from 'node:test';
import { errorOf, IS_ASAN, type Server, until, useServer } from './harness.ts';

const server = useServer({ args: ['--threads', '1'] });
const MIB = 1 << 20;
/** The gibibyte; a sanitizer build gets less, for time. */
const TOTAL = (IS_ASAN ? 64 : 1024) * MIB;

const STREAMS = `
export default {
    async fetch(request) {
        const url = new URL(request.url);
        if (url.pathname === "/pipe") return new Response(request.body);
        if (url.pathname === "/through") {
            const { readable, writable } = new TransformStream();
            request.body.pipeTo(writable);
            return new Response(readable);
        }
        if (url.pathname === "/count") {
            let count = 0;
            for await (const chunk of request.body) count += chunk.byteLength;
            return Response.json({ count });
        }
        if (url.pathname === "/produce") {
            const total = Number(url.searchParams.get("total"));
            const chunk = new Uint8Array(65536).fill(97);
            let sent = 0;
            return new Response(new ReadableStream({
                pull(controller) {
                    if (sent >= total) return controller.close();
                    controller.enqueue(chunk.slice());
                    sent += chunk.byteLength;
                    if (sent % (1 << 20) === 0 && url.searchParams.has("log")) console.log(url.searchParams.get("log") + " " + sent);
                },
            }));
        }
        if (url.pathname === "/echo") {
            const reader = request.body.getReader();
            return new Response(new ReadableStream({
                async pull(controller) {
                    const { value, done } = await reader.read();
                    if (done) controller.close();
                    else controller.enqueue(new TextEncoder().encode(new TextDecoder().decode(value).toUpperCase()));
                },
            }));
        }
        if (url.pathname === "/fails") {
            let n = 0;
            return new Response(new ReadableStream({ pull(c) { if (n++ < 3) c.enqueue(new Uint8Array(10)); else c.error(new Error("midway")); } }));
        }
        if (url.pathname === "/wait") {
            let timer;
            const body = new ReadableStream({
                start(c) { c.enqueue(new TextEncoder().encode("first ")); timer = setTimeout(() => { c.enqueue(new TextEncoder().encode("second")); c.close(); }, 50); },
            });
            return new Response(body);
        }
        return new Response("?", { status: 404 });
    },
};`;

async function deployed(): Promise<Server> {
    const s = await server();
    await s.deploy('streams', STREAMS, { cpu_ms: 600_000, wall_ms: 600_000 });
    return s;
}

/** Sends total bytes and reads the whole answer, checking bytes as they come; returns the peak of resident memory. */
async function passThrough(s: Server, path: string, total: number): Promise<{ received: number; peak: number }> {
    const chunk = Buffer.alloc(MIB);
    for (let i = 0; i < MIB; i++) chunk[i] = i % 251;
    const req = http.request({ host: '127.0.0.1', port: s.httpPort, path, method: 'POST', headers: { host: s.host('streams'), 'content-length': total } });
    const sending = (async () => {
        for (let sent = 0; sent < total; sent += MIB) if (!req.write(chunk)) await once(req, 'drain');
        req.end();
    })();
    const [res] = (await once(req, 'response')) as [http.IncomingMessage];
    assert.equal(res.statusCode, 200);
    let received = 0;
    let peak = 0;
    let samples = 0;
    for await (const data of res as AsyncIterable<Buffer>) {
        assert.equal(data[0], (received % MIB) % 251, `byte ${received}`);
        received += data.length;
        if (samples++ % 64 === 0) peak = Math.max(peak, s.rssBytes());
    }
    await sending;
    return { received, peak };
}

for (const path of ['/pipe', '/through']) {
    test(`${TOTAL / MIB} MiB up and down through ${path} at once, in little memory`, async () => {
        const s = await deployed();
        const total = path === '/pipe' ? TOTAL : TOTAL / 4;
        const { received, peak } = await passThrough(s, path, total);
        assert.equal(received, total);
        if (!IS_ASAN) assert.ok(peak < 100e6, `resident memory reached ${peak}`);
    });
}

test('a large upload is counted, a large download is produced', async () => {
    const s = await deployed();
    const total = TOTAL / 4;
    const body = async function* () {
        const chunk = Buffer.alloc(MIB, 'x');
        for (let sent = 0; sent < total; sent += MIB) yield chunk;
    };
    const up = await s.request('streams', '/count', { method: 'POST', body: body() });
    assert.deepEqual(up.json, { count: total });
    const down = http.get({ host: '127.0.0.1', port: s.httpPort, path: `/produce?total=${total}`, headers: { host: s.host('streams') } });
    const [res] = (await once(down, 'response')) as [http.IncomingMessage];
    assert.equal(res.headers['transfer-encoding'], 'chunked');
    let received = 0;
    for await (const data of res as AsyncIterable<Buffer>) received += data.length;
    assert.equal(received, total);
    if (!IS_ASAN) assert.ok(s.rssBytes() < 100e6);
});

test('chunks are answered as they come, not at the end', async () => {
    const s = await deployed();
    const req = http.request({ host: '127.0.0.1', port: s.httpPort, path: '/echo', method: 'POST', headers: { host: s.host('streams') } });
    req.write('one');
    const [res] = (await once(req, 'response')) as [http.IncomingMessage];
    res.setEncoding('utf8');
    const read = res[Symbol.asyncIterator]();
    assert.equal((await read.next()).value, 'ONE');
    req.write('two');
    assert.equal((await read.next()).value, 'TWO');
    req.end('three');
    assert.equal((await read.next()).value, 'THREE');
    assert.equal((await read.next()).done, true);
});

test('a body that the guest ends later stays open until then', async () => {
    const s = await deployed();
    assert.equal((await s.request('streams', '/wait')).text, 'first second');
});

test('a client that does not read stops the producer', async () => {
    const s = await deployed();
    const count = async () => ((await s.api('GET', '/functions/streams/logs?limit=1000')).json as { text: string }[]).filter((l) => l.text.startsWith('stalled')).length;
    const c = await s.connect();
    c.socket.pause();
    c.write(`GET /produce?log=stalled&total=${1 << 30} HTTP/1.1\r\nHost: ${s.host('streams')}\r\n\r\n`);
    // What is produced is logged, so it can be watched coming to rest: socket buffers and the queue are full.
    let last = -1;
    let same = 0;
    await until('the producer rests', async () => {
        const now = await count();
        same = now === last ? same + 1 : 0;
        last = now;
        return same >= 10;
    });
    assert.ok(last < 64, `${last} MiB were produced for a client that reads nothing`);
    if (!IS_ASAN) assert.ok(s.rssBytes() < 150e6);
    c.destroy();
    assert.equal((await s.request('streams', '/wait')).status, 200);
});

test('a body that fails midway breaks off, so that the client does not take it for whole', async () => {
    const s = await deployed();
    await assert.rejects(s.request('streams', '/fails'), /aborted|ECONNRESET|hang up/i);
});

test('a client that goes away frees the request', async () => {
    const s = await deployed();
    const before = s.openFiles();
    for (let i = 0; i < 20; i++) {
        const c = await s.connect();
        c.write(`POST /count HTTP/1.1\r\nHost: ${s.host('streams')}\r\nContent-Length: 1000000\r\n\r\npart`);
        c.socket.end();
        c.destroy();
    }
    await until('descriptors are back', () => s.openFiles() <= before + 2);
    assert.equal((await s.request('streams', '/wait')).status, 200);
});

test('reading a body twice, or after it was piped, is the guest\'s TypeError', async () => {
    const s = await deployed();
    await s.deploy('twice', 'export default { async fetch(request) { await request.text(); try { await request.text(); } catch (e) { return new Response(e.name); } return new Response("no"); } };');
    assert.equal((await s.request('twice', '/', { method: 'POST', body: 'x' })).text, 'TypeError');
    await s.deploy('pipes-twice', 'export default { async fetch(request) { const a = new Response(request.body); return new Response(request.body); } };');
    const res = await s.request('pipes-twice', '/', { method: 'POST', body: 'x' });
    assert.ok([200, 500].includes(res.status));
    if (res.status === 500) errorOf(res, 500, 'guest_error');
});
