// SPDX-License-Identifier: Apache-2.0
// Two namespaces with modules, variables, executions and databases of the same names never meet: over every route, op and file.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { after, test } from 'node:test';
import { errorOf, Server, until } from './harness.ts';

let running: Server | undefined;
const server = async (): Promise<Server> => (running ??= await Server.start({ args: ['--threads', '2'] }));
after(async () => {
    await running?.stop();
    if (running) fs.rmSync(running.data, { recursive: true, force: true });
});

/** Of the default namespace, and of another. Texts that begin with the mark are only ever those of that one. */
const SPACES = [{ name: 'default', base: '', mark: 'MARK-D' }, { name: 'shop', base: '/namespaces/shop', mark: 'MARK-S' }] as const;
type Space = (typeof SPACES)[number];
const other = (space: Space): Space => SPACES[space === SPACES[0] ? 1 : 0];

const functionSource = (mark: string) => `
import { exec } from "derp:runtime/sql";
export default { async fetch(request, env) {
    exec("CREATE TABLE IF NOT EXISTS t (x)");
    exec("INSERT INTO t VALUES (1)");
    console.log("${mark}");
    return Response.json({ mark: "${mark}", secret: env.SAME ?? null, rows: exec("SELECT count(*) AS n FROM t").one().n });
} };`;

const workflowSource = (mark: string) => `
import { progress, startChild, waitForEvent, workflow } from "limpet";
export const child = workflow(async () => { const e = await waitForEvent("go", { timeout: "10 minutes" }); return "${mark} child " + e.data; });
export default workflow(async (input) => {
    progress("${mark}");
    console.log("${mark}");
    if (input.do === "wait") return "${mark} " + (await waitForEvent("go", { timeout: "10 minutes" })).data;
    if (input.do === "child") { const c = await startChild("flow.child", null, { id: input.key }); progress(c.id); return "${mark} " + await c.result(); }
    const said = [];
    const attempt = async (fn) => { try { said.push(await fn()); } catch (e) { said.push(e.message); } };
    if (input.do === "start") for (const name of input.names) await attempt(() => startChild(name));
    if (input.do === "reach") {
        const mine = await startChild(child, null);
        const theirs = new mine.constructor(input.id); // as code that has guessed an id would
        await attempt(() => theirs.signal("go", "stolen"));
        await attempt(() => theirs.cancel());
        await attempt(() => theirs.result());
        await mine.cancel();
    }
    return said;
});`;

interface Made {
    runs: string[];
    waiting: string;
}

async function uploaded(s: Server, base: string, kind: string, name: string, source: string): Promise<void> {
    const res = await s.api('POST', `${base}/${kind}?wait=60s`, { name, source });
    assert.equal(res.status, 200, res.text);
}

const made = new Map<Space, Made>();

/** The same names in both, made once. */
async function houses(): Promise<Server> {
    const s = await server();
    if (made.size > 0) return s;
    const shop = await s.cli(['namespace', 'create', 'shop']);
    assert.equal(shop.code, 0, shop.stderr);
    for (const space of SPACES) {
        await uploaded(s, space.base, 'functions', 'same', functionSource(space.mark));
        await uploaded(s, space.base, 'workflows', 'flow', workflowSource(space.mark));
        for (const kind of ['functions/same', 'workflows/flow']) {
            const res = await s.api('PUT', `${space.base}/${kind}/env/SAME`, { value: `${space.mark} value` });
            assert.equal(res.status, 204, res.text);
        }
        for (const kind of ['kv', 'd1', 'queues', 'buckets']) assert.equal((await s.api('POST', `${space.base}/${kind}`, { name: 'same' })).status, 201); // each kind of resource
        assert.equal((await s.api('POST', `${space.base}/schedules`, { name: 'same', at: '2999-01-01T00:00:00Z', queue: 'same' })).status, 201);
        assert.equal((await s.admin(`${space.base}/kv/same/values/same`, { method: 'PUT', body: `${space.mark} kv` })).status, 204);
        const run = await s.api('POST', `${space.base}/functions/same/execute`, { body: { mark: space.mark } });
        const flow = await s.api('POST', `${space.base}/workflows/flow/execute`, { body: { do: 'wait', mark: space.mark }, id: 'key-1' });
        assert.equal(flow.status, 202, flow.text);
        made.set(space, { runs: [run.json.execution_id].filter(Boolean), waiting: flow.json.execution_id });
    }
    return s;
}

async function outcome(s: Server, space: Space, id: string): Promise<any> {
    return until(`the end of ${id}`, async () => {
        const res = await s.api('GET', `${space.base}/executions/${id}?wait=30s`);
        assert.equal(res.status, 200, res.text);
        return ['completed', 'failed', 'cancelled'].includes(res.json.status) ? res.json : undefined;
    });
}

