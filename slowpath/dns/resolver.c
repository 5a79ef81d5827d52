// SPDX-License-Identifier: GPL-2.0-or-later
// Three kinds of object. A query is one waiting caller. An entry is what is known about one (name,
// family): an answer, or a question under way with the queries that wait for it. A wire is one
// question being asked; it outlives an entry that no longer wants the answer, because evdns reports
// even a cancelled question, later, from the loop.
//
// Every name server has an evdns of its own, which makes one attempt. Which server is asked next is
// decided here: evdns would keep a failed server out of use until a probe of its own (for
// google.com) came back, after 10 s, 30 s, 90 s, and it does not distinguish SERVFAIL from silence.
#include "slowpath/dns/resolver.h"

#include <arpa/inet.h>
#include <errno.h>
#include <event2/dns.h>
#include <event2/event.h>
#include <event2/util.h>
#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "bpf/abi/name.h"
#include "bpf/wire/hash.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "slowpath/address/address.h"
#include "slowpath/dns/hosts.h"
#include "slowpath/dns/tcp.h"

#ifndef RESOLV_CONF
#define RESOLV_CONF "/etc/resolv.conf"
#endif

#define CACHE_MAX 10000 /* answers kept */
#define WIRES_MAX 4096	/* questions under way */
#define SHARE_MAX 1024	/* of those, for one client */
#define SHARES 1024	/* a power of two */
#define JOSTLE_MS 200	/* a question may wait this long, whoever needs its place */
#define BUCKETS 16384	/* a power of two */
#define SERVERS_MAX 8
#define DNS_PORT 53
#define TRIES 3	       /* per question, or one for each server if there are more */
#define ANSWER_MS 2000 /* a server's time to answer */
#define TTL_MAX_S 86400
#define NEGATIVE_MS 5000 /* how long a "no such name" is believed */
#define FAILURE_MS 1000	 /* how long the failure of a server is */

struct server {
	struct sockaddr_storage at;
	socklen_t len;
	struct evdns_base *dns;
};

struct server_set {
	struct server at[SERVERS_MAX];
	size_t n;
};

struct resolver_query {
	TAILQ_ENTRY(resolver_query) link; /* in *list */
	TAILQ_ENTRY(resolver_query) all;  /* in the resolver's list of all queries */
	struct query_list *list;	  /* NULL: in none */
	struct resolver *r;
	resolver_done done;
	void *arg;
	struct share *share;
	int family;  /* the one asked for last */
	bool second; /* ... which was the other family */
	int err;     /* of the first family */
};

TAILQ_HEAD(query_list, resolver_query);

struct wire {
	TAILQ_ENTRY(wire) link;	      /* oldest first */
	TAILQ_ENTRY(wire) same_share; /* the same, within one share */
	struct resolver *r;	      /* NULL: nobody wants the answer */
	struct entry *e;
	struct evdns_request *req;
	struct dns_tcp *tcp;
	size_t server;
	unsigned tries, failures;
	uint64_t began_ms, sent_ms;
};

TAILQ_HEAD(wire_list, wire);

/* The questions of one client, or of a few whose keyed hashes happen to agree. */
struct share {
	struct wire_list wires;
	unsigned n;
};

struct entry {
	LIST_ENTRY(entry) chain;
	TAILQ_ENTRY(entry)
	age; /* least recently used first; not in the list while its question is under way */
	struct query_list waiting;
	struct wire *wire; /* NULL: an answer */
	struct share *share;
	uint64_t settled_ms, expires_ms;
	int family, err;
	size_t n;
	struct in6_addr *addrs;
	char name[];
};

LIST_HEAD(chain, entry);
TAILQ_HEAD(entry_list, entry);

struct resolver {
	struct event_base *base;
	struct server_set servers;
	size_t first; /* the server to ask first: the last one that gave a good answer */
	struct hosts *hosts;
	uint64_t key[2];
	struct chain buckets[BUCKETS];
	struct entry_list by_age;
	struct query_list queries;
	struct wire_list wires;
	struct share shares[SHARES];
	struct query_list
		given_up; /* queries whose question made way; they are informed from the loop */
	struct event *tell;
	unsigned busy; /* depth of loops that call callbacks */
	bool dead;     /* freed while busy */
	struct resolver_stats stats;
};

