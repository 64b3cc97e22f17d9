// SPDX-License-Identifier: Apache-2.0
//
// WebAssembly's JavaScript API (https://webassembly.github.io/spec/js-api/ and its web part). Objects are numbers of the host's
// (src/sandbox/nested.h); what must be fast is guest/engine/wasm.c.

import { bytesOf as bufferOf, expose, need as needCount, usv } from "../interface.ts";
import { native } from "../native.ts";

const enum Ask {
    Validate = 1, Describe, Sections, Instantiate, Type, Func, Memory, Table, Global, MemoryState, MemoryGrow, TableLen, TableGrow,
    TableGet, TableSet, GlobalGet, GlobalSet,
}
const enum Kind { Func, Table, Memory, Global, Tag }
const kindNames = ["function", "table", "memory", "global", "tag"];
const valueTypes: Record<string, number> = { i32: 0x7f, i64: 0x7e, f32: 0x7d, f64: 0x7c, v128: 0x7b, anyfunc: 0x70, externref: 0x6f };
const elementTypes: Record<string, number> = { anyfunc: 0x70, externref: 0x6f };
const TYPE_I64 = 0x7e, TYPE_V128 = 0x7b, TYPE_FUNC = 0x70, TYPE_EXTERN = 0x6f;
const NO_MAX = 0xffffffff;
const MEMORY_PAGES_MAX = 65536, TABLE_MAX = 10_000_000;
const empty = new Uint8Array(0);

// --- errors ---

type ErrorClass = (new (message?: string, options?: object) => Error) & ((message?: string, options?: object) => Error);

function errorClass(name: string): ErrorClass {
    const cls = {
        [name]: function (this: unknown, message?: unknown, options?: object) {
            const given = message === undefined ? [] : [message];
            const rest = arguments.length > 1 ? [...given, ...(given.length ? [] : [undefined]), options] : given;
            return Reflect.construct(Error, rest, new.target ?? cls);
        },
    }[name] as unknown as ErrorClass;
    Object.setPrototypeOf(cls, Error);
    const proto = Object.create(Error.prototype);
    for (const [key, value] of [["constructor", cls], ["name", name], ["message", ""]] as const) {
        Object.defineProperty(proto, key, { value, writable: true, configurable: true });
    }
    Object.defineProperty(cls, "prototype", { value: proto, writable: false });
    Object.defineProperty(cls, "length", { value: 1 });
    return cls;
}
const CompileError = errorClass("CompileError");
const LinkError = errorClass("LinkError");
const RuntimeError = errorClass("RuntimeError");

function translate(error: any): unknown {
    switch (error?.code) {
    case "conflict":
        return new LinkError(error.message);
    case "guest":
        return new RuntimeError(error.message);
    case "limit":
    case "limit_memory":
        return new RangeError(error.message);
    default:
        return error;
    }
}

function ask(what: Ask, a = 0, b = 0, data: Uint8Array = empty): Uint8Array {
    try {
        return native.wasm(what, a, b, data);
    } catch (error) {
        throw translate(error);
    }
}

function askNumber(what: Ask, a = 0, b = 0, data: Uint8Array = empty): number {
    return new Reader(ask(what, a, b, data)).number();
}

// --- what the host says ---

interface Type {
    kind: Kind;
    params: Uint8Array;
    results: Uint8Array;
    value: number; // type of a global or of a table's elements
    mutable: boolean;
    index: number; // of a function in its module
}

