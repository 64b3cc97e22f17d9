/* SPDX-License-Identifier: Apache-2.0
 *
 * See secret.h. Sealed: 12 bytes nonce, the ciphertext, 16 bytes tag, all as hexadecimal digits. */
#include "store/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/random.h"
#include "store/internal.h"

enum {
    SECRET_NONCE_BYTES = 12,
    SECRET_TAG_BYTES = 16,
    SECRET_FILE_BYTES_MAX = 256,
    SECRET_DIGEST_BYTES = 32
};
_Static_assert((int)PLACEHOLDER_DIGITS / 2 <= (int)SECRET_DIGEST_BYTES, "a part of a digest");

/* ---- digits ---- */

static void hex_append(const unsigned char *bytes, size_t len, struct bytes *out)
{
    for (size_t i = 0; i < len; i++)
        bytes_printf(out, "%02x", bytes[i]);
}

static int hex_digit(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

static bool hex_read(struct slice text, unsigned char *out)
{
    bool is_good = text.len % 2 == 0;
    for (size_t i = 0; is_good && i < text.len; i += 2) {
        int high = hex_digit(text.ptr[i]), low = hex_digit(text.ptr[i + 1]);
        is_good = high >= 0 && low >= 0;
        if (is_good)
            out[i / 2] = (unsigned char)(high << 4 | low);
    }
    return is_good;
}

/* ---- the key ---- */

static bool key_read(struct slice text, struct secret_key *ret_key)
{
    unsigned char raw[SECRET_KEY_BYTES + 4];
    if (text.len == 2 * SECRET_KEY_BYTES)
        return hex_read(text, ret_key->bytes);
    /* 32 bytes in base64: 43 digits and one '='. */
    if (text.len != 44 || text.ptr[43] != '=' || text.ptr[42] == '=' ||
        EVP_DecodeBlock(raw, (const unsigned char *)text.ptr, (int)text.len) !=
            SECRET_KEY_BYTES + 1)
        return false;
    memcpy(ret_key->bytes, raw, SECRET_KEY_BYTES);
    OPENSSL_cleanse(raw, sizeof(raw));
    return true;
}

static enum err key_bad(const char *where, struct error *ret_error)
{
    error_set(ret_error, ERR_INVALID, "%s is no key for secrets", where);
    error_hint(ret_error, "a key is 32 random bytes as 64 hexadecimal digits or in base64, such as "
                          "'openssl rand -hex 32' prints");
    return ERR_INVALID;
}

/* Under its name it is whole, and never replaces another: half a key, which a process that was killed
 * would leave, is worse than none. */
static enum err key_make(const char *path, const char *folder, struct secret_key *ret_key,
                         struct error *ret_error)
{
    CLEANUP(bytes_done) struct bytes text = BYTES_INIT, temporary = BYTES_INIT;
    bytes_printf(&temporary, "%s.new", path);
    random_bytes(ret_key->bytes, sizeof(ret_key->bytes));
    hex_append(ret_key->bytes, sizeof(ret_key->bytes), &text);
    bytes_append_char(&text, '\n');
    (void)unlink(bytes_cstr(&temporary)); /* of a start that was killed */
    int fd = open(bytes_cstr(&temporary), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    bool is_made = fd >= 0 && write(fd, text.ptr, text.len) == (ssize_t)text.len &&
                   fsync(fd) == 0 && link(bytes_cstr(&temporary), path) == 0;
    int os = errno;
    OPENSSL_cleanse(text.ptr, text.len);
    if (fd >= 0)
        close(fd);
    (void)unlink(bytes_cstr(&temporary));
    if (is_made)
        return folder_sync(folder, ret_error);
    return folder_error(ret_error, os, "make the key of the secrets", path);
}

static enum err key_from_file(int fd, const char *path, struct secret_key *ret_key,
                              struct error *ret_error)
{
    char text[SECRET_FILE_BYTES_MAX];
    struct stat st;
    if (fstat(fd, &st) != 0)
        return folder_error(ret_error, errno, "read the key of the secrets", path);
    if (st.st_mode & 077) {
        error_set(ret_error, ERR_INVALID, "the key of the secrets %s may be read by others", path);
        error_hint(ret_error, "chmod 600 %s", path);
        return ERR_INVALID;
    }
    ssize_t len = read(fd, text, sizeof(text));
    if (len < 0)
        return folder_error(ret_error, errno, "read the key of the secrets", path);
    bool is_key = key_read(slice_trim(slice_of(text, (size_t)len)), ret_key);
    OPENSSL_cleanse(text, sizeof(text));
    return is_key ? OK : key_bad(path, ret_error);
}

enum err secret_key_load(const char *text, const char *folder, bool may_make,
                         struct secret_key *ret_key, struct error *ret_error)
{
    CLEANUP(bytes_done) struct bytes path = BYTES_INIT;
    *ret_key = (struct secret_key){.is_given = text != NULL};
    if (text)
        return key_read(slice_cstr(text), ret_key) ? OK : key_bad("LIMPET_SECRET_KEY", ret_error);
    bytes_printf(&path, "%s/secret.key", folder);
    int fd = open(bytes_cstr(&path), O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno != ENOENT)
        return folder_error(ret_error, errno, "read the key of the secrets", bytes_cstr(&path));
    if (fd < 0 && !may_make) {
        error_set(ret_error, ERR_NOT_FOUND, "the key of the secrets %s is missing",
                  bytes_cstr(&path));
        error_hint(ret_error,
                   "put it back, or set LIMPET_SECRET_KEY to it; without it they cannot be "
                   "read, and nothing of them was touched");
        return ERR_NOT_FOUND;
    }
    if (fd < 0)
        return key_make(bytes_cstr(&path), folder, ret_key, ret_error);
    enum err code = key_from_file(fd, bytes_cstr(&path), ret_key, ret_error);
    close(fd);
    return code;
}

/* ---- sealing ---- */

void secret_what(struct slice module, int64_t function_id, struct slice name, int64_t version,
                 struct bytes *out)
{
    bytes_append_cstr(out, "limpet secret 1");
    bytes_append_lstr(out, module); /* with its namespace */
    bytes_append_u64(out, (uint64_t)function_id);
    bytes_append_lstr(out, name);
    bytes_append_u64(out, (uint64_t)version);
}

static void key_hmac(const struct secret_key *key, struct slice text,
                     unsigned char ret_digest[EVP_MAX_MD_SIZE])
{
    unsigned len = 0;
    CHECK(HMAC(EVP_sha256(), key->bytes, sizeof(key->bytes), (const unsigned char *)text.ptr,
               text.len, ret_digest, &len) != NULL);
    CHECK(len == SECRET_DIGEST_BYTES);
}

void secret_sign(const struct secret_key *key, struct slice text, struct bytes *out)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    key_hmac(key, text, digest);
    hex_append(digest, SECRET_DIGEST_BYTES, out);
}

void secret_placeholder(const struct secret_key *key, struct slice owner, int64_t owner_id,
                        struct slice name, struct bytes *out)
{
    CLEANUP(bytes_done) struct bytes what = BYTES_INIT;
    unsigned char digest[EVP_MAX_MD_SIZE];
    bytes_append_cstr(&what, "limpet placeholder 1");
    bytes_append_lstr(&what, owner);
    bytes_append_u64(&what, (uint64_t)owner_id);
    bytes_append_lstr(&what, name);
    key_hmac(key, bytes_slice(&what), digest);
    bytes_append_cstr(out, PLACEHOLDER_START);
    hex_append(digest, PLACEHOLDER_DIGITS / 2, out);
}

void secret_seal(const struct secret_key *key, struct slice what, struct slice value,
                 struct bytes *out)
{
    unsigned char nonce[SECRET_NONCE_BYTES], tag[SECRET_TAG_BYTES];
    int len = 0;
    CLEANUP(bytes_done) struct bytes sealed = BYTES_INIT;
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    CHECK(ctx && value.len <= INT32_MAX && what.len <= INT32_MAX);
    random_bytes(nonce, sizeof(nonce));
    bytes_reserve(&sealed, value.len + 1);
    unsigned char *to = (unsigned char *)sealed.ptr;
    CHECK(EVP_EncryptInit_ex(ctx, EVP_aes_256_gcm(), NULL, key->bytes, nonce) == 1);
    CHECK(EVP_EncryptUpdate(ctx, NULL, &len, (const unsigned char *)what.ptr, (int)what.len) == 1);
    if (value.len > 0)
        CHECK(EVP_EncryptUpdate(ctx, to, &len, (const unsigned char *)value.ptr, (int)value.len) ==
              1);
    CHECK(EVP_EncryptFinal_ex(ctx, to + value.len, &len) == 1);
    CHECK(EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_GET_TAG, sizeof(tag), tag) == 1);
    EVP_CIPHER_CTX_free(ctx);
    hex_append(nonce, sizeof(nonce), out);
    hex_append(to, value.len, out);
    hex_append(tag, sizeof(tag), out);
}

