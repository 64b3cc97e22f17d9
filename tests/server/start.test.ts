// SPDX-License-Identifier: Apache-2.0
// How the server starts, and what it refuses to start with.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { test } from 'node:test';
import { binary, run, Server, tempDir } from './harness.ts';

test('a port that is taken is named', async () => {
    const s = await Server.start();
    try {
        const second = await Server.startFailing({ adminAddr: `127.0.0.1:${s.adminPort}` });
        assert.notEqual(second.code, 0);
        assert.match(second.output, new RegExp(`${s.adminPort}`));
    } finally {
        await s.stop();
        fs.rmSync(s.data, { recursive: true, force: true });
    }
});

test('a second server on the same data is refused', async () => {
    const s = await Server.start();
    try {
        const second = await Server.startFailing({ data: s.data });
        assert.notEqual(second.code, 0);
        assert.match(second.output, /another|already|lock/i);
    } finally {
        await s.stop();
        fs.rmSync(s.data, { recursive: true, force: true });
    }
});

for (const [what, args] of Object.entries({
    'an unknown option': ['--no-such-option'],
    'a bad address': ['--addr', 'not an address'],
    'no threads': ['--threads', '0'],
    'a bad egress rule': ['--egress-allow', '10.0.0.0/99'],
    'a database that is no SQLite': ['--database-url', 'mysql://x'],
})) {
    test(`refused: ${what}`, async () => {
        const r = await Server.startFailing({ args });
        assert.notEqual(r.code, 0);
        assert.notEqual(r.output.trim(), '', 'says why');
    });
}

test('--data-dir has everything in one folder, but what is named apart', async () => {
    const data = tempDir();
    const { spawn } = await import('node:child_process');
    const env = { ...process.env };
    for (const name of ['DATABASE_URL', 'ARTIFACT_DIR', 'LIMPET_DATA_DIR']) delete env[name];
    const child = spawn(binary(), ['serve', '--addr', '127.0.0.1:0', '--http', '127.0.0.1:0', '--data-dir', `${data}/a/b`, '--database-url', `sqlite:${data}/meta.sqlite`], {
        cwd: data, stdio: ['ignore', 'pipe', 'inherit'], env,
    });
    const closed = new Promise((resolve) => child.on('close', resolve));
    for await (const text of child.stdout.setEncoding('utf8')) if (/limpet: ready/.test(text)) break;
    child.kill('SIGTERM');
    child.stdout.resume();
    await closed;
    assert.ok(fs.existsSync(`${data}/meta.sqlite`));
    assert.ok(fs.existsSync(`${data}/a/b/artifacts/lock`));
    assert.ok(fs.existsSync(`${data}/a/b/sql`));
    assert.deepEqual(fs.readdirSync(data).filter((name) => !name.startsWith('meta.sqlite')), ['a'], 'nothing elsewhere');
    fs.rmSync(data, { recursive: true, force: true });
});

test('DATABASE_URL and ARTIFACT_DIR are honored', async () => {
    const data = tempDir();
    const { spawn } = await import('node:child_process');
    const child = spawn(binary(), ['serve', '--addr', '127.0.0.1:0', '--http', '127.0.0.1:0'], {
        cwd: data, stdio: ['ignore', 'pipe', 'inherit'],
        env: { ...process.env, DATABASE_URL: `sqlite:${data}/elsewhere/my.sqlite`, ARTIFACT_DIR: `${data}/arts` },
    });
    const closed = new Promise((resolve) => child.on('close', resolve));
    for await (const text of child.stdout.setEncoding('utf8')) if (/limpet: ready/.test(text)) break;
    child.kill('SIGTERM');
    child.stdout.resume();
    await closed;
    assert.ok(fs.existsSync(`${data}/elsewhere/my.sqlite`));
    assert.ok(fs.existsSync(`${data}/arts`));
    assert.ok(!fs.existsSync(`${data}/data`), 'the default place is not made');
    fs.rmSync(data, { recursive: true, force: true });
});

test('--help and --version', async () => {
    const help = await run(binary(), ['serve', '--help']);
    assert.equal(help.code, 0);
    for (const flag of ['--addr', '--http', '--database-url', '--artifact-dir', '--threads', '--tls-cert', '--tls-key', '--egress-allow']) assert.match(help.stdout, new RegExp(flag));
    const version = await run(binary(), ['--version']);
    assert.equal(version.code, 0);
    assert.match(version.stdout, /limpet \d+\.\d+\.\d+/);
});