class Reader {
    #bytes: Uint8Array;
    #view: DataView;
    #at = 0;
    constructor(bytes: Uint8Array) {
        this.#bytes = bytes;
        this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    }
    get isOver(): boolean {
        return this.#at >= this.#bytes.length;
    }
    byte(): number {
        return this.#bytes[this.#at++]!;
    }
    number(): number {
        this.#at += 4;
        return this.#view.getUint32(this.#at - 4, true);
    }
    bytes(): Uint8Array {
        const length = this.number();
        this.#at += length;
        return this.#bytes.slice(this.#at - length, this.#at);
    }
    text(): string {
        return native.utf8Decode(this.bytes());
    }
    type(): Type {
        const type: Type = { kind: this.byte(), params: empty, results: empty, value: 0, mutable: false, index: 0 };
        if (type.kind === Kind.Func) {
            type.params = this.bytes();
            type.results = this.bytes();
        } else if (type.kind === Kind.Global) {
            type.value = this.byte();
            type.mutable = this.byte() !== 0;
        } else if (type.kind !== Kind.Tag) {
            type.value = type.kind === Kind.Table ? this.byte() : 0;
            this.number();
            this.number();
        }
        return type;
    }
}

function typeOf(number: number): Type {
    const reader = new Reader(ask(Ask.Type, number));
    const type = reader.type();
    type.index = reader.isOver ? 0 : reader.number();
    return type;
}

// --- conversions ---

/** [EnforceRange] unsigned long */
function toIndex(value: unknown, what: string): number {
    const number = Number(typeof value === "bigint" ? +(value as never) : value);
    const whole = Math.trunc(number);
    if (!Number.isFinite(number) || whole < 0 || whole > 0xffffffff) {
        throw new TypeError(`WebAssembly: ${what} must be a number from 0 to 2^32 - 1`);
    }
    return whole + 0;
}

function bytesOf(value: unknown, what: string): Uint8Array {
    const bytes = bufferOf(value);
    if (!bytes) {
        throw new TypeError(`WebAssembly.${what}: the first argument must be an ArrayBuffer or a view on one`);
    }
    return bytes;
}

function needDescriptor(value: unknown, what: string): Record<string, unknown> {
    if ((typeof value !== "object" && typeof value !== "function") || value === null) {
        throw new TypeError(`WebAssembly.${what}: the first argument must be a descriptor object`);
    }
    return value as Record<string, unknown>;
}

interface Limits {
    initial: number;
    maximum: number | undefined;
}

function limitsOf(descriptor: Record<string, unknown>, what: string): Limits {
    const initial = descriptor.initial;
    if (initial === undefined) {
        throw new TypeError(`WebAssembly.${what}: the property 'initial' is required`);
    }
    const from = toIndex(initial, "'initial'");
    const maximum = descriptor.maximum;
    return { initial: from, maximum: maximum === undefined ? undefined : toIndex(maximum, "'maximum'") };
}

function checkLimits(limits: Limits, most: number, what: string): void {
    if (limits.maximum !== undefined && limits.maximum < limits.initial) {
        throw new RangeError(`WebAssembly.${what}: 'maximum' is less than 'initial'`);
    }
    if (limits.initial > most) {
        throw new RangeError(`WebAssembly.${what}: 'initial' is above ${most}`);
    }
}

// --- functions ---

const functions = new Map<number, Function>();
const numbers = new WeakMap<object, number>();

function functionOf(number: number): Function {
    let made = functions.get(number);
    if (!made) {
        const type = typeOf(number);
        made = native.wasmFunction(number, type.params, type.results) as Function;
        Object.defineProperty(made, "length", { value: type.params.length, configurable: true });
        Object.defineProperty(made, "name", { value: String(type.index), configurable: true });
        functions.set(number, made);
        numbers.set(made, number);
    }
    return made;
}

native.wasmSetup(
    (what: number | string) => typeof what === "number" ? functionOf(what) : new RuntimeError(what),
    (value: unknown) => typeof value === "function" ? numbers.get(value) ?? 0 : 0,
);

/** Several results come from anything that can be iterated. */
function listing(fn: Function, length: number): Function {
    return (...args: unknown[]) => {
        const result = fn(...args);
        if (result === null || result === undefined || typeof result[Symbol.iterator] !== "function") {
            throw new TypeError("WebAssembly: an imported function with several results must return an iterable");
        }
        const list = [...result];
        if (list.length !== length) {
            throw new TypeError(`WebAssembly: an imported function must return ${length} values, not ${list.length}`);
        }
        return list;
    };
}

