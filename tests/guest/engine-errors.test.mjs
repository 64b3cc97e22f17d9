// SPDX-License-Identifier: Apache-2.0
//
// What errors show: error.stack, the frames of async callers, causes, and things thrown that are no errors.
import assert from "node:assert/strict";
import { test } from "node:test";
import { ERR, Guest, isBuilt } from "./harness.mjs";

const options = { skip: !isBuilt && "LIMPET_ENGINE_WASM is not set" };

/** What the code after `return` gives, as JSON. */
function value(code, ops) {
  const answer = new Guest({ source: `export default async () => { ${code} }`, ops }).http();
  assert.equal(answer.fail, undefined, answer.fail?.message + "\n" + answer.fail?.stack);
  return JSON.parse(answer.body);
}
function failure(source) {
  return new Guest({ source }).http().fail;
}

test("a stack begins with the name and the message", options, () => {
  const first = (made) => value(`let e; try { ${made} } catch (x) { e = x } return e.stack.split("\\n")[0]`);
  assert.equal(first(`throw new Error("line 4")`), "Error: line 4");
  assert.equal(first(`throw new TypeError`), "TypeError");
  assert.equal(first(`null.x`), "TypeError: cannot read property 'x' of null");
  assert.equal(first(`class Oops extends Error { name = "Oops" } throw new Oops("x")`), "Oops: x");
  assert.equal(first(`class Odd extends Error { constructor() { super("m"); Error.captureStackTrace(this, Odd) } } throw new Odd`), "Error: m");
  assert.equal(first(`throw new DOMException("m", "DataError")`), "DataError: m");
  assert.equal(first(`crypto.getRandomValues(1)`), "TypeMismatchError: getRandomValues needs an integer typed array");
  assert.equal(first(`eval("(")`).split(":")[0], "SyntaxError");
  assert.equal(first(`await Promise.any([])`), "AggregateError");
  const lines = value(`function inner() { throw new Error("two\\nlines") } try { inner() } catch (e) { return e.stack.split("\\n") }`);
  assert.deepEqual(lines.slice(0, 2), ["Error: two", "lines"]);
  assert.match(lines[2], /^    at inner \(test:1:\d+\)$/);
  assert.match(lines.at(-1), /^    at /, "no empty line at the end");
});

test("error.stack can be set to anything, as in V8", options, () => {
  assert.deepEqual(value(`const out = []; for (const v of [undefined, null, 1, "text", "    at x"]) { const e = new Error("m"); e.stack = v; out.push(String(e.stack)) } return out`),
    ["undefined", "null", "1", "text", "    at x"]);
  assert.deepEqual(value(`const e = new Error("m"); e.stack = "x"; return [Object.keys(e), JSON.stringify(e)]`), [[], "{}"]);
  assert.equal(value(`"use strict"; try { Object.freeze(new Error("m")).stack = 1; return "set" } catch (e) { return e.name }`), "TypeError");
  assert.equal(value(`Error.stackTraceLimit = 0; return new Error("m").stack`), "Error: m");
  assert.equal(value(`Error.prepareStackTrace = (e, sites) => "mine " + sites.length; const text = new Error("m").stack; Error.prepareStackTrace = undefined; return text`), "mine 1");
  assert.equal(value(`const o = { name: "N", message: "M" }; Error.captureStackTrace(o); return o.stack.split("\\n")[0]`), "N: M");
  // What reading a name or a message does is the module's own affair.
  assert.match(value(`const e = new Error("m"); Object.defineProperty(e, "message", { get() { throw 1 } }); return e.stack`), /^Error\n {4}at /);
});

const timers = `const wait = (ms) => new Promise((done) => setTimeout(done, ms));`;
/** Runs until no timer is pending. */
function overTimers(g, dispatch) {
  for (let rounds = 0; g.pending.size && rounds < 50; rounds++) for (const op of [...g.pending.keys()]) g.complete(op, 0), g.x.limpet_run();
  return g.answers.get(dispatch);
}
function stackAfterTimers(source) {
  const g = new Guest({ source: timers + source });
  g.http();
  return overTimers(g, 1).fail.stack;
}

