// SPDX-License-Identifier: Apache-2.0
// WebAssembly inside of functions: instances, calls in both directions, memories that both sides see, what is
// made in top-level code and what in a request, and code that means ill.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { test } from 'node:test';
import { tempDir, useServer } from './harness.ts';

const server = useServer();
/* Not to be bundled with this file. */
const tools = await createRequire(`${process.env.LIMPET_ROOT}/package.json`)('wabt')();

function bytesOf(text: string): Buffer {
    const module = tools.parseWat('test.wat', text, { bulk_memory: true, reference_types: true, multi_value: true, sign_extension: true, exceptions: true });
    const { buffer } = module.toBinary({});
    module.destroy();
    return Buffer.from(buffer);
}

/** The bytes of a module as an expression of JavaScript. */
const wasm = (text: string) => `Uint8Array.fromBase64("${bytesOf(text).toString('base64')}")`;

const CALC = `(module
    (import "env" "twice" (func $twice (param i32) (result i32)))
    (import "env" "fail" (func $fail))
    (memory (export "memory") 1 4)
    (global $count (mut i32) (i32.const 0))
    (table (export "table") 2 funcref)
    (elem (i32.const 0) $add $count)
    (data (i32.const 16) "hello")
    (func $add (export "add") (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1)))
    (func $count (export "count") (result i32)
        (global.set $count (i32.add (global.get $count) (i32.const 1))) (global.get $count))
    (func (export "callTwice") (param i32) (result i32) (call $twice (local.get 0)))
    (func (export "callFail") (call $fail))
    (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0)))
    (func (export "load") (param i32) (result i32) (i32.load8_u (local.get 0)))
    (func (export "store") (param i32 i32) (i32.store8 (local.get 0) (local.get 1)))
    (func (export "wide") (param i64 f32 f64) (result i64 f64)
        (i64.add (local.get 0) (i64.const 1)) (f64.add (f64.promote_f32 (local.get 1)) (local.get 2)))
    (func (export "swap") (param i32) (table.set (i32.const 0) (table.get (local.get 0))))
    (func (export "forever") (loop $l (br $l)))
    (func $deep (export "deep") (result i32) (i32.add (call $deep) (i32.const 1)))
    (func (export "trap") unreachable)
    (func (export "divide") (param i32 i32) (result i32) (i32.div_s (local.get 0) (local.get 1))))`;

const MAKE = `
const bytes = ${wasm(CALC)};
const made = (extra) => new WebAssembly.Instance(new WebAssembly.Module(bytes), { env: { twice: (x) => x * 2, fail() { throw new Error("from js"); }, ...extra } }).exports;
const outcome = (run) => { try { return run(); } catch (e) { return e.constructor.name + ": " + e.message; } };
`;

