// SPDX-License-Identifier: Apache-2.0
// All the ways of writing a workflow, and which export a name means.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { errorOf, useServer } from './harness.ts';
import { complete, deployWorkflow, execute, failure, outcome, show, signal, start, uploadWorkflow } from './workflow-harness.ts';

const server = useServer({ args: ['--threads', '2'] });

test('export default workflow(async (input, run) => …)', async () => {
    const s = await server();
    await deployWorkflow(s, 'plain', `
import { workflow, step } from "limpet";
export default workflow(async (input, run) => ({ input, doubled: await step("double", () => input.n * 2), id: run.id, workflow: run.workflow, metadata: run.metadata }));`);
    const id = await start(s, 'plain', { n: 21 }, { metadata: { who: 'test' } });
    assert.deepEqual((await outcome(s, id)).output, { input: { n: 21 }, doubled: 42, id, workflow: 'plain', metadata: { who: 'test' } });
});

test('what a run has beside: its functions, its start, its signal', async () => {
    const s = await server();
    await deployWorkflow(s, 'run-object', `
import { workflow } from "limpet";
export default workflow(async (input, run) => {
    await run.sleep(1);
    return { step: await run.step("s", () => 1), isDate: run.startedAt instanceof Date, now: typeof run.now(), aborted: run.signal.aborted };
});`);
    assert.deepEqual(await complete(s, 'run-object'), { step: 1, isDate: true, now: 'number', aborted: false });
});

test('a module name means default, else main, else the only one', async () => {
    const s = await server();
    const body = (text: string) => `workflow(async () => ${JSON.stringify(text)})`;
    await deployWorkflow(s, 'pick-default', `import { workflow } from "limpet"; export default ${body('default')}; export const main = ${body('main')}; export const other = ${body('other')};`);
    await deployWorkflow(s, 'pick-main', `import { workflow } from "limpet"; export const other = ${body('other')}; export const main = ${body('main')};`);
    await deployWorkflow(s, 'pick-only', `import { workflow } from "limpet"; export const lonely = ${body('lonely')}; export const helper = () => 1; export const N = 3;`);
    await deployWorkflow(s, 'pick-none', `import { workflow } from "limpet"; export const a = ${body('a')}; export const b = ${body('b')};`);
    assert.equal(await complete(s, 'pick-default'), 'default');
    assert.equal(await complete(s, 'pick-main'), 'main');
    assert.equal(await complete(s, 'pick-only'), 'lonely');
    assert.equal(await complete(s, 'pick-default.other'), 'other');
    assert.equal(await complete(s, 'pick-default.main'), 'main');
    assert.equal(await complete(s, 'pick-default.default'), 'default');
    assert.equal(await complete(s, 'pick-none.a'), 'a');
    assert.equal(await complete(s, 'pick-none.b'), 'b');
    // Which one? Either refused at once or a failure that names them.
    const res = await execute(s, 'pick-none', null, { wait: '30s' });
    assert.notEqual(res.json.status, 'completed');
    assert.match(JSON.stringify(res.json.error), /\ba\b.*\bb\b/);
});

test('an export that is not there', async () => {
    const s = await server();
    await deployWorkflow(s, 'exports', 'import { workflow } from "limpet"; export const real = workflow(async () => 1); export const helper = 1;');
    for (const name of ['exports.unreal', 'exports.helper']) {
        const res = await execute(s, name, null, { wait: '30s' });
        assert.notEqual(res.json.status, 'completed');
        assert.match(JSON.stringify(res.json.error), /real/, 'says what there is');
    }
});

test('names that are none', async () => {
    const s = await server();
    for (const name of ['UPPER', 'a..b', 'a.', 'a.b-c', '-a']) errorOf(await execute(s, name), 400, 'invalid');
    const e = errorOf(await execute(s, 'nobody'), 404, 'not_found');
    assert.ok(e.hint, 'says what to do');
});

test('export default { async run(event, step) }', async () => {
    const s = await server();
    await deployWorkflow(s, 'object', `
export default {
    async run(event, step) {
        const n = await step.do("double", async () => event.payload.n * 2);
        return { n, isDate: event.timestamp instanceof Date, instanceId: event.instanceId };
    },
};`);
    const id = await start(s, 'object', { n: 4 });
    assert.deepEqual((await outcome(s, id)).output, { n: 8, isDate: true, instanceId: id });
});

