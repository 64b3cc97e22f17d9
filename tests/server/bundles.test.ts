// SPDX-License-Identifier: Apache-2.0
// What `limpet function upload` makes of a project's files and packages: the code that packages have for Workers or browsers, texts and
// data, paths of tsconfig.json, names as in the source.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { after, test } from 'node:test';
import { tempDir, until, useServer } from './harness.ts';

const server = useServer();
const folder = tempDir('limpet-project-');
after(() => fs.rmSync(folder, { recursive: true, force: true }));

function write(file: string, content: string | Buffer): void {
    const at = path.join(folder, file);
    fs.mkdirSync(path.dirname(at), { recursive: true });
    fs.writeFileSync(at, content);
}
write('package.json', '{"name": "project", "private": true}');

/** Uploads src/NAME.tsx as NAME; the answer's JSON. */
async function answer(name: string, source: string): Promise<any> {
    const s = await server();
    write(`src/${name}.tsx`, source);
    const up = await s.cli(['function', 'upload', name, path.join(folder, `src/${name}.tsx`)]);
    assert.equal(up.code, 0, up.stderr);
    const res = await s.request(name);
    assert.equal(res.status, 200, res.text);
    return res.json;
}

async function refused(name: string, source: string): Promise<string> {
    const s = await server();
    write(`src/${name}.tsx`, source);
    const up = await s.cli(['function', 'upload', name, path.join(folder, `src/${name}.tsx`)]);
    assert.notEqual(up.code, 0);
    return up.stderr;
}

const json = (expression: string): string => `export default { fetch: async () => Response.json(${expression}) };`;

test('packages give the code that they have for production, browsers and workers', async () => {
    write('node_modules/env/index.js', 'module.exports = process.env.NODE_ENV === "production" ? "prod" : require("./no-such-file");');
    write('node_modules/maps/package.json', '{"name": "maps", "main": "./node.js", "browser": {"./node.js": "./browser.js", "fs": false, "./swap.js": "./swapped.js"}}');
    write('node_modules/maps/node.js', 'module.exports = require("fs").readFileSync;');
    write('node_modules/maps/browser.js', 'module.exports = [typeof require("fs").readFileSync, require("./swap.js")];');
    write('node_modules/maps/swap.js', 'module.exports = "of Node";');
    write('node_modules/maps/swapped.js', 'module.exports = "of browsers";');
    write('node_modules/field/package.json', '{"name": "field", "main": "./a.js", "module": "./b.js", "browser": "./c.js"}');
    for (const c of ['a', 'b', 'c']) write(`node_modules/field/${c}.js`, `module.exports = "${c}";`);
    const kinds = { workerd: './workerd.js', worker: './worker.js', browser: './browser.js', node: './node.js', default: './default.js' };
    for (const [name, drop] of [['cond1', []], ['cond2', ['workerd']], ['cond3', ['workerd', 'worker']], ['cond4', ['workerd', 'worker', 'browser']]] as const) {
        const left = Object.entries(kinds).filter(([k]) => !(drop as readonly string[]).includes(k));
        write(`node_modules/${name}/package.json`, JSON.stringify({ name, exports: Object.fromEntries(left.reverse().sort(([a]) => (a === 'default' ? 1 : -1))) }));
        for (const [kind, file] of Object.entries(kinds)) write(`node_modules/${name}/${file}`, `export default "${kind}";`);
    }
    const got = await answer('packages', `import env from "env"; import maps from "maps"; import field from "field"; import c4 from "cond4"; ${json('[env, maps, field, c4]')}`);
    assert.deepEqual(got, ['prod', ['undefined', 'of browsers'], 'c', 'default']);
    // Of several that fit, the package's own order decides.
    write('node_modules/cond1/package.json', JSON.stringify({ name: 'cond1', exports: kinds }));
    write('node_modules/cond2/package.json', JSON.stringify({ name: 'cond2', exports: { node: './node.js', worker: './worker.js', default: './default.js' } }));
    assert.deepEqual(await answer('conditions', `import a from "cond1"; import b from "cond2"; ${json('[a, b]')}`), ['workerd', 'worker']);
});

