// SPDX-License-Identifier: Apache-2.0
// Runs through the control API and the records they leave.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { errorOf, useServer } from './harness.ts';

const server = useServer();

const SOURCE = `
export const handler = { async handle(req) {
    if (req.body?.fail) throw new TypeError("asked to fail");
    if (req.body?.loop) for (;;) ;
    console.log("ran");
    return { echo: req.body, metadata: req.metadata ?? null };
} };`;

test('a success has output, input, logs and times in its record', async () => {
    const s = await server();
    await s.deploy('runs', SOURCE);
    const before = Date.now();
    const run = await s.execute('runs', { n: 1, text: 'ü"\n' }, { who: 'test' });
    assert.equal(run.status, 200);
    assert.deepEqual(Object.keys(run.json).sort(), ['execution_id', 'output', 'status']);
    assert.equal(run.json.status, 'success');
    assert.deepEqual(run.json.output.echo, { n: 1, text: 'ü"\n' });
    const record = (await s.api('GET', `/executions/${run.json.execution_id}`)).json;
    assert.equal(record.id, run.json.execution_id);
    assert.equal(record.function, 'runs');
    assert.equal(record.status, 'success');
    assert.equal(record.version, 1);
    assert.deepEqual(record.input, { n: 1, text: 'ü"\n' });
    assert.deepEqual(record.metadata, { who: 'test' });
    assert.deepEqual(record.output, run.json.output);
    assert.equal(record.error, null);
    assert.deepEqual(record.logs.map((l: any) => l.text), ['ran']);
    assert.ok(record.created_at_ms >= before - 1000 && record.finished_at_ms >= record.created_at_ms);
    assert.ok(record.duration_ms >= 0);
});

test('a failure is a 500 with name and mapped stack, and recorded so', async () => {
    const s = await server();
    await s.deploy('runs', SOURCE);
    const run = await s.execute('runs', { fail: true });
    const e = errorOf(run, 500, 'guest_error') as any;
    assert.match(e.message, /asked to fail/);
    assert.equal(e.name, 'TypeError');
    assert.match(e.stack, /runs\.ts:3/);
    assert.equal(run.json.status, 'failure');
    const record = (await s.api('GET', `/executions/${run.json.execution_id}`)).json;
    assert.equal(record.status, 'failure');
    assert.equal(record.output, null);
    assert.deepEqual(record.error, e);
    const loop = await s.execute('runs', { loop: true });
    errorOf(loop, 500, 'limit_cpu');
    assert.equal((await s.api('GET', `/executions/${loop.json.execution_id}`)).json.error.code, 'limit_cpu');
});

test('numbers keep their digits on the way', async () => {
    const s = await server();
    await s.deploy('runs', SOURCE);
    const run = await s.admin('/functions/runs/execute', { method: 'POST', body: '{"body":{"n":123456789012345678901234567890,"x":1.10}}' });
    const record = await s.api('GET', `/executions/${run.json.execution_id}`);
    assert.ok(record.text.includes('"n":123456789012345678901234567890'), record.text);
    assert.ok(record.text.includes('"x":1.10'));
});

test('body and metadata may be left out; anything else is refused', async () => {
    const s = await server();
    await s.deploy('runs', SOURCE);
    assert.equal((await s.api('POST', '/functions/runs/execute')).json.output.echo, null);
    assert.equal((await s.api('POST', '/functions/runs/execute', {})).json.output.echo, null);
    for (const body of ['[]', '{"body":1,"extra":2}', '{"metadata":[]}', '{"body":', 'nothing']) errorOf(await s.admin('/functions/runs/execute', { method: 'POST', body }), 400, 'invalid');
    errorOf(await s.execute('nobody'), 404, 'not_found');
});

test('lists, newest first, in pages, of one function or all', async () => {
    const s = await server();
    await s.deploy('listed', SOURCE);
    const ids: string[] = [];
    for (let n = 0; n < 7; n++) ids.unshift((await s.execute('listed', { n })).json.execution_id);
    const all = (await s.api('GET', '/functions/listed/executions')).json;
    assert.deepEqual(all.map((e: any) => e.id), ids);
    assert.equal(all[0].input, undefined, 'lists are short');
    const seen: string[] = [];
    for (let path: string | undefined = '/functions/listed/executions?limit=3'; path; ) {
        const page = await s.api('GET', path);
        assert.ok(page.json.length <= 3);
        seen.push(...page.json.map((e: any) => e.id));
        path = /<([^>]+)>; rel="next"/.exec(String(page.headers.link ?? ''))?.[1];
    }
    assert.deepEqual(seen, ids);
    assert.deepEqual((await s.api('GET', '/executions?limit=7')).json.map((e: any) => e.id), ids);
    errorOf(await s.api('GET', '/executions/00000000-0000-0000-0000-000000000000'), 404, 'not_found');
    errorOf(await s.api('GET', '/functions/nobody/executions'), 404, 'not_found');
});

test('many runs at once each get their own answer', async () => {
    const s = await server();
    await s.deploy('runs', SOURCE);
    const runs = await Promise.all(Array.from({ length: 60 }, (_, n) => s.execute('runs', { n })));
    assert.deepEqual(runs.map((r) => r.json.output.echo.n), runs.map((_, n) => n));
    assert.equal(new Set(runs.map((r) => r.json.execution_id)).size, 60);
});
