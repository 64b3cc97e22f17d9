// SPDX-License-Identifier: Apache-2.0
//
// Makes histories: runs each scenario on the real binary, kills the server when the execution has ended, and writes what
// README.md says. A scenario is code, what it gets, and what happens to it from outside.
import fs from 'node:fs';
import path from 'node:path';
import { Server, until } from '../server/harness.ts';
import { Counter, deployWorkflow, type History, HISTORY_VERSION, metadata, operate, outcome, progressed, recordsOf, show, signal, start } from '../server/workflow-harness.ts';

interface Scenario {
    source: string;
    export?: string;
    input?: unknown;
    metadata?: unknown;
    /** Variables set before. */
    env?: Record<string, string>;
    /** From outside, while it runs; progress tells when. */
    during?: (s: Server, id: string) => Promise<void>;
}

const HEAD = 'import { workflow, step, sleep, sleepUntil, waitForEvent, startChild, progress, now, sql, env, log, NonRetryableError } from "limpet";\n';

const scenarios: Record<string, Scenario> = {
    steps: {
        input: { n: 3, text: 'ü' },
        source: `${HEAD}
export default workflow(async (input) => {
    const out = [await step("plain", () => input.n + 1), await step("async", async () => { await sleep0(); return input.text; }), await step("nothing", () => {})];
    for (let i = 0; i < 5; i++) out.push(await step("loop " + i, () => i * i));
    const order = [];
    await Promise.all([3, 1, 2].map((k) => step("side " + k, async () => { await new Promise((r) => setTimeout(r, k * 3)); return k; }).then((v) => order.push(v))));
    return [out.map((v) => v ?? null), order];
});
const sleep0 = () => Promise.resolve();`,
    },
    retries: {
        source: `${HEAD}
const attempt = async (f) => { try { return await f(); } catch (e) { return [e instanceof Error, e.name, e.message, e.code ?? null, e.cause?.message ?? null]; } };
export default workflow(async () => [
    await step("third time", { backoff: 1 }, ({ attempt }) => { if (attempt < 3) throw new TypeError("attempt " + attempt); return attempt; }),
    await attempt(() => step("never", { retries: 2, backoff: { delay: 1, factor: 1 } }, () => { throw Object.assign(new RangeError("never", { cause: new Error("deep") }), { code: 7 }); })),
    await attempt(() => step("final", { retries: 5 }, () => { throw new NonRetryableError("final"); })),
    await attempt(() => step("late", { retries: 1, backoff: 1, timeout: 5 }, () => new Promise(() => {}))),
    await attempt(() => step("text", { retries: 0 }, () => { throw "just text"; })) ?? null,
    await attempt(() => step("function", () => () => 1)),
]);`,
    },
    values: {
        source: `${HEAD}
const show = (v) => v === undefined ? "undefined" : typeof v === "bigint" ? v + "n" : Object.is(v, -0) ? "-0" : typeof v === "number" ? String(v) : v instanceof Date ? "Date " + +v : v instanceof RegExp ? String(v) : v instanceof Map ? ["Map", ...[...v].flat().map(show)] : v instanceof Set ? ["Set", ...[...v].map(show)]
    : v instanceof Error ? [v.name, v.message, show(v.cause)] : ArrayBuffer.isView(v) ? [v.constructor.name, ...new Uint8Array(v.buffer)] : v instanceof ArrayBuffer ? ["ArrayBuffer", v.byteLength] : Array.isArray(v) ? v.map(show) : v && typeof v === "object" ? Object.entries(v).map(([k, x]) => [k, show(x)]) : v;
export default workflow(async () => {
    const makers = [() => undefined, () => null, () => -0, () => NaN, () => 2 ** 53, () => 123n ** 20n, () => "ü😀\\ud800", () => "x".repeat(300), () => new Date(1e12), () => new Date(NaN), () => /a+/giu, () => [1, , 3], () => ({ a: { b: [null] }, "": 1 }),
        () => new Map([[{ k: 1 }, new Set([1, "1"])]]), () => new Uint8Array([1, 2, 255]), () => new Float64Array([1.5]), () => new ArrayBuffer(5), () => new TypeError("t", { cause: "why" }), () => [Object(1), Object("s")], () => { const o = { n: 1 }; return [o, o]; }, () => new BigInt64Array([-1n])];
    const out = [];
    for (const [i, make] of makers.entries()) out.push(show(await step("value " + i, make)));
    const o = await step("cycle", () => { const c = { n: 1 }; c.self = c; return c; });
    return [out, o.self === o];
});`,
    },
    waits: {
        during: async (s, id) => {
            await progressed(s, id, 'waits');
            await signal(s, id, 'b', { second: true });
            await signal(s, id, 'a', 'first');
            await signal(s, id, 'a');
            await signal(s, id, 'race', 5);
        },
        source: `${HEAD}
export default workflow(async () => {
    const t = now();
    await sleep(2); await sleep("3 ms"); await sleepUntil(new Date(now() + 2)); await new Promise((r) => setTimeout(r, 1));
    const late = await waitForEvent("never", { timeout: 4 }).catch((e) => e.name);
    progress("waits");
    const a = await waitForEvent("a"), b = await waitForEvent("b"), again = await waitForEvent("a");
    const winner = await Promise.race([waitForEvent("race").then((e) => e.data), sleep("1 hour").then(() => "time")]);
    const order = []; await Promise.all([6, 2, 4].map((ms) => sleep(ms).then(() => order.push(ms))));
    return [late, a.data, a.name, b.data, again.data, a.at instanceof Date, winner, order, now() - t >= 10];
});`,
    },
    select: {
        during: async (s, id) => {
            await progressed(s, id, 1);
            await signal(s, id, 'wake', { n: 1 });
            await signal(s, id, 'wake', { n: 2, stop: true });
        },
        source: `import { select } from "limpet";
${HEAD}
export default workflow(async () => {
    const seen = [], c = new AbortController();
    const aborted = Promise.all([sleep("1 day", { signal: c.signal }).catch((e) => e.name), waitForEvent("x", { signal: c.signal }).catch((e) => e.name)]);
    for (let i = 0; i < 6; i++) {
        progress(i);
        const got = await select({ wake: waitForEvent("wake"), beat: (signal) => sleep(i === 0 ? 3 : "1 day", { signal }) });
        seen.push(got.name === "wake" ? got.value.data : got.name);
        if (i === 0) c.abort();
        if (got.value?.data.stop) break;
    }
    return [seen, await aborted, await Promise.race([waitForEvent("y", { signal: AbortSignal.timeout(2) }).catch((e) => e.name), sleep(50)])];
});`,
    },
    outside: {
        env: { MODE: 'recorded', OTHER: 'x' },
        input: 'BASE',
        source: `${HEAD}
export default workflow(async (base, run) => {
    const chance = [Math.random(), crypto.randomUUID(), [...crypto.getRandomValues(new Uint8Array(8))], Date.now(), new Date().toISOString()];
    const variables = [env.get("MODE"), env.get("NONE") ?? null, Object.keys(env.toObject())];
    const r = await fetch(base + "/json", { method: "POST", body: "{}", headers: { "x-a": "1" } });
    const json = [r.status, r.headers.get("x-answer"), await r.json(), r.url.slice(base.length)];
    const bytes = (await (await fetch(base + "/bytes")).arrayBuffer()).byteLength;
    const refused = await fetch("http://127.0.0.1:1/").catch((e) => e.name);
    const both = (await Promise.all([fetch(base + "/one"), fetch(base + "/two")].map(async (p) => (await p).text()))).join();
    sql.exec("CREATE TABLE t (n INTEGER, b BLOB)");
    sql.exec("INSERT INTO t VALUES (?, ?)", 1, new Uint8Array([9]));
    sql.transaction(() => { sql.exec("INSERT INTO t VALUES (2, NULL)"); sql.exec("INSERT INTO t VALUES (?, ?)", 9007199254740993n, null); });
    const rows = sql.exec("SELECT n, b FROM t ORDER BY n").toArray().map((r) => [String(r.n), r.b && [...new Uint8Array(r.b)]]);
    let failed; try { sql.exec("SELECT * FROM nowhere"); } catch (e) { failed = e.message; }
    log.info("said once");
    progress({ chance });
    return { chance, variables, json, bytes, refused, both, rows, failed, metadata: run.metadata, id: run.id };
});`,
        metadata: { by: 'record' },
    },
    children: {
        export: 'main',
        source: `${HEAD}
export const good = workflow(async (n) => step("double", () => n * 2));
export const bad = workflow(async () => { throw new RangeError("bad child"); });
export const listens = workflow(async () => { const got = []; while (got.length < 3) got.push((await waitForEvent("n")).data); return got; });
export const waits = workflow(async () => { await waitForEvent("never"); });
export const main = workflow(async (_, run) => {
    const c = await startChild(good, 21);
    const out = [await c.result(), await c.result()];
    out.push(await (await startChild(bad)).result().catch((e) => [e.name, e.message, e instanceof RangeError]));
    const l = await startChild(listens, null, { id: "listens of " + run.id });
    for (const n of [1, { two: 2 }, null]) await l.signal("n", n);
    out.push(await l.result());
    const w = await startChild(waits);
    await sleep(5);
    await w.cancel();
    out.push(await w.result().catch((e) => e.name));
    out.push(await Promise.all([1, 2, 3].map(async (n) => (await startChild("children.good", n)).result())));
    out.push(await startChild("no-such-workflow").catch((e) => e.name));
    return out;
});`,
    },
    cancelled: {
        during: async (s, id) => {
            await progressed(s, id, 'waits');
            await operate(s, id, 'cancel');
        },
        source: `${HEAD}
export default workflow(async (_, run) => {
    const undo = [];
    try {
        await step("book", () => 1); undo.push("book");
        const all = Promise.allSettled([sleep("1 year"), waitForEvent("x"), step("long", () => new Promise(() => {}))]);
        progress("waits");
        const reasons = (await all).map((r) => r.reason.name);
        log.info(reasons.join());
        await waitForEvent("y", { timeout: 3 }).catch((e) => log.info(e.name));
        throw new Error("after " + run.signal.aborted);
    } catch (e) {
        for (const what of undo.reverse()) await step("undo " + what, () => what);
        await sleep(1);
        throw e;
    } finally { log.info("finally"); }
});`,
    },
    'cancelled-ends': {
        during: async (s, id) => {
            await progressed(s, id, 'waits');
            await operate(s, id, 'cancel');
        },
        source: `${HEAD}
export default workflow(async () => { progress("waits"); try { await waitForEvent("x"); } finally { await step("clean up", () => 1); } });`,
    },
    fails: {
        source: `${HEAD}
class PaymentError extends Error { name = "PaymentError"; }
export default workflow(async () => { await step("one", () => 1); await sleep(1); throw new PaymentError("declined"); });`,
    },
    language: {
        source: `${HEAD}
async function* numbers() { try { for (let i = 0; ; i++) { await sleep(1); yield i; } } finally { await step("closed", () => 1); } }
class Box { #v = 1; async grow() { this.#v += await step("grow", () => 2); return this; } get v() { return this.#v; } }
export default workflow(async () => {
    const out = [];
    for await (const n of numbers()) { out.push(n); if (n === 3) break; }
    const box = new Box(); for (let i = 0; i < 3; i++) await box.grow();
    const fs = []; for (let i = 0; i < 3; i++) { await sleep(0); fs.push(() => i); }
    label: for (const x of [1, 2]) for (const y of [1, 2]) { await step(x + "," + y, () => 0); if (y === x) continue label; }
    const any = await Promise.any([Promise.reject(1), step("any", () => "any")]);
    const worker = async (name, n) => { for (let i = 0; i < n; i++) { await step(name + i, () => 0); out.push(name); await sleep(i % 2); } };
    await Promise.all([worker("a", 4), worker("b", 3)]);
    await new Promise((r) => { let n = 0; const i = setInterval(() => { if (++n === 3) { clearInterval(i); r(); } }, 1); });
    queueMicrotask(() => out.push("micro")); await null; await null;
    return [out.slice(0, 4), out.slice(4).sort(), box.v, fs.map((f) => f()), any];
});`,
    },
    entrypoint: {
        input: { n: 5 },
        during: async (s, id) => { await signal(s, id, 'approved', { by: 'me' }); },
        source: `import { WorkflowEntrypoint } from "cloudflare:workers";
import { NonRetryableError } from "cloudflare:workflows";
export class Shop extends WorkflowEntrypoint {
    async run(event, step) {
        const n = await step.do("double", async () => event.payload.n * 2);
        const flaky = await step.do("flaky", { retries: { limit: 3, delay: 1, backoff: "linear" }, timeout: "1 minute" }, async () => n + 1);
        await step.sleep("a while", 2);
        await step.sleepUntil("until", new Date(Date.now() + 2));
        const e = await step.waitForEvent("approval", { type: "approved", timeout: "1 hour" });
        const final = await step.do("final", async () => { throw new NonRetryableError("no"); }).catch((e) => e.name);
        return { n, flaky, payload: e.payload, final, id: event.instanceId };
    }
}`,
    },
    handler: {
        input: { n: 2 },
        source: `import { exec } from "derp:runtime/sql";
import * as env from "derp:runtime/env";
export const handler = { async handle(req) {
    exec("CREATE TABLE t (n)"); exec("INSERT INTO t VALUES (?)", req.body.n);
    await new Promise((r) => setTimeout(r, 1));
    return { sum: exec("SELECT sum(n) AS n FROM t").one().n, uuid: crypto.randomUUID().length, env: env.get("NONE") ?? null };
} };`,
    },
    long: {
        source: `${HEAD}
export default workflow(async () => { let sum = 0; for (let i = 0; i < 300; i++) { sum += await step("s", () => i); if (i % 50 === 0) await sleep(0); } return sum; });`,
    },
};

