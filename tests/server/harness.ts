// SPDX-License-Identifier: Apache-2.0
//
// Starts the real binary and speaks to it from outside. Each Server has its own ports (the kernel's
// choice) and its own data folder under the system's temporary folder, so that test files can run side by
// side. The binary is named by LIMPET_BIN.
//
// Rules for tests here: wait for events (a printed line, a closed socket, a build that reached its end),
// never for time; end only what was started here, by its process id.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import http from 'node:http';
import net, { type AddressInfo } from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { after, before } from 'node:test';

/** Generous, because sanitizer builds on a busy machine are slow; nothing waits this long when all is well. */
export const PATIENCE_MS = Number(process.env.LIMPET_TEST_PATIENCE_MS ?? 60_000);

/** A sanitizer build: its own memory is not what a user's server takes. */
export const IS_ASAN = Boolean(process.env.LIMPET_ASAN);

/** The build without sanitizers, for tests of what the server takes of the system. */
export const PLAIN_BIN = process.env.LIMPET_PLAIN_BIN;

export function binary(): string {
    const bin = process.env.LIMPET_BIN;
    if (!bin) throw new Error('LIMPET_BIN must name the limpet binary, see tests/README.md');
    return path.resolve(bin);
}

/** Retries check until it returns something other than undefined or false; fails loudly when patience ends. */
export async function until<T>(what: string, check: () => Promise<T | undefined | false> | T | undefined | false): Promise<T> {
    const end = Date.now() + PATIENCE_MS;
    for (let pause = 1; ; pause = Math.min(pause * 2, 50)) {
        const value = await check();
        if (value !== undefined && value !== false) return value;
        if (Date.now() > end) throw new Error(`still waiting after ${PATIENCE_MS} ms: ${what}`);
        await new Promise((resolve) => setTimeout(resolve, pause));
    }
}

export function tempDir(prefix = 'limpet-test-'): string {
    return fs.mkdtempSync(path.join(os.tmpdir(), prefix));
}

export interface Answer {
    status: number;
    headers: http.IncomingHttpHeaders;
    rawHeaders: string[];
    body: Buffer;
    text: string;
    /** The body parsed; throws with the text when it is no JSON. */
    json: any;
}

export interface RequestInit {
    method?: string;
    headers?: Record<string, string | string[]>;
    body?: string | Buffer | AsyncIterable<Buffer | string>;
    agent?: http.Agent;
    signal?: AbortSignal;
    /** Overrides the Host header. */
    host?: string;
}

function answerOf(res: http.IncomingMessage, body: Buffer): Answer {
    const text = body.toString('utf8');
    return {
        status: res.statusCode!,
        headers: res.headers,
        rawHeaders: res.rawHeaders,
        body,
        text,
        get json() {
            try {
                return JSON.parse(text);
            } catch {
                throw new Error(`status ${res.statusCode}, not JSON: ${JSON.stringify(text.slice(0, 500))}`);
            }
        },
    };
}

/** Sends one request to a port of 127.0.0.1 and collects the answer. */
export function send(port: number, target: string, init: RequestInit = {}): Promise<Answer> {
    return new Promise((resolve, reject) => {
        const req = http.request(
            {
                host: '127.0.0.1',
                port,
                path: target,
                method: init.method ?? (init.body === undefined ? 'GET' : 'POST'),
                headers: { ...(init.host === undefined ? {} : { host: init.host }), ...init.headers },
                agent: init.agent ?? false,
                signal: init.signal,
            },
            async (res) => {
                try {
                    const chunks: Buffer[] = [];
                    for await (const chunk of res) chunks.push(chunk as Buffer);
                    resolve(answerOf(res, Buffer.concat(chunks)));
                } catch (e) {
                    reject(e);
                }
            },
        );
        req.on('error', reject);
        req.setTimeout(PATIENCE_MS, () => req.destroy(new Error(`no answer from ${init.host ?? port}${target} in ${PATIENCE_MS} ms`)));
        if (init.body !== undefined && typeof init.body !== 'string' && !Buffer.isBuffer(init.body)) {
            const body = init.body;
            (async () => {
                for await (const chunk of body) if (!req.write(chunk)) await once(req, 'drain');
                req.end();
            })().catch((e) => req.destroy(e));
        } else {
            req.end(init.body);
        }
    });
}

/** Members of an upload beside name and source; the limits are put into their place. */
export interface UploadOptions {
    isolation?: 'request' | 'module';
    memory_mb?: number;
    cpu_ms?: number;
    wall_ms?: number;
    sql_transaction_ms?: number;
    egress?: string[];
    vars?: Record<string, unknown>;
    bindings?: object[];
    /** What it consumes, and what is started when. */
    consumers?: object[];
    schedules?: object[];
    routes?: string[];
}

