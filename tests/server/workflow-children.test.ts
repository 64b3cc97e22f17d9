// SPDX-License-Identifier: Apache-2.0
// Child workflows: results, failures, signals, cancel; started exactly once, over kills; by key; of other modules.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { useServer } from './harness.ts';
import { complete, deployWorkflow, journal, operate, outcome, output, pages, progressed, show, signal, start, suspended, until, withServer } from './workflow-harness.ts';

const server = useServer({ args: ['--threads', '2'] });

test('result, id, parent', async () => {
    const s = await server();
    await deployWorkflow(s, 'basic', `
import { workflow, startChild } from "limpet";
export const child = workflow(async (input, run) => ({ input, id: run.id, workflow: run.workflow }));
export const main = workflow(async (input) => { const c = await startChild(child, input); return { id: c.id, result: await c.result(), again: await c.result() }; });`);
    const id = await start(s, 'basic.main', { n: [1, 'ü'] });
    const out = await output(s, id);
    assert.deepEqual(out.result, { input: { n: [1, 'ü'] }, id: out.id, workflow: 'basic' });
    assert.deepEqual(out.again, out.result);
    const child = await show(s, out.id);
    assert.equal(child.parent, id);
    assert.equal(child.workflow, 'basic.child');
    assert.equal(child.status, 'completed');
    assert.deepEqual((await pages(s, `/executions?parent=${id}`)).map((e) => e.id), [out.id]);
});

test('failures reject result(), with name and message, and can be caught', async () => {
    const s = await server();
    await deployWorkflow(s, 'fails', `
import { workflow, startChild } from "limpet";
export const child = workflow(async (what) => { if (what === "type") throw new TypeError("bad type"); if (what === "text") throw "just text"; class Own extends Error { name = "OwnError" } throw new Own("mine"); });
export const main = workflow(async () => { const out = []; for (const w of ["type", "text", "own"]) try { await (await startChild(child, w)).result(); } catch (e) { out.push([e instanceof Error, e instanceof TypeError, e.name, e.message]); } return out; });
export const uncaught = workflow(async () => { await (await startChild(child, "type")).result(); });`);
    const out = await complete(s, 'fails.main');
    assert.deepEqual(out[0], [true, true, 'TypeError', 'bad type']);
    assert.match(out[1][3], /just text/);
    assert.deepEqual(out[2], [true, false, 'OwnError', 'mine']);
    const end = await outcome(s, await start(s, 'fails.uncaught'));
    assert.equal(end.status, 'failed');
    assert.equal(end.error.name, 'TypeError');
    assert.match(end.error.message, /bad type/);
});

test('of another module, by name; one that does not exist', async () => {
    const s = await server();
    await deployWorkflow(s, 'other-module', 'import { workflow } from "limpet"; export default workflow(async (n) => n * 10); export const named = workflow(async (n) => n * 100);');
    await deployWorkflow(s, 'caller', `
import { workflow, startChild } from "limpet";
export default workflow(async () => {
    const out = [await (await startChild("other-module", 1)).result(), await (await startChild("other-module.named", 1)).result()];
    for (const name of ["no-such-workflow", "other-module.missing", "", 5, null]) try { out.push(await (await startChild(name)).result()); } catch (e) { out.push([e.name, e.message]); }
    return out;
});`);
    const out = await complete(s, 'caller');
    assert.deepEqual(out.slice(0, 2), [10, 100]);
    for (const [, message] of out.slice(2)) assert.ok(message.length > 10, message);
    assert.match(out[2][1], /no-such-workflow/);
    assert.match(out[3][1], /missing/);
});

test('the same key is the same child, of any parent', async () => {
    const s = await server();
    await deployWorkflow(s, 'keyed', `
import { workflow, startChild, step } from "limpet";
export const child = workflow(async (n, run) => n);
export const main = workflow(async (n) => { const a = await startChild(child, n, { id: "key-1" }), b = await startChild(child, n + 100, { id: "key-1" }); return [a.id === b.id, a.id, await a.result(), await b.result()]; });`);
    const [same, id, a, b] = await complete(s, 'keyed.main', 1);
    assert.ok(same);
    assert.deepEqual([a, b], [1, 1]);
    assert.deepEqual(await complete(s, 'keyed.main', 2), [true, id, 1, 1]);
    const res = await s.api('POST', '/workflows/keyed.child/execute', { body: 3, id: 'key-1' });
    assert.equal(res.json.execution_id, id, 'and the same as from outside');
    assert.equal((await show(s, id)).key, 'key-1');
});

