// SPDX-License-Identifier: Apache-2.0
// Who may use the control API: loopback only without a token; a browser's page of another site never.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { errorOf, Server, useServer } from './harness.ts';

const open = useServer();
const guarded = useServer({ args: ['--admin-token', 'secret-token'] });

test('an address that is not loopback is refused without a token', async () => {
    const r = await Server.startFailing({ adminAddr: '0.0.0.0:0' });
    assert.notEqual(r.code, 0);
    assert.match(r.output, /token/);
    const s = await Server.start({ adminAddr: '0.0.0.0:0', env: { LIMPET_TOKEN: 'abc' } });
    assert.equal((await s.api('GET', '/functions')).status, 401);
    assert.equal((await s.api('GET', '/functions', undefined, { authorization: 'Bearer abc' })).status, 200);
    await s.stop();
});

test('with a token every route but health asks for it', async () => {
    const s = await guarded();
    for (const [method, path] of [['GET', '/functions'], ['POST', '/functions'], ['GET', '/metrics'], ['DELETE', '/functions/x'], ['POST', '/functions/x/execute'], ['GET', '/executions']] as const) {
        errorOf(await s.api(method, path), 401, 'unauthorized');
        errorOf(await s.api(method, path, undefined, { authorization: 'Bearer wrong' }), 401, 'unauthorized');
        errorOf(await s.api(method, path, undefined, { authorization: 'Bearer secret-token-and-more' }), 401, 'unauthorized');
        errorOf(await s.api(method, path, undefined, { authorization: 'Basic secret-token' }), 401, 'unauthorized');
    }
    assert.equal((await s.api('GET', '/healthz')).status, 200);
    assert.equal((await s.api('GET', '/functions', undefined, { authorization: 'bearer secret-token' })).status, 200);
    const cli = await s.cli(['function', 'list']);
    assert.notEqual(cli.code, 0);
    assert.match(cli.stderr, /token/i);
    assert.equal((await s.cli(['function', 'list'], { env: { LIMPET_TOKEN: 'secret-token' } })).code, 0);
    assert.equal((await s.cli(['function', 'list', '--token', 'secret-token'])).code, 0);
});

test('requests for another host are refused (DNS rebinding)', async () => {
    const s = await open();
    for (const host of ['evil.example', 'evil.example:8888', '127.0.0.1.evil.example', 'localhost.evil.example']) {
        const res = await s.admin('/functions', { host });
        assert.ok(res.status === 403 || res.status === 400, `${host}: ${res.status}`);
    }
    for (const host of ['localhost', `127.0.0.1:${s.adminPort}`, '[::1]']) assert.equal((await s.admin('/functions', { host })).status, 200, host);
});

test('pages of other sites are refused (CSRF)', async () => {
    const s = await open();
    for (const origin of ['http://evil.example', 'null', `http://hello.localhost:${s.httpPort}`, 'http://127.0.0.1:1']) {
        errorOf(await s.api('POST', '/functions', { name: 'x', source: '1' }, { origin }), 403, 'forbidden');
        errorOf(await s.api('DELETE', '/functions/x', undefined, { origin }), 403, 'forbidden');
    }
});

test('a body that a form of another site could send is refused', async () => {
    const s = await open();
    for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'multipart/form-data; boundary=x'])
        errorOf(await s.admin('/functions', { method: 'POST', body: '{"name":"x","source":"1"}', headers: { 'content-type': type } }), 415, 'unsupported_media_type');
});

test('unknown paths and wrong methods', async () => {
    const s = await open();
    errorOf(await s.api('GET', '/nothing'), 404, 'not_found');
    const res = await s.api('PATCH', '/functions');
    errorOf(res, 405, 'method_not_allowed');
    assert.match(String(res.headers.allow), /GET/);
    assert.match(String(res.headers.allow), /POST/);
    assert.equal((await s.admin('/functions', { method: 'HEAD' })).status, 200);
});

test('health, and the description of the API', async () => {
    const s = await open();
    assert.equal((await s.api('GET', '/healthz')).json.status, 'ok');
    const doc = (await s.api('GET', '/openapi.json')).json;
    assert.match(doc.openapi, /^3\./);
    for (const path of ['/functions', '/functions/{name}', '/functions/{name}/execute', '/functions/{name}/env/{var}', '/executions/{id}']) assert.ok(doc.paths[path], path);
});
