// SPDX-License-Identifier: Apache-2.0
// select() and waits that are withdrawn lose no acknowledged signal: over snapshots, replays, kills, retry and fork. One that a lost race
// takes along is told of in the log, with the line of the wait.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { useServer } from './harness.ts';
import { deployWorkflow, journal, logTexts, operate, outcome, output, progressed, signal, start, suspended, withServer } from './workflow-harness.ts';

// Whatever leaves memory has a snapshot, and is replayed and compared.
const server = useServer({ args: ['--threads', '2', '--snapshot-after', '0', '--verify-replay'] });

/** Round 0 is lost to the heartbeat; then what is sent comes in its order. */
const LOOP = (wait: string) => `
import { workflow, select, waitForEvent, sleep, progress } from "limpet";
export default workflow(async () => {
    const seen = [];
    for (let i = 0; i < 6; i++) {
        progress({ round: i });
        const got = ${wait};
        seen.push(got);
        if (got.stop) break;
    }
    return seen;
});`;

const BEAT = 'sleep(i === 0 ? 300 : "1 day")';
const FORMS = {
    waits: `await select({ wake: waitForEvent("wake"), beat: ${BEAT} }).then((got) => got.name === "wake" ? got.value.data : "heartbeat")`,
    functions: `(await select({ wake: (signal) => waitForEvent("wake", { signal }).then((e) => e.data), beat: (signal) => sleep(i === 0 ? 300 : "1 day", { signal }).then(() => "heartbeat") })).value`,
    signals: `await (async () => { const c = new AbortController(); try { return await Promise.race([waitForEvent("wake", { signal: c.signal }).then((e) => e.data), ${BEAT}.then(() => "heartbeat")]); } finally { c.abort(); } })()`,
};

for (const [name, form] of Object.entries(FORMS))
    test(`the loop with ${name}`, async () => {
        const s = await server();
        await deployWorkflow(s, `loop-${name}`, LOOP(form));
        const id = await start(s, `loop-${name}`);
        await progressed(s, id, { round: 1 });
        await suspended(s, id);
        await signal(s, id, 'wake', { n: 1 });
        await signal(s, id, 'wake', { n: 2, stop: true });
        assert.deepEqual(await output(s, id), ['heartbeat', { n: 1 }, { n: 2, stop: true }]);
        assert.deepEqual(await logTexts(s, id), []);
    });

const COUNT = `
import { workflow, select, waitForEvent, sleep, progress } from "limpet";
export default workflow(async (total) => {
    const got = [];
    let beats = 0;
    while (got.length < total) {
        const { name, value } = await select({ n: waitForEvent("n"), beat: sleep(beats < 200 ? beats % 7 : "1 day"), other: waitForEvent("never") });
        if (name === "n") progress(got.push(value.data)); else beats++;
    }
    return got;
});`;

test('all signals, each once and in order, beside heartbeats and over kill -9', async () => {
    await withServer({ args: ['--threads', '2', '--snapshot-after', '8'] }, async (s, crashed) => {
        await deployWorkflow(s, 'count', COUNT);
        const total = 40;
        const ids = await Promise.all([0, 1, 2].map(() => start(s, 'count', total)));
        for (let n = 0; n < total; n++) {
            await Promise.all(ids.map((id) => signal(s, id, 'n', n)));
            if (n % 6 === 4) s = await crashed();
        }
        for (const id of ids) assert.deepEqual(await output(s, id), Array.from({ length: total }, (_, n) => n));
    });
});

const ROUNDS = (end: string) => `
import { workflow, select, step, waitForEvent, sleep, progress } from "limpet";
const round = async (i) => (await select({ n: (signal) => waitForEvent("n", { signal }).then((e) => e.data), beat: (signal) => sleep(i % 2 ? "1 day" : 1, { signal }).then(() => "beat") })).value;
export default workflow(async () => {
    const seen = [];
    for (let i = 0; i < 4; i++) seen.push(await round(i));
    progress(seen);
    ${end}
});`;
const FAILS = 'try { await step("charge", { retries: 0 }, () => { throw new Error("declined"); }); } catch {} await waitForEvent("n"); throw new Error("no use");';
const WORKS = 'await step("charge", () => 1); return [...seen, (await waitForEvent("n")).data, (await waitForEvent("n")).data];';

