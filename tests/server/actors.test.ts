// SPDX-License-Identifier: Apache-2.0
// Actors (Durable Objects): ids, one instance of each, storage, gates, what resets one.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Answer, Server, until, useServer } from './harness.ts';

const server = useServer({ args: ['--threads', '2'] });

const actors = (className: string, more: object = {}) => ({ type: 'durable_object_namespace', name: 'NS', class_name: className, ...more });

/** A function whose answer is what `body` returns, with a class of actors bound to it as NS. */
async function deploy(s: Server, name: string, classes: string, body: string, bindings: object[] = [actors('A')], more: object = {}): Promise<void> {
    await s.deploy(name, `import { DurableObject } from "cloudflare:workers";
        ${classes}
        export default { async fetch(request, env, ctx) { ${body} } };`, { bindings, ...more });
}

async function json(answer: Promise<Answer>): Promise<any> {
    const { status, text, json } = await answer;
    assert.equal(status, 200, text);
    return json;
}

test('the counter of the documentation: one instance of each name, whose state stays', async () => {
    const s = await server();
    await deploy(s, 'counter', `export class A extends DurableObject {
        async increment(amount = 1) {
            let value = (await this.ctx.storage.get("value")) || 0;
            value += amount;
            await this.ctx.storage.put("value", value);
            return value;
        }
        async fetch(request) { return new Response(this.ctx.id.name + " " + this.calls() + " " + await request.text()); }
        calls() { return this.n = (this.n ?? 0) + 1; }
    }`, `
        const url = new URL(request.url);
        const stub = env.NS.getByName(url.searchParams.get("name"));
        if (url.pathname === "/fetch") return stub.fetch("http://do/", { method: "POST", body: "body" });
        return Response.json(await stub.increment(Number(url.searchParams.get("by") ?? 1)));`);
    assert.equal(await json(s.request('counter', '/?name=a')), 1);
    assert.equal(await json(s.request('counter', '/?name=a&by=5')), 6);
    assert.equal(await json(s.request('counter', '/?name=b')), 1);
    assert.equal((await s.request('counter', '/fetch?name=a')).text, 'a 1 body');
    assert.equal((await s.request('counter', '/fetch?name=a')).text, 'a 2 body');
    const all = await Promise.all(Array.from({ length: 40 }, () => json(s.request('counter', '/?name=c'))));
    assert.deepEqual(all.sort((a, b) => a - b), Array.from({ length: 40 }, (_, i) => i + 1));
});

test('ids: of names, of chance, of texts', async () => {
    const s = await server();
    await deploy(s, 'ids', `export class A extends DurableObject { who() { return [this.ctx.id.toString(), this.ctx.id.name ?? null]; } }
        export class B extends DurableObject {}`, `
        const a = env.NS.idFromName("x"), u = env.NS.newUniqueId();
        const refused = (id) => { try { env.NS.idFromString(id); return null; } catch (e) { return e.name; } };
        const stub = env.NS.get(a);
        return Response.json({
            id: a.toString(), again: a.equals(env.NS.idFromName("x")), other: a.equals(env.NS.idFromName("y")), name: a.name,
            unique: /^[0-9a-f]{64}$/.test(String(u)), uniqueName: u.name === undefined, fromString: env.NS.idFromString(a.toString().toUpperCase()).equals(a),
            refused: [refused(env.OTHER.idFromName("x").toString()), refused("00".repeat(32)), refused("xyz")],
            stub: [stub.id.equals(a), stub.name, stub.constructor.name], who: await stub.who(), whoUnique: (await env.NS.get(u).who())[1],
            byString: (await env.NS.get(env.NS.idFromString(a.toString())).who())[1],
        });`, [actors('A'), actors('B', { name: 'OTHER' })]);
    const r = await json(s.request('ids'));
    assert.match(r.id, /^[0-9a-f]{64}$/);
    assert.deepEqual({ ...r, id: '' }, {
        id: '', again: true, other: false, name: 'x', unique: true, uniqueName: true, fromString: true,
        refused: ['TypeError', 'TypeError', 'TypeError'], stub: [true, 'x', 'DurableObject'], who: [r.id, 'x'], whoUnique: null, byString: 'x',
    });
    assert.equal((await json(s.request('ids'))).id, r.id);
});

