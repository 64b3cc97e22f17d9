// SPDX-License-Identifier: Apache-2.0
// SQL that takes long, on the only engine thread: other functions are answered meanwhile, and it ends by
// its own limits. Transactions are bounded, and what a connection remembers is the guest's own.
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { IS_ASAN, useServer, until } from './harness.ts';

const server = useServer({ args: ['--threads', '1'] });

const FILL = `
exec("CREATE TABLE IF NOT EXISTS big (id INTEGER PRIMARY KEY, t TEXT)");
if (exec("SELECT count(*) AS n FROM big").one().n === 0)
    exec("INSERT INTO big (t) WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 60000) SELECT printf('%032d', (i * 7919) % 60000) FROM n");
exec("CREATE VIRTUAL TABLE IF NOT EXISTS words USING fts5(t)");`;

/** A statement that goes to the pool and home again uses CPU time there, and on a starved machine the way takes far longer than the work. */
const MANY = 'WITH RECURSIVE many(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM many LIMIT 40)';

/** Each runs into the limit of 600 ms, or takes long for a single step of SQLite. */
const HOSTILE: Record<string, string> = {
    'a loop': `exec("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n")`,
    'instr': `for (;;) exec("SELECT instr(zeroblob(3000000), zeroblob(1500000) || x'01')")`,
    'replace': `for (;;) exec("${MANY} SELECT sum(length(replace(printf('%.*c', 1000000 + i, 'a'), 'a', 'bb'))) FROM many")`,
    'trim': `for (;;) exec("${MANY} SELECT sum(length(trim(printf('%.*c', 1000000 + i, 'x'), printf('%.*c', 1000000, 'y') || 'x'))) FROM many")`,
    'like': `exec("SELECT printf('%.*c', 3000000, 'a') LIKE ?", "%" + "a".repeat(900) + "b")`,
    'glob': `exec("SELECT printf('%.*c', 1500000, 'é') GLOB ?", "*" + "[é]".repeat(150) + "b")`,
    'doubling': `for (;;) exec("WITH RECURSIVE r(x) AS (SELECT 'aaaaaaaa' UNION ALL SELECT x || x FROM r LIMIT 18) SELECT max(length(x)) FROM r")`,
    'randomblob': `for (;;) exec("SELECT length(hex(randomblob(1000000)))")`,
    'json': `for (;;) exec("SELECT json_array_length(?)", "[" + "1,".repeat(200000) + "1]")`,
    'a sort': `for (;;) exec("SELECT t FROM big ORDER BY t DESC LIMIT 1 OFFSET 59000")`,
    'integrity check': `for (;;) exec("PRAGMA integrity_check")`,
    'count': `for (;;) exec("SELECT count(*) FROM big")`,
    'full text': `for (;;) { exec("INSERT INTO words SELECT t FROM big LIMIT 20000"); exec("INSERT INTO words(words) VALUES('optimize')"); exec("SELECT count(*) FROM words WHERE words MATCH '0*'"); }`,
    'a join to plan': `for (;;) exec("SELECT count(*) FROM " + Array.from({ length: 14 }, (_, i) => "big b" + i).join(", ") + " WHERE " + Array.from({ length: 13 }, (_, i) => "b" + i + ".t = b" + (i + 1) + ".id").join(" AND ") + " AND b0.id = " + Math.random())`,
    'a large text': `for (;;) exec("SELECT " + "1,".repeat(1000) + Math.random())`,
    'a write': `exec("INSERT INTO big (t) WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT 'x' FROM n")`,
    'in a transaction': `transaction(() => exec("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"))`,
    'code in a transaction': `transaction(() => { for (;;); })`,
};

before(async () => {
    const s = await server();
    await s.deploy('hello', 'export default { fetch() { return new Response("hello"); } };');
    await s.deploy('hostile', `
import { exec, transaction } from "derp:runtime/sql";
const bad = { ${Object.entries(HOSTILE).map(([name, code]) => `${JSON.stringify(name)}() { ${code} }`).join(',\n')} };
export const handler = { setup() { ${FILL} }, handle({ body }) { bad[body.bad](); return "it ended"; } };`, { cpu_ms: IS_ASAN ? 200 : 600, wall_ms: 600_000 });
    assert.notEqual((await s.execute('hostile', { bad: 'none' })).status, 200);
});

for (const name of Object.keys(HOSTILE)) {
    test(`${name}: a neighbor is answered meanwhile, and it ends`, async () => {
        const s = await server();
        let isOver = false, served = 0;
        const hostile = s.execute('hostile', { bad: name }).finally(() => (isOver = true));
        while (!isOver) {
            assert.equal((await s.request('hello')).text, 'hello');
            served += isOver ? 0 : 1;
        }
        const answer = await hostile;
        assert.notEqual(answer.status, 200, answer.text);
        assert.match(answer.text, /CPU|took more than its limit of 100 ms/);
        // How many depends on time; a sanitizer makes each of them some twenty times as long.
        assert.ok(IS_ASAN || served >= 10, `${served} requests were served beside it`);
        assert.equal((await s.request('hello')).text, 'hello');
    });
}