uint64_t resolver_clock_skew_ms, resolver_clock_stands_at_ms;
bool resolver_key_is_zero;

static uint64_t now_ms(void)
{
	return (resolver_clock_stands_at_ms ? resolver_clock_stands_at_ms : clock_ms()) +
	       resolver_clock_skew_ms;
}

/* ---- name servers ---- */

/* Silences evdns's messages about servers: library code does not log. */
static void quiet(int is_warning, const char *message)
{
	(void)is_warning;
	(void)message;
}

static void servers_close(struct server_set *s)
{
	/* 0: do not report failure to pending requests. If asked to, evdns calls back into freed
	   memory while a probe is out. Our own requests have been cancelled before. */
	for (size_t i = 0; i < s->n; i++)
		evdns_base_free(s->at[i].dns, 0);
	s->n = 0;
}

/* "192.0.2.1", "192.0.2.1:53", "2001:db8::1", "[2001:db8::1]:53", "fe80::1%eth0". */
static int server_parse(const char *text, struct server *out)
{
	struct sockaddr_storage ss = { 0 };
	struct sockaddr_in6 *sin6 = (struct sockaddr_in6 *)&ss;
	const char *scope = strchr(text, '%');
	char copy[128];
	int len = sizeof(ss);

	snprintf(copy, sizeof(copy), "%s", text);
	if (scope && scope - text < (long)sizeof(copy))
		copy[scope - text] = '\0';
	if (evutil_parse_sockaddr_port(copy, (struct sockaddr *)&ss, &len) != 0)
		return -EINVAL;
	if (scope && ss.ss_family == AF_INET6)
		sin6->sin6_scope_id = if_nametoindex(scope + 1);
	if (ss.ss_family == AF_INET && ((struct sockaddr_in *)&ss)->sin_port == 0)
		((struct sockaddr_in *)&ss)->sin_port = htons(DNS_PORT);
	if (ss.ss_family == AF_INET6 && sin6->sin6_port == 0)
		sin6->sin6_port = htons(DNS_PORT);
	out->at = ss;
	out->len = (socklen_t)len;
	return 0;
}

static int server_add(struct server_set *set, struct event_base *base, const char *text)
{
	/* one attempt, because we make the next one ourselves; and probes as late as possible */
	static const char *const options[][2] = { { "timeout:", "2" },
						  { "attempts:", "1" },
						  { "max-inflight:", "4096" },
						  { "so-rcvbuf:", "1048576" },
						  { "initial-probe-timeout:", "3600" } };
	struct server s = { 0 };
	int rc;

	_Static_assert(ANSWER_MS == 2000 && WIRES_MAX == 4096, "see options");
	if (set->n == SERVERS_MAX)
		return 0;
	rc = server_parse(text, &s);
	if (rc != 0)
		return rc;
	s.dns = evdns_base_new(base, 0);
	if (!s.dns)
		return -ENOMEM;
	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++)
		evdns_base_set_option(s.dns, options[i][0], options[i][1]);
	if (evdns_base_nameserver_sockaddr_add(s.dns, (struct sockaddr *)&s.at, s.len, 0) != 0) {
		evdns_base_free(s.dns, 0);
		return -EADDRNOTAVAIL;
	}
	set->at[set->n++] = s;
	return 0;
}

/* As in resolv.conf(5): `nameserver` lines, else the local machine. A line that cannot be used is
   skipped, as the C library does. */
static int servers_of_system(struct server_set *set, struct event_base *base)
{
	AUTO_FILE FILE *f = fopen(RESOLV_CONF, "re");
	char line[256], word[128];

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, " nameserver %127s", word) == 1)
			(void)server_add(set, base, word);
	return set->n ? 0 : server_add(set, base, "127.0.0.1");
}

