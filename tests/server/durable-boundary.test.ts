// SPDX-License-Identifier: Apache-2.0
// Every record boundary: the server ends itself right before and right after its Nth commit that carries records, for every N until the workflow comes
// through without; the same for commits of the module's own database. The result is always the same, and SQL effects have happened exactly once.
//
// Needs a build with the option crash_points, which says so at its start; in others these tests are skipped.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { after, before, test } from 'node:test';
import { IS_ASAN, Server, tempDir, until } from './harness.ts';
import { complete, Counter, deployWorkflow, logTexts, outcome, start } from './workflow-harness.ts';

const KEY = { id: 'the one' };

const SOURCE = `
import { workflow, select, step, sleep, waitForEvent, startChild, progress, sql, log } from "limpet";
export const setup = workflow(async () => { sql.exec("CREATE TABLE effects (what)"); });
const effect = (what) => sql.exec("INSERT INTO effects VALUES (?)", what);
export const child = workflow(async (n) => { effect("child " + n); await step("c", () => 0); for (let i = 0; ; i++) {
    const got = await select({ n: waitForEvent("n"), beat: sleep(i ? "1 day" : 1) }); // at most one is lost to the beat
    if (got.name === "n") return n + got.value.data;
} });
export const main = workflow(async ({ base }, run) => {
    log.info("begin");
    effect("a");
    const first = await step("first", () => ({ d: new Date(5) }));
    const uuid = crypto.randomUUID();
    progress(uuid);
    sql.transaction(() => { effect("b"); effect("c"); });
    await sleep(2);
    const fetched = await (await fetch(base + "/once")).text();
    const c = await startChild(child, 1);
    await c.signal("n", 41);
    effect("d");
    const flaky = await step("flaky", { backoff: 1 }, ({ attempt }) => { if (attempt < 3) throw new Error("no"); return attempt; });
    const [result, late] = await Promise.all([c.result(), waitForEvent("never", { timeout: 3 }).catch((e) => e.name)]);
    effect("e");
    log.info("end");
    progress(null);
    return { first: +first.d, sameUuid: uuid.length, fetched, result, late, flaky, effects: sql.exec("SELECT what FROM effects ORDER BY rowid").toArray().map((r) => r.what).filter((w) => w.length === 1).join("") };
});
export const read = workflow(async () => sql.exec("SELECT what FROM effects ORDER BY what").toArray().map((r) => r.what));`;

const EXPECTED = { first: 5, sameUuid: 36, fetched: 'answered', result: 42, late: 'TimeoutError', flaky: 3, effects: 'abcde' };
const EFFECTS = ['a', 'b', 'c', 'child 1', 'd', 'e'];

let counter: Counter;
let prepared = ''; // a data folder with the workflow in it
let hasPoints = false;

before(async () => {
    counter = await Counter.start();
    counter.answer = (_, res) => { res.end('answered'); };
    const s = await Server.start({ env: { LIMPET_CRASH_AT: 'after:1000000' } });
    prepared = s.data;
    hasPoints = /crash point/.test(s.stdout + s.stderr);
    await deployWorkflow(s, 'boundary', SOURCE);
    await complete(s, 'boundary.setup');
    await s.stop();
});
after(() => {
    counter.stop();
    fs.rmSync(prepared, { recursive: true, force: true });
});

/** A server until it ends itself or the execution has finished; true: that. */
async function life(data: string, crashAt: string, args: string[]): Promise<boolean> {
    let s: Server;
    try {
        s = await Server.start({ data, args: ['--threads', '2', ...args, ...counter.flags], env: { LIMPET_CRASH_AT: crashAt } });
    } catch (e) {
        if (/ended before it was ready \(SIGKILL\)/.test(String(e))) return false;
        throw e;
    }
    try {
        await outcome(s, await start(s, 'boundary.main', { base: counter.url }, KEY));
        return true;
    } catch (e) {
        await until(`the server ends itself ${crashAt} (${e})`, () => !s.isAlive);
        assert.equal((await s.ended()).signal, 'SIGKILL', s.stderr); // by its own hand: nobody else ends it
        return false;
    } finally {
        await s.kill();
    }
}

/** On a server that does not end itself: it comes to its end, and everything is as it should be. */
async function check(data: string, args: string[], what: string): Promise<void> {
    const s = await Server.start({ data, args: ['--threads', '2', ...args, ...counter.flags] });
    try {
        const id = await start(s, 'boundary.main', { base: counter.url }, KEY);
        const end = await outcome(s, id);
        assert.equal(end.status, 'completed', `${what}: ${JSON.stringify(end.error)}`);
        assert.deepEqual(end.output, EXPECTED, what);
        assert.deepEqual(await complete(s, 'boundary.read'), EFFECTS, `SQL effects, ${what}`);
        assert.deepEqual(await logTexts(s, id), ['begin', 'end'], `log lines, ${what}`);
        assert.ok(counter.requests.length >= 1, what);
        assert.equal(new Set(counter.requests.map((r) => r.key)).size, 1, what);
    } finally {
        await s.kill();
    }
}

async function withCopy(body: (data: string) => Promise<void>): Promise<void> {
    const data = tempDir();
    try {
        fs.cpSync(prepared, data, { recursive: true });
        counter.requests.length = 0;
        await body(data);
    } finally {
        fs.rmSync(data, { recursive: true, force: true });
    }
}

/** Dies once, at the Nth; for every N. */
async function everyOne(where: string, args: string[], stride = 1): Promise<number> {
    for (let n = 1; n < 500; n += stride) {
        let isThrough = false;
        await withCopy(async (data) => {
            isThrough = await life(data, `${where}:${n}`, args);
            await check(data, args, `${where}:${n}`);
        });
        if (isThrough) return n - 1;
    }
    throw new Error('it never ends');
}

/** Dies at the Nth of each life: little progress, again and again. */
async function everyLife(where: string, n: number, args: string[]): Promise<void> {
    await withCopy(async (data) => {
        for (let lives = 0; lives < 200; lives++) {
            if (!(await life(data, `${where}:${n}`, args))) continue;
            await check(data, args, `${where}:${n} of each life`);
            return;
        }
        assert.fail('it never ends');
    });
}

const STRIDE = IS_ASAN ? 2 : 1;
for (const where of ['before', 'after', 'sql-before', 'sql-after']) {
    test(`ends ${where} each commit, once`, async (t) => {
        if (!hasPoints) return t.skip('a build without crash_points');
        const commits = await everyOne(where, ['--snapshot-after', '0'], where.startsWith('sql') ? 1 : STRIDE);
        // Commits of the store come in groups, as large as the machine is busy.
        assert.ok(commits >= (where.startsWith('sql') ? 4 : 3), `${commits} boundaries`);
        t.diagnostic(`${commits} boundaries`);
    });
}
test('ends before each commit, once, by replay', { skip: IS_ASAN }, async (t) => {
    if (!hasPoints) return t.skip('a build without crash_points');
    await everyOne('before', ['--snapshot-after', '1000000']);
});
for (const [where, n] of [['after', 1], ['after', 2], ['before', 2], ['before', 3], ['sql-after', 1], ['sql-before', 2]] as const) {
    test(`ends ${where} commit ${n} of each life`, async (t) => {
        if (!hasPoints) return t.skip('a build without crash_points');
        await everyLife(where, n, []);
    });
}
