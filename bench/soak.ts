// SPDX-License-Identifier: Apache-2.0
//
// Mixed load for minutes: good requests whose answers are checked one by one, and beside them throwing, looping,
// allocating, recursing and never-ending functions and clients that go away. The time is cut into segments; between
// them all clients stop, and what the idle server then holds is compared with what it held after the first two. Memory is the
// proportional share (PSS): resident memory counts the pages of an image once for each isolate that maps it.
import http from 'node:http';
import { type Server, until } from '../tests/server/harness.ts';
import { startLimpet } from './limpet.ts';
import { median } from './load.ts';
import type { Context } from './main.ts';
import { formatFigure, type Row } from './report.ts';

const MODULES: Record<string, string> = {
    good: `export default { async fetch(request) { const body = await request.json(); return Response.json({ ...body, sum: body.values.reduce((a, b) => a + b, 0) }); } };`,
    sql: `import { exec, transaction } from "derp:runtime/sql";
export const handler = {
  setup() { exec("CREATE TABLE counts (k INTEGER PRIMARY KEY, n INTEGER NOT NULL)"); },
  handle(req) {
    return transaction(() => {
      exec("INSERT INTO counts VALUES (?, 1) ON CONFLICT (k) DO UPDATE SET n = n + 1", req.body.k);
      return { k: req.body.k, n: exec("SELECT n FROM counts WHERE k = ?", req.body.k).one().n };
    });
  },
};`,
    throws: `export default { fetch() { throw new TypeError("on purpose"); } };`,
    loops: `export default { fetch() { for (;;) ; } };`,
    hoards: `export default { fetch() { const all = []; for (;;) all.push(new Uint8Array(1 << 20).fill(7)); } };`,
    recurses: `export default { fetch() { const f = (n) => f(n + 1) + 1; return new Response(String(f(0))); } };`,
    streams: `export default { fetch(request) { return new Response(request.body); } };`,
    slow: `export default { async fetch() { await new Promise((r) => setTimeout(r, 3_000)); return new Response("late"); } };`,
};

interface Tally {
    right: number;
    wrong: string[];
    ended: number;
    aborted: number;
    latenciesUs: number[];
}

function client(s: Server, agent: http.Agent, tally: Tally, counted: Map<number, number>) {
    const ask = (name: string, body?: string) => s.request(name, '/', { agent, ...(body === undefined ? {} : { method: 'POST', body, headers: { 'content-type': 'application/json' } }) });
    const check = (what: string, isRight: boolean, shown: string) => {
        if (isRight) tally.right++;
        else tally.wrong.push(`${what}: ${shown.slice(0, 200)}`);
    };
    let serial = 0;
    return {
        async good() {
            const n = serial++;
            const t = process.hrtime.bigint();
            const res = await ask('good', JSON.stringify({ id: `x${n}`, values: [n, 2, 3.5] }));
            tally.latenciesUs.push(Number(process.hrtime.bigint() - t) / 1000);
            check('good', res.status === 200 && res.json.id === `x${n}` && res.json.sum === n + 5.5, `${res.status} ${res.text}`);
        },
        /** Only this client writes the keys k, so that each count must be one more than the last. */
        async sql(k: number) {
            const res = await ask('sql', JSON.stringify({ k }));
            const expected = (counted.get(k) ?? 0) + 1;
            check('sql', res.status === 200 && res.json.n === expected, `${res.status} ${res.text}, expected ${expected}`);
            counted.set(k, expected);
        },
        async stream() {
            const text = `chunk ${serial++} `.repeat(20_000);
            const res = await ask('streams', text);
            check('streams', res.status === 200 && res.text === text, `${res.status}, ${res.text.length} of ${text.length} bytes`);
        },
        async fails(name: string, status: number, code: string) {
            const res = await ask(name);
            tally.ended++;
            check(name, res.status === status && res.json.error?.code === code, `${res.status} ${res.text}`);
        },
        /** Goes away in the middle. */
        async abort(name: string) {
            await new Promise<void>((resolve) => {
                const req = http.request({ host: '127.0.0.1', port: s.httpPort, method: 'POST', headers: { host: s.host(name), 'content-length': 1_000_000 } });
                req.on('error', () => resolve());
                req.write('x'.repeat(1000 + (serial++ % 7) * 20_000), () => setImmediate(() => req.destroy(new Error('gone'))));
                req.on('response', (res) => res.resume());
                req.on('close', () => resolve());
            });
            tally.aborted++;
        },
    };
}

