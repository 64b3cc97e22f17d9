// SPDX-License-Identifier: Apache-2.0
// What modules used is added up over restarts and outlives them; quotas hold at once, over a restart, until unset.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { test } from 'node:test';
import { Server, errorOf, until, useServer } from './harness.ts';

const MEMORY = 256 * 1024 * 1024;
const ARGS = ['--threads', '1', '--memory-max', String(MEMORY)];
const server = useServer({ args: ARGS });

/** One that the test restarts, and what it is then. */
async function restarted(fn: (s: Server, restart: () => Promise<Server>) => Promise<void>): Promise<void> {
    let s = await Server.start({ args: ARGS });
    try {
        await fn(s, async () => (s = await s.restart()));
    } finally {
        await s.stop();
        fs.rmSync(s.data, { recursive: true, force: true });
    }
}

const narrow = useServer({ args: ['--threads', '1', '--memory-max', String(MEMORY), '--module-memory-max', String(16 * 1024 * 1024)] });

const BUSY = 'export default { fetch() { const end = Date.now() + 5; while (Date.now() < end); return new Response("y".repeat(1000)); } };';
const EATS = `
export default { fetch(request) {
    const held = [], n = Number(new URL(request.url).searchParams.get("n"));
    for (let i = 0; i < n; i++) held.push(new Uint8Array(1 << 20).fill(1));
    return new Response(String(held.length));
} };`;

async function usage(s: Server, query = ''): Promise<any[]> {
    const answer = await s.admin(`/usage${query}`);
    assert.equal(answer.status, 200, answer.text);
    return answer.json;
}

/** Engine threads meter now and then, so what was just used comes a moment later. */
async function used(s: Server, module: string, requests: number): Promise<any> {
    return until(`${requests} requests of ${module} are metered`, async () => (await usage(s, `?module=${module}`)).find((u) => u.requests === requests));
}

const put = (s: Server, name: string, quota: unknown) => s.admin(`/quotas/${name}`, { method: 'PUT', headers: { 'content-type': 'application/json' }, body: JSON.stringify(quota) });

test('usage adds up, is there after a restart, and outlives its module', () => restarted(async (s, restart) => {
    await s.deploy('busy', BUSY);
    await s.deploy('other', BUSY);
    for (let i = 0; i < 5; i++) assert.equal((await s.request('busy')).status, 200);
    assert.equal((await s.request('other')).status, 200);
    const before = await used(s, 'busy', 5);
    assert.equal(before.egress_bytes, 5000);
    assert.ok(before.cpu_seconds > 0);
    assert.equal(before.hour, null);
    // The last of them are metered by the stop.
    for (let i = 0; i < 3; i++) assert.equal((await s.request('busy')).status, 200);
    s = await restart();
    const [total] = await usage(s, '?module=busy&since=1h');
    assert.equal(total.requests, 8);
    assert.equal(total.egress_bytes, 8000);
    assert.ok(total.cpu_seconds > before.cpu_seconds);
    assert.equal((await s.request('busy')).status, 200);
    await used(s, 'busy', 9);
    const hours = await usage(s, '?module=busy&by=hour');
    assert.equal(hours.reduce((sum, h) => sum + h.requests, 0), 9);
    for (const h of hours) assert.match(h.hour, /T\d\d:00:00\.000Z$/);
    assert.deepEqual((await usage(s)).map((u) => u.module), ['busy', 'other']);
    assert.deepEqual(await usage(s, '?since=9999-01-01'), []);
    assert.equal((await s.admin('/functions/busy', { method: 'DELETE' })).status, 204);
    await used(s, 'busy', 9);
    // Another of its name goes on under it.
    await s.deploy('busy', BUSY);
    assert.equal((await s.request('busy')).status, 200);
    await used(s, 'busy', 10);
}));

test('what usage cannot be asked for', async () => {
    const s = await server();
    errorOf(await s.admin('/usage?since=yesterday'), 400, 'invalid');
    errorOf(await s.admin('/usage?since=2026-02-30'), 400, 'invalid');
    errorOf(await s.admin('/usage?by=day'), 400, 'invalid');
    errorOf(await s.admin('/usage?module=A%20B'), 400, 'invalid');
});

