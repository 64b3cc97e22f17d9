// SPDX-License-Identifier: Apache-2.0
//
// node:_tls_common: what Node's TLS modules share, which some packages ask for.

import { SecureContext, createSecureContext } from "./tls.ts";

/** A certificate as Node shows it: "KEY:VALUE" lines of its access information become lists. */
export function translatePeerCertificate(certificate: any): any {
    if (!certificate) {
        return null;
    }
    if (certificate.issuerCertificate && certificate.issuerCertificate !== certificate) {
        certificate.issuerCertificate = translatePeerCertificate(certificate.issuerCertificate);
    }
    if (typeof certificate.infoAccess === "string") {
        const info = Object.create(null);
        for (const [, key, value] of certificate.infoAccess.matchAll(/([^\n:]*):([^\n]*)(?:\n|$)/g)) {
            (info[key] ??= []).push(value.startsWith('"') ? JSON.parse(value) : value);
        }
        certificate.infoAccess = info;
    }
    return certificate;
}

export { SecureContext, createSecureContext };
export default { SecureContext, createSecureContext, translatePeerCertificate };