/** Runs job again and again, on its own, until the time is over. */
async function repeat(end: number, job: () => Promise<void>, tally: Tally): Promise<void> {
    while (Date.now() < end) {
        try {
            await job();
        } catch (e) {
            tally.wrong.push(`broken off: ${e}`);
            if (tally.wrong.length > 100) return;
        }
    }
}

export async function soak(ctx: Context): Promise<Row[]> {
    const s = await startLimpet();
    try {
        for (const [name, source] of Object.entries(MODULES)) await s.deploy(name, source);
        const tally: Tally = { right: 0, wrong: [], ended: 0, aborted: 0, latenciesUs: [] };
        const segments = 10;
        const samples: { rss: number; pss: number; files: number; p50: number }[] = [];
        const counted = new Map<number, number>(); // what the sql function must have counted
        for (let segment = 0; segment < segments; segment++) {
            const agent = new http.Agent({ keepAlive: true });
            const c = client(s, agent, tally, counted);
            tally.latenciesUs = [];
            const end = Date.now() + (ctx.soakSeconds * 1000) / segments;
            await Promise.all([
                ...Array.from({ length: 6 }, () => repeat(end, () => c.good(), tally)),
                repeat(end, () => c.sql(1), tally),
                repeat(end, () => c.stream(), tally),
                repeat(end, () => c.fails('throws', 500, 'guest_error'), tally),
                repeat(end, () => c.fails('loops', 500, 'limit_cpu'), tally),
                repeat(end, () => c.fails('hoards', 500, 'limit_memory'), tally),
                repeat(end, () => c.fails('recurses', 500, 'limit_stack'), tally),
                repeat(end, () => c.abort('streams'), tally),
                repeat(end, () => c.abort('slow'), tally),
            ]);
            agent.destroy();
            await until('the server is idle', async () => {
                const m = await s.metrics();
                return m.get('limpet_isolates{state="live"}') === 0 && m.get('limpet_connections') === 0;
            });
            samples.push({ rss: s.rssBytes(), pss: s.pssBytes(), files: s.openFiles(), p50: median(tally.latenciesUs) });
            const last = samples.at(-1)!;
            ctx.progress(`segment ${segment + 1}/${segments}: ${formatFigure(last.pss / 1e6)} MB, ${last.files} descriptors, ${tally.right} right, ${tally.wrong.length} wrong`);
            if (tally.wrong.length) break;
        }
        const settled = samples[Math.min(1, samples.length - 1)]!;
        const last = samples.at(-1)!;
        const growth = (last.pss - settled.pss) / 1e6;
        return [
            { case: 'soak', what: `wrong answers in ${ctx.soakSeconds} s of mixed load`, figure: tally.wrong.length, unit: '', note: tally.wrong[0] ?? `${tally.right} right, ${tally.ended} of them ended by a limit or exception, ${tally.aborted} aborted`, budget: { op: '<=', value: 0 } },
            { case: 'soak', what: 'growth of memory (proportional) when idle', figure: growth, unit: 'MB', note: samples.map((x) => Math.round(x.pss / 1e6)).join(' ') + `; resident ${Math.round(last.rss / 1e6)}`, budget: { op: '<=', value: Math.max(8, (settled.pss / 1e6) * 0.1) } },
            { case: 'soak', what: 'growth of open descriptors', figure: last.files - settled.files, unit: '', note: samples.map((x) => x.files).join(' '), budget: { op: '<=', value: 0 } },
            { case: 'soak', what: 'p50 of good requests, last segment', figure: last.p50 / 1000, unit: 'ms', note: `second segment ${formatFigure(settled.p50 / 1000)} ms` },
        ];
    } finally {
        await s.stop();
    }
}
