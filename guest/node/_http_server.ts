// SPDX-License-Identifier: Apache-2.0
//
// node:_http_server: an old name for a part of node:http.

import { STATUS_CODES, Server, ServerResponse, _connectionListener } from "./http.ts";

export { STATUS_CODES, Server, ServerResponse, _connectionListener };
export default { STATUS_CODES, Server, ServerResponse, _connectionListener };
