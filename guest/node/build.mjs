// SPDX-License-Identifier: Apache-2.0
//
// Packs the Node layer: node build.mjs OUTPUT. Each file here is a module "node:NAME"; what several share becomes a
// module "node:internal/…".

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
const files = readdirSync(root, { recursive: true }).filter((name) => name.endsWith(".ts")).sort();
/** Modules of the layer's own that something outside of it asks for by name. */
const asked = ["internal/buffer-global.ts", "internal/cloudflare.ts"];
const entries = files.filter((name) => !name.startsWith("internal/") || asked.includes(name));
const names = new Set(entries.map((name) => name.slice(0, -3)));

/** "events", "node:events" and "string_decoder/" are ours also where a package says them. A require() gets the default export, as in Node. */
const ours = {
    name: "ours",
    setup(build) {
        build.onResolve({ filter: /^(node:)?[a-z_0-9]+(\/[a-z_0-9]*)?$/ }, ({ path, kind }) => {
            const name = path.replace(/^node:/, "").replace(/\/$/, "");
            if (name === "abort-controller") {
                return { path: `${root}internal/abort-controller.ts` };
            }
            if (!names.has(name)) {
                return undefined;
            }
            return kind === "require-call"
                ? { path: `${root}${name}.ts`, namespace: "required" } : { path: `${root}${name}.ts` };
        });
        build.onLoad({ filter: /.*/, namespace: "required" }, ({ path }) => ({
            contents: `import module_ from ${JSON.stringify(path)}; module.exports = module_;`, resolveDir: root,
        }));
    },
};

const { outputFiles } = await build({
    entryPoints: entries.map((name) => root + name),
    outbase: root,
    outdir: "/",
    chunkNames: "internal/[hash]",
    bundle: true,
    splitting: true,
    write: false,
    format: "esm",
    target: "es2023",
    external: ["limpet:internal"],
    define: { "globalThis.Buffer": "LayerBuffer", NODE_LAYER_NAMES: JSON.stringify([...names].filter((name) => !name.startsWith("internal/"))) },
    inject: [`${root}internal/buffer-inject.ts`],
    keepNames: true,
    minifyWhitespace: true,
    minifySyntax: true,
    legalComments: "inline",
    logLevel: "warning",
    plugins: [ours],
});

const modules = outputFiles.map(({ path, text }) => ({
    name: path.slice(1, -3),
    text: text.replace(/(from|import)"(?:\.{1,2}\/)+(?:internal\/)?([A-Z0-9]+)\.js"/g, '$1"node:internal/$2"'),
}));
const isPrivate = ({ name }) => name.startsWith("internal/");
writeFileSync(output, pack([...modules.filter((m) => !isPrivate(m)), ...modules.filter(isPrivate)]));
