// SPDX-License-Identifier: Apache-2.0
// The disk is full, may not be written, or has been damaged: a clear error, the server stays up, refuses what it cannot make durable, and goes on when the
// cause is gone; nothing acknowledged is lost, nothing leaves the server that is not on disk.
//
// The disk is made full by a limit on the size of files, lowered and raised while the server runs, and really, on a tmpfs of the server's own
// (skipped where user namespaces are not permitted).
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import { after, before, test } from 'node:test';
import { type Answer, binary, errorOf, Server, tempDir, until } from './harness.ts';
import { complete, Counter, database, deployWorkflow, execute, isFinished, metadata, outcome, output, show, signal, start, suspended } from './workflow-harness.ts';

let counter: Counter;
before(async () => { counter = await Counter.start(); });
after(() => counter.stop());

/** No file may grow beyond that; undefined: no limit. */
function limitFiles(s: Server, bytes: number | undefined): void {
    const done = spawnSync('prlimit', ['--pid', String(s.pid), `--fsize=${bytes ?? 'unlimited'}:`]);
    assert.equal(done.status, 0, String(done.stderr ?? done.error));
}

function refused(res: Answer): void {
    assert.ok(res.status >= 500, `${res.status} ${res.text}`);
    assert.match(res.json.error.code, /^(unavailable|io)$/);
    assert.match(res.json.error.message, /space|full|quota|size limit|disk/i, res.text);
    assert.ok(res.json.error.message.length < 500);
}

const isRefusing = async (s: Server): Promise<boolean> => (await s.metrics()).get('limpet_store_refusing') === 1;

const SOURCE = `
import { workflow, step, sleep, waitForEvent, sql, progress, log } from "limpet";
export default workflow(async (n) => { const e = await waitForEvent("go"); return [n, e.data]; });
export const quick = workflow(async (n) => n);
export const sends = workflow(async (base) => {
    await sleep(1500);
    const r = await step("before", () => 42);
    const text = await (await fetch(base + "/after-the-step")).text();
    return [r, text];
});
export const writes = workflow(async (n, run) => {
    sql.exec("CREATE TABLE IF NOT EXISTS t (run, i, filler)");
    for (let i = 0; i < n; i++) { sql.exec("INSERT INTO t VALUES (?, ?, zeroblob(3000))", run.id, i); if (i % 5 === 4) await sleep(1); if (i % 40 === 20) progress(i); log.info("line " + i); }
    return sql.exec("SELECT i FROM t WHERE run = ? ORDER BY rowid", run.id).toArray().map((r) => r.i);
});`;

async function withDisk(options: { args?: string[] }, body: (s: Server) => Promise<void>): Promise<void> {
    const s = await Server.start({ args: ['--threads', '2', ...(options.args ?? [])] });
    try {
        await deployWorkflow(s, 'disk', SOURCE);
        await complete(s, 'disk.quick', 1); // its image is made
        await body(s);
    } catch (e) {
        // A connection that breaks is seen before the process is gone.
        const how = await Promise.race([s.exited, new Promise((r) => setTimeout(r, 3000))]);
        throw how ? new Error(`the server ended, ${JSON.stringify(how)}:\n${s.stderr.slice(-8000)}`, { cause: e }) : e;
    } finally {
        await s.kill();
        fs.rmSync(s.data, { recursive: true, force: true });
    }
}

test('full: starts, signals, operations and uploads are refused, reads are not; all of it works again afterwards', async () => {
    await withDisk({}, async (s) => {
        const id = await start(s, 'disk', 1);
        await suspended(s, id);
        limitFiles(s, 4096);
        for (let k = 0; k < 3; k++) {
            refused(await execute(s, 'disk', 2));
            refused(await execute(s, 'disk', 2, { id: 'key' }));
            refused(await s.api('POST', `/executions/${id}/signal`, { name: 'go', data: 'lost' }));
            refused(await s.api('POST', `/executions/${id}/cancel`));
            refused(await s.api('POST', `/executions/${id}/pause`));
            refused(await s.api('PUT', '/workflows/disk/env/A', { value: '1' }));
        }
        assert.ok(await isRefusing(s));
        assert.equal((await show(s, id)).status, 'suspended');
        assert.equal((await s.api('GET', '/executions?workflow=disk')).json.length, 2);
        assert.ok((await s.api('GET', `/executions/${id}/journal`)).json.length >= 1);
        assert.ok([200, 503].includes((await s.admin('/healthz')).status));
        assert.ok(s.isAlive);
        limitFiles(s, undefined);
        await signal(s, id, 'go', 'kept');
        assert.deepEqual(await output(s, id), [1, 'kept']);
        assert.equal(await complete(s, 'disk.quick', 3), 3);
        assert.equal(await isRefusing(s), false);
        assert.equal((await show(s, id)).cancel_requested, false);
        await deployWorkflow(s, 'disk', SOURCE.replace('[n, e.data]', '[n, e.data, "v2"]'));
    });
});

