// SPDX-License-Identifier: Apache-2.0
// Schedules: what is started when, by functions, workflows and deploys; overlaps, missed times, and death at any moment.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { errorOf, Server, until, useServer } from './harness.ts';
import { deployWorkflow } from './workflow-harness.ts';

const server = useServer();

/** A function that keeps each scheduled event in its database, and answers with them. */
const keeps = `
import { exec } from "derp:runtime/sql";
export const handler = { setup() { exec("CREATE TABLE seen (time INTEGER, cron TEXT, type TEXT)"); } };
export default {
    fetch() { return Response.json([...exec("SELECT time, cron, type FROM seen ORDER BY time")]); },
    async scheduled(controller, env, ctx) {
        BODY
        exec("INSERT INTO seen VALUES (?, ?, ?)", controller.scheduledTime, controller.cron, controller.type);
    },
};`;

const deployKeeper = (s: Server, name: string, body = '', more: object = {}): Promise<unknown> =>
    s.deploy(name, keeps.replace('BODY', body), more);

const seen = async (s: Server, name: string): Promise<any[]> => (await s.request(name)).json;

async function create(s: Server, name: string, plan: object): Promise<any> {
    const { status, json, text } = await s.api('POST', '/schedules', { name, ...plan });
    assert.equal(status, 201, text);
    return json;
}

const show = async (s: Server, name: string): Promise<any> => (await s.api('GET', `/schedules/${name}`)).json;

test('an interval calls scheduled() of a function, again and again', async () => {
    const s = await server();
    await deployKeeper(s, 'ticks');
    const made = await create(s, 'tick', { every_ms: 1000, function: 'ticks' });
    assert.deepEqual(made.plan, { every_ms: 1000, function: 'ticks', overlap: 'allow', missed: 'one', jitter_ms: 0 });
    const rows = await until('three runs', async () => {
        const all = await seen(s, 'ticks');
        return all.length >= 3 ? all : undefined;
    });
    assert.equal(rows[1].time - rows[0].time, 1000);
    assert.equal(rows[0].type, 'scheduled');
    const paused = await s.api('POST', '/schedules/tick/pause');
    assert.deepEqual([paused.status, paused.json.paused, paused.json.next_at], [200, true, null]);
    const after = await until('all have ended', async () => {
        const row = await show(s, 'tick');
        return row.running === 0 ? row : undefined;
    });
    assert.equal(after.started, (await seen(s, 'ticks')).length);
    const resumed = await s.api('POST', '/schedules/tick/resume');
    assert.ok(resumed.json.next_at_ms > Date.now() - 1000, resumed.text);
    assert.equal((await s.api('DELETE', '/schedules/tick')).status, 204);
    assert.equal((await s.api('GET', '/schedules/tick')).status, 404);
});

test('a deploy makes, changes and removes what the project declares', async () => {
    const s = await server();
    await deployKeeper(s, 'declares', '', { schedules: [{ cron: '0 0 1 1 *' }, { name: 'often', cron: '* * * * * *', overlap: 'skip' }] });
    const first = await until('a run', async () => (await seen(s, 'declares'))[0]);
    assert.equal(first.cron, '* * * * * *');
    const names = async (): Promise<string[]> => (await s.api('GET', '/schedules')).json.map((row: any) => `${row.declared_by} ${row.name}`);
    assert.deepEqual(await names(), ['declares declares-cron-1', 'declares often']);
    const yearly = await show(s, 'declares-cron-1');
    assert.match(yearly.next_at, /-01-01T00:00:00/);
    errorOf(await s.api('PUT', '/schedules/often', { every_ms: 5000, function: 'declares' }), 409, 'conflict');
    await deployKeeper(s, 'declares', '', { schedules: [{ cron: '0 0 1 2 *' }] });
    assert.deepEqual(await names(), ['declares declares-cron-1']);
    await until('it is known when it is due', async () => /-02-01T/.test((await show(s, 'declares-cron-1')).next_at) || undefined);
    const bad = await s.api('POST', '/functions', { name: 'declares', source: 'export default {}', schedules: [{ cron: '61 * * * *' }] });
    assert.deepEqual([bad.status, /'61' is no minute/.test(bad.text)], [400, true], bad.text);
    await s.api('DELETE', '/functions/declares');
    assert.deepEqual(await names(), []);
});