test('names of modules of Node.js, and packages of such names', async () => {
    write('node_modules/buffer/package.json', '{"name": "buffer", "main": "index.js"}');
    write('node_modules/buffer/index.js', 'exports.who = "the package";');
    write('node_modules/util/package.json', '{"name": "util", "main": "./lib/util.js"}');
    write('node_modules/util/lib/util.js', 'exports.who = "util of npm";');
    for (const name of ['test', 'sqlite']) write(`node_modules/${name}/index.js`, `module.exports = "${name} of npm";`);
    const got = await answer('nodenames', `
import buffer from "buffer"; import below from "buffer/"; import file from "buffer/index.js"; import util from "util"; import util2 from "util/"; import types from "util/types"; import file2 from "util/lib/util.js";
import test from "test"; import sqlite from "sqlite"; import { mock } from "node:test";
${json('[typeof buffer.Buffer, typeof below.Buffer, file.who, typeof util.inspect, typeof util2.inspect, typeof types.isDate, file2.who, test, sqlite, typeof mock.fn]')}`);
    assert.deepEqual(got, ['function', 'function', 'the package', 'function', 'function', 'function', 'util of npm', 'test of npm', 'sqlite of npm', 'function']);
    assert.match(await refused('deepname', `import x from "@a/none/deep/file"; ${json('x')}`), /npm install @a\/none$/m);
});

test('a byte that is not UTF-8 in a package is no error', async () => {
    write('node_modules/latin/index.js', Buffer.from('// caf\xe9\nmodule.exports = { a: "caf\xe9".length, b() { throw new Error("in latin"); } };', 'latin1'));
    assert.deepEqual(await answer('latin', `import l from "latin"; let at = ""; ${json('(() => { try { l.b(); } catch (e) { at = e.stack.split("\\n")[0]; } return [l.a, at]; })()')}`), [4, 'Error: in latin']);
    const s = await server();
    await answer('latinthrows', `import l from "latin"; export default { fetch(r) { if (r.url.endsWith("/x")) l.b(); return Response.json(1); } };`);
    assert.equal((await s.request('latinthrows', '/x')).status, 500);
    await until('its log line', async () => /node_modules\/latin\/index\.js:2:/.test((await s.api('GET', '/functions/latinthrows/logs')).text));
});

test('texts and data files', async () => {
    write('src/a.txt', 'text ✓');
    write('src/q.sql', 'SELECT 1');
    write('src/p.html', '<p>');
    write('src/r.md', '# r');
    write('src/d.bin', Buffer.from([0, 1, 255]));
    write('src/i.png', Buffer.from([137, 80]));
    write('src/j.json', '{"k": [1]}');
    write('src/odd.xyz', 'odd');
    const got = await answer('files', `
import a from "./a.txt"; import q from "./q.sql"; import p from "./p.html"; import r from "./r.md"; import d from "./d.bin"; import i from "./i.png"; import j from "./j.json";
import odd from "./odd.xyz" with { type: "text" }; import bytes from "./odd.xyz" with { type: "bytes" };
${json('[a, q, p, r, [...d], [...i], j, odd, [...bytes]]')}`);
    assert.deepEqual(got, ['text ✓', 'SELECT 1', '<p>', '# r', [0, 1, 255], [137, 80], { k: [1] }, 'odd', [111, 100, 100]]);
    const said = await refused('odd', `import odd from "./odd.xyz"; ${json('odd')}`);
    assert.match(said, /files of the kind "\.xyz" cannot be imported as they are/);
    assert.match(said, /with \{ type: "bytes" \}, or "text"/);
});

test('names are as in the source, also where the bundle has others', async () => {
    write('src/one.ts', 'export class Foo { static own = Foo.name; }\nexport function f() {}');
    const got = await answer('names', `import { Foo as A, f as g } from "./one"; class Foo extends Error { static x = Foo.name; } function f() {} const arrow = () => 1;
${json('[A.name, A.own, Foo.name, Foo.x, f.name, g.name, arrow.name, (() => 1).name]')}`);
    assert.deepEqual(got, ['Foo', 'Foo', 'Foo', 'Foo', 'f', 'f', 'arrow', '']);
});

test('paths and JSX of tsconfig.json', async () => {
    write('tsconfig.json', '{"compilerOptions": {"paths": {"@/*": ["./src/lib/*"]}, "jsx": "react", "jsxFactory": "h"}}');
    write('src/lib/v.ts', 'export const v = 5;');
    assert.deepEqual(await answer('paths', `import { v } from "@/v"; const h = (...all: unknown[]) => all; ${json('<b a={v}>x</b>')}`), ['b', { a: 5 }, 'x']);
});

test('top-level code has CPU time of its own', async () => {
    const s = await server();
    write('src/slow.tsx', 'let n = 0; for (let i = 0; i < 5e6; i++) n += i % 7; export default { fetch: () => Response.json("up") };');
    const up = await s.cli(['function', 'upload', 'slow', path.join(folder, 'src/slow.tsx'), '--cpu-ms', '20']);
    assert.equal(up.code, 0, up.stderr);
    assert.equal((await s.request('slow')).json, 'up');
});
