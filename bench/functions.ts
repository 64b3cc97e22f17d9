// SPDX-License-Identifier: Apache-2.0
//
// Many functions on one server that may open 1,024 descriptors: each is called once, they rest, some are called again,
// the server is restarted. Every answer is checked.
import fs from 'node:fs';
import http from 'node:http';
import { setTimeout as pause } from 'node:timers/promises';
import { type Server, send, tempDir } from '../tests/server/harness.ts';
import { startWhole } from './limpet.ts';
import { median } from './load.ts';
import type { Context } from './main.ts';
import { freePort } from './peers.ts';
import type { Row } from './report.ts';

const DESCRIPTORS = 1024;
const REST_S = 60;
const AT_ONCE = 16;

const now = () => Number(process.hrtime.bigint()) / 1e6;
const nameOf = (i: number) => `f${i}`;
const moduleOf = (i: number) => `const mine = ${i};\nexport default { fetch(request) { return Response.json({ mine, path: new URL(request.url).pathname }); } };\n`;

/** Runs task(0) … task(count - 1), AT_ONCE of them at a time. */
async function each(count: number, task: (i: number) => Promise<void>): Promise<void> {
    let next = 0;
    await Promise.all(Array.from({ length: AT_ONCE }, async () => {
        while (next < count) await task(next++);
    }));
}

async function call(port: number, i: number, agent: http.Agent): Promise<void> {
    const res = await send(port, '/a', { host: `${nameOf(i)}.localhost:${port}`, agent });
    if (res.status !== 200 || res.json.mine !== i || res.json.path !== '/a') throw new Error(`function ${i}: ${res.status} ${res.text}`);
}

async function deployAll(s: Server, count: number, progress: (text: string) => void): Promise<void> {
    await each(count, async (i) => {
        await s.deploy(nameOf(i), moduleOf(i));
        if (i % 1000 === 999) progress(`${i + 1} deployed`);
    });
}

export async function functions(ctx: Context): Promise<Row[]> {
    const data = tempDir('limpet-bench-');
    const wrap = ['prlimit', `--nofile=${DESCRIPTORS}:${DESCRIPTORS}`];
    const count = ctx.functions;
    const agent = new http.Agent({ keepAlive: true, maxSockets: AT_ONCE });
    const one = new http.Agent({ keepAlive: true, maxSockets: 1 });
    let s = await startWhole({ data, wrap });
    try {
        await deployAll(s, count, ctx.progress);
        await s.stop(); // what deploying has left in its memory is not what functions cost
        s = await startWhole({ data, wrap });
        const [idleRss, idlePss] = [s.rssBytes(), s.pssBytes()];
        ctx.progress(`idle: ${(idleRss / 1e6).toFixed(0)} MB resident`);
        await each(count, (i) => call(s.httpPort, i, agent));
        const [calledRss, calledPss, files] = [s.rssBytes(), s.pssBytes(), s.openFiles()];
        ctx.progress(`called: ${(calledRss / 1e6).toFixed(0)} MB resident, ${files} descriptors; resting for ${REST_S} s`);
        await pause(REST_S * 1000);
        const restRss = s.rssBytes();
        await call(s.httpPort, 0, one); // the connection, too
        const again: number[] = [];
        for (let k = 1; k <= 100; k++) {
            const i = (k * 7919) % count;
            const t = now();
            await call(s.httpPort, i, one);
            again.push(now() - t);
        }
        again.sort((a, b) => a - b);
        await s.stop();

        const starts: number[] = [];
        for (let k = 0; k < 5; k++) {
            const port = await freePort();
            const t = now();
            const starting = startWhole({ data, wrap, httpAddr: `127.0.0.1:${port}` });
            starting.catch(() => {}); // reported by the await below
            for (;;) {
                if (await call(port, k, one).then(() => true, () => false)) break;
                await new Promise((resolve) => setImmediate(resolve));
            }
            starts.push(now() - t);
            s = await starting;
            if (k < 4) await s.stop();
        }
        const all = `${count} functions`;
        return [
            { case: 'functions', what: `${all}, each called once: memory each, proportional`, figure: (calledPss - idlePss) / count / 1000, unit: 'KB', note: `resident ${((calledRss - idleRss) / count / 1000).toFixed(1)} KB; ${(calledRss / 1e6).toFixed(0)} MB in all; ${files} descriptors`, budget: { op: '<', value: 150 } },
            { case: 'functions', what: `${all}, after ${REST_S} s of rest: resident`, figure: restRss / 1e6, unit: 'MB', note: `${(idleRss / 1e6).toFixed(0)} MB before the first call`, budget: { op: '<', value: 300 } },
            { case: 'functions', what: 'first call after the rest, median of 100', figure: median(again), unit: 'ms', note: `p95 ${again[95]!.toFixed(2)} ms, max ${again.at(-1)!.toFixed(2)} ms`, budget: { op: '<', value: 5 } },
            { case: 'functions', what: `restart with ${all} to first answer`, figure: median(starts), unit: 'ms', note: `max ${Math.max(...starts).toFixed(0)} ms`, budget: { op: '<', value: 500 } },
        ];
    } finally {
        agent.destroy();
        one.destroy();
        await s.stop();
        fs.rmSync(data, { recursive: true, force: true });
    }
}
