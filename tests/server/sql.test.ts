// SPDX-License-Identifier: Apache-2.0
// The database of a function: cursors, every type of SQLite, transactions, errors, isolation from other functions.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { errorOf, useServer } from './harness.ts';

const server = useServer({ args: ['--threads', '2'] });

let serial = 0;
/** Runs body as handle() of a new function with exec and transaction in scope; returns its output. */
async function handle(body: string, setup = ''): Promise<any> {
    const s = await server();
    const name = `sql-${serial++}`;
    await s.deploy(name, `
import { exec, transaction } from "derp:runtime/sql";
export const handler = { setup() { ${setup} }, handle(req) { ${body} } };`);
    const run = await s.execute(name);
    assert.equal(run.status, 200, run.text);
    return run.json.output;
}

/** JSON has no BigInt and no blobs: shown as text. */
const SHOW = 'const show = (v) => typeof v === "bigint" ? v + "n" : v instanceof Uint8Array || v instanceof ArrayBuffer ? "bytes:" + [...new Uint8Array(v)] : v;';

test('exec, toArray, one, first', async () => {
    assert.deepEqual(await handle(`
const all = exec("SELECT id, name FROM t WHERE id > ? ORDER BY id", 1).toArray();
const one = exec("SELECT name FROM t WHERE id = ?", 1).one();
const none = exec("SELECT * FROM t WHERE id = 99").first();
const throws = (f) => { try { f(); return false; } catch { return true; } };
return { all, one, none: none === undefined, first: exec("SELECT id FROM t ORDER BY id DESC").first(),
  zero: throws(() => exec("SELECT * FROM t WHERE id = 99").one()), many: throws(() => exec("SELECT * FROM t").one()) };`,
    'exec("CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT)"); for (const n of ["a", "b", "c"]) exec("INSERT INTO t (name) VALUES (?)", n);'),
    { all: [{ id: 2, name: 'b' }, { id: 3, name: 'c' }], one: { name: 'a' }, none: true, first: { id: 3 }, zero: true, many: true });
});

test('every type there and back', async () => {
    assert.deepEqual(await handle(`
${SHOW}
const values = [null, 0, -1, 1.5, -0.0, 1e300, "text", "ünï\\u0000cödé 😀", "", true, false, 9007199254740991, 9007199254740993n, -9223372036854775808n, 9223372036854775807n, 5n, new Uint8Array([0, 1, 255]), new Uint8Array(0), new Uint8Array([9, 8, 7]).subarray(1).buffer, undefined];
return values.map((v) => { const r = exec("SELECT ? AS v, typeof(?) AS t", v, v).one(); return [show(r.v), r.t]; });`),
    [[null, 'null'], [0, 'integer'], [-1, 'integer'], [1.5, 'real'], [0, 'real'], [1e300, 'real'], ['text', 'text'], ['ünï\u0000cödé 😀', 'text'], ['', 'text'], [1, 'integer'], [0, 'integer'],
        [9007199254740991, 'integer'], ['9007199254740993n', 'integer'], ['-9223372036854775808n', 'integer'], ['9223372036854775807n', 'integer'], [5, 'integer'],
        ['bytes:0,1,255', 'blob'], ['bytes:', 'blob'], ['bytes:9,8,7', 'blob'], [null, 'null']]);
});

test('what cannot be a parameter is refused', async () => {
    assert.deepEqual(await handle(`
return [Symbol("x"), () => 1, { a: 1 }, 1n << 70n].map((v) => { try { exec("SELECT ?", v); return "?"; } catch (e) { return e instanceof Error; } });`), [true, true, true, true]);
});

test('parameters: too few, too many, none', async () => {
    const out = await handle(`
const attempt = (f) => { try { f(); return "ok"; } catch (e) { return e.message; } };
return [attempt(() => exec("SELECT ?, ?", 1)), attempt(() => exec("SELECT ?", 1, 2)), attempt(() => exec("SELECT 1"))];`);
    assert.equal(out[2], 'ok');
    assert.notEqual(out[1], 'ok');
});

test('transactions commit, roll back on a throw, and nest', async () => {
    assert.deepEqual(await handle(`
const count = () => exec("SELECT count(*) AS n FROM t").one().n;
const id = transaction(() => { exec("INSERT INTO t VALUES (1)"); return exec("SELECT last_insert_rowid() AS id").one().id; });
const out = [id, count()];
try { transaction(() => { exec("INSERT INTO t VALUES (2)"); throw new Error("no"); }); } catch (e) { out.push(e.message); }
out.push(count());
transaction(() => {
    exec("INSERT INTO t VALUES (3)");
    try { transaction(() => { exec("INSERT INTO t VALUES (4)"); throw new Error("inner"); }); } catch (e) { out.push(e.message); }
    transaction(() => exec("INSERT INTO t VALUES (5)"));
});
out.push(exec("SELECT n FROM t ORDER BY n").toArray().map((r) => r.n));
return out;`, 'exec("CREATE TABLE t (n)");'), [1, 1, 'no', 1, 'inner', [1, 3, 5]]);
});

test('several statements in one text; joins, CTEs, JSON functions, unixepoch', async () => {
    assert.deepEqual(await handle(`
exec("CREATE TABLE a (x); INSERT INTO a VALUES (1); INSERT INTO a VALUES (2);");
return [exec("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5) SELECT sum(i) AS s FROM n, a").one().s,
  exec("SELECT json_extract(?, '$.a[1]') AS v", '{"a":[1,2]}').one().v, exec("SELECT unixepoch() > 1600000000 AS ok").one().ok,
  exec("INSERT INTO a VALUES (3) RETURNING x").one().x];`), [30, 2, 1, 3]);
});

