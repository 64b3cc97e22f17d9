// SPDX-License-Identifier: Apache-2.0
// What a workflow learns from outside is recorded: fetch, clock, chance, environment. SQL happens exactly once.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Server, until, useServer } from './harness.ts';
import { complete, Counter, deployWorkflow, journal, output, progressed, signal, start, suspended, withServer } from './workflow-harness.ts';

let counter: Counter;
before(async () => { counter = await Counter.start(); });
after(() => counter.stop());
const server = useServer(() => ({ args: ['--threads', '2', ...counter.flags] }));

test('fetch outside of a step is recorded: one request, the same answer after a kill', async () => {
    await withServer({ args: counter.flags }, async (s, crashed) => {
        await deployWorkflow(s, 'fetches', `
import { workflow, waitForEvent } from "limpet";
export default workflow(async (base) => {
    const r = await fetch(base + "/recorded", { method: "POST", body: "hello", headers: { "x-own": "1" } });
    const before = [r.status, r.headers.get("x-answer"), await r.json(), r.ok, r.url];
    await waitForEvent("go");
    return before;
});`);
        counter.answer = (r, res) => { res.setHeader('x-answer', '42'); res.end(JSON.stringify({ n: counter.at('/recorded').length, body: r.body })); };
        const id = await start(s, 'fetches', counter.url);
        await suspended(s, id);
        s = await crashed({ args: [...counter.flags, '--snapshot-after', '100000'] });
        await signal(s, id, 'go');
        assert.deepEqual(await output(s, id), [200, '42', { n: 1, body: 'hello' }, true, `${counter.url}/recorded`]);
        const requests = counter.at('/recorded');
        assert.equal(requests.length, 1);
        assert.equal(requests[0]!.headers['x-own'], '1');
        assert.ok(requests[0]!.key!.startsWith(`${id}-`), requests[0]!.key);
        const record = (await journal(s, id)).find((r) => r.op === 'fetch');
        assert.match(record.label, /POST http:\/\/127\.0\.0\.1:\d+\/recorded/);
    });
});

test('Idempotency-Key: each call its own; one that the code sets is kept; in steps the same for each attempt', async () => {
    const s = await server();
    counter.answer = (r, res) => { res.statusCode = r.path === '/keys/flaky' && counter.at('/keys/flaky').length < 3 ? 500 : 200; res.end('{}'); };
    await deployWorkflow(s, 'keys', `
import { workflow, step } from "limpet";
export default workflow(async (base) => {
    await fetch(base + "/keys/1"); await fetch(base + "/keys/2"); await Promise.all([fetch(base + "/keys/3"), fetch(base + "/keys/4")]);
    await fetch(base + "/keys/own", { headers: { "Idempotency-Key": "mine" } });
    await fetch(new Request(base + "/keys/own2", { headers: { "idempotency-key": "mine too" } }));
    await step("flaky", { backoff: 1 }, async () => { const r = await fetch(base + "/keys/flaky"); if (!r.ok) throw new Error("status " + r.status); await fetch(base + "/keys/second"); });
});`);
    const id = await start(s, 'keys', counter.url);
    await output(s, id);
    const key = (path: string) => counter.at(`/keys/${path}`).map((r) => r.key);
    const main = ['1', '2', '3', '4'].flatMap(key);
    assert.equal(new Set(main).size, 4);
    for (const k of main) assert.match(k!, new RegExp(`^${id}-\\d+$`));
    assert.deepEqual(key('own'), ['mine']);
    assert.deepEqual(key('own2'), ['mine too']);
    assert.equal(key('flaky').length, 3);
    assert.equal(new Set(key('flaky')).size, 1, 'equal over the attempts');
    assert.match(key('flaky')[0]!, new RegExp(`^${id}-\\d+-1$`));
    assert.match(key('second')[0]!, new RegExp(`^${id}-\\d+-2$`));
    assert.ok(!main.includes(key('flaky')[0]));
});

test('a request that was under way at the kill is sent again with the same key', async () => {
    await withServer({ args: counter.flags }, async (s, crashed) => {
        let answers = false;
        counter.answer = (_, res) => { if (answers) res.end('"answered"'); };
        await deployWorkflow(s, 'again', `
import { workflow, step } from "limpet";
export default workflow(async (base) => [await (await fetch(base + "/again/main")).json(), await step("s", async () => (await fetch(base + "/again/step")).json())]);`);
        const id = await start(s, 'again', counter.url);
        await until('the first request', () => counter.at('/again/main').length === 1);
        s = await crashed();
        await until('it comes again', () => counter.at('/again/main').length === 2);
        s = await crashed();
        await until('and again', () => counter.at('/again/main').length === 3);
        answers = true;
        s = await crashed();
        assert.deepEqual(await output(s, id), ['answered', 'answered']);
        assert.equal(new Set(counter.at('/again/main').map((r) => r.key)).size, 1);
    });
});

