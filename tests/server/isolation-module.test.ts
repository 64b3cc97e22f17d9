// SPDX-License-Identifier: Apache-2.0
// isolation = "module" keeps an isolate's state between requests, as Workers do.
import assert from 'node:assert/strict';
import http from 'node:http';
import { test } from 'node:test';
import { errorOf, useServer } from './harness.ts';

const server = useServer({ args: ['--threads', '1'] });

const COUNTER = 'let n = 0; export default { fetch() { return Response.json(++n); } };';

test('a kept isolate counts on; a new version starts anew', async () => {
    const s = await server();
    await s.deploy('kept', COUNTER, { isolation: 'module' });
    const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
    const answers = [];
    for (let i = 0; i < 5; i++) answers.push((await s.request('kept', '/', { agent })).json);
    assert.deepEqual(answers, [1, 2, 3, 4, 5]);
    await s.deploy('kept', COUNTER + '// two', { isolation: 'module' });
    assert.equal((await s.request('kept', '/', { agent })).json, 1);
    agent.destroy();
});

test('requests share the isolate while they wait', async () => {
    const s = await server();
    await s.deploy('shared', `
let active = 0, most = 0;
export default {
    async fetch() {
        most = Math.max(most, ++active);
        await new Promise((r) => setTimeout(r, 30));
        active--;
        return Response.json(most);
    },
};`, { isolation: 'module' });
    const answers = await Promise.all(Array.from({ length: 8 }, () => s.request('shared')));
    assert.ok(Math.max(...answers.map((a) => a.json)) > 1, 'some overlapped in one isolate');
});

test('an exception in one request leaves the state and the others alone', async () => {
    const s = await server();
    await s.deploy('partly', `
let n = 0;
export default { fetch(request) { n++; if (request.url.endsWith("/throw")) throw new Error("no"); return Response.json(n); } };`, { isolation: 'module' });
    assert.equal((await s.request('partly')).json, 1);
    errorOf(await s.request('partly', '/throw'), 500, 'guest_error');
    assert.equal((await s.request('partly')).json, 3);
});

test('an isolate that passed a limit is replaced', async () => {
    const s = await server();
    await s.deploy('broken', `
let n = 0;
export default { fetch(request) { n++; if (request.url.endsWith("/loop")) for (;;) ; return Response.json(n); } };`, { isolation: 'module', cpu_ms: 100 });
    assert.equal((await s.request('broken')).json, 1);
    errorOf(await s.request('broken', '/loop'), 500, 'limit_cpu');
    assert.equal((await s.request('broken')).json, 1);
});
