// SPDX-License-Identifier: Apache-2.0
//
// Everything at once: live isolates, connections whose answers nobody reads, a flood of log lines; and clients whose writes are
// acknowledged meanwhile. What the server holds is compared with what it was allowed; then it is killed, and what it had
// acknowledged is counted.
import fs from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { send, type Server, tempDir, until } from '../tests/server/harness.ts';
import { deployWorkflow } from '../tests/server/workflow-harness.ts';
import { startWhole } from './limpet.ts';
import type { Context } from './main.ts';
import type { Row } from './report.ts';

const MEMORY = 1 << 30;
const WRITERS = 8;
/** Beside those of connections: the program's own, isolates' and modules' files. */
const RESERVE = 2048;

const MODULES: Record<string, string> = {
    sleeps: 'export default { async fetch() { await new Promise((r) => setTimeout(r, 500_000)); return new Response("late"); } };',
    talks: 'export default { fetch() { return new Response("x".repeat(1_000_000)); } };',
    logs: 'const text = "x".repeat(4000); export default { fetch() { for (;;) console.log(text); } };',
    writes: `import { exec } from "derp:runtime/sql";
export const handler = { setup() { exec("CREATE TABLE kept (k INTEGER PRIMARY KEY)"); }, handle() { return {}; } };
export default { fetch(request) {
  const k = new URL(request.url).searchParams.get("k");
  if (k === null) return Response.json(exec("SELECT k FROM kept").toArray().map((row) => row.k));
  exec("INSERT INTO kept VALUES (?)", Number(k));
  return Response.json({ k: Number(k) });
} };`,
};
const WORKFLOW = 'import { workflow, waitForEvent } from "limpet"; export default workflow(async () => waitForEvent("never"));';

function descriptors(): number {
    const m = /^Max open files\s+\S+\s+(\S+)/m.exec(fs.readFileSync('/proc/self/limits', 'utf8'))![1]!;
    return m === 'unlimited' ? Infinity : Number(m);
}

/** Connections that ask once and never read; what ends them before their time is counted. */
async function openUnread(s: Server, count: number, ended: () => void): Promise<net.Socket[]> {
    const sockets: net.Socket[] = [];
    while (sockets.length < count)
        await Promise.all(Array.from({ length: Math.min(100, count - sockets.length) }, () => new Promise<void>((resolve) => {
            const socket = net.connect(s.httpPort, '127.0.0.1', () => socket.write(`GET / HTTP/1.1\r\nHost: ${s.host('talks')}\r\n\r\n`, () => resolve())).pause();
            sockets.push(socket);
            socket.on('error', () => resolve());
            socket.on('close', () => (ended(), resolve()));
        })));
    return sockets;
}

interface Written {
    rows: Set<number>;
    executions: Set<string>;
    refused: Record<string, number>;
}

/** Until stopped: rows of a function and starts of a workflow, one after the other. */
async function write(s: Server, first: number, w: Written, stop: AbortSignal): Promise<void> {
    const refuse = (what: string) => (w.refused[what] = (w.refused[what] ?? 0) + 1);
    for (let k = first; !stop.aborted; k += WRITERS) {
        const row = await s.request('writes', `/?k=${k}`).catch((e) => String(e.code));
        if (typeof row !== 'string' && row.status === 200) w.rows.add(row.json.k);
        else refuse(typeof row === 'string' ? row : (row.json.error?.code ?? String(row.status)));
        const started = await s.api('POST', '/workflows/waits/execute', { body: k }).catch((e) => String(e.code));
        if (typeof started !== 'string' && started.status === 202) w.executions.add(started.json.execution_id);
        else refuse(typeof started === 'string' ? started : (started.json.error?.code ?? String(started.status)));
    }
}

async function flood(s: Server, stop: AbortSignal): Promise<void> {
    const agent = new http.Agent({ keepAlive: true });
    while (!stop.aborted) {
        const res = await send(s.httpPort, '/', { host: s.host('logs'), agent }).catch(() => undefined);
        if (res?.status !== 500) await pause(20);
    }
    agent.destroy();
}

