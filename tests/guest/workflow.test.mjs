// SPDX-License-Identifier: Apache-2.0
//
// Workflows: what they may look like, what they call, and that a replay does the same as the first run. Each
// program runs live, then from its whole journal and from prefixes of it (recorder.mjs).
import assert from "node:assert/strict";
import { test } from "node:test";
import { ERR, Guest, hasRuntime, isBuilt, startWorkflow } from "./harness.mjs";
import { check, Execution, module } from "./recorder.mjs";

const options = { skip: !(isBuilt && hasRuntime) && "LIMPET_ENGINE_WASM or LIMPET_BUILTINS is not set" };

/** Output of a program that is checked. */
const output = (body, more, settings) => check(module(body, more), settings).output;
/** How a program fails: [name, message]. */
function failure(body, more, settings) {
  const { fail } = check(module(body, more), settings).answer;
  return [fail.name, fail.message];
}
const start = 1700000000000;

// --- shapes ----------------------------------------------------------------------------------------

test("the shapes of a workflow, and which one is started", options, () => {
  const w = `import { workflow } from "limpet"; const f = (n) => workflow(async (input) => [n, input]);`;
  const run = (source, exported, input = 5) => new Execution({ source, exported, input }).run().output;
  assert.deepEqual(run(`${w} export default f("d"); export const other = f("o")`), ["d", 5]);
  assert.deepEqual(run(`${w} export default f("d"); export const other = f("o")`, "other"), ["o", 5]);
  assert.deepEqual(run(`${w} export const main = f("m"); export const other = f("o")`), ["m", 5]);
  assert.deepEqual(run(`${w} export const only = f("x"); export const n = 1`), ["x", 5]);
  assert.deepEqual(run(`export default { async run(event, step) { return [event.payload, event.instanceId, event.timestamp.getTime(), typeof step.do] } }`), [5, "x-1", start, "function"]);
  assert.deepEqual(run(`import { WorkflowEntrypoint } from "cloudflare:workers"; export class Mine extends WorkflowEntrypoint { async run(event) { return [event.payload, this.env.HOME, typeof this.ctx.waitUntil] } } export default { fetch() {} }`), [5, "x", "function"]);
  assert.deepEqual(run(`import { WorkflowEntrypoint } from "cloudflare:workers"; export default class extends WorkflowEntrypoint { run(event) { return event.payload } }`), 5);
  assert.deepEqual(run(`export const handler = { async handle({ body, metadata }) { return { body, metadata } } }`), { body: 5, metadata: {} });
  assert.deepEqual(run(`export function handler({ body }) { return body + 1 }`), 6);
  assert.deepEqual(run(`import { success } from "derp:runtime/context"; export const handler = { handle: ({ body }) => success({ body }) }`), { body: 5 });
  assert.equal(run(`${w} export default workflow(() => {})`), null);
  assert.deepEqual(run(`${w} export default workflow((input) => input)`, "", { a: [1, null, "x"] }), { a: [1, null, "x"] });
});

test("the host hears which exports are workflows", options, () => {
  const loaded = (source) => { const g = new Guest({ source }); return [g.exports, g.workflows] };
  const w = `import { workflow } from "limpet"; const f = () => workflow(async () => 1);`;
  assert.deepEqual(loaded(`${w} export default f(); export const b = f(), a = f(), n = 1`), [16, "a,b,default"]);
  assert.deepEqual(loaded(`${w} export const a = f(); export default { fetch() {} }`), [17, "a"]);
  assert.deepEqual(loaded(`export default { run() {}, fetch() {} }`), [17, "default"]);
  assert.deepEqual(loaded(`import { WorkflowEntrypoint } from "cloudflare:workers"; export default class extends WorkflowEntrypoint { run() {} }`), [16, "default"]);
  assert.deepEqual(loaded(`export default () => 1`), [2, ""]);
  assert.deepEqual(loaded(`export const handler = { handle() {} }`), [4, ""]);
});

