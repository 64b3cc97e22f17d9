// SPDX-License-Identifier: Apache-2.0
// Hosts and paths that functions answer for beside their names: which is closest, who may have them, and that they stay.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { after, test } from 'node:test';
import { Server, tempDir, useServer } from './harness.ts';

const server = useServer();
const dir = tempDir();
after(() => fs.rmSync(dir, { recursive: true, force: true }));

const says = (text: string): string => `export default { fetch: (r) => new Response("${text} " + r.url) };`;
const at = async (s: Server, host: string, target = '/'): Promise<string> => (await s.request('', target, { host })).text.split(' ')[0]!;

test('the closest pattern answers, before the name in the host; ports and case do not matter', async () => {
    const s = await server();
    await s.deploy('all', says('all'), { routes: ['*.example.com/*', 'example.com/*'] });
    await s.deploy('api', says('api'), { routes: ['www.example.com/api/*', '*.example.com/page'] });
    await s.deploy('www', says('www'));
    assert.equal(await at(s, 'www.example.com'), 'all');
    assert.equal(await at(s, 'WWW.Example.com:8080', '/api/x'), 'api');
    assert.equal(await at(s, 'a.example.com', '/page?q=1'), 'api');
    assert.equal(await at(s, 'a.example.com', '/pages'), 'all');
    assert.equal(await at(s, 'example.com'), 'all');
    assert.equal(await at(s, 'www.example.org'), 'www', 'other hosts go by name');
    assert.match((await s.request('', '/api/x', { host: 'www.example.com' })).text, /^api http:\/\/www\.example\.com\/api\/x$/);
    assert.deepEqual((await s.api('GET', '/functions/api')).json.routes, ['www.example.com/api/*', '*.example.com/page']);
    const list = await s.cli(['routes', 'list']);
    assert.match(list.stdout, /\*\.example\.com\/\*\s+all\n[^]*www\.example\.com\/api\/\*\s+api/);
});

test('they are the version that serves, survive a kill, go with a rollback and with the function', async (t) => {
    let s = await Server.start();
    t.after(() => s.kill());
    await s.deploy('stay', says('one'), { routes: ['stay.example.net/*'] });
    await s.deploy('stay', says('two'), { routes: ['other.example.net/*'] });
    assert.equal(await at(s, 'other.example.net'), 'two');
    await s.kill();
    s = await s.revive();
    assert.equal(await at(s, 'other.example.net'), 'two');
    assert.equal(await at(s, 'stay.example.net'), 'two', 'by its name now');
    assert.equal((await s.cli(['versions', 'rollback', 'stay'])).code, 0);
    assert.equal(await at(s, 'stay.example.net'), 'one');
    assert.match(await at(s, 'other.example.net'), /error/);
    await s.deploy('taker', says('taker'), { routes: ['other.example.net/*'] });
    const back = await s.api('PUT', '/functions/stay/versions/2/traffic', { percent: 100 });
    assert.equal(back.status, 409, back.text);
    assert.match(back.text, /is already one of taker/);
    assert.equal((await s.cli(['function', 'delete', 'taker', '--yes'])).code, 0);
    assert.match(await at(s, 'other.example.net'), /error/);
    assert.equal((await s.api('PUT', '/functions/stay/versions/2/traffic', { percent: 100 })).status, 204);
    assert.equal(await at(s, 'other.example.net'), 'two');
});

test('conflicts: between functions, between namespaces, with names; a build that fails holds nothing', async () => {
    const s = await server();
    const upload = (name: string, routes: unknown, space = '', source = says(name)): ReturnType<Server['api']> =>
        s.api('POST', `${space && `/namespaces/${space}`}/functions?wait=30s`, { name, source, routes });
    await s.deploy('first', says('first'), { routes: ['taken.example.org/a/*'] });
    assert.equal((await upload('second', ['taken.example.org/a/*'])).status, 409);
    assert.equal((await upload('second', ['taken.example.org/b/*'])).status, 200);
    assert.equal((await s.api('POST', '/namespaces', { name: 'team' })).status, 201);
    for (const [pattern, why] of [
        ['taken.example.org/c/*', /another namespace answers for/], ['*.example.org/*', /wildcard/], ['first.localhost/*', /names a module of another namespace/],
    ] as const) {
        const refused = await upload('mine', [pattern], 'team');
        assert.equal(refused.status, 409, pattern);
        assert.match(refused.text, why);
    }
    assert.equal((await upload('mine', ['team.example.info/*'], 'team')).status, 200);
    assert.equal(await at(s, 'team.example.info'), 'mine');
    assert.deepEqual((await s.api('GET', '/namespaces/team/routes')).json.routes, [{ pattern: 'team.example.info/*', module: 'mine' }]);
    assert.equal((await upload('third', ['*.example.info/*'])).status, 409);
    const failed = await upload('broken', ['free.example.org/*'], '', 'throw new Error("no");');
    assert.equal(failed.json.build.status, 'failed', failed.text);
    assert.equal((await upload('fourth', ['free.example.org/*'])).status, 200);
    for (const bad of [['a.*.com/*'], ['a.com/x?y'], [1], 'a.com', Array(101).fill('a.com/*')]) assert.equal((await upload('bad', bad)).status, 400, JSON.stringify(bad));
});

test('two at once: one gets it', async () => {
    const s = await server();
    const names = ['left', 'right', 'middle'];
    const builds = await Promise.all(names.map((name) => s.upload(name, says(name), { routes: ['race.example.org/*'] }).catch((e) => ({ status: String(e) }))));
    assert.equal(builds.filter((b) => b.status === 'ready').length, 1, JSON.stringify(builds));
    assert.equal(await at(s, 'race.example.org'), names[builds.findIndex((b) => b.status === 'ready')]);
});

test("routes of project files, as wrangler's are", async () => {
    const s = await server();
    const p = path.join(dir, 'proj');
    fs.mkdirSync(p);
    fs.writeFileSync(path.join(p, 'i.js'), says('proj'));
    fs.writeFileSync(path.join(p, 'wrangler.jsonc'), JSON.stringify({
        name: 'proj', main: 'i.js', routes: [{ pattern: 'shop.example.edu', custom_domain: true }, { pattern: 'example.edu/shop/*', zone_name: 'example.edu' }, 'x.example.edu/*'],
    }));
    const up = await s.cli(['deploy', p]);
    assert.equal(up.code, 0, up.stderr);
    assert.doesNotMatch(up.stderr, /routes/);
    assert.equal(await at(s, 'shop.example.edu', '/any'), 'proj');
    assert.equal(await at(s, 'example.edu', '/shop/1'), 'proj');
    assert.match(await at(s, 'example.edu', '/'), /error/);
    assert.equal(await at(s, 'x.example.edu'), 'proj');
});