test('errors of fetch are recorded as they were: refused, aborted, not allowed', async () => {
    await withServer({ args: counter.flags }, async (s, crashed) => {
        counter.answer = (r, res) => { if (r.path === '/errors/cut') res.destroy(); };
        await deployWorkflow(s, 'errors', `
import { workflow, waitForEvent } from "limpet";
const attempt = async (f) => { try { await f(); return "?"; } catch (e) { return [e.name, e.message]; } };
export default workflow(async (base) => {
    const out = [await attempt(() => fetch(base + "/errors/cut")), await attempt(() => fetch("http://127.0.0.1:1/")), await attempt(() => fetch(base + "/errors/hangs", { signal: AbortSignal.timeout(20) })), await attempt(() => fetch("nonsense:"))];
    const c = new AbortController(); const p = attempt(() => fetch(base + "/errors/hangs", { signal: c.signal })); c.abort(new RangeError("mine")); out.push(await p);
    await waitForEvent("go");
    return out;
});`);
        const id = await start(s, 'errors', counter.url);
        await suspended(s, id);
        const count = counter.requests.length;
        s = await crashed({ args: [...counter.flags, '--snapshot-after', '100000'] });
        await signal(s, id, 'go');
        const out = await output(s, id);
        assert.deepEqual(out.map((e: any) => e[0]), ['TypeError', 'TypeError', 'TimeoutError', 'TypeError', 'RangeError']);
        assert.match(out[1][1], /not allowed/);
        assert.equal(counter.requests.length, count);
    });
});

test('large and binary bodies, there and back, over a kill', async () => {
    await withServer({ args: counter.flags }, async (s, crashed) => {
        const big = Buffer.from(Array.from({ length: 300_000 }, (_, i) => i % 251));
        counter.answer = (_, res) => { res.end(big); };
        await deployWorkflow(s, 'large', `
import { workflow, waitForEvent } from "limpet";
const sum = (b) => b.reduce((a, x, i) => (a * 31 + x + i) % 1000000007, 7);
export default workflow(async (base) => {
    const sent = new Uint8Array(100000).map((_, i) => i % 7);
    const body = new Uint8Array(await (await fetch(base + "/large", { method: "PUT", body: sent })).arrayBuffer());
    const chunks = []; for await (const c of (await fetch(base + "/large/stream")).body) chunks.push(c.length);
    const before = sum(body);
    await waitForEvent("go");
    return [body.length, before === sum(body), chunks.reduce((a, b) => a + b)];
});`);
        const id = await start(s, 'large', counter.url);
        await suspended(s, id);
        s = await crashed({ args: [...counter.flags, '--snapshot-after', '100000'] });
        await signal(s, id, 'go');
        assert.deepEqual(await output(s, id), [300_000, true, 300_000]);
        assert.equal(counter.at('/large').length, 1);
        assert.equal(counter.at('/large')[0]!.body.length > 0, true);
    });
});

test('an answer that is too large for a record says which limit', async () => {
    const s = await server();
    counter.answer = (_, res) => { res.end(Buffer.alloc(5 * 1024 * 1024)); };
    await deployWorkflow(s, 'too-large', 'import { workflow } from "limpet"; export default workflow(async (base) => { try { const r = await fetch(base + "/too-large"); return (await r.arrayBuffer()).byteLength; } catch (e) { return [e.name, e.message]; } });');
    const out = await complete(s, 'too-large', counter.url);
    assert.match(JSON.stringify(out), /4 ?MiB|4194304|bytes|large/i);
});

// ---- clock, chance, environment ----

const NATURE = `
import { workflow, step, sleep, waitForEvent, progress, now, env } from "limpet";
import * as derpEnv from "derp:runtime/env";
const module = { seeds: 0 };
export default workflow(async (_, run) => {
    const take = () => ({ math: Math.random(), uuid: crypto.randomUUID(), bytes: [...crypto.getRandomValues(new Uint8Array(4))], date: Date.now(), dateObject: new Date().toISOString(), now: now(), perf: performance.now(), env: env.get("NAME") ?? null, derp: derpEnv.get("NAME") ?? null, all: Object.keys(env.toObject()).join(), started: +run.startedAt });
    const first = take();
    await sleep(2);
    const second = take();
    const inStep = await step("s", take);
    progress([first, second, inStep]);
    const e = await waitForEvent("go");
    return [first, second, inStep];
});`;

