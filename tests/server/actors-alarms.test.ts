// SPDX-License-Identifier: Apache-2.0
// Alarms of actors: at their time, again when they fail, after a kill; and a storm of kills over actors that count.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Answer, IS_ASAN, Server, until, useServer } from './harness.ts';

const server = useServer({ args: ['--threads', '2'] });

const bindings = [{ type: 'durable_object_namespace', name: 'NS', class_name: 'A' }];

async function deploy(s: Server, name: string, members: string, body: string): Promise<void> {
    await s.deploy(name, `import { DurableObject } from "cloudflare:workers";
        export class A extends DurableObject { ${members} }
        export default { async fetch(request, env, ctx) { const url = new URL(request.url); const stub = env.NS.getByName(url.searchParams.get("id") ?? "x"); ${body} } };`, { bindings });
}

async function json(answer: Promise<Answer>): Promise<any> {
    const { status, text, json } = await answer;
    assert.equal(status, 200, text);
    return json;
}

const LOG = `async log(line) { const log = await this.ctx.storage.get("log") ?? []; log.push(line); await this.ctx.storage.put("log", log); }
    async lines() { return await this.ctx.storage.get("log") ?? []; }`;

test('the batcher of the documentation: what was collected is handled at the alarm', async () => {
    const s = await server();
    await deploy(s, 'batcher', `${LOG}
        async add(item) {
            const { storage } = this.ctx;
            const n = (await storage.list({ prefix: "item:" })).size;
            await storage.put("item:" + n, item);
            if (await storage.getAlarm() === null) await storage.setAlarm(Date.now() + 100);
            return await storage.getAlarm() > Date.now() - 1000;
        }
        async alarm(info) {
            const items = await this.ctx.storage.list({ prefix: "item:" });
            await this.log([info.retryCount, info.isRetry, await this.ctx.storage.getAlarm(), [...items.values()]]);
            await this.ctx.storage.delete([...items.keys()]);
        }`, 'return Response.json(url.pathname === "/lines" ? await stub.lines() : await stub.add(url.searchParams.get("item")));');
    for (const item of ['a', 'b', 'c'])
        assert.equal(await json(s.request('batcher', `/?item=${item}`)), true);
    const lines = await until('the alarm', async () => {
        const all = await json(s.request('batcher', '/lines'));
        return all.length > 0 && all.flatMap((l: any) => l[3]).length === 3 && all;
    });
    for (const line of lines) assert.deepEqual(line.slice(0, 3), [0, false, null]);
});

test('alarms: moved, deleted, in the past, set by alarm() itself', async () => {
    const s = await server();
    await deploy(s, 'moves', `${LOG}
        async run() {
            const { storage } = this.ctx;
            await storage.setAlarm(Date.now() + 3600e3);
            await storage.setAlarm(new Date(Date.now() + 7200e3));
            const later = await storage.getAlarm() - Date.now();
            await storage.deleteAlarm();
            const none = await storage.getAlarm();
            const wrong = await storage.setAlarm("soon").catch((e) => e.name);
            await storage.setAlarm(Date.now() - 5);
            return [later > 7100e3, none, wrong];
        }
        async alarm() { this.n = (this.n ?? 0) + 1; await this.log(this.n); if (this.n < 4) await this.ctx.storage.setAlarm(Date.now() + 5); }
        async left() { return this.ctx.storage.getAlarm(); }`,
        'return Response.json(url.pathname === "/lines" ? await stub.lines() : url.pathname === "/left" ? await stub.left() : await stub.run());');
    assert.deepEqual(await json(s.request('moves')), [true, null, 'TypeError']);
    await until('four alarms', async () => (await json(s.request('moves', '/lines'))).length >= 4);
    assert.deepEqual(await json(s.request('moves', '/lines')), [1, 2, 3, 4]);
    assert.equal(await json(s.request('moves', '/left')), null);
});

