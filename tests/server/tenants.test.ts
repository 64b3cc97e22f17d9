// SPDX-License-Identifier: Apache-2.0
// Every route of /openapi.json, every op of docs/ops.md and every file: each role may what it is for, and two namespaces that have everything under the same names never meet. A new route or op fails here until it has a row.
import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { errorOf, Server, until } from './harness.ts';

type Role = 'public' | 'any' | 'read' | 'invoke' | 'deploy' | 'admin' | 'server';
interface House {
    name: string;
    mark: string; // texts with it are only this one's
    base: string;
    waiting: string; // executions of its workflow
    doomed: string;
    spare: string; // id of a token
    rule: number;
}
interface Case {
    role: Role;
    /** What is sent when the route is to do its work. */
    body?: (h: House) => unknown;
    /** {id} of the path, and what else of it is not the same everywhere. */
    id?: (h: House) => string;
    query?: string;
    /** The body is sent as it is. */
    isFile?: boolean;
    /** Before the next row is asked. */
    then?: (h: House) => Promise<void>;
}

const OWN = 'the-servers-own-token';
const NOBODY = '01990000-0000-7000-8000-000000000000';
const FUNCTION = (mark: string) => `
import { exec } from "derp:runtime/sql";
export default { async fetch(request, env) {
    exec("CREATE TABLE IF NOT EXISTS t (x)");
    if (request.method === "POST") exec("INSERT INTO t VALUES ('${mark} row')");
    console.log("${mark} line");
    return Response.json({ mark: "${mark}", env: Object.entries(env).sort(), rows: JSON.parse(exec("SELECT json_group_array(x) AS a FROM t").one().a) });
} };`;
const WORKFLOW = (mark: string) => `
import { env, progress, startChild, waitForEvent, workflow } from "limpet";
export const child = workflow(async () => "${mark} child " + (await waitForEvent("go")).data);
export default workflow(async (input) => {
    progress("${mark} progress");
    console.log("${mark} line", env.get("SAME"));
    return "${mark} " + (await waitForEvent("go")).data;
});`;

let s: Server;
const houses: House[] = [];
const bearer = (token: string) => ({ authorization: `Bearer ${token}` });
const ask = (method: string, target: string, body?: unknown, token = OWN) => s.api(method, target, body, bearer(token));
const host = (h: House, init: { method?: string } = {}) => s.request('', '/', { host: `same.${h.name}.localhost:${s.httpPort}`, ...init });
const ended = async (h: House, id: string): Promise<void> => {
    await until(`the end of ${id}`, async () => ['cancelled', 'completed', 'failed'].includes((await ask('GET', `${h.base}/executions/${id}?wait=30s`)).json.status) || undefined);
};
const upload = (h: House) => ({ name: 'same', source: `${FUNCTION(h.mark)}\n// another` });
const uploadFlow = (h: House) => ({ name: 'flow', source: `${WORKFLOW(h.mark)}\n// another` });

const file = (h: House) => `${h.mark} file`;
const hashOf = (h: House) => crypto.createHash('sha256').update(file(h)).digest('hex');

