// SPDX-License-Identifier: Apache-2.0
// What can be done to an execution from outside: cancel, pause, resume, retry, fork, wait, progress, idempotent starts.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { errorOf, useServer } from './harness.ts';
import { complete, deployWorkflow, execute, journal, logTexts, operate, outcome, output, pages, progressed, show, signal, start, suspended, until, untilShown, withServer } from './workflow-harness.ts';

const server = useServer({ args: ['--threads', '2'] });
const ABSENT = '00000000-0000-7000-8000-000000000000';

// ---- cancel ----

test('cancel: finally and catch run, compensation works, the end is cancelled', async () => {
    const s = await server();
    await deployWorkflow(s, 'saga', `
import { workflow, step, sleep, waitForEvent, CancelledError, log, sql } from "limpet";
export default workflow(async (input, run) => {
    const undo = [];
    try {
        await step("reserve", () => 1); undo.push("reserve");
        await step("charge", () => 1); undo.push("charge");
        await waitForEvent("shipped");
    } catch (e) {
        log.info("caught " + e.name + " " + (e instanceof CancelledError) + " " + run.signal.aborted);
        for (const what of undo.reverse()) { await step("undo " + what, () => log.info("undo " + what)); await sleep(1); }
        throw e;
    } finally { await step("last", () => 1); log.info("finally"); }
});`);
    const id = await start(s, 'saga');
    await suspended(s, id);
    const res = await operate(s, id, 'cancel');
    assert.equal(res.execution_id, id);
    const end = await outcome(s, id);
    assert.equal(end.status, 'cancelled');
    assert.equal(end.error.name, 'CancelledError');
    assert.deepEqual(await logTexts(s, id), ['caught CancelledError true true', 'undo charge', 'undo reserve', 'finally']);
    const kinds = (await journal(s, id)).map((r) => r.kind);
    assert.ok(kinds.includes('cancel'), kinds.join());
});

test('cancel: code that goes on completes, code that throws something else fails', async () => {
    const s = await server();
    await deployWorkflow(s, 'stubborn', `
import { workflow, waitForEvent, step } from "limpet";
export const goes = workflow(async () => { try { await waitForEvent("x"); } catch { return step("s", () => "kept"); } });
export const throws = workflow(async () => { try { await waitForEvent("x"); } catch { throw new RangeError("other"); } });`);
    const a = await start(s, 'stubborn.goes'), b = await start(s, 'stubborn.throws');
    for (const id of [a, b]) { await suspended(s, id); await operate(s, id, 'cancel'); }
    assert.equal((await outcome(s, a)).status, 'completed');
    assert.equal((await outcome(s, a)).output, 'kept');
    assert.equal((await outcome(s, b)).status, 'failed');
    assert.equal((await outcome(s, b)).error.name, 'RangeError');
});

test('cancel: everything pending rejects at once', async () => {
    const s = await server();
    await deployWorkflow(s, 'pending', `
import { workflow, waitForEvent, sleep, step, startChild, progress } from "limpet";
export const child = workflow(async () => { await waitForEvent("never"); });
export const main = workflow(async () => {
    const c = await startChild(child);
    const all = [sleep("1 year"), waitForEvent("x"), c.result(), step("long", () => new Promise(() => {})), fetch("http://127.0.0.1:1/never").then(() => { throw new Error("?"); }, () => { progress("up"); return sleep(1e9); })];
    return (await Promise.allSettled(all)).map((r) => r.status + " " + r.reason?.name);
});`);
    const id = await start(s, 'pending.main');
    await progressed(s, id, 'up');
    await operate(s, id, 'cancel');
    const end = await outcome(s, id);
    assert.equal(end.status, 'completed', JSON.stringify(end.error));
    assert.deepEqual(end.output, Array(5).fill('rejected CancelledError'));
});

test('cancel: a plain setTimeout does not hold it up', async () => {
    const s = await server();
    await deployWorkflow(s, 'timers', `
import { workflow, progress } from "limpet";
export const waits = workflow(async () => { progress("up"); await new Promise((r) => setTimeout(r, 1e9)); });
export const looks = workflow(async (_, run) => { progress("up"); await new Promise((r) => { setTimeout(r, 1e9); run.signal.addEventListener("abort", () => r(0)); }); return run.signal.reason.name; });`);
    const a = await start(s, 'timers.waits'), b = await start(s, 'timers.looks');
    for (const id of [a, b]) {
        await progressed(s, id, 'up');
        await operate(s, id, 'cancel');
    }
    assert.equal((await outcome(s, a)).status, 'cancelled');
    assert.equal(await output(s, b), 'CancelledError');
});

