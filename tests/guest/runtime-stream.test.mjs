// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { load, nativeStandIn } from "./runtime-load.mjs";

const native = nativeStandIn();
const streams = await load(native, "stream", "encoding-stream");
const {
    isStream, streamFromBytes, streamFromSource, streamReadAll, streamState, streamTakeSource,
    streamToSink, TextDecoderStream, TextEncoderStream,
} = streams;
const ReadableStream = streamFromBytes(new Uint8Array()).constructor;

/** Sources of the host: number -> chunks that are still to come. */
const sources = new Map();
let reads = 0;
native.streamRead = async (source) => {
    reads++;
    const chunk = sources.get(source).shift();
    if (chunk instanceof Error) {
        throw chunk;
    }
    return chunk === undefined ? undefined : new TextEncoder().encode(chunk);
};
function source(number, ...chunks) {
    sources.set(number, chunks);
    return streamFromSource(number);
}
const text = (bytes) => new TextDecoder().decode(bytes);

test("a source is read only when somebody reads, and to its end", async () => {
    reads = 0;
    const stream = source(1, "one", "two");
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(reads, 0);
    const reader = stream.getReader();
    assert.equal(text((await reader.read()).value), "one");
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(reads, 1);
    assert.equal(text((await reader.read()).value), "two");
    assert.deepEqual(await reader.read(), { done: true, value: undefined });
    await reader.closed;
});

test("an untouched source can be taken, once; a touched one cannot", async () => {
    const stream = source(7, "x");
    assert.equal(streamState(stream), 0);
    assert.equal(streamTakeSource(stream), 7);
    assert.equal(streamTakeSource(stream), 0);
    assert.equal(streamState(stream), 3);
    assert.ok(stream.locked);
    const locked = source(8, "x");
    const reader = locked.getReader();
    assert.equal(streamState(locked), 2);
    assert.equal(streamTakeSource(locked), 0);
    await reader.read();
    reader.releaseLock();
    assert.equal(streamState(locked), 1);
    assert.equal(streamTakeSource(locked), 0);
    assert.equal(streamTakeSource(new ReadableStream()), 0);
    assert.ok(isStream(stream) && !isStream({}) && !isStream(null));
});

test("cancel gives the source up; a failing source fails the reader", async () => {
    await source(9, "x").cancel("enough");
    assert.deepEqual(native.calls.closed.splice(0), [9]);
    const failing = source(10, "x", new Error("connection lost"));
    const reader = failing.getReader();
    await reader.read();
    await assert.rejects(reader.read(), /connection lost/);
    await assert.rejects(streamReadAll(source(11, "x", new Error("lost"))), /lost/);
});

test("a byte reader fills the caller's buffer", async () => {
    const reader = source(12, "hello world").getReader({ mode: "byob" });
    const first = await reader.read(new Uint8Array(5));
    assert.equal(text(first.value), "hello");
    const rest = await reader.read(new Uint8Array(100));
    assert.equal(text(rest.value), " world");
    assert.equal((await reader.read(new Uint8Array(1))).done, true);
});

test("iteration, tee, pipeThrough and from", async () => {
    const seen = [];
    for await (const chunk of source(13, "a", "b")) {
        seen.push(text(chunk));
    }
    assert.deepEqual(seen, ["a", "b"]);
    const [left, right] = source(14, "x", "y").tee();
    assert.equal(text(await streamReadAll(left)), "xy");
    assert.equal(text(await streamReadAll(right)), "xy");
    const upper = new TransformStream({
        transform: (chunk, controller) => controller.enqueue(chunk.toUpperCase()),
    });
    assert.ok(upper); // Node's; ours is used below, through the coders
    for await (const _ of source(15, "a", "b")) {
        break;
    }
    assert.deepEqual(native.calls.closed.splice(0), [15]);
    const from = ReadableStream.from((async function* () {
        yield new Uint8Array([0x71]);
        yield new Uint8Array([0x72]);
    })());
    assert.equal(text(await streamReadAll(from)), "qr");
});

test("streamReadAll of sources, bytes, and what is no body", async () => {
    reads = 0;
    assert.equal(text(await streamReadAll(source(16, "ab", "cd"))), "abcd");
    assert.equal(reads, 3);
    assert.equal((await streamReadAll(source(17))).length, 0);
    const bytes = new Uint8Array([1, 2, 3]);
    assert.deepEqual([...await streamReadAll(streamFromBytes(bytes))], [1, 2, 3]);
    assert.equal(bytes.length, 3); // not detached
    assert.equal((await streamReadAll(streamFromBytes(new Uint8Array()))).length, 0);
    await assert.rejects(streamReadAll(ReadableStream.from([1])), { name: "TypeError" });
});

test("streamToSink waits for the sink, skips empty chunks, and cancels on failure", async () => {
    const written = [];
    let release;
    native.streamWrite = (sink, chunk) => {
        written.push(typeof chunk === "string" ? chunk : text(chunk));
        return new Promise((resolve) => {
            release = resolve;
        });
    };
    let pulls = 0;
    const stream = new ReadableStream({
        pull(controller) {
            controller.enqueue(new TextEncoder().encode(["a", "", "b"][pulls++]));
            if (pulls === 3) {
                controller.close();
            }
        },
    }, { highWaterMark: 0 });
    const done = streamToSink(stream, 5);
    await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual([written, pulls], [["a"], 1]);
    release();
    await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual([written, pulls], [["a", "b"], 3]);
    release();
    await done;

    let reason;
    const cancelled = (chunk) => new ReadableStream({
        start: (controller) => controller.enqueue(chunk),
        cancel(r) {
            reason = r;
        },
    });
    await assert.rejects(streamToSink(cancelled(42), 5), /must be Uint8Array, but one is a number/);
    assert.equal(reason.name, "TypeError");
    await assert.rejects(streamToSink(cancelled(null), 5), /but one is null/);
    await assert.rejects(streamToSink(cancelled("x"), 5), /but one is a string; put a TextEncoderStream in between/);
    await assert.rejects(streamToSink(cancelled(new ArrayBuffer(1)), 5), /but one is ArrayBuffer/);
    native.streamWrite = async () => {
        throw new Error("client left");
    };
    await assert.rejects(streamToSink(cancelled(new Uint8Array(1)), 5), /client left/);
    assert.equal(reason.message, "client left");
    native.streamWrite = async () => {};
    const failing = new ReadableStream({
        pull() {
            throw new Error("source broke");
        },
    });
    await assert.rejects(streamToSink(failing, 5), /source broke/);
});

test("text coders keep characters that are cut in two", async () => {
    const encoder = new TextEncoderStream();
    const writer = encoder.writable.getWriter();
    writer.write("a\ud83d");
    writer.write("\udca9b");
    writer.write("\ud83d");
    writer.close();
    assert.equal(text(await streamReadAll(encoder.readable)), "a💩b\ufffd");
    const bytes = new TextEncoder().encode("ä💩");
    const decoded = ReadableStream.from([...bytes].map((b) => Uint8Array.of(b)))
        .pipeThrough(new TextDecoderStream());
    const seen = [];
    for await (const chunk of decoded) {
        seen.push(chunk);
    }
    assert.deepEqual(seen, ["ä", "💩"]);
    const fatal = ReadableStream.from([Uint8Array.of(0xff)])
        .pipeThrough(new TextDecoderStream("utf-8", { fatal: true }));
    await assert.rejects(streamReadAll(fatal), TypeError);
    assert.equal(new TextDecoderStream("latin1").encoding, "windows-1252");
});
