// SPDX-License-Identifier: Apache-2.0
// step(): one record, retries, backoff, time-out, errors as they travel, steps side by side.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { useServer } from './harness.ts';
import { complete, crash, deployWorkflow, failure, journal, logTexts, outcome, output, signal, start, suspended, withServer } from './workflow-harness.ts';

const server = useServer({ args: ['--threads', '2'] });

let serial = 0;
/** Runs body as a workflow (input in scope) with everything of limpet imported; its output. */
async function workflowOf(body: string, input: unknown = null): Promise<{ name: string; id: string; output: any }> {
    const s = await server();
    const name = `steps-${serial++}`;
    await deployWorkflow(s, name, `
import { workflow, step, sleep, waitForEvent, now, sql, log, NonRetryableError, TimeoutError, CancelledError } from "limpet";
let calls = 0; // only bodies of steps touch it
const attempt = async (f) => { try { return await f(); } catch (e) { return [e.name, e.message]; } };
export default workflow(async (input, run) => { ${body} });`);
    const id = await start(s, name, input);
    return { name, id, output: await output(s, id) };
}
const result = async (body: string, input: unknown = null): Promise<any> => (await workflowOf(body, input)).output;

test('returns what the body returns, sync or async', async () => {
    assert.deepEqual(await result('return [await step("a", () => 1), await step("b", async () => { await 0; return 2; }), await step("c", () => undefined) === undefined];'), [1, 2, true]);
});

test('the body runs at once, the result comes later', async () => {
    assert.deepEqual(await result('const order = []; const p = step("a", () => { order.push("body"); }); order.push("after"); await p; order.push("done"); return order;'), ['body', 'after', 'done']);
});

test('is one record, whatever its body does', async () => {
    const s = await server();
    const { id } = await workflowOf(`
await step("busy", async () => {
    for (let i = 0; i < 5; i++) { Math.random(); crypto.randomUUID(); await new Promise((r) => setTimeout(r, 1)); }
    sql.exec("CREATE TABLE t (n)"); sql.exec("INSERT INTO t VALUES (1)");
});`);
    const records = await journal(s, id);
    assert.deepEqual(records.map((r) => [r.kind, r.label]).filter(([kind]) => kind !== 'start' && kind !== 'end'), [['done', 'busy']]);
    assert.equal(records.at(-1).kind, 'end');
});

test('is tried again until it succeeds; the attempt is told', async () => {
    const out = await result('return step("flaky", { backoff: 1 }, ({ attempt }) => { calls++; if (attempt < 3) throw new Error("not yet " + attempt); return [attempt, calls]; });');
    assert.deepEqual(out, [3, 3]);
});

test('throws its last error when the retries are used up', async () => {
    assert.deepEqual(await result('return attempt(() => step("never", { retries: 2, backoff: 1 }, () => { throw new RangeError("no " + ++calls); }));'), ['RangeError', 'no 3']);
    assert.deepEqual(await result('return attempt(() => step("once", { retries: 0 }, () => { throw new TypeError("no " + ++calls); }));'), ['TypeError', 'no 1']);
});

test('retries: Infinity goes on', async () => {
    assert.equal(await result('return step("stubborn", { retries: Infinity, backoff: { delay: 1, factor: 1 } }, ({ attempt }) => { if (attempt < 12) throw new Error("no"); return attempt; });'), 12);
});

test('NonRetryableError is not tried again', async () => {
    assert.deepEqual(await result('return attempt(() => step("final", { retries: 5, backoff: 1 }, () => { throw new NonRetryableError("no " + ++calls); }));'), ['NonRetryableError', 'no 1']);
    // by name, as libraries make their own
    assert.deepEqual(await result('return attempt(() => step("named", { retries: 5, backoff: 1 }, () => { calls++; const e = new Error("no " + calls); e.name = "NonRetryableError"; throw e; }));'), ['NonRetryableError', 'no 1']);
});

test('each failed attempt is in the journal, with its message', async () => {
    const s = await server();
    const { id } = await workflowOf('await step("flaky", { backoff: 1 }, ({ attempt }) => { if (attempt < 3) throw new Error("bad " + attempt); });');
    const records = await journal(s, id);
    const attempts = records.filter((r) => r.kind === 'attempt');
    assert.deepEqual(attempts.map((r) => r.attempts), [1, 2]);
    assert.match(attempts[0].error, /bad 1/);
    assert.match(attempts[1].error, /bad 2/);
    assert.equal(records.find((r) => r.kind === 'done' && r.label === 'flaky').attempts, 3);
});