async function naturesAgree(args: string[]): Promise<void> {
    await withServer({}, async (s, crashed) => {
        await deployWorkflow(s, 'nature', NATURE);
        await s.api('PUT', '/workflows/nature/env/NAME', { value: 'old' });
        const id = await start(s, 'nature');
        const { progress: seen } = await suspended(s, id);
        assert.equal(seen.length, 3);
        await s.api('PUT', '/workflows/nature/env/NAME', { value: 'new' });
        await s.api('PUT', '/workflows/nature/env/MORE', { value: 'x' });
        for (let k = 0; k < 2; k++) s = await crashed({ args });
        await signal(s, id, 'go');
        assert.deepEqual(await output(s, id), seen);
        assert.equal(seen[0].env, 'old');
        assert.notEqual(seen[0].math, seen[1].math);
        assert.notEqual(seen[0].uuid, seen[1].uuid);
        assert.ok(seen[1].date >= seen[0].date + 2);
        const other = await start(s, 'nature');
        const { progress: fresh } = await suspended(s, other);
        assert.equal(fresh[0].env, 'new');
        assert.notEqual(fresh[0].uuid, seen[0].uuid);
        assert.notEqual(fresh[0].math, seen[0].math);
    });
}
test('clock, chance and environment stay what they were, replayed', () => naturesAgree(['--snapshot-after', '1000000']));
test('clock, chance and environment stay what they were, from a snapshot', () => naturesAgree(['--snapshot-after', '0']));

test('chance differs between executions, and within one', async () => {
    const s = await server();
    await deployWorkflow(s, 'chance', 'import { workflow, sleep } from "limpet"; export default workflow(async () => { const out = []; for (let i = 0; i < 50; i++) { out.push(crypto.randomUUID(), Math.random()); if (i % 10 === 0) await sleep(1); } return out; });');
    const all = (await Promise.all([1, 2, 3].map(() => complete(s, 'chance')))).flat();
    assert.equal(new Set(all).size, all.length);
});

// ---- SQL ----

const LEDGER = `
import { workflow, step, sleep, waitForEvent, sql, progress } from "limpet";
export const setup = workflow(async () => { sql.exec("CREATE TABLE IF NOT EXISTS ledger (run TEXT, n INTEGER, id INTEGER PRIMARY KEY)"); });
export const main = workflow(async (n, run) => {
    const ids = [];
    for (let i = 0; i < n; i++) {
        ids.push(sql.exec("INSERT INTO ledger (run, n) VALUES (?, ?) RETURNING id", run.id, i).one().id);
        if (i % 4 === 3) sql.transaction(() => { sql.exec("INSERT INTO ledger (run, n) VALUES (?, ?)", run.id, 1000 + i); sql.exec("INSERT INTO ledger (run, n) VALUES (?, ?)", run.id, 2000 + i); });
        if (i % 5 === 4) try { sql.transaction(() => { sql.exec("INSERT INTO ledger (run, n) VALUES (?, ?)", run.id, 9999); throw new Error("no"); }); } catch {}
        await (i % 3 === 0 ? sleep(1) : i % 3 === 1 ? step("s", () => i) : null);
    }
    return [ids.length, new Set(ids).size, sql.exec("SELECT count(*) AS c FROM ledger WHERE run = ?", run.id).one().c];
});
export const read = workflow(async (run) => sql.exec("SELECT n FROM ledger WHERE run = ? ORDER BY id", run).toArray().map((r) => r.n));`;
const ledgerOf = (n: number) => Array.from({ length: n }, (_, i) => (i % 4 === 3 ? [i, 1000 + i, 2000 + i] : [i])).flat();

