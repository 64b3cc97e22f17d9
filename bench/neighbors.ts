// SPDX-License-Identifier: Apache-2.0
//
// hello at a steady rate, alone and then beside one hostile function on the same engine thread, each in a server of its own.
// hello is asked by probe.c, which counts from the moment at which a request was due. The hostile function's clients are another
// process (this program again, with --attack) at the lowest priority of the load core, so that they cost the probe nothing.
import { type ChildProcess, spawn } from 'node:child_process';
import dgram from 'node:dgram';
import { once } from 'node:events';
import fs from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { run, send, type Server, until } from '../tests/server/harness.ts';
import { deployWorkflow } from '../tests/server/workflow-harness.ts';
import { startLimpet } from './limpet.ts';
import { LOAD_CORE, median } from './load.ts';
import type { Context } from './main.ts';
import { HELLO_MODULE } from './peers.ts';
import { formatFigure, type Row } from './report.ts';

const RATE = 1000;
const CONNECTIONS = 32;
const MEMORY = 1 << 30;
const ALLOWED_MS = 10;

/** What the attacking process has: where the server listens, and a count of what came back. */
interface Attack {
    port: number;
    adminPort: number;
    host: string;
    seconds: number;
    count(what: string): void;
}

interface Neighbor {
    what: string;
    source: string;
    cpu_ms?: number;
    isWorkflow?: boolean;
    /** What it begins goes on until its process is ended. */
    attack(a: Attack): Promise<void>;
}

/** count clients that ask again and again, as long as the process lives. */
const again = (count: number, target = () => '/') => async (a: Attack) => {
    const agent = new http.Agent({ keepAlive: true, maxSockets: Infinity });
    await Promise.all(Array.from({ length: count }, async () => {
        for (;;) {
            const res = await send(a.port, target(), { host: a.host, agent }).catch((e) => String(e.code ?? e));
            a.count(typeof res === 'string' ? res : res.status === 200 ? '200' : (res.json.error?.code ?? String(res.status)));
            if (typeof res === 'string' || res.status === 503) await pause(20);
        }
    }));
};

async function unread(a: Attack): Promise<void> {
    const open = (): void => {
        const socket = net.connect(a.port, '127.0.0.1', () => socket.write(`GET / HTTP/1.1\r\nHost: ${a.host}\r\n\r\n`)).pause();
        socket.on('error', () => {});
        socket.on('close', () => (a.count('closed'), setTimeout(open, 20)));
        a.count('opened');
    };
    for (let i = 0; i < 500; i++) open();
}

async function flood(a: Attack): Promise<void> {
    const wrk = spawn('wrk', ['-t1', '-c64', `-d${a.seconds}s`, '-H', `Host: ${a.host}`, `http://127.0.0.1:${a.port}/`], { stdio: 'ignore' });
    process.on('exit', () => wrk.kill('SIGKILL'));
}

/** An origin that sends the beginning of a body that never ends. */
async function hog(a: Attack): Promise<void> {
    const origin = http.createServer((_req, res) => {
        a.count('connections');
        res.writeHead(200, { 'content-length': 100_000_000 });
        res.write('x'.repeat(65536));
    }).listen(0, '127.0.0.1');
    await once(origin, 'listening');
    await again(16, () => `/?port=${(origin.address() as net.AddressInfo).port}`)(a);
}

async function executions(a: Attack): Promise<void> {
    await Promise.all(Array.from({ length: 4 }, async () => {
        for (;;) {
            const res = await send(a.adminPort, '/workflows/hostile/execute?wait=30s', { method: 'POST', body: '{"body":null}', headers: { 'content-type': 'application/json' } });
            a.count(res.json?.error?.code ?? String(res.status));
        }
    }));
}

const sql = (body: string) => `import { exec, transaction } from "derp:runtime/sql";
export const handler = { setup() { exec("CREATE TABLE t (n)"); }, handle() { return {}; } };
export default { fetch() { ${body}; return new Response("did"); } };`;

