// SPDX-License-Identifier: Apache-2.0
//
// Functions that are not called rest: they hold neither memory nor descriptors, and come back at the next call, from
// the image on disk if it is sound, else from the bundle. Far more functions can be called than descriptors are allowed.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import path from 'node:path';
import { test, type TestContext } from 'node:test';
import { IS_ASAN, PLAIN_BIN, Server, type ServerOptions, until } from './harness.ts';

const COUNT = IS_ASAN ? 120 : 300;
const DATABASES = IS_ASAN ? 120 : 1000;
const DESCRIPTORS = 110;

async function server(t: TestContext, options: ServerOptions): Promise<Server> {
    const s = await Server.start(options);
    t.after(() => s.stop());
    return s;
}

const metric = async (s: Server, name: string) => (await s.metrics()).get(name) ?? NaN;
const resting = (s: Server) => until('all functions rest', async () => (await metric(s, 'limpet_functions_warm')) === 0 && (await metric(s, 'limpet_isolates{state="pooled"}')) === 0);
const fromDisk = (s: Server) => metric(s, 'limpet_images_total{from="disk"}');
const fromBundle = (s: Server) => metric(s, 'limpet_images_total{from="bundle"}');

/** The files that hold images. */
function images(s: Server): string[] {
    const top = path.join(s.data, 'artifacts', 'images');
    return fs.readdirSync(top, { recursive: true, withFileTypes: true }).filter((e) => e.isFile()).map((e) => path.join(e.parentPath ?? e.path, e.name));
}

test('more functions than descriptors', async (t) => {
    const s = await server(t, { wrap: ['sh', '-c', `ulimit -n ${DESCRIPTORS}; exec "$@"`, 'sh'], args: ['--rest-ms', '300', '--threads', '2'] });
    const of = (i: number) => `const mine = ${i};\nexport default { fetch() { return Response.json({ mine, left: globalThis.left ??= 0, now: ++globalThis.left }); } };`;
    for (let i = 0; i < COUNT; i++) await s.deploy(`f${i}`, of(i));
    const files = s.openFiles();
    for (let round = 0; round < 2; round++) {
        for (let i = 0; i < COUNT; i++) {
            const res = await s.request(`f${i}`);
            assert.deepEqual([res.status, res.json], [200, { mine: i, left: 0, now: 1 }]);
        }
        assert.ok(s.openFiles() < files + 10, `${files} descriptors before, ${s.openFiles()} after round ${round}`);
        await resting(s);
    }
    assert.equal(await fromBundle(s), 0, 'the build has left the image');
    assert.ok((await fromDisk(s)) >= 2 * COUNT);
});

test('memory of many that rest goes back to the system', async (t) => {
    const many = 300; // the server gives it back once for 256 that rest
    const s = await server(t, { bin: PLAIN_BIN, args: ['--rest-ms', '1500', '--threads', '1'] }); // a sanitizer keeps what was freed
    for (let i = 0; i < many; i += 20)
        await Promise.all(
            Array.from({ length: 20 }, async (_, k) => {
                const bundle = `const text = ${JSON.stringify('x'.repeat(20_000))};\nexport default { fetch() { return new Response(${i + k} + text.slice(0, 1)); } };`;
                const res = await s.api('POST', '/functions?wait=60s', { name: `f${i + k}`, bundle });
                assert.equal(res.json.build?.status, 'ready', res.text);
            }),
        );
    await resting(s);
    const before = s.rssBytes();
    for (let i = 0; i < many; i++) assert.equal((await s.request(`f${i}`)).text, `${i}x`);
    const held = s.rssBytes();
    await resting(s);
    await until('most of it has gone', () => s.rssBytes() - before < (held - before) / 2);
});

test('a thousand databases need a hundred descriptors', async (t) => {
    // Nothing rests: it is the want of descriptors that closes.
    const s = await server(t, { wrap: ['sh', '-c', `ulimit -n ${DESCRIPTORS + 50}; exec "$@"`, 'sh'], args: ['--rest-ms', '1000000', '--threads', '2'] });
    const of = (i: number) => `import { exec } from "derp:runtime/sql";
export const handler = {
  setup() { exec("CREATE TABLE t (n)"); },
  handle() { exec("INSERT INTO t VALUES (${i})"); return exec("SELECT n, count(*) AS count FROM t").one(); },
};`;
    for (let i = 0; i < DATABASES; i += 10) await Promise.all(Array.from({ length: 10 }, (_, k) => s.deploy(`f${i + k}`, of(i + k))));
    for (let round = 1; round <= 2; round++) {
        for (let i = 0; i < DATABASES; i += 10) {
            const answers = await Promise.all(Array.from({ length: 10 }, (_, k) => s.request(`f${i + k}`)));
            answers.forEach((res, k) => assert.deepEqual([res.status, res.json], [200, { n: i + k, count: round }], res.text));
        }
        const needed = await metric(s, 'limpet_database_descriptors');
        assert.ok(needed > 0 && needed <= 100, `${needed} descriptors are needed for ${DATABASES} databases`);
    }
    assert.ok((await metric(s, 'limpet_databases_opened_total')) > 2 * DATABASES - 30);
});

