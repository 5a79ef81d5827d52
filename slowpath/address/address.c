// SPDX-License-Identifier: GPL-2.0-or-later
// Addresses: 16 bytes whatever the family, judged by one table.
#include "slowpath/address/address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "slowpath/address/own.h"

/* SO_ORIGINAL_DST and IP6T_SO_ORIGINAL_DST of linux/netfilter_ipv4.h and
   linux/netfilter_ipv6/ip6_tables.h, which cannot be included together with netinet/in.h. */
#define ORIGINAL_DST 80
#define PARTS_MAX 4 /* the address, two of Teredo, one of nat64_prefixes */

struct prefix {
	uint8_t addr[16];
	uint8_t bits;
	bool reachable; /* globally reachable: an exception inside a larger block */
};

#define V4(a, b, c, d, len)                                                                        \
	{                                                                                          \
		{ 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d }, 96 + (len), false        \
	}
#define V4_REACHABLE(a, b, c, d, len)                                                              \
	{                                                                                          \
		{ 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d }, 96 + (len), true         \
	}
/* the first 48 bits are enough for all but the few rows that are written out */
#define V6(a, b, c, len)                                                                           \
	{                                                                                          \
		{ (a) >> 8, (a)&0xff, (b) >> 8, (b)&0xff, (c) >> 8, (c)&0xff }, len, false         \
	}
#define V6_REACHABLE(a, b, c, len)                                                                 \
	{                                                                                          \
		{ (a) >> 8, (a)&0xff, (b) >> 8, (b)&0xff, (c) >> 8, (c)&0xff }, len, true          \
	}

/*
 * The IANA IPv4 and IPv6 special-purpose address registries (RFC 6890, RFC 8190), multicast, and
 * reserved blocks. The longest matching row decides; an address that matches none is an ordinary
 * one. ORCHIDs count as reachable in the registry, but they name a host and not where it is, so
 * they are refused.
 */
static const struct prefix special[] = {
	V4(0, 0, 0, 0, 8),		     /* RFC 791: this network */
	V4(10, 0, 0, 0, 8),		     /* RFC 1918: private */
	V4(100, 64, 0, 0, 10),		     /* RFC 6598: shared */
	V4(127, 0, 0, 0, 8),		     /* RFC 1122: loopback */
	V4(169, 254, 0, 0, 16),		     /* RFC 3927: link-local; cloud metadata lives here */
	V4(172, 16, 0, 0, 12),		     /* RFC 1918: private */
	V4(192, 0, 0, 0, 24),		     /* RFC 6890: IETF protocol assignments */
	V4_REACHABLE(192, 0, 0, 9, 32),	     /* RFC 7723: port control protocol anycast */
	V4_REACHABLE(192, 0, 0, 10, 32),     /* RFC 8155: TURN anycast */
	V4(192, 0, 2, 0, 24),		     /* RFC 5737: documentation */
	V4(192, 88, 99, 0, 24),		     /* RFC 7526: 6to4 relays, deprecated */
	V4(192, 168, 0, 0, 16),		     /* RFC 1918: private */
	V4(198, 18, 0, 0, 15),		     /* RFC 2544: benchmarking */
	V4(198, 51, 100, 0, 24),	     /* RFC 5737: documentation */
	V4(203, 0, 113, 0, 24),		     /* RFC 5737: documentation */
	V4(224, 0, 0, 0, 4),		     /* RFC 5771: multicast */
	V4(240, 0, 0, 0, 4),		     /* RFC 1112: reserved; RFC 8190: broadcast */
	V4_REACHABLE(0, 0, 0, 0, 0),	     /* RFC 4291: v4-mapped, but for the rows above */
	V6(0x0000, 0x0000, 0x0000, 8),	     /* RFC 4291: unspecified, loopback, v4-compatible;
						reserved, where translators put IPv4 (RFC 2765) */
	V6_REACHABLE(0x0064, 0xff9b, 0, 96), /* RFC 6052: NAT64, judged by what is inside */
	V6(0x0064, 0xff9b, 0x0001, 48),	     /* RFC 8215: local-use translation */
	V6(0x0100, 0x0000, 0x0000, 63),	     /* RFC 6666: discard; RFC 9780: dummy prefix */
	V6(0x2001, 0x0000, 0x0000, 23),	     /* RFC 2928: IETF protocol assignments, Teredo */
	V6_REACHABLE(0x2001, 0x0003, 0, 32), /* RFC 7450: AMT */
	V6_REACHABLE(0x2001, 0x0004, 0x0112, 48),      /* RFC 7535: AS112 */
	{ { 0x20, 0x01, 0, 1, [15] = 1 }, 128, true }, /* RFC 7723: port control protocol */
	{ { 0x20, 0x01, 0, 1, [15] = 2 }, 128, true }, /* RFC 8155: TURN */
	{ { 0x20, 0x01, 0, 1, [15] = 3 }, 128, true }, /* RFC 9665: DNS-SD registration */
	V6(0x2001, 0x0db8, 0x0000, 32),		       /* RFC 3849: documentation */
	V6(0x2002, 0x0000, 0x0000, 16), /* RFC 3056: 6to4, which nobody routes (RFC 7526) */
	V6(0x3fff, 0x0000, 0x0000, 20), /* RFC 9637: documentation */
	V6(0x5f00, 0x0000, 0x0000, 16), /* RFC 9602: segment routing identifiers */
	V6(0xfc00, 0x0000, 0x0000, 7),	/* RFC 4193: unique-local */
	V6(0xfe80, 0x0000, 0x0000, 10), /* RFC 4291: link-local */
	V6(0xfec0, 0x0000, 0x0000, 10), /* RFC 3879: site-local, deprecated */
	V6(0xff00, 0x0000, 0x0000, 8),	/* RFC 4291: multicast */
};

