// SPDX-License-Identifier: Apache-2.0
// isolation = "module" keeps an isolate's state between requests, as Workers do.
import assert from 'node:assert/strict';
import http from 'node:http';
import { test } from 'node:test';
import { errorOf, until, useServer } from './harness.ts';

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

test('each request has log lines, CPU time and timers of its own', async () => {
    const s = await server();
    await s.deploy('own', `
let ticks = 0;
export default {
    async fetch(request) {
        const path = new URL(request.url).pathname;
        if (path === "/talk") { for (let i = 0; i < 700; i++) console.log("line"); return new Response("said"); }
        if (path === "/tick") { setInterval(() => ticks++, 1); return new Response("started"); }
        if (path === "/ticks") { const before = ticks; await new Promise((r) => setTimeout(r, 20)); return Response.json(ticks - before); }
        if (path === "/last") { console.log("the last line"); return new Response("said"); }
        for (;;) { // a hog that lets others in
            const end = Array.from({ length: 2000 }, (_, k) => k * k).sort().length;
            await new Promise((r) => setTimeout(r, 0));
        }
    },
};`, { isolation: 'module', cpu_ms: 200, wall_ms: 60_000 });
    for (let i = 0; i < 3; i++) assert.equal((await s.request('own', '/talk')).status, 200);
    assert.equal((await s.request('own', '/last')).status, 200);
    await until('the line', async () => (await s.api('GET', '/functions/own/logs?limit=3')).json.some((l: any) => l.text === 'the last line'));
    assert.equal((await s.request('own', '/tick')).status, 200);
    assert.equal((await s.request('own', '/ticks')).json, 0);
    let isOver = false;
    const hog = s.request('own', '/hog').finally(() => (isOver = true));
    while (!isOver) await s.request('own', '/last'); // each request would have renewed the time of all
    errorOf(await hog, 500, 'limit_cpu');
});
