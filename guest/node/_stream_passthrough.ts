// SPDX-License-Identifier: Apache-2.0
//
// node:_stream_passthrough: an old name for a part of node:stream.

import { PassThrough } from "./stream.ts";

export { PassThrough };
export default PassThrough;
