// SPDX-License-Identifier: Apache-2.0
//
// node:querystring, as the package unenv has it from Node.

import all from "unenv/node/querystring";

export const { unescapeBuffer, escape, stringify, encode, parse, decode } = all;
export const unescape = all.unescape;
export default all;
