// SPDX-License-Identifier: Apache-2.0
// Static files as code fetches them: env.ASSETS, and those of a function that a service binding leads to.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { after, test } from 'node:test';
import { tempDir, useServer } from './harness.ts';

const server = useServer();
const dir = tempDir();
after(() => fs.rmSync(dir, { recursive: true, force: true }));

function project(name: string, config: string, files: Record<string, string | Buffer>): string {
    const p = path.join(dir, name);
    for (const [file, text] of Object.entries({ 'wrangler.toml': `name = "${name}"\ncompatibility_date = "2026-01-01"\n${config}`, ...files })) {
        const to = path.join(p, file);
        fs.mkdirSync(path.dirname(to), { recursive: true });
        fs.writeFileSync(to, text);
    }
    return p;
}

async function deploy(p: string): Promise<void> {
    const up = await (await server()).cli(['deploy', p]);
    assert.equal(up.code, 0, up.stderr);
    assert.doesNotMatch(up.stderr, /assets\.binding/);
}

const LARGE = randomBytes(3 << 20);
const ASSETS = '[assets]\ndirectory = "public"\nbinding = "ASSETS"\nrun_worker_first = true\n';
/** Asks the path below /x/ of the files, and says what came. */
const ECHO = `export default { async fetch(request, env) {
    const url = new URL(request.url);
    const answer = await env.ASSETS.fetch(new URL(url.pathname.slice(2) + url.search, url), {
        method: request.headers.get("x-method") ?? "GET", redirect: request.headers.get("x-redirect") ?? "follow",
        body: request.headers.get("x-method") === "POST" ? "body" : undefined,
        headers: Object.fromEntries([...request.headers].filter(([k]) => ["range", "if-none-match", "accept-encoding", "sec-fetch-mode"].includes(k))) });
    const text = await answer.text();
    return Response.json({ status: answer.status, headers: Object.fromEntries(answer.headers), text: text.slice(0, 100), length: text.length });
} };`;

test("env.ASSETS: the version's own files, by the rules of the host", async () => {
    const s = await server();
    await deploy(project('own', `main = "i.js"\n${ASSETS}html_handling = "auto-trailing-slash"\nnot_found_handling = "404-page"\n`, {
        'i.js': ECHO, 'public/index.html': '<p>home</p>', 'public/about.html': 'about', 'public/404.html': 'lost', 'public/a.txt': '0123456789'.repeat(1000),
        'public/_headers': '/a.txt\n  x-own: 1\n', 'public/_redirects': '/old /about 301\n',
    }));
    const ask = async (at: string, headers: Record<string, string> = {}): Promise<any> => (await s.request('own', `/x${at}`, { headers })).json;
    assert.equal((await ask('/')).text, '<p>home</p>');
    const text = await ask('/a.txt?q', { 'accept-encoding': 'br, gzip' });
    assert.equal(text.length, 10_000);
    assert.equal(text.headers['content-encoding'], undefined);
    assert.equal(text.headers['content-type'], 'text/plain; charset=utf-8');
    assert.equal(text.headers['x-own'], '1');
    assert.equal((await ask('/a.txt', { 'if-none-match': text.headers.etag })).status, 304);
    const part = await ask('/a.txt', { range: 'bytes=2-4' });
    assert.deepEqual([part.status, part.text, part.headers['content-range']], [206, '234', 'bytes 2-4/10000']);
    assert.equal((await ask('/about.html')).text, 'about', 'a redirect is followed');
    const manual = await ask('/about.html', { 'x-redirect': 'manual' });
    assert.deepEqual([manual.status, manual.headers.location], [307, '/about']);
    assert.equal((await ask('/old')).text, 'about');
    const lost = await ask('/none/x');
    assert.deepEqual([lost.status, lost.text], [404, 'lost']);
    const head = await ask('/a.txt', { 'x-method': 'HEAD' });
    assert.deepEqual([head.status, head.length], [200, 0]);
    assert.equal((await ask('/a.txt', { 'x-method': 'POST' })).status, 405);
});

