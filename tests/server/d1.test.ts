// SPDX-License-Identifier: Apache-2.0
// D1: SQL databases that modules are bound to; their API, commands and migrations.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { errorOf, type Server, until, useServer } from './harness.ts';
import { deployWorkflow, show, start, withServer } from './workflow-harness.ts';

const server = useServer({ args: ['--threads', '2'] });

const DB = (d1 = 'shop') => [{ type: 'd1', name: 'DB', d1 }];

/** A function whose answer is what `body` returns, given env and DB. */
async function asks(s: Server, name: string, body: string, d1 = name): Promise<any> {
    await s.deploy(name, `export default { async fetch(request, env) {
        const DB = env.DB, failed = async (f) => { try { return await f(); } catch (e) { return e.message; } };
        return Response.json(await (async () => { ${body} })());
    } };`, { bindings: DB(d1) });
    const { status, text, json } = await s.request(name);
    assert.equal(status, 200, text);
    return json;
}

test('prepare, bind, first, all, raw, run and what they tell', async () => {
    const s = await server();
    const said = await asks(s, 'basics', `
        await DB.exec("CREATE TABLE c (id INTEGER PRIMARY KEY, n TEXT, r REAL, b BLOB)");
        const run = await DB.prepare("INSERT INTO c (n, r, b) VALUES (?, ?, ?), (?4, NULL, NULL)").bind("a", 1.5, new Uint8Array([1, 255]).buffer, true).run();
        const all = await DB.prepare("SELECT * FROM c WHERE id >= ?1").bind(1).all();
        const { duration, size_after, ...meta } = run.meta;
        return {
            meta, isTimed: duration >= 0, size_after, success: run.success, none: run.results, rows: all.results,
            first: await DB.prepare("SELECT n, r FROM c").first(), column: await DB.prepare("SELECT n, r FROM c").first("r"),
            nothing: await DB.prepare("SELECT 1 FROM c WHERE id = 9").first(), raw: await DB.prepare("SELECT id, n FROM c").raw(),
            named: await DB.prepare("SELECT id, n FROM c").raw({ columnNames: true }),
            read: all.meta.rows_read, changed: all.meta.changed_db, tags: [String(DB), String(DB.prepare("SELECT 1"))],
        };`);
    assert.deepEqual(said, {
        meta: { served_by: 'limpet', served_by_primary: true, changes: 2, last_row_id: 2, changed_db: true, rows_read: 0, rows_written: 2 },
        isTimed: true, size_after: 8192, success: true, none: [],
        rows: [{ id: 1, n: 'a', r: 1.5, b: [1, 255] }, { id: 2, n: '1', r: null, b: null }],
        first: { n: 'a', r: 1.5 }, column: 1.5, nothing: null, raw: [[1, 'a'], [2, '1']], named: [['id', 'n'], [1, 'a'], [2, '1']],
        read: 2, changed: false, tags: ['[object D1Database]', '[object D1PreparedStatement]'],
    });
});

test('errors are those of D1', async () => {
    const s = await server();
    assert.deepEqual(await asks(s, 'errors', `
        await DB.exec("CREATE TABLE c (n INT UNIQUE); INSERT INTO c VALUES (1)");
        return Promise.all([() => DB.prepare("SELEC 1").run(), () => DB.prepare("SELECT * FROM nope").all(), () => DB.prepare("INSERT INTO c VALUES (1)").run(),
            () => DB.prepare("SELECT ?").run(), () => DB.prepare("SELECT 1 AS a").first("b"), () => DB.exec("SELECT 1;\\nbad"),
            () => DB.prepare("SELECT ?").bind(undefined), () => DB.prepare("SELECT ?").bind(5n), () => DB.prepare("SELECT ?").bind({}), () => DB.prepare("ATTACH 'x' AS y").run(),
            () => DB.prepare("BEGIN").run(), () => DB.withSession("  ")].map(failed));`), [
        'D1_ERROR: near "SELEC": syntax error: SQLITE_ERROR', 'D1_ERROR: no such table: nope: SQLITE_ERROR', 'D1_ERROR: UNIQUE constraint failed: c.n: SQLITE_CONSTRAINT',
        'D1_ERROR: the statement has 1 parameter, but 0 were given: SQLITE_ERROR', 'D1_COLUMN_NOTFOUND: Column not found (b)', 'D1_EXEC_ERROR: near "bad": syntax error: SQLITE_ERROR',
        "D1_TYPE_ERROR: Type 'undefined' not supported for value 'undefined'", "D1_TYPE_ERROR: Type 'bigint' not supported for value '5'",
        "D1_TYPE_ERROR: Type 'object' not supported for value '[object Object]'", 'D1_ERROR: ATTACH and VACUUM are not available: SQLITE_ERROR',
        'D1_ERROR: BEGIN is not available as SQL: use batch(): SQLITE_ERROR', 'D1_SESSION_ERROR: Invalid constraintOrBookmark']);
});

