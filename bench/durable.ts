// SPDX-License-Identifier: Apache-2.0
//
// Durable workflows in motion: steps a second beside Restate and DBOS, the latency of one step, the latency of a small
// workflow. Everything here may use the whole machine, since a peer is two or three processes; every system gets the
// same load (wrk: an HTTP request starts a workflow and is answered with its result), in interleaved rounds.
import { send, type Server } from '../tests/server/harness.ts';
import { deployWorkflow } from '../tests/server/workflow-harness.ts';
import { type Commits, commits, framed } from './commits.ts';
import { dbos, type DurablePeer, restate } from './durable-peers.ts';
import { startWhole } from './limpet.ts';
import { CONNECTIONS, type Load, median, type Target, wrk } from './load.ts';
import type { Context } from './main.ts';
import * as peers from './peers.ts';
import type { Row } from './report.ts';
import { type Contender, contest, withAll } from './throughput.ts';

const STEPS = 10;
const WARM_UP_SECONDS = 3; // peers take a while to their full speed

// "steps": nothing leaves, so records are committed while the code goes on. "effects": each step fetches, and a request
// leaves only when the records before it are durable. "together": the same requests in one step, none of which waits.
const MODULE = `
import { step, workflow } from "limpet";
export const steps = workflow(async ({ n }) => {
  let sum = 0;
  for (let i = 0; i < n; i++) sum += await step("step", () => i);
  return sum;
});
export const effects = workflow(async ({ n, url }) => {
  let sum = 0;
  for (let i = 0; i < n; i++) sum += await step("step", async () => (await (await fetch(url)).json()).hello ? i : 0);
  return sum;
});
export const together = workflow(({ n, url }) => step("step", async () => {
  let sum = 0;
  for (let i = 0; i < n; i++) sum += (await (await fetch(url)).json()).hello ? i : 0;
  return sum;
}));
`;

const sumBelow = (n: number) => (n * (n - 1)) / 2;

export interface Input {
    n: number;
    url?: string;
}

async function limpetServer(url?: string): Promise<Server> {
    const s = await startWhole({ args: url ? ['--egress-allow', new URL(url).host] : [] });
    try {
        await deployWorkflow(s, 'bench', MODULE);
        return s;
    } catch (e) {
        await s.stop();
        throw e;
    }
}

const limpetTarget = (s: Server, name: string, input: Input): Target =>
    ({ port: s.adminPort, path: `/workflows/bench.${name}/execute?wait=30s`, method: 'POST', body: JSON.stringify({ body: input }) });

const peerTarget = (p: DurablePeer, name: string, input: Input): Target => ({ port: p.port, path: p.prefix + name, method: 'POST', body: JSON.stringify(input) });

/** The result that the answer carries: Limpet wraps it, since a wait may end before the workflow does. */
async function resultOf(t: Target): Promise<unknown> {
    const res = await send(t.port, t.path, { method: t.method, body: t.body, headers: { 'content-type': 'application/json' } });
    if (res.status !== 200) throw new Error(`${t.path}: ${res.status} ${res.text.slice(0, 300)}`);
    return typeof res.json === 'object' && res.json !== null ? res.json.output : res.json;
}

async function verify(who: string, t: Target, input: Input): Promise<void> {
    const result = await resultOf(t);
    if (result !== sumBelow(input.n)) throw new Error(`${who} answers wrongly: ${JSON.stringify(result)}`);
}

async function limpet(name: string, input: Input): Promise<Omit<Contender, 'name'> & { stop(): Promise<void> }> {
    const s = await limpetServer(input.url);
    const target = limpetTarget(s, name, input);
    const count = async (status: string) => (await s.metrics()).get(`limpet_workflow_executions{status="${status}"}`) ?? 0;
    let completed = 0;
    return {
        target,
        stop: () => s.stop(),
        // A wait that ended early would be answered 202, which wrk takes for a success as well.
        async check(l: Load) {
            const now = await count('completed');
            if (now - completed < l.requests) throw new Error(`limpet answered ${l.requests} times, but completed ${now - completed} executions`);
            if (await count('failed')) throw new Error('limpet failed executions');
            completed = now;
        },
    };
}

const peer = (start: (ctx: Context) => Promise<DurablePeer>, ctx: Context, name: string, input: Input) => async () => {
    const p = await start(ctx);
    return { target: peerTarget(p, name, input), stop: () => p.stop() };
};

/** One workflow on all three under the same load. */
async function compare(ctx: Context, caseName: string, name: string, input: Input, what: string, budgets: Record<string, number>): Promise<Row[]> {
    return withAll(ctx, [
        ['limpet', () => limpet(name, input)],
        ['restate', peer(restate, ctx, name, input)],
        ['dbos', peer(dbos, ctx, name, input)],
    ], async (list) => {
        for (const c of list) await verify(c.name, c.target, input);
        const loads = await contest(ctx, list, wrk, WARM_UP_SECONDS);
        const rows: Row[] = [...loads].map(([who, l]) => ({
            case: caseName, what: `${who}, ${what}`, figure: l.perSecond * input.n, unit: '/s', note: `an execution of ${input.n}: p50 ${(l.p50Us / 1000).toFixed(1)} ms, p99 ${(l.p99Us / 1000).toFixed(1)} ms`,
        }));
        const ours = loads.get('limpet');
        for (const [who, l] of loads)
            if (ours && who !== 'limpet') rows.push({ case: caseName, what: `limpet against ${who}`, figure: ours.perSecond / l.perSecond, unit: 'x', budget: budgets[who] === undefined ? undefined : { op: '>=', value: budgets[who] } });
        return rows;
    });
}