test('full: nothing leaves that depends on a record which is not on disk', async () => {
    await withDisk({ args: counter.flags }, async (s) => {
        counter.answer = (_, res) => { res.end('sent'); };
        const id = await start(s, 'disk.sends', counter.url);
        await until('it sleeps', async () => (await show(s, id)).status !== 'queued');
        limitFiles(s, 4096);
        // The step's record cannot be stored: the request behind it must not be seen. The store notices when the step tries.
        await until('the store refuses', () => isRefusing(s));
        refused(await execute(s, 'disk.quick', 2));
        assert.equal(counter.at('/after-the-step').length, 0);
        assert.ok(!isFinished((await show(s, id)).status));
        limitFiles(s, undefined);
        assert.deepEqual(await output(s, id), [42, 'sent']);
        assert.equal(counter.at('/after-the-step').length, 1);
    });
});

test('full in the middle of writing workflows: they wait, and end with each row once', async () => {
    await withDisk({}, async (s) => {
        const N = 400;
        const ids = await Promise.all([1, 2, 3].map(() => start(s, 'disk.writes', N)));
        for (const wanted of [20, 100, 220]) {
            await until(`progress ${wanted}`, async () => (await Promise.all(ids.map((id) => show(s, id)))).every((r) => isFinished(r.status) || r.progress >= wanted));
            limitFiles(s, 64 * 1024);
            for (let k = 0; k < 20; k++) refused(await execute(s, 'disk.quick', k));
            limitFiles(s, undefined);
        }
        for (const id of ids) {
            const end = await outcome(s, id);
            assert.equal(end.status, 'completed', JSON.stringify(end.error));
            assert.deepEqual(end.output, Array.from({ length: N }, (_, i) => i));
        }
    });
});

test('full on and off under load: what was acknowledged is there, also after kill -9', async () => {
    await withDisk({}, async (first) => {
        let s = first;
        const started: string[] = [], signaled = new Set<string>();
        let refusals = 0;
        for (let round = 0; round < 6; round++) {
            limitFiles(s, round % 2 ? 4096 : undefined);
            for (let k = 0; k < 12; k++) {
                const res = await execute(s, 'disk', k);
                if (res.status === 202) started.push(res.json.execution_id);
                else { refused(res); refusals++; }
                const id = started.find((x) => !signaled.has(x));
                if (!id) continue;
                const sent = await s.api('POST', `/executions/${id}/signal`, { name: 'go', data: id });
                if (sent.status === 202) signaled.add(id);
                else refused(sent);
            }
            if (round === 3) {
                await s.kill(); // while it is full
                s = await s.revive();
            }
        }
        try {
            assert.ok(refusals > 0 && started.length > 20);
            limitFiles(s, undefined);
            for (const id of started) if (!signaled.has(id)) await signal(s, id, 'go', id);
            for (const id of started) assert.equal((await output(s, id))[1], id);
            assert.equal((await s.api('GET', '/executions?workflow=disk&limit=1000')).json.length, started.length + 1);
        } finally {
            await s.kill();
        }
    });
});

test('a server that stops while the disk is full ends, and loses nothing', async () => {
    await withDisk({}, async (s) => {
        const id = await start(s, 'disk', 1);
        await suspended(s, id);
        limitFiles(s, 4096);
        refused(await execute(s, 'disk', 2));
        s.child.kill('SIGTERM');
        await s.ended();
        const next = await s.revive();
        try {
            await signal(next, id, 'go', 'kept');
            assert.deepEqual(await output(next, id), [1, 'kept']);
        } finally {
            await next.stop();
        }
    });
});

