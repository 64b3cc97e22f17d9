// SPDX-License-Identifier: Apache-2.0
// Variables are secrets: no journal has their values. A replay gives what they were, what is asked for later has what they are; an execution whose
// variable changes in between goes on.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { type Server } from './harness.ts';
import { Counter, deployWorkflow, journal, metadata, output, show, signal, start, suspended, until, untilShown, withServer } from './workflow-harness.ts';

const SOURCE = `
import { workflow, waitForEvent, step, sleep } from "limpet";
import { env } from "limpet";
import { get } from "derp:runtime/env";
const all = () => JSON.stringify(Object.entries(env.toObject()).sort());
const take = () => ({ key: env.get("API_KEY") ?? null, derp: get("API_KEY") ?? null, other: env.get("OTHER") ?? null, all: all() });
export const main = workflow(async (url) => {
    const first = take();
    const status = (await fetch(url, { headers: { authorization: "Bearer " + first.key } })).status;
    await waitForEvent("go");
    const second = take();
    const inside = await step("inside", () => env.get("API_KEY").length); // what it returns is recorded
    await fetch(url, { headers: { authorization: "Bearer " + second.key } });
    await waitForEvent("end");
    return { lengths: [first.key?.length, second.key?.length, inside], first: first.all.length, same: first.key === first.derp && second.key === second.derp, others: [first.other, second.other], status };
});`;

let counter: Counter;
before(async () => { counter = await Counter.start(); });
after(() => { counter.stop(); });

const set = async (s: Server, name: string, value: string): Promise<void> => {
    const res = await s.api('PUT', `/workflows/secrets/env/${name}`, { value });
    assert.ok(res.status >= 200 && res.status < 300, res.text);
};

test('no value in a journal, and an execution outlives a change', () => withServer({ args: ['--threads', '2', ...counter.flags, '--verify-replay', '--snapshot-after', '1000'] }, async (s, crashed) => {
    await deployWorkflow(s, 'secrets', SOURCE);
    await set(s, 'API_KEY', 'secret-of-before');
    await set(s, 'OTHER', 'same');
    const id = await start(s, 'secrets.main', `${counter.url}/a`);
    await suspended(s, id);
    await set(s, 'API_KEY', 'the-secret-of-later-on');
    assert.equal((await s.api('DELETE', '/workflows/secrets/env/OTHER')).status, 204);
    let next = await crashed(); // a replay, with other variables than it began with
    await signal(next, id, 'go');
    await until('it has asked again', () => counter.at('/a').length === 2);
    await untilShown(next, id, 'at rest', (row) => row.status === 'suspended' && row.records > 12);
    await set(next, 'API_KEY', 'and-another');
    next = await crashed();
    await signal(next, id, 'end');
    const out = await output(next, id);
    assert.deepEqual([out.lengths, out.same, out.others, out.status], [['secret-of-before'.length, 'the-secret-of-later-on'.length, 'the-secret-of-later-on'.length], true, ['same', null], 200]);
    const sent = counter.at('/a').map((r) => r.headers.authorization);
    assert.deepEqual([...new Set(sent)], ['Bearer secret-of-before', 'Bearer the-secret-of-later-on']);
    const shown = JSON.stringify(await journal(next, id));
    assert.doesNotMatch(shown, /secret|another/);
    assert.match(shown, /\(hidden\)/);
    assert.equal((await next.metrics()).get('limpet_verify_failures_total'), 0);
    await next.kill();
    const [[[found]], [[kept]]] = await metadata(next.data, [
        ["SELECT count(*) FROM journal WHERE instr(records, CAST('secret-of' AS BLOB)) > 0"],
        ["SELECT count(*) FROM env_former"],
    ]) as any;
    assert.deepEqual([found, kept], [0, 3]); // two of API_KEY, one of OTHER: named by the execution
}));

test('a key that named an execution before ids were made by SHA-256 still names it', () => withServer({ args: ['--threads', '1'] }, async (s) => {
    const BEFORE = '1b31356e-0dfe-8655-b096-7ec67a48624a'; // of "park.poison" and "one"
    await deployWorkflow(s, 'park', 'import { workflow } from "limpet"; export const poison = workflow(async () => "old"); export const other = workflow(async () => 1);');
    const id = await start(s, 'park.poison', null, { id: 'one' });
    assert.notEqual(id, BEFORE);
    assert.match(id, /^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    assert.equal(await output(s, id), 'old');
    assert.equal(await start(s, 'park.poison', null, { id: 'one' }), id);
    await s.kill();
    await metadata(s.data, [['UPDATE durable SET id = ? WHERE id = ?', BEFORE, id]]);
    const next = await s.revive();
    try {
        assert.equal(await start(next, 'park.poison', null, { id: 'one' }), BEFORE);
        assert.notEqual(await start(next, 'park.other', null, { id: 'one' }), BEFORE);
        assert.equal((await show(next, BEFORE)).output, 'old');
    } finally {
        await next.kill();
    }
}));
