// SPDX-License-Identifier: Apache-2.0
// Egress rules of namespaces: by method, host and path, for every hop, at once, only for their own namespace, and never beyond the server's own.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { after, before, test } from 'node:test';
import { errorOf, Server, until } from './harness.ts';
import { Counter, deployWorkflow, failure, output } from './workflow-harness.ts';

let running: Server | undefined;
let counter: Counter;
const PROBE = `
export default { async fetch(request) {
    const { url, ...init } = await request.json();
    try { const r = await fetch(url, init); return Response.json({ reached: await r.json() }); }
    catch (e) { return Response.json({ name: e.name, message: e.message }); }
} };`;

before(async () => {
    counter = await Counter.start();
    counter.answer = (r, res) => {
        const to = /^\/to(\d*)\?(.*)$/.exec(r.path);
        if (to) return void res.writeHead(Number(to[1] || 307), { location: decodeURIComponent(to[2]!) }).end();
        res.end(JSON.stringify({ path: r.path, method: r.method }));
    };
    running = await Server.start({ args: ['--threads', '2', ...counter.flags] });
    await running.deploy('probe', PROBE);
    assert.equal((await running.api('POST', '/namespaces', { name: 'shop' })).status, 201);
    assert.equal((await running.api('POST', '/namespaces/shop/functions?wait=60s', { name: 'probe', source: PROBE })).status, 200);
});
after(async () => {
    await running?.stop();
    if (running) fs.rmSync(running.data, { recursive: true, force: true });
    counter.stop();
});

const server = (): Server => running!;
const at = (path: string) => `${counter.url}${path}`;
const ask = async (init: { url: string; [key: string]: unknown }, host = 'probe.shop.localhost') => (await server().request('', '/', { host: `${host}:${server().httpPort}`, method: 'POST', body: JSON.stringify(init) })).json;
const cli = async (args: string[], code = 0) => {
    const res = await server().cli(['--namespace', 'shop', 'egress', ...args]);
    assert.equal(res.code, code, `${args.join(' ')}: ${res.stdout}${res.stderr}`);
    return res;
};
async function clear(): Promise<void> {
    for (const rule of (await server().api('GET', '/namespaces/shop/egress')).json.rules) await cli(['remove', String(rule.id)]);
    await cli(['default', 'allow']);
}
async function refused(init: { url: string; [key: string]: unknown }, text: RegExp): Promise<void> {
    const before = counter.requests.length;
    const got = await ask(init);
    assert.equal(got.name, 'TypeError', JSON.stringify(got));
    assert.match(got.message, text);
    assert.equal(counter.requests.length, before, 'nothing was sent');
}

test('without rules all that the server allows is reached', async () => {
    assert.deepEqual(await ask({ url: at('/a') }), { reached: { path: '/a', method: 'GET' } });
    assert.deepEqual((await server().api('GET', '/namespaces/shop/egress')).json, { namespace: 'shop', default: 'allow', rules: [] });
    assert.match((await cli(['list'])).stdout, /^default: allow$/m);
});

test('a rule holds from the next request on, by method and path; the error names it', async () => {
    await cli(['deny', `127.0.0.1:${counter.port}/admin`]);
    await cli(['deny', '127.0.0.1', '--method', 'POST', '--method', 'DELETE']);
    const listed = (await server().api('GET', '/namespaces/shop/egress')).json.rules;
    assert.deepEqual(listed.map((r: any) => [r.action, r.methods, r.pattern, r.module]), [['deny', null, `127.0.0.1:${counter.port}/admin`, null], ['deny', ['POST', 'DELETE'], '127.0.0.1', null]]);
    for (const path of ['/admin', '/admin/x?y', '/%61dmin', '//admin', '/x/../admin', '/%2Fadmin', '/x/..%2fadmin']) await refused({ url: at(path) }, new RegExp(`egress rule ${listed[0].id} of namespace 'shop'`));
    await refused({ url: at('/a'), method: 'POST', body: 'x' }, new RegExp(`POST http://127.0.0.1:${counter.port} is refused by egress rule ${listed[1].id} of namespace 'shop': deny POST,DELETE 127.0.0.1`));
    assert.equal((await ask({ url: at('/administrator') })).reached.path, '/administrator');
    assert.equal((await ask({ url: at('/a'), method: 'PUT', body: 'x' })).reached.method, 'PUT');
    await clear();
    assert.equal((await ask({ url: at('/admin') })).reached.path, '/admin');
});

