// SPDX-License-Identifier: Apache-2.0
//
// The frames that Error.prepareStackTrace() gets: what V8's CallSite has and the engine's has not, and places in the sources
// instead of the bundle's. Their order and names are as in https://v8.dev/docs/stack-trace-api.

import { native } from "./native.ts";

interface Site {
    getFileName(): string | null;
    getFunction(): unknown;
    getFunctionName(): string | null;
    getLineNumber(): number | null;
    getColumnNumber(): number | null;
    isNative(): boolean;
    isConstructor(): boolean;
}

type Place = [file: string | null, line: number | null, column: number | null];

function prototypeOfSites(): Site {
    const errors = Error as unknown as { prepareStackTrace?: unknown };
    const saved = errors.prepareStackTrace;
    errors.prepareStackTrace = (_: unknown, sites: Site[]) => sites;
    const [site] = new Error().stack as unknown as Site[];
    errors.prepareStackTrace = saved;
    return Object.getPrototypeOf(site) as Site;
}

const proto = prototypeOfSites();
const { getFileName, getLineNumber, getColumnNumber } = proto;
const places = new WeakMap<Site, Place>();

function place(site: Site): Place {
    const known = places.get(site);
    if (known) {
        return known;
    }
    const [file, line, column] = [getFileName.call(site), getLineNumber.call(site), getColumnNumber.call(site)];
    let found: Place = [file, line, column];
    const mapped = file === null || line === null ? null : /\((.*):(\d+):(\d+)\)\s*$/.exec(native.stackMap(`    at f (${file}:${line}:${column})\n`));
    if (mapped) {
        found = [mapped[1]!, Number(mapped[2]), Number(mapped[3])];
    }
    places.set(site, found);
    return found;
}

function text(site: Site): string {
    const [file, line, column] = place(site);
    const where = site.isNative() ? "native" : file === null ? "<anonymous>" : line === null ? file : `${file}:${line}:${column}`;
    const name = site.getFunctionName();
    return name === null ? where : `${site.isConstructor() ? "new " : ""}${name} (${where})`;
}

const members = {
    getThis: () => undefined,
    getTypeName: () => null,
    getMethodName: () => null,
    getEvalOrigin: () => undefined,
    getPromiseIndex: () => null,
    getScriptHash: () => "",
    isToplevel: () => true,
    isEval: () => false,
    isAsync: () => false,
    isPromiseAll: () => false,
    getFileName(this: Site) {
        return place(this)[0];
    },
    getLineNumber(this: Site) {
        return place(this)[1];
    },
    getColumnNumber(this: Site) {
        return place(this)[2];
    },
    getScriptNameOrSourceURL(this: Site) {
        return place(this)[0];
    },
    toString(this: Site) {
        return text(this);
    },
};
for (const name of Object.keys(members)) {
    Object.defineProperty(proto, name, { value: members[name as keyof typeof members], writable: true, configurable: true });
}