test('a full file system, really', async (t) => {
    const can = spawnSync('unshare', ['-rm', 'sh', '-c', 'mount -t tmpfs -o size=1m none /mnt']);
    if (can.status !== 0) return t.skip('user namespaces are not permitted here');
    const data = tempDir();
    const s = await Server.start({ data, args: ['--threads', '1'], wrap: ['unshare', '-rm', 'sh', '-c', 'mount -t tmpfs -o size=48m none "$0" && exec "$@"', data] });
    const inside = `/proc/${s.pid}/root${data}`; // the server's own view
    try {
        await deployWorkflow(s, 'disk', SOURCE);
        const ids = await Promise.all([1, 2].map((n) => start(s, 'disk', n)));
        for (const id of ids) await suspended(s, id);
        const filler = fs.openSync(`${inside}/filler`, 'w');
        try {
            for (let size = 1 << 20; size >= 1024; ) {
                try {
                    fs.writeSync(filler, Buffer.alloc(size));
                } catch (e: any) {
                    assert.equal(e.code, 'ENOSPC');
                    size >>= 1;
                }
            }
        } finally {
            fs.closeSync(filler);
        }
        // What is left of the WAL's pages may take a few more.
        const accepted: string[] = [];
        await until('it is full', async () => {
            const res = await execute(s, 'disk', 'x'.repeat(20_000));
            if (res.status === 202) return void accepted.push(res.json.execution_id);
            refused(res);
            return true;
        });
        assert.ok(s.isAlive);
        assert.equal((await show(s, ids[0]!)).status, 'suspended');
        fs.rmSync(`${inside}/filler`);
        for (const id of [...ids, ...accepted]) await signal(s, id, 'go', 'kept');
        for (const id of [...ids, ...accepted]) assert.equal((await output(s, id))[1], 'kept');
        assert.equal(await complete(s, 'disk.quick', 5), 5);
    } finally {
        await s.kill();
        fs.rmSync(data, { recursive: true, force: true });
    }
});

// ---- not writable ----

/** In front of a command: whoever runs this test, it has no rights over files that are not its own. */
function unprivileged(): { wrap: string[]; own: (path: string) => void } | undefined {
    if (process.getuid!() !== 0) return { wrap: [], own: () => {} };
    const wrap = ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups'];
    if (spawnSync(wrap[0]!, [...wrap.slice(1), binary(), '--version']).status !== 0) return undefined;
    return { wrap, own: (path) => { spawnSync('chown', ['-R', '65534:65534', path]); } };
}

test('a folder that may not be written: the server refuses to start and names it', async (t) => {
    const user = unprivileged();
    if (!user) return t.skip('nobody may not run the binary here');
    const data = tempDir();
    try {
        user.own(data);
        const s = await Server.start({ data, wrap: user.wrap });
        await s.stop();
        fs.chmodSync(data, 0o555);
        for (const file of fs.readdirSync(data)) if (fs.statSync(`${data}/${file}`).isFile()) fs.chmodSync(`${data}/${file}`, 0o444);
        const refusal = await Server.startFailing({ data, wrap: user.wrap });
        assert.notEqual(refusal.code, 0);
        assert.match(refusal.output, /permission|read-only|not.*writ/i);
        assert.ok(refusal.output.includes(data), refusal.output);
    } finally {
        spawnSync('chmod', ['-R', 'u+rwX', data]);
        fs.rmSync(data, { recursive: true, force: true });
    }
});

test('a folder that becomes read-only under it: new modules and databases fail clearly, the rest goes on', async (t) => {
    const user = unprivileged();
    if (!user) return t.skip('nobody may not run the binary here');
    const data = tempDir();
    user.own(data);
    const s = await Server.start({ data, wrap: user.wrap });
    try {
        await deployWorkflow(s, 'disk', SOURCE);
        const id = await start(s, 'disk', 1);
        await suspended(s, id);
        spawnSync('chmod', ['-R', 'a-w', data]);
        const res = await s.api('POST', '/workflows?wait=30s', { name: 'another', source: SOURCE });
        assert.ok(res.status >= 400, res.text);
        assert.match(res.text, /permission|read-only|not.*writ/i);
        await signal(s, id, 'go', 'open files stay open');
        assert.deepEqual(await output(s, id), [1, 'open files stay open']);
        spawnSync('chmod', ['-R', 'u+w', data]);
        await deployWorkflow(s, 'another', SOURCE);
        assert.equal(await complete(s, 'another.quick', 7), 7);
    } finally {
        await s.kill();
        spawnSync('chmod', ['-R', 'u+rwX', data]);
        fs.rmSync(data, { recursive: true, force: true });
    }
});

