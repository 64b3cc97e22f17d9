// SPDX-License-Identifier: Apache-2.0
// Stack traces name the lines of the TypeScript that was uploaded, not of the bundle.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { tempDir, until, useServer } from './harness.ts';
import { deployWorkflow, logTexts, outcome, start } from './workflow-harness.ts';

const server = useServer();

const SOURCE = `interface Unused { a: string; b: number }
type AlsoUnused = { [k: string]: Unused };

function innermost(x: number): number {
    if (x > 1) {
        throw new RangeError("too large: " + x);
    }
    return x;
}

class Middle<T> {
    run(x: T & number): number { return innermost(x as number) as number; }
}

export const handler = {
    async handle(req: { body: { x: number } }): Promise<unknown> {
        await null;
        return new Middle<number>().run(req.body.x);
    },
};
`;

test('of an uploaded source', async () => {
    const s = await server();
    await s.deploy('stack', SOURCE);
    const run = await s.execute('stack', { x: 5 });
    const lines = run.json.error.stack.split('\n').map((l: string) => l.trim());
    assert.match(lines[0], /innermost.*stack\.ts:6:/);
    assert.match(lines[1], /run.*stack\.ts:12:/);
    assert.match(lines[2], /handle.*stack\.ts:18:/);
    assert.doesNotMatch(run.json.error.stack, /limpet:/, 'frames of the platform are not shown');
});

test('of local imports that the CLI bundled, each by its own file', async () => {
    const s = await server();
    const dir = tempDir();
    fs.mkdirSync(path.join(dir, 'lib'));
    fs.writeFileSync(path.join(dir, 'lib', 'math.ts'), '// a comment\nexport function divide(a: number, b: number): number {\n    if (b === 0) throw new Error("division by zero");\n    return a / b;\n}\n');
    fs.writeFileSync(path.join(dir, 'main.ts'), 'import { divide } from "./lib/math";\n\nexport function handler(req: { body: { b: number } }) {\n    return { q: divide(1, req.body.b) };\n}\n');
    const up = await s.cli(['function', 'upload', 'files', path.join(dir, 'main.ts')]);
    assert.equal(up.code, 0, up.stderr);
    assert.deepEqual((await s.execute('files', { b: 2 })).json.output, { q: 0.5 });
    const run = await s.execute('files', { b: 0 });
    assert.match(run.json.error.stack, /divide.*lib\/math\.ts:3:/);
    assert.match(run.json.error.stack, /handler.*main\.ts:4:/);
    assert.ok(!run.json.error.stack.includes(dir), 'no paths of the uploader\'s machine');
    fs.rmSync(dir, { recursive: true, force: true });
});

test('errors seen by the guest itself carry a stack that is a string', async () => {
    const s = await server();
    await s.deploy('own-stack', 'export default { fetch() { try { null.x; } catch (e) { return Response.json({ type: typeof e.stack, name: e.name }); } } };');
    assert.deepEqual((await s.request('own-stack')).json, { type: 'string', name: 'TypeError' });
});

// Line n of the source holds what its name says.
const WAYS = `interface Line1 { a: string }
type Line2 = Line1;
const wait = (ms: number): Promise<void> => new Promise((done) => setTimeout(done, ms));
async function third(): Promise<void> { await wait(1); throw new TypeError("line 4", { cause: new Error("its cause") }); }
async function second(): Promise<void> { await third(); }
async function first(): Promise<void> { await second(); }
export default { async fetch(request: Request, env: Line2, ctx: { waitUntil(p: Promise<unknown>): void }): Promise<Response> {
    const made = new Error("line 8");
    switch (new URL(request.url).pathname) {
    case "/stack": return new Response(made.stack);
    case "/dom": try { crypto.getRandomValues(1 as never); } catch (e) { return new Response((e as Error).stack); }
    case "/captured": { const o: { stack?: string } = {}; Error.captureStackTrace(o); return new Response(o.stack); }
    case "/console": console.error(made); console.log("as text", made.stack); console.trace("here"); break;
    case "/rejection": Promise.reject(made); break;
    case "/timer": setTimeout(() => { throw made; }, 1); await wait(5); break;
    case "/wait": ctx.waitUntil(Promise.reject(made)); break;
    case "/async": await first(); break;
    case "/text": throw "just text";
    case "/undefined": throw undefined;
    case "/object": throw { code: 7 };
    case "/many": throw new AggregateError([made, new Error("the other")], "all failed");
    }
    return new Response("ok");
} };
`;

