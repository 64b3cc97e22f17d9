// SPDX-License-Identifier: Apache-2.0
//
// node:sys, the old name of util.

export * from "./util.ts";
export { default } from "./util.ts";
