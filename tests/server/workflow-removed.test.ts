// SPDX-License-Identifier: Apache-2.0
// Who waits for an execution whose workflow is deleted learns that it is gone: parents at rest, parents in memory, others, requests.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Server, errorOf, IS_ASAN, useServer } from './harness.ts';
import { deployWorkflow, metadata, outcome, output, show, start, suspended, until, withServer } from './workflow-harness.ts';

const server = useServer({ args: ['--threads', '2'] });

const SLEEPS = `import { workflow, waitForEvent } from "limpet"; export default workflow(async () => { await waitForEvent("never"); });`;

/** Waits for a child with this name and key; says how that ended. */
const waits = (child: string) => `import { workflow, startChild } from "limpet";
export default workflow(async (key) => {
    const c = await startChild("${child}", null, key ? { id: key } : {});
    try { return await c.result(); } catch (e) { return e.message; }
});`;

const deleted = async (s: Server, name: string) => assert.equal((await s.api('DELETE', `/workflows/${name}`)).status, 204);

test('parents that are at rest, or have just begun to wait', async () => {
    const s = await server();
    for (const rests of [true, false]) {
        const child = rests ? 'rests-child' : 'begins-child', parent = rests ? 'rests' : 'begins';
        await deployWorkflow(s, child, SLEEPS);
        await deployWorkflow(s, parent, waits(child));
        const ids = await Promise.all(Array.from({ length: 20 }, () => start(s, parent)));
        if (rests) for (const id of ids) await suspended(s, id);
        else await until('some children are there', async () => (await s.api('GET', `/executions?workflow=${child}`)).json.length > 0);
        await deleted(s, child);
        for (const id of ids) {
            const end = await outcome(s, id);
            if (rests) assert.match(end.output, /no such execution/);
            else assert.ok(end.status === 'completed' ? /no such execution|there is no/.test(end.output) : /no (workflow|function)|there is no/.test(end.error.message), JSON.stringify(end));
        }
    }
});

test('one that did not start it', async () => {
    const s = await server();
    await deployWorkflow(s, 'shared-child', SLEEPS);
    await deployWorkflow(s, 'shares', waits('shared-child'));
    const first = await start(s, 'shares', 'key');
    await suspended(s, first);
    const second = await start(s, 'shares', 'key');
    await until('it has asked for the child', async () => (await show(s, second)).records >= 2);
    await deleted(s, 'shared-child');
    for (const id of [first, second]) assert.match(await output(s, id), /no such execution/);
});

test('a request that waits', async () => {
    const s = await server();
    await deployWorkflow(s, 'waited', SLEEPS);
    const id = await start(s, 'waited');
    await suspended(s, id);
    const wait = s.api('GET', `/executions/${id}?wait=5m`);
    await show(s, id); // behind it, so it waits by now
    await deleted(s, 'waited');
    errorOf(await wait, 404, 'not_found');
});

test('one made again under the name is another, also after a kill', async () => {
    await withServer({}, async (s, crashed) => {
        await deployWorkflow(s, 'again-child', SLEEPS);
        await deployWorkflow(s, 'again', waits('again-child'));
        const ids = [await start(s, 'again'), await start(s, 'again')];
        for (const id of ids) await suspended(s, id);
        const [gone, upload] = await Promise.all([s.api('DELETE', '/workflows/again-child'), s.api('POST', '/workflows', { name: 'again-child', source: SLEEPS })]);
        assert.deepEqual([gone.status, upload.status], [204, 202]);
        assert.match(await output(s, ids[0]!), /no such execution/);
        s = await crashed();
        assert.match(await output(s, ids[1]!), /no such execution/);
    });
});

const STARTS = `import { workflow, startChild, sql } from "limpet";
export const setup = workflow(async () => { sql.exec("CREATE TABLE told (id)"); });
const tell = async (c) => { try { return await c.result(); } catch (e) { return e.message; } };
export const computes = workflow(async (rounds) => {
    const c = await startChild("start-child", null);
    let x = 0;
    for (let i = 0; i < rounds; i++) x += i; // in the same turn, so the start is not stored yet
    return tell(c);
});
export const writes = workflow(async () => {
    const c = await startChild("start-child", null);
    sql.exec("INSERT INTO told VALUES (?)", c.id);
    return tell(c);
});`;

test('a child whose workflow is deleted before its start is stored', async () => {
    const s = await server();
    await deployWorkflow(s, 'start-child', SLEEPS);
    await deployWorkflow(s, 'starts', STARTS, { cpu_ms: 60_000 });
    const ids = await Promise.all(Array.from({ length: 4 }, () => start(s, 'starts.computes', IS_ASAN ? 2e5 : 3e6)));
    await deleted(s, 'start-child');
    for (const id of ids) {
        const end = await outcome(s, id);
        assert.match(end.status === 'completed' ? end.output : end.error.message, /there is no|no workflow/, JSON.stringify(end));
    }
});

test('a child that only the database of the module tells of, when its workflow is gone', () => withServer({ args: ['--threads', '1'], env: { LIMPET_CRASH_AT: 'sql-after:2' } }, async (s) => {
    if (!/crash point/.test(s.stdout)) return; // a build without them
    await deployWorkflow(s, 'start-child', SLEEPS);
    await deployWorkflow(s, 'starts', STARTS);
    assert.equal(await output(s, await start(s, 'starts.setup')), null);
    await start(s, 'starts.writes', null, { id: 'one' }).catch(() => {}); // it may end before it answers
    await s.ended();
    await metadata(s.data, [["DELETE FROM function WHERE name = 'start-child'"]]);
    const next = await s.revive({ env: {} });
    try {
        assert.match(await output(next, await start(next, 'starts.writes', null, { id: 'one' })), /there is no such execution/);
    } finally {
        await next.kill();
    }
}));