test('errors carry SQLite\'s message and can be caught', async () => {
    const out = await handle(`
const message = (sql, ...p) => { try { exec(sql, ...p); return null; } catch (e) { return e.message; } };
exec("CREATE TABLE u (x UNIQUE NOT NULL)"); exec("INSERT INTO u VALUES (1)");
return [message("SELEC 1"), message("SELECT * FROM nowhere"), message("INSERT INTO u VALUES (1)"), message("INSERT INTO u VALUES (NULL)"), exec("SELECT count(*) AS n FROM u").one().n];`);
    assert.match(out[0], /syntax error/);
    assert.match(out[1], /nowhere/);
    assert.match(out[2], /UNIQUE/);
    assert.match(out[3], /NOT NULL/);
    assert.equal(out[4], 1);
});

test('what would reach out of the database is refused', async () => {
    const out = await handle(`
return ["ATTACH 'other.db' AS o", "PRAGMA journal_mode = DELETE", "PRAGMA synchronous = FULL", "SELECT load_extension('x')", "BEGIN", "COMMIT", "VACUUM INTO 'copy.db'", "PRAGMA writable_schema = 1", "SELECT readfile('/etc/passwd')"]
  .map((sql) => { try { exec(sql); return sql; } catch { return "refused"; } });`);
    assert.deepEqual(out, Array(9).fill('refused'));
});

test('a statement that never ends is cut off', async () => {
    const s = await server();
    await s.deploy('endless', `
import { exec } from "derp:runtime/sql";
export const handler = { handle() { return exec("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) AS c FROM n").one(); } };`, { cpu_ms: 200 });
    const run = await s.execute('endless');
    assert.equal(run.status, 500);
    assert.equal(run.json.error.code, 'limit_cpu');
});

test('a request that dies in a transaction leaves no trace and no lock', async () => {
    const s = await server();
    await s.deploy('dies', `
import { exec, transaction } from "derp:runtime/sql";
export const handler = {
    setup() { exec("CREATE TABLE t (n)"); },
    handle(req) {
        if (req.body.die) transaction(() => { exec("INSERT INTO t VALUES (1)"); for (;;) ; });
        transaction(() => exec("INSERT INTO t VALUES (2)"));
        return exec("SELECT n FROM t").toArray().map((r) => r.n);
    },
};`, { cpu_ms: 100 });
    assert.deepEqual((await s.execute('dies', {})).json.output, [2]);
    assert.equal((await s.execute('dies', { die: true })).json.error.code, 'limit_cpu');
    assert.deepEqual((await s.execute('dies', {})).json.output, [2, 2]);
});

test('each function has its own database, and keeps it over versions', async () => {
    const s = await server();
    const source = (n: number) => `
import { exec } from "derp:runtime/sql";
export const handler = { handle() { exec("CREATE TABLE IF NOT EXISTS t (n)"); exec("INSERT INTO t VALUES (${n})"); return exec("SELECT n FROM t").toArray().map((r) => r.n); } };`;
    await s.deploy('own-a', source(1));
    await s.deploy('own-b', source(2));
    assert.deepEqual((await s.execute('own-a')).json.output, [1]);
    assert.deepEqual((await s.execute('own-b')).json.output, [2]);
    await s.deploy('own-a', source(3));
    assert.deepEqual((await s.execute('own-a')).json.output, [1, 3]);
    assert.equal((await s.api('DELETE', '/functions/own-a')).status, 204);
    await s.deploy('own-a', source(4));
    assert.deepEqual((await s.execute('own-a')).json.output, [4], 'a deleted function takes its data along');
});

test('writes from both threads at once are all there', async () => {
    const s = await server();
    await s.deploy('both', `
import { exec, transaction } from "derp:runtime/sql";
export const handler = {
    setup() { exec("CREATE TABLE c (n INTEGER)"); exec("INSERT INTO c VALUES (0)"); },
    handle() { return transaction(() => { const n = exec("SELECT n FROM c").one().n; exec("UPDATE c SET n = ?", n + 1); return { n: n + 1 }; }); },
};`);
    const answers = await Promise.all(Array.from({ length: 100 }, () => s.request('both', '/', { method: 'POST', body: '{}' })));
    assert.deepEqual(answers.map((a) => a.json.n).sort((x, y) => x - y), Array.from({ length: 100 }, (_, i) => i + 1));
});

test('top-level code may not use the database', async () => {
    const s = await server();
    const build = await s.upload('top-level', 'import { exec } from "derp:runtime/sql"; exec("SELECT 1"); export default () => 1;');
    assert.equal(build.status, 'failed');
    assert.match(build.error.message, /sql/i);
});

test('a large result is refused, not the server\'s end', async () => {
    const s = await server();
    await s.deploy('large-result', `
import { exec } from "derp:runtime/sql";
export const handler = { handle() { return exec("SELECT hex(zeroblob(10000000)) AS v").toArray().length; } };`);
    const run = await s.execute('large-result');
    if (run.status !== 200) assert.match(run.json.error.code, /limit|guest_error|sql/);
    assert.equal((await s.admin('/healthz')).status, 200);
});

test('an uncaught SQL error names the source line', async () => {
    const s = await server();
    await s.deploy('sql-throws', 'import { exec } from "derp:runtime/sql";\nexport const handler = {\n    handle() {\n        return exec("SELECT * FROM nowhere").toArray();\n    },\n};');
    const run = await s.execute('sql-throws');
    assert.equal(run.status, 500);
    assert.match(run.json.error.stack, /sql-throws\.ts:4/);
    errorOf(await s.request('sql-throws'), 500, 'guest_error');
});
