// SPDX-License-Identifier: Apache-2.0
//
// node:dns/promises.

import { codes, getDefaultResultOrder, getServers, lookupNow, notFound, resolverOf, setDefaultResultOrder, setServers } from "../internal/dns.ts";

export async function lookup(hostname: string, options?: any): Promise<any> {
    const found = lookupNow(hostname, options);
    return options?.all ? found : found[0];
}
const query = (name: string) => ({ [name]: async (hostname: string): Promise<any> => {
    throw notFound(`query${name.replace(/^resolve/, "") || "A"}`, hostname);
} }[name]!);
export async function lookupService(address: string): Promise<any> {
    throw notFound("getnameinfo", address);
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
export const { ADDRGETNETWORKPARAMS, BADFAMILY, BADFLAGS, BADHINTS, BADNAME, BADQUERY, BADRESP, BADSTR, CANCELLED, CONNREFUSED,
    DESTRUCTION, EOF, FILE, FORMERR, LOADIPHLPAPI, NODATA, NOMEM, NONAME, NOTFOUND, NOTIMP, NOTINITIALIZED, REFUSED, SERVFAIL, TIMEOUT } = codes;

const queries = {
    resolve, resolve4, resolve6, resolveAny, resolveCaa, resolveCname, resolveMx, resolveNaptr, resolveNs, resolvePtr, resolveSoa,
    resolveSrv, resolveTxt, reverse,
};
export const Resolver = resolverOf(queries);

export default {
    Resolver, getDefaultResultOrder, getServers, lookup, lookupService, setDefaultResultOrder, setServers, ...codes,
    ...queries,
};
