// SPDX-License-Identifier: Apache-2.0
//
// Evaluated before testharness.js: what a worker of a browser has around a test, of which a function has no own. The runner
// has set __wpt = {url, isRelative, isNode}.
(() => {
    const { url, isRelative, isNode } = __wpt;
    const base = new URL(url);
    const define = (name, value) => Object.defineProperty(globalThis, name, { value, writable: true, configurable: true });
    if (typeof self === "undefined") define("self", globalThis);
    define("GLOBAL", { isWindow: () => false, isWorker: () => true, isShadowRealm: () => false });
    const { href, origin, protocol, host, hostname, port, pathname, search, hash } = base;
    define("location", { href, origin, protocol, host, hostname, port, pathname, search, hash, toString: () => href });
    define("importScripts", () => {}); // the runner has put them in front
    delete globalThis.__wpt;
    const stringify = JSON.stringify;
    const print = globalThis.print;
    define("__wptWatch", () => {
        add_result_callback(({ name, status, message }) => print(`R${stringify([name, status, message])}`));
        add_completion_callback((tests, { status, message }) => {
            print(`E${stringify([status, message])}`);
            __boxDone();
        });
    });

    // A function has no URL of its own to resolve relative ones by; tests that use them do so through the same doors in all engines.
    if (isNode) {
        globalThis[Symbol.for("undici.globalOrigin.1")] = base;
        return;
    }
    const absolute = (value) => {
        if (typeof value !== "string" || URL.canParse(value)) return value;
        const full = URL.parse(value, href);
        return full ? full.href : value;
    };
    const first = ([value, ...rest]) => (value === undefined && rest.length === 0 ? [] : [absolute(value), ...rest]);
    define("fetch", new Proxy(fetch, { apply: (target, self, args) => target.apply(self, first(args)) }));
    if (!isRelative) return;
    for (const name of ["Request", "EventSource"]) {
        define(name, new Proxy(globalThis[name], { construct: (target, args, newTarget) => Reflect.construct(target, first(args), newTarget) }));
    }
    const redirect = Response.redirect;
    Response.redirect = function (...args) {
        return redirect.apply(this, first(args));
    };
})();
