// SPDX-License-Identifier: Apache-2.0
//
// The one instance that an actor's isolate is: made by its first request, `ctx` as it has it, and how requests and calls reach it.
//
// The host gives the isolate to the actor for as long as it lives, and starts no request while a critical section lasts
// (ABI_ACTOR_BLOCK); only the request in which that began has to be kept waiting here.

import { runAlarm } from "../actors/alarm.ts";
import { Reader } from "../actors/packed.ts";
import { DurableObjectStorage } from "../actors/storage.ts";
import { DurableObject, type DurableObjectId, idOf, isActorClass } from "../actor.ts";
import { expose } from "../interface.ts";
import { native } from "../native.ts";
import { answered, contextExports, exportOf, memberOf } from "../service.ts";

const UNBLOCK = 0, BLOCK = 1, OVER = 2, ABORT = 3; // enum abi_actor
const CALL = 0, PROPERTY = 1, ALARM = 2; // enum call_what
const BLOCK_MS_MAX = 30_000;

type Waiting = { waitUntil(promise: unknown): void };

let instance: Record<string, unknown> | undefined;
let hasFailed = false, failure: unknown; // it is over: what it says to whoever comes still
let current: Waiting; // of the request that came last
let sections = 0; // critical ones, that are open
let section: Promise<unknown> | undefined; // the outermost

/** It takes nothing more: the next request makes another one. */
function over(error: unknown): void {
    if (!hasFailed) {
        hasFailed = true;
        failure = error;
        native.actorControl(OVER, "");
    }
}

const textOf = (error: unknown): string =>
    error instanceof Error ? `${error.name}: ${error.message}` : String(error);

function abort(error: unknown): void {
    over(error);
    native.actorControl(ABORT, textOf(error));
}

/** Nothing but what the callback begins goes on until it has ended. */
async function exclusive<T>(callback: () => T | Promise<T>): Promise<T> {
    const isFirst = sections++ === 0;
    let timer = 0;
    if (isFirst) {
        native.actorControl(BLOCK, "");
        timer = native.timer(BLOCK_MS_MAX, () => abort(new Error(
            "A call to blockConcurrencyWhile() in a Durable Object waited for too long. The call was canceled and the "
                + "Durable Object was reset.",
        )));
    }
    const { promise, resolve } = Promise.withResolvers<void>();
    if (isFirst) {
        section = promise;
    }
    try {
        return await callback();
    } finally {
        if (--sections === 0) {
            section = undefined;
            native.actorControl(UNBLOCK, "");
        }
        if (isFirst) {
            native.cancel(timer);
        }
        resolve();
    }
}

class DurableObjectState {
    readonly id: DurableObjectId;
    readonly storage = new DurableObjectStorage(exclusive);
    readonly props = {};

    constructor(id: DurableObjectId) {
        this.id = id;
    }
    get exports(): object {
        return contextExports();
    }
    /** It stays as long as anything is under way; only who looks at the log needs it. */
    waitUntil(promise: unknown): void {
        try {
            current.waitUntil(promise);
        } catch {
            Promise.resolve(promise).catch((error) => native.reportError("Uncaught in ctx.waitUntil(): ", error));
        }
    }
    async blockConcurrencyWhile<T>(callback: () => T | Promise<T>): Promise<T> {
        try {
            return await exclusive(callback);
        } catch (error) {
            over(error);
            throw error;
        }
    }
    abort(reason?: string): never {
        const error = new Error(reason === undefined ? "Application called abort() to reset Durable Object." : String(reason));
        abort(error);
        throw error;
    }
}
expose(DurableObjectState, "DurableObjectState");

type Constructor = new (ctx: unknown, env: unknown) => Record<string, unknown>;

function make(env: unknown): Record<string, unknown> {
    const self = native.actorSelf();
    const value = exportOf(self.class);
    if (typeof value !== "function") {
        throw new TypeError(`the module exports no class '${self.class}'; deploy it with one that extends DurableObject`);
    }
    return new (value as Constructor)(new DurableObjectState(idOf(self.id, self.name || undefined)), env);
}

/** undefined: it is ready. */
function ready(env: unknown, context: unknown): Promise<unknown> | undefined {
    current = context as Waiting;
    if (hasFailed) {
        throw failure;
    }
    if (!instance) {
        try {
            instance = make(env);
        } catch (error) {
            over(error);
            throw error;
        }
    }
    return section;
}

async function awaitReady(): Promise<void> {
    while (section) {
        await section;
    }
    if (hasFailed) {
        throw failure;
    }
}

type Fetch = (request: Request) => unknown;

function fetchNow(request: Request): unknown {
    if (typeof instance!.fetch !== "function") {
        throw new TypeError("Handler does not export a fetch() function.");
    }
    return (instance!.fetch as Fetch)(request);
}

function actorFetch(request: Request, env: unknown, context: unknown): unknown {
    return ready(env, context) ? awaitReady().then(() => fetchNow(request)) : fetchNow(request);
}

function find(method: string): PropertyDescriptor {
    const cls = instance!.constructor;
    if (!isActorClass(cls)) {
        throw new TypeError(`'${cls.name}' does not extend DurableObject, so it has no methods for others: use fetch()`);
    }
    const found = memberOf(instance!, DurableObject.prototype, method);
    if (!found) {
        throw new TypeError(`The RPC receiver does not implement the method "${method}".`);
    }
    return found;
}

function invoke(method: string, what: number, values: Uint8Array<ArrayBuffer>): unknown {
    const found = find(method);
    const value = found.get ? found.get.call(instance) : found.value;
    if (what === PROPERTY) {
        return value;
    }
    if (typeof value !== "function") {
        throw new TypeError(`"${method}" is not a function.`);
    }
    return Reflect.apply(value, instance, native.deserialize(values) as unknown[]);
}

const calls = new Map<string, Promise<Uint8Array>>(); // with an id, under way

/** The answer is stored with what the call has stored last; one that was answered before is not done again. */
async function once(id: string, call: () => Promise<Uint8Array>): Promise<Uint8Array> {
    const known = new Reader(native.storeCall(id, 0, new Uint8Array()));
    if (known.byte()) {
        return known.lstr().slice();
    }
    const answer = await call();
    native.storeCall(id, 1, answer);
    return answer;
}

function callOnce(id: string, call: () => Promise<Uint8Array>): Promise<Uint8Array> {
    let promise = calls.get(id);
    if (!promise) {
        const over = () => calls.delete(id);
        calls.set(id, promise = once(id, call));
        promise.then(over, over);
    }
    return promise;
}

/** id: the same for each try of one call of a workflow, or "". */
async function actorCall(
    id: string, method: string, what: number, values: Uint8Array<ArrayBuffer>, env: unknown, context: unknown,
): Promise<Uint8Array> {
    try {
        if (ready(env, context)) {
            await awaitReady();
        }
    } catch (error) {
        return answered(() => {
            throw error;
        });
    }
    if (what === ALARM) {
        return answered(() => runAlarm(instance!));
    }
    const call = () => answered(() => invoke(method, what, values));
    return id !== "" && what === CALL ? callOnce(id, call) : call();
}

export default { actorFetch, actorCall };
