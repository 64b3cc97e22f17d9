// SPDX-License-Identifier: Apache-2.0
//
// node:events.

import { inspect } from "limpet:internal";
import { AbortError, coded, invalidArgType } from "./internal/errors.ts";
import { nextTick } from "./internal/tick.ts";
import { signalOf, validateAbortSignal, validateBoolean, validateFunction, validateNumber, validateString } from "./internal/validate.ts";

const kCapture = Symbol("kCapture");
const kErrorMonitor = Symbol("events.errorMonitor");
const kRejection = Symbol.for("nodejs.rejection");
const kMaxEventTargetListeners = Symbol("events.maxEventTargetListeners");

let defaultMaxListeners = 10;

export function EventEmitter(this: any, options?: any): void {
    EventEmitter.init.call(this, options);
}

EventEmitter.prototype._events = undefined;
EventEmitter.prototype._eventsCount = 0;
EventEmitter.prototype._maxListeners = undefined;
Object.defineProperty(EventEmitter.prototype, kCapture, { value: false, writable: true, enumerable: false });

EventEmitter.usingDomains = false;
EventEmitter.captureRejectionSymbol = kRejection;
EventEmitter.errorMonitor = kErrorMonitor;
EventEmitter.EventEmitter = EventEmitter;

Object.defineProperties(EventEmitter, {
    defaultMaxListeners: {
        enumerable: true,
        get: () => defaultMaxListeners,
        set(value: number) {
            validateNumber(value, "defaultMaxListeners", 0);
            defaultMaxListeners = value;
        },
    },
    captureRejections: {
        enumerable: true,
        get: () => (EventEmitter.prototype as any)[kCapture],
        set(value: boolean) {
            validateBoolean(value, "EventEmitter.captureRejections");
            (EventEmitter.prototype as any)[kCapture] = value;
        },
    },
    kMaxEventTargetListeners: { value: kMaxEventTargetListeners },
});

EventEmitter.init = function init(this: any, options?: any): void {
    if (this._events === undefined || this._events === Object.getPrototypeOf(this)._events) {
        this._events = Object.create(null);
        this._eventsCount = 0;
    }
    this._maxListeners = this._maxListeners || undefined;
    if (options?.captureRejections) {
        validateBoolean(options.captureRejections, "options.captureRejections");
        this[kCapture] = Boolean(options.captureRejections);
    } else {
        this[kCapture] = (EventEmitter.prototype as any)[kCapture];
    }
};

function checkListener(listener: unknown): void {
    validateFunction(listener, "listener");
}

function emitRejection(emitter: any, error: unknown, type: string | symbol, args: unknown[]): void {
    if (typeof emitter[kRejection] === "function") {
        emitter[kRejection](error, type, ...args);
        return;
    }
    const kept = emitter[kCapture];
    try {
        emitter[kCapture] = false;
        emitter.emit("error", error);
    } finally {
        emitter[kCapture] = kept;
    }
}

function watch(emitter: any, result: any, type: string | symbol, args: unknown[]): void {
    if (!emitter[kCapture]) {
        return;
    }
    try {
        const { then } = result;
        if (typeof then === "function") {
            then.call(result, undefined, (error: unknown) => nextTick(emitRejection, emitter, error, type, args));
        }
    } catch (error) {
        emitter.emit("error", error);
    }
}

function call(emitter: any, listener: any, type: string | symbol, args: unknown[]): void {
    const result = Reflect.apply(listener, emitter, args);
    if (result !== undefined && result !== null) {
        watch(emitter, result, type, args);
    }
}

EventEmitter.prototype.emit = function emit(this: any, type: string | symbol, ...args: any[]): boolean {
    const events = this._events;
    let isError = type === "error";
    if (events !== undefined) {
        if (isError && events[kErrorMonitor] !== undefined) {
            this.emit(kErrorMonitor, ...args);
        }
        isError = isError && events.error === undefined;
    } else if (!isError) {
        return false;
    }
    if (isError) {
        const error = args[0];
        if (error instanceof Error) {
            throw error;
        }
        let text: string;
        try {
            text = inspect(error);
        } catch {
            text = String(error);
        }
        throw coded(Error, "ERR_UNHANDLED_ERROR", `Unhandled error. (${text})`, { context: error });
    }
    const handler = events[type];
    if (handler === undefined) {
        return false;
    }
    if (typeof handler === "function") {
        call(this, handler, type, args);
    } else {
        for (const listener of handler.slice()) {
            call(this, listener, type, args);
        }
    }
    return true;
};

