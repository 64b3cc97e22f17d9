// SPDX-License-Identifier: Apache-2.0
//
// node:http. Requests that a function gets become IncomingMessage and ServerResponse (internal/http-server.ts); those that code
// makes go out by fetch() (internal/http-client.ts).

import { validateHeaderName, validateHeaderValue } from "./internal/http-headers.ts";
import { Agent, ClientRequest, globalAgent as sharedAgent, request as start } from "./internal/http-client.ts";
import { IncomingMessage, OutgoingMessage, ServerResponse } from "./internal/http-message.ts";
import { METHODS, STATUS_CODES } from "./internal/http-names.ts";
import { createServer, Server } from "./internal/http-server.ts";
import "./internal/install.ts";

export { Agent, ClientRequest, createServer, IncomingMessage, METHODS, OutgoingMessage, Server, ServerResponse, STATUS_CODES, validateHeaderName, validateHeaderValue };
export let globalAgent: any = sharedAgent;
export const maxHeaderSize = 16384;
export const setMaxIdleHTTPParsers = (): void => {};
export const WebSocket = (globalThis as any).WebSocket;
export const CloseEvent = (globalThis as any).CloseEvent;
export const MessageEvent = (globalThis as any).MessageEvent;
export const _connectionListener = (): void => {};

export function request(url: any, options?: any, callback?: any): any {
    return start("http:", url, options, callback);
}

export function get(url: any, options?: any, callback?: any): any {
    const made = request(url, options, callback);
    made.end();
    return made;
}

const all = {
    Agent, ClientRequest, IncomingMessage, METHODS, OutgoingMessage, STATUS_CODES, Server, ServerResponse, _connectionListener,
    createServer, get, maxHeaderSize, request, setMaxIdleHTTPParsers, validateHeaderName, validateHeaderValue,
};
Object.defineProperty(all, "globalAgent", {
    enumerable: true, configurable: true, get: () => globalAgent,
    set(value: any) {
        globalAgent = value;
    },
});
export default all;
