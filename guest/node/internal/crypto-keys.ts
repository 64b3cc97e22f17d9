// SPDX-License-Identifier: Apache-2.0
//
// KeyObject. What a public or private key is to the host ("material", src/crypto/crypto.h) lies in the object.

import { keyNew, keyState } from "limpet:internal";
import { Buffer } from "../buffer.ts";
import { bytesOf, Fn, run, runLater, type Bytes, type Call } from "./crypto-host.ts";
import { elements, pemDecode, pemEncode, put } from "./crypto-der.ts";
import { coded, invalidArgType, invalidArgValue, unavailable } from "./errors.ts";
import { validateInteger, validateObject, validateOneOf, validateString } from "./validate.ts";

export enum Kind { RSA = 1, P256 = 2, P384 = 3, P521 = 4, ED25519 = 5, X25519 = 6 }
enum Format { SPKI = 1, PKCS8 = 2, RAW = 3, PUBLIC_PARTS = 4, PRIVATE_PARTS = 5 }

interface Curve {
    kind: Kind;
    node: string;
    jwk: string;
    oid: string;
    bytes: number;
}
export const curves: Curve[] = [
    { kind: Kind.P256, node: "prime256v1", jwk: "P-256", oid: "2a8648ce3d030107", bytes: 32 },
    { kind: Kind.P384, node: "secp384r1", jwk: "P-384", oid: "2b81040022", bytes: 48 },
    { kind: Kind.P521, node: "secp521r1", jwk: "P-521", oid: "2b81040023", bytes: 66 },
];
const EC_OID = "2a8648ce3d0201", RSA_OID = "2a864886f70d010101";
const OKP_OIDS: Record<string, Kind> = { "2b6570": Kind.ED25519, "2b656e": Kind.X25519 };

export function curveOf(name: string): Curve {
    const found = curves.find((curve) => curve.node === name || curve.jwk === name || (name === "secp256r1" && curve.kind === Kind.P256));
    if (!found) {
        throw coded(TypeError, "ERR_CRYPTO_INVALID_CURVE", "Invalid EC curve name");
    }
    return found;
}
export const curveOfKind = (kind: Kind): Curve => curves.find((curve) => curve.kind === kind)!;

const hex = (bytes: Uint8Array): string => (bytes as any).toHex();

function unsupported(what: string): Error {
    return coded(Error, "ERR_OSSL_UNSUPPORTED", `error:1E08010C:DECODER routines::unsupported (${what})`);
}

/** The kind of key in an AlgorithmIdentifier. */
function kindOf(algorithm: Uint8Array): Kind {
    const [oid, parameter] = elements(algorithm);
    const name = hex(oid!.contents);
    if (name === RSA_OID) {
        return Kind.RSA;
    }
    if (name === EC_OID) {
        const curve = curves.find((one) => parameter && one.oid === hex(parameter.contents));
        if (curve) {
            return curve.kind;
        }
        throw unsupported("a curve other than P-256, P-384 and P-521");
    }
    if (OKP_OIDS[name]) {
        return OKP_OIDS[name]!;
    }
    throw unsupported(`keys of the kind ${name}`);
}

function imported(kind: Kind, format: Format, data: Uint8Array): Bytes {
    try {
        return run(Fn.IMPORT, { a: kind, b: format, data });
    } catch (error) {
        if ((error as any).code === "invalid") {
            throw unsupported((error as Error).message);
        }
        throw error;
    }
}

function exported(key: State, format: Format): any {
    return run(Fn.EXPORT, { a: key.kind!, b: format, key: key.bytes });
}

/* ---- the class ---- */

interface State {
    type: "secret" | "public" | "private";
    bytes: Bytes;
    kind?: Kind;
}

const ours = Symbol("KeyObject");
const isKey = Symbol.for("limpet.KeyObject");

function unpack(bytes: any): any[] {
    const parts: any[] = [];
    for (let at = 0; at < bytes.length;) {
        const length = bytes.readUInt32LE(at);
        parts.push(bytes.subarray(at + 4, at + 4 + length));
        at += 4 + length;
    }
    return parts;
}