function warnLeak(emitter: any, existing: any, type: string | symbol, max: number): void {
    existing.warned = true;
    const warning: any = new Error(`Possible EventEmitter memory leak detected. ${existing.length} ${String(type)} listeners added to ${inspect(emitter, { depth: -1 })}. MaxListeners is ${max}. Use emitter.setMaxListeners() to increase limit`);
    warning.name = "MaxListenersExceededWarning";
    warning.emitter = emitter;
    warning.type = type;
    warning.count = existing.length;
    emitWarning(warning);
}

function emitWarning(warning: Error): void {
    const process = (globalThis as any).process;
    if (typeof process?.emitWarning === "function") {
        process.emitWarning(warning);
    } else {
        console.warn(`${warning.name}: ${warning.message}`);
    }
}

function add(target: any, type: string | symbol, listener: any, isFirst: boolean): any {
    checkListener(listener);
    let events = target._events;
    if (events === undefined) {
        events = target._events = Object.create(null);
        target._eventsCount = 0;
    } else if (events.newListener !== undefined) {
        target.emit("newListener", type, listener.listener ?? listener);
        events = target._events;
    }
    let existing = events[type];
    if (existing === undefined) {
        events[type] = listener;
        ++target._eventsCount;
        return target;
    }
    if (typeof existing === "function") {
        existing = events[type] = isFirst ? [listener, existing] : [existing, listener];
    } else if (isFirst) {
        existing.unshift(listener);
    } else {
        existing.push(listener);
    }
    const max = maxOf(target);
    if (max > 0 && existing.length > max && !existing.warned) {
        warnLeak(target, existing, type, max);
    }
    return target;
}

function maxOf(emitter: any): number {
    return emitter._maxListeners === undefined ? defaultMaxListeners : emitter._maxListeners;
}

function onceOf(target: any, type: string | symbol, listener: any): any {
    checkListener(listener);
    const state = { isFired: false };
    const wrapped: any = function (...args: unknown[]) {
        if (!state.isFired) {
            target.removeListener(type, wrapped);
            state.isFired = true;
            return Reflect.apply(listener, target, args);
        }
        return undefined;
    };
    wrapped.listener = listener;
    return wrapped;
}

const methods: Record<string, any> = {
    setMaxListeners(this: any, n: number) {
        validateNumber(n, "setMaxListeners", 0);
        this._maxListeners = n;
        return this;
    },
    getMaxListeners(this: any) {
        return maxOf(this);
    },
    addListener(this: any, type: any, listener: any) {
        return add(this, type, listener, false);
    },
    prependListener(this: any, type: any, listener: any) {
        return add(this, type, listener, true);
    },
    once(this: any, type: any, listener: any) {
        checkListener(listener);
        this.on(type, onceOf(this, type, listener));
        return this;
    },
    prependOnceListener(this: any, type: any, listener: any) {
        checkListener(listener);
        this.prependListener(type, onceOf(this, type, listener));
        return this;
    },
    removeListener(this: any, type: any, listener: any) {
        checkListener(listener);
        const events = this._events;
        const list = events?.[type];
        if (list === undefined) {
            return this;
        }
        if (list === listener || list.listener === listener) {
            this._eventsCount -= 1;
            if (this._eventsCount === 0) {
                this._events = Object.create(null);
            } else {
                delete events[type];
            }
            if (events.removeListener) {
                this.emit("removeListener", type, list.listener || listener);
            }
        } else if (typeof list !== "function") {
            let at = -1;
            for (let i = list.length - 1; i >= 0; i--) {
                if (list[i] === listener || list[i].listener === listener) {
                    at = i;
                    break;
                }
            }
            if (at < 0) {
                return this;
            }
            list.splice(at, 1);
            if (list.length === 1) {
                events[type] = list[0];
            }
            if (events.removeListener !== undefined) {
                this.emit("removeListener", type, listener);
            }
        }
        return this;
    },
    removeAllListeners(this: any, type?: any) {
        const events = this._events;
        if (events === undefined) {
            return this;
        }
        if (events.removeListener === undefined) {
            if (arguments.length === 0) {
                this._events = Object.create(null);
                this._eventsCount = 0;
            } else if (events[type] !== undefined) {
                if (--this._eventsCount === 0) {
                    this._events = Object.create(null);
                } else {
                    delete events[type];
                }
            }
            return this;
        }
        if (arguments.length === 0) {
            for (const key of Reflect.ownKeys(events)) {
                if (key !== "removeListener") {
                    this.removeAllListeners(key);
                }
            }
            this.removeAllListeners("removeListener");
            this._events = Object.create(null);
            this._eventsCount = 0;
            return this;
        }
        const listeners = events[type];
        if (typeof listeners === "function") {
            this.removeListener(type, listeners);
        } else if (listeners !== undefined) {
            for (let i = listeners.length - 1; i >= 0; i--) {
                this.removeListener(type, listeners[i]);
            }
        }
        return this;
    },
    listeners(this: any, type: any) {
        return listenersOf(this, type, true);
    },
    rawListeners(this: any, type: any) {
        return listenersOf(this, type, false);
    },
    listenerCount(this: any, type: any, listener?: any) {
        const list = this._events?.[type];
        if (list === undefined) {
            return 0;
        }
        const all = typeof list === "function" ? [list] : list;
        return listener === undefined || listener === null ? all.length
            : all.filter((one: any) => one === listener || one.listener === listener).length;
    },
    eventNames(this: any) {
        return this._eventsCount > 0 ? Reflect.ownKeys(this._events) : [];
    },
};
methods.on = methods.addListener;
methods.off = methods.removeListener;
Object.assign(EventEmitter.prototype, methods);

