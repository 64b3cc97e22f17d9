// SPDX-License-Identifier: Apache-2.0
//
// The Buffer of packages in this layer that take the global one.

export { Buffer, Buffer as LayerBuffer } from "../buffer.ts";
