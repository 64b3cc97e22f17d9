// SPDX-License-Identifier: Apache-2.0
// Versions are pinned; check and migrate; a replay that differs fails with record, what was recorded, what the code did, and the line.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { errorOf, type Server, tempDir, useServer } from './harness.ts';
import { complete, deployWorkflow, journal, operate, outcome, output, show, signal, start, suspended, until, withServer } from './workflow-harness.ts';

const server = useServer({ args: ['--threads', '2'] });
const REPLAY = { args: ['--snapshot-after', '1000000'] };

const versioned = (mark: string, extra = '') => `
import { workflow, step, waitForEvent, sleep } from "limpet";
export default workflow(async () => { const a = await step("a", () => "${mark}"); await waitForEvent("go"); ${extra} return [a, "${mark}"]; });`;

test('an execution stays on its version, over uploads and kills; new ones run the new one', async () => {
    await withServer(REPLAY, async (s, crashed) => {
        await deployWorkflow(s, 'pinned', versioned('v1'));
        const one = await start(s, 'pinned');
        await suspended(s, one);
        await deployWorkflow(s, 'pinned', versioned('v2'));
        const two = await start(s, 'pinned');
        await suspended(s, two);
        s = await crashed();
        await deployWorkflow(s, 'pinned', versioned('v3'));
        for (const id of [one, two]) await signal(s, id, 'go');
        assert.deepEqual(await output(s, one), ['v1', 'v1']);
        assert.deepEqual(await output(s, two), ['v2', 'v2']);
        assert.deepEqual([(await show(s, one)).version, (await show(s, two)).version], [1, 2]);
        const three = await start(s, 'pinned');
        await signal(s, three, 'go');
        assert.deepEqual(await output(s, three), ['v3', 'v3']);
    });
});

test('from a snapshot, too', async () => {
    await withServer({ args: ['--snapshot-after', '0'] }, async (s, crashed) => {
        await deployWorkflow(s, 'pinned', versioned('v1'));
        const one = await start(s, 'pinned');
        await suspended(s, one);
        await deployWorkflow(s, 'pinned', versioned('v2'));
        s = await crashed();
        await signal(s, one, 'go');
        assert.deepEqual(await output(s, one), ['v1', 'v1']);
    });
});

// ---- divergence ----

/** The body of the step changes a variable of the module, which a replay does not see. */
const DIVERGES = `import { workflow, step, waitForEvent } from "limpet";
let ran = false;
export default workflow(async (what) => {
    await step("marks", () => { ran = true; });
    if (ran) {
        await step("charge", () => 1);
    } else {
        if (what === "other") await step("refund", () => 1);
        if (what === "event") await waitForEvent("x");
        if (what === "sync") crypto.randomUUID();
        if (what === "throws") throw new Error("gone astray");
    }
    await waitForEvent("go");
    return "done";
});`;

async function diverged(s: Server, what: string, crashed: () => Promise<Server>): Promise<any> {
    await deployWorkflow(s, 'diverges', DIVERGES);
    const id = await start(s, 'diverges', what);
    await suspended(s, id);
    s = await crashed();
    await signal(s, id, 'go');
    const end = await outcome(s, id);
    assert.equal(end.status, 'failed', JSON.stringify(end));
    assert.equal(end.error.code, 'non_deterministic');
    return { end, records: await journal(s, id) };
}

test('another step than the one recorded', async () => {
    await withServer(REPLAY, async (s, crashed) => {
        const { end, records } = await diverged(s, 'other', crashed);
        const { error } = end;
        assert.equal(error.name, 'NonDeterminismError');
        assert.equal(records[error.record].label, 'charge');
        assert.match(error.recorded, /step.*charge/);
        assert.match(error.did, /step.*refund/);
        assert.ok(error.message.includes(`record ${error.record}`), error.message);
        assert.match(error.message, /charge.*refund/s);
        assert.match(error.stack, /diverges\.ts:8/);
        assert.ok(error.hint);
        assert.equal(records.length, end.records, 'the journal is as it was');
        assert.ok(!records.some((r: any) => r.kind === 'end'));
    });
});

