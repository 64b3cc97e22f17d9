// SPDX-License-Identifier: Apache-2.0
// Projects: limpet.toml and the files of others, deployed and built by the command line.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { after, test } from 'node:test';
import { tempDir, useServer } from './harness.ts';

const server = useServer();
const dir = tempDir();
after(() => fs.rmSync(dir, { recursive: true, force: true }));

function project(name: string, files: Record<string, string>): string {
    for (const [file, text] of Object.entries(files)) {
        const to = path.join(dir, name, file);
        fs.mkdirSync(path.dirname(to), { recursive: true });
        fs.writeFileSync(to, text);
    }
    return path.join(dir, name);
}

const SHOWS_ENV = 'export default { fetch: (r: Request, env: any) => Response.json({ text: env.TEXT, list: env.LIST, n: env.N, keys: Object.keys(env), twice: env.LIST === env.LIST }) };\n';

test('limpet.toml: name, main, vars, limits, isolation, egress', async () => {
    const s = await server();
    const p = project('whole', {
        'limpet.toml': 'name = "whole"\nmain = "src/main.ts"\nisolation = "module"\negress = ["api.example.com"]\n[limits]\nmemory_mb = 32\nwall_ms = 5000\n[vars]\nTEXT = "as it is"\nLIST = [1, { a = "b" }]\nN = 7\n',
        'src/main.ts': SHOWS_ENV,
    });
    const up = await s.cli(['deploy', p]);
    assert.equal(up.code, 0, up.stderr);
    assert.match(up.stdout, /whole: version 1 is ready/);
    const answer = (await s.request('whole')).json;
    assert.equal(answer.text, 'as it is');
    assert.deepEqual(answer.list, [1, { a: 'b' }]);
    assert.equal(answer.n, 7);
    assert.deepEqual(answer.keys.sort(), ['LIST', 'N', 'TEXT']);
    const shown = (await s.api('GET', '/functions/whole')).json;
    assert.equal(shown.isolation, 'module');
    assert.equal(shown.limits.memory_mb, 32);
    assert.equal(shown.limits.wall_ms, 5000);
    assert.deepEqual(shown.egress, ['api.example.com']);
    assert.deepEqual(shown.vars, { TEXT: 'as it is', LIST: [1, { a: 'b' }], N: 7 });
    assert.match((await s.cli(['deploy', p])).stdout, /version 1 is ready/, 'the same project makes no new version');
    // What is set for the module takes the place of what the project says.
    assert.equal((await s.cli(['function', 'env', 'set', 'whole', 'TEXT', 'set'])).code, 0);
    assert.equal((await s.request('whole')).json.text, 'set');
    fs.writeFileSync(path.join(p, 'limpet.toml'), 'name = "whole"\nmain = "src/main.ts"\n[vars]\nN = 8\n');
    assert.match((await s.cli(['deploy', p])).stdout, /version 2 is ready/);
    assert.deepEqual((await s.request('whole')).json.keys.sort(), ['N', 'TEXT']);
});

test('a mistake in limpet.toml: line, and what was meant', async () => {
    const s = await server();
    const p = project('wrong', { 'limpet.toml': 'name = "wrong"\nmian = "a.ts"\n', 'a.ts': SHOWS_ENV });
    const up = await s.cli(['deploy', p]);
    assert.equal(up.code, 2);
    assert.match(up.stderr, /limpet\.toml:2: there is no key 'mian'/);
    assert.match(up.stderr, /did you mean 'main'\?/);
    const json = await s.cli(['deploy', p, '--json']);
    assert.match(JSON.parse(json.stderr).error.message, /mian/);
    fs.writeFileSync(path.join(p, 'limpet.toml'), 'name = = "x"\n');
    assert.match((await s.cli(['deploy', p])).stderr, /limpet\.toml:1:\d+/);
    assert.equal((await s.cli(['deploy', path.join(dir, 'nowhere-at-all')])).code, 1);
    fs.mkdirSync(path.join(dir, 'empty'), { recursive: true });
    const none = await s.cli(['deploy', path.join(dir, 'empty')]);
    assert.equal(none.code, 4);
    assert.match(none.stderr, /limpet init/);
});

