// SPDX-License-Identifier: Apache-2.0
// Bodies, digests, SQL values and chunks of any size up to the memory limit pass between guest and host; what has a limit says which.
import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import { once } from 'node:events';
import http from 'node:http';
import http2 from 'node:http2';
import { test } from 'node:test';
import { errorOf, IS_ASAN, Origin, PATIENCE_MS, send, type Server, until, type UploadOptions, useServer } from './harness.ts';
import { deployWorkflow, journal, withServer } from './workflow-harness.ts';

const MIB = 1024 * 1024;
const SIZES = [6_000_000, 40_000_000];
const sha = (bytes: string | Buffer) => crypto.createHash('sha256').update(bytes).digest('hex');
/** What functions make of a size, too: PATTERN below. */
function pattern(n: number): Buffer {
    const line = Buffer.from(Array.from({ length: 1000 }, (_, i) => String.fromCharCode(33 + ((i * 7) % 90))).join(''));
    return Buffer.alloc(n, line);
}
const PATTERN = `
const line = Array.from({ length: 1000 }, (_, i) => String.fromCharCode(33 + ((i * 7) % 90))).join("");
const text = (n) => line.repeat(Math.ceil(n / 1000)).slice(0, n);
const bytes = (n) => new TextEncoder().encode(text(n));
const hex = (b) => [...new Uint8Array(b)].map((x) => x.toString(16).padStart(2, "0")).join("");
const sha = async (b) => hex(await crypto.subtle.digest("SHA-256", b));`;

const seen: { path: string; length: string | undefined; coding: string | undefined; bytes: number; sha: string }[] = [];
const origin = new Origin(async (req, res) => {
    const url = new URL(req.url!, 'http://origin');
    if (url.pathname === '/give') return void res.end(pattern(Number(url.searchParams.get('n'))));
    if (url.pathname === '/early') {
        res.writeHead(403).end('no, thanks');
        req.resume().on('error', () => {});
        return;
    }
    if (url.pathname === '/stall') return void req.once('data', () => req.pause());
    const hash = crypto.createHash('sha256');
    let n = 0;
    try {
        for await (const chunk of req) {
            hash.update(chunk as Buffer);
            n += (chunk as Buffer).length;
            if (url.pathname === '/slow') await new Promise((resolve) => setImmediate(resolve));
        }
    } catch {
        return; // it was broken off
    }
    seen.push({ path: url.pathname, length: req.headers['content-length'], coding: req.headers['transfer-encoding'], bytes: n, sha: hash.digest('hex') });
    if (url.pathname === '/redirect') return void res.writeHead(307, { location: '/redirected' }).end();
    res.end(JSON.stringify(seen.at(-1)));
});

const ROOM = { memory_mb: 512, cpu_ms: 120_000, wall_ms: 240_000 };
const server = useServer(() => ({ args: ['--threads', '1', '--egress-allow', `127.0.0.1:${origin.port}`] }));

let serial = 0;
async function inside(body: string, options: UploadOptions = ROOM): Promise<{ s: Server; name: string }> {
    const s = await server();
    const name = `${options.isolation === 'module' ? 'kept' : 'large'}-${serial++}`;
    await s.deploy(name, `import { exec } from "derp:runtime/sql";
import * as sync from "derp:runtime/http";${PATTERN}
const base = "http://127.0.0.1:${origin.port}";
export default { async fetch(request) { const url = new URL(request.url), n = Number(url.searchParams.get("n")); ${body} } };`, options);
    return { s, name };
}

