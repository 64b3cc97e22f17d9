// SPDX-License-Identifier: Apache-2.0
// Versions: listed, viewed, rolled back, promoted, and given a part of the requests that is the same for the same client.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { after, test } from 'node:test';
import { Server, tempDir, useServer } from './harness.ts';

const server = useServer();
const dir = tempDir();
after(() => fs.rmSync(dir, { recursive: true, force: true }));

function write(name: string, text: string, config = `name = "${name}"\nmain = "i.js"\n`): string {
    const p = path.join(dir, name);
    fs.mkdirSync(p, { recursive: true });
    fs.writeFileSync(path.join(p, 'limpet.toml'), config);
    fs.writeFileSync(path.join(p, 'i.js'), `export default { fetch: (r, env) => new Response(${JSON.stringify(text)} + (env.V ?? "")) };\n`);
    return p;
}

test('list, view, promote, rollback; variables go with their version', async () => {
    const s = await server();
    const p = write('walk', 'one ', 'name = "walk"\nmain = "i.js"\n[vars]\nV = "a"\n');
    assert.equal((await s.cli(['deploy', p])).code, 0);
    write('walk', 'two ', 'name = "walk"\nmain = "i.js"\n[vars]\nV = "b"\n');
    assert.equal((await s.cli(['deploy', p])).code, 0);
    assert.equal((await s.request('walk')).text, 'two b');
    const list = (await s.cli(['versions', 'list', '--json'], { cwd: p })).json;
    assert.deepEqual(list.map((v: any) => [v.version, v.percent]), [[2, 100], [1, 0]]);
    assert.match((await s.cli(['versions', 'list', 'walk'])).stdout, /2 +100 %/);
    assert.deepEqual((await s.cli(['versions', 'view', '1', '--json'], { cwd: p })).json.vars, { V: 'a' });
    assert.equal((await s.cli(['versions', 'rollback'], { cwd: p })).code, 0);
    assert.equal((await s.request('walk')).text, 'one a');
    assert.equal((await s.cli(['versions', 'rollback', 'walk'])).code, 1, 'there is none before');
    assert.equal((await s.cli(['versions', 'promote', 'walk', '2'])).code, 0);
    assert.equal((await s.request('walk')).text, 'two b');
    assert.equal((await s.cli(['versions', 'promote', 'walk', '9'])).code, 4);
    assert.equal((await s.cli(['versions', 'promote', 'walk', 'x'])).code, 1);
    assert.equal((await s.cli(['versions', 'promote', 'walk', '1', '--percent', '101'])).code, 2);
    assert.equal((await s.cli(['versions', 'promote', 'walk', '2', '--percent', '10'])).code, 1, 'it is the one that serves');
});

test('a part of the requests: by chance, or by the key of the client', async () => {
    let s = await Server.start();
    const p = write('split', 'old');
    assert.equal((await s.cli(['deploy', p])).code, 0);
    write('split', 'new');
    assert.equal((await s.cli(['deploy', p, '--no-serve'])).code, 0);
    assert.equal((await s.request('split')).text, 'old');
    assert.equal((await s.cli(['versions', 'promote', 'split', '2', '--percent', '30'])).code, 0);
    const shown = (await s.api('GET', '/functions/split')).json;
    assert.deepEqual(shown.split, { version: 2, percent: 30 });
    assert.equal(shown.version, 1);
    const seen = { old: 0, new: 0 };
    for (let i = 0; i < 400; i++) seen[(await s.request('split')).text as 'old' | 'new']++;
    assert.ok(seen.new > 60 && seen.new < 190, JSON.stringify(seen)); // 120, by far more than six deviations
    const ofKey = async (key: string, how: (key: string) => Record<string, string>) => (await s.request('split', '/', { headers: how(key) })).text;
    const byHeader = (key: string) => ({ 'limpet-version-key': key });
    const first: string[] = [];
    for (let i = 0; i < 50; i++) first.push(await ofKey(`user-${i}`, byHeader));
    assert.ok(first.includes('old') && first.includes('new'));
    await s.kill();
    s = await s.revive();
    for (let i = 0; i < 50; i++) {
        assert.equal(await ofKey(`user-${i}`, byHeader), first[i]);
        assert.equal(await ofKey(`user-${i}`, (key) => ({ cookie: `a=b; limpet-version-key=${key}; c=d` })), first[i]);
        assert.equal(await ofKey(`user-${i}`, (key) => ({ 'Cloudflare-Workers-Version-Key': key })), first[i]);
    }
    // A client that has the new version keeps it when its part grows.
    assert.equal((await s.cli(['versions', 'promote', 'split', '2', '--percent', '60'])).code, 0);
    for (let i = 0; i < 50; i++) if (first[i] === 'new') assert.equal(await ofKey(`user-${i}`, byHeader), 'new');
    assert.equal((await s.cli(['versions', 'promote', 'split', '2', '--percent', '0'])).code, 0);
    assert.equal((await s.api('GET', '/functions/split')).json.split, null);
    for (let i = 0; i < 20; i++) assert.equal((await s.request('split')).text, 'old');
    assert.equal((await s.cli(['versions', 'promote', 'split', '2', '--percent', '50'])).code, 0);
    write('split', 'newest');
    assert.equal((await s.cli(['deploy', p])).code, 0);
    assert.equal((await s.api('GET', '/functions/split')).json.split, null, 'a deploy that serves ends it');
    assert.equal((await s.request('split')).text, 'newest');
    await s.stop();
});

test('a workflow: new executions are of the version that serves', async () => {
    const s = await server();
    const flow = (n: number) => {
        const p = path.join(dir, 'flow');
        fs.mkdirSync(p, { recursive: true });
        fs.writeFileSync(path.join(p, 'limpet.toml'), 'name = "flow"\nkind = "workflow"\nmain = "i.ts"\n');
        fs.writeFileSync(path.join(p, 'i.ts'), `import { workflow } from "limpet";\nexport default workflow(async () => ${n});\n`);
        return p;
    };
    const p = flow(1);
    assert.equal((await s.cli(['deploy', p])).code, 0);
    flow(2);
    assert.equal((await s.cli(['deploy', p])).code, 0);
    assert.equal((await s.cli(['workflow', 'run', 'flow', '--wait'])).json, 2);
    assert.equal((await s.cli(['versions', 'rollback'], { cwd: p })).code, 0);
    assert.equal((await s.cli(['workflow', 'run', 'flow', '--wait'])).json, 1);
    assert.equal((await s.cli(['versions', 'promote', 'flow', '2', '--workflow', '--percent', '5'])).code, 1);
});
