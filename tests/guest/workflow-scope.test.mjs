// SPDX-License-Identifier: Apache-2.0
//
// Scopes: each op is made in the scope of the step whose body made it, through everything that async code can
// do. `scoped` lists ops made in steps; what main code does is in the journal, so a leak from a step into main
// shows as a replay that differs.
import assert from "node:assert/strict";
import { test } from "node:test";
import { hasRuntime, isBuilt } from "./harness.mjs";
import { check, module } from "./recorder.mjs";

const options = { skip: !(isBuilt && hasRuntime) && "LIMPET_ENGINE_WASM or LIMPET_BUILTINS is not set" };

/** Runs a program; gives {output, scoped: ["fetch@1 a", …]} with the last part of URLs. */
function scopes(body, more, settings) {
  const x = check(module(body, `const get = (n) => fetch("http://x/" + n);\n${more ?? ""}`), settings);
  const detail = ([name, scope, v]) => `${name}@${scope} ${v.url?.split("/").at(-1) ?? v.delay_ms ?? ""}`.trim();
  return { output: x.output, scoped: x.scoped.map(detail), x };
}

test("concurrent steps keep apart through many awaits", options, () => {
  const { output, scoped } = scopes(`
    const one = (n) => step(n, async () => { const a = await get(n); await sleep(3); const t = await a.text(); await get(n + 2); return t + n });
    return await Promise.all(["a", "b", "c"].map(one))`);
  assert.deepEqual(output, ["oka", "okb", "okc"]);
  assert.deepEqual(scoped, ["fetch@1 a", "fetch@2 b", "fetch@3 c", "timer@1 3", "timer@2 3", "timer@3 3", "fetch@1 a2", "fetch@2 b2", "fetch@3 c2"]);
});

test("a promise made in main and awaited in two steps", options, () => {
  const { output, scoped } = scopes(`
    const p = get("main").then((r) => r.text());
    const one = (n) => step(n, async () => { const t = await p; await get(n); return t + n });
    const r = await Promise.all([one("a"), one("b")]); await get("after"); return r`);
  assert.deepEqual(output, ["oka", "okb"]);
  assert.deepEqual(scoped, ["fetch@1 a", "fetch@2 b"]);
});

test("a promise of main resolved while a step awaits it with then()", options, () => {
  const { scoped } = scopes(`
    let open; const gate = new Promise((ok) => { open = ok });
    const a = step("a", () => gate.then(() => get("a")).then((r) => r.text()));
    await sleep(5); open(); await get("main"); return await a`);
  assert.deepEqual(scoped, ["fetch@1 a"]);
});

test("a lazy singleton made in step A and awaited in step B", options, () => {
  const { output, scoped } = scopes(`
    const one = (n) => step(n, async () => { const c = await connect(); await get(n); return n + c });
    return await Promise.all([one("a"), one("b")])`,
    `let c; const connect = () => c ??= (async () => { await sleep(50); await get("conn"); return 7 })();`);
  assert.deepEqual(output, ["a7", "b7"]);
  assert.deepEqual(scoped, ["timer@1 50", "fetch@1 conn", "fetch@1 a", "fetch@2 b"]);
});

test("async generators run for the one who asks", options, () => {
  const { output, scoped } = scopes(`
    async function* pages(n) { for (let i = 0; i < 3; i++) { const r = await get(n + i); yield (await r.text()) + i } }
    const one = (n) => step(n, async () => { const out = []; for await (const p of pages(n)) { await null; out.push(p) } return out });
    const r = await Promise.all([one("a"), one("b")]);
    for await (const p of pages("m")) r.push(p);
    return r`);
  assert.deepEqual(output, [["ok0", "ok1", "ok2"], ["ok0", "ok1", "ok2"], "ok0", "ok1", "ok2"]);
  assert.deepEqual(scoped, ["fetch@1 a0", "fetch@2 b0", "fetch@1 a1", "fetch@2 b1", "fetch@1 a2", "fetch@2 b2"]);
});

