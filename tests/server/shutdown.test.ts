// SPDX-License-Identifier: Apache-2.0
// SIGTERM: no new connections, what runs is finished, then the process ends with 0. SIGINT likewise.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import fs from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import { test } from 'node:test';
import { Server, until } from './harness.ts';

const SLOW = `
export default {
    async fetch(request) {
        console.log("begun");
        await new Promise((r) => setTimeout(r, 500));
        return new Response("finished");
    },
};`;

for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    test(`${signal} lets running requests finish`, async () => {
        const s = await Server.start();
        try {
            await s.deploy('slow', SLOW);
            const idle = net.connect(s.httpPort, '127.0.0.1');
            idle.on('error', () => {});
            await once(idle, 'connect');
            const agent = new http.Agent({ keepAlive: true });
            const running = Array.from({ length: 8 }, () => s.request('slow', '/', { agent }));
            await until('all have begun', async () => (await s.api('GET', '/functions/slow/logs')).json.length >= 8);
            s.child.kill(signal);
            for (const res of await Promise.all(running)) {
                assert.equal(res.status, 200);
                assert.equal(res.text, 'finished');
            }
            assert.deepEqual(await s.ended(), { code: 0, signal: null });
            agent.destroy();
            idle.destroy();
        } finally {
            await s.kill();
            fs.rmSync(s.data, { recursive: true, force: true });
        }
    });
}

test('after SIGTERM nobody new is let in', async () => {
    const s = await Server.start();
    try {
        await s.deploy('slow', SLOW);
        const running = s.request('slow');
        await until('it has begun', async () => (await s.api('GET', '/functions/slow/logs')).json.length >= 1);
        s.child.kill('SIGTERM');
        await until('new connections are refused', async () => {
            const e = await s.request('slow', '/').then((r) => r.status, (e) => e.code);
            return ['ECONNREFUSED', 'ECONNRESET', 503].includes(e);
        });
        assert.equal((await running).text, 'finished');
        assert.equal((await s.ended()).code, 0);
    } finally {
        await s.kill();
        fs.rmSync(s.data, { recursive: true, force: true });
    }
});

test('a second signal ends it at once', async () => {
    const s = await Server.start();
    try {
        await s.deploy('slow', SLOW.replace('500', '25_000'));
        const broken = s.request('slow').then(() => 'answered', () => 'broken off');
        await until('it has begun', async () => (await s.api('GET', '/functions/slow/logs')).json.length >= 1);
        s.child.kill('SIGTERM');
        await until('it is stopping', () => s.request('nobody').then((r) => r.status === 503, () => true));
        s.child.kill('SIGTERM');
        await s.ended();
        assert.equal(await broken, 'broken off');
    } finally {
        await s.kill();
        fs.rmSync(s.data, { recursive: true, force: true });
    }
});
