// SPDX-License-Identifier: Apache-2.0
// Static files of a project: uploaded once, served by the host in the coding, the range and with the headers that are asked for.
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { after, test } from 'node:test';
import zlib from 'node:zlib';
import { type Answer, tempDir, useServer } from './harness.ts';

const server = useServer();
const dir = tempDir();
after(() => fs.rmSync(dir, { recursive: true, force: true }));

function project(name: string, files: Record<string, string | Buffer>, assets = 'directory = "public"'): string {
    const p = path.join(dir, name);
    const main = 'i.js' in files ? 'main = "i.js"\n' : '';
    const all: Record<string, string | Buffer> = { 'limpet.toml': `name = "${name}"\n${main}[assets]\n${assets}\n`, ...files };
    for (const [file, text] of Object.entries(all)) {
        const to = path.join(p, file);
        fs.mkdirSync(path.dirname(to), { recursive: true });
        fs.writeFileSync(to, text);
    }
    return p;
}

async function deploy(p: string): Promise<string> {
    const s = await server();
    const up = await s.cli(['deploy', p]);
    assert.equal(up.code, 0, up.stderr);
    return up.stderr;
}

const LONG = Buffer.from('All work and no play makes Jack a dull boy.\n'.repeat(2000));
const CODE = 'export default { fetch: (r) => new Response("code " + new URL(r.url).pathname) };\n';

test('files: type, entity tag, conditions, ranges, HEAD; a project of files only', async () => {
    const s = await server();
    await deploy(project('files', { 'public/index.html': '<h1>home</h1>', 'public/a b.txt': '0123456789', 'public/img/p.png': randomBytes(100), 'public/.well-known/x': 'y' }));
    const home = await s.request('files');
    assert.equal(home.text, '<h1>home</h1>');
    assert.equal(home.headers['content-type'], 'text/html; charset=utf-8');
    assert.equal(home.headers['cache-control'], 'public, max-age=0, must-revalidate');
    const tag = home.headers.etag!;
    assert.equal(tag, `"${createHash('sha256').update('<h1>home</h1>').digest('hex').slice(0, 32)}"`);
    const cached = await s.request('files', '/', { headers: { 'if-none-match': `"x", W/${tag}` } });
    assert.equal(cached.status, 304);
    assert.equal(cached.text, '');
    assert.equal(cached.headers.etag, tag);
    assert.equal((await s.request('files', '/', { headers: { 'if-none-match': '"x"' } })).status, 200);
    const get = (range: string, more = {}): Promise<Answer> => s.request('files', '/a%20b.txt', { headers: { range, ...more } });
    for (const [range, part, at] of [['bytes=0-3', '0123', '0-3'], ['bytes=7-', '789', '7-9'], ['bytes=-2', '89', '8-9'], ['bytes=5-100', '56789', '5-9']]) {
        const r = await get(range!);
        assert.equal(r.status, 206, range);
        assert.equal(r.text, part);
        assert.equal(r.headers['content-range'], `bytes ${at}/10`);
    }
    const bad = await get('bytes=10-');
    assert.equal(bad.status, 416);
    assert.equal(bad.headers['content-range'], 'bytes */10');
    for (const whole of ['bytes=2-1', 'lines=1-2', 'bytes=0-1,3-4', 'bytes=x']) assert.equal((await get(whole)).text, '0123456789', whole);
    assert.equal((await get('bytes=0-1', { 'if-range': '"other"' })).status, 200);
    const head = await s.request('files', '/img/p.png', { method: 'HEAD' });
    assert.equal(head.headers['content-length'], '100');
    assert.equal(head.headers['content-type'], 'image/png');
    assert.equal(head.body.length, 0);
    assert.equal((await s.request('files', '/.well-known/x')).text, 'y');
    assert.equal((await s.request('files', '/none')).status, 404);
    assert.equal((await s.request('files', '/%2e%2e/limpet.toml')).status, 404);
    assert.equal((await s.request('files', '/', { method: 'POST', body: 'x' })).status, 405);
});

test('codings: made once, chosen by what the client takes', async () => {
    const s = await server();
    await deploy(project('coded', { 'public/long.txt': LONG, 'public/noise.txt': randomBytes(4000), 'public/short.txt': 'short' }));
    const get = (file: string, accept: string, more = {}): Promise<Answer> => s.request('coded', file, { headers: { 'accept-encoding': accept, ...more } });
    const br = await get('/long.txt', 'gzip, deflate, br, zstd');
    assert.equal(br.headers['content-encoding'], 'br');
    assert.equal(br.headers.vary, 'accept-encoding');
    assert.deepEqual(zlib.brotliDecompressSync(br.body), LONG);
    const gzip = await get('/long.txt', 'gzip;q=0.5, br;q=0');
    assert.equal(gzip.headers['content-encoding'], 'gzip');
    assert.deepEqual(zlib.gunzipSync(gzip.body), LONG);
    assert.equal((await get('/long.txt', 'zstd')).headers['content-encoding'], 'zstd');
    const plain = await get('/long.txt', 'identity');
    assert.equal(plain.headers['content-encoding'], undefined);
    assert.deepEqual(plain.body, LONG);
    assert.notEqual(plain.headers.etag, br.headers.etag);
    assert.equal((await get('/long.txt', 'br', { 'if-none-match': plain.headers.etag! })).status, 304, 'it is the same content');
    assert.equal((await get('/long.txt', 'br', { range: 'bytes=0-2' })).text, 'All');
    for (const file of ['/noise.txt', '/short.txt']) assert.equal((await get(file, 'br, gzip')).headers['content-encoding'], undefined, file);
});

