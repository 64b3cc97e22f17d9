// SPDX-License-Identifier: Apache-2.0
//
// A process that is stopped, or that gets little of its core, has not used the time that went by: no guest is ended for
// CPU time that it never had, and none for waiting whose answer is there when the process goes on.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { Server } from './harness.ts';

const STOP_MS = 3000; // far more than the limits below: the time itself is what is tested

/** Runs for a few milliseconds of CPU time, in one stretch. */
const BUSY = 'export default { fetch() { let n = 0; for (let i = 0; i < 100_000; i++) n += i % 7; return Response.json(n); } };';

test('a process that was stopped', async (t) => {
    const s = await Server.start({ args: ['--threads', '1', '--egress-allow', '127.0.0.0/8'] });
    t.after(() => s.stop());

    await t.test('has not used the CPU time of its guests', async () => {
        await s.deploy('busy', BUSY, { cpu_ms: 2000 });
        const right = (await s.request('busy')).text;
        let isOver = false;
        const clients = Promise.all(Array.from({ length: 4 }, async () => {
            while (!isOver) {
                const res = await s.request('busy');
                assert.deepEqual([res.status, res.text], [200, right]);
            }
        }));
        for (let round = 0; round < 3; round++) {
            await s.request('busy');
            process.kill(s.pid, 'SIGSTOP');
            await pause(STOP_MS);
            process.kill(s.pid, 'SIGCONT');
        }
        await s.request('busy');
        isOver = true;
        await clients;
    });

    await t.test('takes what came meanwhile before it ends who waited', async () => {
        let asked: () => void;
        const isAsked = new Promise<void>((resolve) => (asked = resolve));
        let answer: () => void;
        const upstream = http.createServer((_, res) => {
            answer = () => res.end('in time');
            asked();
        });
        upstream.listen(0, '127.0.0.1');
        await once(upstream, 'listening');
        const port = (upstream.address() as AddressInfo).port;
        await s.deploy('asks', `export default { async fetch() { return new Response(await (await fetch("http://127.0.0.1:${port}/")).text()); } };`, { wall_ms: 2500 });
        const asking = s.request('asks');
        await isAsked;
        process.kill(s.pid, 'SIGSTOP');
        answer!();
        await pause(STOP_MS);
        process.kill(s.pid, 'SIGCONT');
        const res = await asking;
        assert.deepEqual([res.status, res.text], [200, 'in time']);
        upstream.close();
    });
});

test('a process beside others that want its core', async (t) => {
    const s = await Server.start({ args: ['--threads', '1'], wrap: ['nice', '-n', '19'] });
    t.after(() => s.stop());
    await s.deploy('busy', BUSY, { cpu_ms: 500 });
    const right = (await s.request('busy')).text;
    const hogs = Array.from({ length: 2 }, () => spawn(process.execPath, ['-e', 'for (;;);'], { stdio: 'ignore' }));
    t.after(() => hogs.forEach((h) => h.kill('SIGKILL')));
    for (let k = 0; k < 5; k++) {
        const res = await s.request('busy');
        assert.deepEqual([res.status, res.text], [200, right]);
    }
    hogs.forEach((h) => h.kill('SIGKILL'));
});
