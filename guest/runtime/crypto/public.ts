// SPDX-License-Identifier: Apache-2.0
//
// Key pairs: RSA, curves, Ed25519 and X25519. Their formats are the host's (op CRYPTO, IMPORT and EXPORT);
// a jwk is packed as its parts.

import { native } from "../native.ts";
import {
    bufferOf, checkUsages, cutBits, hashOf, integerOf, keyOf, optionalBuffer, unsupportedFormat,
    type Implementation, type JsonWebKey, type KeyFormat, type Params,
} from "./algorithm.ts";
import { call, callNow, Fn, Format, hashes, Kind, pack, unpack, verdict } from "./call.ts";
import { checkAlg, checkJwk, fromBase64Url, toBase64Url } from "./jwk.ts";
import {
    fail, keyNew, usagesSorted, type Bytes, type CryptoKey, type HashName, type KeyAlgorithm, type KeyPair,
    type KeyState, type Usage,
} from "./key.ts";

/** What the kinds of keys differ in. */
interface Shape {
    name: string;
    kind: Kind;
    kty: string;
    crv?: string;
    publicUsages: readonly Usage[];
    privateUsages: readonly Usage[];
    hasRaw: boolean;
    /** Members of the jwk, in the order of the packed parts; the first so many are public. */
    members: readonly string[];
    publicCount: number;
    /** An alg that is there must be one of these; [0] is exported, but for curves. None: alg is not looked at. */
    algs: readonly (string | undefined)[];
}

const RSA_MEMBERS = ["n", "e", "d", "p", "q", "dp", "dq", "qi"];

async function generatePair(
    shape: Shape, algorithm: KeyAlgorithm, extractable: boolean, usages: Usage[], made: Promise<ArrayBuffer>,
): Promise<KeyPair> {
    const [secret, open] = unpack(new Uint8Array(await made));
    return {
        publicKey: keyNew("public", algorithm, open!, true, usagesSorted(usages, shape.publicUsages)),
        privateKey: keyNew("private", algorithm, secret!, extractable, usagesSorted(usages, shape.privateUsages)),
    };
}

/** Both lists in one, for a generated pair. */
function pairUsages(shape: Shape): Usage[] {
    return [...shape.publicUsages, ...shape.privateUsages];
}

function checkKeyUsages(shape: Shape, isPrivate: boolean, usages: Usage[]): void {
    checkUsages(usages, isPrivate ? shape.privateUsages : shape.publicUsages,
        `a ${isPrivate ? "private" : "public"} ${shape.name} key`);
}

function importJwk(shape: Shape, jwk: JsonWebKey, extractable: boolean, usages: Usage[]): [boolean, Bytes] {
    const isPrivate = jwk.d !== undefined;
    checkKeyUsages(shape, isPrivate, usages);
    const isForSignatures = pairUsages(shape).includes("sign");
    checkJwk(jwk, shape.kty, isForSignatures ? "sig" : "enc", extractable, usages);
    if (shape.crv !== undefined && jwk.crv !== shape.crv) {
        fail("DataError", `the jwk's crv is ${jwk.crv as string}, not ${shape.crv}`);
    }
    if (shape.algs.length) {
        checkAlg(jwk, ...shape.algs);
    }
    if (jwk.oth !== undefined && shape.kind === Kind.RSA) {
        fail("NotSupportedError", "RSA keys of more than two primes are not supported");
    }
    const members = isPrivate ? shape.members : shape.members.slice(0, shape.publicCount);
    const data = pack(members.map((member) => fromBase64Url(jwk, member)));
    const b = isPrivate ? Format.PRIVATE_PARTS : Format.PUBLIC_PARTS;
    return [isPrivate, callNow(Fn.IMPORT, "DataError", { a: shape.kind, b, data })];
}

