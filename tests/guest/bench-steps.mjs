// SPDX-License-Identifier: Apache-2.0
//
// How much guest time a trivial step costs on replay: node tests/guest/bench-steps.mjs [STEPS]. The host is a
// few lines that answer STEP and NEXT from a constant, so nearly all of the time is the engine's, run by V8;
// the server's Wasmtime is about as fast. Not a test: it asserts nothing.
import { Guest, startWorkflow, Writer } from "./harness.mjs";

const steps = Number(process.argv[2] ?? 200_000);
const programs = {
  "await step(\"x\", () => 1)": `for (let i = 0; i < input; i++) await step("x", () => 1);`,
  "the same with options": `for (let i = 0; i < input; i++) await step("x", { retries: 3, timeout: "1 minute" }, () => 1);`,
  "await sleep(1)": `for (let i = 0; i < input; i++) await sleep(1);`,
  "await null (no op at all)": `for (let i = 0; i < input; i++) await null;`,
};

/** Replaces the host by one that only knows STEP, TIMER and NEXT. */
function lean(guest, value) {
  const { memory } = guest.x;
  let last = 0, isPending = false;
  return (code, args, ret) => {
    const view = new DataView(memory.buffer);
    if (code === 23) {
      if (!isPending) return 0;
      isPending = false;
      view.setUint32(ret, last, true);
      view.setUint32(ret + 4, 0, true);
      new Uint8Array(memory.buffer, ret + 8, value.length).set(value);
      return 8 + value.length;
    }
    if (code === 24 || code === 11) {
      isPending = true;
      view.setUint32(ret, ++last, true);
      view.setUint32(ret + 4, 0, true);
      return code === 24 ? 8 : 4;
    }
    return undefined;
  };
}

/** The bytes of the value 1, taken from a step that runs. */
function one() {
  let bytes;
  const ops = {
    step: () => new Writer().u32(1).u32(1).done(),
    step_done: ({ value }) => void (bytes = value),
    next: () => undefined,
  };
  startWorkflow(new Guest({ source: `import { workflow, step } from "limpet"; export default workflow(() => step("x", () => 1))`, ops }));
  return bytes;
}

const value = one();
for (const [name, body] of Object.entries(programs)) {
  const guest = new Guest({ source: `import { workflow, step, sleep } from "limpet"; export default workflow(async (input) => { ${body} })` });
  const op = lean(guest, name.includes("sleep") ? new Uint8Array(0) : value);
  guest.fast = (code, args, ret) => op(code, args, ret);
  const start = process.hrtime.bigint();
  startWorkflow(guest, { input: steps });
  const us = Number(process.hrtime.bigint() - start) / 1000 / steps;
  console.log(`${us.toFixed(2).padStart(6)} µs  ${name}`);
}
