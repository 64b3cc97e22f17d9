// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { inspect as nodeInspect } from "node:util";
import { test } from "node:test";
import { load, nativeStandIn } from "./runtime-load.mjs";

const native = nativeStandIn();
const { console: ours, format, inspect, URL, URLSearchParams, Blob } = await load(
    native, "inspect", "console", "url", "search-params", "blob",
);
const logged = () => native.calls.log.splice(0).map(([, text]) => text);

test("values look as in Node's console", () => {
    class Point {
        x = 1;
        #hidden = 2;
        get y() {
            return this.#hidden;
        }
    }
    class List extends Array {}
    class Dict extends Map {}
    const nested = { a: { b: { c: { d: 1 } } }, list: [[1, [2, [3, [4]]]]], e: {}, f: [] };
    const withSymbol = { [Symbol("s")]: 1, "needs-quotes": 2, 3: 4 };
    const circular = { name: "c", inner: {} };
    circular.inner.back = circular;
    circular.inner.own = circular.inner;
    const sparse = [1, , , 4];
    sparse.extra = true;
    const fn = function named() {};
    fn.prop = 1;
    const values = [
        null, undefined, true, -0, 1.5, 10n, "text", "it's", `both ' and "`, `all ' " \``, "tab\tnl\n\x01",
        Symbol("s"), [], {}, [1, 2, 3], { a: 1, b: "x" }, nested, withSymbol, circular, sparse,
        new Point(), new List(1, 2, 3), new Dict([[1, { a: 2 }]]), Object.create(null), Object.assign(Object.create(null), { a: 1 }),
        new Map([["k", new Map([["l", 1]])], [{ o: 1 }, [1]]]), new Set(["a", { b: 1 }]), new Map(), new Set(),
        new Date(0), new Date(NaN), /re/gi, fn, () => {}, async () => {}, class A {}, class B extends Point {}, function* gen() {},
        Object(1), Object("s"), Object(false), Object(3n), new Uint8Array([1, 2, 3]), new Float64Array(0),
        new ArrayBuffer(4), Array.from({ length: 120 }, (_, i) => i), Array.from({ length: 30 }, (_, i) => `item${i * 37}`),
        Array.from({ length: 7 }, (_, i) => ({ id: i })), Array.from({ length: 10 }, (_, i) => "x".repeat(i * 4)),
        { get a() {
            return 1;
        }, set b(v) {}, get c() {
            return 1;
        }, set c(v) {} },
        { long: "x".repeat(60), other: "y".repeat(20) }, { a: [{ b: { c: {} } }] }, [undefined, null],
        { f() {}, g: class {} }, [["a", 1], ["b", 2]], { s: "a\nb" }, [[[[[1]]]]], [1.5, -2, 333, 4, 5, 6, 7, 8, 9],
        Array.from({ length: 101 }, () => "s"), { deep: [[{ x: 1, y: [1, 2, { z: 1 }] }]] },
        new Map([[{ a: 1, b: { c: { d: 2 } } }, "v".repeat(70)]]), { a: 1n, b: Symbol.iterator },
        { [Symbol.toStringTag]: "Tagged", x: 1 }, [null, , undefined], new (class extends Set {
            extra = 1;
        })([1]), { arr: Array.from({ length: 27 }, (_, i) => i * 1000) },
    ];
    for (const value of values) {
        assert.equal(inspect(value), nodeInspect(value));
    }
});

test("depth, hidden properties and custom text", () => {
    const deep = { a: { b: { c: { d: { e: 1 } } } } };
    assert.equal(inspect(deep, { depth: 0 }), nodeInspect(deep, { depth: 0 }));
    assert.equal(inspect(deep, { depth: null }), nodeInspect(deep, { depth: null }));
    assert.equal(inspect([[]], { depth: 0 }), nodeInspect([[]], { depth: 0 }));
    const custom = { [Symbol.for("nodejs.util.inspect.custom")]: () => "<custom>" };
    assert.equal(inspect({ custom }), "{ custom: <custom> }");
    const throwing = { get a() {
        throw new Error("never called");
    } };
    assert.equal(inspect(throwing), "{ a: [Getter] }");
});

test("errors show their stack, their properties and their cause", () => {
    const bare = new Error("plain");
    bare.stack = "    at f (index.ts:1:2)\n    at g (index.ts:3:4)\n"; // as QuickJS has it
    assert.equal(inspect(bare), "Error: plain\n    at f (index.ts:1:2)\n    at g (index.ts:3:4)");
    bare.code = "E";
    assert.equal(inspect({ bare }), "{\n  bare: Error: plain\n      at f (index.ts:1:2)\n      at g (index.ts:3:4) {\n    code: 'E'\n  }\n}");
    const short = new TypeError("t", { cause: "why" });
    short.stack = "";
    assert.equal(inspect(short), "TypeError: t {\n  [cause]: 'why'\n}");
    const none = new Error("n");
    none.stack = "";
    assert.equal(inspect([none]), "[ [Error: n] ]");
    const thrown = new Error("x");
    assert.equal(inspect(thrown), nodeInspect(thrown));
});

