// SPDX-License-Identifier: Apache-2.0
// An execution that the process ends with again and again is parked, with the reason, until somebody resumes it; the others go on.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { after, before, test } from 'node:test';
import { Server, tempDir, until } from './harness.ts';
import { complete, Counter, crash, deployWorkflow, execute, journal, operate, output, show, start, suspended, untilShown } from './workflow-harness.ts';

const SOURCE = `
import { workflow, step, waitForEvent } from "limpet";
export const poison = workflow(async (url) => { await step("a", () => 1); await fetch(url); await step("b", () => 2); return "through"; });
export const asks = workflow(async (url) => (await fetch(url)).status);
export const rests = workflow(async () => { await waitForEvent("go"); return "rested"; });
export const child = workflow(async () => 1);`;

let counter: Counter;
before(async () => { counter = await Counter.start(); });
after(() => { counter.stop(); });

const args = (): string[] => ['--threads', '1', ...counter.flags];

/** The life of a server that ends itself at a commit of records. */
async function life(data: string, crashAt: string): Promise<void> {
    try {
        const s = await Server.start({ data, args: args(), env: { LIMPET_CRASH_AT: crashAt, LIMPET_CRASH_FALLS: '1' } });
        await s.ended();
    } catch (e) {
        if (!/ended before it was ready \(SIGKILL\)/.test(String(e))) throw e;
    }
}

test('three crashes in a row without a new record', async () => {
    const first = await Server.start({ args: args(), env: { LIMPET_CRASH_AT: 'before:3', LIMPET_CRASH_FALLS: '1' } });
    const { data } = first;
    try {
        if (!/crash point/.test(first.stdout)) return first.kill(); // a build without them
        await deployWorkflow(first, 'park', SOURCE);
        const resting = await start(first, 'park.rests');
        await suspended(first, resting); // its one commit with records
        // The next two are its own: its request leaves when what was before it is stored, so there is a commit before and one after.
        const id = await start(first, 'park.poison', counter.url, { id: 'one' }).catch(() => '');
        await first.ended();
        await life(data, 'before:1');
        await life(data, 'before:1');
        const s = await Server.start({ data, args: args() });
        try {
            const list = (await s.api('GET', '/executions?workflow=park.poison')).json;
            const parked = await untilShown(s, id || list[0].id, 'parked', (row) => row.parked !== null);
            assert.match(parked.parked, /ended by a crash three times in a row/);
            assert.equal(parked.paused, true);
            assert.ok(['queued', 'running', 'suspended'].includes(parked.status));
            assert.match(s.stderr, /an execution is parked/);
            const records = (await journal(s, parked.id)).length;
            // Others run, and this one does not, whatever happens to it.
            assert.equal(await complete(s, 'park.child'), 1);
            await execute(s, 'park.poison', counter.url, { id: 'one' });
            await operate(s, resting, 'signal', { name: 'go' });
            assert.equal(await output(s, resting), 'rested');
            assert.equal((await journal(s, parked.id)).length, records);
            const state = await operate(s, parked.id, records % 2 ? 'retry' : 'resume', records % 2 ? {} : undefined);
            assert.equal(state.parked, null);
            assert.equal(await output(s, parked.id), 'through');
        } finally {
            await s.kill();
        }
    } finally {
        await first.kill();
        fs.rmSync(data, { recursive: true, force: true });
    }
});

test('one that goes on between crashes is not parked, nor one that only sleeps', async () => {
    let s = await Server.start({ args: args() });
    try {
        let answered = 0;
        counter.answer = (_, res) => { answered++; res.end('{}'); };
        await deployWorkflow(s, 'park', SOURCE);
        const resting = await start(s, 'park.rests');
        await suspended(s, resting);
        for (let n = 0; n < 4; n++) {
            const id = await start(s, 'park.asks', `${counter.url}/${n}`);
            assert.equal(await output(s, id), 200);
            s = await crash(s);
            assert.equal((await show(s, resting)).parked, null);
        }
        assert.equal(answered, 4);
        await operate(s, resting, 'signal', { name: 'go' });
        assert.equal(await output(s, resting), 'rested');
    } finally {
        await s.kill();
        fs.rmSync(s.data, { recursive: true, force: true });
    }
});

test('a server that falls while it waits for the same request, three times; resumed it goes on; kill -9 does not count', async () => {
    let s = await Server.start({ data: tempDir(), args: args() });
    try {
        let isOpen = false;
        counter.answer = (_, res) => { if (isOpen) res.end('{}'); };
        await deployWorkflow(s, 'park', SOURCE);
        const before = counter.requests.length;
        const id = await start(s, 'park.asks', `${counter.url}/slow`);
        for (let n = 1; n <= 8; n++) {
            await until('it has asked', () => counter.requests.length >= before + n);
            if (n <= 5) {
                s = await crash(s);
                assert.equal((await show(s, id)).parked, null);
            } else {
                s.child.kill('SIGABRT');
                await s.ended();
                s = await s.revive({});
            }
        }
        assert.match((await untilShown(s, id, 'parked', (row) => row.parked !== null)).parked, /three times/);
        assert.equal((await s.metrics()).get('limpet_workflow_executions_paused'), 1);
        isOpen = true;
        await operate(s, id, 'resume');
        assert.equal(await output(s, id), 200);
    } finally {
        await s.kill();
        fs.rmSync(s.data, { recursive: true, force: true });
    }
});