async function flow(s: Server, space: Space, input: unknown, id?: string): Promise<string> {
    const res = await s.api('POST', `${space.base}/workflows/flow/execute`, { body: input, id });
    assert.ok(res.status === 202 || res.status === 200, res.text);
    return res.json.execution_id;
}

test('a host names the function of its namespace, and no other answers in its place', async () => {
    const s = await houses();
    const port = s.httpPort;
    const ask = async (host: string) => (await s.request('', '/', { host: `${host}:${port}` }));
    assert.equal((await ask('same.localhost')).json.mark, 'MARK-D');
    assert.equal((await ask('same.shop.localhost')).json.mark, 'MARK-S');
    assert.equal((await ask('SAME.Shop.example.com')).json.mark, 'MARK-S');
    assert.equal((await ask('same.example.com')).json.mark, 'MARK-D'); // no namespace has that name
    assert.equal((await ask('same.other.example.com')).json.mark, 'MARK-D');
    assert.equal((await ask('same.default.localhost')).json.mark, 'MARK-D');
    await s.deploy('lone', 'export default () => "lone";');
    errorOf(await ask('lone.shop.localhost'), 404, 'not_found');
    await s.api('DELETE', '/functions/lone');
    // The only one of the default namespace answers for a host without a name, whatever others have.
    assert.equal((await ask('localhost')).json.mark, 'MARK-D');
    assert.equal((await ask('127.0.0.1')).json.mark, 'MARK-D');
    const shown = await s.api('GET', '/namespaces/shop/functions/same');
    assert.equal(shown.json.url, `http://same.shop.localhost:${port}/`);
    assert.deepEqual([shown.json.name, shown.json.namespace], ['same', 'shop']);
});

test('databases and variables are their own', async () => {
    const s = await houses();
    const at = (host: string) => s.request('', '/', { host: `${host}:${s.httpPort}` });
    const before = (await at('same.shop.localhost')).json.rows;
    for (let n = 0; n < 3; n++) await at('same.localhost');
    const after = (await at('same.shop.localhost')).json;
    assert.equal(after.rows, before + 1);
    assert.equal(after.secret, 'MARK-S value');
    assert.equal((await at('same.localhost')).json.secret, 'MARK-D value');
    const files = fs.readdirSync(path.join(s.data, 'sql')).filter((f) => f.endsWith('.sqlite')).sort();
    assert.match(files.join(' '), /^same-\d+\.sqlite shop@same-\d+\.sqlite$/);
});

test('every route answers with what belongs to its namespace, and knows no execution of the other', async () => {
    const s = await houses();
    const api = (await s.api('GET', '/openapi.json')).json;
    let asked = 0;
    let refused = 0;
    for (const space of SPACES) {
        const mine = made.get(space)!;
        const theirs = made.get(other(space))!;
        for (const [template, operations] of Object.entries<any>(api.paths)) {
            const bare = template.replace('/namespaces/{namespace}/', '/');
            if ((bare !== template) !== (space.base !== '') || !api.paths[`/namespaces/{namespace}${bare}`]) continue;
            const fill = (id: string) => (space.base + bare)
                .replace('{name}', template.includes('/workflows/') ? 'flow' : 'same').replace('{module}', 'same').replace('{var}', 'SAME').replace('{resource}', 'same').replace('{schedule}', 'same').replace('{key}', 'same')
                .replace('/builds/{id}', '/builds/1').replace('{version}', '1').replace('{id}', id);
            for (const method of Object.keys(operations)) {
                if (template.includes('/executions/{id}')) {
                    const body = method === 'post' && template.endsWith('/signal') ? { name: 'go', data: 'stolen' } : undefined;
                    errorOf(await s.api(method.toUpperCase(), fill(theirs.waiting), body), 404, 'not_found');
                    refused++;
                }
                if (method !== 'get') continue;
                const res = await s.api('GET', `${fill(mine.waiting)}${template.endsWith('/journal') ? '?values=1' : ''}`);
                assert.equal(res.status, 200, `${template}: ${res.text}`);
                assert.ok(!res.text.includes(other(space).mark), `${template} of ${space.name} shows ${res.text}`);
                asked++;
            }
        }
        const pages = [`/executions/${mine.waiting}/journal`, '/executions', '/workflows/flow/executions', '/functions/same/executions'];
        for (const list of pages) { // the next page is of the same namespace
            const { length } = (await s.api('GET', `${space.base}${list}`)).json;
            if (list.endsWith('/journal')) assert.ok(length > 1, String(length));
            let target: string | undefined = `${space.base}${list}?limit=1`;
            for (let n = 0; n < length; n++) {
                assert.ok(target?.startsWith(space.base), `page ${n} of ${list} of ${space.name}: ${target}`);
                const page = await s.api('GET', target!);
                assert.equal(page.json.length, 1, `page ${n} of ${list} of ${space.name}: ${page.text}`);
                target = /^<(.*)>; rel="next"$/.exec(String(page.headers.link))?.[1];
            }
            assert.equal(target, undefined);
        }
        for (const list of ['/executions', '/workflows/flow/executions', '/functions/same/executions', '/executions?workflow=flow', '/executions?status=suspended']) {
            const ids = (await s.api('GET', `${space.base}${list}`)).json.map((row: any) => row.execution_id);
            for (const id of [theirs.waiting, ...theirs.runs]) assert.ok(!ids.includes(id), `${list} of ${space.name}`);
        }
        assert.ok((await s.api('GET', `${space.base}/executions/${mine.waiting}`)).text.includes(space.mark));
    }
    assert.ok(asked >= 40 && refused >= 18, `${asked} asked, ${refused} refused`);
});

