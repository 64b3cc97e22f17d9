// SPDX-License-Identifier: Apache-2.0
//
// node:stream/web: the global classes.

const all = {
    ReadableStream, ReadableStreamDefaultReader, ReadableStreamBYOBReader, ReadableStreamBYOBRequest, ReadableByteStreamController,
    ReadableStreamDefaultController, TransformStream, TransformStreamDefaultController, WritableStream, WritableStreamDefaultWriter,
    WritableStreamDefaultController, ByteLengthQueuingStrategy, CountQueuingStrategy, TextEncoderStream, TextDecoderStream,
    CompressionStream, DecompressionStream,
};
export default all;
const {
    ReadableStream: a, ReadableStreamDefaultReader: b, ReadableStreamBYOBReader: c, ReadableStreamBYOBRequest: d, ReadableByteStreamController: e,
    ReadableStreamDefaultController: f, TransformStream: g, TransformStreamDefaultController: h, WritableStream: i, WritableStreamDefaultWriter: j,
    WritableStreamDefaultController: k, ByteLengthQueuingStrategy: l, CountQueuingStrategy: m, TextEncoderStream: n, TextDecoderStream: o,
    CompressionStream: p, DecompressionStream: q,
} = all;
export {
    a as ReadableStream, b as ReadableStreamDefaultReader, c as ReadableStreamBYOBReader, d as ReadableStreamBYOBRequest,
    e as ReadableByteStreamController, f as ReadableStreamDefaultController, g as TransformStream, h as TransformStreamDefaultController,
    i as WritableStream, j as WritableStreamDefaultWriter, k as WritableStreamDefaultController, l as ByteLengthQueuingStrategy,
    m as CountQueuingStrategy, n as TextEncoderStream, o as TextDecoderStream, p as CompressionStream, q as DecompressionStream,
};
