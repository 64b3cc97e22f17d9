// SPDX-License-Identifier: Apache-2.0
//
// Runs engine.wasm under Node, as the host would: implements the imports of guest/abi.h, decodes ops by the
// layout in src/host/ops.def, and answers them with small stand-ins that a test may replace. The files are
// found through LIMPET_ENGINE_WASM and LIMPET_BUILTINS, which tools/test sets; without them the tests skip.
import { createHash, webcrypto } from "node:crypto";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { unpack } from "../../guest/pack.mjs";

const root = fileURLToPath(new URL("../../", import.meta.url));
const text = new TextEncoder();
const latin1 = (bytes) => Buffer.from(bytes).toString("latin1");
const utf8 = (bytes) => Buffer.from(bytes).toString("utf8");
/** Fields of type mem that hold text. */
const TEXTS = new Set(["text", "sql", "json", "name", "message", "stack", "input"]);

export const ERR = {};
const errorTable = readFileSync(root + "src/base/error.h", "utf8").match(/#define ERROR_TABLE[\s\S]*?\n\n/)[0];
for (const [, name] of errorTable.matchAll(/X\((\w+), "(\w+)"/g)) ERR[name] = Object.keys(ERR).length + 1;

const ops = new Map();
for (const [, code, name, number, reply, fields] of readFileSync(root + "src/host/ops.def", "utf8").matchAll(
  /^OP\((\w+), (\w+), (\d+), \w+, (\w+), \w+, \w+, \w+,\s*((?:[FLH]\([^)]*\)\s*|BLANK\s*)*)\)/gm,
))
  ops.set(Number(number), {
    code,
    name,
    reply,
    fields: [...fields.matchAll(/[FLH]\((\w+), (\w+)\)/g)].map(([, type, field]) => ({ type, field })),
  });

export class OpError extends Error {
  constructor(err, message) {
    super(message);
    this.err = err;
  }
}

// --- packed encodings ------------------------------------------------------------------------------

export class Writer {
  parts = [];
  u8(v) {
    this.parts.push(Buffer.from([v]));
    return this;
  }
  u32(v) {
    const b = Buffer.alloc(4);
    b.writeUInt32LE(v >>> 0);
    this.parts.push(b);
    return this;
  }
  i64(v) {
    const b = Buffer.alloc(8);
    b.writeBigInt64LE(BigInt(v));
    this.parts.push(b);
    return this;
  }
  f64(v) {
    const b = Buffer.alloc(8);
    b.writeDoubleLE(v);
    this.parts.push(b);
    return this;
  }
  raw(v) {
    this.parts.push(typeof v === "string" ? Buffer.from(v) : Buffer.from(v));
    return this;
  }
  lstr(v, encoding = "utf8") {
    const b = typeof v === "string" ? Buffer.from(v, encoding) : Buffer.from(v);
    return this.u32(b.length).raw(b);
  }
  headers(pairs) {
    this.u32(pairs.length);
    for (const [name, value] of pairs) this.lstr(name).lstr(value, "latin1");
    return this;
  }
  done() {
    return Buffer.concat(this.parts);
  }
}

export class Reader {
  at = 0;
  constructor(bytes) {
    this.b = Buffer.from(bytes);
  }
  u8() {
    return this.b[this.at++];
  }
  u32() {
    this.at += 4;
    return this.b.readUInt32LE(this.at - 4);
  }
  i64() {
    this.at += 8;
    return this.b.readBigInt64LE(this.at - 8);
  }
  f64() {
    this.at += 8;
    return this.b.readDoubleLE(this.at - 8);
  }
  lstr() {
    const n = this.u32();
    this.at += n;
    return this.b.subarray(this.at - n, this.at);
  }
  headers() {
    return Array.from({ length: this.u32() }, () => [latin1(this.lstr()), latin1(this.lstr())]);
  }
}

export function readSqlValue(r) {
  switch (r.u8()) {
    case 0:
      return null;
    case 1:
      return r.i64();
    case 2:
      return r.f64();
    case 3:
      return utf8(r.lstr());
    case 4:
      return new Uint8Array(r.lstr());
  }
}

export function urlRecord(url) {
  // Offsets by the layout of deps_url; enough for what the guest reads.
  const href = url.href;
  const scheme = url.protocol.length - 1;
  const auth = href.startsWith(url.protocol + "//") ? scheme + 3 : scheme + 1;
  const user = auth + url.username.length;
  const pass = url.password ? user + 1 + url.password.length : user;
  const host = url.username || url.password ? pass + 1 : pass;
  const hostEnd = host + url.hostname.length;
  const pathStart = hostEnd + (url.port ? url.port.length + 1 : 0);
  const pathEnd = pathStart + url.pathname.length;
  const query = href.indexOf("?", pathEnd);
  const hash = href.indexOf("#", pathEnd);
  const w = new Writer();
  for (const v of [scheme, auth, user, url.password ? user + 1 : user, pass, host, hostEnd, pathStart, pathEnd]) w.u32(v);
  w.u32(url.port ? Number(url.port) : -1);
  w.u32(query < 0 || (hash >= 0 && hash < query) ? -1 : query + 1).u32(hash < 0 ? -1 : hash + 1);
  return w.lstr(url.origin).lstr(href).done();
}

/** The platform's modules: name -> bytecode with a NUL behind it. */
let builtins;
function builtin(name) {
  builtins ??= new Map(unpack(readFileSync(builtinsPath)).map((m) => [m.name, Buffer.concat([m.text, Buffer.from([0])])]));
  return builtins.get(name);
}

const urlParts = ["protocol", "username", "password", "host", "hostname", "port", "pathname", "search", "hash"];

// --- the guest -------------------------------------------------------------------------------------

/** The engine with a limit of so many pages of 64 KiB, as the host sets one. */
function limited(bytes, pages) {
  const uleb = (v) => (v < 128 ? [v] : [(v & 127) | 128, ...uleb(v >>> 7)]);
  let at = 8;
  for (;;) {
    const id = bytes[at];
    let [n, shift, next] = [0, 0, at + 1];
    do {
      n |= (bytes[next] & 127) << shift;
      shift += 7;
    } while (bytes[next++] & 128);
    if (id === 5) {
      const initial = [...bytes.subarray(next + 2, next + n)]; // after the count and the flags
      const section = [1, 1, ...initial, ...uleb(pages)];
      return Buffer.concat([bytes.subarray(0, at), Buffer.from([5, ...uleb(section.length), ...section]), bytes.subarray(next + n)]);
    }
    at = next + n;
  }
}

let engineModule;
const enginePath = process.env.LIMPET_ENGINE_WASM;
const builtinsPath = process.env.LIMPET_BUILTINS;
export const isBuilt = Boolean(enginePath);
export const hasRuntime = Boolean(builtinsPath);

export class Guest {
  /** Options: source, name, env (object), ops (overrides by name), memoryPages (limit), runtime (false: not loaded). */
  constructor(options = {}) {
    engineModule ??= new WebAssembly.Module(readFileSync(enginePath));
    const module = options.memoryPages ? new WebAssembly.Module(limited(readFileSync(enginePath), options.memoryPages)) : engineModule;
    this.env = options.env ?? {};
    this.overrides = options.ops ?? {};
    this.logs = [];
    this.fails = [];
    this.calls = []; // names of all ops
    this.lengths = []; // of what lay in memory: [op, bytes]
    this.answers = new Map(); // dispatch -> what it answered
    this.sources = new Map(); // number -> array of chunks still to be read
    this.sinks = new Map(); // number -> {chunks, ended, failed, dispatch}
    this.pending = new Map(); // number -> {name, args}
    this.nextNumber = 1;
    this.nextDispatch = 1;
    this.loading = true;
    this.now = 1700000000000;
    this.result = Buffer.alloc(0);
    const wasi = (name) => () => {
      throw new Error(`wasi ${name} was called`);
    };
    this.instance = new WebAssembly.Instance(module, {
      limpet: {
        op: (code, args, ret, cap) => this.#op(code, args, ret, cap, false),
        op_wait: (code, args, ret, cap) => this.#op(code, args, ret, cap, true),
        result: (at, offset, len) => this.bytes(at, len).set(this.result.subarray(offset, offset + len)),
        result_len: () => this.result.length,
        wasm_call: wasi("wasm_call"),
      },
      wasi_snapshot_preview1: {
        clock_time_get: (id, precision, at) => {
          this.view().setBigUint64(at, BigInt(Math.round(this.now * 1e6)), true);
          return 0;
        },
        fd_write: (fd, iovs, count, at) => {
          let n = 0;
          for (let i = 0; i < count; i++) {
            const [ptr, len] = [this.view().getUint32(iovs + 8 * i, true), this.view().getUint32(iovs + 8 * i + 4, true)];
            this.logs.push([fd, utf8(this.bytes(ptr, len))]);
            n += len;
          }
          this.view().setUint32(at, n, true);
          return 0;
        },
        fd_close: wasi("fd_close"),
        fd_seek: wasi("fd_seek"),
        fd_fdstat_get: wasi("fd_fdstat_get"),
      },
    });
    this.x = this.instance.exports;
    this.x._initialize();
    const failed = this.x.limpet_boot();
    if (failed) throw new Error(`limpet_boot: ${failed}`);
    if (builtinsPath && options.runtime !== false) this.loadRuntime();
    if (options.source !== undefined && this.load(1, options.name ?? "test", options.source))
      throw Object.assign(new Error(`${this.fails[0].name}: ${this.fails[0].message}\n${this.fails[0].stack}`), { fail: this.fails[0] });
    this.loading = false;
  }

  view() {
    return new DataView(this.x.memory.buffer);
  }
  bytes(at, len) {
    return new Uint8Array(this.x.memory.buffer, at, len);
  }
  put(data) {
    const at = this.x.limpet_alloc(data.length);
    if (at === 0) throw new Error("limpet_alloc failed");
    this.bytes(at, data.length).set(data);
    return at;
  }

  loadRuntime() {
    if (this.load(0, "limpet:runtime", builtin("internal/runtime/main").subarray(0, -1))) throw new Error("runtime: " + JSON.stringify(this.fails));
  }
  /** The bytecode of a module. */
  compile(name, source) {
    const [at, size] = [this.put(Buffer.from(source + "\0")), this.put(Buffer.alloc(4))];
    const code = this.x.limpet_compile(this.put(Buffer.from(name + "\0")), at, Buffer.byteLength(source), size);
    return Buffer.from(this.bytes(code, this.view().getUint32(size, true)));
  }
  /** source: a text, or bytecode for kind 0. */
  load(kind, name, source) {
    const n = text.encode(name);
    const s = Buffer.concat([Buffer.from(source), Buffer.from([0])]);
    const [at, src] = [this.put(n), this.put(s)];
    const failed = this.x.limpet_load(kind, at, n.length, src, s.length - 1);
    this.x.limpet_free(at);
    this.x.limpet_free(src);
    return failed;
  }

  #op(code, args, ret, cap, isWait) {
    const quick = this.fast?.(code, args, ret); // for benchmarks
    if (quick !== undefined) return quick;
    this.scope = code >>> 16;
    const def = ops.get(code & 0xffff);
    const view = this.view();
    const values = {};
    def.fields.forEach(({ type, field }, i) => {
      const at = args + 8 * i;
      if (type === "u32") values[field] = view.getUint32(at, true);
      else if (type === "i64") values[field] = view.getBigInt64(at, true);
      else if (type === "f64") values[field] = view.getFloat64(at, true);
      else {
        const raw = Buffer.from(this.bytes(view.getUint32(at, true), view.getUint32(at + 4, true)));
        values[field] = type === "str" || (type === "mem" && (TEXTS.has(field) || def.name === "signal")) ? utf8(raw) : raw;
        if (type === "mem") this.lengths.push([def.name, raw.length]);
      }
    });
    this.calls.push(def.name);
    try {
      const own = this[`op_${def.name}`];
      const handler = this.overrides[def.name] ?? own;
      if (!handler) throw new OpError(ERR.INTERNAL, `no stand-in for op ${def.name}`);
      let answer = handler.call(this, values, isWait);
      if (def.reply === "ASYNC" && !isWait && !(answer instanceof Uint8Array)) {
        const number = this.nextNumber++;
        this.pending.set(number, { name: def.name, args: values, scope: this.scope, ...answer });
        answer = new Writer().u32(number).done();
        if (def.name === "fetch") {
          const { sink = 0, lent = 0 } = this.pending.get(number);
          answer = Buffer.concat([answer, new Writer().u32(sink).u32(lent).done()]);
        }
      }
      answer ??= Buffer.alloc(0);
      if (answer.length <= cap) this.bytes(ret, answer.length).set(answer);
      else this.result = answer;
      return answer.length;
    } catch (e) {
      if (!(e instanceof OpError)) throw e;
      this.result = Buffer.from(e.message);
      return -e.err;
    }
  }

  // --- stand-ins; an ASYNC one returns an object that is kept with the pending op -------------------

  op_log({ level, text }) {
    this.logs.push([level, text]);
  }
  op_clock() {
    return new Writer().f64(this.now).done();
  }
  op_random({ len }) {
    if (this.loading) throw new OpError(ERR.FORBIDDEN, "random values are not available in top-level code");
    return Buffer.from(webcrypto.getRandomValues(new Uint8Array(len)));
  }
  op_env_get({ name }) {
    return name in this.env ? new Writer().u32(1).raw(this.env[name]).done() : new Writer().u32(0).done();
  }
  op_env_list() {
    const names = Object.keys(this.env).sort();
    const w = new Writer().u32(names.length);
    for (const name of names) w.lstr(name).lstr(this.env[name]);
    return w.done();
  }
  op_builtin({ name }) {
    const code = builtin(name);
    if (!code) throw new OpError(ERR.NOT_FOUND, "there is no such module of Node.js here");
    return code;
  }
  op_url_parse({ input, base }) {
    let url;
    try {
      url = new URL(input, base || undefined);
    } catch {
      throw new OpError(ERR.INVALID, "not a URL");
    }
    return urlRecord(url);
  }
  op_url_set({ href, part, value }) {
    const url = new URL(href);
    url[urlParts[part]] = value;
    return urlRecord(url);
  }
  op_seed() {
    return Buffer.from(this.seed ?? "12345678");
  }
  op_stack_map({ stack }) {
    return Buffer.from(stack.split("\n").filter((line) => !line.includes("limpet:runtime:")).join("\n"));
  }
  op_digest({ algorithm, data, is_more }) {
    this.hash ??= createHash("sha" + algorithm);
    this.hash.update(data);
    if (is_more) return;
    const digest = this.hash.digest();
    this.hash = undefined;
    return digest;
  }
  op_text_encoding({ label }) {
    try {
      return text.encode(new TextDecoder(label).encoding);
    } catch {
      throw new OpError(ERR.NOT_FOUND, "no encoding has this label");
    }
  }
  op_text_decoder({ label, fatal }) {
    const number = this.nextNumber++;
    (this.texts ??= new Map()).set(number, new TextDecoder(label, { fatal: Boolean(fatal) }));
    return new Writer().u32(number).done();
  }
  op_codec_run({ codec, data, is_last }) {
    try {
      const out = this.texts.get(codec).decode(data, { stream: !is_last });
      return new Writer().u32(data.length).u32(is_last).raw(out).done();
    } catch (e) {
      this.texts.delete(codec);
      throw new OpError(ERR.INVALID, e.message);
    }
  }
  op_codec_end({ codec }) {
    this.texts?.delete(codec);
  }
  op_timer() {}
  op_cancel({ op }) {
    if (this.pending.has(op)) this.complete(op, ERR.CANCELLED, "cancelled");
  }
  op_fetch({ body_kind }) {
    if (body_kind === 3) return { lent: this.lend("lent") };
    return body_kind === 2 ? { sink: this.sink(0) } : {};
  }
  op_stream_read({ source }) {
    const chunks = this.sources.get(source);
    if (!chunks) throw new OpError(ERR.INVALID, `no source ${source}`);
  }
  op_stream_write({ sink, data }) {
    const s = this.sinks.get(sink);
    if (!s || s.ended) throw new OpError(ERR.INVALID, `no sink ${sink}`);
    s.chunks.push(data);
  }
  op_stream_end({ sink, failed }) {
    Object.assign(this.sinks.get(sink), { ended: true, failed: Boolean(failed) });
  }
  op_stream_close({ source }) {
    this.sources.delete(source);
  }
  op_stream_pipe() {}
  /** A pending op that a test completes when it has done with what the guest lends. */
  lend(name) {
    const number = this.nextNumber++;
    this.pending.set(number, { name, args: {}, scope: this.scope });
    return number;
  }
  op_respond({ dispatch, status, headers, body_kind, body, source }) {
    if (this.answers.has(dispatch)) throw new OpError(ERR.CONFLICT, "answered already");
    const sink = body_kind === 2 ? this.sink(dispatch) : 0;
    this.answers.set(dispatch, {
      status,
      headers: new Reader(headers).headers(),
      body: body_kind === 1 || body_kind === 3 ? utf8(body) : undefined,
      kind: body_kind,
      bytes: body,
      sink,
      source,
    });
    return new Writer().u32(sink).u32(body_kind === 3 ? this.lend("lent_answer") : 0).done();
  }
  op_respond_value({ dispatch, json }) {
    if (this.answers.has(dispatch)) throw new OpError(ERR.CONFLICT, "answered already");
    this.answers.set(dispatch, { json });
  }
  op_fail({ dispatch, name, message, stack }) {
    const fail = { name, message, stack };
    this.fails.push(fail);
    if (dispatch) {
      if (this.answers.has(dispatch)) throw new OpError(ERR.CONFLICT, "answered already");
      this.answers.set(dispatch, { fail });
    }
  }
  op_loaded({ exports, workflows }) {
    this.exports = exports;
    this.workflows = workflows;
  }

  // --- the host's side --------------------------------------------------------------------------------

  source(chunks) {
    const number = this.nextNumber++;
    this.sources.set(number, chunks.map((c) => Buffer.from(c)));
    return number;
  }
  sink(dispatch) {
    const number = this.nextNumber++;
    this.sinks.set(number, { chunks: [], ended: false, failed: false, dispatch });
    return number;
  }
  sinkText(number) {
    return Buffer.concat(this.sinks.get(number).chunks).toString();
  }

  complete(op, status = 0, payload = "") {
    this.pending.delete(op);
    const data = Buffer.from(payload);
    this.x.limpet_complete(op, status, data.length ? this.put(data) : 0, data.length);
  }
  /** The first pending op of that name: [number, entry]. */
  find(name) {
    return [...this.pending].find(([, p]) => p.name === name);
  }
  /** Completes what stand-ins can complete (timers, reads, writes, pipes) until nothing is left but fetches. */
  settle(left = 1) {
    for (;;) {
      const next = [...this.pending].find(([, p]) => p.name !== "fetch");
      if (!next) return left;
      const [number, { name, args }] = next;
      if (name === "stream_read") {
        const chunks = this.sources.get(args.source) ?? [];
        const chunk = chunks.shift();
        this.complete(number, 0, chunk ?? "");
      } else if (name === "stream_pipe") {
        const s = this.sinks.get(args.sink);
        s.chunks.push(...this.sources.get(args.source));
        s.ended = true;
        this.complete(number);
      } else this.complete(number);
      left = this.x.limpet_run();
    }
  }
  answerFetch({ status = 200, statusText = "OK", headers = [], body = "", source = 0, url, redirected = false } = {}) {
    const [number, { args }] = this.find("fetch");
    this.complete(
      number,
      0,
      new Writer().u32(status).u32(source).u32(redirected ? 1 : 0).lstr(url ?? args.url).lstr(statusText).headers(headers).lstr(body).done(),
    );
    return this.x.limpet_run();
  }
  run() {
    return this.x.limpet_run();
  }

  httpInput({ method = "GET", url = "http://test.localhost/", headers = [], body, source, execution = "e-1" } = {}) {
    const flags = body !== undefined ? 3 : source ? 1 : 0;
    const w = new Writer().u32(flags).u32(source ?? 0);
    w.i64(body !== undefined ? Buffer.byteLength(body) : source ? -1 : 0);
    w.lstr(method).lstr(url).lstr(execution).headers(headers);
    return w.lstr(body ?? "").done();
  }
  /** Starts a dispatch; returns {id, left}. The answer appears in answers. */
  dispatch(kind, input) {
    const id = this.nextDispatch++;
    const head = this.x.limpet_head();
    let at = head;
    if (input.length > 16384) at = this.put(input);
    else this.bytes(head, input.length).set(input);
    this.last = { id, left: this.x.limpet_dispatch(id, kind, at, input.length) };
    return this.last;
  }
  http(request) {
    const { id, left } = this.dispatch(1, this.httpInput(request));
    this.left = this.settle(left);
    return this.answers.get(id);
  }
  execute(body, metadata, name = "test") {
    const w = new Writer().lstr(name).lstr("e-2").lstr(body === undefined ? "" : JSON.stringify(body));
    w.lstr(metadata === undefined ? "" : JSON.stringify(metadata));
    const { id, left } = this.dispatch(2, w.done());
    this.left = this.settle(left);
    return this.answers.get(id);
  }
  setup(name = "test") {
    const { id, left } = this.dispatch(3, new Writer().lstr(name).lstr("e-3").done());
    this.left = this.settle(left);
    return this.answers.get(id);
  }
}

/** Dispatches a workflow; `guest` has the ops of a durable execution. */
export function startWorkflow(guest, { input, metadata, name = "shop", id = "x-1", exported = "", started = guest.now, key = "" } = {}) {
  const json = (value) => (value === undefined ? "" : JSON.stringify(value));
  const w = new Writer().lstr(name).lstr(id).lstr(exported).lstr(json(input)).lstr(json(metadata)).i64(started).lstr(key);
  return guest.dispatch(4, w.done());
}

/** Evaluates an expression (which may await) in a handler and returns its JSON value. */
export function evaluate(expression, options = {}) {
  const guest = new Guest({ ...options, source: `export default async (request, env, ctx) => { ${/\breturn\b/.test(expression) ? expression : `return (${expression})`} }` });
  const answer = guest.http(options.request);
  if (!answer) throw new Error("no answer; pending: " + JSON.stringify([...guest.pending.values()].map((p) => p.name)) + JSON.stringify(guest.logs));
  if (answer.fail) throw Object.assign(new Error(`${answer.fail.name}: ${answer.fail.message}\n${answer.fail.stack}`), { fail: answer.fail });
  return JSON.parse(answer.body);
}
