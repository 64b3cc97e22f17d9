// SPDX-License-Identifier: Apache-2.0
// What an exception says is for the function's author: the public client gets a request id under which the log has it.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { errorOf, type Server, until, useServer } from './harness.ts';

const server = useServer({ hidesErrors: true });

const SECRET = 'hunter2';
const LEAKY = `
const leak = new Error("no access with ${SECRET}");
export default { async fetch(request) {
    switch (new URL(request.url).pathname) {
    case "/throw": throw leak;
    case "/text": throw "${SECRET}";
    case "/cause": throw new TypeError("outer", { cause: leak });
    case "/later": await new Promise((r) => setTimeout(r, 1)); throw Object.assign(new Error("x"), { name: "${SECRET}" });
    case "/stack": throw new RangeError("Maximum call stack size of ${SECRET}");
    case "/wrong": return "${SECRET}";
    case "/sql": (await import("derp:runtime/sql")).exec("SELECT 1 FROM ${SECRET}");
    case "/own": return new Response("my own ${SECRET}", { status: 500 });
    }
    return new Response("fine");
} };`;

async function logLine(s: Server, name: string, id: string): Promise<any> {
    return until('the log line', async () => (await s.api('GET', `/functions/${name}/logs?limit=1000`)).json.find((l: any) => l.text.includes(id)));
}

test('an uncaught exception is not told to the client, but logged under the id that it gets', async () => {
    const s = await server();
    await s.deploy('leaky', LEAKY);
    const ids = new Set<string>();
    for (const path of ['/throw', '/text', '/cause', '/later', '/stack', '/sql']) {
        const res = await s.request('leaky', path);
        assert.equal(res.status, 500, path);
        assert.ok(!res.text.includes(SECRET), `${path}: ${res.text}`);
        assert.ok(!JSON.stringify(res.rawHeaders).includes(SECRET), path);
        const e = res.json.error;
        assert.match(e.request_id, /^[0-9a-f-]{36}$/);
        assert.equal(res.headers['x-request-id'], e.request_id);
        assert.ok(e.message.length > 0 && e.hint.includes('request_id'), res.text);
        ids.add(e.request_id);
        const line = await logLine(s, 'leaky', e.request_id);
        assert.equal(line.level, 'error');
        if (path !== '/cause') assert.ok(line.text.includes(SECRET), line.text);
    }
    assert.equal(ids.size, 6);
    assert.equal((await s.request('leaky', '/own')).text, `my own ${SECRET}`);
});

test('nor what setup() throws', async () => {
    const s = await server();
    await s.deploy('unready', `export const handler = { setup() { throw new Error("${SECRET}"); }, handle: () => 1 };`);
    const res = await s.request('unready');
    const e = errorOf(res, 500, 'guest_error') as any;
    assert.ok(!res.text.includes(SECRET), res.text);
    assert.ok((await logLine(s, 'unready', e.request_id)).text.includes(SECRET));
});

test('limits and the client\'s own faults are told', async () => {
    const s = await server();
    await s.deploy('busy', 'export default { fetch() { for (;;); } };', { cpu_ms: 50 });
    assert.match(errorOf(await s.request('busy'), 500, 'limit_cpu').message, /50 ms/);
    assert.match(errorOf(await s.request('nobody'), 404, 'not_found').message, /nobody/);
});

test('the control API tells all', async () => {
    const s = await server();
    await s.deploy('told', `export default () => { throw new Error("no access with ${SECRET}"); };`);
    const run = await s.execute('told');
    assert.equal(run.status, 500);
    assert.ok(run.json.error.message.includes(SECRET), run.text);
    assert.match(run.json.error.stack, /told/);
});

const exposing = useServer({ hidesErrors: true, env: { LIMPET_EXPOSE_ERRORS: '1' } });

test('LIMPET_EXPOSE_ERRORS shows them, as --expose-errors does in all other tests', async () => {
    const s = await exposing();
    await s.deploy('leaky', LEAKY);
    const res = await s.request('leaky', '/throw');
    assert.ok(errorOf(res, 500, 'guest_error').message.includes(SECRET));
    assert.equal(res.headers['x-request-id'], res.json.error.request_id);
});
