// SPDX-License-Identifier: Apache-2.0
//
// Durable workflows at rest: what a hundred thousand sleepers hold, how soon they are back after kill -9, what it costs
// to resume one from its snapshot or by replay, and how late ten thousand timers of one second are. The server has the
// whole machine.
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { type Server, send, tempDir, until } from '../tests/server/harness.ts';
import { deployWorkflow, show, signal, start, suspended } from '../tests/server/workflow-harness.ts';
import { framed } from './commits.ts';
import { dbos, restate } from './durable-peers.ts';
import { startWhole } from './limpet.ts';
import { median } from './load.ts';
import type { Context } from './main.ts';
import { freePort, isInstalled } from './peers.ts';
import { sendMany } from './pipeline.ts';
import { formatFigure, type Row } from './report.ts';

const mb = (bytes: number) => bytes / 1e6;
const percentile = (sorted: number[], p: number) => sorted[Math.min(sorted.length - 1, Math.floor((sorted.length * p) / 100))]!;
const byNumber = (a: number, b: number) => a - b;
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

const SLEEPER = `
import { sleepUntil, workflow } from "limpet";
export default workflow(async ({ at }) => {
  await sleepUntil(new Date(at));
  return Date.now();
});
`;

/** Starts as many as wanted, as fast as the server takes them; their ids. */
async function startMany(s: Server, count: number, name: string, input: (i: number) => unknown): Promise<string[]> {
    const ids = new Array<string>(count);
    await sendMany(s.adminPort, count, (i) => ({ method: 'POST', path: `/workflows/${name}/execute`, body: { body: input(i) } }), (i, status, body) => {
        if (status !== 202) throw new Error(`start: ${status} ${body}`);
        ids[i] = JSON.parse(body.toString()).execution_id;
    });
    return ids;
}

const inState = async (s: Server, status: string) => (await s.metrics()).get(`limpet_workflow_executions{status="${status}"}`) ?? 0;

async function waitForState(s: Server, status: string, count: number): Promise<void> {
    let last = -1;
    for (let end = Date.now() + 60_000; ; await pause(100)) { // a minute without any progress
        const n = await inState(s, status);
        if (n >= count) return;
        if (await inState(s, 'failed')) throw new Error('executions failed');
        if (n !== last) end = Date.now() + 60_000;
        last = n;
        if (Date.now() > end) throw new Error(`${n} of ${count} executions are ${status}`);
    }
}

/** Memory of an idle server once it has given back what it will: no isolate is live, and nothing changes any more. */
async function settled(s: Server): Promise<{ rss: number; pss: number }> {
    await until('the isolates are gone', async () => ((await s.metrics()).get('limpet_isolates{state="live"}') ?? 0) === 0);
    let last = s.pssBytes();
    for (let same = 0, n = 0; same < 3 && n < 40; n++) {
        await pause(1000);
        const now = s.pssBytes();
        same = Math.abs(now - last) < 1e6 ? same + 1 : 0;
        last = now;
    }
    return { rss: s.rssBytes(), pss: s.pssBytes() };
}

function diskBytes(folder: string): number {
    return Number(execFileSync('du', ['-s', '--block-size=1', folder], { encoding: 'utf8' }).split('\t')[0]);
}

/** Asks without a pause until the server answers 200. */
async function firstAnswer(port: number, target: string): Promise<any> {
    for (const end = Date.now() + 60_000; ; ) {
        const res = await send(port, target).catch(() => undefined);
        if (res?.status === 200) return res.json;
        if (Date.now() > end) throw new Error(`${target}: ${res?.status} ${res?.text}`);
        await new Promise((resolve) => setImmediate(resolve));
    }
}

interface Crash {
    server: Server;
    servingMs: number;
    readMs: number;
    resumedMs: number;
}

/** kill -9 just before an execution is due; when is the next process serving, and when does the code go on? */
async function crash(s: Server, adminPort: number, other: string): Promise<Crash> {
    const due = await start(s, 'sleeper', { at: Date.now() + 2000 });
    const row = await suspended(s, due);
    const at = row.input.at as number;
    await pause(Math.max(0, at - Date.now() - 50));
    const killed = Date.now();
    const since = () => Date.now() - killed;
    await s.kill();
    const starting = s.revive({ adminAddr: `127.0.0.1:${adminPort}` });
    starting.catch(() => {}); // reported by the await below
    await firstAnswer(adminPort, '/healthz');
    const servingMs = since();
    await firstAnswer(adminPort, `/executions/${other}`);
    const readMs = since();
    const server = await starting;
    const end = await firstAnswer(adminPort, `/executions/${due}?wait=30s`);
    if (end.status !== 'completed') throw new Error(`the due execution is ${JSON.stringify(end)}`);
    return { server, servingMs, readMs, resumedMs: end.output - killed };
}

