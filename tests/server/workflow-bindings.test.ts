// SPDX-License-Identifier: Apache-2.0
// Workflows that a function or another workflow starts and steers: bindings with Cloudflare's words, and start(), signal(),
// execution() of `limpet`; a module that answers requests and exports workflows.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Answer, errorOf, type Server, until, useServer } from './harness.ts';
import { deployWorkflow, show, start, withServer } from './workflow-harness.ts';

const server = useServer({ args: ['--threads', '2'] });

const SHOP = `
import { WorkflowEntrypoint } from "cloudflare:workers";
import { start, signal, execution } from "limpet";
export class Order extends WorkflowEntrypoint {
    async run(event, step) {
        if (event.payload.fails) throw new RangeError("no such thing");
        const first = await step.do("first", async () => event.payload.q);
        const got = event.payload.waits ? (await step.waitForEvent("w", { type: "go" })).payload : null;
        return { first, got, id: event.instanceId, greeting: this.env.GREETING };
    }
}
export default { async fetch(request, env) {
    const { how, ...given } = await request.json();
    try {
        return Response.json({ value: await HOWS[how](env, { start, signal, execution }, given) });
    } catch (e) {
        return Response.json({ error: e.name + ": " + e.message, code: e.code });
    }
} };`;

/** What the shop is asked to do, by name. */
const HOWS = `
const WAIT = 20;
async function until(instance, wanted) {
    for (;;) { const s = await instance.status(); if (s.status === wanted) return s; await new Promise((ok) => setTimeout(ok, WAIT)); }
}
const HOWS = {
    create: async (env, l, g) => { const i = await env.WF.create(g.options); return { id: i.id, tag: String(i), status: (await i.status()).status }; },
    end: async (env, l, g) => until(await env.WF.get(g.id), g.wanted),
    send: async (env, l, g) => (await env.WF.get(g.id)).sendEvent(g.event),
    do: async (env, l, g) => { const i = await env.WF.get(g.id); await i[g.verb](); return (await i.status()).status; },
    batch: async (env, l, g) => (await env.WF.createBatch(g.batch)).map((i) => i.id),
    own: async (env, l, g) => { const e = await l.start(Order, g.input, { id: g.id }); return { id: e.id, result: await e.result() }; },
    named: async (env, l, g) => { const e = await l.start(g.name, g.input); await e.signal("go", 5); return await e.result(); },
    fails: async (env, l, g) => (await l.start(g.name)).result(),
    result: async (env, l, g) => l.execution(g.id).result(),
    signal: async (env, l, g) => l.signal(g.id, g.name, g.data),
    status: async (env, l, g) => l.execution(g.id).status(),
    cancelled: async (env, l, g) => { const e = await l.start("shop.Order", { waits: true }); await e.cancel(); return e.result(); },
};
`;

async function shop(s: Server): Promise<(how: string, given?: object) => Promise<any>> {
    await s.deploy('shop', SHOP + HOWS, {
        bindings: [{ type: 'workflow', name: 'WF', export: 'Order' }],
    });
    return async (how, given = {}) => {
        const { status, json, text } = await s.request('shop', '/', { method: 'POST', body: JSON.stringify({ how, ...given }) });
        assert.equal(status, 200, text);
        return json.error === undefined ? json.value : json;
    };
}

test('a function creates instances of a workflow that it exports, and steers them', async () => {
    const s = await server();
    const ask = await shop(s);
    const made = await ask('create', { options: { id: 'a-1', params: { q: 7, waits: true } } });
    assert.deepEqual([made.id, made.tag], ['a-1', '[object WorkflowInstance]']);
    assert.match(made.status, /^(queued|running|waiting)$/);
    assert.match((await ask('create', { options: { id: 'a-1' } })).error, /already_exists.*'a-1'/);
    assert.equal((await ask('end', { id: 'a-1', wanted: 'waiting' })).output, null);
    assert.equal(await ask('do', { id: 'a-1', verb: 'pause' }), 'paused');
    await ask('send', { id: 'a-1', event: { type: 'go', payload: { yes: [1] } } });
    assert.equal((await ask('do', { id: 'a-1', verb: 'pause' })), 'paused');
    await ask('do', { id: 'a-1', verb: 'resume' });
    const end = await ask('end', { id: 'a-1', wanted: 'complete' });
    assert.deepEqual(end, { status: 'complete', error: null, output: { first: 7, got: { yes: [1] }, id: 'a-1' } });
    assert.match((await ask('send', { id: 'a-1', event: { type: 'go' } })).error, /has finished/);
    const { id } = await ask('create', {});
    assert.match(id, /^[0-9a-f-]{36}$/);
    assert.deepEqual((await ask('end', { id, wanted: 'complete' })).output.id, id);
    await ask('create', { options: { id: 'bad', params: { fails: true } } });
    assert.deepEqual((await ask('end', { id: 'bad', wanted: 'errored' })).error, { name: 'RangeError', message: 'no such thing' });
    assert.match((await ask('end', { id: 'nobody' })).error, /not_found.*'nobody'/);
    for (const id of ['', 'a b', 'x'.repeat(101), 'ä', 5]) assert.match((await ask('create', { options: { id } })).error, /invalid_id/, String(id));
    assert.match((await ask('batch', { batch: [] })).error, /1 to 100/);
});

