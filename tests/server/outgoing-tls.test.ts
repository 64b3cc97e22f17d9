// SPDX-License-Identifier: Apache-2.0
// Outgoing TLS with a certificate authority of one's own (--ca-file, SSL_CERT_FILE): whom it vouches for is reached, and gets secrets that are bound to it; nobody else is.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import type { IncomingHttpHeaders } from 'node:http';
import https from 'node:https';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { Server, tempDir } from './harness.ts';

const VALUE = 'hunter2-over-tls';
const dir = tempDir();
const at = (name: string): string => path.join(dir, name);
const openssl = (...args: string[]): void => void execFileSync('openssl', args, { stdio: 'pipe' });

/** An authority NAME.pem, and a certificate NAME-host.pem of it for 127.0.0.1. */
function makeAuthority(name: string): void {
    const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
    openssl('req', '-x509', ...key, '-days', '2', '-subj', `/CN=${name}`, '-keyout', at(`${name}.key`), '-out', at(`${name}.pem`));
    openssl('req', ...key, '-subj', '/CN=host', '-keyout', at(`${name}-host.key`), '-out', at(`${name}-host.csr`));
    fs.writeFileSync(at('extensions'), 'subjectAltName=IP:127.0.0.1\n');
    openssl('x509', '-req', '-in', at(`${name}-host.csr`), '-CA', at(`${name}.pem`), '-CAkey', at(`${name}.key`), '-CAcreateserial', '-days', '2', '-extfile', at('extensions'), '-out', at(`${name}-host.pem`));
}

class Host {
    seen: IncomingHttpHeaders[] = [];
    redirect?: string;
    readonly server: https.Server;
    constructor(name: string) {
        this.server = https.createServer({ key: fs.readFileSync(at(`${name}-host.key`)), cert: fs.readFileSync(at(`${name}-host.pem`)) }, (req, res) => {
            this.seen.push(req.headers);
            if (this.redirect) return void res.writeHead(307, { location: this.redirect }).end();
            res.end('ok');
        });
    }
    get port(): number {
        return (this.server.address() as AddressInfo).port;
    }
    get url(): string {
        return `https://127.0.0.1:${this.port}/`;
    }
}

const PROBE = `
export default { async fetch(request, env) {
    try {
        const r = await fetch(await request.text(), { headers: { authorization: "Bearer " + env.KEY } });
        return new Response(await r.text());
    } catch (e) { return new Response(e.name + ": " + e.message + ": " + e.code); }
} };`;

let trusted: Host, stranger: Host;
before(async () => {
    makeAuthority('ours');
    makeAuthority('theirs');
    [trusted, stranger] = [new Host('ours'), new Host('theirs')];
    for (const host of [trusted, stranger]) await once(host.server.listen(0, '127.0.0.1'), 'listening');
});
after(() => {
    for (const host of [trusted, stranger]) host.server.closeAllConnections(), host.server.close();
    fs.rmSync(dir, { recursive: true, force: true });
});

/** A server whose function holds a secret that is bound to both hosts. */
async function started(options: { args?: string[]; env?: Record<string, string> }): Promise<Server> {
    const s = await Server.start({ ...options, args: ['--threads', '1', '--egress-allow', '127.0.0.0/8', ...(options.args ?? [])] });
    await s.deploy('f', PROBE);
    const res = await s.cli(['secret', 'set', 'f', 'KEY', '--host', `127.0.0.1:${trusted.port}`, '--host', `127.0.0.1:${stranger.port}`], { input: VALUE });
    assert.equal(res.code, 0, res.stderr);
    return s;
}
async function stopped(s: Server): Promise<void> {
    await s.stop();
    fs.rmSync(s.data, { recursive: true, force: true });
}
const ask = async (s: Server, url: string): Promise<string> => (await s.request('f', '/', { method: 'POST', body: url })).text;

for (const [how, options] of [['--ca-file', { args: ['--ca-file', at('ours.pem')] }], ['SSL_CERT_FILE', { env: { SSL_CERT_FILE: at('ours.pem') } }]] as const)
    test(`${how}: a host of that authority gets its secret; one of another gets no byte of the request`, async () => {
        trusted.seen = [];
        const s = await started(options as { args?: string[]; env?: Record<string, string> });
        assert.equal(await ask(s, trusted.url), 'ok');
        assert.equal(trusted.seen[0]!.authorization, `Bearer ${VALUE}`);
        assert.match(await ask(s, stranger.url), /^TypeError: TLS with '127\.0\.0\.1'.*: network$/);
        trusted.redirect = stranger.url;
        assert.match(await ask(s, trusted.url), /^TypeError: TLS with/);
        trusted.redirect = undefined;
        // Its certificate is for the address, not for the name.
        assert.match(await ask(s, `https://localhost:${trusted.port}/`), /^TypeError: /);
        assert.equal(stranger.seen.length, 0);
        await stopped(s);
    });

test('without it neither is trusted', async () => {
    trusted.seen = [];
    const s = await started({ env: { SSL_CERT_FILE: '' } });
    for (const host of [trusted, stranger]) assert.match(await ask(s, host.url), /^TypeError: TLS with '127\.0\.0\.1'.*: network$/);
    assert.equal(trusted.seen.length + stranger.seen.length, 0);
    await stopped(s);
});

test('a file that has no certificate is refused at the start', async () => {
    fs.writeFileSync(at('empty.pem'), 'no certificate\n');
    for (const [file, message] of [[at('none.pem'), /cannot load the certificate authorities '.*none\.pem': .*No such file/i], [at('empty.pem'), /cannot load the certificate authorities '.*empty\.pem'/], [at('ours.key'), /authorities '.*ours\.key'/]] as const) {
        const how = await Server.startFailing({ args: ['--ca-file', file] });
        assert.equal(how.code, 1);
        assert.match(how.output, message);
        assert.match(how.output, /hint: it must be a PEM file/);
    }
});
