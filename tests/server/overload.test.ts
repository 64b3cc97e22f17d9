// SPDX-License-Identifier: Apache-2.0
// Under more load than it takes, the server refuses with 503 and Retry-After; nothing queues without end, and clients
// that are slow or idle are let go.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { errorOf, until, useServer } from './harness.ts';

const server = useServer({ args: ['--threads', '1', '--isolates-max', '4', '--queue-max', '2'] });

const SLOW = 'export default { async fetch() { console.log("begun"); await new Promise((r) => setTimeout(r, 400)); return new Response("slow"); } };';
const HELLO = 'export default { fetch() { return new Response("hello"); } };';

test('above isolates and queue: 503 with Retry-After, then well again', async () => {
    const s = await server();
    await s.deploy('slow', SLOW);
    const answers = await Promise.all(Array.from({ length: 20 }, () => s.request('slow')));
    const refused = answers.filter((a) => a.status === 503);
    const served = answers.filter((a) => a.status === 200);
    assert.equal(refused.length + served.length, 20);
    assert.ok(served.length >= 6, `${served.length} served`);
    assert.ok(refused.length >= 1, 'some refused');
    for (const r of refused) {
        errorOf(r, 503, 'overload');
        assert.ok(Number(r.headers['retry-after']) > 0);
    }
    assert.equal((await s.request('slow')).text, 'slow');
});

test('the first request of a version with setup() waits for an isolate, as others do', async () => {
    const s = await server();
    const lines = async () => (await s.api('GET', '/functions/slow/logs?limit=1000')).json.length;
    await s.deploy('prepared', 'let n = 0; export function setup() { n++; } export default { fetch: () => new Response("prepared") };');
    const before = await lines();
    const busy = Array.from({ length: 4 }, () => s.request('slow'));
    await until('all isolates are busy', async () => (await lines()) >= before + 4);
    const first = await Promise.all([s.request('prepared'), s.request('prepared')]);
    for (const answer of first) assert.deepEqual([answer.status, answer.text], [200, 'prepared']);
    for (const answer of await Promise.all(busy)) assert.equal(answer.status, 200);
});

test('idle isolates of one function make room for another', async () => {
    const s = await server();
    await s.deploy('other', HELLO);
    for (const name of ['slow', 'other', 'slow', 'other']) {
        const answers = await Promise.all(Array.from({ length: 4 }, () => s.request(name)));
        assert.deepEqual(answers.map((a) => a.status), [200, 200, 200, 200]);
    }
});

test('a client that goes away while it waits in the queue frees its place', async () => {
    const s = await server();
    const before = (await s.api('GET', '/functions/slow/logs?limit=1000')).json.length;
    const running = Array.from({ length: 4 }, () => s.request('slow'));
    await until('four run', async () => (await s.api('GET', '/functions/slow/logs?limit=1000')).json.length >= before + 4);
    const gone = await Promise.all([s.connect(), s.connect()]);
    for (const c of gone) {
        c.write(`GET / HTTP/1.1\r\nHost: ${s.host('slow')}\r\n\r\n`);
        c.socket.resetAndDestroy();
    }
    assert.deepEqual((await Promise.all(running)).map((a) => a.status), [200, 200, 200, 200]);
    assert.equal((await s.request('other')).text, 'hello');
});

const bounded = useServer({ args: ['--threads', '1', '--connections-max', '8', '--body-max', '1000', '--head-timeout-ms', '300', '--idle-timeout-ms', '300', '--body-timeout-ms', '300'] });
const COUNT = 'export default { async fetch(request) { return new Response(String((await request.text()).length)); } };';

test('connections above the limit are not kept, and room is made again', async () => {
    const s = await bounded();
    await s.deploy('count', COUNT);
    const many = await Promise.all(Array.from({ length: 30 }, () => s.connect()));
    await until('the server has closed what is too many', () => many.filter((c) => c.ended).length >= 22);
    for (const c of many) c.destroy();
    await until('there is room again', () => s.request('count').then((r) => r.status === 200, () => false));
});

test('a body above --body-max: 413, announced or chunked', async () => {
    const s = await bounded();
    await s.deploy('count', COUNT);
    errorOf(await s.request('count', '/', { method: 'POST', body: 'x'.repeat(2000) }), 413, 'too_large');
    const c = await s.connect();
    c.write(`POST / HTTP/1.1\r\nHost: ${s.host('count')}\r\nTransfer-Encoding: chunked\r\n\r\n`);
    for (let i = 0; i < 20; i++) c.write(`64\r\n${'x'.repeat(100)}\r\n`);
    assert.match(await c.closed(), /^HTTP\/1\.1 413 /);
    assert.equal((await s.request('count', '/', { method: 'POST', body: 'x'.repeat(1000) })).text, '1000');
});

test('slow headers, an idle connection and a stuck body are ended', async () => {
    const s = await bounded();
    await s.deploy('count', COUNT);
    const slow = await s.connect();
    slow.write('GET / HTTP/1.1\r\nHo');
    const text = await slow.closed();
    assert.match(text, /^(HTTP\/1\.1 408 |$)/);

    const idle = await s.connect();
    idle.write(`GET / HTTP/1.1\r\nHost: ${s.host('count')}\r\n\r\n`);
    await idle.match(/^HTTP\/1\.1 200 /);
    await idle.closed();

    const silent = await s.connect(); // never says anything
    await silent.closed();

    const stuck = await s.connect();
    stuck.write(`POST / HTTP/1.1\r\nHost: ${s.host('count')}\r\nContent-Length: 100\r\n\r\npart`);
    assert.match(await stuck.closed(), /^(HTTP\/1\.1 (408|500) |$)/);
    assert.equal((await s.request('count')).text, '0');
});

test('a client that takes its answer too slowly is let go', async () => {
    const s = await bounded();
    await s.deploy('large', 'export default { fetch() { return new Response("x".repeat(20_000_000)); } };');
    const c = await s.connect();
    c.socket.pause();
    c.write(`GET / HTTP/1.1\r\nHost: ${s.host('large')}\r\n\r\n`);
    await until('the server has given up', async () => ((await s.metrics()).get('limpet_connections') ?? 0) === 0);
    c.destroy();
});