test('forms of backoff: number, text, "linear", "constant", an object', async () => {
    const forms = ['1', '"1 ms"', '{ delay: 1 }', '{ delay: "1ms", factor: 1 }', '{ delay: 1, factor: 3, max: "2 ms" }', '{ delay: 1, factor: 0 }'];
    for (const form of forms) assert.equal(await result(`return step("s", { retries: 3, backoff: ${form} }, ({ attempt }) => { if (attempt < 3) throw 1; return attempt; });`), 3, form);
});

test('options that are none are refused, with what is right', async () => {
    const out = await result(`
const bad = [{ retries: -1 }, { retries: 1.5 }, { retries: "3" }, { backoff: "soon" }, { backoff: { factor: 0.5 } }, { timeout: -1 }, { timeout: "3 fortnights" }];
const out = [];
for (const options of bad) out.push(await attempt(() => step("s", options, () => 1)));
out.push(await attempt(() => step("s")), await attempt(() => step("s", {}, 3)), await attempt(() => step(7, () => 1)));
return out;`);
    for (const [name, message] of out) {
        assert.equal(name, 'TypeError');
        assert.ok(message.length > 10, message);
    }
});

test('a time-out ends the attempt and counts as one; late results are dropped', async () => {
    const out = await result(`
const late = [];
const value = await step("slow", { retries: 3, backoff: 1, timeout: 20 }, async ({ attempt }) => {
    if (attempt < 3) { await new Promise((r) => setTimeout(r, 100000)); late.push(attempt); return "late"; }
    return "in time " + attempt;
});
return [value, late];`);
    assert.deepEqual(out, ['in time 3', []]);
});

test('a time-out on the last attempt throws TimeoutError', async () => {
    assert.equal((await result('return attempt(() => step("slow", { retries: 1, backoff: 1, timeout: "20 ms" }, () => new Promise(() => {})));'))[0], 'TimeoutError');
});

test('errors keep class, name, message, cause, properties; whatever else is thrown stays itself', async () => {
    const out = await result(`
class Own extends Error { constructor() { super("own"); this.name = "OwnError"; this.code = 42; } }
const thrown = [
    () => { throw new TypeError("t", { cause: new RangeError("r") }); },
    () => { throw new Own(); },
    () => { throw "text"; }, () => { throw { a: [1] }; }, () => { throw undefined; }, () => { throw null; },
    () => { throw new AggregateError([new Error("one"), 2], "many"); },
    () => { throw new DOMException("gone", "AbortError"); },
    () => { throw Object.assign(new Error("with a function"), { f() {}, ok: 1 }); },
];
const out = [];
for (const f of thrown) {
    try { await step("s", { retries: 0 }, f); out.push("?"); } catch (e) {
        out.push(e instanceof Error || e instanceof DOMException
            ? { type: e instanceof TypeError, name: e.name, message: e.message, cause: e.cause?.message, code: e instanceof DOMException ? undefined : e.code, errors: e.errors?.map((x) => x.message ?? x), dom: e instanceof DOMException, ok: e.ok }
            : { value: e === undefined ? "undefined" : e });
    }
}
return out;`);
    assert.deepEqual(out, [
        { type: true, name: 'TypeError', message: 't', cause: 'r', dom: false },
        { type: false, name: 'OwnError', message: 'own', code: 42, dom: false },
        { value: 'text' }, { value: { a: [1] } }, { value: 'undefined' }, { value: null },
        { type: false, name: 'AggregateError', message: 'many', errors: ['one', 2], dom: false },
        { type: false, name: 'AbortError', message: 'gone', dom: true },
        { type: false, name: 'Error', message: 'with a function', dom: false, ok: 1 },
    ]);
});

test('an error that a step threw names the line in the source', async () => {
    const s = await server();
    await deployWorkflow(s, 'stack', `import { workflow, step } from "limpet";
export default workflow(async () => {
    await step("breaks", { retries: 0 }, () => {
        throw new Error("here");
    });
});`);
    const error = await failure(s, 'stack');
    assert.equal(error.code, 'guest_error');
    assert.equal(error.name, 'Error');
    assert.match(error.message, /here/);
    assert.match(error.stack, /stack\.ts:4/);
});

test('what cannot be cloned is refused at once, and named', async () => {
    const out = await result('return [await attempt(() => step("f", { retries: 3, backoff: 1 }, () => { calls++; return { f: () => 1 }; })), calls];');
    assert.equal(out[0][0], 'DataCloneError');
    assert.equal(out[1], 1, 'the same value would fail again');
});

test('the value is a copy: changing what the body returned changes nothing', async () => {
    assert.deepEqual(await result('const shared = { n: 1 }; const v = await step("s", () => shared); shared.n = 2; return [v.n, v === shared];'), [1, false]);
});

