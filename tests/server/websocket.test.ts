// SPDX-License-Identifier: Apache-2.0
// WebSockets of clients: a function answers with one end of a pair, the other end of the wire is the npm package ws.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import http2 from 'node:http2';
import { createRequire } from 'node:module';
import { test } from 'node:test';
import type { WebSocket as Peer, ClientOptions } from 'ws';
import { PATIENCE_MS, Server, until, useServer } from './harness.ts';

const WebSocket = createRequire(`${process.env.LIMPET_ROOT}/package.json`)('ws') as typeof Peer;
const server = useServer({ args: ['--threads', '2'] });

const ECHO = `export default { fetch(request) {
    if (request.headers.get("Upgrade") !== "websocket") return new Response("expected a WebSocket", { status: 426 });
    const [client, server] = Object.values(new WebSocketPair());
    server.accept();
    server.addEventListener("message", (event) => server.send(event.data));
    return new Response(null, { status: 101, webSocket: client });
} };`;

interface Heard {
    socket: Peer;
    messages: (string | Buffer)[];
    next(): Promise<string | Buffer>;
    readonly closed: Promise<[number, string]>;
}

/** What never comes is an error. */
async function soon<T>(what: string, promise: Promise<T>): Promise<T> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => (timer = setTimeout(() => reject(new Error(`still waiting for ${what}`)), PATIENCE_MS)));
    late.catch(() => {});
    return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/** Connects, and keeps what comes. */
async function connect(s: Server, name: string, path = '/', options: ClientOptions = {}, protocols: string[] = []): Promise<Heard> {
    const socket = new WebSocket(`ws://127.0.0.1:${s.httpPort}${path}`, protocols, { headers: { host: s.host(name) }, ...options });
    const messages: (string | Buffer)[] = [];
    let wake = () => {};
    socket.on('message', (data: Buffer, isBinary: boolean) => {
        messages.push(isBinary ? data : data.toString());
        wake();
    });
    const closed = new Promise<[number, string]>((resolve) => socket.on('close', (code, reason) => resolve([code, reason.toString()])));
    await once(socket, 'open', { signal: AbortSignal.timeout(PATIENCE_MS) });
    return {
        socket, messages,
        closed,
        next: () => soon('a message', (async () => {
            while (messages.length === 0) await new Promise<void>((resolve) => (wake = resolve));
            return messages.shift()!;
        })()),
    };
}

test('messages go there and back, texts and bytes, of any size', async () => {
    const s = await server();
    await s.deploy('echo', ECHO);
    for (const perMessageDeflate of [false, true]) {
        const c = await connect(s, 'echo', '/', { perMessageDeflate });
        assert.equal(c.socket.extensions.includes('permessage-deflate'), perMessageDeflate);
        for (const text of ['hello', '', 'größer 😀', 'x'.repeat(125), 'y'.repeat(126), 'z'.repeat(70_000), 'w'.repeat(1 << 20)]) {
            c.socket.send(text);
            assert.equal(await c.next(), text);
        }
        for (const size of [0, 1, 1000, 300_000]) {
            const bytes = Buffer.alloc(size, 7);
            c.socket.send(bytes);
            assert.deepEqual(await c.next(), bytes);
        }
        c.socket.close(1000, 'done');
        assert.deepEqual(await c.closed, [1000, '']);
    }
});