test("one async generator used by main and by a step after each other", options, () => {
  const { output, scoped } = scopes(`
    async function* numbers() { for (let i = 0; ; i++) { await get(i); yield i } }
    const g = numbers();
    return [(await g.next()).value, await step("a", async () => { await get("own"); return 1 }), (await g.next()).value, (await g.return(9)).value]`);
  assert.deepEqual(output, [0, 1, 1, 9]);
  assert.deepEqual(scoped, ["fetch@1 own"]);
});

test("yield*, for await over a list of promises, and finally inside generators", options, () => {
  const { output, scoped } = scopes(`
    async function* inner(n) { try { yield await get(n + 1); yield await get(n + 2) } finally { await get(n + "end") } }
    async function* outer(n) { yield* inner(n) }
    const one = (n) => step(n, async () => { let k = 0; for await (const r of outer(n)) { k += r.status; if (n === "b") break } for await (const r of [get(n + "l"), 5]) k += r.status ?? r; return k });
    return await Promise.all([one("a"), one("b")])`);
  assert.deepEqual(output, [605, 405]);
  assert.deepEqual(scoped.map((s) => s.replace(/.*@(.) (.).*/, "$1$2")).every((s) => s === "1a" || s === "2b"), true, scoped.join());
  assert.deepEqual(scoped.filter((s) => s.includes("end")), ["fetch@2 bend", "fetch@1 aend"]);
});

test("thenables", options, () => {
  const { output, scoped } = scopes(`
    const later = (n) => ({ then(ok) { get(n).then(() => ok(n)) } });
    const one = (n) => step(n, async () => { const v = await later(n); await get(n + 2); return v });
    const direct = step("c", () => later("c"));
    return await Promise.all([one("a"), one("b"), direct, later("m")])`);
  assert.deepEqual(output, ["a", "b", "c", "m"]);
  assert.deepEqual(scoped, ["fetch@1 c", "fetch@2 a", "fetch@3 b", "fetch@2 a2", "fetch@3 b2"]);
});

test("chains of finally, catch and then", options, () => {
  const { output, scoped } = scopes(`
    const one = (n) => step(n, () => Promise.resolve(1).finally(() => get("f" + n)).then(() => { throw 1 }).catch(() => get("c" + n)).finally(() => sleep(1)).then((r) => r.text()));
    return await Promise.all([one("a"), one("b"), Promise.resolve(1).finally(() => get("m"))])`);
  assert.deepEqual(output, ["ok", "ok", 1]);
  assert.deepEqual(scoped, ["fetch@1 fa", "fetch@2 fb", "fetch@1 ca", "fetch@2 cb", "timer@1 1", "timer@2 1"]);
});

test("steps in helper classes, used inside and outside of steps", options, () => {
  const { output, scoped } = scopes(`
    const s = new Service();
    return [await step("a", () => s.load("a")), await s.load("m"), await step("b", () => s.load("b")), await s.safe("c"), s.count]`, `
    class Service {
      count = 0;
      async load(n) { const r = await get(n); return await this.parse(r) }
      async parse(r) { await null; const t = await r.text(); queueMicrotask(() => void get("micro")); return t }
      async safe(n) { this.count++; const t = await step("safe " + n, () => this.load(n)); this.count++; return t }
    }`);
  assert.deepEqual(output, ["ok", "ok", "ok", "ok", 2]);
  assert.deepEqual(scoped, ["fetch@1 a", "fetch@1 micro", "fetch@2 b", "fetch@2 micro", "fetch@3 c", "fetch@3 micro"]);
});

