// SPDX-License-Identifier: Apache-2.0
//
// JSON, against Node's: chosen cases, and random documents from a fixed seed.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Guest, isBuilt } from "./harness.mjs";

const options = { skip: !isBuilt && "LIMPET_ENGINE_WASM is not set" };

/** Runs the body of a function (of `text`) in the guest and here; text may hold lone surrogates. */
function both(body, texts) {
  const g = new Guest({ source: `const f = (text) => { ${body} }; export default async (r) => { const texts = await r.json(); return texts.map((t) => { try { return { value: f(t) } } catch (e) { return { error: e.name } } }) }` });
  const here = new Function("text", body);
  const seen = JSON.parse(g.http({ method: "POST", body: JSON.stringify(texts) }).body);
  texts.forEach((t, i) => {
    let expected;
    try {
      expected = { value: here(t) };
    } catch (e) {
      expected = { error: e.name };
    }
    assert.deepEqual(seen[i], JSON.parse(JSON.stringify(expected)), JSON.stringify(t).slice(0, 300));
  });
}

const valid = [
  "0", "-0", "1", "-1", "12345678901234567890", "1.5", "-1.25e3", "1E400", "-1e-400", "1e22", "1e23", "9007199254740993",
  "0.1", "123456789.987654321", "5e-324", "1.7976931348623157e308", "2147483647", "2147483648", "-2147483648", "-2147483649",
  "true", "false", "null", '""', '"a"', "[]", "{}", "[[]]", "[{}]", '{"a":{}}', ' [ 1 , 2 ] ', '\t{\n"a"\r:\n1 }\n',
  '"\\u0041\\n\\t\\b\\f\\r\\/\\\\\\""', '"\\ud83d\\ude00"', '"\\ud83d"', '"\\ude00\\ud83d"', '"é"', '"日本"', '"😀"', '"\\u00e9"', '"a\\u0000b"',
  '"\ud800"', '["\udc00x"]', '{"\ud800":1}', '"' + "x".repeat(1000) + '"', '"' + "é".repeat(300) + '\\n"',
  '{"a":1,"a":2}', '{"a":{"x":1,"y":2},"a":3,"b":[{"x":1,"y":2}]}', '{"__proto__":{"x":1}}', '{"constructor":1,"toString":2,"length":3}',
  '{"2":"b","1":"a","x":0,"10":"c","-1":9,"01":8}', '{"":1}', '{"a b":1,"é":2,"\\u0061":3}',
  '[{"id":1,"n":"a"},{"id":2,"n":"b"},{"n":"c","id":3},{"id":4},{"id":5,"n":[{"id":6,"n":"d"}]}]',
  '{"a":[1,{"b":[2,{"c":3}]}],"d":4}', "[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20]",
  `[${Array.from({ length: 500 }, (_, i) => `{"k${i % 100}":${i},"s":"${i}"}`)}]`, `{${Array.from({ length: 300 }, (_, i) => `"key${i}":${i}`)}}`,
  "[".repeat(300) + "]".repeat(300), '{"a":'.repeat(300) + "1" + "}".repeat(300),
];
const invalid = [
  "", " ", "nul", "nulll", "tru", "True", "[", "]", "[1", "[1,", "[1,]", "[,1]", "[1 2]", "{", "{a:1}", "{'a':1}", '{"a"}', '{"a":}', '{"a":1,}', '{"a" 1}', "{,}",
  "01", "-", "-a", "1.", ".5", "1e", "1e+", "+1", "0x1", "NaN", "Infinity", "1 1", "[1]]", '"', '"a', '"\\', '"\\x"', '"\\u12"', '"\\u12g4"', '"a\nb"', '"\t"', "\u00a01",
  "[1}", '{"a":1]', "undefined", "[undefined]", '{"a":1}x', "//c\n1", "-01", "1.e1", '"\\ud83', "\ufeff1",
];

test("parse agrees with Node", options, () => {
  both("return JSON.stringify(JSON.parse(text))", [...valid, ...invalid]);
  both("return Object.is(JSON.parse(text), -0)", ["-0", "0", "-0.0", "-0e5"]);
  both("const v = JSON.parse(text); return [Object.keys(v), Object.getPrototypeOf(v) === Object.prototype, v.x]", ['{"__proto__":{"x":1},"z":2,"1":3}']);
});