test('an instance made in a request: calls both ways, memory seen by both, errors by name', async () => {
    const s = await server();
    await s.deploy('calc', `${MAKE}
export default { async fetch() {
    const e = made();
    const view = new Uint8Array(e.memory.buffer);
    const hello = new TextDecoder().decode(view.subarray(16, 21));
    view[100] = 7;
    e.store(101, 8);
    const seen = view[101], first = e.memory.buffer;
    const before = e.grow(1);
    const inner = made({ twice: (x) => x === 0 ? 0 : inner.callTwice(x - 1) + 1 });
    const { instance, module } = await WebAssembly.instantiate(bytes, { env: { twice: String, fail() {} } });
    return Response.json({
        sum: e.add(2, 3), twice: e.callTwice(21), nested: inner.callTwice(20), async: instance.exports.add(1, 2), kinds: WebAssembly.Module.exports(module).length,
        hello, load: [e.load(100), seen], grown: [before, first.byteLength, view.length, e.memory.buffer.byteLength, new Uint8Array(e.memory.buffer)[100], e.load(101)],
        wide: e.wide(41n, 0.5, 1.25).map(String), table: [e.table.length, e.table.get(0) === e.add, e.table.get(1)()],
        thrown: outcome(() => e.callFail()), trap: outcome(() => e.trap()), divide: outcome(() => e.divide(1, 0)), outside: outcome(() => e.load(131072)), deep: outcome(() => e.deep()),
        after: e.add(1, 1), invalid: outcome(() => new WebAssembly.Module(new Uint8Array([0, 97, 115, 109, 2]))), link: outcome(() => new WebAssembly.Instance(module, { env: { twice: 1 } })),
        full: e.grow(5), validate: [WebAssembly.validate(bytes), WebAssembly.validate(new Uint8Array(3))],
    });
} };`);
    const expected = {
        sum: 5, twice: 42, nested: 20, async: 3, kinds: 15, hello: 'hello', load: [7, 8], grown: [1, 0, 0, 131072, 7, 8], wide: ['42', '1.75'], table: [2, true, 1],
        thrown: 'Error: from js', trap: 'RuntimeError: unreachable', divide: 'RuntimeError: divide by zero', outside: 'RuntimeError: memory access out of bounds',
        deep: 'RangeError: Maximum call stack size exceeded', after: 2, full: -1, validate: [true, false],
    };
    for (let i = 0; i < 3; i++) {
        const res = await s.request('calc', '/');
        assert.equal(res.status, 200, res.text);
        const { invalid, link, ...rest } = res.json;
        assert.deepEqual(rest, expected);
        assert.match(invalid, /^CompileError: WebAssembly\.Module\(\): /);
        assert.match(link, /^LinkError: .*function import requires a callable/);
    }
});

test('an instance made in top-level code is there for each request, as it was', async () => {
    const s = await server();
    await s.deploy('early', `${MAKE}
const e = made();
e.count();
new Uint8Array(e.memory.buffer)[200] = 9;
const own = new WebAssembly.Global({ value: "i32", mutable: true }, 5);
export default { fetch(request) {
    const path = new URL(request.url).pathname;
    const seen = [e.count(), e.load(200), e.load(201), own.value, e.table.get(0) === e.add, e.memory.buffer.byteLength, e.callTwice(4)];
    e.store(201, 1);
    new Uint8Array(e.memory.buffer)[200] = 1;
    own.value = 6;
    if (path === "/swap") e.swap(1);
    if (path === "/grow") e.grow(1);
    if (path === "/more") made().count();
    if (path === "/trap") e.trap();
    return Response.json(seen);
} };`);
    for (const path of ['/', '/', '/swap', '/', '/grow', '/', '/more', '/', '/trap', '/', '/more', '/grow', '/swap', '/']) {
        const res = await s.request('early', path);
        if (path === '/trap') assert.equal(res.status, 500, res.text);
        else assert.deepEqual(res.json, [2, 9, 0, 5, true, 65536, 8], path);
    }
});

/** Fills what it has got with a byte; calls back in the middle, after which its memory may lie elsewhere. */
const GROWER = `(module
    (import "env" "between" (func $between))
    (memory (export "memory") 1 200)
    (func $fill (export "fill") (param $page i32) (param $byte i32)
        (memory.fill (i32.mul (local.get $page) (i32.const 65536)) (local.get $byte) (i32.const 65536)))
    (func (export "grow") (param $byte i32) (result i32) (local $page i32)
        (local.set $page (memory.grow (i32.const 1)))
        (if (i32.ge_s (local.get $page) (i32.const 0)) (then (call $fill (local.get $page) (local.get $byte)) (call $between)
            (i32.store8 (i32.mul (local.get $page) (i32.const 65536)) (i32.add (i32.load8_u (i32.mul (local.get $page) (i32.const 65536))) (i32.const 1)))))
        (local.get $page)))`;

