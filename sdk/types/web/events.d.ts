// SPDX-License-Identifier: Apache-2.0
//
// Errors, events, abort signals, messages between ports. https://dom.spec.whatwg.org/

declare class DOMException extends Error {
    constructor(message?: string, name?: string | { name?: string; cause?: unknown });
    readonly name: string;
    readonly message: string;
    readonly code: number;
}

interface EventInit {
    bubbles?: boolean;
    cancelable?: boolean;
    composed?: boolean;
}

declare class Event {
    constructor(type: string, init?: EventInit);
    static readonly NONE: 0;
    static readonly CAPTURING_PHASE: 1;
    static readonly AT_TARGET: 2;
    static readonly BUBBLING_PHASE: 3;
    readonly type: string;
    readonly target: EventTarget | null;
    readonly currentTarget: EventTarget | null;
    readonly srcElement: EventTarget | null;
    readonly eventPhase: number;
    readonly bubbles: boolean;
    readonly cancelable: boolean;
    readonly composed: boolean;
    readonly defaultPrevented: boolean;
    readonly isTrusted: boolean;
    readonly timeStamp: number;
    cancelBubble: boolean;
    returnValue: boolean;
    composedPath(): EventTarget[];
    preventDefault(): void;
    stopPropagation(): void;
    stopImmediatePropagation(): void;
}

interface CustomEventInit<T = unknown> extends EventInit {
    detail?: T;
}

declare class CustomEvent<T = unknown> extends Event {
    constructor(type: string, init?: CustomEventInit<T>);
    readonly detail: T;
}

interface ErrorEventInit extends EventInit {
    message?: string;
    filename?: string;
    lineno?: number;
    colno?: number;
    error?: any;
}

declare class ErrorEvent extends Event {
    constructor(type: string, init?: ErrorEventInit);
    readonly message: string;
    readonly filename: string;
    readonly lineno: number;
    readonly colno: number;
    readonly error: any;
}

declare class PromiseRejectionEvent extends Event {
    constructor(type: string, init: EventInit & { promise: Promise<any>; reason?: any });
    readonly promise: Promise<any>;
    readonly reason: any;
}

interface MessageEventInit<T = any> extends EventInit {
    data?: T;
    origin?: string;
    lastEventId?: string;
    source?: MessagePort | null;
    ports?: MessagePort[];
}

declare class MessageEvent<T = any> extends Event {
    constructor(type: string, init?: MessageEventInit<T>);
    readonly data: T;
    readonly origin: string;
    readonly lastEventId: string;
    readonly source: MessagePort | null;
    readonly ports: readonly MessagePort[];
}

declare class CloseEvent extends Event {
    constructor(type: string, init?: EventInit & { wasClean?: boolean; code?: number; reason?: string });
    readonly wasClean: boolean;
    readonly code: number;
    readonly reason: string;
}

interface EventSourceInit {
    withCredentials?: boolean;
    /** Who is asked instead of fetch(). */
    fetcher?: { fetch(request: Request): Response | Promise<Response> };
}

/** Events of a server, over fetch(); it connects again when the stream ends. */
declare class EventSource extends EventTarget {
    constructor(url: string | URL, init?: EventSourceInit);
    /** Reads a stream that is there already, once. */
    static from(stream: ReadableStream): EventSource;
    static readonly CONNECTING: 0;
    static readonly OPEN: 1;
    static readonly CLOSED: 2;
    readonly url: string;
    readonly withCredentials: boolean;
    readonly readyState: number;
    readonly CONNECTING: 0;
    readonly OPEN: 1;
    readonly CLOSED: 2;
    onopen: ((event: Event) => unknown) | null;
    onmessage: ((event: MessageEvent) => unknown) | null;
    onerror: ((event: Event) => unknown) | null;
    close(): void;
}

declare class ExtendableEvent extends Event {
    constructor(type: string, init?: EventInit);
    /** As ctx.waitUntil(). */
    waitUntil(promise: unknown): void;
}