static int servers_open(struct server_set *set, struct event_base *base, const struct conf *conf,
			char *err, size_t err_len)
{
	const char *text = RESOLV_CONF;
	int rc = 0;

	set->n = 0;
	for (size_t i = 0; i < conf->nameservers.n && rc == 0; i++) {
		text = conf->nameservers.at[i];
		rc = server_add(set, base, text);
	}
	if (conf->nameservers.n == 0)
		rc = servers_of_system(set, base);
	if (rc == 0)
		return 0;
	snprintf(err, err_len, "name server %s: %s", text, strerror(-rc));
	servers_close(set);
	return rc;
}

/* ---- the cache ---- */

static struct share *share_of(struct resolver *r, const struct client_key *client)
{
	return &r->shares[clients_hash(r->key, client) & (SHARES - 1)];
}

static struct chain *bucket(struct resolver *r, const char *name, int family)
{
	struct sip s;

	sip_init(&s, r->key[0], r->key[1]);
	for (; *name; name++)
		sip_byte(&s, (__u8)*name);
	sip_byte(&s, family == AF_INET ? 4 : 6);
	return &r->buckets[sip_value(&s) & (BUCKETS - 1)];
}

static void entry_remove(struct resolver *r, struct entry *e)
{
	LIST_REMOVE(e, chain);
	if (!e->wire) {
		TAILQ_REMOVE(&r->by_age, e, age);
		r->stats.names--;
	}
	free(e->addrs);
	free(e);
}

static struct entry *entry_find(struct resolver *r, const char *name, int family)
{
	struct entry *e;

	LIST_FOREACH (e, bucket(r, name, family), chain) {
		if (e->family == family && strcmp(e->name, name) == 0)
			break;
	}
	if (!e || e->wire)
		return e;
	if (now_ms() >= e->expires_ms) {
		entry_remove(r, e);
		return NULL;
	}
	TAILQ_REMOVE(&r->by_age, e, age);
	TAILQ_INSERT_TAIL(&r->by_age, e, age);
	return e;
}

/* Keeps the answer for ttl_ms, or drops the entry. */
static void entry_settle(struct resolver *r, struct entry *e, int err, const struct in6_addr *addrs,
			 size_t n, uint64_t ttl_ms)
{
	struct in6_addr *copy = NULL;

	e->wire = NULL;
	TAILQ_INSERT_TAIL(&r->by_age, e, age);
	r->stats.names++;
	if (n > 0)
		copy = reallocarray(NULL, n, sizeof(*copy));
	if (ttl_ms == 0 || (n > 0 && !copy)) {
		free(copy);
		entry_remove(r, e);
		return;
	}
	if (copy)
		memcpy(copy, addrs, n * sizeof(*copy));
	e->addrs = copy;
	e->n = n;
	e->err = err;
	e->settled_ms = now_ms();
	e->expires_ms = e->settled_ms + ttl_ms;
	if (r->stats.names > CACHE_MAX)
		entry_remove(r, TAILQ_FIRST(&r->by_age));
}

static void cache_empty(struct resolver *r)
{
	while (!TAILQ_EMPTY(&r->by_age))
		entry_remove(r, TAILQ_FIRST(&r->by_age));
}

/* ---- queries ---- */

static bool query_try(struct resolver_query *q, const char *name, int family);

static void query_unlist(struct resolver_query *q)
{
	if (q->list)
		TAILQ_REMOVE(q->list, q, link);
	q->list = NULL;
}

static void queries_move(struct query_list *to, struct query_list *from)
{
	struct resolver_query *q;

	while ((q = TAILQ_FIRST(from))) {
		query_unlist(q);
		q->list = to;
		TAILQ_INSERT_TAIL(to, q, link);
	}
}

static void query_free(struct resolver_query *q)
{
	query_unlist(q);
	TAILQ_REMOVE(&q->r->queries, q, all);
	free(q);
}

