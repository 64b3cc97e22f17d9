// SPDX-License-Identifier: Apache-2.0
// What one function's fetches do to its neighbors on the same thread: names that no resolver answers for, and answers that it keeps.
import assert from 'node:assert/strict';
import dgram from 'node:dgram';
import { once } from 'node:events';
import fs from 'node:fs';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, test } from 'node:test';
import { Server, until, useServer } from './harness.ts';

let origin: http.Server;
let port = 0;
let held = 0;
let resolver: dgram.Socket;
const asked = new Set<string>();

/** Answers for names that begin with "good", and is silent for all others. */
function onQuestion(packet: Buffer, from: dgram.RemoteInfo): void {
    let at = 12;
    const labels: string[] = [];
    while (packet[at]) {
        labels.push(packet.toString('latin1', at + 1, at + 1 + packet[at]!));
        at += packet[at]! + 1;
    }
    const name = labels.join('.'), isV4 = packet.readUInt16BE(at + 1) === 1;
    asked.add(name);
    if (!name.startsWith('good')) return;
    const answer = Buffer.from([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 127, 0, 0, 1]);
    const head = Buffer.from(packet.subarray(0, at + 5));
    head.set([0x81, 0x80, 0, 1, 0, isV4 ? 1 : 0, 0, 0, 0, 0], 2);
    resolver.send(isV4 ? Buffer.concat([head, answer]) : head, from.port, from.address);
}

before(async () => {
    origin = http.createServer((req, res) => {
        if (req.url === '/hold') {
            held++;
            res.on('close', () => held--);
            res.writeHead(200, { 'content-length': 100_000_000 });
            res.write('hello');
            return;
        }
        res.end('fine');
    });
    origin.listen(0, '127.0.0.1');
    await once(origin, 'listening');
    port = (origin.address() as AddressInfo).port;
    resolver = dgram.createSocket('udp4');
    resolver.on('message', onQuestion);
    resolver.bind(0, '127.0.0.1');
    await once(resolver, 'listening');
});
after(() => {
    origin.closeAllConnections();
    origin.close();
    resolver.close();
});

const server = useServer(() => ({
    args: ['--threads', '1', '--egress-allow', `127.0.0.1:${port}`, '--resolver', `127.0.0.1:${resolver.address().port}`],
}));

const threads = (s: Server) => fs.readdirSync(`/proc/${s.pid}/task`).length;

async function deployNeighbor(s: Server): Promise<void> {
    await s.deploy('neighbor', `export default { async fetch(request) {
    const host = new URL(request.url).searchParams.get("host");
    return new Response(await (await fetch("http://" + host + ":${port}/")).text());
} };`);
}

test('names are looked up at the resolver that the server was told of', async () => {
    const s = await server();
    await deployNeighbor(s);
    assert.equal((await s.request('neighbor', '/?host=good-1.test')).text, 'fine');
    assert.ok(asked.has('good-1.test'));
    assert.equal((await s.request('neighbor', '/?host=localhost')).text, 'fine');
    const out = await Server.startFailing({ args: ['--resolver', 'nonsense'] });
    assert.match(out.output, /'nonsense' is not a list of name servers/);
});

test('thousands of names without an answer, asked for and forgotten', async () => {
    const s = await server();
    await deployNeighbor(s);
    await s.deploy('forgetful', `export default { async fetch() {
    let n = 0;
    for (let wave = 0; wave < 8; wave++) {
        const c = new AbortController();
        for (let i = 0; i < 500; i++) fetch("http://h" + n++ + ".example.com/", { signal: c.signal }).catch(() => {});
        await new Promise((r) => setTimeout(r, 20));
        c.abort();
        await new Promise((r) => setTimeout(r, 5));
    }
    return new Response(String(n));
} };`, { cpu_ms: 20_000, wall_ms: 120_000 });
    await s.request('neighbor', '/?host=good-2.test');
    asked.clear();
    const before = threads(s);
    const [hostile, ...answers] = await Promise.all([
        s.request('forgetful'),
        ...Array.from({ length: 5 }, (_, i) => s.request('neighbor', `/?host=good-3${i}.test`)),
    ]);
    assert.equal(hostile.text, '4000', hostile.text);
    assert.deepEqual(answers.map((a) => a.text), Array(5).fill('fine'));
    assert.equal((await s.request('neighbor', '/?host=good-4.test')).text, 'fine');
    assert.equal(threads(s), before);
    assert.ok(asked.size < 150, `${asked.size} names were asked for`);
});

test('hundreds of answers that nobody reads', async () => {
    const s = await server();
    await deployNeighbor(s);
    await s.deploy('hog', `export default { async fetch() {
    const all = Array.from({ length: 512 }, () => fetch("http://127.0.0.1:${port}/hold"));
    try { await Promise.all(all); return new Response("got them all"); } catch (e) { return new Response(e.name + ": " + e.message); }
} };`, { wall_ms: 600_000 });
    const stop = new AbortController();
    const hog = s.request('hog', '/', { signal: stop.signal }).catch(() => undefined);
    await until('it has what it can get', () => held >= 128);
    for (let i = 0; i < 10; i++) assert.equal((await s.request('neighbor', '/?host=127.0.0.1')).text, 'fine');
    assert.equal(held, 128);
    stop.abort();
    await hog;
    await until('all is given back', () => held === 0);
});
