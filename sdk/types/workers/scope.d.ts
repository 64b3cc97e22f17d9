// SPDX-License-Identifier: Apache-2.0
//
// What the scope and requests of Workers have more.

/** What is known of how a request came. */
interface IncomingRequestCf {
    readonly httpProtocol: "HTTP/1.0" | "HTTP/1.1" | "HTTP/2";
    /** Empty without TLS. */
    readonly tlsVersion: "" | "TLSv1.2" | "TLSv1.3";
    readonly clientAcceptEncoding?: string;
    readonly [name: string]: unknown;
}
interface Request {
    /** Undefined for requests that code made without one. */
    readonly cf?: IncomingRequestCf | any;
}
interface RequestInit {
    cf?: object | null;
}

declare class WorkerGlobalScope extends EventTarget {
    protected constructor();
}
declare class ServiceWorkerGlobalScope extends WorkerGlobalScope {}
declare var origin: string;
declare var Cloudflare: { readonly compatibilityFlags: Readonly<Record<string, boolean>> };