/** "METHOD path", without the namespace in front, in the order in which they are asked: what removes comes last. */
const CASES: Record<string, Case> = {
    'GET /healthz': { role: 'public' },
    'GET /openapi.json': { role: 'any' },
    'GET /metrics': { role: 'server' },
    'GET /namespaces': { role: 'server' },
    'POST /namespaces': { role: 'server', body: () => ({ name: 'third' }) },
    'GET /namespaces/{namespace}': { role: 'read' },
    'GET /functions': { role: 'read' },
    'GET /functions/{name}': { role: 'read' },
    'GET /functions/{name}/versions': { role: 'read' },
    'GET /functions/{name}/versions/{version}': { role: 'read' },
    'GET /functions/{name}/builds': { role: 'read' },
    'GET /functions/{name}/builds/{id}': { role: 'read', id: () => '1' },
    'GET /functions/{name}/executions': { role: 'read' },
    'GET /functions/{name}/env': { role: 'deploy' },
    'GET /functions/{name}/env/{var}': { role: 'deploy' },
    'GET /functions/{name}/logs': { role: 'read' },
    'GET /workflows': { role: 'read' },
    'GET /workflows/{name}': { role: 'read' },
    'GET /workflows/{name}/versions': { role: 'read' },
    'GET /workflows/{name}/versions/{version}': { role: 'read' },
    'GET /workflows/{name}/builds': { role: 'read' },
    'GET /workflows/{name}/builds/{id}': { role: 'read', id: () => '1' },
    'GET /workflows/{name}/executions': { role: 'read' },
    'GET /workflows/{name}/env': { role: 'deploy' },
    'GET /workflows/{name}/env/{var}': { role: 'deploy' },
    'GET /workflows/{name}/logs': { role: 'read' },
    'GET /executions': { role: 'read' },
    'GET /executions/{id}': { role: 'read' },
    'GET /executions/{id}/journal': { role: 'read', query: '?values=1' },
    'GET /executions/{id}/logs': { role: 'read' },
    'GET /d1': { role: 'read' },
    'GET /d1/{resource}': { role: 'read' },
    'GET /buckets': { role: 'read' },
    'GET /buckets/{resource}': { role: 'read' },
    'GET /kv': { role: 'read' },
    'GET /kv/{resource}': { role: 'read' },
    'GET /kv/{resource}/keys': { role: 'read' },
    'GET /kv/{resource}/values/{key}': { role: 'read' },
    'GET /queues': { role: 'read' },
    'GET /queues/{resource}': { role: 'read' },
    'GET /schedules': { role: 'read' },
    'GET /schedules/{schedule}': { role: 'read' },
    'GET /usage': { role: 'read' },
    'GET /quotas': { role: 'read' },
    'GET /quotas/{module}': { role: 'read' },
    'GET /quota': { role: 'read' },
    'GET /secrets/{module}': { role: 'read' },
    'GET /shared-secrets': { role: 'read' },
    'GET /egress': { role: 'read' },
    'GET /routes': { role: 'read' },
    'POST /egress/test': { role: 'read', body: () => ({ url: 'https://example.com' }) },
    'GET /audit': { role: 'admin' },
    'GET /audit/verify': { role: 'server' },
    'GET /tokens': { role: 'admin' },
    'POST /functions/{name}/execute': { role: 'invoke', body: (h) => ({ body: h.mark }) },
    'POST /workflows/{name}/execute': { role: 'invoke', body: (h) => ({ body: `${h.mark} input`, id: 'key-2' }) },
    'POST /executions/{id}/fork': { role: 'deploy', body: () => ({}) },
    'POST /executions/{id}/pause': { role: 'deploy', id: (h) => h.doomed },
    'POST /executions/{id}/resume': { role: 'deploy', id: (h) => h.doomed },
    'POST /executions/{id}/cancel': { role: 'invoke', id: (h) => h.doomed, then: (h) => ended(h, h.doomed) },
    'POST /executions/{id}/retry': { role: 'deploy', id: (h) => h.doomed, body: () => ({}) },
    'POST /executions/{id}/signal': { role: 'invoke', body: (h) => ({ name: 'go', data: `${h.mark} data` }), then: (h) => ended(h, h.waiting) },
    'POST /executions/{id}/restart': { role: 'deploy' },
    'POST /functions': { role: 'deploy', body: upload, query: '?wait=60s' },
    'PUT /functions/{name}/versions/{version}/traffic': { role: 'deploy', body: () => ({ percent: 100 }) },
    'POST /workflows/{name}/check': { role: 'deploy', body: (h) => ({ source: WORKFLOW(h.mark) }) },
    'POST /workflows': { role: 'deploy', body: uploadFlow, query: '?wait=60s' },
    'POST /workflows/{name}/migrate': { role: 'deploy' },
    'PUT /workflows/{name}/versions/{version}/traffic': { role: 'deploy', body: () => ({ percent: 100 }) },
    'PUT /functions/{name}/env/{var}': { role: 'deploy', body: (h) => ({ value: `${h.mark} other` }) },
    'PUT /workflows/{name}/env/{var}': { role: 'deploy', body: (h) => ({ value: `${h.mark} other` }) },
    'PUT /secrets/{module}/{var}': { role: 'deploy', id: () => 'KEY', body: (h) => ({ value: `${h.mark} other` }) },
    'PUT /shared-secrets/{var}': { role: 'deploy', id: () => 'SHARED', body: (h) => ({ value: `${h.mark} other` }) },
    'PUT /egress': { role: 'admin', body: () => ({ default: 'deny' }) },
    'POST /egress/rules': { role: 'admin', body: () => ({ action: 'deny', pattern: '*' }) },
    'PUT /quotas/{module}': { role: 'admin', body: () => ({ connections: 7 }) },
    'PUT /quota': { role: 'server', body: () => ({ connections: 7 }) },
    'POST /tokens': { role: 'admin', body: () => ({ role: 'read' }) },
    'POST /assets': { role: 'deploy', body: (h) => ({ hashes: [hashOf(h)] }) },
    'PUT /assets/{hash}': { role: 'deploy', body: file, isFile: true, then: async (h) => { // who has it, others are not told
        for (const at of houses) assert.deepEqual((await ask('POST', `${at.base}/assets`, { hashes: [hashOf(h)] })).json.missing, at === h ? [] : [hashOf(h)]);
    } },
    'POST /d1': { role: 'deploy', body: () => ({ name: 'made' }) },
    'POST /d1/{resource}/query': { role: 'deploy', id: () => 'made', body: (h) => ({ sql: 'SELECT ?', params: [h.mark] }) },
    'DELETE /d1/{resource}': { role: 'deploy', id: () => 'made' },
    'POST /buckets': { role: 'deploy', body: () => ({ name: 'made' }) },
    'DELETE /buckets/{resource}': { role: 'deploy', id: () => 'made' },
    'POST /kv': { role: 'deploy', body: () => ({ name: 'made' }) },
    'PUT /kv/{resource}/values/{key}': { role: 'deploy', body: file, isFile: true },
    'DELETE /kv/{resource}/values/{key}': { role: 'deploy' },
    'DELETE /kv/{resource}': { role: 'deploy', id: () => 'made' },
    'POST /queues': { role: 'deploy', body: () => ({ name: 'made' }) },
    'POST /queues/{resource}/messages': { role: 'deploy', body: (h) => ({ messages: [{ body: `${h.mark} message` }] }) },
    'POST /queues/{resource}/pause': { role: 'deploy' },
    'POST /queues/{resource}/resume': { role: 'deploy' },
    'POST /queues/{resource}/purge': { role: 'deploy' },
    'DELETE /queues/{resource}': { role: 'deploy', id: () => 'made' },
    'POST /schedules': { role: 'deploy', body: () => ({ name: 'made', at: '2999-01-01T00:00:00Z', function: 'same' }) },
    'PUT /schedules/{schedule}': { role: 'deploy', id: () => 'made', body: () => ({ at: '2999-01-02T00:00:00Z', function: 'same' }) },
    'POST /schedules/{schedule}/pause': { role: 'deploy' },
    'POST /schedules/{schedule}/resume': { role: 'deploy' },
    'POST /schedules/{schedule}/trigger': { role: 'invoke' },
    'POST /schedules/{schedule}/backfill': { role: 'deploy', body: () => ({ from: 0, to: 1 }) },
    'DELETE /schedules/{schedule}': { role: 'deploy', id: () => 'made' },
    'DELETE /tokens/{id}': { role: 'admin', id: (h) => h.spare },
    'DELETE /quota': { role: 'server' },
    'DELETE /quotas/{module}': { role: 'admin' },
    'DELETE /egress/rules/{id}': { role: 'admin', id: (h) => String(h.rule) },
    'DELETE /shared-secrets/{var}': { role: 'deploy', id: () => 'SHARED' },
    'DELETE /secrets/{module}/{var}': { role: 'deploy', id: () => 'KEY' },
    'DELETE /functions/{name}/env/{var}': { role: 'deploy' },
    'DELETE /workflows/{name}/env/{var}': { role: 'deploy' },
    'DELETE /workflows/{name}': { role: 'deploy' },
    'DELETE /functions/{name}': { role: 'deploy' },
    'DELETE /namespaces/{namespace}': { role: 'server', query: '?force=true' },
};
const ROLES: Role[] = ['read', 'invoke', 'deploy', 'admin'];
const tokens = new Map<string, string>(); // "NAMESPACE role"

