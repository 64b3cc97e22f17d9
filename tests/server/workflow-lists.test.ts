// SPDX-License-Identifier: Apache-2.0
// Looking at executions: lists with filters and pages, one of them, its journal and logs, retention, errors, what the CLI makes of it.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { errorOf, until, useServer } from './harness.ts';
import { complete, deployWorkflow, execute, journal, logTexts, operate, outcome, pages, progressed, show, signal, start, suspended, withServer } from './workflow-harness.ts';

const server = useServer({ args: ['--threads', '2'] });

const KINDS = `
import { workflow, waitForEvent, step, sleep } from "limpet";
export default workflow(async (what) => { if (what === "fail") throw new TypeError("asked"); if (what === "wait") await waitForEvent("x"); if (what === "sleep") await sleep("1 day"); return await step("s", () => what); });
export const other = workflow(async () => 1);`;

test('one execution: everything about it', async () => {
    const s = await server();
    await deployWorkflow(s, 'one', KINDS);
    const before = Date.now();
    const id = await start(s, 'one', { n: 1, text: 'ü"\n' }, { metadata: { who: 'test' }, id: 'my key' });
    const row = await outcome(s, id);
    assert.equal(row.id, id);
    assert.equal(row.execution_id, id);
    assert.equal(row.workflow, 'one');
    assert.equal(row.version, 1);
    assert.equal(row.status, 'completed');
    assert.equal(row.key, 'my key');
    assert.deepEqual(row.input, { n: 1, text: 'ü"\n' });
    assert.deepEqual(row.metadata, { who: 'test' });
    assert.deepEqual(row.output, { n: 1, text: 'ü"\n' });
    assert.equal(row.error, null);
    assert.equal(row.parent, null);
    assert.equal(row.attempt, 1);
    assert.equal(row.paused, false);
    assert.equal(row.cancel_requested, false);
    assert.equal(row.records, (await journal(s, id)).length);
    assert.ok(before - 1000 <= row.created_at_ms && row.created_at_ms <= row.started_at_ms && row.started_at_ms <= row.finished_at_ms);
    assert.ok(row.duration_ms >= 0);
    assert.equal(new Date(row.created_at).getTime(), row.created_at_ms);
    assert.match(id, /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/);
    assert.equal((await show(s, await start(s, 'one.other'))).workflow, 'one.other');
});

test('numbers keep their digits on the way', async () => {
    const s = await server();
    await deployWorkflow(s, 'one', KINDS);
    const res = await s.admin('/workflows/one/execute?wait=30s', { method: 'POST', body: '{"body":{"n":123456789012345678901234567890,"x":1.10}}' });
    const row = await s.api('GET', `/executions/${res.json.execution_id}`);
    assert.ok(row.text.includes('"n":123456789012345678901234567890'), row.text);
    assert.ok(row.text.includes('"x":1.10'));
});

