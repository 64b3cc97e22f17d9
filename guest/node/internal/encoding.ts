// SPDX-License-Identifier: Apache-2.0
//
// The names of encodings.

export type Encoding = "utf8" | "utf16le" | "latin1" | "ascii" | "base64" | "base64url" | "hex";

const names: Record<string, Encoding> = {
    "utf8": "utf8", "utf-8": "utf8", "ucs2": "utf16le", "ucs-2": "utf16le", "utf16le": "utf16le", "utf-16le": "utf16le",
    "latin1": "latin1", "binary": "latin1", "ascii": "ascii", "base64": "base64", "base64url": "base64url", "hex": "hex",
};

/** The name that an encoding is kept under; undefined: there is none of that name. */
export function normalEncoding(name: unknown): Encoding | undefined {
    if (name === undefined || name === null || name === "") {
        return "utf8";
    }
    const text = String(name);
    return Object.hasOwn(names, text) ? names[text] : names[text.toLowerCase()];
}