export interface CliResult {
    code: number | null;
    stdout: string;
    stderr: string;
    json: any;
}

/** Runs a program to its end. */
export async function run(file: string, args: string[], options: { env?: Record<string, string>; cwd?: string; input?: string } = {}): Promise<CliResult> {
    const child = spawn(file, args, { env: { ...process.env, ...options.env }, cwd: options.cwd, stdio: ['pipe', 'pipe', 'pipe'] });
    let stdout = '';
    let stderr = '';
    let isLate = false;
    child.stdout.setEncoding('utf8').on('data', (d) => (stdout += d));
    child.stderr.setEncoding('utf8').on('data', (d) => (stderr += d));
    child.stdin.on('error', () => {}); // the child may end without reading
    child.stdin.end(options.input ?? '');
    const timer = setTimeout(() => {
        isLate = true;
        child.kill('SIGKILL');
    }, 2 * PATIENCE_MS);
    const [code] = await once(child, 'close');
    clearTimeout(timer);
    if (isLate) throw new Error(`${file} ${args.join(' ')} still ran after ${2 * PATIENCE_MS} ms:\n${stdout}\n${stderr}`);
    return {
        code,
        stdout,
        stderr,
        get json() {
            try {
                return JSON.parse(stdout);
            } catch {
                throw new Error(`exit ${code}, stdout is not JSON: ${stdout}\nstderr: ${stderr}`);
            }
        },
    };
}

export interface ServerOptions {
    args?: string[];
    /** Leaves --expose-errors out, as a public server would: most tests look at what errors say. */
    hidesErrors?: boolean;
    env?: Record<string, string>;
    /** Data folder of an earlier server; default: a new one. */
    data?: string;
    /** Command put in front, such as ['taskset', '-c', '0']. */
    wrap?: string[];
    /** Fixed ports instead of free ones. */
    adminAddr?: string;
    httpAddr?: string;
    bin?: string;
}

const running = new Set<Server>();

export class Server {
    child!: ChildProcess;
    data: string;
    adminPort = 0;
    httpPort = 0;
    httpScheme = 'http';
    stdout = '';
    stderr = '';
    exited!: Promise<{ code: number | null; signal: string | null }>;
    private hasExited = false;
    private startError?: Error;
    private readonly options: ServerOptions;

    private constructor(options: ServerOptions) {
        this.options = options;
        this.data = options.data ?? tempDir();
    }

    /** Starts a server and returns when it has said that it is ready. */
    static async start(options: ServerOptions = {}): Promise<Server> {
        const s = new Server(options);
        s.spawn();
        await s.ready();
        return s;
    }

    /** Starts a server that is expected to refuse; returns how it ended. */
    static async startFailing(options: ServerOptions = {}): Promise<{ code: number | null; output: string }> {
        const s = new Server(options);
        s.spawn();
        const how = await Promise.race([s.exited, s.ready().then(() => undefined, () => s.exited)]);
        if (how === undefined) {
            await s.stop();
            throw new Error('the server was expected to refuse to start, but it is ready');
        }
        return { code: how!.code, output: s.stdout + s.stderr };
    }

