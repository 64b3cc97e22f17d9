// SPDX-License-Identifier: Apache-2.0
//
// Service bindings. The caller's side: objects with fetch(), whose other members are methods of the class that they lead
// to. The callee's side: exported classes that extend WorkerEntrypoint, made anew for each request or call.
//
// What a method is given and gives are values of structured clone; its answer is [0, value] or [1, error]. So promises,
// and errors with their class, message, stack, cause and properties, cross; functions and streams do not.

import { actorsOf, DurableObjectStub, isActorClass, setStubs } from "./actor.ts";
import { eventCall, hasEvents } from "./events.ts";
import { native, type ServiceTarget } from "./native.ts";
import { errorPack, errorUnpack } from "./workflow/errors.ts";

const REDIRECTS_MAX = 20;
const CALL = 0, PROPERTY = 1, EVENT = 3; // enum call_what of src/call/call.h

// --- the callee -------------------------------------------------------------------------------------

/** A class that extends this and is exported is what others may be bound to. */
export class WorkerEntrypoint {
    ctx: unknown;
    env: unknown;
    constructor(ctx: unknown, env: unknown) {
        this.ctx = ctx;
        this.env = env;
    }
}

type Constructor = new (ctx: unknown, env: unknown) => object;

let exported: Record<string, unknown> = {};

function isEntrypoint(value: unknown): value is Constructor {
    return typeof value === "function" && value.prototype instanceof WorkerEntrypoint;
}

/** A module was loaded: 1 if it exports such classes, 2 if the default one is, 4 if that is an object with handlers of events. */
export function entrypointsOf(namespace: object): number {
    exported = namespace as Record<string, unknown>;
    const values = Object.values(exported), hasActors = values.some(isActorClass);
    if (hasActors) {
        native.require(ACTORS); // so it is in the image
    }
    return (hasActors || values.some(isEntrypoint) ? 1 : 0) + (isEntrypoint(exported.default) ? 2 : 0) +
        (hasEvents(exported.default) ? 4 : 0);
}

const ACTORS = "limpet:internal/runtime/actors";

/** What requests and calls of an actor come to. */
export const actorHandlers = (): typeof import("./lazy/actors.ts").default => native.require(ACTORS) as never;

export const exportOf = (name: string): unknown => exported[name];

function find(name: string): unknown {
    const value = exported[name || "default"];
    if (value === undefined) {
        const names = Object.keys(exported).filter((key) => isEntrypoint(exported[key]));
        throw new TypeError(
            `the module has no entrypoint '${name || "default"}'; it exports ${names.join(", ") || "none"}`,
        );
    }
    return value;
}

type Handler = { fetch?: (request: Request, env?: unknown, context?: unknown) => unknown };

export function entrypointFetch(name: string, request: Request, env: unknown, context: unknown): unknown {
    const value = find(name);
    const isClass = isEntrypoint(value);
    const handler = (isClass ? new value(context, env) : value) as Handler;
    if (typeof handler.fetch !== "function") {
        throw new TypeError(`the entrypoint '${name || "default"}' has no fetch()`);
    }
    return isClass ? handler.fetch(request) : handler.fetch(request, env, context);
}

/** Members that are the class's own: not those of every object, nor what an instance keeps. */
export function memberOf(object: object, base: object, key: string): PropertyDescriptor | undefined {
    for (let at = Object.getPrototypeOf(object); at && at !== base; at = Object.getPrototypeOf(at)) {
        const found = key === "constructor" ? undefined : Object.getOwnPropertyDescriptor(at, key);
        if (found) {
            return found;
        }
    }
    return undefined;
}

function member(name: string, key: string, env: unknown, context: unknown): [object, PropertyDescriptor] {
    const value = find(name);
    if (!isEntrypoint(value)) {
        throw new TypeError(`'${name || "default"}' is no class that extends WorkerEntrypoint, so it has no methods`);
    }
    const object = new value(context, env);
    const found = memberOf(object, WorkerEntrypoint.prototype, key);
    if (found) {
        return [object, found];
    }
    throw new TypeError(`the entrypoint '${name || "default"}' has no method '${key}'`);
}

/** What a call gives, or throws, as it is answered. */
export async function answered(call: () => unknown): Promise<Uint8Array> {
    try {
        return native.serialize([0, await call()]);
    } catch (error) {
        return errorBytes(error);
    }
}

export function methodCall(
    name: string, method: string, what: number, values: Uint8Array<ArrayBuffer>, env: unknown, context: unknown,
): Promise<Uint8Array> {
    if (what === EVENT) {
        const value = find(name), isClass = isEntrypoint(value);
        return eventCall(method, values, isClass ? new value(context, env) : value, isClass, env, context);
    }
    return answered(() => {
        const [object, found] = member(name, method, env, context);
        const value = found.get ? found.get.call(object) : found.value;
        if (what === PROPERTY) {
            return value;
        }
        if (typeof value !== "function") {
            throw new TypeError(`'${method}' of the entrypoint '${name || "default"}' is no method`);
        }
        return Reflect.apply(value, object, native.deserialize(values) as unknown[]);
    });
}

