// SPDX-License-Identifier: Apache-2.0
//
// structuredClone (HTML §2.7): copies what the standard calls serializable, keeps shared and circular
// references, moves the buffers in `transfer`. What cannot be copied is a DataCloneError that names it.

import { Blob, blobBytes, blobOf, File, fileOf } from "./blob.ts";
import { CryptoKey, keyClone } from "./crypto/key.ts";
import { need } from "./interface.ts";
import { native } from "./native.ts";
import { isStream } from "./stream.ts";

const errorClasses: Record<string, ErrorConstructor> = {
    EvalError, RangeError, ReferenceError, SyntaxError, TypeError, URIError,
};

function refuse(what: string): never {
    throw new DOMException(`${what} could not be cloned`, "DataCloneError");
}

/** Interfaces that are not serializable; main.ts fills it, which spares imports in circles. */
export const platformClasses: (abstract new (...args: never[]) => object)[] = [];

function isPlatformObject(value: object): boolean {
    return value instanceof Headers || value instanceof Request || value instanceof Response
        || isStream(value) || platformClasses.some((cls) => value instanceof cls);
}

/** For the serializer of durable values (guest/engine): the parts of a Blob or File, the name of an
 *  object that cannot be cloned, undefined for an ordinary one. */
export function platformParts(
    value: object,
): string | [Uint8Array, string, string?, number?] | undefined {
    if (value instanceof File) {
        return [blobBytes(value), value.type, value.name, value.lastModified];
    }
    if (value instanceof Blob) {
        return [blobBytes(value), value.type];
    }
    return isPlatformObject(value) ? value.constructor?.name || "platform object" : undefined;
}

class Cloner {
    #seen: Map<object, unknown>; // what was met, and its copy

    #bounds: Map<object, [offset: number, length: number]>; // of views, which lose them with the buffer

    constructor(seen: Map<object, unknown>, bounds: Map<object, [number, number]> = new Map()) {
        this.#seen = seen;
        this.#bounds = bounds;
    }

    clone(value: unknown): unknown {
        if (typeof value === "symbol") {
            return refuse(String(value));
        }
        if (typeof value === "function") {
            return refuse(`function ${value.name || "(anonymous)"}`);
        }
        if (typeof value !== "object" || value === null) {
            return value;
        }
        if (this.#seen.has(value)) {
            return this.#seen.get(value);
        }
        if (native.proxyTarget(value)) {
            return refuse("a Proxy");
        }
        return this.#object(value);
    }

