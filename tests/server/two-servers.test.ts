// SPDX-License-Identifier: Apache-2.0
// Two servers over one data folder: the second refuses to start. If it is made to start all the same (the lock is taken away), it fences the first,
// which from then on refuses whatever would have to be written, and never writes again.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { test } from 'node:test';
import { errorOf, Server, until } from './harness.ts';
import { deployWorkflow, execute, journal, metadata, output, pages, show, signal, start, suspended } from './workflow-harness.ts';

const SOURCE = `
import { workflow, step, sleep, waitForEvent, progress, sql } from "limpet";
export default workflow(async (name) => { const got = []; for (let i = 0; i < 5; i++) { got.push((await waitForEvent("n")).data); sql.exec("CREATE TABLE IF NOT EXISTS t (name, n)"); sql.exec("INSERT INTO t VALUES (?, ?)", name, i); progress(i); } return [got, sql.exec("SELECT n FROM t WHERE name = ? ORDER BY rowid", name).toArray().map((r) => r.n)]; });
export const writes = workflow(async (n, run) => { sql.exec("CREATE TABLE IF NOT EXISTS w (n)"); for (let i = 0; i < n; i++) { sql.exec("INSERT INTO w VALUES (?)", i); progress(i); if (i % 3 === 0) await sleep(1); else await step("s", () => i); } return sql.exec("SELECT n FROM w ORDER BY rowid").toArray().map((r) => r.n); });
export const ticks = workflow(async () => { for (let i = 0; i < 100000; i++) { await step("s", () => i); await sleep(2); } });`;

/** Takes away what keeps a second server out. */
function unlock(data: string): void {
    for (const file of fs.readdirSync(data, { recursive: true }) as string[]) if (/lock$/.test(file)) fs.rmSync(`${data}/${file}`);
}

test('the second one refuses to start, says why, and disturbs nothing', async () => {
    const s = await Server.start();
    try {
        await deployWorkflow(s, 'shared', SOURCE);
        const id = await start(s, 'shared', 'a');
        const refused = await Server.startFailing({ data: s.data });
        assert.notEqual(refused.code, 0);
        assert.match(refused.output, /another|already|in use|lock/i);
        assert.ok(refused.output.includes(s.data), refused.output);
        for (let n = 0; n < 5; n++) await signal(s, id, 'n', n);
        assert.deepEqual(await output(s, id), [[0, 1, 2, 3, 4], [0, 1, 2, 3, 4]]);
    } finally {
        await s.stop();
        fs.rmSync(s.data, { recursive: true, force: true });
    }
});

test('the lock goes with its server, also by kill -9', async () => {
    let s = await Server.start();
    try {
        await s.kill();
        s = await s.revive();
        s = await s.restart();
    } finally {
        await s.kill();
        fs.rmSync(s.data, { recursive: true, force: true });
    }
});

