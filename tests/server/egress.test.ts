// SPDX-License-Identifier: Apache-2.0
// Functions reach nothing private unless it was allowed: not by address, by name, by odd spellings, nor by a redirect.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, test } from 'node:test';
import { useServer } from './harness.ts';

let inner: http.Server; // what must not be reached
let allowed: http.Server; // what may be, and redirects to the inner one
const ports = { inner: 0, allowed: 0 };
let reached = 0;

before(async () => {
    inner = http.createServer((_req, res) => {
        reached++;
        res.end('secret');
    });
    allowed = http.createServer((req, res) => {
        if (req.url === '/plain') return void res.end('allowed');
        const to: Record<string, string> = { '/to-address': `http://127.0.0.1:${ports.inner}/`, '/to-name': `http://localhost:${ports.inner}/`, '/to-metadata': 'http://169.254.169.254/latest/' };
        res.writeHead(302, { location: to[req.url!]! });
        res.end();
    });
    for (const [key, s] of [['inner', inner], ['allowed', allowed]] as const) {
        s.listen(0, '127.0.0.1');
        await once(s, 'listening');
        ports[key] = (s.address() as AddressInfo).port;
    }
});
after(() => {
    inner.closeAllConnections();
    inner.close();
    allowed.closeAllConnections();
    allowed.close();
});

const server = useServer(() => ({ args: ['--threads', '1', '--egress-allow', `127.0.0.1:${ports.allowed}`] }));

const PROBE = `
export default { async fetch(request) {
    try { const r = await fetch(await request.text()); return Response.json({ reached: await r.text() }); }
    catch (e) { return Response.json({ name: e.name, message: e.message }); }
} };`;

async function probe(url: string) {
    const s = await server();
    await s.deploy('probe', PROBE, { wall_ms: 20_000 });
    return (await s.request('probe', '/', { method: 'POST', body: url })).json;
}

test('what is allowed is reached', async () => {
    assert.deepEqual(await probe(`http://127.0.0.1:${ports.allowed}/plain`), { reached: 'allowed' });
});

const spellings = (port: number) => [
    `http://127.0.0.1:${port}/`, `http://localhost:${port}/`, `http://LOCALHOST.:${port}/`, `http://127.1:${port}/`, `http://2130706433:${port}/`, `http://0x7f000001:${port}/`, `http://0177.0.0.1:${port}/`,
    `http://0.0.0.0:${port}/`, `http://[::1]:${port}/`, `http://[::]:${port}/`, `http://[::ffff:127.0.0.1]:${port}/`, `http://[::ffff:7f00:1]:${port}/`, `http://[64:ff9b::7f00:1]:${port}/`,
    `http://127.0.0.2:${port}/`, `http://sub.localhost:${port}/`, `http://user@127.0.0.1:${port}/`, `http://１２７.０.０.１:${port}/`,
];

test('loopback is refused in every spelling', async () => {
    for (const url of spellings(ports.inner)) {
        const got = await probe(url);
        assert.equal(got.name, 'TypeError', `${url}: ${JSON.stringify(got)}`);
    }
    assert.equal(reached, 0);
});

test('the refusal says what was refused and what would allow it', async () => {
    const { message } = await probe(`http://127.0.0.1:${ports.inner}/`);
    assert.match(message, /127\.0\.0\.1/);
    assert.match(message, /egress-allow/);
});

test('private, link-local, metadata and other special addresses are refused at once', async () => {
    for (const host of ['10.0.0.1', '172.16.0.1', '172.31.255.255', '192.168.1.1', '169.254.169.254', '100.64.0.1', '224.0.0.1', '255.255.255.255', '0.0.0.1', '[fe80::1]', '[fc00::1]', '[fd12:3456::1]', '[ff02::1]', '[2002:7f00:1::]', '[::ffff:10.0.0.1]']) {
        const began = Date.now();
        const got = await probe(`http://${host}/`);
        assert.equal(got.name, 'TypeError', `${host}: ${JSON.stringify(got)}`);
        assert.match(got.message, /egress-allow|refused|not allowed/, host);
        assert.ok(Date.now() - began < 10_000, `${host} was tried`);
    }
});

test('the port of a rule counts: the other port of the same host stays closed', async () => {
    assert.equal((await probe(`http://127.0.0.1:${ports.inner}/`)).name, 'TypeError');
    assert.equal(reached, 0);
});

test('a redirect from an allowed place leads nowhere private', async () => {
    for (const path of ['/to-address', '/to-name', '/to-metadata']) {
        const got = await probe(`http://127.0.0.1:${ports.allowed}${path}`);
        assert.equal(got.name, 'TypeError', `${path}: ${JSON.stringify(got)}`);
    }
    assert.equal(reached, 0);
});

test("derp's synchronous fetch obeys, too", async () => {
    const s = await server();
    await s.deploy('derp-probe', `
import { fetch } from "derp:runtime/http";
export const handler = { handle(req) { try { return { reached: fetch({ method: "GET", url: req.body.url, headers: [] }).status }; } catch (e) { return { refused: true }; } } };`);
    assert.deepEqual((await s.execute('derp-probe', { url: `http://127.0.0.1:${ports.inner}/` })).json.output, { refused: true });
    assert.equal(reached, 0);
});

test('the server\'s own ports are not reached by functions', async () => {
    const s = await server();
    assert.equal((await probe(`http://127.0.0.1:${s.adminPort}/functions`)).name, 'TypeError');
});

const wide = useServer({ args: ['--threads', '1', '--egress-allow', '127.0.0.0/8'] });

test('a CIDR rule opens its range, and a module\'s own list narrows it', async () => {
    const s = await wide();
    await s.deploy('probe', PROBE);
    assert.deepEqual((await s.request('probe', '/', { method: 'POST', body: `http://127.0.0.1:${ports.allowed}/plain` })).json, { reached: 'allowed' });
    assert.equal((await s.request('probe', '/', { method: 'POST', body: `http://[::1]:${ports.inner}/` })).json.name, 'TypeError');
    await s.deploy('listed', PROBE, { egress: ['api.example.com', '*.example.org', `localhost:${ports.allowed}`] });
    const by = async (url: string) => (await s.request('listed', '/', { method: 'POST', body: url })).json;
    const refused = await by(`http://127.0.0.1:${ports.allowed}/plain`);
    assert.equal(refused.name, 'TypeError');
    assert.match(refused.message, /127\.0\.0\.1/);
    assert.deepEqual(await by(`http://localhost:${ports.allowed}/plain`), { reached: 'allowed' });
    assert.equal((await by(`http://localhost:${ports.inner}/`)).name, 'TypeError');
});
