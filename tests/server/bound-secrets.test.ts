// SPDX-License-Identifier: Apache-2.0
// Secrets bound to hosts: code holds a placeholder, and only headers of requests to those hosts get the value, hop by hop. Secrets of a namespace: every module reads them unless it has its own.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { errorOf, Server } from './harness.ts';
import { Counter, deployWorkflow, journal, outcome, signal, start, suspended } from './workflow-harness.ts';

const VALUE = 'hunter2-goes-only-there';
const PLACEHOLDER = /^limpet_secret_[0-9a-f]{48}$/;
let running: Server | undefined;
let bound: Counter; // the secret is bound to it
let other: Counter;
const PROBE = `
export default { async fetch(request, env) {
    const { key, url, headers, body } = await request.json();
    if (!url) return Response.json(env[key] ?? null);
    const fill = (text) => text.replaceAll("KEY", env[key]);
    try {
        const r = await fetch(fill(url), { method: body ? "POST" : "GET", body: body && fill(body), headers: headers.map(([n, v]) => [n, v.startsWith("basic:") ? "Basic " + btoa(fill(v.slice(6))) : fill(v)]) });
        return Response.json({ url: r.url, text: await r.text() });
    } catch (e) { return Response.json({ error: e.message, stack: e.stack }); }
} };`;

before(async () => {
    [bound, other] = [await Counter.start(), await Counter.start()];
    for (const c of [bound, other])
        c.answer = (r, res) => {
            const to = /^\/to\?(.*)$/.exec(r.path);
            if (to) return void res.writeHead(307, { location: decodeURIComponent(to[1]!) }).end();
            res.end('ok');
        };
    running = await Server.start({ args: ['--threads', '1', '--snapshot-after', '0', ...bound.flags, ...other.flags, '--egress-allow', `localhost:${bound.port}`] });
    await running.deploy('f', PROBE);
});
after(async () => {
    await running?.stop();
    if (running) fs.rmSync(running.data, { recursive: true, force: true });
    bound.stop();
    other.stop();
});

const server = (): Server => running!;
const ask = async (init: unknown, name = 'f') => (await server().request(name, '/', { method: 'POST', body: JSON.stringify(init) })).json;
const set = async (args: string[], value = VALUE, code = 0) => {
    const res = await server().cli(['secret', 'set', ...args], { input: `${value}\n` });
    assert.equal(res.code, code, `${args.join(' ')}: ${res.stderr}`);
    return res.stderr;
};
/** What it got of one header. */
const got = (c: Counter, at: string, name: string) => c.at(at).at(-1)!.headers[name];
function filesWith(data: string, text: string): string[] {
    const files = fs.readdirSync(data, { recursive: true, withFileTypes: true }).filter((f) => f.isFile()).map((f) => path.join(f.parentPath ?? f.path, f.name));
    return files.filter((file) => fs.readFileSync(file).includes(text));
}

test('code reads a placeholder; the host gets the value in any header, and nobody else does', async () => {
    await set(['f', 'KEY', '--host', bound.url]);
    const placeholder = await ask({ key: 'KEY' });
    assert.match(placeholder, PLACEHOLDER);
    await ask({ key: 'KEY', url: `${bound.url}/a`, headers: [['Authorization', 'Bearer KEY'], ['X-Api-KEY'.replace('KEY', 'Key'), 'KEY'], ['x-twice', 'KEY,KEY'], ['x-basic', 'no'], ['cookie', 'a=KEY; b=1']] });
    const { headers } = bound.at('/a')[0]!;
    assert.deepEqual([headers.authorization, headers['x-api-key'], headers['x-twice'], headers.cookie], [`Bearer ${VALUE}`, VALUE, `${VALUE},${VALUE}`, `a=${VALUE}; b=1`]);
    await ask({ key: 'KEY', url: `${bound.url}/basic`, headers: [['authorization', 'basic:user:KEY']] });
    assert.equal(got(bound, '/basic', 'authorization'), `Basic ${Buffer.from(`user:${VALUE}`).toString('base64')}`);
    // Another host, another name of the same host, another port: the placeholder.
    await ask({ key: 'KEY', url: `${other.url}/a`, headers: [['authorization', 'Bearer KEY']] });
    assert.equal(got(other, '/a', 'authorization'), `Bearer ${placeholder}`);
    await ask({ key: 'KEY', url: `http://localhost:${bound.port}/b`, headers: [['authorization', 'Bearer KEY']] });
    assert.equal(got(bound, '/b', 'authorization'), `Bearer ${placeholder}`);
});

