// SPDX-License-Identifier: Apache-2.0
//
// node:punycode, as the package unenv has it from Node.

export * from "unenv/node/punycode";
export { default } from "unenv/node/punycode";