    private spawn(): void {
        const o = this.options;
        const command = [
            ...(o.wrap ?? []),
            o.bin ?? binary(),
            'serve',
            '--addr', o.adminAddr ?? '127.0.0.1:0',
            '--http', o.httpAddr ?? '127.0.0.1:0',
            '--database-url', `sqlite:${this.data}/db.sqlite`,
            '--artifact-dir', `${this.data}/artifacts`,
            ...(o.hidesErrors ? [] : ['--expose-errors']),
            ...(o.args ?? []),
        ];
        const child = spawn(command[0]!, command.slice(1), { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, ...o.env } });
        this.child = child;
        running.add(this);
        child.stdout!.setEncoding('utf8').on('data', (d: string) => (this.stdout += d));
        child.stderr!.setEncoding('utf8').on('data', (d: string) => (this.stderr += d));
        child.on('error', (e) => (this.startError = e));
        this.exited = new Promise((resolve) => {
            child.on('close', (code, signal) => {
                this.hasExited = true;
                running.delete(this);
                resolve({ code, signal });
            });
        });
    }

    private async ready(): Promise<void> {
        const isReady = () => /^limpet: ready\s*$/m.test(this.stdout);
        if (!isReady()) {
            await new Promise<void>((resolve, reject) => {
                const timer = setTimeout(() => reject(new Error(`server not ready in ${PATIENCE_MS} ms:\n${this.stdout}\n${this.stderr}`)), PATIENCE_MS);
                const check = () => {
                    if (isReady()) {
                        clearTimeout(timer);
                        resolve();
                    }
                };
                this.child.stdout!.on('data', check);
                void this.exited.then((how) => {
                    clearTimeout(timer);
                    reject(this.startError ?? new Error(`server ended before it was ready (${how.code ?? how.signal}):\n${this.stdout}\n${this.stderr}`));
                });
            });
        }
        const admin = /^limpet: admin https?:\/\/\S+:(\d+)/m.exec(this.stdout);
        const pub = /^limpet: http (https?):\/\/\S+:(\d+)/m.exec(this.stdout);
        if (!admin || !pub) throw new Error(`the server did not say where it listens:\n${this.stdout}`);
        this.adminPort = Number(admin[1]);
        this.httpScheme = pub[1]!;
        this.httpPort = Number(pub[2]);
    }

    get pid(): number {
        return this.child.pid!;
    }

    /** Waits until it has ended by itself, by a crash point or a signal; one that goes on running is an error. */
    async ended(): Promise<{ code: number | null; signal: string | null }> {
        let timer: NodeJS.Timeout | undefined;
        const late = new Promise<never>((_, reject) => {
            timer = setTimeout(() => reject(new Error(`the server still runs after ${PATIENCE_MS} ms:\n${this.stdout}\n${this.stderr.slice(-8000)}`)), PATIENCE_MS);
        });
        try {
            return await Promise.race([this.exited, late]);
        } finally {
            clearTimeout(timer);
        }
    }

    get isAlive(): boolean {
        return !this.hasExited;
    }

    /** Asks it to end and waits; a server that does not end by SIGTERM is an error. */
    async stop(): Promise<void> {
        if (this.hasExited) return;
        this.child.kill('SIGTERM');
        const timer = setTimeout(() => this.child.kill('SIGKILL'), PATIENCE_MS);
        const how = await this.exited;
        clearTimeout(timer);
        if (how.code !== 0) throw new Error(`server ended with ${how.code ?? how.signal} after SIGTERM:\n${this.stderr.slice(-8000)}`);
    }

    /** kill -9, and waits until it is gone. */
    async kill(): Promise<void> {
        if (this.hasExited) return;
        this.child.kill('SIGKILL');
        await this.exited;
    }

    /** Starts again on the same data, with the same options unless others are given. */
    async restart(options: ServerOptions = {}): Promise<Server> {
        await this.stop();
        return Server.start({ ...this.options, ...options, data: this.data });
    }

    /** A new server on the data of one that is gone. */
    async revive(options: ServerOptions = {}): Promise<Server> {
        await this.ended();
        return Server.start({ ...this.options, ...options, data: this.data });
    }

    // ---- control API ----

    admin(target: string, init: RequestInit = {}): Promise<Answer> {
        const type: Record<string, string> = init.body === undefined ? {} : { 'content-type': 'application/json' };
        return send(this.adminPort, target, { ...init, headers: { ...type, ...init.headers } });
    }

    api(method: string, target: string, value?: unknown, headers: Record<string, string> = {}): Promise<Answer> {
        if (value === undefined) return this.admin(target, { method, headers });
        return this.admin(target, { method, body: JSON.stringify(value), headers: { 'content-type': 'application/json', ...headers } });
    }

    /** Uploads and waits for the end of the build, whichever it is. */
    async upload(name: string, source: string, options: UploadOptions = {}): Promise<any> {
        const { memory_mb, cpu_ms, wall_ms, sql_transaction_ms, ...rest } = options;
        const res = await this.api('POST', '/functions', { name, source, limits: { memory_mb, cpu_ms, wall_ms, sql_transaction_ms }, ...rest });
        if (res.status !== 202) throw new Error(`POST /functions: ${res.status} ${res.text}`);
        return this.built(name, res.json.build.id);
    }

    /** Waits until a build is ready or failed. */
    built(name: string, id: number): Promise<any> {
        return until(`build ${id} of ${name}`, async () => {
            const build = await this.api('GET', `/functions/${name}/builds/${id}?wait=30s`);
            if (build.status !== 200) throw new Error(`build ${id} of ${name}: ${build.status} ${build.text}`);
            return ['ready', 'failed'].includes(build.json.status) ? build.json : undefined;
        });
    }

    /** Uploads; a build that fails is an error. */
    async deploy(name: string, source: string, options: UploadOptions = {}): Promise<any> {
        const build = await this.upload(name, source, options);
        if (build.status !== 'ready') throw new Error(`build of ${name} failed: ${JSON.stringify(build)}`);
        return build;
    }

    execute(name: string, body: unknown = {}, metadata: unknown = {}): Promise<Answer> {
        return this.api('POST', `/functions/${name}/execute`, { body, metadata });
    }

    /** Prometheus text as a map from "name{labels}" to value. */
    async metrics(): Promise<Map<string, number>> {
        const res = await this.admin('/metrics');
        const map = new Map<string, number>();
        for (const line of res.text.split('\n')) {
            const m = /^([a-zA-Z_:][^\s{]*(?:\{.*\})?)\s+(\S+)/.exec(line);
            if (m && !line.startsWith('#')) map.set(m[1]!, Number(m[2]));
        }
        return map;
    }

    // ---- public traffic ----

    host(name: string): string {
        return `${name}.localhost:${this.httpPort}`;
    }

    request(name: string, target = '/', init: RequestInit = {}): Promise<Answer> {
        return send(this.httpPort, target, { host: this.host(name), ...init });
    }

    /** A raw connection to the public port. */
    async connect(): Promise<Raw> {
        const socket = net.connect(this.httpPort, '127.0.0.1');
        await once(socket, 'connect');
        return new Raw(socket);
    }

    // ---- CLI ----

    cli(args: string[], options: { env?: Record<string, string>; cwd?: string; input?: string } = {}): Promise<CliResult> {
        return run(this.options.bin ?? binary(), args, {
            ...options,
            env: { LIMPET_SERVER: `http://127.0.0.1:${this.adminPort}`, NO_COLOR: '1', ...options.env },
        });
    }

    // ---- what it holds ----

    rssBytes(): number {
        const m = /^VmRSS:\s+(\d+) kB/m.exec(fs.readFileSync(`/proc/${this.pid}/status`, 'utf8'));
        return Number(m![1]) * 1024;
    }

    pssBytes(): number {
        const m = /^Pss:\s+(\d+) kB/m.exec(fs.readFileSync(`/proc/${this.pid}/smaps_rollup`, 'utf8'));
        return Number(m![1]) * 1024;
    }

    openFiles(): number {
        return fs.readdirSync(`/proc/${this.pid}/fd`).length;
    }
}

