// SPDX-License-Identifier: Apache-2.0
// TCP: connect() of cloudflare:sockets, and node:net and node:tls over it, to servers that the test starts; egress rules; and the
// clients of PostgreSQL and Redis of npm against the real servers.
import assert from 'node:assert/strict';
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { after, before, test } from 'node:test';
import tls from 'node:tls';
import { Server, tempDir, until } from './harness.ts';

const folder = tempDir();
let s: Server, echo: net.Server, secure: tls.Server, mixed: net.Server;
let ports: { echo: number; secure: number; mixed: number };

function listen(server: net.Server): Promise<number> {
    return new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve((server.address() as net.AddressInfo).port)));
}

before(async () => {
    const key = path.join(folder, 'key.pem'), cert = path.join(folder, 'cert.pem');
    execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-keyout', key, '-out', cert, '-days', '2', '-subj', '/CN=localhost',
        '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1'], { stdio: 'ignore' });
    const files = { key: fs.readFileSync(key), cert: fs.readFileSync(cert) };
    echo = net.createServer({ allowHalfOpen: true }, (c) => c.on('error', () => {}).pipe(c));
    secure = tls.createServer(files, (c) => c.on('error', () => {}).pipe(c));
    secure.on('tlsClientError', () => {});
    mixed = net.createServer((c) => { // one line in the clear, then TLS
        c.on('error', () => {});
        c.once('data', (d) => {
            c.write(`heard ${d}`);
            const upgraded = new tls.TLSSocket(c, { isServer: true, ...files });
            upgraded.on('error', () => {}).on('data', (more) => upgraded.end(`safe ${more}`));
        });
    });
    ports = { echo: await listen(echo), secure: await listen(secure), mixed: await listen(mixed) };
    s = await Server.start({ args: ['--threads', '1', '--ca-file', cert, ...Object.values(ports).flatMap((p) => ['--egress-allow', `127.0.0.1:${p}`, '--egress-allow', `localhost:${p}`])] });
});
after(async () => {
    await s.stop();
    echo.close();
    secure.close();
    mixed.close();
    fs.rmSync(folder, { recursive: true, force: true });
});

/** Runs the body of a handler, with connect() in reach; what it returns comes as JSON. */
let count = 0;
async function run(body: string, options: object = {}): Promise<any> {
    const name = `f${++count}`;
    await s.deploy(name, `import { connect } from "cloudflare:sockets"; import net from "node:net"; import tls from "node:tls";
        const all = async (readable) => new TextDecoder().decode(await new Response(readable).arrayBuffer());
        export default { async fetch() { ${body} } };`, options);
    const answer = await s.request(name);
    assert.equal(answer.status, 200, answer.text);
    return answer.json;
}

test('bytes go there and back, and both sides end', async () => {
    assert.deepEqual(await run(`
        const socket = connect({ hostname: "127.0.0.1", port: ${ports.echo} }, { allowHalfOpen: true });
        const info = await socket.opened;
        const writer = socket.writable.getWriter();
        await writer.write(new TextEncoder().encode("hello "));
        await writer.write("x".repeat(300000));
        const read = all(socket.readable);
        await writer.close();
        const text = await read;
        await socket.closed;
        return Response.json([info.remoteAddress, text.length, text.slice(0, 7), socket.secureTransport, socket.upgraded]);`),
    [`127.0.0.1:${ports.echo}`, 300_006, 'hello x', 'off', false]);
});

test('TLS from the beginning, and from some point on', async () => {
    assert.deepEqual(await run(`
        const on = connect("localhost:${ports.secure}", { secureTransport: "on" });
        const w = on.writable.getWriter();
        await w.write("over TLS");
        const r = on.readable.getReader();
        const first = new TextDecoder().decode((await r.read()).value);
        await on.close();
        const plain = connect("localhost:${ports.mixed}", { secureTransport: "starttls" });
        const pw = plain.writable.getWriter();
        await pw.write("STARTTLS");
        const pr = plain.readable.getReader();
        const heard = new TextDecoder().decode((await pr.read()).value);
        pw.releaseLock(); pr.releaseLock();
        const next = plain.startTls();
        const nw = next.writable.getWriter();
        await nw.write("secret");
        const answer = await all(next.readable);
        return Response.json([first, heard, answer, plain.upgraded, next.secureTransport]);`),
    ['over TLS', 'heard STARTTLS', 'safe secret', true, 'on']);
});