for (const [what, did, line] of [['event', /event/i, 9], ['sync', /random/i, 10]] as const) {
    test(`another kind of op: ${what}`, async () => {
        await withServer(REPLAY, async (s, crashed) => {
            const { end } = await diverged(s, what, crashed);
            assert.match(end.error.recorded, /charge/);
            assert.match(end.error.did, did);
            assert.match(end.error.stack, new RegExp(`diverges\\.ts:${line}`));
        });
    });
}

test('the code throws, or goes on waiting, where the journal has more', async () => {
    await withServer(REPLAY, async (s, crashed) => {
        const { end } = await diverged(s, 'throws', crashed);
        assert.match(end.error.recorded, /charge/);
        assert.ok(end.error.did.length > 0, JSON.stringify(end.error));
    });
    await withServer(REPLAY, async (s, crashed) => {
        const { end } = await diverged(s, 'skips', crashed);
        assert.match(end.error.recorded, /charge/);
    });
});

test('mended code goes on from the journal: retry with the newest version', async () => {
    await withServer(REPLAY, async (s, crashed) => {
        await deployWorkflow(s, 'diverges', DIVERGES);
        const id = await start(s, 'diverges', 'other');
        await suspended(s, id);
        await signal(s, id, 'unrelated');
        s = await crashed();
        await outcome(s, id);
        await deployWorkflow(s, 'diverges', `import { workflow, step, waitForEvent } from "limpet";
export default workflow(async () => { const a = await step("marks", () => "new"); await step("charge", () => 1); await waitForEvent("go"); return [a ?? "as recorded", await step("more", () => "mended")]; });`);
        await operate(s, id, 'retry', { version: 'latest' });
        await signal(s, id, 'go');
        assert.deepEqual(await output(s, id), ['as recorded', 'mended']);
    });
});

test('a signal that waited when the execution failed is there after the retry', async () => {
    await withServer(REPLAY, async (s, crashed) => {
        await deployWorkflow(s, 'diverges', DIVERGES);
        const id = await start(s, 'diverges', 'other');
        await suspended(s, id);
        s = await crashed();
        await signal(s, id, 'go');
        assert.equal((await outcome(s, id)).error.code, 'non_deterministic');
        await deployWorkflow(s, 'diverges', `import { workflow, step, waitForEvent } from "limpet";
export default workflow(async () => { await step("marks", () => 1); await step("charge", () => 1); await waitForEvent("go"); return "mended"; });`);
        await operate(s, id, 'retry', { version: 'latest' });
        const end = await until('its end', async () => { const r = await show(s, id); return r.status === 'completed' && r; }) as any;
        assert.equal(end.output, 'mended', 'the signal was not lost');
    });
});

// ---- check and migrate ----

const base = (middle: string, tail: string) => `import { workflow, step, sleep, waitForEvent, startChild } from "limpet";
export const child = workflow(async () => 1);
export default workflow(async (input) => {
    const a = await step("first", () => 1);
    crypto.randomUUID();
    ${middle}
    if (input === "far") { await step("second", () => 2); }
    const e = await waitForEvent("go");
    ${tail}
});`;

async function twoRunning(s: Server): Promise<[string, string]> {
    await deployWorkflow(s, 'moved', base('', 'return "old";'));
    const near = await start(s, 'moved', 'near'), far = await start(s, 'moved', 'far');
    for (const id of [near, far]) await suspended(s, id);
    return [near, far];
}

test('check: agrees, and publishes nothing', async () => {
    await withServer({}, async (s) => {
        const [near] = await twoRunning(s);
        const res = await s.api('POST', '/workflows/moved/check', { source: base('', 'await sleep(1); return "new";') });
        assert.equal(res.status, 200, res.text);
        assert.deepEqual(res.json, { checked: 2, agreeing: 2, diverged: [] });
        assert.equal((await s.api('GET', '/workflows/moved')).json.version, 1);
        await signal(s, near, 'go');
        assert.equal(await output(s, near), 'old');
    });
});