/* The only place that calls a caller back. Afterwards the resolver may be gone, unless it is
   busy. */
static void query_finish(struct resolver_query *q, int err, const struct in6_addr *addrs, size_t n)
{
	resolver_done done = q->done;
	void *arg = q->arg;

	if (err)
		q->r->stats.failed++;
	query_free(q);
	done(arg, err, err ? NULL : addrs, err ? 0 : n);
}

/* One family has been answered. Returns true if the query now waits for the other one. */
static bool query_result(struct resolver_query *q, const char *name, int err,
			 const struct in6_addr *addrs, size_t n)
{
	/* A name server that is silent for one family will be silent for the other. */
	if (err && err != -ETIMEDOUT && !q->second) {
		q->second = true;
		q->err = err;
		return query_try(q, name, q->family == AF_INET ? AF_INET6 : AF_INET);
	}
	/* Only report "no such name" when both families did. */
	if (err && q->second && q->err != -ENOENT)
		err = q->err;
	query_finish(q, err, addrs, n);
	return false;
}

/* ---- questions ---- */

static void wire_done(struct wire *w, int err, const struct in6_addr *addrs, size_t n,
		      uint64_t ttl_ms);
static void on_answer(int result, char type, int count, int ttl, void *addresses, void *arg);

static bool wire_send(struct wire *w)
{
	struct evdns_base *dns = w->r->servers.at[w->server].dns;

	w->sent_ms = clock_ms();
	w->req =
		w->e->family == AF_INET ?
			evdns_base_resolve_ipv4(dns, w->e->name, DNS_QUERY_NO_SEARCH, on_answer,
						w) :
			evdns_base_resolve_ipv6(dns, w->e->name, DNS_QUERY_NO_SEARCH, on_answer, w);
	if (w->req)
		w->r->stats.asked++;
	return w->req != NULL;
}

static void wire_enlist(struct resolver *r, struct wire *w)
{
	TAILQ_INSERT_TAIL(&r->wires, w, link);
	TAILQ_INSERT_TAIL(&w->e->share->wires, w, same_share);
	w->e->share->n++;
	r->stats.pending++;
}

static void wire_unlist(struct resolver *r, struct wire *w)
{
	TAILQ_REMOVE(&r->wires, w, link);
	TAILQ_REMOVE(&w->e->share->wires, w, same_share);
	w->e->share->n--;
	r->stats.pending--;
}

/* Nobody waits for the wire any more. evdns will still call on_answer() once, from the loop. */
static void wire_abandon(struct wire *w)
{
	struct resolver *r = w->r;

	wire_unlist(r, w);
	w->r = NULL;
	w->e->wire = NULL;
	if (w->tcp) {
		dns_tcp_cancel(w->tcp);
		free(w);
	} else {
		evdns_cancel_request(r->servers.at[w->server].dns, w->req);
	}
}

/* Queries that wait for w are informed from the loop, because our caller is in the middle of its
   own question. */
static void wire_give_up(struct wire *w)
{
	struct resolver *r = w->r;
	struct entry *e = w->e;

	wire_abandon(w);
	LIST_REMOVE(e, chain);
	queries_move(&r->given_up, &e->waiting);
	free(e);
	event_active(r->tell, 0, 0);
}

/* Is there a free place, or can one be freed? */
static bool wire_place(struct resolver *r, const struct share *share)
{
	struct wire *oldest;

	if (share->n >= SHARE_MAX)
		oldest = TAILQ_FIRST(&share->wires);
	else if (r->stats.pending >= WIRES_MAX)
		oldest = TAILQ_FIRST(&r->wires);
	else
		return true;
	r->stats.given_up++;
	if (now_ms() - oldest->began_ms < JOSTLE_MS)
		return false;
	wire_give_up(oldest);
	return true;
}

