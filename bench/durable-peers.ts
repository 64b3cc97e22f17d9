// SPDX-License-Identifier: Apache-2.0
//
// The durable peers: Restate's server with a service on its TypeScript SDK, and DBOS on a PostgreSQL of its own. Data in
// the run's folder, everything as its makers ship it, syncs on; both may use the whole machine, as Limpet may in these
// cases. The services (peer-restate.mjs, peer-dbos.mjs) run on the Node of bench/package.json.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import path from 'node:path';
import { run, send, until } from '../tests/server/harness.ts';
import type { Context } from './main.ts';
import { freePort, PROGRAM } from './peers.ts';

const here = (file: string) => path.join(process.env.LIMPET_ROOT!, 'bench', file);
const POSTGRES = path.dirname(PROGRAM.dbos);

/** A program started here, ended by its process id. */
export class Program {
    private readonly child: ChildProcess;
    private output = '';
    private ended = false;
    private readonly onExit = () => this.child.kill('SIGKILL');

    constructor(readonly name: string, private readonly command: string[], private readonly env: Record<string, string> = {}, private readonly cwd?: string) {
        this.child = spawn(command[0]!, command.slice(1), { cwd, stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, NO_COLOR: '1', ...env } });
        for (const stream of [this.child.stdout!, this.child.stderr!]) stream.setEncoding('utf8').on('data', (d: string) => (this.output = (this.output + d).slice(-4000)));
        this.child.on('error', (e) => {
            this.output += String(e);
            this.ended = true;
        });
        this.child.on('close', () => (this.ended = true));
        process.on('exit', this.onExit);
    }

    get pid(): number {
        return this.child.pid!;
    }

    async ready(check: () => Promise<boolean>): Promise<this> {
        await until(`${this.name} is ready`, async () => {
            if (this.ended) throw new Error(`${this.name} ended: ${this.output}`);
            return check().catch(() => false);
        });
        return this;
    }

    /** Ends it, at once with SIGKILL. */
    async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
        process.off('exit', this.onExit);
        if (this.ended) return;
        const closed = once(this.child, 'close');
        this.child.kill(signal);
        const timer = setTimeout(() => this.child.kill('SIGKILL'), 5000);
        await closed;
        clearTimeout(timer);
    }

    /** Proportional memory of it and its children. */
    pssBytes(): number {
        const of = (pid: string): number => {
            try {
                const pss = Number(/^Pss:\s+(\d+) kB/m.exec(fs.readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'))![1]) * 1024;
                const children = fs.readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim();
                return pss + (children ? children.split(' ').reduce((sum, child) => sum + of(child), 0) : 0);
            } catch (e) {
                if (['ENOENT', 'ESRCH'].includes((e as NodeJS.ErrnoException).code!)) return 0; // a backend that has just ended
                throw e;
            }
        };
        return of(String(this.pid));
    }

    /** The same command again. */
    again(): Program {
        return new Program(this.name, this.command, this.env, this.cwd);
    }
}

/** A durable peer: its workflows are started, and wait for their result, with POST to prefix + their name. */
export interface DurablePeer {
    port: number;
    prefix: string;
    /** Starts one and answers at once. */
    sendPath(name: string): string;
    programs: Program[];
    /** How many executions have gone to sleep, by its own books. */
    sleeping(): Promise<number>;
    /** kill -9 of the program that has the timers, and its next start. Everything else lives on. */
    crash(): Promise<void>;
    stop(): Promise<void>;
}

async function crash(programs: Program[], index: number): Promise<void> {
    await programs[index]!.stop('SIGKILL');
    programs[index] = programs[index]!.again();
}

async function stopAll(programs: Program[]): Promise<void> {
    for (const p of [...programs].reverse()) await p.stop();
}

const answers = (port: number, target: string) => async () => (await send(port, target)).status === 200;

export async function restate(ctx: Context): Promise<DurablePeer> {
    const folder = fs.mkdtempSync(path.join(ctx.dir, 'restate-'));
    const [node, ingress, admin, service] = [await freePort(), await freePort(), await freePort(), await freePort()];
    fs.writeFileSync(path.join(folder, 'restate.toml'), `base-dir = "${folder}/data"
node-name = "bench"
listen-mode = "tcp"
bind-address = "127.0.0.1:${node}"
advertised-address = "http://127.0.0.1:${node}/"
disable-telemetry = true
log-filter = "warn"
[ingress]
bind-address = "127.0.0.1:${ingress}"
advertised-address = "http://127.0.0.1:${ingress}/"
[admin]
bind-address = "127.0.0.1:${admin}"
advertised-address = "http://127.0.0.1:${admin}/"
disable-web-ui = true
`);
    const server = new Program('restate', [PROGRAM.restate, '--config-file', path.join(folder, 'restate.toml'), '--no-logo'], { DO_NOT_TRACK: '1' }, folder);
    const sdk = new Program('restate service', [PROGRAM.node24, here('peer-restate.mjs'), String(service)], { RESTATE_LOGGING: 'ERROR', NODE_ENV: 'production' });
    const programs = [server, sdk];
    const ask = async (query: string): Promise<any[]> => {
        const res = await send(admin, '/query', { method: 'POST', body: JSON.stringify({ query }), headers: { 'content-type': 'application/json', accept: 'application/json' } });
        if (res.status !== 200) throw new Error(`restate: ${res.status} ${res.text}`);
        return res.json.rows;
    };
    try {
        await server.ready(answers(admin, '/health'));
        await server.ready(answers(ingress, '/restate/health'));
        await sdk.ready(async () => {
            const res = await send(admin, '/deployments', { method: 'POST', body: JSON.stringify({ uri: `http://127.0.0.1:${service}` }), headers: { 'content-type': 'application/json' } });
            return res.status === 201 || res.status === 200;
        });
        await server.ready(async () => (await ask('SELECT COUNT(*) AS n FROM sys_invocation')).length === 1); // every partition has its leader
        return {
            port: ingress, prefix: '/bench/', sendPath: (name) => `/bench/${name}/send`, programs, stop: () => stopAll(programs), crash: () => crash(programs, 0),
            sleeping: async () => (await ask("SELECT COUNT(*) AS n FROM sys_invocation WHERE status = 'suspended'"))[0].n,
        };
    } catch (e) {
        await stopAll(programs);
        throw e;
    }
}

export async function dbos(ctx: Context): Promise<DurablePeer> {
    const folder = fs.mkdtempSync(path.join(ctx.dir, 'dbos-'));
    const data = path.join(folder, 'data');
    const isRoot = process.getuid!() === 0;
    const as = isRoot ? ['setpriv', '--reuid=postgres', '--regid=postgres', '--clear-groups'] : []; // PostgreSQL refuses to be root
    if (isRoot) {
        fs.chmodSync(ctx.dir, 0o711);
        fs.chmodSync(folder, 0o755);
        fs.mkdirSync(data);
        const chown = await run('chown', ['postgres:postgres', data]);
        if (chown.code !== 0) throw new Error(chown.stderr);
    }
    const init = [...as, `${POSTGRES}/initdb`, '-D', data, '-A', 'trust', '-U', 'postgres', '-E', 'UTF8', '--locale=C', '--no-instructions'];
    const made = await run(init[0]!, init.slice(1), { cwd: folder });
    if (made.code !== 0) throw new Error(`initdb: ${made.stderr}`);
    const [port, service] = [await freePort(), await freePort()];
    const server = new Program('postgres', [...as, `${POSTGRES}/postgres`, '-D', data, '-p', String(port), '-c', 'listen_addresses=127.0.0.1', '-c', 'unix_socket_directories='], {}, folder);
    const programs = [server];
    try {
        await server.ready(async () => (await run(`${POSTGRES}/pg_isready`, ['-h', '127.0.0.1', '-p', String(port), '-q'])).code === 0);
        const app = new Program('dbos', [PROGRAM.node24, here('peer-dbos.mjs'), String(service), `postgresql://postgres@127.0.0.1:${port}/bench`], { NODE_ENV: 'production' });
        programs.push(app);
        await app.ready(answers(service, '/'));
        return {
            port: service, prefix: '/', sendPath: (name) => `/${name}`, programs, stop: () => stopAll(programs), crash: () => crash(programs, 1),
            async sleeping() {
                const sql = "SELECT count(*) FROM dbos.operation_outputs WHERE function_name = 'DBOS.sleep'";
                const r = await run(`${POSTGRES}/psql`, ['-h', '127.0.0.1', '-p', String(port), '-U', 'postgres', '-d', 'bench', '-Atc', sql]);
                if (r.code !== 0) throw new Error(r.stderr);
                return Number(r.stdout);
            },
        };
    } catch (e) {
        await stopAll(programs);
        throw e;
    }
}
