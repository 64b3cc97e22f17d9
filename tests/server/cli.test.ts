// SPDX-License-Identifier: Apache-2.0
// The command line: every command, for people and with --json, and its exit codes (docs/cli.md).
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import path from 'node:path';
import { after, test } from 'node:test';
import { binary, run, tempDir, until, useServer } from './harness.ts';

const server = useServer();
const dir = tempDir();
after(() => fs.rmSync(dir, { recursive: true, force: true }));

function file(name: string, text: string): string {
    const to = path.join(dir, name);
    fs.mkdirSync(path.dirname(to), { recursive: true });
    fs.writeFileSync(to, text);
    return to;
}

const GREETER = file('greeter.ts', `
import type { Request, Response } from "derp:runtime/types";
import { success } from "derp:runtime/context";
import * as log from "derp:runtime/logger";
import * as env from "derp:runtime/env";
export const handler = {
    handle(req: Request<{ name: string }>): Response {
        log.info("greeting " + req.body.name);
        if (req.body.name === "Nobody") throw new Error("nobody to greet");
        return success({ greeting: env.getOrDefault("WORD", "Hello") + ", " + req.body.name + "!" });
    },
};
`);

test("derp's quick start, word for word", async () => {
    const s = await server();
    const up = await s.cli(['function', 'upload', 'hello-world', GREETER]);
    assert.equal(up.code, 0, up.stderr);
    const status = await s.cli(['function', 'build', 'status', 'hello-world', '1']);
    assert.equal(status.code, 0, status.stderr);
    assert.match(status.stdout, /ready/);
    const out = await s.cli(['function', 'run', 'hello-world', '--input', '{"name": "World"}']);
    assert.equal(out.code, 0, out.stderr);
    assert.deepEqual(out.json, { greeting: 'Hello, World!' });
    assert.equal((await s.cli(['function', 'env', 'set', 'hello-world', 'WORD', 'Moin'])).code, 0);
    assert.equal((await s.cli(['function', 'env', 'get', 'hello-world', 'WORD'])).stdout.trim(), 'Moin');
    assert.match((await s.cli(['function', 'env', 'list', 'hello-world'])).stdout, /WORD.*Moin/);
    assert.deepEqual((await s.cli(['function', 'run', 'hello-world', '--input', '{"name": "World"}'])).json, { greeting: 'Moin, World!' });
    assert.equal((await s.cli(['function', 'env', 'delete', 'hello-world', 'WORD'])).code, 0);
    assert.equal((await s.cli(['function', 'env', 'get', 'hello-world', 'WORD'])).code, 4);
});

test('list, show, builds, logs, executions for people and as JSON', async () => {
    const s = await server();
    assert.equal((await s.cli(['function', 'upload', 'shown', GREETER])).code, 0);
    assert.equal((await s.cli(['function', 'run', 'shown', '--input', '{"name":"Ann"}'])).code, 0);
    const list = await s.cli(['function', 'list']);
    assert.match(list.stdout, /shown/);
    assert.match(list.stdout, /ready/);
    assert.ok((await s.cli(['function', 'list', '--json'])).json.some((f: any) => f.name === 'shown' && f.status === 'ready'));
    const show = await s.cli(['function', 'show', 'shown']);
    assert.match(show.stdout, new RegExp(`http://shown\\.localhost:${s.httpPort}`));
    assert.equal((await s.cli(['--json', 'function', 'show', 'shown'])).json.version, 1);
    assert.match((await s.cli(['function', 'build', 'list', 'shown'])).stdout, /ready/);
    assert.equal((await s.cli(['function', 'build', 'list', 'shown', '--json'])).json[0].id, 1);
    assert.equal((await s.cli(['function', 'build', 'status', 'shown', '1', '--json'])).json.status, 'ready');
    assert.match((await s.cli(['function', 'logs', 'shown'])).stdout, /greeting Ann/);
    const executions = (await s.cli(['execution', 'list', '--function', 'shown', '--json'])).json;
    assert.equal(executions.length, 1);
    assert.match((await s.cli(['execution', 'list'])).stdout, new RegExp(executions[0].id));
    const one = await s.cli(['execution', 'show', executions[0].id]);
    assert.equal(one.code, 0);
    assert.match(one.stdout, /Hello, Ann!/);
    assert.match(one.stdout, /greeting Ann/);
    assert.deepEqual((await s.cli(['execution', 'show', executions[0].id, '--json'])).json.output, { greeting: 'Hello, Ann!' });
    assert.deepEqual((await s.cli(['function', 'env', 'list', 'shown', '--json'])).json, []);
});

