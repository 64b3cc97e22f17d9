// SPDX-License-Identifier: Apache-2.0
// Code that never comes to rest: what it has recorded, said and published waits for the store within a bound, and the code waits with it.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { IS_ASAN, type Server, until } from './harness.ts';
import { complete, deployWorkflow, journal, logTexts, outcome, progressed, show, start, withServer } from './workflow-harness.ts';

const CPU_MS = IS_ASAN ? 6000 : 3000; // of what ends by itself
const FLOOD_CPU_MS = 1500;

const SOURCE = `
import { workflow, step, progress, sql, sleep } from "limpet";
const text = "x".repeat(16000), bytes = new Uint8Array(65536);
const forever = (f) => workflow(async () => { for (let n = 0; ; n++) f(n); });
export const logs = forever(() => console.log(text));
export const random = forever(() => crypto.getRandomValues(bytes));
export const says = forever((n) => progress({ n, text }));
export const in_step = workflow(() => step("floods", { retries: 0 }, () => { for (;;) { console.log(text); progress(text); } }));
export const reads = workflow(async () => {
    sql.exec("CREATE TABLE IF NOT EXISTS big (b)");
    if (sql.exec("SELECT count(*) AS n FROM big").one().n === 0) sql.exec("INSERT INTO big VALUES (zeroblob(3000000))");
    for (;;) sql.exec("SELECT b FROM big");
});
// Ends, and has more to record than may wait.
export const long = workflow(async (count) => {
    let sum = 0;
    for (let n = 0; n < count; n++) { crypto.getRandomValues(bytes); sum = (sum * 31 + bytes[0] + bytes[65535]) % 1000003; if (n % 100 === 0) progress(n); }
    await sleep(1);
    return sum;
});
export const transaction = workflow(async (count) => {
    sql.exec("CREATE TABLE IF NOT EXISTS kept (n)");
    let e;
    try {
        sql.transaction(() => {
            sql.exec("INSERT INTO kept VALUES (1)");
            for (let n = 0; n < count; n++) crypto.getRandomValues(bytes);
        });
    } catch (error) { e = error; }
    return [e ? e.message : "fits", sql.exec("SELECT count(*) AS n FROM kept").one().n];
});`;

const deployed = (args: string[], body: (s: Server, crashed: () => Promise<Server>) => Promise<void>, cpu_ms = CPU_MS): Promise<void> =>
    withServer({ args: ['--threads', '1', ...args] }, async (s, crashed) => {
        await deployWorkflow(s, 'floods', SOURCE, { cpu_ms });
        await s.deploy('neighbor', 'export default { fetch: () => new Response("here") }');
        await body(s, crashed);
    });

for (const name of ['logs', 'random', 'says', 'in_step', 'reads'])
    test(`${name}: ended by the limit of CPU time, within bounded memory`, () => deployed([], async (s) => {
        await complete(s, 'floods.long', 1);
        const before = s.rssBytes();
        let peak = 0;
        let held = 0;
        const held_now = async (): Promise<number> => (await s.metrics()).get('limpet_module_memory_held_bytes{module="floods"}') ?? 0;
        const id = await start(s, `floods.${name}`);
        const end = until('its end', async () => {
            peak = Math.max(peak, s.rssBytes());
            held = Math.max(held, await held_now());
            assert.equal((await s.request('neighbor')).text, 'here');
            const row = await show(s, id);
            return row.status === 'failed' ? row : undefined;
        });
        assert.equal((await end).error.code, 'limit_cpu');
        // The guest's own 64 MiB, what may wait, and the store's caches.
        if (!IS_ASAN) assert.ok(peak - before < 160e6, `resident memory grew by ${(peak - before) / 1e6} MB`);
        // What waits is its module's, and given back when it is stored.
        if (name === 'random' || name === 'reads') assert.ok(held > 1 << 20, `${held} bytes`);
        await until('what waited is given back', async () => (await held_now()) < 1 << 20);
        const lines = await logTexts(s, id);
        assert.ok(lines.length <= 1000, `${lines.length} lines`);
        if (name === 'logs' || name === 'in_step') assert.match(lines.at(-1)!, /further lines .*are dropped: the limit is 1000/);
    }, FLOOD_CPU_MS));

test('what is recorded in one go and is more than may wait is all recorded, and replayed', () => deployed(['--verify-replay'], async (s, crashed) => {
    const id = await start(s, 'floods.long', 600);
    const sum = (await outcome(s, id)).output;
    assert.equal((await journal(s, id)).filter((r: any) => r.kind === 'sync' && r.op === 'random').length, 600);
    const other = await start(s, 'floods.long', 600);
    await progressed(s, other, 300).catch((e) => { if (!/ended before/.test(String(e))) throw e; });
    const next = await crashed();
    assert.equal(typeof (await outcome(next, other)).output, 'number');
    assert.equal((await show(next, id)).output, sum);
    assert.equal((await next.metrics()).get('limpet_verify_failures_total'), 0);
}));

test('a transaction that records more than can be stored at once is refused more', () => deployed([], async (s) => {
    assert.deepEqual(await complete(s, 'floods.transaction', 100), ['fits', 1]);
    const [message, kept] = await complete(s, 'floods.transaction', 1200);
    assert.match(message, /more than 64 MiB .*in one transaction/);
    assert.equal(kept, 1);
    assert.equal(await complete(s, 'floods.long', 0), 0); // and others go on
}));
