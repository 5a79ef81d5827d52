/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Addresses as the slow path needs them: where a redirected connection was going, whether we may
 * connect to a destination, and how to print an address.
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
 * The destination before REDIRECT (SO_ORIGINAL_DST, IP6T_SO_ORIGINAL_DST), from the connection's
 * entry in connection tracking, which the kernel finds by addresses and ports alone. 0; -ELOOP: the
 * entry proves that the connection was made to one of start's listeners; -ENOENT: it has no entry,
 * no longer has one, or the entry found may not be its own; or another -errno.
 */
int address_original(int fd, const struct conf *start, const struct conf *now,
		     const struct endpoint_addr *client, struct endpoint_addr *dst);

void address_from_sockaddr(struct endpoint_addr *out, const struct sockaddr *sa);
socklen_t address_to_sockaddr(const struct endpoint_addr *a, struct sockaddr_storage *out);
bool address_is_v4(const struct in6_addr *ip);

/*
 * Whether clients may not go there. True for addresses that are special by RFC 6890 and its
 * registries (loopback, link-local, private, shared, documentation, benchmark, multicast, reserved,
 * "this network", unique-local), for a cloud's metadata addresses, and for addresses of this
 * machine (slowpath/address/own.h, conf->own_addresses); unless conf->private_networks lists the
 * address, where the latter two kinds need an entry of full length. IPv4 inside IPv6 (v4-mapped,
 * v4-compatible, v4-translated, 64:ff9b::/96 and conf->nat64_prefixes, 6to4, Teredo) is judged as
 * well, and except for Teredo and v4-translated it is enough if the IPv4 address is listed.
 */
bool address_is_refused(const struct conf *conf, const struct in6_addr *ip);
/* Whether this is one of the machine's own addresses, or one that carries such an address, at the
   port of one of start's listeners. The configuration in force, `now`, decides which addresses are
   own and which carry one. */
bool address_is_own_listener(const struct conf *start, const struct conf *now,
			     const struct endpoint_addr *a);

/* "192.0.2.1", "2001:db8::1"; with_port: "192.0.2.1:443", "[2001:db8::1]:443". Returns buf. */
char *address_print(const struct endpoint_addr *a, bool with_port, char buf[ADDRESS_TEXT]);

/* A dotted quad, or an IPv6 address in brackets, as in a Host field. 0 or -EINVAL. */
int address_literal(const char *text, size_t len, struct in6_addr *out);

#endif
