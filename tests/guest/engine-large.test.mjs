// SPDX-License-Identifier: Apache-2.0
// What is large passes between guest and host in pieces, or stays where it is until it is not needed any more.
import assert from "node:assert/strict";
import { createHash, createHmac } from "node:crypto";
import { test } from "node:test";
import { Guest, hasRuntime, isBuilt, Writer } from "./harness.mjs";

const options = { skip: !isBuilt || !hasRuntime };
const MIB = 1024 * 1024;
const PIECE = 512 * 1024;
const handler = (body) => `const handle = async (request, env, ctx) => { ${body} };\nexport default { fetch: handle };`;

test("a small answer is one op, and goes with it", options, () => {
  const guest = new Guest({ source: handler('return new Response("x".repeat(1024 * 1024))') });
  const before = guest.calls.length;
  const answer = guest.http();
  assert.deepEqual(guest.calls.slice(before), ["respond"]);
  assert.equal(answer.kind, 1);
  assert.equal(answer.bytes.length, MIB);
});

for (const [what, body, bytes] of [
  ["ASCII text", '"x".repeat(6e6)', Buffer.from("x".repeat(6e6))],
  ["text of two bytes a character", '"é".repeat(3e6)', Buffer.from("é".repeat(3e6))],
  ["wide text with a lone surrogate", '"日".repeat(2e6) + "\\ud800"', Buffer.from("日".repeat(2e6) + "\ufffd")],
  ["text made of many", 'Array.from({ length: 6e4 }, (_, i) => "0123456789".repeat(10)).reduce((a, b) => a + b)', Buffer.from("0123456789".repeat(6e5))],
  ["a typed array", "new Uint8Array(6e6).fill(7)", Buffer.alloc(6e6, 7)],
  ["a buffer", "new Uint8Array(6e6).fill(8).buffer", Buffer.alloc(6e6, 8)],
  ["a Blob", 'new Blob(["ab".repeat(1e6), new Uint8Array(4e6)])', Buffer.concat([Buffer.from("ab".repeat(1e6)), Buffer.alloc(4e6)])],
]) {
  test(`a large answer is lent: ${what}`, options, () => {
    const guest = new Guest({ source: handler(`return new Response(${body})`) });
    let seen;
    guest.overrides.respond = function (values) {
      seen = createHash("sha256").update(values.body).digest("hex");
      return this.op_respond(values);
    };
    const answer = guest.http();
    assert.equal(answer.kind, 3);
    assert.equal(seen, createHash("sha256").update(bytes).digest("hex"));
    assert.equal(guest.left, 0, "nothing is left when the bytes are given back");
  });
}

test("what was lent is kept, whatever becomes of the response, and freed when it is given back", options, () => {
  const guest = new Guest({ source: handler('const r = new Response("y".repeat(6e6)); globalThis.last = r; return r') });
  guest.overrides.respond = function (values) {
    return new Writer().u32(0).u32(this.lend("kept")).done();
  };
  const input = new Writer().u32(0).u32(0).i64(-1).lstr("GET").lstr("http://x.localhost/").lstr("e-1").headers([]).lstr("").done();
  const { left } = guest.dispatch(1, input);
  assert.equal(left, 1, "the dispatch is open while its answer is being sent");
  const [number] = guest.find("kept");
  guest.complete(number);
  assert.equal(guest.run(), 0);
});

test("the body of a fetch is lent until the host gives it back; then the request has none", options, async () => {
  const guest = new Guest({
    source: handler(`
      const sent = new Request("https://a.example/", { method: "POST", body: new Uint8Array(6e6).fill(1) });
      const answer = await fetch(sent);
      return Response.json([answer.status, sent.bodyUsed, await sent.text().catch((e) => e.name)])`),
  });
  let seen;
  guest.overrides.fetch = function (values) {
    seen = [values.body_kind, values.body.length, values.body[0], values.body[5999999]];
    return this.op_fetch(values);
  };
  guest.http();
  assert.deepEqual(seen, [3, 6e6, 1, 1]);
  guest.answerFetch({ status: 201 });
  guest.settle();
  assert.deepEqual(JSON.parse([...guest.answers.values()][0].body), [201, true, "TypeError"]);
});

