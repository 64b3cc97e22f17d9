// SPDX-License-Identifier: Apache-2.0
//
// What packages ask of "abort-controller" is global here.

export const AbortController = globalThis.AbortController;
export const AbortSignal = globalThis.AbortSignal;
export default AbortController;
