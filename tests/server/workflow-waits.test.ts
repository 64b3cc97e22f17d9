// SPDX-License-Identifier: Apache-2.0
// Waiting: sleep, sleepUntil, timers, waitForEvent with and without a time-out, and everything that can be awaited at once.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { useServer } from './harness.ts';
import { complete, deployWorkflow, journal, logTexts, outcome, output, show, signal, start, suspended, withServer } from './workflow-harness.ts';

const server = useServer({ args: ['--threads', '2'] });

let serial = 0;
async function deploy(body: string): Promise<string> {
    const name = `waits-${serial++}`;
    await deployWorkflow(await server(), name, `
import { workflow, step, sleep, sleepUntil, waitForEvent, now, progress, TimeoutError } from "limpet";
const attempt = async (f) => { try { return await f(); } catch (e) { return [e.name, e.message]; } };
export default workflow(async (input, run) => { ${body} });`);
    return name;
}
const result = async (body: string, input: unknown = null): Promise<any> => complete(await server(), await deploy(body), input);

test('sleep takes numbers and words, and time has passed by then', async () => {
    const out = await result(`
const t0 = now();
for (const d of [0, 1, "1 ms", "0.002 seconds", "1ms 1ms", "0 days"]) await sleep(d);
return now() - t0;`);
    assert.ok(out >= 5, `${out}`);
});

test('sleep refuses what is no duration', async () => {
    const out = await result('const out = []; for (const d of [-1, NaN, Infinity, "soon", "", null, undefined, {}, "5 parsecs", 1e20]) out.push((await attempt(async () => sleep(d)))?.[0] ?? "slept"); return out;');
    assert.deepEqual(out, Array(10).fill('TypeError'));
});

test('ten years are a row, not memory', async () => {
    const s = await server();
    const id = await start(s, await deploy('await sleep("10 years"); return "done";'));
    const row = await suspended(s, id);
    const years = (row.wake_at_ms - Date.now()) / (365 * 24 * 3600 * 1000);
    assert.ok(years > 9.99 && years < 10.01, `${years}`);
    assert.match(row.wake_at, /^20\d\d-/);
});

test('sleepUntil: a date, a number, ISO text, and what is past', async () => {
    const out = await result(`
const t = now();
await sleepUntil(new Date(t + 2)); const a = now();
await sleepUntil(a + 2); const b = now();
await sleepUntil(new Date(b + 3).toISOString()); const c = now();
await sleepUntil(0); await sleepUntil(new Date(0));
return [a - t >= 2, b - a >= 2, c - b >= 3, (await attempt(async () => sleepUntil("tomorrow-ish")))[0]];`);
    assert.deepEqual(out, [true, true, true, 'TypeError']);
});

test('the clock stands still while code runs, and never goes back', async () => {
    const out = await result(`
const a = Date.now(), p = performance.now();
for (let i = 0; i < 200000; i++) Math.sqrt(i);
const same = Date.now() === a && now() === a && new Date().getTime() === a && performance.now() === p;
let last = a, ok = true;
for (let i = 0; i < 20; i++) { await (i % 2 ? sleep(1) : step("s", () => i)); ok &&= Date.now() >= last; last = Date.now(); }
return [same, ok, last > a];`);
    assert.deepEqual(out, [true, true, true]);
});

test('setTimeout, setInterval, clearTimeout, AbortSignal.timeout', async () => {
    const out = await result(`
const order = [];
setTimeout((x) => order.push("b" + x), 4, 1);
setTimeout(() => order.push("a"), 1);
const never = setTimeout(() => order.push("never"), 2); clearTimeout(never);
let n = 0; await new Promise((r) => { const i = setInterval(() => { if (++n === 3) { clearInterval(i); r(); } }, 1); });
await sleep(10);
const aborted = await attempt(() => new Promise((_, reject) => AbortSignal.timeout(1).addEventListener("abort", (e) => reject(e.target.reason))));
return [order, n, aborted[0]];`);
    assert.deepEqual(out, [['a', 'b1'], 3, 'TimeoutError']);
});

test('timers fire in the order of their times, equal ones in the order of their making', async () => {
    assert.deepEqual(await result(`
const out = [];
await Promise.all([30, 10, 20, 10, 0].map((ms, i) => sleep(ms).then(() => out.push(i))));
return out;`), [4, 1, 3, 2, 0]);
});

test('waitForEvent: name, data and time of the signal', async () => {
    const s = await server();
    const before = Date.now();
    const id = await start(s, await deploy('const e = await waitForEvent("approved"); return { ...e, isDate: e.at instanceof Date, at: +e.at };'));
    await signal(s, id, 'approved', { by: 'me', list: [1, null, 'ü'] });
    const out = await output(s, id);
    assert.equal(out.name, 'approved');
    assert.deepEqual(out.data, { by: 'me', list: [1, null, 'ü'] });
    assert.ok(out.isDate && out.at >= before - 1000 && out.at <= Date.now() + 1000);
});

test('waitForEvent: a time-out throws TimeoutError; a signal in time does not', async () => {
    const s = await server();
    assert.deepEqual((await result('return [await attempt(() => waitForEvent("never", { timeout: 5 })), await waitForEvent("never", { timeout: "5 ms" }).catch((e) => e instanceof TimeoutError)];')).map((v: any) => v[0] ?? v), ['TimeoutError', true]);
    const id = await start(s, await deploy('return (await waitForEvent("go", { timeout: "1 day" })).data;'));
    await signal(s, id, 'go', 5);
    assert.equal(await output(s, id), 5);
});

