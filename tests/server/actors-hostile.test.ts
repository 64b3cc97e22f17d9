// SPDX-License-Identifier: Apache-2.0
// Actors that loop, fill their disk, hold memory, call themselves and each other in circles, or are asked by very many, beside a neighbor that
// notices nothing; what actors take of the disk is their module's, and goes with it.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { type Answer, errorOf, Server, until, useServer } from './harness.ts';

const server = useServer({ args: ['--threads', '1'] });

const bindings = [{ type: 'durable_object_namespace', name: 'NS', class_name: 'A' }];

async function deploy(s: Server, name: string, members: string, body: string, more: object = {}): Promise<void> {
    await s.deploy(name, `import { DurableObject } from "cloudflare:workers";
        export class A extends DurableObject { ${members} }
        export default { async fetch(request, env, ctx) { const url = new URL(request.url); const stub = env.NS.getByName(url.searchParams.get("id") ?? "x");
            const failed = (p) => p.then((v) => v, (e) => e.name + ": " + e.message); ${body} } };`, { bindings, ...more });
}

async function json(answer: Promise<Answer>): Promise<any> {
    const { status, text, json } = await answer;
    assert.equal(status, 200, text);
    return json;
}

const diskOf = async (s: Server, name: string): Promise<number> => (await s.api('GET', `/quotas/${name}`)).json.disk_bytes.used;

test('an actor that loops is ended by its CPU time, alone; the next call finds a new one', async () => {
    const s = await server();
    await deploy(s, 'loops', 'loop() { for (;;); } ok() { return this.n = (this.n ?? 0) + 1; }',
        'return Response.json(url.pathname === "/loop" ? await failed(stub.loop()) : await failed(stub.ok()));', { cpu_ms: 200 });
    await s.deploy('neighbor', 'export default { fetch() { return new Response("fine"); } };');
    assert.equal(await json(s.request('loops')), 1);
    const looping = json(s.request('loops', '/loop'));
    const waiting = json(s.request('loops', '/?id=x'));
    for (let i = 0; i < 20; i++) assert.equal((await s.request('neighbor')).text, 'fine');
    assert.equal(await json(s.request('loops', '/?id=other')), 1);
    assert.match(await looping, /CPU time/);
    await waiting;
    assert.equal(await json(s.request('loops')), 1);
});

test('an actor that fills its disk is refused by its module\'s quota, keeps what it had, and gives it back', async () => {
    const s = await server();
    await deploy(s, 'fills', `
        async fill() { let n = 0; for (;;) { await this.ctx.storage.put("k" + n++, new Uint8Array(100_000)); await scheduler.wait(0); } }
        async count() { return (await this.ctx.storage.list()).size; }
        async clear() { await this.ctx.storage.deleteAll(); }`,
        'return Response.json(await failed(url.pathname === "/fill" ? stub.fill() : url.pathname === "/clear" ? stub.clear() : stub.count()) ?? null);');
    const before = await diskOf(s, 'fills');
    assert.equal((await s.api('PUT', '/quotas/fills', { disk_bytes: before + 2_000_000 })).status, 200);
    assert.match(await json(s.request('fills', '/fill')), /limit of \d+ bytes/);
    const kept = await json(s.request('fills'));
    assert.ok(kept >= 10 && kept <= 20, String(kept));
    const used = await diskOf(s, 'fills');
    assert.ok(used > before + 1_000_000 && used <= before + 2_100_000, `${before} ${used}`);
    assert.match(await json(s.request('fills', '/fill?id=second')), /limit of \d+ bytes|disk/);
    assert.equal(await json(s.request('fills', '/clear')), null);
    assert.equal(await json(s.request('fills')), 0);
});