function lengthsAnd(params: Uint8Array, results: Uint8Array): Uint8Array {
    const data = new Uint8Array(8 + params.length + results.length);
    const view = new DataView(data.buffer);
    view.setUint32(0, params.length, true);
    data.set(params, 4);
    view.setUint32(4 + params.length, results.length, true);
    data.set(results, 8 + params.length);
    return data;
}

function importFunction(fn: Function, { params, results }: Type): number {
    const known = numbers.get(fn);
    if (known !== undefined) {
        return known;
    }
    const called = results.length > 1 ? listing(fn, results.length) : fn;
    return askNumber(Ask.Func, native.wasmImport(called, params, results), 0, lengthsAnd(params, results));
}

// --- objects ---

/** Number of the object that the next constructor is for; 0: it was called by code. */
let adopting = 0;
const objects = new Map<number, object>();

function adopt<T extends object>(cls: new (...args: never[]) => T, number: number): T {
    let object = objects.get(number) as T | undefined;
    if (!object) {
        adopting = number;
        object = new (cls as unknown as new (ignored: undefined) => T)(undefined);
        objects.set(number, object);
    }
    return object;
}

function adopted(): number {
    const number = adopting;
    adopting = 0;
    return number;
}

interface Import {
    module: string;
    name: string;
    type: Type;
}

class Module {
    #number: number;
    #imports: Import[] | undefined;
    #exports: { name: string; type: Type }[] = [];

    constructor(bytes: BufferSource) {
        this.#number = adopted() || compileNow(bytesOf(bytes, "Module()"), "Module()");
    }

    static exports(module: Module): { name: string; kind: string }[] {
        need(1, arguments.length, "Module.exports()");
        return exportsOf(module).map(({ name, type }) => ({ name, kind: kindNames[type.kind]! }));
    }

    static imports(module: Module): { module: string; name: string; kind: string }[] {
        need(1, arguments.length, "Module.imports()");
        return importsOf(module).map(({ module: from, name, type }) => ({ module: from, name, kind: kindNames[type.kind]! }));
    }

    static customSections(module: Module, sectionName: string): ArrayBuffer[] {
        need(2, arguments.length, "Module.customSections()");
        const number = numberOfModule(module);
        const reader = new Reader(ask(Ask.Sections, number, 0, native.utf8Encode(usv(sectionName))));
        const list: ArrayBuffer[] = [];
        while (!reader.isOver) {
            list.push(reader.bytes().buffer as ArrayBuffer);
        }
        return list;
    }

