// SPDX-License-Identifier: Apache-2.0
/** Code of guests, bundled as text (run: --loader:.guest.js=text). */
declare module '*.guest.js' {
    const source: string;
    export default source;
}
