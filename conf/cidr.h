/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Networks of both families in one form. Addresses are in network byte order. */
#ifndef SLUICE_CONF_CIDR_H
#define SLUICE_CONF_CIDR_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

/* An address of either family as 16 bytes; IPv4 as ::ffff:a.b.c.d (RFC 4291 2.5.5.2). */
struct cidr {
	uint8_t addr[16];
	uint8_t bits; /* of the 16 bytes: 96 to 128 for IPv4 */
};

/* An IPv4 address, four bytes, as ::ffff:a.b.c.d. */
void cidr_from_v4(uint8_t out[16], const void *v4);
/* Clears all bits of an address after the first `bits`. */
void cidr_mask(uint8_t addr[16], unsigned bits);
/* Whether two addresses agree in their first `bits` bits. */
bool cidr_agree(const uint8_t a[16], const uint8_t b[16], unsigned bits);

/* "192.0.2.0/24", "2001:db8::1"; a bare address is a full prefix, host bits must be zero. */
int cidr_parse(const char *text, struct cidr *out); /* 0 or -EINVAL, out untouched */
/* An IPv6 network shorter than /96 has no IPv4 address: `::/0` is all of IPv6 only. */
bool cidr_has(const struct cidr *c, const uint8_t addr[16]);
void cidr_from_sockaddr(uint8_t out[16], const struct sockaddr *sa); /* AF_INET, AF_INET6 */
void cidr_print(const struct cidr *c, char *buf, size_t len);

#endif
