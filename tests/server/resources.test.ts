// SPDX-License-Identifier: Apache-2.0
// Resources of a namespace, as all kinds have them: names, what is bound to them, and their end.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { errorOf, useServer } from './harness.ts';

const server = useServer({ args: ['--threads', '1'] });
const CODE = 'export default { fetch: () => new Response("ok") };';
const kv = (name: string, of: string) => ({ type: 'kv', name, kv: of });

test('they are made, listed, shown and deleted by name, in their namespace', async () => {
    const s = await server();
    const made = await s.api('POST', '/kv', { name: 'sessions' });
    assert.equal(made.status, 201, made.text);
    const { name, type, namespace, id, items, stored_bytes, settings, bound_to } = made.json;
    assert.deepEqual([name, type, namespace, items, stored_bytes, settings, bound_to], ['sessions', 'kv', 'default', 0, 0, null, []]);
    assert.ok(id > 0);
    assert.deepEqual((await s.api('GET', '/kv')).json.map((r: any) => r.name), ['sessions']);
    assert.equal((await s.api('GET', '/kv/sessions')).json.id, id);
    errorOf(await s.api('POST', '/kv', { name: 'sessions' }), 409, 'conflict');
    assert.equal((await s.api('POST', '/namespaces', { name: 'shop' })).status, 201);
    assert.equal((await s.api('POST', '/namespaces/shop/kv', { name: 'sessions' })).status, 201);
    assert.notEqual((await s.api('GET', '/namespaces/shop/kv/sessions')).json.id, id);
    assert.equal((await s.api('DELETE', '/kv/sessions')).status, 204);
    assert.match(errorOf(await s.api('GET', '/kv/sessions'), 404, 'not_found').message, /no KV namespace 'sessions'/);
    assert.equal((await s.api('GET', '/namespaces/shop/kv/sessions')).status, 200);
    errorOf(await s.api('DELETE', '/namespaces/shop'), 409, 'conflict');
    assert.equal((await s.api('DELETE', '/namespaces/shop?force=true')).status, 200);
});

test('what is not a resource is refused', async () => {
    const s = await server();
    for (const body of [{}, { name: 'a/b' }, { name: '' }, { name: 1 }, { name: 'a', more: 1 }, [], { name: 'a', settings: { x: 1 } }, { name: 'a', settings: 1 }])
        errorOf(await s.api('POST', '/kv', body), 400, 'invalid');
    assert.equal((await s.api('POST', '/kv', { name: 'a', settings: null })).status, 201);
    assert.equal((await s.api('PUT', '/kv/a', { settings: null })).status, 405);
    errorOf(await s.api('DELETE', '/kv/nobody'), 404, 'not_found');
});

test('a deploy makes what it is bound to, says so, and holds it', async () => {
    const s = await server();
    const body = { name: 'bound', source: CODE, bindings: [kv('A', 'one'), kv('B', 'two'), kv('C', 'one')] };
    assert.equal((await s.api('POST', '/kv', { name: 'two' })).status, 201);
    const up = await s.api('POST', '/functions?wait=60s', body);
    assert.equal(up.status, 200, up.text);
    assert.deepEqual(up.json.resources_made, [{ type: 'kv', name: 'one' }]);
    assert.deepEqual((await s.api('GET', '/kv/one')).json.bound_to, ['bound']);
    assert.match(errorOf(await s.api('DELETE', '/kv/one'), 409, 'conflict').message, /'bound' is bound to/);
    const again = await s.api('POST', '/functions?wait=60s', { ...body, bindings: [kv('B', 'two')] });
    assert.deepEqual(again.json.resources_made, []);
    assert.equal((await s.api('DELETE', '/kv/one')).status, 204);
    assert.equal((await s.api('DELETE', '/kv/two?unbind=true')).status, 204);
    errorOf(await s.api('POST', '/functions?wait=60s', { ...body, bindings: [kv('A', 'a/b')] }), 400, 'invalid');
    const failed = await s.api('POST', '/functions?wait=60s', { name: 'broken', source: 'export default {', bindings: [kv('A', 'never')] });
    assert.equal(failed.status, 422);
    errorOf(await s.api('GET', '/kv/never'), 404, 'not_found');
});

test('metrics and the audit log have them', async () => {
    const s = await server();
    const before = (await s.api('GET', '/kv')).json.length;
    assert.equal((await s.api('POST', '/kv', { name: 'counted' })).status, 201);
    assert.match((await s.api('GET', '/metrics')).text, new RegExp(`^limpet_resources\\{kind="kv"\\} ${before + 1}$`, 'm'));
    assert.equal((await s.api('DELETE', '/kv/counted')).status, 204);
    const rows = (await s.api('GET', '/audit?limit=2')).json.map((r: any) => [r.action, r.target, r.outcome]);
    assert.deepEqual(rows, [['kv_delete', 'counted', 'ok'], ['kv_create', 'counted', 'ok']]);
});