test('check: lists who would diverge, at which record and line', async () => {
    await withServer({}, async (s) => {
        const [near, far] = await twoRunning(s);
        const res = await s.api('POST', '/workflows/moved/check', { source: base('', 'return "new";').replace('"second"', '"renamed"') });
        assert.equal(res.status, 200, res.text);
        assert.equal(res.json.checked, 2);
        assert.equal(res.json.agreeing, 1);
        assert.equal(res.json.diverged.length, 1);
        const [d] = res.json.diverged;
        assert.equal(d.execution_id, far);
        assert.equal((await journal(s, far))[d.record].label, 'second');
        assert.match(d.recorded, /second/);
        assert.match(d.did, /renamed/);
        assert.match(d.at, /moved\.ts:7/);
        // Nothing happened to them.
        for (const id of [near, far]) {
            assert.equal((await show(s, id)).status, 'suspended');
            await signal(s, id, 'go');
            assert.equal(await output(s, id), 'old');
        }
    });
});

test('check: every kind of change that matters', async () => {
    await withServer({ args: ['--threads', '2'] }, async (s) => {
        await twoRunning(s);
        const check = async (source: string) => (await s.api('POST', '/workflows/moved/check', { source })).json;
        const changes: Record<string, [string, boolean]> = {
            'a comment': [base('// hello', 'return "old";'), true],
            'what a step does': [base('', 'return 1;').replace('() => 1)', '() => 100)'), true],
            'a pure computation': [base('for (let i = 0; i < 10; i++) JSON.stringify([i]);', 'return 1;'), true],
            'something more before the wait': [base('await step("inserted", () => 1);', 'return 1;'), false],
            'a sync op more': [base('crypto.randomUUID();', 'return 1;'), false],
            'a step less': [base('', 'return 1;').replace('const a = await step("first", () => 1);', ''), false],
            'a sleep more': [base('await sleep(1);', 'return 1;'), false],
            'a throw': [base('throw new Error("no");', 'return 1;'), false],
            'a return': [base('if (input) return 1;', 'return 1;'), false],
        };
        for (const [what, [source, agrees]] of Object.entries(changes)) {
            const report = await check(source);
            assert.equal(report.checked, 2, what);
            assert.equal(report.agreeing === 2, agrees, `${what}: ${JSON.stringify(report)}`);
            for (const d of report.diverged) assert.ok(d.execution_id && (d.error || (d.recorded && d.did)), JSON.stringify(d));
        }
    });
});

test('check: another name of an event that is waited for is no disagreement, it was not recorded yet', async () => {
    await withServer({}, async (s) => {
        await twoRunning(s);
        const report = (await s.api('POST', '/workflows/moved/check', { source: base('', 'return 1;').replace('"go"', '"start"') })).json;
        assert.equal(report.agreeing, 2, JSON.stringify(report));
    });
});

test('check: code that cannot be built, no executions, no such workflow', async () => {
    const s = await server();
    await deployWorkflow(s, 'unbuilt', versioned('x'));
    const res = await s.api('POST', '/workflows/unbuilt/check', { source: 'import { workflow } from "limpet"; export default workflow(async () => { ' });
    const e = errorOf(res, 422, 'build_failed') as any;
    assert.equal(e.line, 1);
    assert.deepEqual((await s.api('POST', '/workflows/unbuilt/check', { source: versioned('y') })).json, { checked: 0, agreeing: 0, diverged: [] });
    errorOf(await s.api('POST', '/workflows/nobody/check', { source: versioned('y') }), 404, 'not_found');
    for (const body of [{}, { source: 5 }, { source: 'x', bundle: 'y' }, []]) errorOf(await s.api('POST', '/workflows/unbuilt/check', body), 400, 'invalid');
    const thrower = await s.api('POST', '/workflows/unbuilt/check', { source: 'import { workflow } from "limpet"; throw new Error("at top level"); export default workflow(async () => 1);' });
    assert.notEqual(thrower.status, 200, thrower.text);
    assert.match(thrower.text, /at top level/);
});

