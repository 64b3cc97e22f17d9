// SPDX-License-Identifier: Apache-2.0
// What executions and versions take of the disk counts to their module and its namespace, as databases do: above the quota the error names it, what is deleted is given back, and a restart counts the same.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { errorOf, Server, until, useServer } from './harness.ts';
import { complete, deployWorkflow, execute, failure, operate, outcome, output, signal, start, suspended, uploadWorkflow } from './workflow-harness.ts';

const server = useServer({ args: ['--threads', '1'] });
const stored = async (s: Server, name: string): Promise<number> => (await s.api('GET', `/quotas/${name}`)).json.disk_bytes.used;
const quota = async (s: Server, target: string, bytes: number | null): Promise<void> => assert.equal((await s.api('PUT', target, { disk_bytes: bytes })).status, 200);
/** Records `chunks` of 64 KiB, then waits. */
const RECORDS = `import { waitForEvent, workflow } from "limpet";
export default workflow(async ({ chunks }) => {
    for (let i = 0; i < chunks; i++) crypto.getRandomValues(new Uint8Array(65536));
    await waitForEvent("go");
    return chunks;
});`;

test('a journal counts, and above the quota its execution fails by name; a higher quota and a retry go on', async () => {
    const s = await server();
    await deployWorkflow(s, 'records', RECORDS);
    const bundle = await stored(s, 'records');
    assert.ok(bundle > 100 && bundle < 25_000, `${bundle} bytes of the version and its image`);
    const kept = await start(s, 'records', { chunks: 4 });
    await suspended(s, kept);
    const used = await stored(s, 'records');
    assert.ok(used > bundle + 4 * 65536 && used < bundle + 4 * 65536 + 20_000, `${used} bytes`);
    assert.equal((await s.metrics()).get('limpet_module_disk_bytes{module="records"}'), used);
    await quota(s, '/quotas/records', 600_000);
    const id = await start(s, 'records', { chunks: 16 });
    const failed = await outcome(s, id);
    assert.equal(failed.status, 'failed');
    assert.match(failed.error.message, /what it did cannot be stored: the module '(default\/)?records' has reached its limit of 600000 bytes on disk/);
    assert.match(JSON.stringify(failed.error), /raise the quota disk_bytes/);
    assert.ok((await stored(s, 'records')) <= 600_000 + 2000);
    // What was there before is unharmed.
    await signal(s, kept, 'go');
    assert.equal(await output(s, kept), 4);
    await quota(s, '/quotas/records', 4_000_000);
    await operate(s, id, 'retry');
    await signal(s, id, 'go');
    assert.equal(await output(s, id), 16);
});

test('starts, signals and deploys are refused above the quota; a restart counts the same; deleting gives back', async (t) => {
    let s = await Server.start({ args: ['--threads', '1'] });
    t.after(() => s.stop());
    await deployWorkflow(s, 'full', RECORDS);
    const id = await start(s, 'full', { chunks: 2 });
    await suspended(s, id);
    await quota(s, '/quotas/full', (await stored(s, 'full')) + 3000);
    const big = 'x'.repeat(4000);
    for (const refused of [await execute(s, 'full', { big }), await s.api('POST', `/executions/${id}/signal`, { name: 'other', data: big })]) {
        errorOf(refused, 507, 'limit_disk');
        assert.match(refused.text, /has reached its limit of \d+ bytes on disk.*raise the quota disk_bytes/s);
    }
    const build = await uploadWorkflow(s, 'full', RECORDS + `\n// ${big}\nexport const more = ${JSON.stringify(big)}; console.log(more);`);
    assert.equal(build.status, 'failed');
    assert.match(JSON.stringify(build.error), /has reached its limit of \d+ bytes on disk/);
    const used = await stored(s, 'full');
    await s.kill();
    s = await s.revive();
    await until('a restart counts the same', async () => (await stored(s, 'full')) === used);
    s = await s.restart();
    await until('a restart counts the same', async () => (await stored(s, 'full')) === used);
    await signal(s, id, 'go');
    assert.equal(await output(s, id), 2);
    const row = await until('its usage is metered', async () => (await s.api('GET', '/usage?since=1h&module=full')).json[0]);
    assert.equal(row.stored_bytes, await stored(s, 'full'));
    assert.equal((await s.api('DELETE', '/workflows/full')).status, 204);
    await until('all is given back', async () => !((await s.metrics()).get('limpet_module_disk_bytes{module="full"}')! > 0));
    await deployWorkflow(s, 'full', RECORDS);
    assert.ok((await stored(s, 'full')) < 25_000);
});

