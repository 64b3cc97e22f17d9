// SPDX-License-Identifier: Apache-2.0
//
// Modules, env, randomness, text codecs.
import assert from "node:assert/strict";
import { test } from "node:test";
import { ERR, evaluate, Guest, hasRuntime, isBuilt } from "./harness.mjs";

const options = { skip: !isBuilt && "LIMPET_ENGINE_WASM is not set" };
const needsRuntime = { skip: !hasRuntime && "LIMPET_BUILTINS is not set" };
const loading = (source) => {
  try {
    new Guest({ source });
  } catch (e) {
    return e.fail;
  }
};

async function same(expressions) {
  const seen = evaluate(`return await Promise.all([${expressions.map((e) => `(async () => { try { return { value: await (${e}) } } catch (e) { return { error: e.name } } })()`)}])`);
  for (const [i, e] of expressions.entries()) {
    let expected;
    try {
      expected = { value: await (0, eval)(e) };
    } catch (error) {
      expected = { error: error.name };
    }
    assert.deepEqual(seen[i], JSON.parse(JSON.stringify(expected)), e);
  }
}

test("errors of loading: syntax, top level, unknown imports", options, () => {
  const syntax = loading("export default () => {\n  let = }\n");
  assert.equal(syntax.name, "SyntaxError");
  assert.match(syntax.stack, /test:2/);
  assert.equal(loading(`throw new RangeError("at load")`).message, "at load");
  assert.equal(loading(`await Promise.reject(new Error("later"))`).message, "later");
  assert.match(loading(`await new Promise(() => {})`).message, /top-level await did not settle/);
});

test("unknown imports say what exists", needsRuntime, () => {
  const fail = loading(`import x from "left-pad"; export default () => x`);
  assert.equal(fail.name, "ReferenceError");
  assert.match(fail.message, /no module 'left-pad' here; builtin modules are: .*derp:runtime\/sql/);
});

test("builtin modules are imported, statically and dynamically", needsRuntime, () => {
  const g = new Guest({ env: { K: "v" }, source: `import { get } from "derp:runtime/env"; import * as env from "derp:runtime/env"; export default async () => [get("K"), env.getOrDefault("none", "d"), Object.keys(await import("derp:runtime/sql")), await import("nope").catch((e) => e.name)]` });
  assert.deepEqual(JSON.parse(g.http().body), ["v", "d", ["exec", "transaction"], "ReferenceError"]);
});

test("top-level await that settles by itself works; import.meta has a url", options, () => {
  const g = new Guest({ source: `const x = await (async () => { await null; return 5 })(); export default () => [x, import.meta.url]` });
  assert.equal(g.http().body, '[5,"file:///test"]');
});

test("the internal object is gone", options, () => {
  assert.equal(evaluate("typeof __limpet"), "undefined");
});

test("state of a module lives as long as its isolate", options, () => {
  const g = new Guest({ source: `let n = 0; export default () => ++n` });
  assert.deepEqual([g.http().body, g.http().body], ["1", "2"]);
});

test("env is read from the host, listed, and cannot be changed", options, () => {
  const g = new Guest({ env: { A: "1", B: "zwei ä" }, source: `export default { fetch(r, env) { const t = (f) => { try { return f() } catch (e) { return e.name } }; return [env.A, env.B, env.C, "A" in env, "C" in env, Object.keys(env), { ...env }, t(() => { "use strict"; env.A = 2 }), t(() => delete env.A), env[Symbol.iterator], env[0], JSON.stringify(env)] } }` });
  assert.deepEqual(JSON.parse(g.http().body), ["1", "zwei ä", null, true, false, ["A", "B"], { A: "1", B: "zwei ä" }, "TypeError", "TypeError", null, null, '{"A":"1","B":"zwei ä"}']);
  g.env.A = "changed";
  assert.equal(JSON.parse(g.http().body)[0], "changed");
});

test("Math.random is seeded for each dispatch, and by the version while loading", options, () => {
  const source = `const first = [Math.random(), Math.random()]; export default () => [first, Math.random(), Math.random()]`;
  const [a, b, c] = [{}, {}, { ops: { seed: () => Buffer.from("other on") } }].map((o) => JSON.parse(new Guest({ source, ...o }).http().body));
  assert.notDeepEqual(a[0], c[0]);
  assert.deepEqual(a[0], b[0]);
  assert.notEqual(a[1], b[1]);
  assert.notEqual(a[1], a[2]);
  assert.notEqual(a[1], a[0][0]);
  const numbers = evaluate("Array.from({ length: 5000 }, () => Math.random())");
  assert.ok(numbers.every((x) => x >= 0 && x < 1));
  assert.ok(Math.abs(numbers.reduce((s, x) => s + x) / 5000 - 0.5) < 0.02);
  assert.equal(new Set(numbers).size, 5000);
});

test("Math.random asks the host once a dispatch, and only if it is used", options, () => {
  const g = new Guest({ source: `export default (r) => { if (r.method === "PUT") for (let i = 0; i < 10; i++) Math.random(); return 1 }` });
  const asked = () => g.calls.filter((c) => c === "random").length;
  g.http();
  assert.equal(asked(), 0);
  g.http({ method: "PUT" });
  assert.equal(asked(), 1);
  g.http({ method: "PUT" });
  assert.equal(asked(), 2);
});

test("real randomness is refused to top-level code with the host's words", options, () => {
  const fail = loading(`crypto.randomUUID()`);
  assert.equal(fail.message, "random values are not available in top-level code");
  assert.equal(loading(`crypto.getRandomValues(new Uint8Array(4))`).message, fail.message);
  assert.ok(ERR.FORBIDDEN);
});

