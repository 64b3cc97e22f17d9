// SPDX-License-Identifier: Apache-2.0
// Queues: what is sent is delivered in batches, acknowledged or tried again, and survives death at any moment.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Server, until, useServer } from './harness.ts';
import { deployWorkflow, execute } from './workflow-harness.ts';

const server = useServer();

const producer = { bindings: [{ type: 'queue', name: 'Q', queue: 'jobs' }] };
/** Sends what is posted: [[body, options], …]. */
const SENDS = `export default { async fetch(request, env) {
    const all = await request.json();
    if (all.length === 1) await env.Q.send(all[0][0], all[0][1]);
    else await env.Q.sendBatch(all.map(([body, options]) => ({ body, ...options })));
    return new Response("sent");
} };`;

/** Keeps each delivery in its database: a row a message; then BODY. */
const consumes = (body = ''): string => `
import { exec } from "derp:runtime/sql";
export const handler = { setup() { exec("CREATE TABLE seen (n INTEGER PRIMARY KEY, batch TEXT, id TEXT, attempts INTEGER, body TEXT)"); } };
export default {
    fetch() { return Response.json([...exec("SELECT batch, id, attempts, body FROM seen ORDER BY n")].map((row) => ({ ...row, body: JSON.parse(row.body) }))); },
    async queue(batch, env, ctx) {
        const name = crypto.randomUUID();
        for (const m of batch.messages) exec("INSERT INTO seen (batch, id, attempts, body) VALUES (?, ?, ?, ?)", name, m.id, m.attempts, JSON.stringify(m.body instanceof ArrayBuffer ? [...new Uint8Array(m.body)] : m.body));
        ${body}
    },
};`;
const deployConsumer = (s: Server, name: string, queue: string, body = '', settings: object = {}): Promise<unknown> =>
    s.deploy(name, consumes(body), { consumers: [{ queue, max_batch_timeout: 0, ...settings }] });

const post = async (s: Server, name: string, messages: unknown[]): Promise<void> => {
    const { status, text } = await s.request(name, '/', { method: 'POST', body: JSON.stringify(messages) });
    assert.equal(status, 200, text);
};
const seen = async (s: Server, name: string): Promise<any[]> => (await s.request(name)).json;
const waitFor = (s: Server, name: string, len: number): Promise<any[]> => until(`${len} deliveries`, async () => {
    const all = await seen(s, name);
    return all.length >= len ? all : undefined;
});
const empty = (s: Server, queue: string): Promise<unknown> => until('nothing is left', async () => (await s.api('GET', `/queues/${queue}`)).json.items === 0 || undefined);

test('messages of all content types arrive as they were sent, in order, in batches', async () => {
    const s = await server();
    await deployConsumer(s, 'gets', 'jobs');
    await s.deploy('sends', SENDS, producer);
    await post(s, 'sends', [[{ a: [1, null, 'ä'] }], ['text', { contentType: 'text' }], [{ d: 1 }, { contentType: 'v8' }]]);
    const rows = await waitFor(s, 'gets', 3);
    assert.deepEqual(rows.map((row) => [row.body, row.attempts]), [[{ a: [1, null, 'ä'] }, 1], ['text', 1], [{ d: 1 }, 1]]);
    assert.equal(new Set(rows.map((row) => row.batch)).size, 1);
    assert.equal(new Set(rows.map((row) => row.id)).size, 3);
    await empty(s, 'jobs');
    assert.equal((await s.api('POST', '/queues/jobs/messages', { messages: [{ body: 'api' }] })).status, 202);
    assert.equal((await waitFor(s, 'gets', 4))[3].body, 'api');
    const large = await s.request('sends', '/', { method: 'POST', body: JSON.stringify([['x'.repeat(140_000), { contentType: 'text' }]]) });
    assert.equal(large.status, 500);
});

test('a batch is given when it is full, or its time is over', async () => {
    const s = await server();
    await deployConsumer(s, 'fills', 'fill', '', { max_batch_size: 3, max_batch_timeout: 1 });
    await s.deploy('fills-up', SENDS, { bindings: [{ type: 'queue', name: 'Q', queue: 'fill' }] });
    await post(s, 'fills-up', [[1], [2], [3], [4]]);
    await waitFor(s, 'fills', 3);
    const rows = await waitFor(s, 'fills', 4);
    assert.equal(rows[0].batch, rows[2].batch);
    assert.notEqual(rows[2].batch, rows[3].batch);
});