/*
 * Where a cloud gives a machine its credentials, or where the machine reports to it. Those belong
 * to the gateway, whatever block the address is from, so opening one of these takes an entry for
 * just that address, as for the gateway's own addresses. An address in no special block is refused
 * by its row here.
 */
static const struct prefix metadata[] = {
	V4(168, 63, 129, 16, 32),   /* Azure: the host, "What is IP address 168.63.129.16?" */
	V4(169, 254, 169, 254, 32), /* Amazon EC2, "Instance metadata"; nearly all others as well */
	V4(100, 100, 100, 200, 32), /* Alibaba ECS, "Instance metadata" */
	V4(192, 0, 0, 192, 32),	    /* Oracle, "Retrieve Predefined Instance Metadata" */
	V4(169, 254, 42, 42, 32),   /* Scaleway; cloud-init, "Scaleway" */
	{ { 0xfd, 0, 0x0e, 0xc2, [14] = 2, [15] = 0x54 }, 128, false }, /* EC2 by IPv6 */
	{ { 0xfd, 0x20, 0, 0xce, [14] = 2, [15] = 0x54 }, 128, false }, /* Compute Engine by IPv6 */
	{ { 0xfd, 0, 0, 0x42, [15] = 0x42 }, 128, false },		/* Scaleway by IPv6 */
};

/* Where an IPv6 address carries an IPv4 address. */
struct carrier {
	struct prefix in;
	uint8_t at;	/* offset of the four bytes, skipping byte 8 (RFC 6052) */
	uint8_t invert; /* xored over them */
	bool whole; /* the address carries nothing else: listing the IPv4 address lists it too */
};

static const struct carrier carriers[] = {
	{ V6(0x0000, 0x0000, 0x0000, 96), 12, 0, true },       /* RFC 4291 2.5.5.1: v4-compatible */
	{ { { [8] = 0xff, 0xff }, 96, false }, 12, 0, false }, /* RFC 2765: IPv4-translated */
	{ V6(0x0064, 0xff9b, 0x0000, 96), 12, 0, true },       /* RFC 6052: NAT64 */
	{ V6(0x2002, 0x0000, 0x0000, 16), 2, 0, true },	       /* RFC 3056: 6to4 */
	{ V6(0x2001, 0x0000, 0x0000, 32), 12, 0xff, false },   /* RFC 4380: Teredo, the client */
	{ V6(0x2001, 0x0000, 0x0000, 32), 4, 0, false },       /* RFC 4380: Teredo, the server */
};