test('terminate and restart', async () => {
    const s = await server();
    const ask = await shop(s);
    await ask('create', { options: { id: 't', params: { q: 1, waits: true } } });
    assert.equal(await ask('do', { id: 't', verb: 'terminate' }), 'terminated');
    assert.match((await ask('do', { id: 't', verb: 'terminate' })).error, /has finished/);
    await ask('do', { id: 't', verb: 'restart' });
    await ask('end', { id: 't', wanted: 'waiting' });
    await ask('do', { id: 't', verb: 'restart' }); // one that has not finished ends first
    await ask('end', { id: 't', wanted: 'waiting' });
    await ask('send', { id: 't', event: { type: 'go', payload: 2 } });
    assert.deepEqual((await ask('end', { id: 't', wanted: 'complete' })).output, { first: 1, got: 2, id: 't' });
    await ask('do', { id: 't', verb: 'restart' }); // a signal of before is not there any more
    await ask('end', { id: 't', wanted: 'waiting' });
    const [row] = (await s.api('GET', '/executions?workflow=shop')).json.filter((e: any) => e.key === 't');
    assert.equal(row.attempt, 4);
    errorOf(await s.api('POST', `/executions/${row.id}/restart`), 409, 'conflict');
    await s.api('POST', `/executions/${row.id}/cancel`);
    await until('its end', async () => (await show(s, row.id)).status === 'cancelled' || undefined);
    assert.equal((await s.cli(['execution', 'restart', row.id])).code, 0);
    await ask('end', { id: 't', wanted: 'waiting' });
});

test('createBatch() leaves out those that there are already', async () => {
    const s = await server();
    const ask = await shop(s);
    assert.deepEqual(await ask('batch', { batch: [{ id: 'b1' }, { id: 'b2', params: { q: 2 } }] }), ['b1', 'b2']);
    assert.deepEqual(await ask('batch', { batch: [{ id: 'b2' }, { id: 'b3' }] }), ['b3']);
    assert.equal((await ask('end', { id: 'b2', wanted: 'complete' })).output.first, 2);
});

test('start(), signal() and execution() of limpet', async () => {
    const s = await server();
    const ask = await shop(s);
    await deployWorkflow(s, 'adds', `import { workflow, waitForEvent } from "limpet";
        export default workflow(async ({ a }) => a + (await waitForEvent("go")).data);
        export const fails = workflow(async () => { throw Object.assign(new TypeError("odd"), { a: 1 }); });`);
    const own = await ask('own', { input: { q: 'x' }, id: 'own' });
    assert.deepEqual(own.result, { first: 'x', got: null, id: 'own' });
    assert.deepEqual(await ask('own', { input: {}, id: 'own' }), own, 'the same id is the same execution');
    assert.equal(await ask('named', { name: 'adds', input: { a: 4 } }), 9);
    assert.equal((await ask('fails', { name: 'adds.fails' })).error, 'TypeError: odd');
    assert.match((await ask('named', { name: 'nowhere' })).error, /no workflow 'nowhere'/);
    assert.match((await ask('result', { id: 'short' })).error, /no execution 'short'/);
    assert.match((await ask('cancelled')).error, /ChildCancelledError/);
    const id = await start(s, 'adds', { a: 1 });
    assert.equal((await ask('status', { id })).workflow, 'adds');
    await ask('signal', { id, name: 'go', data: 3 });
    assert.equal(await ask('result', { id }), 4);
    assert.match((await ask('signal', { id, name: '' })).error, /text that is not empty/);
});

