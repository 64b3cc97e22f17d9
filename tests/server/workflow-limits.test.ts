// SPDX-License-Identifier: Apache-2.0
// Every limit is named in a clear error, and harms nobody else.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Answer, errorOf, IS_ASAN, type UploadOptions, useServer } from './harness.ts';
import { complete, deployWorkflow, execute, failure, journal, output, show, signal, start, suspended, withServer } from './workflow-harness.ts';

const server = useServer({ args: ['--threads', '2'] });

let serial = 0;
async function deploy(body: string, options: UploadOptions = {}): Promise<string> {
    const name = `limits-${serial++}`;
    await deployWorkflow(await server(), name, `
import { workflow, step, sleep, waitForEvent, startChild, progress, sql, log } from "limpet";
const attempt = async (f) => { try { await f(); return "?"; } catch (e) { return [e.name, e.message]; } };
export const child = workflow(async () => 1);
export const main = workflow(async (input, run) => { ${body} });`, options);
    return name;
}

const MIB = 1024 * 1024;

test('the value of a step', async () => {
    const s = await server();
    const out = await complete(s, await deploy(`
return [(await step("fits", () => new Uint8Array(${4 * MIB - 1000}))).length, await attempt(() => step("large", { retries: 3, backoff: 1 }, () => new Uint8Array(${4 * MIB + 1}))), await attempt(() => step("text", () => "ü".repeat(${3 * MIB}) + "日"))];`, { memory_mb: 256 }));
    assert.equal(out[0], 4 * MIB - 1000);
    for (const [name, message] of out.slice(1)) {
        assert.ok(name && name !== '?', name);
        assert.match(message, /4 ?MiB|4194304|too large|limit/i);
    }
});

test('the depth of a value', async () => {
    const out = await complete(await server(), await deploy('return attempt(() => step("deep", { retries: 0 }, () => { let v = []; for (let i = 0; i < 5000; i++) v = [v]; return v; }));'));
    assert.match(out[1], /deep|500/i);
});

test('the input, a signal, the output, progress, the input of a child', async () => {
    const s = await server();
    const name = await deploy('if (input === "out") return "x".repeat(5 * 1024 * 1024); if (input === "progress") return attempt(async () => progress("x".repeat(5 * 1024 * 1024))); if (input === "child") return attempt(() => startChild(child, "x".repeat(5 * 1024 * 1024))); await waitForEvent("x");', { memory_mb: 256 });
    const large = 'x'.repeat(5 * MIB);
    // The server answers and closes without reading all; a client that only writes may see no more than that.
    const refused = async (answer: Promise<Answer>) => {
        const res = await answer.catch((e: NodeJS.ErrnoException) => { assert.match(String(e.code), /EPIPE|ECONNRESET/); });
        if (res) errorOf(res, 413, 'too_large');
    };
    await refused(execute(s, name, large));
    const id = await start(s, name);
    await refused(s.api('POST', `/executions/${id}/signal`, { name: 'x', data: large }));
    const e = await failure(s, name, 'out');
    assert.match(e.message, /4 ?MiB|4194304|too large|limit|bytes/i);
    for (const what of ['progress', 'child']) assert.match((await complete(s, name, what))[1], /4 ?MiB|4194304|too large|limit|bytes/i);
    // What fits comes through whole.
    const fits = 'y'.repeat(3 * MIB);
    await signal(s, id, 'x', fits);
    const same = await deploy('return input.length;');
    assert.equal(await complete(s, same, fits), fits.length);
});

test('CPU from one delivery to the next, not in sum', async () => {
    const s = await server();
    const cpu_ms = IS_ASAN ? 1500 : 300;
    const name = await deploy(`
const burn = (ms) => { const n = ms * ${IS_ASAN ? 300 : 2000}; let x = 0; for (let i = 0; i < n; i++) x += i; return x; };
if (input === "loop") for (;;) ;
for (let i = 0; i < 12; i++) { burn(50); await sleep(1); }
return "within";`, { cpu_ms });
    const e = await failure(s, name, 'loop');
    assert.equal(e.code, 'limit_cpu');
    assert.ok(e.message.includes(String(cpu_ms)) || /CPU/i.test(e.message), e.message);
    assert.equal(await complete(s, name), 'within');
});

test('a body of a step that never ends is cut off, and is the step\'s failure or the execution\'s', async () => {
    const s = await server();
    const e = await failure(s, await deploy('await step("loops", { retries: 0 }, () => { for (;;) ; });', { cpu_ms: 200 }));
    assert.equal(e.code, 'limit_cpu');
});

test('memory', async () => {
    const s = await server();
    const e = await failure(s, await deploy('await step("s", () => 1); const keep = []; for (;;) keep.push(new Uint8Array(1024 * 1024).fill(1));', { memory_mb: 16 }));
    assert.match(e.code, /limit_memory|guest_error/);
    assert.match(e.message, /memory/i);
});

