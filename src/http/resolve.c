/* SPDX-License-Identifier: Apache-2.0
 *
 * See resolve.h. One channel of c-ares; its sockets are polled by the loop, its earliest timeout is
 * one timer of ours.
 *
 * States of a look-up: QUEUED (each who asks has a place in the queue; the first that is granted
 * pays for the look-up, the others leave), ASKED (in c-ares' hands: exits by its callback alone,
 * since it cannot take one query back), KNOWN (in the cache: exits by age, by room). Whoever asks
 * waits at most RESOLVE_TIMEOUT_MS; the query itself may live a little longer.
 *
 * What may be changed only outside of c-ares (it must not be entered from its own callbacks) and
 * what calls back is done by resolver_step(), from the loop. */
#include "http/resolve.h"

#include <ares.h>
#include <arpa/inet.h>
#include <netdb.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/limits.h"
#include "loop/loop.h"
#include "loop/timer.h"

enum {
    RESOLVE_TRY_MS = 2000, /* of a server, the first time; twice as long the second */
    RESOLVE_TRIES = 2,
    RESOLVE_ADDRESSES_MAX = 16,
    RESOLVE_TTL_MS_MIN = 1000,
    RESOLVE_TTL_MS_MAX = 60 * 1000,
    RESOLVE_FAILED_MS = 2000, /* a name that does not exist stays so */
    RESOLVE_KNOWN_MAX = 1024,
    RESOLVE_PLACES_MS = 20,   /* a quota may have something left again */
    RESOLVE_CONFIG_MS = 2000, /* /etc/resolv.conf is looked at this often at most */
};

enum resolve_state { RESOLVE_QUEUED, RESOLVE_ASKED, RESOLVE_KNOWN };

struct resolve_lookup {
    struct list link;  /* in resolver->known, the one used last at the end */
    struct list ended; /* in resolver->ended: to tell */
    struct resolver *resolver;
    enum resolve_state state;
    char *name;
    struct list asking; /* struct resolve */
    struct fair_place place;
    uint64_t until_ms; /* KNOWN */
    struct error error;
    struct bytes addresses;
};

struct resolve_socket {
    uv_poll_t poll;
    struct resolver *resolver;
    ares_socket_t fd;
    struct list link;
};

struct resolver {
    struct loop *loop;
    ares_channel channel;
    char *servers;
    struct fair fair;
    struct map names; /* struct resolve_lookup */
    struct list known, ended, granted, sockets;
    size_t known_len, asked;
    struct timer ares_timer, step_timer, places_timer;
    struct timespec config_time;
    uint64_t config_look_ms;
    bool is_renewing; /* what ends now is asked again */
};

/* ---- c-ares on the loop ---- */

static void resolver_arm(struct resolver *v);

static void resolver_act(struct resolver *v, ares_socket_t read, ares_socket_t write)
{
    ares_process_fd(v->channel, read, write);
    resolver_arm(v);
}

static void on_ares_timer(struct timer *t)
{
    resolver_act(container_of(t, struct resolver, ares_timer), ARES_SOCKET_BAD, ARES_SOCKET_BAD);
}

static void resolver_arm(struct resolver *v)
{
    struct timeval room, *due = ares_timeout(v->channel, NULL, &room);
    if (!due)
        timer_stop(v->loop, &v->ares_timer);
    else
        timer_start(v->loop, &v->ares_timer,
                    (uint64_t)due->tv_sec * 1000 + (uint64_t)(due->tv_usec + 999) / 1000,
                    on_ares_timer);
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
    struct resolve_socket *s = container_of(poll, struct resolve_socket, poll);
    bool reads = status < 0 || (events & UV_READABLE), writes = events & UV_WRITABLE;
    resolver_act(s->resolver, reads ? s->fd : ARES_SOCKET_BAD, writes ? s->fd : ARES_SOCKET_BAD);
}

static void socket_on_close(uv_handle_t *handle)
{
    free(container_of((uv_poll_t *)(void *)handle, struct resolve_socket, poll));
}