/* An address and every IPv4 address that it carries. */
struct parts {
	struct part {
		uint8_t addr[16];
		bool lists; /* listing this part lists the whole */
	} at[PARTS_MAX];
	size_t n;
	bool translated; /* by a prefix of nat64_prefixes: only the IPv4 address inside matters */
};

static bool row_is_special(const uint8_t addr[16])
{
	const struct prefix *best = NULL;

	for (size_t i = 0; i < sizeof(special) / sizeof(special[0]); i++) {
		const struct prefix *p = &special[i];

		if (cidr_agree(p->addr, addr, p->bits) && (!best || p->bits > best->bits))
			best = p;
	}
	return best && !best->reachable;
}

static bool list_has(const struct cidr_list *list, const uint8_t addr[16])
{
	for (size_t i = 0; i < list->n; i++)
		if (cidr_has(&list->at[i], addr))
			return true;
	return false;
}

/* ---- what is ours ---- */

/* All of 127/8 is this machine, and so is the unspecified address to connect(), whatever addresses
   the interfaces have. */
static bool is_here(const struct in6_addr *ip)
{
	return (address_is_v4(ip) && (ip->s6_addr[12] == 127 || ip->s6_addr[12] == 0)) ||
	       IN6_IS_ADDR_LOOPBACK(ip) || IN6_IS_ADDR_UNSPECIFIED(ip);
}

static bool is_own(const struct conf *conf, const uint8_t addr[16])
{
	struct in6_addr ip;

	memcpy(&ip, addr, sizeof(ip));
	return is_here(&ip) || own_has(addr) || list_has(&conf->own_addresses, addr);
}

static bool is_metadata(const uint8_t addr[16])
{
	for (size_t i = 0; i < sizeof(metadata) / sizeof(metadata[0]); i++)
		if (memcmp(metadata[i].addr, addr, 16) == 0)
			return true;
	return false;
}

/* Opened only by an entry of its full length: someone who lists a network means the other addresses
   in it. */
static bool is_guarded(const struct conf *conf, const uint8_t addr[16])
{
	return is_own(conf, addr) || is_metadata(addr);
}

/* ---- what an address carries ---- */

/* Adds the carried address as a v4-mapped one. */
static void add_carried(struct parts *p, const struct carrier *c, const uint8_t addr[16])
{
	struct part *part = &p->at[p->n++];
	unsigned from = c->at;
	uint8_t v4[4];

	for (unsigned i = 0; i < 4; i++) {
		if (from == 8)
			from++;
		v4[i] = addr[from++] ^ c->invert;
	}
	part->lists = c->whole;
	cidr_from_v4(part->addr, v4);
}

/* Loopback and the unspecified address look v4-compatible and are not. */
static bool is_carried_by(const struct carrier *c, const struct in6_addr *ip)
{
	return cidr_agree(c->in.addr, ip->s6_addr, c->in.bits) && !IN6_IS_ADDR_LOOPBACK(ip) &&
	       !IN6_IS_ADDR_UNSPECIFIED(ip);
}

/* The longest of nat64_prefixes that holds the address, chosen like a route; or NULL. */
static const struct cidr *translator_of(const struct conf *conf, const uint8_t addr[16])
{
	const struct cidr *best = NULL;

	for (size_t i = 0; i < conf->nat64_prefixes.n; i++) {
		const struct cidr *c = &conf->nat64_prefixes.at[i];

		if (cidr_has(c, addr) && (!best || c->bits > best->bits))
			best = c;
	}
	return best;
}

static void look_inside(const struct conf *conf, const struct in6_addr *ip, struct parts *p)
{
	const struct cidr *prefix = translator_of(conf, ip->s6_addr);

	*p = (struct parts){ .n = 1, .at[0].lists = true };
	memcpy(p->at[0].addr, ip, 16);
	for (size_t i = 0; i < sizeof(carriers) / sizeof(carriers[0]); i++)
		if (is_carried_by(&carriers[i], ip))
			add_carried(p, &carriers[i], ip->s6_addr);
	if (!prefix)
		return;
	add_carried(p, &(struct carrier){ .at = prefix->bits / 8, .whole = true }, ip->s6_addr);
	/* No translator makes an address with another byte 8: such a one stands for itself. */
	p->translated = ip->s6_addr[8] == 0;
}

