// SPDX-License-Identifier: Apache-2.0
// handler.setup runs once per version, before the first handle, and not again after a restart or a crash.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { errorOf, Origin, Server, until } from './harness.ts';
import { deployWorkflow, isFinished, output, show, signal, start, suspended } from './workflow-harness.ts';

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

const logOf = async (s: Server, name: string): Promise<string> => (await s.api('GET', `/functions/${name}/logs`)).text;

/** SQL of setup() beside what ends it, asked for in env BAD. */
const WAYS: Record<string, [how: string, says: RegExp]> = {
    'a throw': ['throw new Error("x went wrong");', /x went wrong/],
    'a refusal of SQLite': ['exec("INSERT INTO nowhere VALUES (1)");', /no such table: nowhere/],
    'a rejection after a wait': ['await new Promise((r) => setTimeout(r, 20)); throw new Error("y went wrong");', /y went wrong/],
    'a throw inside a transaction': ['transaction(() => { exec("INSERT INTO t (n) VALUES (7)"); throw new Error("z went wrong"); });', /z went wrong/],
    'the CPU limit in code': ['for (;;);', /CPU/],
    'the CPU limit in SQL': ['exec("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n");', /CPU/],
    'the wall limit': ['await new Promise((r) => setTimeout(r, 600_000));', /400 ms/],
    'the memory limit': ['const held = []; for (;;) held.push(new Uint8Array(1 << 20).fill(1));', /memory/i],
};
const UNDONE = `
import { exec, transaction } from "derp:runtime/sql";
import * as env from "derp:runtime/env";
const ways = { ${Object.entries(WAYS).map(([name, [how]]) => `${JSON.stringify(name)}: async () => { ${how} }`).join(',\n')} };
export const handler = {
    async setup() {
        exec("CREATE TABLE t (n)");
        transaction(() => exec("INSERT INTO t VALUES (1)"));
        exec("CREATE INDEX by_n ON t (n); CREATE TABLE u (n); DROP TABLE u; ALTER TABLE t ADD COLUMN more DEFAULT 5");
        await new Promise((r) => setTimeout(r, 5));
        exec("INSERT INTO t (n) VALUES (2)");
        const bad = env.get("BAD");
        if (bad) await ways[bad]();
        exec("PRAGMA user_version = 3");
    },
    handle() { return exec("SELECT n, more FROM t ORDER BY n").toArray(); },
};`;

for (const isolation of ['request', 'module'] as const) {
    test(`setup() is one transaction: what fails leaves nothing, isolated by ${isolation}`, async (t) => {
        const s = await Server.start({ args: ['--threads', '2'] });
        t.after(() => s.stop());
        for (const [name, [, says]] of Object.entries(WAYS)) {
            // On a machine that is starved either limit may be the one that is met.
            await s.deploy('undone', UNDONE, { isolation, memory_mb: 24, ...(name === 'the wall limit' ? { cpu_ms: 600_000, wall_ms: 400 } : { cpu_ms: 300, wall_ms: 600_000 }) });
            assert.equal((await s.api('PUT', '/functions/undone/env/BAD', { value: name })).status, 204);
            for (let round = 0; round < 2; round++) { // the same again: nothing of the first is left
                const run = await s.execute('undone');
                assert.notEqual(run.status, 200, name);
                assert.match(run.json.error.message, says, name);
            }
            const both = await Promise.all([s.request('undone'), s.request('undone')]);
            for (const res of both) assert.match(res.text, says, name);
        }
        await until('the failures are in the log', async () => {
            const log = await logOf(s, 'undone');
            return Object.values(WAYS).every(([, says]) => says.test(log));
        });
        assert.equal((await s.api('DELETE', '/functions/undone/env/BAD')).status, 204);
        await s.deploy('undone', UNDONE, { isolation });
        assert.deepEqual((await s.execute('undone')).json.output, [{ n: 1, more: 5 }, { n: 2, more: 5 }]);
    });
}

test('other writers wait for a setup(), and see all of it or nothing', async (t) => {
    const s = await Server.start({ args: ['--threads', '2'] });
    t.after(() => s.stop());
    const source = (setup: string) => `
import { exec } from "derp:runtime/sql";
export const handler = { async setup() { ${setup} }, handle({ body }) { if (body.write) exec("INSERT INTO t VALUES (9)"); return exec("SELECT count(*) AS n FROM t").one().n; } };`;
    await s.deploy('both', source('exec("CREATE TABLE t (n)");'));
    assert.equal((await s.execute('both', {})).json.output, 0);
    await s.deploy('both', source('exec("INSERT INTO t VALUES (1)"); await new Promise((r) => setTimeout(r, 50)); exec("INSERT INTO t VALUES (2)");'));
    const seen = await Promise.all(Array.from({ length: 8 }, (_, i) => s.execute('both', { write: i % 2 === 0 })));
    for (const run of seen) assert.ok(run.json.output >= 2, run.text);
    assert.equal((await s.execute('both', {})).json.output, 6);
});

for (const where of ['setup-before', 'setup-after']) {
    test(`a kill ${where} its commit: it is done once`, async (t) => {
        let s = await Server.start({ args: ['--threads', '1'], env: { LIMPET_CRASH_AT: `${where}:1` } });
        t.after(() => s.stop()); // the last one
        if (!/crash point/.test(s.stdout + s.stderr)) return t.skip('a build without crash_points');
        await s.deploy('crashes', `
import { exec } from "derp:runtime/sql";
export const handler = {
    setup() { exec("CREATE TABLE t (n)"); exec("INSERT INTO t VALUES (1)"); },
    handle() { return exec("SELECT count(*) AS n FROM t").one(); },
};`);
        await assert.rejects(s.request('crashes'));
        await s.ended();
        s = await s.revive({ env: {} });
        assert.deepEqual((await s.request('crashes')).json, { n: 1 });
        s = await s.restart();
        assert.deepEqual((await s.request('crashes')).json, { n: 1 });
    });
}

