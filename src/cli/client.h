/* SPDX-License-Identifier: Apache-2.0
 *
 * Requests to the control API (libcurl), and reading its JSON answers (admin/body.h, so that
 * numbers keep their digits). Texts belong to the cli's arena. */
#pragma once

#include "admin/body.h"
#include "cli/cli.h"

struct table;

struct reply {
    int status;
    struct slice text;      /* the whole body */
    struct body_value json; /* kind BODY_NULL when there is no body */
    const char *next;       /* path of the next page of a list, or NULL */
};

/* A name that may have its namespace in front: without it, and cli->space is that from now on. One of
 * another namespace than the command line says is left as it is: the server refuses it. */
const char *client_name(struct cli *cli, const char *name);
/* Sends and receives, whatever the status. EXIT_OK when a server answered; else the error has been
 * printed and the exit code is returned. body: JSON, "" for none. */
NODISCARD int client_call(struct cli *cli, const char *method, const char *path, struct slice body,
                          struct reply *ret_reply);
/* The same, and any answer but 2xx (or `expected_status`, 0: none) is printed as an error too. */
NODISCARD int client_send(struct cli *cli, const char *method, const char *path, struct slice body,
                          int expected_status, struct reply *ret_reply);
/* The same with a body of any bytes. */
NODISCARD int client_send_bytes(struct cli *cli, const char *method, const char *path,
                                struct slice body, struct reply *ret_reply);
/* Prints the error that an answer carries; returns the exit code for it. */
NODISCARD int client_refused(struct cli *cli, const struct reply *reply);
/* Calls on_line for each line of an answer that does not end by itself; EXIT_OK when the server
 * ended it. */
NODISCARD int client_follow(struct cli *cli, const char *path,
                            void (*on_line)(struct cli *cli, struct slice line));
/* A path in the namespace of the command line, with its %s filled by escaped texts: at most two. */
const char *client_path(struct cli *cli, const char *format, const char *a, const char *b);
/* A path of the server, as it stands otherwise. */
const char *client_server_path(struct cli *cli, const char *format, const char *a);
/* "/functions/NAME" or "/workflows/NAME", NAME perhaps with its namespace, and what follows, in which one %s may stand. */
const char *client_object_path(struct cli *cli, const char *name, const char *rest, const char *b);

/* Shows a list: as the server sent it with --json, else as a table. */
struct client_list {
    const char *path;
    const char *const *titles;
    size_t columns;
    /* Adds the cells of one item. */
    void (*row)(struct cli *cli, struct table *table, const struct body_value *item);
    const char *empty; /* said when there is none; NULL: the titles alone are shown */
    bool is_all;       /* all pages, not only the first */
};
NODISCARD int client_list(struct cli *cli, const struct client_list *list);
/* Calls on_item for each item of all pages, whose memory is gone afterwards; with --json they are
 * printed as one array instead. For lists that may be long. */
NODISCARD int
client_each(struct cli *cli, const char *path,
            void (*on_item)(struct cli *cli, const struct body_value *item, void *arg), void *arg);

/* The whole answer as the server sent it, to standard output. */
void reply_print(const struct reply *reply);

/* A member; kind BODY_NULL if it is absent or v is no object. */
struct body_value json_member(const struct body_value *v, const char *name);
/* Decoded text of a string member, "" if it is none. Numbers and booleans give their JSON text. */
struct slice json_text(struct cli *cli, const struct body_value *v, const char *name);
int64_t json_number(const struct body_value *v, const char *name); /* 0 if none */
double json_decimal(const struct body_value *v, const char *name); /* -1 if none */
/* "TypeError: it is not a function": name and message of an execution's error, the name once. */
struct slice json_exception(struct cli *cli, const struct body_value *error);
/* Indented by two, for people. */
void json_indent(struct slice json, struct bytes *out);
