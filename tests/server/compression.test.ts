// SPDX-License-Identifier: Apache-2.0
// CompressionStream and DecompressionStream in the real server, against Node's zlib: there and back, in pieces, damaged, and no more of a
// bomb than is read of it.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import zlib from 'node:zlib';
import { useServer } from './harness.ts';

const server = useServer();

const SOURCE = `
const body = (bytes) => new Response(bytes).body;
const all = async (stream) => new Uint8Array(await new Response(stream).arrayBuffer());
const outcome = async (promise) => { try { return await promise; } catch (e) { return [e instanceof TypeError, e.name, e.message]; } };
const pieces = (bytes, size) => new ReadableStream({
    start(c) { for (let at = 0; at < bytes.length; at += size) c.enqueue(bytes.subarray(at, at + size)); c.close(); },
});
// Top-level code may unpack what it brings along, and loses what it leaves open.
const unpacked = await new Response(body(Uint8Array.from(atob("H4sIAAAAAAACA8tIzcnJBwCGphA2BQAAAA=="), (c) => c.charCodeAt(0))).pipeThrough(new DecompressionStream("gzip"))).text();
const left = new CompressionStream("deflate-raw");
const leftWriter = left.writable.getWriter();
const leftReader = left.readable.getReader();
const leftRead = leftReader.read();
await leftWriter.write(new Uint8Array(10));
export default {
    async fetch(request) {
        const url = new URL(request.url);
        const format = url.searchParams.get("format");
        switch (url.pathname) {
        case "/compress": return new Response((request.body ?? body(new Uint8Array())).pipeThrough(new CompressionStream(format)));
        case "/decompress": return new Response((request.body ?? body(new Uint8Array())).pipeThrough(new DecompressionStream(format)));
        case "/pieces": {
            const bytes = new Uint8Array(await request.arrayBuffer());
            return new Response(await all(pieces(bytes, Number(url.searchParams.get("size"))).pipeThrough(new DecompressionStream(format))));
        }
        case "/wrong": {
            const bytes = new Uint8Array(await request.arrayBuffer());
            const stream = new DecompressionStream(format);
            const writer = stream.writable.getWriter();
            const read = outcome(all(stream.readable));
            const write = outcome(writer.write(bytes).then(() => "written"));
            const close = outcome(writer.close().then(() => "closed"));
            return Response.json([(await read).slice(0, 2), (await write)[0], (await close)[0], await outcome(writer.closed.then(() => "closed"))]);
        }
        case "/bomb": {
            const reader = body(new Uint8Array(await request.arrayBuffer())).pipeThrough(new DecompressionStream(format)).getReader();
            let length = 0;
            while (length < 1000000) length += (await reader.read()).value.length;
            await reader.cancel("enough");
            return Response.json(length);
        }
        case "/chunks": return Response.json(await Promise.all([undefined, null, 3.14, {}, "text", [1], new Uint8Array(new SharedArrayBuffer(1))].map(async (chunk) => {
            const stream = new CompressionStream("gzip");
            const writer = stream.writable.getWriter();
            const read = outcome(stream.readable.getReader().read());
            const write = outcome(writer.write(chunk));
            return [(await write)[0], (await read)[0]];
        })));
        case "/many": {
            const open = [];
            for (let i = 0; i < 1000; i++) {
                const stream = new CompressionStream("deflate-raw"); // which has no header to be read
                const reader = stream.readable.getReader();
                const writer = stream.writable.getWriter();
                reader.read().catch(() => {});
                writer.closed.catch(() => {});
                try { await writer.write(new Uint8Array(1)); } catch (e) { return Response.json([i > 10, e.code, e.message]); }
                open.push(writer);
            }
            return Response.json("none was refused");
        }
        case "/ends": {
            const aborted = new CompressionStream("deflate-raw");
            const writer = aborted.writable.getWriter();
            const read = outcome(aborted.readable.getReader().read());
            await writer.write(new Uint8Array(1));
            await writer.abort(new Error("away"));
            const cancelled = new CompressionStream("br");
            const other = cancelled.writable.getWriter();
            await cancelled.readable.cancel(new Error("enough"));
            return Response.json([(await read)[2], (await outcome(other.write(new Uint8Array(1))))[2]]);
        }
        case "/look": return Response.json([
            unpacked, (await outcome(leftWriter.write(new Uint8Array(1))))[2],
            await outcome((async () => new CompressionStream("lzma"))()), await outcome((async () => new CompressionStream())()),
            String(new CompressionStream("gzip")), Object.keys(DecompressionStream.prototype), CompressionStream.length, CompressionStream.name,
            await outcome((async () => Object.getOwnPropertyDescriptor(CompressionStream.prototype, "readable").get.call({}))()).then((e) => e[0]),
        ]);
        }
    },
};`;

