// SPDX-License-Identifier: Apache-2.0
//
// node:constants: all of them in one object.

import { fs, os } from "./internal/constants.ts";

export default Object.freeze({ ...os.dlopen, ...os.errno, ...os.priority, ...os.signals, ...fs });