test("a workflow that is not there is named, with those that are", options, () => {
  const fail = (source, exported) => new Execution({ source, exported }).run().answer.fail.message;
  const w = `import { workflow } from "limpet"; export const a = workflow(() => 1), b = workflow(() => 2);`;
  assert.match(fail(w), /several workflows: start one of a, b by NAME\.EXPORT/);
  assert.match(fail(w, "c"), /no workflow named 'c'; it exports a, b/);
  assert.match(fail(`export default () => 1`), /exports no workflow/);
  assert.throws(() => new Guest({ source: `import { workflow } from "limpet"; export default workflow({})` }), /give it a function/);
});

test("run and its parts", options, () => {
  const x = check(module(`const { step, sleep, id } = run; await sleep(10); return [id, run.workflow, run.startedAt, await step("a", () => 1), run.now() - run.startedAt, run.signal.aborted, run.metadata]`), { metadata: { by: "me" } });
  assert.deepEqual(x.output, ["x-1", "shop", new Date(start).toISOString(), 1, 10, false, { by: "me" }]);
});

test("an answer waits for ctx.waitUntil()", options, () => {
  const source = `import { WorkflowEntrypoint } from "cloudflare:workers"; export class A extends WorkflowEntrypoint { async run(e, step) { this.ctx.waitUntil(step.sleep("x", 50).then(() => step.do("late", () => 1))); return 2 } }`;
  const x = check(source);
  assert.equal(x.output, 2);
  assert.deepEqual(x.bodies, [["late", 1]]);
});

// --- time ------------------------------------------------------------------------------------------

test("time stands still while code runs and is that of the last delivery", options, () => {
  assert.deepEqual(output(`
    const t0 = [Date.now(), new Date().getTime(), now(), performance.now()]; for (let i = 0; i < 1e5; i++);
    const t1 = Date.now(); await sleep("1.5s"); const t2 = [now(), performance.now()];
    await step("s", () => sleep(200)); return [t0, t1 === t0[0], t2, Date.now() - t2[0], new Date(2020, 1).getFullYear()]`),
  [[start, start, start, 0], true, [start + 1500, 1500], 200, 2020]);
});

test("durations", options, () => {
  const ms = (value) => output(`const t = now(); await sleep(${value}); return now() - t`);
  for (const [text, wanted] of [["5", 5], ["0", 0], ["1.5", 1], ["'3 days'", 259200000], ["'1.5h'", 5400000], ["'500 ms'", 500], ["'1 week'", 604800000], ["'2 minutes 30 seconds'", 150000], ["'1h30m'", 5400000], ["' 10 SEC '", 10000], ["'1 day, 2 hours'", 93600000], ["'.5s'", 500], ["'10 years'", 315360000000]])
    assert.equal(Math.round(ms(text)), Math.round(wanted), text);
  for (const bad of ["-1", "NaN", "Infinity", "''", "'soon'", "'3'", "'3 parsecs'", "'-1 s'", "undefined", "{}", "null", "'1 s x'", "'constructor'", "'1 constructor'"]) {
    const [name, message] = failure(`await sleep(${bad})`);
    assert.equal(name, "TypeError", bad);
    assert.match(message, /is not a duration; give milliseconds, or text such as/, bad);
  }
});

test("sleepUntil", options, () => {
  const until = (value) => output(`await sleepUntil(${value}); return now() - run.startedAt`);
  assert.equal(until(`new Date(${start + 5000})`), 5000);
  assert.equal(until(start + 70), 70);
  assert.equal(until(`"${new Date(start + 1000).toISOString()}"`), 1000);
  assert.equal(until(`run.startedAt.getTime() - 5`), 0);
  assert.match(failure(`await sleepUntil("next week")`)[1], /is not a time/);
});

test("setTimeout, setInterval, AbortSignal.timeout and timers cleared", options, () => {
  assert.deepEqual(output(`
    const seen = []; const t = setInterval(() => { seen.push(now() - run.startedAt); if (now() - run.startedAt >= 30) clearInterval(t) }, 10);
    const gone = setTimeout(() => seen.push("no"), 5); clearTimeout(gone);
    const signal = AbortSignal.timeout(25); signal.onabort = () => seen.push(signal.reason.name);
    await new Promise((ok) => setTimeout(ok, 100)); return seen`), [10, 20, "TimeoutError", 30]);
});

// --- steps -----------------------------------------------------------------------------------------