test('waitForEvent: timeout 0 takes what is there already, else throws', async () => {
    const s = await server();
    const id = await start(s, await deploy('await waitForEvent("start"); const a = await waitForEvent("x", { timeout: 0 }); const b = await attempt(() => waitForEvent("x", { timeout: 0 })); return [a.data, b[0]];'));
    await suspended(s, id);
    await signal(s, id, 'x', 'early');
    await signal(s, id, 'start');
    assert.deepEqual(await output(s, id), ['early', 'TimeoutError']);
});

test('waitForEvent refuses what is no name or no time', async () => {
    const out = await result('const out = []; for (const a of [[], [""], [5], ["x", { timeout: "soon" }], ["x", { timeout: -1 }]]) out.push((await attempt(async () => waitForEvent(...a)))[0]); return out;');
    assert.deepEqual(out, Array(5).fill('TypeError'));
});

test('an event or a deadline, whichever comes first', async () => {
    const s = await server();
    const name = await deploy(`
const winner = await Promise.race([waitForEvent("go").then((e) => "event " + e.data), sleep(input).then(() => "time")]);
return winner;`);
    assert.equal(await complete(s, name, 3), 'time');
    const id = await start(s, name, 3_600_000);
    await suspended(s, id);
    await signal(s, id, 'go', 1);
    assert.equal(await output(s, id), 'event 1');
});

test('a deadline that was not waited for does not keep the execution', async () => {
    const s = await server();
    const name = await deploy('sleep("1 year"); setTimeout(() => {}, 1e9); waitForEvent("never"); return "done";');
    assert.equal(await complete(s, name), 'done');
});

test('several waiters of one name get one signal each, in order', async () => {
    const s = await server();
    const id = await start(s, await deploy('return (await Promise.all([waitForEvent("n"), waitForEvent("n"), waitForEvent("n")])).map((e) => e.data);'));
    for (const n of [1, 2, 3]) await signal(s, id, 'n', n);
    assert.deepEqual(await output(s, id), [1, 2, 3]);
});

test('microtasks, async iteration and generators around waits', async () => {
    assert.deepEqual(await result(`
async function* ticks(n) { try { for (let i = 0; i < n; i++) { await sleep(1); yield i; } } finally { await step("close", () => 0); log2.push("closed"); } }
const log2 = [];
const out = [];
for await (const t of ticks(10)) { out.push(t); if (t === 2) break; }
function* sync() { const x = yield 1; yield x * 2; }
const g = sync(); g.next(); await sleep(1); out.push(g.next(21).value);
queueMicrotask(() => out.push("micro")); await null; await null;
return [out, log2];`), [[0, 1, 2, 42, 'micro'], ['closed']]);
});

test('an execution that waits for nothing at all fails, and says so', async () => {
    const s = await server();
    const id = await start(s, await deploy('await new Promise(() => {});'));
    const end = await outcome(s, id);
    assert.equal(end.status, 'failed');
    assert.match(end.error.message, /never settle/);
    assert.ok(end.error.hint);
});

test('an unhandled rejection beside the main line', async () => {
    const s = await server();
    const id = await start(s, await deploy('Promise.reject(new Error("aside")); await sleep(1); return "went on";'));
    const end = await outcome(s, id);
    assert.equal(end.output, 'went on');
    assert.match((await logTexts(s, id)).join(), /aside/);
});

test('a time-out is exact over a restart: it is counted from its beginning', async () => {
    await withServer({}, async (s, crashed) => {
        await deployWorkflow(s, 'exact', `
import { workflow, waitForEvent, sleep, now } from "limpet";
export const event = workflow(async () => { const t = now(); try { await waitForEvent("never", { timeout: 2500 }); } catch (e) { return [e.name, now() - t]; } });
export const nap = workflow(async () => { const t = now(); await sleep(2500); return now() - t; });`);
        const ids = [await start(s, 'exact.event'), await start(s, 'exact.nap')];
        for (const id of ids) await suspended(s, id);
        s = await crashed();
        const [name, waited] = await output(s, ids[0]!);
        assert.equal(name, 'TimeoutError');
        assert.ok(waited >= 2500, `${waited}`);
        assert.ok((await output(s, ids[1]!)) >= 2500);
        const row = await show(s, ids[1]!);
        assert.ok(row.finished_at_ms - row.created_at_ms >= 2500);
    });
});

test('what came due while the server was down happens at its start', async () => {
    await withServer({}, async (s, crashed) => {
        await deployWorkflow(s, 'down', 'import { workflow, sleep } from "limpet"; export default workflow(async () => { await sleep(1500); return "awake"; });');
        const id = await start(s, 'down');
        const row = await suspended(s, id);
        await s.kill();
        while (Date.now() < row.wake_at_ms + 50) await new Promise((r) => setTimeout(r, 20));
        s = await crashed();
        assert.equal(await output(s, id), 'awake');
    });
});

test('many sleepers', async () => {
    const s = await server();
    const name = await deploy('await sleep(1 + input % 1500); return input;');
    const ids = await Promise.all(Array.from({ length: 200 }, (_, n) => start(s, name, n * 37)));
    const outs = await Promise.all(ids.map((id) => output(s, id)));
    assert.deepEqual(outs, ids.map((_, n) => n * 37));
    assert.ok((await journal(s, ids[0]!)).length >= 2);
});
