// SPDX-License-Identifier: Apache-2.0
// What functions write to disk is bounded: a database by its limit, a temporary result by its own, all by what must stay free.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { errorOf, useServer } from './harness.ts';

const small = useServer({ args: ['--threads', '1', '--database-max', String(1024 * 1024)] });
const FILL = `
import { exec } from "derp:runtime/sql";
export default { fetch(request) {
    exec("CREATE TABLE IF NOT EXISTS t (x)");
    const path = new URL(request.url).pathname;
    if (path === "/empty") exec("DELETE FROM t");
    else if (path === "/fill") for (let i = 0; i < 400; i++) exec("INSERT INTO t VALUES (zeroblob(10000))");
    else exec("INSERT INTO t VALUES (1)");
    return Response.json(exec("SELECT count(*) AS n FROM t").one().n);
} };`;

test('a database ends at its limit, goes on when rows are deleted, and others have theirs', async () => {
    const s = await small();
    await s.deploy('fills', FILL);
    await s.deploy('other', FILL);
    const full = await s.request('fills', '/fill');
    assert.equal(full.status, 500);
    assert.match(full.text, /has reached its limit of 10[234]\d\d\d\d bytes/);
    assert.equal((await s.request('other')).json, 1);
    assert.equal((await s.request('fills', '/empty')).json, 0);
    assert.equal((await s.request('fills')).json, 1);
    const files = fs.readdirSync(path.join(s.data, 'sql')).filter((f) => f.startsWith('fills') && f.endsWith('.sqlite'));
    assert.ok(fs.statSync(path.join(s.data, 'sql', files[0]!)).size <= 1024 * 1024);
});

const full = useServer({ args: ['--threads', '1', '--disk-reserve', String(2 ** 62)] });

test('the last of a disk is not for functions; the server itself goes on', async () => {
    const s = await full();
    await s.deploy('fills', FILL);
    const answer = await s.request('fills', '/fill');
    errorOf(answer, 500, 'guest_error');
    assert.match(answer.text, /nearly full/);
    await s.deploy('hello', 'export default { fetch() { return new Response("hello"); } };');
    assert.equal((await s.request('hello')).text, 'hello');
});