static struct resolve_socket *socket_find(struct resolver *v, ares_socket_t fd)
{
    LIST_FOREACH (n, &v->sockets) {
        struct resolve_socket *s = container_of(n, struct resolve_socket, link);
        if (s->fd == fd)
            return s;
    }
    return NULL;
}

static void on_socket(void *arg, ares_socket_t fd, int reads, int writes)
{
    struct resolver *v = arg;
    struct resolve_socket *s = socket_find(v, fd);
    if (!reads && !writes) {
        if (!s)
            return;
        list_remove(&s->link);
        uv_close((uv_handle_t *)&s->poll, socket_on_close);
        return;
    }
    if (!s) {
        s = calloc(1, sizeof(*s));
        if (!s)
            check_out_of_memory(sizeof(*s));
        s->resolver = v;
        s->fd = fd;
        if (uv_poll_init(&v->loop->uv, &s->poll, fd) < 0) {
            free(s); /* the query times out */
            return;
        }
        list_push_back(&v->sockets, &s->link);
    }
    (void)uv_poll_start(&s->poll, (reads ? UV_READABLE : 0) | (writes ? UV_WRITABLE : 0), on_poll);
}

/* "192.0.2.1", "192.0.2.1:53", "2001:db8::1", "[2001:db8::1]:53" */
static bool server_is_valid(struct slice text)
{
    unsigned char raw[16];
    char address[INET6_ADDRSTRLEN];
    uint64_t port = 53;
    bool is_bracketed = slice_starts(text, SLICE_LIT("["));
    struct slice rest = text, host = slice_split(&rest, is_bracketed ? ']' : ':');
    if (is_bracketed) {
        host = slice_skip(host, 1);
        if (rest.len && rest.ptr[0] != ':')
            return false;
        rest = slice_skip(rest, 1);
    } else if (slice_find(rest, ':') >= 0) {
        host = text;
        rest = SLICE_EMPTY;
    }
    if (rest.len && (!slice_to_u64(rest, &port) || port == 0 || port > 65535))
        return false;
    if (host.len >= sizeof(address))
        return false;
    (void)snprintf(address, sizeof(address), "%.*s", SLICE_ARG(host));
    return (!is_bracketed && inet_pton(AF_INET, address, raw) == 1) ||
           inet_pton(AF_INET6, address, raw) == 1;
}

/* c-ares passes over what it does not understand. */
static bool servers_are_valid(const char *servers)
{
    struct slice rest = slice_cstr(servers);
    do {
        if (!server_is_valid(slice_split(&rest, ',')))
            return false;
    } while (rest.len);
    return true;
}

static enum err channel_open(struct resolver *v, ares_channel *ret_channel, struct error *ret_error)
{
    struct ares_options o = {.timeout = RESOLVE_TRY_MS,
                             .tries = RESOLVE_TRIES,
                             .lookups = (char *)(uintptr_t)"fb", /* /etc/hosts, then servers */
                             .sock_state_cb = on_socket,
                             .sock_state_cb_data = v};
    int status = ares_init_options(ret_channel, &o,
                                   ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_LOOKUPS |
                                       ARES_OPT_SOCK_STATE_CB);
    if (status != ARES_SUCCESS)
        return error_set(ret_error, ERR_INTERNAL, "the resolver does not start: %s",
                         ares_strerror(status));
    if (!v->servers)
        return OK;
    if (servers_are_valid(v->servers) &&
        ares_set_servers_ports_csv(*ret_channel, v->servers) == ARES_SUCCESS)
        return OK;
    ares_destroy(*ret_channel);
    (void)error_set(ret_error, ERR_INVALID, "'%.200s' is not a list of name servers", v->servers);
    error_hint(ret_error, "write addresses, such as 192.0.2.1,[2001:db8::1]:5353");
    return ERR_INVALID;
}

/* ---- look-ups ---- */

static void on_step(struct timer *t);

static void resolver_kick(struct resolver *v)
{
    if (!timer_is_running(&v->step_timer))
        timer_start(v->loop, &v->step_timer, 0, on_step);
}

