// SPDX-License-Identifier: Apache-2.0
//
// node:async_hooks: AsyncLocalStorage and AsyncResource. A context follows promises in the engine; ids and
// createHook() have nothing to report here.

import { native } from "limpet:internal";
import { bind, current, within, type Frame } from "./internal/async-context.ts";
import { invalidArgType } from "./internal/errors.ts";
import { validateFunction, validateString } from "./internal/validate.ts";
import "./internal/install.ts";

export class AsyncLocalStorage {
    #isEnabled = true;
    #defaultValue: unknown;
    name: string;
    constructor(options: any = {}) {
        this.#defaultValue = options?.defaultValue;
        this.name = options?.name ?? "";
    }
    static bind(fn: any): any {
        validateFunction(fn, "fn");
        return bind(fn);
    }
    static snapshot(): any {
        return bind((fn: any, ...args: any[]) => fn(...args));
    }
    getStore(): any {
        const frame = this.#isEnabled ? current() : undefined;
        return frame?.has(this) ? frame.get(this) : this.#defaultValue;
    }
    run(store: any, callback: any, ...args: any[]): any {
        this.#isEnabled = true;
        return within(withValue(this, store), callback, undefined, args);
    }
    exit(callback: any, ...args: any[]): any {
        return within(withValue(this, undefined), callback, undefined, args);
    }
    enterWith(store: any): void {
        this.#isEnabled = true;
        native.setFrame(withValue(this, store));
    }
    disable(): void {
        this.#isEnabled = false;
    }
}

function withValue(storage: AsyncLocalStorage, value: unknown): Frame {
    const frame = new Map(current());
    if (value === undefined) {
        frame.delete(storage);
    } else {
        frame.set(storage, value);
    }
    return frame.size ? frame : undefined;
}

let lastId = 1;

export class AsyncResource {
    #frame = current();
    #id = ++lastId;
    #trigger: number;
    constructor(type: string, options: any = {}) {
        validateString(type, "type");
        this.#trigger = typeof options === "number" ? options : options?.triggerAsyncId ?? 1;
    }
    static bind(fn: any, type?: string, self?: any): any {
        return new AsyncResource(type || fn?.name || "bound-anonymous-fn").bind(fn, self);
    }
    runInAsyncScope(fn: any, self?: any, ...args: any[]): any {
        return within(this.#frame, fn, self, args);
    }
    bind(fn: any, self?: any): any {
        validateFunction(fn, "fn");
        const resource = this;
        const bound: any = function (this: any, ...args: any[]) {
            return resource.runInAsyncScope(fn, self === undefined ? this : self, ...args);
        };
        Object.defineProperties(bound, {
            length: { configurable: true, value: fn.length },
            asyncResource: { configurable: true, enumerable: true, value: this, writable: true },
        });
        return bound;
    }
    emitDestroy(): this {
        return this;
    }
    asyncId(): number {
        return this.#id;
    }
    triggerAsyncId(): number {
        return this.#trigger;
    }
}

export function createHook(callbacks: any): any {
    if (callbacks === null || typeof callbacks !== "object") {
        throw invalidArgType("callbacks", "Object", callbacks);
    }
    return {
        enable() {
            return this;
        },
        disable() {
            return this;
        },
    };
}

export const executionAsyncId = (): number => 1;
export const triggerAsyncId = (): number => 0;
export const executionAsyncResource = (): object => ({});
export const asyncWrapProviders = Object.freeze(Object.create(null));

export default {
    AsyncLocalStorage, AsyncResource, asyncWrapProviders, createHook, executionAsyncId, executionAsyncResource, triggerAsyncId,
};