test('a batch is one transaction, exec() is not; sessions have bookmarks that grow', async () => {
    const s = await server();
    const said = await asks(s, 'batches', `
        await DB.exec("CREATE TABLE c (n INT)");
        const add = DB.prepare("INSERT INTO c VALUES (?)"), count = () => DB.prepare("SELECT count(*) AS k FROM c").first("k");
        const results = await DB.batch([add.bind(1), add.bind(2), DB.prepare("SELECT sum(n) AS sum FROM c")]);
        const out = [results.map((r) => r.results), results.map((r) => r.meta.changes)];
        out.push(await failed(() => DB.batch([add.bind(3), DB.prepare("INSERT INTO nope VALUES (1)"), add.bind(4)])), await count());
        out.push(await failed(() => DB.exec("INSERT INTO c VALUES (5); INSERT INTO nope VALUES (1); INSERT INTO c VALUES (6)")), await count());
        const session = DB.withSession("first-primary"), before = session.getBookmark();
        await session.prepare("INSERT INTO c VALUES (7)").run();
        const one = session.getBookmark();
        await session.batch([add.bind(8)]);
        const two = session.getBookmark(), again = DB.withSession(two);
        out.push(before, /^[0-9a-f]{8}-[0-9a-f]{8}-[0-9a-f]{8}-[0-9a-f]{32}$/.test(one), one < two, again.getBookmark() === two, await again.prepare("SELECT max(n) AS m FROM c").first("m"));
        return [...out, await DB.batch([]), (await Promise.all(Array.from({ length: 200 }, (_, n) => add.bind(n).run()))).length, await count()];`);
    assert.deepEqual(said, [[[], [], [{ sum: 3 }]], [1, 1, 0], 'D1_ERROR: no such table: nope: SQLITE_ERROR', 2,
        'D1_EXEC_ERROR: no such table: nope: SQLITE_ERROR', 3, null, true, true, true, 8, [], 200, 205]);
});

test('dump() gives a file of SQLite; one too large says what to do', async () => {
    const s = await server();
    const head = await asks(s, 'dumps', `
        await DB.exec("CREATE TABLE c (n TEXT); INSERT INTO c VALUES ('findme')");
        const bytes = new Uint8Array(await DB.dump()), text = new TextDecoder("latin1").decode(bytes);
        return [text.slice(0, 15), text.includes("findme"), bytes.length % 4096];`);
    assert.deepEqual(head, ['SQLite format 3', true, 0]);
    const said = await asks(s, 'dumps-much', `
        await DB.exec("CREATE TABLE c (b BLOB); WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 40) INSERT INTO c SELECT zeroblob(1000000) FROM n");
        return failed(() => DB.dump());`);
    assert.match(said, /larger than 32.0 MiB/);
});

test('several modules and threads have one database; a deploy makes it; what is deleted is gone', async () => {
    const s = await server();
    await asks(s, 'writer', 'await DB.exec("CREATE TABLE IF NOT EXISTS seen (n INT)"); await DB.prepare("INSERT INTO seen VALUES (1)").run(); return 0;', 'common');
    const read = 'return (await DB.prepare("SELECT count(*) AS k FROM seen").first("k"));';
    assert.equal(await asks(s, 'reader', read, 'common'), 1);
    await Promise.all(Array.from({ length: 20 }, () => s.request('writer')));
    assert.equal((await s.request('reader')).json, 21);
    const { json: row } = await s.api('GET', '/d1/common');
    assert.deepEqual(row.bound_to.sort(), ['reader', 'writer']);
    errorOf(await s.api('DELETE', '/d1/common'), 409, 'conflict');
    const file = path.join(s.data, 'sql', `=${row.id}.sqlite`);
    assert.ok(fs.existsSync(file));
    assert.equal((await s.api('DELETE', '/d1/common?unbind=true')).status, 204);
    await until('its file is gone', async () => !fs.existsSync(file) || undefined);
    assert.match((await s.request('reader')).text, /deleted|gone/);
    assert.equal(await asks(s, 'writer', 'await DB.exec("CREATE TABLE seen (n INT)"); return 5;', 'common'), 5, 'a new one');
});