test('storage: one key and many, lists, deletes', async () => {
    const s = await server();
    await deploy(s, 'kv', `export class A extends DurableObject {
        async run() {
            const { storage } = this.ctx, out = {};
            await storage.put("one", { at: new Date(5), list: [1, 2n, undefined], bytes: new Uint8Array([1, 2]) });
            const one = await storage.get("one");
            out.one = [one.at.getTime(), String(one.list[1]), 2 in one.list, one.bytes[1]];
            out.missing = await storage.get("missing") === undefined;
            await storage.put({ a1: 1, a2: 2, "a3": 3, b1: 4, "ä": 5, "\u{1F600}": 6, "\uFFFF": 7 });
            out.many = [...await storage.get(["b1", "nothing", "a2"])];
            out.all = [...(await storage.list()).keys()];
            out.prefix = [...await storage.list({ prefix: "a" })];
            out.range = [...(await storage.list({ start: "a2", end: "b1" })).keys()];
            out.after = [...(await storage.list({ startAfter: "a2", limit: 2 })).keys()];
            out.reverse = [...(await storage.list({ prefix: "a", reverse: true, limit: 2 })).keys()];
            out.nothing = [...(await storage.list({ start: "z", end: "b" }))];
            out.deleted = [await storage.delete("a1"), await storage.delete("a1"), await storage.delete(["a2", "a3", "x"])];
            out.sync = [storage.kv.get("b1"), storage.kv.put("k", "v"), storage.kv.get("k"), [...storage.kv.list({ prefix: "k" })], storage.kv.delete("k")];
            const failed = async (f) => { try { await f(); return null; } catch (e) { return e.name; } };
            out.failed = [await failed(() => storage.put("u", undefined)), await failed(() => storage.put("f", () => 1)), await failed(() => storage.list({ limit: 0 })),
                await failed(() => storage.put("k".repeat(3000), 1)), await failed(() => storage.put("k", "x".repeat(3 << 20))),
                await failed(() => storage.put({ fine: 1, wrong: "x".repeat(3 << 20) }))];
            out.whole = await storage.get("fine") === undefined;
            await storage.deleteAll();
            out.left = (await storage.list()).size;
            await storage.sync();
            return out;
        }
    }`, 'return Response.json(await env.NS.getByName("x").run());');
    assert.deepEqual(await json(s.request('kv')), {
        one: [5, '2', true, 2], missing: true, many: [['a2', 2], ['b1', 4]],
        all: ['a1', 'a2', 'a3', 'b1', 'one', 'ä', '\uFFFF', '\u{1F600}'],
        prefix: [['a1', 1], ['a2', 2], ['a3', 3]], range: ['a2', 'a3'], after: ['a3', 'b1'], reverse: ['a3', 'a2'], nothing: [],
        deleted: [true, false, 2], sync: [4, null, 'v', [['k', 'v']], true],
        failed: ['TypeError', 'DataCloneError', 'TypeError', 'RangeError', 'RangeError', 'RangeError'], whole: true, left: 0,
    });
});