    static {
        numberOfModule = (module) => {
            if (typeof module !== "object" || module === null || !(#number in module)) {
                throw new TypeError("WebAssembly: the first argument must be a WebAssembly.Module");
            }
            return module.#number;
        };
        isModule = (value): value is Module => typeof value === "object" && value !== null && #number in value;
        importsOf = (module) => {
            const number = numberOfModule(module);
            if (!module.#imports) {
                const reader = new Reader(ask(Ask.Describe, number));
                const imports: Import[] = [];
                for (let left = reader.number(); left > 0; left--) {
                    imports.push({ module: reader.text(), name: reader.text(), type: reader.type() });
                }
                for (let left = reader.number(); left > 0; left--) {
                    module.#exports.push({ name: reader.text(), type: reader.type() });
                }
                module.#imports = imports;
            }
            return module.#imports;
        };
        exportsOf = (module) => {
            importsOf(module);
            return module.#exports;
        };
    }
}
var numberOfModule: (module: Module) => number;
var isModule: (value: unknown) => value is Module;
var importsOf: (module: Module) => Import[];
var exportsOf: (module: Module) => { name: string; type: Type }[];

function need(count: number, given: number, what: string): void {
    needCount(count, given, `WebAssembly.${what}`);
}

function compileFailed(error: any, what: string): unknown {
    return error?.code === "invalid" ? new CompileError(`WebAssembly.${what}: ${error.message}`) : translate(error);
}

function compileNow(bytes: Uint8Array, what: string): number {
    try {
        return native.wasmCompile(bytes, true) as number;
    } catch (error) {
        throw compileFailed(error, what);
    }
}

async function compileLater(bytes: Uint8Array, what: string): Promise<Module> {
    try {
        return adopt(Module, await native.wasmCompile(bytes, false));
    } catch (error) {
        throw compileFailed(error, what);
    }
}

function isObject(value: unknown): value is Record<string, unknown> {
    return (typeof value === "object" && value !== null) || typeof value === "function";
}

function importGlobal(value: unknown, type: Type, where: string): number {
    if (isGlobal(value)) {
        return numberOfGlobal(value);
    }
    const isNumber = typeof value === "number", isBig = typeof value === "bigint";
    if (type.mutable) {
        throw new LinkError(`${where}: imported mutable global must be a WebAssembly.Global object`);
    }
    if (type.value === TYPE_V128 || (type.value === TYPE_I64 ? !isBig : type.value > TYPE_V128 && !isNumber)) {
        throw new LinkError(`${where}: the import must be a ${type.value === TYPE_I64 ? "BigInt" : "number"} or a WebAssembly.Global object`);
    }
    let encoded;
    try {
        encoded = native.wasmEncode(type.value, value);
    } catch {
        throw new LinkError(`${where}: the import is no value of the global's type`);
    }
    return askNumber(Ask.Global, type.value, 0, encoded);
}

function importValue(value: unknown, type: Type, where: string): number {
    switch (type.kind) {
    case Kind.Func:
        if (typeof value !== "function") {
            throw new LinkError(`${where}: function import requires a callable`);
        }
        return importFunction(value, type);
    case Kind.Global:
        return importGlobal(value, type, where);
    case Kind.Memory:
        if (!isMemory(value)) {
            throw new LinkError(`${where}: memory import must be a WebAssembly.Memory object`);
        }
        return numberOfMemory(value);
    case Kind.Table:
        if (!isTable(value)) {
            throw new LinkError(`${where}: table import requires a WebAssembly.Table`);
        }
        return numberOfTable(value);
    default:
        throw new LinkError(`${where}: tags cannot be imported here`);
    }
}

/** The imports' numbers, in the module's order. */
function readImports(module: Module, imports: unknown, what: string): Uint8Array {
    const wanted = importsOf(module);
    if (imports !== undefined && !isObject(imports)) {
        throw new TypeError(`WebAssembly.${what}: Argument 1 must be an object`);
    }
    if (wanted.length > 0 && imports === undefined) {
        throw new TypeError(`WebAssembly.${what}: Imports argument must be present and must be an object`);
    }
    const data = new Uint8Array(wanted.length * 4);
    const view = new DataView(data.buffer);
    const read = wanted.map((one, index) => {
        const where = `WebAssembly.${what}: Import #${index} "${one.module}"`;
        const from = (imports as Record<string, unknown>)[one.module];
        if (!isObject(from)) {
            throw new TypeError(`${where}: module is not an object or function`);
        }
        return importValue(from[one.name], one.type, `${where} "${one.name}"`);
    });
    read.forEach((number, index) => view.setUint32(index * 4, number, true));
    return data;
}

function exportObject(number: number, kind: Kind): unknown {
    switch (kind) {
    case Kind.Func:
        return functionOf(number);
    case Kind.Memory:
        return adopt(Memory as never, number);
    case Kind.Table:
        return adopt(Table as never, number);
    case Kind.Global:
        return adopt(Global as never, number);
    default:
        return undefined;
    }
}

class Instance {
    #exports: object;

    constructor(module: Module, importObject?: object) {
        numberOfModule(module);
        this.#exports = Instance.#link(module, importObject, "Instance()");
    }