test('lists: newest first, in pages, by workflow, status and parent', async () => {
    const s = await server();
    await deployWorkflow(s, 'listed', KINDS);
    await deployWorkflow(s, 'listed-too', KINDS);
    const ids: Record<string, string[]> = { completed: [], failed: [], suspended: [], cancelled: [] };
    const order: string[] = [];
    for (let k = 0; k < 4; k++) {
        for (const [what, status] of [['ok', 'completed'], ['fail', 'failed'], ['wait', 'suspended'], ['sleep', 'cancelled']] as const) {
            const id = await start(s, 'listed', what);
            order.unshift(id);
            ids[status]!.unshift(id);
            if (status === 'cancelled') await operate(s, id, 'cancel');
            if (status !== 'suspended') await outcome(s, id);
        }
    }
    for (const id of ids.suspended!) await suspended(s, id);
    const other = await start(s, 'listed-too', 'ok');
    await outcome(s, other);
    const idsOf = (rows: any[]) => rows.map((r) => r.id);
    const all = (await s.api('GET', '/workflows/listed/executions')).json;
    assert.deepEqual(idsOf(all), order);
    for (const member of ['input', 'output', 'metadata']) assert.equal(all[0][member], undefined, 'lists are short');
    assert.deepEqual(idsOf((await s.api('GET', '/executions?workflow=listed')).json), order);
    assert.deepEqual(idsOf((await s.api('GET', '/executions?workflow=listed-too')).json), [other]);
    for (const [status, want] of Object.entries(ids)) {
        assert.deepEqual(idsOf((await s.api('GET', `/executions?workflow=listed&status=${status}`)).json), want, status);
        assert.deepEqual(idsOf((await s.api('GET', `/workflows/listed/executions?status=${status}`)).json), want, status);
        assert.deepEqual(idsOf(await pages(s, `/executions?workflow=listed&status=${status}&limit=1`)), want, status);
        const any = idsOf(await pages(s, `/executions?status=${status}&limit=3`));
        assert.deepEqual(any.filter((id) => order.includes(id)), want, status);
    }
    for (const limit of [1, 2, 3, 5, 16, 17, 1000]) assert.deepEqual(idsOf(await pages(s, `/workflows/listed/executions?limit=${limit}`)), order, `limit ${limit}`);
    assert.deepEqual((await s.api('GET', '/executions?workflow=listed&status=queued')).json, []);
    errorOf(await s.api('GET', '/executions?status=odd'), 400, 'invalid');
    errorOf(await s.api('GET', '/executions?workflow=nobody'), 404, 'not_found');
    errorOf(await s.api('GET', '/workflows/nobody/executions'), 404, 'not_found');
    errorOf(await s.api('GET', '/executions?workflow=listed&limit=x'), 400, 'invalid');
    errorOf(await s.api('GET', '/executions?workflow=listed&cursor=x'), 400, 'invalid');
});

test('lists: of one export, in pages; by the bare name, all of the module', async () => {
    const s = await server();
    await deployWorkflow(s, 'exported', `${KINDS}\nexport const größe = workflow(async () => 2);`);
    const of: Record<string, string[]> = { 'exported': [], 'exported.default': [], 'exported.other': [], 'exported.größe': [] };
    for (let k = 0; k < 3; k++) {
        for (const [name, lists] of [['exported', ['exported.default']], ['exported.default', ['exported.default']], ['exported.other', ['exported.other']], ['exported.größe', ['exported.größe']]] as const) {
            const id = await start(s, encodeURIComponent(name), 'ok');
            await outcome(s, id);
            for (const list of ['exported', ...lists]) of[list]!.unshift(id);
        }
    }
    for (const [name, want] of Object.entries(of)) {
        for (const filter of ['', '&status=completed']) {
            for (const limit of [1, 2, 5, 1000]) {
                const rows = await pages(s, `/executions?workflow=${encodeURIComponent(name)}${filter}&limit=${limit}`);
                assert.deepEqual(rows.map((r) => r.id), want, `${name}${filter} ${limit}`);
            }
        }
        const shown = await s.cli(['execution', 'list', '--workflow', name, '--all', '--json']);
        assert.equal(shown.code, 0, shown.stderr);
        for (const id of of.exported!) assert.equal(shown.stdout.includes(id), want.includes(id), `${name} ${id}`);
    }
    assert.deepEqual((await s.api('GET', '/executions?workflow=exported.nothing')).json, []);
    errorOf(await s.api('GET', '/executions?workflow=exported.'), 400, 'invalid');
    errorOf(await s.api('GET', '/executions?workflow=nobody.other'), 404, 'not_found');
});

test('the list of all has functions and workflows, by time', async () => {
    const s = await server();
    await deployWorkflow(s, 'mixed', KINDS);
    await s.deploy('mixed-function', 'export const handler = { handle() { return 1; } };');
    const order: string[] = [];
    for (let k = 0; k < 5; k++) {
        order.unshift(await start(s, 'mixed', 'ok', { wait: '30s' }));
        order.unshift((await s.execute('mixed-function')).json.execution_id);
    }
    const seen: any[] = [];
    for (let path: string | undefined = '/executions?limit=3'; path && seen.length < 10; ) {
        const page = await s.api('GET', path);
        seen.push(...page.json);
        path = /<([^>]+)>; rel="next"/.exec(String(page.headers.link ?? ''))?.[1];
    }
    assert.deepEqual(seen.slice(0, 10).map((e) => e.id), order);
    assert.deepEqual(seen.slice(0, 2).map((e) => e.function ?? e.workflow), ['mixed-function', 'mixed']);
});