async function record(s: Server, counter: Counter, name: string, scenario: Scenario): Promise<History> {
    const input = scenario.input === 'BASE' ? counter.url : scenario.input ?? null;
    await deployWorkflow(s, name, scenario.source);
    for (const [variable, value] of Object.entries(scenario.env ?? {})) await s.api('PUT', `/workflows/${name}/env/${variable}`, { value });
    const address = scenario.export ? `${name}.${scenario.export}` : name;
    const key = `history ${name}`;
    const id = await start(s, address, input, { id: key, ...(scenario.metadata ? { metadata: scenario.metadata } : {}) });
    await scenario.during?.(s, id);
    const end = await outcome(s, id);
    const version = (await s.api('GET', '/healthz')).json.version;
    return {
        format: HISTORY_VERSION, made_by: version, workflow: name, export: scenario.export ?? '', source: scenario.source,
        id, key, input, metadata: end.metadata, created_us: 0, cancel_requested: end.cancel_requested, attempt: end.attempt,
        journal: [], status: end.status, output: end.output, error: end.error && { code: end.error.code, name: end.error.name ?? null, message: end.error.message },
        progress: end.progress, lines: (await s.api('GET', `/executions/${id}/logs?limit=1000`)).json.map((l: any) => l.text),
    };
}

const folder = path.join(process.env.LIMPET_ROOT ?? '.', 'tests/histories');
const wanted = process.argv.slice(2);
const counter = await Counter.start();
counter.answer = (r, res) => {
    res.setHeader('x-answer', '42');
    res.end(r.path === '/bytes' ? Buffer.alloc(3000, 7) : JSON.stringify({ path: r.path, body: r.body }));
};
for (const [name, scenario] of Object.entries(scenarios)) {
    const file = path.join(folder, `${name}.json`);
    if (wanted.length > 0 && !wanted.includes(name)) continue;
    if (fs.existsSync(file)) {
        console.log(`${name}: is there already`);
        continue;
    }
    const s = await Server.start({ args: counter.flags });
    try {
        const history = await record(s, counter, name, scenario);
        await until('it is in the list', async () => (await show(s, history.id)).status === history.status);
        await s.stop();
        const [[row]] = (await metadata(s.data, [['SELECT created_us, seq FROM durable WHERE id = ?', history.id]])) as any;
        history.created_us = row[0];
        const chunks = (await metadata(s.data, [[`SELECT records FROM journal WHERE place >= ${row[1]} * 16777216 AND place < (${row[1]} + 1) * 16777216 ORDER BY place`]])) as any;
        const records = recordsOf(Buffer.concat(chunks[0].map((c: any) => c[0])));
        history.journal = records.slice(0, -1).map((r) => r.toString('hex')); // the last is the end
        fs.writeFileSync(file, `${JSON.stringify(history, null, 1)}\n`);
        console.log(`${name}: ${history.status}, ${records.length} records`);
    } finally {
        await s.kill();
        fs.rmSync(s.data, { recursive: true, force: true });
    }
}
counter.stop();
