// SPDX-License-Identifier: Apache-2.0
//
// node:stream/promises.

import Stream from "../stream.ts";

export const { finished, pipeline } = Stream.promises;
export default Stream.promises;
