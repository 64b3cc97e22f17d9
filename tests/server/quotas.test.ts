// SPDX-License-Identifier: Apache-2.0
// Quotas of what is counted, isolates and outgoing connections: who is at one waits, over all threads, and neighbors see nothing of it.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, test } from 'node:test';
import { Server, until, useServer } from './harness.ts';

/** Holds each request until there are as many as may be, or no more come, and notes how many there were at once. */
let origin: http.Server;
let inside = 0;
let most = 0;
let received = 0;
before(async () => {
    origin = http.createServer((req, res) => {
        most = Math.max(most, ++inside);
        req.on('data', (d) => { received += d.length; });
        res.on('close', () => { inside--; });
        setTimeout(() => res.end('held'), 30);
    });
    origin.listen(0, '127.0.0.1');
    await once(origin, 'listening');
});
after(() => { origin.close(); origin.closeAllConnections(); });
const port = (): number => (origin.address() as AddressInfo).port;

const server = useServer({ args: ['--threads', '2', '--egress-allow', '127.0.0.1'] });
const tiny = useServer({ args: ['--threads', '1', '--isolates-max', '4'] });

const source = (): string => `
export default { async fetch(request) {
    const n = Number(new URL(request.url).searchParams.get("n") ?? 1);
    const all = await Promise.all(Array.from({ length: n }, () => fetch("http://127.0.0.1:${port()}/").then((r) => r.text())));
    return new Response(all.join(" "));
} };`;
const HELLO = 'export default { fetch: () => new Response("hello") };';

async function metric(s: Server, name: string): Promise<number> {
    return (await s.metrics()).get(name) ?? 0;
}

test('isolates', async () => {
    const s = await server();
    await s.deploy('few', source());
    await s.deploy('hello', HELLO);
    const cli = await s.cli(['quota', 'set', 'few', 'isolates=2']);
    assert.equal(cli.code, 0, cli.stderr);
    most = 0;
    const all = Array.from({ length: 24 }, () => s.request('few', '/'));
    assert.equal((await s.request('hello')).text, 'hello');
    for (const answer of await Promise.all(all)) assert.deepEqual([answer.status, answer.text], [200, 'held']);
    assert.ok(most <= 2, `${most} at once`);
    assert.ok((await metric(s, 'limpet_module_isolates{module="few"}')) <= 2);
    const low = await s.api('PUT', '/quotas/few', { isolates: 1 });
    assert.equal(low.status, 400);
    assert.match(low.text, /below 2, the least/, 'one for each thread');
    assert.equal((await s.api('DELETE', '/quotas/few')).status, 204);
});

test('outgoing connections', async () => {
    const s = await server();
    await s.deploy('few', source());
    assert.equal((await s.api('PUT', '/quotas/few', { connections: 3 })).status, 200);
    most = 0;
    const all = Array.from({ length: 4 }, () => s.request('few', '/?n=10'));
    for (const answer of await Promise.all(all)) assert.equal(answer.text, Array(10).fill('held').join(' '));
    assert.ok(most <= 3, `${most} at once`);
    await until('all are given back', async () => (await metric(s, 'limpet_module_connections{module="few"}')) === 0);
    assert.equal((await s.api('DELETE', '/quotas/few')).status, 204);
    most = 0;
    assert.equal((await s.request('few', '/?n=10')).status, 200);
    assert.ok(most > 3, 'more again');
});