static bool open_raw(const struct secret_key *key, struct slice what, const unsigned char *raw,
                     size_t len, unsigned char *to)
{
    unsigned char tag[SECRET_TAG_BYTES];
    size_t value_len = len - SECRET_NONCE_BYTES - SECRET_TAG_BYTES;
    int n = 0;
    memcpy(tag, raw + len - SECRET_TAG_BYTES, sizeof(tag));
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    CHECK(ctx);
    bool is_good =
        EVP_DecryptInit_ex(ctx, EVP_aes_256_gcm(), NULL, key->bytes, raw) == 1 &&
        EVP_DecryptUpdate(ctx, NULL, &n, (const unsigned char *)what.ptr, (int)what.len) == 1 &&
        (value_len == 0 ||
         EVP_DecryptUpdate(ctx, to, &n, raw + SECRET_NONCE_BYTES, (int)value_len) == 1) &&
        EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_SET_TAG, sizeof(tag), tag) == 1 &&
        EVP_DecryptFinal_ex(ctx, to + value_len, &n) == 1;
    EVP_CIPHER_CTX_free(ctx);
    return is_good;
}

enum err secret_open(const struct secret_key *key, struct slice what, struct slice sealed,
                     struct bytes *out, struct error *ret_error)
{
    CLEANUP(bytes_done) struct bytes raw = BYTES_INIT;
    size_t len = sealed.len / 2, before = out->len;
    bytes_reserve(&raw, len + 1);
    if (len >= SECRET_NONCE_BYTES + SECRET_TAG_BYTES &&
        hex_read(sealed, (unsigned char *)raw.ptr)) {
        bytes_reserve(out, len);
        if (open_raw(key, what, (const unsigned char *)raw.ptr, len,
                     (unsigned char *)out->ptr + before)) {
            out->len = before + len - SECRET_NONCE_BYTES - SECRET_TAG_BYTES;
            return OK;
        }
        OPENSSL_cleanse(out->ptr + before, len);
    }
    error_set(ret_error, ERR_CORRUPT,
              "a secret cannot be opened: it is damaged, or sealed with "
              "another key");
    error_hint(ret_error, "set it again: limpet secret set NAME KEY");
    return ERR_CORRUPT;
}
