// SPDX-License-Identifier: Apache-2.0
// Limits that code sets itself, by a binding: on all threads, inside of a namespace.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { errorOf, tempDir, useServer } from './harness.ts';

const server = useServer({ args: ['--threads', '2'] });

const LIMIT = (simple: object = { limit: 5, period: 60 }, namespace_id = '1') => [{ type: 'ratelimit', name: 'LIMITER', namespace_id, simple }];
const SOURCE = 'export default { async fetch(r, env) { const { success } = await env.LIMITER.limit({ key: new URL(r.url).searchParams.get("key") }); return new Response(String(env.LIMITER), { status: success ? 200 : 429 }); } };';

test('a key passes so often, whichever thread and module asks; others are others', async () => {
    const s = await server();
    await s.deploy('one', SOURCE, { bindings: LIMIT() });
    await s.deploy('two', SOURCE, { bindings: LIMIT() });
    await s.deploy('other', SOURCE, { bindings: LIMIT(undefined, '2') });
    const statuses = await Promise.all(Array.from({ length: 20 }, async (_, n) => (await s.request(n % 2 ? 'one' : 'two', '/?key=a')).status));
    assert.equal(statuses.filter((status) => status === 200).length, 5, statuses.join());
    assert.equal((await s.request('one', '/?key=b')).text, '[object RateLimit]');
    assert.equal((await s.request('other', '/?key=a')).status, 200);
    await s.api('POST', '/namespaces', { name: 'limfar' });
    assert.equal((await s.api('POST', '/namespaces/limfar/functions?wait=30s', { name: 'one', source: SOURCE, bindings: LIMIT() })).json.build.status, 'ready');
    assert.equal((await s.request('one.limfar', '/?key=a')).status, 200);
    assert.match((await s.request('one')).text, /limit\(\): give it/);
});

test('what it needs is checked at a deploy', async () => {
    const s = await server();
    for (const simple of [undefined, {}, { limit: 0, period: 60 }, { limit: 5, period: 30 }, { limit: 1.5, period: 60 }])
        errorOf(await s.api('POST', '/functions', { name: 'bad', source: SOURCE, bindings: [{ type: 'ratelimit', name: 'LIMITER', namespace_id: '1', ...(simple && { simple }) }] }), 400, 'invalid');
    const dir = tempDir('limpet-limits-');
    fs.writeFileSync(path.join(dir, 'i.js'), SOURCE);
    for (const [name, file] of [['new', '[[ratelimits]]\nname = "LIMITER"\nnamespace_id = "7"\nsimple = { limit = 1, period = 10 }\n'],
        ['old', '[[unsafe.bindings]]\nname = "LIMITER"\ntype = "ratelimit"\nnamespace_id = "8"\nsimple = { limit = 1, period = 10 }\n']] as const) {
        fs.writeFileSync(path.join(dir, 'wrangler.toml'), `name = "by-${name}"\nmain = "i.js"\n${file}`);
        const up = await s.cli(['deploy', dir]);
        assert.equal(up.code, 0, up.stderr);
        assert.equal((await s.request(`by-${name}`, '/?key=x')).status, 200);
        assert.equal((await s.request(`by-${name}`, '/?key=x')).status, 429);
    }
    fs.rmSync(dir, { recursive: true });
});