test("callers that wait are in the stack, however they wait", options, () => {
  const names = (stack) => stack.split("\n").map((line) => line.trim().replace(/^at /, "").replace(/ \(.*/, ""));
  const last = `async function third() { await wait(1); throw new Error("deep") }`;
  assert.deepEqual(names(stackAfterTimers(`${last}\nasync function second() { await third() }\nasync function first() { await second() }\nexport default () => first()`)),
    ["third", "async second", "async first"]);
  assert.deepEqual(names(stackAfterTimers(`${last}\nasync function second() { return third() }\nexport default async function main() { await second().then((x) => x).finally(() => 1) }`)),
    ["third", "async main"]);
  for (const of of ["all", "any", "race", "allSettled"])
    assert.deepEqual(names(stackAfterTimers(`async function third() { await wait(1); throw globalThis.kept = new Error("deep") }\nexport default async function main() { await Promise.${of}([third()]).catch(() => 0); throw kept }`)),
      ["third", "async main"], of);
  assert.deepEqual(names(stackAfterTimers(`${last}\nasync function* list() { yield 1; await third() }\nexport default async function main() { for await (const x of list()) ; }`)),
    ["third", "async list", "async main"]);
  assert.deepEqual(names(stackAfterTimers(`async function* list() { await wait(1); throw new Error("deep") }\nexport default async function main() { for await (const x of list()) ; }`)),
    ["list", "async main"]);
  assert.deepEqual(names(stackAfterTimers(`async function third() { await wait(1); JSON.parse("{") }\nclass A { async method() { await third() } }\nexport default { async fetch() { await new A().method() } }`)).slice(-3),
    ["third", "async method", "async fetch"]);
  assert.match(stackAfterTimers(`${last}\n\n\nasync function main() {\n  await third();\n}\nexport default main`), /async main \(test:5:\d+\)/);
});

test("chains of promises without end, or in a circle, end the walk", options, () => {
  assert.match(stackAfterTimers(`async function f(n) { await wait(n ? 0 : 1); if (n) await f(n - 1); else throw new Error("deep") }\nexport default () => f(20)`), /^(    at (async )?f [^\n]*\n){9}    at async f [^\n]*$/);
  assert.match(stackAfterTimers(`async function f() { let p = wait(1).then(() => { throw new Error("deep") }); for (let i = 0; i < 1000; i++) p = p.then((x) => x); await p }\nexport default f`), /^    at <anonymous>/);
  assert.match(stackAfterTimers(`let p; async function f() { await wait(1); Promise.race([p]).catch(() => 0); throw new Error("deep") }\nexport default () => p = f()`), /^    at f/);
});

test("an error that the host makes has the frames of who waits for it", options, () => {
  const g = new Guest({ source: `async function get() { return await fetch("http://x/") }\nexport default { async fetch() { await get() } }`, ops: { fetch() {} } });
  g.http();
  g.complete([...g.pending.keys()][0], ERR.NETWORK, "no such host");
  g.x.limpet_run();
  const { fail } = g.answers.get(1);
  assert.equal(fail.message, "no such host");
  assert.match(fail.stack, /^    at async get \(test:1:\d+\)\n    at async fetch \(test:2:\d+\)$/);
});

test("errors tell what caused them, and of which they consist", options, () => {
  const fail = failure(`export default () => { throw new TypeError("no connection", { cause: new Error("refused", { cause: "cable" }) }) }`);
  assert.equal(fail.message, "no connection");
  assert.match(fail.stack, /^    at default \(test:1:\d+\)\nCaused by: Error: refused\n    at default [^\n]+\nCaused by: cable$/);
  const all = failure(`export default () => { throw new AggregateError([new Error("a"), "b", new TypeError("c", { cause: { d: 1 } })], "many") }`);
  assert.match(all.stack, /^    at default [^\n]+\nError 1 of 3: Error: a\n    at default [^\n]+\nError 2 of 3: b\nError 3 of 3: TypeError: c\n    at default [^\n]+\nCaused by: \{ d: 1 \}$/);
  const round = failure(`export default () => { const a = new Error("a"), b = new Error("b", { cause: a }); a.cause = b; throw a }`);
  assert.equal(round.stack.match(/Caused by/g).length, 1);
  assert.ok(failure(`export default () => { let e = new Error("0"); for (let i = 0; i < 1e4; i++) e = new Error("x".repeat(100), { cause: e }); throw e }`).stack.length < 20_000);
  assert.ok(failure(`export default () => { throw new AggregateError(Array.from({ length: 1e4 }, () => new Error("x")), "many") }`).stack.length < 20_000);
  assert.equal(failure(`export default () => { const e = new Error("m"); Object.defineProperty(e, "cause", { get() { throw 1 } }); throw e }`).message, "m");
});

test("what is thrown and is no error is shown as it is", options, () => {
  const message = (thrown) => { const { name, message: text } = failure(`export default () => { throw ${thrown} }`); return [name, text]; };
  assert.deepEqual(message(`"just text"`), ["", "just text"]);
  assert.deepEqual(message(`undefined`), ["", "undefined"]);
  assert.deepEqual(message(`null`), ["", "null"]);
  assert.deepEqual(message(`Symbol("s")`), ["", "Symbol(s)"]);
  assert.deepEqual(message(`{ code: 7, nested: { a: [1] } }`), ["", "{ code: 7, nested: { a: [ 1 ] } }"]);
  assert.deepEqual(message(`{ message: "almost" }`), ["", "almost"]);
  assert.deepEqual(message(`new Proxy({}, { get() { throw 1 }, has() { throw 1 }, getOwnPropertyDescriptor() { throw 1 }, getPrototypeOf() { throw 1 }, ownKeys() { throw 1 } })`)[0], "");
  assert.deepEqual(message(`{ get message() { throw 1 }, toString() { throw 2 } }`)[0], "");
});

test("what nobody caught is logged like that, too", options, () => {
  const g = new Guest({ source: `${timers}
    export default async (q, e, ctx) => {
      Promise.reject(new TypeError("alone", { cause: new Error("why") }));
      Promise.reject("text");
      ctx.waitUntil(Promise.reject({ a: 1 }));
      setTimeout(() => { throw new RangeError("timer") }, 1);
      reportError(new Error("told"));
      console.error(new Error("shown", { cause: "c" }));
      return "ok";
    }` });
  g.http();
  overTimers(g, 1);
  const logged = (start) => { const line = g.logs.find(([, text]) => text.startsWith(start)); assert.ok(line, start + " is not in " + JSON.stringify(g.logs)); return line[1]; };
  assert.match(logged("Uncaught (in promise) TypeError: alone\n"), /\n    at [^\n]+\nCaused by: Error: why\n    at /);
  assert.equal(logged("Uncaught (in promise) text"), "Uncaught (in promise) text");
  logged("Uncaught RangeError: timer\n    at ");
  logged("Uncaught Error: told\n    at ");
  assert.match(logged("Error: shown\n    at "), /\[cause\]: 'c'/);
  assert.ok(g.logs.some(([, text]) => text.includes("{ a: 1 }")), JSON.stringify(g.logs));
});