test('databases of functions that rest are closed, and are as they were', async (t) => {
    const s = await server(t, { args: ['--rest-ms', '300', '--threads', '2'] });
    await s.deploy('kept', `import { exec } from "derp:runtime/sql";
export const handler = {
  setup() { exec("CREATE TABLE t (n)"); },
  handle() { exec("INSERT INTO t VALUES (1)"); return exec("SELECT count(*) AS count FROM t").one(); },
};`);
    for (let round = 1; round <= 3; round++) {
        assert.deepEqual((await s.request('kept')).json, { count: round });
        await until('it is closed', async () => (await metric(s, 'limpet_database_descriptors')) === 0);
    }
});

test('databases of deleted functions go', async (t) => {
    let s = await Server.start({ args: ['--threads', '2'] });
    t.after(() => s.stop()); // the last one
    const folder = path.join(s.data, 'sql');
    const own = (name: string) => fs.readdirSync(folder).filter((f) => f.startsWith(`${name}-`));
    const source = `import { exec } from "derp:runtime/sql";
export const handler = {
  setup() { exec("CREATE TABLE IF NOT EXISTS t (n)"); },
  async handle({ body }) {
    if (body?.wait) { console.log("waits"); await new Promise((r) => setTimeout(r, body.wait)); }
    exec("INSERT INTO t VALUES (1)");
    return exec("SELECT count(*) AS count FROM t").one();
  },
};`;
    for (const name of ['gone', 'stays', 'late']) {
        await s.deploy(name, source);
        assert.deepEqual((await s.execute(name)).json.output, { count: 1 });
    }
    // Those of other namespaces, and of workflows, are as good.
    assert.equal((await s.cli(['namespace', 'create', 'shop'])).code, 0);
    assert.equal((await s.api('POST', '/namespaces/shop/functions?wait=60s', { name: 'stays', source })).status, 200);
    assert.equal((await s.api('POST', '/workflows?wait=60s', { name: 'flows', source })).status, 200);
    const flows = async () => (await s.api('POST', '/workflows/flows/execute?wait=60s', {})).json.output;
    const inShop = async () => (await s.api('POST', '/namespaces/shop/functions/stays/execute', { body: {} })).json.output;
    assert.deepEqual(await inShop(), { count: 1 });
    assert.deepEqual(await flows(), { count: 1 });
    assert.equal((await s.api('DELETE', '/functions/gone')).status, 204);
    await until('its files are removed', async () => own('gone').length === 0);
    // A request that began before, and asks for the database after.
    const late = s.execute('late', { wait: 300 });
    await until('it runs', async () => (await s.api('GET', '/functions/late/logs')).text.includes('waits'));
    assert.equal((await s.api('DELETE', '/functions/late')).status, 204);
    await s.deploy('late', source);
    assert.notEqual((await late).status, 200);
    assert.deepEqual((await s.execute('late')).json.output, { count: 1 });
    await until('the old files are removed', async () => own('late').filter((f) => f.endsWith('.sqlite')).length === 1);

    // What a process that died has left is removed at the next start; what is no database of ours stays.
    const left = ['old-1700000000000000.sqlite', 'shop@stays-2.sqlite-shm', 'old-1700000000000000.sqlite-wal', 'stays-1.sqlite', 'notes.txt'];
    for (const file of left) fs.writeFileSync(path.join(folder, file), '');
    s = await s.restart();
    await until('they are removed', async () => left.filter((f) => fs.existsSync(path.join(folder, f))).join() === 'notes.txt');
    for (const name of ['stays', 'late']) assert.deepEqual((await s.execute(name)).json.output, { count: 2 });
    assert.deepEqual(await inShop(), { count: 2 });
    assert.deepEqual(await flows(), { count: 2 });
});

