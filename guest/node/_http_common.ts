// SPDX-License-Identifier: Apache-2.0
//
// node:_http_common: what Node's HTTP modules share, which some packages ask for.

import { isFieldText, isToken } from "./internal/http-headers.ts";
import { METHODS } from "./internal/http-names.ts";

export const CRLF = "\r\n";
export const chunkExpression = /(?:^|\W)chunked(?:$|\W)/i;
export const continueExpression = /(?:^|\W)100-continue(?:$|\W)/i;
export const methods = METHODS;
export const kIncomingMessage = Symbol("IncomingMessage");
export const parsers = { name: "parsers", max: 1000 };
export const _checkIsHttpToken = (text: unknown): boolean => isToken(String(text));
export const _checkInvalidHeaderChar = (text: unknown): boolean => !isFieldText(String(text));

export default { CRLF, _checkInvalidHeaderChar, _checkIsHttpToken, chunkExpression, continueExpression, kIncomingMessage, methods, parsers };