test('what is acknowledged is there after kill -9', () => withServer({}, async (first, crashed) => {
    let s = first, acknowledged = 0;
    const source = `export default { async fetch(request, env) {
        await env.DB.exec("CREATE TABLE IF NOT EXISTS c (n INTEGER PRIMARY KEY)");
        const n = Number(new URL(request.url).searchParams.get("n"));
        await env.DB.batch([env.DB.prepare("INSERT INTO c VALUES (?)").bind(2 * n), env.DB.prepare("INSERT INTO c VALUES (?)").bind(2 * n + 1)]);
        return new Response("ok");
    } };`;
    await s.deploy('keeps', source, { bindings: DB('kept') });
    for (let round = 0, n = 0; round < 4; round++) {
        const under = Array.from({ length: 40 }, async () => {
            const mine = n++;
            const answer = await s.request('keeps', `/?n=${mine}`).catch(() => undefined);
            acknowledged += answer?.status === 200 ? 1 : 0;
        });
        await until('some are acknowledged', async () => acknowledged > round * 20 + 5 || undefined);
        s = await crashed();
        await Promise.all(under);
        const { json } = await s.api('POST', '/d1/kept/query', { sql: 'SELECT count(*), count(*) % 2 FROM c' });
        assert.ok(json.results[0].rows[0][0] >= 2 * acknowledged, `${JSON.stringify(json)} ${acknowledged}`);
        assert.equal(json.results[0].rows[0][1], 0, 'batches are whole');
    }
}));

test('in a workflow results are recorded, and a step runs them live', async () => {
    const s = await server();
    await deployWorkflow(s, 'counts', `import { WorkflowEntrypoint } from "cloudflare:workers";
        export class Counts extends WorkflowEntrypoint { async run(event, step) {
            await this.env.DB.exec("CREATE TABLE IF NOT EXISTS c (n INT)");
            const { meta } = await this.env.DB.prepare("INSERT INTO c VALUES (?)").bind(5).run();
            await step.sleep("a moment", 20);
            return [meta.changes, await step.do("sum", async () => (await this.env.DB.prepare("SELECT sum(n) AS s FROM c").first("s")))];
        } }`, { bindings: DB('of-flow') });
    const id = await start(s, 'counts');
    assert.deepEqual(await until('its end', async () => (await show(s, id)).output ?? undefined), [1, 5]);
});

test('one namespace does not reach the database of another, and quotas hold', async () => {
    const s = await server();
    await asks(s, 'mine', 'await DB.exec("CREATE TABLE secret (n INT)"); return 1;', 'same');
    await s.api('POST', '/namespaces', { name: 'd1far' });
    const source = 'export default { async fetch(r, env) { return Response.json(await env.DB.prepare("SELECT name FROM sqlite_schema").all().then((a) => a.results)); } };';
    assert.equal((await s.api('POST', '/namespaces/d1far/functions?wait=30s', { name: 'mine', source, bindings: DB('same') })).json.build.status, 'ready');
    assert.deepEqual((await s.request('mine.d1far')).json, []);
    errorOf(await s.api('POST', '/namespaces/d1far/d1/elsewhere/query', { sql: 'SELECT 1' }), 404, 'not_found');
});

test('long statements stop at their limit while a neighbor is served', async () => {
    const s = await server();
    await s.deploy('neighbor', 'export default () => "here";');
    await s.deploy('long', `export default { async fetch(r, env) {
        return new Response(await env.DB.prepare("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n").first().catch((e) => e.message));
    } };`, { bindings: DB('long'), wall_ms: 1500 } as object);
    const long = s.request('long');
    for (let k = 0; k < 20; k++) assert.equal((await s.request('neighbor')).json, 'here');
    assert.ok((await long).status >= 500);
});

