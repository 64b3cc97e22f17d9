// SPDX-License-Identifier: Apache-2.0
// For each resource: a hostile function beside `hello` on one engine thread. The hostile one ends with its named error or
// waits for itself, hello is answered meanwhile, and nothing stays behind.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Answer, IS_ASAN, Server, errorOf, until, useServer } from './harness.ts';

const MEMORY = 256 * 1024 * 1024;
const server = useServer({ args: ['--threads', '1', '--isolates-max', '64', '--queue-max', '32', '--memory-max', String(MEMORY)] });

const HELLO = 'export default { fetch() { return new Response("hello"); } };';

/** hello is asked again and again while `attack` is under way; at least once, and each time it must be served. */
async function besideHello<T>(s: Server, attack: Promise<T>): Promise<T> {
    let isOver = false;
    const over = attack.finally(() => (isOver = true));
    over.catch(() => {}); // awaited below
    do {
        const answer = await s.request('hello');
        assert.equal(answer.status, 200, answer.text);
    } while (!isOver);
    return over;
}

async function start(): Promise<Server> {
    const s = await server();
    await s.deploy('hello', HELLO);
    return s;
}

/** What guests hold goes back to what idle isolates hold, and none is live. */
async function nothingLeft(s: Server, name: string): Promise<void> {
    await until(`nothing of ${name} is left`, async () => {
        const m = await s.metrics();
        return m.get('limpet_isolates{state="live"}') === 0 && m.get('limpet_requests_waiting') === 0 && (m.get(`limpet_module_memory_held_bytes{module="${name}"}`) ?? 0) <= 40 * 1024 * 1024;
    });
}

const many = (n: number, ask: () => Promise<Answer>) => Promise.all(Array.from({ length: n }, ask));

test('CPU: endless loops, and many requests that each stay below a slice', async () => {
    const s = await start();
    await s.deploy('loops', 'export default { fetch(r) { if (r.url.endsWith("/short")) { const end = Date.now() + 3; while (Date.now() < end); return new Response("did"); } for (;;); } };', { cpu_ms: 200 });
    for (const answer of await besideHello(s, many(8, () => s.request('loops')))) errorOf(answer, 500, 'limit_cpu');
    // They are in the queue together: hello is not behind them all.
    let done = 0;
    const flood = many(30, () => s.request('loops', '/short').finally(() => done++));
    const first = await s.request('hello');
    assert.equal(first.status, 200);
    assert.ok(done < 30, 'hello did not wait for all of the flood');
    for (const answer of await flood) assert.equal(answer.text, 'did');
    await nothingLeft(s, 'loops');
});

test('memory: more than all together may hold', async () => {
    const s = await start();
    await s.deploy('eats', `
export default { async fetch() {
    const held = [];
    for (let i = 0; i < 40; i++) held.push(new Uint8Array(1 << 20).fill(i));
    await new Promise((r) => setTimeout(r, 300));
    return new Response(String(held.length));
} };`);
    const answers = await besideHello(s, many(20, () => s.request('eats')));
    const refused = answers.filter((a) => a.status !== 200);
    assert.ok(refused.length > 0, '20 x 40 MiB were more than there is');
    assert.ok(answers.some((a) => a.status === 200), 'those that fit are served');
    for (const r of refused) {
        assert.ok(['limit_memory', 'overload'].includes(r.json.error.code), r.text);
        if (r.status === 503) assert.ok(Number(r.headers['retry-after']) > 0);
    }
    const m = await s.metrics();
    assert.equal(m.get('limpet_memory_max_bytes'), MEMORY);
    await nothingLeft(s, 'eats');
});

// The kernel's buffers take some megabytes of each answer, so there is less here for more of them to fill.
const TIGHT = 96 * 1024 * 1024;
const tight = useServer({ args: ['--threads', '1', '--memory-max', String(TIGHT)] });

test('answers that nobody reads', async () => {
    const s = await tight();
    await s.deploy('hello', HELLO);
    await s.deploy('talks', 'export default { fetch() { return new Response("x".repeat(4_000_000)); } };');
    const clients = await Promise.all(Array.from({ length: 120 }, () => s.connect()));
    let peak = 0;
    const attack = (async () => {
        for (const c of clients) {
            c.socket.pause();
            c.write(`GET / HTTP/1.1\r\nHost: ${s.host('talks')}\r\n\r\n`);
        }
        // Until the module is at its limit: who comes then waits, is refused, or cannot grow.
        await until('the limit is reached', async () => {
            const m = await s.metrics();
            peak = Math.max(peak, m.get('limpet_memory_held_bytes')!);
            const refuses = m.get('limpet_requests_waiting')! > 0 || m.get('limpet_http_requests_total{class="5xx"}')! > 0;
            return refuses && m.get('limpet_module_memory_held_bytes{module="talks"}')! >= TIGHT / 2;
        });
    })();
    await besideHello(s, attack);
    assert.ok(peak <= TIGHT, `${peak} bytes were held`);
    if (!IS_ASAN) assert.ok((await s.metrics()).get('limpet_memory_resident_bytes')! < TIGHT + 200 * 1024 * 1024);
    for (const c of clients) c.destroy();
    await until('it is given back', async () => (await s.metrics()).get('limpet_module_memory_held_bytes{module="talks"}')! < TIGHT / 4);
});