/* Starts the entry's question; false if it cannot be asked. */
static bool wire_new(struct resolver *r, struct entry *e)
{
	struct wire *w;

	if (!wire_place(r, e->share))
		return false;
	w = calloc(1, sizeof(*w));
	if (!w)
		return false;
	w->r = r;
	w->e = e;
	w->server = r->first;
	w->began_ms = now_ms();
	if (!wire_send(w)) {
		free(w);
		return false;
	}
	e->wire = w;
	wire_enlist(r, w);
	return true;
}

/* Asks the next server, or gives up. */
static void wire_failed(struct wire *w, bool silent)
{
	struct resolver *r = w->r;
	unsigned tries = r->servers.n > TRIES ? (unsigned)r->servers.n : TRIES;

	if (silent && r->first == w->server)
		r->first = (r->first + 1) % r->servers.n;
	if (!silent)
		w->failures++;
	/* A server that failed would fail again; a silent one may only have been slow. */
	if (++w->tries < tries && w->failures < r->servers.n) {
		w->server = (w->server + 1) % r->servers.n;
		if (wire_send(w))
			return;
	}
	wire_done(w, silent ? -ETIMEDOUT : -EIO, NULL, 0, FAILURE_MS);
}

static uint64_t ttl_to_ms(int64_t ttl_s)
{
	if (ttl_s <= 0)
		return 0;
	return (uint64_t)(ttl_s > TTL_MAX_S ? TTL_MAX_S : ttl_s) * 1000;
}

static void on_tcp_answer(void *arg, int err, const struct in6_addr *addrs, size_t n,
			  uint32_t ttl_s)
{
	struct wire *w = arg;

	w->tcp = NULL;
	if (err == 0)
		wire_done(w, 0, addrs, n, ttl_to_ms((int32_t)ttl_s));
	else if (err == -ENOENT)
		wire_done(w, err, NULL, 0, NEGATIVE_MS);
	else
		wire_failed(w, false);
}

/* Truncated: the same server again, over TCP. */
static void wire_ask_tcp(struct wire *w)
{
	struct server *s = &w->r->servers.at[w->server];

	w->tcp = dns_tcp_ask(w->r->base, (struct sockaddr *)&s->at, s->len, w->e->name,
			     w->e->family, ANSWER_MS, on_tcp_answer, w);
	if (!w->tcp)
		wire_failed(w, false);
}

static size_t take_addresses(struct in6_addr *out, char type, int count, const void *addresses)
{
	size_t n = 0;

	for (; n < RESOLVER_ADDRESSES && (int)n < count; n++) {
		if (type == DNS_IPv6_AAAA)
			memcpy(&out[n], (const char *)addresses + n * 16, 16);
		else
			cidr_from_v4(out[n].s6_addr, (const char *)addresses + n * 4);
	}
	return n;
}

static void on_answer(int result, char type, int count, int ttl, void *addresses, void *arg)
{
	struct wire *w = arg;
	struct in6_addr addrs[RESOLVER_ADDRESSES];
	size_t n;

	w->req = NULL;
	if (!w->r) {
		free(w);
		return;
	}
	switch (result) {
	case DNS_ERR_NONE:
		n = take_addresses(addrs, type, count, addresses);
		wire_done(w, n ? 0 : -ENOENT, addrs, n, n ? ttl_to_ms(ttl) : NEGATIVE_MS);
		break;
	case DNS_ERR_NOTEXIST:
	case DNS_ERR_NODATA:
		wire_done(w, -ENOENT, NULL, 0, NEGATIVE_MS);
		break;
	case DNS_ERR_TRUNCATED:
		wire_ask_tcp(w);
		break;
	case DNS_ERR_TIMEOUT:
		/* evdns reports SERVFAIL as this, too, but that comes sooner */
		wire_failed(w, clock_ms() - w->sent_ms >= ANSWER_MS / 2);
		break;
	default:
		wire_failed(w, false);
	}
}

/* Calls back everyone who waited. Any of them may ask, cancel, reload or free in the callback. */
static void wake_all(struct resolver *r, struct query_list *waiting, const char *name, int err,
		     const struct in6_addr *addrs, size_t n)
{
	struct resolver_query *q;

	r->busy++;
	while (!r->dead && (q = TAILQ_FIRST(waiting))) {
		query_unlist(q);
		query_result(q, name, err, addrs, n);
	}
	r->busy--;
	if (r->dead && r->busy == 0)
		free(r);
}