test('only what is new is sent; versions have their own files', async () => {
    const s = await server();
    const p = project('again', { 'i.js': CODE, 'public/a.txt': 'a1', 'public/same.txt': 'same', 'public/copy.txt': 'same' });
    assert.match(await deploy(p), /3 assets \(.*\), 2 of them new/);
    assert.match(await deploy(p), /3 assets \(.*\), 0 of them new/);
    assert.equal((await s.api('GET', '/functions/again')).json.version, 1);
    fs.writeFileSync(path.join(p, 'public/a.txt'), 'a2');
    assert.match(await deploy(p), /1 of them new/);
    assert.equal((await s.request('again', '/a.txt')).text, 'a2');
    assert.equal((await s.cli(['versions', 'rollback', 'again'])).code, 0);
    assert.equal((await s.request('again', '/a.txt')).text, 'a1');
    assert.equal((await s.request('again', '/b.txt')).text, 'code /b.txt');
    // Another namespace knows nothing of them, although it knows their hashes.
    const hash = createHash('sha256').update('same').digest('hex');
    assert.deepEqual((await s.api('POST', '/assets', { hashes: [hash] })).json, { missing: [] });
    // A long list is looked through in pieces: wherever what is known stands, the rest comes back in order.
    const unknown = Array.from({ length: 1000 }, (_, n) => createHash('sha256').update(`unknown ${n}`).digest('hex'));
    for (const at of [0, 255, 256, 511, 512, 1000]) assert.deepEqual((await s.api('POST', '/assets', { hashes: unknown.toSpliced(at, 0, hash) })).json, { missing: unknown }, `at ${at}`);
    assert.equal((await s.cli(['namespace', 'create', 'other'])).code, 0);
    assert.deepEqual((await s.api('POST', '/namespaces/other/assets', { hashes: [hash] })).json, { missing: [hash] });
    const stolen = await s.api('POST', '/namespaces/other/functions?wait=60s', { name: 'thief', bundle: CODE, assets: { files: [['/x', hash, 4]], code: true } });
    assert.equal(stolen.status, 422, stolen.text);
    assert.match(stolen.text, /has not been uploaded/);
    assert.equal((await s.admin(`/assets/${hash}`, { method: 'PUT', headers: { 'content-type': 'application/octet-stream' }, body: 'not the same' })).status, 400);
});

test('pages: html_handling in all four ways', async () => {
    const s = await server();
    const files = { 'public/index.html': 'root', 'public/page.html': 'page', 'public/dir/index.html': 'dir', 'public/dir/x.txt': 'x' };
    const walk = async (name: string, wanted: Record<string, string>): Promise<void> => {
        for (const [at, answer] of Object.entries(wanted)) {
            const r = await s.request(name, at);
            assert.equal(r.status === 307 ? `-> ${r.headers.location}` : r.status === 404 ? '404' : r.text, answer, `${name} ${at}`);
        }
    };
    await deploy(project('auto', files));
    await walk('auto', { '/': 'root', '/index.html': '-> /', '/index': '-> /', '/page': 'page', '/page.html?q=1': '-> /page?q=1', '/page/': '-> /page', '/dir': '-> /dir/', '/dir/': 'dir', '/dir/index.html': '-> /dir/', '/dir/index': '-> /dir/', '/dir.html': '-> /dir/', '/dir/x.txt': 'x', '/none/': '404', '//dir': '404' });
    await deploy(project('force', files, 'directory = "public"\nhtml_handling = "force-trailing-slash"'));
    await walk('force', { '/': 'root', '/page/': 'page', '/page': '-> /page/', '/page.html': '-> /page/', '/dir': '-> /dir/', '/dir/': 'dir', '/dir/index.html': '-> /dir/' });
    await deploy(project('drop', files, 'directory = "public"\nhtml_handling = "drop-trailing-slash"'));
    await walk('drop', { '/': 'root', '/page': 'page', '/page/': '-> /page', '/dir': 'dir', '/dir/': '-> /dir', '/dir/index.html': '-> /dir', '/dir/index': '-> /dir' });
    await deploy(project('exact', files, 'directory = "public"\nhtml_handling = "none"'));
    await walk('exact', { '/page.html': 'page', '/page': '404', '/dir/index.html': 'dir', '/dir/': '404', '/': '404' });
});

