// SPDX-License-Identifier: Apache-2.0
//
// `ctx.storage`: keys with values, SQL, transactions. What is written without an await in between is stored as a whole, and
// nothing that the actor lets out after it leaves before it is on disk: that is the host's business (src/host/op_sql.c).

import { expose } from "../interface.ts";
import { native } from "../native.ts";
import { alarmOf, deleteAlarm, setAlarm } from "./alarm.ts";
import { deleteOne, getOne, Keys, listAll, type ListOptions, putOne } from "./keys.ts";
import { SqlStorage } from "./sql.ts";

const BEGIN = 0, COMMIT = 1, ROLL_BACK = 2;

/** What the argument of transaction() is. */
class DurableObjectTransaction extends Keys {
    async getAlarm(_options?: object): Promise<number | null> {
        return alarmOf();
    }
    async setAlarm(time: number | Date, _options?: object): Promise<void> {
        setAlarm(time);
    }
    async deleteAlarm(_options?: object): Promise<void> {
        deleteAlarm();
    }
    #isRolledBack = false;

    static isRolledBack: (transaction: DurableObjectTransaction) => boolean;
    static {
        DurableObjectTransaction.isRolledBack = (transaction) => transaction.#isRolledBack;
    }
    rollback(): void {
        this.#isRolledBack = true;
    }
}
const isRolledBack = DurableObjectTransaction.isRolledBack;
delete (DurableObjectTransaction as Partial<typeof DurableObjectTransaction>).isRolledBack;
expose(DurableObjectTransaction, "DurableObjectTransaction");

/** `storage.kv`. */
class SyncKvStorage {
    get(key: string): unknown {
        return getOne(key);
    }
    put(key: string, value: unknown): void {
        putOne(key, value);
    }
    delete(key: string): boolean {
        return deleteOne(key);
    }
    list(options?: ListOptions): Iterable<[string, unknown]> {
        return listAll(options ?? {}).entries();
    }
}
expose(SyncKvStorage, "SyncKvStorage");

export type Exclusive = <T>(callback: () => T | Promise<T>) => Promise<T>;

export class DurableObjectStorage extends Keys {
    #exclusive: Exclusive;
    readonly sql = new SqlStorage();
    readonly kv = new SyncKvStorage();

    constructor(exclusive: Exclusive) {
        super();
        this.#exclusive = exclusive;
    }
    async getAlarm(_options?: object): Promise<number | null> {
        return alarmOf();
    }
    async setAlarm(time: number | Date, _options?: object): Promise<void> {
        setAlarm(time);
    }
    async deleteAlarm(_options?: object): Promise<void> {
        deleteAlarm();
    }
    async deleteAll(_options?: object): Promise<void> {
        native.storeClear();
    }
    transaction<T>(closure: (transaction: DurableObjectTransaction) => T | Promise<T>): Promise<T> {
        return this.#exclusive(async () => {
            const transaction = new DurableObjectTransaction();
            native.sqlTransaction(BEGIN);
            let result: T;
            try {
                result = await closure(transaction);
            } catch (error) {
                native.sqlTransaction(ROLL_BACK);
                throw error;
            }
            native.sqlTransaction(isRolledBack(transaction) ? ROLL_BACK : COMMIT);
            return result;
        });
    }
    transactionSync<T>(closure: () => T): T {
        native.sqlTransaction(BEGIN);
        let result: T;
        try {
            result = closure();
        } catch (error) {
            native.sqlTransaction(ROLL_BACK);
            throw error;
        }
        native.sqlTransaction(COMMIT);
        return result;
    }
    async sync(): Promise<void> {
        await native.storeSync();
    }
}
expose(DurableObjectStorage, "DurableObjectStorage");
