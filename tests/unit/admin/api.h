/* SPDX-License-Identifier: Apache-2.0
 *
 * A control API from outside: real HTTP on loopback, a real store, a fake of the engines
 * (harness.h). The server has its own thread; the test's thread asks and waits for answers. */
#pragma once

#include "harness.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <jansson.h>
#include <sys/socket.h>

#include "base/limits.h"
#include "base/log.h"

struct fixture {
    char folder[64];
    struct loop loop;
    pthread_t thread;
    struct store *store;
    struct fake fake;
    struct admin *admin;
    int port;
    struct post stop;
    CURL *curl;
    char path[64]; /* for the test */
    /* of the last answer */
    long status;
    struct bytes body, head;
    json_t *json;
};

/* ---- the server ---- */

static inline void *run_loop(void *arg)
{
    struct fixture *f = arg;
    loop_run(&f->loop);
    return NULL;
}

static inline void on_drained(void *arg)
{
    struct fixture *f = arg;
    admin_close(f->admin);
    loop_stop(&f->loop);
}

static inline void on_stop(struct post *p)
{
    struct fixture *f = container_of(p, struct fixture, stop);
    admin_drain(f->admin, on_drained, f);
}

static inline int start(void **state, const char *token)
{
    struct fixture *f = calloc(1, sizeof(*f));
    struct error error = {0};
    fake_init(&f->fake);
    loop_init(&f->loop);
    f->store = open_store(f->folder);
    f->fake.loop = &f->loop;
    f->fake.store = f->store;
    struct admin_host host = fake_host(&f->fake);
    struct admin_config config = {.host = "127.0.0.1", .token = token, .public_port = 8080};
    if (admin_new(&f->loop, &config, f->store, &host, &f->admin, &error))
        fail_msg("admin_new: %s", error.message);
    f->port = admin_port(f->admin);
    f->curl = curl_easy_init();
    pthread_create(&f->thread, NULL, run_loop, f);
    *state = f;
    return 0;
}

static inline int setup(void **state)
{
    return start(state, NULL);
}

static inline int setup_token(void **state)
{
    return start(state, "s3cret");
}

static inline int teardown(void **state)
{
    struct fixture *f = *state;
    curl_easy_cleanup(f->curl);
    f->stop.fn = on_stop;
    loop_post(&f->loop, &f->stop);
    pthread_join(f->thread, NULL);
    loop_done(&f->loop);
    store_close(f->store);
    remove_folder(f->folder);
    bytes_done(&f->body);
    bytes_done(&f->head);
    json_decref(f->json);
    free(f);
    return 0;
}

/* ---- the client ---- */

static inline size_t collect(char *ptr, size_t size, size_t count, void *arg)
{
    bytes_append(arg, ptr, size * count);
    return size * count;
}

static inline long ask_with(struct fixture *f, const char *method, const char *path,
                            const char *body, const char *header)
{
    char url[512];
    struct curl_slist *headers = curl_slist_append(NULL, "Content-Type: application/json");
    headers = curl_slist_append(headers, "Expect:");
    if (header)
        headers = curl_slist_append(headers, header);
    snprintf(url, sizeof(url), "http://127.0.0.1:%d%s", f->port, path);
    bytes_clear(&f->body);
    bytes_clear(&f->head);
    curl_easy_reset(f->curl);
    curl_easy_setopt(f->curl, CURLOPT_URL, url);
    curl_easy_setopt(f->curl, CURLOPT_PROXY, "");
    curl_easy_setopt(f->curl, CURLOPT_CUSTOMREQUEST, method);
    curl_easy_setopt(f->curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(f->curl, CURLOPT_WRITEFUNCTION, collect);
    curl_easy_setopt(f->curl, CURLOPT_WRITEDATA, &f->body);
    curl_easy_setopt(f->curl, CURLOPT_HEADERFUNCTION, collect);
    curl_easy_setopt(f->curl, CURLOPT_HEADERDATA, &f->head);
    if (strcmp(method, "HEAD") == 0)
        curl_easy_setopt(f->curl, CURLOPT_NOBODY, 1L);
    if (body) {
        curl_easy_setopt(f->curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)strlen(body));
        curl_easy_setopt(f->curl, CURLOPT_POSTFIELDS, body);
    }
    CURLcode code = curl_easy_perform(f->curl);
    if (code)
        fail_msg("%s %s: %s", method, path, curl_easy_strerror(code));
    curl_easy_getinfo(f->curl, CURLINFO_RESPONSE_CODE, &f->status);
    curl_slist_free_all(headers);
    json_decref(f->json);
    f->json = json_loadb(f->body.ptr ? f->body.ptr : "", f->body.len, JSON_DECODE_ANY, NULL);
    return f->status;
}

static inline long ask(struct fixture *f, const char *method, const char *path, const char *body)
{
    return ask_with(f, method, path, body, NULL);
}

/* A member by a path of names: "error.code". */
static inline json_t *at(struct fixture *f, const char *path)
{
    char names[128];
    json_t *v = f->json;
    snprintf(names, sizeof(names), "%s", path);
    for (char *save, *name = strtok_r(names, ".", &save); v && name;
         name = strtok_r(NULL, ".", &save))
        v = json_is_array(v) ? json_array_get(v, (size_t)atoi(name)) : json_object_get(v, name);
    return v;
}

static inline const char *text(struct fixture *f, const char *path)
{
    const char *s = json_string_value(at(f, path));
    return s ? s : "";
}

static inline long long number(struct fixture *f, const char *path)
{
    return json_integer_value(at(f, path));
}

/* An answer in the one error shape, with a hint. */
static inline void expect_error(struct fixture *f, long status, const char *code)
{
    if (f->status != status || strcmp(text(f, "error.code"), code) != 0)
        fail_msg("%ld %s, expected %ld %s", f->status, bytes_cstr(&f->body), status, code);
    assert_true(text(f, "error.message")[0] != '\0');
    assert_true(text(f, "error.hint")[0] != '\0');
}

static inline void upload(struct fixture *f, const char *name, const char *code)
{
    char body[512];
    snprintf(body, sizeof(body), "{\"name\":\"%s\",\"bundle\":\"%s\"}", name, code);
    if (ask(f, "POST", "/functions?wait=60s", body) != 200)
        fail_msg("%ld %s", f->status, bytes_cstr(&f->body));
}

static inline bool has_header(struct fixture *f, const char *line)
{
    return strcasestr(bytes_cstr(&f->head), line) != NULL;
}

/* Reads from fd until part has come. */
static inline void read_until(int fd, struct bytes *in, const char *part)
{
    while (!strstr(bytes_cstr(in), part)) {
        char buffer[4096];
        ssize_t got = read(fd, buffer, sizeof(buffer));
        if (got <= 0)
            fail_msg("ended before '%s': %s", part, bytes_cstr(in));
        bytes_append(in, buffer, (size_t)got);
    }
}

/* Opens a stream of log lines: path with its query. */
static inline int follow(struct fixture *f, const char *path)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                                  .sin_port = htons((uint16_t)f->port)};
    char request[256];
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    int len =
        snprintf(request, sizeof(request), "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n", path);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(write(fd, request, (size_t)len), len);
    return fd;
}
