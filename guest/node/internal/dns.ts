// SPDX-License-Identifier: Apache-2.0
//
// Names are resolved by the host when something is fetched; code learns no addresses. So lookup() knows what needs no
// server, and everything else fails as a name that is not found, and says why.

import { coded, invalidArgType } from "./errors.ts";
import { isIP } from "../net.ts";

export const codes: Record<string, string> = {
    ADDRGETNETWORKPARAMS: "EADDRGETNETWORKPARAMS",
    BADFAMILY: "EBADFAMILY",
    BADFLAGS: "EBADFLAGS",
    BADHINTS: "EBADHINTS",
    BADNAME: "EBADNAME",
    BADQUERY: "EBADQUERY",
    BADRESP: "EBADRESP",
    BADSTR: "EBADSTR",
    CANCELLED: "ECANCELLED",
    CONNREFUSED: "ECONNREFUSED",
    DESTRUCTION: "EDESTRUCTION",
    EOF: "EEOF",
    FILE: "EFILE",
    FORMERR: "EFORMERR",
    LOADIPHLPAPI: "ELOADIPHLPAPI",
    NODATA: "ENODATA",
    NOMEM: "ENOMEM",
    NONAME: "ENONAME",
    NOTFOUND: "ENOTFOUND",
    NOTIMP: "ENOTIMP",
    NOTINITIALIZED: "ENOTINITIALIZED",
    REFUSED: "EREFUSED",
    SERVFAIL: "ESERVFAIL",
    TIMEOUT: "ETIMEOUT",
};

export function notFound(syscall: string, hostname: string): Error {
    return coded(Error, "ENOTFOUND", `${syscall} ENOTFOUND ${hostname}: the host resolves names when you fetch(); code here cannot`,
        { errno: -3008, syscall, hostname });
}

export function lookupNow(hostname: unknown, options: any): { address: string; family: number }[] {
    if (hostname !== undefined && hostname !== null && typeof hostname !== "string") {
        throw invalidArgType("hostname", "string", hostname);
    }
    const name = (hostname ?? "") as string;
    const family = typeof options === "number" ? options : options?.family === "IPv6" ? 6 : options?.family === "IPv4" ? 4 : options?.family ?? 0;
    const kind = isIP(name);
    if (kind) {
        return [{ address: name, family: kind }];
    }
    if (name === "localhost" || name.endsWith(".localhost")) {
        return [family === 6 ? { address: "::1", family: 6 } : { address: "127.0.0.1", family: 4 }];
    }
    throw notFound("getaddrinfo", name);
}

export const getServers = (): string[] => [];
export const setServers = (): void => {};
export const getDefaultResultOrder = (): string => "verbatim";
export const setDefaultResultOrder = (): void => {};

/** The class Resolver whose methods ask as these do. */
export function resolverOf(queries: Record<string, unknown>): any {
    class Resolver {
        cancel(): void {}
        setLocalAddress(): void {}
    }
    Object.assign(Resolver.prototype, queries, { getServers, setServers });
    return Resolver;
}
