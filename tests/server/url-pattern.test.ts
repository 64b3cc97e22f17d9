// SPDX-License-Identifier: Apache-2.0
// URLPattern in the real server: constructor forms, groups, canonical forms, what it refuses.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { useServer } from './harness.ts';

const server = useServer();

/** An expression over URLPattern and its JSON value; what is undefined comes as null. */
const CASES: [string, unknown][] = [
    ['new URLPattern({ pathname: "/books/:id(\\\\d+)/:rest*" }).exec("https://x.example/books/12/a/b").pathname', { input: '/books/12/a/b', groups: { id: '12', rest: 'a/b' } }],
    ['new URLPattern("https://*.example.com/*\\\\?q=:q#top").exec("https://a.b.example.com/x?q=1#top").hostname.groups', { 0: 'a.b' }],
    ['new URLPattern("/a/:x", "https://example.com").exec("../a/1", "https://example.com/b/c").inputs', ['../a/1', 'https://example.com/b/c']],
    ['(({ protocol, hostname, port, pathname, search, hash }) => [protocol, hostname, port, pathname, search, hash])(new URLPattern("http{s}?://{www.}?example.com:8080/p?s#h"))', ['http{s}?', '{www.}?example.com', '8080', '/p', 's', 'h']],
    ['new URLPattern({ hostname: "BÜCHER.example", pathname: "/ü" }).hostname + new URLPattern({ pathname: "/ü" }).pathname', 'xn--bcher-kva.example/%C3%BC'],
    ['[new URLPattern({ protocol: "https", port: "443" }).port, new URLPattern("https://example.com:443").port]', ['', '']],
    ['[new URLPattern({ pathname: "/Foo" }).test({ pathname: "/foo" }), new URLPattern({ pathname: "/Foo" }, { ignoreCase: true }).test({ pathname: "/foo" }), new URLPattern("/Foo", "https://x.example", { ignoreCase: true }).test("https://x.example/fOO")]', [false, true, true]],
    ['[new URLPattern({ pathname: "/:a" }).hasRegExpGroups, new URLPattern({ pathname: "/(a|b)" }).hasRegExpGroups]', [false, true]],
    ['new URLPattern({ pathname: "/x/:a" }).exec({ pathname: "/x" })', null],
    ['"a" in new URLPattern({ pathname: "/x/:a?" }).exec({ pathname: "/x" }).pathname.groups', true],
    ['[new URLPattern().test("https://x.example/"), new URLPattern().test(), new URLPattern({ pathname: "/x" }).test("not a url")]', [true, true, false]],
    ['[new URLPattern({ pathname: "/([[a-z]--a])" }).test({ pathname: "/b" }), new URLPattern({ pathname: "/([[a-z]--a])" }).test({ pathname: "/a" })]', [true, false]],
    ['new URLPattern({ search: "a=:b" }).exec("https://x.example/?a=c").search.groups', { b: 'c' }],
    ['new URLPattern("https://user\\\\:pass@example.com").test("https://user:pass@example.com/")', true],
    ['Object.prototype.toString.call(new URLPattern())', '[object URLPattern]'],
    ...['"/no/base"', '{ pathname: "/(" }', '{ pathname: "/([z-a])" }', '{}, "https://x.example"', '{ port: "x" }', '{ pathname: "/:a/:a" }', '"https://x.example", "nonsense"', 'undefined, 5, 6', '{ pathname: "/" + "a".repeat(70000) }']
        .map((args): [string, unknown] => [`(() => { try { new URLPattern(${args}); return "made"; } catch (e) { return e.name; } })()`, 'TypeError']),
    ['(() => { try { new URLPattern().test({}, "https://x.example"); } catch (e) { return e.name; } })()', 'TypeError'],
];

test('patterns, groups and refusals', async () => {
    const s = await server();
    await s.deploy('pattern', `
const early = new URLPattern({ pathname: "/early/:x" }); // top-level code may make one
export default { fetch: () => Response.json([early.exec("https://x.example/early/1").pathname.groups.x, [${CASES.map(([code]) => `() => ${code}`).join(',\n')}].map((run) => { try { return run() ?? null; } catch (e) { return String(e); } })]) };`);
    const res = await s.request('pattern', '/');
    assert.equal(res.status, 200, res.text);
    assert.equal(res.json[0], '1');
    for (const [i, [code, expected]] of CASES.entries()) assert.deepEqual(res.json[1][i], expected, code);
});

test('patterns that cost much to read are bounded', async () => {
    const s = await server();
    await s.deploy('hostile', `
const outcome = (make) => { try { make(); return "made"; } catch (e) { return e.name; } };
export default { fetch: () => Response.json([
    outcome(() => new URLPattern("((\\\\w{999}){999}){999}://x")), outcome(() => new URLPattern("{".repeat(60000))), outcome(() => new URLPattern({ pathname: ":a*".repeat(2000) })),
    outcome(() => new URLPattern({ hostname: "(".repeat(30000) })), outcome(() => new URLPattern({ pathname: "/a".repeat(20000) }).test("https://x.example" + "/a".repeat(20000))),
]) };`, { cpu_ms: 20000 });
    const res = await s.request('hostile', '/');
    assert.equal(res.status, 200, res.text);
    assert.equal(res.json.length, 5);
});
