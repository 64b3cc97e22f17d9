// SPDX-License-Identifier: Apache-2.0
// What a module may export, how each shape is called by public requests and by execute, and what is refused.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { errorOf, useServer } from './harness.ts';

const server = useServer();

test('(a) export default { fetch(request, env, ctx) }', async () => {
    const s = await server();
    await s.deploy('shape-a', `
interface Env { GREETING?: string }
export default {
    greeting: "from this",
    async fetch(request: Request, env: Env, ctx: { waitUntil(p: Promise<unknown>): void }): Promise<Response> {
        ctx.waitUntil(Promise.resolve());
        return Response.json({ method: request.method, greeting: env.GREETING ?? null, own: this.greeting }, { status: 201, headers: { "x-shape": "a" } });
    },
};`);
    assert.equal((await s.api('PUT', '/functions/shape-a/env/GREETING', { value: 'hi' })).status, 204);
    const res = await s.request('shape-a', '/', { method: 'PUT', body: 'x' });
    assert.equal(res.status, 201);
    assert.equal(res.headers['x-shape'], 'a');
    assert.deepEqual(res.json, { method: 'PUT', greeting: 'hi', own: 'from this' });
});

test('(b) export default a function that returns a Response or a value', async () => {
    const s = await server();
    await s.deploy('shape-b', `
export default async function (request) {
    const path = new URL(request.url).pathname;
    if (path === "/response") return new Response("plain", { headers: { "content-type": "text/x-test" } });
    if (path === "/text") return "a string";
    if (path === "/null") return null;
    if (path === "/list") return [1, "two", { three: 3 }];
    return { path };
}`);
    const plain = await s.request('shape-b', '/response');
    assert.equal(plain.text, 'plain');
    assert.equal(plain.headers['content-type'], 'text/x-test');
    assert.deepEqual((await s.request('shape-b', '/value')).json, { path: '/value' });
    assert.deepEqual((await s.request('shape-b', '/list')).json, [1, 'two', { three: 3 }]);
    assert.match((await s.request('shape-b', '/value')).headers['content-type']!, /^application\/json/);
    await s.deploy('shape-b2', 'export default () => ({ sync: true });');
    assert.deepEqual((await s.request('shape-b2')).json, { sync: true });
});

const DERP = `
import type { Request, Response } from "derp:runtime/types";
import { success, error, getInfo } from "derp:runtime/context";
interface Input { name: string }
export const handler = {
    handle(req: Request<Input>): Response {
        const info = getInfo();
        if (!req.body?.name) return error("no name");
        return success({ greeting: "Hello, " + req.body.name, functionName: info.functionName, hasId: typeof info.executionId === "string" && info.executionId.length > 0 });
    },
};`;

test("(c) derp's handler with handle()", async () => {
    const s = await server();
    await s.deploy('shape-c', DERP);
    const run = await s.execute('shape-c', { name: 'World' });
    assert.equal(run.status, 200);
    assert.equal(run.json.status, 'success');
    assert.match(run.json.execution_id, /^[0-9a-f-]{36}$/);
    assert.deepEqual(run.json.output, { greeting: 'Hello, World', functionName: 'shape-c', hasId: true });
    const pub = await s.request('shape-c', '/', { method: 'POST', body: JSON.stringify({ name: 'Web' }), headers: { 'content-type': 'application/json' } });
    assert.equal(pub.status, 200);
    assert.equal(pub.json.greeting, 'Hello, Web');
});

test("(c) derp's error() is a failure", async () => {
    const s = await server();
    await s.deploy('shape-c', DERP);
    const run = await s.execute('shape-c', {});
    assert.equal(run.json.status, 'failure');
    assert.match(run.json.error.message, /no name/);
    assert.ok(run.status >= 400);
});

test('(c) export function handler(req), sync and async', async () => {
    const s = await server();
    await s.deploy('shape-c2', 'export function handler(req) { return { got: req.body }; }');
    assert.deepEqual((await s.execute('shape-c2', [1, 2])).json.output, { got: [1, 2] });
    await s.deploy('shape-c3', 'export async function handler(req) { await 0; return { got: req.body }; }');
    assert.deepEqual((await s.execute('shape-c3', { a: null })).json.output, { got: { a: null } });
    assert.deepEqual((await s.request('shape-c3', '/', { method: 'POST', body: '{"a":1}' })).json, { got: { a: 1 } });
});

