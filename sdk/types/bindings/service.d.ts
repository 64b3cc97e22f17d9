// SPDX-License-Identifier: Apache-2.0
//
// Other functions of the namespace (docs/bindings.md).

/** What a service binding is: another function of the namespace. */
declare abstract class Fetcher {
    fetch(input: RequestInfo | URL, init?: RequestInit): Promise<Response>;
}

/** A service binding with the methods of a class: `Service<typeof import("../auth/src/index").Admin>`. */
type Service<C extends abstract new (...args: any[]) => object> = Fetcher & {
    readonly [K in Exclude<keyof InstanceType<C>, "fetch">]: InstanceType<C>[K] extends (...values: infer V) => infer R
        ? (...values: V) => Promise<Awaited<R>> : Promise<Awaited<InstanceType<C>[K]>>;
};
