// SPDX-License-Identifier: Apache-2.0
//
// The examples that are workflows, run live and replayed as in workflow.test.mjs.
import assert from "node:assert/strict";
import { build } from "esbuild";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { hasRuntime, isBuilt } from "./harness.mjs";
import { check } from "./recorder.mjs";

const options = { skip: !(isBuilt && hasRuntime) && "LIMPET_ENGINE_WASM or LIMPET_BUILTINS is not set" };
const DAY = 24 * 60 * 60 * 1000;

async function example(name, settings) {
  const entry = fileURLToPath(new URL(`../../examples/${name}/index.ts`, import.meta.url));
  const { outputFiles } = await build({ entryPoints: [entry], bundle: true, write: false, format: "esm", target: "es2023", external: ["limpet"], logLevel: "warning" });
  return check(outputFiles[0].text, settings);
}
const names = (x) => x.bodies.map(([name]) => name);

test("order-saga: all goes well", options, async () => {
  const fetch = ({ url }) => ({ body: JSON.stringify({ reservation: "r", charge: "c", tracking: "t", url }) });
  const x = await example("order-saga", { input: { id: "o", amount: 1, sku: "s", shop: "http://shop" }, world: { fetch } });
  assert.deepEqual(x.output, { tracking: "t", charge: "c" });
  assert.deepEqual(names(x), ["reserve", "charge", "ship"]);
});

test("order-saga: a refusal undoes what was done, in reverse", options, async () => {
  const fetch = ({ url }) => url.endsWith("/shipments") ? { status: 422, body: "no" } : { body: JSON.stringify({ reservation: "r", charge: "c" }) };
  const x = await example("order-saga", { input: { id: "o", amount: 1, sku: "s", shop: "http://shop" }, world: { fetch } });
  assert.match(x.answer.fail.message, /refused: 422 no/);
  assert.deepEqual(names(x), ["reserve", "charge", "ship", "refund", "release"]);
});

test("order-saga: cancelled while it charges", options, async () => {
  const fetch = ({ url }) => ({ body: JSON.stringify({ reservation: "r", charge: "c" }), ms: url.endsWith("/charge") ? 5000 : 10 });
  const x = await example("order-saga", { input: { id: "o", amount: 1, sku: "s", shop: "http://shop" }, world: { fetch, cancelAt: 1000 }, prefixes: false });
  assert.equal(x.answer.fail.name, "CancelledError");
  assert.deepEqual(names(x), ["reserve", "charge", "release"]);
});

test("approval: granted, granted late, and never", options, async () => {
  const input = { what: "a chair", amount: 240, from: "ada" };
  const at = (ms) => ({ signals: [{ at: ms, name: "decision", data: { approved: true, by: "grace" } }] });
  const soon = await example("approval", { input, world: at(1000), prefixes: false });
  assert.deepEqual([soon.output, names(soon)], [{ status: "approved", by: "grace", note: null }, ["ask", "answer"]]);
  const late = await example("approval", { input, world: at(2 * DAY), prefixes: false });
  assert.deepEqual([late.output.status, names(late)], ["approved", ["ask", "remind", "answer"]]);
  const never = await example("approval", { input });
  assert.deepEqual([never.output.status, never.now - never.started], ["expired", 3 * DAY]);
  assert.deepEqual((await example("approval", { input: { ...input, amount: 5 } })).output, { status: "approved", by: "rule" });
});

test("cron-loop: a child a day, one at once, one that fails, and a successor", options, async () => {
  let n = 0;
  const child = () => (++n % 30 === 7 ? { err: 12, error: { name: "Error", message: "down" } } : { output: { status: 200, bytes: 1 } });
  const x = await example("cron-loop", { input: { at: "03:30", url: "http://x/" }, world: { child, signals: [{ at: 2.5 * DAY, name: "now" }] }, prefixes: false });
  const started = [...x.children.values()];
  assert.equal(started.length, 31);
  assert.deepEqual([started[0].workflow, started.at(-1).workflow], ["shop.job", "shop"]);
  assert.equal(x.guest.logs.filter(([, text]) => /failed: Error: down/.test(text)).length, 1);
});

test("fan-out: a thousand steps, or children", options, async () => {
  const x = await example("fan-out", { input: { count: 1000, width: 50 } });
  assert.deepEqual(x.output, { longest: 178, total: 59542 });
  assert.equal(x.bodies.length, 1000);
  assert.equal(x.published.at(-1)[1], '{"done":1000,"of":1000}');
  const collatz = (n) => { let k = 0; for (; n !== 1; k++) n = n % 2 ? 3 * n + 1 : n / 2; return k };
  const y = await example("fan-out", { input: { count: 1000 }, exported: "children", world: { child: (c) => ({ output: collatz(JSON.parse(c.input) + 1) }) }, prefixes: false });
  assert.deepEqual(y.output, x.output);
});

test("agent-loop: tools, a question to a person, the answer", options, async () => {
  const say = (message) => ({ body: JSON.stringify({ choices: [{ message }] }) });
  const call = (id, name, args) => ({ id, function: { name, arguments: JSON.stringify(args) } });
  const turns = [
    { role: "assistant", content: null, tool_calls: [call("1", "today", {}), call("2", "fetch_page", { url: "http://page/" }), call("3", "none", {})] },
    { role: "assistant", content: null, tool_calls: [call("4", "ask_person", { question: "really?" })] },
    { role: "assistant", content: "42" },
  ];
  const asked = [];
  const fetch = ({ url, body }) => {
    if (!url.includes("model")) return { body: "<p>text</p>" };
    const { messages } = JSON.parse(body);
    asked.push(messages);
    return say(turns[messages.filter((m) => m.role === "assistant").length]);
  };
  const x = await example("agent-loop", { input: { task: "t" }, guest: { env: { MODEL_URL: "http://model/" } }, world: { fetch, signals: [{ at: 60000, name: "reply", data: "yes" }] }, prefixes: false });
  assert.deepEqual(x.output, { answer: "42", turns: 3 });
  assert.deepEqual(asked.at(-1).filter((m) => m.role === "tool").map((m) => m.content), [new Date(x.started + 10).toISOString(), "200\n text ", "error: there is no tool named none", "yes"]);
  assert.equal(asked.length, 3, "no question twice");
});
