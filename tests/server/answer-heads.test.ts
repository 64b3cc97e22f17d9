// SPDX-License-Identifier: Apache-2.0
// What the head of an answer says: the length of a body that HEAD does not get, the status text, and a length that
// the body does not keep.
import assert from 'node:assert/strict';
import http2 from 'node:http2';
import { test } from 'node:test';
import { type Server, until, useServer } from './harness.ts';

const server = useServer();

const HEADS = `
const chunks = (...parts) => new ReadableStream({ start(c) { for (const p of parts) c.enqueue(new TextEncoder().encode(p)); c.close(); } });
export default { fetch(request) {
    const of = (n) => ({ headers: { "content-length": String(n) } });
    switch (new URL(request.url).pathname) {
    case "/head": return new Response(null, of(1000));
    case "/text": return new Response("12345");
    case "/stream": return new Response(chunks("12345"), of(5));
    case "/short": return new Response(chunks("01234"), of(10));
    case "/long": return new Response(chunks("01234", "56789", "x"), of(10));
    case "/teapot": return new Response("tea", { status: 418, statusText: "I'm a Teapot" });
    case "/paid": return new Response(null, { status: 402, statusText: "Zahlung f\\u00e4llig" });
    case "/own": return new Response("x", { statusText: "Fine" });
    case "/usual": return new Response("x", { status: 404 });
    }
} };`;

async function raw(s: Server, method: string, path: string): Promise<string> {
    const c = await s.connect();
    c.write(`${method} ${path} HTTP/1.1\r\nHost: heads.localhost\r\nConnection: close\r\n\r\n`);
    return c.closed();
}

test('HEAD keeps the length that is stated', async () => {
    const s = await server();
    await s.deploy('heads', HEADS);
    for (const [path, length] of [['/head', 1000], ['/text', 5], ['/stream', 5]] as const) {
        const text = await raw(s, 'HEAD', path);
        assert.match(text, new RegExp(`\r\ncontent-length: ${length}\r\n`), path);
        assert.match(text, /\r\n\r\n$/);
        const session = http2.connect(`http://127.0.0.1:${s.httpPort}`);
        const stream = session.request({ ':method': 'HEAD', ':path': path, ':authority': 'heads.localhost' });
        const head: any = await new Promise((resolve, reject) => stream.on('response', resolve).on('error', reject));
        assert.equal(head['content-length'], String(length), path);
        session.destroy();
    }
    assert.match(await raw(s, 'GET', '/head'), /\r\ncontent-length: 0\r\n/);
});

test('statusText is the reason phrase', async () => {
    const s = await server();
    await s.deploy('heads', HEADS);
    for (const [path, line] of [['/teapot', "418 I'm a Teapot"], ['/paid', '402 Zahlung f\u00e4llig'], ['/own', '200 Fine'], ['/usual', '404 Not Found'], ['/text', '200 OK']] as const)
        assert.equal((await raw(s, 'GET', path)).split('\r\n')[0], `HTTP/1.1 ${line}`);
});

test('a stream that is not as long as its content-length is logged with both', async () => {
    const s = await server();
    await s.deploy('heads', HEADS);
    for (const [path, came] of [['/short', 'only 5 '], ['/long', 'at least 11 ']] as const) {
        await raw(s, 'GET', path);
        const line: any = await until(`a line about ${path}`, async () => (await s.api('GET', '/functions/heads/logs')).json.find((l: any) => l.text.includes(came)));
        assert.match(line.text, /content-length promised 10 bytes/);
        assert.equal(line.level, 'error');
    }
});
