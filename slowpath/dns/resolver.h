/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Names to addresses for one worker: libevent's evdns for the asking, the hosts file first, a
 * cache that honours TTL (RFC 1035 3.2.1; at most CACHE_MAX names, answers capped at one day,
 * failures kept for a few seconds), and one question on the wire however many flows wait for
 * it. No search domains: a name is the name that was judged.
 *
 * Name servers: those of the configuration in its order, or the `nameserver` lines of
 * /etc/resolv.conf as they are at start and reload (at most 8). The last one that answered is
 * asked first; one that is silent for 2 s, or fails, makes way for the next, three tries in
 * all. A truncated answer is asked for again over TCP.
 *
 * Names whose servers never answer must not take the place of others: of WIRES_MAX questions
 * under way one client has a share, and when its share or all places are taken, the oldest
 * question makes way for a new one once it has waited JOSTLE_MS.
 *
 * Limits, evdns's own: no EDNS0, no DNSSEC, one source port for the life of a server's socket
 * and 16 bits of identity (its letter-case check does not check in 2.1.12), any port of a server's
 * address. Clients must have no way to send datagrams in a name server's name; a resolver on this
 * machine is best. Its sockets cannot be marked: they are evdns's, and what this machine asks
 * passes no REDIRECT of PREROUTING.
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

#define RESOLVER_ADDRESSES 128 /* at most that many of an answer are kept */

/* Sixteen-byte addresses, IPv4 as v4-mapped. err: 0, or -ENOENT (no such name or no address),
   -ETIMEDOUT, -EIO (the name server failed). addrs is borrowed for the call. */
typedef void (*resolver_done)(void *arg, int err, const struct in6_addr *addrs, size_t n);

struct resolver *resolver_new(struct event_base *base, const struct conf *conf, char *err,
			      size_t err_len);
/* No callback is called any more, NULL is fine. Questions that were under way are freed by the
   next turn of the loop: give it one before freeing the base. */
void resolver_free(struct resolver *r);
int resolver_reload(struct resolver *r, const struct conf *conf); /* new servers, cache emptied */

/*
 * family AF_INET or AF_INET6: that kind of address first; if the name has none, the other.
 * Returns NULL if `done` was already called (cache, hosts file, numeric), else a query to
 * cancel. name is normalised and NUL-terminated; copied. client is whose share of the questions
 * under way a new one counts to.
 */
struct resolver_query *resolver_ask(struct resolver *r, const char *name, int family,
				    const struct client_key *client, resolver_done done, void *arg);
void resolver_cancel(struct resolver_query *q); /* done will not be called */

/* Nobody is at the addresses of this name: an answer older than a second is not used again. */
void resolver_forget(struct resolver *r, const char *name);

struct resolver_stats {
	unsigned long asked;	/* questions sent, second tries included */
	unsigned long cached;	/* answered without one: cache, hosts file */
	unsigned long failed;	/* asked by a caller and ended in an error */
	unsigned long given_up; /* questions that made way for others, or were not asked at all */
	unsigned long pending;	/* questions under way */
	unsigned long names;	/* answers in the cache */
};
void resolver_stats(const struct resolver *r, struct resolver_stats *out);

/* For tests: added to the clock of the cache and of the oldest question; where it stands, if not 0.
 */
extern uint64_t resolver_clock_skew_ms, resolver_clock_stands_at_ms;

#endif
