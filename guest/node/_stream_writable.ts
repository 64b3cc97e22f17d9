// SPDX-License-Identifier: Apache-2.0
//
// node:_stream_writable: an old name for a part of node:stream.

import { Writable } from "./stream.ts";

export { Writable };
export default Writable;
