// SPDX-License-Identifier: Apache-2.0
//
// node:path/win32.

import { win32 as all } from "../internal/paths.ts";

export const { resolve, normalize, isAbsolute, join, relative, toNamespacedPath, dirname, basename, extname, format, parse, matchesGlob, sep, delimiter, win32, posix, _makeLong } = all;
export default all;
