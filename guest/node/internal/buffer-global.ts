// SPDX-License-Identifier: Apache-2.0
//
// What the engine takes for the global Buffer.

export { Buffer as default } from "../buffer.ts";
