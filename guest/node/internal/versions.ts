// SPDX-License-Identifier: Apache-2.0
//
// The version of Node whose modules these are like.

export const versions: Record<string, string> = {
    node: "20.19.0", limpet: "0", v8: "11.3.244.8-node.26", uv: "1.46.0", zlib: "1.3.0.1", brotli: "1.1.0", modules: "115", openssl: "3.0.15",
    unicode: "15.1",
};
