// SPDX-License-Identifier: Apache-2.0
//
// https://www.w3.org/TR/webcrypto-2/, docs/web-crypto.md

type HashAlgorithm = "SHA-1" | "SHA-256" | "SHA-384" | "SHA-512" | (string & {});
type HashAlgorithmIdentifier = HashAlgorithm | { name: HashAlgorithm };
type AlgorithmIdentifier = string | { name: string };
type KeyType = "secret" | "public" | "private";
type KeyFormat = "raw" | "pkcs8" | "spki" | "jwk";
type KeyUsage = "encrypt" | "decrypt" | "sign" | "verify" | "deriveKey" | "deriveBits" | "wrapKey" | "unwrapKey";
type NamedCurve = "P-256" | "P-384" | "P-521" | (string & {});

/** What an algorithm's dictionary may have; which members one needs is the standard's affair. AES-CBC, AES-CTR,
 *  AES-GCM, AES-KW, HMAC, RSASSA-PKCS1-v1_5, RSA-PSS, RSA-OAEP, ECDSA, ECDH, Ed25519, X25519, HKDF, PBKDF2. */
interface CryptoAlgorithmParams {
    name: string;
    hash?: HashAlgorithmIdentifier;
    length?: number;
    modulusLength?: number;
    publicExponent?: Uint8Array;
    namedCurve?: NamedCurve;
    iv?: BufferSource;
    counter?: BufferSource;
    additionalData?: BufferSource;
    tagLength?: number;
    label?: BufferSource;
    saltLength?: number;
    salt?: BufferSource;
    info?: BufferSource;
    iterations?: number;
    public?: CryptoKey;
}
type CryptoAlgorithm = string | CryptoAlgorithmParams;

interface JsonWebKey {
    kty?: string;
    use?: string;
    key_ops?: string[];
    alg?: string;
    ext?: boolean;
    crv?: string;
    x?: string;
    y?: string;
    d?: string;
    n?: string;
    e?: string;
    p?: string;
    q?: string;
    dp?: string;
    dq?: string;
    qi?: string;
    k?: string;
}

interface KeyAlgorithm {
    name: string;
    hash?: { name: string };
    length?: number;
    namedCurve?: string;
    modulusLength?: number;
    publicExponent?: Uint8Array;
}

declare class CryptoKey {
    private constructor();
    readonly type: KeyType;
    readonly extractable: boolean;
    readonly algorithm: KeyAlgorithm;
    readonly usages: KeyUsage[];
}

interface CryptoKeyPair {
    publicKey: CryptoKey;
    privateKey: CryptoKey;
}

declare class SubtleCrypto {
    private constructor();
    digest(algorithm: HashAlgorithmIdentifier, data: BufferSource): Promise<ArrayBuffer>;
    generateKey(
        algorithm: "Ed25519" | "X25519" | { name: "Ed25519" | "X25519" } | CryptoAlgorithmParams & ({ modulusLength: number } | { namedCurve: NamedCurve }),
        extractable: boolean, usages: readonly KeyUsage[],
    ): Promise<CryptoKeyPair>;
    generateKey(
        algorithm: CryptoAlgorithmParams & ({ length: number } | { hash: HashAlgorithmIdentifier }), extractable: boolean,
        usages: readonly KeyUsage[],
    ): Promise<CryptoKey>;
    generateKey(
        algorithm: CryptoAlgorithm, extractable: boolean, usages: readonly KeyUsage[],
    ): Promise<CryptoKey | CryptoKeyPair>;
    importKey(
        format: "jwk", key: JsonWebKey, algorithm: CryptoAlgorithm, extractable: boolean, usages: readonly KeyUsage[],
    ): Promise<CryptoKey>;
    importKey(
        format: Exclude<KeyFormat, "jwk">, key: BufferSource, algorithm: CryptoAlgorithm, extractable: boolean,
        usages: readonly KeyUsage[],
    ): Promise<CryptoKey>;
    importKey(
        format: KeyFormat, key: BufferSource | JsonWebKey, algorithm: CryptoAlgorithm, extractable: boolean,
        usages: readonly KeyUsage[],
    ): Promise<CryptoKey>;
    exportKey(format: "jwk", key: CryptoKey): Promise<JsonWebKey>;
    exportKey(format: Exclude<KeyFormat, "jwk">, key: CryptoKey): Promise<ArrayBuffer>;
    exportKey(format: KeyFormat, key: CryptoKey): Promise<ArrayBuffer | JsonWebKey>;
    sign(algorithm: CryptoAlgorithm, key: CryptoKey, data: BufferSource): Promise<ArrayBuffer>;
    verify(
        algorithm: CryptoAlgorithm, key: CryptoKey, signature: BufferSource, data: BufferSource,
    ): Promise<boolean>;
    encrypt(algorithm: CryptoAlgorithm, key: CryptoKey, data: BufferSource): Promise<ArrayBuffer>;
    decrypt(algorithm: CryptoAlgorithm, key: CryptoKey, data: BufferSource): Promise<ArrayBuffer>;
    deriveBits(algorithm: CryptoAlgorithm, baseKey: CryptoKey, length?: number | null): Promise<ArrayBuffer>;
    deriveKey(
        algorithm: CryptoAlgorithm, baseKey: CryptoKey, derivedKeyAlgorithm: CryptoAlgorithm, extractable: boolean,
        usages: readonly KeyUsage[],
    ): Promise<CryptoKey>;
    wrapKey(
        format: KeyFormat, key: CryptoKey, wrappingKey: CryptoKey, wrapAlgorithm: CryptoAlgorithm,
    ): Promise<ArrayBuffer>;
    unwrapKey(
        format: KeyFormat, wrappedKey: BufferSource, unwrappingKey: CryptoKey, unwrapAlgorithm: CryptoAlgorithm,
        unwrappedKeyAlgorithm: CryptoAlgorithm, extractable: boolean, usages: readonly KeyUsage[],
    ): Promise<CryptoKey>;
    /** Of buffers of the same length (else a TypeError): equal, in a time that does not tell where they differ? */
    timingSafeEqual(a: BufferSource, b: BufferSource): boolean;
}

/** Digests what is written to it: `await body.pipeTo(stream); await stream.digest`. */
interface DigestStream extends WritableStream<string | BufferSource> {
    readonly digest: Promise<ArrayBuffer>;
    readonly bytesWritten: number;
}

declare class Crypto {
    private constructor();
    readonly subtle: SubtleCrypto;
    readonly DigestStream: { new (algorithm: HashAlgorithmIdentifier): DigestStream; prototype: DigestStream };
    getRandomValues<T extends ArrayBufferView>(array: T): T;
    randomUUID(): `${string}-${string}-${string}-${string}-${string}`;
}
declare var crypto: Crypto;
