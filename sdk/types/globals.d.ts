// SPDX-License-Identifier: Apache-2.0
//
// The globals of a Limpet function, and only those: what is not declared here does not exist there.
// Use with "lib": ["ES2024"] (no "DOM"), see sdk/README.md. A file an area: what standards have in web/,
// what Workers add in workers/. What `env` has beside variables is bindings.d.ts's.

/// <reference path="web/crypto.d.ts" />
/// <reference path="web/data.d.ts" />
/// <reference path="web/events.d.ts" />
/// <reference path="web/fetch.d.ts" />
/// <reference path="web/performance.d.ts" />
/// <reference path="web/scope.d.ts" />
/// <reference path="web/streams.d.ts" />
/// <reference path="web/url.d.ts" />
/// <reference path="web/webassembly.d.ts" />
/// <reference path="web/websocket.d.ts" />
/// <reference path="workers/cache.d.ts" />
/// <reference path="workers/html-rewriter.d.ts" />
/// <reference path="workers/scope.d.ts" />