/** [is it private, its bytes] */
function importBytes(
    shape: Shape, format: KeyFormat, key: Bytes | JsonWebKey, extractable: boolean, usages: Usage[],
): [boolean, Bytes] {
    if (format === "jwk") {
        return importJwk(shape, key as JsonWebKey, extractable, usages);
    }
    if (format === "raw" && !shape.hasRaw) {
        return unsupportedFormat(format, shape.name);
    }
    const isPrivate = format === "pkcs8";
    checkKeyUsages(shape, isPrivate, usages);
    const b = isPrivate ? Format.PKCS8 : format === "spki" ? Format.SPKI : Format.RAW;
    return [isPrivate, callNow(Fn.IMPORT, "DataError", { a: shape.kind, b, data: key as Bytes })];
}

function exportJwk(shape: Shape, key: KeyState): JsonWebKey {
    const b = key.type === "private" ? Format.PRIVATE_PARTS : Format.PUBLIC_PARTS;
    const parts = unpack(callNow(Fn.EXPORT, "OperationError", { a: shape.kind, b, key: key.bytes }));
    const jwk: JsonWebKey = { key_ops: [...key.usages], ext: key.extractable, kty: shape.kty };
    parts.forEach((part, i) => void (jwk[shape.members[i]!] = toBase64Url(part)));
    if (shape.crv) {
        jwk.crv = shape.crv;
    }
    if (shape.algs[0] && shape.kty !== "EC") {
        jwk.alg = shape.algs[0];
    }
    return jwk;
}

function exportBytes(shape: Shape, format: KeyFormat, key: KeyState): Bytes | JsonWebKey {
    if (format === "jwk") {
        return exportJwk(shape, key);
    }
    if (format === "raw" && !shape.hasRaw) {
        return unsupportedFormat(format, shape.name);
    }
    if ((format === "pkcs8") !== (key.type === "private")) {
        fail("InvalidAccessError", `a ${key.type} key has no ${format}`);
    }
    const b = format === "pkcs8" ? Format.PKCS8 : format === "spki" ? Format.SPKI : Format.RAW;
    return callNow(Fn.EXPORT, "OperationError", { a: shape.kind, b, key: key.bytes });
}

/** An InvalidAccessError if it is the other key of the pair. */
function needType(key: KeyState, type: "public" | "private"): void {
    if (key.type !== type) {
        fail("InvalidAccessError", `this takes the ${type} key of a pair`);
    }
}

// ---- RSA ----

interface RsaGenerateParams {
    modulusLength: number;
    publicExponent: Bytes;
    hash: HashName;
}

const rsaAlgs: Record<string, (code: number) => string> = {
    "RSASSA-PKCS1-v1_5": (code) => `RS${code}`,
    "RSA-PSS": (code) => `PS${code}`,
    "RSA-OAEP": (code) => (code === 1 ? "RSA-OAEP" : `RSA-OAEP-${code}`),
};

class Rsa implements Implementation {
    readonly name: string;
    readonly #isForSignatures: boolean;

    constructor(name: string) {
        this.name = name;
        this.#isForSignatures = name !== "RSA-OAEP";
    }