test('pages stay right while new ones are started', async () => {
    const s = await server();
    await deployWorkflow(s, 'moving', KINDS);
    const old = new Set<string>();
    for (let k = 0; k < 20; k++) old.add(await start(s, 'moving', 'ok'));
    const seen: string[] = [];
    for (let path: string | undefined = '/workflows/moving/executions?limit=3'; path; ) {
        const page = await s.api('GET', path);
        seen.push(...page.json.map((e: any) => e.id));
        await start(s, 'moving', 'ok');
        path = /<([^>]+)>; rel="next"/.exec(String(page.headers.link ?? ''))?.[1];
    }
    assert.equal(new Set(seen).size, seen.length, 'none twice');
    for (const id of old) assert.ok(seen.includes(id));
});

test('the journal: one line a record, in pages, with and without values', async () => {
    const s = await server();
    await deployWorkflow(s, 'journaled', `
import { workflow, step, sleep, waitForEvent } from "limpet";
export default workflow(async () => { await step("charge card", () => ({ ok: true })); crypto.randomUUID(); await sleep(1); await waitForEvent("go"); for (let i = 0; i < 30; i++) await step("s" + i, () => i); return 1; });`);
    const id = await start(s, 'journaled');
    await signal(s, id, 'go', { by: 'me' });
    await outcome(s, id);
    const all = await journal(s, id);
    assert.deepEqual(all.map((r) => r.n), all.map((_, n) => n));
    assert.equal(all[0].kind, 'start');
    assert.equal(all.at(-1).kind, 'end');
    const charge = all.find((r) => r.label === 'charge card');
    assert.deepEqual([charge.op, charge.kind, charge.status, charge.attempts, charge.value], ['step', 'done', 'ok', 1, { ok: true }]);
    assert.ok(charge.at_ms >= all[0].at_ms);
    const event = all.find((r) => r.op === 'event_wait');
    assert.ok(JSON.stringify(event.value).includes('me'), JSON.stringify(event));
    for (const limit of [1, 7, 1000]) assert.deepEqual(await pages(s, `/executions/${id}/journal?values=1&limit=${limit}`), all);
    const plain = (await s.api('GET', `/executions/${id}/journal?limit=1000`)).json;
    assert.equal('value' in plain[1], false);
    assert.deepEqual((await s.api('GET', `/executions/${id}/journal?after=3&limit=2`)).json.map((r: any) => r.n), [4, 5]);
    // Equal results have equal digests, whatever the execution.
    const other = await start(s, 'journaled');
    await signal(s, other, 'go', { by: 'me' });
    await outcome(s, other);
    assert.equal((await journal(s, other)).find((r) => r.label === 's7').digest, all.find((r) => r.label === 's7').digest);
    const text = await s.cli(['execution', 'journal', id]);
    assert.equal(text.code, 0, text.stderr);
    assert.equal(text.stdout.trimEnd().split('\n').length >= all.length, true);
    assert.match(text.stdout, /step\s+charge card/);
    errorOf(await s.api('GET', '/executions/00000000-0000-7000-8000-000000000000/journal'), 404, 'not_found');
});

test('a function\'s run has no journal, and says so', async () => {
    const s = await server();
    await s.deploy('plain-function', 'export const handler = { handle() { return 1; } };');
    const id = (await s.execute('plain-function')).json.execution_id;
    assert.ok(errorOf(await s.api('GET', `/executions/${id}/journal`), 404, 'not_found').hint);
});

// ---- logs ----

