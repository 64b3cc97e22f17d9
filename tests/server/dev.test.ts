// SPDX-License-Identifier: Apache-2.0
// limpet dev: a server of its own, changes served without a dropped request, mistakes shown to terminal and browser, logs, keys.
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { after, test } from 'node:test';
import { type Answer, binary, send, tempDir, until } from './harness.ts';

const root = tempDir();
const running = new Set<ChildProcess>();
after(() => {
    for (const child of running) child.kill('SIGTERM');
    fs.rmSync(root, { recursive: true, force: true });
});

class Dev {
    out = '';
    err = '';
    child: ChildProcess;
    port = 0;
    readonly exited: Promise<unknown>;
    constructor(dirs: string[], cwd: string) {
        const env: Record<string, string | undefined> = { ...process.env, NO_COLOR: '1' };
        delete env.LIMPET_SERVER;
        this.child = spawn(binary(), ['dev', '--port', '0', ...dirs], { cwd, env: env as NodeJS.ProcessEnv, stdio: ['pipe', 'pipe', 'pipe'] });
        running.add(this.child);
        this.exited = once(this.child, 'close').then(() => running.delete(this.child));
        this.child.stdout!.setEncoding('utf8').on('data', (d) => (this.out += d));
        this.child.stderr!.setEncoding('utf8').on('data', (d) => (this.err += d));
    }
    async ready(name: string): Promise<void> {
        await until(`${name} is served: ${this.err}`, () => new RegExp(`${name}\\.localhost:(\\d+)`).test(this.out));
        this.port = Number(new RegExp(`${name}\\.localhost:(\\d+)`).exec(this.out)![1]);
    }
    get(name: string, at = '/', init = {}): Promise<Answer> {
        return send(this.port, at, { host: `${name}.localhost`, ...init });
    }
    async shows(name: string, text: string, at = '/'): Promise<Answer> {
        return until(`${name} answers ${text}\n${this.err}`, async () => {
            const r = await this.get(name, at);
            return r.text.includes(text) && r;
        });
    }
    async end(): Promise<void> {
        this.child.kill('SIGTERM');
        await this.exited;
    }
}

function write(name: string, files: Record<string, string>): string {
    for (const [file, text] of Object.entries(files)) {
        const to = path.join(root, name, file);
        fs.mkdirSync(path.dirname(to), { recursive: true });
        fs.writeFileSync(to, text);
    }
    return path.join(root, name);
}

