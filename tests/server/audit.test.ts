// SPDX-License-Identifier: Apache-2.0
// The audit log: who changed what and how it ended, refusals too; a row that was changed, removed or moved is found.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { after, test } from 'node:test';
import { errorOf, Server, until } from './harness.ts';
import { deployWorkflow, metadata } from './workflow-harness.ts';

let running: Server | undefined;
const server = async (): Promise<Server> => (running ??= await Server.start({ args: ['--threads', '1'] }));
after(async () => {
    await running?.stop();
    if (running) fs.rmSync(running.data, { recursive: true, force: true });
});

/** Actions of a namespace, oldest first: "actor action target outcome". */
async function rows(s: Server, base = ''): Promise<string[]> {
    const res = await s.api('GET', `${base}/audit?limit=1000`);
    assert.equal(res.status, 200, res.text);
    return res.json.map((row: any) => `${row.actor} ${row.action} ${row.target} ${row.outcome}`).reverse();
}

test('each change has a row with who, what and how it ended; reads and runs have none', async () => {
    const s = await server();
    await s.deploy('f', 'export default () => 1;');
    await deployWorkflow(s, 'w', 'import { waitForEvent, workflow } from "limpet"; export default workflow(() => waitForEvent("go"));');
    assert.equal((await s.api('PUT', '/functions/f/env/A', { value: 'x' })).status, 204);
    assert.equal((await s.api('PUT', '/secrets/f/KEY', { value: 'not-in-the-log' })).status, 204);
    errorOf(await s.api('PUT', '/functions/f/env/KEY', { value: 'x' }), 409, 'conflict'); // the store's refusal
    errorOf(await s.api('PUT', '/functions/nobody/env/A', { value: 'x' }), 404, 'not_found'); // before the store
    await s.execute('f');
    const id = (await s.api('POST', '/workflows/w/execute', {})).json.execution_id;
    assert.equal((await s.api('POST', `/executions/${id}/pause`)).status, 200);
    assert.equal((await s.api('POST', '/workflows/w/migrate')).status, 200);
    assert.equal((await s.api('DELETE', '/functions/f')).status, 204);
    assert.deepEqual(await rows(s), [
        'server function_upload f ok', 'server workflow_upload w ok', 'server env_put f A ok', 'server secret_put f KEY ok',
        'server env_put f KEY conflict', 'server env_put nobody A not_found', `server execution_pause ${id} ok`, 'server workflow_migrate w ok', 'server function_delete f ok',
    ]);
    assert.ok(!(await s.api('GET', '/audit')).text.includes('not-in-the-log'));
});

test('of a namespace, by its tokens; what a token may not is in it, too', async () => {
    const s = await server();
    assert.equal((await s.api('POST', '/namespaces', { name: 'shop' })).status, 201);
    const made = (await s.api('POST', '/namespaces/shop/tokens', { role: 'deploy' })).json;
    const as = { authorization: `Bearer ${made.token}` };
    assert.equal((await s.api('POST', '/namespaces/shop/functions?wait=60s', { name: 'g', source: 'export default () => 2;' }, as)).status, 200);
    errorOf(await s.api('POST', '/namespaces/shop/tokens', { role: 'admin' }, as), 403, 'forbidden');
    errorOf(await s.api('GET', '/namespaces/shop/audit', undefined, as), 403, 'forbidden');
    await until('the refusal is stored', async () => (await rows(s, '/namespaces/shop')).length === 5); // nobody waits for it
    assert.deepEqual(await rows(s, '/namespaces/shop'), [
        'server namespace_create  ok', 'server token_create  ok', `${made.id} function_upload g ok`, `${made.id} token_create  forbidden`, `${made.id} audit_list  forbidden`,
    ]);
    const page = (await s.api('GET', '/namespaces/shop/audit?limit=2')).json;
    assert.equal(page.length, 2);
    assert.equal((await s.api('GET', `/namespaces/shop/audit?limit=10&before=${page[1].seq}`)).json.length, 3);
});

test('refusals cannot fill it', async () => {
    const s = await server();
    const before = (await rows(s)).length;
    await Promise.all(Array.from({ length: 200 }, () => s.api('DELETE', '/functions/nobody')));
    const dropped = (await s.metrics()).get('limpet_audit_dropped_total')!;
    assert.ok(dropped > 0);
    await until('the others are stored', async () => (await rows(s)).length - before + dropped === 200);
});

