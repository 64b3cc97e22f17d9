// SPDX-License-Identifier: Apache-2.0
//
// Timers as Node has them: objects. The work is that of the platform's own.

import { timers } from "limpet:internal";
import { bind } from "./async-context.ts";
import { validateFunction } from "./validate.ts";

export const customPromisify = Symbol.for("nodejs.util.promisify.custom");
const customInspect = Symbol.for("nodejs.util.inspect.custom");
const DELAY_MAX_MS = 2 ** 31 - 1;

/** Whether it alone would keep a process alive, which is asked and said, and changes nothing here. */
class Handle {
    #hasRef = true;
    ref(): this {
        this.#hasRef = true;
        return this;
    }
    unref(): this {
        this.#hasRef = false;
        return this;
    }
    hasRef(): boolean {
        return this.#hasRef;
    }
}

export class Timeout extends Handle {
    _idleTimeout: number;
    _onTimeout: any;
    _repeat: number | null;
    _destroyed = false;
    #id: number | undefined;
    #run: () => void;

    constructor(callback: any, delay: any, args: unknown[], isRepeating: boolean) {
        super();
        delay = +delay;
        this._idleTimeout = delay >= 1 && delay <= DELAY_MAX_MS ? Math.trunc(delay) : 1;
        this._onTimeout = callback;
        this._repeat = isRepeating ? this._idleTimeout : null;
        this.#run = bind(() => {
            if (this._repeat === null) {
                this._destroyed = true;
            }
            Reflect.apply(this._onTimeout, this, args);
        });
        this.#start();
    }
    #start(): void {
        this.#id = this._repeat === null ? timers.setTimeout(this.#run, this._idleTimeout) : timers.setInterval(this.#run, this._idleTimeout);
    }
    refresh(): this {
        timers.clearTimeout(this.#id);
        this._destroyed = false;
        this.#start();
        return this;
    }
    close(): this {
        clearTimeout(this);
        return this;
    }
    [Symbol.toPrimitive](): number {
        return this.#id!;
    }
    [Symbol.dispose ?? Symbol.for("Symbol.dispose")](): void {
        clearTimeout(this);
    }
    [customInspect](depth: number, options: any, inspect: any): string {
        return `Timeout ${inspect({ _idleTimeout: this._idleTimeout, _repeat: this._repeat, _destroyed: this._destroyed }, options)}`;
    }
    /** Stops it. */
    static stop(timeout: Timeout): void {
        timers.clearTimeout(timeout.#id);
        timeout._destroyed = true;
    }
}

export class Immediate extends Handle {
    _onImmediate: any;
    #id: number;
    constructor(callback: any, args: unknown[]) {
        super();
        this._onImmediate = callback;
        this.#id = timers.setImmediate(bind(() => Reflect.apply(callback, this, args)));
    }
    [Symbol.dispose ?? Symbol.for("Symbol.dispose")](): void {
        clearImmediate(this);
    }
    static stop(immediate: Immediate): void {
        timers.clearImmediate(immediate.#id);
    }
}

export function setTimeout(callback: any, delay?: any, ...args: unknown[]): any {
    validateFunction(callback, "callback");
    return new Timeout(callback, delay, args, false);
}

export function setInterval(callback: any, delay?: any, ...args: unknown[]): any {
    validateFunction(callback, "callback");
    return new Timeout(callback, delay, args, true);
}

export function setImmediate(callback: any, ...args: unknown[]): any {
    validateFunction(callback, "callback");
    return new Immediate(callback, args);
}

export function clearTimeout(timer: any): void {
    if (timer instanceof Timeout) {
        Timeout.stop(timer);
    } else if (typeof timer === "number" || typeof timer === "string") {
        timers.clearTimeout(Number(timer));
    }
}

export function clearInterval(timer: any): void {
    clearTimeout(timer);
}

export function clearImmediate(timer: any): void {
    if (timer instanceof Immediate) {
        Immediate.stop(timer);
    } else if (typeof timer === "number") {
        timers.clearImmediate(timer);
    }
}
