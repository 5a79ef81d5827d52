/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Addresses as the slow path needs them: where a redirected connection was going, whether a
 * destination is one we may connect to, and how to write one down.
 */
#ifndef SLUICE_SLOWPATH_ADDRESS_ADDRESS_H
#define SLUICE_SLOWPATH_ADDRESS_ADDRESS_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "conf/conf.h"

#define ADDRESS_TEXT 64 /* "[v6]:port" and its NUL */

/* v4-mapped when IPv4; port in host byte order. */
struct endpoint_addr {
	struct in6_addr ip;
	uint16_t port;
};

/*
 * The destination before REDIRECT (SO_ORIGINAL_DST, IP6T_SO_ORIGINAL_DST), by the connection's
 * entry in connection tracking, which is found by addresses and ports alone. 0; -ELOOP: it was made
 * to one of start's listeners, by proof of its entry; -ENOENT: it has none, none any more, or what
 * is found need not be its own; or another -errno.
 */
int address_original(int fd, const struct conf *start, const struct conf *now,
		     const struct endpoint_addr *client, struct endpoint_addr *dst);

void address_from_sockaddr(struct endpoint_addr *out, const struct sockaddr *sa);
socklen_t address_to_sockaddr(const struct endpoint_addr *a, struct sockaddr_storage *out);
bool address_is_v4(const struct in6_addr *ip);

/*
 * Not a place for clients: special by RFC 6890 and its registries (loopback, link-local, private,
 * shared, documentation, benchmark, multicast, reserved, "this network", unique-local), where a
 * cloud has its metadata, or an address of this machine (slowpath/address/own.h,
 * conf->own_addresses); and not listed in conf->private_networks, where the latter two need an
 * entry of full length. IPv4 inside IPv6 (v4-mapped, v4-compatible, v4-translated, 64:ff9b::/96 and
 * conf->nat64_prefixes, 6to4, Teredo) is judged as well, and but for Teredo and v4-translated it is
 * enough if that is listed.
 */
bool address_is_refused(const struct conf *conf, const struct in6_addr *ip);
/* One of this machine's own addresses, or one that carries it, at a port that one of start's
   listeners has. Which are own and what carries one is for the configuration in force to say. */
bool address_is_own_listener(const struct conf *start, const struct conf *now,
			     const struct endpoint_addr *a);

/* "192.0.2.1", "2001:db8::1"; with_port: "192.0.2.1:443", "[2001:db8::1]:443". Returns buf. */
char *address_print(const struct endpoint_addr *a, bool with_port, char buf[ADDRESS_TEXT]);

/* A dotted quad, or an IPv6 address in brackets, as in a Host field. 0 or -EINVAL. */
int address_literal(const char *text, size_t len, struct in6_addr *out);

#endif