export const NEIGHBORS: Record<string, Neighbor> = {
    loops: { what: 'endless loops, 16 at once', source: 'export default { fetch() { for (;;); } };', cpu_ms: 100, attack: again(16) },
    short: { what: '64 clients of a function that computes for 2 ms', source: 'export default { fetch() { const end = performance.now() + 2; while (performance.now() < end); return new Response("did"); } };', attack: again(64) },
    flood: { what: 'as many small requests as wrk can send', source: HELLO_MODULE, attack: flood },
    memory: {
        what: '64 requests that want 40 MiB each, of 1 GiB',
        source: 'export default { async fetch() { const held = []; for (let i = 0; i < 40; i++) held.push(new Uint8Array(1 << 20).fill(i)); await new Promise((r) => setTimeout(r, 300)); return new Response("did"); } };', attack: again(64),
    },
    unread: { what: '500 connections that do not read 4 MB', source: 'export default { fetch() { return new Response("x".repeat(4_000_000)); } };', attack: unread },
    sleeping: { what: '4,000 requests that sleep', source: 'export default { async fetch() { await new Promise((r) => setTimeout(r, 25_000)); return new Response("did"); } };', attack: again(4000) },
    logs: { what: 'a flood of log lines', source: 'const text = "x".repeat(4000); export default { fetch() { for (;;) console.log(text); } };', attack: again(8) },
    instr: { what: 'SQL: instr() of 4 MB', source: sql(`exec("SELECT instr(zeroblob(4000000), zeroblob(2000000) || x'01')")`), attack: again(8) },
    replace: { what: 'SQL: replace() in 2 MB', source: sql(`exec("SELECT length(replace(hex(zeroblob(1000000)), hex(zeroblob(250000)) || '1', ''))")`), attack: again(8) },
    cte: { what: 'SQL: an endless recursive query', source: sql('exec("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT sum(i) FROM n")'), attack: again(8) },
    transaction: { what: 'transactions that do not end', source: sql('transaction(() => { exec("INSERT INTO t VALUES (1)"); for (;;); })'), attack: again(8) },
    fetch: {
        what: '16 requests that fetch 512 bodies each and read none',
        source: 'export default { async fetch(request) { const port = new URL(request.url).searchParams.get("port"); await Promise.all(Array.from({ length: 512 }, () => fetch("http://127.0.0.1:" + port + "/"))); await new Promise(() => {}); } };', attack: hog,
    },
    dns: {
        what: 'fetches of names that no resolver answers for',
        source: 'export default { async fetch() { for (let wave = 0; wave < 100; wave++) { const c = new AbortController(); for (let i = 0; i < 500; i++) fetch("http://h" + Math.random() + ".example.com/", { signal: c.signal }).catch(() => {}); await new Promise((r) => setTimeout(r, 20)); c.abort(); } return new Response("did"); } };', attack: again(4),
    },
    records: {
        what: 'workflows that record without end, 4 at once', isWorkflow: true,
        source: 'import { workflow } from "limpet"; const bytes = new Uint8Array(65536); export default workflow(async () => { for (;;) crypto.getRandomValues(bytes); });', attack: executions,
    },
};

/** The attacking process: --attack NAME PORT ADMIN_PORT SECONDS. Says when it has begun, and at its end what came back. */
export async function attackMain(args: string[]): Promise<void> {
    const [name, port, adminPort, seconds] = args;
    const counts: Record<string, number> = {};
    process.on('SIGTERM', () => {
        fs.writeSync(1, JSON.stringify(counts) + '\n');
        process.exit(0);
    });
    setInterval(() => {}, 60_000); // sockets that do not read keep no process alive
    const under = NEIGHBORS[name!]!.attack({
        port: Number(port), adminPort: Number(adminPort), seconds: Number(seconds), host: `hostile.localhost:${port}`,
        count: (what) => (counts[what] = (counts[what] ?? 0) + 1),
    });
    setImmediate(() => fs.writeSync(1, 'begun\n'));
    await under;
}

async function startAttack(s: Server, name: string, seconds: number): Promise<{ stop(): Promise<string> }> {
    const child: ChildProcess = spawn('taskset', ['-c', LOAD_CORE, 'nice', '-n', '19', process.execPath, '--enable-source-maps', process.argv[1]!, '--attack', name, String(s.httpPort), String(s.adminPort), String(seconds)], { stdio: ['ignore', 'pipe', 'inherit'] });
    const kill = () => child.kill('SIGKILL');
    process.on('exit', kill);
    let out = '';
    child.stdout!.setEncoding('utf8').on('data', (d) => (out += d));
    const closed = once(child, 'close');
    await until('the attack has begun', () => {
        if (child.exitCode !== null) throw new Error(`the attack ${name} ended: ${out}`);
        return out.startsWith('begun\n');
    });
    return {
        async stop() {
            process.off('exit', kill);
            const isDone = child.exitCode !== null;
            child.kill('SIGTERM');
            await closed;
            if (isDone) throw new Error(`the attack ${name} ended before its time: ${out}`);
            const counts: Record<string, number> = JSON.parse(out.slice('begun\n'.length));
            return Object.entries(counts).map(([k, n]) => `${k} ${n}`).join(', ');
        },
    };
}

