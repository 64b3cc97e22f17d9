// SPDX-License-Identifier: Apache-2.0
//
// Keys with values: what the storage, its transactions and its synchronous half (`storage.kv`) have in common. Values are those
// of structured clone. All of it is done where it is called: the host keeps it in the actor's own database.

import { toText } from "../interface.ts";
import { native } from "../native.ts";
import { compare, extend, keyBytes, pack, Reader } from "./packed.ts";

const KEYS_MAX = 128;

export interface ListOptions {
    start?: string;
    startAfter?: string;
    end?: string;
    prefix?: string;
    reverse?: boolean;
    limit?: number;
}

function checkCount(count: number, what: string): void {
    if (count > KEYS_MAX) {
        throw new RangeError(`Maximum number of keys is ${KEYS_MAX}: ${what} was given ${count}`);
    }
}

export function getOne(key: string): unknown {
    const found = new Reader(native.storeGet(pack([keyBytes(toText(key))])));
    return found.byte() ? native.deserialize(found.lstr()) : undefined;
}

export function getMany(keys: Iterable<string>): Map<string, unknown> {
    const texts = [...keys].map(toText).sort((a, b) => compare(keyBytes(a), keyBytes(b)));
    checkCount(texts.length, "get()");
    const values = new Map<string, unknown>();
    const found = new Reader(native.storeGet(pack(texts.map(keyBytes))));
    for (const key of texts) {
        if (found.byte()) {
            values.set(key, native.deserialize(found.lstr()));
        }
    }
    return values;
}

export function putOne(key: string, value: unknown): void {
    if (value === undefined) {
        throw new TypeError("put() called with undefined value.");
    }
    native.storePut(pack([keyBytes(toText(key)), native.serialize(value)]));
}

export function putMany(entries: object): void {
    const keys = Object.keys(entries);
    checkCount(keys.length, "put()");
    const parts: Uint8Array[] = [];
    for (const key of keys) {
        const value = (entries as Record<string, unknown>)[key];
        if (value !== undefined) {
            parts.push(keyBytes(key), native.serialize(value));
        }
    }
    if (parts.length) {
        native.storePut(pack(parts));
    }
}

export const deleteOne = (key: string): boolean => native.storeDelete(pack([keyBytes(toText(key))])) > 0;

export function deleteMany(keys: Iterable<string>): number {
    const texts = [...keys].map(toText);
    checkCount(texts.length, "delete()");
    return native.storeDelete(pack(texts.map(keyBytes)));
}

/** From which bytes on, and before which; undefined: nothing can be in between. */
function bounds(options: ListOptions): [Uint8Array, Uint8Array] | undefined {
    const { start, startAfter, end, prefix } = options;
    if (start !== undefined && startAfter !== undefined) {
        throw new TypeError("list() cannot be called with both start and startAfter values.");
    }
    let from: Uint8Array = start !== undefined ? keyBytes(toText(start))
        : startAfter !== undefined ? extend(keyBytes(toText(startAfter)), 0) : new Uint8Array();
    let to: Uint8Array = end !== undefined ? keyBytes(toText(end)) : new Uint8Array();
    if (prefix !== undefined && prefix !== "") {
        const first = keyBytes(toText(prefix)), last = extend(first, 0xff); // no text has such a byte
        from = compare(from, first) < 0 ? first : from;
        to = end === undefined || compare(last, to) < 0 ? last : to;
    } else if (end !== undefined && to.length === 0) {
        return undefined;
    }
    return to.length && compare(from, to) >= 0 ? undefined : [from, to];
}

function limitOf(options: ListOptions): number {
    const { limit } = options;
    if (limit === undefined) {
        return 0;
    }
    if (typeof limit !== "number" || !(limit > 0)) {
        throw new TypeError("List limit must be positive.");
    }
    return Math.min(Math.trunc(limit) || 1, 0xffffffff);
}

export function listAll(options: ListOptions = {}): Map<string, unknown> {
    const limit = limitOf(options), range = bounds(options);
    const values = new Map<string, unknown>();
    if (!range) {
        return values;
    }
    const found = new Reader(native.storeList(range[0], range[1], options.reverse ? 1 : 0, limit));
    while (!found.isOver) {
        const key = native.utf8Decode(found.lstr());
        values.set(key, native.deserialize(found.lstr()));
    }
    return values;
}

const isList = (key: unknown): key is Iterable<string> =>
    typeof key === "object" && key !== null && Symbol.iterator in key;

/** `ctx.storage` and the argument of transaction() are made of it. */
export class Keys {
    async get(key: string | Iterable<string>, _options?: object): Promise<unknown> {
        return isList(key) ? getMany(key) : getOne(key);
    }
    async put(key: string | object, value?: unknown, _options?: object): Promise<void> {
        if (typeof key === "object" && key !== null) {
            putMany(key);
        } else {
            putOne(key as string, value);
        }
    }
    async delete(key: string | Iterable<string>, _options?: object): Promise<boolean | number> {
        return isList(key) ? deleteMany(key) : deleteOne(key);
    }
    async list(options?: ListOptions): Promise<Map<string, unknown>> {
        return listAll(options ?? {});
    }
}
