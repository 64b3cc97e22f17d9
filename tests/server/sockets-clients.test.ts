// SPDX-License-Identifier: Apache-2.0
// Clients of databases from npm, unchanged, against a real PostgreSQL and a real Redis: each with a folder of its own and a free port.
import assert from 'node:assert/strict';
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { run, Server, tempDir, until } from './harness.ts';

const folder = tempDir();
const children: ChildProcess[] = [];
let s: Server, pgPort: number, redisPort: number;

function freePort(): Promise<number> {
    return new Promise((resolve) => {
        const server = net.createServer().listen(0, '127.0.0.1', () => {
            const { port } = server.address() as net.AddressInfo;
            server.close(() => resolve(port));
        });
    });
}

function answers(port: number): Promise<boolean> {
    return new Promise((resolve) => {
        const c = net.connect(port, '127.0.0.1', () => (c.destroy(), resolve(true)));
        c.on('error', () => resolve(false));
    });
}

/** initdb and postgres refuse to be root: then they are nobody's. */
function user(): { uid?: number; gid?: number } {
    if (process.getuid!() !== 0) return {};
    const id = (flag: string) => Number(execFileSync('id', [flag, 'nobody']).toString());
    return { uid: id('-u'), gid: id('-g') };
}

async function postgres(): Promise<number> {
    const versions = fs.readdirSync('/usr/lib/postgresql').sort((a, b) => Number(b) - Number(a));
    const bin = `/usr/lib/postgresql/${versions[0]}/bin`;
    const data = path.join(folder, 'pg');
    const as = user();
    fs.mkdirSync(data);
    fs.chmodSync(folder, 0o755);
    if (as.uid !== undefined) fs.chownSync(data, as.uid, as.gid!);
    const password = path.join(folder, 'password');
    fs.writeFileSync(password, 'secret\n', { mode: 0o644 });
    execFileSync(`${bin}/initdb`, ['-D', data, '-U', 'limpet', '-A', 'scram-sha-256', `--pwfile=${password}`, '--no-sync'], { stdio: ['ignore', 'ignore', 'inherit'], ...as, cwd: data });
    const port = await freePort();
    children.push(spawn(`${bin}/postgres`, ['-D', data, '-p', String(port), '-c', 'listen_addresses=127.0.0.1', '-c', 'unix_socket_directories=', '-c', 'fsync=off'], { stdio: 'ignore', ...as, cwd: data }));
    return port;
}

async function redis(): Promise<number> {
    const port = await freePort();
    children.push(spawn('redis-server', ['--port', String(port), '--bind', '127.0.0.1', '--dir', folder, '--save', '', '--requirepass', 'secret'], { stdio: 'ignore' }));
    return port;
}

before(async () => {
    [pgPort, redisPort] = [await postgres(), await redis()];
    await until('both servers', async () => (await answers(pgPort)) && (await answers(redisPort)));
    s = await Server.start({ args: ['--threads', '1', '--egress-allow', `127.0.0.1:${pgPort}`, '--egress-allow', `127.0.0.1:${redisPort}`] });
});
after(async () => {
    await s?.stop();
    for (const child of children) child.kill('SIGKILL');
    fs.rmSync(folder, { recursive: true, force: true });
});

/** Bundles the program with its package and deploys it. */
async function deploy(name: string, source: string): Promise<void> {
    const file = path.join(process.env.LIMPET_ROOT!, 'tests/server', `.${name}-${process.pid}.ts`);
    fs.writeFileSync(file, source);
    try {
        const done = await run(process.env.LIMPET_BIN!, ['deploy', name, file, '--server', `http://127.0.0.1:${s.adminPort}`]);
        assert.equal(done.code, 0, done.stderr + done.stdout);
    } finally {
        fs.rmSync(file);
    }
}

test('pg', async () => {
    await deploy('with-pg', `import pg from "pg";
        export default { async fetch() {
            const client = new pg.Client({ host: "127.0.0.1", port: ${pgPort}, user: "limpet", password: "secret", database: "postgres" });
            await client.connect();
            await client.query("CREATE TABLE IF NOT EXISTS t (id serial, name text, at timestamptz)");
            await client.query("BEGIN");
            for (let i = 0; i < 20; i++) await client.query("INSERT INTO t (name, at) VALUES ($1, $2)", ["n" + i, new Date(0)]);
            await client.query("COMMIT");
            const { rows } = await client.query("SELECT count(*)::int AS n, max(name) AS name, min(at) AS at FROM t");
            const big = await client.query("SELECT repeat('x', 1000000) AS text");
            const failed = await client.query("SELECT * FROM nowhere").catch((e) => e.code);
            await client.end();
            return Response.json([rows[0], big.rows[0].text.length, failed]);
        } };`);
    const answer = await s.request('with-pg');
    assert.equal(answer.status, 200, answer.text);
    assert.deepEqual(answer.json, [{ n: 20, name: 'n9', at: '1970-01-01T00:00:00.000Z' }, 1_000_000, '42P01']);
});

test('ioredis', async () => {
    await deploy('with-redis', `import Redis from "ioredis";
        export default { async fetch() {
            const redis = new Redis({ host: "127.0.0.1", port: ${redisPort}, password: "secret" });
            await redis.set("key", "value");
            const out = [await redis.get("key"), await redis.incrby("n", 5)];
            const all = await redis.pipeline().rpush("list", "a", "b").lrange("list", 0, -1).exec();
            out.push(all[1][1]);
            await redis.set("big", Buffer.alloc(500000, 1));
            out.push((await redis.getBuffer("big")).length);
            await redis.quit();
            return Response.json(out);
        } };`);
    const answer = await s.request('with-redis');
    assert.equal(answer.status, 200, answer.text);
    assert.deepEqual(answer.json, ['value', 5, ['a', 'b'], 500_000]);
});
