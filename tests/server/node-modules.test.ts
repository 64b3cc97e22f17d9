// SPDX-License-Identifier: Apache-2.0
// Modules of Node.js by their names, with and without "node:": in projects, in packages, in one uploaded text; what they give, and that
// code which does not ask has none of it.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { after, test } from 'node:test';
import { tempDir, useServer } from './harness.ts';

const server = useServer();
const folder = tempDir('limpet-node-');
after(() => fs.rmSync(folder, { recursive: true, force: true }));

function write(file: string, content: string): void {
    const at = path.join(folder, file);
    fs.mkdirSync(path.dirname(at), { recursive: true });
    fs.writeFileSync(at, content);
}
write('package.json', '{"name": "project", "private": true}');

async function upload(name: string, source: string): Promise<{ code: number | null; stderr: string }> {
    const s = await server();
    write(`src/${name}.ts`, source);
    return s.cli(['function', 'upload', name, path.join(folder, `src/${name}.ts`)]);
}

async function answer(name: string, source: string, request = '/'): Promise<any> {
    const up = await upload(name, source);
    assert.equal(up.code, 0, up.stderr);
    const res = await (await server()).request(name, request);
    assert.equal(res.status, 200, res.text);
    return res.json;
}

const json = (expression: string): string => `export default { fetch: async () => Response.json(${expression}) };`;

test('imports by both names, by require() and by import() are one module', async () => {
    write('node_modules/asks/index.js', 'const E = require("events"); const { EventEmitter } = require("node:events"); module.exports = { E, EventEmitter, util: require("util/types") };');
    const got = await answer('names', `import asks from "asks"; import E, { EventEmitter as Named } from "node:events"; import * as all from "events"; import { join } from "path";
${json('[asks.E === E, asks.EventEmitter === Named, all.default === E, (await import("node:events")).default === E, join("/a", "../b"), typeof asks.util.isDate]')}`);
    assert.deepEqual(got, [true, true, true, true, '/b', 'function']);
});

test('an installed package of the same name gives way to the module, and a "browser" map is obeyed', async () => {
    write('node_modules/punycode/index.js', 'module.exports = "the package";');
    write('node_modules/maps2/package.json', '{"name": "maps2", "browser": {"os": false, "./here.js": "./there.js"}}');
    write('node_modules/maps2/index.js', 'module.exports = [Object.keys(require("os")).length, require("./here.js"), typeof require("punycode").toASCII];');
    write('node_modules/maps2/there.js', 'module.exports = "there";');
    assert.deepEqual(await answer('shadow', `import maps from "maps2"; import puny from "punycode"; ${json('[maps, puny.toASCII("mañana.com")]')}`),
        [[0, 'there', 'function'], 'xn--maana-pta.com']);
});

test('one uploaded text imports them too; a private part and what is no module are refused', async () => {
    const s = await server();
    await s.deploy('text', `import { basename } from "path"; import { Buffer } from "node:buffer"; ${json('[basename("/x/y.z"), Buffer.from("ff", "hex")[0]]')}`);
    assert.deepEqual((await s.request('text')).json, ['y.z', 255]);
    for (const name of ['limpet:internal', 'node:internal/errors', 'node:nothing']) {
        const up = await upload('private', `import x from "${name}"; ${json('x')}`);
        assert.notEqual(up.code, 0, name);
    }
    await s.deploy('computed', `export default { async fetch() { const name = "limpet:" + "internal"; return Response.json(await import(name).then(() => "let in", (e) => e.name)); } };`);
    assert.equal((await s.request('computed')).json, 'ReferenceError');
});

test('process and Buffer are there for code that speaks of them, and for no other', async () => {
    const got = await answer('globals', `const seen: any = globalThis; ${json('[seen.process.version.slice(0, 3), Buffer.from("é").length, typeof seen.process.env.HOME, Object.prototype.toString.call(process)]')}`);
    assert.deepEqual(got, ['v20', 2, 'undefined', '[object process]']);
    const none = await answer('noglobals', `const both = ["Bu_ffer", "pro_cess"].map((name) => name.replace("_", "")); ${json('both.map((name) => typeof (globalThis as any)[name])')}`);
    assert.deepEqual(none, ['undefined', 'undefined']);
});

test('process.env is the module\'s', async () => {
    const s = await server();
    await s.deploy('env', json('[process.env.COLOR, Object.keys(process.env), "COLOR" in process.env]'));
    await s.api('PUT', '/functions/env/env/COLOR', { value: 'red' });
    assert.deepEqual((await s.request('env')).json, ['red', ['COLOR'], true]);
});