static void lookup_free(struct resolve_lookup *l)
{
    struct resolver *v = l->resolver;
    CHECK(list_is_empty(&l->asking));
    map_remove(&v->names, slice_cstr(l->name));
    if (l->state == RESOLVE_KNOWN)
        v->known_len--;
    list_remove(&l->link);
    list_remove(&l->ended);
    fair_leave(&v->fair, &l->place);
    bytes_done(&l->addresses);
    free(l->name);
    free(l);
}

/* It is in the cache from now on, and whoever asked is told from the loop. */
static void lookup_known(struct resolve_lookup *l, uint64_t keep_ms)
{
    struct resolver *v = l->resolver;
    if (l->state == RESOLVE_ASKED)
        v->asked--;
    l->state = RESOLVE_KNOWN;
    l->until_ms = loop_now_ms(v->loop) + keep_ms;
    list_push_back(&v->known, &l->link);
    v->known_len++;
    list_push_back(&v->ended, &l->ended);
    resolver_kick(v);
}

static void lookup_failed(struct resolve_lookup *l, int status)
{
    bool is_unknown = status == ARES_ENOTFOUND || status == ARES_ENODATA || status == ARES_EBADNAME;
    if (is_unknown) {
        (void)error_set(&l->error, ERR_NETWORK, "host '%.200s' was not found", l->name);
        error_hint(&l->error, "check the name; the server's resolver does not know it");
    } else {
        (void)error_set(&l->error, ERR_NETWORK, "host '%.200s' could not be looked up: %s", l->name,
                        status == ARES_ETIMEOUT ? "the resolver does not answer"
                                                : ares_strerror(status));
    }
    lookup_known(l, is_unknown ? RESOLVE_FAILED_MS : 0);
}

static void address_append(struct bytes *out, const struct sockaddr *a)
{
    char text[INET6_ADDRSTRLEN];
    bool is_v6 = a->sa_family == AF_INET6;
    const void *raw = is_v6
                          ? (const void *)&((const struct sockaddr_in6 *)(const void *)a)->sin6_addr
                          : (const void *)&((const struct sockaddr_in *)(const void *)a)->sin_addr;
    if ((!is_v6 && a->sa_family != AF_INET) || !inet_ntop(a->sa_family, raw, text, sizeof(text)))
        return;
    bytes_printf(out, is_v6 ? "%s[%s]" : "%s%s", out->len ? "," : "", text);
}

static void on_answer(void *arg, int status, int timeouts, struct ares_addrinfo *found)
{
    struct resolve_lookup *l = arg;
    (void)timeouts;
    if (status == ARES_EDESTRUCTION && l->resolver->is_renewing) {
        list_push_back(&l->resolver->granted, &l->link); /* asked again in the new channel */
        return;
    }
    int ttl = RESOLVE_TTL_MS_MAX / 1000, count = 0;
    for (const struct ares_addrinfo_node *n = found ? found->nodes : NULL; n; n = n->ai_next) {
        if (count++ == RESOLVE_ADDRESSES_MAX)
            break;
        address_append(&l->addresses, n->ai_addr);
        if (n->ai_ttl < ttl)
            ttl = n->ai_ttl;
    }
    ares_freeaddrinfo(found);
    if (status == ARES_SUCCESS && l->addresses.len) {
        uint64_t ms = ttl > 0 ? (uint64_t)ttl * 1000 : 0;
        lookup_known(l, ms > RESOLVE_TTL_MS_MIN ? ms : RESOLVE_TTL_MS_MIN);
    } else {
        lookup_failed(l, status == ARES_SUCCESS ? ARES_ENODATA : status);
    }
}

static void lookup_ask(struct resolve_lookup *l)
{
    struct ares_addrinfo_hints hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    ares_getaddrinfo(l->resolver->channel, l->name, NULL, &hints, on_answer, l); /* may be done */
}

/* ---- who asks ---- */

static void ask_end(struct resolver *v, struct resolve *r)
{
    list_remove(&r->link);
    r->lookup = NULL;
    timer_stop(v->loop, &r->timer);
    fair_leave(&v->fair, &r->place);
}

static void ask_answer(struct resolve *r, const struct resolve_lookup *l)
{
    r->error = l->error;
    bytes_clear(&r->addresses);
    bytes_append_slice(&r->addresses, bytes_slice(&l->addresses));
}