test('memories that grow in turns move, and each keeps what is in it', async () => {
    const s = await server();
    await s.deploy('growing', `
const module = new WebAssembly.Module(${wasm(GROWER)});
const make = (between) => new WebAssembly.Instance(module, { env: { between } }).exports;
let inner = () => {};
const early = make(() => inner());
const last = make(() => {});
const whole = (e, byte) => {
    const view = new Uint8Array(e.memory.buffer);
    for (let page = 1; page * 65536 < view.length; page++) {
        if (view[page * 65536] !== byte + 1) return "page " + page + " begins with " + view[page * 65536];
        for (let at = page * 65536 + 1; at < (page + 1) * 65536; at += 251) if (view[at] !== byte) return "page " + page + " has " + view[at];
    }
    return view.length / 65536;
};
export default { fetch(request) {
    const rounds = Number(new URL(request.url).searchParams.get("rounds"));
    const own = new WebAssembly.Memory({ initial: 1 }), late = make(() => inner());
    const buffers = new Set();
    for (let i = 0; i < rounds; i++) {
        inner = () => { last.grow(30); own.grow(1); }; // while early's and late's functions run
        buffers.add(early.memory.buffer);
        early.grow(10);
        late.grow(20);
        last.grow(30);
        new Uint8Array(own.buffer)[i * 65536] = i;
    }
    const seen = new Uint8Array(own.buffer);
    let kept = 0;
    for (let i = 0; i < rounds; i++) kept += seen[i * 65536] === i;
    return Response.json([whole(early, 10), whole(late, 20), whole(last, 30), kept, seen.length / 65536, [...buffers].filter((b) => b.byteLength > 0).length]);
} };`, { memory_mb: 256 });
    for (const rounds of [12, 1, 25, 12]) {
        const res = await s.request('growing', `/?rounds=${rounds}`);
        assert.deepEqual(res.json, [1 + rounds, 1 + rounds, 1 + 3 * rounds, rounds, 1 + 2 * rounds, 0], res.text);
    }
});

const THROWER = `(module
    (import "env" "inside" (func $inside))
    (tag $t (param i32))
    (func $throw (export "throw") (param i32) (throw $t (local.get 0)))
    (func (export "through") (call $inside))
    (func (export "caught") (param i32) (result i32)
        (block $b (result i32) (try_table (result i32) (catch $t $b) (call $throw (local.get 0)) (i32.const -1)))))`;

test('exceptions of modules: caught inside of them, a RuntimeError outside; what is not there is refused', async () => {
    const s = await server();
    await s.deploy('limits', `${MAKE}
const valid = (...sections) => WebAssembly.validate(new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0, ...sections]));
const thrower = new WebAssembly.Module(${wasm(THROWER)});
export default { fetch() {
    const e = new WebAssembly.Instance(thrower, { env: { inside: () => e.throw(2) } }).exports;
    const outside = [];
    for (let i = 0; i < 3; i++) outside.push(e.caught(i), outcome(() => e.throw(i)), outcome(() => e.through()), e.caught(i + 3), made().add(1, i), outcome(() => made().trap()));
    return Response.json({ outside, plain: valid(5, 4, 1, 1, 1, 2), shared: valid(5, 4, 1, 3, 1, 2), wide: valid(5, 3, 1, 4, 1), names: ["Tag", "Exception", "JSTag"].filter((name) => name in WebAssembly) });
} };`);
    for (let i = 0; i < 3; i++) {
        const { outside, ...rest } = (await s.request('limits', '/')).json;
        assert.deepEqual(rest, { plain: true, shared: false, wide: false, names: [] });
        const thrown = 'RuntimeError: uncaught exception of a module';
        for (let k = 0; k < 3; k++) assert.deepEqual(outside.slice(6 * k, 6 * k + 6), [k, thrown, thrown, k + 3, 1 + k, 'RuntimeError: unreachable']);
    }
});

