// SPDX-License-Identifier: Apache-2.0
// However code recurses, it gets a RangeError that it can catch, never a trap that ends its request: the engine sees how much is left of
// its stack in memory only, so nothing that calls itself may use up the machine's first (guest/engine/README.md).
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { useServer } from './harness.ts';

const server = useServer();

/** name: what is done `n` levels deep. */
const KINDS: Record<string, string> = {
    plain: 'const f = (n) => (n === 0 ? 0 : 1 + f(n - 1)); f(n);',
    method: 'class A { m(n) { return n && this.m(n - 1) + 1; } } new A().m(n);',
    constructor: 'class A { constructor() { if (--n > 0) new A; } } new A;',
    generator: 'function* g(n) { if (n) yield* g(n - 1); } [...g(n)];',
    map: 'const f = (n) => n && [n].map((x) => f(x - 1)); f(n);',
    getter: 'const o = { get x() { return --n < 0 || this.x; } }; o.x;',
    toString: 'const o = { toString() { return --n < 0 ? "" : "" + o; } }; "" + o;',
    replace: 'const f = () => --n < 0 ? "" : "x".replace(/x/, f); f();',
    sort: 'const f = () => { if (--n > 0) [2, 1].sort(f); return 0; }; f();',
    eval: 'globalThis.F = (n) => { if (n) (0, eval)("F(" + (n - 1) + ")"); }; F(n);',
    apply: 'const f = (n) => n && Reflect.apply(f, null, [n - 1]); f(n);',
    bound: 'let f = () => 1; for (let i = 0; i < n; i++) { f = f.bind(); Object.defineProperty(f, "name", { value: "" }); } f();',
    stringify: 'let o = {}; for (let i = 0; i < n; i++) o = { o }; JSON.stringify(o);',
    'stringify with spaces': 'let o = []; for (let i = 0; i < n; i++) o = [o]; JSON.stringify(o, (k, v) => v);',
    parse: 'JSON.parse("[".repeat(n) + "]".repeat(n));',
    reviver: 'JSON.parse("[".repeat(n) + "]".repeat(n), (k, v) => v);',
    flat: 'let a = []; for (let i = 0; i < n; i++) a = [a]; a.flat(Infinity);',
    clone: 'let a = []; for (let i = 0; i < n; i++) a = [a]; structuredClone(a);',
    text: 'let a = []; for (let i = 0; i < n; i++) a = [a]; String(a);',
    parentheses: '(0, eval)("(".repeat(n) + "1" + ")".repeat(n));',
    brackets: '(0, eval)("[".repeat(n) + "]".repeat(n));',
    objects: '(0, eval)("(" + "{a:".repeat(n) + "1" + "}".repeat(n) + ")");',
    templates: '(0, eval)("`${".repeat(n) + "1" + "}`".repeat(n));',
    functions: '(0, eval)("(function(){".repeat(n) + "})".repeat(n));',
    classes: '(0, eval)("(class{x=".repeat(n) + "1" + "})".repeat(n));',
    arrows: '(0, eval)("a=>".repeat(n) + "1");',
    blocks: '(0, eval)("{".repeat(n) + "}".repeat(n));',
    conditions: '(0, eval)("if(0)".repeat(n) + "1");',
    ternaries: '(0, eval)("1?1:".repeat(n) + "1");',
    assignments: '(0, eval)("x=".repeat(n) + "1");',
    negations: '(0, eval)("!".repeat(n) + "1");',
    powers: '(0, eval)("1**".repeat(n) + "1");',
    patterns: '(0, eval)("([".slice(1).repeat(n) + "]".repeat(n) + "=[]");',
    groups: 'new RegExp("(?:".repeat(n) + ")".repeat(n));',
    sets: 'new RegExp("[".repeat(n) + "]".repeat(n), "v");',
    'proxies: get': 'let p = {}; for (let i = 0; i < n; i++) p = new Proxy(p, {}); p.x;',
    'proxies: set': 'let p = {}; for (let i = 0; i < n; i++) p = new Proxy(p, {}); p.x = 1;',
    'proxies: has': 'let p = {}; for (let i = 0; i < n; i++) p = new Proxy(p, {}); "x" in p;',
    'proxies: keys': 'let p = {}; for (let i = 0; i < n; i++) p = new Proxy(p, {}); Object.keys(p);',
    'proxies: define': 'let p = {}; for (let i = 0; i < n; i++) p = new Proxy(p, {}); Object.defineProperty(p, "x", { value: 1 });',
    'proxies: delete': 'let p = {}; for (let i = 0; i < n; i++) p = new Proxy(p, {}); delete p.x;',
    'proxies: prototype': 'let p = {}; for (let i = 0; i < n; i++) p = new Proxy(p, {}); Object.getPrototypeOf(p); Object.setPrototypeOf(p, null);',
    'proxies: extensible': 'let p = {}; for (let i = 0; i < n; i++) p = new Proxy(p, {}); Object.isExtensible(p); Object.preventExtensions(p);',
    'proxies: call': 'let p = () => 1; for (let i = 0; i < n; i++) p = new Proxy(p, {}); p();',
    'proxies: array': 'let p = []; for (let i = 0; i < n; i++) p = new Proxy(p, {}); Array.isArray(p);',
};

test('8,000 plain frames, then a RangeError, however it is done', { timeout: 300_000 }, async () => {
    const s = await server();
    await s.deploy('deep', `
const KINDS = { ${Object.entries(KINDS).map(([name, code]) => `${JSON.stringify(name)}: (n) => { ${code} }`).join(',\n')} };
export default async (request) => {
    const { kind, n } = await request.json();
    try { KINDS[kind](n); return "ok"; } catch (e) { return e.name + ": " + e.message; }
};`, { cpu_ms: 60_000, wall_ms: 120_000, memory_mb: 256 });
    const ask = async (kind: string, n: number) => {
        const res = await s.request('deep', '/', { method: 'POST', body: JSON.stringify({ kind, n }) });
        return res.status === 200 ? res.json : res.text;
    };
    assert.equal(await ask('plain', 8000), 'ok');
    assert.equal(await ask('plain', 1e6), 'RangeError: Maximum call stack size exceeded');
    assert.equal(await ask('parentheses', 1000), 'ok');
    for (const kind of Object.keys(KINDS)) {
        // Deep enough that the machine's stack would end, where nothing else does.
        assert.match(await ask(kind, 60_000), /^(?:ok|RangeError: .*|SyntaxError: .*|InternalError: out of memory.*)$/, kind);
    }
});