test('a failing run: 1, with the error and its place', async () => {
    const s = await server();
    assert.equal((await s.cli(['function', 'upload', 'fails', GREETER])).code, 0);
    const out = await s.cli(['function', 'run', 'fails', '--input', '{"name":"Nobody"}']);
    assert.equal(out.code, 1);
    assert.equal(out.stdout, '');
    assert.match(out.stderr, /nobody to greet/);
    assert.match(out.stderr, /greeter\.ts:9/);
    const json = await s.cli(['function', 'run', 'fails', '--input', '{"name":"Nobody"}', '--json']);
    assert.equal(json.code, 1);
    assert.match(json.stdout + json.stderr, /"code": ?"guest_error"/);
});

test('a failing build: 1, with file, line and frame; what serves goes on', async () => {
    const s = await server();
    assert.equal((await s.cli(['function', 'upload', 'broken', GREETER])).code, 0);
    const bad = file('broken.ts', 'export const a = 1;\nexport default { fetch( { } };\n');
    const up = await s.cli(['function', 'upload', 'broken', bad]);
    assert.equal(up.code, 1);
    assert.match(up.stderr, /broken\.ts:2/);
    assert.match(up.stderr, /\^/);
    assert.equal((await s.cli(['function', 'run', 'broken', '--input', '{"name":"x"}'])).code, 0);
    const throws = file('throws.ts', 'throw new Error("at load");\nexport default () => 1;\n');
    const evaluated = await s.cli(['function', 'upload', 'broken', throws]);
    assert.equal(evaluated.code, 1);
    assert.match(evaluated.stderr, /at load/);
    assert.match(evaluated.stderr, /throws\.ts:1/);
    const failed = await s.cli(['function', 'build', 'list', 'broken', '--json']);
    assert.equal(failed.json[0].status, 'failed');
});

test('upload bundles local imports and node_modules, CommonJS too', async () => {
    const s = await server();
    file('app/node_modules/tiny-esm/package.json', '{"name":"tiny-esm","version":"1.0.0","type":"module","exports":"./index.js"}');
    file('app/node_modules/tiny-esm/index.js', 'export const twice = (n) => n * 2;\n');
    file('app/node_modules/tiny-cjs/package.json', '{"name":"tiny-cjs","version":"1.0.0","main":"./main.js"}');
    file('app/node_modules/tiny-cjs/main.js', 'module.exports = { greet: (n) => "hi " + n };\n');
    file('app/data.json', '{"version": 7}');
    file('app/util.ts', 'export const add = (a: number, b: number): number => a + b;\n');
    const entry = file('app/index.ts', 'import { twice } from "tiny-esm";\nimport cjs from "tiny-cjs";\nimport { add } from "./util";\nimport data from "./data.json";\nexport default () => ({ n: add(twice(4), 1), g: cjs.greet("x"), v: data.version });\n');
    const up = await s.cli(['function', 'upload', 'bundled', entry]);
    assert.equal(up.code, 0, up.stderr);
    assert.deepEqual((await s.request('bundled')).json, { n: 9, g: 'hi x', v: 7 });
    const missing = await s.cli(['function', 'upload', 'bundled', file('app/bad.ts', 'import x from "not-installed";\nexport default () => x;\n')]);
    assert.equal(missing.code, 1);
    assert.match(missing.stderr, /not-installed/);
    assert.match(missing.stderr, /bad\.ts:1/);
});

test('deploy takes the name from the file', async () => {
    const s = await server();
    const up = await s.cli(['deploy', file('named/index.ts', 'export default () => ({ deployed: true });\n')]);
    assert.equal(up.code, 0, up.stderr);
    assert.deepEqual((await s.request('named')).json, { deployed: true });
});

test('upload passes isolation, limits and egress', async () => {
    const s = await server();
    const up = await s.cli(['function', 'upload', 'options', GREETER, '--isolation', 'module', '--memory-mb', '32', '--cpu-ms', '500', '--wall-ms', '5000', '--sql-transaction-ms', '40', '--egress', 'a.example', '--egress', '*.b.example']);
    assert.equal(up.code, 0, up.stderr);
    const shown = (await s.api('GET', '/functions/options')).json;
    assert.equal(shown.isolation, 'module');
    assert.deepEqual(shown.limits, { memory_mb: 32, cpu_ms: 500, wall_ms: 5000, sql_transaction_ms: 40 });
    assert.deepEqual(shown.egress, ['a.example', '*.b.example']);
});

test('input from a file and from standard input', async () => {
    const s = await server();
    assert.equal((await s.cli(['function', 'upload', 'inputs', GREETER])).code, 0);
    assert.deepEqual((await s.cli(['function', 'run', 'inputs', '--input', '@' + file('in.json', '{"name":"File"}')])).json, { greeting: 'Hello, File!' });
    assert.deepEqual((await s.cli(['function', 'run', 'inputs', '--input', '-'], { input: '{"name":"Pipe"}' })).json, { greeting: 'Hello, Pipe!' });
    const bad = await s.cli(['function', 'run', 'inputs', '--input', '{"name":']);
    assert.ok([1, 2].includes(bad.code!));
    assert.match(bad.stderr, /JSON/);
});

