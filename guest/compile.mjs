// SPDX-License-Identifier: Apache-2.0
//
// node compile.mjs ENGINE.wasm PACK… OUTPUT: the modules of the packs as the engine's bytecode, in one pack. It has no
// sources and no lines (a frame of the platform is never shown), and is read several times as fast as a text is compiled.

import { readFileSync, writeFileSync } from "node:fs";
import { pack, unpack } from "./pack.mjs";

const args = process.argv.slice(2);
if (args.length < 3) {
    console.error("usage: node compile.mjs ENGINE.wasm PACK… OUTPUT");
    process.exit(2);
}
const [engine, output, packs] = [args[0], args.at(-1), args.slice(1, -1)];
const wasm = new WebAssembly.Module(readFileSync(engine));

/** A fresh engine a module: what one leaves behind must not be in the next one's bytecode. */
function compile(name, text) {
    const said = [];
    let memory;
    const bytes = (at, length) => Buffer.from(memory.buffer, at, length);
    const none = () => 0;
    const { exports } = new WebAssembly.Instance(wasm, {
        limpet: {
            op(code, fields) { // only FAIL is of interest: its fields are texts
                for (let at = fields + 8; at < fields + 32; at += 8) {
                    const [start, length] = [bytes(at, 4).readUInt32LE(), bytes(at + 4, 4).readUInt32LE()];
                    said.push(bytes(start, length).toString());
                }
                return -1;
            },
            op_wait: () => -1, result: none, result_len: none, wasm_call: none,
        },
        wasi_snapshot_preview1: { clock_time_get: none, fd_write: none, fd_close: none, fd_seek: none, fd_fdstat_get: none },
    });
    memory = exports.memory;
    exports._initialize();
    exports.limpet_boot();
    const copy = (content) => {
        const at = exports.limpet_alloc(content.length + 1);
        bytes(at, content.length + 1).set([...content, 0]);
        return at;
    };
    const sizeAt = exports.limpet_alloc(4);
    const at = exports.limpet_compile(copy(Buffer.from(name)), copy(text), text.length, sizeAt);
    if (at === 0) {
        console.error(`${name}: ${said.join("\n")}`);
        process.exit(1);
    }
    return Buffer.from(bytes(at, bytes(sizeAt, 4).readUInt32LE()));
}

const scheme = (name) => (name.startsWith("internal/runtime/") ? "limpet:" : "node:");
writeFileSync(output, pack(
    packs.flatMap((path) => unpack(readFileSync(path))).map(({ name, text }) => ({ name, text: compile(scheme(name) + name, text) })),
));