test('class extends WorkflowEntrypoint from cloudflare:workers', async () => {
    const s = await server();
    await deployWorkflow(s, 'entrypoint', `
import { WorkflowEntrypoint } from "cloudflare:workers";
export class Shop extends WorkflowEntrypoint<Env> {
    #rate = 3;
    async run(event, step) {
        const priced = await step.do("price", { retries: { limit: 2, delay: "1 second", backoff: "linear" }, timeout: "1 minute" }, async () => event.payload.n * this.#rate);
        await step.sleep("wait", 1);
        await step.sleepUntil("until", new Date(Date.now() + 2));
        await step.sleepUntil("past", Date.now() - 1000);
        const e = await step.waitForEvent("approval", { type: "approved", timeout: "1 hour" });
        return { priced, payload: e.payload, type: e.type, isDate: e.timestamp instanceof Date, rate: this.env.RATE ?? null };
    }
}`);
    await s.api('PUT', '/workflows/entrypoint/env/RATE', { value: '7' });
    const id = await start(s, 'entrypoint', { n: 5 });
    await signal(s, id, 'approved', { by: 'me' });
    const end = await outcome(s, id);
    assert.equal(end.status, 'completed', JSON.stringify(end.error));
    assert.deepEqual(end.output, { priced: 15, payload: { by: 'me' }, type: 'approved', isDate: true, rate: '7' });
});

test('step.do: retries to its limit, then throws; NonRetryableError ends at once', async () => {
    const s = await server();
    await deployWorkflow(s, 'cf-retries', `
import { WorkflowEntrypoint } from "cloudflare:workers";
import { NonRetryableError } from "cloudflare:workflows";
let attempts = 0, finals = 0;
export class W extends WorkflowEntrypoint {
    async run(event, step) {
        const out: any = {};
        try { await step.do("flaky", { retries: { limit: 2, delay: 1, backoff: "constant" } }, async () => { attempts++; throw new RangeError("no " + attempts); }); }
        catch (e) { out.flaky = [e.name, e.message, e instanceof RangeError]; }
        try { await step.do("final", { retries: { limit: 9, delay: 1 } }, async () => { finals++; throw new NonRetryableError("never", "NeverError"); }); }
        catch (e) { out.final = [e.name, e.message]; }
        return out;
    }
}`);
    const out = await complete(s, 'cf-retries');
    assert.deepEqual(out.flaky, ['RangeError', 'no 3', true]);
    assert.deepEqual(out.final, ['NeverError', 'never']);
});

test('step.waitForEvent: the time-out throws', async () => {
    const s = await server();
    await deployWorkflow(s, 'cf-timeout', `
export default { async run(event, step) { try { await step.waitForEvent("x", { type: "never", timeout: 5 }); } catch (e) { return [e.name, e instanceof Error]; } } };`);
    assert.deepEqual(await complete(s, 'cf-timeout'), ['TimeoutError', true]);
});

test('the class is made anew for each execution', async () => {
    const s = await server();
    await deployWorkflow(s, 'cf-fresh', `
import { WorkflowEntrypoint } from "cloudflare:workers";
export class W extends WorkflowEntrypoint { count = 0; async run(event, step) { await step.do("a", async () => 1); this.count++; return this.count; } }`);
    assert.deepEqual(await Promise.all([1, 2, 3].map(() => complete(s, 'cf-fresh'))), [1, 1, 1]);
});

test("derp's handler, uploaded as a workflow", async () => {
    const s = await server();
    await deployWorkflow(s, 'derp', `
import { exec } from "derp:runtime/sql";
export const handler = { async handle(req) {
    exec("CREATE TABLE IF NOT EXISTS t (n)");
    exec("INSERT INTO t VALUES (?)", req.body.n);
    await new Promise((r) => setTimeout(r, 1));
    return { n: exec("SELECT sum(n) AS n FROM t").one().n, metadata: req.metadata ?? null };
} };`);
    assert.deepEqual(await complete(s, 'derp', { n: 5 }, { metadata: { a: 1 } }), { n: 5, metadata: { a: 1 } });
});

test('several workflows and plain helpers in one module, one calling the other as a child', async () => {
    const s = await server();
    await deployWorkflow(s, 'family', `
import { workflow, startChild } from "limpet";
export const child = workflow(async (n) => n + 1);
const hidden = workflow(async () => 1);
export const main = workflow(async (n) => {
    const a = await (await startChild(child, n)).result();
    const b = await (await startChild("family.child", a)).result();
    let error; try { await startChild(hidden); } catch (e) { error = e.message; }
    return { b, error };
});`);
    const out = await complete(s, 'family', 1);
    assert.equal(out.b, 3);
    assert.match(out.error, /export/);
});

test('default values: no input is null, undefined comes out as null', async () => {
    const s = await server();
    await deployWorkflow(s, 'nothing', 'import { workflow } from "limpet"; export default workflow(async (input) => { if (input !== null) throw new Error("input " + input); });');
    const res = await s.api('POST', '/workflows/nothing/execute?wait=30s');
    assert.equal(res.status, 200, res.text);
    assert.equal(res.json.status, 'completed');
    assert.equal(res.json.output, null);
});