    static #link(module: Module, imports: unknown, what: string): object {
        const reader = new Reader(ask(Ask.Instantiate, numberOfModule(module), 0, readImports(module, imports, what)));
        reader.number();
        const start = reader.number();
        const exports = Object.create(null);
        reader.number();
        for (const { name, type } of exportsOf(module)) {
            Object.defineProperty(exports, name, { value: exportObject(reader.number(), type.kind), enumerable: true });
        }
        Object.preventExtensions(exports);
        if (start) {
            functionOf(start)();
        }
        return exports;
    }

    get exports(): object {
        return this.#exports;
    }
}

class Memory {
    #number: number;

    constructor(descriptor: { initial: number; maximum?: number; shared?: boolean }) {
        this.#number = adopted() || Memory.#make(descriptor);
        objects.set(this.#number, this);
    }

    static #make(given: unknown): number {
        const descriptor = needDescriptor(given, "Memory()");
        const limits = limitsOf(descriptor, "Memory()");
        const isShared = Boolean(descriptor.shared);
        if (isShared && limits.maximum === undefined) {
            throw new TypeError("WebAssembly.Memory(): a shared memory must have a maximum");
        }
        checkLimits(limits, MEMORY_PAGES_MAX, "Memory()");
        if (isShared) {
            throw new TypeError("WebAssembly.Memory(): there are no threads here, so no shared memories");
        }
        return askNumber(Ask.Memory, limits.initial, Math.min(limits.maximum ?? NO_MAX, limits.maximum === undefined ? NO_MAX : MEMORY_PAGES_MAX));
    }

    grow(delta: number): number {
        const number = numberOfMemory(this);
        need(1, arguments.length, "Memory.grow()");
        const more = toIndex(delta, "the first argument");
        let before;
        try {
            before = askNumber(Ask.MemoryGrow, number, more);
        } catch (error) {
            throw error instanceof RangeError ? new RangeError("WebAssembly.Memory.grow(): Unable to grow instance memory") : error;
        }
        native.wasmMoved(number);
        return before;
    }

    get buffer(): ArrayBuffer {
        const buffer = native.wasmBuffer(numberOfMemory(this));
        buffers.add(buffer);
        return buffer;
    }

    static {
        isMemory = (value): value is Memory => isObject(value) && #number in value;
        numberOfMemory = (memory) => memory.#number;
    }
}
var isMemory: (value: unknown) => value is Memory;
var numberOfMemory: (memory: Memory) => number;

/** The buffers of memories, which nothing but a memory's growth detaches. */
const buffers = new WeakSet<ArrayBuffer>();
for (const name of ["transfer", "transferToFixedLength", "resize"] as const) {
    const original = ArrayBuffer.prototype[name] as Function;
    const { [name]: guarded } = {
        [name](this: ArrayBuffer, ...args: unknown[]): unknown {
            if (buffers.has(this)) {
                throw new TypeError(`ArrayBuffer.prototype.${name}: the buffer belongs to a WebAssembly.Memory`);
            }
            return original.apply(this, args);
        },
    };
    Object.defineProperty(guarded, "length", { value: original.length, configurable: true });
    Object.defineProperty(ArrayBuffer.prototype, name, { value: guarded, writable: true, configurable: true });
}

/** What stands in a table or global when nothing is given. */
function firstOf(type: number): unknown {
    return type === TYPE_FUNC ? null : type === TYPE_EXTERN ? undefined : type === TYPE_I64 ? 0n : 0;
}

class Table {
    #number: number;
    #type: number;

