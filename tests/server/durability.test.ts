// SPDX-License-Identifier: Apache-2.0
// kill -9 at any moment: after a restart, everything that was acknowledged is there and nothing half-done is seen.
// Clients work on the server without pause and remember what was acknowledged; the process is killed in the middle, again and
// again, after a number of acknowledgments that differs each time, so that the blow falls at other points.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { test } from 'node:test';
import { IS_ASAN, Server, until } from './harness.ts';

const ROUNDS = IS_ASAN ? 4 : 8;

/** Runs job until the server is gone; what job throws then is expected. */
async function hammer(s: Server, job: () => Promise<void>): Promise<void> {
    while (s.isAlive) {
        try {
            await job();
        } catch (e) {
            // A wrong answer is a failure; a broken connection is the kill.
            if (e instanceof assert.AssertionError) throw e;
            if (!s.isAlive) return;
            await Promise.race([s.exited, new Promise((r) => setTimeout(r, 5))]);
        }
    }
}

async function killAfter(s: Server, what: string, isTime: () => boolean): Promise<void> {
    await until(what, () => isTime() || !s.isAlive);
    await s.kill();
}

test('SQL commits by public requests', async () => {
    let s = await Server.start({ args: ['--threads', '2'] });
    try {
        await s.deploy('ledger', `
import { exec, transaction } from "derp:runtime/sql";
export const handler = {
    setup() { exec("CREATE TABLE a (id TEXT PRIMARY KEY)"); exec("CREATE TABLE b (id TEXT PRIMARY KEY)"); },
    handle(req) {
        if (req.body?.list) return { a: exec("SELECT id FROM a").toArray().map((r) => r.id), b: exec("SELECT id FROM b").toArray().map((r) => r.id) };
        transaction(() => { exec("INSERT INTO a VALUES (?)", req.body.id); exec("INSERT INTO b VALUES (?)", req.body.id); });
        return { done: req.body.id };
    },
};`);
        const acknowledged = new Set<string>();
        let serial = 0;
        for (let round = 0; round < ROUNDS; round++) {
            const server = s;
            const goal = acknowledged.size + 20 + round * 13;
            const clients = Array.from({ length: 6 }, () => hammer(server, async () => {
                const id = `x${serial++}`;
                const res = await server.request('ledger', '/', { method: 'POST', body: JSON.stringify({ id }) });
                assert.equal(res.status, 200, res.text);
                assert.equal(res.json.done, id);
                acknowledged.add(id);
            }));
            await killAfter(s, `${goal} commits`, () => acknowledged.size >= goal);
            await Promise.all(clients);
            s = await s.revive();
            const { a, b } = (await s.request('ledger', '/', { method: 'POST', body: '{"list":true}' })).json;
            const there = new Set(a);
            for (const id of acknowledged) assert.ok(there.has(id), `round ${round}: ${id} was acknowledged and is lost`);
            assert.deepEqual([...a].sort(), [...b].sort(), 'no half transaction');
        }
    } finally {
        await s.kill();
        fs.rmSync(s.data, { recursive: true, force: true });
    }
});

test('executions: acknowledged ones have their record, no other is left running', async () => {
    let s = await Server.start({ args: ['--threads', '2'] });
    try {
        await s.deploy('runs', 'export const handler = { async handle(req) { console.log("n=" + req.body.n); await new Promise((r) => setTimeout(r, 2)); return { n: req.body.n }; } };');
        const acknowledged = new Map<string, number>();
        let serial = 0;
        for (let round = 0; round < ROUNDS; round++) {
            const server = s;
            const goal = acknowledged.size + 15 + round * 7;
            const clients = Array.from({ length: 6 }, () => hammer(server, async () => {
                const n = serial++;
                const res = await server.execute('runs', { n });
                assert.equal(res.status, 200, res.text);
                acknowledged.set(res.json.execution_id, n);
            }));
            await killAfter(s, `${goal} runs`, () => acknowledged.size >= goal);
            await Promise.all(clients);
            s = await s.revive();
            for (const [id, n] of acknowledged) {
                const record = await s.api('GET', `/executions/${id}`);
                assert.equal(record.status, 200, `round ${round}: ${id} is lost`);
                assert.equal(record.json.status, 'success');
                assert.deepEqual(record.json.output, { n });
                assert.deepEqual(record.json.logs.map((l: any) => l.text), [`n=${n}`]);
            }
            const all = (await s.api('GET', '/functions/runs/executions?limit=1000')).json;
            assert.deepEqual(all.filter((e: any) => e.status === 'running'), [], 'what the kill interrupted is not running any more');
        }
    } finally {
        await s.kill();
        fs.rmSync(s.data, { recursive: true, force: true });
    }
});

