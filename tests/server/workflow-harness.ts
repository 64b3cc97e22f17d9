// SPDX-License-Identifier: Apache-2.0
//
// What tests of durable workflows share: deploying one, starting, waiting for its end, reading its journal and
// logs, an HTTP server that counts requests by Idempotency-Key, and the stopped server's database.
//
// The database is edited with Python's own sqlite3 module: Python is what the build needs anyway, and Node 20 has none.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import fs from 'node:fs';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { type Answer, run, Server, type ServerOptions, type UploadOptions, until } from './harness.ts';

export { until };

export const isFinished = (status: string): boolean => ['completed', 'failed', 'cancelled'].includes(status);

/** Uploads a workflow and waits for the end of its build, whichever it is. */
export async function uploadWorkflow(s: Server, name: string, source: string, options: UploadOptions = {}): Promise<any> {
    const { memory_mb, cpu_ms, wall_ms, ...rest } = options;
    const res = await s.api('POST', '/workflows', { name, source, limits: { memory_mb, cpu_ms, wall_ms }, ...rest });
    if (res.status !== 202) throw new Error(`POST /workflows: ${res.status} ${res.text}`);
    return until(`build ${res.json.build.id} of ${name}`, async () => {
        const build = await s.api('GET', `/workflows/${name}/builds/${res.json.build.id}?wait=30s`);
        if (build.status !== 200) throw new Error(`build of ${name}: ${build.status} ${build.text}`);
        return ['ready', 'failed'].includes(build.json.status) ? build.json : undefined;
    });
}

/** The same; a build that fails is an error. */
export async function deployWorkflow(s: Server, name: string, source: string, options: UploadOptions = {}): Promise<any> {
    const build = await uploadWorkflow(s, name, source, options);
    if (build.status !== 'ready') throw new Error(`build of ${name} failed: ${JSON.stringify(build)}`);
    return build;
}

export interface StartOptions {
    /** Idempotency key. */
    id?: string;
    metadata?: unknown;
    /** "30s": answer when it has finished, or after that time. */
    wait?: string;
}

export function execute(s: Server, name: string, input: unknown = null, options: StartOptions = {}): Promise<Answer> {
    const { wait, ...rest } = options;
    return s.api('POST', `/workflows/${name}/execute${wait === undefined ? '' : `?wait=${wait}`}`, { body: input, ...rest });
}

/** Starts an execution; its id. */
export async function start(s: Server, name: string, input: unknown = null, options: StartOptions = {}): Promise<string> {
    const res = await execute(s, name, input, options);
    if (res.status !== 202 && res.status !== 200) throw new Error(`start of ${name}: ${res.status} ${res.text}`);
    return res.json.execution_id;
}

export async function show(s: Server, id: string): Promise<any> {
    const res = await s.api('GET', `/executions/${id}`);
    if (res.status !== 200) throw new Error(`GET /executions/${id}: ${res.status} ${res.text}`);
    return res.json;
}

/** Waits until it has finished, however. */
export function outcome(s: Server, id: string): Promise<any> {
    return until(`the end of ${id}`, async () => {
        const res = await s.api('GET', `/executions/${id}?wait=30s`);
        if (res.status !== 200) throw new Error(`GET /executions/${id}: ${res.status} ${res.text}`);
        return isFinished(res.json.status) ? res.json : undefined;
    });
}

/** Waits for a successful end; its output. */
export async function output(s: Server, id: string): Promise<any> {
    const end = await outcome(s, id);
    assert.equal(end.status, 'completed', JSON.stringify(end.error));
    return end.output;
}

/** Starts an execution and waits for a successful end; its output. */
export async function complete(s: Server, name: string, input: unknown = null, options: StartOptions = {}): Promise<any> {
    return output(s, await start(s, name, input, options));
}

/** Starts an execution and waits for it to fail; its error. */
export async function failure(s: Server, name: string, input: unknown = null): Promise<any> {
    const end = await outcome(s, await start(s, name, input));
    assert.equal(end.status, 'failed', JSON.stringify(end));
    return end.error;
}

