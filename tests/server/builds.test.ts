// SPDX-License-Identifier: Apache-2.0
// Uploads and builds: records, what a failure says, and that it never disturbs what serves.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { errorOf, type Server, useServer } from './harness.ts';

const server = useServer({ args: ['--build-cpu-ms', '1000'] });
const HELLO = (text: string) => `export default { fetch(): Response { return new Response(${JSON.stringify(text)}); } };`;

test('an upload is accepted with its build, which becomes ready', async () => {
    const s = await server();
    const res = await s.api('POST', '/functions', { name: 'first', source: HELLO('one') });
    assert.equal(res.status, 202);
    assert.equal(res.json.name, 'first');
    assert.equal(typeof res.json.version, 'number');
    assert.equal(res.json.build.id, 1);
    assert.ok(['queued', 'bundling', 'evaluating', 'ready'].includes(res.json.build.status));
    const build = await s.built('first', 1);
    assert.equal(build.status, 'ready');
    assert.equal(build.version, 1);
    assert.equal(build.error, null);
    assert.ok(build.duration_ms > 0 && build.finished_at_ms >= build.created_at_ms);
    assert.equal((await s.request('first')).text, 'one', 'ready means that the next request is served by it');
});

test('wait= answers when the build is over', async () => {
    const s = await server();
    const good = await s.api('POST', '/functions?wait=60s', { name: 'waited', source: HELLO('w') });
    assert.equal(good.status, 200);
    assert.equal(good.json.version, 1);
    assert.equal(good.json.build.status, 'ready');
    const bad = await s.api('POST', '/functions?wait=60s', { name: 'waited', source: 'export default {' });
    const e = errorOf(bad, 422, 'build_failed') as any;
    assert.equal(e.line, 1);
    assert.ok(e.hint);
});

test('builds are numbered per function and listed newest first', async () => {
    const s = await server();
    for (const text of ['a', 'b', 'c']) await s.deploy('numbered', HELLO(text));
    const builds = (await s.api('GET', '/functions/numbered/builds')).json;
    assert.deepEqual(builds.map((b: any) => [b.id, b.version, b.status]), [[3, 3, 'ready'], [2, 2, 'ready'], [1, 1, 'ready']]);
    errorOf(await s.api('GET', '/functions/numbered/builds/9'), 404, 'not_found');
    errorOf(await s.api('GET', '/functions/numbered/builds/x'), 400, 'invalid');
    errorOf(await s.api('GET', '/functions/nobody/builds'), 404, 'not_found');
});

const FAILURES: Record<string, { source: string; line?: number; column?: number; message: RegExp; frame?: RegExp }> = {
    'a syntax error': { source: 'const a = 1;\nexport default {\n  fetch() { return new Response("x" }\n};\n', line: 3, message: /expected|unexpected/i, frame: /new Response/ },
    'an import that is not there': { source: '\nimport { x } from "no-such-package";\nexport default () => x;\n', line: 2, message: /no-such-package/, frame: /no-such-package/ },
    'a file import, which an upload of one file cannot have': { source: 'import secret from "/etc/passwd";\nexport default () => secret;\n', line: 1, message: /passwd/ },
    'a relative import': { source: 'import x from "./other";\nexport default () => x;\n', line: 1, message: /other/ },
    'an exception in top-level code': { source: 'const a: number = 1;\n\nthrow new Error("at load " + a);\nexport default () => 1;\n', line: 3, message: /at load 1/, frame: /throw new Error/ },
    'a name that a module of the platform lacks': { source: 'import { WorkflowEntrypoint,\n  DurableThing } from "cloudflare:workers";\nexport class Room extends DurableThing {}\nexport default () => WorkflowEntrypoint;\n', line: 2, message: /^SyntaxError: Could not find export 'DurableThing' in module 'cloudflare:workers', which exports .*WorkflowEntrypoint/, frame: /DurableThing/ },
    'a default that a module of the platform lacks': { source: '// a comment\n\nimport limpet from "limpet";\nexport default () => limpet;\n', line: 3, message: /Could not find export 'default' in module 'limpet', which exports env, /, frame: /import limpet/ },
    'a name that is only passed on': { source: 'export { nothing as default } from "limpet";\n', line: 1, message: /Could not find export 'nothing'/, frame: /nothing/ },
    'top-level code that loops': { source: 'for (;;) ;\nexport default () => 1;\n', message: /CPU|1000 ?ms|time/i },
    'top-level code that hoards': { source: 'const all = []; for (;;) all.push(new Uint8Array(1 << 20).fill(1));\nexport default () => 1;\n', message: /memory/i },
    'top-level I/O': { source: 'await fetch("http://example.com/");\nexport default () => 1;\n', message: /fetch/i },
    'top-level await that never settles': { source: 'await new Promise(() => {});\nexport default () => 1;\n', message: /await|settle|top-level/i },
    'top-level random values, which would be frozen': { source: 'const id = crypto.randomUUID();\nexport default () => id;\n', message: /random/i },
    'await outside an async function': { source: 'export default { fetch() { const r = await 1; return new Response(r); } };\n', line: 1, message: /await/ },
};

