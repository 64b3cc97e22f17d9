/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading answers, escaping paths, and what happens when nobody answers or somebody else does. The
 * server is a thread that sends one prepared answer. */
#include <arpa/inet.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "cli/client.h"

struct answerer {
    int fd, port;
    const char *answer;
    char request[4096];
    pthread_t thread;
};

/* Reads a request, which is then kept in s, and answers it. */
static void answer_one(struct answerer *s, const char *answer, size_t answer_len)
{
    size_t len = 0;
    int fd = accept(s->fd, NULL, NULL);
    memset(s->request, 0, sizeof(s->request));
    while (fd >= 0 && len + 1 < sizeof(s->request) && !strstr(s->request, "\r\n\r\n")) {
        ssize_t got = read(fd, s->request + len, sizeof(s->request) - 1 - len);
        if (got <= 0)
            break;
        len += (size_t)got;
        s->request[len] = '\0';
    }
    (void)!write(fd, answer, answer_len);
    close(fd);
}

/* Several answers, one for each connection, are divided by form feeds. */
static void *answer_all(void *arg)
{
    struct answerer *s = arg;
    struct slice rest = slice_cstr(s->answer);
    while (rest.len > 0) {
        struct slice answer = slice_split(&rest, '\f');
        answer_one(s, answer.ptr, answer.len);
    }
    return NULL;
}

static void answerer_start(struct answerer *s, const char *answer)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(address);
    memset(s, 0, sizeof(*s));
    s->answer = answer;
    s->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(s->fd, (struct sockaddr *)&address, len), 0);
    assert_int_equal(listen(s->fd, 1), 0);
    getsockname(s->fd, (struct sockaddr *)&address, &len);
    s->port = ntohs(address.sin_port);
    if (answer)
        pthread_create(&s->thread, NULL, answer_all, s);
}

static void answerer_stop(struct answerer *s)
{
    if (s->answer)
        pthread_join(s->thread, NULL);
    close(s->fd);
}

static struct cli cli;

static void set_server(const struct answerer *s)
{
    cli.server = arena_printf(cli.arena, "http://127.0.0.1:%d", s->port);
}

static int setup(void **state)
{
    (void)state;
    cli = (struct cli){.arena = arena_new(NULL), .is_json = true};
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    arena_free(cli.arena);
    return 0;
}

static void good_answers_are_read(void **state)
{
    (void)state;
    struct answerer s;
    struct reply reply = {0};
    answerer_start(&s,
                   "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"
                   "{\"a\":\"x\\n\",\"n\":7,\"big\":12345678901234567890,\"r\":1.5,\"z\":null}");
    set_server(&s);
    cli.token = "t0ken";
    assert_int_equal(client_send(&cli, "GET", "/x", SLICE_EMPTY, 0, &reply), EXIT_OK);
    answerer_stop(&s);
    assert_non_null(strstr(s.request, "GET /x HTTP/1.1\r\n"));
    assert_non_null(strstr(s.request, "Authorization: Bearer t0ken\r\n"));
    assert_true(slice_eq_cstr(json_text(&cli, &reply.json, "a"), "x\n"));
    assert_int_equal(json_number(&reply.json, "n"), 7);
    assert_true(slice_eq_cstr(json_text(&cli, &reply.json, "big"), "12345678901234567890"));
    assert_true(json_decimal(&reply.json, "r") == 1.5);
    assert_true(json_decimal(&reply.json, "z") == -1);
    assert_int_equal(json_text(&cli, &reply.json, "none").len, 0);
}

static int code_of(const char *answer)
{
    struct answerer s;
    struct reply reply;
    answerer_start(&s, answer);
    set_server(&s);
    int code = client_send(&cli, "DELETE", "/x", SLICE_EMPTY, 0, &reply);
    answerer_stop(&s);
    return code;
}

static void statuses_become_exit_codes(void **state)
{
    (void)state;
    assert_int_equal(code_of("HTTP/1.1 204 No Content\r\n\r\n"), EXIT_OK);
    assert_int_equal(code_of("HTTP/1.1 404 Not Found\r\nConnection: close\r\n\r\n"
                             "{\"error\":{\"code\":\"not_found\",\"message\":\"no\"}}"),
                     EXIT_NOT_FOUND);
    assert_int_equal(code_of("HTTP/1.1 409 Conflict\r\nConnection: close\r\n\r\n"
                             "{\"error\":{\"code\":\"not_ready\",\"message\":\"no\"}}"),
                     EXIT_FAILED);
    assert_int_equal(code_of("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n<html>"), EXIT_FAILED);
    assert_int_equal(code_of("HTTP/1.1 502 Bad\r\nConnection: close\r\n\r\nnope"), EXIT_FAILED);
    assert_int_equal(code_of("nonsense\r\n\r\n"), EXIT_UNREACHABLE);
}

