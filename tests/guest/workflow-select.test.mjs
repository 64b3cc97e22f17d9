// SPDX-License-Identifier: Apache-2.0
//
// Waits that are withdrawn: by a signal, and by select(). What is withdrawn takes no signal along; what lost a
// Promise.race() does, and that is said in the log.
import assert from "node:assert/strict";
import { test } from "node:test";
import { hasRuntime, isBuilt } from "./harness.mjs";
import { check, Execution } from "./recorder.mjs";

const options = { skip: !(isBuilt && hasRuntime) && "LIMPET_ENGINE_WASM or LIMPET_BUILTINS is not set" };

const module = (body, more = "") => `import { workflow, step, sleep, sleepUntil, waitForEvent, select, startChild, now, log, CancelledError, TimeoutError } from "limpet";
${more}
export default workflow(async (input, run) => { ${body} });`;
const run = (body, world, settings) => check(module(body), { world, isTimed: true, ...settings });
const warnings = (x) => x.guest.logs.filter(([level]) => level === 2).map(([, text]) => text);
const wakes = [{ at: 1000, name: "wake", data: { n: 1 } }, { at: 1100, name: "wake", data: { n: 2, stop: true } }];

/** A loop that wakes for an event or a heartbeat; the first heartbeat comes before the first event. */
const loop = (wait) => `const seen = []; for (let i = 0; i < 6; i++) { const got = ${wait}; seen.push(got); if (got.stop) break } return seen`;

test("a loop over select() loses no signal", options, () => {
  const forms = [
    `await select({ wake: waitForEvent("wake"), beat: sleep(i === 0 ? 300 : 5000) }).then(({ name, value }) => name === "wake" ? value.data : "heartbeat")`,
    `await select({ wake: (signal) => waitForEvent("wake", { signal }).then((e) => e.data), beat: (signal) => sleep(i === 0 ? 300 : 5000, { signal }).then(() => "heartbeat") }).then((got) => got.value)`,
    `await select({ wake: () => waitForEvent("wake"), beat: () => sleepUntil(now() + (i === 0 ? 300 : 5000)) }).then(({ name, value }) => name === "wake" ? value.data : "heartbeat")`,
    `await select({ wake: async (signal) => (await waitForEvent("wake", { signal, timeout: "1 day" })).data, beat: async (signal) => { await sleep(i === 0 ? 300 : 5000, { signal }); return "heartbeat" } }).then((got) => got.value)`,
  ];
  for (const form of forms) {
    const x = run(loop(form), { signals: wakes });
    assert.deepEqual(x.output, ["heartbeat", { n: 1 }, { n: 2, stop: true }], form);
    assert.deepEqual(warnings(x), [], form);
    assert.equal(x.time - x.started, 1100, "it waited for nothing that was withdrawn");
  }
});

test("a wait withdrawn by its signal takes nothing along", options, () => {
  const x = run(`
    const c = new AbortController(); const lost = waitForEvent("a", { signal: c.signal }).catch((e) => e.name);
    await sleep(10); c.abort(); c.abort(); await sleep(100);
    return [await lost, (await waitForEvent("a")).data, (await waitForEvent("a")).data]`,
  { signals: [{ at: 50, name: "a", data: 1 }, { at: 60, name: "a", data: 2 }] });
  assert.deepEqual(x.output, ["AbortError", 1, 2]);
});

test("a signal on its way to a wait goes on to the next one when that is withdrawn", options, () => {
  const x = run(`
    const c = new AbortController(); const first = waitForEvent("a", { signal: c.signal }).catch((e) => e);
    const second = waitForEvent("a"); await sleep(10); c.abort("no"); await sleep(5);
    return [await first, (await second).data]`,
  { signals: [{ at: 12, name: "a", data: 1 }], batchMs: 20 });
  assert.deepEqual(x.output, ["no", 1]);
});

