// SPDX-License-Identifier: Apache-2.0
//
// A durable execution as the host sees it, small: records what main code of a workflow learns from outside,
// and plays it back. Live, the world is deterministic too: ops complete when the virtual clock reaches them.
// A program is run live, then replayed from every prefix of its journal; all must end alike, with the same
// calls in the same order.
import assert from "node:assert/strict";
import { ERR, Guest, OpError, startWorkflow, Writer } from "./harness.mjs";

const OWN = 0x80000000; // numbers of ops in scopes
const RUN = 0xffff;

const syncOps = ["random", "env_get", "env_list", "child_start", "signal", "child_cancel", "progress", "sql_exec", "sql_transaction"];

export class Execution {
  /** Options: source, input, journal (records to play first), world (see below), guest (more for Guest).
   *  world: fetch({method, url, scope, ...}) → {status, body, ms} | {err, message, ms}; signals: [{at, name, data}];
   *  children: (workflow, input) → {output, ms} | {err, error, ms}; cancelAt: ms; batchMs: what happens in so
   *  many milliseconds arrives together. */
  constructor(options) {
    this.options = options;
    this.world = options.world ?? {};
    this.journal = [...(options.journal ?? [])];
    this.done = new Map(); // id → record
    this.attempts = new Map(); // id → failed ones
    for (const record of this.journal) this.#index(record);
    this.at = 0; // of the next record to play
    this.started = options.started ?? 1700000000000;
    this.now = this.started; // of the code
    this.time = this.started; // of the world
    this.calls = new Map(); // main: id → {name, args, ...}
    this.lastId = 0;
    this.lastOwn = OWN;
    this.lastScope = 0;
    this.scopes = new Map(); // scope → id of the step
    this.timers = []; // {at, seq, fire}
    this.seq = 0;
    this.arrived = []; // deliveries, live
    this.trace = []; // what main code called
    this.bodies = []; // [step, attempt] that ran
    this.scoped = []; // [name, scope, args] of ops in scopes
    this.published = [];
    this.signals = [...(this.world.signals ?? [])].map((s) => ({ ...s, isSent: false }));
    this.inbox = [];
    const ops = {};
    for (const name of ["log", "clock", "timer", "cancel", "fetch", "next", "step", "step_done", "event_wait", "child_result", "respond_value", ...syncOps])
      ops[name] = function (values) {
        return execution.#op(this, name, values);
      };
    const execution = this;
    this.guest = new Guest({ name: "shop", source: options.source, ops, env: { HOME: "x" }, ...options.guest });
  }

  get isLive() {
    return this.at >= this.journal.length;
  }

