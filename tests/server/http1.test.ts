// SPDX-License-Identifier: Apache-2.0
// HTTP/1.1 on the wire: keep-alive, pipelining, chunked bodies, HEAD, Expect, and how malformed requests are refused.
import assert from 'node:assert/strict';
import http from 'node:http';
import { test } from 'node:test';
import { type Server, useServer } from './harness.ts';

const server = useServer();

const ECHO = `
export default {
    async fetch(request) {
        const url = new URL(request.url);
        if (url.pathname === "/slow") await new Promise((r) => setTimeout(r, 50));
        if (url.pathname === "/empty") return new Response(null, { status: 204 });
        if (url.pathname === "/cookies") {
            const headers = new Headers();
            headers.append("set-cookie", "a=1");
            headers.append("set-cookie", "b=2; Path=/");
            headers.append("x-list", "one");
            headers.append("x-list", "two");
            return new Response("ok", { headers });
        }
        return Response.json({ method: request.method, url: request.url, path: url.pathname + url.search, headers: Object.fromEntries(request.headers), body: await request.text() });
    },
};`;

async function echo(): Promise<Server> {
    const s = await server();
    await s.deploy('echo', ECHO); // the same code makes no new version
    return s;
}

/** Splits a stream of answers that have a Content-Length. */
function answers(text: string): { status: number; head: string; body: string }[] {
    const found = [];
    for (let rest = text; rest !== ''; ) {
        const end = rest.indexOf('\r\n\r\n');
        assert.ok(end > 0, `no head in ${JSON.stringify(rest)}`);
        const head = rest.slice(0, end);
        const length = Number(/^content-length: (\d+)/im.exec(head)?.[1] ?? 0);
        found.push({ status: Number(head.split(' ')[1]), head, body: rest.slice(end + 4, end + 4 + length) });
        rest = rest.slice(end + 4 + length);
    }
    return found;
}

test('a connection serves many requests', async () => {
    const s = await echo();
    const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
    let created = 0;
    const createConnection = (agent as any).createConnection;
    (agent as any).createConnection = function (...args: unknown[]) {
        created++;
        return createConnection.apply(this, args);
    };
    for (let i = 0; i < 10; i++) {
        const res = await s.request('echo', `/p?i=${i}`, { agent, headers: { 'X-Thing': `v${i}` } });
        assert.equal(res.status, 200);
        assert.equal(res.headers['content-type'], 'application/json');
        assert.equal(res.json.path, `/p?i=${i}`);
        assert.equal(res.json.url, `http://echo.localhost:${s.httpPort}/p?i=${i}`);
        assert.equal(res.json.headers['x-thing'], `v${i}`);
    }
    assert.equal(created, 1);
    agent.destroy();
});

test('pipelined requests are answered in their order', async () => {
    const s = await echo();
    const c = await s.connect();
    const head = `Host: ${s.host('echo')}\r\n`;
    c.write(
        `GET /slow HTTP/1.1\r\n${head}\r\n` +
        `POST /b HTTP/1.1\r\n${head}Content-Length: 5\r\n\r\nhello` +
        `GET /c HTTP/1.1\r\n${head}\r\n` +
        `POST /d HTTP/1.1\r\n${head}Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n` +
        `GET /e HTTP/1.1\r\n${head}Connection: close\r\n\r\n`,
    );
    const got = answers(await c.closed());
    assert.deepEqual(got.map((a) => [a.status, JSON.parse(a.body).path, JSON.parse(a.body).body]),
        [[200, '/slow', ''], [200, '/b', 'hello'], [200, '/c', ''], [200, '/d', 'abcde'], [200, '/e', '']]);
    assert.match(got[4]!.head, /^connection: close$/im);
});

test('many pipelined requests do not get lost', async () => {
    const s = await echo();
    const c = await s.connect();
    const count = 300;
    let text = '';
    for (let i = 0; i < count; i++) text += `GET /${i} HTTP/1.1\r\nHost: ${s.host('echo')}\r\n${i === count - 1 ? 'Connection: close\r\n' : ''}\r\n`;
    c.write(text);
    const got = answers(await c.closed());
    assert.deepEqual(got.map((a) => JSON.parse(a.body).path), Array.from({ length: count }, (_, i) => `/${i}`));
});