test("crypto", options, () => {
  const [a, b] = evaluate("[crypto.randomUUID(), crypto.randomUUID()]");
  assert.match(a, /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  assert.notEqual(a, b);
  assert.equal(evaluate("return (() => { const u = new Uint32Array(1000); return crypto.getRandomValues(u) === u && u.some((x) => x > 1e6) })()"), true);
  assert.equal(evaluate("return (() => { const u = new Uint8Array(8); crypto.getRandomValues(u.subarray(2, 4)); return u[0] + u[1] + u[4] + u[7] })()"), 0);
  for (const [code, name] of [["new Float64Array(1)", "TypeMismatchError"], ["new Uint8Array(65537)", "QuotaExceededError"], ["5", "TypeMismatchError"]])
    assert.equal(evaluate(`return (() => { try { crypto.getRandomValues(${code}) } catch (e) { return e.name } })()`), name);
  assert.equal(evaluate("crypto.getRandomValues(new Uint8Array(65536)).length"), 65536);
  assert.equal(evaluate("crypto.getRandomValues(new Uint8Array(0)).length"), 0);
});

const bytes = (...b) => `new Uint8Array([${b}])`;

test("TextEncoder, TextDecoder, atob, btoa", options, () =>
  same([
    `[...new TextEncoder().encode("aé日😀\\ud800")]`,
    `[...new TextEncoder().encode()]`,
    `new TextEncoder().encoding`,
    `(() => { const u = new Uint8Array(6); const r = new TextEncoder().encodeInto("é😀x", u); return [r, [...u]] })()`,
    `(() => { const u = new Uint8Array(5); const r = new TextEncoder().encodeInto("é😀x", u); return [r, [...u]] })()`,
    `[new TextDecoder().encoding, new TextDecoder("UTF-16").encoding, new TextDecoder(" latin1 ").encoding, new TextDecoder("ascii").fatal]`,
    `new TextDecoder("nonsense")`,
    `new TextDecoder().decode(${bytes(0x61, 0xc3, 0xa9, 0xf0, 0x9f, 0x98, 0x80)})`,
    ...["[0xff]", "[0xc3]", "[0xe2, 0x82]", "[0xe2, 0x82, 0x61]", "[0xf0, 0x9f, 0x98]", "[0xed, 0xa0, 0x80]", "[0xc0, 0x80]", "[0xf4, 0x90, 0x80, 0x80]", "[0xf8, 0x88]", "[0x80, 0x61, 0xbf]", "[0xe0, 0x80, 0x80]", "[0xf0, 0x80, 0x80, 0x80]"].flatMap((b) => [`new TextDecoder().decode(new Uint8Array(${b}))`, `new TextDecoder("utf-8", { fatal: true }).decode(new Uint8Array(${b}))`]),
    `new TextDecoder().decode(${bytes(0xef, 0xbb, 0xbf, 0x61)})`,
    `new TextDecoder("utf-8", { ignoreBOM: true }).decode(${bytes(0xef, 0xbb, 0xbf, 0x61)})`,
    `new TextDecoder().decode()`,
    `new TextDecoder().decode(new Uint8Array([0, 97, 98, 99, 0]).subarray(1, 3))`,
    `new TextDecoder().decode(new Uint8Array([97, 98]).buffer)`,
    `new TextDecoder().decode(new DataView(new Uint8Array([97, 98, 99]).buffer, 1))`,
    `new TextDecoder().decode(5)`,
    `(() => { const all = new TextEncoder().encode("\\ufeffa é日😀 end"); for (const n of [1, 2, 3, 5]) { const d = new TextDecoder(); let s = ""; for (let i = 0; i < all.length; i += n) s += d.decode(all.subarray(i, i + n), { stream: true }); s += d.decode(); if (s !== "a é日😀 end") return [n, s] } return "ok" })()`,
    `(() => { const d = new TextDecoder(); return [d.decode(${bytes(0xe2, 0x82)}, { stream: true }), d.decode(${bytes(0x61)}, { stream: true }), d.decode(${bytes(0xf0, 0x9f)}, { stream: true }), d.decode()] })()`,
    `(() => { const d = new TextDecoder("utf-8", { fatal: true }); d.decode(${bytes(0xe2)}, { stream: true }); return d.decode() })()`,
    `new TextDecoder("utf-16le").decode(new Uint8Array(new Uint16Array([0x61, 0xe9, 0xd83d, 0xde00, 0xd800, 0x62]).buffer))`,
    `new TextDecoder("utf-16le").decode(${bytes(0x61, 0, 0x62)})`,
    `(() => { const d = new TextDecoder("utf-16le"); const b = new Uint8Array(new Uint16Array([0xfeff, 0x61, 0xd83d, 0xde00]).buffer); let s = ""; for (const x of b) s += d.decode(new Uint8Array([x]), { stream: true }); return s + d.decode() })()`,
    `(() => { const s = new TextDecoder("utf-16le").decode(${bytes(0xe9, 0, 0x61, 0)}); return [s === "éa", ({ "éa": 1 })[s]] })()`,
    `btoa("hello é")`,
    `atob("aGVsbG8g6Q==")`,
    `btoa("日")`,
    `atob("a")`,
    `atob(" aGk = ")`,
    `new Promise((ok) => { const seen = []; queueMicrotask(() => seen.push(1)); Promise.resolve().then(() => { seen.push(2); ok(seen) }); seen.push(0) })`,
    `queueMicrotask(5)`,
  ]));

test("latin1 is windows-1252, which Node 20 has wrong", options, () => {
  assert.equal(evaluate(`new TextDecoder("latin1").decode(${bytes(0x41, 0x80, 0x9f, 0xe9, 0xff)})`), "A\u20ac\u0178\u00e9\u00ff");
});
