// SPDX-License-Identifier: Apache-2.0
//
// util.parseArgs().

import { coded, invalidArgType, invalidArgValue } from "./errors.ts";
import { validateArray, validateBoolean, validateObject, validateString } from "./validate.ts";

interface Option {
    type: "string" | "boolean";
    multiple?: boolean;
    short?: string;
    default?: unknown;
}

interface Token {
    kind: "option" | "positional" | "option-terminator";
    index: number;
    name?: string;
    rawName?: string;
    value?: string;
    inlineValue?: boolean;
}

function longOf(short: string, options: Record<string, Option>): string {
    return Object.entries(options).find(([, option]) => option.short === short)?.[0] ?? short;
}

function tokenize(args: string[], options: Record<string, Option>): Token[] {
    const tokens: Token[] = [];
    const rest: { text: string; index: number }[] = args.map((text, index) => ({ text, index }));
    const isString = (name: string) => Object.hasOwn(options, name) && options[name]!.type === "string";
    while (rest.length) {
        const { text, index } = rest.shift()!;
        if (text === "--") {
            tokens.push({ kind: "option-terminator", index });
            tokens.push(...rest.splice(0).map((one) => ({ kind: "positional" as const, index: one.index, value: one.text })));
        } else if (/^-[^-]$/u.test(text)) {
            const name = longOf(text[1]!, options);
            const value = isString(name) && rest.length ? rest[0]!.text : undefined;
            const takes = value !== undefined;
            if (takes) {
                rest.shift();
            }
            tokens.push({ kind: "option", name, rawName: text, index, value: takes ? value : undefined, inlineValue: takes ? false : undefined });
        } else if (/^-[^-]./u.test(text)) { // -abc, or -avalue
            const first = longOf(text[1]!, options);
            if (isString(first)) {
                tokens.push({ kind: "option", name: first, rawName: `-${text[1]}`, index, value: text.slice(2), inlineValue: true });
                continue;
            }
            const split: { text: string; index: number }[] = [];
            for (let i = 1; i < text.length; i++) {
                const short = text[i]!;
                if (!isString(longOf(short, options)) || i === text.length - 1) {
                    split.push({ text: `-${short}`, index });
                } else {
                    split.push({ text: `-${text.slice(i)}`, index });
                    break;
                }
            }
            rest.unshift(...split);
        } else if (/^--[^=]+=/.test(text)) {
            const at = text.indexOf("=");
            const name = text.slice(2, at);
            tokens.push({ kind: "option", name, rawName: `--${name}`, index, value: text.slice(at + 1), inlineValue: true });
        } else if (/^--./.test(text)) {
            const name = text.slice(2);
            const takes = isString(name) && rest.length > 0;
            const value = takes ? rest.shift()!.text : undefined;
            tokens.push({ kind: "option", name, rawName: text, index, value, inlineValue: takes ? false : undefined });
        } else {
            tokens.push({ kind: "positional", index, value: text });
        }
    }
    return tokens;
}

function checkToken(token: Token, options: Record<string, Option>, allowsPositionals: boolean, allowsNegative: boolean): void {
    const name = token.name!;
    const raw = token.rawName!;
    const isNegated = allowsNegative && raw.startsWith("--no-") && Object.hasOwn(options, name.slice(3)) && options[name.slice(3)]!.type === "boolean";
    if (!Object.hasOwn(options, name) && !isNegated) {
        const advice = allowsPositionals ? `. To specify a positional argument starting with a '-', place it at the end of the command after '--', as in '-- "${raw}"` : "";
        throw coded(TypeError, "ERR_PARSE_ARGS_UNKNOWN_OPTION", `Unknown option '${raw}'${advice}`);
    }
    if (isNegated) {
        return;
    }
    const option = options[name]!;
    const shown = option.short ? `-${option.short}, --${name}` : `--${name}`;
    if (option.type === "string" && typeof token.value !== "string") {
        throw coded(TypeError, "ERR_PARSE_ARGS_INVALID_OPTION_VALUE", `Option '${shown} <value>' argument missing`);
    }
    if (option.type === "boolean" && token.value !== undefined && token.value !== null) {
        throw coded(TypeError, "ERR_PARSE_ARGS_INVALID_OPTION_VALUE", `Option '${shown}' does not take an argument`);
    }
    if (token.inlineValue === false && token.value!.length > 1 && token.value!.startsWith("-")) {
        const example = raw.startsWith("--") ? `'${raw}=-XYZ'` : `'--${name}=-XYZ' or '${raw}-XYZ'`;
        throw coded(TypeError, "ERR_PARSE_ARGS_INVALID_OPTION_VALUE",
            `Option '${raw}' argument is ambiguous.\nDid you forget to specify the option argument for '${raw}'?\nTo specify an option argument starting with a dash use ${example}.`);
    }
}

function checkOptions(options: Record<string, Option>): void {
    for (const [name, option] of Object.entries(options)) {
        validateObject(option, `options.${name}`);
        if (option.type !== "string" && option.type !== "boolean") {
            throw invalidArgType(`options.${name}.type`, "('string|boolean')", option.type);
        }
        if (Object.hasOwn(option, "short")) {
            validateString(option.short, `options.${name}.short`);
            if (option.short!.length !== 1) {
                throw invalidArgValue(`options.${name}.short`, option.short, "must be a single character");
            }
        }
        if (Object.hasOwn(option, "multiple")) {
            validateBoolean(option.multiple, `options.${name}.multiple`);
        }
    }
}

export function parseArgs(config: any = {}): any {
    const args = config.args ?? (globalThis as any).process?.argv?.slice(2) ?? [];
    const isStrict = config.strict ?? true;
    const allowsPositionals = config.allowPositionals ?? !isStrict;
    const allowsNegative = config.allowNegative ?? false;
    const options: Record<string, Option> = config.options ?? {};
    validateArray(args, "args");
    validateBoolean(isStrict, "strict");
    validateBoolean(allowsPositionals, "allowPositionals");
    validateObject(options, "options");
    checkOptions(options);
    const values: Record<string, any> = Object.create(null);
    const positionals: string[] = [];
    const tokens = tokenize(args as string[], options);
    for (const token of tokens) {
        if (token.kind === "positional") {
            if (!allowsPositionals) {
                throw coded(TypeError, "ERR_PARSE_ARGS_UNEXPECTED_POSITIONAL", `Unexpected argument '${token.value}'. This command does not take positional arguments`);
            }
            positionals.push(token.value!);
            continue;
        }
        if (token.kind !== "option") {
            continue;
        }
        if (isStrict) {
            checkToken(token, options, allowsPositionals, allowsNegative);
        }
        let name = token.name!, value: any = token.value ?? true;
        if (name === "__proto__") {
            continue;
        }
        if (allowsNegative && token.rawName!.startsWith("--no-") && token.value === undefined) {
            name = name.slice(3);
            value = false;
        }
        if (Object.hasOwn(options, name) && options[name]!.multiple) {
            (values[name] ??= []).push(value);
        } else {
            values[name] = value;
        }
    }
    for (const [name, option] of Object.entries(options)) {
        if (option.default !== undefined && values[name] === undefined) {
            values[name] = option.default;
        }
    }
    return { values, positionals, ...config.tokens && { tokens } };
}