test("a signal that arrives together with what won stays for the next round", options, () => {
  const x = run(loop(`await select({ wake: waitForEvent("wake"), beat: sleep(i === 0 ? 300 : 5000) }).then(({ name, value }) => name === "wake" ? value.data : "heartbeat")`),
    { signals: [{ at: 310, name: "wake", data: { n: 1 } }, { at: 320, name: "wake", data: { n: 2, stop: true } }], batchMs: 1000 });
  assert.deepEqual(x.output, ["heartbeat", { n: 1 }, { n: 2, stop: true }]);
});

test("abort with a reason, before, and after it has resolved", options, () => {
  assert.deepEqual(run(`
    const seen = []; const c = new AbortController(); const boom = new RangeError("boom");
    const w = sleep("1 day", { signal: c.signal }); const u = sleepUntil(now() + 5000, { signal: c.signal });
    await sleep(1); c.abort(boom);
    for (const p of [w, u]) seen.push(await p.catch((e) => e === boom));
    for (const p of [sleep(5, { signal: c.signal }), waitForEvent("x", { signal: c.signal }), sleep(1, { signal: AbortSignal.abort(7) })]) seen.push(await p.catch((e) => e === boom || e));
    const d = new AbortController(); await sleep(5, { signal: d.signal }); const got = await waitForEvent("a", { signal: d.signal }); d.abort(); await sleep(20);
    return [...seen, got.data, now() - run.startedAt]`, { signals: [{ at: 3, name: "a", data: 1 }] }).output,
  [true, true, true, true, 7, 1, 26]);
});

test("AbortSignal.timeout() and run.signal withdraw, too", options, () => {
  assert.deepEqual(run(`return [await waitForEvent("a", { signal: AbortSignal.timeout(20) }).catch((e) => e.name), now() - run.startedAt]`).output, ["TimeoutError", 20]);
  assert.deepEqual(run(`try { await waitForEvent("a", { signal: run.signal }) } catch (e) { return [e.name, e instanceof CancelledError] }`, { cancelAt: 30 }, { prefixes: false }).output, ["CancelledError", true]);
});

test("a long-lived signal keeps nothing of waits that are over", options, () => {
  const x = run(`
    const c = new AbortController(); let adds = 0; const { addEventListener: add, removeEventListener: remove } = EventTarget.prototype;
    c.signal.addEventListener = function (...a) { adds++; return add.apply(this, a) }; c.signal.removeEventListener = function (...a) { adds--; return remove.apply(this, a) };
    for (let i = 0; i < 20; i++) await sleep(1, { signal: c.signal });
    await waitForEvent("x", { signal: c.signal, timeout: 1 }).catch(() => {}); const child = await startChild("other"); await child.result({ signal: c.signal });
    return adds`);
  assert.equal(x.output, 0);
});

test("select(): values, names, order, errors", options, () => {
  assert.deepEqual(run(`return [await select({ a: () => 5, b: sleep(1) }), await select({ b: sleep(20), a: sleep(10) }), await select({ s: () => step("s", () => 7), late: sleep(1000) }), (await select({ t: sleep(3) })).name]`).output,
    [{ name: "a", value: 5 }, { name: "a" }, { name: "s", value: 7 }, "t"]);
  assert.deepEqual(run(`
    try { await select({ bad: () => step("s", { retries: 0 }, () => { throw new TypeError("no") }), wake: waitForEvent("wake") }) } catch (e) { return [e.name, e.message, (await waitForEvent("wake")).data] }`,
  { signals: [{ at: 50, name: "wake", data: 1 }] }).output, ["TypeError", "no", 1]);
  assert.deepEqual(run(`try { await select({ e: waitForEvent("x", { timeout: 5 }), s: sleep(50) }) } catch (e) { return e instanceof TimeoutError }`).output, true);
});

