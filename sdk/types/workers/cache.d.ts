// SPDX-License-Identifier: Apache-2.0
//
// Responses that code keeps.

interface CacheQueryOptions {
    ignoreMethod?: boolean;
}

declare class Cache {
    private constructor();
    put(request: Request | string | URL, response: Response): Promise<void>;
    match(request: Request | string | URL, options?: CacheQueryOptions): Promise<Response | undefined>;
    delete(request: Request | string | URL, options?: CacheQueryOptions): Promise<boolean>;
}

declare class CacheStorage {
    private constructor();
    readonly default: Cache;
    open(name: string): Promise<Cache>;
}

/** Responses that code keeps; they may be gone at any time. */
declare var caches: CacheStorage;