test('an execution of a workflow is started with its input, once for each time', async () => {
    const s = await server();
    await deployWorkflow(s, 'report', 'import { workflow } from "limpet"; export default workflow(async (input) => ({ got: input }));');
    await create(s, 'reports', { every_ms: 1000, workflow: 'report', input: { a: 1 } });
    const ended = await until('two reports', async () => {
        const { json } = await s.api('GET', '/workflows/report/executions?status=completed');
        return json.length >= 2 ? json : undefined;
    });
    const whole = (await s.api('GET', `/executions/${ended[0].id}`)).json;
    assert.deepEqual([whole.output, whole.metadata], [{ got: { a: 1 } }, { schedule: 'reports' }]);
    assert.match(whole.key, /^schedule:\d+:\d+$/);
    await s.api('POST', '/schedules/reports/pause');
    const before = (await show(s, 'reports')).started;
    const filled = await s.api('POST', '/schedules/reports/backfill', { from: '2020-01-01T00:00:01Z', to: '2020-01-01T00:00:05Z' });
    assert.deepEqual([filled.status, filled.json], [202, { started: 5 }], filled.text);
    assert.equal((await show(s, 'reports')).started, before + 5);
    await s.api('DELETE', '/schedules/reports');
});

test('runs that overlap are skipped, or wait for each other', async () => {
    const s = await server();
    await deployWorkflow(s, 'slow', 'import { workflow, waitForEvent } from "limpet"; export default workflow(async () => { await waitForEvent("go"); });');
    const plan = { every_ms: 1000, workflow: 'slow' };
    await create(s, 'skips', { ...plan, overlap: 'skip' });
    await until('two are skipped', async () => (await show(s, 'skips')).skipped >= 2 || undefined);
    assert.equal((await show(s, 'skips')).started, 1);
    await s.api('DELETE', '/schedules/skips');
    await create(s, 'waits', { ...plan, overlap: 'queue', missed: 'all' });
    const first = await until('one has started', async () => (await show(s, 'waits')).last_execution ?? undefined);
    await until('it is late', async () => (await show(s, 'waits')).next_at_ms < Date.now() - 1000 || undefined);
    assert.equal((await show(s, 'waits')).started, 1);
    await s.api('POST', `/executions/${first}/signal`, { name: 'go', data: null });
    await until('the next one has started', async () => (await show(s, 'waits')).started === 2 || undefined);
    await s.api('DELETE', '/schedules/waits');
});

test('what throws is called again, with the same time; noRetry() ends that', async () => {
    const s = await server();
    await deployKeeper(s, 'throws', `
        const [{ n }] = [...exec("SELECT count(*) AS n FROM seen WHERE cron = 'try'")];
        exec("INSERT INTO seen VALUES (?, 'try', '')", controller.scheduledTime);
        if (n === 0) throw new TypeError("not yet");`);
    await create(s, 'tries', { at: '2999-01-01T00:00:00Z', function: 'throws' });
    assert.equal((await s.api('POST', '/schedules/tries/trigger')).status, 202);
    const rows = await until('it has run', async () => {
        const all = await seen(s, 'throws');
        return all.length === 3 ? all : undefined;
    });
    assert.equal(new Set(rows.map((row) => row.time)).size, 1);
    await until('it is settled', async () => (await show(s, 'tries')).running === 0 || undefined);
    assert.equal((await show(s, 'tries')).failed, 0);
    await until('the error is in the log', async () =>
        (await s.api('GET', '/functions/throws/logs')).text.includes('Uncaught in scheduled(): TypeError: not yet') || undefined);

    await deployKeeper(s, 'gives-up', 'controller.noRetry(); throw new Error("no");');
    await create(s, 'once', { at: '2999-01-01T00:00:00Z', function: 'gives-up' });
    await s.api('POST', '/schedules/once/trigger');
    await until('it has failed', async () => (await show(s, 'once')).failed === 1 || undefined);
});

