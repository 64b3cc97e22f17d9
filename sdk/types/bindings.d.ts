// SPDX-License-Identifier: Apache-2.0
//
// What `env` can have beside variables, a file a kind in bindings/. Such a file has the global types of its
// binding, and in `declare module "cloudflare:workers" { … }` the classes that code extends for it: modules of
// one name are joined.

/// <reference path="bindings/bucket.d.ts" />
/// <reference path="bindings/d1.d.ts" />
/// <reference path="bindings/actors.d.ts" />
/// <reference path="bindings/kv.d.ts" />
/// <reference path="bindings/queue.d.ts" />
/// <reference path="bindings/rate-limit.d.ts" />
/// <reference path="bindings/service.d.ts" />
/// <reference path="bindings/workflow.d.ts" />