/** A raw TCP conversation: bytes out, bytes in, and events to wait for. */
export class Raw {
    received = Buffer.alloc(0);
    ended = false;
    error?: Error;
    constructor(readonly socket: net.Socket) {
        socket.on('data', (d: Buffer) => (this.received = Buffer.concat([this.received, d])));
        socket.on('end', () => (this.ended = true));
        socket.on('close', () => (this.ended = true));
        socket.on('error', (e) => {
            this.error = e;
            this.ended = true;
        });
    }
    get text(): string {
        return this.received.toString('latin1');
    }
    write(data: string | Buffer): void {
        this.socket.write(data);
    }
    /** Resolves when the bytes received so far match; rejects when the connection ends before. */
    async match(pattern: RegExp): Promise<RegExpExecArray> {
        return until(`${pattern} in ${JSON.stringify(this.text.slice(-300))}`, () => {
            const m = pattern.exec(this.text);
            if (m) return m;
            if (this.ended) throw new Error(`connection ended before ${pattern}: ${JSON.stringify(this.text)}`);
            return undefined;
        });
    }
    /** Resolves with everything received when the peer has closed. */
    async closed(): Promise<string> {
        await until('the peer closes the connection', () => this.ended);
        return this.text;
    }
    destroy(): void {
        this.socket.destroy();
    }
}

/** One error shape everywhere: {"error":{"code","message","hint"}}. Returns it for further checks. */
export function errorOf(res: Answer, status: number, code: string): { code: string; message: string; hint?: string; stack?: string } {
    if (res.status !== status || res.json?.error?.code !== code)
        throw new Error(`expected ${status} ${code}, got ${res.status} ${res.text.slice(0, 1000)}`);
    if (typeof res.json.error.message !== 'string' || res.json.error.message === '') throw new Error(`no message: ${res.text}`);
    return res.json.error;
}

/** A server for all tests of a file, ended after them; its data folder goes too. */
export function useServer(options: ServerOptions | (() => ServerOptions) = {}): () => Promise<Server> {
    let server: Promise<Server> | undefined;
    after(async () => {
        if (!server) return;
        const s = await server;
        try {
            await s.stop();
        } finally {
            fs.rmSync(s.data, { recursive: true, force: true });
        }
    });
    return () => (server ??= Server.start(typeof options === 'function' ? options() : options));
}

/** An HTTP server for functions to ask, on a free port of loopback while the file's tests run. */
export class Origin {
    readonly server: http.Server;
    constructor(handler: http.RequestListener) {
        this.server = http.createServer(handler);
        before(async () => {
            this.server.listen(0, '127.0.0.1');
            await once(this.server, 'listening');
        });
        after(() => {
            this.server.closeAllConnections();
            this.server.close();
        });
    }
    get port(): number {
        return (this.server.address() as AddressInfo).port;
    }
}

// Whatever a failed test left behind ends with this process.
process.on('exit', () => {
    for (const s of running) s.child.kill('SIGKILL');
});
