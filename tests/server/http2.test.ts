// SPDX-License-Identifier: Apache-2.0
// HTTP/2 in clear text with prior knowledge.
import assert from 'node:assert/strict';
import http2 from 'node:http2';
import { test } from 'node:test';
import { type Server, useServer } from './harness.ts';

const server = useServer();

interface H2Answer {
    status: number;
    headers: http2.IncomingHttpHeaders & http2.IncomingHttpStatusHeader;
    body: Buffer;
}

function h2(session: http2.ClientHttp2Session, authority: string, path: string, body?: Buffer | string, headers: http2.OutgoingHttpHeaders = {}): Promise<H2Answer> {
    return new Promise((resolve, reject) => {
        const stream = session.request({ ':authority': authority, ':path': path, ':method': body === undefined ? 'GET' : 'POST', ...headers });
        let head: any;
        const chunks: Buffer[] = [];
        stream.on('response', (h) => (head = h));
        stream.on('data', (d: Buffer) => chunks.push(d));
        stream.on('end', () => resolve({ status: head?.[':status'], headers: head, body: Buffer.concat(chunks) }));
        stream.on('error', reject);
        stream.end(body);
    });
}

const ECHO = `
export default {
    async fetch(request) {
        const url = new URL(request.url);
        if (url.pathname === "/stream") return new Response(request.body);
        if (url.pathname === "/wait") await new Promise((r) => setTimeout(r, 200));
        return Response.json({ path: url.pathname, method: request.method, host: url.host, headers: Object.fromEntries(request.headers), body: await request.text() });
    },
};`;

async function withSession(fn: (s: Server, session: http2.ClientHttp2Session) => Promise<void>): Promise<void> {
    const s = await server();
    await s.deploy('echo', ECHO);
    const session = http2.connect(`http://127.0.0.1:${s.httpPort}`);
    session.on('error', () => {}); // shows in the requests
    try {
        await fn(s, session);
    } finally {
        session.destroy();
    }
}

test('requests and bodies go there and back', () => withSession(async (s, session) => {
    const get = await h2(session, s.host('echo'), '/a?b=c', undefined, { 'x-thing': 'v', cookie: 'a=1; b=2' });
    assert.equal(get.status, 200);
    const seen = JSON.parse(get.body.toString());
    assert.equal(seen.path, '/a');
    assert.equal(seen.host, s.host('echo'));
    assert.equal(seen.headers['x-thing'], 'v');
    assert.equal(seen.headers.cookie, 'a=1; b=2');
    const post = await h2(session, s.host('echo'), '/b', 'hello');
    assert.equal(JSON.parse(post.body.toString()).body, 'hello');
}));

test('streams on one connection run side by side', () => withSession(async (s, session) => {
    const began = Date.now();
    let waiting = true;
    const wait = h2(session, s.host('echo'), '/wait').finally(() => (waiting = false));
    const quick = await Promise.all(Array.from({ length: 50 }, (_, i) => h2(session, s.host('echo'), `/${i}`)));
    assert.ok(waiting || Date.now() - began >= 200, 'quick ones do not wait for the slow one');
    assert.deepEqual(quick.map((a) => JSON.parse(a.body.toString()).path), quick.map((_, i) => `/${i}`));
    assert.equal((await wait).status, 200);
}));

test('large bodies pass through flow control', () => withSession(async (s, session) => {
    const body = Buffer.alloc(3_000_000, 'abcdefghij');
    const answer = await h2(session, s.host('echo'), '/stream', body);
    assert.equal(answer.status, 200);
    assert.ok(answer.body.equals(body));
}));

test('a stream that the client resets harms no other', () => withSession(async (s, session) => {
    const doomed = session.request({ ':authority': s.host('echo'), ':path': '/wait', ':method': 'GET' });
    const closed = new Promise((resolve) => doomed.on('close', resolve));
    doomed.on('error', () => {});
    doomed.close(http2.constants.NGHTTP2_CANCEL);
    await closed;
    assert.equal((await h2(session, s.host('echo'), '/after')).status, 200);
}));

test('an unknown name is a 404 on its stream only', () => withSession(async (s, session) => {
    const answer = await h2(session, s.host('nobody'), '/');
    assert.equal(answer.status, 404);
    assert.equal(JSON.parse(answer.body.toString()).error.code, 'not_found');
    assert.equal((await h2(session, s.host('echo'), '/')).status, 200);
}));

test('a client that speaks nonsense after the preface is told to go', async () => {
    const s = await server();
    const c = await s.connect();
    c.write(Buffer.concat([Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'), Buffer.alloc(64, 0xff)]));
    await c.closed();
    assert.equal((await s.request('echo', '/')).status, 200);
});