test('it is filled in nowhere but in headers: not in the URL, the body, the name of one, nor when it was encoded or cut', async () => {
    const placeholder = await ask({ key: 'KEY' });
    const answer = await ask({ key: 'KEY', url: `${bound.url}/q?key=KEY`, body: '{"key":"KEY"}', headers: [['x-first', placeholder.slice(0, 30)], ['x-rest', placeholder.slice(30)], ['x-encoded', Buffer.from(placeholder).toString('base64')], ['x-upper', placeholder.toUpperCase()], [placeholder, 'name']] });
    const r = bound.requests.at(-1)!;
    assert.equal(answer.url, `${bound.url}/q?key=${placeholder}`);
    assert.equal(r.path, `/q?key=${placeholder}`);
    assert.equal(r.body, `{"key":"${placeholder}"}`);
    assert.ok(!JSON.stringify(r).includes('hunter2'));
});

test('each hop is looked at: away from the host goes the placeholder, back to it the value', async () => {
    const placeholder = await ask({ key: 'KEY' });
    const via = (...urls: string[]): string => urls.reduceRight((to, from) => `${from}?${encodeURIComponent(to)}`);
    await ask({ key: 'KEY', url: via(`${bound.url}/to`, `${other.url}/away`), headers: [['x-api-key', 'KEY']] });
    assert.equal(bound.requests.at(-1)!.headers['x-api-key'], VALUE);
    assert.equal(got(other, '/away', 'x-api-key'), placeholder);
    await ask({ key: 'KEY', url: via(`${bound.url}/to`, `${other.url}/to`, `${bound.url}/back`), headers: [['x-api-key', 'KEY'], ['authorization', 'Bearer KEY']] });
    assert.equal(other.requests.at(-1)!.headers['x-api-key'], placeholder);
    assert.equal(got(bound, '/back', 'x-api-key'), VALUE);
    assert.equal(got(bound, '/back', 'authorization'), undefined); // the fetch standard drops it on the way to another origin
    assert.ok(!other.requests.some((r) => JSON.stringify(r).includes('hunter2')));
});

test('only over https, unless http is said; a path may be, too', async () => {
    await set(['f', 'TLS', '--host', `127.0.0.1:${bound.port}`]);
    await ask({ key: 'TLS', url: `${bound.url}/tls`, headers: [['x-api-key', 'KEY']] });
    assert.match(String(got(bound, '/tls', 'x-api-key')), PLACEHOLDER);
    await set(['f', 'TLS', '--host', 'api.example.com', '--host', `${bound.url}/v1`]);
    for (const [at, isFilled] of [['/v1/x', true], ['/v2', false], ['/v1/..%2fv2', false]] as const) {
        await ask({ key: 'TLS', url: `${bound.url}${at}`, headers: [['x-api-key', 'KEY']] });
        assert.equal(got(bound, at, 'x-api-key') === VALUE, isFilled, at);
    }
    assert.deepEqual((await server().api('GET', '/secrets/f')).json.map((row: any) => [row.name, row.hosts]), [['KEY', [bound.url]], ['TLS', ['api.example.com', `${bound.url}/v1`]]]);
    assert.match((await server().cli(['secret', 'list', 'f'])).stdout, new RegExp(`^TLS .* api\\.example\\.com ${bound.url}/v1$`, 'm'));
});

