// SPDX-License-Identifier: Apache-2.0
// limpet init and limpet types: each template deploys and answers, and is right for the compiler, offline.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { after, test } from 'node:test';
import { run, tempDir, useServer } from './harness.ts';

const server = useServer();
const root = tempDir();
const tree = path.resolve(import.meta.dirname ?? '.', '../..');
after(() => fs.rmSync(root, { recursive: true, force: true }));

/** What npm install would put there. */
function install(dir: string, packages: Record<string, string>): void {
    fs.mkdirSync(path.join(dir, 'node_modules'), { recursive: true });
    for (const [name, from] of Object.entries(packages)) fs.symlinkSync(from, path.join(dir, 'node_modules', name));
}

function modules(): string {
    for (let at = tree; ; at = path.dirname(at)) {
        if (fs.existsSync(path.join(at, 'node_modules/typescript'))) return path.join(at, 'node_modules');
        if (at === path.dirname(at)) return path.join(process.cwd(), 'node_modules');
    }
}

function sdk(): string {
    return path.join(path.dirname(modules()), 'sdk');
}

test('templates deploy, answer, and have types', async () => {
    const s = await server();
    const wanted: Record<string, [string, RegExp]> = { function: ['/a', /^Hello! \/a was visited 1 times/], hono: ['/hello/ann', /"hello":"ann"/], static: ['/', /<h1>my-static<\/h1>/] };
    for (const template of ['function', 'workflow', 'hono', 'static']) {
        const dir = path.join(root, `my-${template}`);
        const made = await s.cli(['init', template, dir]);
        assert.equal(made.code, 0, made.stderr);
        install(dir, { limpet: sdk(), hono: path.join(modules(), 'hono') });
        const up = await s.cli(['deploy', dir]);
        assert.equal(up.code, 0, up.stderr);
        if (wanted[template]) assert.match((await s.request(`my-${template}`, wanted[template][0])).text, wanted[template][1]);
        if (template === 'static') continue;
        assert.equal((await s.cli(['types', dir])).code, 0);
        const tsc = await run(process.execPath, [path.join(modules(), 'typescript/bin/tsc'), '--noEmit', '-p', dir]);
        assert.equal(tsc.code, 0, `${template}: ${tsc.stdout}`);
    }
    const started = await s.cli(['workflow', 'run', 'my-workflow', '--input', '{"name":"Ann"}']);
    const id = started.stdout.trim();
    assert.equal((await s.cli(['execution', 'signal', id, 'answer', '--data', '{"answer":"yes"}'])).code, 0);
    assert.deepEqual((await s.cli(['execution', 'wait', id])).json, { greeting: 'Hello, Ann!', answer: 'yes' });
});

test('nothing is overwritten; an unknown template is one that was mistyped', async () => {
    const s = await server();
    const dir = path.join(root, 'taken');
    fs.mkdirSync(path.join(dir, 'src'), { recursive: true });
    fs.writeFileSync(path.join(dir, 'src/index.ts'), 'mine');
    const refused = await s.cli(['init', 'function', dir]);
    assert.equal(refused.code, 1);
    assert.match(refused.stderr, /has a src\/index\.ts already/);
    assert.equal(fs.readFileSync(path.join(dir, 'src/index.ts'), 'utf8'), 'mine');
    assert.ok(!fs.existsSync(path.join(dir, 'limpet.toml')));
    const wrong = await s.cli(['init', 'workflo']);
    assert.equal(wrong.code, 2);
    assert.match(wrong.stderr, /did you mean 'workflow'\?/);
    const here = path.join(root, 'In Here!');
    fs.mkdirSync(here);
    fs.writeFileSync(path.join(here, 'package.json'), '{"name":"kept"}');
    assert.equal((await s.cli(['init'], { cwd: here })).code, 0);
    assert.match(fs.readFileSync(path.join(here, 'package.json'), 'utf8'), /kept/);
});

test('types of variables are those of their values', async () => {
    const s = await server();
    const dir = path.join(root, 'typed');
    fs.mkdirSync(dir);
    fs.writeFileSync(path.join(dir, 'limpet.toml'), 'main = "i.ts"\n[vars]\nTEXT = "x"\nN = 1\nDEEP = { list = [1, 2], "a b" = true, mixed = [1, "x"] }\n');
    fs.writeFileSync(path.join(dir, '.dev.vars'), 'SECRET=s\n');
    assert.equal((await s.cli(['types'], { cwd: dir })).code, 0);
    const text = fs.readFileSync(path.join(dir, 'limpet-env.d.ts'), 'utf8');
    assert.match(text, /readonly TEXT: string;/);
    assert.match(text, /readonly N: number;/);
    assert.match(text, /readonly DEEP: \{ "list": readonly \(number\)\[\]; "a b": boolean; "mixed": readonly \(unknown\)\[\] \};/);
    assert.match(text, /readonly SECRET: string;/);
});
