// SPDX-License-Identifier: Apache-2.0
//
// Recursion ends in a RangeError by the engine's own stack limit, before the machine's stack is used up. Node's
// own stack is smaller than the host's fibers, so this runs in a worker with a larger one.
import assert from "node:assert/strict";
import { test } from "node:test";
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";
import { Guest, isBuilt } from "./harness.mjs";

const cases = {
  "a plain function": `(function f() { return f() + 1 })()`,
  "through a builtin": `(function f() { [1].map(f) })()`,
  "a getter": `({ get x() { return this.x } }).x`,
  "a proxy": `(() => { const p = new Proxy({}, { get: (t, k, r) => r[k] }); return p.x })()`,
  "toJSON": `(() => { const a = { toJSON: () => ({ b: a }) }; return JSON.stringify(a) })()`,
  "writing deep JSON": `JSON.stringify(JSON.parse("[".repeat(1e5) + "]".repeat(1e5)))`,
  "deep source": `eval("(".repeat(1e5))`,
  "constructors": `(() => { class A { constructor() { new A } } new A })()`,
};

if (!isMainThread) {
  const seen = {};
  for (const [name, code] of Object.entries(workerData)) {
    const g = new Guest({ source: `export default async (r) => { if (r.method === "PUT") return "alive"; try { ${code}; return "no error" } catch (e) { return e.name } }` });
    seen[name] = [g.http().body, g.http({ method: "PUT" }).body, g.http().body];
  }
  parentPort.postMessage(seen);
} else {
  test("runaway recursion is a RangeError and the isolate lives on", { skip: !isBuilt && "LIMPET_ENGINE_WASM is not set" }, async () => {
    const worker = new Worker(new URL(import.meta.url), { workerData: cases, resourceLimits: { stackSizeMb: 64 } });
    const seen = await new Promise((ok, no) => worker.once("message", ok).once("error", no));
    for (const name of Object.keys(cases)) assert.deepEqual(seen[name], ['"RangeError"', '"alive"', '"RangeError"'], name);
  });
}