test("what a step returns comes back as its bytes say, on the first run too", options, () => {
  assert.deepEqual(output(`
    const map = await step("m", () => new Map([[1, new Date(5)], ["x", new Set([1n])]]));
    const same = { a: 1 }; const got = await step("s", () => same);
    class Point { constructor() { this.x = 1 } get double() { return 2 } }
    const p = await step("p", () => new Point());
    const cyc = await step("c", () => { const o = { n: 1 }; o.self = o; return o });
    return [map.get(1).getTime(), map.get("x").has(1n), got === same, got, p instanceof Point, p, cyc.self === cyc, await step("u", () => {}) === undefined, (await step("b", () => new Uint8Array([1, 2]))).length, Object.is(await step("z", () => -0), -0)]`),
  [5, true, false, { a: 1 }, false, { x: 1 }, true, true, 2, true]);
});

test("synchronous, promised and thenable results", options, () => {
  assert.deepEqual(output(`return [await step("a", () => 1), await step("b", async () => 2), await step("c", () => ({ then(ok) { ok(3) } })), await step("d", () => new Promise((ok) => setTimeout(ok, 5, 4))), await step("e", async () => { await null; return { then: 5 } })]`), [1, 2, 3, 4, { then: 5 }]);
});

test("steps are tried again, with delays, and tell the attempt", options, () => {
  const x = check(module(`
    let n = 0; const value = await step("flaky", async ({ attempt }) => { if (attempt < 4) throw new Error("no " + attempt); return attempt });
    return [value, now() - run.startedAt]`), { isTimed: true });
  assert.deepEqual(x.output, [4, 200 + 400 + 800]);
  assert.deepEqual(x.bodies, [["flaky", 1], ["flaky", 2], ["flaky", 3], ["flaky", 4]]);
});

test("the options of steps as the host gets them", options, () => {
  const sent = (text) => {
    const x = new Execution({ source: module(`await step("s", ${text}, () => 1)`) }).run();
    if (x.answer.fail) return x.answer.fail.message;
    const { attempts_max, delay_ms, factor, delay_max_ms, timeout_ms } = [...x.calls.values()][0].values;
    return [attempts_max, delay_ms, factor, delay_max_ms, timeout_ms];
  };
  assert.deepEqual(sent("undefined"), [6, 200, 2, 60000, 0]);
  assert.deepEqual(sent("{}"), [6, 200, 2, 60000, 0]);
  assert.deepEqual(sent("{ retries: 0 }"), [1, 200, 2, 60000, 0]);
  assert.deepEqual(sent("{ retries: Infinity, timeout: '30 seconds' }"), [0, 200, 2, 60000, 30000]);
  assert.deepEqual(sent("{ backoff: 1000 }"), [6, 1000, 2, 60000, 0]);
  assert.deepEqual(sent("{ backoff: '2 minutes' }"), [6, 120000, 2, 120000, 0]);
  assert.deepEqual(sent("{ backoff: 'constant' }"), [6, 200, 1, 60000, 0]);
  assert.deepEqual(sent("{ backoff: 'exponential' }"), [6, 200, 2, 60000, 0]);
  assert.deepEqual(sent("{ backoff: { delay: '1s', factor: 3, max: '1h' } }"), [6, 1000, 3, 3600000, 0]);
  assert.match(sent("{ retries: -1 }"), /retries must be a whole number from 0, or Infinity, not -1/);
  assert.match(sent("{ retries: 1.5 }"), /retries/);
  assert.match(sent("{ timeout: 'soon' }"), /timeout: "soon" is not a duration/);
  assert.match(sent("{ backoff: { factor: 0.5 } }"), /backoff\.factor must be a number from 1/);
  assert.match(sent("5"), /options must be an object/);
});