static void wire_done(struct wire *w, int err, const struct in6_addr *addrs, size_t n,
		      uint64_t ttl_ms)
{
	struct query_list waiting = TAILQ_HEAD_INITIALIZER(waiting);
	struct resolver *r = w->r;
	char name[NAME_BUF];

	snprintf(name, sizeof(name), "%s", w->e->name);
	queries_move(&waiting, &w->e->waiting);
	wire_unlist(r, w);
	entry_settle(r, w->e, err, addrs, n, ttl_ms);
	free(w);
	wake_all(r, &waiting, name, err, addrs, n);
}

static void on_tell(evutil_socket_t fd, short what, void *arg)
{
	struct resolver *r = arg;

	(void)fd;
	(void)what;
	wake_all(r, &r->given_up, "", -ETIMEDOUT, NULL, 0);
}

/* The entry with its question under way, or NULL. */
static struct entry *entry_ask(struct resolver *r, const char *name, int family,
			       struct share *share)
{
	size_t len = strlen(name);
	struct entry *e;

	if (len == 0 || len > NAME_MAX_LEN)
		return NULL;
	e = calloc(1, sizeof(*e) + len + 1);
	if (!e)
		return NULL;
	TAILQ_INIT(&e->waiting);
	e->family = family;
	e->share = share;
	memcpy(e->name, name, len + 1);
	if (!wire_new(r, e)) {
		free(e);
		return NULL;
	}
	LIST_INSERT_HEAD(bucket(r, name, family), e, chain);
	return e;
}

/* Returns true if the query now waits; else it has been finished. */
static bool query_try(struct resolver_query *q, const char *name, int family)
{
	struct resolver *r = q->r;
	struct entry *e = entry_find(r, name, family);
	struct in6_addr addrs[RESOLVER_ADDRESSES];

	q->family = family;
	if (e && !e->wire) {
		r->stats.cached++;
		/* a copy, because the callback may empty the cache */
		if (e->n)
			memcpy(addrs, e->addrs, e->n * sizeof(*addrs));
		return query_result(q, name, e->err, addrs, e->n);
	}
	if (!e)
		e = entry_ask(r, name, family, q->share);
	if (!e)
		return query_result(q, name, -EIO, NULL, 0);
	q->list = &e->waiting;
	TAILQ_INSERT_TAIL(&e->waiting, q, link);
	return true;
}

/* Asks all questions under way again, at other servers. */
static void ask_again(struct resolver *r, const struct server_set *servers)
{
	struct entry_list entries = TAILQ_HEAD_INITIALIZER(entries);
	struct query_list failed = TAILQ_HEAD_INITIALIZER(failed);
	struct resolver_query *q;
	struct entry *e;
	struct wire *w;

	while ((w = TAILQ_FIRST(&r->wires))) {
		TAILQ_INSERT_TAIL(&entries, w->e, age);
		wire_abandon(w);
	}
	servers_close(&r->servers);
	r->servers = *servers;
	r->first = 0;
	while ((e = TAILQ_FIRST(&entries))) {
		TAILQ_REMOVE(&entries, e, age);
		if (wire_new(r, e))
			continue;
		TAILQ_FOREACH (q, &e->waiting, link) {
			q->second = true; /* no use asking for the other family */
			q->err = -EIO;
		}
		queries_move(&failed, &e->waiting);
		LIST_REMOVE(e, chain);
		free(e);
	}
	wake_all(r, &failed, "", -EIO, NULL, 0);
}

/* ---- public ---- */

