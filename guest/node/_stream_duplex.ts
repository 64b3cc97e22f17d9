// SPDX-License-Identifier: Apache-2.0
//
// node:_stream_duplex: an old name for a part of node:stream.

import { Duplex } from "./stream.ts";

export { Duplex };
export default Duplex;
