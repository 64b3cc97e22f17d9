// SPDX-License-Identifier: Apache-2.0
//
// The platform's own JavaScript, evaluated once when an image is made: defines the globals that the
// engine's C half does not, gives C its hooks, and registers the builtin modules. Nothing here runs
// during a request; whatever a request does not use stays untouched in the shared image.

import * as streams from "web-streams-polyfill";
import { AbortController, AbortSignal, isSignal, signalAbort, signalNew } from "./abort.ts";
import { Blob, blobBytes, blobOf, File, fileOf } from "./blob.ts";
import { platformClasses, platformParts, structuredClone } from "./clone.ts";
import { CompressionStream, DecompressionStream } from "./compression.ts";
import { console } from "./console.ts";
import "./call-site.ts";
import { Crypto, crypto } from "./crypto/crypto.ts";
import { CryptoKey } from "./crypto/key.ts";
import { SubtleCrypto } from "./crypto/subtle.ts";
import { bindingOf } from "./binding.ts";
import * as context from "./derp/context.ts";
import * as env from "./derp/env.ts";
import * as http from "./derp/http.ts";
import * as logger from "./derp/logger.ts";
import * as sql from "./derp/sql.ts";
import { TextDecoderStream, TextEncoderStream } from "./encoding-stream.ts";
import { CustomEvent, Event, EventTarget } from "./event.ts";
import { CloseEvent, ErrorEvent, MessageEvent, PromiseRejectionEvent } from "./event-kinds.ts";
import { FormData, parseFormData, serializeFormData } from "./form-data.ts";
import {
    errorUncaught, ExtendableEvent, FetchEvent, fetchListener, rejectionHandled, rejectionUnhandled,
} from "./global-events.ts";
import { inspect } from "./inspect.ts";
import { exposeNative, global, need } from "./interface.ts";
import { FixedLengthStream, IdentityTransformStream } from "./identity-stream.ts";
import { fetchLocal } from "./local-fetch.ts";
import "./intl/methods.ts";
import { BroadcastChannel, MessageChannel, MessagePort } from "./message.ts";
import { defineInternals } from "./internals.ts";
import { mimeOfHeader, mimeText } from "./mime.ts";
import { native } from "./native.ts";
import { Navigator, navigator } from "./navigator.ts";
import { Performance, performance } from "./performance.ts";
import { PerformanceEntry, PerformanceMark, PerformanceMeasure } from "./performance-entry.ts";
import { Scheduler, scheduler } from "./scheduler.ts";
import { DurableObject } from "./actor.ts";
import {
    actorHandlers, contextExports, entrypointFetch, entrypointsOf, Fetcher, methodCall, moduleExports, serviceRedirect,
    WorkerEntrypoint,
} from "./service.ts";
import { URLSearchParams } from "./search-params.ts";
import {
    isStream, streamFromBytes, streamFromSource, streamReadAll, streamState, streamTakeSource,
    streamToSink,
} from "./stream.ts";
import { clearImmediate, clearInterval, clearTimeout, setImmediate, setInterval, setTimeout } from "./timer.ts";
import { URL } from "./url.ts";
import { execution, signal, start } from "./executions.ts";
import { Entrypoint } from "./workflow/cloudflare.ts";
import { duration } from "./workflow/duration.ts";
import {
    CancelledError, ChildCancelledError, errorPack, errorUnpack, NonRetryableError, TimeoutError, workflowError,
} from "./workflow/errors.ts";
import { stepOptions } from "./workflow/step.ts";
import {
    now, progress, sleep, sleepUntil, startChild, step, waitForEvent, workflow, workflowCancel, workflowsOf,
    workflowStart,
} from "./workflow/workflow.ts";
import { select } from "./workflow/select.ts";

function sockets(): typeof import("./lazy/websocket.ts").default {
    return native.require("limpet:internal/runtime/websocket") as typeof import("./lazy/websocket.ts").default;
}

function reportError(error: unknown): void {
    need(1, arguments.length, "reportError");
    native.reportError("Uncaught ", error);
}

const globals: Record<string, unknown> = {
    ...streams,
    AbortController, AbortSignal, Blob, CompressionStream, Crypto, CryptoKey, CustomEvent, DecompressionStream, Event, EventTarget, File, FormData,
    Performance, SubtleCrypto, TextDecoderStream, TextEncoderStream, URL, URLSearchParams,
    clearInterval, clearTimeout, console, crypto, performance, reportError, setInterval, setTimeout,
    BroadcastChannel, CloseEvent, ErrorEvent, ExtendableEvent, FetchEvent, MessageChannel, MessageEvent, MessagePort,
    FixedLengthStream, IdentityTransformStream, Navigator, PerformanceEntry, PerformanceMark, PerformanceMeasure,
    Fetcher, PromiseRejectionEvent, Scheduler, clearImmediate, scheduler, setImmediate, addEventListener: EventTarget.prototype.addEventListener,
    dispatchEvent: EventTarget.prototype.dispatchEvent, removeEventListener: EventTarget.prototype.removeEventListener,
    structuredClone, navigator, self: globalThis, origin: "null",
};
for (const name of Object.keys(globals)) {
    global(name, globals[name]);
}
/** Globals that few need: each is the export of that name of a file in lazy/, loaded when something first looks at it, or when a
 *  bundle that speaks of it is loaded (or has one of the words behind the file's name). */
