// SPDX-License-Identifier: Apache-2.0
//
// node:_http_agent: an old name for a part of node:http.

import { Agent, globalAgent } from "./http.ts";

export { Agent, globalAgent };
export default { Agent, globalAgent };