test("the error of the last attempt arrives as the same kind of error", options, () => {
  const thrown = (expression, more = "") => output(`
    try { await step("s", { retries: 0 }, async () => { throw ${expression} }); return "none" } catch (e) {
      return [e?.constructor?.name ?? typeof e, e?.name, e?.message ?? e, e && typeof e === "object" ? { ...e } : null, e?.cause?.message ?? e?.cause ?? null, typeof e?.stack === "string" && e.stack.includes("shop")] }`, more);
  assert.deepEqual(thrown("new Error('m')"), ["Error", "Error", "m", {}, null, true]);
  assert.deepEqual(thrown("Object.assign(new TypeError('m', { cause: new RangeError('why') }), { code: 7, deep: { a: [1] } })"), ["TypeError", "TypeError", "m", { code: 7, deep: { a: [1] } }, "why", true]);
  assert.deepEqual(thrown("new PaymentError('m')", "class PaymentError extends Error { name = 'PaymentError'; amount = 5 }"), ["Error", "PaymentError", "m", { amount: 5 }, null, true]);
  assert.deepEqual(thrown("new DOMException('m', 'AbortError')").slice(0, 3), ["DOMException", "AbortError", "m"]);
  assert.deepEqual(thrown("new NonRetryableError('m')").slice(0, 3), ["NonRetryableError", "NonRetryableError", "m"]);
  assert.deepEqual(thrown("'text'"), ["String", null, "text", null, null, false]);
  assert.deepEqual(thrown("{ status: 402 }"), ["Object", null, { status: 402 }, { status: 402 }, null, false]);
  assert.deepEqual(thrown("undefined"), ["undefined", null, null, null, null, false]);
  assert.deepEqual(thrown("Object.assign(new Error('m'), { response: { f() {} }, request() {} })").slice(0, 3), ["Error", "Error", "m"]);
  assert.deepEqual(thrown("new CancelledError()").slice(0, 2), ["CancelledError", "CancelledError"]);
  assert.deepEqual(output(`try { await step("s", { retries: 0 }, () => { throw new AggregateError([new Error("a"), 2], "m") }) } catch (e) { return [e instanceof AggregateError, e.errors.map(String), e.message] }`), [true, ["Error: a", "2"], "m"]);
});

test("the error object is made anew, so that a replay cannot differ", options, () => {
  assert.equal(output(`let own; try { await step("s", { retries: 0 }, () => { own = new Error("m"); throw own }) } catch (e) { return e === own }`), false);
});

test("NonRetryableError and what cannot be cloned end a step at once", options, () => {
  const x = check(module(`try { await step("s", () => { throw new NonRetryableError("no") }) } catch (e) { return e.message }`));
  assert.deepEqual([x.output, x.bodies.length], ["no", 1]);
  const y = check(module(`try { await step("s", () => ({ f() {} })) } catch (e) { return [e.name, e.message] }`));
  assert.deepEqual([y.output[0], y.bodies.length], ["DataCloneError", 1]);
  assert.match(y.output[1], /could not be cloned/);
});

test("a step that takes too long is tried again, and its late result is ignored", options, () => {
  const x = check(module(`try { return await step("s", { retries: 1, timeout: 50, backoff: "constant" }, async ({ attempt }) => { await sleep(1000); return attempt }) } catch (e) { return [e.name, e instanceof TimeoutError, now() - run.startedAt] }`), { isTimed: true });
  assert.deepEqual(x.output, ["TimeoutError", true, 300]);
  assert.deepEqual(x.bodies, [["s", 1], ["s", 2]]);
});

test("steps do not nest, and a step's body is no place for main calls", options, () => {
  for (const [call, what] of [["step('x', () => 1)", "step\\(\\)"], ["waitForEvent('x')", "waitForEvent\\(\\)"], ["startChild('x')", "startChild\\(\\)"], ["run.step('x', () => 1)", "step\\(\\)"]]) {
    const [name, message] = failure(`await step("outer", { retries: 0 }, async () => { await null; await ${call} })`);
    assert.equal(name, "TypeError");
    assert.match(message, new RegExp(`^${what} was called inside the body of a step`), call);
  }
  assert.equal(output(`return await step("s", async () => { await sleep(5); return 1 })`), 1);
});

test("wrong arguments", options, () => {
  for (const [call, message] of [["step()", /needs a name and a function/], ["step('a')", /needs a name and a function/], ["step(() => 1)", /needs a name/], ["step('', () => 1)", /name is empty/], ["waitForEvent()", /name of the event/], ["waitForEvent('x', { timeout: 'x' })", /is not a duration/], ["startChild()", /give the workflow itself, or its name/], ["startChild({})", /give the workflow itself/], ["startChild(workflow(() => 1))", /not exported by this module/], ["startChild('x', 1, { id: 5 })", /id must be text/], ["progress(() => 1)", /has no JSON form/]])
    assert.match(failure(`await ${call}`)[1], message, call);
});

