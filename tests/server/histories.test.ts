// SPDX-License-Identifier: Apache-2.0
// Journals that earlier builds wrote (tests/histories) replay on this one: same result, same records, nothing done twice.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { Server, type ServerOptions } from './harness.ts';
import { database, deployWorkflow, type History, HISTORY_VERSION, logTexts, metadata, operate, outcome, recordsOf } from './workflow-harness.ts';

const FOLDER = path.join(process.env.LIMPET_ROOT ?? '.', 'tests/histories');
const histories = fs.readdirSync(FOLDER).filter((f) => f.endsWith('.json')).sort().map((f) => JSON.parse(fs.readFileSync(path.join(FOLDER, f), 'utf8')) as History);

const PLACES = 16_777_216n; // of one execution in the table journal

/** Puts an execution into the stopped server's database as it was before its last record: on hold, and else as a kill leaves it. */
async function importHistory(data: string, seq: bigint, h: History): Promise<void> {
    const place = seq * PLACES;
    await metadata(data, [
        [`INSERT INTO durable (seq, function_id, version, status, is_paused, is_cancel_requested, has_waiters, records, events, signals_last, signals_waiting,
            wake_us, due_us, attempt, created_us, started_us, finished_us, id, parent, export_name, key)
          SELECT ?, id, version, 1, 1, ?, 0, ?, 0, 0, 0, 0, NULL, ?, ${h.created_us}, ${h.created_us}, 0, ?, '', ?, ? FROM function WHERE name = ?`,
            Number(seq), h.cancel_requested ? 1 : 0, h.journal.length, h.attempt, h.id, h.export, h.key, h.workflow],
        ['INSERT INTO durable_text (execution, input, metadata) VALUES (?, ?, ?)', Number(seq), JSON.stringify(h.input), JSON.stringify(h.metadata)],
        [`INSERT INTO journal (place, count, records) VALUES (${place}, ?, ?)`, h.journal.length, Buffer.from(h.journal.join(''), 'hex')],
        // A workflow that never ran has no row to count in.
        [`INSERT INTO durable_count (function_id, queued, running, suspended, completed, failed, cancelled, paused)
          SELECT id, 0, 1, 0, 0, 0, 0, 1 FROM function WHERE name = ? ON CONFLICT (function_id) DO UPDATE SET running = running + 1, paused = paused + 1`, h.workflow],
    ]);
}

async function replayAll(options: ServerOptions): Promise<void> {
    let s = await Server.start(options);
    try {
        for (const h of histories) {
            assert.equal(h.format, HISTORY_VERSION);
            await deployWorkflow(s, h.workflow, h.source);
        }
        await s.stop();
        for (const [n, h] of histories.entries()) await importHistory(s.data, BigInt(n + 1), h);
        s = await s.revive();
        for (const h of histories) {
            const what = `${h.workflow}, made by ${h.made_by}`;
            const check = await s.api('POST', `/workflows/${h.workflow}/check`, { source: h.source });
            assert.deepEqual(check.json, { checked: 1, agreeing: 1, diverged: [] }, what);
            await operate(s, h.id, 'resume');
            const end = await outcome(s, h.id);
            assert.equal(end.status, h.status, `${what}: ${JSON.stringify(end.error)}`);
            assert.deepEqual(end.output, h.output, what);
            assert.deepEqual(end.error && { code: end.error.code, name: end.error.name ?? null, message: end.error.message }, h.error, what);
            assert.equal(end.records, h.journal.length + 1, `${what}: one record more, the end`);
            assert.deepEqual(await logTexts(s, h.id), h.lines, what);
        }
        assert.equal((await s.api('GET', '/executions?limit=1000')).json.length, histories.length, 'no child was started again');
        await s.stop();
        for (const [n, h] of histories.entries()) {
            const from = BigInt(n + 1) * PLACES;
            const [rows] = await metadata(s.data, [[`SELECT records FROM journal WHERE place >= ${from} AND place < ${from + PLACES} ORDER BY place`]]);
            const records = recordsOf(Buffer.concat(rows!.map((r) => r[0] as Buffer))).map((r) => r.toString('hex'));
            assert.deepEqual(records.slice(0, -1), h.journal, `${h.workflow}: the records are as they were`);
        }
        for (const file of fs.existsSync(`${s.data}/sql`) ? fs.readdirSync(`${s.data}/sql`).filter((f) => f.endsWith('.sqlite')) : []) {
            const [tables] = await database(`${s.data}/sql/${file}`, [["SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'limpet%' AND name NOT LIKE 'sqlite%'"]]);
            assert.deepEqual(tables, [], `${file}: nothing was written again`);
        }
    } finally {
        await s.kill();
        fs.rmSync(s.data, { recursive: true, force: true });
    }
}

test('there are some', () => assert.ok(histories.length >= 13));

test('every history replays to the same result', () => replayAll({ args: ['--threads', '2'] }));