/** Nothing that a guest had is left: budgets are as they were. */
async function givenBack(s: Server): Promise<void> {
    await until('all memory of large-* is given back', async () => {
        for (const [key, value] of await s.metrics())
            if (/^limpet_module_memory_held_bytes\{module="large-/.test(key) && value > 4 * MIB) return false;
        return true;
    });
}

// ---- answers ----

const makes: Record<string, string> = {
    string: 'return new Response(text(n))',
    Uint8Array: 'return new Response(bytes(n))',
    Blob: 'return new Response(new Blob([text(n - 10), bytes(n).subarray(n - 10)]))',
};

for (const [what, code] of Object.entries(makes)) {
    test(`an answer of any size: ${what}`, async () => {
        const { s, name } = await inside(code);
        for (const n of what === 'Uint8Array' ? SIZES : SIZES.slice(0, 1)) {
            const res = await s.request(name, `/?n=${n}`);
            assert.equal(res.status, 200, res.text.slice(0, 300));
            assert.equal(res.headers['content-length'], String(n));
            assert.equal(res.headers['transfer-encoding'], undefined);
            assert.equal(sha(res.body), sha(pattern(n)));
            const head = await s.request(name, `/?n=${n}`, { method: 'HEAD' });
            assert.equal(head.headers['content-length'], String(n));
            assert.equal(head.body.length, 0);
        }
        await givenBack(s);
    });
}

test('an answer of any size: text beyond ASCII, JSON, FormData, and a kept connection after it', async () => {
    const { s, name } = await inside(`
if (url.pathname === "/wide") return new Response("日".repeat(n / 3));
if (url.pathname === "/json") return Response.json({ text: text(n) });
const form = new FormData(); form.set("file", new Blob([bytes(n)]), "a.bin"); return new Response(form);`);
    const n = 6_000_000;
    const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
    try {
        for (let round = 0; round < 2; round++) {
            assert.equal(sha((await s.request(name, `/wide?n=${n}`, { agent })).body), sha('日'.repeat(n / 3)));
            assert.equal((await s.request(name, `/json?n=${n}`, { agent })).json.text, pattern(n).toString());
        }
    } finally {
        agent.destroy();
    }
    const form = await s.request(name, `/form?n=${n}`);
    const boundary = /boundary=(.+)/.exec(String(form.headers['content-type']))![1]!;
    const start = form.body.indexOf('\r\n\r\n') + 4;
    assert.equal(sha(form.body.subarray(start, start + n)), sha(pattern(n)));
    assert.ok(form.body.subarray(start + n).toString().startsWith(`\r\n--${boundary}--`));
});

test('an answer of any size over HTTP/2, beside small ones', async () => {
    const { s, name } = await inside('return new Response(n ? bytes(n) : "small")');
    const session = http2.connect(`http://127.0.0.1:${s.httpPort}`);
    session.on('error', () => {}); // shows in the requests
    const ask = (path: string, method = 'GET') => new Promise<{ head: any; body: Buffer }>((resolve, reject) => {
        const stream = session.request({ ':authority': s.host(name), ':path': path, ':method': method });
        const chunks: Buffer[] = [];
        let head: any;
        stream.setTimeout(PATIENCE_MS, () => stream.close());
        stream.on('response', (h) => (head = h)).on('data', (d: Buffer) => chunks.push(d)).on('error', reject);
        stream.on('close', () => resolve({ head, body: Buffer.concat(chunks) }));
    });
    try {
        const n = 6_000_000;
        const [large, small, other, head] = await Promise.all([ask(`/?n=${n}`), ask('/'), ask(`/?n=${n + 1}`), ask(`/?n=${n}`, 'HEAD')]);
        assert.equal(large!.head['content-length'], String(n));
        assert.equal(sha(large!.body), sha(pattern(n)));
        assert.equal(other!.body.length, n + 1);
        assert.equal(small!.body.toString(), 'small');
        assert.equal(head!.head['content-length'], String(n));
        assert.equal(head!.body.length, 0);
    } finally {
        session.destroy();
    }
});

test('an answer that depends on a commit, and one of an isolate that is kept: nothing piles up', async () => {
    const { s, name } = await inside('exec("CREATE TABLE IF NOT EXISTS t (a)"); exec("INSERT INTO t VALUES (1)"); return new Response(bytes(n))', { ...ROOM, isolation: 'module' });
    const n = 6_000_000;
    const held = async () => [...(await s.metrics())].find(([key]) => key === `limpet_module_memory_held_bytes{module="${name}"}`)?.[1] ?? 0;
    const after: number[] = [];
    for (let round = 0; round < 8; round++) {
        assert.equal(sha((await s.request(name, `/?n=${n}`)).body), sha(pattern(n)));
        after.push(await held());
    }
    assert.ok(after.at(-1)! < after[1]! + n, `held after each: ${after.join()}`);
});

test('a client that reads slowly is waited for, with little memory; one that leaves frees everything', async () => {
    const { s, name } = await inside('if (!n) return new Response("small"); return new Response(bytes(n))');
    const n = SIZES[1]!;
    const open = async () => {
        const req = http.get({ host: '127.0.0.1', port: s.httpPort, path: `/?n=${n}`, headers: { host: s.host(name) } });
        const [res] = (await once(req, 'response')) as [http.IncomingMessage];
        return { req, res };
    };
    const slow = await open();
    const leaver = await open();
    const [first] = (await once(leaver.res, 'data')) as [Buffer];
    assert.ok(first.length > 0 && first.length < n);
    leaver.res.on('error', () => {});
    leaver.req.destroy();
    assert.equal((await s.request(name)).text, 'small'); // others are served meanwhile
    const hash = crypto.createHash('sha256');
    let count = 0;
    for await (const chunk of slow.res as AsyncIterable<Buffer>) {
        hash.update(chunk);
        count += chunk.length;
        await new Promise((resolve) => setImmediate(resolve));
    }
    assert.equal(count, n);
    assert.equal(hash.digest('hex'), sha(pattern(n)));
    await givenBack(s);
});

// ---- fetch ----

for (const n of SIZES) {
    test(`fetch() sends and gets ${n} bytes`, async () => {
        const { s, name } = await inside(`
const sent = [];
for (const [path, body] of [["text", text(n)], ["bytes", bytes(n)], ["redirect", bytes(n)], ["slow", text(n)]]) {
    const r = await fetch(base + "/" + path, { method: "POST", body });
    sent.push(await r.json());
}
const [a, b, c] = [await (await fetch(base + "/give?n=" + n)).text(), await (await fetch(base + "/give?n=" + n)).arrayBuffer(), await (await fetch(base + "/give?n=" + n)).blob()];
return Response.json({ sent, got: [a === text(n), await sha(b), c.size] });`);
        const { sent, got } = (await s.request(name, `/?n=${n}`)).json;
        const hash = sha(pattern(n));
        assert.deepEqual(sent.map((x: any) => x.path), ['/text', '/bytes', '/redirected', '/slow']);
        for (const one of sent) assert.deepEqual([one.length, one.coding, one.bytes, one.sha], [String(n), undefined, n, hash], one.path);
        assert.deepEqual(got, [true, hash, n]);
        await givenBack(s);
    });
}

test('the synchronous fetch, a request passed on, and FormData', async () => {
    const { s, name } = await inside(`
const one = sync.fetch({ method: "POST", url: base + "/sync", body: text(n) }).json();
const two = sync.fetch({ method: "POST", url: base + "/early", body: text(n) });
const three = await (await fetch(new Request(base + "/request", { method: "PUT", body: new Blob([bytes(n)]) }))).json();
const form = new FormData(); form.set("file", new Blob([bytes(n)]), "a");
const four = await (await fetch(base + "/form", { method: "POST", body: form })).json();
return Response.json([one.sha, two.status, three.sha, four.bytes > n]);`);
    const n = 6_000_000;
    assert.deepEqual((await s.request(name, `/?n=${n}`)).json, [sha(pattern(n)), 403, sha(pattern(n)), true]);
    await givenBack(s);
});

test('an upload that is aborted, refused early, or left by its request', async () => {
    const { s, name } = await inside(`
if (url.pathname === "/abort") {
    const c = new AbortController();
    setTimeout(() => c.abort("enough"), 5);
    return new Response(String(await fetch(base + "/stall", { method: "POST", body: bytes(n), signal: c.signal }).catch((e) => e)));
}
if (url.pathname === "/left") { fetch(base + "/stall", { method: "POST", body: bytes(n) }); return new Response("left"); }
const r = await fetch(base + "/early", { method: "POST", body: bytes(n) });
return new Response(r.status + await r.text());`);
    const n = 6_000_000;
    assert.equal((await s.request(name, `/abort?n=${n}`)).text, 'enough');
    assert.equal((await s.request(name, `/left?n=${n}`)).text, 'left');
    assert.match((await s.request(name, `/early?n=${n}`)).text, /^403no, thanks$/);
    await givenBack(s);
});

// ---- digests, streams, requests ----

test('digests and HMAC of 40 MB, while others are served', async () => {
    const { s, name } = await inside(`
if (!n) return new Response("small");
const data = bytes(n), key = await crypto.subtle.importKey("raw", new Uint8Array(20), { name: "HMAC", hash: "SHA-256" }, false, ["sign"]);
return Response.json([await sha(data), hex(await crypto.subtle.digest("SHA-1", data)), hex(await crypto.subtle.digest("SHA-512", data)), hex(await crypto.subtle.sign("HMAC", key, data))]);`);
    const data = pattern(SIZES[1]!);
    const digest = (name: string) => crypto.createHash(name).update(data).digest('hex');
    const [large, small] = await Promise.all([s.request(name, `/?n=${data.length}`), s.request(name)]);
    assert.deepEqual(large.json, [sha(data), digest('sha1'), digest('sha512'), crypto.createHmac('sha256', Buffer.alloc(20)).update(data).digest('hex')]);
    assert.equal(small.text, 'small');
});

test('chunks of any size in streams that are answered and sent', async () => {
    const { s, name } = await inside(`
const stream = () => new ReadableStream({ start(c) { c.enqueue(bytes(n)); c.enqueue(bytes(n)); c.close(); } });
if (url.pathname === "/answer") return new Response(stream());
return fetch(base + "/chunks", { method: "POST", body: stream(), duplex: "half" });`);
    const n = 6_000_000;
    const hash = sha(Buffer.concat([pattern(n), pattern(n)]));
    assert.equal(sha((await s.request(name, `/answer?n=${n}`)).body), hash);
    const sent = (await s.request(name, `/send?n=${n}`)).json;
    assert.deepEqual([sent.bytes, sent.sha], [2 * n, hash]);
});

test('requests of 40 MB are read, parsed, and passed on', async () => {
    const { s, name } = await inside(`
if (url.pathname === "/text") return new Response(await sha(await request.arrayBuffer()));
if (url.pathname === "/json") return new Response(String((await request.json()).text.length));
return fetch(base + "/passed", { method: "POST", body: await request.text() });`);
    const n = SIZES[1]!;
    assert.equal((await s.request(name, '/text', { body: pattern(n) })).text, sha(pattern(n)));
    assert.equal((await s.request(name, '/json', { body: JSON.stringify({ text: 'x'.repeat(n) }) })).text, String(n));
    assert.equal((await s.request(name, '/pass', { body: pattern(6_000_000) })).json.sha, sha(pattern(6_000_000)));
});

// ---- SQL ----

test('SQL parameters and rows of any size; the limit of a value is named', async () => {
    const { s, name } = await inside(`
exec("CREATE TABLE IF NOT EXISTS t (id INTEGER PRIMARY KEY, v)"); exec("DELETE FROM t");
if (url.pathname === "/limit") try { exec("INSERT INTO t (v) VALUES (?)", new Uint8Array(65 * 1024 * 1024)); return new Response("?"); } catch (e) { return new Response(e.name + ": " + e.message); }
if (url.pathname === "/json") try { exec("SELECT json_extract(?, '$[0]')", JSON.stringify([text(n)])); return new Response("?"); } catch (e) { return new Response(e.message); }
exec("INSERT INTO t (v) VALUES (?), (?)", bytes(n), text(n));
const [a, b] = exec("SELECT v FROM t ORDER BY id").toArray();
return Response.json([await sha(a.v), b.v === text(n), exec("SELECT length(v) AS n FROM t").raw().flat(), exec("SELECT id, v FROM t").raw().length]);`);
    for (const n of [6_000_000, 20_000_000]) assert.deepEqual((await s.request(name, `/?n=${n}`)).json, [sha(pattern(n)), true, [n, n], 2]);
    assert.match((await s.request(name, '/limit')).text, /^RangeError: .*64 MiB.*docs\/limits\.md/);
    assert.match((await s.request(name, '/json?n=6000000')).text, /4 MiB/);
    await givenBack(s);
});

// ---- limits ----

test('what does not fit the memory is a named error, and neighbors go on', async () => {
    const s = await server();
    const { name } = await inside(`
if (url.pathname === "/rows") return Response.json(exec("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 40) SELECT zeroblob(1000000) FROM n").raw().length);
if (url.pathname === "/body") return new Response(bytes(60e6));
if (url.pathname === "/upload") return fetch(base + "/x", { method: "POST", body: bytes(n) });
return new Response(text(n))`, { memory_mb: 32, cpu_ms: 60_000, wall_ms: 120_000 });
    const neighbor = await inside('return new Response("unharmed")');
    const [rows, body] = await Promise.all([s.request(name, '/rows'), s.request(name, '/body'), s.request(neighbor.name)]);
    assert.match(rows!.json.error.message, /result of the SQL statement is larger than .* MiB/);
    assert.match(rows!.json.error.message + rows!.json.error.hint, /docs\/limits\.md/);
    errorOf(body!, 500, 'limit_memory');
    assert.equal((await s.request(neighbor.name)).text, 'unharmed');
    const n = 6_000_000; // and what fits, fits
    assert.equal(sha((await s.request(name, `/?n=${n}`)).body), sha(pattern(n)));
    assert.equal((await s.request(name, `/upload?n=${n}`)).json.sha, sha(pattern(n)));
    await givenBack(s);
});

test('errors and log lines of any size are told, cut', async () => {
    const { s, name } = await inside(`
if (url.pathname === "/log") { console.log(text(n)); return new Response("logged"); }
throw new Error(text(n));`);
    assert.equal((await s.request(name, '/log?n=6000000')).text, 'logged');
    const line = await until('the line', async () => (await s.api('GET', `/functions/${name}/logs`)).json.find((l: any) => l.text.startsWith('!(')));
    assert.ok(line.text.length <= 16 * 1024);
    assert.match(line.text, /cut: a line of 6000000 bytes, above the limit of 16 KiB\]$/);
    const failed = await s.request(name, '/?n=6000000');
    errorOf(failed, 500, 'guest_error');
    assert.ok(failed.json.error.message.startsWith('Error: !('));
});

test('the output of a run is limited, by name', async () => {
    const { s, name } = await inside('return new Response(text((await request.json()).n))');
    assert.equal((await s.execute(name, { n: 3_000_000 })).json.output.length, 3_000_000);
    const e = (await s.execute(name, { n: 6_000_000 })).json.error;
    assert.match(e.message, /the output of an execution has \d+ bytes, more than the 4 MiB .*docs\/limits\.md/);
});

// ---- workflows ----

test('in a workflow: any size inside of steps; what is recorded has a limit that is named; no step is lost', async () => {
    await withServer({ args: ['--egress-allow', `127.0.0.1:${origin.port}`] }, async (s, crashed) => {
        await deployWorkflow(s, 'large', `
import { workflow, step, waitForEvent, progress, signal, sql } from "limpet";
import { exec } from "derp:runtime/sql";${PATTERN}
const base = "http://127.0.0.1:${origin.port}", n = 6000000;
const attempt = async (f) => { try { return await f(); } catch (e) { return e.name + ": " + e.message; } };
const once = { retries: 0 };
export default workflow(async () => {
    const all = {};
    all.inStep = await step("upload", once, async () => (await (await fetch(base + "/step", { method: "POST", body: bytes(n) })).json()).sha);
    all.sqlInStep = await step("sql", once, () => { exec("CREATE TABLE IF NOT EXISTS t (v)"); exec("INSERT INTO t VALUES (?)", text(n)); return exec("SELECT v FROM t").one().v.length; });
    all.value = await attempt(() => step("value", once, () => text(n)));
    all.message = await attempt(() => step("message", once, () => { throw { __proto__: { toString: () => text(n) } }; }));
    all.error = await attempt(() => step("error", once, () => { throw new Error(text(n)); }));
    all.upload = await attempt(async () => (await fetch(base + "/main", { method: "POST", body: bytes(n) })).status);
    all.small = await attempt(async () => (await (await fetch(base + "/main", { method: "POST", body: bytes(2000000) })).json()).sha);
    all.download = await attempt(async () => (await (await fetch(base + "/give?n=" + n)).text()).length);
    all.sqlIn = await attempt(() => exec("INSERT INTO t VALUES (?)", text(n)));
    all.sqlOut = await attempt(() => exec("SELECT v FROM t").one().v.length);
    all.progress = await attempt(() => progress(text(n)));
    await step("long line", () => { console.log(text(n)); });
    await waitForEvent("go");
    return all;
});`, ROOM);
        const id = (await s.api('POST', '/workflows/large/execute', { body: null })).json.execution_id;
        await until('it waits', async () => (await s.api('GET', `/executions/${id}`)).json.status === 'suspended');
        s = await crashed({ args: ['--egress-allow', `127.0.0.1:${origin.port}`, '--snapshot-after', '100000'] });
        await s.api('POST', `/executions/${id}/signal`, { name: 'go' });
        const end = await until('its end', async () => {
            const res = await s.api('GET', `/executions/${id}?wait=30s`);
            return ['completed', 'failed'].includes(res.json.status) && res.json;
        });
        assert.equal(end.status, 'completed', JSON.stringify(end.error)?.slice(0, 500));
        const all = end.output;
        assert.equal(all.inStep, sha(pattern(6_000_000)));
        assert.equal(all.small, sha(pattern(2_000_000)));
        assert.equal(all.sqlInStep, 6_000_000);
        for (const key of ['value', 'upload', 'download', 'sqlIn', 'sqlOut', 'progress'])
            assert.match(all[key], /4(\.0)? MiB.*docs\/limits\.md/, `${key}: ${String(all[key]).slice(0, 300)}`);
        assert.equal(all.upload.includes('inside step()'), true, all.upload);
        for (const key of ['message', 'error']) assert.ok(String(all[key]).length > 0);
        assert.ok((await journal(s, id)).length > 10);
    });
});

if (!IS_ASAN) test('many large answers at once are bounded by memory, not by a crash', async () => {
    const { s, name } = await inside('return new Response(bytes(n))');
    const n = 20_000_000;
    const all = await Promise.all(Array.from({ length: 8 }, () => send(s.httpPort, `/?n=${n}`, { host: s.host(name) })));
    for (const res of all) {
        if (res.status === 200) assert.equal(res.body.length, n);
        else assert.ok([500, 503].includes(res.status), `${res.status} ${res.text.slice(0, 200)}`);
    }
    assert.ok(all.some((res) => res.status === 200));
    await givenBack(s);
});