    shape(hash: HashName): Shape {
        return {
            name: this.name, kind: Kind.RSA, kty: "RSA", hasRaw: false, members: RSA_MEMBERS, publicCount: 2,
            publicUsages: this.#isForSignatures ? ["verify"] : ["encrypt", "wrapKey"],
            privateUsages: this.#isForSignatures ? ["sign"] : ["decrypt", "unwrapKey"],
            algs: [rsaAlgs[this.name]!(hashes[hash].code)],
        };
    }
    generateParams(params: Params): RsaGenerateParams {
        const { publicExponent } = params;
        const modulusLength = integerOf(params.modulusLength, 2 ** 32 - 1, `${this.name}: modulusLength`);
        if (!(publicExponent instanceof Uint8Array)) {
            throw new TypeError(`${this.name}: publicExponent is not a Uint8Array`);
        }
        return { modulusLength, publicExponent: publicExponent.slice() as Bytes, hash: hashOf(params.hash) };
    }
    generateKey(
        { modulusLength, publicExponent, hash }: RsaGenerateParams, extractable: boolean, usages: Usage[],
    ): Promise<KeyPair> {
        const shape = this.shape(hash);
        checkUsages(usages, pairUsages(shape), `an ${this.name} key`);
        let zeros = 0;
        while (zeros < publicExponent.length && !publicExponent[zeros]) {
            zeros++;
        }
        const made = call(Fn.RSA_GENERATE, { a: modulusLength, data: publicExponent.subarray(zeros) });
        return generatePair(shape, { name: this.name, modulusLength, publicExponent, hash: { name: hash } },
            extractable, usages, made);
    }
    importParams(params: Params): HashName {
        return hashOf(params.hash);
    }
    importKey(
        hash: HashName, format: KeyFormat, key: Bytes | JsonWebKey, extractable: boolean, usages: Usage[],
    ): CryptoKey {
        const [isPrivate, bytes] = importBytes(this.shape(hash), format, key, extractable, usages);
        const b = isPrivate ? Format.PRIVATE_PARTS : Format.PUBLIC_PARTS;
        const [n, publicExponent] = unpack(callNow(Fn.EXPORT, "DataError", { a: Kind.RSA, b, key: bytes }));
        const modulusLength = n!.length * 8 - Math.clz32(n![0]!) + 24;
        const algorithm = { name: this.name, modulusLength, publicExponent, hash: { name: hash } };
        return keyNew(isPrivate ? "private" : "public", algorithm, bytes, extractable, usages);
    }
    exportKey(format: KeyFormat, key: KeyState): Bytes | JsonWebKey {
        return exportBytes(this.shape(key.algorithm.hash!.name), format, key);
    }
}

class RsaSignature extends Rsa {
    signParams(params: Params): number {
        return this.name === "RSA-PSS" ? integerOf(params.saltLength, 2 ** 32 - 1, "RSA-PSS: saltLength") : 0;
    }
    sign(saltLength: number, key: KeyState, data: Bytes): Promise<ArrayBuffer> {
        needType(key, "private");
        const { code } = hashes[key.algorithm.hash!.name];
        return call(this.name === "RSA-PSS" ? Fn.PSS_SIGN : Fn.RSA_SIGN,
            { hash: code, a: saltLength, key: key.bytes, data: new Uint8Array(native.digest(code, data)) });
    }
    verify(saltLength: number, key: KeyState, signature: Bytes, data: Bytes): Promise<boolean> {
        needType(key, "public");
        const { code } = hashes[key.algorithm.hash!.name];
        return verdict(this.name === "RSA-PSS" ? Fn.PSS_VERIFY : Fn.RSA_VERIFY, {
            hash: code, a: saltLength, key: key.bytes, salt: signature, data: new Uint8Array(native.digest(code, data)),
        });
    }
}

class RsaOaep extends Rsa {
    encryptParams(params: Params): Bytes | undefined {
        return optionalBuffer(params.label, "RSA-OAEP: label");
    }
    encrypt(info: Bytes | undefined, key: KeyState, data: Bytes): Promise<ArrayBuffer> {
        needType(key, "public");
        return call(Fn.OAEP_ENCRYPT, { hash: hashes[key.algorithm.hash!.name].code, key: key.bytes, info, data });
    }
    decrypt(info: Bytes | undefined, key: KeyState, data: Bytes): Promise<ArrayBuffer> {
        needType(key, "private");
        return call(Fn.OAEP_DECRYPT, { hash: hashes[key.algorithm.hash!.name].code, key: key.bytes, info, data });
    }
}

// ---- curves ----

const curves: Record<string, { kind: Kind; alg: string }> = {
    "P-256": { kind: Kind.P256, alg: "ES256" },
    "P-384": { kind: Kind.P384, alg: "ES384" },
    "P-521": { kind: Kind.P521, alg: "ES512" },
};

const DERIVES: readonly Usage[] = ["deriveKey", "deriveBits"];

class Ec implements Implementation {
    readonly name: string;

    constructor(name: string) {
        this.name = name;
    }