test('whichever way an error is shown, its places are those of the source', async () => {
    const s = await server();
    await s.deploy('ways', WAYS);
    const text = async (path: string): Promise<string> => (await s.request('ways', path)).text;
    assert.match(await text('/stack'), /^Error: line 8\n    at fetch \([^\n]*ways\.ts:8:\d+\)$/);
    assert.match(await text('/dom'), /^TypeMismatchError: [^\n]*\n[^]*ways\.ts:11:\d+\)/);
    assert.match(await text('/captured'), /^Error\n[^]*ways\.ts:12:\d+\)/);
    const logged = async (path: string, has: RegExp): Promise<void> => {
        await s.request('ways', path);
        await until(`${path}: ${has}`, async () => (await s.api('GET', '/functions/ways/logs')).json.find((l: any) => has.test(l.text)));
    };
    await logged('/console', /^Error: line 8\n    at fetch \([^\n]*ways\.ts:8:/);
    await logged('/console', /^as text Error: line 8\n    at fetch \([^\n]*ways\.ts:8:/);
    await logged('/console', /^Trace: here\n    at fetch \([^\n]*ways\.ts:13:/);
    await logged('/rejection', /^Uncaught \(in promise\) Error: line 8\n    at fetch \([^\n]*ways\.ts:8:/);
    await logged('/timer', /^Uncaught Error: line 8\n    at fetch \([^\n]*ways\.ts:8:/);
    await logged('/wait', /Error: line 8\n    at fetch \([^\n]*ways\.ts:8:/);
    await logged('/async', /^TypeError: line 4 \(request [^\n]*\)\n    at third \([^\n]*ways\.ts:4:\d+\)\n    at async second \([^\n]*ways\.ts:5:\d+\)\n    at async first \([^\n]*ways\.ts:6:\d+\)\n    at async fetch \([^\n]*ways\.ts:17:\d+\)\nCaused by: Error: its cause\n    at third \([^\n]*ways\.ts:4:/);
    await logged('/text', /^just text \(request [^\n]*\)$/);
    await logged('/undefined', /^undefined \(request [^\n]*\)$/);
    await logged('/object', /^\{ code: 7 \} \(request [^\n]*\)$/);
    await logged('/many', /^AggregateError: all failed \(request [^\n]*\)\n[^]*\nError 1 of 2: Error: line 8\n[^\n]*ways\.ts:8:[^\n]*\nError 2 of 2: Error: the other\n[^\n]*ways\.ts:21:/);
});

test('the error of a step has places of the source, in the execution and in its log', async () => {
    const s = await server();
    await deployWorkflow(s, 'ways-flow', `import { step, workflow } from "limpet";
interface Line2 { a: string }
async function charge(): Promise<never> { await null; throw new RangeError("line 3"); }
export default workflow(async (input: Line2) => {
    try { await step("charge", { retries: 0 }, charge); } catch (e) { console.error(e); }
    await step("again", { retries: 0 }, async () => { await charge(); });
});
`);
    const id = await start(s, 'ways-flow', {});
    const run = await outcome(s, id);
    assert.equal(run.status, 'failed');
    assert.match(run.error.stack, /ways-flow\.ts:3:\d+\)\n[^\n]*ways-flow\.ts:6:/);
    const line = (await logTexts(s, id)).find((text: string) => /line 3/.test(text));
    assert.match(line!, /^RangeError: line 3\n[^\n]*ways-flow\.ts:3:/);
});