function listenersOf(emitter: any, type: any, isUnwrapped: boolean): any[] {
    const list = emitter._events?.[type];
    if (list === undefined) {
        return [];
    }
    const all = typeof list === "function" ? [list] : list.slice();
    return isUnwrapped ? all.map((one: any) => one.listener || one) : all;
}

export const captureRejectionSymbol = kRejection;
export const errorMonitor = kErrorMonitor;
export const usingDomains = false;
export const captureRejections = false;
export { defaultMaxListeners };

export function listenerCount(emitter: any, type: any): number {
    return typeof emitter.listenerCount === "function" ? emitter.listenerCount(type) : methods.listenerCount.call(emitter, type);
}

export function getEventListeners(target: any, type: any): any[] {
    if (typeof target?.listeners === "function") {
        return target.listeners(type);
    }
    if (target instanceof EventTarget) {
        return [];
    }
    throw invalidArgType("emitter", ["EventEmitter", "EventTarget"], target);
}

export function getMaxListeners(target: any): number {
    if (typeof target?.getMaxListeners === "function") {
        return maxOf(target);
    }
    if (target instanceof EventTarget) {
        return (target as any)[kMaxEventTargetListeners] ?? defaultMaxListeners;
    }
    throw invalidArgType("emitter", ["EventEmitter", "EventTarget"], target);
}

export function setMaxListeners(n = defaultMaxListeners, ...targets: any[]): void {
    validateNumber(n, "setMaxListeners", 0);
    if (targets.length === 0) {
        defaultMaxListeners = n;
    }
    for (const target of targets) {
        if (target instanceof EventTarget) {
            Object.defineProperty(target, kMaxEventTargetListeners, { value: n, configurable: true, writable: true });
        } else if (typeof target.setMaxListeners === "function") {
            target.setMaxListeners(n);
        } else {
            throw invalidArgType("eventTargets", ["EventEmitter", "EventTarget"], target);
        }
    }
}

export function addAbortListener(signal: any, listener: any): any {
    if (signal === undefined) {
        throw invalidArgType("signal", "AbortSignal", signal);
    }
    validateAbortSignal(signal, "signal");
    validateFunction(listener, "listener");
    let remove: (() => void) | undefined;
    if (signal.aborted) {
        queueMicrotask(() => listener());
    } else {
        signal.addEventListener("abort", listener, { once: true });
        remove = () => signal.removeEventListener("abort", listener);
    }
    return {
        [(Symbol as any).dispose]() {
            remove?.();
        },
    };
}

/** Adds to either kind of target. */
function listen(target: any, name: any, listener: any, isOnce: boolean): void {
    if (typeof target.on === "function") {
        target[isOnce ? "once" : "on"](name, listener);
    } else if (typeof target.addEventListener === "function") {
        target.addEventListener(name, listener, { once: isOnce });
    } else {
        throw invalidArgType("emitter", "EventEmitter", target);
    }
}

function unlisten(target: any, name: any, listener: any): void {
    if (typeof target.removeListener === "function") {
        target.removeListener(name, listener);
    } else {
        target.removeEventListener(name, listener);
    }
}

