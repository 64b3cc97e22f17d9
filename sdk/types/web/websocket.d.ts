// SPDX-License-Identifier: Apache-2.0
//
// WebSocket and WebSocketPair, as Workers have them.

interface WebSocketEventMap {
    open: Event;
    message: MessageEvent;
    error: ErrorEvent;
    close: CloseEvent;
}

interface WebSocket {
    addEventListener<K extends keyof WebSocketEventMap>(
        type: K, listener: (this: WebSocket, event: WebSocketEventMap[K]) => unknown, options?: AddEventListenerOptions | boolean,
    ): void;
    addEventListener(type: string, listener: EventListenerOrEventListenerObject | null, options?: AddEventListenerOptions | boolean): void;
    removeEventListener<K extends keyof WebSocketEventMap>(
        type: K, listener: (this: WebSocket, event: WebSocketEventMap[K]) => unknown, options?: EventListenerOptions | boolean,
    ): void;
    removeEventListener(type: string, listener: EventListenerOrEventListenerObject | null, options?: EventListenerOptions | boolean): void;
}
declare class WebSocket extends EventTarget {
    /** Connects; ws: and wss: (http: and https: mean the same). */
    constructor(url: string | URL, protocols?: string | Iterable<string>);
    static readonly CONNECTING: 0;
    static readonly OPEN: 1;
    static readonly CLOSING: 2;
    static readonly CLOSED: 3;
    static readonly READY_STATE_CONNECTING: 0;
    static readonly READY_STATE_OPEN: 1;
    static readonly READY_STATE_CLOSING: 2;
    static readonly READY_STATE_CLOSED: 3;
    readonly CONNECTING: 0;
    readonly OPEN: 1;
    readonly CLOSING: 2;
    readonly CLOSED: 3;
    readonly readyState: number;
    /** null for an end of a pair. */
    readonly url: string | null;
    readonly protocol: string;
    readonly extensions: string;
    /** (+) Bytes that were sent and have not left yet. */
    readonly bufferedAmount: number;
    binaryType: "arraybuffer" | "blob";
    onopen: ((this: WebSocket, event: Event) => unknown) | null;
    onmessage: ((this: WebSocket, event: MessageEvent) => unknown) | null;
    onerror: ((this: WebSocket, event: ErrorEvent) => unknown) | null;
    onclose: ((this: WebSocket, event: CloseEvent) => unknown) | null;
    /** Before anything is sent or heard, of an end of a pair and of the webSocket of a Response. */
    accept(): void;
    send(message: string | ArrayBuffer | ArrayBufferView | Blob): void;
    close(code?: number, reason?: string): void;
    /** At most 2048 bytes as structured clone. */
    serializeAttachment(value: any): void;
    deserializeAttachment(): any;
}

declare const WebSocketPair: {
    new (): { 0: WebSocket; 1: WebSocket };
};

declare class WebSocketRequestResponsePair {
    constructor(request: string, response: string);
    readonly request: string;
    readonly response: string;
}