test('verify finds what was changed, removed or moved, and says which', async () => {
    let s = await server();
    const good = await s.cli(['audit', 'verify']);
    assert.equal(good.code, 0, good.stderr);
    assert.match(good.stdout, /^\d+ rows are as they were written\nlast [0-9a-f]{64}/);
    assert.match((await s.cli(['audit', 'list', '--namespace', 'shop'])).stdout, /function_upload +g +ok/);
    const data = s.data;
    const db = fs.readdirSync(data).filter((f) => f.startsWith('db.sqlite') && !f.endsWith('.lock'));
    await s.stop();
    const kept = new Map(db.filter((f) => fs.existsSync(`${data}/${f}`)).map((f) => [f, fs.readFileSync(`${data}/${f}`)]));
    const last = Number((await metadata(data, [['SELECT seq FROM audit_head']]))[0]![0]![0]);
    const forged: [string, string[], number][] = [
        ['a text', ["UPDATE audit SET outcome = 'ok' WHERE seq = 5"], 5],
        ['who', ["UPDATE audit SET actor = 'nobody' WHERE seq = 3"], 3],
        ['a time', ['UPDATE audit SET at_us = at_us + 1 WHERE seq = 2'], 2],
        ['removed', ['DELETE FROM audit WHERE seq = 4'], 4],
        ['the last removed', [`DELETE FROM audit WHERE seq = ${last}`], last],
        ['the first removed', ['DELETE FROM audit WHERE seq = 1'], 1],
        ['two changed places', ['UPDATE audit SET seq = -1 WHERE seq = 6', 'UPDATE audit SET seq = 6 WHERE seq = 7', 'UPDATE audit SET seq = 7 WHERE seq = -1'], 6],
        ['one added', [`INSERT INTO audit SELECT seq + 1, at_us, actor, namespace, action, target, outcome, hash FROM audit WHERE seq = ${last}`], last + 1],
    ];
    for (const [what, statements, seq] of forged) {
        await metadata(data, statements.map((sql) => [sql]));
        s = running = await Server.start({ data, args: ['--threads', '1'] });
        const found = await s.cli(['audit', 'verify']);
        assert.equal(found.code, 1, `${what}: ${found.stdout}`);
        assert.match(found.stderr, new RegExp(`row ${seq} of the audit log`), `${what}: ${found.stderr}`);
        assert.equal((await s.api('GET', '/audit/verify')).json.bad, seq);
        await s.stop();
        for (const f of fs.readdirSync(data).filter((f) => /^db\.sqlite(-wal|-shm)?$/.test(f))) fs.rmSync(`${data}/${f}`);
        for (const [f, bytes] of kept) fs.writeFileSync(`${data}/${f}`, bytes);
    }
    running = await Server.start({ data, args: ['--threads', '1'] });
    assert.equal((await running.cli(['audit', 'verify'])).code, 0);
});

test('what was refused to a start, a signal or a reader has a row; what went well has none', async () => {
    const s = await server();
    assert.equal((await s.api('POST', '/namespaces', { name: 'quiet' })).status, 201);
    const as = async (role: string) => {
        const made = (await s.api('POST', '/namespaces/quiet/tokens', { role })).json;
        return { id: made.id, headers: { authorization: `Bearer ${made.token}` } };
    };
    const [read, invoke] = [await as('read'), await as('invoke')];
    const workflow = { name: 'w', source: 'import { waitForEvent, workflow } from "limpet"; export default workflow(() => waitForEvent("go"));' };
    assert.equal((await s.api('POST', '/namespaces/quiet/workflows?wait=60s', workflow)).status, 200);
    const before = (await rows(s, '/namespaces/quiet')).length;
    const started = await s.api('POST', '/namespaces/quiet/workflows/w/execute', {}, invoke.headers);
    assert.equal(started.status, 202);
    const id = started.json.execution_id;
    assert.equal((await s.api('GET', '/namespaces/quiet/functions', undefined, read.headers)).status, 200);
    errorOf(await s.api('POST', '/namespaces/quiet/workflows/w/execute', {}, read.headers), 403, 'forbidden');
    errorOf(await s.api('GET', '/namespaces/quiet/audit', undefined, read.headers), 403, 'forbidden');
    errorOf(await s.api('GET', '/functions', undefined, read.headers), 403, 'forbidden'); // of the default one
    errorOf(await s.api('POST', '/namespaces/quiet/workflows/nobody/execute', {}, invoke.headers), 404, 'not_found');
    errorOf(await s.api('POST', `/namespaces/quiet/executions/${id}/retry`), 409, 'conflict'); // it has not ended
    assert.equal((await s.api('POST', `/namespaces/quiet/executions/${id}/cancel`, undefined, invoke.headers)).status, 202);
    await until('its end', async () => (await s.api('GET', `/namespaces/quiet/executions/${id}?wait=30s`)).json.status === 'cancelled' || undefined);
    errorOf(await s.api('POST', `/namespaces/quiet/executions/${id}/signal`, { name: 'go' }, invoke.headers), 409, 'conflict');
    errorOf(await s.api('POST', `/namespaces/quiet/executions/${id}/pause`), 409, 'conflict');
    errorOf(await s.api('PUT', '/namespaces/quiet/quotas/nobody', { memory_bytes: 1 }), 400, 'invalid');
    const wanted = [
        `${read.id} workflow_start w forbidden`, `${read.id} audit_list  forbidden`, `${invoke.id} workflow_start nobody not_found`, `server execution_retry ${id} conflict`,
        `${invoke.id} execution_signal ${id} conflict`, `server execution_pause ${id} conflict`, 'server quota_put nobody invalid',
    ];
    await until('the refusals are stored', async () => (await rows(s, '/namespaces/quiet')).length === before + wanted.length);
    assert.deepEqual((await rows(s, '/namespaces/quiet')).slice(before), wanted);
    assert.ok((await rows(s)).includes(`${read.id} function_list  forbidden`));
});

