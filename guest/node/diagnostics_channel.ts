// SPDX-License-Identifier: Apache-2.0
//
// node:diagnostics_channel.

import { native } from "limpet:internal";
import { invalidArgType } from "./internal/errors.ts";
import { nextTick } from "./internal/tick.ts";
import { validateFunction } from "./internal/validate.ts";

const channels = new Map<string | symbol, Channel>();

export class Channel {
    name: string | symbol;
    _subscribers: any[] = [];
    #stores = new Map<any, any>();
    constructor(name: string | symbol) {
        this.name = name;
    }
    get hasSubscribers(): boolean {
        return this._subscribers.length > 0 || this.#stores.size > 0;
    }
    subscribe(subscription: any): void {
        validateFunction(subscription, "subscription");
        this._subscribers = [...this._subscribers, subscription];
    }
    unsubscribe(subscription: any): boolean {
        const at = this._subscribers.indexOf(subscription);
        if (at < 0) {
            return false;
        }
        this._subscribers = this._subscribers.toSpliced(at, 1);
        return true;
    }
    bindStore(store: any, transform?: any): void {
        this.#stores.set(store, transform);
    }
    unbindStore(store: any): boolean {
        return this.#stores.delete(store);
    }
    publish(data: unknown): void {
        for (const subscriber of this._subscribers) {
            try {
                subscriber(data, this.name);
            } catch (error) {
                nextTick(() => native.reportError("Uncaught ", error));
            }
        }
    }
    runStores(context: any, fn: any, self?: any, ...args: any[]): any {
        let run = (): any => {
            this.publish(context);
            return Reflect.apply(fn, self, args);
        };
        for (const [store, transform] of this.#stores) {
            const next = run;
            run = () => {
                let value = context;
                try {
                    value = transform ? transform(context) : context;
                } catch (error) {
                    nextTick(() => native.reportError("Uncaught ", error));
                    return next();
                }
                return store.run(value, next);
            };
        }
        return run();
    }
}

export function channel(name: string | symbol): Channel {
    if (typeof name !== "string" && typeof name !== "symbol") {
        throw invalidArgType("channel", ["string", "symbol"], name);
    }
    let found = channels.get(name);
    if (!found) {
        channels.set(name, found = new Channel(name));
    }
    return found;
}

export function subscribe(name: string | symbol, subscription: any): void {
    channel(name).subscribe(subscription);
}

export function unsubscribe(name: string | symbol, subscription: any): boolean {
    return channel(name).unsubscribe(subscription);
}

export function hasSubscribers(name: string | symbol): boolean {
    return channels.get(name)?.hasSubscribers ?? false;
}

const events = ["start", "end", "asyncStart", "asyncEnd", "error"] as const;

export class TracingChannel {
    start!: Channel;
    end!: Channel;
    asyncStart!: Channel;
    asyncEnd!: Channel;
    error!: Channel;
    constructor(nameOrChannels: any) {
        for (const event of events) {
            this[event] = typeof nameOrChannels === "string" ? channel(`tracing:${nameOrChannels}:${event}`) : nameOrChannels[event];
        }
    }
    get hasSubscribers(): boolean {
        return events.some((event) => this[event]?.hasSubscribers);
    }
    subscribe(handlers: any): void {
        for (const event of events) {
            if (handlers[event]) {
                this[event]?.subscribe(handlers[event]);
            }
        }
    }
    unsubscribe(handlers: any): boolean {
        let isDone = true;
        for (const event of events) {
            if (handlers[event] && !this[event]?.unsubscribe(handlers[event])) {
                isDone = false;
            }
        }
        return isDone;
    }
    traceSync(fn: any, context: any = {}, self?: any, ...args: any[]): any {
        return this.start.runStores(context, () => {
            try {
                return context.result = Reflect.apply(fn, self, args);
            } catch (error) {
                context.error = error;
                this.error.publish(context);
                throw error;
            } finally {
                this.end.publish(context);
            }
        });
    }
    tracePromise(fn: any, context: any = {}, self?: any, ...args: any[]): any {
        const settled = (key: "result" | "error", value: unknown): void => {
            context[key] = value;
            if (key === "error") {
                this.error.publish(context);
            }
            this.asyncStart.publish(context);
            this.asyncEnd.publish(context);
        };
        return this.start.runStores(context, () => {
            try {
                return Promise.resolve(Reflect.apply(fn, self, args)).then((value) => {
                    settled("result", value);
                    return value;
                }, (error) => {
                    settled("error", error);
                    throw error;
                });
            } catch (error) {
                context.error = error;
                this.error.publish(context);
                throw error;
            } finally {
                this.end.publish(context);
            }
        });
    }
    traceCallback(fn: any, position = -1, context: any = {}, self?: any, ...args: any[]): any {
        const at = position < 0 ? args.length + position : position;
        const callback = args[at];
        validateFunction(callback, "callback");
        args[at] = (...results: any[]) => {
            const [error, result] = results;
            if (error) {
                context.error = error;
                this.error.publish(context);
            } else {
                context.result = result;
            }
            return this.asyncStart.runStores(context, () => {
                try {
                    return Reflect.apply(callback as any, undefined, results);
                } finally {
                    this.asyncEnd.publish(context);
                }
            });
        };
        return this.start.runStores(context, () => {
            try {
                return Reflect.apply(fn, self, args);
            } catch (error) {
                context.error = error;
                this.error.publish(context);
                throw error;
            } finally {
                this.end.publish(context);
            }
        });
    }
}

export function tracingChannel(nameOrChannels: any): TracingChannel {
    return new TracingChannel(nameOrChannels);
}

export default { channel, hasSubscribers, subscribe, unsubscribe, tracingChannel, Channel, TracingChannel };