test("stringify agrees with Node, also with indents", options, () => {
  both("return JSON.stringify(JSON.parse(text), null, 2)", valid);
  both("return JSON.stringify(JSON.parse(text), undefined, '--------------')", valid);
  const values = [
    "undefined", "() => 1", "Symbol('x')", "null", "NaN", "-Infinity", "-0", "1e21", "1e-7", "123456789012345680000", "0.1 + 0.2", "1/3", "100.25", "-7.5", "0.000123", "1e15 + 0.5", "5e-324",
    "[undefined, () => 1, Symbol(), NaN]", "({ a: undefined, b() {}, [Symbol('s')]: 1, c: 1 })", "[,1,,2]", "Object.assign([1, 2], { x: 1 })",
    "new Date(0)", "new Date(NaN)", "[new Date(1e12)]", "new (class extends Date { toJSON() { return 'mine' } })(0)", "Object.assign(new Date(0), { x: 1 })",
    "new Map([[1, 2]])", "new Set([1])", "new Error('x')", "/x/g", "new Number(3)", "new String('s')", "new Boolean(false)", "Object(Symbol())", "new Uint8Array([1, 2])", "new (class A { x = 1; get y() { return 2 } })",
    "({ get a() { return 1 } })", "({ toJSON() { return { b: 2 } } })", "({ a: { toJSON: (k) => 'key ' + k } })", "[{ toJSON: (k) => k }]", "({ toJSON: 5 })", "Object.create({ inherited: 1 }, { own: { value: 1, enumerable: true }, hidden: { value: 2 } })",
    "Object.create(null)", "Object.assign(Object.create(null), { a: 1 })", "Object.create({ toJSON() { return 'up' } })", "new Proxy({ a: 1 }, {})", "new Proxy([1, 2], {})", "({ 2: 'b', 1: 'a', x: 1, '-1': 0 })", "(() => { const o = { a: 1, b: 2, c: 3 }; delete o.b; o.b = 4; return o })()",
    "'\\ud800'", "'\\udc00\\ud800'", "'😀é\\u2028\\u0000\\u001f\"\\\\'", "'x'.repeat(5000)", "'é'.repeat(500)", "'a' + 'b'.repeat(3000) + 'c'", "({ 'é\"\\n': 1, '日': 2 })", "(() => { let s = ''; for (let i = 0; i < 3000; i++) s += i % 10; return s })()",
    "(function () { return arguments })(1, 2)", "[[[]], {}, [{}]]", "({ a: [], b: {} })", "Object.freeze({ a: [1] })", "BigInt(1)", "[1n]", "(() => { const a = {}; a.a = a; return a })()", "(() => { const a = []; a.push({ a }); return a })()",
    "[1, 2].entries()", "globalThis.Math", "'slice me please'.slice(3, 9)", "'a long enough string to be sliced lazily, perhaps'.slice(2)", "[true, false, null]",
  ];
  both("return JSON.stringify((0, eval)('(' + text + ')'))", values);
  both("return JSON.stringify({ v: (0, eval)('(' + text + ')') }, null, 1)", values);
  both("return JSON.stringify((0, eval)('(' + text + ')'), (k, v) => typeof v === 'number' ? v + 1 : v)", values);
  both("return JSON.stringify((0, eval)('(' + text + ')'), ['a', 'b', 1])", values);
});

test("a getter or toJSON may change what is being written", options, () => {
  both(text(() => { const o = { a: 1, get b() { delete this.c; this.d = 4; return 2 }, c: 3 }; return JSON.stringify(o); }), [""]);
  both(text(() => { const a = [1, { toJSON() { a.length = 2; return "x"; } }, 3, 4]; return JSON.stringify(a); }), [""]);
  both(text(() => { Object.prototype.toJSON = function () { return "all"; }; try { return JSON.stringify({ a: [1] }); } finally { delete Object.prototype.toJSON; } }), [""]);
  both(text(() => { Array.prototype.toJSON = function () { return this.length; }; try { return JSON.stringify({ a: [1] }); } finally { delete Array.prototype.toJSON; } }), [""]);
  both(text(() => { const old = Date.prototype.toISOString; Date.prototype.toISOString = () => "iso"; try { return JSON.stringify([new Date(0)]); } finally { Date.prototype.toISOString = old; } }), [""]);
  both(text(() => { class A { constructor() { this.x = 1; } toJSON() { return { y: this.x }; } } return JSON.stringify([new A(), { a: new A() }]); }), [""]);
  function text(f) {
    return `return (${f})()`;
  }
});

