// SPDX-License-Identifier: Apache-2.0
// Signals: each delivered exactly once and in order; before the workflow waits, while it is suspended, across kills, between executions.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { errorOf, useServer } from './harness.ts';
import { deployWorkflow, execute, outcome, output, progressed, signal, start, suspended, withServer } from './workflow-harness.ts';

const server = useServer({ args: ['--threads', '2'] });

const COLLECT = `
import { workflow, waitForEvent, progress } from "limpet";
export default workflow(async (n) => { const got = []; progress(0); while (got.length < n) { got.push((await waitForEvent("n")).data); progress(got.length); } return got; });`;

test('all of them, in order, whether it waits or not', async () => {
    const s = await server();
    await deployWorkflow(s, 'collect', COLLECT);
    const id = await start(s, 'collect', 50);
    for (let n = 0; n < 50; n++) await signal(s, id, 'n', n);
    assert.deepEqual(await output(s, id), Array.from({ length: 50 }, (_, n) => n));
});

test('sent while it is suspended, each time', async () => {
    const s = await server();
    await deployWorkflow(s, 'collect', COLLECT);
    const id = await start(s, 'collect', 3);
    for (let n = 0; n < 3; n++) {
        await progressed(s, id, n);
        await suspended(s, id);
        await signal(s, id, 'n', n);
    }
    assert.deepEqual(await output(s, id), [0, 1, 2]);
});

test('sent before it waits: kept until then', async () => {
    const s = await server();
    await deployWorkflow(s, 'late', `
import { workflow, waitForEvent, sleep, progress } from "limpet";
export default workflow(async () => { progress("up"); await waitForEvent("first"); await sleep(20); return [(await waitForEvent("b")).data, (await waitForEvent("a")).data, (await waitForEvent("a")).data]; });`);
    const id = await start(s, 'late');
    await progressed(s, id, 'up');
    await signal(s, id, 'a', 1);
    await signal(s, id, 'a', 2);
    await signal(s, id, 'b', 3);
    await signal(s, id, 'first');
    assert.deepEqual(await output(s, id), [3, 1, 2]);
});

test('right after the start, before its first line has run', async () => {
    const s = await server();
    await deployWorkflow(s, 'collect', COLLECT);
    const ids = await Promise.all(Array.from({ length: 20 }, async () => {
        const id = await start(s, 'collect', 1);
        await signal(s, id, 'n', id);
        return id;
    }));
    for (const id of ids) assert.deepEqual(await output(s, id), [id]);
});

test('exactly once, acknowledged ones over kill -9', async () => {
    await withServer({ args: ['--threads', '2'] }, async (s, crashed) => {
        await deployWorkflow(s, 'collect', COLLECT);
        const total = 40;
        const ids = await Promise.all([0, 1, 2].map(() => start(s, 'collect', total)));
        for (let n = 0; n < total; n++) {
            await Promise.all(ids.map((id) => signal(s, id, 'n', n)));
            if (n % 9 === 5) s = await crashed();
        }
        for (const id of ids) assert.deepEqual(await output(s, id), Array.from({ length: total }, (_, n) => n));
    });
});

test('sent while the execution has only just been killed, before it is back', async () => {
    await withServer({}, async (s, crashed) => {
        await deployWorkflow(s, 'collect', COLLECT);
        const ids = await Promise.all(Array.from({ length: 20 }, () => start(s, 'collect', 2)));
        s = await crashed();
        await Promise.all(ids.map((id) => signal(s, id, 'n', 'a')));
        s = await crashed();
        await Promise.all(ids.map((id) => signal(s, id, 'n', 'b')));
        for (const id of ids) assert.deepEqual(await output(s, id), ['a', 'b']);
    });
});

test('names are apart, spaces and umlauts included', async () => {
    const s = await server();
    await deployWorkflow(s, 'names', `
import { workflow, waitForEvent } from "limpet";
export default workflow(async (names) => { const out = []; for (const n of names) { const e = await waitForEvent(n); out.push([e.name, e.data]); } return out; });`);
    const names = ['a', 'A', 'a b', 'größe', '🦪', 'x'.repeat(200)];
    const id = await start(s, 'names', names);
    for (const n of [...names].reverse()) await signal(s, id, n, n.length);
    assert.deepEqual(await output(s, id), names.map((n) => [n, n.length]));
});