test('requests that come in pieces', async (t) => {
    const s = await Server.start({ args: ['--threads', '1', '--memory-max', String(24 << 20)] });
    t.after(() => s.stop());
    await s.deploy('hello', HELLO);
    const clients = await Promise.all(Array.from({ length: 700 }, () => s.connect()));
    const head = `GET / HTTP/1.1\r\nHost: ${s.host('hello')}\r\nX-Long: ${'x'.repeat(60_000)}`;
    for (const c of clients) c.write(head); // without an end: some 40 MB
    const held = async () => (await s.metrics()).get('limpet_memory_held_bytes')!;
    await until('some are turned away', () => clients.filter((c) => c.text.startsWith('HTTP/1.1 503')).length > 100);
    for (const c of clients) if (c.text) assert.match(c.text, /^HTTP\/1\.1 503 [^]*retry-after: 1\r\n[^]*no memory left to wait/);
    assert.ok((await held()) < 32 << 20, `${await held()} bytes are held`);
    for (const c of clients) c.destroy();
    await until('all is given back', async () => (await held()) === 0);
    assert.equal((await s.request('hello')).text, 'hello');
});

test('SQL that takes memory', async () => {
    const s = await tight();
    await s.deploy('hello', HELLO);
    await s.deploy('sorts', `import { exec } from "derp:runtime/sql";
export default { fetch() { return Response.json(exec("WITH b(x) AS MATERIALIZED (SELECT randomblob(12000000) UNION ALL SELECT randomblob(12000000)) SELECT count(x) AS n FROM b").one()); } };`, { memory_mb: 1000, cpu_ms: 60_000, wall_ms: 600_000 });
    const answers = await besideHello(s, many(12, () => s.request('sorts')));
    for (const a of answers) if (a.status !== 200) assert.match(a.text, /has reached its limit of \d+ bytes of memory/);
    assert.ok(answers.some((a) => a.status === 200) && answers.some((a) => a.status !== 200), answers.map((a) => a.status).join());
    await nothingLeft(s, 'sorts');
});

test('images: of more functions than fit, those that are not called give theirs back', async (t) => {
    const s = await Server.start({ args: ['--threads', '1', '--memory-max', String(24 << 20)] });
    t.after(() => s.stop());
    const count = 24;
    // Each image has 2 MiB of its own, which no zero pages are.
    const of = (n: number) => `const mine = new Uint32Array(1 << 19);
let x = ${n + 1};
for (let i = 0; i < mine.length; i++) mine[i] = x = (Math.imul(x, 1664525) + 1013904223) >>> 0;
export default { fetch() { return Response.json([${n}, mine[1000], mine.length]); } };`;
    const number = (n: number): number => {
        let x = n + 1;
        for (let i = 0; i <= 1000; i++) x = (Math.imul(x, 1664525) + 1013904223) >>> 0;
        return x;
    };
    for (let n = 0; n < count; n++) await s.deploy(`f${n}`, of(n));
    let most = 0;
    for (let round = 0; round < 2; round++)
        for (let n = 0; n < count; n++) {
            const answer = await s.request(`f${n}`);
            assert.equal(answer.status, 200, answer.text);
            assert.deepEqual(answer.json, [n, number(n), 1 << 19]);
            most = Math.max(most, (await s.metrics()).get('limpet_memory_held_bytes')!);
        }
    assert.ok(most > 12 << 20 && most <= 24 << 20, `${most} bytes were held at most`);
    // One that can never fit says so at once, and whose limit it is.
    assert.equal((await s.api('PUT', '/quotas/f0', { memory_bytes: 4 << 20 })).status, 200);
    await s.deploy('f0', of(0).replace('1 << 19', '3 << 19').replace('1 << 19]', '3 << 19]'), { cpu_ms: 10_000 });
    errorOf(await s.request('f0'), 500, 'limit_memory');
    assert.match((await s.request('f0')).text, /its image takes \d+ bytes.*module '(default\/)?f0'.*4194304/s);
    // What rests holds nothing.
    await until('nothing is held', async () => {
        for (let n = 1; n < 3; n++) assert.equal((await s.request(`f${n}`)).status, 200);
        return !((await s.metrics()).get('limpet_module_memory_held_bytes{module="f9"}')! > 0);
    });
});

test('isolates: requests that sleep take all but the share of others', async () => {
    const s = await start();
    await s.deploy('sleeps', 'export default { async fetch() { await new Promise((r) => setTimeout(r, 700)); return new Response("slept"); } };');
    const answers = await besideHello(s, many(110, () => s.request('sleeps')));
    for (const answer of answers) if (answer.status !== 200) errorOf(answer, 503, 'overload');
    assert.ok(answers.filter((a) => a.status === 200).length >= 56);
    assert.ok(answers.some((a) => a.status === 503), 'above isolates and queue');
    await nothingLeft(s, 'sleeps');
});

test('what each used is metered', async () => {
    const s = await start();
    const at = async () => {
        const m = await s.metrics();
        return ['requests_total', 'cpu_seconds_total', 'egress_bytes_total', 'memory_byte_seconds_total'].map((n) => m.get(`limpet_module_${n}{module="used"}`) ?? 0);
    };
    await s.deploy('used', 'export default { async fetch() { const end = Date.now() + 20; while (Date.now() < end); return new Response("y".repeat(1000)); } };');
    for (let i = 0; i < 10; i++) assert.equal((await s.request('used')).status, 200);
    await until('it is counted', async () => {
        const [requests, cpu, egress, memory] = (await at()) as [number, number, number, number];
        return requests === 10 && cpu > 0.1 && egress === 10_000 && memory > 0;
    });
});