test('the API: statements, parameters, errors', async () => {
    const s = await server();
    assert.equal((await s.api('POST', '/d1', { name: 'by-api' })).status, 201);
    const query = (body: unknown) => s.api('POST', '/d1/by-api/query', body);
    const made = await query({ statements: [{ sql: 'CREATE TABLE c (a, b, c, d, e)' }, { sql: 'INSERT INTO c VALUES (?, ?, ?, ?, ?)', params: [null, true, 2.5, 'x', { base64: 'AQI=' }] }, { sql: 'SELECT * FROM c' }], atomic: true });
    assert.equal(made.status, 200, made.text);
    assert.deepEqual(made.json.results[2].rows, [[null, 1, 2.5, 'x', { base64: 'AQI=' }]]);
    assert.equal(made.json.results[1].changes, 1);
    assert.match(errorOf(await query({ statements: [{ sql: 'INSERT INTO c (a) VALUES (1)' }, { sql: 'nonsense' }], atomic: true }), 400, 'invalid').message, /statement 2: near "nonsense"/);
    assert.deepEqual((await query({ sql: 'SELECT count(*) FROM c' })).json.results[0].rows, [[1]], 'nothing of it stays');
    for (const body of [{}, { sql: 1 }, { sql: 'SELECT 1', params: {} }, { statements: [] }, { statements: [{}] }, { sql: 'x', more: 1 }, { sql: 'SELECT ?', params: [[1]] }, { sql: 'SELECT ?', params: [{ base64: '*' }] }, []])
        errorOf(await query(body), 400, 'invalid');
    errorOf(await s.api('POST', '/d1/nobody/query', { sql: 'SELECT 1' }), 404, 'not_found');
    assert.deepEqual((await query({ sql: 'SELECT 9007199254740993, -1.5e300, 9e999' })).text.match(/"rows":\[\[(.*?)\]\]/)![1], '9007199254740993,-1.5e+300,"Infinity"');
});

test('commands: execute, migrations, export', async () => {
    const s = await server();
    const dir = fs.mkdtempSync(path.join(s.data, 'project-'));
    fs.writeFileSync(path.join(dir, 'wrangler.toml'), 'name = "moved"\nmain = "i.ts"\n[[d1_databases]]\nbinding = "DB"\ndatabase_name = "moved-db"\ndatabase_id = "x"\nmigrations_dir = "steps"\n');
    fs.writeFileSync(path.join(dir, 'i.ts'), 'export default { async fetch(r, env) { return Response.json((await env.DB.prepare("SELECT * FROM users").all()).results); } };');
    const cli = async (args: string[], code = 0) => {
        const got = await s.cli(args, { cwd: dir } as object);
        assert.equal(got.code, code, `${args.join(' ')}: ${got.stderr}`);
        return got;
    };
    await cli(['deploy', dir]);
    assert.match((await cli(['d1', 'migrations', 'create', 'moved-db', 'make users'])).stdout, /steps\/0001_make_users\.sql/);
    fs.writeFileSync(path.join(dir, 'steps/0001_make_users.sql'), 'CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT);\nINSERT INTO users (name) VALUES (\'Ann\');');
    fs.writeFileSync(path.join(dir, 'steps/0002_more.sql'), 'INSERT INTO users (name) VALUES (\'Bob; the "second"\');');
    assert.equal((await cli(['d1', 'migrations', 'list', 'moved-db'])).stdout, '0001_make_users.sql\n0002_more.sql\n');
    await cli(['d1', 'migrations', 'apply', 'DB']);
    assert.equal((await cli(['d1', 'migrations', 'list', 'moved-db'])).stdout, '');
    fs.writeFileSync(path.join(dir, 'steps/0003_bad.sql'), 'INSERT INTO users (name) VALUES (\'never\'); INSERT INTO nope VALUES (1);');
    assert.match((await cli(['d1', 'migrations', 'apply', 'moved-db'], 1)).stderr, /no such table: nope/);
    assert.deepEqual((await s.request('moved')).json, [{ id: 1, name: 'Ann' }, { id: 2, name: 'Bob; the "second"' }]);
    assert.match((await cli(['d1', 'execute', 'moved-db', '--command', 'SELECT name FROM users ORDER BY id'])).stdout, /Ann\s+Bob; the/);
    const dump = (await cli(['d1', 'export', 'moved-db'])).stdout;
    await cli(['d1', 'create', 'copy']);
    fs.writeFileSync(path.join(dir, 'dump.sql'), dump);
    await cli(['d1', 'execute', 'copy', '--file', 'dump.sql']);
    assert.equal((await cli(['d1', 'export', 'copy'])).stdout, dump);
    assert.match((await cli(['d1', 'execute', 'copy'], 2)).stderr, /--command or by --file/);
    assert.match((await cli(['d1', 'list'])).stdout, /moved-db/);
});