/** A server whose answers to /NAME come when the test says open(NAME). */
class Gates {
    asked = new Set<string>();
    private held = new Map<string, () => void>();
    readonly origin = new Origin((req, res) => {
        this.asked.add(req.url!.slice(1));
        this.held.set(req.url!.slice(1), () => res.end('go on'));
    });
    open(name: string): void { this.held.get(name)!(); }
    again(): void { this.asked.clear(); }
}
const gates = new Gates();

/** derp's handler whose v1 writes when its gate opens, and whose v2 awaits another gate in setup(). */
const waiting = (port: number, setup: string) => `
import { exec, transaction } from "derp:runtime/sql";
const gate = (name) => fetch("http://127.0.0.1:${port}/" + name);
export const handler = {
    async setup() { ${setup} },
    async handle({ body: { how } }) {
        if (how) await gate(how);
        if (how === "insert") exec("INSERT INTO t VALUES ('insert')");
        if (how === "both") exec("INSERT INTO t VALUES ('one'); INSERT INTO t VALUES ('two')");
        if (how === "transaction") transaction(() => { exec("SELECT 1"); exec("INSERT INTO t VALUES ('transaction')"); });
        return exec("SELECT x FROM t ORDER BY rowid").toArray().map((r) => r.x);
    },
};`;
const CREATE = 'exec("CREATE TABLE IF NOT EXISTS t (x)");';
const HOLD = CREATE + 'exec("INSERT INTO t VALUES (\'setup\')"); await gate("setup");';

test('others wait for a setup() that awaits for long, as long as their own limits let them', async (t) => {
    gates.again();
    const s = await Server.start({ args: ['--threads', '2', '--egress-allow', `127.0.0.1:${gates.origin.port}`] });
    t.after(() => s.stop());
    const limits = { wall_ms: 600_000 };
    await s.deploy('held', waiting(gates.origin.port, CREATE), limits);
    assert.deepEqual((await s.execute('held', {})).json.output, []);
    const ways = ['insert', 'both', 'transaction'];
    const writers = ways.map((how) => s.execute('held', { how }));
    await until('they are under way', () => ways.every((how) => gates.asked.has(how)));
    await s.deploy('held', waiting(gates.origin.port, HOLD), limits);
    const first = s.execute('held', {});
    await until('setup() holds the database', () => gates.asked.has('setup'));
    for (const how of ways) gates.open(how);
    // What a statement waits for other writers is 2 s: nobody may have been told anything by then.
    assert.equal(await Promise.race([...writers, delay(3000, 'nobody')]), 'nobody');
    gates.open('setup');
    for (const run of await Promise.all(writers)) assert.equal(run.status, 200, run.text);
    assert.equal((await first).status, 200);
    assert.deepEqual([...(await s.execute('held', {})).json.output].sort(), ['insert', 'one', 'setup', 'transaction', 'two']);
});

test('who cannot wait for a setup() is told of it', async (t) => {
    gates.again();
    const s = await Server.start({ args: ['--threads', '2', '--egress-allow', `127.0.0.1:${gates.origin.port}`] });
    t.after(() => s.stop());
    await s.deploy('told', waiting(gates.origin.port, CREATE), { wall_ms: 10_000 });
    assert.deepEqual((await s.execute('told', {})).json.output, []);
    const writer = s.execute('told', { how: 'insert' });
    await until('it is under way', () => gates.asked.has('insert'));
    await s.deploy('told', waiting(gates.origin.port, HOLD), { wall_ms: 600_000 });
    const first = s.execute('told', {});
    await until('setup() holds the database', () => gates.asked.has('setup'));
    gates.open('insert');
    assert.match(errorOf(await writer, 504, 'timeout').message, /setup\(\) is still running/);
    gates.open('setup');
    assert.deepEqual((await first).json.output, ['setup']);
});

test("an execution's records in the database are read when a setup() has ended, however long that awaits", async (t) => {
    gates.again();
    const s = await Server.start({ args: ['--threads', '2', '--egress-allow', `127.0.0.1:${gates.origin.port}`] });
    t.after(() => s.stop());
    const source = (setup: string) => `
import { exec } from "derp:runtime/sql";
import { waitForEvent } from "limpet";
export const handler = {
    async setup() { ${setup.replaceAll('gate(', `fetch("http://127.0.0.1:${gates.origin.port}/" + `)} },
    async handle() { exec("INSERT INTO t VALUES ('before')"); await waitForEvent("go"); return exec("SELECT count(*) AS n FROM t").one().n; },
};`;
    await deployWorkflow(s, 'held-flow', source(CREATE), { wall_ms: 600_000 });
    const first = await start(s, 'held-flow');
    await suspended(s, first);
    await deployWorkflow(s, 'held-flow', source(HOLD), { wall_ms: 600_000 });
    const second = await start(s, 'held-flow');
    await until('setup() holds the database', () => gates.asked.has('setup'));
    await signal(s, first, 'go');
    await delay(3000); // what others wait for is 2 s
    assert.ok(!isFinished((await show(s, first)).status));
    gates.open('setup');
    assert.ok([2, 3].includes(await output(s, first)));
    await signal(s, second, 'go');
    assert.equal(await output(s, second), 3);
    assert.doesNotMatch(s.stderr, /busy|trying again|cannot/);
});
