// SPDX-License-Identifier: Apache-2.0
//
// node:http2: it can be imported; what is called says why it is not here, and what to use instead.

import { constants } from "./internal/http2-constants.ts";
import { refused, refusedClass } from "./internal/errors.ts";

const why = "the server speaks HTTP/2 for you; use fetch() and a fetch handler, or node:http";

export const Http2ServerRequest = refusedClass("Http2ServerRequest", why);
export const Http2ServerResponse = refusedClass("Http2ServerResponse", why);
export const connect = refused("http2.connect", why);
export { constants };
export const createSecureServer = refused("http2.createSecureServer", why);
export const createServer = refused("http2.createServer", why);
export const getDefaultSettings: any = (): any => ({ headerTableSize: 4096, enablePush: true, initialWindowSize: 65535, maxFrameSize: 16384, maxConcurrentStreams: 4294967295, maxHeaderListSize: 65535, maxHeaderSize: 65535, enableConnectProtocol: false });
export const getPackedSettings = refused("http2.getPackedSettings", why);
export const getUnpackedSettings = refused("http2.getUnpackedSettings", why);
export const performServerHandshake = refused("http2.performServerHandshake", why);
export const sensitiveHeaders: any = Symbol.for("nodejs.http2.sensitiveHeaders");

export default {
    Http2ServerRequest, Http2ServerResponse, connect, constants, createSecureServer, createServer, getDefaultSettings,
    getPackedSettings, getUnpackedSettings, performServerHandshake, sensitiveHeaders,
};