test('the same key is another execution', async () => {
    const s = await houses();
    const [a, b] = [made.get(SPACES[0])!, made.get(SPACES[1])!];
    assert.notEqual(a.waiting, b.waiting);
    assert.equal(await flow(s, SPACES[0], { do: 'wait' }, 'key-1'), a.waiting);
    assert.equal(await flow(s, SPACES[1], { do: 'wait' }, 'key-1'), b.waiting);
});

test('children are started in their own namespace', async () => {
    const s = await houses();
    const children: string[] = [];
    for (const space of SPACES) {
        const id = await flow(s, space, { do: 'child', key: 'child-1' });
        const child = await until('the child', async () => {
            const { progress } = (await s.api('GET', `${space.base}/executions/${id}`)).json;
            return typeof progress === 'string' && !progress.startsWith('MARK') ? progress : undefined;
        });
        children.push(child);
        const sent = await s.api('POST', `${space.base}/executions/${child}/signal`, { name: 'go', data: space.name });
        assert.equal(sent.status, 202, sent.text);
        assert.equal((await outcome(s, space, id)).output, `${space.mark} ${space.mark} child ${space.name}`);
    }
    assert.notEqual(children[0], children[1]);
});

test('code starts, signals, cancels and reads nothing of another namespace', async () => {
    const s = await houses();
    for (const space of SPACES) {
        const away = other(space);
        const started = (await outcome(s, space, await flow(s, space, { do: 'start', names: [`${away.name}/flow`, `${away.name}/flow.child`] }))).output;
        assert.equal(started.length, 2);
        for (const said of started) assert.match(said, /another namespace/);
        const victim = made.get(away)!.waiting;
        const said = (await outcome(s, space, await flow(s, space, { do: 'reach', id: victim }))).output;
        assert.match(said[0], /another namespace/);
        assert.match(said[1], /another namespace/);
        assert.match(said[2], /no such execution in this namespace/);
        const row = (await s.api('GET', `${away.base}/executions/${victim}`)).json;
        assert.equal(row.cancel_requested, false);
        assert.ok(!['completed', 'cancelled', 'failed'].includes(row.status), row.status);
    }
});

test('what is used and held counts for its own', async () => {
    const s = await houses();
    for (const space of SPACES) {
        const usage = await until(`usage of ${space.name}`, async () => { // metered now and then
            const rows = (await s.api('GET', `${space.base}/usage`)).json;
            return rows.some((row: any) => row.module === 'same' && row.requests > 0) ? rows : undefined;
        });
        assert.deepEqual([...new Set(usage.map((row: any) => row.namespace))], [space.name]);
    }
    const metrics = (await s.admin('/metrics')).text;
    assert.match(metrics, /^limpet_module_requests_total\{module="same"\} [1-9]/m);
    assert.match(metrics, /^limpet_module_requests_total\{namespace="shop",module="same"\} [1-9]/m);
    assert.match(metrics, /^limpet_namespace_memory_held_bytes\{namespace="shop"\} /m);
    const set = await s.cli(['quota', 'set', '--namespace', 'shop', 'memory=4M']);
    assert.equal(set.code, 0, set.stderr);
    const quota = (await s.api('GET', '/namespaces/shop/quota')).json;
    assert.deepEqual([quota.namespace, quota.memory_bytes.max], ['shop', 4 * 1024 * 1024]);
    // More than all of shop may hold: refused there, and nowhere else.
    const hold = 'export default { fetch(r) { const held = []; for (let n = 0; n < 24; n++) held.push(new Uint8Array(1 << 20).fill(1)); return new Response(String(held.length)); } };';
    await uploaded(s, '/namespaces/shop', 'functions', 'hold', hold);
    const full = await s.request('', '/', { host: `hold.shop.localhost:${s.httpPort}` });
    assert.equal(full.status >= 500, true, full.text);
    assert.match(full.text, /namespace 'shop' has reached its limit of 4194304 bytes/);
    await uploaded(s, '', 'functions', 'hold', hold);
    assert.equal((await s.request('hold')).text, '24');
    assert.equal((await s.cli(['quota', 'unset', '-', '--namespace', 'shop'])).code, 0);
    assert.equal((await s.request('', '/', { host: `hold.shop.localhost:${s.httpPort}` })).text, '24');
    for (const space of SPACES) assert.equal((await s.api('DELETE', `${space.base}/functions/hold`)).status, 204);
});

