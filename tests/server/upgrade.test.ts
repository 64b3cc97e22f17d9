// SPDX-License-Identifier: Apache-2.0
// A data folder of an earlier server is brought up in place: all is where it was, and executions that were running go on.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { run, Server, tempDir } from './harness.ts';
import { outcome, show, signal, start } from './workflow-harness.ts';

const UPGRADES = path.join(process.env.LIMPET_ROOT ?? '.', 'tests', 'upgrades');
const MAKE = 'import sqlite3, sys; c = sqlite3.connect(sys.argv[2]); c.executescript(open(sys.argv[1]).read()); c.close()';

/** The folder as that server left it. */
async function folderOf(commit: string): Promise<string> {
    const from = path.join(UPGRADES, commit);
    const data = tempDir('limpet-upgrade-');
    for (const entry of fs.readdirSync(from, { recursive: true, withFileTypes: true })) {
        const file = path.join(entry.parentPath ?? entry.path, entry.name);
        const to = path.join(data, path.relative(from, file));
        if (!entry.isFile() || entry.name.endsWith('.json')) continue;
        fs.mkdirSync(path.dirname(to), { recursive: true });
        if (!entry.name.endsWith('.sql')) fs.copyFileSync(file, to);
        else assert.equal((await run('python3', ['-c', MAKE, file, to.slice(0, -4)])).code, 0);
    }
    return data;
}

test('9d03f98: functions, databases, variables and executions, those that ran as well', async () => {
    const data = await folderOf('9d03f98');
    const ids = JSON.parse(fs.readFileSync(path.join(UPGRADES, '9d03f98', 'ids.json'), 'utf8'));
    const s = await Server.start({ data, args: ['--threads', '2', '--keep-s', '2000000000'] });
    try {
        const visit = async (name: string) => (await s.request('visits', '/', { body: JSON.stringify({ name }), headers: { 'content-type': 'application/json' } })).json;
        assert.deepEqual(await visit('Ann'), { name: 'Ann', count: 3 });
        assert.equal((await s.api('GET', '/functions/visits/env/PLACE')).json.value, 'here');
        assert.equal((await s.api('GET', '/namespaces/default')).json.functions, 1);
        const run = (await s.api('GET', `/executions/${ids.function}`)).json;
        assert.deepEqual([run.status, run.output, run.namespace], ['success', { name: 'Bob', count: 1 }, 'default']);
        assert.deepEqual((await show(s, ids.done)).output, ['made done', 'early']);

        assert.deepEqual((await outcome(s, ids.sleeps)).output, ['made sleeps', 'slept']);
        await signal(s, ids.waits, 'paid', 'later');
        assert.deepEqual((await outcome(s, ids.waits)).output, ['made waits', 'later']);
        await signal(s, ids.grandchild, 'paid', 'at last');
        assert.deepEqual((await outcome(s, ids.child)).output, ['made child', 'child at last']);
        await signal(s, ids.fresh, 'paid', 'new');
        assert.deepEqual((await outcome(s, ids.fresh)).output, ['made fresh', 'new']);
        for (const key of ['waits', 'sleeps', 'child', 'fresh', 'done']) assert.equal(await start(s, 'orders', { name: 'x' }, { id: `key-${key}` }), ids[key]);

        const listed = (await s.api('GET', '/executions')).json.map((row: any) => row.execution_id).sort();
        assert.deepEqual(listed, Object.values(ids).sort());
        const files = fs.readdirSync(path.join(data, 'sql')).filter((f) => f.endsWith('.sqlite')).map((f) => f.replace(/-\d+/, '')).sort();
        assert.deepEqual(files, ['orders.sqlite', 'visits.sqlite']);
        const orders = await s.cli(['execution', 'journal', ids.waits]);
        assert.equal(orders.code, 0, orders.stderr);
    } finally {
        await s.stop();
        fs.rmSync(data, { recursive: true, force: true });
    }
});