test('what fails says why, and where code may not go it does not', async () => {
    const free = net.createServer();
    const closed = await listen(free);
    await new Promise((resolve) => free.close(resolve));
    const failures: string[] = await run(`
        const out = [];
        for (const [to, options] of [["127.0.0.1:${closed}"], ["127.0.0.1:22"], ["127.0.0.1:${ports.echo}", { secureTransport: "on" }], ["localhost:${ports.secure}", { secureTransport: "starttls" }]]) {
            const socket = connect(to, options);
            out.push(await socket.opened.then(() => "open", (e) => e.message));
        }
        for (const f of [() => connect("nothing"), () => connect({ hostname: "x", port: 0 }), () => connect("x:1", { secureTransport: "maybe" }), () => connect("127.0.0.1:${ports.echo}").startTls()])
            try { f(); out.push("fine"); } catch (e) { out.push(e.name); }
        return Response.json(out);`);
    assert.match(failures[0]!, /egress|not allowed|refused/);
    assert.match(failures[1]!, /--egress-allow|not allowed/);
    assert.match(failures[2]!, /TLS|ended|broke/);
    assert.deepEqual(failures.slice(3), ['open', 'TypeError', 'TypeError', 'TypeError', 'TypeError']);
    const limited = await run(`return Response.json(await connect("127.0.0.1:${ports.echo}").opened.then(() => "open", (e) => e.message));`, { egress: ['api.example.com'] });
    assert.match(limited, /127\.0\.0\.1/);
});

test('node:net and node:tls', async () => {
    assert.deepEqual(await run(`
        const heard = await new Promise((resolve, reject) => {
            const socket = net.connect(${ports.echo}, "127.0.0.1", () => socket.write("over net"));
            socket.setNoDelay(true).setKeepAlive(true);
            socket.on("error", reject).on("data", (d) => { resolve([String(d), socket.remotePort, socket.readyState]); socket.end(); });
        });
        const safe = await new Promise((resolve, reject) => {
            const socket = tls.connect({ host: "localhost", port: ${ports.secure} }, () => socket.end("over tls"));
            let text = "";
            socket.setEncoding("utf8").on("error", reject).on("data", (d) => (text += d)).on("end", () => resolve([text, socket.authorized, socket.encrypted]));
        });
        const upgraded = await new Promise((resolve, reject) => {
            const plain = net.connect({ host: "localhost", port: ${ports.mixed} });
            plain.on("error", reject).once("connect", () => plain.write("up"));
            plain.once("data", (d) => {
                const socket = tls.connect({ socket: plain, servername: "localhost" });
                socket.once("secureConnect", () => socket.write("now"));
                socket.on("error", reject).once("data", (more) => resolve([String(d), String(more)]));
            });
        });
        const failed = await new Promise((resolve) => net.connect(1, "127.0.0.1").on("error", (e) => resolve(e instanceof Error)));
        const refused = await new Promise((resolve) => tls.connect({ host: "localhost", port: ${ports.secure}, rejectUnauthorized: false }).on("error", (e) => resolve(e.code)));
        return Response.json([heard, safe, upgraded, failed, refused]);`),
    [['over net', ports.echo, 'open'], ['over tls', true, true], ['heard up', 'safe now'], true, 'ERR_TLS_OPTION_REFUSED']);
});

test('a stream that is not read holds its sender', async () => {
    let sent = 0;
    const flood = net.createServer((c) => {
        c.on('error', () => {});
        const piece = Buffer.alloc(1 << 20);
        const go = () => {
            while (sent < 512 && c.write(piece)) sent++;
            if (sent < 512) c.once('drain', () => (sent++, go()));
        };
        go();
    });
    const port = await listen(flood);
    const other = await Server.start({ args: ['--egress-allow', `127.0.0.1:${port}`] });
    await other.deploy('slow', `import { connect } from "cloudflare:sockets";
        export default { async fetch() {
            const socket = connect("127.0.0.1:${port}");
            const reader = socket.readable.getReader();
            let n = (await reader.read()).value.length;
            await scheduler.wait(300);
            return Response.json(n);
        } };`, { memory_mb: 64 });
    assert.equal((await other.request('slow')).status, 200);
    assert.ok(sent < 100, `${sent} MiB were taken`);
    await other.stop();
    flood.close();
});