/** Waits until the execution is as check wants it. */
export function untilShown(s: Server, id: string, what: string, check: (row: any) => boolean): Promise<any> {
    return until(`${id}: ${what}`, async () => {
        const row = await show(s, id);
        if (check(row)) return row;
        if (isFinished(row.status)) throw new Error(`${id} ended before ${what}: ${JSON.stringify(row)}`);
        return undefined;
    });
}

/** Waits until it has left memory: its state is all in the store. */
export const suspended = (s: Server, id: string): Promise<any> => untilShown(s, id, 'suspended', (row) => row.status === 'suspended');

/** Waits until it has published this progress. */
export function progressed(s: Server, id: string, value: unknown): Promise<any> {
    const text = JSON.stringify(value);
    return untilShown(s, id, `progress ${text}`, (row) => JSON.stringify(row.progress) === text);
}

export async function signal(s: Server, id: string, name: string, data: unknown = null): Promise<void> {
    const res = await s.api('POST', `/executions/${id}/signal`, { name, data });
    assert.equal(res.status, 202, res.text);
}

/** cancel, pause, resume, retry, fork. */
export async function operate(s: Server, id: string, operation: string, body?: unknown): Promise<any> {
    const res = await s.api('POST', `/executions/${id}/${operation}`, body);
    assert.ok(res.status >= 200 && res.status < 300, `${operation}: ${res.status} ${res.text}`);
    return res.json;
}

/** Everything that a paged route has. */
export async function pages(s: Server, target: string): Promise<any[]> {
    const all: any[] = [];
    for (let next: string | undefined = target; next; ) {
        const page: Answer = await s.api('GET', next);
        if (page.status !== 200) throw new Error(`GET ${next}: ${page.status} ${page.text}`);
        all.push(...page.json);
        next = /<([^>]+)>; rel="next"/.exec(String(page.headers.link ?? ''))?.[1];
    }
    return all;
}

/** All records, with their values. */
export const journal = (s: Server, id: string): Promise<any[]> => pages(s, `/executions/${id}/journal?values=1&limit=1000`);

/** The texts of all its log lines. */
export async function logTexts(s: Server, id: string): Promise<string[]> {
    const res = await s.api('GET', `/executions/${id}/logs?limit=1000`);
    if (res.status !== 200) throw new Error(`logs of ${id}: ${res.status} ${res.text}`);
    return res.json.map((l: any) => l.text);
}

/** kill -9, and a new server on the same data. */
export async function crash(s: Server, options: ServerOptions = {}): Promise<Server> {
    await s.kill();
    return s.revive(options);
}

/** A server for one test; it and its data are gone afterwards. body may replace it (crash) by returning the new one through set(). */
export async function withServer(options: ServerOptions, body: (s: Server, crashed: (o?: ServerOptions) => Promise<Server>) => Promise<void>): Promise<void> {
    let s = await Server.start(options);
    try {
        await body(s, async (o = {}) => (s = await crash(s, o)));
    } finally {
        await s.kill();
        fs.rmSync(s.data, { recursive: true, force: true });
    }
}

// ---- a server outside ----

export interface Request {
    path: string;
    method: string;
    key: string | undefined;
    headers: http.IncomingHttpHeaders;
    body: string;
}

/** Counts requests by path and Idempotency-Key. answer(): what to send back; default: the path, as JSON. */
export class Counter {
    readonly requests: Request[] = [];
    readonly #server: http.Server;
    port = 0;
    /** May throw nothing; a promise delays the answer. */
    answer: (r: Request, res: http.ServerResponse) => void | Promise<void> = (r, res) => {
        res.setHeader('content-type', 'application/json');
        res.end(JSON.stringify({ path: r.path }));
    };