export const steps = (ctx: Context): Promise<Row[]> =>
    framed(ctx, 'steps', async () => {
        const group = await commits(ctx, 500, CONNECTIONS);
        const rows = await compare(ctx, 'steps', 'steps', { n: STEPS }, 'steps a second', { restate: 25, dbos: 50 });
        return [...rows, { case: 'steps', what: `SQLite, rows a second in commits of ${CONNECTIONS}`, figure: group.perSecond * CONNECTIONS, unit: '/s' }];
    });

/** An HTTP server whose answers cost next to nothing, for the effects of steps. */
async function withEffects<T>(ctx: Context, fn: (url: string) => Promise<T>): Promise<T> {
    const nginx = await peers.nginx(ctx.dir);
    try {
        return await fn(`http://127.0.0.1:${nginx.target.port}/`);
    } finally {
        await nginx.stop();
    }
}

export const stepsSerial = (ctx: Context): Promise<Row[]> =>
    framed(ctx, 'steps-serial', () =>
        withEffects(ctx, (url) => compare(ctx, 'steps-serial', 'effects', { n: STEPS, url }, 'steps a second, each with a request that leaves when the step before it is durable', {})));

/** Milliseconds of one workflow, alone. */
async function alone(who: string, t: Target, input: Input): Promise<number> {
    const start = process.hrtime.bigint();
    await verify(who, t, input);
    return Number(process.hrtime.bigint() - start) / 1e6;
}

const LONG = 101;

export const stepLatency = (ctx: Context): Promise<Row[]> =>
    framed(ctx, 'step-latency', () => withEffects(ctx, async (url) => {
        const s = await limpetServer(url);
        const others: [string, DurablePeer][] = [];
        try {
            for (const [name, start] of [['restate', restate], ['dbos', dbos]] as const)
                if (!ctx.without.has(name) && peers.isInstalled(name)) others.push([name, await start(ctx)]);
            const bare: Commits[] = [];
            const strict: number[] = [];
            const inARow = new Map<string, number[]>();
            const targets: [string, (input: Input) => Target][] = [
                ['limpet', (input) => limpetTarget(s, 'steps', input)],
                ...others.map(([name, p]): [string, (input: Input) => Target] => [name, (input) => peerTarget(p, 'steps', input)]),
            ];
            const rounds = Math.max(3, ctx.rounds * 3);
            const log = { n: 1000, url }; // its write-ahead log has its size then, and is used again, as that of commits.c
            await alone('limpet', limpetTarget(s, 'effects', log), log);
            for (let round = -1; round < rounds; round++) { // the first warms up
                const disk = await commits(ctx, 200);
                const input = { n: LONG, url };
                const apart = await alone('limpet', limpetTarget(s, 'effects', input), input);
                const together = await alone('limpet', limpetTarget(s, 'together', input), input);
                for (const [name, target] of targets) {
                    const many = await alone(name, target({ n: LONG }), { n: LONG });
                    const one = await alone(name, target({ n: 1 }), { n: 1 });
                    if (round >= 0) inARow.set(name, [...(inARow.get(name) ?? []), (many - one) / (LONG - 1)]);
                }
                if (round < 0) continue;
                bare.push(disk);
                strict.push((apart - together) / (LONG - 1));
            }
            const commit = median(bare.map((b) => b.p50Us)) / 1000;
            return [
                {
                    case: 'step-latency', what: 'limpet, one step that is durable before the next begins', figure: median(strict), unit: 'ms',
                    note: `${LONG} steps with a request each, less the same requests in one step; median of ${rounds}; one commit takes ${commit.toFixed(3)} ms`, budget: { op: '<=', value: commit * 1.15 },
                },
                ...[...inARow].map(([name, times]): Row => ({ case: 'step-latency', what: `${name}, one of ${LONG - 1} steps in a row, without effects`, figure: median(times), unit: 'ms' })),
            ];
        } finally {
            await s.stop();
            for (const [, p] of others) await p.stop();
        }
    }));

export const workflowLatency = (ctx: Context): Promise<Row[]> =>
    framed(ctx, 'workflow-latency', async (disk) => {
        const input = { n: 1 };
        return withAll(ctx, [
            ['limpet', () => limpet('steps', input)],
            ['restate', peer(restate, ctx, 'steps', input)],
            ['dbos', peer(dbos, ctx, 'steps', input)],
        ], async (list) => {
            for (const c of list) await verify(c.name, c.target, input);
            const seen = [disk];
            const loads = await contest(ctx, list, async (dir, t, seconds) => {
                const l = await wrk(dir, t, seconds, 1);
                seen.push(await commits(ctx, 300));
                return l;
            }, WARM_UP_SECONDS);
            const commit = median(seen.map((c) => c.p50Us)) / 1000;
            const rows: Row[] = [];
            for (const [who, l] of loads) {
                const isOurs = who === 'limpet';
                rows.push({
                    case: 'workflow-latency', what: `${who}, start to result of a workflow of one step, p50`, figure: l.p50Us / 1000, unit: 'ms',
                    note: isOurs ? `budget: two commits of ${commit.toFixed(3)} ms and 0.5 ms` : undefined, budget: isOurs ? { op: '<', value: 2 * commit + 0.5 } : undefined,
                });
                rows.push({ case: 'workflow-latency', what: `${who}, p99`, figure: l.p99Us / 1000, unit: 'ms', budget: isOurs ? { op: '<', value: 5 } : undefined });
            }
            return rows;
        });
    });