export const sleepers = (ctx: Context): Promise<Row[]> =>
    framed(ctx, 'sleepers', async () => {
        const count = ctx.sleepers;
        const adminPort = await freePort();
        let s = await startWhole({ data: tempDir('limpet-bench-'), adminAddr: `127.0.0.1:${adminPort}` });
        try {
            await deployWorkflow(s, 'sleeper', SLEEPER);
            const idle = await settled(s);
            const empty = diskBytes(s.data);
            const began = Date.now();
            const ids = await startMany(s, count, 'sleeper', () => ({ at: began + 86_400_000 }));
            const startedMs = Date.now() - began;
            await waitForState(s, 'suspended', count);
            ctx.progress(`${count} asleep after ${Date.now() - began} ms`);
            const asleep = await settled(s);
            const disk = (diskBytes(s.data) - empty) / count;
            const crashes: Crash[] = [];
            for (let i = 0; i < Math.max(3, ctx.rounds); i++) {
                const c = await crash(s, adminPort, ids[(i * 7919) % count]!);
                ctx.progress(`kill -9: serving ${c.servingMs} ms, read ${c.readMs} ms, resumed ${c.resumedMs} ms`);
                crashes.push(c);
                s = c.server;
            }
            const back = await settled(s);
            const of = `${count.toLocaleString('en')} sleeping executions`;
            const worst = (times: number[]) => `worst of ${times.length}: ${Math.max(...times)} ms`;
            const times = (key: 'servingMs' | 'readMs' | 'resumedMs') => crashes.map((c) => c[key]);
            return [
                {
                    case: 'sleepers', what: `server with ${of}, resident`, figure: mb(asleep.rss), unit: 'MB', budget: { op: '<', value: 200 },
                    note: `proportional ${mb(asleep.pss).toFixed(1)} MB; before ${mb(idle.rss).toFixed(1)} MB; after the kills ${mb(back.rss).toFixed(1)} MB`,
                },
                { case: 'sleepers', what: 'disk, each', figure: disk / 1000, unit: 'KB', budget: { op: '<', value: 30 } },
                { case: 'sleepers', what: 'kill -9 to serving', figure: median(times('servingMs')), unit: 'ms', note: `${worst(times('servingMs'))}; one of them read after ${median(times('readMs'))} ms`, budget: { op: '<', value: 500 } },
                { case: 'sleepers', what: 'kill -9 to the first due one resumed', figure: median(times('resumedMs')), unit: 'ms', note: `${worst(times('resumedMs'))}; it was due 50 ms after the kill`, budget: { op: '<', value: 600 } },
                { case: 'sleepers', what: 'starts a second, each durable', figure: count / (startedMs / 1000), unit: '/s' },
            ];
        } finally {
            await s.stop();
            fs.rmSync(s.data, { recursive: true, force: true });
        }
    });

