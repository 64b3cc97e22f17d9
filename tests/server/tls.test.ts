// SPDX-License-Identifier: Apache-2.0
// TLS with a certificate of our own, and which protocol ALPN chooses.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import http2 from 'node:http2';
import https from 'node:https';
import net from 'node:net';
import path from 'node:path';
import { after, test } from 'node:test';
import tls from 'node:tls';
import { Server, tempDir, useServer } from './harness.ts';

const dir = tempDir();
const cert = path.join(dir, 'cert.pem');
const key = path.join(dir, 'key.pem');
const made = spawnSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2', '-subj', '/CN=localhost',
    '-addext', 'subjectAltName=DNS:localhost,DNS:echo.localhost', '-keyout', key, '-out', cert], { encoding: 'utf8' });
assert.equal(made.status, 0, made.stderr);
after(() => fs.rmSync(dir, { recursive: true, force: true }));

const server = useServer({ args: ['--tls-cert', cert, '--tls-key', key] });
const ECHO = 'export default { async fetch(request) { return Response.json({ url: request.url, body: await request.text(), cf: [request.cf.httpProtocol, request.cf.tlsVersion] }); } };';

async function deployed(): Promise<Server> {
    const s = await server();
    await s.deploy('echo', ECHO);
    return s;
}

test('https by HTTP/1.1', async () => {
    const s = await deployed();
    assert.equal(s.httpScheme, 'https');
    const text = await new Promise<string>((resolve, reject) => {
        const req = https.request({ host: '127.0.0.1', port: s.httpPort, servername: 'echo.localhost', ca: fs.readFileSync(cert), maxVersion: 'TLSv1.2', method: 'POST', headers: { host: s.host('echo') } }, async (res) => {
            let body = '';
            for await (const chunk of res) body += chunk;
            resolve(body);
        });
        req.on('error', reject);
        req.end('secret');
    });
    assert.deepEqual(JSON.parse(text), { url: `https://echo.localhost:${s.httpPort}/`, body: 'secret', cf: ['HTTP/1.1', 'TLSv1.2'] });
});

test('ALPN chooses h2 where the client offers it', async () => {
    const s = await deployed();
    const session = http2.connect(`https://127.0.0.1:${s.httpPort}`, { ca: fs.readFileSync(cert), servername: 'echo.localhost' });
    await once(session, 'connect');
    assert.equal((session.socket as tls.TLSSocket).alpnProtocol, 'h2');
    const body = Buffer.alloc(500_000, 'x');
    const stream = session.request({ ':authority': s.host('echo'), ':path': '/', ':method': 'POST' });
    stream.end(body);
    let text = '';
    stream.setEncoding('utf8').on('data', (d: string) => (text += d));
    await once(stream, 'end');
    assert.equal(JSON.parse(text).body.length, body.length);
    assert.deepEqual(JSON.parse(text).cf, ['HTTP/2', 'TLSv1.3']);
    session.destroy();
});

test('ALPN falls back to HTTP/1.1', async () => {
    const s = await deployed();
    const socket = tls.connect({ host: '127.0.0.1', port: s.httpPort, servername: 'echo.localhost', ca: fs.readFileSync(cert), ALPNProtocols: ['http/1.1'] });
    await once(socket, 'secureConnect');
    assert.equal(socket.alpnProtocol, 'http/1.1');
    socket.destroy();
});

test('plain HTTP to the TLS port is refused and harms nobody', async () => {
    const s = await deployed();
    const socket = net.connect(s.httpPort, '127.0.0.1');
    socket.on('error', () => {});
    socket.write('GET / HTTP/1.1\r\nHost: echo.localhost\r\n\r\n');
    socket.resume();
    await once(socket, 'close');
    const session = http2.connect(`https://127.0.0.1:${s.httpPort}`, { ca: fs.readFileSync(cert), servername: 'echo.localhost' });
    await once(session, 'connect');
    session.destroy();
});

test('versions older than TLS 1.2 are refused', async () => {
    const s = await deployed();
    const socket = tls.connect({ host: '127.0.0.1', port: s.httpPort, rejectUnauthorized: false, minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' });
    const [e] = await once(socket, 'error');
    assert.match(String(e), /SSL|TLS|ECONNRESET|protocol/i);
});

test('a certificate without its key, or one that is not there, is refused at start', async () => {
    const missing = await Server.startFailing({ args: ['--tls-cert', cert] });
    assert.notEqual(missing.code, 0);
    assert.match(missing.output, /tls-key/);
    const absent = await Server.startFailing({ args: ['--tls-cert', path.join(dir, 'none.pem'), '--tls-key', key] });
    assert.notEqual(absent.code, 0);
    assert.match(absent.output, /none\.pem/);
});