interface Probe {
    requests: number;
    failed: number;
    p50Us: number;
    p99Us: number;
    maxUs: number;
}

async function probe(s: Server, seconds: number): Promise<Probe> {
    const r = await run('taskset', ['-c', LOAD_CORE, process.env.LIMPET_BENCH_PROBE!, String(s.httpPort), s.host('hello'), String(RATE), String(Math.ceil(seconds)), String(CONNECTIONS)]);
    if (r.code !== 0) throw new Error(`probe failed (${r.code}): ${r.stderr}`);
    return r.json;
}

interface Pair {
    alone: Probe;
    beside: Probe;
    came: string;
}

async function pair(ctx: Context, name: string, resolver: number): Promise<Pair> {
    const n = NEIGHBORS[name]!;
    const s = await startLimpet({ args: ['--memory-max', String(MEMORY), '--egress-allow', '127.0.0.0/8', '--resolver', `127.0.0.1:${resolver}`] });
    try {
        await s.deploy('hello', HELLO_MODULE);
        if (n.isWorkflow) await deployWorkflow(s, 'hostile', n.source, { cpu_ms: n.cpu_ms });
        else await s.deploy('hostile', n.source, { cpu_ms: n.cpu_ms });
        await probe(s, 1);
        const alone = await probe(s, ctx.seconds);
        const attack = await startAttack(s, name, ctx.seconds + 30);
        await pause(1000); // until it has what it can get
        const beside = await probe(s, ctx.seconds);
        const came = await attack.stop();
        const m = await s.metrics();
        const used = ['requests', 'cpu_seconds'].map((what) => m.get(`limpet_module_${what}_total{module="hostile"}`) ?? 0);
        return { alone, beside, came: `${came || 'nothing'}; the server counts ${used[0]} requests, ${used[1]!.toFixed(1)} s of CPU` };
    } finally {
        await s.kill(); // nobody needs what the hostile one still does
        fs.rmSync(s.data, { recursive: true, force: true });
    }
}

export async function neighbors(ctx: Context): Promise<Row[]> {
    const resolver = dgram.createSocket('udp4').bind(0, '127.0.0.1'); // hears, and is silent
    await once(resolver, 'listening');
    try {
        const rows: Row[] = [];
        for (const name of ctx.neighbors) {
            const n = NEIGHBORS[name]!;
            const pairs: Pair[] = [];
            for (let round = 0; round < ctx.rounds; round++) pairs.push(await pair(ctx, name, resolver.address().port));
            const ms = (of: (p: Pair) => number) => median(pairs.map(of)) / 1000;
            const alone = ms((p) => p.alone.p99Us), p99 = ms((p) => p.beside.p99Us), max = ms((p) => p.beside.maxUs);
            const failed = pairs.reduce((sum, p) => sum + p.alone.failed + p.beside.failed, 0);
            rows.push({
                case: 'neighbors', what: `hello beside ${n.what}: p99`, figure: failed ? NaN : p99, unit: 'ms', budget: { op: '<=', value: alone + ALLOWED_MS },
                isDiscarded: !failed && alone > ALLOWED_MS, // others compute on this machine
                note: `${failed ? `${failed} of hello's requests failed; ` : ''}${formatFigure(p99 / (alone + ALLOWED_MS))} of the budget; p50 ${formatFigure(ms((p) => p.beside.p50Us))}, max ${formatFigure(max)}; alone p50 ${formatFigure(ms((p) => p.alone.p50Us))}, p99 ${formatFigure(alone)}; its clients got ${pairs.at(-1)!.came}`,
            });
            ctx.progress(`${name}: alone ${formatFigure(alone)} ms, beside ${formatFigure(p99)} ms, ${failed} failed (its clients got ${pairs.at(-1)!.came})`);
        }
        return rows;
    } finally {
        resolver.close();
    }
}