test('who closes, and with what', async () => {
    const s = await server();
    await s.deploy('closes', `export default { fetch(request) {
        const [client, server] = Object.values(new WebSocketPair());
        const path = new URL(request.url).pathname;
        server.accept();
        server.addEventListener("message", ({ data }) => {
            if (data === "close") server.close(4001, "as told");
            if (data === "bare") server.close();
            if (data === "throw") throw new Error("handlers may throw");
            server.readyState === WebSocket.OPEN && server.send("still here");
        });
        server.addEventListener("close", ({ code, reason, wasClean }) => {
            console.log("closed " + code + " " + reason + " " + wasClean + " " + server.readyState);
            if (path === "/answers") server.close(3333, "own");
        });
        if (path === "/at-once") server.close(1000, "never mind");
        else server.send("hello");
        return new Response(null, { status: 101, webSocket: client, headers: { "x-own": "header" } });
    } };`);
    const logs = async () => (await s.api('GET', '/functions/closes/logs')).json.map((l: any) => l.text) as string[];
    let c = await connect(s, 'closes');
    assert.equal(await c.next(), 'hello');
    c.socket.send('throw');
    c.socket.send('x');
    assert.equal(await c.next(), 'still here');
    c.socket.send('close');
    assert.deepEqual(await c.closed, [4001, 'as told']);
    await until('its close event', async () => (await logs()).some((t) => t.startsWith('closed 4001 ')));
    assert.ok((await logs()).some((t) => t.includes('handlers may throw')));

    c = await connect(s, 'closes');
    c.socket.send('bare');
    assert.deepEqual(await c.closed, [1005, '']);

    c = await connect(s, 'closes');
    c.socket.close(4100, 'we go');
    assert.deepEqual(await c.closed, [4100, '']);
    await until('its close event', async () => (await logs()).includes('closed 4100 we go true 2'));

    c = await connect(s, 'closes', '/answers');
    c.socket.close(4200);
    assert.deepEqual(await c.closed, [3333, 'own']);

    c = await connect(s, 'closes', '/at-once');
    assert.deepEqual(await c.closed, [1000, 'never mind']);

    c = await connect(s, 'closes');
    await c.next();
    c.socket.terminate();
    await until('its close event', async () => (await logs()).some((t) => t.startsWith('closed 1006  false')));
});

test('pings are answered, faults close with their code', async () => {
    const s = await server();
    await s.deploy('echo', ECHO);
    const c = await connect(s, 'echo', '/', { perMessageDeflate: false });
    const pong = once(c.socket, 'pong', { signal: AbortSignal.timeout(PATIENCE_MS) });
    c.socket.ping('are you there');
    const [data] = await pong;
    assert.equal(data.toString(), 'are you there');
    const raw = (c.socket as any)._socket;
    raw.write(Buffer.from([0xc1, 0x81, 0, 0, 0, 0, 0x78])); // compressed, which was not agreed on
    assert.equal((await c.closed)[0], 1002);
    const d = await connect(s, 'echo');
    (d.socket as any)._socket.write(Buffer.from([0x81, 0x81, 0, 0, 0, 0, 0xff]));
    assert.equal((await d.closed)[0], 1007);
});

test('what is no request for a WebSocket gets none', async () => {
    const s = await server();
    await s.deploy('echo', ECHO);
    await s.deploy('always', `export default { fetch() {
        const [client, server] = Object.values(new WebSocketPair());
        server.accept();
        return new Response(null, { status: 101, webSocket: client });
    } };`);
    assert.equal((await s.request('echo')).status, 426);
    const refused = await s.request('always');
    assert.equal(refused.status, 500);
    assert.match(refused.text, /has not asked for one/);
    const others: Record<string, string>[] = [{ upgrade: 'websocket', connection: 'Upgrade' }, { upgrade: 'h2c', connection: 'Upgrade', 'sec-websocket-key': 'x', 'sec-websocket-version': '13' }];
    for (const headers of others)
        assert.equal((await s.request('echo', '/', { headers })).status, 426);
    await s.deploy('wrong', `export default { fetch(request) {
        const out = [];
        const [a, b] = Object.values(new WebSocketPair());
        const tries = [() => new Response(null, { status: 101 }), () => new Response(null, { webSocket: a }), () => new Response(null, { status: 101, webSocket: 5 }),
            () => a.send("x"), () => (a.accept(), a.accept()), () => a.close(999), () => a.close(1006), () => a.close(1000, "x".repeat(124)), () => WebSocket(), () => new WebSocket("ftp://x"),
            () => new WebSocket("ws://x/#f"), () => new WebSocket("ws://x", ["a", "a"]), () => new WebSocket("ws://x", "a b")];
        for (const t of tries) try { t(); out.push("fine"); } catch (e) { out.push(e.name); }
        return Response.json(out);
    } };`);
    assert.deepEqual((await s.request('wrong')).json, ['RangeError', 'RangeError', 'TypeError', 'TypeError', 'TypeError', 'InvalidAccessError', 'InvalidAccessError', 'SyntaxError', 'TypeError',
        'SyntaxError', 'SyntaxError', 'SyntaxError', 'SyntaxError']);
});