test('what is no file: the code, a 404 page, a single page', async () => {
    const s = await server();
    const page = { headers: { 'sec-fetch-mode': 'navigate' } };
    await deploy(project('coded-too', { 'i.js': CODE, 'public/a.txt': 'a' }));
    assert.equal((await s.request('coded-too', '/a.txt')).text, 'a');
    assert.equal((await s.request('coded-too', '/b', page)).text, 'code /b');
    assert.equal((await s.request('coded-too', '/a.txt', { method: 'POST', body: 'x' })).text, 'code /a.txt');
    await deploy(project('spa', { 'i.js': CODE, 'public/index.html': 'app' }, 'directory = "public"\nnot_found_handling = "single-page-application"'));
    assert.equal((await s.request('spa', '/deep/link', page)).text, 'app');
    assert.equal((await s.request('spa', '/api/data')).text, 'code /api/data');
    await deploy(project('lost', { 'public/404.html': 'outer', 'public/in/404.html': 'inner', 'public/in/a.txt': 'a' }, 'directory = "public"\nnot_found_handling = "404-page"'));
    for (const [at, text] of [['/x', 'outer'], ['/in/x/y', 'inner'], ['/in/x', 'inner']]) {
        const r = await s.request('lost', at!);
        assert.equal(r.status, 404);
        assert.equal(r.text, text, at);
    }
    await deploy(project('first', { 'i.js': CODE, 'public/a.txt': 'a', 'public/api/doc.txt': 'doc', 'public/api/x.txt': 'x' }, 'directory = "public"\nrun_worker_first = ["/api/*", "!/api/doc*"]'));
    for (const [at, text] of [['/a.txt', 'a'], ['/api/x.txt', 'code /api/x.txt'], ['/api/doc.txt', 'doc']]) assert.equal((await s.request('first', at!)).text, text, at);
    await deploy(project('always', { 'i.js': CODE, 'public/a.txt': 'a' }, 'directory = "public"\nrun_worker_first = true'));
    assert.equal((await s.request('always', '/a.txt')).text, 'code /a.txt');
});

test('_headers, _redirects, immutable, .assetsignore', async () => {
    const s = await server();
    const p = project('ruled', {
        'public/a.txt': 'a', 'public/v/app.js': 'js', 'public/secret.key': 'k', 'public/keep.key': 'k', 'public/new.html': 'new',
        'public/.assetsignore': '# keys\n*.key\n!keep.key\n',
        'public/_headers': '/*\n  X-All: yes\n  X-Path: :splat\n/v/*\n  X-All: only v\n  ! X-Path\nhttps://:name.localhost/a.txt\n  X-Host: :name\n',
        'public/_redirects': '/old /new 301\n/blog/:year/* https://blog.example/:year/:splat 308\n/app/* /a.txt 200\n/evil/* /:splat\n',
    }, 'directory = "public"\nimmutable = ["/v/*"]');
    await deploy(p);
    const a = await s.request('ruled', '/a.txt');
    assert.equal(a.headers['x-all'], 'yes');
    assert.equal(a.headers['x-path'], 'a.txt');
    const js = await s.request('ruled', '/v/app.js');
    assert.equal(js.headers['x-all'], 'only v');
    assert.equal(js.headers['x-path'], undefined);
    assert.equal(js.headers['cache-control'], 'public, max-age=31536000, immutable');
    const to = async (at: string): Promise<string> => {
        const r = await s.request('ruled', at);
        return `${r.status} ${r.headers.location ?? r.text}`;
    };
    assert.equal(await to('/old?x=1'), '301 /new?x=1');
    assert.equal(await to('/blog/2026/a/b'), '308 https://blog.example/2026/a/b');
    assert.equal(await to('/app/deep/link'), '200 a');
    assert.equal(await to('/evil//other.example/'), '302 /other.example/', 'it stays on this host');
    assert.equal((await s.request('ruled', '/secret.key')).status, 404);
    assert.equal((await s.request('ruled', '/keep.key')).text, 'k');
    assert.equal((await s.request('ruled', '/_headers')).status, 404);
    fs.writeFileSync(path.join(p, 'public/_redirects'), '/a /b 999\n');
    const bad = await s.cli(['deploy', p]);
    assert.equal(bad.code, 1);
    assert.match(bad.stderr, /_redirects:1: it has an impossible status/);
});

test('large files in pieces, many at once, and a client that goes', async () => {
    const s = await server();
    const large = randomBytes(9 * 1024 * 1024 + 17);
    const middle = randomBytes(1024 * 1024 + 1);
    await deploy(project('large', { 'public/large.bin': large, 'public/middle.bin': middle }));
    const answers = await Promise.all(Array.from({ length: 6 }, (_, i) => s.request('large', i % 2 ? '/large.bin' : '/middle.bin')));
    answers.forEach((r, i) => assert.ok(r.body.equals(i % 2 ? large : middle)));
    const part = await s.request('large', '/large.bin', { headers: { range: 'bytes=5000000-8999999' } });
    assert.ok(part.body.equals(large.subarray(5000000, 9000000)));
    const gone = new AbortController();
    const lost = s.request('large', '/large.bin', { signal: gone.signal });
    setImmediate(() => gone.abort());
    await assert.rejects(lost);
    assert.ok((await s.request('large', '/middle.bin')).body.equals(middle));
    assert.equal((await s.cli(['function', 'delete', 'large', '--yes'])).code, 0);
    assert.equal((await s.request('large', '/middle.bin')).status, 404);
});