const CHATTY = `
import { workflow, step, sleep, waitForEvent, log } from "limpet";
export default workflow(async (n) => {
    console.log("start");
    for (let i = 0; i < n; i++) { log.info("line " + i); await (i % 3 === 0 ? step("s", () => { log.debug("in step " + i); return i; }) : sleep(3)); }
    await waitForEvent("go");
    console.error("end");
});`;

test('logs: every line of main code exactly once, in order, over kills', async () => {
    await withServer({}, async (s, crashed) => {
        await deployWorkflow(s, 'chatty', CHATTY);
        const id = await start(s, 'chatty', 60);
        for (const wanted of [5, 20, 45]) {
            await until(`${wanted} lines`, async () => (await logTexts(s, id)).length >= wanted);
            s = await crashed();
        }
        await suspended(s, id);
        s = await crashed();
        await signal(s, id, 'go');
        await outcome(s, id);
        const texts = (await logTexts(s, id)).filter((t) => !t.startsWith('in step'));
        assert.deepEqual(texts, ['start', ...Array.from({ length: 60 }, (_, i) => `line ${i}`), 'end']);
        const steps = new Set((await logTexts(s, id)).filter((t) => t.startsWith('in step')));
        assert.equal(steps.size, 20, 'those of steps at least once');
    });
});

test('logs: levels, times, following one to its end', async () => {
    const s = await server();
    await deployWorkflow(s, 'chatty', CHATTY);
    const id = await start(s, 'chatty', 4);
    const following = s.admin(`/executions/${id}/logs?follow=1`);
    const tail = s.cli(['execution', 'logs', '-f', id]);
    await suspended(s, id);
    await signal(s, id, 'go');
    await outcome(s, id);
    const lines = (await following).text.trim().split('\n').filter((l: string) => l.trim()).map((l: string) => JSON.parse(l));
    assert.deepEqual(lines.map((l: any) => l.text), ['start', 'line 0', 'in step 0', 'line 1', 'line 2', 'line 3', 'in step 3', 'end']);
    assert.deepEqual([lines[0].level, lines[2].level, lines.at(-1).level], ['info', 'debug', 'error']);
    for (const l of lines) assert.equal(l.execution_id, id);
    const text = await tail;
    assert.equal(text.code, 0, text.stderr);
    assert.match(text.stdout, /line 3[\s\S]*end/);
    const ofWorkflow = (await s.api('GET', '/workflows/chatty/logs?limit=1000')).json.filter((l: any) => l.execution_id === id);
    assert.equal(ofWorkflow.length, lines.length);
});

// ---- retention ----

test('retention: finished ones go after --keep-s, unfinished ones never', async () => {
    await withServer({ args: ['--keep-s', '1'] }, async (s, crashed) => {
        await deployWorkflow(s, 'kept', KINDS);
        const done = [await start(s, 'kept', 'ok', { id: 'a' }), await start(s, 'kept', 'fail')];
        for (const id of done) await outcome(s, id);
        const open = [await start(s, 'kept', 'wait'), await start(s, 'kept', 'sleep')];
        const cancelled = await start(s, 'kept', 'sleep');
        await operate(s, cancelled, 'cancel');
        await until('the finished ones to go', async () => (await pages(s, '/workflows/kept/executions')).length === 2);
        for (const id of [...done, cancelled]) errorOf(await s.api('GET', `/executions/${id}`), 404, 'not_found');
        for (const id of done) errorOf(await s.api('GET', `/executions/${id}/journal`), 404, 'not_found');
        s = await crashed();
        for (const id of open) assert.notEqual((await show(s, id)).status, 'completed');
        await signal(s, open[0]!, 'x');
        await until('it has ended and gone', async () => (await s.api('GET', `/executions/${open[0]}`)).status === 404);
        assert.equal((await pages(s, '/workflows/kept/executions')).length, 1);
        // The key is free again.
        assert.equal(await complete(s, 'kept', 'again', { id: 'a' }), 'again');
    });
});

// ---- metrics and the machine-readable description ----

