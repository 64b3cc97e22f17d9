// SPDX-License-Identifier: Apache-2.0
//
// Actors (Durable Objects): increments that are durable before they are answered, of 64 actors at once beside workerd's; one actor with
// one client, beside a bare commit; and very many that were used once.
import fs from 'node:fs';
import http from 'node:http';
import { setTimeout as pause } from 'node:timers/promises';
import { send, type Server, tempDir } from '../tests/server/harness.ts';
import { commits } from './commits.ts';
import { startLimpet, startWhole, targetOf } from './limpet.ts';
import { median, wrk } from './load.ts';
import type { Context } from './main.ts';
import * as peers from './peers.ts';
import type { Row } from './report.ts';
import { contest, withAll } from './throughput.ts';

const AT_ONCE = 64;

/** The same on both. */
const MODULE = `import { DurableObject } from "cloudflare:workers";
export class Counter extends DurableObject {
    async increment() {
        const value = (await this.ctx.storage.get("value") ?? 0) + 1;
        await this.ctx.storage.put("value", value);
        return value;
    }
}
export default { async fetch(request, env) {
    const name = new URL(request.url).searchParams.get("name") ?? "a" + Math.floor(Math.random() * ${AT_ONCE});
    return Response.json(await env.COUNTER.get(env.COUNTER.idFromName(name)).increment());
} };
`;
const BINDINGS = [{ type: 'durable_object_namespace', name: 'COUNTER', class_name: 'Counter' }];

async function counter(s: Server): Promise<void> {
    try {
        await s.deploy('bench', MODULE, { bindings: BINDINGS });
    } catch (e) {
        await s.stop();
        throw e;
    }
}

export async function actors(ctx: Context): Promise<Row[]> {
    return withAll(ctx, [
        ['limpet', async () => {
            const s = await startLimpet();
            await counter(s);
            return { target: targetOf(s, 'bench'), pid: s.pid, stop: () => s.stop() };
        }],
        ['workerd', () => peers.workerd(ctx.dir, MODULE, ['COUNTER', 'Counter'])],
    ], async (list) => {
        const loads = await contest(ctx, list);
        const rows: Row[] = [...loads].map(([who, l]) => ({ case: 'actors', what: `${who}, increments of ${AT_ONCE} actors, a second`, figure: l.perSecond, unit: '/s', load: l }));
        const [limpet, workerd] = [loads.get('limpet'), loads.get('workerd')];
        if (limpet && workerd)
            rows.push({ case: 'actors', what: 'limpet against workerd', figure: limpet.perSecond / workerd.perSecond, unit: 'x', budget: { op: '>=', value: 20 }, note: 'the same module, stored on the same disk' });
        return rows;
    });
}

export async function actorLatency(ctx: Context): Promise<Row[]> {
    const s = await startLimpet();
    try {
        await counter(s);
        const target = targetOf(s, 'bench', { path: '/?name=one' });
        await wrk(ctx.dir, target, 1, 1);
        const disk = await commits(ctx, 300);
        const load = await wrk(ctx.dir, target, ctx.seconds, 1);
        const after = await commits(ctx, 300);
        const commit = (disk.p50Us + after.p50Us) / 2000;
        return [{
            case: 'actor-latency', what: 'one actor, one client: read and write in a call', figure: load.p50Us / 1000, unit: 'ms', load,
            note: `one commit takes ${commit.toFixed(3)} ms`, budget: { op: '<', value: commit + 0.2 },
        }];
    } finally {
        await s.stop();
    }
}

export async function actorsIdle(ctx: Context): Promise<Row[]> {
    const data = tempDir('limpet-bench-');
    const count = ctx.sleepers;
    const s = await startWhole({ data, args: ['--rest-ms', '2000'] });
    const agent = new http.Agent({ keepAlive: true, maxSockets: AT_ONCE });
    try {
        await counter(s);
        const call = async (i: number, n: number) => {
            const res = await send(s.httpPort, `/?name=n${i}`, { host: s.host('bench'), agent });
            if (res.status !== 200 || res.json !== n) throw new Error(`actor ${i}: ${res.status} ${res.text}`);
        };
        for (let i = 0; i < 200; i++) await call(count + i, 1);
        await pause(8000);
        const before = s.rssBytes();
        let next = 0;
        await Promise.all(Array.from({ length: AT_ONCE }, async () => {
            while (next < count) {
                if (next % 10_000 === 9999) ctx.progress(`${next + 1} used`);
                await call(next++, 1);
            }
        }));
        await pause(12_000); // they rest, and memory is given back
        const rss = s.rssBytes();
        const again: number[] = [];
        await call(0, 2); // the function itself has rested, too
        for (let k = 1; k <= 100; k++) {
            const t = process.hrtime.bigint();
            await call((k * 7919) % count, 2);
            again.push(Number(process.hrtime.bigint() - t) / 1e6);
        }
        again.sort((a, b) => a - b);
        return [
            { case: 'actors-idle', what: `${count} actors used once, at rest: resident more`, figure: (rss - before) / 1e6, unit: 'MB', note: `${(before / 1e6).toFixed(0)} MB before`, budget: { op: '<', value: 100 } },
            { case: 'actors-idle', what: 'first call after the rest, median of 100', figure: median(again), unit: 'ms', note: `p95 ${again[95]!.toFixed(2)} ms, max ${again.at(-1)!.toFixed(2)} ms`, budget: { op: '<', value: 2 } },
        ];
    } finally {
        agent.destroy();
        await s.stop();
        fs.rmSync(data, { recursive: true, force: true });
    }
}