test('a pair is used inside one function', async () => {
    const s = await server();
    await s.deploy('pairs', `export default { async fetch() {
        const { 0: a, 1: b } = new WebSocketPair();
        const heard = [];
        a.send === b.send || heard.push("different");
        b.accept();
        b.send("early");
        a.accept();
        const over = new Promise((resolve) => a.addEventListener("close", (e) => (heard.push(["close", e.code, e.reason, e.wasClean, a.readyState]), resolve())));
        a.addEventListener("message", (e) => heard.push(typeof e.data === "string" ? e.data : [...new Uint8Array(e.data)]));
        b.addEventListener("message", (e) => b.send("got " + e.data));
        a.send("one");
        b.send(new Uint8Array([1, 2, 3]).subarray(1));
        b.send(new Blob(["zz"]));
        await scheduler.wait(1);
        b.close(4000, "bye");
        await over;
        await scheduler.wait(1);
        return Response.json([heard, a.readyState, b.readyState, a.binaryType, a.url, a.protocol, a.extensions]);
    } };`);
    assert.deepEqual((await s.request('pairs')).json, [['early', [2, 3], [122, 122], 'got one', ['close', 4000, 'bye', true, 2]], 3, 3, 'arraybuffer', null, '', '']);
});

test('protocols, headers, and pieces that come before the answer', async () => {
    const s = await server();
    await s.deploy('proto', `export default { async fetch(request) {
        const [client, server] = Object.values(new WebSocketPair());
        server.accept();
        server.send(request.headers.get("sec-websocket-protocol"));
        server.send("second");
        await scheduler.wait(5);
        return new Response(null, { status: 101, webSocket: client, headers: { "sec-websocket-protocol": "two" } });
    } };`);
    const c = await connect(s, 'proto', '/', {}, ['one', 'two']);
    assert.equal(c.socket.protocol, 'two');
    assert.equal(await c.next(), 'one,two');
    assert.equal(await c.next(), 'second');
    c.socket.close();
    await c.closed;
});

test('through a service binding, and passed on by a function in between', async () => {
    const s = await server();
    for (const isolation of ['request', 'module'] as const) {
        await s.deploy('inner', ECHO, { isolation });
        await s.deploy('caller', `export default { async fetch(request, env) {
            const response = await env.SVC.fetch("http://inner/", { headers: { Upgrade: "websocket" } });
            const socket = response.webSocket;
            socket.accept();
            const heard = [];
            const over = new Promise((resolve) => {
                socket.addEventListener("message", ({ data }) => heard.push(data) === 2 && socket.close(1000, "enough"));
                socket.addEventListener("close", ({ code, wasClean }) => resolve([code, wasClean]));
            });
            socket.send("one");
            socket.send("x".repeat(100000));
            const close = await over;
            const none = await env.SVC.fetch("http://inner/");
            return Response.json([response.status, heard[0], heard[1].length, close, none.status, none.webSocket]);
        } };`, { bindings: [{ type: 'service', name: 'SVC', service: 'inner' }] });
        assert.deepEqual((await s.request('caller')).json, [101, 'one', 100000, [1000, true], 426, null]);
        await s.deploy('between', 'export default { fetch(request, env) { return env.SVC.fetch(request); } };', { bindings: [{ type: 'service', name: 'SVC', service: 'inner' }] });
        for (const perMessageDeflate of [false, true]) {
            const c = await connect(s, 'between', '/', { perMessageDeflate });
            for (const text of ['hello', 'y'.repeat(200_000)]) {
                c.socket.send(text);
                assert.equal(await c.next(), text);
            }
            c.socket.close(4000, 'through');
            assert.deepEqual(await c.closed, [4000, '']);
        }
    }
});

test('a function that dies says so, and a server that stops', async () => {
    const s = await server();
    await s.deploy('dies', `export default { fetch(request) {
        const [client, server] = Object.values(new WebSocketPair());
        server.accept();
        server.addEventListener("message", () => { for (;;); });
        return new Response(null, { status: 101, webSocket: client });
    } };`, { cpu_ms: 50 });
    const c = await connect(s, 'dies');
    c.socket.send('go');
    assert.equal((await c.closed)[0], 1011);

    const other = await Server.start();
    await other.deploy('echo', ECHO);
    const d = await connect(other, 'echo');
    d.socket.send('x');
    await d.next();
    const stopped = other.stop();
    assert.equal((await d.closed)[0], 1001);
    await stopped;
});