test('images of versions count, are not kept above the quota, and go with their function', async (t) => {
    let s = await Server.start({ args: ['--threads', '1'] });
    t.after(() => s.stop());
    const folder = (): string[] => (fs.existsSync(path.join(s.data, 'artifacts', 'images')) ? fs.readdirSync(path.join(s.data, 'artifacts', 'images')) : []);
    // A few bytes of code, 4 MiB of what it leaves.
    const of = (seed: number): string => `const all = new Uint32Array(1 << 20);
let x = ${seed};
for (let i = 0; i < all.length; i++) all[i] = x = (Math.imul(x, 1664525) + 1013904223) >>> 0;
export default { fetch: () => new Response(String(all[${seed}])) };`;
    for (let seed = 1; seed <= 3; seed++) await s.deploy('grows', of(seed), { cpu_ms: 10_000 });
    const three = await stored(s, 'grows');
    assert.ok(three > 3 * 4_000_000, `${three} bytes`);
    await quota(s, '/quotas/grows', three + 1_000_000);
    await s.deploy('grows', of(4), { cpu_ms: 10_000 });
    const full = await stored(s, 'grows');
    assert.ok(full < three + 1_000_000, `${full} bytes`);
    assert.equal((await s.request('grows')).status, 200, 'it is evaluated at each start instead');
    s = await s.restart();
    await until('a restart counts the same', async () => (await stored(s, 'grows')) === full);
    assert.equal((await s.request('grows')).status, 200);
    assert.deepEqual(folder(), ['@grows']);
    // Deployed and deleted again and again, nothing piles up: also what a crash has left goes.
    assert.equal((await s.api('DELETE', '/functions/grows')).status, 204);
    await until('they have gone', () => folder().length === 0);
    await until('all is given back', async () => (await s.api('GET', '/namespaces/default/quota')).json.disk_bytes.used === 0);
    fs.mkdirSync(path.join(s.data, 'artifacts', 'images', '@gone'), { recursive: true });
    fs.writeFileSync(path.join(s.data, 'artifacts', 'images', '@gone', 'x'), 'x');
    s = await s.restart();
    await until('what is nobody\'s has gone', () => folder().length === 0);
});

test('modules of one namespace share its quota; a child above it fails its parent by name', async () => {
    const s = await server();
    assert.equal((await s.cli(['namespace', 'create', 'shop'])).code, 0);
    assert.equal((await s.cli(['--namespace', 'shop', 'quota', 'set', 'disk=300000'])).code, 0);
    await deployWorkflow(s, 'records', RECORDS.replace('await waitForEvent("go");', ''));
    for (const [name, source] of [['a', RECORDS], ['b', RECORDS]]) {
        const res = await s.api('POST', '/namespaces/shop/workflows?wait=60s', { name, source });
        assert.equal(res.json.build.status, 'ready', res.text);
    }
    const first = await s.api('POST', '/namespaces/shop/workflows/a/execute', { body: { chunks: 3 } });
    await until('it waits', async () => (await s.api('GET', `/namespaces/shop/executions/${first.json.execution_id}`)).json.status === 'suspended');
    const second = await s.api('POST', '/namespaces/shop/workflows/b/execute?wait=30s', { body: { chunks: 3 } });
    assert.match(second.text, /the namespace 'shop' has reached its limit of 300000 bytes on disk/);
    assert.equal(await complete(s, 'records', { chunks: 8 }), 8, 'others are not concerned');
    await deployWorkflow(s, 'parent', 'import { startChild, workflow } from "limpet"; export default workflow(async () => { const c = await startChild("kid", { big: "x".repeat(200_000) }); return c.id; });');
    await deployWorkflow(s, 'kid', 'import { workflow } from "limpet"; export default workflow(async () => 1);');
    await quota(s, '/quotas/kid', 70_000);
    assert.match((await failure(s, 'parent')).message, /'kid' has reached its limit of 70000 bytes on disk/);
    errorOf(await execute(s, 'kid', { big: 'x'.repeat(100_000) }), 507, 'limit_disk');
});

test('runs and log lines count, are refused when nothing is left, and what is trimmed is given back', async (t) => {
    let s = await Server.start({ args: ['--threads', '1'] });
    t.after(() => s.stop());
    await s.deploy('runs', 'export const handler = { handle({ body }) { for (let i = 0; i < (body.lines ?? 0); i++) console.log("y".repeat(10_000)); return "x".repeat(body.n ?? 0); } };');
    const before = await stored(s, 'runs');
    const run = (body: object) => s.api('POST', '/functions/runs/execute', { body });
    assert.equal((await run({ n: 200_000 })).json.status, 'success');
    const after = await stored(s, 'runs');
    assert.ok(after - before > 200_000 && after - before < 202_000, `${after - before} bytes`);
    assert.equal((await run({ lines: 50 })).json.status, 'success');
    await until('lines count', async () => (await stored(s, 'runs')) - after > 500_000);
    const used = await stored(s, 'runs');
    assert.ok(used - after < 520_000, `${used - after} bytes`);
    s = await s.restart();
    await until('a restart counts the same', async () => (await stored(s, 'runs')) === used);
    await quota(s, '/quotas/runs', used);
    const refused = await run({ n: 10 });
    errorOf(refused, 507, 'limit_disk');
    assert.match(refused.text, /has reached its limit of \d+ bytes on disk.*raise the quota disk_bytes/s);
    await quota(s, '/quotas/runs', null);
    // Ten thousand lines are kept: more push older, longer ones out.
    const kept = 10_000;
    await s.deploy('runs', `export const handler = { handle() { for (let i = 0; i < 990; i++) console.log(""); return 1; } };`);
    for (let k = 0; k < 12; k++) assert.equal((await run({})).json.status, 'success');
    await until('the long lines have gone', async () => (await stored(s, 'runs')) < used - 500_000 + kept * 70 + 60_000);
});
