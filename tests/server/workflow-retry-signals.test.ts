// SPDX-License-Identifier: Apache-2.0
// A retry loses no signal: those that records behind its cut had consumed come back, in their order and with their time; each is consumed once.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { errorOf, useServer } from './harness.ts';
import { complete, deployWorkflow, execute, journal, operate, outcome, output, show, signal, start, suspended } from './workflow-harness.ts';

const server = useServer({ args: ['--threads', '2'] });

// The failed step is what a retry cuts at; three signals are consumed behind it, one before, one never.
const ARRIVES = (retried: boolean) => `
import { workflow, step, waitForEvent } from "limpet";
export default workflow(async () => {
    const got = [(await waitForEvent("n")).data];
    ${retried ? 'await step("charge", () => 1);' : 'try { await step("charge", { retries: 0 }, () => { throw new Error("declined"); }); } catch {}'}
    const last = [];
    for (let i = 0; i < 3; i++) last.push(await waitForEvent("n"));
    ${retried ? 'last.push(await waitForEvent("n"));' : 'throw new Error("no use");'}
    return { data: [...got, ...last.map((e) => e.data)], at: last.map((e) => e.at) };
});`;

async function failed(name: string): Promise<{ s: Awaited<ReturnType<typeof server>>; id: string }> {
    const s = await server();
    await deployWorkflow(s, name, ARRIVES(false));
    const id = await start(s, name);
    await operate(s, id, 'pause'); // it is to fail when all of them are there
    for (let n = 1; n <= 5; n++) await signal(s, id, 'n', { n });
    await operate(s, id, 'resume');
    assert.equal((await outcome(s, id)).status, 'failed');
    const events = (await journal(s, id)).filter((r: any) => r.kind === 'done' && r.label === 'n');
    assert.equal(events.length, 4);
    return { s, id };
}

test('signals that were consumed behind the cut come back', async () => {
    const { s, id } = await failed('comes-back');
    await deployWorkflow(s, 'comes-back', ARRIVES(true));
    await operate(s, id, 'retry', { version: 'latest' });
    const end = await output(s, id);
    assert.deepEqual(end.data, [1, 2, 3, 4, 5].map((n) => ({ n })));
    const at = end.at.map((t: unknown) => Number(new Date(t as string)));
    assert.ok(at.every((t: number, k: number) => k === 0 || t >= at[k - 1]!), `the times are theirs: ${at}`);
    assert.equal((await show(s, id)).attempt, 2);
});

test('again and again, on code that fails again', async () => {
    const { s, id } = await failed('fails-again');
    for (let attempt = 2; attempt < 5; attempt++) {
        await operate(s, id, 'retry');
        const end = await outcome(s, id);
        assert.equal(end.status, 'failed');
        assert.equal(end.attempt, attempt);
        assert.equal((await journal(s, id)).filter((r: any) => r.kind === 'done' && r.label === 'n').length, 4);
    }
    await deployWorkflow(s, 'fails-again', ARRIVES(true));
    await operate(s, id, 'retry', { version: 'latest' });
    assert.deepEqual((await output(s, id)).data, [1, 2, 3, 4, 5].map((n) => ({ n })));
});

test('what clean-up code consumed after a cancel comes back, too', async () => {
    const s = await server();
    await deployWorkflow(s, 'cleans-up', `import { workflow, waitForEvent } from "limpet";
export default workflow(async () => {
    try { await waitForEvent("never"); } catch (e) { await waitForEvent("go"); throw e; }
    return "unreachable";
});`);
    const id = await start(s, 'cleans-up');
    await suspended(s, id);
    await signal(s, id, 'go', 'kept');
    await operate(s, id, 'cancel');
    assert.equal((await outcome(s, id)).status, 'cancelled');
    await deployWorkflow(s, 'cleans-up', `import { workflow, waitForEvent } from "limpet";
export default workflow(async () => { await waitForEvent("never"); return (await waitForEvent("go")).data; });`);
    await operate(s, id, 'retry', { version: 'latest' });
    await signal(s, id, 'never');
    const end = await outcome(s, id);
    assert.equal(end.output, 'kept', JSON.stringify(end));
});

test('the name of a signal fits into the label of its record', async () => {
    const s = await server();
    await deployWorkflow(s, 'long-names', `import { workflow, waitForEvent } from "limpet";
export default workflow(async (name) => {
    try { return (await waitForEvent(name)).data; } catch (e) { return [e.name, e.message]; }
});`);
    const longest = 'é'.repeat(100), tooLong = 'é'.repeat(100) + 'x';
    const id = (await execute(s, 'long-names', longest)).json.execution_id;
    await suspended(s, id);
    errorOf(await s.api('POST', `/executions/${id}/signal`, { name: tooLong, data: 1 }), 400, 'invalid');
    await signal(s, id, longest, 1);
    assert.equal(await output(s, id), 1);
    assert.match((await complete(s, 'long-names', tooLong))[1], /201 bytes, more than the 200/);
});

test('a fork has the signals that were consumed behind its cut, and those that wait', async () => {
    const { s, id } = await failed('forked');
    await deployWorkflow(s, 'forked', ARRIVES(false));
    const first = (await journal(s, id)).find((r: any) => r.kind === 'done' && r.label === 'n').n;
    const fork = (await s.api('POST', `/executions/${id}/fork`, { record: first })).json.execution_id;
    assert.equal((await outcome(s, fork)).status, 'failed');
    const values = async (of: string) => (await journal(s, of)).filter((r: any) => r.kind === 'done' && r.label === 'n').map((r: any) => r.value.data);
    assert.deepEqual(await values(fork), [1, 2, 3, 4].map((n) => ({ n })));
    assert.deepEqual(await values(id), await values(fork), 'and the one that it was made of keeps its own');
    // The fifth waits in both.
    await operate(s, fork, 'retry');
    assert.equal((await outcome(s, fork)).status, 'failed');
    assert.deepEqual(await values(fork), [1, 2, 3, 4].map((n) => ({ n })));
});

test('a retry gives a step all its attempts again', async () => {
    const s = await server();
    await deployWorkflow(s, 'attempts', `import { workflow, step } from "limpet";
export default workflow(async () => {
    const other = step("other", { retries: 5, delay: "1h" }, () => { throw new Error("later"); }).catch((e) => e.message);
    await step("charge", { retries: 2, delay: 0 }, ({ attempt }) => { throw new Error("declined " + attempt); });
    return await other;
});`);
    const id = await start(s, 'attempts');
    const failures = async () => (await journal(s, id)).filter((r: any) => r.label === 'charge').map((r: any) => [r.kind, r.attempts, r.error]);
    const all = [['attempt', 1, 'Error: declined 1'], ['attempt', 2, 'Error: declined 2'], ['done', 3, 'Error: declined 3']];
    assert.equal((await outcome(s, id)).status, 'failed');
    assert.deepEqual(await failures(), all);
    await operate(s, id, 'retry');
    assert.equal((await outcome(s, id)).status, 'failed');
    assert.deepEqual(await failures(), [all[0], all[1], ['attempt', null, null], ...all]);
    await operate(s, id, 'retry'); // and once more
    assert.equal((await outcome(s, id)).status, 'failed');
    assert.equal((await failures()).filter(([kind]: any) => kind === 'done').length, 1);
    assert.deepEqual((await failures()).slice(-3), all);
});