static bool any_is_own(const struct conf *conf, const struct parts *p)
{
	for (size_t i = 0; i < p->n; i++)
		if (is_own(conf, p->at[i].addr))
			return true;
	return false;
}

/* ---- the verdict ---- */

/* whole: only an entry of the full length counts */
static bool is_listed(const struct cidr_list *list, const uint8_t addr[16], bool whole)
{
	for (size_t i = 0; i < list->n; i++)
		if ((!whole || list->at[i].bits == 128) && cidr_has(&list->at[i], addr))
			return true;
	return false;
}

/* True if private_networks lists the address as it stands, or the only thing that it carries: that
   is an explicit wish. */
static bool parts_are_listed(const struct conf *conf, const struct parts *p)
{
	bool whole = false;

	for (size_t i = 0; i < p->n; i++)
		whole |= is_guarded(conf, p->at[i].addr);
	for (size_t i = 0; i < p->n; i++)
		if (p->at[i].lists && is_listed(&conf->private_networks, p->at[i].addr, whole))
			return true;
	return false;
}

static bool parts_are_refused(const struct conf *conf, const struct parts *p)
{
	for (size_t i = 0; i < p->n; i++) {
		if (is_guarded(conf, p->at[i].addr))
			return true;
		if (row_is_special(p->at[i].addr) && !(i == 0 && p->translated))
			return true;
	}
	return false;
}

static bool same(const struct endpoint_addr *a, const struct endpoint_addr *b)
{
	return a->port == b->port && memcmp(&a->ip, &b->ip, sizeof(a->ip)) == 0;
}

static bool is_listener_port(const struct conf *conf, uint16_t port)
{
	struct endpoint_addr l;

	for (size_t i = 0; i < conf->n_listeners; i++)
		for (size_t k = 0; k < conf->listeners[i].n; k++) {
			address_from_sockaddr(&l, (struct sockaddr *)&conf->listeners[i].at[k]);
			if (l.port == port)
				return true;
		}
	return false;
}

/* Whether the connection was made to exactly this address and port of ours. */
static bool is_local_end(int fd, const struct endpoint_addr *a)
{
	struct sockaddr_storage ss = { 0 };
	socklen_t len = sizeof(ss);
	struct endpoint_addr local;

	if (getsockname(fd, (struct sockaddr *)&ss, &len) != 0)
		return true;
	address_from_sockaddr(&local, (struct sockaddr *)&ss);
	return same(&local, a);
}

/* A socket that was reset no longer owns its addresses. */
static bool is_connected(int fd)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);

	return getpeername(fd, (struct sockaddr *)&ss, &len) == 0;
}

int address_original(int fd, const struct conf *start, const struct conf *now,
		     const struct endpoint_addr *client, struct endpoint_addr *dst)
{
	int level = address_is_v4(&client->ip) ? IPPROTO_IP : IPPROTO_IPV6;
	struct sockaddr_storage ss = { 0 };
	socklen_t len = sizeof(ss);
	struct endpoint_addr asked;

	if (getsockopt(fd, level, ORIGINAL_DST, &ss, &len) != 0)
		return errno == ENOPROTOOPT ? -ENOENT :
					      -errno; /* a kernel without connection tracking */
	address_from_sockaddr(&asked, (struct sockaddr *)&ss);
	/* The order matters: a socket that is connected now was also connected when the entry was
	   looked up. And an entry that began with a packet of ours, because the client's entry was
	   gone by then, has the client as its destination. */
	if (!is_connected(fd) || same(&asked, client))
		return -ENOENT;
	if (is_listener_port(start, asked.port) &&
	    (address_is_own_listener(start, now, &asked) || is_local_end(fd, &asked)))
		return -ELOOP;
	*dst = asked;
	return 0;
}