static void silence_is_unreachable(void **state)
{
    (void)state;
    struct answerer s;
    struct reply reply;
    answerer_start(&s, NULL);
    set_server(&s);
    answerer_stop(&s); /* nobody listens there any more */
    assert_int_equal(client_send(&cli, "GET", "/x", SLICE_EMPTY, 0, &reply), EXIT_UNREACHABLE);
    cli.server = "file:///etc/passwd";
    assert_int_equal(client_send(&cli, "GET", "/x", SLICE_EMPTY, 0, &reply), EXIT_USAGE);
}

static char lines[256];

static void on_line(struct cli *c, struct slice line)
{
    (void)c;
    size_t len = strlen(lines);
    snprintf(lines + len, sizeof(lines) - len, "%.*s|", SLICE_ARG(line));
}

static void streams_come_line_by_line(void **state)
{
    (void)state;
    struct answerer s;
    lines[0] = '\0';
    answerer_start(&s, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{\"id\":1}\n\n{\"id\":2}\n");
    set_server(&s);
    assert_int_equal(client_follow(&cli, "/logs", on_line), EXIT_OK);
    answerer_stop(&s);
    assert_string_equal(lines, "{\"id\":1}|{\"id\":2}|");
}

static void paths_are_escaped(void **state)
{
    (void)state;
    assert_string_equal(client_path(&cli, "/functions/%s/env/%s", "a/b", "\xc3\xa4 ?"),
                        "/functions/a%2Fb/env/%C3%A4%20%3F");
}

static void json_is_indented(void **state)
{
    (void)state;
    struct bytes out = BYTES_INIT;
    json_indent(SLICE_LIT("{\"a\" : [1,2, {}],\"b\":\"x,{\\\"\",\"c\":[ ]}"), &out);
    assert_string_equal(bytes_cstr(&out), "{\n  \"a\": [\n    1,\n    2,\n    {}\n  ],\n"
                                          "  \"b\": \"x,{\\\"\",\n  \"c\": []\n}");
    bytes_done(&out);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

static void count_item(struct cli *c, const struct body_value *item, void *arg)
{
    (void)c;
    *(int64_t *)arg += json_number(item, "n");
}

#define PAGE(link, items) "HTTP/1.1 200 OK\r\nConnection: close\r\n" link "\r\n" items

static void pages_are_followed(void **state)
{
    (void)state;
    struct answerer s;
    int64_t sum = 0;
    cli.is_json = false;
    answerer_start(&s, PAGE("Link: </x?cursor=2>; rel=\"next\"\r\n",
                            "[{\"n\":1},{\"n\":2}]") "\f" PAGE("", "[{\"n\":4}]"));
    set_server(&s);
    assert_int_equal(client_each(&cli, "/x", count_item, &sum), EXIT_OK);
    answerer_stop(&s);
    assert_int_equal(sum, 7);
    assert_non_null(strstr(s.request, "GET /x?cursor=2 HTTP/1.1\r\n"));
}

static void a_page_that_is_refused_ends_the_list(void **state)
{
    (void)state;
    struct answerer s;
    int64_t sum = 0;
    cli.is_json = false;
    answerer_start(
        &s, PAGE("link: </x?cursor=2>; rel=\"next\"\r\n",
                 "[{\"n\":1}]") "\f"
                                "HTTP/1.1 404 Not Found\r\nConnection: close\r\n\r\n"
                                "{\"error\":{\"code\":\"not_found\",\"message\":\"it is gone\"}}");
    set_server(&s);
    assert_int_equal(client_each(&cli, "/x", count_item, &sum), EXIT_NOT_FOUND);
    answerer_stop(&s);
    assert_int_equal(sum, 1);
}

static void paths_name_their_kind(void **state)
{
    (void)state;
    cli.args.command = command_find("workflow show");
    assert_string_equal(client_object_path(&cli, "shop.a b", "/env/%s", "K/"),
                        "/workflows/shop.a%20b/env/K%2F");
    cli.args.command = command_find("function show");
    assert_string_equal(client_object_path(&cli, "shop", "", NULL), "/functions/shop");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(good_answers_are_read),
        TEST(statuses_become_exit_codes),
        TEST(silence_is_unreachable),
        TEST(streams_come_line_by_line),
        TEST(paths_are_escaped),
        TEST(json_is_indented),
        cmocka_unit_test_setup_teardown(pages_are_followed, setup, teardown),
        cmocka_unit_test_setup_teardown(a_page_that_is_refused_ends_the_list, setup, teardown),
        cmocka_unit_test_setup_teardown(paths_name_their_kind, setup, teardown),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("client", tests, NULL, NULL);
}
