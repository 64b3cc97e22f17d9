// SPDX-License-Identifier: Apache-2.0
//
// node:dns.

import promises from "./dns/promises.ts";
import { codes, getDefaultResultOrder, getServers, lookupNow, notFound, resolverOf, setDefaultResultOrder, setServers } from "./internal/dns.ts";
import { nextTick } from "./internal/tick.ts";
import { validateFunction } from "./internal/validate.ts";

export { promises };

export function lookup(hostname: string, options: any, callback?: any): any {
    if (typeof options === "function") {
        [options, callback] = [{}, options];
    }
    validateFunction(callback, "callback");
    let found: { address: string; family: number }[];
    try {
        found = lookupNow(hostname, options);
    } catch (error) {
        if ((error as any).code !== "ENOTFOUND") {
            throw error;
        }
        nextTick(callback, error);
        return {};
    }
    nextTick(() => (options?.all ? callback(null, found) : callback(null, found[0]!.address, found[0]!.family)));
    return {};
}

const query = (name: string) => ({ [name]: (hostname: string, ...rest: any[]): any => {
    const callback = rest.at(-1);
    validateFunction(callback, "callback");
    nextTick(callback, notFound(`query${name.replace(/^resolve/, "") || "A"}`, hostname));
    return {};
} }[name]!);
export function lookupService(address: string, port: number, callback: any): any {
    validateFunction(callback, "callback");
    nextTick(callback, notFound("getnameinfo", address));
    return {};
}
export const resolve = query("resolve");
export const resolve4 = query("resolve4");
export const resolve6 = query("resolve6");
export const resolveAny = query("resolveAny");
export const resolveCaa = query("resolveCaa");
export const resolveCname = query("resolveCname");
export const resolveMx = query("resolveMx");
export const resolveNaptr = query("resolveNaptr");
export const resolveNs = query("resolveNs");
export const resolvePtr = query("resolvePtr");
export const resolveSoa = query("resolveSoa");
export const resolveSrv = query("resolveSrv");
export const resolveTxt = query("resolveTxt");
export const reverse = query("reverse");
export { getDefaultResultOrder, getServers, setDefaultResultOrder, setServers };
export const ADDRCONFIG = 32, ALL = 16, V4MAPPED = 8;
export const { ADDRGETNETWORKPARAMS, BADFAMILY, BADFLAGS, BADHINTS, BADNAME, BADQUERY, BADRESP, BADSTR, CANCELLED, CONNREFUSED,
    DESTRUCTION, EOF, FILE, FORMERR, LOADIPHLPAPI, NODATA, NOMEM, NONAME, NOTFOUND, NOTIMP, NOTINITIALIZED, REFUSED, SERVFAIL, TIMEOUT } = codes;

const queries = {
    resolve, resolve4, resolve6, resolveAny, resolveCaa, resolveCname, resolveMx, resolveNaptr, resolveNs, resolvePtr, resolveSoa,
    resolveSrv, resolveTxt, reverse,
};
export const Resolver = resolverOf(queries);

export default {
    ADDRCONFIG, ALL, Resolver, V4MAPPED, getDefaultResultOrder, getServers, lookup, lookupService, promises, setDefaultResultOrder,
    setServers, ...codes,
    ...queries,
};
