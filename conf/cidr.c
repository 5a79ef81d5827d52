// SPDX-License-Identifier: GPL-2.0-or-later
// Networks of both families in one form. Here IPv4 lives inside IPv6, so an IPv6 network shorter
// than /96 (`::/0`) must be kept from holding all of IPv4.
#include "conf/cidr.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define V4_OFFSET 12 /* bytes before an IPv4 address */
#define V4_BITS (V4_OFFSET * 8)

static const uint8_t v4_prefix[V4_OFFSET] = { [10] = 0xff, [11] = 0xff };

static bool is_v4(const uint8_t addr[16])
{
	return memcmp(addr, v4_prefix, V4_OFFSET) == 0;
}

void cidr_from_v4(uint8_t out[16], const void *v4)
{
	memcpy(out, v4_prefix, V4_OFFSET);
	memcpy(out + V4_OFFSET, v4, 4);
}

void cidr_mask(uint8_t addr[16], unsigned bits)
{
	unsigned whole = bits / 8;

	if (whole >= 16)
		return;
	addr[whole] &= (uint8_t)(0xff00 >> bits % 8);
	memset(addr + whole + 1, 0, 15 - whole);
}

bool cidr_agree(const uint8_t a[16], const uint8_t b[16], unsigned bits)
{
	unsigned whole = bits / 8, rest = bits % 8;

	if (memcmp(a, b, whole) != 0)
		return false;
	return rest == 0 || ((a[whole] ^ b[whole]) >> (8 - rest)) == 0;
}

static int parse_bits(const char *text, unsigned most, uint8_t *out)
{
	unsigned bits = 0;

	if (!*text || strlen(text) > 3 || text[strspn(text, "0123456789")])
		return -EINVAL;
	for (; *text; text++)
		bits = bits * 10 + (unsigned)(*text - '0');
	if (bits > most)
		return -EINVAL;
	*out = (uint8_t)bits;
	return 0;
}

int cidr_parse_loose(const char *text, struct cidr *out)
{
	struct cidr c = { .bits = 128 };
	char addr[INET6_ADDRSTRLEN];
	size_t n = strcspn(text, "/");
	unsigned before = 0;
	struct in_addr v4;

	if (n >= sizeof(addr))
		return -EINVAL;
	memcpy(addr, text, n);
	addr[n] = '\0';
	if (inet_pton(AF_INET, addr, &v4) == 1) {
		cidr_from_v4(c.addr, &v4);
		before = V4_BITS;
	} else if (inet_pton(AF_INET6, addr, c.addr) != 1) {
		return -EINVAL;
	}
	if (text[n] == '/') {
		if (parse_bits(text + n + 1, 128 - before, &c.bits) != 0)
			return -EINVAL;
		c.bits = (uint8_t)(c.bits + before);
	}
	cidr_mask(c.addr, c.bits);
	*out = c;
	return 0;
}

/* An address with host bits is not the network's: whoever wrote it meant something else. */
int cidr_parse(const char *text, struct cidr *out)
{
	struct cidr c, full;
	char addr[INET6_ADDRSTRLEN + 1];
	size_t n = strcspn(text, "/");

	if (cidr_parse_loose(text, &c) != 0)
		return -EINVAL;
	memcpy(addr, text, n);
	addr[n] = '\0';
	if (cidr_parse_loose(addr, &full) != 0 || memcmp(full.addr, c.addr, 16) != 0)
		return -EINVAL;
	*out = c;
	return 0;
}

bool cidr_has(const struct cidr *c, const uint8_t addr[16])
{
	return (c->bits >= V4_BITS || !is_v4(addr)) && cidr_agree(c->addr, addr, c->bits);
}

void cidr_from_sockaddr(uint8_t out[16], const struct sockaddr *sa)
{
	if (sa->sa_family == AF_INET) {
		cidr_from_v4(out, &((const struct sockaddr_in *)sa)->sin_addr);
	} else if (sa->sa_family == AF_INET6) {
		memcpy(out, &((const struct sockaddr_in6 *)sa)->sin6_addr, 16);
	} else {
		memset(out, 0, 16);
	}
}

void cidr_print(const struct cidr *c, char *buf, size_t len)
{
	bool v4 = c->bits >= V4_BITS && is_v4(c->addr);
	char addr[INET6_ADDRSTRLEN] = "?";

	inet_ntop(v4 ? AF_INET : AF_INET6, v4 ? c->addr + V4_OFFSET : c->addr, addr, sizeof(addr));
	if (c->bits == 128)
		snprintf(buf, len, "%s", addr);
	else
		snprintf(buf, len, "%s/%u", addr, c->bits - (v4 ? V4_BITS : 0u));
}
