// SPDX-License-Identifier: Apache-2.0
//
// node:_http_incoming: an old name for a part of node:http.

import { IncomingMessage } from "./http.ts";

export const readStart = (socket: any): void => socket?.resume?.();
export const readStop = (socket: any): void => socket?.pause?.();
export { IncomingMessage };
export default { IncomingMessage, readStart, readStop };
