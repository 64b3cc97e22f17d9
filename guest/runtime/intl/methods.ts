// SPDX-License-Identifier: Apache-2.0
//
// The methods of the language that ask Intl, which is loaded when they do (lazy/intl.ts).

import { native } from "../native.ts";
import { toText } from "../interface.ts";

type Own = typeof import("./intl.ts");

let loaded: Own | undefined;
function own(): Own {
    return loaded ??= native.require("limpet:internal/runtime/intl") as Own;
}

function define(target: object, values: Record<string, unknown>): void {
    for (const name of Object.keys(values)) {
        Object.defineProperty(target, name, { value: values[name], writable: true, configurable: true });
    }
}

function inCase(isUpper: boolean, text: string, locales: unknown): string {
    if (locales === undefined) {
        return isUpper ? toUpperCase.call(text) : toLowerCase.call(text);
    }
    return own().inCase(isUpper, text, locales, (usual) => (isUpper ? toUpperCase : toLowerCase).call(usual));
}

const { toUpperCase, toLowerCase } = String.prototype;
const numberValue = Number.prototype.valueOf;
const bigintValue = BigInt.prototype.valueOf;

function thisText(value: unknown, name: string): string {
    if (value === undefined || value === null) {
        throw new TypeError(`String.prototype.${name} called on null or undefined`);
    }
    return toText(value);
}

// Methods, so that they have no `prototype` and are no constructors; the declared parameters give their length.
define(String.prototype, {
    localeCompare: {
        localeCompare(this: unknown, that: unknown, locales: unknown = undefined, options: unknown = undefined): number {
            return own().collatorOf(locales, options).compare(thisText(this, "localeCompare"), toText(that));
        },
    }.localeCompare,
    toLocaleUpperCase: {
        toLocaleUpperCase(this: unknown, locales: unknown = undefined): string {
            return inCase(true, thisText(this, "toLocaleUpperCase"), locales);
        },
    }.toLocaleUpperCase,
    toLocaleLowerCase: {
        toLocaleLowerCase(this: unknown, locales: unknown = undefined): string {
            return inCase(false, thisText(this, "toLocaleLowerCase"), locales);
        },
    }.toLocaleLowerCase,
});
define(Number.prototype, {
    toLocaleString: {
        toLocaleString(this: number, locales: unknown = undefined, options: unknown = undefined): string {
            const value = numberValue.call(this);
            return own().numberFormatOf(locales, options).format(value);
        },
    }.toLocaleString,
});
define(BigInt.prototype, {
    toLocaleString: {
        toLocaleString(this: bigint, locales: unknown = undefined, options: unknown = undefined): string {
            const value = bigintValue.call(this);
            return own().numberFormatOf(locales, options).format(value);
        },
    }.toLocaleString,
});
define(Date.prototype, {
    toLocaleString: {
        toLocaleString(this: Date, locales: unknown = undefined, options: unknown = undefined): string {
            return own().dateText(this, locales, options, "any", "all");
        },
    }.toLocaleString,
    toLocaleDateString: {
        toLocaleDateString(this: Date, locales: unknown = undefined, options: unknown = undefined): string {
            return own().dateText(this, locales, options, "date", "date");
        },
    }.toLocaleDateString,
    toLocaleTimeString: {
        toLocaleTimeString(this: Date, locales: unknown = undefined, options: unknown = undefined): string {
            return own().dateText(this, locales, options, "time", "time");
        },
    }.toLocaleTimeString,
});

function listText(list: ArrayLike<unknown>, locales: unknown, options: unknown): string {
    let text = "";
    for (let i = 0; i < list.length; i++) {
        const item = list[i] as { toLocaleString(locales?: unknown, options?: unknown): unknown } | null | undefined;
        text += (i > 0 ? "," : "") + (item === undefined || item === null ? "" : toText(item.toLocaleString(locales, options)));
    }
    return text;
}

const lengthOf = Object.getOwnPropertyDescriptor(Object.getPrototypeOf(Uint8Array.prototype) as object, "length")!.get!;
const open = new Set<object>(); // arrays whose text is being made: one that contains itself is empty there

define(Array.prototype, {
    toLocaleString: {
        toLocaleString(this: unknown[], locales: unknown = undefined, options: unknown = undefined): string {
            const list = Object(this) as unknown[];
            if (open.has(list)) {
                return "";
            }
            open.add(list);
            try {
                return listText(list, locales, options);
            } finally {
                open.delete(list);
            }
        },
    }.toLocaleString,
});
define(Object.getPrototypeOf(Uint8Array.prototype) as object, {
    toLocaleString: {
        toLocaleString(this: ArrayLike<unknown>, locales: unknown = undefined, options: unknown = undefined): string {
            lengthOf.call(this); // throws for what is no typed array
            return listText(this, locales, options);
        },
    }.toLocaleString,
});
