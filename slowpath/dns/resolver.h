/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Resolves names to addresses for one worker: the hosts file first, then libevent's evdns, with a
 * cache that honours TTL (RFC 1035 3.2.1; at most CACHE_MAX names, answers capped at one day,
 * failures kept for a few seconds), and one question on the wire however many flows wait for it. No
 * search domains: exactly the name that was judged is looked up.
 *
 * Name servers: those of the configuration in its order, or the `nameserver` lines of
 * /etc/resolv.conf as they are at start and reload (at most 8). The last server that answered is
 * asked first; if a server is silent for 2 s, or fails, the next one is asked, three tries in all.
 * After a truncated answer the question is asked again over TCP.
 *
 * Names whose servers never answer must not crowd out others: each client has a share of the
 * WIRES_MAX questions under way, and when its share or all places are taken, the oldest question
 * makes way for a new one once it has waited JOSTLE_MS.
 *
 * Limits of evdns: no EDNS0, no DNSSEC, one source port for the life of a server's socket and 16
 * bits of identity (its letter-case check has no effect in 2.1.12), and answers from any port of a
 * server's address. Clients must have no way to send datagrams in a name server's name; a resolver
 * on this machine is best. The sockets cannot be marked, because they belong to evdns; but packets
 * that this machine itself sends do not pass a REDIRECT in PREROUTING.
 */
#ifndef SLUICE_SLOWPATH_DNS_RESOLVER_H
#define SLUICE_SLOWPATH_DNS_RESOLVER_H

#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>

#include "conf/conf.h"
#include "slowpath/address/clients.h"

struct event_base;
struct resolver;
struct resolver_query;

#define RESOLVER_ADDRESSES 128 /* at most this many are kept of an answer */

/* Sixteen-byte addresses, IPv4 as v4-mapped. err: 0, or -ENOENT (no such name or no address),
   -ETIMEDOUT, -EIO (the name server failed). addrs is borrowed for the call. */
typedef void (*resolver_done)(void *arg, int err, const struct in6_addr *addrs, size_t n);

struct resolver *resolver_new(struct event_base *base, const struct conf *conf, char *err,
			      size_t err_len);
/* No callback is called after this. NULL is fine. Questions under way are freed in the next turn of
   the loop, so let it turn once before freeing the base. */
void resolver_free(struct resolver *r);
int resolver_reload(struct resolver *r, const struct conf *conf); /* new servers, cache emptied */

/*
 * family AF_INET or AF_INET6: that family is tried first; if the name has no such address, the
 * other. Returns NULL if `done` was already called (cache, hosts file, numeric), else a query that
 * can be cancelled. name is normalised and NUL-terminated, and is copied. A new question counts
 * towards the share of `client`.
 */
struct resolver_query *resolver_ask(struct resolver *r, const char *name, int family,
				    const struct client_key *client, resolver_done done, void *arg);
void resolver_cancel(struct resolver_query *q); /* done will not be called */

/* Call this when no address of the name can be reached: an answer older than a second will not be
   used again. */
void resolver_forget(struct resolver *r, const char *name);

struct resolver_stats {
	unsigned long asked;	/* questions sent, including second tries */
	unsigned long cached;	/* answered without a question: cache, hosts file */
	unsigned long failed;	/* callers' queries that ended in an error */
	unsigned long given_up; /* questions that made way for others, or were not asked at all */
	unsigned long pending;	/* questions under way */
	unsigned long names;	/* answers in the cache */
};
void resolver_stats(const struct resolver *r, struct resolver_stats *out);

/* For tests: an offset of the clock that the cache and the oldest question go by; and, if not 0,
   the time at which it stands still. */
extern uint64_t resolver_clock_skew_ms, resolver_clock_stands_at_ms;
/* For tests of shares: with a random key two clients fall into one now and then. */
extern bool resolver_key_is_zero;

#endif
