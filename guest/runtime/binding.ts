// SPDX-License-Identifier: Apache-2.0
//
// Bindings: what `env.NAME` is for each kind of src/module/binding.c, by the word of its row. Made when it is first
// read, and then the same object.

import { executions } from "./executions.ts";
import { kvNamespace } from "./kv.ts";
import { actorsOf } from "./actor.ts";
import type d1 from "./lazy/d1.ts";
import { native } from "./native.ts";
import { Queue } from "./queue.ts";
import { service } from "./service.ts";

/** Asked inside of the host, so its promise is settled at once. */
class RateLimit {
    #name: string;

    constructor(name: string) {
        this.#name = name;
    }
    async limit(options: { key: string }): Promise<{ success: boolean }> {
        const key = options?.key;
        if (typeof key !== "string") {
            throw new TypeError("limit(): give it { key: text }");
        }
        return { success: native.rateLimit(this.#name, key) === 1 };
    }
    get [Symbol.toStringTag](): string {
        return "RateLimit";
    }
}

const kinds: Record<string, (name: string) => object> = {
    queue: (name) => new Queue(name),
    service: (name) => service(name),
    assets: (name) => service(name),
    ratelimit: (name) => new RateLimit(name),
    d1: (name) => (native.require("limpet:internal/runtime/d1") as typeof d1)(name),
    workflow: (name) => executions().binding(name),
    kv: kvNamespace,
    durable_object_namespace: (name) => actorsOf(name),
    bucket: (name) => (native.require("limpet:internal/runtime/bucket") as { bucket(name: string): object }).bucket(name),
};

let made: Map<string, object> | undefined;

export function bindingOf(kind: string, name: string): object {
    let binding = made?.get(name);
    if (!binding) {
        binding = kinds[kind]!(name);
        (made ??= new Map()).set(name, binding);
    }
    return binding;
}
