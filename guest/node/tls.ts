// SPDX-License-Identifier: Apache-2.0
//
// node:tls: the host speaks TLS for connections of node:net, from the beginning or from some point on. Whom it trusts is the
// host's business: certificates of one's own cannot be given, and rejectUnauthorized: false is refused.

import { coded, refused } from "./internal/errors.ts";
import JSStreamSocket from "./_stream_wrap.ts";
import { native } from "limpet:internal";
import { nextTick } from "./internal/tick.ts";
import net, { _normalizeArgs } from "./net.ts";

const why = "the host speaks TLS: tls.connect(), or fetch()";

export function TLSSocket(this: any, socket?: any, options?: any): any {
    if (!(this instanceof (TLSSocket as any))) {
        return new (TLSSocket as any)(socket, options);
    }
    (net.Socket as any).call(this, options);
    this.encrypted = true;
    this.authorized = false;
    if (socket && !(socket instanceof (net.Socket as any))) { // http2-wrapper looks for the class of what is in it
        this._handle = { _parentWrap: new JSStreamSocket(socket) };
    }
    return this;
}
Object.setPrototypeOf(TLSSocket.prototype, net.Socket.prototype);
Object.setPrototypeOf(TLSSocket, net.Socket);

Object.assign(TLSSocket.prototype, {
    getPeerCertificate: () => ({}),
    getCipher: () => ({ name: "TLS_AES_256_GCM_SHA384", standardName: "TLS_AES_256_GCM_SHA384", version: "TLSv1.3" }),
    getProtocol: () => "TLSv1.3",
    getSession: () => undefined,
    isSessionReused: () => false,
    setServername(this: any, name: string): void {
        this.servername = name;
    },
});

/** TLS on a connection that is there: what is being read of it comes decrypted from now on. */
async function takeOver(plain: any, host: string): Promise<any> {
    await new Promise<void>((resolve, reject) => {
        plain.once("error", reject);
        plain._whenOpen(() => {
            plain.removeListener("error", reject);
            resolve();
        });
    });
    const wire = plain._wire;
    plain._isLent = true;
    await native.tcpStartTls(wire.source, net.isIP(host) ? "" : host);
    return wire;
}

export function connect(...args: any[]): any {
    const [options, callback] = _normalizeArgs(args);
    const socket = new (TLSSocket as any)(undefined, options);
    if (callback) {
        socket.once("secureConnect", callback);
    }
    if (options.rejectUnauthorized === false || options.ca || options.cert || options.key || options.pfx) {
        const what = options.rejectUnauthorized === false ? "rejectUnauthorized: false" : "certificates of its own";
        nextTick(() => socket.destroy(coded(Error, "ERR_TLS_OPTION_REFUSED", `tls.connect: ${what} cannot be used here; the server's operator says whom to trust (--ca-file)`)));
        return socket;
    }
    socket.servername = options.servername ?? options.host;
    socket.once("connect", () => {
        socket.authorized = true;
        socket.emit("secure");
        socket.emit("secureConnect");
    });
    if (!options.socket) {
        socket._isSecure = true;
        return socket.connect(options);
    }
    const plain = options.socket;
    const host = `${options.servername ?? options.host ?? plain._host ?? ""}`;
    socket._host = host;
    socket.connecting = true;
    if (plain._isReading) {
        plain._heir = socket;
        socket._isReading = true;
    }
    plain.on("close", () => socket.destroy());
    socket.on("close", () => plain.destroy());
    socket._attach(takeOver(plain, host), host, plain.remotePort);
    return socket;
}

export class SecureContext {
    context = {};
}
export const createSecureContext = (): SecureContext => new SecureContext();
export const createServer = refused("tls.createServer", "the server speaks TLS already; use a fetch handler or node:http");
export const Server: any = createServer;
export const createSecurePair = refused("tls.createSecurePair", why);
export const CryptoStream: any = refused("tls.CryptoStream", why);

function matches(host: string, pattern: string): boolean {
    const a = host.toLowerCase().split("."), b = pattern.toLowerCase().split(".");
    return a.length === b.length && b.every((part, i) => part === a[i] || (i === 0 && part === "*" && b.length > 2));
}

export function checkServerIdentity(hostname: string, cert: any): Error | undefined {
    const host = `${hostname}`.replace(/\.$/, "");
    const names = String(cert.subjectaltname ?? "").split(", ");
    const kind = net.isIP(host) ? "IP Address:" : "DNS:";
    const own = names.filter((name) => name.startsWith(kind)).map((name) => name.slice(kind.length));
    const common = own.length || !cert.subject?.CN || net.isIP(host) ? own : [].concat(cert.subject.CN);
    if (common.some((name: string) => (net.isIP(host) ? name === host : matches(host, name)))) {
        return undefined;
    }
    const reason = `${net.isIP(host) ? "IP" : "Host"}: ${host}. is not ${net.isIP(host) ? "in the cert's list" : "in the cert's altnames"}: ${net.isIP(host) ? own.join(", ") : cert.subjectaltname}`;
    return coded(Error, "ERR_TLS_CERT_ALTNAME_INVALID", `Hostname/IP does not match certificate's altnames: ${reason}`, { reason, host, cert });
}

export const getCiphers = (): string[] => ["tls_aes_256_gcm_sha384", "tls_chacha20_poly1305_sha256", "tls_aes_128_gcm_sha256"];
export const convertALPNProtocols = (protocols: any, out: any): void => {
    out.ALPNProtocols = protocols;
};
export const rootCertificates: string[] = [];
export const getCACertificates = (): string[] => [];
export const DEFAULT_ECDH_CURVE = "auto";
export const DEFAULT_MIN_VERSION = "TLSv1.2";
export const DEFAULT_MAX_VERSION = "TLSv1.3";
export const DEFAULT_CIPHERS = "TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256";
export const CLIENT_RENEG_LIMIT = 3;
export const CLIENT_RENEG_WINDOW = 600;

export default {
    CLIENT_RENEG_LIMIT, CLIENT_RENEG_WINDOW, CryptoStream, DEFAULT_CIPHERS, DEFAULT_ECDH_CURVE, DEFAULT_MAX_VERSION, DEFAULT_MIN_VERSION,
    SecureContext, Server, TLSSocket, checkServerIdentity, connect, convertALPNProtocols, createSecureContext, createSecurePair,
    createServer, getCACertificates, getCiphers, rootCertificates,
};