test('Promise.all, race, any, allSettled over steps', async () => {
    assert.deepEqual(await result(`
const later = (v, ms) => step("later " + v, async () => { await new Promise((r) => setTimeout(r, ms)); return v; });
const fails = (v) => step("fails " + v, { retries: 0 }, () => { throw new Error(v); });
return [
    await Promise.all([later(1, 3), later(2, 1), later(3, 2)]),
    await Promise.any([fails("a"), later("any", 1), fails("b")]),
    (await Promise.allSettled([later(1, 1), fails("x")])).map((r) => r.value ?? r.reason.message),
    await Promise.race([later("fast", 1), new Promise(() => {})]),
    await attempt(() => Promise.any([fails("p"), fails("q")])).then((e) => e[0]),
    await attempt(() => Promise.all([later(1, 1), fails("all")])),
];`), [[1, 2, 3], 'any', [1, 'x'], 'fast', 'AggregateError', ['Error', 'all']]);
});

test('many at once, each with its own result', async () => {
    const out = await result('return Promise.all(Array.from({ length: 500 }, (_, n) => step("s" + n, async () => { await 0; return n * n; })));');
    assert.deepEqual(out, Array.from({ length: 500 }, (_, n) => n * n));
});

test('code beside a running step is main code: recorded, and not the step\'s', async () => {
    const s = await server();
    const { id, output: out } = await workflowOf(`
let inside;
const p = step("long", async () => { inside = Math.random(); await new Promise((r) => setTimeout(r, 5)); Math.random(); return "long"; });
const outside = crypto.randomUUID();
await sleep(1);
const second = crypto.randomUUID();
return [await p, outside !== second];`);
    assert.deepEqual(out, ['long', true]);
    const ops = (await journal(s, id)).map((r) => r.op).filter(Boolean);
    assert.ok(ops.includes('random') || ops.length >= 3, ops.join());
});

test('after a kill a step that was done is not run again, one that was under way is', async () => {
    await withServer({}, async (first, crashed) => {
        let s = first;
        await deployWorkflow(s, 'killed', `
import { workflow, step, waitForEvent, sql } from "limpet";
export default workflow(async () => {
    await step("create", () => { sql.exec("CREATE TABLE runs (what)"); });
    const a = await step("done", () => { sql.exec("INSERT INTO runs VALUES ('done')"); return crypto.randomUUID(); });
    const before = a;
    await waitForEvent("go");
    const b = await step("after", () => { sql.exec("INSERT INTO runs VALUES ('after')"); return 1; });
    return { same: a === before, a, b, runs: sql.exec("SELECT what FROM runs ORDER BY rowid").toArray().map((r) => r.what) };
});`);
        const id = await start(s, 'killed');
        await suspended(s, id);
        s = await crashed();
        s = await crashed();
        await signal(s, id, 'go');
        const out = await output(s, id);
        assert.deepEqual(out.runs, ['done', 'after']);
        assert.ok(out.same && /^[0-9a-f-]{36}$/.test(out.a));
    });
});

test('failed attempts are counted over kills', async () => {
    await withServer({}, async (first, crashed) => {
        let s = first;
        await deployWorkflow(s, 'attempts', `
import { workflow, step, progress } from "limpet";
export default workflow(async () => step("s", { retries: 3, backoff: { delay: 400, factor: 1 } }, ({ attempt }) => { console.log("attempt " + attempt); throw new Error("no " + attempt); }));`);
        const id = await start(s, 'attempts');
        const { until } = await import('./harness.ts');
        await until('an attempt in the journal', async () => (await journal(s, id)).some((r) => r.kind === 'attempt'));
        s = await crashed();
        const end = await outcome(s, id);
        assert.equal(end.status, 'failed');
        assert.match(end.error.message, /no 4/, 'not five, not begun again');
        assert.equal((await journal(s, id)).filter((r) => r.kind === 'attempt').length, 3);
        assert.ok((await logTexts(s, id)).includes('attempt 4'));
        s = await crash(s);
        await s.kill();
    });
});

test('a thousand steps one after the other', async () => {
    assert.equal(await result('let sum = 0; for (let i = 0; i < 1000; i++) sum += await step("s", () => i); return sum;'), 499500);
});

test('what a step changes in variables of the workflow is not to be relied on; what it returns is', async () => {
    // The body is not run again after a kill: documented, so it must stay so.
    await withServer({ args: ['--snapshot-after', '1000000'] }, async (first, crashed) => {
        let s = first;
        await deployWorkflow(s, 'leak', `
import { workflow, step, waitForEvent } from "limpet";
export default workflow(async () => { let leaked = 0; const v = await step("s", () => { leaked = 1; return 2; }); await waitForEvent("go"); return [leaked, v]; });`);
        const id = await start(s, 'leak');
        await suspended(s, id);
        s = await crashed();
        await signal(s, id, 'go');
        assert.deepEqual(await output(s, id), [0, 2]);
    });
});