test("outside of a workflow these calls say so", options, () => {
  const source = `import * as l from "limpet"; export default async () => { const out = []; for (const f of [() => l.step("a", () => 1), () => l.sleep(1), () => l.sleepUntil(1), () => l.waitForEvent("a"), () => l.startChild("a"), () => l.progress(1)]) try { await f(); out.push(0) } catch (e) { out.push(e.name + ": " + e.message) } return out }`;
  for (const line of JSON.parse(new Guest({ source }).http().body)) assert.match(line, /^TypeError: \w+\(\) works only while a workflow runs, and this is a function/);
  assert.throws(() => new Guest({ source: `import { sleep } from "limpet"; await sleep(1); export default () => 1` }), /works only while a workflow runs, and this is top-level code/);
});

// --- what the journal carries ----------------------------------------------------------------------

test("fetch: answers come whole, also for streamed bodies", options, () => {
  const world = { fetch: ({ url, method, body }) => ({ status: 201, headers: [["x-a", "b"]], body: JSON.stringify([method, url, String(body)]), ms: 5 }) };
  const x = check(module(`
    const r = await fetch("http://x/a", { method: "POST", body: "hi" }); const copy = r.clone();
    const s = await fetch("http://x/b", { method: "PUT", duplex: "half", body: new ReadableStream({ start(c) { c.enqueue(new TextEncoder().encode("st")); c.enqueue(new TextEncoder().encode("ream")); c.close() } }) });
    const chunks = []; for await (const c of copy.body) chunks.push(c.length);
    return [r.status, r.headers.get("x-a"), await r.json(), await s.json(), chunks.length]`), { world });
  assert.deepEqual(x.output, [201, "b", ["POST", "http://x/a", "hi"], ["PUT", "http://x/b", "stream"], 1]);
});

test("fetch: failures, aborts, and a stream that breaks before it is sent", options, () => {
  const world = { fetch: () => ({ err: ERR.NETWORK, message: "no route", ms: 5 }) };
  assert.deepEqual(output(`try { await fetch("http://x/") } catch (e) { return [e.name, e.message, e.code] }`, "", { world }), ["TypeError", "no route", "network"]);
  assert.deepEqual(output(`const c = new AbortController(); const p = fetch("http://x/", { signal: c.signal }); setTimeout(() => c.abort(), 1); try { await p } catch (e) { return e.name }`), "AbortError");
  assert.deepEqual(output(`try { await fetch("http://x/", { method: "POST", duplex: "half", body: new ReadableStream({ start(c) { c.error(new RangeError("broke")) } }) }) } catch (e) { return [e.name, e.message] }`), ["RangeError", "broke"]);
});

test("random values, ids and env are recorded", options, () => {
  const x = check(module(`const a = [Math.random(), crypto.randomUUID(), crypto.getRandomValues(new Uint8Array(4)).join(), limpet.env.get("HOME")]; await sleep(1); a.push(Math.random()); return a`), { isTimed: true });
  assert.equal(x.output.length, 5);
  assert.equal(x.output[3], "x");
});

test("races, losers, and generators of main code", options, () => {
  assert.deepEqual(output(`
    const first = await Promise.race([sleep(50).then(() => "slow"), fetch("http://x/").then((r) => r.text())]);
    const any = await Promise.any([Promise.reject(1), sleep(3).then(() => "any")]);
    function* g() { yield 1; yield 2 } const sum = [...g()].reduce((a, b) => a + b);
    try { await Promise.all([sleep(5).then(() => { throw new Error("x") }), sleep(500)]) } catch (e) { return [first, any, sum, e.message, now() - run.startedAt] }`), ["ok", "any", 3, "x", 18]);
});

