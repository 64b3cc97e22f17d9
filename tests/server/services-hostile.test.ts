// SPDX-License-Identifier: Apache-2.0
// Calls between functions when one side dies, leaves, is full, or sends a great deal; and beside an innocent one. Workflows that call.
import assert from 'node:assert/strict';
import http from 'node:http';
import { test } from 'node:test';
import { errorOf, IS_ASAN, type Server, until, useServer } from './harness.ts';
import { deployWorkflow, journal, output, signal, start, suspended, withServer } from './workflow-harness.ts';

const server = useServer({ args: ['--threads', '2', '--isolates-max', '24', '--queue-max', '8'] });

const SVC = (service: string) => [{ type: 'service', name: 'SVC', service }];
const HELLO = 'export default { fetch: () => new Response("hello") };';

/** Sends `total` bytes and reads what comes back as slowly as it comes; how many came, and the most memory that the server had. */
function through(s: Server, name: string, total: number, leaveAfter = Infinity): Promise<{ got: number; peak: number; error?: string }> {
    return new Promise((resolve) => {
        const chunk = Buffer.alloc(256 * 1024, 7);
        let sent = 0, got = 0, peak = 0, samples = 0;
        const req = http.request({ port: s.httpPort, host: '127.0.0.1', method: 'POST', headers: { host: s.host(name) } });
        const done = (error?: string) => resolve({ got, peak, error });
        const more = (): void => {
            while (sent < total) {
                sent += chunk.length;
                if (!req.write(chunk)) return;
            }
            req.end();
        };
        req.on('drain', more).on('error', (e) => done(e.message));
        req.on('response', (res) => {
            res.on('data', (part: Buffer) => {
                got += part.length;
                if (samples++ % 64 === 0) peak = Math.max(peak, s.rssBytes());
                if (got > leaveAfter) req.destroy();
            });
            res.on('end', () => done()).on('error', (e) => done(e.message)).on('aborted', () => done('aborted'));
        });
        more();
    });
}

test('a large body passes through a call and memory stays flat, on one thread and between two', async () => {
    const s = await server();
    const total = IS_ASAN ? 64 * 1024 * 1024 : 1024 * 1024 * 1024;
    for (const isolation of ['request', 'module'] as const) {
        await s.deploy(`mirror-${isolation}`, 'export default { fetch: (request) => new Response(request.body) };', { isolation });
        await s.deploy(`via-${isolation}`, 'export default { fetch: (request, env) => env.SVC.fetch(request) };', { bindings: SVC(`mirror-${isolation}`) });
        await through(s, `via-${isolation}`, 1024 * 1024);
        const before = s.rssBytes();
        const { got, peak, error } = await through(s, `via-${isolation}`, total);
        assert.equal(error, undefined);
        assert.equal(got, total);
        if (!IS_ASAN) assert.ok(peak - before < 32 * 1024 * 1024, `${isolation}: grew by ${(peak - before) / 1024 / 1024} MiB`);
    }
});

test('a callee that is ended in the middle breaks its answer off, and the caller goes on', async () => {
    const s = await server();
    for (const isolation of ['request', 'module'] as const) {
        await s.deploy(`dies-${isolation}`, `export default { fetch(request) {
            if (request.url.endsWith("/head")) for (;;);
            let n = 0;
            return new Response(new ReadableStream({ async pull(c) { c.enqueue(new Uint8Array(100_000)); if (++n === 4) for (;;); await new Promise((r) => setTimeout(r, 1)); } }));
        } };`, { isolation, cpu_ms: 50 });
        await s.deploy(`survives-${isolation}`, `export default { async fetch(request, env) {
            const head = await env.SVC.fetch("http://s/head").catch((e) => e.code);
            const r = await env.SVC.fetch("http://s/body");
            let got = 0;
            const body = await (async () => { for await (const part of r.body) got += part.length; return "whole"; })().catch((e) => e.constructor.name);
            return Response.json([head, r.status, body, got >= 0, await (await env.SVC.fetch("http://s/body")).body.cancel().then(() => "cancelled")]);
        } };`, { bindings: SVC(`dies-${isolation}`) });
        const answer = await s.request(`survives-${isolation}`);
        assert.equal(answer.status, 200, answer.text);
        const [head, status, body] = answer.json;
        assert.deepEqual([head, status], ['limit_cpu', 200]);
        assert.notEqual(body, 'whole');
    }
});

test('a client that leaves ends the caller, and that the callee', async () => {
    const s = await server();
    for (const isolation of ['request', 'module'] as const) {
        await s.deploy(`endless-${isolation}`, `export default { fetch(request) {
            const chunk = new Uint8Array(64 * 1024);
            return new Response(new ReadableStream({ async pull(c) { c.enqueue(chunk.slice()); await new Promise((r) => setTimeout(r, 0)); }, cancel() { console.log("left alone"); } }));
        } };`, { isolation });
        await s.deploy(`leaves-${isolation}`, 'export default { fetch: (request, env) => env.SVC.fetch(request) };', { bindings: SVC(`endless-${isolation}`) });
        const { got } = await through(s, `leaves-${isolation}`, 1024, 4 * 1024 * 1024);
        assert.ok(got > 0);
        await until('the callee to hear', async () => (await s.api('GET', `/functions/endless-${isolation}/logs`)).json.some((l: any) => l.text === 'left alone'));
    }
});

