// SPDX-License-Identifier: Apache-2.0
//
// Packs of modules, as src/script/builtin.c reads them: for each u32 length and the name, then u32 length and
// the content, each followed by a NUL; little-endian. What bundles may import comes first.

/** modules: [{ name, text }]; text: a string or bytes. */
export function pack(modules) {
    const parts = [];
    for (const { name, text } of modules) {
        for (const part of [name, text]) {
            const bytes = Buffer.from(part);
            const length = Buffer.alloc(4);
            length.writeUInt32LE(bytes.length);
            parts.push(length, bytes, Buffer.from([0]));
        }
    }
    return Buffer.concat(parts);
}

/** The other way: [{ name, text }], the texts as bytes. */
export function unpack(bytes) {
    const parts = [];
    for (let at = 0; at < bytes.length;) {
        const end = at + 4 + bytes.readUInt32LE(at);
        parts.push(bytes.subarray(at + 4, end));
        at = end + 1;
    }
    return Array.from({ length: parts.length / 2 }, (_, i) => ({ name: parts[2 * i].toString(), text: parts[2 * i + 1] }));
}