test('SQL of an actor: cursors, blobs, its own tables apart from those of the platform', async () => {
    const s = await server();
    await deploy(s, 'sql', `export class A extends DurableObject {
        constructor(ctx, env) {
            super(ctx, env);
            this.sql = ctx.storage.sql;
            this.sql.exec("CREATE TABLE IF NOT EXISTS artist(id INTEGER PRIMARY KEY, name TEXT, blob BLOB); INSERT OR IGNORE INTO artist VALUES(1, ?, ?)", "Bob", new Uint8Array([7, 8]));
        }
        async run() {
            const out = {}, sql = this.sql;
            await this.ctx.storage.put("k", 1);
            const cursor = sql.exec("INSERT INTO artist(name) VALUES(?), (?) RETURNING id, name", "Eve", null);
            out.columns = cursor.columnNames;
            out.written = cursor.rowsWritten;
            out.rows = cursor.toArray();
            out.one = sql.exec("SELECT count(*) AS n FROM artist").one();
            out.raw = [...sql.exec("SELECT id, name FROM artist WHERE id < ?", 2).raw()];
            out.blob = new Uint8Array(sql.exec("SELECT blob FROM artist WHERE id = 1").one().blob)[1];
            out.iterated = [...sql.exec("SELECT 1 AS x UNION SELECT 2")].map((r) => r.x);
            const failed = (f) => { try { f(); return null; } catch (e) { return e.message; } };
            out.failed = [failed(() => sql.exec("SELECT * FROM artist").one()), failed(() => sql.exec("SELECT 1 WHERE 0").one()), failed(() => sql.exec("SELEC"))?.slice(0, 10),
                failed(() => sql.exec("SELECT * FROM _cf_KV"))?.includes("server's own"), failed(() => sql.exec("CREATE TABLE _cf_x(a)"))?.includes("server's own"),
                failed(() => sql.exec("BEGIN"))?.includes("transaction")];
            out.size = sql.databaseSize > 0 && sql.databaseSize % 4096 === 0;
            await this.ctx.storage.deleteAll();
            out.tables = sql.exec("SELECT name FROM sqlite_schema WHERE name NOT LIKE '_cf_%' AND type = 'table'").toArray();
            return out;
        }
    }`, 'return Response.json(await env.NS.getByName("x").run());');
    assert.deepEqual(await json(s.request('sql')), {
        columns: ['id', 'name'], written: 2, rows: [{ id: 2, name: 'Eve' }, { id: 3, name: null }], one: { n: 3 }, raw: [[1, 'Bob']], blob: 8, iterated: [1, 2],
        failed: ['Expected exactly one result from SQL query, but got multiple results.', 'Expected exactly one result from SQL query, but got no results.',
            'near "SELE', true, true, true],
        size: true, tables: [],
    });
});

test('transactions: what throws or is rolled back leaves nothing', async () => {
    const s = await server();
    await deploy(s, 'transactions', `export class A extends DurableObject {
        async run() {
            const { storage } = this.ctx, out = [];
            await storage.put("n", 1);
            out.push(await storage.transaction(async (txn) => { await txn.put("n", 2); await scheduler.wait(1); return txn.get("n"); }));
            out.push(await storage.transaction(async (txn) => { await txn.put("n", 3); await scheduler.wait(1); throw new Error("no"); }).catch((e) => e.message), await storage.get("n"));
            await storage.transaction(async (txn) => { await txn.put("n", 4); txn.rollback(); });
            out.push(await storage.get("n"));
            try { storage.transactionSync(() => { storage.kv.put("n", 5); throw new Error("nor this"); }); } catch (e) { out.push(e.message); }
            out.push(storage.transactionSync(() => { storage.kv.put("m", 6); return storage.kv.get("n"); }), await storage.get("m"));
            return out;
        }
    }`, 'return Response.json(await env.NS.getByName("x").run());');
    assert.deepEqual(await json(s.request('transactions')), [2, 'no', 2, 2, 'nor this', 2, 6]);
});

test('nothing else goes on while blockConcurrencyWhile() lasts, and a constructor that uses it is finished first', async () => {
    const s = await server();
    await deploy(s, 'blocks', `export class A extends DurableObject {
        log = [];
        constructor(ctx, env) {
            super(ctx, env);
            ctx.blockConcurrencyWhile(async () => { this.log.push("begin"); await scheduler.wait(30); this.log.push("ready"); });
        }
        async slow(name) { await this.ctx.blockConcurrencyWhile(async () => { this.log.push(name + "<"); await scheduler.wait(20); this.log.push(name + ">"); }); }
        async waits(name) { this.log.push(name + "<"); await scheduler.wait(20); this.log.push(name + ">"); }
        async get() { return this.log; }
    }`, `
        const stub = env.NS.getByName("x");
        await Promise.all([stub.slow("a"), stub.slow("b"), stub.waits("c")]);
        return Response.json(await stub.get());`);
    const log: string[] = await json(s.request('blocks'));
    assert.deepEqual(log.slice(0, 6), ['begin', 'ready', 'a<', 'a>', 'b<', 'b>']);
    assert.deepEqual(log.slice(6), ['c<', 'c>']);
});