    shape(crv: string): Shape {
        const signs = this.name === "ECDSA";
        return {
            name: this.name, kind: curves[crv]!.kind, kty: "EC", crv, hasRaw: true, members: ["x", "y", "d"], publicCount: 2,
            publicUsages: signs ? ["verify"] : [], privateUsages: signs ? ["sign"] : DERIVES,
            algs: signs ? [curves[crv]!.alg] : [],
        };
    }
    importParams(params: Params): string {
        if (params.namedCurve === undefined) {
            throw new TypeError(`${this.name}: namedCurve is missing`);
        }
        return `${params.namedCurve as string}`;
    }
    generateParams(params: Params): string {
        return this.importParams(params);
    }
    #known(curve: string): string {
        return Object.hasOwn(curves, curve) ? curve
            : fail("NotSupportedError", `the curve ${curve} is not supported; there are P-256, P-384 and P-521`);
    }
    generateKey(namedCurve: string, extractable: boolean, usages: Usage[]): Promise<KeyPair> {
        const allowed = pairUsages(this.shape("P-256"));
        checkUsages(usages, allowed, `an ${this.name} key`);
        const shape = this.shape(this.#known(namedCurve));
        return generatePair(shape, { name: this.name, namedCurve }, extractable, usages,
            call(Fn.EC_GENERATE, { a: shape.kind }));
    }
    importKey(
        namedCurve: string, format: KeyFormat, key: Bytes | JsonWebKey, extractable: boolean, usages: Usage[],
    ): CryptoKey {
        const shape = this.shape(this.#known(namedCurve));
        const [isPrivate, bytes] = importBytes(shape, format, key, extractable, usages);
        return keyNew(isPrivate ? "private" : "public", { name: this.name, namedCurve }, bytes, extractable, usages);
    }
    exportKey(format: KeyFormat, key: KeyState): Bytes | JsonWebKey {
        return exportBytes(this.shape(key.algorithm.namedCurve!), format, key);
    }
}

class Ecdsa extends Ec {
    signParams(params: Params): HashName {
        return hashOf(params.hash);
    }
    sign(hash: HashName, key: KeyState, data: Bytes): Promise<ArrayBuffer> {
        needType(key, "private");
        const digest = new Uint8Array(native.digest(hashes[hash].code, data));
        return call(Fn.EC_SIGN, { a: curves[key.algorithm.namedCurve!]!.kind, key: key.bytes, data: digest });
    }
    verify(hash: HashName, key: KeyState, signature: Bytes, data: Bytes): Promise<boolean> {
        needType(key, "public");
        const digest = new Uint8Array(native.digest(hashes[hash].code, data));
        const a = curves[key.algorithm.namedCurve!]!.kind;
        return verdict(Fn.EC_VERIFY, { a, key: key.bytes, salt: signature, data: digest });
    }
}

/** ECDH and X25519: the other's public key in the parameters. */
async function agree(kind: Kind, other: KeyState, key: KeyState, length: number | null): Promise<ArrayBuffer> {
    needType(key, "private");
    if (other.type !== "public") {
        fail("InvalidAccessError", "the parameter `public` is not a public key");
    }
    if (other.algorithm.name !== key.algorithm.name || other.algorithm.namedCurve !== key.algorithm.namedCurve) {
        fail("InvalidAccessError", "the two keys are not of the same algorithm and curve");
    }
    return cutBits(await call(Fn.DERIVE, { a: kind, key: key.bytes, data: other.bytes }), length);
}

class Ecdh extends Ec {
    deriveParams(params: Params): KeyState {
        return keyOf(params.public, "ECDH: public");
    }
    deriveBits(other: KeyState, key: KeyState, length: number | null): Promise<ArrayBuffer> {
        return agree(curves[key.algorithm.namedCurve!]!.kind, other, key, length);
    }
}

// ---- Ed25519, X25519 ----

class Okp implements Implementation {
    readonly name: string;
    readonly #shape: Shape;

    constructor(shape: Omit<Shape, "kty" | "hasRaw" | "members" | "publicCount" | "crv">) {
        this.name = shape.name;
        this.#shape = { ...shape, crv: shape.name, kty: "OKP", hasRaw: true, members: ["x", "d"], publicCount: 1 };
    }
    generateKey(_: undefined, extractable: boolean, usages: Usage[]): Promise<KeyPair> {
        checkUsages(usages, pairUsages(this.#shape), `an ${this.name} key`);
        return generatePair(this.#shape, { name: this.name }, extractable, usages,
            call(Fn.EC_GENERATE, { a: this.#shape.kind }));
    }
    importKey(
        _: undefined, format: KeyFormat, key: Bytes | JsonWebKey, extractable: boolean, usages: Usage[],
    ): CryptoKey {
        const [isPrivate, bytes] = importBytes(this.#shape, format, key, extractable, usages);
        return keyNew(isPrivate ? "private" : "public", { name: this.name }, bytes, extractable, usages);
    }
    exportKey(format: KeyFormat, key: KeyState): Bytes | JsonWebKey {
        return exportBytes(this.#shape, format, key);
    }
}

class Ed25519 extends Okp {
    sign(_: undefined, key: KeyState, data: Bytes): Promise<ArrayBuffer> {
        needType(key, "private");
        return call(Fn.ED25519_SIGN, { key: key.bytes, data });
    }
    verify(_: undefined, key: KeyState, signature: Bytes, data: Bytes): Promise<boolean> {
        needType(key, "public");
        return verdict(Fn.ED25519_VERIFY, { key: key.bytes, salt: signature, data });
    }
}

class X25519 extends Okp {
    deriveParams(params: Params): KeyState {
        return keyOf(params.public, "X25519: public");
    }
    deriveBits(other: KeyState, key: KeyState, length: number | null): Promise<ArrayBuffer> {
        return agree(Kind.X25519, other, key, length);
    }
}

// ---- HKDF, PBKDF2 ----

interface KdfParams {
    hash: HashName;
    salt: Bytes;
    info?: Bytes;
    iterations: number;
}

class Kdf implements Implementation {
    readonly name: string;

    constructor(name: "HKDF" | "PBKDF2") {
        this.name = name;
    }
    importKey(_: undefined, format: KeyFormat, key: Bytes | JsonWebKey, extractable: boolean, usages: Usage[]): CryptoKey {
        if (format !== "raw") {
            return unsupportedFormat(format, this.name);
        }
        checkUsages(usages, DERIVES, `an ${this.name} key`);
        if (extractable) {
            fail("SyntaxError", `a key of ${this.name} cannot be extractable`);
        }
        return keyNew("secret", { name: this.name }, (key as Bytes).slice(), extractable, usages);
    }
    keyLength(): null {
        return null;
    }
    deriveParams(params: Params): KdfParams {
        const hash = hashOf(params.hash);
        const salt = bufferOf(params.salt, `${this.name}: salt`);
        return this.name === "HKDF"
            ? { hash, salt, info: bufferOf(params.info, "HKDF: info"), iterations: 0 }
            : { hash, salt, iterations: integerOf(params.iterations, 2 ** 32 - 1, "PBKDF2: iterations") };
    }
    deriveBits({ hash, salt, info, iterations }: KdfParams, key: KeyState, length: number | null): Promise<ArrayBuffer> {
        if (length === null || length % 8) {
            fail("OperationError", `${this.name} derives a multiple of 8 bits`);
        }
        const bytes = length! / 8;
        const common = { hash: hashes[hash].code, key: key.bytes, salt };
        return this.name === "HKDF" ? call(Fn.HKDF, { ...common, info, a: bytes })
            : call(Fn.PBKDF2, { ...common, a: iterations, b: bytes });
    }
}

export const publicAlgorithms: Implementation[] = [
    new RsaSignature("RSASSA-PKCS1-v1_5"), new RsaSignature("RSA-PSS"), new RsaOaep("RSA-OAEP"),
    new Ecdsa("ECDSA"), new Ecdh("ECDH"),
    new Ed25519({
        name: "Ed25519", kind: Kind.ED25519, publicUsages: ["verify"], privateUsages: ["sign"], algs: ["Ed25519", "EdDSA"],
    }),
    new X25519({ name: "X25519", kind: Kind.X25519, publicUsages: [], privateUsages: DERIVES, algs: [] }),
    new Kdf("HKDF"), new Kdf("PBKDF2"),
];
