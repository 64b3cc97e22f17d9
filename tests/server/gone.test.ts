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