test('what throws in blockConcurrencyWhile() or the constructor, and abort(), reset the actor', async () => {
    const s = await server();
    await deploy(s, 'resets', `let made = 0; export class A extends DurableObject {
        constructor(ctx, env) { super(ctx, env); this.made = ++made; if (ctx.storage.kv.get("broken")) { ctx.storage.kv.delete("broken"); throw new RangeError("broken"); } }
        async number() { return [this.made, await this.ctx.storage.get("n") ?? null]; }
        async block() { await this.ctx.blockConcurrencyWhile(async () => { throw new TypeError("in block"); }); }
        async abort() { await this.ctx.storage.put("n", 1); await scheduler.wait(1); this.ctx.storage.put("n", 2); this.ctx.abort("enough"); }
        async breaks() { this.ctx.storage.kv.put("broken", true); await scheduler.wait(1); this.ctx.abort("again"); }
    }`, `
        const stub = env.NS.getByName("x"), out = [];
        const failed = (p) => p.then(() => null, (e) => e.name + " " + e.message);
        this.x = 1;
        out.push((await stub.number())[0]);
        out.push(await failed(stub.block()), (await stub.number())[0]);
        out.push(await failed(stub.abort()), await stub.number());
        out.push(await failed(stub.breaks()), await failed(stub.number()), await stub.number());
        return Response.json(out);`);
    const out = await json(s.request('resets'));
    assert.deepEqual(out.filter((_: unknown, i: number) => i !== 3 && i !== 5), [1, 'TypeError in block', 1, [1, 1], 'RangeError broken', [1, 1]]);
    assert.match(out[3], /enough/);
    assert.match(out[5], /again/);
});

test('an idle actor leaves memory and comes back with what it has stored', async () => {
    const s = await Server.start({ args: ['--threads', '2', '--rest-ms', '20'] });
    try {
        await deploy(s, 'idles', `export class A extends DurableObject {
            async next() { this.memory = (this.memory ?? 0) + 1; const n = (await this.ctx.storage.get("n") ?? 0) + 1; await this.ctx.storage.put("n", n); return [this.memory, n]; }
        }`, 'return Response.json(await env.NS.getByName("x").next());');
        assert.deepEqual(await json(s.request('idles')), [1, 1]);
        let stored = 1;
        await until('it was made anew', async () => {
            await new Promise((resolve) => setTimeout(resolve, 100)); // nobody calls it
            const [memory, n] = await json(s.request('idles'));
            assert.equal(n, ++stored);
            return memory === 1;
        });
    } finally {
        await s.stop();
    }
});

test('a deploy makes new instances of new code', async () => {
    const s = await server();
    const code = (text: string) => `export class A extends DurableObject { async say() { const n = (await this.ctx.storage.get("n") ?? 0) + 1; await this.ctx.storage.put("n", n); return "${text}" + n; } }`;
    const body = 'return new Response(await env.NS.getByName("x").say());';
    await deploy(s, 'deployed', code('one'), body);
    assert.equal((await s.request('deployed')).text, 'one1');
    await deploy(s, 'deployed', code('two'), body);
    assert.equal((await s.request('deployed')).text, 'two2');
});