test('uploads: what was ready serves, what was accepted has an end', async () => {
    let s = await Server.start({ args: ['--threads', '2'] });
    try {
        const source = (n: number) => `export default { fetch() { return Response.json({ n: ${n} }); } };`;
        const ready = new Map<string, number>(); // the last upload of each name that was seen ready
        const accepted: [string, number][] = [];
        let serial = 0;
        for (let round = 0; round < ROUNDS; round++) {
            const server = s;
            const goal = accepted.length + 3 + (round % 5);
            const attempted = new Map<string, Set<number>>();
            const clients = ['up-a', 'up-b', 'up-c'].map((name) => hammer(server, async () => {
                const n = serial++;
                attempted.set(name, (attempted.get(name) ?? new Set()).add(n));
                const res = await server.api('POST', '/functions', { name, source: source(n) });
                assert.equal(res.status, 202, res.text);
                accepted.push([name, res.json.build.id]);
                const build = await server.built(name, res.json.build.id);
                assert.equal(build.status, 'ready', JSON.stringify(build));
                ready.set(name, n);
            }));
            await killAfter(s, `${goal} uploads`, () => accepted.length >= goal);
            await Promise.all(clients);
            s = await s.revive();
            for (const [name, n] of ready) {
                const res = await s.request(name);
                assert.equal(res.status, 200, `round ${round}: ${name}: ${res.text}`);
                // A later upload may have become ready just before the kill; an earlier one must not be back.
                assert.ok(res.json.n === n || (res.json.n > n && attempted.get(name)?.has(res.json.n)), `${name} serves ${res.json.n}, ready was ${n}`);
                ready.set(name, res.json.n);
            }
            for (const [name, id] of accepted) {
                const build = await s.built(name, id);
                if (build.status === 'failed') assert.match(build.error.message, /restart|stopped|interrupted|server/i);
            }
            for (const f of (await s.api('GET', '/functions')).json) assert.ok(['ready', 'failed'].includes(f.status), JSON.stringify(f));
        }
    } finally {
        await s.kill();
        fs.rmSync(s.data, { recursive: true, force: true });
    }
});

test('environment and deletes that were acknowledged', async () => {
    let s = await Server.start();
    try {
        const deleted = new Set<string>();
        const values = new Map<string, string>();
        let serial = 0;
        await s.deploy('keeps', 'import * as env from "derp:runtime/env"; export default () => ({ A: env.get("A") ?? null });');
        for (let round = 0; round < Math.min(ROUNDS, 4); round++) {
            const server = s;
            const goal = values.size + 1;
            let count = 0;
            const clients = [
                hammer(server, async () => {
                    const value = `v${serial++}`;
                    const res = await server.api('PUT', '/functions/keeps/env/A', { value });
                    assert.equal(res.status, 204);
                    values.set('A', value);
                    count++;
                }),
                hammer(server, async () => {
                    const name = `doomed-${serial++}`;
                    await server.deploy(name, 'export default () => 1;');
                    if ((await server.api('DELETE', `/functions/${name}`)).status === 204) deleted.add(name);
                }),
            ];
            await killAfter(s, `${goal} changes`, () => count >= 10 + round * 5 && deleted.size > round);
            await Promise.all(clients);
            s = await s.revive();
            const now = (await s.request('keeps', '/', { host: s.host('keeps') })).json.A;
            assert.ok(Number(now.slice(1)) >= Number(values.get('A')!.slice(1)), `${now} is older than ${values.get('A')}`);
            for (const name of deleted) assert.equal((await s.api('GET', `/functions/${name}`)).status, 404, name);
        }
    } finally {
        await s.kill();
        fs.rmSync(s.data, { recursive: true, force: true });
    }
});

test('a restart finds functions, versions, env, executions and logs as they were', async () => {
    let s = await Server.start();
    try {
        for (let i = 0; i < 10; i++) await s.deploy(`f${i}`, `export default { fetch() { console.log("hi"); return Response.json(${i}); } };`);
        await s.api('PUT', '/functions/f3/env/A', { value: '1' });
        const id = (await s.execute('f3')).json.execution_id;
        const before = (await s.api('GET', '/functions')).json;
        s = await s.restart();
        for (let i = 0; i < 10; i++) assert.equal((await s.request(`f${i}`)).json, i);
        const strip = (list: any[]) => list.map(({ url, ...f }) => f);
        assert.deepEqual(strip((await s.api('GET', '/functions')).json), strip(before));
        assert.deepEqual((await s.api('GET', '/functions/f3/env')).json, [{ name: 'A', value: '1' }]);
        const record = (await s.api('GET', `/executions/${id}`)).json;
        assert.equal(record.status, 'success');
        assert.equal(record.logs.length, 1);
    } finally {
        await s.kill();
        fs.rmSync(s.data, { recursive: true, force: true });
    }
});