const formats: Record<string, [(b: Buffer) => Buffer, (b: Buffer) => Buffer]> = {
    gzip: [zlib.gzipSync, zlib.gunzipSync],
    deflate: [zlib.deflateSync, zlib.inflateSync],
    'deflate-raw': [zlib.deflateRawSync, zlib.inflateRawSync],
    br: [zlib.brotliCompressSync, zlib.brotliDecompressSync],
};
const text = Buffer.from(Array.from({ length: 60_000 }, (_, i) => `line ${i * 7919 % 10007}\n`).join(''));

let deployed: Promise<unknown> | undefined;
async function call(path: string, body?: Buffer) {
    const s = await server();
    await (deployed ??= s.deploy('codec', SOURCE));
    const res = await s.request('codec', path, { body });
    assert.equal(res.status, 200, res.text.slice(0, 500));
    return res;
}

test('what is compressed, others decompress, and the other way round', async () => {
    for (const [format, [pack, unpack]] of Object.entries(formats)) {
        for (const data of [text, Buffer.alloc(0), Buffer.from('x')]) {
            const packed = (await call(`/compress?format=${format}`, data)).body;
            assert.ok(packed.length < data.length / 2 || data.length < 2, format);
            assert.ok(unpack(packed).equals(data), format);
            assert.ok((await call(`/decompress?format=${format}`, pack(data))).body.equals(data), format);
        }
    }
    const zstd = (await call('/compress?format=zstd', text)).body;
    assert.equal(zstd.readUInt32LE(0), 0xfd2fb528); // Node 20 has no zstd
    assert.ok((await call('/decompress?format=zstd', zstd)).body.equals(text));
});

test('pieces of any size are decompressed', async () => {
    const some = text.subarray(0, 20_000);
    for (const [format, [pack]] of Object.entries(formats)) {
        for (const size of [1, 13, 100_000]) {
            assert.ok((await call(`/pieces?format=${format}&size=${size}`, pack(some))).body.equals(some), `${format} ${size}`);
        }
    }
});

test('data that is damaged, cut or goes on is a TypeError on both sides', async () => {
    for (const [format, [pack]] of Object.entries(formats)) {
        const good = pack(Buffer.from('some text, some text'));
        for (const [what, bytes] of Object.entries({
            cut: good.subarray(0, -1),
            long: Buffer.concat([good, Buffer.from([0])]),
            damaged: Buffer.concat([Buffer.from([0xff, 0xff]), good.subarray(2)]),
            nothing: Buffer.alloc(0),
        })) {
            const [read, write, close, closed] = (await call(`/wrong?format=${format}`, bytes)).json;
            assert.deepEqual(read, [true, 'TypeError'], `${format} ${what}`);
            assert.ok(write === true || write === 'w', `${format} ${what}: ${write}`); // "written" or a TypeError
            assert.equal(close, true, `${format} ${what}`);
            assert.equal(closed[0], true, `${format} ${what}`);
        }
    }
});

test('of a bomb no more is made than is read', async () => {
    const zeros = Buffer.alloc(64 * 1024 * 1024);
    for (const format of ['gzip', 'br']) {
        const bomb = format === 'gzip' ? zlib.gzipSync(zeros) : zlib.brotliCompressSync(zeros, { params: { [zlib.constants.BROTLI_PARAM_QUALITY]: 4 } });
        const length = (await call(`/bomb?format=${format}`, bomb)).json;
        assert.ok(length >= 1_000_000 && length < 1_200_000, `${length}`);
    }
});

test('only buffers are chunks, nothing shared', async () => {
    assert.deepEqual((await call('/chunks')).json, Array.from({ length: 7 }, () => [true, true]));
});

test('what open streams hold is of the function\'s memory', async () => {
    const [isLate, code, message] = (await call('/many')).json;
    assert.deepEqual([isLate, code], [true, 'limit_memory']);
    assert.match(message, /memory limit/);
    assert.equal((await call('/look')).json[0], 'hello'); // and the next request has all of it
});

test('an abort and a cancellation end both sides', async () => {
    assert.deepEqual((await call('/ends')).json, ['away', 'enough']);
});

test('how they look, and what top-level code may do', async () => {
    const [unpacked, late, unknown, none, ...look] = (await call('/look')).json;
    assert.equal(unpacked, 'hello');
    assert.match(late, /top-level code/);
    assert.deepEqual(unknown.slice(0, 2), [true, 'TypeError']);
    assert.match(unknown[2], /"lzma"; there are deflate, deflate-raw, gzip, br, zstd/);
    assert.equal(none[0], true);
    assert.deepEqual(look, ['[object CompressionStream]', ['readable', 'writable'], 1, 'CompressionStream', true]);
});
