// SPDX-License-Identifier: Apache-2.0
// Every suspension of many programs is resumed in every way: from memory, after leaving memory, after kill -9, with the snapshot gone, damaged,
// stale, of another engine, image or format. The result is always the same.
//
// All programs run side by side; each waits four times for the signal "go", and between two of these the server is treated as the way says.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { test } from 'node:test';
import { IS_ASAN, Server, type ServerOptions, until } from './harness.ts';
import { deployWorkflow, metadata, output, random, show, signal, start, suspended } from './workflow-harness.ts';

const SUSPENSIONS = 4;

// ---- the programs: await go() is a suspension; what they return must not depend on how they were resumed ----

const PROGRAMS: Record<string, string> = {
    locals: 'let a = 1, b = "x", c = [1, { d: 2 }], e; for (let i = 0; i < 4; i++) { await go(); a += i; b += i; c.push(i); e ??= c; } return [a, b, c, e === c];',
    loops: 'const out = []; outer: for (const x of [1, 2, 3]) { for (let y = 0; ; y++) { if (y === 2) continue outer; if (x === 3) break outer; out.push([x, y, await go()]); } } return out;',
    closures: 'let n = 0; const inc = () => ++n, fs = []; for (let i = 0; i < 4; i++) { fs.push(() => i * 10 + n); inc(); await go(); } return fs.map((f) => f());',
    generators: 'function* g() { let x = 0; try { while (true) x += yield x; } finally { done.push("finally"); } } const done = []; const it = g(); it.next(); const out = []; for (let i = 1; i <= 4; i++) { out.push(it.next(i).value); await go(); } it.return(); return [out, done];',
    asyncGenerators: 'async function* g() { for (let i = 0; i < 4; i++) yield [i, await go()]; } const out = []; for await (const [i, v] of g()) out.push(i + ":" + v); return out;',
    tryFinally: 'const out = []; try { out.push(await go()); try { throw new TypeError("inner"); } catch (e) { out.push(e.message, await go()); throw new RangeError("outer", { cause: e }); } finally { out.push(await go()); } } catch (e) { out.push(e.name, e.cause.message, await go()); } finally { out.push("end"); } return out;',
    classes: 'class A { #p = 1; static s = 5; get p() { return this.#p; } async step() { this.#p += await go(); return this; } } class B extends A { q = super.p; async step() { await super.step(); this.q++; return this; } } const b = new B(); for (let i = 0; i < 4; i++) await b.step(); return [b.p, b.q, b instanceof A, A.s, B.name];',
    collections: 'const k = { id: 1 }, m = new Map([[k, 1], ["x", new Set([1])]]), w = new WeakMap([[k, "weak"]]), ws = new WeakSet([k]), s = new Set([k]); for (let i = 0; i < 4; i++) { await go(); m.set("n" + i, i); m.get("x").add(i * 10); } return [[...m.keys()].map(String), [...m.get("x")], w.get(k), ws.has(k), s.has(k), m.get(k)];',
    buffers: 'const u = new Uint8Array(70000).fill(7), f = new Float64Array([1.5, NaN, -0]), v = new DataView(u.buffer, 8), big = new BigInt64Array([-5n]); for (let i = 0; i < 4; i++) { u[i * 10000] = await go(); v.setInt16(i * 2, -i); } return [u.reduce((a, b) => (a * 31 + b) % 1e9, 7), Object.is(f[2], -0), Number.isNaN(f[1]), String(big[0]), v.getInt16(6)];',
    strings: 'const re = /(\\d+)-(?<w>\\w+)/g; let text = "1-a 22-b 333-c 4-d", out = []; for (let m; (m = re.exec(text)); ) { out.push(m[1] + m.groups.w + re.lastIndex); await go(); } const sym = Symbol("s"), o = { [sym]: 1 }; return [out, o[sym], "ü😀".normalize("NFD").length, `t${1n << 70n}`];',
    promises: 'let resolve; const p = new Promise((r) => (resolve = r)); const chained = p.then((v) => v + 1).then(async (v) => v + (await go())); await go(); resolve(40); const a = await chained; const all = await Promise.all([go(), Promise.resolve(5), go()]); return [a, all, await Promise.race([new Promise(() => {}), 9]), (await Promise.allSettled([Promise.reject(1), 2])).map((x) => x.status)];',
    race: 'const out = []; for (let i = 0; i < 4; i++) out.push(await Promise.race([go(), sleep("1 year").then(() => "time")])); return out;',
    any: 'const out = []; for (let i = 0; i < 4; i++) out.push(await Promise.any([Promise.reject(new Error("no")), go()])); return out;',
    events: 'const target = new EventTarget(), got = []; target.addEventListener("x", (e) => got.push(e.detail)); const c = new AbortController(); c.signal.addEventListener("abort", () => got.push("aborted " + c.signal.reason)); for (let i = 0; i < 4; i++) { await go(); target.dispatchEvent(new CustomEvent("x", { detail: i })); } c.abort("why"); return [got, c.signal.aborted];',
    platform: 'const url = new URL("http://a/b?x=1"), h = new Headers({ A: "1" }), p = new URLSearchParams("q=1"), d = new Date(86400000), enc = new TextEncoder().encode("ü"), blob = new Blob(["blob"]), fd = new FormData(); fd.set("k", "v"); for (let i = 0; i < 4; i++) { await go(); url.searchParams.append("i", i); h.append("A", String(i)); p.append("q", i); } return [url.href, h.get("a"), p.toString(), d.toISOString(), [...enc], await blob.text(), fd.get("k"), new TextDecoder().decode(enc)];',
    proxies: 'const log = []; const p = new Proxy({ a: 1 }, { get(t, k) { log.push(String(k)); return Reflect.get(t, k); }, set(t, k, v) { t[k] = v * 2; return true; } }); for (let i = 0; i < 4; i++) { p.a = p.a + (await go()); } const frozen = Object.freeze({ x: 1 }); const acc = { get v() { return 5; } }; return [p.a, log.length, Object.isFrozen(frozen), acc.v];',
    bigNumbers: 'let n = 1n; for (let i = 1; i <= 40; i++) { n *= BigInt(i); if (i % 10 === 0) await go(); } return [n.toString(), 0.1 + 0.2, 2 ** 53, -0 === 0];',
    chance: 'const out = [], take = () => [Math.random(), crypto.randomUUID(), Date.now(), performance.now()]; const first = take(); progress(first); for (let i = 0; i < 4; i++) await go(); const last = take(); return { first, differs: last[0] !== first[0] && last[1] !== first[1] && last[2] >= first[2] };',
    steps: 'const out = []; for (let i = 0; i < 4; i++) { out.push(await step("s" + i, () => ({ i, d: new Date(i), m: new Map([[i, i]]) })), await go()); } return out.map((v) => (typeof v === "object" ? [v.i, +v.d, [...v.m]] : v));',
    failures: 'const out = []; for (let i = 0; i < 4; i++) { try { await step("f", { retries: 1, backoff: 1 }, () => { throw Object.assign(new RangeError("no " + i), { code: i }); }); } catch (e) { out.push([e instanceof RangeError, e.message, e.code, await go()]); } } return out;',
    children: 'const out = []; for (let i = 0; i < 4; i++) { const c = await startChild("crash.child", i); await go(); out.push(await c.result()); } return out;',
    pendingChild: 'const cs = []; for (let i = 0; i < 4; i++) { cs.push((await startChild("crash.child", i)).result()); await go(); } return Promise.all(cs);',
    timers: 'let ticks = 0; const forever = setInterval(() => ticks++, 86400000); const t = setTimeout(() => (ticks = -1), 86400000); for (let i = 0; i < 4; i++) await go(); clearInterval(forever); clearTimeout(t); await new Promise((r) => setTimeout(r, 1)); return ticks;',
    deadlines: 'const out = []; for (let i = 0; i < 4; i++) { const late = waitForEvent("never", { timeout: "300 days" }).catch((e) => e.name); out.push(await go()); } return out;',
    sql: 'sql.exec("CREATE TABLE IF NOT EXISTS t_sql (run, n)"); for (let i = 0; i < 4; i++) { sql.exec("INSERT INTO t_sql VALUES (?, ?)", run.id, i); sql.transaction(() => { sql.exec("INSERT INTO t_sql VALUES (?, ?)", run.id, 10 + i); sql.exec("INSERT INTO t_sql VALUES (?, ?)", run.id, 20 + i); }); await go(); } return sql.exec("SELECT n FROM t_sql WHERE run = ? ORDER BY rowid", run.id).toArray().map((r) => r.n);',
    // [last_insert_rowid(), changes(), total_changes()]: after rows, a trigger, several statements, nothing changed, an error, a transaction, a step.
    sqlCounters: 'sql.exec("CREATE TABLE IF NOT EXISTS t_count (id INTEGER PRIMARY KEY, n UNIQUE); CREATE TABLE IF NOT EXISTS t_trail (n); CREATE TRIGGER IF NOT EXISTS t_note AFTER DELETE ON t_count BEGIN INSERT INTO t_trail SELECT 1 UNION ALL SELECT 2; END"); const seen = () => Object.values(sql.exec("SELECT last_insert_rowid() AS i, changes() AS c, total_changes() AS t").one()); const out = []; const both = async () => { const before = seen(); await go(); out.push(before, seen()); }; sql.exec("INSERT INTO t_count (id, n) VALUES (40, 1), (41, 2), (42, 3)"); await both(); sql.exec("DELETE FROM t_count WHERE id = 40"); try { sql.exec("INSERT INTO t_count (id, n) VALUES (50, 9); INSERT INTO t_count (n) VALUES (2)"); } catch { out.push("refused"); } await both(); sql.exec("UPDATE t_count SET n = n WHERE id = 7"); await step("in", () => sql.exec("INSERT INTO t_count (id, n) VALUES (900, 900)") && 0); await both(); sql.transaction(() => { sql.exec("INSERT INTO t_count (id, n) VALUES (60, 60); UPDATE t_count SET n = -n"); sql.exec("INSERT INTO t_count (id, n) VALUES (61, 61)"); }); await both(); return out;',
    memory: 'const keep = []; for (let i = 0; i < 4; i++) { for (let k = 0; k < 2000; k++) keep.push({ i, k, s: "text " + k }); await go(); } return [keep.length, keep.reduce((a, o) => (a * 31 + o.k + o.s.length) % 1e9, 1)];',
    aborts: 'const out = []; for (let i = 0; i < 4; i++) { const c = new AbortController(); const p = fetch("http://127.0.0.1:1/", { signal: c.signal }).catch((e) => e.name); c.abort(); out.push(await p, await go()); } return out;',
    sideBySide: 'const out = []; const worker = async (name, n) => { for (let i = 0; i < n; i++) { await step(name + i, () => 0); out.push(name + i); } }; const all = [worker("a", 5), worker("b", 3)]; for (let i = 0; i < 4; i++) await go(); await Promise.all(all); return out.sort();',
    recursion: 'const f = async (n) => (n === 0 ? 0 : n + (await go()) + (await f(n - 1))); return f(4);',
    thenables: 'const out = []; for (let i = 0; i < 4; i++) out.push(await { then(ok) { go().then((v) => ok("then " + v)); } }); return out;',
};

