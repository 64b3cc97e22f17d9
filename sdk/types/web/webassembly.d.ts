// SPDX-License-Identifier: Apache-2.0
//
// https://webassembly.github.io/spec/js-api/

/** docs/webassembly.md */
declare namespace WebAssembly {
    type ValueType = "i32" | "i64" | "f32" | "f64" | "v128" | "anyfunc" | "externref";
    type ImportExportKind = "function" | "table" | "memory" | "global" | "tag";
    type Exports = Record<string, any>;
    type Imports = Record<string, Record<string, any>>;

    class Module {
        constructor(bytes: ArrayBuffer | ArrayBufferView);
        static exports(module: Module): { name: string; kind: ImportExportKind }[];
        static imports(module: Module): { module: string; name: string; kind: ImportExportKind }[];
        static customSections(module: Module, sectionName: string): ArrayBuffer[];
    }
    class Instance {
        constructor(module: Module, importObject?: Imports);
        readonly exports: Exports;
    }
    class Memory {
        constructor(descriptor: { initial: number; maximum?: number; shared?: boolean });
        readonly buffer: ArrayBuffer;
        grow(delta: number): number;
    }
    class Table {
        constructor(descriptor: { element: "anyfunc" | "externref"; initial: number; maximum?: number }, value?: unknown);
        readonly length: number;
        get(index: number): any;
        set(index: number, value?: unknown): void;
        grow(delta: number, value?: unknown): number;
    }
    class Global {
        constructor(descriptor: { value: ValueType; mutable?: boolean }, v?: unknown);
        value: any;
        valueOf(): any;
    }
    class CompileError extends Error {}
    class LinkError extends Error {}
    class RuntimeError extends Error {}

    interface Instantiated {
        module: Module;
        instance: Instance;
    }
    function validate(bytes: ArrayBuffer | ArrayBufferView): boolean;
    function compile(bytes: ArrayBuffer | ArrayBufferView): Promise<Module>;
    function compileStreaming(source: Response | Promise<Response>): Promise<Module>;
    function instantiate(bytes: ArrayBuffer | ArrayBufferView, importObject?: Imports): Promise<Instantiated>;
    function instantiate(module: Module, importObject?: Imports): Promise<Instance>;
    function instantiateStreaming(source: Response | Promise<Response>, importObject?: Imports): Promise<Instantiated>;
}

declare module "*.wasm" {
    const module: WebAssembly.Module;
    export default module;
}
declare module "*.wasm?module" {
    const module: WebAssembly.Module;
    export default module;
}