test('the CLI: --namespace, LIMPET_NAMESPACE and NAME/FUNCTION mean the same', async () => {
    const s = await houses();
    const shown = async (args: string[], env = {}) => {
        const res = await s.cli(args, { env });
        assert.equal(res.code, 0, res.stderr);
        return res.stdout;
    };
    for (const args of [['--namespace', 'shop', 'function', 'env', 'get', 'same', 'SAME'], ['function', 'env', 'get', 'shop/same', 'SAME']])
        assert.equal((await shown(args)).trim(), 'MARK-S value');
    assert.equal((await shown(['function', 'env', 'get', 'same', 'SAME'], { LIMPET_NAMESPACE: 'shop' })).trim(), 'MARK-S value');
    assert.equal((await shown(['function', 'env', 'get', 'same', 'SAME'])).trim(), 'MARK-D value');
    assert.match(await shown(['execution', 'list', '--namespace', 'shop']), new RegExp(made.get(SPACES[1])!.waiting));
    assert.match(await shown(['namespace', 'list']), /^default .*\nshop /m);
    assert.match(await shown(['namespace', 'show', 'shop']), /workflows +1/);
    const wrong = await s.cli(['function', 'show', 'x', '--namespace', 'nobody']);
    assert.equal(wrong.code, 4);
    assert.match(wrong.stderr, /no namespace 'nobody'/);
    assert.equal((await s.cli(['function', 'list', '--namespace', 'No'])).code, 2);
    assert.equal((await s.cli(['namespace', 'create', 'shop'])).code, 1);
    assert.equal((await s.cli(['namespace', 'create', 'localhost'])).code, 2);
});

test('names cannot be smuggled past the path', async () => {
    const s = await houses();
    errorOf(await s.api('GET', '/functions/shop%2Fsame'), 400, 'invalid');
    errorOf(await s.api('POST', '/workflows/shop%2Fflow/execute', {}), 400, 'invalid');
    errorOf(await s.api('GET', '/executions?workflow=shop/flow'), 400, 'invalid');
    errorOf(await s.api('GET', '/usage?module=shop/same'), 400, 'invalid');
    errorOf(await s.api('POST', '/functions', { name: 'shop/same', source: 'export default () => 1' }), 400, 'invalid');
    errorOf(await s.api('GET', '/namespaces/shop%2Fx/functions'), 400, 'invalid');
    errorOf(await s.api('GET', '/namespaces/nobody/functions'), 404, 'not_found');
    errorOf(await s.api('GET', '/namespaces/shop/metrics'), 404, 'not_found');
});

test('over a restart all is where it was; a namespace that is not empty stays, or goes with what it has', async () => {
    const s = (running = await (await houses()).restart());
    assert.equal((await s.request('', '/', { host: `same.shop.localhost:${s.httpPort}` })).json.mark, 'MARK-S');
    assert.equal((await s.request('same')).json.mark, 'MARK-D');
    errorOf(await s.api('DELETE', '/namespaces/shop'), 409, 'conflict');
    errorOf(await s.api('DELETE', '/namespaces/default?force=true'), 409, 'conflict');
    const gone = await s.cli(['namespace', 'delete', 'shop', '--force']);
    assert.equal(gone.code, 0, gone.stderr);
    assert.match(gone.stderr, /deleted shop\/same\n.*deleted shop\/flow\n/s);
    assert.equal((await s.request('same')).json.mark, 'MARK-D');
    assert.equal((await s.request('', '/', { host: `same.shop.localhost:${s.httpPort}` })).json.mark, 'MARK-D'); // an ordinary label again
    assert.equal((await s.api('GET', `/executions/${made.get(SPACES[0])!.waiting}`)).status, 200);
    await until('its databases are removed', async () => !fs.readdirSync(path.join(s.data, 'sql')).some((f) => f.startsWith('shop@')));
    // Made again it is empty, and its executions of before are nobody's.
    assert.equal((await s.cli(['namespace', 'create', 'shop'])).code, 0);
    assert.deepEqual((await s.api('GET', '/namespaces/shop/executions')).json, []);
    errorOf(await s.api('GET', `/namespaces/shop/executions/${made.get(SPACES[1])!.waiting}`), 404, 'not_found');
});
