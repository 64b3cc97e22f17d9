// SPDX-License-Identifier: Apache-2.0
// Bundling of projects as wrangler has it, one setting after the other: what a wrangler.json says, tsconfig.json, layouts of
// node_modules, kinds of modules.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { after, describe, test } from 'node:test';
import { type CliResult, tempDir, useServer } from './harness.ts';

const server = useServer();
const root = tempDir('limpet-bundling-');
after(() => fs.rmSync(root, { recursive: true, force: true }));

function write(name: string, files: Record<string, string | Buffer>): string {
    for (const [file, content] of Object.entries(files)) {
        const to = path.join(root, name, file);
        fs.mkdirSync(path.dirname(to), { recursive: true });
        fs.writeFileSync(to, content);
    }
    return path.join(root, name);
}

const shows = (imports: string, expression: string): string => `${imports}\nexport default { fetch: async () => Response.json(${expression}) };\n`;

async function deploy(name: string, settings: object, files: Record<string, string | Buffer>, folder = '.'): Promise<CliResult> {
    const at = write(name, { [path.join(folder, 'wrangler.json')]: JSON.stringify({ name, main: 'src/index.ts', ...settings }), ...files });
    return (await server()).cli(['deploy', path.join(at, folder)]);
}

/** What the project's code answers, as JSON. */
async function answer(name: string, settings: object, files: Record<string, string | Buffer>, folder?: string): Promise<any> {
    const up = await deploy(name, settings, files, folder);
    assert.equal(up.code, 0, up.stderr);
    return (await (await server()).request(name)).json;
}