/* The one whose place was granted pays; the others need none any more. */
static void lookup_start(struct resolve_lookup *l, struct resolve *payer)
{
    struct resolver *v = l->resolver;
    fair_hand_over(&payer->place, &l->place);
    LIST_FOREACH (n, &l->asking)
        fair_leave(&v->fair, &container_of(n, struct resolve, link)->place);
    l->state = RESOLVE_ASKED;
    v->asked++;
    list_push_back(&v->granted, &l->link);
    resolver_kick(v);
}

static void on_granted(struct fair_place *p)
{
    struct resolve *r = container_of(p, struct resolve, place);
    if (r->lookup->state == RESOLVE_QUEUED)
        lookup_start(r->lookup, r);
}

static void on_waited(struct timer *t)
{
    struct resolve *r = container_of(t, struct resolve, timer);
    const struct resolve_lookup *l = r->lookup;
    if (l->state == RESOLVE_QUEUED)
        (void)error_set(&r->error, ERR_TIMEOUT,
                        "host '%.200s' was not looked up within %d ms: %u other look-ups of this "
                        "module are under way, and no more may be",
                        l->name, LIMIT_FETCH_LOOKUP_MS, fair_owner_held(&r->place));
    else
        (void)error_set(&r->error, ERR_TIMEOUT,
                        "host '%.200s' could not be looked up within %d ms: the resolver does not "
                        "answer",
                        l->name, LIMIT_FETCH_LOOKUP_MS);
    resolver_forget(l->resolver, r);
    r->done(r);
}

static void resolver_step(struct resolver *v)
{
    struct list *n, *k;
    while ((n = list_pop_front(&v->granted)))
        lookup_ask(container_of(n, struct resolve_lookup, link));
    resolver_arm(v);
    while ((n = list_pop_front(&v->ended))) {
        struct resolve_lookup *l = container_of(n, struct resolve_lookup, ended);
        fair_leave(&v->fair, &l->place);
        while ((k = list_pop_front(&l->asking))) {
            struct resolve *r = container_of(k, struct resolve, link);
            ask_end(v, r);
            ask_answer(r, l);
            r->done(r);
        }
    }
    while (v->known_len > RESOLVE_KNOWN_MAX)
        lookup_free(container_of(v->known.next, struct resolve_lookup, link));
}

static void on_step(struct timer *t)
{
    resolver_step(container_of(t, struct resolver, step_timer));
}

/* Servers may have changed since (a network came or went). What is under way is asked again. */
static void resolver_look_at_config(struct resolver *v)
{
    struct stat st;
    ares_channel channel, old = v->channel;
    if (v->servers || loop_now_ms(v->loop) < v->config_look_ms)
        return;
    v->config_look_ms = loop_now_ms(v->loop) + RESOLVE_CONFIG_MS;
    if (stat("/etc/resolv.conf", &st) != 0 || (st.st_mtim.tv_sec == v->config_time.tv_sec &&
                                               st.st_mtim.tv_nsec == v->config_time.tv_nsec))
        return;
    bool is_first = v->config_time.tv_sec == 0;
    v->config_time = st.st_mtim;
    if (is_first || channel_open(v, &channel, NULL) != OK)
        return;
    v->channel = channel;
    v->is_renewing = true;
    ares_destroy(old);
    v->is_renewing = false;
    resolver_kick(v);
}

static struct resolve_lookup *lookup_new(struct resolver *v, struct slice name)
{
    struct resolve_lookup *l = calloc(1, sizeof(*l));
    if (!l || !(l->name = strndup(name.ptr, name.len)))
        check_out_of_memory(sizeof(*l));
    l->resolver = v;
    list_init(&l->link);
    list_init(&l->ended);
    list_init(&l->asking);
    map_put(&v->names, name, l);
    return l;
}

/* RFC 6761: these names are the machine's own, whatever a resolver says. */
static bool name_is_localhost(struct slice name)
{
    if (slice_ends(name, SLICE_LIT(".")))
        name.len--;
    return slice_eq_nocase(name, SLICE_LIT("localhost")) ||
           (name.len > 10 &&
            slice_eq_nocase(slice_skip(name, name.len - 10), SLICE_LIT(".localhost")));
}

