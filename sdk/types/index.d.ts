// SPDX-License-Identifier: Apache-2.0
//
// The module `limpet`, and with it everything else that a function or workflow sees: naming this package
// in "types" of a tsconfig declares the globals, derp:runtime/* and cloudflare:* too.

/// <reference path="globals.d.ts" />
/// <reference path="bindings.d.ts" />
/// <reference path="derp.d.ts" />
/// <reference path="cloudflare.d.ts" />
/// <reference path="handlers.d.ts" />

export * from "./limpet";