    constructor(descriptor: { element: string; initial: number; maximum?: number }, ...rest: unknown[]) {
        const number = adopted();
        if (number) {
            this.#number = number;
            this.#type = typeOf(number).value;
            return;
        }
        const given = needDescriptor(descriptor, "Table()");
        const element = `${given.element}`;
        if (!Object.hasOwn(elementTypes, element)) {
            throw new TypeError("WebAssembly.Table(): 'element' must be \"anyfunc\" or \"externref\"");
        }
        const limits = limitsOf(given, "Table()");
        checkLimits(limits, TABLE_MAX, "Table()");
        this.#type = elementTypes[element]!;
        const first = rest.length === 0 || (this.#type === TYPE_FUNC && rest[0] === undefined) ? firstOf(this.#type) : rest[0];
        const data = new Uint8Array(9);
        data.set(native.wasmEncode(this.#type, first));
        data[8] = this.#type;
        this.#number = askNumber(Ask.Table, limits.initial, limits.maximum ?? NO_MAX, data);
        objects.set(this.#number, this);
    }

    get length(): number {
        return askNumber(Ask.TableLen, numberOfTable(this));
    }

    grow(delta: number, ...rest: unknown[]): number {
        const number = numberOfTable(this);
        need(1, arguments.length, "Table.grow()");
        const more = toIndex(delta, "the first argument");
        const value = native.wasmEncode(this.#type, rest.length > 0 ? rest[0] : firstOf(this.#type));
        return askNumber(Ask.TableGrow, number, more, value);
    }

    get(index: number): unknown {
        const number = numberOfTable(this);
        need(1, arguments.length, "Table.get()");
        return native.wasmDecode(this.#type, ask(Ask.TableGet, number, toIndex(index, "the first argument")));
    }

    set(index: number, ...rest: unknown[]): void {
        const number = numberOfTable(this);
        need(1, arguments.length, "Table.set()");
        const at = toIndex(index, "the first argument");
        ask(Ask.TableSet, number, at, native.wasmEncode(this.#type, rest.length > 0 ? rest[0] : firstOf(this.#type)));
    }

    static {
        isTable = (value): value is Table => isObject(value) && #number in value;
        numberOfTable = (table) => table.#number;
        Object.defineProperty(Table.prototype.grow, "length", { value: 1 });
        Object.defineProperty(Table.prototype.set, "length", { value: 1 });
    }
}
var isTable: (value: unknown) => value is Table;
var numberOfTable: (table: Table) => number;

class Global {
    #number: number;
    #type: number;
    #mutable: boolean;

    constructor(descriptor: { value: string; mutable?: boolean }, v?: unknown) {
        const number = adopted();
        if (number) {
            const type = typeOf(number);
            this.#number = number;
            this.#type = type.value;
            this.#mutable = type.mutable;
            return;
        }
        const given = needDescriptor(descriptor, "Global()");
        this.#mutable = Boolean(given.mutable);
        const value = `${given.value}`;
        if (!Object.hasOwn(valueTypes, value)) {
            throw new TypeError(`WebAssembly.Global(): there is no value type "${value}"`);
        }
        this.#type = valueTypes[value]!;
        if (this.#type === TYPE_V128) {
            throw new TypeError("WebAssembly.Global(): JavaScript has no values of type v128");
        }
        const isGiven = this.#type === TYPE_EXTERN ? arguments.length > 1 : v !== undefined;
        this.#number = askNumber(
            Ask.Global, this.#type, this.#mutable ? 1 : 0, native.wasmEncode(this.#type, isGiven ? v : firstOf(this.#type)),
        );
        objects.set(this.#number, this);
    }

    get value(): unknown {
        const number = numberOfGlobal(this);
        if (this.#type === TYPE_V128) {
            throw new TypeError("WebAssembly.Global: JavaScript has no values of type v128");
        }
        return native.wasmDecode(this.#type, ask(Ask.GlobalGet, number));
    }

    set value(v: unknown) {
        const number = numberOfGlobal(this);
        if (!this.#mutable) {
            throw new TypeError("WebAssembly.Global: set WebAssembly.Global.value: Can't set the value of an immutable global.");
        }
        ask(Ask.GlobalSet, number, 0, native.wasmEncode(this.#type, v));
    }

    valueOf(): unknown {
        return numberOfGlobal(this) && this.value;
    }

    static {
        isGlobal = (value): value is Global => isObject(value) && #number in value;
        numberOfGlobal = (global) => global.#number;
        Object.defineProperty(Global, "length", { value: 1, configurable: true });
    }
}
var isGlobal: (value: unknown) => value is Global;
var numberOfGlobal: (global: Global) => number;

// --- the namespace ---

function validate(bytes: BufferSource): boolean {
    need(1, arguments.length, "validate()");
    return ask(Ask.Validate, 0, 0, bytesOf(bytes, "validate()"))[0] === 1;
}

async function compile(bytes: BufferSource): Promise<Module> {
    need(1, arguments.length, "compile()");
    return compileLater(bytesOf(bytes, "compile()").slice(), "compile()");
}

async function instantiate(source: BufferSource | Module, importObject?: object): Promise<unknown> {
    need(1, arguments.length, "instantiate()");
    if (importObject !== undefined && !isObject(importObject)) {
        throw new TypeError("WebAssembly.instantiate(): Argument 1 must be an object");
    }
    if (isModule(source)) {
        await undefined;
        return new Instance(source, importObject);
    }
    const module = await compileLater(bytesOf(source, "instantiate()").slice(), "instantiate()");
    return { module, instance: new Instance(module, importObject) };
}

/** The bytes of a response that is one of WebAssembly (https://webassembly.github.io/spec/web-api/). */
async function streamed(source: unknown, what: string): Promise<Uint8Array> {
    const response = await source;
    if (!(response instanceof Response)) {
        throw new TypeError(`WebAssembly.${what}: the first argument must be a Response or a promise of one`);
    }
    if ((response.headers.get("content-type") ?? "").trim().toLowerCase() !== "application/wasm") {
        throw new TypeError(`WebAssembly.${what}: Incorrect response MIME type. Expected 'application/wasm'.`);
    }
    if (!response.ok) {
        throw new TypeError(`WebAssembly.${what}: HTTP status code is not ok`);
    }
    return new Uint8Array(await response.arrayBuffer());
}

async function compileStreaming(source: unknown): Promise<Module> {
    need(1, arguments.length, "compileStreaming()");
    return compileLater(await streamed(source, "compileStreaming()"), "compileStreaming()");
}

async function instantiateStreaming(source: unknown, importObject?: object): Promise<unknown> {
    need(1, arguments.length, "instantiateStreaming()");
    if (importObject !== undefined && !isObject(importObject)) {
        throw new TypeError("WebAssembly.instantiateStreaming(): Argument 1 must be an object");
    }
    const module = await compileLater(await streamed(source, "instantiateStreaming()"), "instantiateStreaming()");
    return { module, instance: new Instance(module, importObject) };
}

export const WebAssembly: object = Object.create(Object.prototype);
const hide = (target: object, key: string | symbol, value: unknown) =>
    Object.defineProperty(target, key, { value, writable: true, configurable: true });

for (const [name, fn] of Object.entries<Function>({ compile, validate, instantiate, compileStreaming, instantiateStreaming })) {
    Object.defineProperty(fn, "length", { value: 1, configurable: true });
    Object.defineProperty(WebAssembly, name, { value: fn, writable: true, enumerable: true, configurable: true });
}
for (const [name, cls] of Object.entries<Function & { prototype: object }>({ Module, Instance, Memory, Table, Global })) {
    expose(cls, name);
    for (const key of Object.getOwnPropertyNames(cls)) {
        if (key !== "prototype" && key !== "length" && key !== "name") {
            Object.defineProperty(cls, key, { enumerable: true });
        }
    }
    Object.defineProperty(cls.prototype, Symbol.toStringTag, { value: `WebAssembly.${name}`, configurable: true });
    hide(WebAssembly, name, cls);
}
for (const cls of [CompileError, LinkError, RuntimeError]) {
    hide(WebAssembly, cls.name, cls);
}
Object.defineProperty(WebAssembly, Symbol.toStringTag, { value: "WebAssembly", configurable: true });

/** A module that came with the bundle: import module from "./x.wasm". */
export function moduleOf(number: number): Module {
    return adopt(Module, number);
}