test("revivers", options, () => {
  both("return JSON.stringify(JSON.parse(text, (k, v) => k === 'drop' ? undefined : typeof v === 'number' ? v * 2 : v))", ['{"a":[1,2,{"b":3}],"drop":1}', "5", "[]"]);
  both("const seen = []; JSON.parse(text, function (k, v) { seen.push(k); return v }); return seen", ['{"b":[1,{"c":2}],"a":0,"1":5}']);
});

test("what JSON.parse returned can be changed without harm to later parses", options, () => {
  both("const a = JSON.parse(text); a[0].x = 9; delete a[1].y; a[2].z = 1; Object.freeze(a[3]); const b = JSON.parse(text); b[4].x++; return JSON.stringify([a, b])", [
    `[${Array(6).fill('{"x":1,"y":2}')}]`,
  ]);
});

test("errors name the place", options, () => {
  const g = new Guest({ source: `export default async (r) => { try { JSON.parse(await r.text()) } catch (e) { return [e.name, e.message] } }` });
  const message = (body) => JSON.parse(g.http({ method: "POST", body }).body)[1];
  assert.equal(message('{"a": 1,\n "é": x}'), "Unexpected token 'x' in JSON at position 15 (line 2 column 7)");
  assert.equal(message("[1"), "Unexpected end of JSON input");
  assert.equal(message("😀"), "Unexpected token '😀' in JSON at position 0 (line 1 column 1)");
  assert.match(message('["a\nb"]'), /^Bad control character in string literal in JSON at position 3/);
  assert.match(message("{a}"), /^Expected a property name in double quotes in JSON at position 1/);
});

test("request.json() and Response.json() skip the string and agree", options, () => {
  const g = new Guest({ source: `export default async (r) => Response.json(await r.json())` });
  for (const doc of valid.map((t) => Buffer.from(t).toString()))
    assert.equal(g.http({ method: "POST", body: doc }).body, JSON.stringify(JSON.parse(doc)), doc.slice(0, 100));
  const bad = g.http({ method: "POST", body: "{oops" });
  assert.equal(bad.fail.name, "SyntaxError");
  assert.equal(g.http({ method: "POST", body: Buffer.from("\ufeff[1]") }).body, "[1]");
  assert.equal(g.http({ method: "POST", body: Buffer.from([0x22, 0xff, 0x22]) }).body, '"\ufffd"');
});

test("random documents", options, () => {
  let seed = 12345;
  const random = (n) => (seed = (seed * 1103515245 + 12345) & 0x7fffffff) % n;
  const chars = ["a", "b", '"', "\\", "\n", "é", "日", "😀", "\ud800", "\u0001", " ", "/", "\u2028"];
  const string = () => Array.from({ length: random(12) }, () => chars[random(chars.length)]).join("");
  const value = (depth) => {
    switch (random(depth > 4 ? 6 : 9)) {
      case 0:
        return random(2) ? random(1000) : -random(2 ** 30);
      case 1:
        return (random(100000) - 50000) / [1, 2, 7, 10, 100, 1000, 1e6][random(7)] * (random(9) ? 1 : 1e15);
      case 2:
        return [true, false, null][random(3)];
      case 3:
        return string();
      case 4:
        return random(2) ? "" : "plain text";
      case 5:
        return random(10);
      case 6:
        return Array.from({ length: random(6) }, () => value(depth + 1));
      case 7:
        return Object.fromEntries(Array.from({ length: random(6) }, () => [random(3) ? ["id", "name", "tags", "1", "0"][random(5)] : string(), value(depth + 1)]));
      default:
        return Array.from({ length: random(5) }, (_, i) => ({ id: i, name: string(), v: value(depth + 1) }));
    }
  };
  const docs = Array.from({ length: 400 }, () => JSON.stringify(value(0)));
  both("return JSON.stringify(JSON.parse(text))", docs);
  const broken = docs.map((d) => d.slice(0, random(d.length + 1)) + ["", "x", "}", "]", ",", '"'][random(6)] + d.slice(random(d.length + 1)));
  both("return JSON.stringify(JSON.parse(text))", broken);
});
