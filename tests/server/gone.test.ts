// SPDX-License-Identifier: Apache-2.0
// Clients that leave do not keep their isolates: others are served, although every isolate was taken.
import assert from 'node:assert/strict';
import net from 'node:net';
import { test } from 'node:test';
import { until, useServer } from './harness.ts';

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
