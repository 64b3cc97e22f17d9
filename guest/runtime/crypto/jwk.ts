// SPDX-License-Identifier: Apache-2.0
//
// JSON Web Keys (RFC 7517, 7518, 8037): base64url, and what all kinds have in common.

import { toText } from "../interface.ts";
import type { JsonWebKey } from "./algorithm.ts";
import { fail, type Bytes, type Usage } from "./key.ts";

const TEXTS = ["kty", "use", "alg", "crv", "x", "y", "d", "n", "e", "p", "q", "dp", "dq", "qi", "k"];

/** The dictionary JsonWebKey: its members as texts. */
export function jwkOf(value: unknown): JsonWebKey {
    if (typeof value !== "object" || value === null) {
        throw new TypeError("a jwk key is an object");
    }
    const given = value as JsonWebKey;
    const jwk: JsonWebKey = {};
    for (const member of TEXTS) {
        if (given[member] !== undefined) {
            jwk[member] = toText(given[member]);
        }
    }
    if (given.key_ops !== undefined) {
        jwk.key_ops = [...given.key_ops as Iterable<unknown>].map(toText);
    }
    if (given.ext !== undefined) {
        jwk.ext = Boolean(given.ext);
    }
    if (given.oth !== undefined) {
        jwk.oth = given.oth;
    }
    return jwk;
}

export function toBase64Url(bytes: Uint8Array): string {
    let text = "";
    for (let at = 0; at < bytes.length; at += 4096) {
        text += String.fromCharCode(...bytes.subarray(at, at + 4096));
    }
    return btoa(text).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
}

/** A member in base64url; a DataError if it is missing or is none. */
export function fromBase64Url(jwk: JsonWebKey, member: string): Bytes {
    const text = jwk[member];
    if (typeof text !== "string" || !/^[A-Za-z0-9_-]*$/.test(text) || text.length % 4 === 1) {
        fail("DataError", `the jwk needs ${member}, in base64url`);
    }
    return Uint8Array.from(atob((text as string).replaceAll("-", "+").replaceAll("_", "/")), (c) => c.charCodeAt(0));
}

/** What the standard looks at in a jwk of any kind, but for alg. */
export function checkJwk(
    jwk: JsonWebKey, kty: string, use: "sig" | "enc", extractable: boolean, usages: Usage[],
): void {
    if (jwk.kty !== kty) {
        fail("DataError", `the jwk's kty is ${jwk.kty}, not ${kty}`);
    }
    if (usages.length && jwk.use !== undefined && jwk.use !== use) {
        fail("DataError", `the jwk's use is ${jwk.use}, not ${use}`);
    }
    const ops = jwk.key_ops;
    if (ops && (new Set(ops).size !== ops.length || usages.some((usage) => !ops.includes(usage)))) {
        fail("DataError", "the jwk's key_ops do not allow the usages, or name one twice");
    }
    if (jwk.ext === false && extractable) {
        fail("DataError", "the jwk's ext does not allow an extractable key");
    }
}

/** A DataError if alg is there and is none of these. */
export function checkAlg(jwk: JsonWebKey, ...right: (string | undefined)[]): void {
    if (jwk.alg !== undefined && !right.includes(jwk.alg)) {
        fail("DataError", `the jwk's alg is ${jwk.alg}, not ${right.join(" or ")}`);
    }
}
