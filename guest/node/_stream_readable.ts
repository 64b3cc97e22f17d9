// SPDX-License-Identifier: Apache-2.0
//
// node:_stream_readable: an old name for a part of node:stream.

import { Readable } from "./stream.ts";

export { Readable };
export default Readable;