test('cancel before the first line, twice, and after the end', async () => {
    const s = await server();
    await deployWorkflow(s, 'early', 'import { workflow, waitForEvent } from "limpet"; export default workflow(async () => { await waitForEvent("x"); });');
    const ids = await Promise.all(Array.from({ length: 10 }, async () => {
        const id = await start(s, 'early');
        await operate(s, id, 'cancel');
        const again = await s.api('POST', `/executions/${id}/cancel`);
        assert.ok([202, 409].includes(again.status), again.text);
        return id;
    }));
    for (const id of ids) assert.equal((await outcome(s, id)).status, 'cancelled');
    assert.ok(errorOf(await s.api('POST', `/executions/${ids[0]}/cancel`), 409, 'conflict').hint);
    errorOf(await s.api('POST', `/executions/${ABSENT}/cancel`), 404, 'not_found');
});

test('cancel holds over kill -9, before and after it was told', async () => {
    await withServer({}, async (s, crashed) => {
        await deployWorkflow(s, 'killed', `
import { workflow, waitForEvent, sleep, step, log } from "limpet";
export default workflow(async () => { try { await waitForEvent("x"); } finally { log.info("one"); await waitForEvent("cleanup"); log.info("two"); } });`);
        const ids = await Promise.all(Array.from({ length: 8 }, () => start(s, 'killed')));
        for (const id of ids) await suspended(s, id);
        await Promise.all(ids.map((id) => operate(s, id, 'cancel')));
        s = await crashed();
        for (const id of ids) await until('the first line', async () => (await logTexts(s, id)).length === 1);
        s = await crashed();
        await Promise.all(ids.map((id) => signal(s, id, 'cleanup')));
        for (const id of ids) {
            assert.equal((await outcome(s, id)).status, 'cancelled');
            assert.deepEqual(await logTexts(s, id), ['one', 'two']);
        }
    });
});

// ---- pause and resume ----

test('pause: nothing runs until resume; signals and time wait for it', async () => {
    const s = await server();
    await deployWorkflow(s, 'pausable', `
import { workflow, waitForEvent, sleep, progress } from "limpet";
export default workflow(async () => { let n = 0; for (;;) { const e = await waitForEvent("n", { timeout: "1 hour" }); progress(++n); if (e.data === "end") return n; } });`);
    const id = await start(s, 'pausable');
    await signal(s, id, 'n');
    await progressed(s, id, 1);
    assert.equal((await operate(s, id, 'pause')).paused, true);
    await signal(s, id, 'n');
    await signal(s, id, 'n', 'end');
    // Another execution on the same server comes to its end meanwhile, so that there was time enough to go on.
    const other = await start(s, 'pausable');
    await signal(s, other, 'n', 'end');
    assert.equal(await output(s, other), 1);
    const row = await show(s, id);
    assert.equal(row.paused, true);
    assert.equal(row.progress, 1);
    assert.equal((await operate(s, id, 'resume')).paused, false);
    assert.equal(await output(s, id), 3);
});

test('pause and resume over kill -9, twice each, and while it computes', async () => {
    await withServer({}, async (s, crashed) => {
        await deployWorkflow(s, 'busy', `
import { workflow, step, sleep, progress } from "limpet";
export default workflow(async (n) => { for (let i = 0; i < n; i++) { await step("s", () => i); await sleep(2); } return n; });`);
        const id = await start(s, 'busy', 150);
        await operate(s, id, 'pause');
        await operate(s, id, 'pause');
        s = await crashed();
        const held = (await until('it stands still', async () => {
            const a = await show(s, id);
            return a.paused && a;
        })) as any;
        assert.equal(held.status !== 'completed', true);
        await operate(s, id, 'resume');
        await operate(s, id, 'resume');
        assert.equal(await output(s, id), 150);
    });
});

test('a paused execution can be cancelled; its end comes with resume', async () => {
    const s = await server();
    await deployWorkflow(s, 'held', 'import { workflow, waitForEvent } from "limpet"; export default workflow(async () => { await waitForEvent("x"); });');
    const id = await start(s, 'held');
    await suspended(s, id);
    await operate(s, id, 'pause');
    await operate(s, id, 'cancel');
    await s.api('POST', `/executions/${id}/resume`);
    assert.equal((await outcome(s, id)).status, 'cancelled');
    for (const what of ['pause', 'resume']) errorOf(await s.api('POST', `/executions/${id}/${what}`), 409, 'conflict');
});

// ---- retry ----