test('a large file streams through, and whoever reads none of it holds nothing', async () => {
    const s = await server();
    await deploy(project('stream', `main = "i.js"\n${ASSETS}`, {
        'public/large.bin': LARGE, 'public/none.txt': 'x',
        'i.js': `export default { async fetch(request, env) {
            const answer = await env.ASSETS.fetch(request.url.replace("/drop", "/large.bin"));
            if (!request.url.includes("/drop")) return answer;
            const reader = answer.body.getReader();
            await reader.read();
            await reader.cancel();
            return new Response("dropped");
        } };`,
    }));
    const whole = await s.request('stream', '/large.bin');
    assert.equal(whole.status, 200);
    assert.ok(whole.body.equals(LARGE));
    for (let i = 0; i < 20; i++) assert.equal((await s.request('stream', '/drop')).text, 'dropped');
    assert.ok((await s.request('stream', '/large.bin')).body.equals(LARGE));
});

test("a version that is replaced keeps its files; a workflow's answer is recorded", async () => {
    const s = await server();
    const code = `import { WorkflowEntrypoint } from "cloudflare:workers";
        export class Flow extends WorkflowEntrypoint { async run(event, step) {
            const first = await (await this.env.ASSETS.fetch("http://a/v.txt")).text();
            await step.waitForEvent("go", { type: "go" });
            return [first, await (await this.env.ASSETS.fetch("http://a/v.txt")).text()];
        } }
        export default { fetch: () => new Response("code") };`;
    const p = project('pinned', 'main = "i.js"\n[assets]\ndirectory = "public"\nbinding = "ASSETS"\n', { 'i.js': code, 'public/v.txt': 'one' });
    await deploy(p);
    const id = (await s.cli(['workflow', 'run', 'pinned.Flow'])).stdout.trim();
    fs.writeFileSync(path.join(p, 'public/v.txt'), 'two');
    await deploy(p);
    assert.equal((await s.cli(['execution', 'signal', id, 'go'])).code, 0);
    assert.deepEqual((await s.cli(['execution', 'wait', id])).json, ['one', 'one']);
});

test('files of the function that a service binding leads to', async () => {
    const s = await server();
    await deploy(project('site', 'main = "i.js"\n[assets]\ndirectory = "public"\n', {
        'public/logo.svg': '<svg/>',
        'i.js': 'import { WorkerEntrypoint } from "cloudflare:workers";\nexport class Other extends WorkerEntrypoint { fetch() { return new Response("other"); } }\nexport default { fetch: (r) => new Response("code " + new URL(r.url).pathname) };',
    }));
    await deploy(project('front', 'main = "i.js"\n[[services]]\nbinding = "SITE"\nservice = "site"\n[[services]]\nbinding = "OTHER"\nservice = "site"\nentrypoint = "Other"\n', {
        'i.js': 'export default { fetch: (r, env) => (r.headers.get("x-other") ? env.OTHER : env.SITE).fetch(r) };',
    }));
    assert.equal((await s.request('front', '/logo.svg')).text, '<svg/>');
    assert.equal((await s.request('front', '/logo.svg')).headers['content-type'], 'image/svg+xml');
    assert.equal((await s.request('front', '/else')).text, 'code /else');
    assert.equal((await s.request('front', '/logo.svg', { method: 'POST', body: 'x' })).text, 'code /logo.svg');
    assert.equal((await s.request('front', '/logo.svg', { headers: { 'x-other': '1' } })).text, 'other', 'only the default export has files');
});

test('run_worker_first with patterns; a binding without files is refused', async () => {
    const s = await server();
    await deploy(project('first', 'main = "i.js"\n[assets]\ndirectory = "public"\nbinding = "FILES"\nrun_worker_first = ["/api/*", "!/api/docs/*"]\n', {
        'public/api/x': 'file', 'public/api/docs/x': 'file', 'public/y': 'file',
        'i.js': 'export default { async fetch(r, env) { return new Response("code " + await (await env.FILES.fetch(r)).text() + " " + typeof env.FILES.method); } };',
    }));
    assert.equal((await s.request('first', '/api/x')).text, 'code file function');
    assert.equal((await s.request('first', '/api/docs/x')).text, 'file');
    assert.equal((await s.request('first', '/y')).text, 'file');
    const bad = await s.api('POST', '/functions', { name: 'nofiles', source: 'export default { fetch() {} }', bindings: [{ type: 'assets', name: 'A' }] });
    assert.equal(bad.status, 400);
    assert.match(bad.text, /static files, and this upload has none/);
    const twice = project('twice', 'main = "i.js"\n[assets]\ndirectory = "public"\nbinding = "A"\n[[services]]\nbinding = "A"\nservice = "site"\n', { 'i.js': '', 'public/y': '' });
    const refused = await s.cli(['deploy', twice]);
    assert.notEqual(refused.code, 0);
    assert.match(refused.stderr, /two bindings 'A'/);
});