/** What the peers need for a tenth of it; no budget. */
export const sleepersPeers = (ctx: Context): Promise<Row[]> =>
    framed(ctx, 'sleepers-peers', async () => {
        const count = Math.ceil(ctx.sleepers / 10);
        let told: ((value: unknown) => void) | undefined;
        const ear = http.createServer((_req, res) => {
            res.end();
            told?.(undefined);
        }).listen(0, '127.0.0.1');
        await once(ear, 'listening');
        const url = `http://127.0.0.1:${(ear.address() as AddressInfo).port}/`;
        const rows: Row[] = [];
        try {
            for (const [name, begin] of [['restate', restate], ['dbos', dbos]] as const) {
                if (ctx.without.has(name) || !isInstalled(name)) continue;
                const peer = await begin(ctx);
                try {
                    const sleep = async (n: number, body: unknown) => {
                        const had = await peer.sleeping();
                        await sendMany(peer.port, n, () => ({ method: 'POST', path: peer.sendPath('sleeper'), body }), (_i, status, text) => {
                            if (status !== 202 && status !== 200) throw new Error(`${name}: ${status} ${text}`);
                        });
                        for (const end = Date.now() + 300_000; (await peer.sleeping()) < had + n; await pause(100)) if (Date.now() > end) throw new Error(`${name}: ${await peer.sleeping()} of ${had + n} sleep`);
                    };
                    const pss = () => peer.programs.reduce((sum, p) => sum + p.pssBytes(), 0);
                    await sleep(64, { at: Date.now() + 86_400_000 }); // what the first ones bring with them
                    const before = pss();
                    await sleep(count, { at: Date.now() + 86_400_000 });
                    await pause(3000);
                    const more = pss() - before;
                    const at = Date.now() + 3000;
                    await sleep(1, { at, url });
                    const resumed = new Promise((resolve) => (told = resolve));
                    await pause(Math.max(0, at - Date.now() - 50));
                    const killed = Date.now();
                    await peer.crash();
                    await Promise.race([resumed, pause(120_000).then(() => Promise.reject(new Error(`${name}: nothing resumed in two minutes`)))]);
                    const ms = Date.now() - killed;
                    rows.push({ case: 'sleepers-peers', what: `${name}, ${count.toLocaleString('en')} sleeping executions, memory more`, figure: mb(more), unit: 'MB' });
                    rows.push({ case: 'sleepers-peers', what: `${name}, kill -9 to the first due one resumed`, figure: ms, unit: 'ms' });
                } finally {
                    await peer.stop();
                }
            }
        } finally {
            ear.close();
        }
        return rows;
    });

const WAITER = `
import { step, waitForEvent, workflow } from "limpet";
export const steps = workflow(async ({ n }) => {
  let sum = 0;
  for (let i = 0; i < n; i++) sum += await step("step", () => 1);
  return sum + (await waitForEvent("go")).data;
});
export const sync = workflow(async ({ n }) => {
  let sum = 0;
  for (let i = 0; i < n; i++) sum += crypto.randomUUID().length / 36;
  return sum + (await waitForEvent("go")).data;
});
`;

/** Executions of the workflow that wait with n records, in a server that was started after they had gone to sleep. */
async function withWaiters<T>(args: string[], wanted: { name: string; n: number }[], fn: (s: Server, ids: string[]) => Promise<T>): Promise<T> {
    let s = await startWhole({ data: tempDir('limpet-bench-'), args });
    try {
        await deployWorkflow(s, 'waiter', WAITER, { cpu_ms: 30_000, wall_ms: 60_000 });
        const ids: string[] = [];
        for (const w of wanted) ids.push(await start(s, `waiter.${w.name}`, { n: w.n }));
        for (const id of ids) await suspended(s, id);
        s = await s.restart();
        return await fn(s, ids);
    } finally {
        await s.stop();
        fs.rmSync(s.data, { recursive: true, force: true });
    }
}

/** Milliseconds from the signal to the result. */
async function signalToResult(s: Server, id: string, n: number): Promise<number> {
    const waiting = send(s.adminPort, `/executions/${id}?wait=60s`);
    await show(s, id); // the wait is there before the signal
    const began = process.hrtime.bigint();
    await signal(s, id, 'go', 5);
    const res = await waiting;
    const ms = Number(process.hrtime.bigint() - began) / 1e6;
    if (res.json.status !== 'completed' || res.json.output !== n + 5) throw new Error(`${id}: ${res.text}`);
    return ms;
}

export const resume = (ctx: Context): Promise<Row[]> =>
    framed(ctx, 'resume', async () => {
        const count = Math.max(7, Math.ceil(ctx.repeats / 2));
        const sizes = [10, 10_000];
        const wanted = Array.from({ length: 2 * (count + 1) }, (_, i) => ({ name: 'steps', n: sizes[i % 2]! }));
        return withWaiters(['--snapshot-after', '1'], wanted, async (s, ids) => {
            const before = await s.metrics();
            const times = new Map<number, number[]>(sizes.map((n) => [n, []]));
            for (const [i, id] of ids.entries()) {
                const ms = await signalToResult(s, id, wanted[i]!.n);
                if (i >= 2) times.get(wanted[i]!.n)!.push(ms); // the first loads the version
            }
            const after = await s.metrics();
            const more = (name: string) => (after.get(name) ?? 0) - (before.get(name) ?? 0);
            const used = more('limpet_snapshots_total{what="used"}');
            if (used !== ids.length) throw new Error(`${used} of ${ids.length} came back from a snapshot, ${more('limpet_replays_total')} by replay`);
            const [few, many] = sizes.map((n) => median(times.get(n)!)) as [number, number];
            return [
                ...sizes.map((n): Row => ({
                    case: 'resume', what: `signal to result, ${n.toLocaleString('en')} records, from a snapshot`, figure: median(times.get(n)!), unit: 'ms',
                    note: `median of ${count}, max ${Math.max(...times.get(n)!).toFixed(2)} ms`,
                })),
                { case: 'resume', what: 'many records against few', figure: many / few, unit: 'x', budget: { op: '<=', value: 1.2 } },
            ];
        });
    });