test('signals reach a child, in order, before it waits too', async () => {
    const s = await server();
    await deployWorkflow(s, 'talk', `
import { workflow, startChild, waitForEvent, sleep } from "limpet";
export const child = workflow(async () => { await sleep(20); const out = []; for (let i = 0; i < 3; i++) out.push((await waitForEvent("n")).data); return out; });
export const main = workflow(async () => { const c = await startChild(child); for (const n of [1, { two: 2 }]) await c.signal("n", n); await sleep(50); await c.signal("n"); return c.result(); });`);
    assert.deepEqual(await complete(s, 'talk.main'), [1, { two: 2 }, null]);
});

test('cancel ends a child; the parent sees it', async () => {
    const s = await server();
    await deployWorkflow(s, 'cancels', `
import { workflow, startChild, waitForEvent, sleep, log } from "limpet";
export const child = workflow(async () => { try { await waitForEvent("never"); } finally { log.info("child cleans up"); await sleep(1); } });
export const main = workflow(async () => { const c = await startChild(child); await sleep(20); await c.cancel(); try { return await c.result(); } catch (e) { return [e.name, c.id]; } });`);
    const [name, id] = await complete(s, 'cancels.main');
    assert.equal(name, 'ChildCancelledError');
    assert.equal((await show(s, id)).status, 'cancelled');
    const logs = (await s.api('GET', `/executions/${id}/logs`)).json.map((l: any) => l.text);
    assert.deepEqual(logs, ['child cleans up']);
});

test('cancelling the parent cancels its children', async () => {
    const s = await server();
    await deployWorkflow(s, 'tree', `
import { workflow, startChild, waitForEvent, progress } from "limpet";
export const leaf = workflow(async () => { await waitForEvent("never"); });
export const middle = workflow(async () => { const c = await startChild(leaf); progress(c.id); await c.result(); });
export const top = workflow(async () => { const c = await startChild(middle); progress(c.id); await c.result(); });`);
    const top = await start(s, 'tree.top');
    const middle = (await until('the middle', async () => (await show(s, top)).progress ?? undefined)) as string;
    const leaf = (await until('the leaf', async () => (await show(s, middle)).progress ?? undefined)) as string;
    await operate(s, top, 'cancel');
    for (const id of [top, middle, leaf]) assert.equal((await outcome(s, id)).status, 'cancelled', id);
});

test('a child that is not waited for lives on', async () => {
    const s = await server();
    await deployWorkflow(s, 'detached', `
import { workflow, startChild, waitForEvent } from "limpet";
export const child = workflow(async () => (await waitForEvent("go")).data);
export const main = workflow(async () => (await startChild(child)).id);`);
    const id = await complete(s, 'detached.main');
    await signal(s, id, 'go', 'alive');
    assert.equal(await output(s, id), 'alive');
});

test('fan-out: 300 children, all results, in order of the asking', async () => {
    const s = await server();
    await deployWorkflow(s, 'fan', `
import { workflow, startChild, step } from "limpet";
export const child = workflow(async (n) => step("square", () => n * n));
export const main = workflow(async (n) => { const all = []; for (let i = 0; i < n; i++) all.push(await startChild(child, i)); return (await Promise.all(all.map((c) => c.result()))).reduce((a, b) => a + b); });`);
    assert.equal(await complete(s, 'fan.main', 300), Array.from({ length: 300 }, (_, i) => i * i).reduce((a, b) => a + b));
});

test('Promise.race and any over children and time', async () => {
    const s = await server();
    await deployWorkflow(s, 'races', `
import { workflow, startChild, sleep } from "limpet";
export const child = workflow(async (ms) => { await sleep(ms); if (ms === 3) throw new Error("three"); return ms; });
export const main = workflow(async () => {
    const run = async (ms) => (await startChild(child, ms)).result();
    return [await Promise.any([run(3), run(50)]), await Promise.race([run(3_600_000), sleep(30).then(() => "time")]), (await Promise.allSettled([run(3), run(1)])).map((r) => r.status)];
});`);
    assert.deepEqual(await complete(s, 'races.main'), [50, 'time', ['rejected', 'fulfilled']]);
});

test('grandchildren and recursion', async () => {
    const s = await server();
    await deployWorkflow(s, 'deep', `
import { workflow, startChild } from "limpet";
export const fib = workflow(async (n) => n < 2 ? n : (await Promise.all([startChild("deep.fib", n - 1), startChild("deep.fib", n - 2)].map(async (c) => (await c).result()))).reduce((a, b) => a + b));`);
    assert.equal(await complete(s, 'deep.fib', 7), 13);
});

