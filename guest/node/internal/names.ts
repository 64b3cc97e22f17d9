// SPDX-License-Identifier: Apache-2.0
//
// The names of all modules, which build.mjs puts here.

declare const NODE_LAYER_NAMES: string[];

export const names = NODE_LAYER_NAMES;