test('a transaction that takes too long is rolled back, says so, and others can write', async () => {
    const s = await server();
    await s.deploy('holder', `
import { exec, transaction } from "derp:runtime/sql";
export const handler = {
    setup() { exec("CREATE TABLE t (a)"); },
    handle({ body }) {
        if (body.write) { exec("INSERT INTO t VALUES (?)", body.write); return exec("SELECT a FROM t ORDER BY a").toArray().map((r) => r.a); }
        let told = "";
        try {
            transaction(() => { exec("INSERT INTO t VALUES ('lost')"); let x = 0; for (let i = 0; i < 2e7; i++) x += i; exec("INSERT INTO t VALUES ('lost too')"); });
        } catch (e) { told = e.message; }
        exec("INSERT INTO t VALUES ('after')");
        return told;
    },
};`, { cpu_ms: 60000, wall_ms: 120000 });
    assert.deepEqual((await s.execute('holder', { write: 'first' })).json.output, ['first']);
    let isOver = false;
    const holder = s.execute('holder', {}).finally(() => (isOver = true));
    await until('a write beside it', async () => (await s.execute('holder', { write: 'beside' })).status === 200);
    assert.equal(isOver, false);
    assert.match((await holder).json.output, /rolled back.*100 ms/);
    const rows = (await s.execute('holder', { write: 'last' })).json.output;
    assert.ok(!rows.some((r: string) => r.startsWith('lost')), rows.join());
    assert.ok(rows.includes('after') && rows.includes('beside'));
});

test('a module may have longer transactions', async () => {
    const s = await server();
    await s.deploy('longer', `
import { exec, transaction } from "derp:runtime/sql";
export const handler = {
    setup() { exec("CREATE TABLE t (a)"); },
    handle() {
        transaction(() => {
            exec("INSERT INTO t VALUES ('kept')");
            for (const end = Date.now() + 250; Date.now() < end;);
            exec("INSERT INTO t WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 200000) SELECT max(i) FROM n");
        });
        return exec("SELECT count(*) AS n FROM t").one().n;
    },
};`, { cpu_ms: 60_000, wall_ms: 600_000, sql_transaction_ms: 60_000 });
    assert.equal((await s.execute('longer', {})).json.output, 2);
});

test('CPU time of SQL that is away is the module\'s and the guest\'s', async () => {
    const s = await server();
    await s.deploy('meter', `
import { exec } from "derp:runtime/sql";
export default { fetch() { return Response.json(exec("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 300000) SELECT count(*) AS n FROM n").one()); } };`, { cpu_ms: 60_000, wall_ms: 600_000 });
    assert.deepEqual((await s.request('meter')).json, { n: 300000 });
    // 300,000 rows are well above a millisecond on any machine, and the engine thread keeps 2 ms of them at most.
    await until('it is metered', async () => {
        const found = [...(await s.metrics()).entries()].find(([name]) => name.startsWith('limpet_module_cpu_seconds_total') && name.includes('"meter"'));
        return found !== undefined && found[1] > 0.006;
    });
});

test('last_insert_rowid() and changes() are the guest\'s own', async () => {
    const s = await server();
    await s.deploy('rowids', `
import { exec } from "derp:runtime/sql";
export const handler = {
    setup() { exec("CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER)"); },
    handle({ body }) {
        const fresh = exec("SELECT last_insert_rowid() AS id, changes() AS c, total_changes() AS t").one();
        const mine = Number(exec("INSERT INTO t (n) VALUES " + Array(body.n).fill("(1)").join(",")).lastInsertRowid);
        let x = 0;
        for (let i = 0; i < 2e6; i++) x += i; /* longer than a slice: the others run in between */
        const seen = exec("SELECT last_insert_rowid() AS id, changes() AS c, total_changes() AS t").one();
        return { fresh, ok: seen.id === mine && seen.c === body.n && seen.t === body.n };
    },
};`, { cpu_ms: 60000, wall_ms: 120000 });
    await s.execute('rowids', { n: 1 });
    const runs = await Promise.all(Array.from({ length: 12 }, (_, i) => s.execute('rowids', { n: i + 1 })));
    for (const run of runs) {
        assert.deepEqual(run.json.output, { fresh: { id: 0, c: 0, t: 0 }, ok: true });
    }
});

test('a guest that ends while its statement is away leaves the database usable', async () => {
    const s = await server();
    await s.deploy('gone', `
import { exec } from "derp:runtime/sql";
export const handler = {
    setup() { exec("CREATE TABLE t (a)"); },
    handle({ body }) {
        if (body.count) return exec("SELECT count(*) AS n FROM t").one().n;
        exec("INSERT INTO t WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n");
    },
};`, { cpu_ms: 60000, wall_ms: 300 });
    assert.equal((await s.execute('gone', { count: true })).json.output, 0);
    const ended = await Promise.all([s.execute('gone', {}), s.execute('gone', {})]);
    for (const a of ended) {
        assert.notEqual(a.status, 200, a.text);
    }
    assert.equal((await s.execute('gone', { count: true })).json.output, 0);
});
