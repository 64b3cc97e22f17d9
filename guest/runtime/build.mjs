// SPDX-License-Identifier: Apache-2.0
//
// Bundles the runtime into one ES module: node build.mjs OUTPUT. Names of functions and classes are
// kept, since they are seen by scripts (`URL.name`) and in stack traces.

import { build } from "esbuild";
import { fileURLToPath } from "node:url";

const [output] = process.argv.slice(2);
if (!output) {
    console.error("usage: node build.mjs OUTPUT");
    process.exit(2);
}
await build({
    entryPoints: [fileURLToPath(new URL("main.ts", import.meta.url))],
    outfile: output,
    bundle: true,
    format: "esm",
    target: "es2023",
    minifyWhitespace: true,
    minifySyntax: true,
    legalComments: "inline",
    logLevel: "warning",
});