  #op(guest, name, values) {
    const scope = guest.scope;
    if (guest.loading) return guest[`op_${name}`]?.(values);
    if (syncOps.includes(name) && scope === 0) return this.#sync(guest, name, values);
    if (this[name]) return this[name](guest, values, scope);
    this.scoped.push([name, scope, values]);
    if (name === "progress") return void this.published.push([scope, values.json]);
    return guest[`op_${name}`](values);
  }

  #diverged(did) {
    const was = this.journal[this.at];
    throw new OpError(ERR.DIVERGED, `record ${this.at} was ${was ? was.what : "the end"}, and the code did ${did}`);
  }

  #sync(guest, name, values) {
    const what = name + JSON.stringify(values);
    this.trace.push(what);
    if (!this.isLive) {
      const record = this.journal[this.at];
      if (record.kind !== "sync" || record.what !== what) this.#diverged(what);
      this.at++;
      return record.result;
    }
    let result;
    if (name === "child_start") {
      result = Buffer.from(`child-${this.journal.length}`);
      (this.children ??= new Map()).set(String(result), { workflow: values.workflow, input: values.input });
    } else if (name === "progress") this.published.push([0, values.json]);
    else if (name === "signal" || name === "child_cancel") (this.effects ??= []).push([name, values]);
    else result = guest[`op_${name}`](values);
    this.#record({ kind: "sync", what, result });
    return result;
  }

  #record(record) {
    this.journal.push(record);
    this.at = this.journal.length;
    this.#index(record);
  }

  #index(record) {
    if (record.kind === "done") this.done.set(record.id, record);
    if (record.kind === "attempt") this.attempts.set(record.id, (this.attempts.get(record.id) ?? 0) + 1);
  }

  /** A main call: the same number on each run. Live ones that have no completion yet are started later. */
  #call(name, values, more = {}) {
    const id = ++this.lastId;
    const what = name + JSON.stringify(values);
    this.trace.push(`${id} ${what}`);
    const done = this.done.get(id);
    if (done && done.what !== what) this.#diverged(what);
    const call = { id, name, values, what, at: this.now, ...more };
    this.calls.set(id, call);
    if (this.isLive) this.#start(call);
    return call;
  }

  #after(at, fire) {
    this.timers.push({ at, seq: this.seq++, fire });
  }

  #arrive(call, status, payload) {
    if (call.isArrived) return;
    call.isArrived = true;
    this.arrived.push({ kind: "done", id: call.id, what: call.what, status, payload });
  }

  #start(call) {
    if (call.isStarted || call.isArrived) return;
    call.isStarted = true;
    const { name, values } = call;
    if (name === "timer") this.#after(call.at + values.delay_ms, () => this.#arrive(call, 0, Buffer.alloc(0)));
    else if (name === "fetch") {
      const { ms = 10, err, message = "", ...answer } = this.world.fetch?.(values) ?? { status: 200, body: "ok" };
      this.#after(this.time + ms, () => (err ? this.#arrive(call, err, Buffer.from(message)) : this.#arrive(call, 0, fetchPayload(values, answer))));
    } else if (name === "event_wait") {
      if (values.timeout_ms >= 0) this.#after(call.at + values.timeout_ms, () => this.#arrive(call, ERR.TIMEOUT, Buffer.from(`no event "${values.name}" in time`)));
      this.#match();
    } else if (name === "child_result") {
      const child = this.children?.get(values.execution);
      const { ms = 20, output, err, error } = this.world.child?.(child) ?? { output: child };
      this.#after(this.time + ms, () => this.#arrive(call, err ?? 0, Buffer.from(JSON.stringify(err ? error : output) ?? "null")));
    } else if (name === "step") this.#attempt(call, false);
  }

  #match() {
    for (const signal of this.inbox) {
      const call = [...this.calls.values()].find((c) => c.name === "event_wait" && !c.isArrived && c.values.name === signal.name);
      if (!call || signal.isTaken) continue;
      signal.isTaken = true;
      call.signal = signal;
      this.#arrive(call, 0, new Writer().f64(signal.sentAt).lstr(JSON.stringify(signal.data ?? null)).done());
    }
    this.inbox = this.inbox.filter((s) => !s.isTaken);
  }

  /** The scope of the next attempt. isNow: the body runs inside the call of step(). */
  #attempt(call, isNow) {
    call.attempt = (call.attempt ?? this.#failures(call.id)) + 1;
    const scope = ++this.lastScope;
    this.scopes.set(scope, call);
    call.scope = scope;
    this.bodies.push([call.values.name, call.attempt]);
    if (call.values.timeout_ms > 0) this.#after(this.time + call.values.timeout_ms, () => this.#attemptOver(call, scope));
    if (!isNow) this.arrived.push({ kind: "run", id: call.id, scope, attempt: call.attempt });
    return scope;
  }

  #failures(id) {
    return this.attempts.get(id) ?? 0;
  }

  #attemptOver(call, scope) {
    if (this.scopes.get(scope) !== call) return;
    this.scopes.delete(scope);
    for (const [number, op] of this.guest.pending) if (op.scope === scope) this.guest.complete(number, ERR.CANCELLED, "the step's attempt is over");
    this.#failed(call, ERR.TIMEOUT, false, Buffer.from(`step "${call.values.name}" took too long`));
  }

  #failed(call, status, isFinal, payload) {
    const { attempts_max, delay_ms, factor, delay_max_ms } = call.values;
    if (isFinal || (attempts_max && call.attempt >= attempts_max)) return this.#arrive(call, status, payload);
    this.#record({ kind: "attempt", id: call.id, what: "attempt" });
    const delay = Math.min(delay_max_ms, factor ? delay_ms * factor ** (call.attempt - 1) : delay_ms * call.attempt);
    this.#after(this.time + delay, () => call.isArrived || this.#attempt(call, false));
  }

  // --- ops ------------------------------------------------------------------------------------------

  log(guest, { level, text }, scope) {
    if (scope === 0) this.trace.push(`log ${level} ${text}`);
    guest.logs.push([level, text, scope]);
  }
  clock(guest, { which }, scope) {
    const now = scope ? this.time : this.now;
    return new Writer().f64(which ? now - this.started : now).done();
  }
  step(guest, values, scope) {
    assert.equal(scope, 0);
    const isLive = this.isLive;
    const id = this.lastId + 1;
    const hasEnded = this.done.has(id) || this.attempts.has(id);
    const call = isLive && !hasEnded ? this.#callStep(values) : this.#call("step", values);
    return new Writer().u32(call.id).u32(call.isNow ? call.scope : 0).done();
  }
  #callStep(values) {
    const call = this.#call("step", values, { isStarted: true, isNow: true });
    this.#attempt(call, true);
    return call;
  }
  step_done(guest, { scope, failed, value, message }, callScope) {
    assert.equal(callScope, 0);
    const call = this.scopes.get(scope);
    if (!call) return;
    this.scopes.delete(scope);
    call.message = message;
    if (failed) this.#failed(call, ERR.GUEST, failed === 2, value);
    else this.#arrive(call, 0, value);
  }
  timer(guest, values, scope) {
    if (scope === 0) return new Writer().u32(this.#call("timer", values).id).done();
    const number = this.#own(guest, "timer", values, scope);
    this.#after(this.time + values.delay_ms, () => guest.pending.has(number) && guest.complete(number));
    return new Writer().u32(number).done();
  }
  #own(guest, name, values, scope) {
    this.scoped.push([name, scope, values]);
    const number = ++this.lastOwn;
    guest.pending.set(number, { name, args: values, scope });
    return number;
  }
  fetch(guest, values, scope) {
    if (scope === 0) {
      assert.notEqual(values.body_kind, 2, "no streams in the recorded part");
      return new Writer().u32(this.#call("fetch", { ...values, headers: values.headers.toString("latin1"), body: values.body.toString() }).id).u32(0).done();
    }
    const number = this.#own(guest, "fetch", values, scope);
    const { ms = 10, err, message = "", ...answer } = this.world.fetch?.({ ...values, scope }) ?? { status: 200, body: "ok" };
    this.#after(this.time + ms, () => guest.pending.has(number) && (err ? guest.complete(number, err, message) : guest.complete(number, 0, fetchPayload(values, answer))));
    return new Writer().u32(number).u32(values.body_kind === 2 ? guest.sink(0) : 0).done();
  }
  event_wait(guest, values, scope) {
    assert.equal(scope, 0);
    return new Writer().u32(this.#call("event_wait", values).id).done();
  }
  child_result(guest, values, scope) {
    assert.equal(scope, 0);
    return new Writer().u32(this.#call("child_result", values).id).done();
  }
  cancel(guest, { op }, scope) {
    if (op < OWN) {
      this.trace.push(`cancel ${op}`);
      const call = this.calls.get(op);
      if (call && !call.isDelivered && !call.isGone) {
        this.#takeBack(call);
        call.isArrived = call.isGone = true;
        (this.givenUp ??= []).push(op);
      }
      return;
    }
    this.scoped.push(["cancel", scope, { op }]);
    if (guest.pending.has(op)) guest.complete(op, ERR.CANCELLED, "cancelled");
  }
  /** A signal on its way to a wait that is given up goes to the next one, or stays. */
  #takeBack(call) {
    const arrived = this.arrived.find((a) => a.kind === "done" && a.id === call.id);
    this.arrived = this.arrived.filter((a) => a !== arrived);
    if (!arrived || !call.signal || arrived.status) return;
    call.signal.isTaken = false;
    call.isArrived = true;
    this.inbox = [call.signal, ...this.inbox].sort((a, b) => a.sentAt - b.sentAt);
    this.#match();
  }
  respond_value(guest, values) {
    this.trace.push(`answer ${values.json}`);
    guest.answers.set(values.dispatch, { json: values.json });
  }

  next(guest, _, scope) {
    assert.equal(scope, 0);
    if (this.givenUp?.length) return new Writer().u32(this.givenUp.shift()).u32(ERR.CANCELLED).raw("cancelled").done();
    while (this.at < this.journal.length && this.journal[this.at].kind === "attempt") this.at++;
    if (this.at < this.journal.length) {
      const record = this.journal[this.at];
      if (record.kind === "sync") this.#diverged("nothing");
      this.at++;
      return this.#deliver(record);
    }
    if (!this.hasGoneLive) {
      this.hasGoneLive = true;
      this.time = Math.max(this.time, this.now);
      for (const call of this.calls.values()) this.#start(call);
    }
    const next = this.arrived.shift();
    if (!next) return;
    if (next.kind === "run") return new Writer().u32(next.id).u32(RUN).u32(next.scope).u32(next.attempt).done();
    if (next.kind === "done" && this.calls.get(next.id)?.isGone) return this.next(guest, _, 0);
    const record = { ...next, at: Math.max(this.now, this.time) };
    this.#record(record);
    return this.#deliver(record);
  }

  #deliver(record) {
    this.now = record.at;
    this.time = Math.max(this.time, this.now);
    if (record.kind === "cancel") {
      this.trace.push("cancelled");
      this.givenUp = [];
      for (const call of this.calls.values()) {
        if (call.isDelivered) continue;
        call.isArrived = call.isGone = true;
        this.givenUp.push(call.id);
        if (call.scope && this.scopes.get(call.scope) === call) this.scopes.delete(call.scope);
      }
      return new Writer().u32(0).u32(0).done();
    }
    const call = this.calls.get(record.id);
    if (!call || call.what !== record.what) this.#diverged(call ? call.what : "nothing");
    call.isArrived = call.isDelivered = true;
    this.trace.push(`done ${record.id}`);
    return new Writer().u32(record.id).u32(record.status).raw(record.payload).done();
  }

  // --- running --------------------------------------------------------------------------------------

  /** Runs to the end, or until nothing is left that could happen, or until `until` says so. */
  run(until = () => false) {
    const { input, exported, metadata } = this.options;
    const { id } = startWorkflow(this.guest, { input, exported, metadata, started: this.started });
    this.id = id;
    while (!this.guest.answers.has(id) && !until(this)) {
      const end = this.time + (this.world.batchMs ?? 0);
      if (!this.#advance(Infinity)) break;
      while (this.#advance(end));
      this.guest.run();
    }
    this.answer = this.guest.answers.get(id);
    return this;
  }

  /** The next thing that happens in the world, if it does until then; false: nothing will. */
  #advance(until) {
    const cancel = this.world.cancelAt !== undefined && !this.hasCancelled ? this.started + this.world.cancelAt : Infinity;
    const signal = this.signals.find((s) => !s.isSent);
    const signalAt = signal ? this.started + signal.at : Infinity;
    this.timers.sort((a, b) => a.at - b.at || a.seq - b.seq);
    const at = Math.min(cancel, signalAt, this.timers[0]?.at ?? Infinity);
    if (at === Infinity || at > until) return false;
    this.time = Math.max(this.time, at);
    if (at === cancel) {
      this.hasCancelled = true;
      this.arrived = [{ kind: "cancel", what: "cancel" }];
    } else if (at === signalAt) {
      signal.isSent = true;
      this.inbox.push({ ...signal, sentAt: this.time });
      this.#match();
    } else this.timers.shift().fire();
    return true;
  }

  get output() {
    if (!this.answer) throw new Error(`no answer; ${JSON.stringify(this.trace)} ${JSON.stringify(this.guest.logs)}`);
    if (this.answer.fail) throw Object.assign(new Error(`${this.answer.fail.name}: ${this.answer.fail.message}\n${this.answer.fail.stack}`), { fail: this.answer.fail });
    return JSON.parse(this.answer.json);
  }
}

function fetchPayload(values, { status = 200, statusText = "OK", headers = [], body = "" }) {
  return new Writer().u32(status).u32(0).u32(0).lstr(values.url).lstr(statusText).headers(headers).lstr(body).done();
}

/** Wraps the body of a workflow. */
export const module = (body, more = "") => `import * as limpet from "limpet";
const { workflow, step, sleep, sleepUntil, waitForEvent, startChild, now, progress, sql, CancelledError, TimeoutError, NonRetryableError } = limpet;
${more}
export default workflow(async (input, run) => { ${body} });`;

/** Runs live, then replays the whole journal: the bodies of finished steps must not run again, and main code must do
 *  the same. Then from prefixes of the journal, which go live in the middle (prefixes: false leaves that out).
 *  isTimed: what it answers depends on the clock or on chance, so only whole replays answer alike. Returns the live
 *  execution. */
export function check(source, options = {}) {
  const make = (journal) => new Execution({ ...options, source, journal });
  const live = make([]).run();
  const replay = make(live.journal).run();
  assert.deepEqual(replay.trace, live.trace, "replay");
  assert.deepEqual(replay.answer, live.answer);
  assert.deepEqual(replay.bodies.filter(([name]) => live.journal.some((r) => r.kind === "done" && r.what.includes(JSON.stringify(name)))), []);
  if (options.prefixes === false) return live;
  const step = Math.max(1, Math.floor(live.journal.length / 12));
  for (let n = 0; n < live.journal.length; n += step) {
    const part = make(live.journal.slice(0, n));
    part.run();
    assert.deepEqual(part.answer?.fail?.name, live.answer?.fail?.name, `from ${n} records`);
    if (!options.isTimed) assert.deepEqual(part.answer, live.answer, `from ${n} records`);
  }
  return live;
}