test("select() refuses what it could not withdraw, and withdraws what it had started", options, () => {
  const thrown = (entries) => run(`
    let message; try { await select(${entries}) } catch (e) { message = e.name + ": " + e.message } return [message, (await waitForEvent("wake")).data]`,
  { signals: [{ at: 50, name: "wake", data: 1 }] }).output;
  assert.match(thrown(`{ wake: waitForEvent("wake"), b: (async () => { await sleep(5) })() }`)[0], /^TypeError: select\(\): the entry "b" is not a wait of its own/);
  assert.match(thrown(`{ wake: waitForEvent("wake"), b: 5 }`)[0], /the entry "b" is not a wait/);
  assert.match(thrown(`{ wake: waitForEvent("wake"), b: () => { throw new Error("so") } }`)[0], /^Error: so/);
  assert.match(thrown(`{}`)[0], /there is no entry/);
  for (const none of ["null", "undefined", "5", "'x'"]) assert.match(thrown(none)[0], /give an object such as/);
  assert.deepEqual(thrown(`{ wake: waitForEvent("wake"), b: () => { throw new Error("so") } }`)[1], 1);
});

test("options that are none", options, () => {
  const thrown = (call) => run(`try { await ${call} } catch (e) { return e.name + ": " + e.message }`).output;
  for (const what of ["sleep", "sleepUntil", "waitForEvent"]) {
    const arg = what === "waitForEvent" ? "'x'" : "5";
    for (const bad of ["5", "{}", "null", "'x'"]) assert.equal(thrown(`${what}(${arg}, { signal: ${bad} })`), `TypeError: ${what}(): signal must be an AbortSignal`, `${what} ${bad}`);
  }
  assert.equal(thrown(`sleep(5, 7)`), "TypeError: sleep(): the options must be an object such as { signal }");
});

test("children: a result that lost can be waited for again", options, () => {
  const x = run(`
    const child = await startChild("other", 1); const seen = [];
    seen.push((await select({ child: child.result(), late: sleep(5) })).name);
    seen.push((await select({ child: (signal) => child.result({ signal }), late: sleep(5) })).name);
    seen.push(await select({ child: child.result(), late: sleep(1000) })); return seen`,
  { child: () => ({ output: "done", ms: 100 }) });
  assert.deepEqual(x.output, ["late", "late", { name: "child", value: "done" }]);
});

test("a select() that is cancelled", options, () => {
  const x = run(`try { await select({ a: waitForEvent("a"), s: sleep(5000), c: (signal) => waitForEvent("b", { signal }).then(() => 1) }) } catch (e) { await sleep(5); return [e.name, now() - run.startedAt] }`, { cancelAt: 30 }, { prefixes: false });
  assert.deepEqual(x.output, ["CancelledError", 35]);
  assert.deepEqual(warnings(x), []);
});

test("in the body of a step: timers of its own, and no hand at what main code waits for", options, () => {
  const x = run(`
    const c = new AbortController(); const outside = sleep(200, { signal: c.signal }).then(() => "slept", () => "aborted");
    const inside = await step("s", async () => { c.abort(); const d = new AbortController(); setTimeout(() => d.abort("inner"), 5); return sleep(1000, { signal: d.signal }).catch((e) => e) });
    const raced = await step("t", () => select({ a: sleep(500), b: (signal) => sleep(5, { signal }) }).then((got) => got.name));
    return [inside, raced, await outside]`);
  assert.deepEqual(x.output, ["inner", "b", "slept"]);
  assert.ok(x.guest.logs.some(([level, text]) => level === 3 && /the body of a step aborted what the code outside of it waits for/.test(text)), JSON.stringify(x.guest.logs));
});

test("many selects at once, each of many waits", options, () => {
  const x = run(`
    const all = []; for (let i = 0; i < 400; i++) all.push(select({ e: waitForEvent("e" + i), s: sleep(10 + i), l: sleep(100000) }));
    const names = (await Promise.all(all)).map((got) => got.name); return [names.filter((n) => n === "e").length, names.filter((n) => n === "s").length, now() - run.startedAt]`,
  { signals: [{ at: 5, name: "e7" }, { at: 6, name: "e399" }] }, { prefixes: false });
  assert.deepEqual(x.output, [2, 398, 408]);
});