export async function once(emitter: any, name: any, options: any = {}): Promise<any[]> {
    const signal = signalOf(options);
    return new Promise((resolve, reject) => {
        const done = () => {
            unlisten(emitter, name, onEvent);
            if (typeof emitter.once === "function" && name !== "error") {
                emitter.removeListener("error", onError);
            }
            signal?.removeEventListener("abort", onAbort);
        };
        const onEvent = (...args: any[]) => {
            done();
            resolve(args);
        };
        const onError = (error: unknown) => {
            done();
            reject(error);
        };
        const onAbort = () => {
            done();
            reject(new AbortError(undefined, { cause: signal.reason }));
        };
        listen(emitter, name, onEvent, true);
        if (name !== "error" && typeof emitter.once === "function") {
            emitter.once("error", onError);
        }
        signal?.addEventListener("abort", onAbort, { once: true });
    });
}

export function on(emitter: any, name: any, options: any = {}): any {
    const signal = signalOf(options);
    const high = options.highWaterMark ?? options.highWatermark ?? Number.MAX_SAFE_INTEGER;
    const low = options.lowWaterMark ?? options.lowWatermark ?? 1;
    const values: any[] = [], waiting: any[] = [];
    let failure: { error: unknown } | undefined, isOver = false, isPaused = false;

    const onEvent = (...args: any[]) => {
        const first = waiting.shift();
        if (first) {
            first.resolve({ value: args, done: false });
            return;
        }
        values.push(args);
        if (values.length > high && !isPaused) {
            isPaused = true;
            emitter.pause?.();
        }
    };
    const onError = (error: unknown) => {
        const first = waiting.shift();
        if (first) {
            first.reject(error);
        } else {
            failure = { error };
        }
        void iterator.return();
    };
    const onAbort = () => onError(new AbortError(undefined, { cause: signal.reason }));
    const onClose = () => void iterator.return();
    const iterator: any = {
        next() {
            if (values.length) {
                const value = values.shift();
                if (isPaused && values.length < low) {
                    isPaused = false;
                    emitter.resume?.();
                }
                return Promise.resolve({ value, done: false });
            }
            if (failure) {
                const { error } = failure;
                failure = undefined;
                return Promise.reject(error);
            }
            return isOver ? Promise.resolve({ value: undefined, done: true })
                : new Promise((resolve, reject) => waiting.push({ resolve, reject }));
        },
        return() {
            isOver = true;
            unlisten(emitter, name, onEvent);
            if (typeof emitter.on === "function" && name !== "error") {
                unlisten(emitter, "error", onError);
            }
            for (const close of options.close ?? []) {
                unlisten(emitter, close, onClose);
            }
            signal?.removeEventListener("abort", onAbort);
            for (const one of waiting.splice(0)) {
                one.resolve({ value: undefined, done: true });
            }
            return Promise.resolve({ value: undefined, done: true });
        },
        throw(error: any) {
            if (!error || !(error instanceof Error)) {
                throw invalidArgType("EventEmitter.AsyncIterator", "Error", error);
            }
            onError(error);
        },
        [Symbol.asyncIterator]() {
            return this;
        },
    };
    Object.setPrototypeOf(iterator, Object.getPrototypeOf(Object.getPrototypeOf(async function* () {}).prototype));
    listen(emitter, name, onEvent, false);
    if (name !== "error" && typeof emitter.on === "function") {
        emitter.on("error", onError);
    }
    for (const close of options.close ?? []) {
        listen(emitter, close, onClose, false);
    }
    signal?.addEventListener("abort", onAbort, { once: true });
    return iterator;
}

export class EventEmitterAsyncResource extends (EventEmitter as any) {
    #resource: any;
    constructor(options: any = {}) {
        const name = typeof options === "string" ? options : options?.name ?? new.target.name;
        super(typeof options === "object" ? options : undefined);
        validateString(name, "options.name");
        this.#resource = { type: name, eventEmitter: this };
    }
    get asyncId(): number {
        return 1;
    }
    get triggerAsyncId(): number {
        return 0;
    }
    get asyncResource(): any {
        return this.#resource;
    }
    emitDestroy(): void {}
}

Object.assign(EventEmitter, {
    once, on, getEventListeners, getMaxListeners, setMaxListeners, listenerCount, addAbortListener, EventEmitterAsyncResource,
});

export default EventEmitter as any;