test('code that means ill ends alone', async () => {
    const s = await server();
    await s.deploy('quiet', 'export default { fetch: () => new Response("fine") };');
    await s.deploy('ill', `${MAKE}
const start = ${wasm('(module (func $f (loop $l (br $l))) (start $f))')};
const trapping = ${wasm('(module (func $f unreachable) (start $f))')};
const tables = ${wasm('(module (table (export "t") 1 funcref) (func (export "more") (param i32) (result i32) (table.grow (ref.null func) (local.get 0))))')};
const large = ${wasm('(module (memory 2000))')};
export default { async fetch(request) {
    switch (new URL(request.url).pathname) {
    case "/forever": made().forever(); break;
    case "/start": new WebAssembly.Instance(new WebAssembly.Module(start)); break;
    case "/trapping": return new Response(outcome(() => new WebAssembly.Instance(new WebAssembly.Module(trapping))));
    case "/inside": made({ twice: () => { for (;;); } }).callTwice(1); break;
    case "/bomb": { const e = new WebAssembly.Memory({ initial: 1 }); let n = 0; try { for (;;) { e.grow(16); n++; } } catch (x) { return new Response(x.constructor.name + (n > 10 && n < 200)); } }
    case "/tables": { const t = new WebAssembly.Instance(new WebAssembly.Module(tables)).exports; return Response.json([t.more(1000), t.more(100_000_000), outcome(() => t.t.grow(100_000_000)).slice(0, 10)]); }
    case "/large": return new Response(outcome(() => new WebAssembly.Instance(new WebAssembly.Module(large))).slice(0, 10));
    case "/recursive": { const f = made({ twice: (x) => f.callTwice(x) }); return new Response(outcome(() => f.callTwice(1))); }
    case "/huge": return new Response(outcome(() => new WebAssembly.Module(new Uint8Array(20_000_000))));
    case "/many": { const m = new WebAssembly.Module(trapping); return new Response(outcome(() => { for (let i = 0; i < 3000; i++) outcome(() => new WebAssembly.Instance(m)); return "made"; })); }
    }
} };`, { cpu_ms: 300 });
    const ends = async (path: string) => {
        const [res, other] = await Promise.all([s.request('ill', path), s.request('quiet', '/')]);
        assert.equal(other.text, 'fine');
        return res;
    };
    for (const path of ['/forever', '/start', '/inside']) {
        const res = await ends(path);
        assert.equal(res.status, 500, res.text);
        assert.equal(res.json.error.code, 'limit_cpu', path);
    }
    assert.equal((await ends('/trapping')).text, 'RuntimeError: unreachable');
    assert.equal((await ends('/bomb')).text, 'RangeErrortrue');
    assert.deepEqual((await ends('/tables')).json, [1, -1, 'RangeError']);
    assert.match((await ends('/large')).text, /^(RangeError|LinkError)/);
    assert.equal((await ends('/recursive')).text, 'RangeError: Maximum call stack size exceeded');
    assert.match((await ends('/huge')).text, /^RangeError: .*16 MiB/);
    assert.equal((await s.request('quiet', '/')).text, 'fine');
});

test('a .wasm file is imported as a compiled module', async () => {
    const s = await server();
    const dir = tempDir();
    try {
        fs.writeFileSync(path.join(dir, 'calc.wasm'), bytesOf(CALC));
        fs.writeFileSync(path.join(dir, 'main.ts'), `
import calc from "./calc.wasm";
import again from "./calc.wasm?module";
const early = new WebAssembly.Instance(calc, { env: { twice: (x) => x + 1, fail() {} } }).exports;
export default { async fetch() {
    const { default: late } = await import("./calc.wasm");
    const e = await WebAssembly.instantiate(late, { env: { twice: (x) => x * 3, fail() {} } });
    return Response.json([early.callTwice(1), early.count(), e.exports.callTwice(2), calc instanceof WebAssembly.Module, again === calc, late === calc]);
} };`);
        const uploaded = await s.cli(['function', 'upload', 'imported', path.join(dir, 'main.ts')]);
        assert.equal(uploaded.code, 0, uploaded.stderr);
        for (let i = 0; i < 2; i++) assert.deepEqual((await s.request('imported', '/')).json, [2, 1, 6, true, true, true]);
        fs.writeFileSync(path.join(dir, 'calc.wasm'), 'no wasm');
        const refused = await s.cli(['function', 'upload', 'imported', path.join(dir, 'main.ts')]);
        assert.equal(refused.code === 0, false);
        assert.match(refused.stderr + refused.stdout, /calc-[A-Z0-9]+\.wasm is no WebAssembly module/);
    } finally {
        fs.rmSync(dir, { recursive: true });
    }
});