// --- waits that lost a race -------------------------------------------------------------------------

const lost = [`the signal is gone`, { signals: wakes }];

test("a signal that goes to a wait whose race is over is told of, with the line", options, () => {
  const forms = {
    race: `Promise.race([waitForEvent("wake"), sleep(10)])`,
    any: `Promise.any([waitForEvent("wake"), sleep(10)])`,
    then: `Promise.race([waitForEvent("wake").then((e) => e.data).then((d) => d), sleep(10)])`,
    caught: `Promise.race([waitForEvent("wake").catch(() => 0), sleep(10)])`,
    finally: `Promise.race([waitForEvent("wake").finally(() => 0), sleep(10)])`,
    asyncFunction: `Promise.race([(async () => (await waitForEvent("wake")).data)(), sleep(10)])`,
    nested: `Promise.race([Promise.race([Promise.all([waitForEvent("wake")]), sleep("1 day")]), sleep(10)])`,
    failedAll: `Promise.all([waitForEvent("wake"), sleep(10).then(() => { throw 1 })]).catch(() => 0)`,
    byHand: `new Promise((ok) => { waitForEvent("wake").then(ok); sleep(10).then(ok) })`,
    select: `select({ wake: () => waitForEvent("wake").then((e) => e.data), late: sleep(10) })`,
  };
  for (const [name, form] of Object.entries(forms)) {
    const x = run(`await ${form};\nawait sleep(2000); return 1`, lost[1]);
    const [text, ...more] = warnings(x);
    assert.match(text ?? "", /^signal "wake" went to a wait that lost a Promise\.race\(\) before it came: nothing got it\. select\(\) withdraws what loses/, name);
    assert.match(text, /\n    at .*shop:\d+:\d+/, name);
    assert.doesNotMatch(text, /limpet:/, name);
    assert.deepEqual(more, [], `${name}: once, and the second signal waits`);
  }
});

test("no warning for signals that somebody gets", options, () => {
  const forms = {
    awaited: `const e = await waitForEvent("wake")`,
    later: `const w = waitForEvent("wake"); await sleep(1050); await w`,
    never: `waitForEvent("wake"); await sleep(2000)`,
    wins: `await Promise.race([waitForEvent("wake"), sleep(5000)])`,
    code: `waitForEvent("wake").then((e) => log.info("got it")); await sleep(2000)`,
    kept: `const w = waitForEvent("wake"); await Promise.race([w, sleep(10)]); await Promise.race([w, sleep(3000)])`,
    both: `const w = waitForEvent("wake"); w.then((e) => log.info("got it")); await Promise.race([w, sleep(10)]); await sleep(2000)`,
    settled: `await Promise.allSettled([waitForEvent("wake"), sleep(10)])`,
    generator: `async function* g() { yield (await waitForEvent("wake")).data } for await (const d of g()) break`,
  };
  for (const [name, form] of Object.entries(forms)) assert.deepEqual(warnings(run(`${form}; return 1`, { signals: wakes })), [], name);
});

test("a background loop is warned of once for each signal that it takes", options, () => {
  const x = run(`const all = []; await Promise.race([(async () => { for (;;) all.push((await waitForEvent("wake")).data.n) })(), sleep(10)]); await sleep(2000); return all`, { signals: wakes });
  assert.deepEqual([x.output, warnings(x).length], [[1, 2], 2]);
});

test("select() in the world of Cloudflare's steps", options, () => {
  const source = `import { select, sleep } from "limpet"; export default { async run(event, step) {
    const got = await select({ approve: (signal) => step.waitForEvent("w", { type: "approve", signal }), late: sleep(10) });
    return [got.name, (await step.waitForEvent("w", { type: "approve" })).payload] } }`;
  const x = check(source, { world: { signals: [{ at: 50, name: "approve", data: 1 }] }, isTimed: true });
  assert.deepEqual(x.output, ["late", 1]);
});
