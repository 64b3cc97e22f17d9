// SPDX-License-Identifier: Apache-2.0
//
// What Web IDL gives every interface of the platform and plain classes do not have: enumerable
// members, a class string, iterators with their own name, and the conversions of arguments.

type AnyClass = { prototype: object; name: string };

/** Makes a class look like a platform interface: its own members enumerable, its class string set. The
 *  name is set too, because the bundler renames classes that refer to themselves. */
export function expose(cls: AnyClass, name: string): void {
    const proto = cls.prototype;
    for (const key of Object.getOwnPropertyNames(proto)) {
        if (key !== "constructor") {
            Object.defineProperty(proto, key, { enumerable: true });
        }
    }
    for (const [key, { value, get }] of Object.entries(Object.getOwnPropertyDescriptors(cls))) {
        if (get || (typeof value === "function" && key !== "prototype")) {
            Object.defineProperty(cls, key, { enumerable: true });
        }
    }
    Object.defineProperty(proto, Symbol.toStringTag, { value: name, configurable: true });
    if (cls.name !== name) {
        Object.defineProperty(cls, "name", { value: name, configurable: true });
    }
}

/** Constants such as Event.AT_TARGET: on the class and on its prototype, read-only. */
export function constants(cls: AnyClass, values: Record<string, number>): void {
    for (const key of Object.keys(values)) {
        const descriptor = { value: values[key], enumerable: true };
        Object.defineProperty(cls, key, descriptor);
        Object.defineProperty(cls.prototype, key, descriptor);
    }
}

/** Puts a value where scripts find it: writable, configurable; functions that are no classes enumerable. */
export function global(name: string, value: unknown): void {
    Object.defineProperty(globalThis, name, {
        value, writable: true, configurable: true,
        enumerable: typeof value === "function" && name[0] === name[0]!.toLowerCase(),
    });
}

/** The same for what the engine has defined in C. */
export function exposeNative(classes: AnyClass[], functions: string[]): void {
    for (const cls of classes) {
        expose(cls, cls.name);
    }
    for (const name of functions) {
        Object.defineProperty(globalThis, name, { enumerable: true });
    }
    for (const key of Object.getOwnPropertyNames(crypto)) {
        Object.defineProperty(crypto, key, { enumerable: true });
    }
}

/** The USVString conversion: text without lone surrogates. */
export function usv(value: unknown): string {
    return (typeof value === "string" ? value : toText(value)).toWellFormed();
}

/** The DOMString conversion; unlike String(), it refuses symbols. */
export function toText(value: unknown): string {
    return `${value as string}`;
}

/** Throws the error that browsers throw when a required argument is missing. */
export function need(count: number, given: number, what: string): void {
    if (given < count) {
        throw new TypeError(
            `${what}: ${count} argument${count === 1 ? "" : "s"} required, but only ${given} present`,
        );
    }
}

/** The second argument of a constructor that takes members by name. */
export function dictionary<T>(init: T | null | undefined, what: string): Partial<T> {
    if (init !== undefined && init !== null && typeof init !== "object" && typeof init !== "function") {
        throw new TypeError(`${what} constructor: the second argument is not an object`);
    }
    return init ?? {};
}

/** The bytes of a BufferSource without a copy, or undefined if the value is none. */
export function bytesOf(value: unknown): Uint8Array<ArrayBuffer> | undefined {
    if (ArrayBuffer.isView(value)) {
        return value instanceof Uint8Array
            ? value as Uint8Array<ArrayBuffer>
            : new Uint8Array(value.buffer as ArrayBuffer, value.byteOffset, value.byteLength);
    }
    if (value instanceof ArrayBuffer) {
        return new Uint8Array(value);
    }
    if (typeof SharedArrayBuffer === "function" && value instanceof SharedArrayBuffer) {
        return new Uint8Array(value) as unknown as Uint8Array<ArrayBuffer>;
    }
    return undefined;
}

/** Joins pieces into one array of their own. */
export function concat(parts: Uint8Array[], length: number): Uint8Array<ArrayBuffer> {
    const all = new Uint8Array(length);
    let at = 0;
    for (const part of parts) {
        all.set(part, at);
        at += part.length;
    }
    return all;
}

export type PairKind = "key" | "value" | "key+value";

/** Makes the iterator class of a pair list (URLSearchParams, FormData): live, as the standard asks,
 *  so that entries added while iterating are seen. `list` is flat: name, value, name, value, … */
export function pairIterator<V>(name: string) {
    const iteratorProto = Object.getPrototypeOf(Object.getPrototypeOf([][Symbol.iterator]()));
    class PairIterator {
        #list: readonly (string | V)[] | undefined;
        #kind: PairKind;
        #at = 0;
        constructor(list: readonly (string | V)[], kind: PairKind) {
            this.#list = list;
            this.#kind = kind;
        }
        next(): IteratorResult<any> {
            const list = this.#list;
            const at = this.#at;
            if (!list || at >= list.length) {
                this.#list = undefined;
                return { value: undefined, done: true };
            }
            this.#at = at + 2;
            const kind = this.#kind;
            return {
                value: kind === "key" ? list[at]
                    : kind === "value" ? list[at + 1]
                    : [list[at], list[at + 1]],
                done: false,
            };
        }
    }
    Object.setPrototypeOf(PairIterator.prototype, iteratorProto);
    delete (PairIterator.prototype as { constructor?: unknown }).constructor;
    expose(PairIterator, `${name} Iterator`);
    return PairIterator as unknown as new (
        list: readonly (string | V)[], kind: PairKind,
    ) => IterableIterator<any>;
}
