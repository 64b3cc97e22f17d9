// SPDX-License-Identifier: Apache-2.0
//
// Actors (Durable Objects): docs/actors.md.

interface DurableObjectId {
    toString(): string;
    equals(other: DurableObjectId): boolean;
    /** What it was made of; undefined: chance, or it is not known. */
    readonly name?: string;
}

/** Methods of T as others call them. */
type DurableObjectStub<T extends object = object> = Fetcher & {
    readonly id: DurableObjectId;
    readonly name?: string;
} & {
    readonly [K in Exclude<keyof T, "fetch" | "ctx" | "env" | "id" | "name" | "alarm">]: T[K] extends (...values: infer A) => infer R
        ? (...values: A) => Promise<Awaited<R>> : Promise<Awaited<T[K]>>;
};

interface DurableObjectNamespace<T extends object = any> {
    newUniqueId(options?: { jurisdiction?: string }): DurableObjectId;
    idFromName(name: string): DurableObjectId;
    /** Throws a TypeError if it is none of this class. */
    idFromString(id: string): DurableObjectId;
    get(id: DurableObjectId, options?: { locationHint?: string }): DurableObjectStub<T>;
    getByName(name: string, options?: { locationHint?: string }): DurableObjectStub<T>;
    jurisdiction(jurisdiction: string): DurableObjectNamespace<T>;
}

interface DurableObjectListOptions {
    start?: string;
    startAfter?: string;
    end?: string;
    prefix?: string;
    reverse?: boolean;
    limit?: number;
    allowConcurrency?: boolean;
    noCache?: boolean;
}
interface DurableObjectGetOptions {
    allowConcurrency?: boolean;
    noCache?: boolean;
}
interface DurableObjectPutOptions extends DurableObjectGetOptions {
    allowUnconfirmed?: boolean;
}

/** Keys with values: those of structured clone. */
interface DurableObjectTransaction {
    get<T = unknown>(key: string, options?: DurableObjectGetOptions): Promise<T | undefined>;
    get<T = unknown>(keys: string[], options?: DurableObjectGetOptions): Promise<Map<string, T>>;
    list<T = unknown>(options?: DurableObjectListOptions): Promise<Map<string, T>>;
    put<T>(key: string, value: T, options?: DurableObjectPutOptions): Promise<void>;
    put<T>(entries: Record<string, T>, options?: DurableObjectPutOptions): Promise<void>;
    delete(key: string, options?: DurableObjectPutOptions): Promise<boolean>;
    delete(keys: string[], options?: DurableObjectPutOptions): Promise<number>;
    getAlarm(): Promise<number | null>;
    setAlarm(time: number | Date): Promise<void>;
    deleteAlarm(): Promise<void>;
    rollback(): void;
}

interface SyncKvStorage {
    get<T = unknown>(key: string): T | undefined;
    list<T = unknown>(options?: DurableObjectListOptions): Iterable<[string, T]>;
    put<T>(key: string, value: T): void;
    delete(key: string): boolean;
}

type SqlStorageValue = ArrayBuffer | string | number | null;

interface SqlStorageCursor<T extends Record<string, SqlStorageValue> = Record<string, SqlStorageValue>> extends Iterable<T> {
    next(): { done?: false; value: T } | { done: true; value?: never };
    toArray(): T[];
    /** Throws unless there is exactly one row. */
    one(): T;
    raw<U extends SqlStorageValue[] = SqlStorageValue[]>(): IterableIterator<U> & { toArray(): U[] };
    readonly columnNames: string[];
    readonly rowsRead: number;
    readonly rowsWritten: number;
}

interface SqlStorage {
    exec<T extends Record<string, SqlStorageValue> = Record<string, SqlStorageValue>>(
        query: string, ...bindings: unknown[]
    ): SqlStorageCursor<T>;
    readonly databaseSize: number;
}

interface DurableObjectStorage extends Omit<DurableObjectTransaction, "rollback"> {
    deleteAll(options?: DurableObjectPutOptions): Promise<void>;
    transaction<T>(closure: (transaction: DurableObjectTransaction) => T | Promise<T>): Promise<T>;
    transactionSync<T>(closure: () => T): T;
    /** Until all that was stored is on disk. */
    sync(): Promise<void>;
    readonly sql: SqlStorage;
    readonly kv: SyncKvStorage;
}

/** `ctx` of an actor. */
interface DurableObjectState {
    readonly id: DurableObjectId;
    readonly storage: DurableObjectStorage;
    readonly props: any;
    readonly exports: any;
    waitUntil(promise: Promise<unknown>): void;
    /** Nothing else goes on until the callback has ended; what it throws resets the actor. */
    blockConcurrencyWhile<T>(callback: () => T | Promise<T>): Promise<T>;
    /** Ends the instance here and now. */
    abort(reason?: string): never;
}

declare module "cloudflare:workers" {
    /** A class that extends this and is exported is one of actors: there is one instance for each id; docs/actors.md. */
    export abstract class DurableObject<E = Env> {
        constructor(ctx: DurableObjectState, env: E);
        protected readonly ctx: DurableObjectState;
        protected readonly env: E;
        fetch?(request: Request): Response | Promise<Response>;
        /** At the time that setAlarm() was given; again, at most 6 times, when it throws. */
        alarm?(info?: { retryCount: number; isRetry: boolean }): void | Promise<void>;
    }
}