/** Where a row is asked, of a house. */
function target(key: string, h: House, c: Case): string {
    const [, template] = key.split(' ') as [string, string];
    const id = c.id?.(h);
    const filled = template.replace('{namespace}', h.name).replace('{name}', template.startsWith('/workflows') ? 'flow' : 'same').replace('{module}', 'same').replace('{version}', '1')
        .replace('{hash}', hashOf(h)).replace('{resource}', id ?? 'same').replace('{schedule}', id ?? 'same').replace('{key}', 'same').replace('{var}', id ?? 'SAME').replace('{id}', id ?? h.waiting);
    return (isOfNamespace(key) ? h.base : '') + filled + (c.query ?? '');
}
const isOfNamespace = (key: string): boolean => !/ \/(namespaces|healthz|openapi|metrics|audit\/verify)/.test(key);

before(async () => {
    s = await Server.start({ args: ['--threads', '1', '--admin-token', OWN] });
    for (const [name, mark] of [['left', 'MARK-L'], ['right', 'MARK-R']] as const) {
        const h: House = { name, mark, base: `/namespaces/${name}`, waiting: '', doomed: '', spare: '', rule: 0 };
        const done = async (method: string, at: string, body: unknown, status: number) => {
            const res = await ask(method, at, body);
            assert.equal(res.status, status, `${method} ${at}: ${res.text}`);
            return status === 204 ? undefined : res.json;
        };
        await done('POST', '/namespaces', { name }, 201);
        for (const role of ROLES) tokens.set(`${name} ${role}`, (await done('POST', `${h.base}/tokens`, { role }, 201)).token);
        await done('POST', `${h.base}/functions?wait=60s`, { name: 'same', source: FUNCTION(mark) }, 200);
        await done('POST', `${h.base}/workflows?wait=60s`, { name: 'flow', source: WORKFLOW(mark) }, 200);
        for (const kind of ['functions/same', 'workflows/flow']) await done('PUT', `${h.base}/${kind}/env/SAME`, { value: `${mark} value` }, 204);
        await done('PUT', `${h.base}/secrets/same/KEY`, { value: `${mark} secret` }, 204);
        await done('PUT', `${h.base}/shared-secrets/SHARED`, { value: `${mark} shared` }, 204);
        await done('PUT', `${h.base}/quotas/same`, { connections: 9 }, 200);
        await done('PUT', `${h.base}/quota`, { connections: 90 }, 200);
        for (const kind of ['kv', 'd1', 'queues', 'buckets']) await done('POST', `${h.base}/${kind}`, { name: 'same' }, 201); // each kind of resource
        assert.equal((await s.admin(`${h.base}/kv/same/values/same`, { method: 'PUT', headers: { 'content-type': 'application/octet-stream', ...bearer(OWN) }, body: `${mark} kv` })).status, 204);
        await done('POST', `${h.base}/schedules`, { name: 'same', at: '2999-01-01T00:00:00Z', workflow: 'flow', input: `${mark} schedule` }, 201);
        h.rule = (await done('POST', `${h.base}/egress/rules`, { action: 'deny', pattern: `${name}.example.com` }, 201)).id;
        h.spare = (await done('POST', `${h.base}/tokens`, { role: 'read' }, 201)).id;
        const first = await host(h, { method: 'POST' });
        assert.equal(first.json.mark, mark, first.text);
        await done('POST', `${h.base}/functions/same/execute`, { body: mark }, 200);
        h.waiting = (await done('POST', `${h.base}/workflows/flow/execute`, { body: `${mark} input`, id: 'key' }, 202)).execution_id;
        h.doomed = (await done('POST', `${h.base}/workflows/flow/execute`, { body: `${mark} input`, id: 'doomed' }, 202)).execution_id;
        for (const id of [h.waiting, h.doomed]) await until('it waits', async () => (await ask('GET', `${h.base}/executions/${id}`)).json.status === 'suspended' || undefined);
        houses.push(h);
    }
});
after(async () => {
    await s?.stop();
    if (s) fs.rmSync(s.data, { recursive: true, force: true });
});