test('time is counted for each message, and idle sockets stay', async () => {
    const s = await server();
    await s.deploy('busy', `let n = 0; export default { fetch(request, env, ctx) {
        const [client, server] = Object.values(new WebSocketPair());
        server.accept();
        server.addEventListener("message", (event) => {
            const end = performance.now(); let x = 0;
            for (let i = 0; i < 300000; i++) x += i % 7;
            ctx.waitUntil(Promise.resolve(x));
            server.send(String(++n));
        });
        return new Response(null, { status: 101, webSocket: client });
    } };`, { cpu_ms: 100, wall_ms: 500 });
    const c = await connect(s, 'busy');
    for (let n = 1; n <= 60; n++) {
        c.socket.send('x');
        assert.equal(await c.next(), String(n));
    }
    c.socket.close();
    await c.closed;
});

test('what depends on a commit leaves after it', async () => {
    const s = await server();
    await s.deploy('counts', `import { sql } from "limpet";
    export default { fetch(request) {
        sql.exec("CREATE TABLE IF NOT EXISTS t (n INTEGER)");
        const [client, server] = Object.values(new WebSocketPair());
        server.accept();
        server.addEventListener("message", ({ data }) => {
            sql.exec("INSERT INTO t VALUES (?)", data);
            server.send(data);
        });
        return new Response(null, { status: 101, webSocket: client });
    } };`);
    const c = await connect(s, 'counts');
    for (let n = 0; n < 50; n++) c.socket.send(String(n));
    for (let n = 0; n < 50; n++) assert.equal(await c.next(), String(n));
    c.socket.close();
    await c.closed;
});

test('a slow reader holds its sender, not the memory', async () => {
    const s = await server();
    await s.deploy('floods', `export default { async fetch(request) {
        const [client, server] = Object.values(new WebSocketPair());
        server.accept();
        const piece = "x".repeat(1 << 20);
        server.addEventListener("message", async () => {
            let sent = 0, most = 0, error = "";
            try { for (; sent < 100; sent++) { server.send(piece); most = Math.max(most, server.bufferedAmount); } } catch (e) { error = e.message; }
            console.log(error);
            while (server.bufferedAmount > 1 << 20) await scheduler.wait(1);
            server.send(JSON.stringify([sent, most, error]));
        });
        return new Response(null, { status: 101, webSocket: client });
    } };`);
    const c = await connect(s, 'floods', '/', { perMessageDeflate: false });
    c.socket.send('tell');
    c.socket.pause(); // so that nothing but the kernel takes what comes
    await until('the error', async () => (await s.api('GET', '/functions/floods/logs')).json.length > 0);
    c.socket.resume();
    await until('the end', () => c.messages.some((m) => String(m).startsWith('[')));
    const [sent, most, error] = JSON.parse(String(c.messages.at(-1)));
    assert.ok(sent >= 10 && sent < 60, String(sent)); // what the kernel has taken, too
    assert.ok(most <= 16 << 20);
    assert.match(error, /wait to be sent/);
    assert.equal(c.messages.length, sent + 1);
    c.socket.close();
    await c.closed;
});

