// SPDX-License-Identifier: Apache-2.0
//
// The peers: each is started with a generated configuration on a free port, pinned to the server core, and ended by
// its process id. Their programs come from bench/package.json (workerd, deno, bun), from the machine (node) and
// from Debian (nginx).
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { run, send, until } from '../tests/server/harness.ts';
import { SERVER_CORE, type Target } from './load.ts';

export interface Running {
    name: string;
    target: Target;
    pid: number;
    stop(): Promise<void>;
}

const isArm = process.arch === 'arm64';
const packaged = (file: string) => path.join(process.env.LIMPET_ROOT!, 'bench', 'node_modules', file);
export const PROGRAM = {
    workerd: packaged(`@cloudflare/workerd-linux-${isArm ? 'arm64' : '64'}/bin/workerd`),
    deno: packaged(`@deno/linux-${isArm ? 'arm64' : 'x64'}-glibc/deno`),
    bun: packaged(`@oven/bun-linux-${isArm ? 'aarch64' : 'x64'}/bin/bun`),
    restate: packaged(`@restatedev/restate-server-linux-${isArm ? 'arm64' : 'x64'}/bin/restate-server`),
    dbos: '/usr/lib/postgresql/15/bin/postgres',
    node24: packaged(`node-linux-${isArm ? 'arm64' : 'x64'}/bin/node`), // for the services of restate and dbos
};

/** False for a peer whose makers ship no program for this processor. */
export function isInstalled(name: string): boolean {
    const file = (PROGRAM as Record<string, string>)[name];
    return file === undefined || fs.existsSync(file);
}

/** The same Workers-style module runs on workerd and on Limpet (and deno's `serve`). */
export const HELLO_MODULE = `export default { fetch(request) { return Response.json({ hello: "world" }); } };\n`;
export const JSON_MODULE = `export default { async fetch(request) { return Response.json(await request.json()); } };\n`;

export async function freePort(): Promise<number> {
    const server = net.createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const port = (server.address() as net.AddressInfo).port;
    server.close();
    await once(server, 'close');
    return port;
}

async function start(name: string, command: string[], port: number, cwd: string): Promise<Running> {
    const child: ChildProcess = spawn('taskset', ['-c', SERVER_CORE, ...command], {
        cwd,
        stdio: ['ignore', 'ignore', 'pipe'],
        env: { ...process.env, DENO_NO_UPDATE_CHECK: '1', NO_COLOR: '1' },
    });
    let stderr = '';
    let ended = false;
    child.stderr!.setEncoding('utf8').on('data', (d) => (stderr = (stderr + d).slice(-4000)));
    child.on('close', () => (ended = true));
    child.on('error', (e) => {
        stderr += String(e);
        ended = true;
    });
    const kill = () => child.kill('SIGKILL');
    process.on('exit', kill);
    await until(`${name} answers`, async () => {
        if (ended) throw new Error(`${name} ended: ${stderr}`);
        return send(port, '/', { method: 'POST', body: '{}' }).then((r) => r.status > 0, () => false);
    });
    return {
        name,
        target: { port, path: '/' },
        pid: child.pid!,
        async stop() {
            process.off('exit', kill);
            if (ended) return;
            const closed = once(child, 'close');
            child.kill('SIGTERM');
            const timer = setTimeout(kill, 3000);
            await closed;
            clearTimeout(timer);
        },
    };
}

/** durable: the variable and the class of Durable Objects, stored on disk. */
export async function workerd(dir: string, module: string, durable?: [binding: string, className: string]): Promise<Running> {
    const port = await freePort();
    const folder = fs.mkdtempSync(path.join(dir, 'workerd-'));
    fs.writeFileSync(path.join(folder, 'worker.js'), module);
    fs.mkdirSync(path.join(folder, 'disk'));
    fs.writeFileSync(path.join(folder, 'config.capnp'), `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [(name = "main", worker = .worker)${durable ? ', (name = "disk", disk = (path = "disk", writable = true))' : ''}],
  sockets = [(name = "http", address = "127.0.0.1:${port}", http = (), service = "main")]);
const worker :Workerd.Worker = (
  modules = [(name = "worker", esModule = embed "worker.js")],
${durable ? `  durableObjectNamespaces = [(className = "${durable[1]}", uniqueKey = "bench", enableSql = true)],
  durableObjectStorage = (localDisk = "disk"),
  bindings = [(name = "${durable[0]}", durableObjectNamespace = "${durable[1]}")],
` : ''}  compatibilityDate = "2026-10-01");
`);
    return start('workerd', [PROGRAM.workerd, 'serve', path.join(folder, 'config.capnp')], port, folder);
}