test("timers and intervals of a step, nested", options, () => {
  const { output, scoped } = scopes(`
    const one = (n) => step(n, () => new Promise((ok) => { let k = 0; const t = setInterval(() => { void get(n + k); if (++k === 3) { clearInterval(t); setTimeout(() => get(n + "last").then(() => ok(k)), 2) } }, 10) }));
    const seen = [];
    const id = setTimeout(() => seen.push("never"), 5); clearTimeout(id);
    setTimeout(() => void get("mt").then(() => seen.push("mt")), 15);
    return [await Promise.all([one("a"), one("b")]), seen, id, setTimeout(() => {}, 1)]`, "", { isTimed: true });
  assert.deepEqual(output, [[3, 3], ["mt"], 1, 3]);
  for (const n of ["a", "b"])
    assert.deepEqual(scoped.filter((s) => s.startsWith("fetch") && s.includes(` ${n}`)), [0, 1, 2, "last"].map((k) => `fetch@${n === "a" ? 1 : 2} ${n}${k}`));
});

test("promise classes of the module's own", options, () => {
  const { output, scoped } = scopes(`
    class P extends Promise {}
    class W { constructor(p) { this.p = p } then(a, b) { return new W(this.p.then(a, b)) } }
    const sub = (n) => step(n, () => P.resolve(1).then(() => get(n)).then((r) => r.text()));
    const wrap = (n) => step(n, async () => (await new W(Promise.resolve(1)).then(() => get(n))).status);
    return await Promise.all([sub("a"), sub("b"), wrap("c"), wrap("d"), P.resolve(2).then(() => get("m")).then((r) => r.text())])`);
  assert.deepEqual(output, ["ok", "ok", 200, 200, "ok"]);
  assert.deepEqual(scoped, ["fetch@1 a", "fetch@2 b", "fetch@3 c", "fetch@4 d"]);
});

test("a promise whose class makes its own functions runs in the scope of who settled it", options, () => {
  const { scoped } = scopes(`
    const one = (n) => step(n, async () => {
      const p = Promise.resolve(1);
      p.constructor = { [Symbol.species]: function (executor) { const o = {}; executor((v) => { o.v = v }, () => {}); return o } };
      p.then(() => get(n));
      await sleep(5);
      return n });
    return await Promise.all([one("a"), one("b")])`);
  assert.deepEqual(scoped.filter((s) => s.startsWith("fetch")), ["fetch@1 a", "fetch@2 b"]);
});

test("all, race, any, allSettled, withResolvers and try inside steps", options, () => {
  const { output, scoped } = scopes(`
    const one = (n) => step(n, async () => {
      const all = await Promise.all([get(n + 1), get(n + 2)]);
      const first = await Promise.race([sleep(100), get(n + 3)]);
      const any = await Promise.any([Promise.reject(1), get(n + 4)]);
      const settled = await Promise.allSettled([get(n + 5), Promise.reject(2)]);
      const { promise, resolve } = Promise.withResolvers(); setTimeout(resolve, 1); await promise; await get(n + 6);
      const tried = await Promise.try(() => get(n + 7)); await get(n + 8);
      return [all.length, first.status, any.status, settled.length, tried.status] });
    return await Promise.all([one("a"), one("b")])`);
  assert.deepEqual(output, [[2, 200, 200, 2, 200], [2, 200, 200, 2, 200]]);
  for (const [n, scope] of [["a", 1], ["b", 2]])
    assert.deepEqual(scoped.filter((s) => s.startsWith(`fetch@${scope}`)), [1, 2, 3, 4, 5, 6, 7, 8].map((k) => `fetch@${scope} ${n}${k}`));
});

test("work that a step leaves behind stays in its scope", options, () => {
  const { scoped } = scopes(`
    await step("a", () => { void (async () => { await sleep(1); await get("left"); await null; await get("later") })(); return 1 });
    await sleep(100); await get("m"); return 1`);
  assert.deepEqual(scoped, ["timer@1 1", "fetch@1 left", "fetch@1 later"]);
});