test('data of every JSON kind, and none', async () => {
    const s = await server();
    await deployWorkflow(s, 'collect', COLLECT);
    const values = [null, 0, 'text', true, [], {}, { deep: [{ a: 1 }] }, 'ü\u0000😀', 123456789.125];
    const id = await start(s, 'collect', values.length + 1);
    for (const v of values) await signal(s, id, 'n', v);
    assert.equal((await s.api('POST', `/executions/${id}/signal`, { name: 'n' })).status, 202);
    assert.deepEqual(await output(s, id), [...values, null]);
});

test('what is refused: no name, too long, no such execution, one that has ended', async () => {
    const s = await server();
    await deployWorkflow(s, 'ends', 'import { workflow } from "limpet"; export default workflow(async () => 1);');
    const id = await start(s, 'ends');
    await outcome(s, id);
    assert.ok(errorOf(await s.api('POST', `/executions/${id}/signal`, { name: 'x' }), 409, 'conflict').hint);
    errorOf(await s.api('POST', '/executions/00000000-0000-7000-8000-000000000000/signal', { name: 'x' }), 404, 'not_found');
    await deployWorkflow(s, 'collect', COLLECT);
    const open = await start(s, 'collect', 1);
    for (const body of [{}, { name: '' }, { name: 5 }, { name: 'x'.repeat(201) }, { name: 'x', extra: 1 }, [], 'x']) errorOf(await s.api('POST', `/executions/${open}/signal`, body), 400, 'invalid');
    errorOf(await s.admin(`/executions/${open}/signal`, { method: 'POST', body: '{"name":"x","data":' }), 400, 'invalid');
});

test('a function\'s run cannot be signalled', async () => {
    const s = await server();
    await s.deploy('just-a-function', 'export const handler = { handle() { return 1; } };');
    const id = (await s.execute('just-a-function')).json.execution_id;
    assert.ok(errorOf(await s.api('POST', `/executions/${id}/signal`, { name: 'x' }), 409, 'conflict').hint);
});

test('from one execution to another, exactly once, over kills', async () => {
    await withServer({ args: ['--threads', '2'] }, async (s, crashed) => {
        await deployWorkflow(s, 'pair', `
import { workflow, waitForEvent, startChild, step, sleep } from "limpet";
export const child = workflow(async (n) => { const got = []; while (got.length < n) got.push((await waitForEvent("n")).data); await waitForEvent("stop"); const rest = []; try { for (;;) rest.push((await waitForEvent("n", { timeout: 0 })).data); } catch {} return [got, rest]; });
export const main = workflow(async (n) => { const c = await startChild(child, n); for (let i = 0; i < n; i++) { await c.signal("n", i); await sleep(5); } await c.signal("stop"); return c.result(); });`);
        const ids = await Promise.all([1, 2, 3].map(() => start(s, 'pair.main', 30)));
        for (let k = 0; k < 4; k++) s = await crashed();
        for (const id of ids) assert.deepEqual(await output(s, id), [Array.from({ length: 30 }, (_, n) => n), []]);
    });
});

test('a flood of them, a hundred at once', async () => {
    const s = await server();
    await deployWorkflow(s, 'collect', COLLECT);
    const id = await start(s, 'collect', 1);
    const other = await start(s, 'collect', 600);
    for (let k = 0; k < 600; k += 100) await Promise.all(Array.from({ length: 100 }, (_, n) => signal(s, other, 'n', k + n)));
    const out = await output(s, other);
    assert.deepEqual([...out].sort((a, b) => a - b), Array.from({ length: 600 }, (_, n) => n));
    await signal(s, id, 'n', 1);
    assert.deepEqual(await output(s, id), [1]);
    const res = await execute(s, 'collect', 0, { wait: '30s' });
    assert.deepEqual(res.json.output, []);
});