test('every route has a row here', async () => {
    const { paths } = (await ask('GET', '/openapi.json')).json;
    const there = new Set<string>();
    for (const [template, operations] of Object.entries<any>(paths)) for (const method of Object.keys(operations)) there.add(`${method.toUpperCase()} ${template.replace('/namespaces/{namespace}/', '/')}`);
    assert.deepEqual([...there].sort(), Object.keys(CASES).sort(), 'a new route needs a row in CASES: who may ask it, and what it is asked');
    for (const key of Object.keys(CASES)) assert.equal(paths[`/namespaces/{namespace}${key.split(' ')[1]}`] !== undefined, isOfNamespace(key), key);
});

test('each role may what its routes say, and nothing of another namespace; nobody may anything without a token', async () => {
    const left = houses[0]!;
    for (const [key, c] of Object.entries(CASES)) {
        const method = key.split(' ')[0]!;
        // What nobody has, so that nothing happens when it is allowed.
        const none = { ...c, query: '', id: () => (key.includes('{var}') ? 'NOBODY' : key.includes('/builds/') || key.includes('/rules/') ? '999999' : NOBODY) };
        const at = target(key, left, none).replace('/same', '/nobody').replace('/flow', '/nobody');
        const body = method === 'POST' || method === 'PUT' ? {} : undefined;
        if (c.role === 'public') {
            assert.equal((await s.api(method, at)).status, 200, key);
            continue;
        }
        errorOf(await s.api(method, at, body), 401, 'unauthorized');
        const least = c.role === 'any' ? 0 : c.role === 'server' ? ROLES.length : ROLES.indexOf(c.role);
        for (const [n, role] of ROLES.entries()) {
            const res = await ask(method, at, body, tokens.get(`left ${role}`));
            if (n < least) errorOf(res, 403, 'forbidden');
            else assert.ok(![401, 403].includes(res.status) && res.status < 500, `${role}: ${key}: ${res.status} ${res.text}`);
        }
        if (isOfNamespace(key) || key.includes('{namespace}'))
            errorOf(await ask(method, at.replace('/left', '/right'), body, tokens.get('left admin')), 403, 'forbidden');
        if (isOfNamespace(key)) errorOf(await ask(method, at.replace('/namespaces/left', ''), body, tokens.get('left admin')), 403, 'forbidden');
    }
});