for (const [what, f] of Object.entries(FAILURES)) {
    test(`failed: ${what}`, async () => {
        const s = await server();
        await s.deploy('serving', HELLO('still here'));
        const build = await s.upload('serving', f.source);
        assert.equal(build.status, 'failed', JSON.stringify(build));
        assert.equal(build.error.code, 'build_failed');
        assert.match(build.error.message, f.message);
        if (f.line) {
            assert.equal(build.error.line, f.line, JSON.stringify(build.error));
            assert.equal(build.error.file, 'serving.ts');
            assert.ok(build.error.column > 0);
        }
        if (f.frame) {
            assert.match(build.error.frame, f.frame);
            assert.match(build.error.frame, /\^/);
        }
        assert.equal((await s.request('serving')).text, 'still here', 'the version before keeps serving');
        const shown = (await s.api('GET', '/functions/serving')).json;
        assert.equal(shown.status, 'ready');
        assert.equal(shown.last_build.status, 'failed');
    });
}

test('the server\'s files cannot be read by a bundle', async () => {
    const s = await server();
    for (const source of ['import x from "file:///etc/passwd" with { type: "text" }; export default () => x;', 'import x from "../../../../../../../etc/hostname"; export default () => x;', 'import x from "/proc/self/environ"; export default () => x;',
        'import p from "./package.json"; export default () => p;', '//# sourceMappingURL=/etc/passwd\nimport "/etc/hosts"; export default () => 1;', 'export default () => require("fs").readFileSync("/etc/passwd", "utf8");']) {
        const build = await s.upload('reads', source);
        if (build.status === 'ready') {
            const res = await s.request('reads');
            assert.equal(res.status, 500, `${source}: ${res.text}`);
        }
    }
});

test('a function whose first build failed does not serve', async () => {
    const s = await server();
    await s.upload('never', 'export default {');
    errorOf(await s.execute('never'), 409, 'not_ready');
    assert.equal((await s.request('never')).status, 404);
    const shown = (await s.api('GET', '/functions/never')).json;
    assert.equal(shown.status, 'failed');
    assert.equal(shown.version, 0);
    await s.deploy('never', HELLO('now'));
    assert.equal((await s.request('never')).text, 'now');
});

test('bad uploads are refused before a build', async () => {
    const s = await server();
    const source = HELLO('x');
    for (const name of ['', 'UPPER', 'a_b', '-a', 'a-', 'a.b', 'x'.repeat(64), 'ü', 1, null]) errorOf(await s.api('POST', '/functions', { name, source }), 400, 'invalid');
    for (const body of [{ name: 'ok' }, { name: 'ok', source: 1 }, { source }, [], 'x', { name: 'ok', source, bundle: source }, { name: 'ok', source, isolation: 'none' }, { name: 'ok', source, limits: { cpu_ms: -1 } },
        { name: 'ok', source, limits: { cpu: 1 } }, { name: 'ok', source, egress: [] }, { name: 'ok', source, memory_mb: 1 }]) errorOf(await s.api('POST', '/functions', body), 400, 'invalid');
    errorOf(await s.admin('/functions', { method: 'POST', body: '{"name":"ok",' }), 400, 'invalid');
    assert.equal((await s.api('GET', '/functions/ok')).status, 404);
});

test('a misspelled member is named, with what was meant', async () => {
    const s = await server();
    const e = errorOf(await s.api('POST', '/functions', { name: 'ok', source: '1', isolaton: 'module' }), 400, 'invalid');
    assert.match(e.message, /isolaton/);
    assert.match(e.hint!, /isolation/);
});

test('uploads of one function at once: the last one wins, all are recorded', async () => {
    const s: Server = await server();
    const count = 6;
    const uploads = [];
    for (let i = 0; i < count; i++) uploads.push(await s.api('POST', '/functions', { name: 'race', source: HELLO(`r${i}`) }));
    for (let i = 0; i < count; i++) assert.equal(uploads[i]!.json.build.id, i + 1);
    await s.built('race', count);
    assert.equal((await s.request('race')).text, `r${count - 1}`);
    assert.equal((await s.api('GET', '/functions/race/builds')).json.length, count);
});

test('a bundle of several modules by esbuild, JSX and modern TypeScript are understood', async () => {
    const s = await server();
    await s.deploy('modern', `
enum Color { Red = "red" }
namespace N { export const x = 1; }
type A<T> = T extends string ? 1 : 2;
class K { constructor(private readonly v: number) {} get() { return this.v satisfies number; } accessor y = 2; static #p = 3; static p() { return K.#p; } }
const f = <T,>(x: T): T => x;
using_: { break using_; }
export default { fetch: (): Response => Response.json([Color.Red, N.x, new K(5).get(), K.p(), f<A<string>>(1), 1_000, a?.b ?? "none"]) };
declare const unused: string;
const a = undefined as undefined | { b: string };`);
    assert.deepEqual((await s.request('modern')).json, ['red', 1, 5, 3, 1, 1000, 'none']);
});