native.lazyGlobals({
    Cache: "caches", CacheStorage: "caches", caches: "caches",
    Cloudflare: "worker-globals", ServiceWorkerGlobalScope: "worker-globals", WorkerGlobalScope: "worker-globals",
    EventSource: "event-source",
    HTMLRewriter: "html-rewriter",
    Intl: "intl toLocaleString toLocaleDateString toLocaleTimeString localeCompare",
    PerformanceObserver: "performance-observer",
    PerformanceObserverEntryList: "performance-observer",
    URLPattern: "url-pattern",
    WebSocket: "websocket", WebSocketPair: "websocket", WebSocketRequestResponsePair: "websocket",
    WebAssembly: "webassembly",
});
exposeNative([Headers, Request, Response, TextEncoder, TextDecoder], ["fetch", "atob", "btoa", "queueMicrotask"]);

platformClasses.push(
    BroadcastChannel, MessageChannel, Navigator, PerformanceEntry, Scheduler,
    AbortController, CompressionStream, DecompressionStream, EventTarget, Event, CryptoKey, FormData, TextDecoderStream, TextEncoderStream,
    URL, URLSearchParams, streams.TransformStream, streams.WritableStream,
);

native.setHooks({
    streamFromSource, streamFromBytes, streamTakeSource, streamReadAll, streamToSink, isStream,
    streamState,
    bodyFromObject(value) {
        if (value instanceof URLSearchParams) {
            return [String(value), "application/x-www-form-urlencoded;charset=UTF-8"];
        }
        if (value instanceof Blob) {
            return [blobBytes(value), value.type || null];
        }
        return value instanceof FormData ? serializeFormData(value) : undefined;
    },
    makeBlob(bytes, type, isHeader) {
        const mime = isHeader ? mimeOfHeader(type) : undefined;
        return blobOf(bytes as Uint8Array<ArrayBuffer>, !isHeader ? type : mime ? mimeText(mime) : "");
    },
    platformParts,
    makeFile: (bytes, type, name, lastModified) => fileOf(
        blobOf(bytes as Uint8Array<ArrayBuffer>, type), name, { lastModified },
    ),
    parseFormData: (bytes, type) => parseFormData(bytes as Uint8Array<ArrayBuffer>, type),
    makeSignal: signalNew,
    followSignal: (signal) => AbortSignal.any([signal as AbortSignal]),
    abortSignal: (signal, reason) => signalAbort(signal as AbortSignal, reason),
    isSignal,
    workflowsOf, workflowStart, workflowCancel, workflowError, stepOptions, errorPack, errorUnpack,
    duration: (value) => duration(value),
    inspect: (value) => inspect(value),
    errorUncaught, rejectionUnhandled, rejectionHandled, fetchListener, fetchLocal,
    bindingOf, entrypointsOf, entrypointFetch, methodCall, contextExports, serviceRedirect,
    actorFetch: (...args) => actorHandlers().actorFetch(...args),
    actorCall: (...args) => actorHandlers().actorCall(...args),
    socketFetched: (socket, response) => sockets().socketFetched(socket, response),
    socketRespond: (socket, dispatch, headers) => sockets().socketRespond(socket, dispatch, headers),
});

defineInternals();
native.defineModule("derp:runtime/types", { Request, Response });
native.defineModule("derp:runtime/context", { ...context });
native.defineModule("derp:runtime/env", { get: env.get, getOrDefault: env.getOrDefault });
native.defineModule("derp:runtime/http", { ...http });
native.defineModule("derp:runtime/logger", { ...logger });
native.defineModule("derp:runtime/sql", { exec: sql.exec, transaction: sql.transaction });
native.defineModule("limpet", {
    env: Object.freeze({ ...env }),
    log: Object.freeze({ ...logger }),
    sql: Object.freeze({ exec: sql.exec, transaction: sql.transaction }),
    workflow, step, sleep, sleepUntil, waitForEvent, select, startChild, now, progress, start, signal, execution,
    CancelledError, ChildCancelledError, NonRetryableError, TimeoutError,
});
native.defineModule("cloudflare:workers", {
    DurableObject, WorkerEntrypoint, WorkflowEntrypoint: Entrypoint,
    env: native.environment(), exports: moduleExports, waitUntil: (promise: unknown) => native.waitUntil(promise),
});
native.defineModule("cloudflare:sockets", "sockets");
native.defineModule("cloudflare:workflows", { NonRetryableError });