test('connections leave descriptors to files', async (t) => {
    const s = await server(t, { wrap: ['sh', '-c', `ulimit -n 200; exec "$@"`, 'sh'], args: ['--threads', '1'] });
    for (const name of ['first', 'second']) await s.deploy(name, `export default { fetch() { return Response.json(${JSON.stringify(name)}); } };`);
    const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
    t.after(() => agent.destroy());
    assert.equal((await s.request('first', '/', { agent })).json, 'first');
    const sockets = Array.from({ length: 300 }, () => net.connect(s.httpPort, '127.0.0.1'));
    t.after(() => sockets.forEach((socket) => socket.destroy()));
    for (const socket of sockets) socket.on('error', () => {}); // turned away
    await until('as many connections as may be', async () => ((await metric(s, 'limpet_connections')) > 70));
    const res = await s.request('second', '/', { agent }); // its image is a file
    assert.deepEqual([res.status, res.json], [200, 'second']);
});

test('rest is not seen by functions', async (t) => {
    const s = await server(t, { args: ['--rest-ms', '300', '--threads', '1'] });

    await t.test('setup() runs once', async () => {
        await s.deploy('counts', `import { exec } from "derp:runtime/sql";
export const handler = {
  setup() { exec("CREATE TABLE n (k)"); exec("INSERT INTO n VALUES (1)"); },
  handle() { return { n: exec("SELECT count(*) AS n FROM n").one().n }; },
};`);
        for (let round = 0; round < 3; round++) {
            assert.deepEqual((await s.request('counts')).json, { n: 1 });
            await resting(s);
        }
    });

    await t.test('module isolation keeps its state', async () => {
        await s.deploy('keeps', 'let n = 0;\nexport default { fetch() { return Response.json(++n); } };', { isolation: 'module' });
        await s.deploy('other', 'export default { fetch() { return Response.json("other"); } };');
        assert.equal((await s.request('keeps')).json, 1);
        assert.equal((await s.request('other')).json, 'other');
        await until('the other rests', async () => (await metric(s, 'limpet_functions_warm')) === 1);
        assert.equal((await s.request('keeps')).json, 2);
        await s.api('DELETE', '/functions/keeps');
    });

    await t.test('a request that takes long keeps its function', async () => {
        await s.deploy('long', 'export default { async fetch() { await new Promise((r) => setTimeout(r, 1500)); return Response.json("late"); } };');
        await s.request('other');
        const late = s.request('long');
        await until('the other rests', async () => (await metric(s, 'limpet_functions_warm')) === 1);
        assert.equal((await late).json, 'late');
        await resting(s);
    });

    await t.test('stacks are in terms of the sources', async () => {
        await s.deploy('throws', 'interface Long { a: number }\n\nexport default { fetch(_: Request) { throw new Error("mapped"); } };');
        for (let round = 0; round < 2; round++) {
            const res = await s.execute('throws');
            assert.match(JSON.stringify(res.json), /:3:\d+/, res.text);
            await resting(s);
        }
    });
});

test('an image that does not fit is made anew', async (t) => {
    let s = await Server.start({ args: ['--rest-ms', '300', '--threads', '1'] });
    t.after(() => s.stop()); // the last one
    const names = ['a', 'b'];
    for (const name of names) await s.deploy(name, `const name = ${JSON.stringify(name)};\nexport default { fetch() { return Response.json(name); } };`);
    const check = async (made: number, read: number) => {
        for (const name of names) assert.equal((await s.request(name)).json, name);
        assert.deepEqual([await fromBundle(s), await fromDisk(s)], [made, read]);
        await resting(s);
    };
    await check(0, 2);
    const files = images(s);
    assert.equal(files.length, 2);
    const contents = files.map((f) => fs.readFileSync(f));

    const damages: [string, () => void][] = [
        ['cut short', () => files.forEach((f, k) => fs.writeFileSync(f, contents[k]!.subarray(0, 50)))],
        ['empty', () => files.forEach((f) => fs.writeFileSync(f, ''))],
        ['a bit flipped', () => files.forEach((f, k) => {
            const bytes = Buffer.from(contents[k]!);
            bytes[bytes.length - 9]! ^= 4;
            fs.writeFileSync(f, bytes);
        })],
        ['of each other', () => files.forEach((f, k) => fs.writeFileSync(f, contents[1 - k]!))],
        ['no file', () => files.forEach((f) => { fs.rmSync(f); fs.mkdirSync(f); })],
    ];
    let made = 0;
    for (const [what, damage] of damages) {
        damage();
        await check(made += 2, 2);
        if (what === 'no file') break; // and none can be made
        assert.deepEqual(images(s).sort(), [...files].sort(), what);
        for (const [k, f] of files.entries()) assert.deepEqual(fs.readFileSync(f), contents[k], `${what}: written as before`);
    }
    for (const f of files) fs.rmdirSync(f);
    s = await s.restart();
    await check(2, 0);
    s = await s.restart();
    await check(0, 2);
});
