/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The way to a destination: the addresses that may be tried, one after the other, until one takes
 * the connection or the time is over. It knows nothing of a struct conn: the caller resolves the
 * name, watches the socket and keeps the time.
 */
#ifndef SLUICE_SLOWPATH_PROXY_CONNECTOR_H
#define SLUICE_SLOWPATH_PROXY_CONNECTOR_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "conf/conf.h"
#include "slowpath/address/address.h"

#define CONNECT_ADDRESSES 16 /* of one name that are tried, at most */

struct connector {
	struct in6_addr at[CONNECT_ADDRESSES]; /* all of them may be connected to */
	size_t n, next;
	uint64_t by_ms;		  /* of clock_ms(): when the time is over */
	struct endpoint_addr dst; /* of the present attempt, or of the last one */
};

/* Adds an address if it may be tried: if it is neither refused nor a listener of ours. */
void connector_add(struct connector *k, const struct conf *start, const struct conf *conf,
		   const struct endpoint_addr *to);
/* Adds all addresses of a name; `wanted` comes first if it is one of them. */
void connector_add_all(struct connector *k, const struct conf *start, const struct conf *conf,
		       const struct endpoint_addr *wanted, const struct in6_addr *at, size_t n);
/* Whether there is an address left to try. */
static inline bool connector_has_next(const struct connector *k)
{
	return k->next < k->n;
}

/* Begins to connect to the next address, of which there is one: a socket, whose connection is under
   way, with the mark on it (0: none); or -errno. */
int connector_next(struct connector *k, uint16_t port, uint32_t mark);
/* How long the present attempt may take: it and each address left have equal shares of the time
   left. */
uint64_t connector_limit_ms(const struct connector *k, uint64_t now_ms);
/* The reason (REASON_*) that an error of an attempt stands for. */
unsigned connector_reason(int error);

#endif