test('what is not acknowledged is delivered again, and in the end to the queue of the dead', async () => {
    const s = await server();
    await deployConsumer(s, 'buries', 'graves');
    await deployConsumer(s, 'fails', 'fail', `
        for (const m of batch.messages) { if (m.body === "good") m.ack(); if (m.body === "later") m.retry({ delaySeconds: 1 }); }
        throw new Error("always");`, { max_retries: 2, dead_letter_queue: 'graves' });
    await s.deploy('fails-for', SENDS, { bindings: [{ type: 'queue', name: 'Q', queue: 'fail' }] });
    await post(s, 'fails-for', [['good'], ['bad'], ['later']]);
    const dead = await waitFor(s, 'buries', 2);
    assert.deepEqual(dead.map((row) => row.body).sort(), ['bad', 'later']);
    const rows = await seen(s, 'fails');
    const tries = (body: string): number[] => rows.filter((row) => row.body === body).map((row) => row.attempts);
    assert.deepEqual([tries('good'), tries('bad'), tries('later')], [[1], [1, 2, 3], [1, 2, 3]]);
    await empty(s, 'fail');
    await empty(s, 'graves');
});

test('ackAll() and retryAll() are for those of which nothing else was said', async () => {
    const s = await server();
    await deployConsumer(s, 'alls', 'all', 'if (batch.messages[0].attempts === 1) { batch.messages[0].ack(); batch.retryAll(); } else { batch.ackAll(); throw 1; }');
    await s.deploy('alls-for', SENDS, { bindings: [{ type: 'queue', name: 'Q', queue: 'all' }] });
    await post(s, 'alls-for', [['a'], ['b']]);
    const rows = await waitFor(s, 'alls', 3);
    assert.deepEqual(rows.map((row) => [row.body, row.attempts]), [['a', 1], ['b', 1], ['b', 2]]);
    await empty(s, 'all');
});

test('a delay, a pause, a purge', async () => {
    const s = await server();
    await deployConsumer(s, 'late', 'later');
    await s.deploy('late-for', SENDS, { bindings: [{ type: 'queue', name: 'Q', queue: 'later' }] });
    const start = Date.now();
    await post(s, 'late-for', [['delayed', { delaySeconds: 1 }]]);
    await waitFor(s, 'late', 1);
    assert.ok(Date.now() - start >= 1000);
    assert.equal((await s.api('POST', '/queues/later/pause')).status, 204);
    await post(s, 'late-for', [['a'], ['b']]);
    assert.equal((await s.api('GET', '/queues/later')).json.items, 2);
    assert.equal((await s.api('POST', '/queues/later/purge')).status, 204);
    assert.equal((await s.api('GET', '/queues/later')).json.items, 0);
    await post(s, 'late-for', [['c']]);
    assert.equal((await s.api('POST', '/queues/later/resume')).status, 204);
    assert.deepEqual((await waitFor(s, 'late', 2)).map((row) => row.body), ['delayed', 'c']);
});

test('a workflow sends once, and a schedule sends its message', async () => {
    const s = await server();
    await deployConsumer(s, 'counts', 'count');
    await deployWorkflow(s, 'flow', `import { WorkflowEntrypoint } from "cloudflare:workers";
        export class Flow extends WorkflowEntrypoint {
            async run(event, step) { await this.env.Q.send("from the workflow"); await step.sleep("a while", 100); return "sent"; }
        }`, { bindings: [{ type: 'queue', name: 'Q', queue: 'count' }] });
    const run = await execute(s, 'flow', null, { wait: '30s' });
    assert.equal(run.json.output, 'sent', run.text);
    assert.deepEqual((await waitFor(s, 'counts', 1)).map((row) => row.body), ['from the workflow']);
    const made = await s.api('POST', '/schedules', { name: 'sends', at: new Date(Date.now() + 500).toISOString(), queue: 'count', body: { from: 'schedule' } });
    assert.equal(made.status, 201, made.text);
    assert.deepEqual((await waitFor(s, 'counts', 2))[1].body, { from: 'schedule' });
});

test('nothing is lost by kill -9, and what was settled does not come again', async () => {
    let s = await Server.start();
    try {
        await deployConsumer(s, 'keeps', 'kept', '', { max_batch_size: 20 });
        await s.deploy('sends', SENDS, { bindings: [{ type: 'queue', name: 'Q', queue: 'kept' }] });
        const sent: number[] = [];
        for (let round = 0; round < 4; round++) {
            const before = sent.length;
            const sending = (async () => {
                for (let k = 0; k < 200; k++) {
                    const n = round * 1000 + k * 2;
                    try {
                        await post(s, 'sends', [[n], [n + 1]]);
                        sent.push(n, n + 1);
                    } catch {
                        return;
                    }
                }
            })();
            await until('some were sent', async () => sent.length - before > 40 || undefined);
            await s.kill();
            await sending;
            s = await s.revive();
        }
        await empty(s, 'kept');
        const rows = await seen(s, 'keeps');
        const bodies = new Set(rows.map((row) => row.body));
        assert.deepEqual(sent.filter((n) => !bodies.has(n)), []);
        const count = rows.length;
        s = await s.restart();
        await post(s, 'sends', [['last']]);
        await until('the last one', async () => (await seen(s, 'keeps')).some((row) => row.body === 'last') || undefined);
        assert.equal((await seen(s, 'keeps')).length, count + 1);
    } finally {
        await s.stop();
    }
});