test('each is started exactly once, over kills at any moment', async () => {
    await withServer({ args: ['--threads', '2'] }, async (s, crashed) => {
        await deployWorkflow(s, 'once', `
import { workflow, startChild, sleep, sql } from "limpet";
export const setup = workflow(async () => { sql.exec("CREATE TABLE runs (n)"); });
export const child = workflow(async (n) => { sql.exec("INSERT INTO runs VALUES (?)", n); await sleep(10); return n; });
export const main = workflow(async (base) => { const out = []; for (let i = 0; i < 12; i++) { const c = await startChild(child, base + i); out.push(await c.result()); } return out; });
export const count = workflow(async () => sql.exec("SELECT n, count(*) AS c FROM runs GROUP BY n ORDER BY n").toArray().map((r) => [r.n, r.c]));`);
        await complete(s, 'once.setup');
        const ids = await Promise.all([0, 100, 200].map((n) => start(s, 'once.main', n)));
        for (let k = 0; k < 5; k++) {
            await until('some progress', async () => (await pages(s, '/executions?workflow=once')).filter((e) => e.workflow === 'once.child').length >= 5 * (k + 1));
            s = await crashed();
        }
        for (const [k, id] of ids.entries()) assert.deepEqual(await output(s, id), Array.from({ length: 12 }, (_, i) => k * 100 + i));
        const expected = [0, 100, 200].flatMap((base) => Array.from({ length: 12 }, (_, i) => [base + i, 1]));
        assert.deepEqual(await complete(s, 'once.count'), expected);
        assert.equal((await pages(s, '/executions?workflow=once')).filter((e) => e.workflow === 'once.child').length, 36);
    });
});

test('a child that ends while its parent is suspended, or while the server is down, wakes it', async () => {
    await withServer({}, async (s, crashed) => {
        await deployWorkflow(s, 'wakes', `
import { workflow, startChild, waitForEvent, progress } from "limpet";
export const child = workflow(async () => (await waitForEvent("go")).data);
export const main = workflow(async () => { const c = await startChild(child); progress(c.id); return c.result(); });`);
        const parent = await start(s, 'wakes.main');
        const child = (await until('the child', async () => (await show(s, parent)).progress ?? undefined)) as string;
        await suspended(s, parent);
        await suspended(s, child);
        s = await crashed();
        await signal(s, child, 'go', 'late');
        s = await crashed();
        assert.equal(await output(s, parent), 'late');
    });
});

test('waiting for a child of somebody else, by key', async () => {
    const s = await server();
    await deployWorkflow(s, 'adopts', `
import { workflow, startChild, waitForEvent, progress } from "limpet";
export const child = workflow(async () => (await waitForEvent("go")).data);
export const main = workflow(async () => { const c = await startChild(child, null, { id: "shared" }); progress("waits"); return c.result(); });`);
    const outside = (await s.api('POST', '/workflows/adopts.child/execute', { id: 'shared' })).json.execution_id;
    const parents = await Promise.all([1, 2].map(() => start(s, 'adopts.main')));
    for (const p of parents) await progressed(s, p, 'waits');
    await signal(s, outside, 'go', 'both');
    for (const p of parents) assert.equal(await output(s, p), 'both');
});

test('waiting for a child of somebody else, over a kill', async () => {
    await withServer({}, async (s, crashed) => {
        await deployWorkflow(s, 'adopts', `
import { workflow, startChild, waitForEvent, progress } from "limpet";
export const child = workflow(async () => (await waitForEvent("go")).data);
export const main = workflow(async () => { const c = await startChild(child, null, { id: "shared" }); progress("waits"); return c.result(); });`);
        const outside = (await s.api('POST', '/workflows/adopts.child/execute', { id: 'shared' })).json.execution_id;
        const parent = await start(s, 'adopts.main');
        await progressed(s, parent, 'waits');
        s = await crashed();
        await signal(s, outside, 'go', 'both');
        assert.equal(await output(s, parent), 'both');
    });
});

test('the journal tells which child it was', async () => {
    const s = await server();
    await deployWorkflow(s, 'told', 'import { workflow, startChild } from "limpet"; export const child = workflow(async () => 1); export const main = workflow(async () => (await startChild(child)).result());');
    const id = await start(s, 'told.main');
    await outcome(s, id);
    const records = await journal(s, id);
    const started = records.find((r) => r.op === 'child_start');
    assert.match(started.label, /told\.child/);
    assert.ok(records.some((r) => r.op === 'child_result'));
});
