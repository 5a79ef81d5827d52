/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One DNS question over TCP (RFC 7766), for the answer that did not fit a datagram: evdns has
 * neither TCP nor EDNS0 and calls a truncated answer a failure.
 */
#ifndef SLUICE_SLOWPATH_DNS_TCP_H
#define SLUICE_SLOWPATH_DNS_TCP_H

#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

struct event_base;
struct dns_tcp;

#define DNS_TCP_ADDRESSES 128 /* of an answer are taken */

/* err: 0, -ENOENT, -EIO or -ETIMEDOUT. addrs, v4-mapped when IPv4, is borrowed for the call. */
typedef void (*dns_tcp_done)(void *arg, int err, const struct in6_addr *addrs, size_t n,
			     uint32_t ttl_s);

/* NULL if it could not be begun. `done` is called from the loop, once; then all is freed. */
struct dns_tcp *dns_tcp_ask(struct event_base *base, const struct sockaddr *server, socklen_t len,
			    const char *name, int family, unsigned timeout_ms, dns_tcp_done done,
			    void *arg);
void dns_tcp_cancel(struct dns_tcp *t); /* done will not be called */

#endif