test("platform objects show what they hold", () => {
    const url = new URL("http://h/p?a=1");
    assert.match(inspect(url), /^URL \{\n  href: 'http:\/\/h\/p\?a=1',/);
    assert.match(inspect(url), /searchParams: URLSearchParams \{ a: '1' \}/);
    assert.equal(inspect(new Blob(["x"], { type: "t/t" })), "Blob { size: 1, type: 't/t' }");
});

test("format follows its directives", () => {
    assert.equal(format(["%s is %d years and %i, %f", "Bob", "42", 42.9, "1.5x"]), "Bob is 42 years and 42, 1.5");
    assert.equal(format(["%o %O %j %%", { a: 1 }, { b: 2 }, { c: 3 }]), "{ a: 1 } { b: 2 } {\"c\":3} %");
    assert.equal(format(["%c styled", "color: red"]), " styled");
    assert.equal(format(["%s"]), "%s");
    assert.equal(format(["%s %s", "one"]), "one %s");
    assert.equal(format(["%x %s", "one"]), "%x one");
    assert.equal(format(["a", { b: 1 }, "c", 1n]), "a { b: 1 } c 1n");
    assert.equal(format(["100%", 5]), "100% 5");
    assert.equal(format(["%s %s %s", Symbol("q"), -0, 5n]), "Symbol(q) -0 5n");
    assert.equal(format(["%d %i", Symbol("q"), {}]), "NaN NaN");
    assert.equal(format([]), "");
    assert.equal(format([5, "x"]), "5 x");
});

test("levels, groups, counters, assertions and timers", () => {
    ours.debug("d");
    ours.log("l");
    ours.info("i");
    ours.warn("w");
    ours.error("e");
    assert.deepEqual(native.calls.log.splice(0), [[0, "d"], [1, "l"], [1, "i"], [2, "w"], [3, "e"]]);
    ours.group("g", 1);
    ours.log("in\nside");
    ours.group();
    ours.log("deeper");
    ours.groupEnd();
    ours.groupEnd();
    ours.groupEnd();
    ours.log("out");
    assert.deepEqual(logged(), ["g 1", "  in\n  side", "    deeper", "out"]);
    ours.count();
    ours.count("x");
    ours.count("x");
    ours.countReset("x");
    ours.count("x");
    ours.countReset("none");
    assert.deepEqual(logged(), ["default: 1", "x: 1", "x: 2", "x: 1", "Count for 'none' does not exist"]);
    ours.assert(true, "no");
    ours.assert(false);
    ours.assert(false, "why %s", "not");
    ours.assert(0, { a: 1 });
    assert.deepEqual(logged(), ["Assertion failed", "Assertion failed: why not", "Assertion failed: { a: 1 }"]);
    ours.time("t");
    ours.time("t");
    ours.timeLog("t", "more");
    ours.timeEnd("t");
    ours.timeEnd("t");
    const [again, more, end, none] = logged();
    assert.equal(again, "Timer 't' already exists");
    assert.match(more, /^t: [\d.]+ms more$/);
    assert.match(end, /^t: [\d.]+ms$/);
    assert.equal(none, "Timer 't' does not exist");
    ours.dir({ a: { b: { c: { d: 1 } } } }, { depth: 0 });
    ours.trace("here");
    const [dir, trace] = logged();
    assert.equal(dir, "{ a: [Object] }");
    assert.match(trace, /^Trace: here\n\s+at /);
    const { log } = ours; // works without its object
    log("loose");
    assert.deepEqual(logged(), ["loose"]);
});

test("tables", () => {
    ours.table([{ a: 1, b: "x" }, { a: 2, c: true }]);
    ours.table([1, "two"]);
    ours.table(new Map([["k", 1]]));
    ours.table([{ a: 1, b: 2 }], ["b"]);
    ours.table(5);
    const [objects, values, map, only, plain] = logged();
    assert.equal(objects, [
        "┌─────────┬───┬─────┬──────┐", "│ (index) │ a │ b   │ c    │", "├─────────┼───┼─────┼──────┤",
        "│ 0       │ 1 │ 'x' │      │", "│ 1       │ 2 │     │ true │", "└─────────┴───┴─────┴──────┘",
    ].join("\n"));
    assert.match(values, /│ 1 {7}│ 'two'  │/);
    assert.match(map, /│ 0 {17}│ 'k' │ 1 {6}│/);
    assert.match(only, /│ \(index\) │ b │/);
    assert.equal(plain, "5");
});