test('delete asks, unless told not to', async () => {
    const s = await server();
    assert.equal((await s.cli(['function', 'upload', 'doomed', GREETER])).code, 0);
    for (const input of ['n\n', '']) {
        assert.equal((await s.cli(['function', 'delete', 'doomed'], { input })).code, 1);
        assert.equal((await s.api('GET', '/functions/doomed')).status, 200);
    }
    assert.equal((await s.cli(['function', 'delete', 'doomed'], { input: 'y\n' })).code, 0);
    assert.equal((await s.cli(['function', 'show', 'doomed'])).code, 4);
    assert.equal((await s.cli(['function', 'upload', 'doomed', GREETER])).code, 0);
    assert.equal((await s.cli(['function', 'delete', 'doomed', '--yes'])).code, 0);
    assert.equal((await s.cli(['function', 'show', 'doomed'])).code, 4);
});

test('logs -f prints lines as they come, until interrupted', async () => {
    const s = await server();
    assert.equal((await s.cli(['function', 'upload', 'tailed', GREETER])).code, 0);
    const child = spawn(binary(), ['function', 'logs', 'tailed', '-f'], { env: { ...process.env, LIMPET_SERVER: `http://127.0.0.1:${s.adminPort}` }, stdio: ['ignore', 'pipe', 'pipe'] });
    let out = '';
    child.stdout.setEncoding('utf8').on('data', (d) => (out += d));
    const closed = once(child, 'close');
    await until('the stream is open', async () => (await s.metrics()).get('limpet_log_followers') === 1);
    for (const name of ['One', 'Two']) {
        await s.execute('tailed', { name });
        await until(`the line of ${name}`, () => out.includes(`greeting ${name}`));
    }
    child.kill('SIGINT');
    await closed;
});

test('exit codes: usage 2, unreachable 3, not found 4', async () => {
    const s = await server();
    for (const args of [['nonsense'], ['function'], ['function', 'upload', 'x'], ['function', 'list', '--nope'], ['function', 'run'], ['function', 'lst'], ['function', 'run', 'a', 'b', 'c']]) {
        const out = await s.cli(args);
        assert.equal(out.code, 2, `${args.join(' ')}: ${out.code} ${out.stderr}`);
        assert.notEqual(out.stderr + out.stdout, '');
    }
    assert.match((await s.cli(['function', 'lst'])).stderr, /list/, 'suggests what was meant');
    const gone = await s.cli(['function', 'list'], { env: { LIMPET_SERVER: 'http://127.0.0.1:1' } });
    assert.equal(gone.code, 3);
    assert.match(gone.stderr, /limpet serve/);
    for (const args of [['function', 'show', 'nobody'], ['function', 'run', 'nobody'], ['function', 'logs', 'nobody'], ['function', 'delete', 'nobody', '--yes'], ['function', 'build', 'status', 'nobody', '1'], ['execution', 'show', 'nothing'], ['function', 'env', 'get', 'nobody', 'X']]) {
        const out = await s.cli(args);
        assert.equal(out.code, 4, `${args.join(' ')}: ${out.code} ${out.stderr}`);
        assert.match(out.stderr, /^error: /m);
    }
    const noFile = await s.cli(['function', 'upload', 'x', path.join(dir, 'absent.ts')]);
    assert.notEqual(noFile.code, 0);
    assert.match(noFile.stderr, /absent\.ts/);
    const badName = await s.cli(['function', 'upload', 'Bad_Name', GREETER]);
    assert.notEqual(badName.code, 0);
});

test('--server wins over LIMPET_SERVER; errors with --json are JSON', async () => {
    const s = await server();
    const out = await s.cli(['--server', `http://127.0.0.1:${s.adminPort}`, 'function', 'list', '--json'], { env: { LIMPET_SERVER: 'http://127.0.0.1:1' } });
    assert.equal(out.code, 0, out.stderr);
    const missing = await s.cli(['function', 'show', 'nobody', '--json']);
    assert.equal(JSON.parse(missing.stdout || missing.stderr).error.code, 'not_found');
});

test('help of everything', async () => {
    const all = await run(binary(), ['help']);
    assert.equal(all.code, 0);
    for (const command of ['serve', 'deploy', 'function upload', 'function env set', 'execution show']) assert.match(all.stdout, new RegExp(command));
    for (const args of [['function', 'upload', '--help'], ['help', 'function', 'upload'], ['function', '--help']]) {
        const out = await run(binary(), args);
        assert.equal(out.code, 0, args.join(' '));
        assert.match(out.stdout, /upload/);
    }
});
