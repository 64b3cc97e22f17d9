// SPDX-License-Identifier: Apache-2.0
// A store that answers reads later: clients that have gone by then, and a stop while reads are out. Sanitizer builds have
// such a store (src/store/slow.c); tools/test --slow-store runs all tests over it.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import fs from 'node:fs';
import net from 'node:net';
import { test } from 'node:test';
import { type Answer, IS_ASAN, Server, until } from './harness.ts';

const skip = IS_ASAN ? false : 'in sanitizer builds only';

const PATHS = ['/functions', '/functions/f', '/functions/f/env', '/functions/f/builds', '/functions/f/builds/1', '/functions/f/logs', '/functions/f/logs?follow=1',
    '/functions/f/executions', '/executions', '/quotas', '/quotas/f', '/usage', '/metrics', '/namespaces', '/workflows/w/executions'];

/** Asks and leaves when the request is on its way, so that what it reads is out. */
async function askAndLeave(port: number, path: string): Promise<void> {
    const socket = net.connect(port, '127.0.0.1');
    socket.on('error', () => {});
    await once(socket, 'connect');
    await new Promise<void>((resolve) => socket.write(`GET ${path} HTTP/1.1\r\nhost: 127.0.0.1:${port}\r\n\r\n`, () => resolve()));
    socket.destroy();
}

async function start(): Promise<Server> {
    const s = await Server.start({ env: { LIMPET_SLOW_STORE: '1' } });
    await s.deploy('f', 'export default { fetch() { return new Response("ok"); } };');
    const made = await s.api('POST', '/workflows?wait=60s', {
        name: 'w',
        source: 'import { workflow, waitForEvent } from "limpet"; export default workflow(async () => (await waitForEvent("go")).data);',
    });
    assert.equal(made.status, 200, made.text);
    return s;
}

test('clients that leave while what they asked for is read', { skip }, async () => {
    const s = await start();
    try {
        for (let round = 0; round < 4; round++) await Promise.all(PATHS.map((path) => askAndLeave(s.adminPort, path)));
        const list = await s.api('GET', '/functions');
        assert.equal(list.status, 200);
        assert.deepEqual(list.json.map((f: any) => f.name), ['f']);
        await until('no stream is left behind', async () => (await s.metrics()).get('limpet_log_followers') === 0);
    } finally {
        await s.stop(); // a leak or a use of freed memory is another exit code
        fs.rmSync(s.data, { recursive: true, force: true });
    }
});

test('a stream that begins while lines are written has all of them', { skip }, async () => {
    const s = await start();
    try {
        const made = await s.api('POST', '/workflows?wait=60s', {
            name: 'chatty',
            source: `
import { log, sleep, workflow } from "limpet";
export default workflow(async () => { for (let i = 0; i < 8; i++) { log.info("line " + i); await sleep(2); } });`,
        });
        assert.equal(made.status, 200, made.text);
        const all = Array.from({ length: 8 }, (_, i) => `line ${i}`);
        await Promise.all(Array.from({ length: 20 }, async () => {
            const id = (await s.api('POST', '/workflows/chatty/execute', {})).json.execution_id;
            const { text } = await s.api('GET', `/executions/${id}/logs?follow=1`); // until it has finished
            assert.deepEqual(text.trim().split('\n').filter(Boolean).map((line) => JSON.parse(line).text), all);
        }));
    } finally {
        await s.stop();
        fs.rmSync(s.data, { recursive: true, force: true });
    }
});

test('a stream that begins as its token is revoked, or its function deleted, ends', { skip }, async () => {
    const s = await start();
    try {
        const ended = async (what: string, streams: Promise<Answer>[], refusal: number) => {
            await until(`no stream is left of ${what}`, async () => (await s.metrics()).get('limpet_log_followers') === 0);
            for (const { status, text } of await Promise.all(streams)) assert.ok([200, refusal].includes(status), text);
        };
        const open = (token?: string) => s.api('GET', '/functions/f/logs?follow=1', undefined, token ? { authorization: `Bearer ${token}` } : {});
        const made = await Promise.all(Array.from({ length: 30 }, async () => (await s.api('POST', '/tokens', { role: 'read' })).json));
        const revoked = made.map(({ id, token }) => {
            const stream = open(token);
            return { stream, revocation: s.api('DELETE', `/tokens/${id}`) };
        });
        for (const { revocation } of revoked) assert.equal((await revocation).status, 204);
        await ended('a token', revoked.map(({ stream }) => stream), 401);
        const before = Array.from({ length: 10 }, () => open());
        const deletion = s.api('DELETE', '/functions/f');
        const after = Array.from({ length: 10 }, () => open());
        assert.equal((await deletion).status, 204);
        await ended('a function', [...before, ...after], 404);
    } finally {
        await s.stop();
        fs.rmSync(s.data, { recursive: true, force: true });
    }
});

test('a stop while reads are out, of clients and of executions', { skip }, async () => {
    const s = await start();
    try {
        const started = await Promise.all(Array.from({ length: 10 }, () => s.api('POST', '/workflows/w/execute', {})));
        for (const one of started) assert.equal(one.status, 202, one.text);
        // Signals wake them: rows, snapshots and signals are being read when the stop comes.
        await Promise.all(started.map((one) => s.api('POST', `/executions/${one.json.execution_id}/signal`, { name: 'go', data: 1 })));
        await Promise.all(PATHS.map((path) => askAndLeave(s.adminPort, path)));
        // Streams that begin as it stops, of clients that stay.
        for (let n = 0; n < 20; n++) s.api('GET', '/functions/f/logs?follow=1').catch(() => {});
        await s.api('GET', '/healthz');
        s.child.kill('SIGTERM');
        assert.deepEqual(await s.ended(), { code: 0, signal: null }, s.stderr.slice(-4000));
        const again = await s.revive();
        try {
            for (const one of started) {
                const end = await again.api('GET', `/executions/${one.json.execution_id}?wait=60s`);
                assert.equal(end.json.status, 'completed', end.text);
                assert.equal(end.json.output, 1);
            }
        } finally {
            await again.stop();
        }
    } finally {
        await s.kill();
        fs.rmSync(s.data, { recursive: true, force: true });
    }
});
