// SPDX-License-Identifier: Apache-2.0
//
// Intl; methods of the language get what they ask from the default export.

import * as own from "../intl/intl.ts";

export const { Intl } = own;
export default own;
