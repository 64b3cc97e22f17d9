// SPDX-License-Identifier: Apache-2.0
// Versions and content hashes, switching without a lost request, listing and deleting.
import assert from 'node:assert/strict';
import http from 'node:http';
import { test } from 'node:test';
import { errorOf, useServer } from './harness.ts';

const server = useServer({ args: ['--threads', '2'] });
const HELLO = (text: string) => `export default { fetch() { return new Response(${JSON.stringify(text)}); } };`;

test('new content is a new version with a new hash; the same content is not', async () => {
    const s = await server();
    await s.deploy('versioned', HELLO('1'));
    const one = (await s.api('GET', '/functions/versioned')).json;
    assert.equal(one.version, 1);
    assert.match(one.content_hash, /^[0-9a-f]{64}$/);
    assert.ok(one.url.includes(`versioned.localhost:${s.httpPort}`), one.url);
    const same = await s.deploy('versioned', HELLO('1'));
    assert.equal(same.version, 1);
    await s.deploy('versioned', HELLO('2'));
    const two = (await s.api('GET', '/functions/versioned')).json;
    assert.equal(two.version, 2);
    assert.notEqual(two.content_hash, one.content_hash);
    assert.equal((await s.request('versioned')).text, '2');
    await s.deploy('versioned', HELLO('1'));
    const back = (await s.api('GET', '/functions/versioned')).json;
    assert.equal(back.version, 3);
    assert.equal(back.content_hash, one.content_hash);
});

test('other options with the same content are a new version', async () => {
    const s = await server();
    await s.deploy('options', HELLO('1'));
    await s.deploy('options', HELLO('1'), { isolation: 'module', cpu_ms: 50, memory_mb: 32, wall_ms: 700, sql_transaction_ms: 250, egress: ['a.example'] });
    const shown = (await s.api('GET', '/functions/options')).json;
    assert.equal(shown.version, 2);
    assert.equal(shown.isolation, 'module');
    assert.deepEqual(shown.limits, { memory_mb: 32, cpu_ms: 50, wall_ms: 700, sql_transaction_ms: 250 });
    assert.deepEqual(shown.egress, ['a.example']);
});

test('a switch of versions under load loses no request', async () => {
    const s = await server();
    await s.deploy('switch', HELLO('v0'));
    let isOver = false;
    const seen = new Set<string>();
    const agent = new http.Agent({ keepAlive: true });
    const clients = Array.from({ length: 4 }, async () => {
        while (!isOver) {
            const res = await s.request('switch', '/', { agent });
            assert.equal(res.status, 200, res.text);
            assert.match(res.text, /^v\d$/);
            seen.add(res.text);
        }
    });
    const done = Promise.all(clients);
    done.catch(() => {});
    for (let v = 1; v <= 5; v++) {
        await s.deploy('switch', HELLO(`v${v}`));
        assert.equal((await s.request('switch')).text, `v${v}`, 'ready means served');
    }
    isOver = true;
    await done;
    agent.destroy();
    assert.ok(seen.has('v5') || seen.size > 1);
});

test('a request that runs while its version is replaced finishes on it', async () => {
    const s = await server();
    await s.deploy('running', 'export default { async fetch() { console.log("begun"); await new Promise((r) => setTimeout(r, 300)); return new Response("old"); } };');
    const old = s.request('running');
    const { until } = await import('./harness.ts');
    await until('it has begun', async () => (await s.api('GET', '/functions/running/logs')).json.length > 0);
    await s.deploy('running', HELLO('new'));
    assert.equal((await s.request('running')).text, 'new');
    assert.equal((await old).text, 'old');
});

test('list, delete, and making it again', async () => {
    const s = await server();
    await s.deploy('gone', 'export default { fetch() { console.log("x"); return new Response("here"); } };');
    await s.request('gone');
    await s.execute('gone');
    await s.api('PUT', '/functions/gone/env/A', { value: '1' });
    assert.ok((await s.api('GET', '/functions')).json.some((f: any) => f.name === 'gone'));
    const names = (await s.api('GET', '/functions')).json.map((f: any) => f.name);
    assert.deepEqual(names, [...names].sort());
    const res = await s.api('DELETE', '/functions/gone');
    assert.equal(res.status, 204);
    assert.equal(res.text, '');
    errorOf(await s.request('gone'), 404, 'not_found');
    for (const path of ['', '/builds', '/env', '/logs', '/executions']) errorOf(await s.api('GET', `/functions/gone${path}`), 404, 'not_found');
    errorOf(await s.api('DELETE', '/functions/gone'), 404, 'not_found');
    await s.deploy('gone', HELLO('again'));
    assert.equal((await s.request('gone')).text, 'again');
    const again = (await s.api('GET', '/functions/gone')).json;
    assert.equal(again.version, 1);
    assert.deepEqual((await s.api('GET', '/functions/gone/env')).json, []);
    assert.deepEqual((await s.api('GET', '/functions/gone/executions')).json, []);
});

test('deleting while requests run lets them finish', async () => {
    const s = await server();
    await s.deploy('deleted', 'export default { async fetch() { console.log("begun"); await new Promise((r) => setTimeout(r, 300)); return new Response("finished"); } };');
    const running = s.request('deleted');
    const { until } = await import('./harness.ts');
    await until('it has begun', async () => (await s.api('GET', '/functions/deleted/logs')).json.length > 0);
    assert.equal((await s.api('DELETE', '/functions/deleted')).status, 204);
    const res = await running;
    assert.ok(res.text === 'finished' || res.status >= 500, res.text);
    assert.equal((await s.request('deleted')).status, 404);
});
