// SPDX-License-Identifier: Apache-2.0
//
// node:_stream_transform: an old name for a part of node:stream.

import { Transform } from "./stream.ts";

export { Transform };
export default Transform;