describe('settings', { concurrency: 2 }, () => {
    test('define, alias, and NODE_ENV', async () => {
        assert.deepEqual(await answer('defined', { define: { TEXT: '"text"', 'LIMITS.most': '5', 'process.env.NODE_ENV': '"staging"' }, alias: { gone: './src/own.ts', other: 'real' } }, {
            'src/index.ts': shows('import g from "gone"; import o from "other"; declare const TEXT: string, LIMITS: any;', '[TEXT, LIMITS.most, process.env.NODE_ENV, g, o]'),
            'src/own.ts': 'export default "own";', 'node_modules/real/index.js': 'module.exports = "real";',
        }), ['text', 5, 'staging', 'own', 'real']);
    });

    test('rules: kinds by globs; the first of a kind counts, unless it falls through', async () => {
        const files = {
            'src/index.ts': shows('import q from "./q.graphql"; import d from "./d.dat"; import t from "./t.tmpl"; import c from "./c.legacy";', '[q, [...new Uint8Array(d)], t, c.is]'),
            'src/q.graphql': '{ q }', 'src/d.dat': Buffer.from([0, 255]), 'src/t.tmpl': 'tmpl', 'src/c.legacy': 'exports.is = "cjs";',
        };
        assert.deepEqual(await answer('ruled', { rules: [
            { type: 'Text', globs: ['**/*.graphql'], fallthrough: true }, { type: 'Text', globs: ['**/*.tmpl'] }, { type: 'Data', globs: ['**/*.dat'] },
            { type: 'CommonJS', globs: ['**/*.legacy'] },
        ] }, files), ['{ q }', [0, 255], 'tmpl', 'cjs']);
        const up = await deploy('unruled', { rules: [{ type: 'Text', globs: ['**/*.graphql'] }, { type: 'Text', globs: ['**/*.tmpl'] }, { type: 'Data', globs: ['**/*.dat'] }, { type: 'CommonJS', globs: ['**/*.legacy'] }] }, files);
        assert.notEqual(up.code, 0);
        assert.match(up.stderr, /the rule for '\*\*\/\*\.tmpl' is not used: an earlier one of type Text does not fall through/);
    });

    test('minify, keep_names', async () => {
        const code = shows('function called() {} class Named {}', '[called.name, Named.name]');
        assert.deepEqual(await answer('small', { minify: true }, { 'src/index.ts': code }), ['called', 'Named']);
        assert.notDeepEqual(await answer('nameless', { minify: true, keep_names: false }, { 'src/index.ts': code }), ['called', 'Named']);
    });

    test('jsx_factory and jsx_fragment; jsx of tsconfig.json', async () => {
        const tags = 'const h = (tag: any, props: any, ...kids: any[]) => [typeof tag === "string" ? tag : tag.name, props, kids]; function Frag() {}';
        assert.deepEqual(await answer('jsx', { main: 'src/index.tsx', jsx_factory: 'h', jsx_fragment: 'Frag' }, { 'src/index.tsx': shows(tags, '<><a b="1">c</a></>') }),
            ['Frag', null, [['a', { b: '1' }, ['c']]]]);
        assert.deepEqual(await answer('jsxruntime', { main: 'src/index.tsx' }, {
            'src/index.tsx': shows('', '<a b="1">c</a>'), 'tsconfig.json': '{"compilerOptions": {"jsx": "react-jsx", "jsxImportSource": "tiny"}}',
            'node_modules/tiny/jsx-runtime.js': 'export const jsx = (tag, props) => [tag, props]; export const jsxs = jsx;',
        }), ['a', { b: '1', children: 'c' }]);
    });

    test('tsconfig: paths through extends, with baseUrl, several targets; another file by its key', async () => {
        const files = {
            'src/index.ts': shows('import a from "@lib/a"; import b from "~/b"; import c from "plain/c";', '[a, b, c]'),
            'conf/base.json': '{"compilerOptions": {"baseUrl": "..", "paths": {"@lib/*": ["none/*", "src/lib/*"], "~/*": ["./src/*"]}}}',
            'tsconfig.json': '{"extends": "./conf/base.json", /* as a comment */ "compilerOptions": {"strict": true,}}',
            'src/lib/a.ts': 'export default "a";', 'src/b.ts': 'export default "b";', 'plain/c.ts': 'export default "c";',
        };
        assert.deepEqual(await answer('paths', {}, files), ['a', 'b', 'c']);
        assert.deepEqual(await answer('otherpaths', { tsconfig: 'conf/own.json' }, {
            'src/index.ts': shows('import a from "@x/a";', 'a'), 'conf/own.json': '{"compilerOptions": {"paths": {"@x/*": ["../src/lib/*"]}}}', 'src/lib/a.ts': 'export default "x";',
        }), 'x');
    });

    test('no_bundle: modules of a build are linked as they are', async () => {
        assert.deepEqual(await answer('built', { main: 'dist/index.js', no_bundle: true, rules: [{ type: 'ESModule', globs: ['**/*.js'] }], find_additional_modules: true, base_dir: 'dist', preserve_file_names: true, upload_source_maps: true }, {
            'dist/index.js': shows('import { part } from "./chunks/part.js"; const load = (name) => import(`./lang/${name}.js`);', '[part, (await load("de")).default, (await import("./lang/en.js")).default]'),
            'dist/chunks/part.js': 'export const part = "part";', 'dist/lang/de.js': 'export default "hallo";', 'dist/lang/en.js': 'export default "hello";',
        }), ['part', 'hallo', 'hello']);
    });

    test('build.command runs where build.cwd says', async () => {
        assert.deepEqual(await answer('commanded', { main: 'out/index.js', build: { command: 'mkdir -p ../out && cp index.js ../out/', cwd: 'src', watch_dir: 'src' } }, { 'src/index.js': shows('', '"built"') }), 'built');
    });
});

describe('layouts of node_modules', { concurrency: 2 }, () => {
    test('a workspace: packages beside, and those of the folder above', async () => {
        write('workspace', { 'packages/shared/package.json': '{"name": "@w/shared", "exports": {".": {"types": "./x.d.ts", "import": "./src/index.ts"}}}', 'packages/shared/src/index.ts': 'import up from "up"; export const shared: string = `shared ${up}`;' });
        fs.mkdirSync(path.join(root, 'workspace/node_modules/@w'), { recursive: true });
        fs.symlinkSync('../../packages/shared', path.join(root, 'workspace/node_modules/@w/shared'));
        assert.deepEqual(await answer('workspace', { main: 'src/index.ts' }, {
            'package.json': '{"workspaces": ["packages/*"]}', 'node_modules/up/index.js': 'module.exports = "up";',
            'packages/app/package.json': '{"name": "app"}', 'packages/app/src/index.ts': shows('import { shared } from "@w/shared";', 'shared'),
        }, 'packages/app'), 'shared up');
    });

    test('the store of pnpm: what a package needs lies beside it, behind links', async () => {
        const store = (name: string, version: string): string => path.join(root, `pnpm/node_modules/.pnpm/${name}@${version}/node_modules`);
        write('pnpm', {
            'node_modules/.pnpm/a@1.0.0/node_modules/a/index.js': 'module.exports = ["a1", require("b"), require("buffer").Buffer.from("x").length];',
            'node_modules/.pnpm/b@2.0.0/node_modules/b/index.js': 'module.exports = "b2";', 'node_modules/.pnpm/b@1.0.0/node_modules/b/index.js': 'module.exports = "b1";',
        });
        fs.symlinkSync('../../b@2.0.0/node_modules/b', path.join(store('a', '1.0.0'), 'b'));
        for (const name of ['a@1.0.0', 'b@1.0.0']) fs.symlinkSync(`.pnpm/${name}/node_modules/${name[0]}`, path.join(root, 'pnpm/node_modules', name[0]!));
        assert.deepEqual(await answer('pnpm', {}, { 'src/index.ts': shows('import a from "a"; import b from "b";', '[a, b]') }), [['a1', 'b2', 1], 'b1']);
    });
});