test('a new value keeps the placeholder and the hosts; --unbound gives code the value', async () => {
    const placeholder = await ask({ key: 'KEY' });
    await set(['f', 'KEY'], 'hunter2-the-second');
    assert.equal(await ask({ key: 'KEY' }), placeholder);
    await ask({ key: 'KEY', url: `${bound.url}/c`, headers: [['x-api-key', placeholder]] });
    assert.equal(got(bound, '/c', 'x-api-key'), 'hunter2-the-second');
    await set(['f', 'KEY', '--unbound'], 'open-value');
    assert.equal(await ask({ key: 'KEY' }), 'open-value');
    await ask({ key: 'KEY', url: `${bound.url}/d`, headers: [['x-api-key', placeholder]] });
    assert.equal(got(bound, '/d', 'x-api-key'), placeholder);
    await set(['f', 'KEY', '--host', bound.url]);
    assert.equal(await ask({ key: 'KEY' }), placeholder);
});

test("another module's placeholder is a text like any other", async () => {
    await server().deploy('thief', PROBE);
    const placeholder = await ask({ key: 'KEY' });
    await ask({ key: 'KEY', url: `${bound.url}/thief`, headers: [['x-api-key', placeholder]] }, 'thief');
    assert.equal(got(bound, '/thief', 'x-api-key'), placeholder);
});

test('what cannot stand in a header, or be a host, is refused when it is set', async () => {
    const put = (body: unknown, name = 'BAD') => server().api('PUT', `/secrets/f/${name}`, body);
    for (const value of ['a\r\nb', 'a\nb', 'a\0b', '', '\x7f']) assert.ok(errorOf(await put({ value, hosts: ['api.example.com'] }), 400, 'invalid').hint, JSON.stringify(value));
    errorOf(await put({ value: 'a\nX-Evil: 1' }, 'KEY'), 400, 'invalid'); // KEY is bound already
    for (const hosts of [['*'], ['a*.com'], [''], 'api.example.com', [1], ['a b.com'], Array.from({ length: 17 }, (_, n) => `h${n}.com`)]) assert.ok(errorOf(await put({ value: 'x', hosts }), 400, 'invalid').hint, JSON.stringify(hosts));
    assert.equal((await put({ value: 'a\nb' })).status, 204); // bound to none
    assert.equal(await ask({ key: 'BAD' }), 'a\nb');
    assert.match(await set(['f', 'X', '--host', 'a.com', '--unbound'], 'x', 2), /opposite/);
    // Headers that would become too large are not sent.
    await set(['f', 'LONG', '--host', bound.url], 'v'.repeat(60_000));
    const many = await ask({ key: 'LONG', url: `${bound.url}/long`, headers: [['x', 'KEY'.repeat(5)]] });
    assert.match(many.error, /larger than 256 KiB with its secrets/);
    assert.match((await ask({ key: 'KEY', url: `${bound.url}/long`, headers: [['x', 'KEY'.repeat(65)]] })).error, /more than 64 places/);
    assert.equal(bound.at('/long').length, 0);
    assert.equal((await server().api('DELETE', '/secrets/f/LONG')).status, 204);
});

test('an execution has the placeholder in its journal and snapshot, and sends the value before and after a restart', async () => {
    await deployWorkflow(server(), 'w', `
import { env, waitForEvent, workflow } from "limpet";
export default workflow(async (url) => {
    const key = env.get("KEY");
    await fetch(url + "/w1", { headers: { "x-api-key": key } });
    await waitForEvent("go");
    await fetch(url + "/w2", { headers: { "x-api-key": key } });
    return key;
});`);
    await set(['w', 'KEY', '--host', bound.url]);
    const id = await start(server(), 'w', bound.url);
    await suspended(server(), id);
    assert.equal(got(bound, '/w1', 'x-api-key'), VALUE);
    assert.ok(!JSON.stringify(await journal(server(), id)).includes('hunter2'));
    await set(['w', 'KEY'], 'hunter2-rotated');
    running = await server().restart();
    await signal(server(), id, 'go');
    const end = await outcome(server(), id);
    assert.equal(end.status, 'completed', JSON.stringify(end));
    assert.match(end.output, PLACEHOLDER);
    assert.equal(got(bound, '/w2', 'x-api-key'), 'hunter2-rotated');
});