test('an actor that waits for itself in a critical section ends with a clear message, calls in circles at their depth', async () => {
    const s = await server();
    await deploy(s, 'circles', `
        async deep(n) { return n === 0 ? 0 : 1 + await this.env.NS.get(this.ctx.id).deep(n - 1); }
        async other(n) { return n === 0 ? 0 : 1 + await this.env.NS.getByName("o" + n % 2).other(n - 1); }
        async stuck() { await this.ctx.blockConcurrencyWhile(() => this.env.NS.get(this.ctx.id).ok()); }
        ok() { return "ok"; }`,
        'return Response.json(await failed(stub[url.pathname.slice(1)](Number(url.searchParams.get("n")))));', { wall_ms: 60_000 });
    assert.equal(await json(s.request('circles', '/deep?n=10')), 10);
    assert.equal(await json(s.request('circles', '/other?n=10')), 10);
    assert.match(await json(s.request('circles', '/deep?n=50')), /calls from module to module|circle/);
    const start = Date.now();
    const stuck = json(s.request('circles', '/stuck?n=0'));
    assert.equal(await json(s.request('circles', '/ok?n=0&id=free')), 'ok');
    assert.match(await stuck, /blockConcurrencyWhile\(\) in a Durable Object waited for too long/);
    assert.ok(Date.now() - start >= 29_000);
    assert.equal(await json(s.request('circles', '/ok?n=0')), 'ok');
});

test('an actor that holds too much memory is reset; storage ops are an actor\'s alone', async () => {
    const s = await server();
    await deploy(s, 'holds', 'async hold() { this.all = []; for (;;) { this.all.push(new Uint8Array(1 << 20).fill(1)); await scheduler.wait(0); } } ok() { return this.all?.length ?? 0; }',
        'return Response.json(await failed(url.pathname === "/hold" ? stub.hold() : stub.ok()));', { memory_mb: 16, cpu_ms: 5000 });
    assert.match(await json(s.request('holds', '/hold')), /memory|RangeError|out of memory/i);
    assert.equal(typeof await json(s.request('holds')), 'number');
});

test('more calls than an actor may have wait or are refused, none is lost', async () => {
    const s = await server();
    await deploy(s, 'popular', 'async add() { const n = (await this.ctx.storage.get("n") ?? 0) + 1; await this.ctx.storage.put("n", n); return n; } count() { return this.ctx.storage.get("n"); }',
        `if (url.pathname === "/count") return Response.json(await stub.count());
        const answers = await Promise.allSettled(Array.from({ length: 200 }, () => stub.add()));
        return Response.json(answers.filter((a) => a.status === "fulfilled").length);`);
    const all: number[] = await Promise.all(Array.from({ length: 10 }, () => json(s.request('popular'))));
    assert.equal(await json(s.request('popular', '/count')), all.reduce((a, b) => a + b, 0));
});

test('what actors take counts after a restart as before, and goes with the module', async (t) => {
    let s = await Server.start({ args: ['--threads', '2', '--rest-ms', '50'] });
    t.after(() => s.stop());
    await deploy(s, 'kept', 'async put() { await this.ctx.storage.put("k", new Uint8Array(300_000)); return 1; }', 'return Response.json(await stub.put());');
    const empty = await diskOf(s, 'kept');
    for (let i = 0; i < 10; i++) assert.equal(await json(s.request('kept', `/?id=${i}`)), 1);
    const used = await diskOf(s, 'kept');
    assert.ok(used > empty + 10 * 300_000 && used < empty + 10 * 400_000, `${empty} ${used}`);
    await until('all are idle', async () => {
        const open = (await s.metrics()).get('limpet_databases_open');
        return open === 0;
    });
    assert.equal(await diskOf(s, 'kept'), used);
    s = await s.restart();
    await until('it is counted', async () => (await diskOf(s, 'kept')) > empty + 10 * 300_000);
    const again = await diskOf(s, 'kept');
    assert.ok(Math.abs(again - used) < 200_000, `${used} ${again}`);
    assert.equal(await json(s.request('kept', '/?id=3')), 1);
    assert.equal((await s.api('DELETE', '/functions/kept')).status, 204);
    await until('the files are gone', () => !fs.readdirSync(path.join(s.data, 'sql')).some((f) => f.endsWith('.actors')));
    await until('it is given back', async () => (await s.api('GET', '/namespaces/default/quota')).json.disk_bytes.used < 100_000);
    errorOf(await s.request('kept'), 404, 'not_found');
});