test('the first that fits holds, and the default what none is about', async () => {
    await cli(['default', 'deny']);
    await refused({ url: at('/a') }, /allowed by no egress rule of namespace 'shop'/);
    await cli(['allow', `http://127.0.0.1:${counter.port}/v1`]);
    assert.equal((await ask({ url: at('/v1/x') })).reached.path, '/v1/x');
    await refused({ url: at('/v10') }, /no egress rule/);
    await cli(['deny', `127.0.0.1:${counter.port}/v1/secret`]); // behind the other: too late
    assert.equal((await ask({ url: at('/v1/secret') })).reached.path, '/v1/secret');
    await cli(['deny', `127.0.0.1:${counter.port}/v1/secret`, '--first']);
    await refused({ url: at('/v1/secret') }, /refused by egress rule/);
    assert.equal((await ask({ url: at('/v1/x') })).reached.path, '/v1/x');
    await clear();
});

test('every hop is looked at', async () => {
    await cli(['deny', '*/inner']);
    assert.equal((await ask({ url: at(`/to?${encodeURIComponent('/outer')}`) })).reached.path, '/outer');
    const before = counter.at('/inner').length;
    const got = await ask({ url: at(`/to?${encodeURIComponent(`/to?${encodeURIComponent('/inner')}`)}`) });
    assert.match(got.message, /refused by egress rule/);
    assert.equal(counter.at('/inner').length, before);
    // A redirect that turns the method is judged by the new one, one that keeps it by that.
    await cli(['deny', `127.0.0.1:${counter.port}/posted`, '--method', 'POST']);
    assert.deepEqual((await ask({ url: at('/to303?/posted'), method: 'POST', body: 'x' })).reached, { path: '/posted', method: 'GET' });
    assert.match((await ask({ url: at('/to307?/posted'), method: 'POST', body: 'x' })).message, /POST .* is refused by egress rule/);
    await clear();
});

test('another namespace, and another module, goes on', async () => {
    await cli(['default', 'deny']);
    assert.equal((await ask({ url: at('/a') }, 'probe.localhost')).reached.path, '/a');
    await refused({ url: at('/a') }, /no egress rule/);
    await cli(['allow', '*', '--module', 'other']);
    await refused({ url: at('/a') }, /no egress rule/);
    await cli(['allow', '*', '--module', 'shop/probe']);
    assert.equal((await ask({ url: at('/a') })).reached.path, '/a');
    await clear();
});

