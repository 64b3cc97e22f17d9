// SPDX-License-Identifier: Apache-2.0
//
// node:util/types.

import * as types from "../internal/types.ts";

export * from "../internal/types.ts";
export default { ...types };