enum resolve_answer resolver_ask(struct resolver *v, struct resolve *r, struct slice name)
{
    CHECK(!r->lookup && r->done);
    list_init(&r->link);
    r->error = (struct error){0};
    r->place.granted = on_granted;
    if (name_is_localhost(name)) {
        bytes_clear(&r->addresses);
        bytes_append_cstr(&r->addresses, "127.0.0.1,[::1]");
        return RESOLVE_DONE;
    }
    resolver_look_at_config(v);
    struct resolve_lookup *l = map_get(&v->names, name);
    if (l && l->state == RESOLVE_KNOWN && list_is_empty(&l->asking)) {
        if (loop_now_ms(v->loop) < l->until_ms) {
            list_remove(&l->link);
            list_push_back(&v->known, &l->link);
            ask_answer(r, l);
            return RESOLVE_DONE;
        }
        lookup_free(l);
        l = NULL;
    }
    if (!l)
        l = lookup_new(v, name);
    r->lookup = l;
    list_push_back(&l->asking, &r->link);
    timer_start(v->loop, &r->timer, LIMIT_FETCH_LOOKUP_MS, on_waited);
    if (l->state == RESOLVE_QUEUED && fair_enter(&v->fair, &r->place, r->owner, r->member))
        lookup_start(l, r);
    return RESOLVE_WAITS;
}

void resolver_forget(struct resolver *v, struct resolve *r)
{
    struct resolve_lookup *l = r->lookup;
    if (!l)
        return;
    ask_end(v, r);
    if (list_is_empty(&l->asking) && l->state == RESOLVE_QUEUED)
        lookup_free(l);
}

size_t resolver_busy(const struct resolver *v)
{
    return v->asked;
}

/* ---- life ---- */

static void on_places_timer(struct timer *t)
{
    fair_retry(&container_of(t, struct resolver, places_timer)->fair);
}

static void places_refused(struct fair *f)
{
    struct resolver *v = container_of(f, struct resolver, fair);
    if (!timer_is_running(&v->places_timer))
        timer_start(v->loop, &v->places_timer, RESOLVE_PLACES_MS, on_places_timer);
}

static pthread_once_t ares_once = PTHREAD_ONCE_INIT;

static void ares_start(void)
{
    if (ares_library_init(ARES_LIB_INIT_ALL) != ARES_SUCCESS)
        check_fatal("c-ares does not start");
}

enum err resolver_new(struct loop *loop, const char *servers, struct resolver **ret_resolver,
                      struct error *ret_error)
{
    pthread_once(&ares_once, ares_start);
    struct resolver *v = calloc(1, sizeof(*v));
    if (!v)
        check_out_of_memory(sizeof(*v));
    v->loop = loop;
    if (servers && !(v->servers = strdup(servers)))
        check_out_of_memory(strlen(servers));
    list_init(&v->known);
    list_init(&v->ended);
    list_init(&v->granted);
    list_init(&v->sockets);
    fair_init(&v->fair, LIMIT_FETCH_LOOKUPS, RESOURCE_LOOKUPS, places_refused);
    enum err err = channel_open(v, &v->channel, ret_error);
    if (err) {
        free(v->servers);
        free(v);
        return err;
    }
    *ret_resolver = v;
    return OK;
}

void resolver_free(struct resolver *v)
{
    if (!v)
        return;
    ares_destroy(v->channel); /* what is under way becomes known, as cancelled */
    struct list *n;
    while ((n = list_pop_front(&v->granted))) {
        struct resolve_lookup *l = container_of(n, struct resolve_lookup, link);
        lookup_failed(l, ARES_ECANCELLED);
    }
    while (!list_is_empty(&v->known))
        lookup_free(container_of(v->known.next, struct resolve_lookup, link));
    CHECK(map_count(&v->names) == 0 && list_is_empty(&v->sockets));
    map_done(&v->names);
    fair_done(&v->fair);
    timer_stop(v->loop, &v->ares_timer);
    timer_stop(v->loop, &v->step_timer);
    timer_stop(v->loop, &v->places_timer);
    free(v->servers);
    free(v);
}