    private constructor() {
        this.#server = http.createServer(async (req, res) => {
            let body = '';
            try {
                for await (const chunk of req.setEncoding('utf8')) body += chunk;
            } catch {
                return; // the client was killed
            }
            const r: Request = {
                path: req.url!, method: req.method!, key: req.headers['idempotency-key'] as string | undefined, headers: req.headers, body,
            };
            this.requests.push(r);
            await this.answer(r, res);
        });
        this.#server.on('clientError', (_, socket) => socket.destroy());
    }

    static async start(): Promise<Counter> {
        const c = new Counter();
        c.#server.listen(0, '127.0.0.1');
        await once(c.#server, 'listening');
        c.port = (c.#server.address() as AddressInfo).port;
        return c;
    }

    get url(): string {
        return `http://127.0.0.1:${this.port}`;
    }

    /** Flags for a server whose guests may reach this one. */
    get flags(): string[] {
        return ['--egress-allow', `127.0.0.1:${this.port}`];
    }

    at(path: string): Request[] {
        return this.requests.filter((r) => r.path === path);
    }

    stop(): void {
        this.#server.close();
        this.#server.closeAllConnections();
    }
}

// ---- the database of a stopped server ----

const PYTHON = `
import base64, json, sqlite3, sys
path, jobs = sys.argv[1], json.load(sys.stdin)
def back(v): return bytes.fromhex(v["hex"]) if isinstance(v, dict) else v
def out(v): return {"hex": v.hex()} if isinstance(v, bytes) else v
db = sqlite3.connect(path)
results = []
for sql, params in jobs:
    cursor = db.execute(sql, [back(p) for p in params])
    results.append([[out(v) for v in row] for row in cursor.fetchall()])
db.commit()
db.close()
json.dump(results, sys.stdout)
`;

type Cell = string | number | null | Buffer;

/** Runs statements on a database that no server has open; rows of each. Integers above 2^53 lose digits: write those in the SQL. */
export async function database(file: string, statements: [sql: string, ...params: Cell[]][]): Promise<Cell[][][]> {
    const jobs = statements.map(([sql, ...params]) => [sql, params.map((p) => (Buffer.isBuffer(p) ? { hex: p.toString('hex') } : p))]);
    const done = await run(fs.existsSync('/usr/bin/python3') ? '/usr/bin/python3' : 'python3', ['-c', PYTHON, file], { input: JSON.stringify(jobs) });
    if (done.code !== 0) throw new Error(`${file}: ${done.stderr}`);
    return done.json.map((rows: any[][]) => rows.map((row) => row.map((v) => (v !== null && typeof v === 'object' ? Buffer.from(v.hex, 'hex') : v))));
}

/** The metadata of a stopped server. */
export const metadata = (data: string, statements: [sql: string, ...params: Cell[]][]): Promise<Cell[][][]> => database(`${data}/db.sqlite`, statements);

// ---- histories ----

/** A stored journal: tests/histories/README.md. */
export interface History {
    format: number;
    made_by: string;
    workflow: string;
    export: string;
    source: string;
    id: string;
    key: string;
    input: unknown;
    metadata: unknown;
    created_us: number;
    cancel_requested: boolean;
    attempt: number;
    journal: string[];
    status: string;
    output: unknown;
    error: { code: string; name: string | null; message: string } | null;
    progress: unknown;
    lines: string[];
}
export const HISTORY_VERSION = 1;

/** The single records of a chunk: each has its length in front. */
export function recordsOf(chunk: Buffer): Buffer[] {
    const records: Buffer[] = [];
    for (let at = 0; at < chunk.length; ) {
        const end = at + 4 + chunk.readUInt32LE(at);
        assert.ok(end <= chunk.length, 'a whole number of records');
        records.push(chunk.subarray(at, end));
        at = end;
    }
    return records;
}

// ---- chance ----

/** A generator whose numbers follow from the seed alone. */
export function random(seed: number): { next(): number; below(n: number): number } {
    let state = seed >>> 0;
    const next = () => {
        state = (state + 0x6d2b79f5) >>> 0;
        let t = state;
        t = Math.imul(t ^ (t >>> 15), t | 1);
        t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
        return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
    };
    return { next, below: (n) => Math.floor(next() * n) };
}
