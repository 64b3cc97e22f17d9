// SPDX-License-Identifier: Apache-2.0
// Tokens of namespaces: what each role may, and nothing of another namespace; shown once, stored as a hash, revoked at once.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { test } from 'node:test';
import { type Answer, errorOf, type Server, until, useServer } from './harness.ts';

const OWN = 'the-servers-own-token';
const server = useServer({ args: ['--threads', '1', '--admin-token', OWN] });
const bearer = (token: string) => ({ authorization: `Bearer ${token}` });
const ask = (s: Server, token: string, method: string, target: string, body?: unknown): Promise<Answer> => s.api(method, target, body, bearer(token));

const ROLES = ['read', 'invoke', 'deploy', 'admin'] as const;
type Role = (typeof ROLES)[number];
let tokens: Record<Role, { id: string; token: string }> | undefined;

async function shop(): Promise<Server> {
    const s = await server();
    if (tokens) return s;
    assert.equal((await ask(s, OWN, 'POST', '/namespaces', { name: 'shop' })).status, 201);
    const made: any = {};
    for (const role of ROLES) {
        const res = await ask(s, OWN, 'POST', '/namespaces/shop/tokens', { role });
        assert.equal(res.status, 201, res.text);
        made[role] = res.json;
    }
    tokens = made;
    const up = await ask(s, made.deploy.token, 'POST', '/namespaces/shop/functions?wait=60s', { name: 'f', source: 'export default () => "f";' });
    assert.equal(up.status, 200, up.text);
    return s;
}

/** What each role is the first to be allowed; all others before it are refused. */
const FIRST: [Role | 'server', string, string, unknown?][] = [
    ['read', 'GET', '/namespaces/shop'],
    ['read', 'GET', '/namespaces/shop/functions'],
    ['read', 'GET', '/namespaces/shop/functions/f/logs'],
    ['read', 'GET', '/namespaces/shop/executions'],
    ['read', 'GET', '/namespaces/shop/usage'],
    ['read', 'GET', '/namespaces/shop/quota'],
    ['invoke', 'POST', '/namespaces/shop/functions/f/execute', { body: 1 }],
    ['deploy', 'GET', '/namespaces/shop/functions/f/env'],
    ['deploy', 'PUT', '/namespaces/shop/functions/f/env/A', { value: '1' }],
    ['deploy', 'DELETE', '/namespaces/shop/functions/f/env/A'],
    ['admin', 'GET', '/namespaces/shop/tokens'],
    ['admin', 'PUT', '/namespaces/shop/quotas/f', { memory_bytes: 64 << 20 }],
    ['server', 'PUT', '/namespaces/shop/quota', { memory_bytes: 64 << 20 }],
    ['server', 'GET', '/namespaces'],
    ['server', 'POST', '/namespaces', { name: 'mine' }],
    ['server', 'DELETE', '/namespaces/shop'],
    ['server', 'GET', '/metrics'],
];

test('each role may what it is for, and what those before it may', async () => {
    const s = await shop();
    for (const [first, method, target, body] of FIRST) {
        const least = first === 'server' ? ROLES.length : ROLES.indexOf(first);
        for (const role of [...ROLES].reverse()) {
            const res = await ask(s, tokens![role].token, method, target, body);
            if (ROLES.indexOf(role) < least) {
                const error = errorOf(res, 403, 'forbidden');
                assert.match(error.hint!, /token/);
            } else if (method === 'DELETE' && role !== 'admin') {
                assert.ok([204, 404].includes(res.status), `${role} ${method} ${target}: ${res.text}`); // one before has deleted it
            } else {
                assert.ok(res.status < 300, `${role} ${method} ${target}: ${res.text}`);
            }
        }
    }
});

test('no route of the server or of another namespace answers a token of this one; none answers without', async () => {
    const s = await shop();
    const open = (await ask(s, tokens!.read.token, 'GET', '/openapi.json')).json;
    let refused = 0;
    for (const [template, operations] of Object.entries<any>(open.paths)) {
        const target = template.replace('{namespace}', 'default').replace('{name}', 'f').replace('{module}', 'f').replace('{id}', '1').replace('{var}', 'A');
        for (const method of Object.keys(operations)) {
            if (target === '/healthz') {
                assert.equal((await s.api('GET', target)).status, 200);
                continue;
            }
            errorOf(await s.api(method.toUpperCase(), target), 401, 'unauthorized');
            if (target === '/openapi.json') continue;
            errorOf(await ask(s, tokens!.admin.token, method.toUpperCase(), target), 403, 'forbidden');
            refused++;
        }
    }
    assert.ok(refused > 100, String(refused));
    // Nor is it told whether a namespace exists.
    for (const name of ['default', 'nobody']) assert.match(errorOf(await ask(s, tokens!.read.token, 'GET', `/namespaces/${name}/functions`), 403, 'forbidden').message, /namespace 'shop'/);
});

