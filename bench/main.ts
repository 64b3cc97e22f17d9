// SPDX-License-Identifier: Apache-2.0
//
// bench/run BUILD_FOLDER [options]: measures Limpet and its peers on this machine in one run and prints each figure
// beside its budget. See bench/README.md.
import fs from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { tempDir } from '../tests/server/harness.ts';
import { actorLatency, actors, actorsIdle } from './actors.ts';
import { steps, stepLatency, stepsSerial, workflowLatency } from './durable.ts';
import { functions } from './functions.ts';
import { deploy, machine, memory, restart100, start1 } from './latency.ts';
import { limits } from './limits.ts';
import { attackMain, NEIGHBORS, neighbors } from './neighbors.ts';
import { versions } from './peers.ts';
import { platform } from './platform.ts';
import { passes, type Row, table } from './report.ts';
import { soak } from './soak.ts';
import { replay, resume, sleepers, sleepersPeers, timers } from './suspended.ts';
import { hello, helloH2, json, pristine, sql } from './throughput.ts';

export interface Context {
    dir: string;
    seconds: number;
    rounds: number;
    repeats: number;
    isolates: number;
    soakSeconds: number;
    sleepers: number;
    functions: number;
    connections: number;
    neighbors: string[];
    timers: number;
    records: number;
    without: Set<string>;
    progress(text: string): void;
}

const CASES: Record<string, { run: (ctx: Context) => Promise<Row[]>; what: string; needsLimpet?: boolean }> = {
    hello: { run: hello, what: 'Response.json, pristine isolate, 64 connections: limpet, workerd, node, nginx, deno, bun' },
    'hello-h2': { run: helloH2, what: 'the same over HTTP/2: limpet, nginx' },
    json10k: { run: json, what: '10 KB of JSON parsed and stringified back: limpet, workerd' },
    pristine: { run: pristine, what: 'what a pristine isolate costs over a kept one', needsLimpet: true },
    sql: { run: sql, what: 'one SQL read and a JSON answer', needsLimpet: true },
    platform: { run: platform, what: 'crypto.subtle, CompressionStream, TransformStream beside the libraries themselves', needsLimpet: true },
    deploy: { run: deploy, what: 'POST of a module to its first answer', needsLimpet: true },
    start: { run: start1, what: 'start to first answer, one function', needsLimpet: true },
    restart: { run: restart100, what: 'restart to first answer, 100 functions', needsLimpet: true },
    memory: { run: memory, what: 'idle server, live isolate', needsLimpet: true },
    functions: { run: functions, what: 'many functions under 1,024 descriptors: memory, rest, first call again, restart', needsLimpet: true },
    steps: { run: steps, what: '64 executions at once, 10 steps each, durable: limpet, restate, dbos' },
    'steps-serial': { run: stepsSerial, what: 'the same where each step makes a request, so that the one before must be durable' },
    'step-latency': { run: stepLatency, what: 'one durable step alone, beside a bare commit', needsLimpet: true },
    'workflow-latency': { run: workflowLatency, what: 'start to result of a workflow of one step: limpet, restate, dbos' },
    sleepers: { run: sleepers, what: 'many sleeping executions: memory, disk, kill -9 to serving and to the first due', needsLimpet: true },
    'sleepers-peers': { run: sleepersPeers, what: 'a tenth of the sleepers: restate, dbos' },
    resume: { run: resume, what: 'signal to result of executions with few and many records, from snapshots', needsLimpet: true },
    replay: { run: replay, what: 'signal to result without a snapshot', needsLimpet: true },
    timers: { run: timers, what: 'many executions due in one second', needsLimpet: true },
    neighbors: { run: neighbors, what: 'hello alone and beside each hostile function on one engine thread', needsLimpet: true },
    limits: { run: limits, what: 'live isolates, unread answers and a log flood at once: memory, lost writes', needsLimpet: true },
    actors: { run: actors, what: '64 actors that increment, durable: limpet, workerd' },
    'actor-latency': { run: actorLatency, what: 'one actor and one client, read and write in a call, beside a bare commit', needsLimpet: true },
    'actors-idle': { run: actorsIdle, what: 'many actors used once: memory, first call again', needsLimpet: true },
    soak: { run: soak, what: 'mixed load: growth, wrong answers', needsLimpet: true },
};

const USAGE = `usage: bench/run BUILD_FOLDER [options]
  --only CASE[,CASE]    run these cases: ${Object.keys(CASES).join(' ')}
  --without NAME[,NAME] leave out these servers: limpet workerd node nginx deno bun restate dbos
  --seconds N           length of one load (5)
  --rounds N            loads a server, interleaved, medians compared (3)
  --repeats N           deploys; starts are a quarter of it (30)
  --isolates N          live isolates for the memory and limits cases (500)
  --functions N         deployed (10000)
  --connections N       that do not read, in the limits case (10000)
  --neighbors A[,B]     of the neighbors case only these: ${Object.keys(NEIGHBORS).join(' ')}
  --sleepers N          sleeping executions (100000)
  --timers N            executions due in one second (10000)
  --records N           of the journal that is replayed (100000)
  --quick               loads of 1 s in one round, a tenth of the above: to see that it works
  --soak-seconds N      length of the mixed load (20; the budget is for 600)
  --json                print JSON on standard output, the table on standard error
`;

