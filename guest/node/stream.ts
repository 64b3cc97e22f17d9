// SPDX-License-Identifier: Apache-2.0
//
// node:stream: the package readable-stream, which is Node's own, with what connects it to the web's streams.

import Stream from "readable-stream/lib/stream.js";
import { adapt } from "./internal/web-streams.ts";
import "./internal/install.ts";

adapt(Stream);

const all: any = Stream;
export const {
    Readable, Writable, Duplex, Transform, PassThrough, pipeline, finished, addAbortSignal, compose, destroy, promises,
    isDisturbed, isErrored, isReadable, _uint8ArrayToBuffer, _isUint8Array,
} = all;
export { Stream };
export const { getDefaultHighWaterMark, setDefaultHighWaterMark, isWritable, isDestroyed } = all;
export default all;
