// SPDX-License-Identifier: Apache-2.0
// Environment variables: set by the API, seen by the next request, in every way a guest may read them.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { errorOf, useServer } from './harness.ts';

const server = useServer({ args: ['--threads', '2'] });

const READER = `
import * as env from "derp:runtime/env";
const frozen = typeof env.get;
export default { fetch(request, bindings) { return Response.json({ derp: env.get("KEY") ?? null, otherwise: env.getOrDefault("KEY", "default"), binding: bindings.KEY ?? null, keys: Object.keys(bindings).sort() }); } };`;

test('set, list, get, delete; the next request sees it, on every thread', async () => {
    const s = await server();
    await s.deploy('env', READER);
    assert.deepEqual((await s.request('env')).json, { derp: null, otherwise: 'default', binding: null, keys: [] });
    for (const value of ['one', 'two', '', 'größer ✓\n"quoted"']) {
        const put = await s.api('PUT', '/functions/env/env/KEY', { value });
        assert.equal(put.status, 204);
        assert.equal(put.text, '');
        for (let i = 0; i < 6; i++) assert.deepEqual((await s.request('env')).json, { derp: value, otherwise: value, binding: value, keys: ['KEY'] });
    }
    await s.api('PUT', '/functions/env/env/ALPHA', { value: 'a' });
    assert.deepEqual((await s.api('GET', '/functions/env/env')).json, [{ name: 'ALPHA', value: 'a' }, { name: 'KEY', value: 'größer ✓\n"quoted"' }]);
    assert.deepEqual((await s.api('GET', '/functions/env/env/ALPHA')).json, { name: 'ALPHA', value: 'a' });
    assert.equal((await s.api('DELETE', '/functions/env/env/KEY')).status, 204);
    assert.deepEqual((await s.request('env')).json, { derp: null, otherwise: 'default', binding: null, keys: ['ALPHA'] });
    errorOf(await s.api('DELETE', '/functions/env/env/KEY'), 404, 'not_found');
    errorOf(await s.api('GET', '/functions/env/env/KEY'), 404, 'not_found');
});

test('variables outlive new versions and restarts, and are a function\'s own', async () => {
    let s = await server();
    await s.deploy('keeps', READER);
    await s.deploy('other', READER);
    await s.api('PUT', '/functions/keeps/env/KEY', { value: 'kept' });
    await s.deploy('keeps', READER + '// new');
    assert.equal((await s.request('keeps')).json.derp, 'kept');
    assert.equal((await s.request('other')).json.derp, null);
});

test('bad names and values are refused', async () => {
    const s = await server();
    await s.deploy('env', READER);
    for (const name of ['1A', 'A-B', 'A%20B', 'x'.repeat(129)]) errorOf(await s.api('PUT', `/functions/env/env/${name}`, { value: 'v' }), 400, 'invalid');
    for (const body of [{}, { value: 1 }, { value: null }, 'text', { value: 'v', other: 1 }]) errorOf(await s.api('PUT', '/functions/env/env/GOOD', body), 400, 'invalid');
    errorOf(await s.admin('/functions/env/env/GOOD', { method: 'PUT', body: '{"value":' }), 400, 'invalid');
    errorOf(await s.api('PUT', '/functions/env/env/GOOD', { value: 'x'.repeat(70_000) }), 413, 'too_large');
    errorOf(await s.api('PUT', '/functions/nobody/env/GOOD', { value: 'v' }), 404, 'not_found');
});

test('top-level code sees no environment that could freeze into the image', async () => {
    const s = await server();
    const build = await s.upload('frozen', 'import * as env from "derp:runtime/env";\nconst value = env.get("KEY") ?? "none";\nexport default () => ({ value, now: env.get("KEY") ?? "none" });');
    if (build.status === 'ready') {
        await s.api('PUT', '/functions/frozen/env/KEY', { value: 'fresh' });
        assert.equal((await s.request('frozen')).json.now, 'fresh');
    } else {
        assert.match(build.error.message, /env/);
    }
});