test('retry: from the failed step on; what was done before stays', async () => {
    const s = await server();
    await deployWorkflow(s, 'flaky', `
import { workflow, step, env, sql } from "limpet";
export default workflow(async () => {
    const a = await step("first", () => crypto.randomUUID());
    const b = await step("second", { retries: 0 }, () => { if (env.get("BROKEN") === "1") throw new Error("broken"); return "mended"; });
    return [a, b];
});`);
    await s.api('PUT', '/workflows/flaky/env/BROKEN', { value: '1' });
    const id = await start(s, 'flaky');
    const failed = await outcome(s, id);
    assert.equal(failed.status, 'failed');
    assert.match(failed.error.message, /broken/);
    const first = (await journal(s, id)).find((r) => r.label === 'first').value;
    // Still broken: it fails again.
    await operate(s, id, 'retry');
    const again = await untilShown(s, id, 'attempt 2', (r) => r.attempt === 2).then(() => outcome(s, id), () => outcome(s, id));
    assert.equal(again.status, 'failed');
    assert.equal(again.attempt, 2);
    await s.api('PUT', '/workflows/flaky/env/BROKEN', { value: '0' });
    await operate(s, id, 'retry');
    const end = await until('the third attempt', async () => { const r = await outcome(s, id); return r.attempt === 3 && r; }) as any;
    assert.equal(end.status, 'completed');
    assert.deepEqual(end.output, [first, 'mended']);
    assert.equal(end.error, null);
    errorOf(await s.api('POST', `/executions/${id}/retry`), 409, 'conflict');
});

test('retry: of one that failed outside of steps, on mended code', async () => {
    const s = await server();
    const source = (fixed: boolean) => `
import { workflow, step } from "limpet";
export default workflow(async (input) => {
    const a = await step("a", () => 1);
    ${fixed ? 'const field = input?.order?.id ?? "none";' : 'const field = input.order.id;'}
    return [a, field];
});`;
    await deployWorkflow(s, 'mended', source(false));
    const id = await start(s, 'mended');
    assert.equal((await outcome(s, id)).error.name, 'TypeError');
    await deployWorkflow(s, 'mended', source(true));
    await operate(s, id, 'retry'); // stays on its version
    const still = await until('the second attempt', async () => { const r = await outcome(s, id); return r.attempt === 2 && r; }) as any;
    assert.equal(still.status, 'failed');
    assert.equal(still.version, 1);
    await operate(s, id, 'retry', { version: 'latest' });
    const end = await until('the third attempt', async () => { const r = await outcome(s, id); return r.attempt === 3 && r; }) as any;
    assert.deepEqual(end.output, [1, 'none']);
    assert.equal(end.version, 2);
});

test('retry: of a cancelled one goes on as if it had not been', async () => {
    const s = await server();
    await deployWorkflow(s, 'undone', 'import { workflow, waitForEvent } from "limpet"; export default workflow(async () => (await waitForEvent("go")).data);');
    const id = await start(s, 'undone');
    await suspended(s, id);
    await operate(s, id, 'cancel');
    assert.equal((await outcome(s, id)).status, 'cancelled');
    await operate(s, id, 'retry');
    await signal(s, id, 'go', 'after all');
    const end = await until('its end', async () => { const r = await outcome(s, id); return r.status === 'completed' && r; }) as any;
    assert.equal(end.output, 'after all');
});

test('retry: what is refused', async () => {
    const s = await server();
    await deployWorkflow(s, 'running', 'import { workflow, waitForEvent } from "limpet"; export default workflow(async () => { await waitForEvent("x"); throw new Error("x"); });');
    const id = await start(s, 'running');
    errorOf(await s.api('POST', `/executions/${id}/retry`), 409, 'conflict');
    errorOf(await s.api('POST', `/executions/${ABSENT}/retry`), 404, 'not_found');
    await signal(s, id, 'x');
    await outcome(s, id);
    for (const body of [{ version: 0 }, { version: -1 }, { version: 'newest' }, { version: 1.5 }, { other: 1 }, []]) errorOf(await s.api('POST', `/executions/${id}/retry`, body), 400, 'invalid');
    errorOf(await s.api('POST', `/executions/${id}/retry`, { version: 99 }), 404, 'not_found');
});

// ---- fork ----

const CHAIN = `
import { workflow, step, sql } from "limpet";
export default workflow(async () => { const out = []; for (const name of ["a", "b", "c"]) out.push(await step(name, () => name + " " + crypto.randomUUID())); return out; });`;