test("digests and HMAC go in pieces", options, () => {
  const guest = new Guest({
    source: handler(`
      const hex = (b) => [...new Uint8Array(b)].map((x) => x.toString(16).padStart(2, "0")).join("");
      const data = new Uint8Array(3e6); for (let i = 0; i < data.length; i += 1000) data[i] = i / 1000;
      const key = await crypto.subtle.importKey("raw", new Uint8Array(200).fill(5), { name: "HMAC", hash: "SHA-384" }, false, ["sign", "verify"]);
      const mac = await crypto.subtle.sign("HMAC", key, data);
      return Response.json([
        hex(await crypto.subtle.digest("SHA-256", data)), hex(await crypto.subtle.digest("SHA-1", data.subarray(1, 524289))),
        hex(await crypto.subtle.digest("SHA-512", data.subarray(0, 524289))), hex(await crypto.subtle.digest("SHA-256", new Uint8Array(0))),
        hex(mac), await crypto.subtle.verify("HMAC", key, mac, data)])`),
  });
  const data = Buffer.alloc(3e6);
  for (let i = 0; i < data.length; i += 1000) data[i] = (i / 1000) & 255;
  const sha = (name, bytes) => createHash(name).update(bytes).digest("hex");
  assert.deepEqual(JSON.parse(guest.http().body), [
    sha("sha256", data), sha("sha1", data.subarray(1, PIECE + 1)), sha("sha512", data.subarray(0, PIECE + 1)), sha("sha256", ""),
    createHmac("sha384", Buffer.alloc(200, 5)).update(data).digest("hex"), true,
  ]);
  for (const [op, length] of guest.lengths) if (op === "digest") assert.ok(length <= PIECE, `${length} bytes in one call`);
});

test("chunks of a stream are written piece by piece, as the host takes them", options, () => {
  const guest = new Guest({
    source: handler(`return new Response(new ReadableStream({ start(c) {
      c.enqueue(new Uint8Array(1e6).fill(1)); const e = new TextEncoder(); c.enqueue(e.encode("é".repeat(4e5))); c.enqueue(e.encode("small")); c.close();
    } }))`),
  });
  let largest = 0;
  guest.overrides.stream_write = function (values) {
    largest = Math.max(largest, values.data.length);
    return this.op_stream_write(values);
  };
  const { sink } = guest.http();
  const sent = Buffer.concat(guest.sinks.get(sink).chunks);
  assert.ok(sent.equals(Buffer.concat([Buffer.alloc(1e6, 1), Buffer.from("é".repeat(4e5)), Buffer.from("small")])));
  assert.ok(guest.sinks.get(sink).ended && !guest.sinks.get(sink).failed);
  assert.ok(largest <= 256 * 1024, `${largest} bytes in one write`);
});

test("a chunk that is taken away while it is being sent fails the stream", options, () => {
  const guest = new Guest({
    source: handler(`const chunk = new Uint8Array(1e6); setTimeout(() => chunk.buffer.transfer(), 1);
      return new Response(new ReadableStream({ start(c) { c.enqueue(chunk); c.close(); } }))`),
  });
  const { sink } = guest.http();
  assert.ok(guest.sinks.get(sink).failed);
});

test("a large result is fetched in pieces", options, () => {
  const big = Buffer.alloc(3e6, "z");
  const guest = new Guest({
    source: 'import { exec } from "derp:runtime/sql";\n' + handler('const { v } = exec("SELECT v").one(); return Response.json([v.length, v[0], v.at(-1)])'),
    ops: { sql_exec: () => new Writer().u32(1).lstr("v").u32(1).u8(3).lstr(big).i64(0).i64(0).done() },
  });
  assert.deepEqual(JSON.parse(guest.http().body), [3e6, "z", "z"]);
});

test("10 MB through everything that stays in the guest", options, () => {
  const guest = new Guest({
    source: handler(`
      const N = 1e7, text = "x".repeat(N), json = JSON.stringify({ text }), bytes = new TextEncoder().encode(text);
      const form = new FormData(); form.set("f", new Blob([bytes]), "f.bin");
      return Response.json([
        JSON.parse(json).text.length, bytes.length, new TextDecoder().decode(bytes).length, atob(btoa(text)).length,
        structuredClone({ bytes }).bytes.length, (await (await new Response(form).formData()).get("f").arrayBuffer()).byteLength,
        (await new Response(text).text()).length, (await new Blob([text]).text()).length,
        encodeURIComponent(text).length, text.split("x").length])`),
  });
  const N = 1e7;
  assert.deepEqual(JSON.parse(guest.http().body), [N, N, N, N, N, N, N, N, N, N + 1]);
});