/** All that can be seen of a house, but for what changes by itself. */
async function fingerprint(h: House): Promise<string> {
    const seen: unknown[] = [];
    for (const [key, c] of Object.entries(CASES)) {
        if (!key.startsWith('GET ') || !(isOfNamespace(key) || key.includes('{namespace}')) || key === 'GET /usage') continue;
        const res = await ask('GET', target(key, h, c));
        assert.equal(res.status, 200, `${key}: ${res.text}`);
        seen.push(key, res.text.replace(/"used":\d+/g, '"used":0').replace(/"used_at(_ms)?":("[^"]*"|\d+|null)/g, ''));
    }
    return JSON.stringify(seen);
}

test('what a route shows and does is of its namespace: over all of them the other stays as it was, to the byte', async () => {
    const [left, right] = houses as [House, House];
    const calm = async (): Promise<string> => { // log lines are stored a moment later
        let last = await fingerprint(right);
        return until('nothing moves', async () => {
            const now = await fingerprint(right);
            const is = now === last;
            last = now;
            return is ? now : undefined;
        });
    };
    const untouched = await calm();
    assert.ok(untouched.includes(right.mark) && !untouched.includes(left.mark));
    const answer = (await host(right)).json;
    assert.deepEqual([answer.mark, answer.rows, answer.env], [right.mark, Array(2).fill(`${right.mark} row`), [['KEY', `${right.mark} secret`], ['SAME', `${right.mark} value`], ['SHARED', `${right.mark} shared`]]]);
    const after = await calm(); // with the line that it has just printed
    const files = path.join(s.data, 'sql');
    for (const file of fs.readdirSync(files)) {
        const bytes = fs.readFileSync(path.join(files, file));
        assert.ok(!(bytes.includes(left.mark) && bytes.includes(right.mark)), file);
        if (/^right@/.test(file)) assert.ok(!bytes.includes(left.mark), file);
    }
    for (const [key, c] of Object.entries(CASES)) {
        const method = key.split(' ')[0]!;
        const at = target(key, left, c);
        const token = c.role === 'server' || c.role === 'public' || c.role === 'any' ? OWN : tokens.get(`left ${c.role}`)!;
        if (key.includes('/executions/{id}')) { // an id that the other namespace has, or a guess
            const theirs = at.replace(left.waiting, right.waiting).replace(left.doomed, right.doomed);
            errorOf(await ask(method, theirs, c.body?.(left), token), 404, 'not_found');
            errorOf(await ask(method, theirs.replace('/namespaces/left', ''), c.body?.(left)), 404, 'not_found');
        }
        if (key === 'DELETE /tokens/{id}') errorOf(await ask(method, `${left.base}/tokens/${right.spare}`, undefined, token), 404, 'not_found');
        const type = { 'content-type': 'application/octet-stream', ...bearer(token) };
        const res = c.isFile ? await s.admin(at, { method, headers: type, body: String(c.body!(left)) }) : await ask(method, at, c.body?.(left), token);
        assert.ok(res.status < 300, `${key}: ${res.status} ${res.text}`);
        if (!/ \/(namespaces|metrics)$/.test(key)) assert.ok(!res.text.includes(right.mark) && !res.text.includes(right.waiting), `${key} shows ${res.text}`);
        await c.then?.(left);
        if (method !== 'GET') assert.equal(await fingerprint(right), after, `${key} touched the other namespace`);
    }
    assert.equal((await host(left)).status, 404);
    const kept = (await host(right)).json;
    assert.deepEqual([kept.mark, kept.rows, kept.env], [answer.mark, answer.rows, answer.env]);
    await until('its files are gone', async () => fs.readdirSync(files).every((f) => !f.startsWith('left@')) || undefined);
    assert.ok(fs.readdirSync(files).some((f) => /^right@same-.*\.sqlite$/.test(f)));
    const { execution_id } = (await ask('POST', `${right.base}/executions/${right.waiting}/signal`, { name: 'go', data: 'home' })).json;
    await ended(right, execution_id);
    assert.equal((await ask('GET', `${right.base}/executions/${right.waiting}`)).json.output, `${right.mark} home`);
    assert.equal((await s.api('GET', '/audit/verify', undefined, bearer(OWN))).json.ok, true);
});

/** How each op keeps to its namespace. "own": it knows nothing but the guest that asks. */
const OPS: Record<string, string> = {
    log: 'lines of its module: above', env_get: 'above', env_list: 'above', sql_exec: 'the file of its module: above', sql_transaction: 'as sql_exec', fetch: 'egress-rules.test.ts, bound-secrets.test.ts, caches.test.ts',
    queue_send: 'queues.test.ts: what is bound is of its namespace',
    kv_get: 'kv.test.ts: what is bound is of its namespace', kv_list: 'as kv_get', kv_write: 'as kv_get', kv_record: 'as kv_get',
    service_fetch: 'services.test.ts: what is bound is of its namespace', service_call: 'as service_fetch',
    actor_id: 'actors.test.ts: classes that are bound, or the module\'s own', actor_self: 'own', actor_control: 'own',
    store_get: 'the file of the actor', store_put: 'as store_get', store_delete: 'as store_get', store_list: 'as store_get', store_clear: 'as store_get', store_size: 'as store_get', store_sync: 'as store_get', store_call: 'as store_get', alarm_get: 'as store_get', alarm_set: 'as store_get',
    d1_run: 'd1.test.ts', rate_limit: 'rate-limits.test.ts', workflow_start: 'workflow-bindings.test.ts', execution_status: 'workflow-bindings.test.ts', execution_tell: 'workflow-bindings.test.ts',
    child_start: 'namespaces.test.ts', child_result: 'namespaces.test.ts', signal: 'namespaces.test.ts', child_cancel: 'namespaces.test.ts', event_wait: 'signals to its own execution: above', progress: 'of its own execution: above',
    clock: 'own', random: 'own', url_parse: 'own', url_set: 'own', digest: 'own', timer: 'own', cancel: 'own', stream_read: 'own', stream_write: 'own', stream_end: 'own', stream_close: 'own', stream_pipe: 'own', respond: 'own',
    respond_value: 'own', fail: 'own', loaded: 'own', next: 'own', step: 'own', step_done: 'own', stack_map: 'own', seed: 'own', cipher: 'own', crypto: 'own', crypto_random: 'own', codec_new: 'own', codec_set: 'own', wasm: 'own', wasm_compile: 'own', codec_run: 'own', codec_end: 'own',
    builtin: 'what the binary has', url_pattern: 'own', intl: 'own', text_encoding: 'own', text_decoder: 'own', html_selector: 'own', html_new: 'own', html_run: 'own', html_ask: 'own', html_end: 'own', socket_respond: 'own', socket_next: 'own', socket_send: 'own', socket_close: 'own', socket_buffered: 'own', tcp_connect: 'sockets.test.ts, egress-rules.test.ts', tcp_start_tls: 'as tcp_connect',
};

test('every op has a row here', () => {
    const names = [...fs.readFileSync('docs/ops.md', 'utf8').matchAll(/^## \d+ `(\w+)\(/gm)].map((m) => m[1]!);
    assert.ok(names.length > 30);
    assert.deepEqual(names.filter((name) => !OPS[name]), [], 'a new op needs a row in OPS: what keeps it to its namespace');
});