test('a token is shown once and stored as a hash', async () => {
    const s = await shop();
    const { id, token } = tokens!.admin;
    assert.match(token, /^limpet_[0-9a-f]{16}_[0-9a-f]{64}$/);
    const secret = token.split('_')[2]!;
    const list = await ask(s, token, 'GET', '/namespaces/shop/tokens');
    assert.deepEqual(list.json.map((row: any) => row.role), [...ROLES]);
    assert.ok(!list.text.includes(secret));
    await until('its use is noted', async () => (await ask(s, token, 'GET', '/namespaces/shop/tokens')).json.find((row: any) => row.id === id).used_at);
    for (const file of fs.readdirSync(s.data).filter((f) => f.startsWith('db.sqlite'))) {
        const bytes = fs.readFileSync(`${s.data}/${file}`);
        assert.ok(!bytes.includes(secret) && !bytes.includes(Buffer.from(secret, 'hex')), file);
    }
});

test('wrong ones are refused alike, whatever of them is right', async () => {
    const s = await shop();
    const [, id, secret] = tokens!.read.token.split('_') as [string, string, string];
    const turned = secret.slice(0, -1) + (secret.endsWith('0') ? '1' : '0');
    const said = new Set<string>();
    for (const wrong of [`limpet_${id}_${turned}`, `limpet_${id}_`, `limpet_${id}`, `limpet_${'0'.repeat(16)}_${secret}`, 'limpet_', `limpet_${id}_${secret}x`]) {
        said.add(errorOf(await ask(s, wrong, 'GET', '/namespaces/shop/functions'), 401, 'unauthorized').message);
    }
    assert.equal(said.size, 1);
    errorOf(await ask(s, 'other', 'GET', '/functions'), 401, 'unauthorized');
    for (const body of [{}, { role: 'root' }, { role: 1 }, [], { role: 'read', x: 1 }]) errorOf(await ask(s, OWN, 'POST', '/namespaces/shop/tokens', body), 400, 'invalid');
});

test('revoked, it is refused from the next request on, and open streams of it end', async () => {
    const s = await shop();
    const made = (await ask(s, OWN, 'POST', '/namespaces/shop/tokens', { role: 'read' })).json;
    const stream = ask(s, made.token, 'GET', '/namespaces/shop/functions/f/logs?follow=true');
    await until('the stream is open', async () => (await s.admin('/metrics', { headers: bearer(OWN) })).text.includes('limpet_log_followers 1'));
    errorOf(await ask(s, OWN, 'DELETE', `/tokens/${made.id}`), 404, 'not_found'); // of the default namespace it is none
    assert.equal((await ask(s, OWN, 'DELETE', `/namespaces/shop/tokens/${made.id}`)).status, 204);
    errorOf(await ask(s, made.token, 'GET', '/namespaces/shop/functions'), 401, 'unauthorized');
    assert.equal((await stream).status, 200); // it has ended
    errorOf(await ask(s, OWN, 'DELETE', `/namespaces/shop/tokens/${made.id}`), 404, 'not_found');
});

test('the CLI makes, lists and revokes them, and works with one', async () => {
    const s = await shop();
    const env = { LIMPET_TOKEN: OWN, LIMPET_NAMESPACE: 'shop' };
    const made = await s.cli(['token', 'create', '--role', 'invoke'], { env });
    assert.equal(made.code, 0, made.stderr);
    const token = made.stdout.trim();
    const id = token.split('_')[1]!;
    const ran = await s.cli(['function', 'run', 'f'], { env: { LIMPET_TOKEN: token, LIMPET_NAMESPACE: 'shop' } });
    assert.equal(ran.code, 0, ran.stderr);
    const refused = await s.cli(['function', 'delete', 'f', '-y'], { env: { LIMPET_TOKEN: token, LIMPET_NAMESPACE: 'shop' } });
    assert.equal(refused.code, 1);
    assert.match(refused.stderr, /needs 'deploy'\n.*hint/s);
    const away = await s.cli(['function', 'list'], { env: { LIMPET_TOKEN: token } });
    assert.match(away.stderr, /hint: .*--namespace shop/);
    assert.match((await s.cli(['token', 'list'], { env })).stdout, new RegExp(`${id} +invoke`));
    assert.equal((await s.cli(['token', 'revoke', id], { env })).code, 0);
    assert.equal((await s.cli(['function', 'run', 'f'], { env: { LIMPET_TOKEN: token, LIMPET_NAMESPACE: 'shop' } })).code, 1);
    assert.equal((await s.cli(['token', 'create', '--role', 'root'], { env })).code, 2);
});

test('they go with their namespace', async () => {
    const s = await shop();
    assert.equal((await ask(s, OWN, 'DELETE', '/namespaces/shop?force=true')).status, 200);
    for (const role of ROLES) errorOf(await ask(s, tokens![role].token, 'GET', '/namespaces/shop'), 401, 'unauthorized');
});