const SOURCE = `
import { workflow, step, sleep, waitForEvent, startChild, progress, sql, now } from "limpet";
const goes = async () => (await waitForEvent("go")).data;
export const child = workflow(async (n) => { await step("c", () => 0); return n * 7; });
${Object.entries(PROGRAMS).map(([name, body]) => `export const p_${name} = workflow(async (input, run) => { const go = goes; ${body} });`).join('\n')}`;

// ---- the ways ----

interface Way {
    /** What happens at each suspension, before the signal. */
    between(s: Server, k: number, ids: string[]): Promise<Server>;
    args?: string[];
    /** Checked at the end, against the metrics of the last server. */
    proves?(m: Map<string, number>): void;
}

const dice = random(20_261);

async function restart(s: Server, edit: (data: string) => Promise<void>, how: 'kill' | 'stop' = 'kill'): Promise<Server> {
    await (how === 'kill' ? s.kill() : s.stop());
    await edit(s.data);
    return s.revive();
}

const allSuspended = async (s: Server, ids: string[]): Promise<void> => {
    for (const id of ids) await suspended(s, id);
};

/** Of zlib, which Node 18 does not show. */
function crc32(bytes: Buffer): number {
    let crc = ~0;
    for (const byte of bytes) {
        crc ^= byte;
        for (let k = 0; k < 8; k++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
    }
    return ~crc >>> 0;
}

/** Changes every stored snapshot. */
async function changeSnapshots(data: string, change: (blob: Buffer) => Buffer): Promise<number> {
    const [rows] = await metadata(data, [['SELECT execution, data FROM snapshot']]);
    await metadata(data, rows!.map(([execution, blob]) => ['UPDATE snapshot SET data = ? WHERE execution = ?', change(Buffer.from(blob as Buffer)), execution!]));
    return rows!.length;
}

// A snapshot is: u64 sum of the rest, u32 length of the execution's part, that part, a few words about the guest, the guest's pages behind "lsnp".

/** SipHash-1-3 as src/durable/record.c has it, in halves of 32 bits. */
function sum(bytes: Buffer): Buffer {
    const head = Buffer.alloc(16);
    head.writeUInt32LE(bytes.length, 8);
    const tail = Buffer.alloc(8 - (bytes.length % 8));
    tail[tail.length - 1] = head.length + bytes.length;
    const all = Buffer.concat([head, bytes, tail]);
    const v = new Uint32Array(8); // low and high half of each word
    const key = Buffer.from('limpet records 1'), start = Buffer.from('uespemosmodnarodarenegylsetybdet');
    for (let k = 0; k < 8; k++) v[k] = start.readUInt32LE(4 * k) ^ key.readUInt32LE(4 * (k % 4));
    const add = (a: number, b: number) => {
        const low = v[a]! + v[b]!;
        v[a + 1] = v[a + 1]! + v[b + 1]! + (low > 0xffffffff ? 1 : 0);
        v[a] = low;
    };
    const turnAndMix = (a: number, bits: number, b: number) => {
        let low = v[a]!, high = v[a + 1]!;
        if (bits >= 32) [low, high, bits] = [high, low, bits - 32];
        if (bits > 0) [low, high] = [(low << bits) | (high >>> (32 - bits)), (high << bits) | (low >>> (32 - bits))];
        v[a] = low ^ (b < 0 ? 0 : v[b]!);
        v[a + 1] = high ^ (b < 0 ? 0 : v[b + 1]!);
    };
    const round = () => {
        add(0, 2); turnAndMix(2, 13, 0); turnAndMix(0, 32, -1);
        add(4, 6); turnAndMix(6, 16, 4);
        add(0, 6); turnAndMix(6, 21, 0);
        add(4, 2); turnAndMix(2, 17, 4); turnAndMix(4, 32, -1);
    };
    for (let at = 0; at < all.length; at += 8) {
        const low = all.readUInt32LE(at), high = all.readUInt32LE(at + 4);
        v[6]! ^= low;
        v[7]! ^= high;
        round();
        v[0]! ^= low;
        v[1]! ^= high;
    }
    v[4]! ^= 0xff;
    for (let k = 0; k < 3; k++) round();
    const out = Buffer.alloc(8);
    out.writeUInt32LE((v[0]! ^ v[2]! ^ v[4]! ^ v[6]!) >>> 0);
    out.writeUInt32LE((v[1]! ^ v[3]! ^ v[5]! ^ v[7]!) >>> 0, 4);
    return out;
}

/** Mends the sum in front, so that the parts have to find out by themselves. */
function summed(blob: Buffer): Buffer {
    sum(blob.subarray(8)).copy(blob);
    return blob;
}

const EXECUTION = 12; // where its part begins
const guestPart = (blob: Buffer): number => EXECUTION + blob.readUInt32LE(8);

/** Changes a byte of the header of the pages and mends the checksums, so that only the meaning is wrong. */
function changeGuest(blob: Buffer, offset: number): Buffer {
    const at = blob.indexOf('lsnp');
    assert.ok(at > guestPart(blob));
    assert.deepEqual(sum(blob.subarray(8)), blob.subarray(0, 8), 'the sum is understood');
    blob[at + offset]! ^= 0x01;
    blob.writeUInt32LE(crc32(blob.subarray(at + 8)), at + 4);
    return summed(blob);
}

function changeExecution(blob: Buffer, offset: number): Buffer {
    const end = guestPart(blob);
    blob[EXECUTION + offset]! ^= 0x01;
    blob.writeUInt32LE(crc32(blob.subarray(EXECUTION + 4, end)), EXECUTION);
    return summed(blob);
}

const refuses = (m: Map<string, number>): void => {
    assert.ok(m.get('limpet_snapshots_total{what="refused"}')! > 0, 'snapshots were refused');
    assert.equal(m.get('limpet_snapshots_total{what="used"}'), 0, 'and none was used');
};
const editing = (change: (blob: Buffer) => Buffer): Way => ({
    args: ['--snapshot-after', '0'],
    between: async (s, _, ids) => {
        await allSuspended(s, ids);
        return restart(s, async (data) => { assert.ok((await changeSnapshots(data, change)) >= ids.length, 'each has a snapshot'); });
    },
    proves: refuses,
});

let kept: any[][] = [];
const WAYS: Record<string, Way> = {
    'in memory': { between: async (s) => s },
    'having left memory, from a snapshot': {
        args: ['--snapshot-after', '0'],
        between: async (s, _, ids) => { await allSuspended(s, ids); return s; },
        proves: (m) => assert.ok(m.get('limpet_snapshots_total{what="used"}')! >= Object.keys(PROGRAMS).length),
    },
    'having left memory, by replay': {
        args: ['--snapshot-after', '1000000'],
        between: async (s, _, ids) => { await allSuspended(s, ids); return s; },
        proves: (m) => assert.equal(m.get('limpet_snapshots_total{what="taken"}'), 0),
    },
    'killed at once': { between: async (s) => restart(s, async () => {}) },
    'killed when suspended, from a snapshot': {
        args: ['--snapshot-after', '0'],
        between: async (s, _, ids) => { await allSuspended(s, ids); return restart(s, async () => {}); },
        proves: (m) => assert.ok(m.get('limpet_snapshots_total{what="used"}')! > 0 && m.get('limpet_snapshots_total{what="refused"}') === 0),
    },
    'killed when suspended, by replay': {
        args: ['--snapshot-after', '1000000'],
        between: async (s, _, ids) => { await allSuspended(s, ids); return restart(s, async () => {}); },
        proves: (m) => assert.ok(m.get('limpet_replays_total')! > 0),
    },
    'stopped in good order': { between: async (s, _, ids) => restart(s, async () => {}, 'stop') },
    'snapshots deleted': {
        args: ['--snapshot-after', '0'],
        between: async (s, _, ids) => { await allSuspended(s, ids); return restart(s, async (data) => { await metadata(data, [['DELETE FROM snapshot']]); }); },
        proves: (m) => assert.ok(m.get('limpet_replays_total')! > 0),
    },
    'a byte flipped anywhere': editing((b) => { b[dice.below(b.length)]! ^= 1 << dice.below(8); return b; }),
    'a byte flipped of the words between the two parts': editing((b) => { const from = guestPart(b); b[from + dice.below(b.indexOf('lsnp') - from)]! ^= 1 << dice.below(8); return b; }),
    'a format of later, of these words': editing((b) => { b[guestPart(b)]! ^= 1; return summed(b); }),
    'pages damaged, under a sum that is right': editing((b) => { const from = b.indexOf('lsnp'); b[from + dice.below(b.length - from)]! ^= 1 << dice.below(8); return summed(b); }),
    'cut short': editing((b) => b.subarray(0, 1 + dice.below(b.length - 1))),
    'something behind the end': editing((b) => Buffer.concat([b, Buffer.from([1])])),
    'bytes of nothing': editing((b) => Buffer.alloc(b.length)),
    'a format of later': editing((b) => changeGuest(b, 8)),
    'another engine': editing((b) => changeGuest(b, 16)),
    'another image, that is another build': editing((b) => changeGuest(b, 32)),
    'a format of later, the execution\'s part': editing((b) => changeExecution(b, 4)),
    'another execution\'s': editing((b) => changeExecution(b, 14)),
    'stale: of the suspension before': {
        args: ['--snapshot-after', '0'],
        between: async (s, k, ids) => {
            await allSuspended(s, ids);
            return restart(s, async (data) => {
                const [rows] = await metadata(data, [['SELECT execution, records, data FROM snapshot']]);
                if (k > 0) await metadata(data, kept.map(([execution, records, blob]) => ['UPDATE snapshot SET records = ?, data = ? WHERE execution = ?', records, blob, execution]));
                kept = rows!;
            });
        },
    },
    'a number of records that is wrong': {
        args: ['--snapshot-after', '0'],
        between: async (s, _, ids) => { await allSuspended(s, ids); return restart(s, async (data) => { await metadata(data, [['UPDATE snapshot SET records = records - 1'], ]); }); },
    },
};

// Some ways under ASan would only take time: those whose difference is one byte of the same check.
const QUICK = new Set(['in memory', 'having left memory, from a snapshot', 'killed at once', 'killed when suspended, from a snapshot', 'killed when suspended, by replay', 'snapshots deleted', 'a byte flipped anywhere', 'another image, that is another build', 'stale: of the suspension before']);

/** Runs all programs in this way; their outputs. */
async function runAll(way: Way): Promise<Record<string, unknown>> {
    const options: ServerOptions = { args: ['--threads', '2', ...(way.args ?? [])] };
    let s = await Server.start(options);
    try {
        await deployWorkflow(s, 'crash', SOURCE);
        const names = Object.keys(PROGRAMS);
        const ids = await Promise.all(names.map((name) => start(s, `crash.p_${name}`)));
        kept = [];
        for (let k = 0; k < SUSPENSIONS; k++) {
            s = await way.between(s, k, ids);
            await Promise.all(ids.map((id) => signal(s, id, 'go', 100 + k)));
            if (k + 1 === SUSPENSIONS) break;
            // Each has taken the signal and waits for the next.
            for (const id of ids) await until(`${id} takes signal ${k}`, () => hasTaken(s, id, k + 1));
        }
        const out: Record<string, unknown> = {};
        for (const [n, id] of ids.entries()) {
            out[names[n]!] = await output(s, id);
            if (names[n] === 'chance') {
                const { first, differs } = out.chance as any;
                assert.deepEqual(first, (await show(s, id)).progress, 'what it saw first, it saw always');
                out.chance = differs;
            }
        }
        way.proves?.(await s.metrics());
        return out;
    } finally {
        await s.kill();
        fs.rmSync(s.data, { recursive: true, force: true });
    }
}

/** Has it taken so many signals? */
async function hasTaken(s: Server, id: string, signals: number): Promise<boolean> {
    const records = (await s.api('GET', `/executions/${id}/journal?limit=1000`)).json;
    return records.filter((r: any) => r.op === 'event_wait' && r.label === 'go').length >= signals;
}

let expected: Record<string, unknown> | undefined;
for (const [name, way] of Object.entries(WAYS)) {
    test(name, { skip: IS_ASAN && !QUICK.has(name) ? 'in release builds only' : false }, async () => {
        const out = await runAll(way);
        expected ??= out;
        // 3 rows; one deleted, with two more by its trigger; none updated; one inserted, four updated (that of the step among them), one inserted.
        const counters = [[42, 3, 3], [42, 1, 6], [42, 0, 6], [61, 1, 12]].map((c) => [c, c]);
        assert.deepEqual(out.sqlCounters, [...counters[0]!, 'refused', ...counters.slice(1).flat()]);
        for (const program of Object.keys(PROGRAMS)) assert.deepEqual(out[program], expected[program], program);
    });
}