test('an alarm() that throws is called again after 2 s, and told so', async () => {
    const s = await server();
    await deploy(s, 'fails', `${LOG}
        async run() { await this.ctx.storage.setAlarm(Date.now()); }
        async alarm(info) { await this.log([info.retryCount, info.isRetry]); if (!info.isRetry) throw new Error("not yet"); }`,
        'return Response.json(url.pathname === "/lines" ? await stub.lines() : await stub.run() ?? null);');
    const before = Date.now();
    await json(s.request('fails'));
    await until('the second', async () => (await json(s.request('fails', '/lines'))).length >= 2);
    assert.ok(Date.now() - before >= 2000);
    assert.deepEqual(await json(s.request('fails', '/lines')), [[0, false], [1, true]]);
    await until('the log', async () => (await s.api('GET', '/functions/fails/logs')).json.some((l: any) => l.text.includes('not yet')));
});

test('an alarm goes off after a kill -9, also one that was running', async () => {
    let s = await Server.start({ args: ['--threads', '2'] });
    try {
        await deploy(s, 'killed', `${LOG}
            async run() { await this.ctx.storage.setAlarm(Date.now() + 300); }
            async alarm(info) { await this.log(info.retryCount); if (info.retryCount === 0) await scheduler.wait(60_000); }`,
            'return Response.json(url.pathname === "/lines" ? await stub.lines() : await stub.run() ?? null);');
        await json(s.request('killed'));
        await s.kill();
        s = await s.revive();
        await until('it runs', async () => (await json(s.request('killed', '/lines'))).length === 1);
        await s.kill();
        s = await s.revive();
        await until('it runs again', async () => (await json(s.request('killed', '/lines'))).length === 2);
        assert.deepEqual(await json(s.request('killed', '/lines')), [0, 1]);
    } finally {
        await s.kill();
    }
});

test('a storm of kills: no acknowledged write is lost, no alarm is missed, no two instances', async () => {
    const ROUNDS = IS_ASAN ? 4 : 8, IDS = 12;
    let s = await Server.start({ args: ['--threads', '2', '--rest-ms', '100'] });
    const acknowledged = new Map<string, number>();
    try {
        await deploy(s, 'storm', `
            constructor(ctx, env) { super(ctx, env); this.count = ctx.storage.kv.get("count") ?? 0; }
            async add() {
                if (this.count !== (await this.ctx.storage.get("count") ?? 0)) throw new Error("another instance has written");
                this.count++;
                this.ctx.storage.put("count", this.count);
                this.ctx.storage.sql.exec("CREATE TABLE IF NOT EXISTS log(n INTEGER PRIMARY KEY)");
                this.ctx.storage.sql.exec("INSERT INTO log VALUES(?)", this.count);
                await this.ctx.storage.put("due", this.count);
                await this.ctx.storage.setAlarm(Date.now() + 20);
                return this.count;
            }
            async alarm() { await this.ctx.storage.put("rang", await this.ctx.storage.get("due")); }
            async state() {
                return [this.count, this.ctx.storage.sql.exec("SELECT count(*) AS n FROM log").one().n, await this.ctx.storage.get("due"), await this.ctx.storage.get("rang") ?? 0];
            }`, 'return Response.json(url.pathname === "/state" ? await stub.state() : await stub.add());');
        for (let round = 0; round < ROUNDS; round++) {
            let isOver = false;
            const clients = Array.from({ length: IDS }, async (_, i) => {
                const id = `id${i}`;
                while (!isOver) {
                    const answer = await s.request('storm', `/?id=${id}`).catch(() => undefined);
                    if (!answer) break;
                    if (answer.status === 200) acknowledged.set(id, answer.json);
                    else assert.ok(answer.status === 503, answer.text);
                }
            });
            const enough = [...acknowledged.values()].reduce((a, b) => a + b, 0) + 100;
            await until('writes', () => [...acknowledged.values()].reduce((a, b) => a + b, 0) >= enough);
            await s.kill();
            isOver = true;
            await Promise.all(clients);
            s = await s.revive();
            for (const [id, n] of acknowledged) {
                const [count, rows] = await json(s.request('storm', `/state?id=${id}`));
                assert.ok(count >= n, `${id}: ${count} of ${n} acknowledged`);
                assert.equal(rows, count, 'one commit');
                acknowledged.set(id, count);
            }
        }
        for (const id of acknowledged.keys())
            await until(`the alarm of ${id}`, async () => {
                const [, , due, rang] = await json(s.request('storm', `/state?id=${id}`));
                return due === rang;
            });
    } finally {
        await s.kill();
    }
});