test('clients that leave while bodies pass through both ways do no harm, whenever it is', async () => {
    const s = await server();
    for (const isolation of ['request', 'module'] as const) {
        await s.deploy(`returns-${isolation}`, 'export default { fetch: (request) => new Response(request.body) };', { isolation });
        await s.deploy(`proxies-${isolation}`, 'export default { fetch: (request, env) => env.SVC.fetch(request) };', { bindings: SVC(`returns-${isolation}`) });
        for (let i = 0; i < 8; i++) await through(s, `proxies-${isolation}`, 2 ** 40, i * 300_000);
        assert.equal((await s.request(`proxies-${isolation}`, '/', { method: 'POST', body: 'still here' })).text, 'still here');
    }
});

test('a callee that is full refuses with overload, and a neighbor answers', async () => {
    const s = await server();
    await s.deploy('hello', HELLO);
    await s.deploy('holds', 'export default { async fetch() { await new Promise((r) => setTimeout(r, 60_000)); return new Response("late"); } };', { wall_ms: 60_000 });
    await s.deploy('floods', `export default { async fetch(request, env) {
        const all = await Promise.all(Array.from({ length: 60 }, () => Promise.race([
            env.SVC.fetch("http://s/").then(() => "answered", (e) => e.code), new Promise((r) => setTimeout(r, 2000, "waits"))])));
        return Response.json(all);
    } };`, { bindings: SVC('holds') });
    const flood = s.request('floods');
    for (let i = 0; i < 20; i++) assert.equal((await s.request('hello')).text, 'hello');
    const codes: string[] = (await flood).json;
    assert.ok(codes.includes('overload'), JSON.stringify(codes));
    assert.ok(codes.every((code) => ['overload', 'waits'].includes(code)), JSON.stringify(codes));
    assert.equal((await s.request('hello')).text, 'hello');
});

test('functions that call each other in circles and for ever leave a neighbor alone', async () => {
    const s = await server();
    await s.deploy('hello', HELLO);
    await s.deploy('left', HELLO);
    await s.deploy('right', 'export default { fetch: (request, env) => env.SVC.fetch(request) };', { bindings: SVC('left') });
    await s.deploy('left', 'export default { async fetch(request, env, ctx) { ctx.waitUntil(env.SVC.fetch(request.url).catch(() => {})); return env.SVC.fetch(request); } };', { bindings: SVC('right') });
    const circles = Array.from({ length: 4 }, () => s.request('left'));
    for (let i = 0; i < 10; i++) assert.equal((await s.request('hello')).text, 'hello');
    for (const answer of await Promise.all(circles)) assert.ok(answer.status >= 500, answer.text);
    await until('all to have ended', async () => (await s.metrics()).get('limpet_isolates_waiting') !== 1 && (await s.request('hello')).text === 'hello');
});

test('a workflow records its calls: a replay after a crash does not make them again', () => withServer({ args: ['--snapshot-after', '1000000'] }, async (s, crashed) => {
    await s.deploy('ledger', `
        import { WorkerEntrypoint } from "cloudflare:workers";
        import { exec } from "derp:runtime/sql";
        export const handler = { setup() { exec("CREATE TABLE calls (key TEXT UNIQUE)"); } };
        export default class extends WorkerEntrypoint {
            async fetch(request) {
                exec("INSERT INTO calls VALUES (?)", request.headers.get("idempotency-key") ?? "none");
                return Response.json({ n: exec("SELECT count(*) AS n FROM calls").one().n, got: await request.text() });
            }
            count() { return exec("SELECT count(*) AS n FROM calls").one().n; }
        }`);
    await deployWorkflow(s, 'books', `
        import { WorkflowEntrypoint } from "cloudflare:workers";
        export default class extends WorkflowEntrypoint {
            async run(event, step) {
                const first = await (await this.env.SVC.fetch("http://ledger/", { method: "POST", body: new Blob(["a"]).stream() })).json();
                await step.waitForEvent("go", { type: "go" });
                const inStep = await step.do("in a step", async () => (await this.env.SVC.fetch("http://ledger/", { method: "POST", body: "b" })).json());
                return [first, inStep, await this.env.SVC.count(), await this.env.SVC.nothing().catch((e) => e.message)];
            }
        }`, { bindings: SVC('ledger') });
    const id = await start(s, 'books');
    await suspended(s, id);
    s = await crashed();
    await signal(s, id, 'go');
    assert.deepEqual(await output(s, id), [{ n: 1, got: 'a' }, { n: 2, got: 'b' }, 2, "the entrypoint 'default' has no method 'nothing'"]);
    const text = JSON.stringify(await journal(s, id));
    assert.match(text, /SVC: POST http:\/\/ledger\//);
    assert.match(text, /service_call/);
}));
