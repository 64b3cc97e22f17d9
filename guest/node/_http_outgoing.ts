// SPDX-License-Identifier: Apache-2.0
//
// node:_http_outgoing: an old name for a part of node:http.

import { OutgoingMessage, validateHeaderName, validateHeaderValue } from "./http.ts";

export { OutgoingMessage, validateHeaderName, validateHeaderValue };
export default { OutgoingMessage, validateHeaderName, validateHeaderValue };