    #keep<T>(value: object, copy: T): T {
        this.#seen.set(value, copy);
        return copy;
    }

    #object(value: object): unknown {
        if (Array.isArray(value)) {
            const copy = this.#keep(value, [] as unknown[]);
            copy.length = value.length;
            return this.#properties(value, copy);
        }
        if (value instanceof Map) {
            const copy = this.#keep(value, new Map());
            for (const [key, item] of [...value]) {
                copy.set(this.clone(key), this.clone(item));
            }
            return copy;
        }
        if (value instanceof Set) {
            const copy = this.#keep(value, new Set());
            for (const item of [...value]) {
                copy.add(this.clone(item));
            }
            return copy;
        }
        if (value instanceof ArrayBuffer) {
            return this.#keep(value, this.#buffer(value));
        }
        if (typeof SharedArrayBuffer === "function" && value instanceof SharedArrayBuffer) {
            return value;
        }
        if (ArrayBuffer.isView(value)) {
            return this.#view(value);
        }
        if (value instanceof Error) {
            return this.#error(value);
        }
        return this.#boxed(value);
    }

    #boxed(value: object): unknown {
        if (value instanceof Date) {
            return this.#keep(value, new Date(value.getTime()));
        }
        if (value instanceof RegExp) {
            return this.#keep(value, new RegExp(value.source, value.flags));
        }
        if (value instanceof Boolean || value instanceof Number || value instanceof String) {
            return this.#keep(value, Object(value.valueOf()));
        }
        if (value instanceof BigInt) {
            return this.#keep(value, Object(BigInt.prototype.valueOf.call(value)));
        }
        if (value instanceof Blob) {
            const blob = blobOf(blobBytes(value), value.type);
            return this.#keep(value, value instanceof File
                ? fileOf(blob, value.name, { lastModified: value.lastModified }) : blob);
        }
        if (value instanceof CryptoKey) {
            return this.#keep(value, keyClone(value));
        }
        if (value instanceof Symbol || value instanceof Promise || value instanceof WeakMap
            || value instanceof WeakSet || value instanceof WeakRef || isPlatformObject(value)) {
            return refuse(`a ${value.constructor?.name || "platform object"}`);
        }
        return this.#properties(value, this.#keep(value, {}));
    }

    #properties(value: object, copy: object): object {
        for (const key of Object.keys(value)) {
            // A getter may have removed later keys.
            if (Object.hasOwn(value, key)) {
                Object.defineProperty(copy, key, {
                    value: this.clone((value as Record<string, unknown>)[key]),
                    writable: true, enumerable: true, configurable: true,
                });
            }
        }
        return copy;
    }

    #buffer(buffer: ArrayBuffer): ArrayBuffer {
        if (buffer.detached) {
            return refuse("an ArrayBuffer that is detached");
        }
        if (!buffer.resizable) {
            return buffer.slice(0);
        }
        const copy = new ArrayBuffer(buffer.byteLength, { maxByteLength: buffer.maxByteLength });
        new Uint8Array(copy).set(new Uint8Array(buffer));
        return copy;
    }

    #view(view: ArrayBufferView): unknown {
        const buffer = this.clone(view.buffer) as ArrayBuffer;
        const name = view instanceof DataView
            ? "DataView" : (view as unknown as { [Symbol.toStringTag]: string })[Symbol.toStringTag];
        const cls = (globalThis as unknown as Record<string, new (...args: unknown[]) => unknown>)[name]!;
        let bounds = this.#bounds.get(view);
        if (!bounds) {
            bounds = [view.byteOffset, view instanceof DataView
                ? view.byteLength : (view as unknown as { length: number }).length];
            this.#bounds.set(view, bounds);
        }
        return this.#keep(view, new cls(buffer, ...bounds));
    }

    #error(error: Error): unknown {
        if (error instanceof DOMException) {
            const copy = new DOMException(error.message, error.name);
            this.#keep(error, copy);
            this.#hide(copy, "stack", error.stack);
            return copy;
        }
        const cls = Object.hasOwn(errorClasses, error.name) ? errorClasses[error.name]! : Error;
        const made = this.#keep(error, new cls());
        const message = Object.getOwnPropertyDescriptor(error, "message");
        if (message && "value" in message) {
            this.#hide(made, "message", String(message.value));
        } else {
            delete (made as Partial<Error>).message;
        }
        this.#hide(made, "stack", typeof error.stack === "string" ? error.stack : undefined);
        if (Object.hasOwn(error, "cause")) {
            this.#hide(made, "cause", this.clone(error.cause));
        }
        return made;
    }

    #hide(object: object, key: string, value: unknown): void {
        Object.defineProperty(object, key, { value, writable: true, configurable: true });
    }
}

/** What can be transferred besides buffers; the files of such classes add theirs. */
export const transferables: {
    isOne(value: unknown): boolean;
    isGone(value: unknown): boolean;
    move(value: unknown): object;
}[] = [];

/** What to move; a DataCloneError if the list is not one of distinct things that can be. */
function transferList(list: unknown): Map<object, () => object> {
    const moves = new Map<object, () => object>();
    for (const item of list as Iterable<object>) {
        const kind = transferables.find((one) => one.isOne(item));
        if (!kind && !(item instanceof ArrayBuffer)) {
            return refuse("a value in the transfer list that is neither an ArrayBuffer nor a MessagePort");
        }
        if (moves.has(item)) {
            return refuse("what is twice in the transfer list");
        }
        if (kind ? kind.isGone(item) : (item as ArrayBuffer).detached) {
            return refuse("what is detached");
        }
        moves.set(item, () => (kind ? kind.move(item) : (item as ArrayBuffer).transfer()));
    }
    return moves;
}

/** As structuredClone(); `moved`, if given, gets what the transfer list has become, in its order. */
export function structuredCloneAs(value: unknown, transfer: Iterable<unknown>, moved?: unknown[]): unknown {
    const seen = new Map<object, unknown>();
    const bounds = new Map<object, [number, number]>();
    const moves = transferList(transfer);
    if (moves.size) {
        // A failing clone must not detach anything, so a first pass copies without moving.
        new Cloner(new Map([...moves.keys()].map((item) => [item, item])), bounds).clone(value);
        for (const [item, move] of moves) {
            seen.set(item, move());
            moved?.push(seen.get(item));
        }
    }
    return new Cloner(seen, bounds).clone(value);
}

export function structuredClone(value: unknown, options?: { transfer?: Iterable<unknown> }): unknown {
    need(1, arguments.length, "structuredClone");
    return structuredCloneAs(value, options?.transfer ?? []);
}
