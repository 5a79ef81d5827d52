/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One DNS question over TCP (RFC 7766), for an answer that did not fit into a datagram: evdns has
 * neither TCP nor EDNS0 and treats a truncated answer as a failure.
 */
#ifndef SLUICE_SLOWPATH_DNS_TCP_H
#define SLUICE_SLOWPATH_DNS_TCP_H

#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

struct event_base;
struct dns_tcp;

#define DNS_TCP_ADDRESSES 128 /* at most this many are taken of an answer */

/* err: 0, -ENOENT, -EIO or -ETIMEDOUT. addrs, v4-mapped when IPv4, is borrowed for the call. */
typedef void (*dns_tcp_done)(void *arg, int err, const struct in6_addr *addrs, size_t n,
			     uint32_t ttl_s);

/* NULL if it could not be started. `done` is called once, from the loop; then everything is
   freed. */
struct dns_tcp *dns_tcp_ask(struct event_base *base, const struct sockaddr *server, socklen_t len,
			    const char *name, int family, unsigned timeout_ms, dns_tcp_done done,
			    void *arg);
void dns_tcp_cancel(struct dns_tcp *t); /* done will not be called */

#endif