test('SQL outside of steps happens exactly once, killed again and again', async () => {
    await withServer({ args: ['--threads', '2'] }, async (s, crashed) => {
        await deployWorkflow(s, 'ledger', LEDGER);
        await complete(s, 'ledger.setup');
        const ids = await Promise.all([1, 2, 3, 4].map(() => start(s, 'ledger.main', 40)));
        for (let k = 0; k < 6; k++) {
            const count = async () => (await Promise.all(ids.map(async (id) => (await s.api('GET', `/executions/${id}`)).json.records))).reduce((a, b) => a + b);
            const from = await count();
            await until('some records', async () => (await count()) > from + 20 || (await Promise.all(ids.map(async (id) => (await s.api('GET', `/executions/${id}`)).json.status))).every((x) => x === 'completed'));
            s = await crashed();
        }
        for (const id of ids) {
            assert.deepEqual(await output(s, id), [40, 40, ledgerOf(40).length]);
            assert.deepEqual(await complete(s, 'ledger.read', id), ledgerOf(40));
        }
    });
});

test('SQL: what was read stays what it was; errors are recorded', async () => {
    await withServer({}, async (s, crashed) => {
        await deployWorkflow(s, 'reads', `
import { workflow, waitForEvent, sql } from "limpet";
export default workflow(async () => {
    sql.exec("CREATE TABLE t (n UNIQUE, b BLOB)"); sql.exec("INSERT INTO t VALUES (1, ?)", new Uint8Array([1, 2]));
    const read = () => sql.exec("SELECT n, b FROM t ORDER BY n").toArray().map((r) => [r.n, r.b && [...new Uint8Array(r.b)]]);
    const before = read(); let message; try { sql.exec("INSERT INTO t VALUES (1, NULL)"); } catch (e) { message = e.message; }
    await waitForEvent("go");
    return [before, message, read()];
});
export const change = workflow(async () => { sql.exec("DELETE FROM t"); sql.exec("INSERT INTO t VALUES (2, NULL)"); });`);
        const id = await start(s, 'reads');
        await suspended(s, id);
        await complete(s, 'reads.change');
        s = await crashed({ args: ['--snapshot-after', '100000'] });
        await signal(s, id, 'go');
        const out = await output(s, id);
        assert.deepEqual([out[0], out[2]], [[[1, [1, 2]]], [[2, null]]]);
        assert.match(out[1], /UNIQUE/);
    });
});

test('SQL in a step happens at least once; a step that failed leaves what it wrote', async () => {
    const s = await server();
    await deployWorkflow(s, 'in-step', `
import { workflow, step, sql } from "limpet";
export default workflow(async () => {
    sql.exec("CREATE TABLE t (n)");
    await step("s", { backoff: 1 }, ({ attempt }) => { sql.exec("INSERT INTO t VALUES (?)", attempt); if (attempt < 2) throw new Error("again"); });
    return sql.exec("SELECT n FROM t ORDER BY rowid").toArray().map((r) => r.n);
});`);
    assert.deepEqual(await complete(s, 'in-step'), [1, 2]);
});

test('a transaction may not be left open over an await', async () => {
    const s = await server();
    await deployWorkflow(s, 'open-tx', `
import { workflow, sleep, sql } from "limpet";
export default workflow(async () => { sql.exec("CREATE TABLE t (n)"); try { await sql.transaction(async () => { sql.exec("INSERT INTO t VALUES (1)"); await sleep(1); sql.exec("INSERT INTO t VALUES (2)"); }); } catch (e) { return ["error", e.message]; } return sql.exec("SELECT count(*) AS c FROM t").one().c; });`);
    const end = await until('its end', async () => { const id = await start(s, 'open-tx'); return (await s.api('GET', `/executions/${id}?wait=30s`)).json; }) as any;
    if (end.status === 'completed') assert.ok(end.output === 2 || end.output[0] === 'error', JSON.stringify(end.output));
    else assert.ok(end.error.message.length > 10);
    assert.equal((await s.admin('/healthz')).status, 200);
});

test('what may not wait inside a transaction is refused before it has an effect, also by a replay', async () => {
    await withServer({ args: counter.flags }, async (s, crashed) => {
        counter.answer = (_, res) => { res.end('"there"'); };
        await deployWorkflow(s, 'tx-fetch', `
import { workflow, waitForEvent, sql } from "limpet";
import { getJson } from "derp:runtime/http";
const attempt = (f) => { try { return f(); } catch (e) { return e.message; } };
const inside = (base) => sql.transaction(() => sql.transaction(() => { sql.exec("INSERT INTO t VALUES (1)"); return attempt(() => getJson(base + "/tx/refused")); }));
export default workflow(async (base) => {
    sql.exec("CREATE TABLE t (n)");
    const out = [inside(base), attempt(() => sql.transaction(() => { throw new Error("rolled back"); })), getJson(base + "/tx/outside").body];
    await waitForEvent("go");
    return [...out, inside(base), getJson(base + "/tx/outside").body];
});`);
        const id = await start(s, 'tx-fetch', counter.url);
        await suspended(s, id);
        s = await crashed({ args: [...counter.flags, '--snapshot-after', '100000'] });
        await signal(s, id, 'go');
        const refusal = 'fetch may not wait inside a transaction; do it before or after';
        assert.deepEqual(await output(s, id), [refusal, 'rolled back', 'there', refusal, 'there']);
        assert.equal(counter.at('/tx/refused').length, 0);
        assert.equal(counter.at('/tx/outside').length, 2);
    });
});

