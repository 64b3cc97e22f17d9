// SPDX-License-Identifier: Apache-2.0
//
// Cases that take a time once, many times over: deploy, start, restart; and memory held.
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { type Server, send, tempDir, until } from '../tests/server/harness.ts';
import { startLimpet } from './limpet.ts';
import { median } from './load.ts';
import type { Context } from './main.ts';
import { freePort } from './peers.ts';
import type { Row } from './report.ts';

const MS = 1e6;
const now = () => Number(process.hrtime.bigint());

function helloModule(answer: string): string {
    return `export default { fetch(request: Request): Response { return Response.json({ hello: ${JSON.stringify(answer)} }); } };\n`;
}

/** Asks without a pause until the function answers as expected. */
async function firstAnswer(port: number, host: string, answer: string): Promise<void> {
    const end = Date.now() + 60_000;
    for (;;) {
        const res = await send(port, '/', { host }).catch(() => undefined);
        if (res?.status === 200 && res.json.hello === answer) return;
        if (Date.now() > end) throw new Error(`${host} does not answer: ${res?.status} ${res?.text}`);
        await new Promise((resolve) => setImmediate(resolve));
    }
}

/** Median time of a bare 4 KiB append and sync, where the server's data lies: deploys wait for a few of those. */
function syncMs(dir: string): number {
    const file = path.join(dir, 'sync-probe');
    const fd = fs.openSync(file, 'w');
    const times: number[] = [];
    for (let i = 0; i < 21; i++) {
        const t = now();
        fs.writeSync(fd, Buffer.alloc(4096, i));
        fs.fdatasyncSync(fd);
        times.push(now() - t);
    }
    fs.closeSync(fd);
    fs.unlinkSync(file);
    return median(times) / MS;
}

export async function deploy(ctx: Context): Promise<Row[]> {
    const s = await startLimpet();
    try {
        await s.deploy('warm', helloModule('warm'));
        const before = syncMs(s.data);
        const times: number[] = [];
        for (let i = 0; i < ctx.repeats; i++) {
            const name = `deploy-${i}`;
            const body = { name, source: helloModule(name) };
            const t = now();
            const res = await s.api('POST', '/functions', body);
            if (res.status !== 202) throw new Error(`upload: ${res.status} ${res.text}`);
            await firstAnswer(s.httpPort, s.host(name), name);
            times.push((now() - t) / MS);
        }
        const after = syncMs(s.data);
        return [{
            case: 'deploy', what: `POST of a hello module to its first answer, median of ${ctx.repeats}`, figure: median(times), unit: 'ms',
            note: `max ${Math.max(...times).toFixed(0)} ms; a bare sync ${before.toFixed(2)} ms before, ${after.toFixed(2)} ms after`, budget: { op: '<', value: 100 },
        }];
    } finally {
        await s.stop();
    }
}

/** From the start of the process to the first right answer, with `count` functions deployed. */
async function startTimes(ctx: Context, count: number): Promise<number[]> {
    const data = tempDir('limpet-bench-');
    try {
        const first = await startLimpet({ data });
        try {
            for (let i = 0; i < count; i++) await first.deploy(`f${i}`, helloModule(`f${i}`));
        } finally {
            await first.stop();
        }
        const times: number[] = [];
        for (let i = 0; i < Math.max(3, Math.ceil(ctx.repeats / 4)); i++) {
            const httpPort = await freePort();
            const name = `f${(i * 37) % count}`;
            const t = now();
            const starting = startLimpet({ data, httpAddr: `127.0.0.1:${httpPort}` });
            starting.catch(() => {}); // reported by the await below
            await firstAnswer(httpPort, `${name}.localhost:${httpPort}`, name);
            times.push((now() - t) / MS);
            const s = await starting;
            for (let n = 0; n < count; n += 7) await firstAnswer(s.httpPort, s.host(`f${n}`), `f${n}`);
            await s.stop();
        }
        return times;
    } finally {
        fs.rmSync(data, { recursive: true, force: true });
    }
}

export async function start1(ctx: Context): Promise<Row[]> {
    const times = await startTimes(ctx, 1);
    return [{ case: 'start', what: 'start of the server to first answer, one function', figure: median(times), unit: 'ms', note: `max ${Math.max(...times).toFixed(0)} ms`, budget: { op: '<', value: 50 } }];
}

export async function restart100(ctx: Context): Promise<Row[]> {
    const times = await startTimes(ctx, 100);
    return [{ case: 'restart', what: 'restart with 100 functions to first answer', figure: median(times), unit: 'ms', note: `max ${Math.max(...times).toFixed(0)} ms`, budget: { op: '<', value: 75 } }];
}

const WAITING_MODULE = `
export default {
  async fetch(request: Request) {
    const path = new URL(request.url).pathname;
    await new Promise((resolve) => setTimeout(resolve, 25_000));
    return Response.json({ path });
  },
};
`;

/** Opens requests whose functions have begun and now await a timer; the server's own count says when all do. */
async function openWaiting(s: Server, name: string, count: number, total: number): Promise<http.ClientRequest[]> {
    const agent = new http.Agent({ maxSockets: Infinity });
    const requests = Array.from({ length: count }, (_, i) => {
        const req = http.get({ host: '127.0.0.1', port: s.httpPort, path: `/${i}`, agent, headers: { host: s.host(name) } });
        req.on('error', () => {}); // we break it off
        return req;
    });
    await until(`${total} isolates wait`, async () => (await s.metrics()).get('limpet_isolates{state="live"}') === total);
    return requests;
}

const mb = (bytes: number) => bytes / 1e6;

export async function memory(ctx: Context): Promise<Row[]> {
    const idle = await startLimpet();
    let rows: Row[];
    try {
        rows = [{ case: 'memory', what: 'idle server, resident', figure: mb(idle.rssBytes()), unit: 'MB', note: `proportional ${mb(idle.pssBytes()).toFixed(1)} MB`, budget: { op: '<', value: 60 } }];
    } finally {
        await idle.stop();
    }
    const s = await startLimpet();
    try {
        await s.deploy('waiting', WAITING_MODULE);
        const count = ctx.isolates;
        const few = await openWaiting(s, 'waiting', 16, 16); // what one request brings with it once is not an isolate's
        const [rss, pss] = [s.rssBytes(), s.pssBytes()];
        const many = await openWaiting(s, 'waiting', count, count + 16);
        const [rssMore, pssMore] = [s.rssBytes() - rss, s.pssBytes() - pss];
        rows.push({
            case: 'memory', what: `a live isolate awaiting a timer, proportional, of ${count}`, figure: pssMore / count / 1000, unit: 'KB',
            note: `resident (image pages counted for each) ${(rssMore / count / 1000).toFixed(0)} KB; with its connection and request`, budget: { op: '<', value: 300 },
        });
        for (const req of [...few, ...many]) req.destroy();
        await until('the server is idle again', async () => (await s.admin('/healthz')).status === 200);
        return rows;
    } finally {
        await s.stop();
    }
}

export function machine(): Record<string, string> {
    const cpu = /^model name\s*:\s*(.*)$/m.exec(fs.readFileSync('/proc/cpuinfo', 'utf8'))?.[1] ?? 'unknown';
    const load = fs.readFileSync('/proc/loadavg', 'utf8').split(' ')[0]!;
    return { cpu, cores: String(spawnSync('nproc', { encoding: 'utf8' }).stdout.trim()), kernel: spawnSync('uname', ['-r'], { encoding: 'utf8' }).stdout.trim(), load };
}