test('a body that is no JSON for a derp handler: 400, not a crash', async () => {
    const s = await server();
    await s.deploy('shape-c2', 'export function handler(req) { return { got: req.body }; }');
    const res = await s.request('shape-c2', '/', { method: 'POST', body: '{"a":', headers: { 'content-type': 'application/json' } });
    assert.ok(res.status === 400 || res.status === 200, `${res.status} ${res.text}`);
});

test('execute reaches shapes (a) and (b) too', async () => {
    const s = await server();
    await s.deploy('exec-a', 'export default { async fetch(request) { return Response.json({ got: await request.json() }); } };');
    const a = await s.execute('exec-a', { n: 1 });
    assert.equal(a.status, 200, a.text);
    assert.deepEqual(a.json.output, { got: { n: 1 } });
    await s.deploy('exec-b', 'export default async (request) => ({ got: await request.json() });');
    const b = await s.execute('exec-b', { n: 2 });
    assert.equal(b.status, 200, b.text);
    assert.deepEqual(b.json.output, { got: { n: 2 } });
});

test('a module that exports nothing to call fails its build, with a hint', async () => {
    const s = await server();
    const build = await s.upload('shape-none', 'export const x = 1;');
    assert.equal(build.status, 'failed');
    assert.match(build.error.message, /export/);
    errorOf(await s.request('shape-none'), 404, 'not_found');
    errorOf(await s.execute('shape-none'), 409, 'not_ready');
});

test('ctx.waitUntil goes on after the answer, and its failure harms nobody', async () => {
    const s = await server();
    await s.deploy('waits-until', `
import { exec } from "derp:runtime/sql";
export const handler = { setup() { exec("CREATE TABLE t (n)"); }, handle() { return {}; } };
export default {
    async fetch(request, env, ctx) {
        const path = new URL(request.url).pathname;
        if (path === "/read") return Response.json(exec("SELECT n FROM t").toArray());
        ctx.waitUntil((async () => { await new Promise((r) => setTimeout(r, 30)); exec("INSERT INTO t VALUES (1)"); console.log("late"); })());
        if (path === "/fail") ctx.waitUntil(Promise.reject(new Error("late failure")));
        return new Response("answered");
    },
};`);
    assert.equal((await s.request('waits-until', '/')).text, 'answered');
    assert.equal((await s.request('waits-until', '/fail')).text, 'answered');
    const { until } = await import('./harness.ts');
    await until('both have written', async () => (await s.request('waits-until', '/read')).json.length === 2);
});

test('what a function returns must be an answer', async () => {
    const s = await server();
    await s.deploy('wrong-return', `
export default { fetch(request) {
    const path = new URL(request.url).pathname;
    if (path === "/cycle") { const a = {}; a.a = a; return Response.json(a); }
    if (path === "/bigint") return Response.json({ n: 1n });
    if (path === "/status") return new Response("x", { status: 42 });
    if (path === "/header") return new Response("x", { headers: { "a b": "c" } });
    if (path === "/newline") return new Response("x", { headers: { a: "b\\r\\nset-cookie: c" } });
    return undefined;
} };`);
    for (const path of ['/cycle', '/bigint', '/status', '/header', '/newline', '/undefined']) errorOf(await s.request('wrong-return', path), 500, 'guest_error');
});

test('throwing anything is a guest_error with what was thrown', async () => {
    const s = await server();
    await s.deploy('throws', `
export default { async fetch(request) {
    switch (new URL(request.url).pathname) {
    case "/error": throw new TypeError("bad type");
    case "/string": throw "just text";
    case "/null": throw null;
    case "/object": throw { toString() { throw new Error("nested"); } };
    case "/later": await new Promise((r) => setTimeout(r, 5)); throw new RangeError("later");
    case "/cause": throw new Error("outer", { cause: new Error("inner") });
    case "/unhandled": Promise.reject(new Error("nobody cares")); return new Response("fine");
    }
} };`);
    assert.match(errorOf(await s.request('throws', '/error'), 500, 'guest_error').message, /bad type/);
    assert.match(errorOf(await s.request('throws', '/string'), 500, 'guest_error').message, /just text/);
    errorOf(await s.request('throws', '/null'), 500, 'guest_error');
    errorOf(await s.request('throws', '/object'), 500, 'guest_error');
    assert.match(errorOf(await s.request('throws', '/later'), 500, 'guest_error').message, /later/);
    assert.match(errorOf(await s.request('throws', '/cause'), 500, 'guest_error').message, /outer/);
    const unhandled = await s.request('throws', '/unhandled');
    assert.equal(unhandled.text, 'fine');
});
