// SPDX-License-Identifier: Apache-2.0
// Clients that leave do not keep their isolates: others are served, although every isolate was taken.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import fs from 'node:fs';
import net from 'node:net';
import { test } from 'node:test';
import { IS_ASAN, Server, until, useServer } from './harness.ts';

const server = useServer({ args: ['--threads', '1', '--isolates-max', '4'] });

test('isolates of clients that have left are given to others', async () => {
    const s = await server();
    await s.deploy('sleeps', 'export default { async fetch() { console.log("asleep"); await new Promise((r) => setTimeout(r, 600_000)); return new Response("late"); } };', { wall_ms: 600_000 });
    await s.deploy('awake', 'export default () => "here";');
    const clients = Array.from({ length: 4 }, () => {
        const c = net.connect(s.httpPort, '127.0.0.1');
        c.on('error', () => {});
        c.write(`GET / HTTP/1.1\r\nHost: ${s.host('sleeps')}\r\n\r\n`);
        return c;
    });
    await until('all are asleep', async () => (await s.api('GET', '/functions/sleeps/logs')).json.length >= 4);
    for (const c of clients) c.destroy();
    const answer = await s.request('awake');
    assert.equal(answer.status, 200);
    assert.match(answer.text, /here/);
});

test('what was given to waitUntil() goes on when the client leaves before the answer; the rest ends, with a line in the log', async () => {
    const s = await server();
    const text = async (name: string) => (await s.api('GET', `/functions/${name}/logs`)).json.map((l: any) => l.text).join('\n');
    await s.deploy('hook', `
const wait = (ms) => new Promise((r) => setTimeout(r, ms));
export default { async fetch(request, env, ctx) {
    ctx.waitUntil(wait(2500).then(() => console.log("stored")));
    console.log("asleep");
    await wait(2000);
    return new Response("late");
} };`);
    await s.deploy('plain', 'export default { async fetch() { console.log("asleep"); await new Promise((r) => setTimeout(r, 600_000)); return new Response("late"); } };', { wall_ms: 600_000 });
    for (const name of ['hook', 'plain']) {
        const c = net.connect(s.httpPort, '127.0.0.1');
        c.on('error', () => {});
        c.write(`GET / HTTP/1.1\r\nHost: ${s.host(name)}\r\n\r\n`);
        await until('it is asleep', async () => (await text(name)).includes('asleep'));
        c.destroy();
    }
    await until('the work to be done', async () => (await text('hook')).includes('stored'));
    await until('the other to end', async () => (await text('plain')).includes('the client left before the answer'));
    assert.doesNotMatch(await text('hook'), /broken off/);
});

/** Sends a request to the control API; leave() when it is on its way. vanish(): by a reset, which is seen at once. */
async function ask(s: Server, method: string, path: string, body = ''): Promise<{ leave(): void; vanish(): void }> {
    const c = net.connect(s.adminPort, '127.0.0.1');
    c.on('error', () => {});
    await once(c, 'connect');
    await new Promise<void>((sent) => c.write(`${method} ${path} HTTP/1.1\r\nHost: 127.0.0.1:${s.adminPort}\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`, () => sent()));
    return { leave: () => void c.destroy(), vanish: () => void c.resetAndDestroy() };
}

// Each of these would keep its place for five minutes. With a store that answers late, clients also leave while their request is being read for.
for (const [what, env] of [['a store at hand', {}], ['a store that is far away', { LIMPET_SLOW_STORE: '1' }]] as const) {
    test(`long polls of clients that have left hold nothing: ${what}`, { skip: 'LIMPET_SLOW_STORE' in env && !IS_ASAN ? 'in sanitizer builds only' : false }, async () => {
        const s = await Server.start({ args: ['--threads', '1'], env });
        const upload = (name: string, k: number) => JSON.stringify({ name, source: `export default () => "${k}";` });
        const gauge = async (name: string) => (await s.metrics()).get(name)!;
        try {
            const source = 'import { workflow, waitForEvent } from "limpet"; export default workflow(async () => (await waitForEvent("go")).data);';
            assert.equal((await s.api('POST', '/workflows?wait=60s', { name: 'w', source })).status, 200);
            const id = (await s.api('POST', '/workflows/w/execute', {})).json.execution_id;
            const polls: [method: string, path: string, body?: string][] = [
                ['GET', `/executions/${id}?wait=5m`], ['GET', `/executions/${id}/logs?follow=1`], ['GET', '/workflows/w/logs?follow=1'],
                ['POST', '/workflows/w/execute?wait=5m', '{}'],
            ];
            const all = async () => (await Promise.all(Array.from({ length: 12 }, () => polls).flat().map((p) => ask(s, ...p))));
            for (const c of await all()) c.leave();
            // While they are read for, or what they wait for is being started: the server has seen them when it answers another one.
            for (let round = 0; round < 4; round++) {
                const some = await all();
                await s.api('GET', '/healthz');
                for (const c of some) c.vanish();
            }
            // When all are waiting.
            const clients = await all();
            await until('all wait', async () => (await gauge('limpet_workflow_requests')) >= 24 && (await gauge('limpet_log_followers')) >= 24);
            for (const c of clients) c.leave();
            // Builds, which go on: their uploaders and those who wait for them leave.
            for (let k = 0; k < 6; k++) {
                const uploader = await ask(s, 'POST', '/functions?wait=5m', upload(`f${k % 3}`, k));
                const waiter = await ask(s, 'GET', `/functions/f${k % 3}/builds/${Math.floor(k / 3) + 1}?wait=5m`);
                const other = await ask(s, 'GET', `/functions/f${k % 3}/builds/1?wait=5m`);
                await s.api('GET', '/healthz');
                other.vanish();
                uploader.leave();
                waiter.leave();
            }
            // Starts were asked for in whole requests, so they are done; of those that vanished the server may have seen nothing.
            await until('all starts', async () => (await s.api('GET', '/executions?workflow=w&limit=1000')).json.length >= 25);
            for (let k = 0; k < 3; k++) await until(`f${k} is built`, async () => (await s.api('GET', `/functions/f${k}`)).json.version === 2);
            await until('nothing is held', async () => (await gauge('limpet_workflow_requests')) === 0 && (await gauge('limpet_log_followers')) === 0);
            await until('nor a connection', async () => (await gauge('limpet_admin_connections')) <= 2); // ours
        } finally {
            await s.stop(); // a leak or a use of freed memory is another exit code
            fs.rmSync(s.data, { recursive: true, force: true });
        }
    });
}