test('mistakes are said before anything is made', async () => {
    const s = await server();
    await deployKeeper(s, 'there');
    const bad: [object, RegExp][] = [
        [{ name: 'a', cron: '* * *', function: 'there' }, /five or six fields/],
        [{ name: 'a', cron: '* * * * *' }, /starts nothing/],
        [{ name: 'a', cron: '* * * * *', function: 'nowhere' }, /no function/],
        [{ name: 'a', cron: '* * * * *', workflow: 'there' }, /no workflow/],
        [{ name: 'a', cron: '* * * * *', function: 'there', timezone: 'Nowhere/City' }, /no time zone/],
        [{ name: 'a', at: '2001-01-01T00:00:00Z', function: 'there' }, /never due/],
        [{ name: 'a', cron: '0 0 31 2 *', function: 'there' }, /never due/],
        [{ name: '', cron: '* * * * *', function: 'there' }, /name has 1 to 63/],
        [{ name: 'a', cron: '* * * * *', function: 'there', when: 1 }, /unknown member when/],
    ];
    for (const [body, pattern] of bad) {
        const { status, text } = await s.api('POST', '/schedules', body);
        assert.equal(status, 400, text);
        assert.match(text, pattern);
    }
    await create(s, 'twice', { cron: '0 0 1 1 *', function: 'there' });
    errorOf(await s.api('POST', '/schedules', { name: 'twice', cron: '0 0 1 1 *', function: 'there' }), 409, 'conflict');
    const changed = await s.api('PUT', '/schedules/twice', { cron: '0 0 1 3 *', timezone: 'Europe/Berlin', function: 'there' });
    assert.match(changed.json.next_at, /-02-2[89]T23:00:00/);
});

test('what was due while the server was dead is made up for as the schedule says, and nothing is doubled', async () => {
    let s = await Server.start();
    try {
        await deployWorkflow(s, 'count', 'import { workflow } from "limpet"; export default workflow(async () => 1);');
        await deployKeeper(s, 'keeps');
        await create(s, 'all', { every_ms: 1000, workflow: 'count', missed: 'all' });
        await create(s, 'calls', { every_ms: 1000, function: 'keeps', missed: 'all' });
        for (let k = 0; k < 3; k++) {
            const { started } = await show(s, 'all');
            await until('it goes on', async () => (await show(s, 'all')).started > started || undefined);
            await s.kill();
            s = await s.revive();
        }
        const { started } = await show(s, 'all');
        await until('it goes on', async () => (await show(s, 'all')).started > started + 1 || undefined);
        await s.api('POST', '/schedules/all/pause');
        await s.api('POST', '/schedules/calls/pause');
        const row = await show(s, 'all');
        const keys: string[] = (await s.api('GET', '/workflows/count/executions?limit=1000')).json.map((x: any) => x.key);
        const times = keys.map((key) => Number(key.split(':')[2])).sort((a, b) => a - b);
        assert.equal(times.length, row.started, `${JSON.stringify(row)} ${keys}`);
        times.forEach((time, k) => assert.equal(time, times[0]! + 1000 * k, `${times}`));
        await until('all calls have ended', async () => (await show(s, 'calls')).running === 0 || undefined);
        const called = [...new Set((await seen(s, 'keeps')).map((x) => x.time))];
        assert.equal(called.length, (await show(s, 'calls')).started);
        called.forEach((time, k) => assert.equal(time, called[0] + 1000 * k, `${called}`));
    } finally {
        await s.stop();
    }
});