test('what a binding leads to is checked when it is deployed, and is of the namespace', async () => {
    const s = await server();
    const source = 'export default { async fetch(r, env) { try { return Response.json((await env.OTHER.create({ params: 1 })).id); } catch (e) { return new Response(e.message, { status: 500 }); } } };';
    const upload = (bindings: object[], name = 'calls', base = ''): Promise<Answer> => s.api('POST', `${base}/functions`, { name, source, bindings });
    const other = (workflow: string, more = {}) => [{ type: 'workflow', name: 'OTHER', workflow, ...more }];
    await deployWorkflow(s, 'flow', 'import { workflow } from "limpet"; export default workflow(async (n) => n + 1);');
    await s.deploy('plain', 'export default () => 1;');
    assert.match(errorOf(await upload(other('nothing')), 400, 'invalid').message, /no module of that name/);
    assert.match(errorOf(await upload(other('plain')), 400, 'invalid').message, /exports no workflow/);
    errorOf(await upload(other('flow', { export: '1x' })), 400, 'invalid');
    errorOf(await upload(other('flow', { entrypoint: 'x' })), 400, 'invalid');
    await s.deploy('calls', source, { bindings: other('flow') });
    const made = await s.request('calls');
    assert.equal(made.status, 200, made.text);
    await until('its end', async () => (await s.api('GET', '/executions?workflow=flow')).json.some((e: any) => e.key === made.json && e.status === 'completed') || undefined);
    await s.api('POST', '/namespaces', { name: 'far' });
    assert.match(errorOf(await upload(other('flow'), 'calls', '/namespaces/far'), 400, 'invalid').message, /no module of that name/);
    const lone = `import { start, execution } from "limpet"; export default { async fetch(r) {
        const id = new URL(r.url).searchParams.get("id"), out = [];
        for (const f of [() => start("flow", 1), () => start("default/flow", 1), () => execution(id).status(), () => execution(id).cancel(), () => execution(id).signal("a")])
            out.push(await f().then(() => "reached", (e) => e.message));
        return Response.json(out);
    } };`;
    const built = await s.api('POST', '/namespaces/far/functions?wait=30s', { name: 'lone', source: lone });
    assert.equal(built.json.build.status, 'ready', built.text);
    const id = await start(s, 'flow', 1);
    const said = await s.request('lone.far', `/?id=${id}`);
    assert.equal(said.status, 200, said.text);
    for (const text of said.json) assert.match(text, /there is no|another namespace|no execution/, said.text);
    assert.equal(await until('its end', async () => (await show(s, id)).output ?? undefined), 2);
});

test('in a workflow: instances are created and told once, over kills at any moment', () => withServer({}, async (first, crashed) => {
    let s = first;
    await deployWorkflow(s, 'counts', `import { workflow, waitForEvent } from "limpet";
        export default workflow(async (n) => { let sum = 0; for (let k = 0; k < 3; k++) sum += (await waitForEvent("add")).data; return n + sum; });`);
    await deployWorkflow(s, 'maker', `
        import { WorkflowEntrypoint } from "cloudflare:workers";
        export class Maker extends WorkflowEntrypoint { async run({ payload: { id, n } }) {
            const made = [];
            for (let k = 0; k < n; k++) {
                const one = await this.env.COUNTS.create({ id: id + "-" + k, params: k * 100 });
                for (let j = 1; j <= 3; j++) await one.sendEvent({ type: "add", payload: j });
                made.push(one.id);
            }
            const twice = await this.env.COUNTS.create({ id: id + "-0" }).then(() => "made", (e) => e.message);
            return { made, twice };
        } }`, { bindings: [{ type: 'workflow', name: 'COUNTS', workflow: 'counts' }] });
    const id = await start(s, 'maker', { id: 'k', n: 12 });
    for (let kills = 0; kills < 4; kills++) {
        await until('some are made', async () => (await s.api('GET', '/executions?workflow=counts&limit=100')).json.length > kills * 2 || undefined);
        s = await crashed();
    }
    const row = await until('its end', async () => { const r = await show(s, id); return r.status === 'completed' || r.status === 'failed' ? r : undefined; });
    assert.equal(row.status, 'completed', JSON.stringify(row.error));
    assert.equal(row.output.made.length, 12);
    assert.match(row.output.twice, /already_exists/);
    const counts = await until('all have ended', async () => {
        const all = (await s.api('GET', '/executions?workflow=counts&limit=100')).json;
        return all.every((e: any) => e.status === 'completed') ? all : undefined;
    });
    assert.equal(counts.length, 12);
    for (const one of counts) assert.equal((await show(s, one.id)).output, Number(one.key.split('-')[1]) * 100 + 6);
}));

test('a variable that a workflow of a function has read stays what it was, and its requests are those of the version', async () => {
    const s = await server();
    const ask = await shop(s);
    await s.api('PUT', '/functions/shop/env/GREETING', { value: 'one' });
    await ask('create', { options: { id: 'v', params: { q: 1, waits: true } } });
    await ask('end', { id: 'v', wanted: 'waiting' });
    await ask('send', { id: 'v', event: { type: 'go' } });
    assert.equal((await ask('end', { id: 'v', wanted: 'complete' })).output.greeting, 'one');
    const shown = await s.api('GET', '/workflows/shop/executions');
    assert.equal(shown.status, 200, shown.text);
    assert.ok(shown.json.some((e: any) => e.key === 'v'));
    assert.equal((await s.api('DELETE', '/workflows/shop')).status, 404, 'it is a function');
    assert.equal((await s.request('shop', '/', { method: 'POST', body: '{"how":"batch","batch":[]}' })).status, 200);
});