test('metrics count executions by status, records, replays, snapshots, lateness', async () => {
    await withServer({}, async (s) => {
        await deployWorkflow(s, 'counted', KINDS);
        for (const what of ['ok', 'ok', 'fail']) await outcome(s, await start(s, 'counted', what));
        const open = await start(s, 'counted', 'wait');
        await suspended(s, open);
        const m = await s.metrics();
        assert.equal(m.get('limpet_workflow_executions{status="completed"}'), 2);
        assert.equal(m.get('limpet_workflow_executions{status="failed"}'), 1);
        assert.equal(m.get('limpet_workflow_executions{status="suspended"}'), 1);
        assert.equal(m.get('limpet_workflow_executions{status="running"}'), 0);
        assert.ok(m.get('limpet_journal_records_total')! >= 7);
        await operate(s, open, 'pause');
        assert.equal((await s.metrics()).get('limpet_workflow_executions_paused'), 1);
        for (const name of ['limpet_replays_total', 'limpet_snapshots_total{what="taken"}', 'limpet_wake_lateness_seconds_count', 'limpet_store_commits_total']) assert.ok(m.has(name), name);
    });
});

test('/openapi.json describes every route of workflows and executions', async () => {
    const s = await server();
    const { paths } = (await s.api('GET', '/openapi.json')).json;
    for (const path of ['/workflows', '/workflows/{name}', '/workflows/{name}/execute', '/workflows/{name}/builds', '/workflows/{name}/env/{var}', '/workflows/{name}/check', '/workflows/{name}/migrate', '/executions', '/executions/{id}', '/executions/{id}/journal', '/executions/{id}/logs', '/executions/{id}/signal', '/executions/{id}/cancel', '/executions/{id}/pause', '/executions/{id}/resume', '/executions/{id}/retry', '/executions/{id}/fork']) assert.ok(paths[path], path);
});

// ---- errors ----

test('errors of workflows have code, name, message, stack in the lines of the source; a hint where one helps', async () => {
    const s = await server();
    await deployWorkflow(s, 'thrower', `import { workflow } from "limpet";
function deeper(what: string): never {
    if (what === "own") { class PaymentError extends Error { name = "PaymentError"; } throw new PaymentError("declined"); }
    if (what === "text") throw "just text";
    if (what === "null") throw null;
    throw new TypeError("typed");
}
export default workflow(async (what: string) => { await null; deeper(what); });`);
    const typed = (await execute(s, 'thrower', 'typed', { wait: '30s' })).json.error;
    assert.deepEqual([typed.code, typed.name], ['guest_error', 'TypeError']);
    assert.match(typed.message, /typed/);
    assert.match(typed.stack, /deeper.*thrower\.ts:6/);
    assert.match(typed.stack, /thrower\.ts:8/);
    assert.equal((await execute(s, 'thrower', 'own', { wait: '30s' })).json.error.name, 'PaymentError');
    assert.match((await execute(s, 'thrower', 'text', { wait: '30s' })).json.error.message, /just text/);
    assert.match((await execute(s, 'thrower', 'null', { wait: '30s' })).json.error.message, /null/);
});

test('status of a running one: running while it computes, suspended while it waits', async () => {
    const s = await server();
    await deployWorkflow(s, 'states', `
import { workflow, step, waitForEvent, progress } from "limpet";
export default workflow(async () => { await step("endless", { timeout: "1 minute" }, async () => { await new Promise((r) => setTimeout(r, 100000)); }).catch(() => 0); });`);
    const id = await start(s, 'states');
    await until('it runs', async () => (await show(s, id)).status === 'running');
    await operate(s, id, 'cancel');
    assert.equal((await outcome(s, id)).cancel_requested, true);
    await deployWorkflow(s, 'states-2', 'import { workflow, waitForEvent, progress } from "limpet"; export default workflow(async () => { progress(1); await waitForEvent("x"); });');
    const waits = await start(s, 'states-2');
    await progressed(s, waits, 1);
    assert.equal((await suspended(s, waits)).wake_at, null);
});
