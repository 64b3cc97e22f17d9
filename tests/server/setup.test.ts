// SPDX-License-Identifier: Apache-2.0
// handler.setup runs once per version, before the first handle, and not again after a restart or a crash.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { test } from 'node:test';
import { errorOf, Server } from './harness.ts';

const SETUP = (mark: string) => `
import { exec } from "derp:runtime/sql";
export const handler = {
    setup() {
        exec("CREATE TABLE IF NOT EXISTS setups (mark TEXT)");
        exec("INSERT INTO setups VALUES (?)", ${JSON.stringify(mark)});
    },
    handle() { return { setups: exec("SELECT mark FROM setups").toArray().map((r) => r.mark) }; },
};`;

test('once per version, across requests, threads, restarts and kill -9', async () => {
    let s = await Server.start({ args: ['--threads', '2'] });
    try {
        await s.deploy('once', SETUP('v1'));
        // The first ones all at once, on all threads.
        const first = await Promise.all(Array.from({ length: 20 }, (_, i) => (i % 2 ? s.execute('once') : s.request('once'))));
        for (const res of first) assert.deepEqual(res.json.output ?? res.json, { setups: ['v1'] });
        s = await s.restart();
        assert.deepEqual((await s.execute('once')).json.output, { setups: ['v1'] });
        await s.kill();
        s = await s.revive();
        assert.deepEqual((await s.request('once')).json, { setups: ['v1'] });
        await s.deploy('once', SETUP('v2'));
        assert.deepEqual((await s.request('once')).json, { setups: ['v1', 'v2'] });
        await s.deploy('once', SETUP('v2')); // nothing changed: no new version
        assert.deepEqual((await s.request('once')).json, { setups: ['v1', 'v2'] });
        s = await s.restart();
        assert.deepEqual((await s.request('once')).json, { setups: ['v1', 'v2'] });
    } finally {
        await s.kill();
        fs.rmSync(s.data, { recursive: true, force: true });
    }
});

test('a setup that fails is the error of the request, and is tried again', async () => {
    const s = await Server.start();
    try {
        await s.deploy('flaky', `
import { exec } from "derp:runtime/sql";
import * as env from "derp:runtime/env";
export const handler = {
    setup() { exec("CREATE TABLE IF NOT EXISTS t (n)"); if (env.get("OK") !== "1") throw new Error("not yet"); },
    handle() { return { tables: exec("SELECT count(*) AS n FROM sqlite_master WHERE name = 't'").one().n }; },
};`);
        const run = await s.execute('flaky');
        assert.equal(run.status, 500);
        assert.match(run.json.error.message, /not yet/);
        errorOf(await s.request('flaky'), 500, 'guest_error');
        await s.api('PUT', '/functions/flaky/env/OK', { value: '1' });
        assert.deepEqual((await s.request('flaky')).json, { tables: 1 });
    } finally {
        await s.stop();
        fs.rmSync(s.data, { recursive: true, force: true });
    }
});

test('an async setup is awaited before the first handle', async () => {
    const s = await Server.start();
    try {
        await s.deploy('slow-setup', `
import { exec, transaction } from "derp:runtime/sql";
export const handler = {
    async setup() { await new Promise((r) => setTimeout(r, 100)); exec("CREATE TABLE t (n)"); },
    handle() { return transaction(() => { exec("INSERT INTO t VALUES (1)"); return exec("SELECT count(*) AS n FROM t").one(); }); },
};`);
        const answers = await Promise.all(Array.from({ length: 5 }, () => s.request('slow-setup')));
        assert.deepEqual(answers.map((a) => a.json.n).sort(), [1, 2, 3, 4, 5]);
    } finally {
        await s.stop();
        fs.rmSync(s.data, { recursive: true, force: true });
    }
});