function errorBytes(error: unknown): Uint8Array {
    try {
        return native.serialize([1, errorPack(error, false)[0]]);
    } catch {
        return native.serialize([1, errorPack(error, true)[0]]);
    }
}

// --- the caller -------------------------------------------------------------------------------------

/** What services are instances of. */
export class Fetcher {
    fetch(_input: unknown, _init?: unknown): Promise<Response> {
        return Promise.reject(new TypeError("Illegal invocation"));
    }
    get [Symbol.toStringTag](): string {
        return "Fetcher";
    }
}

async function call(service: string, entrypoint: string, props: string, method: string, what: 0 | 1, values: unknown[]) {
    const bytes = await native.serviceCall(service, entrypoint, props, method, what, native.serialize(values));
    const [hasFailed, value] = native.deserialize(bytes) as [number, unknown];
    if (!hasFailed) {
        return value;
    }
    const error = errorUnpack(value);
    if (error instanceof Error) {
        Object.defineProperty(error, "remote", { value: true, configurable: true, writable: true });
    }
    throw error;
}

/** What a binding of that name is; or, with name "", an export of the module itself with these props. */
export function service(name: string, entrypoint = "", props = "", of: object = new Fetcher()): Fetcher {
    const fetch = (input: unknown, init?: RequestInit): Promise<Response> =>
        native.serviceFetch([name, entrypoint, props, 0, input, init], input, init);
    return new Proxy(of as Fetcher, {
        get(target, key, receiver) {
            if (key === "fetch") {
                return fetch;
            }
            if (typeof key === "symbol" || key === "then" || key in target) {
                return Reflect.get(target, key, receiver);
            }
            const method = (...values: unknown[]) => call(name, entrypoint, props, key, CALL, values);
            const read = (ok?: never, failed?: never) => call(name, entrypoint, props, key, PROPERTY, []).then(ok, failed);
            return Object.defineProperty(method, "then", { value: read });
        },
        set: () => false,
    });
}

Object.setPrototypeOf(DurableObjectStub.prototype, Fetcher.prototype);
Object.setPrototypeOf(DurableObjectStub, Fetcher);
setStubs(service);

/** `ctx.exports`: the module's own exports, called as others call them. A class may be called to get one with props. */
export function contextExports(): object {
    const all = Object.create(null) as Record<string, unknown>;
    for (const name of Object.keys(exported)) {
        const value = exported[name];
        const isObject = typeof value === "object" && value !== null && typeof (value as Handler).fetch === "function";
        if (isActorClass(value)) {
            Object.defineProperty(all, name, { enumerable: true, configurable: true, get: () => actorsOf("", name) });
        } else if (isEntrypoint(value) || isObject) {
            Object.defineProperty(all, name, { enumerable: true, configurable: true, get: () => loopback(name) });
        }
    }
    return all;
}

/** `exports` of cloudflare:workers: the same without a context. What is exported is known when the module has run. */
export const moduleExports: object = new Proxy(Object.create(null) as object, {
    get: (_target, key) => Reflect.get(contextExports(), key),
    has: (_target, key) => Reflect.has(contextExports(), key),
    ownKeys: () => Reflect.ownKeys(contextExports()),
    getOwnPropertyDescriptor: (_target, key) => Reflect.getOwnPropertyDescriptor(contextExports(), key),
    set: () => false,
    defineProperty: () => false,
    deleteProperty: () => false,
});

function loopback(name: string): object {
    const bare = service("", name);
    const make = (options: { props?: object } = {}) => service("", name, JSON.stringify(options.props ?? {}));
    return new Proxy(make, { get: (_target, key) => Reflect.get(bare, key), set: () => false });
}

/** The answer to a request of ours is a redirect: followed through the same binding, as fetch() follows others. */
export function serviceRedirect(response: Response, request: Request, target: ServiceTarget): Response | Promise<Response> {
    const [name, entrypoint, props, hops, input, init] = target;
    const location = response.headers.get("location");
    if (location === null || request.redirect === "manual") {
        return response;
    }
    if (request.redirect === "error" || hops >= REDIRECTS_MAX) {
        throw new TypeError(
            request.redirect === "error" ? "the service answered with a redirect, which redirect: \"error\" forbids"
                : `more than ${REDIRECTS_MAX} redirects`,
        );
    }
    const status = response.status;
    const isGet = request.method === "GET" || request.method === "HEAD";
    const turnsGet = (status === 303 && !isGet) || (status <= 302 && request.method === "POST");
    const body = init?.body ?? (input instanceof Request ? input.body : null);
    if (body && !turnsGet && body instanceof ReadableStream) {
        throw new TypeError("the request's body is a stream, which cannot be sent again where a redirect leads");
    }
    const headers = new Headers(request.headers);
    if (turnsGet) {
        for (const header of ["content-encoding", "content-language", "content-length", "content-location", "content-type"]) {
            headers.delete(header);
        }
    }
    void response.body?.cancel();
    const next: RequestInit = {
        method: turnsGet ? "GET" : request.method, headers, signal: request.signal,
        body: turnsGet ? undefined : body,
    };
    const url = new URL(location, request.url).href;
    return native.serviceFetch([name, entrypoint, props, hops + 1, url, next], url, next);
}