test("events: in order, early ones too, with a time-out", options, () => {
  const world = { signals: [{ at: 5, name: "go", data: { n: 1 } }, { at: 6, name: "go", data: { n: 2 } }, { at: 7, name: "other" }] };
  assert.deepEqual(output(`
    await sleep(20); const a = await waitForEvent("go"), b = await waitForEvent("go", { timeout: "1 minute" }), c = await waitForEvent("other");
    try { await waitForEvent("go", { timeout: 30 }) } catch (e) { return [a.data, b.data, c.data, a.name, a.at instanceof Date, a.at - run.startedAt, e instanceof TimeoutError, e.name, now() - run.startedAt] }`, "", { world, prefixes: false }), [{ n: 1 }, { n: 2 }, null, "go", true, 5, true, "TimeoutError", 50]);
});

test("children: results, failures, signals", options, () => {
  const world = { child: (c) => c.workflow === "bad" ? { err: ERR.GUEST, error: { name: "RangeError", message: "child broke" } } : c.workflow === "gone" ? { err: ERR.CANCELLED, error: { name: "CancelledError", message: "stopped" } } : { output: c } };
  const x = check(module(`
    const a = await startChild(other, { n: 1 }), b = await startChild("bad", 2, { id: "k" }), c = await startChild("gone");
    await a.signal("go", { x: 1 }); await a.cancel();
    const out = [await a.result(), await a.result() === await a.result(), typeof a.id];
    for (const h of [b, c]) try { await h.result() } catch (e) { out.push([e.constructor.name, e.name, e.message]) }
    return out`, `export const other = workflow((n) => n);`), { world, prefixes: false });
  assert.deepEqual(x.output, [{ workflow: "shop.other", input: '{"n":1}' }, true, "string", ["RangeError", "RangeError", "child broke"], ["ChildCancelledError", "ChildCancelledError", "stopped"]]);
  assert.deepEqual(x.effects.map(([name, { name: signal, data }]) => [name, signal, data]), [["signal", "go", '{"x":1}'], ["child_cancel", undefined, undefined]]);
});

test("progress, from main code and from inside a step", options, () => {
  const x = check(module(`progress({ done: 1 }); await step("s", () => run.progress("half")); return 1`), { prefixes: false });
  assert.deepEqual(x.published, [[0, '{"done":1}'], [1, '"half"']]);
});

// --- cancelling ------------------------------------------------------------------------------------

test("a cancelled execution: everything pending rejects, finally works, the name stays", options, () => {
  const x = check(module(`
    const seen = []; run.signal.addEventListener("abort", () => seen.push(run.signal.reason.name));
    try { await Promise.all([sleep("1 day"), waitForEvent("never"), step("s", () => sleep(1e6)), fetch("http://x/slow")].map((p) => p.catch((e) => { seen.push(e.name); throw e }))) }
    finally { await step("undo", () => 1); await sleep(5); progress(seen) }`), { world: { cancelAt: 100, fetch: () => ({ ms: 1e6 }) }, isTimed: true, prefixes: false });
  assert.equal(x.answer.fail.name, "CancelledError");
  assert.deepEqual(JSON.parse(x.published[0][1]), ["CancelledError", "CancelledError", "CancelledError", "CancelledError", "CancelledError"]);
  assert.deepEqual(x.bodies.at(-1), ["undo", 1]);
});

test("code may finish in spite of being cancelled; the signal tells late comers", options, () => {
  const x = check(module(`try { await sleep(1000) } catch (e) { return [e instanceof CancelledError, run.signal.aborted, run.signal.reason instanceof CancelledError] }`), { world: { cancelAt: 10 }, prefixes: false });
  assert.deepEqual(x.output, [true, true, true]);
});

test("a timer of setTimeout never fires once the execution is cancelled; new ones do", options, () => {
  const x = check(module(`
    let n = 0; setInterval(() => { n++ }, 40); setTimeout(() => { n = 100 }, 500);
    await new Promise((ok) => run.signal.addEventListener("abort", ok)); await new Promise((ok) => setTimeout(ok, 1000)); return n`), { world: { cancelAt: 50 }, prefixes: false });
  assert.equal(x.output, 1);
});

test("a listener of a step hears run.signal in its scope", options, () => {
  const x = check(module(`try { await step("s", () => { run.signal.addEventListener("abort", () => void fetch("http://x/heard")); return sleep(1000) }) } catch (e) { return e.name }`), { world: { cancelAt: 10 }, prefixes: false });
  assert.equal(x.output, "CancelledError");
  assert.deepEqual(x.scoped.map(([name, scope]) => [name, scope]), [["timer", 1], ["fetch", 1]]);
});