test('console, URL, digest, structuredClone and other pure things leave no record', async () => {
    const s = await server();
    await deployWorkflow(s, 'pure', `
import { workflow } from "limpet";
export default workflow(async () => { for (let i = 0; i < 50; i++) { console.log("x"); new URL("http://a/b?c=" + i); await crypto.subtle.digest("SHA-256", new Uint8Array(4)); structuredClone({ i }); Date.now(); performance.now(); JSON.stringify({ i }); new TextEncoder().encode("x"); } return 1; });`);
    const id = await start(s, 'pure');
    await output(s, id);
    const records = await journal(s, id);
    assert.ok(records.length <= 2 + 50, `${records.length}`);
    assert.deepEqual(records.filter((r) => !['start', 'end'].includes(r.kind)).map((r) => r.op).filter((op) => op !== 'log'), []);
});

// ---- keys ----

const KEYS = `
import { workflow, step, progress, waitForEvent } from "limpet";
const { subtle } = crypto;
const hex = (b) => [...new Uint8Array(b)].map((x) => x.toString(16).padStart(2, "0")).join("");
const data = new TextEncoder().encode("message");
async function all() {
    const rsa = await subtle.generateKey({ name: "RSA-PSS", modulusLength: 2048, publicExponent: new Uint8Array([1, 0, 1]), hash: "SHA-256" }, true, ["sign", "verify"]);
    const ec = await subtle.generateKey({ name: "ECDSA", namedCurve: "P-256" }, true, ["sign", "verify"]);
    const oaep = await subtle.importKey("spki", await subtle.exportKey("spki", rsa.publicKey), { name: "RSA-OAEP", hash: "SHA-256" }, true, ["encrypt"]);
    const aes = await subtle.generateKey({ name: "AES-CTR", length: 256 }, true, ["encrypt"]);
    const password = await subtle.importKey("raw", data, "PBKDF2", false, ["deriveBits"]);
    return [
        hex(await subtle.exportKey("spki", rsa.publicKey)), hex(await subtle.sign({ name: "RSA-PSS", saltLength: 32 }, rsa.privateKey, data)),
        hex(await subtle.sign({ name: "ECDSA", hash: "SHA-256" }, ec.privateKey, data)), hex(await subtle.encrypt("RSA-OAEP", oaep, data)),
        hex(await subtle.exportKey("raw", aes)), (await subtle.encrypt({ name: "AES-CTR", counter: new Uint8Array(16), length: 64 }, aes, new Uint8Array(2500000))).byteLength,
        hex(await subtle.deriveBits({ name: "PBKDF2", hash: "SHA-256", salt: data, iterations: 50000 }, password, 256)),
    ];
}
const order = async () => { const seen = []; await Promise.all([all().then(() => seen.push("a")), (async () => { for (let i = 0; i < 50; i++) await null; seen.push("b"); })()]); return seen; };
export default workflow(async () => {
    const first = await all(), inStep = await step("s", all), seen = await order();
    progress([first, inStep, seen]);
    await waitForEvent("go");
    return [first, inStep, seen, await all()];
});`;

test('keys, signatures and long computations are what they were after crashes', () =>
    withServer({}, async (s, crashed) => {
        await deployWorkflow(s, 'keys', KEYS, { memory_mb: 128, cpu_ms: 60_000 });
        const id = await start(s, 'keys');
        const { progress: seen } = await suspended(s, id);
        for (let k = 0; k < 2; k++) s = await crashed({});
        await signal(s, id, 'go');
        const end = await output(s, id);
        assert.deepEqual(end.slice(0, 3), seen);
        const [first, inStep, , last] = end;
        for (const i of [0, 1, 2, 3, 4]) assert.equal(new Set([first[i], inStep[i], last[i]]).size, 3, 'each is its own');
        assert.deepEqual([inStep[5], inStep[6], last[6]], [2_500_000, first[6], first[6]]);
    }));