test('changes of code, of what it imports, of variables and of the project are served', async () => {
    const p = write('live', {
        'limpet.toml': 'name = "live"\nmain = "src/i.ts"\n[vars]\nA = "file"\nB = "file"\n',
        '.dev.vars': 'A=secret\n',
        'src/i.ts': 'import { word } from "./word";\nexport default { fetch: (r: Request, env: any) => { console.log("asked for " + new URL(r.url).pathname); return new Response([word, env.A, env.B].join(" ")); } };\n',
        'src/word.ts': 'export const word = "one";\n',
    });
    const dev = new Dev([], p);
    await dev.ready('live');
    await dev.shows('live', 'one secret file');
    fs.writeFileSync(path.join(p, 'src/word.ts'), 'export const word = "two";\n');
    await dev.shows('live', 'two secret file');
    fs.writeFileSync(path.join(p, '.dev.vars'), 'B=other\n');
    await dev.shows('live', 'two file other');
    fs.writeFileSync(path.join(p, 'limpet.toml'), 'name = "live"\nmain = "src/next.ts"\n');
    write('live', { 'src/next.ts': 'export default () => "next";\n' });
    await dev.shows('live', 'next');
    await until(`a log line: ${dev.out}`, () => /info +asked for \//.test(dev.out));
    assert.match(dev.err, /live: ready in/);
    await dev.end();
    assert.ok(fs.existsSync(path.join(p, '.limpet')));
    // What is there already is served again by the next one.
    const again = new Dev([], p);
    await again.ready('live');
    await again.shows('live', 'next');
    await again.end();
});

test('a mistake: frame in the terminal, a page in the browser that loads again when it is mended', async () => {
    const p = write('broken', {
        'limpet.toml': 'name = "broken"\nmain = "i.js"\n',
        'i.js': 'export default { fetch: () => new Response("<h1>fine</h1>", { headers: { "content-type": "text/html" } }) };\n',
    });
    const dev = new Dev([p], root);
    await dev.ready('broken');
    const fine = await dev.shows('broken', 'fine');
    const events = Number(/EventSource\("http:\/\/127\.0\.0\.1:(\d+)\/"\)/.exec(fine.text)![1]);
    let heard = '';
    const listening = http.get({ host: '127.0.0.1', port: events }, (res) => res.setEncoding('utf8').on('data', (d) => (heard += d)).on('error', () => {}));
    listening.on('error', () => {});
    const [stream] = await once(listening, 'response');
    assert.equal(stream.headers['content-type'], 'text/event-stream');
    fs.writeFileSync(path.join(p, 'i.js'), 'export default { fetch( { };\n');
    const page = await dev.shows('broken', 'It does not build');
    assert.equal(page.status, 500);
    assert.match(page.text, /i\.js:1:\d+/);
    assert.match(page.text, /EventSource/);
    await until('the page is told to load again', () => heard.includes('data: reload'));
    listening.destroy();
    assert.match(dev.err, /error: i\.js cannot be bundled/);
    assert.match(dev.err, /at i\.js:1:\d+/);
    fs.writeFileSync(path.join(p, 'i.js'), 'throw new Error("at load");\nexport default () => 1;\n');
    assert.match((await dev.shows('broken', 'at load')).text, /i\.js/);
    fs.writeFileSync(path.join(p, 'i.js'), 'import { x } from "./missing.js";\nexport default () => x;\n');
    await dev.shows('broken', 'missing.js');
    write('broken', { 'missing.js': 'export const x = "mended";\n' });
    await dev.shows('broken', 'mended');
    fs.writeFileSync(path.join(p, 'limpet.toml'), 'name = "broken"\nmian = "i.js"\n');
    await until(`the terminal says it: ${dev.err}`, () => /there is no key 'mian'/.test(dev.err));
    await dev.shows('broken', 'mended');
    await dev.end();
});

test('no request is dropped while versions change', async () => {
    const code = (n: number): string => `export default { fetch: async () => { await new Promise((r) => setTimeout(r, 20)); return new Response("v${n}"); } };\n`;
    const p = write('busy', { 'limpet.toml': 'name = "busy"\nmain = "i.js"\n', 'i.js': code(0) });
    const dev = new Dev([p], root);
    await dev.ready('busy');
    await dev.shows('busy', 'v0');
    let isOver = false;
    let asked = 0;
    const clients = Array.from({ length: 4 }, async () => {
        for (; !isOver; asked++) {
            const r = await dev.get('busy');
            assert.equal(r.status, 200, r.text);
            assert.match(r.text, /^v\d+$/);
        }
    });
    for (let n = 1; n <= 5; n++) {
        fs.writeFileSync(path.join(p, 'i.js'), code(n));
        await dev.shows('busy', `v${n}`);
    }
    isOver = true;
    await Promise.all(clients);
    assert.ok(asked > 5);
    await dev.end();
});

test("several projects, one of files only, one with its own build", async () => {
    const site = write('site', { 'limpet.toml': 'name = "site"\nassets = "public"\n', 'public/index.html': '<p>old</p>' });
    const built = write('built', { 'limpet.toml': 'name = "built"\nmain = "dist/i.js"\n[build]\ncommand = "mkdir -p dist && cp src/i.js dist/i.js"\n', 'src/i.js': 'export default () => "b1";\n' });
    const dev = new Dev([site, built], root);
    await dev.ready('built');
    assert.match((await dev.shows('site', 'old')).text, /EventSource/);
    await dev.shows('built', 'b1');
    fs.writeFileSync(path.join(site, 'public/index.html'), '<p>new</p>');
    fs.writeFileSync(path.join(site, 'public/more.txt'), 'more');
    await dev.shows('site', 'new');
    await dev.shows('site', 'more', '/more.txt');
    fs.writeFileSync(path.join(built, 'src/i.js'), 'export default () => "b2";\n');
    await dev.shows('built', 'b2');
    dev.child.stdin!.write('q');
    await dev.exited;
    const none = spawn(binary(), ['dev', root], { stdio: 'ignore' });
    assert.deepEqual(await once(none, 'close'), [4, null]);
});