test('fork: keeps the first records, does the rest anew', async () => {
    const s = await server();
    await deployWorkflow(s, 'chain', CHAIN);
    const id = await start(s, 'chain');
    const original = await output(s, id);
    const records = await journal(s, id);
    const b = records.find((r) => r.label === 'b').n;
    const fork = await operate(s, id, 'fork', { record: b });
    assert.notEqual(fork.execution_id, id);
    const out = await output(s, fork.execution_id);
    assert.equal(out[0], original[0]);
    assert.notEqual(out[1], original[1]);
    assert.notEqual(out[2], original[2]);
    assert.deepEqual(await output(s, id), original, 'the original is as it was');
    const row = await show(s, fork.execution_id);
    assert.equal(row.workflow, 'chain');
    assert.equal(row.key, null);
});

test('fork: of all records, of none, of one that runs', async () => {
    const s = await server();
    await deployWorkflow(s, 'chain', CHAIN);
    const id = await start(s, 'chain');
    const original = await output(s, id);
    assert.deepEqual(await output(s, (await operate(s, id, 'fork')).execution_id), original);
    const fresh = await output(s, (await operate(s, id, 'fork', { record: 0 })).execution_id);
    assert.equal(fresh.length, 3);
    assert.notEqual(fresh[0], original[0]);
    await deployWorkflow(s, 'waits', 'import { workflow, step, waitForEvent } from "limpet"; export default workflow(async () => { const u = await step("u", () => crypto.randomUUID()); return [u, (await waitForEvent("go")).data]; });');
    const running = await start(s, 'waits');
    await suspended(s, running);
    const copy = (await operate(s, running, 'fork')).execution_id;
    await signal(s, copy, 'go', 'copy');
    await signal(s, running, 'go', 'original');
    const [a, b] = [await output(s, running), await output(s, copy)];
    assert.equal(a[0], b[0]);
    assert.deepEqual([a[1], b[1]], ['original', 'copy']);
});

test('fork: what is refused', async () => {
    const s = await server();
    await deployWorkflow(s, 'chain', CHAIN);
    const id = await start(s, 'chain');
    await outcome(s, id);
    for (const body of [{ record: -1 }, { record: 1.5 }, { record: 'x' }, { other: 1 }, { record: 1000 }]) errorOf(await s.api('POST', `/executions/${id}/fork`, body), 400, 'invalid');
    errorOf(await s.api('POST', `/executions/${ABSENT}/fork`), 404, 'not_found');
});

// ---- wait ----

test('wait: at once when it has ended, as soon as it ends, or after the time', async () => {
    const s = await server();
    await deployWorkflow(s, 'waited', 'import { workflow, waitForEvent } from "limpet"; export default workflow(async () => (await waitForEvent("go")).data);');
    const now = await execute(s, 'waited', null, { wait: '10ms' });
    assert.equal(now.status, 202);
    assert.ok(['queued', 'running', 'suspended'].includes(now.json.status));
    const id = now.json.execution_id;
    assert.notEqual((await s.api('GET', `/executions/${id}?wait=10ms`)).json.status, 'completed');
    const waiting = s.api('GET', `/executions/${id}?wait=5m`);
    const keyed = execute(s, 'waited', null, { id: 'waited', wait: '5m' });
    const other = (await execute(s, 'waited', null, { id: 'waited' })).json.execution_id;
    await signal(s, id, 'go', 1);
    await signal(s, other, 'go', 2);
    assert.deepEqual([(await waiting).json.status, (await waiting).json.output], ['completed', 1]);
    assert.equal((await keyed).status, 200);
    assert.deepEqual((await keyed).json, { execution_id: other, status: 'completed', output: 2 });
    assert.equal((await s.api('GET', `/executions/${id}?wait=5m`)).json.output, 1);
    for (const bad of ['soon', '-1s', '10h']) errorOf(await s.api('GET', `/executions/${id}?wait=${bad}`), 400, 'invalid');
    errorOf(await s.api('GET', `/executions/${ABSENT}?wait=1s`), 404, 'not_found');
});

test('wait: a failure is answered with 200 and its error', async () => {
    const s = await server();
    await deployWorkflow(s, 'bad', 'import { workflow } from "limpet"; export default workflow(async () => { throw new RangeError("no"); });');
    const res = await execute(s, 'bad', null, { wait: '30s' });
    assert.equal(res.status, 200);
    assert.equal(res.json.status, 'failed');
    assert.equal(res.json.error.code, 'guest_error');
    assert.equal(res.json.error.name, 'RangeError');
    assert.equal(res.json.error.message.includes('no'), true);
    assert.equal('output' in res.json, false);
});