async function main(): Promise<number> {
    const { values, positionals } = parseArgs({
        allowPositionals: true,
        options: {
            only: { type: 'string' }, without: { type: 'string' }, seconds: { type: 'string' }, rounds: { type: 'string' },
            repeats: { type: 'string', default: '30' }, isolates: { type: 'string', default: '500' }, 'soak-seconds': { type: 'string', default: '20' },
            functions: { type: 'string' }, connections: { type: 'string' }, neighbors: { type: 'string' }, sleepers: { type: 'string' }, timers: { type: 'string' }, records: { type: 'string' }, quick: { type: 'boolean', default: false },
            json: { type: 'boolean', default: false }, help: { type: 'boolean', default: false },
        },
    });
    if (values.help || positionals.length !== 1) {
        process.stderr.write(USAGE);
        return values.help ? 0 : 2;
    }
    const number = (text: string, name: string) => {
        const n = Number(text);
        if (!(n > 0)) throw new Error(`--${name} must be a number above zero, not "${text}"`);
        return n;
    };
    const many = (name: 'functions' | 'connections' | 'sleepers' | 'timers' | 'records', all: number) => number(values[name] ?? String(values.quick ? all / 10 : all), name);
    process.env.LIMPET_BIN = path.join(positionals[0]!, 'limpet');
    const without = new Set(values.without?.split(',') ?? []);
    const names = values.only?.split(',') ?? Object.keys(CASES);
    for (const name of names) if (!CASES[name]) throw new Error(`no case "${name}"; there are: ${Object.keys(CASES).join(' ')}`);

    const hostile = values.neighbors?.split(',') ?? Object.keys(NEIGHBORS);
    for (const name of hostile) if (!NEIGHBORS[name]) throw new Error(`no neighbor "${name}"; there are: ${Object.keys(NEIGHBORS).join(' ')}`);

    const dir = tempDir('limpet-bench-');
    process.env.TMPDIR = dir; // the servers' data folders go with it
    const ctx: Context = {
        dir, without, neighbors: hostile,
        seconds: number(values.seconds ?? (values.quick ? '1' : '5'), 'seconds'), rounds: number(values.rounds ?? (values.quick ? '1' : '3'), 'rounds'), repeats: number(values.repeats, 'repeats'),
        isolates: number(values.isolates, 'isolates'), soakSeconds: number(values['soak-seconds'], 'soak-seconds'),
        functions: many('functions', 10_000), connections: many('connections', 10_000), sleepers: many('sleepers', 100_000), timers: many('timers', 10_000), records: many('records', 100_000),
        progress: (text) => process.stderr.write(`  ${text}\n`),
    };
    const about = { ...machine(), ...(await versions()) };
    const rows: Row[] = [];
    const broken: { case: string; error: string }[] = [];
    try {
        for (const name of names) {
            const c = CASES[name]!;
            if (c.needsLimpet && without.has('limpet')) continue;
            process.stderr.write(`${name}: ${c.what}\n`);
            try {
                rows.push(...(await c.run(ctx)));
            } catch (e) {
                broken.push({ case: name, error: String(e instanceof Error ? e.message : e) });
                process.stderr.write(`  broken: ${broken.at(-1)!.error}\n`);
            }
        }
    } finally {
        fs.rmSync(dir, { recursive: true, force: true });
    }

    const failed = rows.filter((r) => passes(r) === false).length;
    const discarded = rows.filter((r) => r.budget && r.isDiscarded).length;
    const text = [
        '',
        Object.entries(about).map(([k, v]) => `${k} ${v}`).join(', '),
        `one core a server, load from another (durable cases: the whole machine for each); loads of ${ctx.seconds} s, medians of ${ctx.rounds} rounds`,
        '',
        table(rows),
        '',
        ...broken.map((b) => `broken: ${b.case}: ${b.error}`),
        `${rows.filter((r) => passes(r)).length} budgets met, ${failed} missed, ${broken.length} cases broken${discarded ? `, ${discarded} figures discarded: the disk was not the same before and after, or the machine was not idle` : ''}`,
        '',
    ].join('\n');
    (values.json ? process.stderr : process.stdout).write(text);
    if (values.json) process.stdout.write(JSON.stringify({ about, rows: rows.map((r) => ({ ...r, pass: passes(r) })), broken }, null, 2) + '\n');
    return failed || broken.length ? 1 : 0;
}

const isAttack = process.argv[2] === '--attack'; // started by the case neighbors
(isAttack ? attackMain(process.argv.slice(3)).then(() => 0) : main()).then(
    (code) => (process.exitCode = code),
    (e) => {
        process.stderr.write(`bench: ${e instanceof Error ? e.message : e}\n`);
        process.exitCode = 2;
    },
);