test('outgoing: new WebSocket() and fetch(), to a server of the package', async () => {
    const s = await server();
    const { WebSocketServer } = WebSocket as any;
    const peer = new WebSocketServer({ port: 0, host: '127.0.0.1', perMessageDeflate: true, handleProtocols: (p: Set<string>) => (p.has('b') ? 'b' : false) });
    await once(peer, 'listening');
    const port = peer.address().port;
    try {
        peer.on('connection', (socket: Peer, request: any) => {
            socket.on('message', (data, isBinary) => {
                if (data.toString() === 'close me') socket.close(4444, 'you asked');
                else socket.send(data, { binary: isBinary });
            });
            socket.on('close', (code) => closes.push(code));
            if (request.url === '/big') socket.send('b'.repeat(300_000));
        });
        const closes: number[] = [];
        const out = await Server.start({ args: ['--egress-allow', `127.0.0.1:${port}`] });
        await out.deploy('client', `export default { async fetch(request) {
            const heard = [];
            const url = "ws://127.0.0.1:${port}/";
            const a = new WebSocket(url, ["a", "b"]);
            heard.push(a.readyState, a.url === url);
            await new Promise((resolve, reject) => { a.onopen = resolve; a.onerror = (e) => reject(e.error); });
            heard.push(a.readyState, a.protocol, a.extensions.startsWith("permessage-deflate"));
            const next = (s) => new Promise((resolve) => s.addEventListener("message", (e) => resolve(e.data), { once: true }));
            for (const text of ["one", "t".repeat(50000)]) { const got = next(a); a.send(text); heard.push((await got) === text); }
            a.binaryType = "blob";
            const blob = next(a); a.send(new Uint8Array(5000).fill(9)); heard.push((await blob) instanceof Blob);
            const closed = new Promise((resolve) => (a.onclose = (e) => resolve([e.code, e.reason, e.wasClean])));
            a.send("close me");
            heard.push(await closed, a.readyState);
            const r = await fetch("http://127.0.0.1:${port}/big", { headers: { Upgrade: "websocket" } });
            const big = new Promise((resolve) => r.webSocket.addEventListener("message", (e) => resolve(e.data.length)));
            r.webSocket.accept();
            heard.push(r.status, await big);
            const end = new Promise((resolve) => r.webSocket.addEventListener("close", (e) => resolve(e.code)));
            r.webSocket.close(1000);
            heard.push(await end);
            const failed = new WebSocket("ws://127.0.0.1:1/");
            heard.push(await new Promise((resolve) => { const seen = []; failed.onerror = () => seen.push("error"); failed.onclose = (e) => resolve([...seen, e.code, e.wasClean]); }));
            return Response.json(heard);
        } };`);
        assert.deepEqual((await out.request('client')).json, [0, true, 1, 'b', true, true, true, true, [4444, 'you asked', true], 3, 101, 300_000, 1000, ['error', 1006, false]]);
        await out.deploy('proxy', `export default { fetch(request) { return fetch("http://127.0.0.1:${port}/", request); } };`);
        for (const perMessageDeflate of [false, true]) {
            const c = await connect(out, 'proxy', '/', { perMessageDeflate });
            assert.equal(c.socket.extensions.includes('permessage-deflate'), perMessageDeflate);
            c.socket.send('p'.repeat(10_000));
            assert.equal(await c.next(), 'p'.repeat(10_000));
            c.socket.send('close me');
            assert.deepEqual(await c.closed, [4444, 'you asked']);
        }
        await out.stop();
        assert.ok(closes.includes(1000));
    } finally {
        for (const c of peer.clients) c.terminate();
        peer.close();
    }
});

/** A client's frame with a payload below 126 bytes. */
function frame(first: number, payload: string): Buffer {
    const bytes = Buffer.from(payload);
    return Buffer.concat([Buffer.from([first, 0x80 | bytes.length, 0, 0, 0, 0]), bytes]);
}

test('over HTTP/2, by extended CONNECT', async () => {
    const s = await server();
    await s.deploy('echo', ECHO);
    await s.deploy('plain', 'export default { fetch(r) { return new Response("no socket here " + r.method + r.headers.get("upgrade")); } };');
    const session = http2.connect(`http://127.0.0.1:${s.httpPort}`);
    try {
        await soon('settings', once(session, 'remoteSettings'));
        assert.equal(session.remoteSettings.enableConnectProtocol, true);
        const open = (name: string) => session.request({ ':method': 'CONNECT', ':protocol': 'websocket', ':scheme': 'http', ':path': '/', ':authority': s.host(name), 'sec-websocket-version': '13' }, { endStream: false });
        const stream = open('echo');
        const [headers] = await soon('the answer', once(stream, 'response'));
        assert.equal(headers[':status'], 200);
        const parts: Buffer[] = [];
        stream.on('data', (d) => parts.push(d));
        stream.write(frame(0x81, 'over h2'));
        await until('the echo', () => Buffer.concat(parts).length >= 9);
        assert.equal(Buffer.concat(parts).toString('latin1'), '\x81\x07over h2');
        parts.length = 0;
        stream.write(frame(0x88, '\x03\x68')); // 872: no such code
        await soon('the end', once(stream, 'end'));
        assert.equal(Buffer.concat(parts).readUInt16BE(2), 1002);
        stream.close();
        const refused = open('plain');
        const [answer] = await soon('the answer', once(refused, 'response'));
        assert.equal(answer[':status'], 500);
        refused.close();
        const dropped = open('echo');
        await soon('the answer', once(dropped, 'response'));
        dropped.close(http2.constants.NGHTTP2_CANCEL);
    } finally {
        session.destroy();
    }
});

test('messages are bounded, also compressed ones', async () => {
    const s = await Server.start({ args: ['--websocket-message-max', '100000'] });
    await s.deploy('echo', ECHO);
    for (const perMessageDeflate of [false, true]) {
        const c = await connect(s, 'echo', '/', { perMessageDeflate });
        c.socket.send('x'.repeat(100_000));
        assert.equal((await c.next()).length, 100_000);
        c.socket.send('x'.repeat(100_001));
        assert.equal((await c.closed)[0], 1009);
    }
    await s.stop();
});
