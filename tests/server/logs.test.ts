// SPDX-License-Identifier: Apache-2.0
// What functions log is kept by function and execution, in order, and can be followed.
import assert from 'node:assert/strict';
import http from 'node:http';
import { test } from 'node:test';
import { errorOf, until, useServer } from './harness.ts';

const server = useServer();

const LOGGER = `
import * as log from "derp:runtime/logger";
export const handler = { handle(req) { log.debug("d " + req.body.n); log.info("i " + req.body.n); log.warn("w " + req.body.n); log.error("e " + req.body.n); console.log("c", req.body.n); return {}; } };`;

test('lines belong to their execution, with level and time', async () => {
    const s = await server();
    await s.deploy('logger', LOGGER);
    const run = await s.execute('logger', { n: 7 });
    const record = (await s.api('GET', `/executions/${run.json.execution_id}`)).json;
    assert.deepEqual(record.logs.map((l: any) => [l.level, l.text, l.execution_id === run.json.execution_id]),
        [['debug', 'd 7', true], ['info', 'i 7', true], ['warn', 'w 7', true], ['error', 'e 7', true], ['info', 'c 7', true]]);
    for (const l of record.logs) assert.ok(!Number.isNaN(Date.parse(l.at)));
});

test('pages by cursor', async () => {
    const s = await server();
    await s.deploy('pages', LOGGER);
    for (let n = 0; n < 5; n++) await s.execute('pages', { n });
    const all = (await s.api('GET', '/functions/pages/logs?limit=1000')).json;
    assert.equal(all.length, 25);
    assert.deepEqual(all.map((l: any) => l.id), [...all.map((l: any) => l.id)].sort((a, b) => a - b));
    const seen = [];
    for (let after = 0; ; ) {
        const page = (await s.api('GET', `/functions/pages/logs?after=${after}&limit=7`)).json;
        if (page.length === 0) break;
        seen.push(...page);
        after = page.at(-1).id;
    }
    assert.deepEqual(seen, all);
    assert.deepEqual((await s.api('GET', '/functions/pages/logs?limit=3')).json, all.slice(-3), 'without a cursor: the newest');
    errorOf(await s.api('GET', '/functions/pages/logs?limit=x'), 400, 'invalid');
    errorOf(await s.api('GET', '/functions/nobody/logs'), 404, 'not_found');
});

test('a follower sees lines as they come', async () => {
    const s = await server();
    await s.deploy('follow', LOGGER);
    await s.execute('follow', { n: 0 });
    const lines: any[] = [];
    const req = http.get({ host: '127.0.0.1', port: s.adminPort, path: '/functions/follow/logs?follow=1&limit=1', agent: false });
    let buffer = '';
    req.on('response', (res) => res.setEncoding('utf8').on('data', (d: string) => {
        buffer += d;
        for (let at; (at = buffer.indexOf('\n')) >= 0; buffer = buffer.slice(at + 1)) if (at > 0) lines.push(JSON.parse(buffer.slice(0, at)));
    }));
    req.on('error', () => {});
    await until('the old line', () => lines.length === 1);
    assert.equal(lines[0].text, 'c 0');
    await s.execute('follow', { n: 1 });
    await until('new lines', () => lines.length === 6);
    assert.deepEqual(lines.slice(1).map((l) => l.text), ['d 1', 'i 1', 'w 1', 'e 1', 'c 1']);
    req.destroy();
    await until('the follower is forgotten', async () => (await s.metrics()).get('limpet_log_followers') === 0);
});

test('too long lines are cut, too many are counted', async () => {
    const s = await server();
    await s.deploy('floods', `
export const handler = { handle(req) {
    if (req.body.long) console.log("x".repeat(100000));
    else for (let i = 0; i < 1500; i++) console.log("line " + i);
    return {};
} };`);
    const long = await s.execute('floods', { long: true });
    const record = (await s.api('GET', `/executions/${long.json.execution_id}`)).json;
    assert.equal(record.logs.length, 1);
    assert.ok(record.logs[0].text.length <= 17_000);
    const many = await s.execute('floods', {});
    const lines = (await s.api('GET', `/executions/${many.json.execution_id}`)).json.logs;
    assert.ok(lines.length >= 1000 && lines.length <= 1001, `${lines.length} lines`);
});

test('an exception that nobody caught is logged with its mapped stack', async () => {
    const s = await server();
    await s.deploy('logs-throw', 'function inner(): never {\n    throw new TypeError("boom");\n}\nexport default {\n    fetch() {\n        inner();\n    },\n};\n');
    assert.equal((await s.request('logs-throw')).status, 500);
    const line = await until('the line', async () => (await s.api('GET', '/functions/logs-throw/logs')).json.find((l: any) => l.level === 'error'));
    assert.match(line.text, /boom/);
    assert.match(line.text, /logs-throw\.ts:2/);
});