test('retry: what was withdrawn before the cut stays withdrawn, and what came after it comes back', async () => {
    const s = await server();
    await deployWorkflow(s, 'rounds', ROUNDS(FAILS));
    const id = await start(s, 'rounds');
    await operate(s, id, 'pause'); // it is to fail when all of them are there
    for (const n of [1, 2, 3, 4, 5, 6]) await signal(s, id, 'n', n);
    await operate(s, id, 'resume');
    assert.equal((await outcome(s, id)).status, 'failed');
    const seen = (await journal(s, id)).filter((r: any) => r.kind === 'done' && r.label === 'n').length;
    await deployWorkflow(s, 'rounds', ROUNDS(WORKS));
    await operate(s, id, 'retry', { version: 'latest' });
    const end = await output(s, id);
    assert.equal(end.length, 6);
    const numbers = end.filter((v: unknown) => v !== 'beat');
    assert.deepEqual(numbers, [1, 2, 3, 4, 5, 6].slice(0, numbers.length), JSON.stringify(end));
    assert.equal(numbers.length, seen + 1); // one more than the first time
});

test('fork: from any record the same code goes on', async () => {
    const s = await server();
    await deployWorkflow(s, 'forked', LOOP(FORMS.waits));
    const id = await start(s, 'forked');
    await progressed(s, id, { round: 1 });
    await signal(s, id, 'wake', { n: 1 });
    await progressed(s, id, { round: 2 });
    await signal(s, id, 'wake', { stop: true });
    await output(s, id);
    const records = (await journal(s, id)).length;
    for (let record = 1; record < records; record++) {
        const { execution_id: fork } = await operate(s, id, 'fork', { record });
        await s.api('POST', `/executions/${fork}/signal`, { name: 'wake', data: { stop: true } }); // 409 if its records end it
        const seen = await output(s, fork);
        assert.deepEqual(seen.at(-1), { stop: true }, `record ${record}`);
        assert.equal(seen.filter((v: unknown) => v === 'heartbeat').length <= 1, true, JSON.stringify(seen));
    }
});

test('a signal that goes to a wait whose race is over is told of with file and line', async () => {
    const s = await server();
    await deployWorkflow(s, 'racing', `import { workflow, waitForEvent, sleep, progress } from "limpet";

export default workflow(async () => {
    await Promise.race([
        waitForEvent("wake").then((e) => e.data),
        sleep(1),
    ]);
    progress("lost");
    return (await waitForEvent("wake")).data;
});
`);
    const id = await start(s, 'racing');
    await progressed(s, id, 'lost');
    await suspended(s, id); // the warning comes out of a snapshot, too
    await signal(s, id, 'wake', 1);
    await signal(s, id, 'wake', 2);
    assert.equal(await output(s, id), 2);
    const [line, ...more] = await logTexts(s, id);
    assert.match(line!, /^signal "wake" went to a wait that lost a Promise\.race\(\) before it came: nothing got it\./);
    assert.match(line!, /\n    at [^\n]*racing\.ts:5:9/);
    assert.deepEqual(more, []);
});

test('cancelled while it selects', async () => {
    const s = await server();
    await deployWorkflow(s, 'stopped', `
import { workflow, select, waitForEvent, sleep, progress, log } from "limpet";
export default workflow(async () => { progress(1); try { await select({ a: waitForEvent("a"), b: sleep("1 day") }); } finally { await sleep(1); log.info("finally"); } });`);
    const id = await start(s, 'stopped');
    await progressed(s, id, 1);
    await operate(s, id, 'cancel');
    assert.equal((await outcome(s, id)).status, 'cancelled');
    assert.deepEqual(await logTexts(s, id), ['finally']);
});
