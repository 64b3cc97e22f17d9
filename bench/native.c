/* SPDX-License-Identifier: Apache-2.0
 *
 * native CASE: what OpenSSL and zlib take by themselves for what crypto.subtle and CompressionStream are asked for in platform.ts:
 * a key made once, one operation after the other for a second of CPU time. Prints the CPU time of one operation in microseconds. */
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <zlib.h>

enum { MIB = 1024 * 1024, GZIP_MIB = 16, PBKDF2_ROUNDS = 600 * 1000 };

static unsigned char data[GZIP_MIB * MIB], out[GZIP_MIB * MIB + MIB];
static EVP_PKEY *key;
static unsigned char signature[1024];
static size_t signature_len;

static void must(int ok)
{
    if (ok > 0)
        return;
    fprintf(stderr, "native: a call failed\n");
    exit(1);
}

static void sha256(void)
{
    must(EVP_Digest(data, MIB, out, NULL, EVP_sha256(), NULL));
}

static void aes_gcm(void)
{
    static const unsigned char secret[32], iv[12];
    int len;
    EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
    must(EVP_EncryptInit_ex(c, EVP_aes_256_gcm(), NULL, secret, iv));
    must(EVP_EncryptUpdate(c, out, &len, data, MIB));
    must(EVP_EncryptFinal_ex(c, out + len, &len));
    must(EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_GET_TAG, 16, out + MIB));
    EVP_CIPHER_CTX_free(c);
}

static void sign(void)
{
    EVP_MD_CTX *c = EVP_MD_CTX_new();
    signature_len = sizeof signature;
    must(EVP_DigestSignInit(c, NULL, EVP_sha256(), NULL, key));
    must(EVP_DigestSign(c, signature, &signature_len, data, 32));
    EVP_MD_CTX_free(c);
}

static void verify(void)
{
    EVP_MD_CTX *c = EVP_MD_CTX_new();
    must(EVP_DigestVerifyInit(c, NULL, EVP_sha256(), NULL, key));
    must(EVP_DigestVerify(c, signature, signature_len, data, 32));
    EVP_MD_CTX_free(c);
}

static void pbkdf2(void)
{
    must(PKCS5_PBKDF2_HMAC("password", 8, (const unsigned char *)"salt", 4, PBKDF2_ROUNDS,
                           EVP_sha256(), 32, out));
}

static void gzip(void)
{
    z_stream z = {0};
    must(deflateInit2(&z, Z_DEFAULT_COMPRESSION, Z_DEFLATED, MAX_WBITS + 16, 8,
                      Z_DEFAULT_STRATEGY) == Z_OK);
    z.next_in = data;
    z.avail_in = sizeof data;
    z.next_out = out;
    z.avail_out = sizeof out;
    must(deflate(&z, Z_FINISH) == Z_STREAM_END);
    deflateEnd(&z);
}

static const struct {
    const char *name;
    void (*run)(void);
    int rsa, ec;
} cases[] = {
    {"sha256", sha256, 0, 0},     {"aes-gcm", aes_gcm, 0, 0}, {"rsa-sign", sign, 1, 0},
    {"rsa-verify", verify, 1, 0}, {"ec-sign", sign, 0, 1},    {"ec-verify", verify, 0, 1},
    {"pbkdf2", pbkdf2, 0, 0},     {"gzip", gzip, 0, 0},
};

static double cpu_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

int main(int argc, char **argv)
{
    /* as platform.ts makes it: lines that differ a little */
    for (size_t at = 0, line = 0; at < sizeof data; line++) {
        char text[80];
        int len = snprintf(text, sizeof text,
                           "line %zu of a text that has %zu in it, and more of the same\n", line,
                           line * line % 9973);
        size_t n = (size_t)len < sizeof data - at ? (size_t)len : sizeof data - at;
        memcpy(data + at, text, n);
        at += n;
    }
    for (size_t i = 0; argc == 2 && i < sizeof cases / sizeof *cases; i++) {
        if (strcmp(cases[i].name, argv[1]) != 0)
            continue;
        if (cases[i].rsa)
            key = EVP_RSA_gen(2048);
        if (cases[i].ec)
            key = EVP_EC_gen("P-256");
        if (key)
            sign();
        cases[i].run();
        int count = 0;
        double begin = cpu_us(), now = begin;
        for (; now - begin < 1e6; now = cpu_us(), count++)
            cases[i].run();
        printf("%.3f\n", (now - begin) / count);
        return 0;
    }
    fprintf(stderr,
            "usage: native sha256|aes-gcm|rsa-sign|rsa-verify|ec-sign|ec-verify|pbkdf2|gzip\n");
    return 2;
}