test('all modules of a namespace read its secrets, but for their own of that name; others do not', async () => {
    await server().api('POST', '/namespaces', { name: 'shop' });
    const shop = async (init: unknown, name: string) => (await server().request('', '/', { host: `${name}.shop.localhost:${server().httpPort}`, method: 'POST', body: JSON.stringify(init) })).json;
    for (const name of ['a', 'b']) assert.equal((await server().api('POST', '/namespaces/shop/functions?wait=60s', { name, source: PROBE })).status, 200);
    await set(['--namespace', 'shop', '--shared', 'COMMON'], 'hunter2-common');
    await set(['--namespace', 'shop', '--shared', 'BOUND', '--host', bound.url]);
    for (const name of ['a', 'b']) assert.equal(await shop({ key: 'COMMON' }, name), 'hunter2-common');
    assert.equal(await ask({ key: 'COMMON' }), null);
    assert.equal(await shop({ key: 'BOUND' }, 'a'), await shop({ key: 'BOUND' }, 'b'));
    await shop({ key: 'BOUND', url: `${bound.url}/shop`, headers: [['x-api-key', 'KEY']] }, 'b');
    assert.equal(got(bound, '/shop', 'x-api-key'), VALUE);
    await set(['shop/a', 'COMMON'], 'own');
    assert.equal((await server().api('PUT', '/namespaces/shop/functions/b/env/BOUND', { value: 'variable' })).status, 204);
    assert.deepEqual([await shop({ key: 'COMMON' }, 'a'), await shop({ key: 'COMMON' }, 'b'), await shop({ key: 'BOUND' }, 'b')], ['own', 'hunter2-common', 'variable']);
    // One that is deployed later has them, too; a deleted own one shows the shared one again.
    assert.equal((await server().api('POST', '/namespaces/shop/functions?wait=60s', { name: 'c', source: PROBE })).status, 200);
    assert.equal(await shop({ key: 'COMMON' }, 'c'), 'hunter2-common');
    assert.equal((await server().cli(['secret', 'delete', 'shop/a', 'COMMON'])).code, 0);
    assert.equal(await shop({ key: 'COMMON' }, 'a'), 'hunter2-common');
    assert.deepEqual((await server().api('GET', '/namespaces/shop/shared-secrets')).json.map((row: any) => [row.name, row.version, row.hosts]), [['BOUND', 2, [bound.url]], ['COMMON', 1, null]]);
    assert.deepEqual((await server().api('GET', '/shared-secrets')).json, []);
    assert.deepEqual((await server().api('GET', '/namespaces/shop/secrets/b')).json, []);
    assert.equal((await server().cli(['secret', 'delete', '--namespace', 'shop', '--shared', 'COMMON'])).code, 0);
    assert.equal(await shop({ key: 'COMMON' }, 'b'), null);
    errorOf(await server().api('DELETE', '/namespaces/shop/shared-secrets/COMMON'), 404, 'not_found');
    assert.match(await set(['--shared', 'f', 'KEY'], 'x', 2), /no NAME/);
    assert.match(await set(['KEY'], 'x', 2), /whose secret/);
});

test('a replay reads the shared secret of then', async () => {
    await deployWorkflow(server(), 'shared', `
import { env, waitForEvent, workflow } from "limpet";
export default workflow(async () => { const then = env.get("COMMON"); await waitForEvent("go"); return [then.length, env.get("COMMON").length]; });`);
    await set(['--shared', 'COMMON'], 'hunter2-12');
    const id = await start(server(), 'shared');
    await suspended(server(), id);
    await set(['--shared', 'COMMON'], 'hunter2-1234');
    running = await server().restart();
    await signal(server(), id, 'go');
    assert.deepEqual((await outcome(server(), id)).output, [10, 12]);
});

test('no file, list or log of the server has a value; what is made again under its name has none', async () => {
    assert.deepEqual(filesWith(server().data, 'hunter2'), []);
    assert.ok(!(server().stdout + server().stderr).includes('hunter2'));
    for (const target of ['/secrets/f', '/secrets/w', '/namespaces/shop/shared-secrets', '/audit?limit=1000', '/functions/f/logs']) assert.ok(!(await server().api('GET', target)).text.includes('hunter2'), target);
    assert.equal((await server().api('DELETE', '/namespaces/shop?force=true')).status, 200);
    await server().api('POST', '/namespaces', { name: 'shop' });
    assert.deepEqual((await server().api('GET', '/namespaces/shop/shared-secrets')).json, []);
});
