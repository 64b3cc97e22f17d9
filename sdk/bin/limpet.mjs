#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
// `npx limpet …`: the limpet program of this machine, named by LIMPET_BIN or found in PATH.
import { spawnSync } from "node:child_process";
import { accessSync, constants, realpathSync } from "node:fs";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";

function found() {
    if (process.env.LIMPET_BIN) {
        return process.env.LIMPET_BIN;
    }
    const own = realpathSync(fileURLToPath(import.meta.url));
    for (const folder of (process.env.PATH ?? "").split(delimiter)) {
        const path = join(folder, "limpet");
        try {
            accessSync(path, constants.X_OK);
            if (realpathSync(path) !== own) {
                return path;
            }
        } catch {
            // not there
        }
    }
    return undefined;
}

const program = found();
if (!program) {
    console.error("error: the limpet program was not found\nhint: put it into PATH, or name it in LIMPET_BIN");
    process.exit(1);
}
const { status, signal, error } = spawnSync(program, process.argv.slice(2), { stdio: "inherit" });
if (error) {
    console.error(`error: ${program} cannot be run: ${error.message}`);
}
process.exit(signal ? 1 : (status ?? 1));
