// SPDX-License-Identifier: Apache-2.0
//
// Actors (Durable Objects) from outside: the base class that modules extend, namespaces of their instances, ids and stubs. What
// an instance has of its own is loaded when a module that exports such a class is (lazy/actors.ts).

import { expose, need, toText } from "./interface.ts";
import { console } from "./console.ts";
import { native } from "./native.ts";

/** What `cloudflare:workers` exports. */
export class DurableObject {
    ctx: unknown;
    env: unknown;
    constructor(ctx: unknown, env: unknown) {
        this.ctx = ctx;
        this.env = env;
    }
}

export const isActorClass = (value: unknown): boolean =>
    typeof value === "function" && value.prototype instanceof DurableObject;

const ours = Symbol();
const ID_OF_NAME = 0, ID_NEW = 1, ID_CHECK = 2;

export class DurableObjectId {
    #text: string;
    /** What it was made of; undefined: chance, or it is not known. */
    readonly name: string | undefined;

    constructor(caller?: typeof ours, text?: string, name?: string) {
        if (caller !== ours) {
            throw new TypeError("Illegal constructor");
        }
        this.#text = text!;
        this.name = name;
    }
    toString(): string {
        return this.#text;
    }
    equals(other: DurableObjectId): boolean {
        return this.#text === other.#text;
    }
}
expose(DurableObjectId, "DurableObjectId");

export const idOf = (text: string, name?: string): DurableObjectId => new DurableObjectId(ours, text, name);

/** Made by service.ts: what a stub is a proxy of. */
type MakeStub = (service: string, entrypoint: string, props: string, target: object) => object;

let makeStub: MakeStub;

/** What fetch() and methods are looked up by is service.ts's business. */
export function setStubs(make: MakeStub): void {
    makeStub = make;
}

let warnedOf = new Set<string>();

/** There is one place for all of them here; said once. */
function ignored(what: string, why: string): void {
    if (!warnedOf.has(what)) {
        warnedOf.add(what);
        console.warn(`${what} is ignored here: ${why}`);
    }
}

interface IdOptions {
    jurisdiction?: string;
}

export class DurableObjectNamespace {
    #binding: string; // "": the module's own,
    #export: string; // of this name

    constructor(caller?: typeof ours, binding?: string, exported?: string) {
        if (caller !== ours) {
            throw new TypeError("Illegal constructor");
        }
        this.#binding = binding!;
        this.#export = exported!;
    }
    newUniqueId(options?: IdOptions): DurableObjectId {
        if (options?.jurisdiction) {
            ignored("jurisdiction", "all data is where this server is");
        }
        return idOf(native.actorId(this.#binding, this.#export, ID_NEW, ""));
    }
    idFromName(name: string): DurableObjectId {
        need(1, arguments.length, "idFromName");
        const text = toText(name);
        return idOf(native.actorId(this.#binding, this.#export, ID_OF_NAME, text), text);
    }
    idFromString(id: string): DurableObjectId {
        need(1, arguments.length, "idFromString");
        try {
            return idOf(native.actorId(this.#binding, this.#export, ID_CHECK, toText(id)));
        } catch (error) {
            if ((error as { code?: string }).code === "invalid") {
                throw new TypeError((error as Error).message);
            }
            throw error;
        }
    }
    get(id: DurableObjectId, _options?: { locationHint?: string }): object {
        if (!(id instanceof DurableObjectId)) {
            throw new TypeError("get() needs an id: one of idFromName(), idFromString() or newUniqueId()");
        }
        const text = id.toString();
        const target = Object.defineProperties(Object.create(DurableObjectStub.prototype) as object, {
            id: { value: id, enumerable: true },
            name: { value: id.name, enumerable: true },
        });
        return this.#binding === "" ? makeStub("", `${this.#export}:${text}`, id.name ?? "", target)
            : makeStub(this.#binding, text, id.name ?? "", target);
    }
    getByName(name: string, options?: { locationHint?: string }): object {
        need(1, arguments.length, "getByName");
        return this.get(this.idFromName(name), options);
    }
    jurisdiction(_jurisdiction: string): this {
        ignored("jurisdiction", "all data is where this server is");
        return this;
    }
}
expose(DurableObjectNamespace, "DurableObjectNamespace");

export const actorsOf = (binding: string, exported = ""): DurableObjectNamespace =>
    new DurableObjectNamespace(ours, binding, exported);

/** Stubs are proxies of such; its prototype is set to Fetcher's where that is made. */
export class DurableObjectStub {
    constructor() {
        throw new TypeError("Illegal constructor");
    }
}
expose(DurableObjectStub, "DurableObject");