describe('kinds of modules', { concurrency: 2 }, () => {
    test('text, data and JSON; attributes; ?raw', async () => {
        assert.deepEqual(await answer('kinds', {}, {
            'src/index.ts': shows('import h from "./p.html"; import s from "./q.sql"; import b from "./d.bin"; import j from "./j.json" with { type: "json" }; import { k } from "./j.json"; import r from "./p.html?raw"; import t from "./code.ts" with { type: "text" };',
                '[h, s, [...new Uint8Array(b)], j, k, r, t]'),
            'src/p.html': '<p>', 'src/q.sql': 'SELECT 1', 'src/d.bin': Buffer.from([1, 254]), 'src/j.json': '{"k": [1]}', 'src/code.ts': 'let x: 1;',
        }), ['<p>', 'SELECT 1', [1, 254], { k: [1] }, [1], '<p>', 'let x: 1;']);
        const code = await deploy('rawcode', {}, { 'src/index.ts': shows('import r from "./code.ts?raw";', 'r'), 'src/code.ts': 'export default 1;' });
        assert.notEqual(code.code, 0);
        assert.match(code.stderr, /with \{ type: "text" \}/);
    });

    test('CommonJS in both directions, cycles, names made by assignment', async () => {
        assert.deepEqual(await answer('cjs', {}, {
            'src/index.ts': shows('import def, { named } from "./c.cjs"; import * as all from "./es.cjs"; import dual from "dual";', '[def.named, named, all.default, all.x, dual]'),
            'src/c.cjs': 'exports.named = "n"; exports.other = require("./m.mjs").value;', 'src/m.mjs': 'import c from "./c.cjs"; export const value = typeof c;',
            'src/es.cjs': 'Object.defineProperty(exports, "__esModule", { value: true }); exports.default = "d"; exports.x = "x";',
            'node_modules/dual/package.json': '{"exports": {"import": "./i.mjs", "require": "./r.cjs"}}', 'node_modules/dual/i.mjs': 'export default "import";', 'node_modules/dual/r.cjs': 'module.exports = "require";',
        }), ['n', 'n', 'd', 'x', 'import']);
    });

    test('top-level await, import() of literals and of patterns', async () => {
        assert.deepEqual(await answer('dynamic', {}, {
            'src/index.ts': shows('const top = await Promise.resolve("top"), name = "a"; const { late } = await import("./late");', '[top, late, (await import(`./l/${name}.ts`)).default]'),
            'src/late.ts': 'export const late = await new Promise((r) => r("late"));', 'src/l/a.ts': 'export default "pattern";', 'src/l/b.ts': 'export default "b";',
        }), ['top', 'late', 'pattern']);
    });

    test('hints: schemes of other platforms, URLs, packages that are not installed', async () => {
        for (const [source, said] of [
            ['npm:zod@3', /without "npm:".*\n[^]*npm install zod/], ['https://esm.sh/zod', /import of URLs is not supported[^]*by its name/],
            ['virtual:app/server', /is a module that the project's own build makes[^]*run that build first/],
            ['@a/none/sub', /cannot find the package[^]*npm install @a\/none\b/], ['bun:sqlite', /each function has its own database/],
        ] as const) {
            const up = await deploy('hinted', {}, { 'src/index.ts': shows(`import x from "${source}";`, 'x') });
            assert.notEqual(up.code, 0);
            assert.match(up.stderr, said);
        }
    });
});