test('the stack', async () => {
    const e = await failure(await server(), await deploy('const f = (n) => f(n + 1) + 1; return f(0);'));
    assert.match(e.message, /stack/i);
});

test('calls that are pending at once', async () => {
    const out = await complete(await server(), await deploy('const all = []; for (let i = 0; i < 10001; i++) { const p = sleep("1 year"); p.catch(() => 0); all.push(p); } const r = await Promise.race(all).catch((e) => [e.name, e.message]); return r;', { memory_mb: 256, cpu_ms: 10000 }));
    assert.match(out[1], /10,?000/);
});

test('a thousand calls at once are fine', async () => {
    assert.equal(await complete(await server(), await deploy('return (await Promise.all(Array.from({ length: 2000 }, (_, i) => i % 2 ? sleep(1) : step("s" + i, () => 1)))).length;')), 2000);
});

test('names: long ones are cut for people, but told apart', async () => {
    const s = await server();
    const id = await start(s, await deploy('const long = "ü".repeat(500); return [await step(long + "a", () => 1), await step(long + "b", () => 2)];'));
    assert.deepEqual(await output(s, id), [1, 2]);
    for (const r of (await journal(s, id)).filter((r) => r.op === 'step')) assert.ok(Buffer.byteLength(r.label) <= 200 && r.label.startsWith('üü'));
});

test('isolates are shared: more executions than isolates, all computing, all waiting', async () => {
    await withServer({ args: ['--isolates-max', '4', '--threads', '2'] }, async (s) => {
        await deployWorkflow(s, 'crowd', `
import { workflow, step, sleep, waitForEvent } from "limpet";
export default workflow(async (n) => { for (let i = 0; i < 3; i++) { await step("s", () => i); await sleep(1); } return n + (await waitForEvent("go")).data; });`);
        const ids = await Promise.all(Array.from({ length: 60 }, (_, n) => start(s, 'crowd', n)));
        await Promise.all(ids.map((id) => signal(s, id, 'go', 1000)));
        for (const [n, id] of ids.entries()) assert.equal(await output(s, id), n + 1000);
    });
});

test('more executions wait for events than there are isolates, each comes back', async () => {
    await withServer({ args: ['--isolates-max', '4', '--threads', '2'] }, async (s) => {
        await deployWorkflow(s, 'crowd', 'import { workflow, waitForEvent } from "limpet"; export default workflow(async (n) => n + (await waitForEvent("go")).data);');
        const ids = await Promise.all(Array.from({ length: 100 }, (_, n) => start(s, 'crowd', n)));
        for (const id of ids) await suspended(s, id);
        await Promise.all(ids.map((id) => signal(s, id, 'go', 1000)));
        for (const [n, id] of ids.entries()) assert.equal(await output(s, id), n + 1000);
    });
});

test('parents that wait for children do not starve them', async () => {
    await withServer({ args: ['--isolates-max', '2', '--threads', '1'] }, async (s) => {
        await deployWorkflow(s, 'starve', `
import { workflow, startChild } from "limpet";
export const leaf = workflow(async (n) => n);
export const main = workflow(async (n) => n === 0 ? 1 : (await (await startChild("starve.main", n - 1)).result()) + (await (await startChild("starve.leaf", n)).result()));`);
        const ids = await Promise.all(Array.from({ length: 6 }, () => start(s, 'starve.main', 5)));
        for (const id of ids) assert.equal(await output(s, id), 16);
    });
});

test('steps that hang hold their isolates; others go on', async () => {
    await withServer({ args: ['--isolates-max', '3', '--threads', '1'] }, async (s) => {
        await deployWorkflow(s, 'hangs', 'import { workflow, step } from "limpet"; export const hang = workflow(async () => step("h", () => new Promise((r) => setTimeout(r, 1e8)))); export const quick = workflow(async (n) => step("q", () => n));');
        await s.deploy('still-served', 'export default () => new Response("ok");');
        const hanging = await start(s, 'hangs.hang');
        for (let n = 0; n < 10; n++) assert.equal(await complete(s, 'hangs.quick', n), n);
        assert.equal((await s.request('still-served')).text, 'ok');
        assert.equal((await show(s, hanging)).status, 'running');
    });
});

test('a journal of 20,000 records, replayed after a kill', async () => {
    await withServer({ args: ['--snapshot-after', '1000000'] }, async (s, crashed) => {
        const N = IS_ASAN ? 4000 : 20_000;
        await deployWorkflow(s, 'long', 'import { workflow, step, waitForEvent } from "limpet"; export default workflow(async (n) => { let sum = 0; for (let i = 0; i < n; i++) sum += await step("s", () => i); await waitForEvent("go"); return sum; });');
        const id = await start(s, 'long', N);
        await suspended(s, id);
        s = await crashed();
        await signal(s, id, 'go');
        assert.equal(await output(s, id), (N * (N - 1)) / 2);
        assert.ok((await show(s, id)).records >= N);
    });
});