test("wrangler's files are read as they are; bindings that are missing are named", async () => {
    const s = await server();
    const p = project('theirs', {
        'wrangler.jsonc': '{\n  // their comment\n  "$schema": "node_modules/wrangler/config-schema.json",\n  "name": "theirs",\n  "main": "src/index.ts",\n  "compatibility_date": "2026-01-01",\n  "compatibility_flags": ["nodejs_compat"],\n  "observability": { "enabled": true },\n  "placement": { "mode": "smart" },\n  "vars": { "TEXT": "x", "LIST": { "deep": [true] }, },\n  "rules": [{ "type": "Text", "globs": ["**/*.graphql"], "fallthrough": true }],\n  "env": { "staging": { "vars": { "TEXT": "staging" } } },\n}\n',
        'src/index.ts': 'import q from "./q.graphql";\nexport default { fetch: (r: Request, env: any) => Response.json({ q, text: env.TEXT, list: env.LIST ?? null }) };\n',
        'src/q.graphql': 'query { a }',
    });
    const up = await s.cli(['deploy'], { cwd: p });
    assert.equal(up.code, 0, up.stderr);
    assert.match(up.stderr, /wrangler\.jsonc:8: 'observability' means nothing here/);
    assert.match(up.stderr, /wrangler\.jsonc:9: 'placement' means nothing here/);
    assert.deepEqual((await s.request('theirs')).json, { q: 'query { a }', text: 'x', list: { deep: [true] } });
    assert.equal((await s.cli(['deploy', p, '--env', 'staging'])).code, 0);
    assert.deepEqual((await s.request('theirs-staging')).json, { q: 'query { a }', text: 'staging', list: null });
    assert.match((await s.cli(['deploy', p, '--env', 'prod'])).stderr, /no environment 'prod'/);

    project('bound', {
        'wrangler.toml': 'name = "bound"\nmain = "index.js"\n[[hyperdrive]]\nbinding = "DB"\nid = "y"\n[triggers]\ncrons = ["* * * * *"]\n',
        'index.js': 'export default { fetch: (r, env) => new Response(String(env.DB)) };\n',
    });
    const bound = await s.cli(['deploy', path.join(dir, 'bound', 'wrangler.toml')]);
    assert.equal(bound.code, 1);
    assert.match(bound.stderr, /Hyperdrive \(wrangler\.toml:3, hyperdrive\)/);
    const without = await s.cli(['deploy', path.join(dir, 'bound'), '--without-bindings']);
    assert.equal(without.code, 0, without.stderr);
    assert.match(without.stderr, /warning: .*Hyperdrive/);
    assert.equal((await s.request('bound')).text, 'undefined');
    assert.deepEqual((await s.api('GET', '/schedules')).json.map((x: any) => [x.name, x.plan.cron]), [['bound-cron-1', '* * * * *']]);
});

