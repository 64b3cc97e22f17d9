// SPDX-License-Identifier: Apache-2.0
//
// Loads modules of guest/runtime into Node, bundled as the engine gets them, with a stand-in for the
// engine's `__limpet`. What the stand-in cannot show (the ops themselves, the hooks called from C) is
// tested in the engine, engine-*.test.mjs.

import { build } from "esbuild";
import { createHash, randomBytes, webcrypto } from "node:crypto";
import { fileURLToPath } from "node:url";
import { types } from "node:util";

// What Debian's Node 18 lacks and QuickJS has.
globalThis.crypto ??= webcrypto;
String.prototype.toWellFormed ??= function () { return this.replace(/[\ud800-\udfff]/gu, "\ufffd"); };

const NodeURL = globalThis.URL;

/** The host's url record, from Node's parser. */
function urlRecord(url) {
    const { href } = url;
    const schemeEnd = url.protocol.length - 1;
    let at = schemeEnd + 1;
    const isOpaque = !href.startsWith("//", at);
    if (!isOpaque) {
        at += 2;
    }
    const usernameStart = at;
    const usernameEnd = at + url.username.length;
    let passwordStart = usernameEnd, passwordEnd = usernameEnd;
    if (url.password) {
        passwordStart = usernameEnd + 1;
        passwordEnd = passwordStart + url.password.length;
    }
    const hostStart = url.username || url.password ? passwordEnd + 1 : usernameStart;
    const hostEnd = hostStart + url.hostname.length;
    const pathStart = hostEnd + (url.port ? url.port.length + 1 : 0);
    const pathEnd = pathStart + url.pathname.length;
    const rest = href.slice(pathEnd);
    const queryStart = rest.startsWith("?") ? pathEnd + 1 : -1;
    const hash = rest.indexOf("#");
    return [
        schemeEnd, usernameStart, usernameEnd, passwordStart, passwordEnd, hostStart, hostEnd, pathStart,
        pathEnd, url.port ? Number(url.port) : -1, queryStart, hash < 0 ? -1 : pathEnd + hash + 1,
        url.origin, href,
    ];
}

const urlParts = [
    "protocol", "username", "password", "host", "hostname", "port", "pathname", "search", "hash",
];

function bytesOf(value) {
    return ArrayBuffer.isView(value)
        ? new Uint8Array(value.buffer, value.byteOffset, value.byteLength) : new Uint8Array(value);
}

/** The stand-in. `calls` keeps what was logged; tests replace members as they need. */
export function nativeStandIn() {
    const timers = new Map();
    let ops = 0;
    const native = {
        calls: { log: [], reported: [], url: 0, closed: [] },
        log: (level, text) => void native.calls.log.push([level, text]),
        clock: (which) => (which ? performance.now() : Date.now()),
        random: (length) => new Uint8Array(randomBytes(length)),
        envGet: () => undefined,
        envList: () => [],
        urlParse(input, base) {
            native.calls.url++;
            try {
                return urlRecord(new NodeURL(input, base));
            } catch {
                return undefined;
            }
        },
        urlSet(href, part, value) {
            native.calls.url++;
            const url = new NodeURL(href);
            url[urlParts[part]] = value;
            return urlRecord(url);
        },
        digest: (algorithm, ...parts) => new Uint8Array(parts.reduce(
            (hash, part) => hash.update(bytesOf(part)), createHash(`sha${algorithm}`)).digest()).buffer,
        equalBytes: (a, b) => Buffer.compare(bytesOf(a), bytesOf(b)) === 0,
        timer(ms, fn) {
            const op = ++ops;
            timers.set(op, setTimeout(() => {
                timers.delete(op);
                try {
                    fn();
                } catch (error) {
                    native.calls.reported.push(error);
                }
            }, ms));
            return op;
        },
        cancel(op) {
            clearTimeout(timers.get(op));
            timers.delete(op);
        },
        scope: () => 0,
        inScope: (scope, fn) => fn(),
        streamClose: (source) => void native.calls.closed.push(source),
        reportError: (prefix, error) => void native.calls.reported.push(error),
        promiseState: (value) => (types.isPromise(value) ? [0, undefined] : undefined),
        proxyTarget: () => undefined,
        utf8Encode: (text) => new TextEncoder().encode(text),
        utf8Decode: (bytes) => new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes),
        latin1Decode: (bytes) => Buffer.from(bytesOf(bytes)).toString("latin1"),
        info: () => ({ functionName: "test", executionId: "e1" }),
    };
    return native;
}

/** Bundles modules of guest/runtime (names without .ts) together; gives all their exports at once. */
export async function load(native, ...names) {
    const root = fileURLToPath(new NodeURL("../../guest/runtime/", import.meta.url));
    const { outputFiles } = await build({
        stdin: {
            contents: names.map((name) => `export * from "./${name}.ts";`).join("\n"),
            resolveDir: root,
            loader: "ts",
        },
        bundle: true, write: false, format: "esm", target: "es2023", logLevel: "warning",
    });
    globalThis.__limpet = native;
    const url = `data:text/javascript;base64,${Buffer.from(outputFiles[0].contents).toString("base64")}`;
    const module = await import(`${url}#${Math.random()}`);
    delete globalThis.__limpet;
    return module;
}
