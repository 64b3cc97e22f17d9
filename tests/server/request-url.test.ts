// SPDX-License-Identifier: Apache-2.0
// request.url is what new URL() makes of it, and the same host decides which function answers.
import assert from 'node:assert/strict';
import http2 from 'node:http2';
import { test } from 'node:test';
import { type Server, useServer } from './harness.ts';

const server = useServer();

const SHOW = 'export default { fetch: (q) => Response.json([q.url, new URL(q.url).href, q.headers.get("host")]) };';

async function deployed(): Promise<Server> {
    const s = await server();
    await s.deploy('norm', SHOW);
    await s.deploy('other', SHOW);
    return s;
}

async function raw(s: Server, target: string, host: string): Promise<{ status: number; json: any }> {
    const c = await s.connect();
    c.write(`GET ${target} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`);
    const text = await c.closed();
    return { status: Number(text.slice(9, 12)), json: JSON.parse(text.slice(text.indexOf('\r\n\r\n') + 4).replace(/^[0-9a-f]+\r\n/, '').replace(/\r\n0\r\n\r\n$/, '')) };
}

const CASES: [target: string, host: string, url: string][] = [
    ['/admin', 'norm.localhost', 'http://norm.localhost/admin'],
    ['/a/../admin', 'norm.localhost', 'http://norm.localhost/admin'],
    ['/%2e%2e/admin', 'norm.localhost', 'http://norm.localhost/admin'],
    ['/a/%2E./%2e/admin?x=/../y', 'norm.localhost', 'http://norm.localhost/admin?x=/../y'],
    ['/static\\..\\admin', 'norm.localhost', 'http://norm.localhost/admin'],
    ['/a/../../..', 'norm.localhost', 'http://norm.localhost/'],
    ['/admin', 'NORM.localhost:80', 'http://norm.localhost/admin'],
    ['/a/../admin', 'Norm.LocalHost:8080', 'http://norm.localhost:8080/admin'],
    ['/', 'norm.localhost:08080', 'http://norm.localhost:8080/'],
    ['/', 'norm.localhost:', 'http://norm.localhost/'],
    ['/', '%6eorm.localhost', 'http://norm.localhost/'],
    ['/"<>', 'norm.localhost', 'http://norm.localhost/%22%3C%3E'],
    ['//evil.example/x', 'norm.localhost', 'http://norm.localhost//evil.example/x'],
    ['/.well-known/x', 'norm.localhost', 'http://norm.localhost/.well-known/x'],
    ['http://NORM.localhost:80/a/../b', 'norm.localhost', 'http://norm.localhost/b'],
    ['/?', 'norm.localhost', 'http://norm.localhost/?'],
    ['/%C3%A9?q=%zz', 'norm.localhost', 'http://norm.localhost/%C3%A9?q=%zz'],
];

test('target and host are normalized, the host header is not', async () => {
    const s = await deployed();
    for (const [target, host, url] of CASES) {
        const { status, json } = await raw(s, target, host);
        assert.equal(status, 200, `${target} ${host}: ${JSON.stringify(json)}`);
        assert.deepEqual(json.slice(0, 2), [url, url], `${target} ${host}`);
        if (!target.startsWith('http')) assert.equal(json[2], host);
    }
});

test('the same over HTTP/2', async () => {
    const s = await deployed();
    const session = http2.connect(`http://127.0.0.1:${s.httpPort}`);
    try {
        for (const [target, host, url] of CASES.filter(([t]) => t.startsWith('/'))) {
            const stream = session.request({ ':path': target, ':authority': host });
            let text = '';
            stream.setEncoding('utf8');
            for await (const part of stream) text += part;
            assert.deepEqual(JSON.parse(text).slice(0, 2), [url, url], `${target} ${host}`);
        }
    } finally {
        session.destroy();
    }
});

test('what no URL can be made of is refused', async () => {
    const s = await deployed();
    for (const host of ['norm.localhost:99999', 'norm.localhost:x', 'norm:1:2', '[::1', '[norm].localhost', '%zz.localhost', '1.2.3.999', 'xn--a.localhost', ':80']) {
        const { status, json } = await raw(s, '/', host);
        assert.equal(status, 400, `${host}: ${JSON.stringify(json)}`);
        assert.equal(json.error.code, 'invalid');
        assert.match(json.error.message, /URL|host/);
    }
});