test('fenced: the first one refuses starts, signals and uploads with 503, and never writes again', async () => {
    const first = await Server.start({ args: ['--threads', '2'] });
    let second: Server | undefined;
    try {
        await deployWorkflow(first, 'shared', SOURCE);
        const id = await start(first, 'shared', 'a');
        await signal(first, id, 'n', 0);
        await until('the first signal', async () => (await show(first, id)).progress === 0);
        const ticking = await start(first, 'shared.ticks');
        await until('it ticks', async () => (await show(first, ticking)).records > 10);

        unlock(first.data);
        second = await Server.start({ data: first.data, args: ['--threads', '2'] });
        const [epochs] = await metadata(first.data, [['SELECT epoch FROM lease']]);
        assert.equal(epochs![0]![0], 2);

        // What would have to be written is refused, with a code that says so.
        const refusals = [
            await execute(first, 'shared', 'b'),
            await execute(first, 'shared', 'b', { id: 'key' }),
            await first.api('POST', `/executions/${id}/signal`, { name: 'n', data: 'lost' }),
            await first.api('POST', `/executions/${id}/cancel`),
            await first.api('POST', `/executions/${id}/pause`),
            await first.api('PUT', '/workflows/shared/env/A', { value: '1' }),
            await first.api('DELETE', '/workflows/shared'),
        ];
        for (const res of refusals) {
            const e = errorOf(res, 503, 'fenced');
            assert.ok(e.hint, res.text);
        }
        assert.equal(first.isAlive, true, 'it stays up, so that it can say so');
        assert.match(first.stderr + first.stdout, /fence|another server|lease/i);

        // The second one has it all, and nothing of the refused.
        assert.equal((await show(second, id)).progress, 0);
        assert.equal((await show(second, id)).paused, false);
        assert.equal((await second.api('GET', '/workflows/shared/env')).json.length, 0);
        for (let n = 1; n < 5; n++) await signal(second, id, 'n', n);
        assert.deepEqual(await output(second, id), [[0, 1, 2, 3, 4], [0, 1, 2, 3, 4]]);
        assert.equal((await pages(second, '/executions?workflow=shared')).length, 2);

        // The journal of the one that both had: gapless, and every record of it the second one's or from before.
        await until('it ticks on', async () => (await show(second!, ticking)).records > 40);
        const records = await journal(second, ticking);
        assert.deepEqual(records.map((r) => r.n), records.map((_, n) => n));
        const steps = records.filter((r) => r.op === 'step').map((r) => r.value);
        assert.deepEqual(steps, steps.map((_, n) => n), 'each once, in order');
        // The first one stopped running it.
        errorOf(await execute(first, 'shared', 'c'), 503, 'fenced');
    } finally {
        await first.kill();
        await second?.kill();
        fs.rmSync(first.data, { recursive: true, force: true });
    }
});

test('fenced: the databases of modules are not written by both', async () => {
    for (let round = 0; round < 3; round++) {
        const first = await Server.start({ args: ['--threads', '2'] });
        let second: Server | undefined;
        try {
            await deployWorkflow(first, 'shared', SOURCE);
            const N = 2000;
            const id = await start(first, 'shared.writes', N);
            await until('it writes', async () => (await show(first, id)).progress >= 5 + round * 20);
            unlock(first.data);
            second = await Server.start({ data: first.data, args: ['--threads', '2'] });
            // Both live while the new one brings it to its end.
            assert.deepEqual(await output(second, id), Array.from({ length: N }, (_, i) => i), 'each row once');
            errorOf(await execute(first, 'shared', 'x'), 503, 'fenced');
        } finally {
            await first.kill();
            await second?.kill();
            fs.rmSync(first.data, { recursive: true, force: true });
        }
    }
});

test('fenced: a third fences the second, and so on; the newest has everything', async () => {
    const servers = [await Server.start()];
    const { data } = servers[0]!;
    try {
        await deployWorkflow(servers[0]!, 'shared', SOURCE);
        const id = await start(servers[0]!, 'shared', 'a');
        for (let n = 0; n < 5; n++) {
            const newest = servers.at(-1)!;
            await signal(newest, id, 'n', n);
            await until(`signal ${n}`, async () => { const r = await show(newest, id); return r.progress === n || r.status === 'completed'; });
            if (n === 4) break;
            unlock(data);
            servers.push(await Server.start({ data }));
            errorOf(await newest.api('POST', `/executions/${id}/signal`, { name: 'n', data: 'lost' }), 503, 'fenced');
        }
        assert.deepEqual(await output(servers.at(-1)!, id), [[0, 1, 2, 3, 4], [0, 1, 2, 3, 4]]);
    } finally {
        for (const s of servers) await s.kill();
        fs.rmSync(data, { recursive: true, force: true });
    }
});

test('a fenced server ends in good order', async () => {
    const first = await Server.start();
    let second: Server | undefined;
    try {
        await deployWorkflow(first, 'shared', SOURCE);
        const id = await start(first, 'shared', 'a');
        await suspended(first, id);
        unlock(first.data);
        second = await Server.start({ data: first.data });
        errorOf(await execute(first, 'shared', 'b'), 503, 'fenced');
        await first.stop();
        for (let n = 0; n < 5; n++) await signal(second, id, 'n', n);
        await output(second, id);
    } finally {
        await first.kill();
        await second?.kill();
        fs.rmSync(first.data, { recursive: true, force: true });
    }
});
