// SPDX-License-Identifier: Apache-2.0
// What is too large, too slow or too much is refused with the status that says so.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { errorOf, useServer } from './harness.ts';

const server = useServer();
const HELLO = 'export default { async fetch(request) { return new Response(String((await request.arrayBuffer()).byteLength)); } };';

test('headers above the limit: 431', async () => {
    const s = await server();
    await s.deploy('hello', HELLO);
    errorOf(await s.request('hello', '/', { headers: { 'x-large': 'x'.repeat(70_000) } }), 431, 'headers_too_large');
    const many = Object.fromEntries(Array.from({ length: 200 }, (_, i) => [`x-${i}`, '1']));
    errorOf(await s.request('hello', '/', { headers: many }), 431, 'headers_too_large');
    assert.equal((await s.request('hello', '/', { headers: { 'x-fits': 'x'.repeat(30_000) } })).status, 200);
});

test('a target above the limit: 414', async () => {
    const s = await server();
    const res = await s.request('hello', '/' + 'x'.repeat(20_000));
    assert.equal(res.status, 414);
    assert.equal(typeof res.json.error.message, 'string');
});

test('an upload to the control API above the limit: 413', async () => {
    const s = await server();
    const c = await s.api('POST', '/functions', { name: 'huge', source: '// ' + 'x'.repeat(17 * 1024 * 1024) }).catch((e) => e);
    // The server may close before all is sent; the answer is then lost, but never a success.
    if (c.status !== undefined) errorOf(c, 413, 'too_large');
    assert.equal((await s.api('GET', '/functions/huge')).status, 404);
});

test('an unknown name: 404 with a hint', async () => {
    const s = await server();
    const e = errorOf(await s.request('nobody'), 404, 'not_found');
    assert.match(e.message, /nobody/);
    assert.ok(e.hint, 'says what to do');
});

test('the only function also answers plain localhost', async () => {
    const s = await server();
    const res = await s.request('hello', '/', { host: `localhost:${s.httpPort}` });
    assert.equal(res.status, 200);
    assert.equal((await s.request('hello', '/', { host: `127.0.0.1:${s.httpPort}` })).status, 200);
    await s.deploy('second', HELLO);
    errorOf(await s.request('hello', '/', { host: `localhost:${s.httpPort}` }), 404, 'not_found');
    assert.equal((await s.api('DELETE', '/functions/second')).status, 204);
    assert.equal((await s.request('hello', '/', { host: `localhost:${s.httpPort}` })).status, 200);
});

test('names are found whatever their case, and with a final dot', async () => {
    const s = await server();
    assert.equal((await s.request('hello', '/', { host: `HELLO.LocalHost:${s.httpPort}` })).status, 200);
    assert.equal((await s.request('hello', '/', { host: `hello.localhost.:${s.httpPort}` })).status, 200);
});