// --- code that differs -----------------------------------------------------------------------------

test("a replay that differs fails at once with the place in the code", options, () => {
  const journal = new Execution({ source: module(`await sleep(5); const n = Math.random(); await step("a", () => 1); return n`) }).run().journal;
  const other = (body) => new Execution({ source: module(body), journal }).run();
  const a = other(`await sleep(5);\nconst n = limpet.env.get("HOME"); return n`);
  assert.equal(a.answer.fail.name, "NonDeterminismError");
  assert.match(a.answer.fail.message, /^record 1 was random/);
  assert.match(a.answer.fail.stack, /shop:5/);
  const b = other(`await sleep(5);\n const n = Math.random();\n try { await step("b", () => 1) } catch { await sleep(1) } return n`);
  assert.deepEqual([b.answer.fail.name, /did step.*"b"/.test(b.answer.fail.message), /shop:6/.test(b.answer.fail.stack)], ["NonDeterminismError", true, true]);
  assert.equal(b.trace.at(-1).includes('"b"'), true, "nothing ran after it");
  const c = other(`await sleep(5); await fetch("http://x/"); return 1`);
  assert.equal(c.answer.fail.name, "NonDeterminismError");
});

// --- Cloudflare ------------------------------------------------------------------------------------

test("step.do, sleep, sleepUntil, waitForEvent in the style of Cloudflare", options, () => {
  const source = `import { WorkflowEntrypoint } from "cloudflare:workers"; import { NonRetryableError } from "cloudflare:workflows";
    export class Order extends WorkflowEntrypoint { async run(event, step) {
      const a = await step.do("a", async () => ({ id: event.payload.id }));
      const b = await step.do("b", { retries: { limit: 2, delay: "5 seconds", backoff: "linear" }, timeout: "1 minute" }, async ({ attempt }) => { if (attempt < 2) throw new Error("again"); return attempt });
      await step.sleep("wait", "1 hour"); await step.sleepUntil("until", new Date(${start} + 7200000)); await step.sleepUntil("past", 5);
      const e = await step.waitForEvent("approval", { type: "approve", timeout: "1 day" });
      try { await step.do("c", async () => { throw new NonRetryableError("fatal", "MyError") }) } catch (x) { return [a, b, e.payload, e.type, e.timestamp instanceof Date, x.name, x.message] }
    } }`;
  const x = check(source, { input: { id: 7 }, world: { signals: [{ at: 7300000, name: "approve", data: "yes" }] }, prefixes: false });
  assert.deepEqual(x.output, [{ id: 7 }, 2, "yes", "approve", true, "MyError", "fatal"]);
  const { attempts_max, delay_ms, factor, timeout_ms } = x.calls.get(2).values;
  assert.deepEqual([attempts_max, delay_ms, factor, timeout_ms], [3, 5000, 0, 60000]);
  assert.equal(x.bodies.filter(([name]) => name === "c").length, 1);
});

test("derp's handler is durable like the rest", options, () => {
  const source = `import * as limpet from "limpet"; export const handler = { async handle({ body }) { const a = await limpet.step("a", () => body + 1); await limpet.sleep(10); return a } }`;
  assert.equal(check(source, { input: 1 }).output, 2);
});

test("a workflow that fails", options, () => {
  const [name, message] = failure(`await step("s", { retries: 0 }, () => { throw new TypeError("bad") })`);
  assert.deepEqual([name, message], ["TypeError", "bad"]);
  assert.deepEqual(failure(`return 10n`)[0], "TypeError");
  assert.match(failure(`return () => 1`)[1], /no JSON form/);
});

test("ten thousand steps one after the other", options, () => {
  const x = check(module(`let sum = 0; for (let i = 0; i < 10000; i++) sum += await step("s", () => i); return sum`), { prefixes: false });
  assert.equal(x.output, 49995000);
});

test("functions of the same engine see no scopes", options, () => {
  const g = new Guest({ source: `export default async () => { await null; return [Math.random() < 1, Date.now() > 0] }` });
  assert.deepEqual(JSON.parse(g.http().body), [true, true]);
  assert.equal(g.calls.includes("next"), false);
});
