// SPDX-License-Identifier: Apache-2.0
//
// Packs the runtime: node build.mjs OUTPUT. main.ts is what is in the engine's image; each file in lazy/ is a module that is
// loaded when it is first needed; what several share becomes a module of its own.

import { build } from "esbuild";
import { readdirSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { pack } from "../pack.mjs";

const [output] = process.argv.slice(2);
if (!output) {
    console.error("usage: node build.mjs OUTPUT");
    process.exit(2);
}
const root = fileURLToPath(new URL(".", import.meta.url));
const lazy = readdirSync(`${root}lazy`).filter((name) => name.endsWith(".ts")).sort();
const { outputFiles } = await build({
    entryPoints: ["main.ts", ...lazy.map((name) => `lazy/${name}`)].map((name) => root + name),
    entryNames: "[name]",
    outdir: "/",
    chunkNames: "[hash]",
    bundle: true,
    splitting: true,
    write: false,
    format: "esm",
    target: "es2023",
    minifyWhitespace: true,
    minifySyntax: true,
    legalComments: "inline",
    logLevel: "warning",
});
writeFileSync(output, pack(outputFiles.map(({ path, text }) => ({
    name: `internal/runtime/${path.slice(1, -3)}`,
    text: text.replace(/(from|import)"\.\/([A-Za-z0-9-]+)\.js"/g, '$1"limpet:internal/runtime/$2"'),
}))));
