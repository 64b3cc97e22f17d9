// SPDX-License-Identifier: Apache-2.0
//
// node:test: mocks, which libraries and suites use by themselves. A runner of tests has no place in a request.

import { coded, invalidArgType, invalidArgValue, refused } from "./internal/errors.ts";
import { validateFunction, validateInteger, validateObject } from "./internal/validate.ts";

const why = "tests run where the code is built, by node --test, vitest and the like";

export const after = refused("test.after", why);
export const afterEach = refused("test.afterEach", why);
export const before = refused("test.before", why);
export const beforeEach = refused("test.beforeEach", why);
export const describe = refused("test.describe", why);
export const it = refused("test.it", why);
export const run = refused("test.run", why);
export const suite = refused("test.suite", why);
export const test = refused("test.test", why);

interface Call {
    arguments: unknown[];
    result: unknown;
    error: unknown;
    stack: Error;
    target: unknown;
    this: unknown;
}

type AnyFunction = (...args: any[]) => any;

/** What is known of one mocked function: `fn.mock`. */
export class MockFunctionContext {
    #calls: Call[] = [];
    #implementation: AnyFunction;
    #once = new Map<number, AnyFunction>();
    #restore: (() => void) | undefined;
    constructor(implementation: AnyFunction, restore?: () => void) {
        this.#implementation = implementation;
        this.#restore = restore;
    }
    get calls(): Call[] {
        return [...this.#calls];
    }
    callCount(): number {
        return this.#calls.length;
    }
    mockImplementation(implementation: AnyFunction): void {
        validateFunction(implementation, "implementation");
        this.#implementation = implementation;
    }
    mockImplementationOnce(implementation: AnyFunction, onCall?: number): void {
        validateFunction(implementation, "implementation");
        const call = onCall ?? this.#calls.length;
        validateInteger(call, "onCall", this.#calls.length);
        this.#once.set(call, implementation);
    }
    resetCalls(): void {
        this.#calls = [];
    }
    restore(): void {
        this.#restore?.();
        this.#restore = undefined;
    }
    /** The function that answers the next call, which counts as one. */
    _next(): AnyFunction {
        const call = this.#calls.length, chosen = this.#once.get(call) ?? this.#implementation;
        this.#once.delete(call);
        return chosen;
    }
    _record(call: Call): void {
        this.#calls.push(call);
    }
    _original(implementation: AnyFunction): void {
        this.#implementation = implementation;
    }
}

/** A function that is called like original, and remembers each call. */
function mocked(original: AnyFunction, implementation: AnyFunction, times: number, restore?: () => void): any {
    const context = new MockFunctionContext(implementation, () => {
        context._original(original);
        restore?.();
    });
    const record = (self: unknown, args: unknown[], target: any, call: (fn: any) => unknown): unknown => {
        const done: Call = { arguments: args, result: undefined, error: undefined, stack: new Error(), target, this: self };
        const fn = context.callCount() < times ? context._next() : original;
        try {
            done.result = call(fn);
            if (target) {
                done.this = done.result;
            }
        } catch (error) {
            done.error = error;
            throw error;
        } finally {
            context._record(done);
            if (context.callCount() === times) {
                context.restore();
            }
        }
        return done.result;
    };
    return new Proxy(original, {
        apply: (_fn, self, args) => record(self, args, undefined, (fn) => Reflect.apply(fn, self, args)),
        construct: (_fn, args, target) => record(undefined, args, target, (fn) => Reflect.construct(fn, args, target)) as object,
        get: (fn, key, receiver) => (key === "mock" ? context : Reflect.get(fn, key, receiver)),
        has: (fn, key) => key === "mock" || Reflect.has(fn, key),
    });
}

function timesOf(options: any): number {
    const { times = Infinity } = options;
    if (times !== Infinity) {
        validateInteger(times, "options.times", 1);
    }
    return times;
}

function descriptorOf(object: any, name: PropertyKey): PropertyDescriptor | undefined {
    for (let at = object; at; at = Object.getPrototypeOf(at)) {
        const found = Object.getOwnPropertyDescriptor(at, name);
        if (found) {
            return found;
        }
    }
    return undefined;
}

export class MockTracker {
    #contexts: MockFunctionContext[] = [];
    timers: any = {
        enable: refused("mock.timers.enable", why), reset: refused("mock.timers.reset", why), tick: refused("mock.timers.tick", why),
        runAll: refused("mock.timers.runAll", why), setTime: refused("mock.timers.setTime", why),
    };
    #track(fn: any): any {
        this.#contexts.push(fn.mock);
        return fn;
    }
    fn(original: any = function () {}, implementation: any = original, options: any = {}): any {
        if (typeof original === "object" && original !== null) {
            [original, implementation, options] = [function () {}, function () {}, original];
        } else if (typeof implementation === "object" && implementation !== null) {
            [implementation, options] = [original, implementation];
        }
        validateFunction(original, "original");
        validateFunction(implementation, "implementation");
        return this.#track(mocked(original, implementation, timesOf(options)));
    }
    method(object: any, name: PropertyKey, implementation?: any, options: any = {}): any {
        if (object === null || (typeof object !== "object" && typeof object !== "function")) {
            throw invalidArgType("object", "Object", object);
        }
        if (typeof name !== "string" && typeof name !== "symbol") {
            throw invalidArgType("methodName", ["string", "symbol"], name);
        }
        if (typeof implementation === "object" && implementation !== null) {
            [implementation, options] = [undefined, implementation];
        }
        validateObject(options, "options");
        const { getter = false, setter = false } = options as any;
        if (getter && setter) {
            throw invalidArgValue("options.setter", setter, "cannot be used with 'options.getter'");
        }
        const descriptor = descriptorOf(object, name);
        const kind = getter ? "get" : setter ? "set" : "value", original = descriptor?.[kind];
        if (typeof original !== "function") {
            throw invalidArgValue("methodName", original, "must be a method");
        }
        if (implementation !== undefined) {
            validateFunction(implementation, "implementation");
        }
        const own = Object.getOwnPropertyDescriptor(object, name);
        const fn = mocked(original, implementation ?? original, timesOf(options), () => {
            if (own) {
                Object.defineProperty(object, name, own);
            } else {
                delete object[name];
            }
        });
        Object.defineProperty(object, name, { ...descriptor, configurable: true, [kind]: fn });
        return this.#track(fn);
    }
    getter(object: any, name: PropertyKey, implementation?: any, options: any = {}): any {
        const isOptions = typeof implementation === "object" && implementation !== null;
        return this.method(object, name, isOptions ? undefined : implementation, { ...(isOptions ? implementation : options), getter: true });
    }
    setter(object: any, name: PropertyKey, implementation?: any, options: any = {}): any {
        const isOptions = typeof implementation === "object" && implementation !== null;
        return this.method(object, name, isOptions ? undefined : implementation, { ...(isOptions ? implementation : options), setter: true });
    }
    property(object: any, name: PropertyKey, value?: unknown): any {
        const own = Object.getOwnPropertyDescriptor(object, name);
        if (!descriptorOf(object, name)) {
            throw invalidArgValue("propertyName", name, "is not a property of the object");
        }
        Object.defineProperty(object, name, { value, writable: true, configurable: true, enumerable: own?.enumerable ?? true });
        return object;
    }
    module(): never {
        throw coded(Error, "ERR_METHOD_NOT_IMPLEMENTED", `mock.module() is not available here: ${why}`);
    }
    reset(): void {
        this.restoreAll();
        this.#contexts = [];
    }
    restoreAll(): void {
        for (const context of this.#contexts) {
            context.restore();
        }
    }
}

export const mock = new MockTracker();

export default Object.assign(test, { MockFunctionContext, MockTracker, after, afterEach, before, beforeEach, describe, it, mock, run, suite, test });