/** Of a module without exports that listens for "fetch". */
declare class FetchEvent extends ExtendableEvent {
    constructor(type: string, init: EventInit & { request: Request });
    readonly request: Request;
    /** Once, and while the listener runs: give it a promise. */
    respondWith(response: Response | PromiseLike<Response>): void;
    passThroughOnException(): void;
}

interface EventListenerObject {
    handleEvent(event: Event): void;
}
type EventListener = (event: Event) => void;
type EventListenerOrEventListenerObject = EventListener | EventListenerObject;

interface EventListenerOptions {
    capture?: boolean;
}
interface AddEventListenerOptions extends EventListenerOptions {
    once?: boolean;
    passive?: boolean;
    signal?: AbortSignal;
}

declare class EventTarget {
    constructor();
    addEventListener(
        type: string, callback: EventListenerOrEventListenerObject | null,
        options?: AddEventListenerOptions | boolean,
    ): void;
    removeEventListener(
        type: string, callback: EventListenerOrEventListenerObject | null,
        options?: EventListenerOptions | boolean,
    ): void;
    dispatchEvent(event: Event): boolean;
}

declare class AbortSignal extends EventTarget {
    private constructor();
    static abort(reason?: any): AbortSignal;
    static timeout(milliseconds: number): AbortSignal;
    static any(signals: Iterable<AbortSignal>): AbortSignal;
    readonly aborted: boolean;
    readonly reason: any;
    onabort: ((this: AbortSignal, event: Event) => any) | null;
    throwIfAborted(): void;
}

declare class AbortController {
    constructor();
    readonly signal: AbortSignal;
    abort(reason?: any): void;
}

/** Tells listeners for "error"; logged unless one of them calls preventDefault(). */
declare function reportError(error: unknown): void;

interface GlobalEventMap {
    error: ErrorEvent;
    unhandledrejection: PromiseRejectionEvent;
    rejectionhandled: PromiseRejectionEvent;
    fetch: FetchEvent;
}
declare function addEventListener<K extends keyof GlobalEventMap>(
    type: K, callback: (event: GlobalEventMap[K]) => any, options?: AddEventListenerOptions | boolean,
): void;
declare function addEventListener(
    type: string, callback: EventListenerOrEventListenerObject | null, options?: AddEventListenerOptions | boolean,
): void;
declare function removeEventListener<K extends keyof GlobalEventMap>(
    type: K, callback: (event: GlobalEventMap[K]) => any, options?: EventListenerOptions | boolean,
): void;
declare function removeEventListener(
    type: string, callback: EventListenerOrEventListenerObject | null, options?: EventListenerOptions | boolean,
): void;
declare function dispatchEvent(event: Event): boolean;
declare var onerror: ((message: string, source: string, line: number, column: number, error: any) => any) | null;
declare var onunhandledrejection: ((event: PromiseRejectionEvent) => any) | null;
declare var onrejectionhandled: ((event: PromiseRejectionEvent) => any) | null;

type Transferable = ArrayBuffer | MessagePort;

declare class MessagePort extends EventTarget {
    private constructor();
    onmessage: ((this: MessagePort, event: MessageEvent) => any) | null;
    onmessageerror: ((this: MessagePort, event: MessageEvent) => any) | null;
    postMessage(message: any, transfer: Transferable[]): void;
    postMessage(message: any, options?: { transfer?: Transferable[] }): void;
    start(): void;
    close(): void;
}

declare class MessageChannel {
    constructor();
    readonly port1: MessagePort;
    readonly port2: MessagePort;
}

/** Reaches channels of the same name in the same isolate. */
declare class BroadcastChannel extends EventTarget {
    constructor(name: string);
    readonly name: string;
    onmessage: ((this: BroadcastChannel, event: MessageEvent) => any) | null;
    onmessageerror: ((this: BroadcastChannel, event: MessageEvent) => any) | null;
    postMessage(message: any): void;
    close(): void;
}