test('a quota bounds a function that serves, is kept, and goes', () => restarted(async (s, restart) => {
    await s.deploy('eats', EATS);
    const eat = (n: number) => s.request('eats', `/?n=${n}`);
    assert.equal((await eat(40)).text, '40');
    const set = await put(s, 'eats', { memory_bytes: 16 * 1024 * 1024 });
    assert.equal(set.status, 200, set.text);
    assert.equal(set.json.memory_bytes.quota, 16 * 1024 * 1024);
    const refused = async () => {
        const answer = await eat(40);
        assert.ok(['limit_memory', 'overload'].includes(answer.json.error.code), answer.text);
        assert.match(answer.text, /the module 'eats' has reached its limit of 16777216 bytes of memory/);
    };
    await refused();
    assert.equal((await eat(4)).text, '4', 'below it, it serves');
    s = await restart();
    assert.equal((await s.admin('/quotas/eats')).json.memory_bytes.max, 16 * 1024 * 1024);
    await refused();
    assert.deepEqual((await s.admin('/quotas')).json.map((q: any) => q.module), ['eats']);
    // A new version has it, too.
    await s.deploy('eats', EATS.replace('fill(1)', 'fill(2)'));
    await refused();
    assert.equal((await s.admin('/quotas/eats', { method: 'DELETE' })).status, 204);
    assert.deepEqual((await s.admin('/quotas/eats')).json.memory_bytes.quota, null);
    assert.equal((await s.admin('/quotas/eats')).json.memory_bytes.max, MEMORY - MEMORY / 4);
    assert.equal((await eat(40)).text, '40');
    // It goes with its module.
    assert.equal((await put(s, 'eats', { memory_bytes: 16 * 1024 * 1024 })).status, 200);
    assert.equal((await s.admin('/functions/eats', { method: 'DELETE' })).status, 204);
    await s.deploy('eats', EATS);
    assert.deepEqual((await s.admin('/quotas')).json, []);
    assert.equal((await eat(40)).text, '40');
}));

test('quotas that cannot be', async () => {
    const s = await server();
    await s.deploy('small', BUSY);
    const wrong = async (quota: unknown, text: RegExp) => {
        const answer = await put(s, 'small', quota);
        errorOf(answer, 400, 'invalid');
        assert.match(answer.text, text);
    };
    await wrong({ memory_bytes: MEMORY + 1 }, /above the 268435456 that the whole server may hold/);
    await wrong({ memory_bytes: 1000 }, /below \d+, the least/);
    await wrong({ memory_bytes: -1 }, /not a whole number/);
    await wrong({ memory_bytes: '1' }, /not a whole number/);
    await wrong({ patience: 1 }, /no quota of 'patience'.*memory_bytes/s);
    await wrong({}, /sets no quota/);
    await wrong([], /sets no quota/);
    await wrong({ memory_bytes: MEMORY, patience: 1 }, /patience/);
    errorOf(await put(s, 'absent', { memory_bytes: MEMORY }), 404, 'not_found');
    errorOf(await s.admin('/quotas/absent'), 404, 'not_found');
    errorOf(await s.admin('/quotas/absent', { method: 'DELETE' }), 404, 'not_found');
    assert.deepEqual((await s.admin('/quotas/small')).json.memory_bytes.quota, null, 'nothing of them was set');
});

test('the command line', async () => {
    const s = await server();
    await s.deploy('shown', BUSY);
    assert.equal((await s.request('shown')).status, 200);
    await used(s, 'shown', 1);
    assert.match((await s.cli(['usage'])).stdout, /^MODULE +REQUESTS .*\nshown +1 /);
    assert.match((await s.cli(['usage', 'shown', '--since', '2h', '--by-hour'])).stdout, /shown +\d{4}-\d\d-\d\dT\d\d:00Z +1 /);
    assert.equal((await s.cli(['usage', '--json'])).json[0].requests, 1);
    assert.equal((await s.cli(['usage', '--since', 'yesterday'])).code, 1);
    assert.equal((await s.cli(['quota', 'set', 'shown', 'memory=64M'])).code, 0);
    assert.match((await s.cli(['quota', 'list'])).stdout, /shown +memory_bytes +67108864 +67108864 +\d+/);
    assert.equal((await s.cli(['quota', 'show', 'shown', '--json'])).json.memory_bytes.quota, 64 * 1024 * 1024);
    assert.equal((await s.cli(['quota', 'set', 'shown', 'memory'])).code, 2);
    assert.equal((await s.cli(['quota', 'set', 'shown', 'patience=3'])).code, 1);
    assert.equal((await s.cli(['quota', 'set', 'absent', 'memory=64M'])).code, 4);
    assert.equal((await s.cli(['quota', 'unset', 'shown', 'memory'])).code, 0);
    assert.match((await s.cli(['quota', 'list'])).stderr, /no quotas/);
    assert.match((await s.cli(['quota', 'show', 'shown'])).stdout, /shown +memory_bytes +- +201326592/);
});

test('the default of modules without a quota', async () => {
    const s = await narrow();
    await s.deploy('eats', EATS);
    const answer = await s.request('eats', '/?n=40');
    assert.match(answer.text, /the module 'eats' has reached its limit of 16777216 bytes of memory/);
    assert.equal((await put(s, 'eats', { memory_bytes: 128 * 1024 * 1024 })).status, 200);
    assert.equal((await s.request('eats', '/?n=40')).text, '40');
});