// ---- damaged ----

test('a damaged journal fails its execution clearly, and no other', async () => {
    await withDisk({ args: ['--snapshot-after', '1000000'] }, async (first) => {
        let s = first;
        const good = await start(s, 'disk', 'good'), bad = await start(s, 'disk.writes', 30), waits = await start(s, 'disk', 'bad');
        await outcome(s, bad);
        for (const id of [good, waits]) await suspended(s, id);
        await s.kill();
        const [[[seq]]] = (await metadata(s.data, [['SELECT seq FROM durable WHERE id = ?', waits]])) as any;
        const [[[place, records]]] = (await metadata(s.data, [[`SELECT place, records FROM journal WHERE place >= ${seq} * 16777216 AND place < (${seq} + 1) * 16777216 LIMIT 1`]])) as any;
        const damaged = Buffer.from(records);
        damaged[damaged.length - 1]! ^= 1;
        await metadata(s.data, [[`UPDATE journal SET records = ? WHERE place = ${place}`, damaged]]);
        s = await s.revive();
        try {
            for (const id of [good, waits]) await signal(s, id, 'go', 1);
            assert.deepEqual(await output(s, good), ['good', 1]);
            const end = await outcome(s, waits);
            assert.equal(end.status, 'failed');
            assert.equal(end.error.code, 'corrupt');
            assert.match(end.error.message, /record|checksum|journal/i);
            const e = errorOf(await s.api('GET', `/executions/${waits}/journal`), 500, 'corrupt');
            assert.ok(e.hint);
            assert.equal(await complete(s, 'disk.quick', 1), 1);
        } finally {
            await s.kill();
        }
    });
});

test('a module\'s database that is no database: an error of the execution, not of the server', async () => {
    await withDisk({}, async (first) => {
        let s = first;
        await complete(s, 'disk.writes', 3);
        await s.stop();
        for (const file of fs.readdirSync(`${s.data}/sql`)) fs.writeFileSync(`${s.data}/sql/${file}`, 'this is no database '.repeat(500));
        s = await s.revive();
        try {
            const id = await start(s, 'disk.writes', 3);
            const row = await until('it fails, or says that it cannot go on', async () => {
                const r = await show(s, id);
                return (isFinished(r.status) || /not a database|damaged|malformed|corrupt/i.test(s.stderr + s.stdout)) && r;
            }) as any;
            if (row.status === 'failed') assert.match(row.error.message, /database/i);
            assert.notEqual(row.status, 'completed');
            await deployWorkflow(s, 'healthy', SOURCE);
            assert.deepEqual(await complete(s, 'healthy.writes', 3), [0, 1, 2]);
        } finally {
            await s.kill();
        }
    });
});

test('the database of the stopped server is whole after all of this', async () => {
    await withDisk({}, async (s) => {
        const ids = await Promise.all(Array.from({ length: 20 }, (_, n) => start(s, 'disk', n)));
        limitFiles(s, 200 * 1024);
        for (const id of ids) await s.api('POST', `/executions/${id}/signal`, { name: 'go', data: 'x'.repeat(30_000) });
        await s.kill();
        const [[[check]]] = (await metadata(s.data, [['PRAGMA integrity_check']])) as any;
        assert.equal(check, 'ok');
        for (const file of fs.existsSync(`${s.data}/sql`) ? fs.readdirSync(`${s.data}/sql`).filter((f) => f.endsWith('.sqlite')) : []) {
            const [[[whole]]] = (await database(`${s.data}/sql/${file}`, [['PRAGMA integrity_check']])) as any;
            assert.equal(whole, 'ok');
        }
    });
});