test('disk', async () => {
    const s = await server();
    await s.deploy('fills', `
import { exec } from "derp:runtime/sql";
export const handler = {
    setup() { exec("CREATE TABLE t (a)"); },
    handle(req) {
        if (req.body.empty) { exec("DELETE FROM t"); return "emptied"; }
        exec("INSERT INTO t VALUES (zeroblob(?))", req.body.bytes);
        return "ok";
    },
};`);
    const fill = async (bytes: number) => (await s.execute('fills', { bytes })).text;
    assert.match(await fill(100_000), /ok/);
    assert.equal((await s.cli(['quota', 'set', 'fills', 'disk=256K'])).code, 0);
    assert.match(await fill(100_000), /ok/);
    assert.match(await fill(100_000), /the database has reached its limit of 2[56]\d\d\d\d bytes, which its module's disk quota leaves it.*quota disk_bytes/s);
    const shown = (await s.api('GET', '/quotas/fills')).json.disk_bytes;
    assert.ok(shown.used > 200_000 && shown.used <= 262_144, JSON.stringify(shown));
    assert.match((await s.execute('fills', { empty: true })).text, /emptied/);
    assert.match(await fill(100_000), /ok/, 'the room of deleted rows');
    assert.equal((await s.cli(['quota', 'unset', 'fills', 'disk'])).code, 0);
    assert.match(await fill(500_000), /ok/);
    assert.equal((await s.api('DELETE', '/functions/fills')).status, 204);
    await until('its disk is given back', async () => !((await metric(s, 'limpet_module_disk_bytes{module="fills"}')) > 0));
});

test('requests to others are metered', async () => {
    const s = await server();
    received = 0;
    await s.deploy('sends', `export default { async fetch() { await fetch("http://127.0.0.1:${port()}/", { method: "POST", body: "x".repeat(300000) }); return new Response("ok"); } };`);
    assert.equal((await s.request('sends')).text, 'ok');
    assert.equal(received, 300000);
    const usage = await until('it is metered', async () => (await s.admin('/usage?module=sends')).json.find((u: any) => u.egress_bytes > 300000));
    assert.ok(usage.egress_bytes < 301000, usage.egress_bytes);
});

test('a module that keeps its state gives way when it was not called lately', async () => {
    const s = await tiny();
    const keeps = 'let n = 0; export default { fetch: () => Response.json(++n) };';
    for (const name of ['a', 'b', 'c', 'd']) {
        await s.deploy(name, keeps, { isolation: 'module' });
        assert.equal((await s.request(name)).json, 1);
        assert.equal((await s.request(name)).json, 2);
    }
    await s.deploy('hello', HELLO);
    assert.equal((await s.request('hello')).text, 'hello', 'instead of 503');
    const counts = [];
    for (const name of ['d', 'c', 'b', 'a']) counts.push((await s.request(name)).json);
    assert.ok(counts.includes(1), `one of them begins anew: ${counts}`);
});

const divided = useServer({ args: ['--threads', '1', '--namespace-memory-max', String(8 << 20)] });

test('a namespace without a quota has what --namespace-memory-max says, its own quota comes first', async () => {
    const s = await divided();
    const HOLD = 'export default { fetch() { const held = []; for (let n = 0; n < 24; n++) held.push(new Uint8Array(1 << 20).fill(1)); return new Response(String(held.length)); } };';
    assert.equal((await s.api('POST', '/namespaces', { name: 'shop' })).status, 201);
    assert.equal((await s.api('POST', '/namespaces/shop/functions?wait=60s', { name: 'hold', source: HOLD })).status, 200);
    const hold = () => s.request('', '/', { host: `hold.shop.localhost:${s.httpPort}` });
    assert.match((await hold()).text, /namespace 'shop' has reached its limit of 8388608 bytes/);
    assert.deepEqual((await s.api('GET', '/namespaces/shop/quota')).json.memory_bytes.max, 8 << 20);
    assert.equal((await s.cli(['quota', 'set', '--namespace', 'shop', 'memory=64M'])).code, 0);
    assert.equal((await hold()).text, '24');
    assert.equal((await s.cli(['quota', 'unset', '-', '--namespace', 'shop'])).code, 0);
    assert.match((await hold()).text, /reached its limit of 8388608 bytes/);
    const more = await Server.startFailing({ args: ['--memory-max', String(64 << 20), '--namespace-memory-max', String(65 << 20)] });
    assert.match(more.output, /--namespace-memory-max 68157440 is more than --memory-max/);
});
