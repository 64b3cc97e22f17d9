// SPDX-License-Identifier: Apache-2.0
// Secrets: code reads them as variables, and nothing else shows them: no list, file, journal, snapshot or log. A wrong key loses nothing.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { after, test } from 'node:test';
import { errorOf, Server } from './harness.ts';
import { deployWorkflow, journal, outcome, signal, start, suspended } from './workflow-harness.ts';

const VALUE = 'hunter2-is-the-value-of-this-secret';
let running: Server | undefined;
const server = async (): Promise<Server> => (running ??= await Server.start({ args: ['--threads', '1', '--snapshot-after', '0'] }));
after(async () => {
    await running?.stop();
    if (running) fs.rmSync(running.data, { recursive: true, force: true });
});

async function set(s: Server, name: string, key: string, value: string): Promise<void> {
    const res = await s.cli(['secret', 'set', name, key], { input: `${value}\n` });
    assert.equal(res.code, 0, res.stderr);
    assert.ok(!res.stdout.includes(value) && !res.stderr.includes(value));
}

/** Every file of the data folder that has the text. */
function filesWith(data: string, text: string): string[] {
    const files = fs.readdirSync(data, { recursive: true, withFileTypes: true }).filter((f) => f.isFile()).map((f) => path.join(f.parentPath ?? f.path, f.name));
    return files.filter((file) => fs.readFileSync(file).includes(text));
}

test('a function reads it; lists, variables and files do not have it', async () => {
    const s = await server();
    await s.deploy('f', 'export default { fetch(r, env) { return Response.json([env.KEY ?? null, env.PLAIN ?? null, Object.keys(env).sort()]); } };');
    await set(s, 'f', 'KEY', VALUE);
    assert.equal((await s.api('PUT', '/functions/f/env/PLAIN', { value: 'plain' })).status, 204);
    assert.deepEqual((await s.request('f')).json, [VALUE, 'plain', ['KEY', 'PLAIN']]);
    const list = await s.api('GET', '/secrets/f');
    assert.deepEqual(list.json.map((row: any) => [row.name, row.version]), [['KEY', 1]]);
    for (const target of ['/secrets/f', '/functions/f/env', '/functions/f']) assert.ok(!(await s.api('GET', target)).text.includes('hunter2'), target);
    assert.deepEqual((await s.api('GET', '/functions/f/env')).json, [{ name: 'PLAIN', value: 'plain' }]);
    errorOf(await s.api('GET', '/functions/f/env/KEY'), 404, 'not_found');
    assert.match((await s.cli(['secret', 'list', 'f'])).stdout, /^KEY +1 /m);
    await set(s, 'f', 'KEY', `${VALUE}-2`);
    assert.equal((await s.request('f')).json[0], `${VALUE}-2`);
    assert.deepEqual(filesWith(s.data, 'hunter2'), []);
    assert.ok(!(s.stdout + s.stderr).includes('hunter2'));
});

test('a name is a variable or a secret', async () => {
    const s = await server();
    errorOf(await s.api('PUT', '/functions/f/env/KEY', { value: 'x' }), 409, 'conflict');
    errorOf(await s.api('PUT', '/secrets/f/PLAIN', { value: 'x' }), 409, 'conflict');
    errorOf(await s.api('DELETE', '/functions/f/env/KEY'), 404, 'not_found');
    errorOf(await s.api('DELETE', '/secrets/f/PLAIN'), 404, 'not_found');
    errorOf(await s.api('PUT', '/secrets/nobody/X', { value: 'x' }), 404, 'not_found');
    errorOf(await s.api('PUT', '/secrets/f/1X', { value: 'x' }), 400, 'invalid');
    assert.ok(errorOf(await s.api('PUT', '/secrets/f/X', { value: 1 }), 400, 'invalid').hint);
});

test('of an execution, neither journal nor snapshot has it; a replay has the one of then', async () => {
    const s = await server();
    await deployWorkflow(s, 'w', `
import { env, waitForEvent, workflow } from "limpet";
export default workflow(async () => {
    const key = env.get("KEY");
    await waitForEvent("go");
    const later = env.get("KEY");
    await waitForEvent("end");
    return [key.length, later.length, key === later];
});`);
    await set(s, 'w', 'KEY', VALUE);
    const id = await start(s, 'w');
    await suspended(s, id);
    await set(s, 'w', 'KEY', `${VALUE}-2`);
    await signal(s, id, 'go');
    await suspended(s, id);
    assert.deepEqual(filesWith(s.data, 'hunter2'), []);
    assert.ok(!JSON.stringify(await journal(s, id)).includes('hunter2'));
    running = await s.restart();
    await signal(running, id, 'end');
    const end = await outcome(running, id);
    assert.deepEqual(end.output, [VALUE.length, VALUE.length + 2, false]);
    assert.deepEqual(filesWith(running.data, 'hunter2'), []);
});

test('the key is a file for its owner; a wrong or missing one is said, and nothing is lost', async () => {
    const s = await server();
    const file = path.join(s.data, 'secret.key');
    assert.equal(fs.statSync(file).mode & 0o777, 0o600);
    const key = fs.readFileSync(file, 'utf8').trim();
    await s.stop();
    const refused = async (env: Record<string, string>, text: RegExp) => {
        const how = await Server.startFailing({ data: s.data, env });
        assert.equal(how.code, 1, how.output);
        assert.match(how.output, text);
        assert.ok(!how.output.includes(key));
    };
    await refused({ LIMPET_SECRET_KEY: '00'.repeat(32) }, /sealed with another key than LIMPET_SECRET_KEY/);
    await refused({ LIMPET_SECRET_KEY: 'short' }, /is no key for secrets/);
    fs.renameSync(file, `${file}.away`);
    await refused({}, /secret.key is missing/);
    fs.writeFileSync(file, '11'.repeat(32), { mode: 0o600 });
    await refused({}, /sealed with another key than that of secret.key/);
    fs.rmSync(file);
    running = await Server.start({ data: s.data, env: { LIMPET_SECRET_KEY: Buffer.from(key, 'hex').toString('base64') }, args: ['--threads', '1'] });
    assert.equal((await running.request('f')).json[0], `${VALUE}-2`);
    assert.ok(!fs.existsSync(file));
    assert.equal((await running.cli(['secret', 'delete', 'f', 'KEY'])).code, 0);
    assert.equal((await running.request('f')).json[0], null);
});