test("streams read in a step", options, () => {
  const { output, scoped } = scopes(`
    const one = (n) => step(n, async () => {
      const r = await get(n); const chunks = [];
      for await (const c of r.body.pipeThrough(new TextDecoderStream())) { await get(n + "c"); chunks.push(c) }
      return chunks.join("") });
    return await Promise.all([one("a"), one("b")])`);
  assert.deepEqual(output, ["ok", "ok"]);
  assert.deepEqual(scoped, ["fetch@1 a", "fetch@2 b", "fetch@1 ac", "fetch@2 bc"]);
});

test("events: a listener of a step runs in that step, one of main where it is dispatched", options, () => {
  const { scoped } = scopes(`
    const target = new EventTarget();
    const a = step("a", () => new Promise((ok) => target.addEventListener("go", () => get("heard").then((r) => ok(r.status)))));
    target.addEventListener("go", () => void get("main"));
    await sleep(1); target.dispatchEvent(new Event("go"));
    return await a`, "", { prefixes: false }); // a step that is tried again later misses the event
  assert.deepEqual(scoped, ["fetch@1 heard"]);
});

test("async context survives errors", options, () => {
  const { output, scoped } = scopes(`
    const one = (n) => step(n, { retries: 0 }, async () => { try { await Promise.reject(new Error("x")) } catch { await get(n) } try { await get(n).then(() => { throw 2 }) } finally { await get(n + "f") } });
    const r = await Promise.allSettled([one("a"), one("b")]); await get("m"); return r.map((o) => [o.status, o.reason])`);
  assert.deepEqual(output, [["rejected", 2], ["rejected", 2]]);
  assert.deepEqual(scoped, ["fetch@1 a", "fetch@2 b", "fetch@1 a", "fetch@2 b", "fetch@1 af", "fetch@2 bf"]);
});

test("a thousand steps at once", options, () => {
  const { output, scoped } = scopes(`
    const r = await Promise.all(Array.from({ length: 1000 }, (_, i) => step("s" + i, async () => { await null; const r = await get(i); await r.text(); await get(i); return i })));
    return r.reduce((a, b) => a + b)`, "", { prefixes: false });
  assert.equal(output, 499500);
  assert.equal(scoped.every((s) => { const [, scope, i] = s.match(/@(\d+) (\d+)/); return Number(scope) === Number(i) + 1 }), true);
});

test("dynamic import inside steps", options, () => {
  const { scoped } = scopes(`
    return await Promise.all(["a", "b"].map((n) => step(n, async () => { const m = await import("limpet"); await m.sleep(1); await get(n); return 1 })))`);
  assert.deepEqual(scoped, ["timer@1 1", "timer@2 1", "fetch@1 a", "fetch@2 b"]);
});

test("a step changes nothing that main code draws: random numbers, timer ids, console", options, () => {
  const { output, x } = scopes(`
    console.group("g"); console.count("n");
    const before = Math.random();
    await step("s", () => { Math.random(); crypto.randomUUID(); console.count("n"); console.group(); console.log("in"); console.time("t"); setTimeout(() => {}, 1); return 1 });
    console.count("n"); console.groupEnd(); console.log("out");
    return [before !== Math.random(), setTimeout(() => {}, 1)]`);
  assert.deepEqual(output, [true, 1]);
  assert.deepEqual(x.guest.logs.map(([, text, scope]) => [text, scope]), [["g", 0], ["  n: 1", 0], ["n: 1", 1], ["  in", 1], ["  n: 2", 0], ["out", 0]]);
});

test("a rejection nobody handles is logged in the scope where its promise was made", options, () => {
  const { x } = scopes(`
    await step("s", () => { void Promise.reject(new Error("inside")); return 1 });
    void Promise.reject(new Error("outside")); await sleep(1); return 1`);
  const lines = x.guest.logs.map(([level, text, scope]) => [level, text.split("\n")[0], scope]);
  assert.deepEqual(lines, [[3, "Uncaught (in promise) Error: inside", 1], [3, "Uncaught (in promise) Error: outside", 0]]);
});