struct resolver *resolver_new(struct event_base *base, const struct conf *conf, char *err,
			      size_t err_len)
{
	struct resolver *r = calloc(1, sizeof(*r));

	if (!r) {
		snprintf(err, err_len, "resolver: %s", strerror(ENOMEM));
		return NULL;
	}
	evdns_set_log_fn(quiet);
	r->base = base;
	TAILQ_INIT(&r->by_age);
	TAILQ_INIT(&r->queries);
	TAILQ_INIT(&r->wires);
	TAILQ_INIT(&r->given_up);
	for (size_t i = 0; i < SHARES; i++)
		TAILQ_INIT(&r->shares[i].wires);
	if (!resolver_key_is_zero)
		evutil_secure_rng_get_bytes(r->key, sizeof(r->key));
	r->tell = event_new(base, -1, 0, on_tell, r);
	r->hosts = hosts_new(conf->hosts);
	if (!r->tell || !r->hosts) {
		snprintf(err, err_len, "resolver: %s", strerror(ENOMEM));
		resolver_free(r);
		return NULL;
	}
	if (servers_open(&r->servers, base, conf, err, err_len) != 0) {
		resolver_free(r);
		return NULL;
	}
	return r;
}

void resolver_free(struct resolver *r)
{
	struct wire *w;

	if (!r)
		return;
	while (!TAILQ_EMPTY(&r->queries))
		query_free(TAILQ_FIRST(&r->queries));
	while ((w = TAILQ_FIRST(&r->wires))) {
		struct entry *e = w->e;

		wire_abandon(w);
		LIST_REMOVE(e, chain);
		free(e);
	}
	cache_empty(r);
	servers_close(&r->servers);
	hosts_free(r->hosts);
	if (r->tell)
		event_free(r->tell);
	r->dead = true;
	if (r->busy == 0)
		free(r);
}

int resolver_reload(struct resolver *r, const struct conf *conf)
{
	struct wire_list old = TAILQ_HEAD_INITIALIZER(old);
	struct server_set servers;
	struct hosts *hosts;
	char err[128];
	int rc;

	rc = servers_open(&servers, r->base, conf, err, sizeof(err));
	if (rc != 0)
		return rc;
	hosts = hosts_new(conf->hosts);
	if (!hosts) {
		servers_close(&servers);
		return -ENOMEM;
	}
	hosts_free(r->hosts);
	r->hosts = hosts;
	cache_empty(r);
	ask_again(r, &servers);
	return 0;
}

struct resolver_query *resolver_ask(struct resolver *r, const char *name, int family,
				    const struct client_key *client, resolver_done done, void *arg)
{
	struct in6_addr addrs[RESOLVER_ADDRESSES];
	struct resolver_query *q;
	size_t n;

	if (address_literal(name, strlen(name), &addrs[0]) == 0 ||
	    inet_pton(AF_INET6, name, &addrs[0]) == 1) {
		done(arg, 0, addrs, 1);
		return NULL;
	}
	n = hosts_find(r->hosts, now_ms(), name, family, addrs, RESOLVER_ADDRESSES);
	if (n > 0) {
		r->stats.cached++;
		done(arg, 0, addrs, n);
		return NULL;
	}
	q = calloc(1, sizeof(*q));
	if (!q) {
		r->stats.failed++;
		done(arg, -EIO, NULL, 0);
		return NULL;
	}
	*q = (struct resolver_query){
		.r = r, .done = done, .arg = arg, .share = share_of(r, client)
	};
	TAILQ_INSERT_TAIL(&r->queries, q, all);
	return query_try(q, name, family) ? q : NULL;
}

void resolver_cancel(struct resolver_query *q)
{
	query_free(q);
}

void resolver_forget(struct resolver *r, const char *name)
{
	static const int families[] = { AF_INET, AF_INET6 };

	for (size_t i = 0; i < 2; i++) {
		struct entry *e = entry_find(r, name, families[i]);

		/* keep a young one: a name that leads nowhere on purpose must not make us ask every
		   time */
		if (e && !e->wire && now_ms() - e->settled_ms >= FAILURE_MS)
			entry_remove(r, e);
	}
}

void resolver_stats(const struct resolver *r, struct resolver_stats *out)
{
	*out = r->stats;
}