test("worky.toml, a project's own build, a configuration that a build has made", async () => {
    const s = await server();
    const p = project('worky', { 'worky.toml': 'name = "worky"\nmain = "a.js"\n[database]\nurl = "x"\n', 'a.js': 'export default () => "worky";\n' });
    const up = await s.cli(['deploy', p]);
    assert.equal(up.code, 0, up.stderr);
    assert.match(up.stderr, /worky\.toml:3: 'database' means nothing here/);

    const built = project('built', {
        'limpet.toml': 'name = "built"\nmain = "dist/out.js"\n[build]\ncommand = "mkdir -p dist && made"\n',
        'node_modules/.bin/made': '#!/bin/sh\necho making >&2\necho "export default () => \'made\';" > dist/out.js\n',
    });
    fs.chmodSync(path.join(built, 'node_modules/.bin/made'), 0o755);
    const made = await s.cli(['deploy', built]);
    assert.equal(made.code, 0, made.stderr);
    assert.match(made.stderr, /making/);
    assert.equal((await s.request('built')).json, 'made');
    fs.writeFileSync(path.join(built, 'limpet.toml'), 'name = "built"\nmain = "dist/out.js"\n[build]\ncommand = "exit 3"\n');
    const failed = await s.cli(['deploy', built]);
    assert.equal(failed.code, 1);
    assert.match(failed.stderr, /exit code 3/);

    const redirected = project('redirected', {
        'wrangler.json': '{"name":"redirected","main":"src/none.ts"}',
        '.wrangler/deploy/config.json': '{"configPath":"../../dist/server/wrangler.json"}',
        'dist/server/wrangler.json': '{"name":"redirected","main":"index.js","no_bundle":true,"rules":[{"type":"ESModule","globs":["**/*.js"]}],"configPath":"x","topLevelName":"redirected"}',
        'dist/server/index.js': 'import { word } from "./chunks/a.js";\nexport default () => word;\n',
        'dist/server/chunks/a.js': 'export const word = "redirected";\n',
    });
    const moved = await s.cli(['deploy', redirected]);
    assert.equal(moved.code, 0, moved.stderr);
    assert.equal((await s.request('redirected')).json, 'redirected');
});

test('build writes the bundle and deploys nothing; settings of bundling', async () => {
    const s = await server();
    const p = project('settings', {
        'limpet.toml': 'name = "settings"\nmain = "i.ts"\nminify = true\ntsconfig = "conf/ts.json"\n[define]\nWORD = "\'defined\'"\n[alias]\n"some-package" = "./own.ts"\n',
        'conf/ts.json': '{ "compilerOptions": { "paths": { "@/*": ["../lib/*"] } } }',
        'lib/x.ts': 'export const x = 1;\n',
        'own.ts': 'export const own = 2;\n',
        'i.ts': 'import { x } from "@/x";\nimport { own } from "some-package";\ndeclare const WORD: string;\nexport default { fetch: () => Response.json([x, own, WORD]) };\n',
    });
    const out = path.join(dir, 'out/deep');
    const build = await s.cli(['build', p, '--out', out]);
    assert.equal(build.code, 0, build.stderr);
    assert.ok(fs.readFileSync(path.join(out, 'index.js'), 'utf8').split('\n').length < 6, 'minified');
    assert.ok(fs.existsSync(path.join(out, 'index.js.map')));
    assert.equal((await s.cli(['function', 'show', 'settings'])).code, 4);
    assert.equal((await s.cli(['deploy', p])).code, 0);
    assert.deepEqual((await s.request('settings')).json, [1, 2, 'defined']);
    assert.equal((await s.cli(['build', p])).code, 0);
    assert.ok(fs.existsSync(path.join(p, '.limpet/build/index.js')));
});

test('namespace, workflow, name; flags that are for files', async () => {
    const s = await server();
    assert.equal((await s.cli(['namespace', 'create', 'shop'])).code, 0);
    const p = project('spaced', { 'limpet.toml': 'name = "spaced"\nmain = "i.ts"\nnamespace = "shop"\n', 'i.ts': 'export default () => "in shop";\n' });
    assert.equal((await s.cli(['deploy', p])).code, 0);
    assert.equal((await s.cli(['--namespace', 'shop', 'function', 'show', 'spaced'])).code, 0);
    const w = project('flow', { 'limpet.toml': 'kind = "workflow"\nmain = "i.ts"\n[vars]\nN = 3\n', 'i.ts': 'import { workflow } from "limpet";\nimport * as env from "derp:runtime/env";\nexport default workflow(async () => env.get("N"));\n' });
    const up = await s.cli(['deploy', w, '--name', 'my-flow']);
    assert.equal(up.code, 0, up.stderr);
    assert.equal((await s.cli(['workflow', 'run', 'my-flow', '--wait'])).json, '3');
    const flag = await s.cli(['deploy', p, '--cpu-ms', '5']);
    assert.equal(flag.code, 2);
    assert.match(flag.stderr, /--cpu-ms is for a file/);
});