test('retention removes the oldest rows; what is left can still be verified, and a moved anchor is found', async () => {
    let s = await Server.start({ args: ['--threads', '1', '--audit-rows', '20'] });
    const data = s.data;
    try {
        await s.deploy('f', 'export default () => 1;');
        for (let n = 0; n < 60; n++) assert.equal((await s.api('PUT', '/functions/f/env/A', { value: String(n) })).status, 204);
        await until('rows are gone', async () => (await s.api('GET', '/audit?limit=1000')).json.length <= 21);
        const check = (await s.api('GET', '/audit/verify')).json;
        assert.equal(check.ok, true, JSON.stringify(check));
        assert.ok(check.trimmed >= 39 && check.from === check.trimmed + 1 && check.until === 61, JSON.stringify(check));
        const said = await s.cli(['audit', 'verify']);
        assert.equal(said.code, 0, said.stderr);
        assert.match(said.stdout, new RegExp(`rows 1 to ${check.trimmed} were removed by the server's retention, the last at 20`));
        assert.equal((await s.api('GET', `/audit/verify?after=${check.trimmed}`)).json.ok, true);
        errorOf(await s.api('GET', `/audit/verify?after=${check.trimmed - 1}`), 400, 'invalid');
        // By age, too, down to the last row; the chain goes on from there.
        s = await s.restart({ args: ['--threads', '1', '--audit-keep-s', '1'] });
        await until('all are gone', async () => (await s.api('GET', '/audit')).json.length === 0);
        const empty = (await s.api('GET', '/audit/verify')).json;
        assert.deepEqual([empty.ok, empty.checked, empty.trimmed, empty.hash], [true, 0, 61, check.hash]);
        s = await s.restart({ args: ['--threads', '1'] });
        assert.equal((await s.api('PUT', '/functions/f/env/A', { value: 'x' })).status, 204);
        assert.equal((await s.api('PUT', '/functions/f/env/A', { value: 'y' })).status, 204);
        assert.deepEqual((await s.api('GET', '/audit/verify')).json.checked, 2);
        await s.stop();
        // Whoever removes rows and moves the anchor does not have the key.
        await metadata(data, [['UPDATE audit_anchor SET seq = 62, hash = (SELECT hash FROM audit WHERE seq = 62)'], ['DELETE FROM audit WHERE seq <= 62']]);
        s = await Server.start({ data, args: ['--threads', '1'] });
        const moved = await s.cli(['audit', 'verify']);
        assert.equal(moved.code, 1);
        assert.match(moved.stderr, /row 62 of the audit log is not as it was written: the note/);
    } finally {
        await s.stop();
        fs.rmSync(data, { recursive: true, force: true });
    }
});

test('a log that was forged is not trimmed: what shows it stays', async () => {
    let s = await Server.start({ args: ['--threads', '1'] });
    const data = s.data;
    try {
        await s.deploy('f', 'export default () => 1;');
        for (let n = 0; n < 9; n++) await s.api('PUT', '/functions/f/env/A', { value: String(n) });
        await s.stop();
        await metadata(data, [["UPDATE audit SET actor = 'nobody' WHERE seq = 4"]]);
        s = await Server.start({ data, args: ['--threads', '1', '--audit-rows', '2'] });
        await until('what stands before it is gone', async () => (await s.api('GET', '/audit/verify')).json.trimmed === 3);
        assert.equal((await s.api('GET', '/audit/verify')).json.bad, 4);
        assert.equal((await s.api('GET', '/audit')).json.length, 7);
        assert.match(s.stderr, /the audit log is not as it was written/);
    } finally {
        await s.stop();
        fs.rmSync(data, { recursive: true, force: true });
    }
});
