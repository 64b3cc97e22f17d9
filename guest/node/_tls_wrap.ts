// SPDX-License-Identifier: Apache-2.0
//
// node:_tls_wrap: an old name for a part of node:tls.

import { Server, TLSSocket, connect, createServer } from "./tls.ts";

export { Server, TLSSocket, connect, createServer };
export default { Server, TLSSocket, connect, createServer };