test('a workflow need not be async, and may return a promise or a plain value', async () => {
    const s = await server();
    await deployWorkflow(s, 'sync', 'import { workflow, step } from "limpet"; export const a = workflow((n) => n + 1); export const b = workflow((n) => step("s", () => n + 2));');
    assert.equal(await complete(s, 'sync.a', 1), 2);
    assert.equal(await complete(s, 'sync.b', 1), 3);
});

test('what cannot be JSON fails clearly', async () => {
    const s = await server();
    await deployWorkflow(s, 'no-json', 'import { workflow } from "limpet"; export const big = workflow(async () => 1n); export const loop = workflow(async () => { const a = {}; a.a = a; return a; });');
    assert.match((await failure(s, 'no-json.big')).message, /BigInt/i);
    assert.match((await failure(s, 'no-json.loop')).message, /circular/i);
});

test('a module without a workflow is refused, and says how one is written', async () => {
    const s = await server();
    const build = await uploadWorkflow(s, 'no-workflow', 'export const x = 1;');
    assert.equal(build.status, 'failed');
    assert.match(build.error.message + JSON.stringify(build.error), /workflow/);
});

test('what a workflow calls is refused elsewhere', async () => {
    const s = await server();
    const top = await uploadWorkflow(s, 'top-level', 'import { workflow, step } from "limpet"; await step("s", () => 1); export default workflow(async () => 1);');
    assert.equal(top.status, 'failed');
    assert.match(top.error.message, /step/);
    await s.deploy('a-function', `
import { step, sleep, waitForEvent, startChild } from "limpet";
export const handler = { async handle() {
    const out = [];
    for (const f of [() => step("s", () => 1), () => waitForEvent("e"), () => startChild("x")]) try { await f(); out.push("?"); } catch (e) { out.push(e.message); }
    return out;
} };`);
    for (const message of (await s.execute('a-function')).json.output) assert.match(message, /workflow/);
    await deployWorkflow(s, 'in-a-step', `
import { workflow, step, sleep, waitForEvent, startChild } from "limpet";
export default workflow(async () => step("outer", async () => {
    const out = [];
    for (const f of [() => step("s", () => 1), () => waitForEvent("e"), () => startChild("x")]) try { await f(); out.push("?"); } catch (e) { out.push(e.message); }
    return out;
}));`);
    for (const message of await complete(s, 'in-a-step')) assert.match(message, /step/);
});

test('a function and a workflow do not share a name', async () => {
    const s = await server();
    await s.deploy('taken', 'export default () => 1;');
    const res = await s.api('POST', '/workflows', { name: 'taken', source: 'import { workflow } from "limpet"; export default workflow(async () => 1);' });
    errorOf(res, 409, 'conflict');
    assert.equal((await s.api('GET', '/workflows/taken')).status, 404);
    await deployWorkflow(s, 'taken-too', 'import { workflow } from "limpet"; export default workflow(async () => 1);');
    assert.equal((await s.api('GET', '/functions/taken-too')).status, 404);
    assert.equal((await s.request('taken-too')).status, 404, 'a workflow has no public address');
    assert.ok((await s.api('GET', '/workflows')).json.some((w: any) => w.name === 'taken-too'));
    assert.ok(!(await s.api('GET', '/functions')).json.some((w: any) => w.name === 'taken-too'));
});

test('delete: the workflow, its executions and its name', async () => {
    const s = await server();
    await deployWorkflow(s, 'doomed', 'import { workflow, waitForEvent } from "limpet"; export default workflow(async () => { await waitForEvent("never"); });');
    const id = await start(s, 'doomed');
    assert.equal((await s.api('DELETE', '/workflows/doomed')).status, 204);
    errorOf(await s.api('GET', '/workflows/doomed'), 404, 'not_found');
    errorOf(await s.api('GET', `/executions/${id}`), 404, 'not_found');
    errorOf(await execute(s, 'doomed'), 404, 'not_found');
    await deployWorkflow(s, 'doomed', 'import { workflow } from "limpet"; export default workflow(async () => "new");');
    assert.equal(await complete(s, 'doomed'), 'new');
});

test('typescript: types, enums, decorators of values, generics, satisfies', async () => {
    const s = await server();
    await deployWorkflow(s, 'typed', `
import { workflow, step, type NonRetryableError } from "limpet";
enum Color { Red = "red", Blue = "blue" }
interface Order { color: Color; n: number }
const twice = <T,>(v: T): [T, T] => [v, v];
export default workflow(async (order: Order) => {
    const n = await step<number>("n", () => (order.n! satisfies number) as number);
    return { colors: twice(order.color), isRed: order.color === Color.Red, n };
});`);
    assert.deepEqual(await complete(s, 'typed', { color: 'red', n: 1 }), { colors: ['red', 'red'], isRed: true, n: 1 });
    assert.equal((await show(s, await start(s, 'typed', { color: 'blue', n: 2 }))).workflow, 'typed');
});