void address_from_sockaddr(struct endpoint_addr *out, const struct sockaddr *sa)
{
	struct endpoint_addr a = { 0 };

	cidr_from_sockaddr(a.ip.s6_addr, sa);
	if (sa->sa_family == AF_INET)
		a.port = ntohs(((const struct sockaddr_in *)sa)->sin_port);
	else if (sa->sa_family == AF_INET6)
		a.port = ntohs(((const struct sockaddr_in6 *)sa)->sin6_port);
	*out = a;
}

socklen_t address_to_sockaddr(const struct endpoint_addr *a, struct sockaddr_storage *out)
{
	memset(out, 0, sizeof(*out));
	if (address_is_v4(&a->ip)) {
		struct sockaddr_in *sin = (struct sockaddr_in *)out;

		sin->sin_family = AF_INET;
		sin->sin_port = htons(a->port);
		memcpy(&sin->sin_addr, a->ip.s6_addr + 12, 4);
		return sizeof(*sin);
	}
	struct sockaddr_in6 *sin6 = (struct sockaddr_in6 *)out;

	sin6->sin6_family = AF_INET6;
	sin6->sin6_port = htons(a->port);
	sin6->sin6_addr = a->ip;
	return sizeof(*sin6);
}

bool address_is_v4(const struct in6_addr *ip)
{
	return IN6_IS_ADDR_V4MAPPED(ip);
}

bool address_is_refused(const struct conf *conf, const struct in6_addr *ip)
{
	struct parts p;

	look_inside(conf, ip, &p);
	return !parts_are_listed(conf, &p) && parts_are_refused(conf, &p);
}

/* own: a is an address of this machine */
static bool listens_at(const struct sockaddr_storage *ss, const struct endpoint_addr *a, bool own)
{
	struct endpoint_addr l;

	address_from_sockaddr(&l, (const struct sockaddr *)ss);
	return l.port == a->port && (own || same(&l, a));
}

bool address_is_own_listener(const struct conf *start, const struct conf *now,
			     const struct endpoint_addr *a)
{
	struct parts p;
	bool own;

	look_inside(now, &a->ip, &p);
	own = any_is_own(now, &p);
	for (size_t i = 0; i < start->n_listeners; i++)
		for (size_t k = 0; k < start->listeners[i].n; k++)
			if (listens_at(&start->listeners[i].at[k], a, own))
				return true;
	for (size_t i = 0; i < start->metrics.n; i++)
		if (listens_at(&start->metrics.at[i], a, own))
			return true;
	return false;
}

char *address_print(const struct endpoint_addr *a, bool with_port, char buf[ADDRESS_TEXT])
{
	char ip[INET6_ADDRSTRLEN];
	bool v4 = address_is_v4(&a->ip);

	if (v4)
		inet_ntop(AF_INET, a->ip.s6_addr + 12, ip, sizeof(ip));
	else
		inet_ntop(AF_INET6, &a->ip, ip, sizeof(ip));
	if (!with_port)
		snprintf(buf, ADDRESS_TEXT, "%s", ip);
	else
		snprintf(buf, ADDRESS_TEXT, v4 ? "%s:%u" : "[%s]:%u", ip, a->port);
	return buf;
}

int address_literal(const char *text, size_t len, struct in6_addr *out)
{
	char copy[INET6_ADDRSTRLEN];
	struct in6_addr ip = { 0 };
	struct in_addr v4;
	bool v6 = len >= 2 && text[0] == '[' && text[len - 1] == ']';

	if (v6) {
		text++;
		len -= 2;
	}
	/* inet_pton() stops at a NUL: text with one inside is not an address */
	if (len == 0 || len >= sizeof(copy) || memchr(text, '\0', len))
		return -EINVAL;
	memcpy(copy, text, len);
	copy[len] = '\0';
	if (v6) {
		if (inet_pton(AF_INET6, copy, &ip) != 1)
			return -EINVAL;
	} else {
		if (inet_pton(AF_INET, copy, &v4) != 1)
			return -EINVAL;
		cidr_from_v4(ip.s6_addr, &v4);
	}
	*out = ip;
	return 0;
}