export async function node(dir: string): Promise<Running> {
    const port = await freePort();
    const file = path.join(dir, 'node.mjs');
    fs.writeFileSync(file, `import http from 'node:http';
http.createServer((req, res) => {
  const body = JSON.stringify({ hello: 'world' });
  res.writeHead(200, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) });
  res.end(body);
}).listen(${port}, '127.0.0.1');
`);
    return start('node', [process.execPath, file], port, dir);
}

export async function deno(dir: string): Promise<Running> {
    const port = await freePort();
    const file = path.join(dir, 'deno.js');
    fs.writeFileSync(file, HELLO_MODULE);
    return start('deno', [PROGRAM.deno, 'serve', '--quiet', '--no-lock', '--host', '127.0.0.1', '--port', String(port), file], port, dir);
}

export async function bun(dir: string): Promise<Running> {
    const port = await freePort();
    const file = path.join(dir, 'bun.js');
    fs.writeFileSync(file, `Bun.serve({ hostname: '127.0.0.1', port: ${port}, fetch() { return Response.json({ hello: 'world' }); } });\n`);
    return start('bun', [PROGRAM.bun, file], port, dir);
}

export async function nginx(dir: string, isHttp2 = false): Promise<Running> {
    const port = await freePort();
    const folder = fs.mkdtempSync(path.join(dir, 'nginx-'));
    const temp = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((t) => `${t}_temp_path ${folder}/${t};`).join(' ');
    fs.writeFileSync(path.join(folder, 'nginx.conf'), `daemon off; master_process off; worker_processes 1; pid ${folder}/pid; error_log stderr error;
events { worker_connections 1024; }
http { access_log off; keepalive_requests 1000000000; ${temp}
  server { listen 127.0.0.1:${port}${isHttp2 ? ' http2' : ''};
    location / { default_type application/json; return 200 '{"hello":"world"}'; } } }
`);
    const command = ['nginx', '-p', folder, '-c', `${folder}/nginx.conf`, '-e', 'stderr'];
    if (!isHttp2) return start('nginx', command, port, folder);
    // An HTTP/2-only port does not answer the HTTP/1 probe of start(): wait for the port.
    const child = spawn('taskset', ['-c', SERVER_CORE, ...command], { stdio: 'ignore' });
    const kill = () => child.kill('SIGKILL');
    process.on('exit', kill);
    await until('nginx listens', () => new Promise<boolean>((resolve) => {
        const s = net.connect(port, '127.0.0.1', () => resolve((s.destroy(), true)));
        s.on('error', () => resolve(false));
    }));
    return {
        name: 'nginx',
        target: { port, path: '/' },
        pid: child.pid!,
        async stop() {
            process.off('exit', kill);
            const closed = once(child, 'close');
            child.kill('SIGTERM');
            await closed;
        },
    };
}

/** What was compared, for the head of the report. */
export async function versions(): Promise<Record<string, string>> {
    const first = async (file: string, args: string[]) => {
        const r = await run(file, args).catch((e) => ({ stdout: String(e), stderr: '' }));
        return (r.stdout + r.stderr).trim().split('\n')[0]!.replace(/\s*\(.*\)/, '');
    };
    return {
        node: process.version,
        workerd: (await first(PROGRAM.workerd, ['--version'])).replace('workerd ', ''),
        deno: (await first(PROGRAM.deno, ['--version'])).replace('deno ', ''),
        bun: await first(PROGRAM.bun, ['--version']),
        restate: (await first(PROGRAM.restate, ['--version'])).replace(/^restate(-server)? /, ''),
        postgres: /\(PostgreSQL\) (\S+)/.exec((await run(PROGRAM.dbos, ['--version']).catch(() => ({ stdout: '' }))).stdout)?.[1] ?? '?',
        nginx: (await first('nginx', ['-v'])).replace('nginx version: nginx/', ''),
        wrk: /wrk (\S+)/.exec(await first('wrk', ['-v']))?.[1] ?? '?',
    };
}