test("no rule opens what the server keeps closed, nor what the module's own list does", async () => {
    await cli(['allow', '*']);
    const got = await ask({ url: `http://127.0.0.2:${counter.port}/` });
    assert.match(got.message, /egress-allow/);
    assert.equal((await server().api('POST', '/namespaces/shop/functions?wait=60s', { name: 'narrow', source: PROBE, egress: ['example.com'] })).status, 200);
    assert.match((await ask({ url: at('/a') }, 'narrow.shop.localhost')).message, /not in this module's list/);
    await clear();
});

test('workflows obey, and a restart changes nothing', async () => {
    const send = 'import { workflow } from "limpet"; export default workflow(async (url) => (await (await fetch(url)).json()).path);';
    await deployWorkflow(server(), 'send', send);
    assert.equal(await output(server(), (await server().api('POST', '/workflows/send/execute', { body: at('/w') })).json.execution_id), '/w');
    assert.equal((await server().api('POST', '/egress/rules', { action: 'deny', pattern: '*/w' })).status, 201);
    assert.match((await failure(server(), 'send', at('/w'))).message, /refused by egress rule 1 of namespace 'default'/);
    await cli(['default', 'deny']);
    running = await server().restart();
    assert.match((await failure(server(), 'send', at('/w'))).message, /refused by egress rule 1 of namespace 'default'/);
    await refused({ url: at('/a') }, /no egress rule/);
    assert.equal((await server().api('DELETE', '/egress/rules/1')).status, 204);
    await clear();
    assert.equal((await ask({ url: at('/a') })).reached.path, '/a');
});

test('what is refused is in the audit log, once a rule and minute', async () => {
    await cli(['deny', '*/never']);
    const id = (await server().api('GET', '/namespaces/shop/egress')).json.rules[0].id;
    const before = (await server().metrics()).get('limpet_egress_refused_total')!;
    for (let n = 0; n < 50; n++) await refused({ url: at('/never?token=hidden') }, /refused/);
    assert.equal((await server().metrics()).get('limpet_egress_refused_total'), before + 50);
    const rows = () => server().api('GET', '/namespaces/shop/audit?limit=1000').then((r) => r.json.filter((row: any) => row.action === 'egress' && row.target.includes(`rule ${id}`)));
    await until('the row', async () => (await rows()).length > 0);
    const all = await rows();
    assert.ok(all.length <= 2, String(all.length)); // the minute may end in between
    assert.deepEqual([all.at(-1).actor, all.at(-1).outcome, all.at(-1).target], ['code', 'forbidden', `probe: GET http://127.0.0.1:${counter.port} (rule ${id})`]);
    const log = (await server().api('GET', '/namespaces/shop/audit?limit=1000')).text;
    assert.ok(!log.includes('hidden') && !(await server().api('GET', '/audit?limit=1000')).text.includes('never?'));
    assert.equal((await server().cli(['audit', 'verify'])).code, 0);
    const changes = JSON.parse(log).filter((row: any) => row.action === 'egress_add');
    assert.ok(changes.some((row: any) => row.target === '*/never' && row.actor === 'server'));
    await clear();
});

test('egress test says what would become of a request, and sends none', async () => {
    await cli(['deny', 'https://*.example.com/v1', '--method', 'POST']);
    const before = counter.requests.length;
    assert.match((await cli(['test', 'https://a.example.com/v1/x', '--method', 'POST'], 1)).stdout, /^refused by rule \d+: https:\/\/\*\.example\.com\/v1$/m);
    assert.match((await cli(['test', 'https://a.example.com/v1/x'])).stdout, /^allowed: no rule is about it$/m);
    assert.equal(counter.requests.length, before);
    errorOf(await server().api('POST', '/egress/test', { url: 'nonsense' }), 400, 'invalid');
    errorOf(await server().api('POST', '/egress/test', { url: 'ftp://x.com' }), 400, 'invalid');
    await clear();
});

test('bad rules are refused with what to write instead; there are 256 at most', async () => {
    for (const body of [{}, { action: 'maybe', pattern: '*' }, { action: 'deny' }, { action: 'deny', pattern: 'a*.com' }, { action: 'deny', pattern: '*', methods: 'GET' }, { action: 'deny', pattern: '*', methods: ['G T'] }, { action: 'deny', pattern: '*', methods: ['A,B'] },
        { action: 'deny', pattern: '*', methods: [''] }, { action: 'deny', pattern: '*', module: 'No' }, { action: 'deny', pattern: '*', first: 1 }, { action: 'deny', pattern: '*', more: 1 }, { action: 'deny', pattern: `x.com/${'a'.repeat(2000)}` }, []])
        assert.ok(errorOf(await server().api('POST', '/egress/rules', body), 400, 'invalid').hint, JSON.stringify(body));
    errorOf(await server().api('PUT', '/egress', { default: 'perhaps' }), 400, 'invalid');
    errorOf(await server().api('DELETE', '/egress/rules/99999'), 404, 'not_found');
    errorOf(await server().api('DELETE', '/egress/rules/x'), 400, 'invalid');
    assert.equal((await server().api('POST', '/namespaces', { name: 'full' })).status, 201);
    const made = await Promise.all(Array.from({ length: 257 }, () => server().api('POST', '/namespaces/full/egress/rules', { action: 'deny', pattern: 'x.com' })));
    assert.equal(made.filter((r) => r.status === 201).length, 256);
    assert.match(errorOf(made.find((r) => r.status !== 201)!, 409, 'conflict').message, /256 egress rules/);
    // What is made again under its name begins without rules.
    assert.equal((await server().api('DELETE', '/namespaces/full')).status, 200);
    assert.equal((await server().api('POST', '/namespaces', { name: 'full' })).status, 201);
    assert.deepEqual((await server().api('GET', '/namespaces/full/egress')).json.rules, []);
});

test('a deploy token reads them, an admin token sets them', async () => {
    const token = async (role: string) => ({ authorization: `Bearer ${(await server().api('POST', '/namespaces/shop/tokens', { role })).json.token}` });
    const deploy = await token('deploy');
    assert.equal((await server().api('GET', '/namespaces/shop/egress', undefined, deploy)).status, 200);
    assert.equal((await server().api('POST', '/namespaces/shop/egress/test', { url: 'https://x.com' }, deploy)).status, 200);
    errorOf(await server().api('POST', '/namespaces/shop/egress/rules', { action: 'allow', pattern: '*' }, deploy), 403, 'forbidden');
    const admin = await token('admin');
    assert.equal((await server().api('PUT', '/namespaces/shop/egress', { default: 'deny' }, admin)).status, 200);
    errorOf(await server().api('PUT', '/egress', { default: 'deny' }, admin), 403, 'forbidden');
    await clear();
});