test('a class that was renamed keeps its instances; a folder of another name is no class', async () => {
    const s = await server();
    const code = (name: string) => `export class ${name} extends DurableObject { async next() { const n = (await this.ctx.storage.get("n") ?? 0) + 1; await this.ctx.storage.put("n", n); return [n, this.constructor.name]; }
        async alarm() { await this.ctx.storage.put("n", 100); } async later() { await this.ctx.storage.setAlarm(Date.now() + 500); } }`;
    const body = 'const stub = env.NS.getByName("x"); if (request.url.endsWith("/later")) await stub.later(); return Response.json([String(stub.id), ...await stub.next()]);';
    await deploy(s, 'renames', code('A'), body);
    const [id] = await json(s.request('renames', '/later'));
    await deploy(s, 'renames', code('Renamed'), body, [actors('Renamed', { renamed: { from: 'A' } })]);
    assert.deepEqual(await json(s.request('renames')), [id, 2, 'Renamed']);
    await until('the alarm that was set before', async () => (await json(s.request('renames')))[1] > 100);
    for (const from of ['../x', 'a/b', '', 7]) {
        const refused = await s.api('POST', '/functions', { name: 'renames', source: code('A'), bindings: [actors('A', { renamed: { from } })] });
        assert.equal(refused.status, 400, refused.text);
    }
});

test('actors of another function, old-style classes, ctx.exports', async () => {
    const s = await server();
    await s.deploy('owner', `export class Old { constructor(state, env) { this.state = state; }
            async fetch(request) { const n = (await this.state.storage.get("n") ?? 0) + 1; await this.state.storage.put("n", n); return new Response(String(n) + new URL(request.url).pathname); } }
        export default { fetch() { return new Response("owner"); } };`);
    await s.deploy('user', `import { DurableObject } from "cloudflare:workers";
        export class Own extends DurableObject { hello(name) { return "hello " + name + " " + this.ctx.id.name; } }
        export default { async fetch(request, env, ctx) {
            const stub = env.NS.getByName("x");
            return Response.json([await (await stub.fetch("http://do/a")).text(), await (await stub.fetch("http://do/b")).text(),
                await stub.method().catch((e) => e.name), await ctx.exports.Own.getByName("me").hello("you")]);
        } };`, { bindings: [actors('Old', { script_name: 'owner' })] });
    assert.deepEqual(await json(s.request('user')), ['1/a', '2/b', 'TypeError', 'hello you me']);
    const missing = await s.upload('lost', 'export default { fetch() { return new Response(""); } };', { bindings: [actors('X', { script_name: 'nowhere' })] } as never).catch((e: Error) => e);
    assert.match(String((missing as Error).message ?? JSON.stringify(missing)), /nowhere/);
});

test('timers go off after the request that has set them, and requests can wait for one another', async () => {
    const s = await server();
    await deploy(s, 'timers', `export class A extends DurableObject {
        async later() { setTimeout(() => { this.rang = true; this.ctx.storage.put("rang", 1); }, 20); return "set"; }
        async rings() { return this.rang ?? false; }
        wait() { return new Promise((resolve) => { this.resolve = resolve; }); }
        async wake() { if (!this.resolve) return false; this.resolve("woken"); return true; }
    }`, `
        const stub = env.NS.getByName("x");
        await stub.later();
        while (!await stub.rings()) await scheduler.wait(20);
        const waiting = stub.wait();
        while (!await stub.wake()) await scheduler.wait(20);
        return new Response(await waiting);`, undefined, { cpu_ms: 20_000 });
    assert.equal((await s.request('timers')).text, 'woken');
});

test('the example of a rate limiter, deployed as a project', async () => {
    const s = await server();
    const deployed = await s.cli(['deploy', 'examples/rate-limiter']);
    assert.equal(deployed.code, 0, deployed.stderr);
    const ask = async (client: string): Promise<number> => (await s.request('rate-limiter', '/', { headers: { 'x-client': client } })).status;
    const statuses: number[] = [];
    for (let i = 0; i < 8; i++) statuses.push(await ask('a'));
    assert.deepEqual(statuses.slice(0, 5), [200, 200, 200, 200, 200]);
    assert.ok(statuses.includes(429), String(statuses));
    assert.equal(await ask('b'), 200);
});
