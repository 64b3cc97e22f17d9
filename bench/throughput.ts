// SPDX-License-Identifier: Apache-2.0
//
// Cases that load servers side by side: requests a second on one core, in rounds that are interleaved across the
// servers, so that a machine whose speed drifts treats all alike; the medians are compared.
import { isDeepStrictEqual } from 'node:util';
import { type Answer, send, type Server, type UploadOptions } from '../tests/server/harness.ts';
import { startLimpet, targetOf } from './limpet.ts';
import { h2load, type Load, medianLoad, type Target, withCpu, wrk } from './load.ts';
import type { Context } from './main.ts';
import * as peers from './peers.ts';
import type { Row } from './report.ts';

export interface Contender {
    name: string;
    target: Target;
    /** The one process that serves: what a request costs it is measured, too. */
    pid?: number;
    /** Throws when what was answered during a load turns out not to be so. */
    check?: (l: Load) => Promise<void>;
}

async function ask(t: Target): Promise<Answer> {
    return send(t.port, t.path, { method: t.method, host: t.host, body: t.body });
}

/** Refuses to measure a server that answers wrongly. */
async function verify(c: Contender, expected: unknown): Promise<void> {
    const res = await ask(c.target);
    if (res.status !== 200 || !isDeepStrictEqual(res.json, expected))
        throw new Error(`${c.name} answers wrongly: ${res.status} ${res.text.slice(0, 200)}`);
}

export async function contest(ctx: Context, contenders: Contender[], load = wrk as (dir: string, t: Target, s: number) => Promise<Load>, warmUpSeconds = 1): Promise<Map<string, Load>> {
    const results = new Map<string, Load[]>();
    for (const c of contenders) await load(ctx.dir, c.target, warmUpSeconds); // JITs, pools
    for (let round = 0; round < ctx.rounds; round++) {
        for (const c of contenders) {
            const one = () => load(ctx.dir, c.target, ctx.seconds);
            const l = await (c.pid === undefined ? one() : withCpu(c.pid, one));
            await c.check?.(l);
            ctx.progress(`round ${round + 1}/${ctx.rounds} ${c.name}: ${Math.round(l.perSecond)}/s`);
            results.set(c.name, [...(results.get(c.name) ?? []), l]);
        }
    }
    return new Map([...results].map(([name, loads]) => [name, medianLoad(loads)]));
}

function rateRow(name: string, who: string, l: Load, budget?: Row['budget']): Row {
    return { case: name, what: `${who}, requests a second`, figure: l.perSecond, unit: '/s', load: l, budget };
}

/** Starts those of the servers that are wanted, runs fn, ends them all. */
export async function withAll<T>(ctx: Context, starts: [string, () => Promise<Omit<Contender, 'name'> & { stop(): Promise<void> }>][], fn: (list: Contender[]) => Promise<T>): Promise<T> {
    const started: (Contender & { stop(): Promise<void> })[] = [];
    try {
        for (const [name, start] of starts) {
            if (ctx.without.has(name)) continue;
            if (!peers.isInstalled(name)) ctx.progress(`${name} is not there for this machine, left out`);
            else started.push({ ...(await start()), name });
        }
        return await fn(started);
    } finally {
        for (const ended of await Promise.allSettled(started.map((s) => s.stop()))) if (ended.status === 'rejected') ctx.progress(String(ended.reason));
    }
}

async function limpetWith(module: string, options: UploadOptions = {}, more: Partial<Target> = {}) {
    const s = await startLimpet();
    try {
        await s.deploy('bench', module, options);
    } catch (e) {
        await s.stop(); // or it keeps this process from ending
        throw e;
    }
    return { target: targetOf(s, 'bench', more), pid: s.pid, stop: () => s.stop() };
}

export async function hello(ctx: Context): Promise<Row[]> {
    return withAll(ctx, [
        ['limpet', () => limpetWith(peers.HELLO_MODULE)],
        ['workerd', () => peers.workerd(ctx.dir, peers.HELLO_MODULE)],
        ['node', () => peers.node(ctx.dir)],
        ['nginx', () => peers.nginx(ctx.dir)],
        ['deno', () => peers.deno(ctx.dir)],
        ['bun', () => peers.bun(ctx.dir)],
    ], async (list) => {
        for (const c of list) await verify(c, { hello: 'world' });
        const loads = await contest(ctx, list);
        const rows = [...loads].map(([who, l]) => rateRow('hello', who, l));
        const limpet = loads.get('limpet');
        if (!limpet) return rows;
        const least: Record<string, number | undefined> = { workerd: 5, node: 1.5, nginx: 0.4 };
        for (const [who, l] of loads) {
            if (who === 'limpet') continue;
            rows.push({ case: 'hello', what: `limpet against ${who}`, figure: limpet.perSecond / l.perSecond, unit: 'x', budget: least[who] ? { op: '>=', value: least[who] } : undefined });
        }
        const deno = loads.get('deno');
        rows.push({
            case: 'hello', what: 'limpet p99', figure: limpet.p99Us / 1000, unit: 'ms',
            budget: deno && { op: '<=', value: deno.p99Us / 1000 }, note: deno && "budget: deno's p99",
        });
        rows.push({ case: 'hello', what: 'limpet, user CPU a request', figure: limpet.userUs!, unit: 'us', budget: { op: '<=', value: 7 } });
        return rows;
    });
}