test('wait: clients that leave cost nothing', async () => {
    const s = await server();
    await deployWorkflow(s, 'left', 'import { workflow, waitForEvent } from "limpet"; export default workflow(async () => (await waitForEvent("go")).data);');
    const id = await start(s, 'left');
    for (let k = 0; k < 3; k++) {
        const control = new AbortController();
        const gone = s.admin(`/executions/${id}?wait=5m`, { signal: control.signal }).catch(() => 'gone');
        await until('it is being waited for', async () => (await s.metrics()).get('limpet_workflow_requests')! >= 1);
        control.abort();
        assert.equal(await gone, 'gone');
        await until('nobody waits', async () => (await s.metrics()).get('limpet_workflow_requests') === 0);
    }
    await signal(s, id, 'go', 'still there');
    assert.equal(await output(s, id), 'still there');
});

test('wait: a server that stops answers with the state as it is', async () => {
    await withServer({}, async (s) => {
        await deployWorkflow(s, 'stops', 'import { workflow, waitForEvent } from "limpet"; export default workflow(async () => (await waitForEvent("go")).data);');
        const id = await start(s, 'stops');
        const waiting = s.api('GET', `/executions/${id}?wait=5m`);
        await until('it is being waited for', async () => (await s.metrics()).get('limpet_workflow_requests')! >= 1);
        const stopped = s.stop();
        assert.equal((await waiting).status, 200);
        await stopped;
    });
});

// ---- progress ----

test('progress: the newest value, readable from outside, kept over a kill', async () => {
    await withServer({}, async (s, crashed) => {
        await deployWorkflow(s, 'shows', `
import { workflow, waitForEvent, progress, step } from "limpet";
export default workflow(async (_, run) => { for (let i = 0; i < 50; i++) progress(i); progress({ percent: 50, note: "ü" }); await waitForEvent("go"); run.progress([1]); await step("s", () => 1); return "done"; });`);
        const id = await start(s, 'shows');
        await progressed(s, id, { percent: 50, note: 'ü' });
        s = await crashed();
        assert.deepEqual((await show(s, id)).progress, { percent: 50, note: 'ü' });
        await signal(s, id, 'go');
        assert.equal(await output(s, id), 'done');
        assert.deepEqual((await show(s, id)).progress, [1]);
    });
});

test('progress refuses what is no JSON', async () => {
    const s = await server();
    await deployWorkflow(s, 'no-json', 'import { workflow, progress } from "limpet"; export default workflow(async () => { const out = []; for (const v of [() => 1, Symbol("x"), 1n]) try { progress(v); out.push("?"); } catch (e) { out.push(e.name); } progress(undefined); return out; });');
    assert.deepEqual(await complete(s, 'no-json'), ['TypeError', 'TypeError', 'TypeError']);
});

// ---- idempotent starts ----

test('the same key is the same execution, whatever else is said, over kills, at once', async () => {
    await withServer({}, async (s, crashed) => {
        await deployWorkflow(s, 'keyed', 'import { workflow, sql } from "limpet"; export default workflow(async (n) => n); export const other = workflow(async (n) => n);');
        const first = await Promise.all(Array.from({ length: 20 }, (_, n) => execute(s, 'keyed', n, { id: 'order-1' })));
        const ids = new Set(first.map((r) => r.json.execution_id));
        assert.equal(ids.size, 1);
        const [id] = [...ids];
        const value = await output(s, id!);
        s = await crashed();
        const again = await execute(s, 'keyed', 'other input', { id: 'order-1', wait: '30s' });
        assert.equal(again.status, 200);
        assert.deepEqual(again.json, { execution_id: id, status: 'completed', output: value });
        const at = await execute(s, 'keyed', 'other input', { id: 'order-1' });
        assert.equal(at.json.execution_id, id);
        assert.equal((await pages(s, '/executions?workflow=keyed')).length, 1);
        assert.notEqual(await start(s, 'keyed', 0, { id: 'order-2' }), id);
        assert.notEqual(await start(s, 'keyed.other', 0, { id: 'order-1' }), id, 'keys are per workflow');
        assert.notEqual(await start(s, 'keyed', 0), await start(s, 'keyed', 0), 'without one each is new');
    });
});

test('keys that are none', async () => {
    const s = await server();
    await deployWorkflow(s, 'keys', 'import { workflow } from "limpet"; export default workflow(async () => 1);');
    for (const id of ['', 'x'.repeat(201), 'a\nb', 5, {}]) errorOf(await s.api('POST', '/workflows/keys/execute', { id }), 400, 'invalid');
    for (const body of ['[]', '{"body":1,"extra":2}', '{"metadata":[]}', '{"body":', 'nothing']) errorOf(await s.admin('/workflows/keys/execute', { method: 'POST', body }), 400, 'invalid');
    const odd = 'ключ 🗝 "quoted" /slash?';
    assert.equal((await show(s, await start(s, 'keys', 1, { id: odd }))).key, odd);
});