test('a request that arrives byte by byte is understood', async () => {
    const s = await echo();
    const c = await s.connect();
    c.socket.setNoDelay(true);
    for (const byte of `POST /bytes HTTP/1.1\r\nHost: ${s.host('echo')}\r\nContent-Length: 3\r\nConnection: close\r\n\r\nxyz`) {
        c.write(byte);
        await new Promise((resolve) => setImmediate(resolve));
    }
    const got = answers(await c.closed());
    assert.equal(JSON.parse(got[0]!.body).body, 'xyz');
});

test('HEAD has the headers and no body; 204 has none', async () => {
    const s = await echo();
    const c = await s.connect();
    c.write(`HEAD / HTTP/1.1\r\nHost: ${s.host('echo')}\r\n\r\nGET /empty HTTP/1.1\r\nHost: ${s.host('echo')}\r\nConnection: close\r\n\r\n`);
    const text = await c.closed();
    const [head, empty, rest] = text.split('\r\n\r\n');
    assert.match(head!, /^HTTP\/1\.1 200 /);
    assert.match(empty!, /^HTTP\/1\.1 204 /);
    assert.doesNotMatch(empty!, /content-length: [1-9]/i);
    assert.equal(rest, '');
});

test('HTTP/1.0 is answered and closed', async () => {
    const s = await echo();
    const c = await s.connect();
    c.write(`GET /old HTTP/1.0\r\nHost: ${s.host('echo')}\r\n\r\n`);
    assert.equal(JSON.parse(answers(await c.closed())[0]!.body).path, '/old');
});

test('Expect: 100-continue is answered before the body is sent', async () => {
    const s = await echo();
    const c = await s.connect();
    c.write(`POST /expect HTTP/1.1\r\nHost: ${s.host('echo')}\r\nContent-Length: 4\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n`);
    await c.match(/^HTTP\/1\.1 100 Continue\r\n\r\n/);
    c.write('body');
    const text = (await c.closed()).replace(/^HTTP\/1\.1 100 Continue\r\n\r\n/, '');
    assert.equal(JSON.parse(answers(text)[0]!.body).body, 'body');
});

test('repeated headers stay apart where they must', async () => {
    const s = await echo();
    const res = await s.request('echo', '/cookies');
    assert.deepEqual(res.headers['set-cookie'], ['a=1', 'b=2; Path=/']);
    assert.equal(res.headers['x-list'], 'one, two');
    assert.ok(res.headers.date);
});

for (const [what, request] of Object.entries({
    'no HTTP at all': 'hello there\r\n\r\n',
    'a space in a header name': 'GET / HTTP/1.1\r\nHost: x\r\nBad Header: 1\r\n\r\n',
    'no Host': 'GET / HTTP/1.1\r\n\r\n',
    'two Hosts': 'GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n',
    'a bad Content-Length': 'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1x\r\n\r\n',
    'two Content-Lengths': 'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab',
    'Content-Length beside chunked': 'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    'a bad chunk size': 'POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n',
    'an unknown transfer coding': 'POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n',
    'a header with a NUL': 'GET / HTTP/1.1\r\nHost: x\r\nA: b\0c\r\n\r\n',
})) {
    test(`malformed: ${what}`, async () => {
        const s = await echo();
        const c = await s.connect();
        c.write(request.replaceAll('Host: x', `Host: ${s.host('echo')}`));
        const text = await c.closed(); // a connection that cannot be understood any more is closed
        assert.match(text, /^HTTP\/1\.1 (400|501) /);
        const body = JSON.parse(text.slice(text.indexOf('\r\n\r\n') + 4));
        assert.equal(typeof body.error.code, 'string');
        assert.equal(typeof body.error.message, 'string');
    });
}

test('after all that the server still answers', async () => {
    const s = await echo();
    assert.equal((await s.request('echo', '/still')).json.path, '/still');
});
