// SPDX-License-Identifier: Apache-2.0
//
// Events of the global object: "error" and "unhandledrejection" for what nobody caught, whose
// preventDefault() keeps it out of the log, "rejectionhandled", and "fetch" for modules in service-worker
// syntax: a module without exports whose top-level code calls addEventListener("fetch", …).

import { dispatchTrusted, Event, EventTarget, globalEvents, handlerAttribute, hasListeners } from "./event.ts";
import { ErrorEvent, PromiseRejectionEvent } from "./event-kinds.ts";
import { expose, need } from "./interface.ts";

const ours = Symbol();

// ---- what nobody caught ----

let isReporting = false; // what a listener for errors throws is logged

/** Tells the listeners; true: one of them has prevented that it is logged. */
export function errorUncaught(error: unknown): boolean {
    const target = globalEvents();
    if (isReporting || !hasListeners(target, "error")) {
        return false;
    }
    const place = /(?:\(|at )([^()\s]+):(\d+):(\d+)\)?/.exec(
        error instanceof Error && typeof error.stack === "string" ? error.stack : "",
    );
    let text: string;
    try {
        text = String(error);
    } catch {
        text = "an object";
    }
    isReporting = true;
    try {
        return !dispatchTrusted(target, new ErrorEvent("error", {
            message: `Uncaught ${text}`, filename: place?.[1], lineno: Number(place?.[2] ?? 0),
            colno: Number(place?.[3] ?? 0), error, cancelable: true,
        }));
    } finally {
        isReporting = false;
    }
}

// Rejections that were told to listeners and may yet be handled.
let told: WeakSet<Promise<unknown>> | undefined;

export function rejectionUnhandled(promise: Promise<unknown>, reason: unknown): boolean {
    const target = globalEvents();
    if (hasListeners(target, "rejectionhandled")) {
        (told ??= new WeakSet()).add(promise);
    }
    return hasListeners(target, "unhandledrejection") && !dispatchTrusted(
        target, new PromiseRejectionEvent("unhandledrejection", { promise, reason, cancelable: true }),
    );
}

/** Called in the middle of a then(): only looks, and tells later. */
export function rejectionHandled(promise: Promise<unknown>, reason: unknown): void {
    if (told?.delete(promise)) {
        queueMicrotask(() => {
            dispatchTrusted(globalEvents(), new PromiseRejectionEvent("rejectionhandled", { promise, reason }));
        });
    }
}

const globalObject = { prototype: globalThis as unknown as EventTarget };
handlerAttribute(globalObject, "unhandledrejection");
handlerAttribute(globalObject, "rejectionhandled");

// onerror is called with five arguments, and returns true where other handlers return false.
type ErrorHandler = (message: string, source: string, line: number, column: number, error: unknown) => unknown;
let onerror: ErrorHandler | undefined;
let isListening = false;
Object.defineProperty(globalThis, "onerror", {
    get: () => onerror ?? null,
    set(value: unknown) {
        onerror = typeof value === "function" ? value as ErrorHandler : undefined;
        if (onerror && !isListening) {
            isListening = true;
            globalEvents().addEventListener("error", (event) => {
                if (onerror && event instanceof ErrorEvent
                    && onerror(event.message, event.filename, event.lineno, event.colno, event.error) === true) {
                    event.preventDefault();
                }
            });
        }
    },
    enumerable: true, configurable: true,
});

// ---- service-worker syntax ----

interface Context {
    waitUntil(promise: unknown): void;
    passThroughOnException?(): void;
}

export class ExtendableEvent extends Event {
    #context: Context | undefined;
    constructor(
        type: string, init: ConstructorParameters<typeof Event>[1] | null = null, caller?: typeof ours, context?: Context,
    ) {
        need(1, arguments.length, `${new.target.name} constructor`);
        super(type, init);
        this.#context = caller === ours ? context : undefined;
    }
    waitUntil(promise: unknown): void {
        need(1, arguments.length, "ExtendableEvent.waitUntil");
        if (!this.#context) {
            throw new DOMException("waitUntil() is for events of the platform, not for those made by scripts", "InvalidStateError");
        }
        this.#context.waitUntil(promise);
    }
}
expose(ExtendableEvent, "ExtendableEvent");

let responseOf: (event: FetchEvent) => Promise<Response> | undefined;

export class FetchEvent extends ExtendableEvent {
    #request: Request;
    #isOurs: boolean;
    #response: Promise<Response> | undefined;
    static {
        responseOf = (event) => event.#response;
    }
    constructor(
        type: string, init: { request: Request }, caller: typeof ours | undefined = undefined, context?: Context,
    ) {
        need(2, arguments.length, "FetchEvent constructor");
        super(type, init as object, caller, context);
        if (!(init?.request instanceof Request)) {
            throw new TypeError("FetchEvent constructor: the member request is required, and a Request");
        }
        this.#request = init.request;
        this.#isOurs = caller === ours;
    }
    get request(): Request {
        return this.#request;
    }
    respondWith(response: Response | PromiseLike<Response>): void {
        need(1, arguments.length, "FetchEvent.respondWith");
        if (!this.#isOurs || this.eventPhase === 0) {
            throw new DOMException("respondWith() must be called while the listener runs, not after an await: give it a promise", "InvalidStateError");
        }
        if (this.#response) {
            throw new DOMException("respondWith() was called already for this request", "InvalidStateError");
        }
        this.#response = Promise.resolve(response);
        this.stopImmediatePropagation();
    }
    passThroughOnException(): void {}
}
expose(FetchEvent, "FetchEvent");

/** Variables and bindings are globals in this syntax. */
function defineBindings(env: object): void {
    for (const name of Object.keys(env)) {
        if (!(name in globalThis)) {
            Object.defineProperty(globalThis, name, {
                get: () => (env as Record<string, unknown>)[name], configurable: true, enumerable: true,
            });
        }
    }
}

/** The handler of a module in service-worker syntax; undefined: it is none. */
export function fetchListener(): ((request: Request, env: object, context: Context) => unknown) | undefined {
    if (!hasListeners(globalEvents(), "fetch")) {
        return undefined;
    }
    return (request, env, context) => {
        defineBindings(env);
        const event = new FetchEvent("fetch", { request }, ours, context);
        dispatchTrusted(globalEvents(), event);
        const response = responseOf(event);
        if (!response) {
            throw new TypeError("no listener for \"fetch\" has called event.respondWith(); what it threw, if anything, is in the log");
        }
        return response;
    };
}
