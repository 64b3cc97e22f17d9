// SPDX-License-Identifier: Apache-2.0
//
// node:_http_client: an old name for a part of node:http.

import { ClientRequest } from "./http.ts";

export { ClientRequest };
export default { ClientRequest };