/** HTTP/2 in clear text; no budget, for orientation. */
export async function helloH2(ctx: Context): Promise<Row[]> {
    return withAll(ctx, [
        ['limpet', () => limpetWith(peers.HELLO_MODULE)],
        ['nginx', () => peers.nginx(ctx.dir, true)],
    ], async (list) => {
        const loads = await contest(ctx, list, (_dir, t, s) => h2load(t, s));
        return [...loads].map(([who, l]) => rateRow('hello-h2', who, l));
    });
}

/** About 10 KB with the mix of an ordinary API answer: strings with escapes, integers, decimals, nesting. */
export function json10k(): string {
    const items = [];
    for (let i = 0; JSON.stringify({ items }).length < 10_000; i++) {
        items.push({
            id: 1000 + i, name: `item number ${i}`, price: Math.round(i * 1999.5) / 100, isActive: i % 3 === 0, parent: i % 5 ? i - 1 : null,
            tags: ['alpha', 'beta "quoted"', 'größe ✓', `line\n${i}`], size: { width: i * 1.25, height: -i, unit: 'mm' },
        });
    }
    return JSON.stringify({ items });
}

export async function json(ctx: Context): Promise<Row[]> {
    const body = json10k();
    const request = { method: 'POST', body };
    return withAll(ctx, [
        ['limpet', () => limpetWith(peers.JSON_MODULE, {}, request)],
        ['workerd', async () => {
            const w = await peers.workerd(ctx.dir, peers.JSON_MODULE);
            return { ...w, target: { ...w.target, ...request } };
        }],
    ], async (list) => {
        for (const c of list) await verify(c, JSON.parse(body));
        const loads = await contest(ctx, list);
        const rows = [...loads].map(([who, l]) => rateRow('json10k', who, l));
        const [limpet, workerd] = [loads.get('limpet'), loads.get('workerd')];
        if (limpet && workerd) rows.push({ case: 'json10k', what: 'limpet against workerd', figure: limpet.perSecond / workerd.perSecond, unit: 'x', budget: { op: '>=', value: 0.5 } });
        return rows;
    });
}

/** The same function twice in one server: with a pristine isolate for each request, and with one kept. */
export async function pristine(ctx: Context): Promise<Row[]> {
    const s = await startLimpet();
    try {
        await s.deploy('pristine', peers.HELLO_MODULE);
        await s.deploy('kept', peers.HELLO_MODULE, { isolation: 'module' });
        const list = ['pristine', 'kept'].map((name) => ({ name, target: targetOf(s, name), pid: s.pid }));
        for (const c of list) await verify(c, { hello: 'world' });
        const loads = await contest(ctx, list);
        const us = (name: string) => 1e6 / loads.get(name)!.perSecond;
        return [
            ...[...loads].map(([who, l]) => rateRow('pristine', who, l)),
            { case: 'pristine', what: 'pristine over kept, a request', figure: us('pristine') - us('kept'), unit: 'us', budget: { op: '<', value: 8 } },
        ];
    } finally {
        await s.stop();
    }
}

const SQL_MODULE = `
import { exec } from "derp:runtime/sql";
export default {
  fetch(request) {
    const id = 1 + Math.floor(Math.random() * 1000);
    return Response.json(exec("SELECT id, name, price FROM items WHERE id = ?", id).one());
  },
};
export const handler = {
  setup() {
    exec("CREATE TABLE items (id INTEGER PRIMARY KEY, name TEXT NOT NULL, price REAL NOT NULL)");
    exec("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000) INSERT INTO items SELECT i, 'item ' || i, i * 1.5 FROM n");
  },
  handle() { return {}; },
};
`;

export async function sql(ctx: Context): Promise<Row[]> {
    const s: Server = await startLimpet();
    try {
        await s.deploy('sql', SQL_MODULE);
        const res = await s.request('sql');
        const row = res.json;
        if (res.status !== 200 || row.name !== `item ${row.id}` || row.price !== row.id * 1.5) throw new Error(`wrong answer: ${res.status} ${res.text}`);
        const load = (await contest(ctx, [{ name: 'limpet', target: targetOf(s, 'sql'), pid: s.pid }])).get('limpet')!;
        return [rateRow('sql', 'one SQL read and a JSON answer', load, { op: '>=', value: 20_000 })];
    } finally {
        await s.stop();
    }
}