export function pack(parts: Uint8Array[]): any {
    return Buffer.concat(parts.flatMap((part) => {
        const head = Buffer.alloc(4);
        head.writeUInt32LE(part.length);
        return [head, part];
    }));
}

const members: Record<string, string[]> = { RSA: ["n", "e", "d", "p", "q", "dp", "dq", "qi"], EC: ["x", "y", "d"], OKP: ["x", "d"] };

export class KeyObject {
    #state: State;
    constructor(mark: unknown, state: State) {
        if (mark !== ours) {
            validateOneOf(mark, "type", ["secret", "public", "private"]);
            throw invalidArgType("handle", "object", state);
        }
        this.#state = state;
    }
    static stateOf(key: KeyObject): State {
        return key.#state;
    }
    static from(key: unknown): KeyObject {
        let state: any;
        try {
            state = keyState(key);
        } catch {
            throw invalidArgType("key", "CryptoKey", key);
        }
        const { name, namedCurve } = state.algorithm;
        const kind = state.type === "secret" ? undefined : name.startsWith("RSA") ? Kind.RSA : namedCurve?.startsWith("P-") ? curveOf(namedCurve).kind
            : name === "X25519" ? Kind.X25519 : Kind.ED25519;
        return new KeyObject(ours, { type: state.type, bytes: state.bytes, kind });
    }
    get type(): string {
        return this.#state.type;
    }
    get [Symbol.toStringTag](): string {
        return "KeyObject";
    }
    get [isKey](): boolean {
        return true;
    }
    get symmetricKeySize(): number | undefined {
        return this.#state.type === "secret" ? this.#state.bytes.length : undefined;
    }
    get asymmetricKeyType(): string | undefined {
        const { kind } = this.#state;
        return kind === undefined ? undefined : kind === Kind.RSA ? "rsa" : kind === Kind.ED25519 ? "ed25519" : kind === Kind.X25519 ? "x25519" : "ec";
    }
    get asymmetricKeyDetails(): any {
        const { kind } = this.#state;
        if (kind === undefined) {
            return undefined;
        }
        if (kind === Kind.RSA) {
            const [, e] = unpack(exported(this.#state, this.#state.type === "private" ? Format.PRIVATE_PARTS : Format.PUBLIC_PARTS));
            return { modulusLength: modulusBits(this.#state), publicExponent: BigInt(`0x${e.toString("hex")}`) };
        }
        return kind >= Kind.ED25519 ? {} : { namedCurve: curveOfKind(kind).node };
    }
    equals(other: any): boolean {
        if (!(other instanceof KeyObject)) {
            throw invalidArgType("otherKeyObject", "KeyObject", other);
        }
        const a = this.#state, b = other.#state;
        return a.type === b.type && a.kind === b.kind && Buffer.compare(a.bytes, b.bytes) === 0;
    }
    toCryptoKey(algorithm: any, extractable: boolean, usages: any[]): CryptoKey {
        const named = typeof algorithm === "string" ? { name: algorithm } : { ...algorithm };
        if (typeof named.hash === "string") {
            named.hash = { name: named.hash };
        }
        if (this.#state.type === "secret") {
            named.length = this.#state.bytes.length * 8;
        }
        const details = this.asymmetricKeyDetails;
        if (this.#state.kind === Kind.RSA) {
            named.modulusLength = details.modulusLength;
            named.publicExponent = new Uint8Array([1, 0, 1]);
        }
        return keyNew(this.#state.type, named, this.#state.bytes, extractable, usages) as any;
    }
    export(options: any = {}): any {
        const { type, bytes, kind } = this.#state;
        validateObject(options, "options");
        const format = (options as any).format;
        if (type === "secret") {
            validateOneOf(format, "options.format", [undefined, "buffer", "jwk"]);
            return format === "jwk" ? { kty: "oct", k: Buffer.from(bytes).toString("base64url") } : Buffer.from(bytes);
        }
        const isPrivate = type === "private";
        if (format === "jwk") {
            const kty = kind === Kind.RSA ? "RSA" : kind! >= Kind.ED25519 ? "OKP" : "EC";
            const parts = unpack(exported(this.#state, isPrivate ? Format.PRIVATE_PARTS : Format.PUBLIC_PARTS));
            return {
                kty, ...Object.fromEntries(parts.map((part, i) => [members[kty]![i], part.toString("base64url")])),
                ...kty === "OKP" && { crv: kind === Kind.ED25519 ? "Ed25519" : "X25519" }, ...kty === "EC" && { crv: curveOfKind(kind!).jwk },
            };
        }
        validateOneOf(format, "options.format", ["pem", "der"]);
        if ((options as any).cipher !== undefined) {
            throw unavailable("options.cipher", "keys are not encrypted here; encrypt what is exported with createCipheriv()");
        }
        const kinds = isPrivate ? kind === Kind.RSA ? ["pkcs1", "pkcs8"] : kind! < Kind.ED25519 ? ["pkcs8", "sec1"] : ["pkcs8"]
            : kind === Kind.RSA ? ["pkcs1", "spki"] : ["spki"];
        validateOneOf((options as any).type, "options.type", kinds);
        let der: any, label: string;
        switch ((options as any).type) {
        case "pkcs1":
            der = Buffer.from(bytes);
            label = isPrivate ? "RSA PRIVATE KEY" : "RSA PUBLIC KEY";
            break;
        case "sec1": {
            const curve = curveOfKind(kind!);
            der = put(0x30, Buffer.from([2, 1, 1]), put(4, bytes.subarray(0, curve.bytes)), put(0xa0, put(6, Buffer.from(curve.oid, "hex"))),
                put(0xa1, put(3, Buffer.from([0]), bytes.subarray(curve.bytes))));
            label = "EC PRIVATE KEY";
            break;
        }
        case "pkcs8":
            der = exported(this.#state, Format.PKCS8);
            label = "PRIVATE KEY";
            break;
        default:
            der = exported(this.#state, Format.SPKI);
            label = "PUBLIC KEY";
        }
        return format === "der" ? der : pemEncode(label, der);
    }
}

const make = (type: State["type"], bytes: Bytes, kind?: Kind): KeyObject => new KeyObject(ours, { type, bytes, kind });
export const stateOf = KeyObject.stateOf;

export function modulusBits(key: State): number {
    const [n] = unpack(exported(key, key.type === "private" ? Format.PRIVATE_PARTS : Format.PUBLIC_PARTS));
    return (n.length - 1) * 8 + 32 - Math.clz32(n[0]);
}

/* ---- reading ---- */

export function createSecretKey(key: any, encoding?: any): KeyObject {
    const bytes = bytesOf(key, "key", encoding);
    return make("secret", Buffer.from(bytes));
}

function publicOf(key: State): KeyObject {
    if (key.type === "public") {
        return make("public", key.bytes, key.kind);
    }
    const kind = key.kind!;
    if (kind === Kind.RSA) {
        const [n, e] = unpack(exported(key, Format.PRIVATE_PARTS));
        return make("public", imported(kind, Format.PUBLIC_PARTS, pack([n, e])), kind);
    }
    const own = kind >= Kind.ED25519 ? 32 : curveOfKind(kind).bytes;
    return make("public", Buffer.from(key.bytes.subarray(own)), kind);
}

function fromJwk(jwk: any): KeyObject {
    validateObject(jwk, "key.key");
    validateOneOf(jwk.kty, "key.key.kty", ["RSA", "EC", "OKP"]);
    const kind = jwk.kty === "RSA" ? Kind.RSA : jwk.kty === "EC" ? curveOf(jwk.crv).kind : jwk.crv === "Ed25519" ? Kind.ED25519 : jwk.crv === "X25519" ? Kind.X25519 : undefined;
    if (!kind) {
        throw invalidArgValue("key.key.crv", jwk.crv);
    }
    const isPrivate = jwk.d !== undefined;
    const names = isPrivate ? members[jwk.kty]! : members[jwk.kty]!.filter((name) => name !== "d").slice(0, 2);
    for (const name of names) {
        validateString(jwk[name], `key.key.${name}`);
    }
    try {
        return make(isPrivate ? "private" : "public", imported(kind, isPrivate ? Format.PRIVATE_PARTS : Format.PUBLIC_PARTS,
            pack(names.map((name) => Buffer.from(jwk[name], "base64url")))), kind);
    } catch {
        throw coded(TypeError, "ERR_CRYPTO_INVALID_JWK", "Invalid JWK data");
    }
}

function fromPkcs8(der: Uint8Array): KeyObject {
    const [sequence] = elements(der);
    const [, algorithm] = elements(sequence!.contents);
    const kind = kindOf(algorithm!.contents);
    return make("private", imported(kind, Format.PKCS8, der), kind);
}

function fromSpki(der: Uint8Array): KeyObject {
    const [sequence] = elements(der);
    const kind = kindOf(elements(sequence!.contents)[0]!.contents);
    return make("public", imported(kind, Format.SPKI, der), kind);
}

function fromSec1(der: Uint8Array): KeyObject {
    const [sequence] = elements(der);
    const named = elements(sequence!.contents).find(({ tag }) => tag === 0xa0);
    if (!named) {
        throw unsupported("an EC key without the name of its curve");
    }
    const algorithm = put(0x30, put(6, Buffer.from(EC_OID, "hex")), named.contents);
    return fromPkcs8(put(0x30, Buffer.from([2, 1, 0]), algorithm, put(4, der)));
}

/** subjectPublicKeyInfo of an X.509 certificate. */
function spkiOfCertificate(der: Uint8Array): Uint8Array {
    const [certificate] = elements(der);
    const [body] = elements(certificate!.contents);
    const fields = elements(body!.contents).filter(({ tag }) => tag !== 0xa0); // without the version
    return fields[5]!.all;
}

function fromDer(label: string, der: Uint8Array): KeyObject {
    switch (label) {
    case "PRIVATE KEY":
        return fromPkcs8(der);
    case "RSA PRIVATE KEY":
        return make("private", imported(Kind.RSA, Format.PKCS8, put(0x30, Buffer.from([2, 1, 0]),
            put(0x30, put(6, Buffer.from(RSA_OID, "hex")), Buffer.from([5, 0])), put(4, der))), Kind.RSA);
    case "EC PRIVATE KEY":
        return fromSec1(der);
    case "PUBLIC KEY":
        return fromSpki(der);
    case "RSA PUBLIC KEY":
        return fromSpki(put(0x30, put(0x30, put(6, Buffer.from(RSA_OID, "hex")), Buffer.from([5, 0])), put(3, Buffer.from([0]), der)));
    case "CERTIFICATE":
        return fromSpki(spkiOfCertificate(der));
    default:
        throw unsupported(label === "ENCRYPTED PRIVATE KEY" ? "encrypted keys; store the key in a secret variable instead" : label);
    }
}

function read(key: any, isPrivateWanted: boolean): KeyObject {
    if (key instanceof KeyObject) {
        return key;
    }
    let options: any = {};
    let data = key;
    if (typeof key === "object" && key !== null && !ArrayBuffer.isView(key) && !(key instanceof ArrayBuffer)) {
        if (Object.prototype.toString.call(key) === "[object CryptoKey]") {
            return KeyObject.from(key);
        }
        options = key;
        data = key.key;
        if (options.format === "jwk") {
            return fromJwk(data);
        }
        if (data instanceof KeyObject || Object.prototype.toString.call(data) === "[object CryptoKey]") {
            return read(data, isPrivateWanted);
        }
    }
    if (typeof data !== "string" && !ArrayBuffer.isView(data) && !(data instanceof ArrayBuffer)) {
        throw invalidArgType(data === key ? "key" : "key.key", ["string", "ArrayBuffer", "Buffer", "TypedArray", "DataView", ...isPrivateWanted ? [] : ["KeyObject", "CryptoKey"]], data);
    }
    const bytes: any = Buffer.from(bytesOf(data, "key", options.encoding));
    if (options.format === "der") {
        const labels: Record<string, string> = {
            pkcs1: isPrivateWanted ? "RSA PRIVATE KEY" : "RSA PUBLIC KEY", pkcs8: "PRIVATE KEY", sec1: "EC PRIVATE KEY", spki: "PUBLIC KEY",
        };
        validateOneOf(options.type, "key.type", Object.keys(labels));
        return fromDer(labels[options.type]!, bytes);
    }
    const pem = pemDecode(bytes.toString("latin1"));
    if (!pem) {
        throw unsupported("the text is no PEM");
    }
    if (/ENCRYPTED/.test(pem.headers)) {
        throw unsupported("encrypted keys; store the key in a secret variable instead");
    }
    return fromDer(pem.label, pem.der);
}

export function createPrivateKey(key: any): KeyObject {
    const made = read(key, true);
    if (made.type !== "private") {
        throw made === key ? coded(TypeError, "ERR_CRYPTO_INVALID_KEY_OBJECT_TYPE", `Invalid key object type ${made.type}, expected private.`) : unsupported("a public key");
    }
    return made;
}

export function createPublicKey(key: any): KeyObject {
    if (key instanceof KeyObject && key.type !== "private") {
        throw coded(TypeError, "ERR_CRYPTO_INVALID_KEY_OBJECT_TYPE", `Invalid key object type ${key.type}, expected private.`);
    }
    return publicOf(stateOf(read(key, false)));
}

/** For what verifies or encrypts: a private key stands for its public one. */
export function publicKeyOf(key: any): State {
    const made = read(key, false);
    if (made.type === "secret") {
        throw coded(TypeError, "ERR_CRYPTO_INVALID_KEY_OBJECT_TYPE", "Invalid key object type secret, expected private or public.");
    }
    return stateOf(publicOf(stateOf(made)));
}

export function privateKeyOf(key: any): State {
    return stateOf(createPrivateKey(key));
}

/** The bytes of a secret, given in any way. */
export function secretOf(key: any, name = "key", encoding?: any): Uint8Array {
    if (key instanceof KeyObject) {
        if (key.type !== "secret") {
            throw coded(TypeError, "ERR_CRYPTO_INVALID_KEY_OBJECT_TYPE", `Invalid key object type ${key.type}, expected secret.`);
        }
        return stateOf(key).bytes;
    }
    if (Object.prototype.toString.call(key) === "[object CryptoKey]") {
        return secretOf(KeyObject.from(key));
    }
    return bytesOf(key, name, encoding);
}

/* ---- making ---- */

function generation(type: string, options: any = {}): [Kind, Fn, Call] {
    switch (type) {
    case "rsa":
    case "rsa-pss": {
        validateObject(options, "options");
        validateInteger(options.modulusLength, "options.modulusLength", 512, 16384);
        const e = BigInt(options.publicExponent ?? 65537).toString(16);
        return [Kind.RSA, Fn.RSA_GENERATE, { a: options.modulusLength, data: Buffer.from(e.length % 2 ? `0${e}` : e, "hex") }];
    }
    case "ec": {
        validateObject(options, "options");
        validateString(options.namedCurve, "options.namedCurve");
        const { kind } = curveOf(options.namedCurve);
        return [kind, Fn.EC_GENERATE, { a: kind }];
    }
    case "ed25519":
        return [Kind.ED25519, Fn.EC_GENERATE, { a: Kind.ED25519 }];
    case "x25519":
        return [Kind.X25519, Fn.EC_GENERATE, { a: Kind.X25519 }];
    default:
        throw invalidArgValue("type", type, "must be a supported key type");
    }
}

function finish(kind: Kind, made: any, options: any): any {
    const [secret, open] = unpack(made);
    const pair: any = { publicKey: make("public", Buffer.from(open), kind), privateKey: make("private", Buffer.from(secret), kind) };
    for (const name of ["public", "private"] as const) {
        const encoding = options?.[`${name}KeyEncoding`];
        if (encoding) {
            pair[`${name}Key`] = pair[`${name}Key`].export(encoding);
        }
    }
    return pair;
}

export function generateKeyPairSync(type: string, options?: any): any {
    validateString(type, "type");
    const [kind, fn, call] = generation(type, options);
    return finish(kind, run(fn, call), options);
}

export async function generateKeyPairLater(type: string, options?: any): Promise<any> {
    const [kind, fn, call] = generation(type, options);
    return finish(kind, await runLater(fn, call), options);
}