export async function limits(ctx: Context): Promise<Row[]> {
    const files = descriptors();
    const wanted = ctx.connections, connections = Math.min(wanted, files - ctx.isolates - RESERVE);
    if (!(connections > 0)) throw new Error(`${files} descriptors are not enough: ulimit -n must be ${wanted + ctx.isolates + RESERVE} for all, above ${ctx.isolates + RESERVE} for any`);
    if (connections < wanted) ctx.progress(`${connections} connections instead of ${wanted}: that needs ulimit -n ${wanted + ctx.isolates + RESERVE}, here it is ${files}`);
    const data = tempDir('limpet-bench-');
    const args = ['--memory-max', String(MEMORY), '--connections-max', String(wanted + ctx.isolates + RESERVE)];
    let s = await startWhole({ data, args });
    const stop = new AbortController();
    const sleepers: http.ClientRequest[] = [];
    let sockets: net.Socket[] = [];
    const work: Promise<void>[] = [];
    try {
        for (const [name, source] of Object.entries(MODULES)) await s.deploy(name, source, { wall_ms: 600_000 });
        await deployWorkflow(s, 'waits', WORKFLOW);

        const agent = new http.Agent({ maxSockets: Infinity });
        for (let i = 0; i < ctx.isolates; i++) {
            const req = http.get({ host: '127.0.0.1', port: s.httpPort, path: '/', agent, headers: { host: s.host('sleeps') } });
            req.on('error', () => {}); // we break it off
            sleepers.push(req);
        }
        await until(`${ctx.isolates} isolates live`, async () => (await s.metrics()).get('limpet_isolates{state="live"}')! >= ctx.isolates);
        ctx.progress(`${ctx.isolates} isolates sleep`);

        const peak = { rss: 0, pss: 0, held: 0 };
        const look = async () => {
            peak.rss = Math.max(peak.rss, s.rssBytes());
            peak.pss = Math.max(peak.pss, s.pssBytes());
            const m = await s.metrics();
            peak.held = Math.max(peak.held, m.get('limpet_memory_held_bytes') ?? 0);
            return m;
        };
        const written: Written = { rows: new Set(), executions: new Set(), refused: {} };
        for (let i = 0; i < WRITERS; i++) work.push(write(s, i, written, stop.signal));
        for (let i = 0; i < WRITERS; i++) work.push(flood(s, stop.signal));
        for (const w of work) w.catch(() => {}); // awaited below
        let ended = 0, isOpened = false;
        const opening = openUnread(s, connections, () => ended++).then((all) => ((isOpened = true), all));
        opening.catch(() => {}); // awaited below
        while (!isOpened) {
            await look();
            await Promise.race([opening, pause(50)]);
        }
        sockets = await opening;
        ctx.progress(`${connections} connections do not read, ${written.rows.size} rows acknowledged`);
        const begun = written.rows.size;
        let m = await look();
        for (const end = Date.now() + 2000 * ctx.seconds; Date.now() < end; await pause(50)) m = await look();
        const [live, open] = [m.get('limpet_isolates{state="live"}')!, m.get('limpet_connections')!];
        const more = written.rows.size - begun, closed = ended;
        await s.kill();
        stop.abort();
        await Promise.all(work);
        for (const req of sleepers) req.destroy();
        for (const socket of sockets) socket.destroy();

        s = await startWhole({ data, args });
        const all = await s.request('writes');
        if (all.status !== 200) throw new Error(`what was kept cannot be read: ${all.status} ${all.text}`);
        const kept = new Set<number>(all.json);
        const lostRows = [...written.rows].filter((k) => !kept.has(k)).length;
        let lostExecutions = 0;
        for (const id of written.executions) if ((await s.admin(`/executions/${id}`)).status !== 200) lostExecutions++;
        const mb = (bytes: number) => (bytes / 1e6).toFixed(0);
        const refused = Object.entries(written.refused).map(([what, n]) => `${what} ${n}`).join(', ');
        return [
            { case: 'limits', what: `${ctx.isolates} isolates, ${connections} unread connections, a log flood: peak proportional memory`, figure: peak.pss / 1e6, unit: 'MB', note: `held by its own count ${mb(peak.held)} MB, resident ${mb(peak.rss)} MB, which counts the pages of an image that isolates share once for each of them; in the end ${live} live isolates, ${open} connections, ${closed} closed by the server`, budget: { op: '<=', value: MEMORY / 1e6 } },
            { case: 'limits', what: 'acknowledged rows and executions lost by kill -9', figure: lostRows + lostExecutions, unit: '', note: `of ${written.rows.size} rows and ${written.executions.size} executions`, budget: { op: '<=', value: 0 } },
            { case: 'limits', what: 'rows acknowledged while all was open', figure: more, unit: '', note: `refused: ${refused || 'none'}`, budget: { op: '>=', value: 1 } },
        ];
    } finally {
        stop.abort();
        for (const req of sleepers) req.destroy();
        for (const socket of sockets) socket.destroy();
        await s.kill();
        fs.rmSync(data, { recursive: true, force: true });
    }
}