export const replay = (ctx: Context): Promise<Row[]> =>
    framed(ctx, 'replay', async () => {
        const rounds = Math.max(3, ctx.rounds);
        const kinds = [{ name: 'steps', what: 'steps' }, { name: 'sync', what: 'synchronous calls' }];
        const wanted = [0, ...Array.from({ length: rounds }, (_, i) => i + 1)].flatMap(() => kinds.flatMap((k) => [{ name: k.name, n: 10 }, { name: k.name, n: ctx.records }]));
        return withWaiters(['--snapshot-after', '1000000000'], wanted, async (s, ids) => {
            const rates = new Map<string, number[]>(kinds.map((k) => [k.name, []]));
            for (let i = 0; i < ids.length; i += 2) {
                const { records } = await show(s, ids[i + 1]!);
                if (records < ctx.records) throw new Error(`an execution that should have ${ctx.records} records has ${records}`);
                const few = await signalToResult(s, ids[i]!, 10);
                const many = await signalToResult(s, ids[i + 1]!, ctx.records);
                ctx.progress(`${wanted[i]!.name}: ${records} records in ${(many - few).toFixed(0)} ms`);
                if (i >= 2 * kinds.length) rates.get(wanted[i]!.name)!.push(records / ((many - few) / 1000));
            }
            const replays = (await s.metrics()).get('limpet_replays_total');
            if (replays !== ids.length) throw new Error(`${replays} of ${ids.length} came back by replay`);
            return kinds.map((k): Row => ({
                case: 'replay', what: `records a second, ${ctx.records.toLocaleString('en')} ${k.what}`, figure: median(rates.get(k.name)!), unit: '/s', budget: { op: '>=', value: 500_000 },
                note: 'signal to result, less that with 10 records',
            }));
        });
    });

export const timers = (ctx: Context): Promise<Row[]> =>
    framed(ctx, 'timers', async () => {
        const count = ctx.timers;
        const s = await startWhole({ data: tempDir('limpet-bench-') });
        try {
            await deployWorkflow(s, 'sleeper', SLEEPER);
            const lead = 4000 + count; // for starting them all: a millisecond each, on a slow machine
            const base = Date.now() + lead;
            const planned = (i: number) => base + (i * 1000) / count;
            const ids = await startMany(s, count, 'sleeper', (i) => ({ at: Math.round(planned(i)) }));
            await waitForState(s, 'suspended', count);
            if (Date.now() > base - 500) throw new Error(`starting ${count} executions took too long: ${lead} ms were not enough`);
            await pause(base + 1500 - Date.now()); // nobody asks meanwhile
            await waitForState(s, 'completed', count);
            const late: number[] = [];
            const finished: number[] = [];
            await sendMany(s.adminPort, count, (i) => ({ method: 'GET', path: `/executions/${ids[i]}` }), (i, status, body) => {
                const row = JSON.parse(body.toString());
                if (status !== 200 || row.status !== 'completed') throw new Error(`${status} ${body}`);
                late.push(row.output - Math.round(planned(i)));
                finished.push(row.finished_at_ms - Math.round(planned(i)));
            });
            late.sort(byNumber);
            finished.sort(byNumber);
            if (late[0]! < 0) throw new Error(`a timer fired ${-late[0]!} ms early`);
            return [
                { case: 'timers', what: `${count.toLocaleString('en')} executions due in one second, fired`, figure: late.length, unit: '', budget: { op: '>=', value: count } },
                {
                    case: 'timers', what: 'late, p99', figure: percentile(late, 99), unit: 'ms', budget: { op: '<', value: 100 },
                    note: `p50 ${formatFigure(percentile(late, 50))} ms, max ${late.at(-1)} ms; result durable: p50 ${formatFigure(percentile(finished, 50))} ms, p99 ${formatFigure(percentile(finished, 99))} ms after the time`,
                },
            ];
        } finally {
            await s.stop();
            fs.rmSync(s.data, { recursive: true, force: true });
        }
    });