test('check by command: a table, an exit code', async () => {
    await withServer({}, async (s) => {
        const [, far] = await twoRunning(s);
        const dir = tempDir();
        try {
            const file = path.join(dir, 'moved.ts');
            fs.writeFileSync(file, base('', 'return "new";'));
            const good = await s.cli(['workflow', 'check', 'moved', file]);
            assert.equal(good.code, 0, good.stderr);
            fs.writeFileSync(file, base('', 'return "new";').replace('"second"', '"renamed"'));
            const bad = await s.cli(['workflow', 'check', 'moved', file]);
            assert.equal(bad.code, 1);
            assert.ok(bad.stdout.includes(far) && /renamed/.test(bad.stdout), bad.stdout);
            const json = await s.cli(['workflow', 'check', 'moved', file, '--json']);
            assert.equal(json.json.diverged[0].execution_id, far);
        } finally {
            fs.rmSync(dir, { recursive: true });
        }
    });
});

test('migrate: moves those that agree, leaves the others', async () => {
    await withServer({}, async (s, crashed) => {
        const [near, far] = await twoRunning(s);
        await deployWorkflow(s, 'moved', base('', 'return "new";').replace('"second"', '"renamed"'));
        const res = await s.api('POST', '/workflows/moved/migrate');
        assert.equal(res.status, 200, res.text);
        assert.equal(res.json.migrated, 1);
        assert.deepEqual(res.json.left.map((d: any) => d.execution_id), [far]);
        assert.deepEqual([(await show(s, near)).version, (await show(s, far)).version], [2, 1]);
        s = await crashed();
        for (const id of [near, far]) await signal(s, id, 'go');
        assert.equal(await output(s, near), 'new');
        assert.equal(await output(s, far), 'old');
        assert.deepEqual((await s.api('POST', '/workflows/moved/migrate')).json.migrated, 0);
    });
});

test('migrate: of executions with snapshots, in memory, paused, queued, many at once', async () => {
    await withServer({ args: ['--snapshot-after', '0', '--threads', '2'] }, async (s) => {
        await deployWorkflow(s, 'moved', base('', 'return "old";'));
        const ids = await Promise.all(Array.from({ length: 60 }, (_, n) => start(s, 'moved', n % 2 ? 'far' : 'near')));
        for (const id of ids.slice(0, 20)) await suspended(s, id);
        await operate(s, ids[0]!, 'pause');
        await deployWorkflow(s, 'moved', base('', 'return "new";'));
        const moved = await until('all of them have moved', async () => {
            const res = await s.api('POST', '/workflows/moved/migrate');
            assert.equal(res.status, 200, res.text);
            assert.deepEqual(res.json.left.filter((d: any) => !d.error), []);
            return (await Promise.all(ids.map((id) => show(s, id)))).every((r) => r.version === 2);
        });
        assert.ok(moved);
        await operate(s, ids[0]!, 'resume');
        for (const id of ids) await signal(s, id, 'go');
        for (const id of ids) assert.equal(await output(s, id), 'new');
    });
});

test('migrate by command', async () => {
    await withServer({}, async (s) => {
        const [near, far] = await twoRunning(s);
        await deployWorkflow(s, 'moved', base('', 'return "new";'));
        const done = await s.cli(['workflow', 'migrate', 'moved']);
        assert.equal(done.code, 0, done.stderr);
        for (const id of [near, far]) await signal(s, id, 'go');
        assert.deepEqual([await output(s, near), await output(s, far)], ['new', 'new']);
    });
});

test('children started later run the version that serves then', async () => {
    const s = await server();
    const source = (mark: string) => `import { workflow, startChild, waitForEvent } from "limpet";
export const child = workflow(async () => "${mark}");
export default workflow(async () => { await waitForEvent("go"); return (await startChild("mixed-versions.child")).result(); });`;
    await deployWorkflow(s, 'mixed-versions', source('old'));
    const id = await start(s, 'mixed-versions');
    await suspended(s, id);
    await deployWorkflow(s, 'mixed-versions', source('new'));
    await signal(s, id, 'go');
    assert.equal(await output(s, id), 'new');
    assert.equal(await complete(s, 'mixed-versions.child'), 'new');
});
