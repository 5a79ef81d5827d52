// SPDX-License-Identifier: GPL-2.0-or-later
// Addresses: what is special, what is listed, how they are read and written.
#include "slowpath/address/address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <event2/event.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "slowpath/address/own.h"
#include "tests/unit/test.h"

static struct in6_addr ip(const char *text)
{
	struct in6_addr out = { 0 };

	if (inet_pton(AF_INET6, text, &out) == 1)
		return out;
	out.s6_addr[10] = out.s6_addr[11] = 0xff;
	if (inet_pton(AF_INET, text, out.s6_addr + 12) != 1)
		fprintf(stderr, "bad test address %s\n", text);
	return out;
}

static const struct {
	const char *text;
	bool special;
} table[] = {
	{ "0.0.0.0", true },
	{ "0.255.255.255", true },
	{ "1.0.0.0", false },
	{ "9.255.255.255", false },
	{ "10.0.0.0", true },
	{ "10.255.255.255", true },
	{ "11.0.0.0", false },
	{ "100.63.255.255", false },
	{ "100.64.0.0", true },
	{ "100.127.255.255", true },
	{ "100.128.0.0", false },
	{ "127.0.0.1", true },
	{ "127.255.255.255", true },
	{ "128.0.0.0", false },
	{ "168.63.129.15", false },
	{ "168.63.129.16", true },
	{ "168.63.129.17", false },
	{ "64:ff9b::168.63.129.16", true },
	{ "169.253.255.255", false },
	{ "169.254.169.254", true },
	{ "169.255.0.0", false },
	{ "172.15.255.255", false },
	{ "172.16.0.0", true },
	{ "172.31.255.255", true },
	{ "172.32.0.0", false },
	{ "192.0.0.1", true },
	{ "192.0.0.9", false },
	{ "192.0.0.10", false },
	{ "192.0.0.170", true },
	{ "192.0.1.0", false },
	{ "192.0.2.1", true },
	{ "192.88.99.1", true },
	{ "192.167.255.255", false },
	{ "192.168.0.0", true },
	{ "192.169.0.0", false },
	{ "198.17.255.255", false },
	{ "198.18.0.0", true },
	{ "198.19.255.255", true },
	{ "198.20.0.0", false },
	{ "198.51.100.7", true },
	{ "203.0.113.7", true },
	{ "203.0.114.0", false },
	{ "223.255.255.255", false },
	{ "224.0.0.1", true },
	{ "239.255.255.255", true },
	{ "240.0.0.1", true },
	{ "255.255.255.255", true },
	{ "93.184.216.34", false },
	{ "::", true },
	{ "::1", true },
	{ "::8.8.8.8", true },
	{ "::ffff:10.0.0.1", true },
	{ "::ffff:8.8.8.8", false },
	{ "::fffe:8.8.8.8", true },
	{ "::ffff:0:8.8.8.8", true },
	{ "ff::1", true },
	{ "64:ff9b::8.8.8.8", false },
	{ "64:ff9b::10.0.0.1", true },
	{ "64:ff9b::127.0.0.1", true },
	{ "64:ff9b::169.254.169.254", true },
	{ "64:ff9b:1::8.8.8.8", true },
	{ "100::1", true },
	{ "100:0:0:1::1", true },
	{ "100:0:0:2::1", false },
	{ "2001::1", true },
	{ "2001:1::1", false },
	{ "2001:1::2", false },
	{ "2001:1::3", false },
	{ "2001:1::4", true },
	{ "2001:2::1", true },
	{ "2001:3::1", false },
	{ "2001:4:112::1", false },
	{ "2001:10::1", true },
	{ "2001:20::1", true },
	{ "2001:30::1", true },
	{ "2001:40::1", true },
	{ "2001:1ff:ffff::1", true },
	{ "2001:200::1", false },
	{ "2001:db8::1", true },
	{ "2001:db9::1", false },
	{ "2002:a00:1::1", true },
	{ "2002:808:808::1", true },
	{ "2003::1", false },
	{ "2606:2800:220:1:248:1893:25c8:1946", false },
	{ "3fff::1", true },
	{ "3fff:fff::1", true },
	{ "3fff:1000::1", false },
	{ "5f00::1", true },
	{ "fbff::1", false },
	{ "fc00::1", true },
	{ "fdff::1", true },
	{ "fe80::1", true },
	{ "febf::1", true },
	{ "fec0::1", true },
	{ "ff02::1", true },
};

static void test_special(void)
{
	struct conf conf = { .private_networks = { NULL, 0 } };

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct in6_addr a = ip(table[i].text);

		if (address_is_refused(&conf, &a) != table[i].special)
			fprintf(stderr, "%s:\n", table[i].text);
		CHECK(address_is_refused(&conf, &a) == table[i].special);
	}
}

static bool refused(const struct conf *conf, const char *text)
{
	struct in6_addr a = ip(text);

	return address_is_refused(conf, &a);
}

static void test_refused(void)
{
	struct cidr nets[3] = { { .bits = 96 + 16 }, { .bits = 16 }, { .bits = 128 } };
	struct conf conf = { .private_networks = { nets, 0 } };
	struct in6_addr a = ip("10.1.0.0"), b = ip("fd00::"), c = ip("127.0.0.1");

	memcpy(nets[0].addr, &a, 16);
	memcpy(nets[1].addr, &b, 16);
	memcpy(nets[2].addr, &c, 16);
	CHECK(refused(&conf, "10.1.2.3"));
	conf.private_networks.n = 3;
	CHECK(!refused(&conf, "10.1.2.3"));
	CHECK(refused(&conf, "10.2.2.3"));
	CHECK(!refused(&conf, "fd00::7"));
	CHECK(refused(&conf, "fd01::7"));
	CHECK(!refused(&conf, "127.0.0.1"));
	CHECK(refused(&conf, "127.0.0.2"));
	CHECK(!refused(&conf, "93.184.216.34"));
	CHECK(refused(&conf, "::ffff:0:10.1.2.3"));
	/* the IPv4 address within is listed */
	CHECK(!refused(&conf, "64:ff9b::10.1.2.3"));
	CHECK(refused(&conf, "64:ff9b::10.2.2.3"));
	CHECK(!refused(&conf, "2002:a01:203::1"));
	CHECK(refused(&conf, "2002:a02:203::1"));
	CHECK(!refused(&conf, "::10.1.2.3"));
	CHECK(refused(&conf, "::10.2.2.3"));
	/* Teredo has a server as well as a client, and local translation can put them anywhere */
	CHECK(refused(&conf, "2001:0:a01:203::f5fe:fdfc"));
	CHECK(refused(&conf, "64:ff9b:1::10.1.2.3"));
}

/* One network is listed. */
static bool refused_with(const char *listed, const char *text)
{
	struct cidr net;
	struct conf conf = { .private_networks = { &net, 1 } };

	CHECK(cidr_parse(listed, &net) == 0);
	return refused(&conf, text);
}

/* All of IPv4 is listed: that is not ::1 and ::, which only look like an address in ::/96. */
static void test_all_of_ipv4(void)
{
	CHECK(!refused_with("0.0.0.0/0", "10.0.0.1"));
	CHECK(!refused_with("0.0.0.0/0", "::10.0.0.1"));
	CHECK(refused_with("0.0.0.0/0", "::1"));
	CHECK(refused_with("0.0.0.0/0", "::"));
	CHECK(refused_with("0.0.0.0/0", "fd00::1"));
	/* and all of IPv6 is none of IPv4, though it is written inside */
	CHECK(refused_with("::/0", "10.0.0.1"));
	CHECK(!refused_with("::/0", "fd00::1"));
}

/* Ours, or a cloud's word about us: a network that has it does not open it, its own entry does. */
static void test_guarded(void)
{
	static const struct {
		const char *net, *host, *address;
	} t[] = {
		{ "127.0.0.0/8", "127.0.0.1", "127.0.0.1" },
		{ "127.0.0.0/8", "127.9.9.9", "127.9.9.9" },
		{ "127.0.0.0/31", "127.0.0.1", "127.0.0.1" },
		{ "0.0.0.0/0", "0.0.0.0", "0.0.0.0" },
		{ "0.0.0.0/0", "0.1.2.3", "0.1.2.3" },
		{ "0.0.0.0/0", "127.0.0.1", "::127.0.0.1" },
		{ "0.0.0.0/0", "127.0.0.1", "64:ff9b::127.0.0.1" },
		{ "64:ff9b::/96", "64:ff9b::127.0.0.1", "64:ff9b::127.0.0.1" },
		{ "2002::/16", "127.0.0.1", "2002:7f00:1::5" },
		{ "2002::/16", "2002:7f00:1::5", "2002:7f00:1::5" },
		{ "2001::/32", "2001:0:808:808::80ff:fffe", "2001:0:808:808::80ff:fffe" },
		{ "::ffff:0:0:0/96", "::ffff:0:127.0.0.1", "::ffff:0:127.0.0.1" },
		{ "::/0", "::1", "::1" },
		{ "::/0", "::", "::" },
		{ "168.0.0.0/8", "168.63.129.16", "168.63.129.16" },
		{ "169.254.0.0/16", "169.254.169.254", "169.254.169.254" },
		{ "169.254.0.0/16", "169.254.42.42", "169.254.42.42" },
		{ "169.254.0.0/16", "169.254.169.254", "64:ff9b::169.254.169.254" },
		{ "100.64.0.0/10", "100.100.100.200", "100.100.100.200" },
		{ "192.0.0.0/24", "192.0.0.192", "192.0.0.192" },
		{ "fd00::/8", "fd00:ec2::254", "fd00:ec2::254" },
		{ "fd00::/8", "fd20:ce::254", "fd20:ce::254" },
		{ "fd00::/8", "fd00:42::42", "fd00:42::42" },
	};

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		if (!refused_with(t[i].net, t[i].address))
			fprintf(stderr, "%s in %s:\n", t[i].address, t[i].net);
		CHECK(refused_with(t[i].net, t[i].address));
		CHECK(!refused_with(t[i].host, t[i].address));
	}
}

/* A translator's prefix, and what is inside: RFC 6052, 2.4 has the same examples. The prefixes are
   special themselves, so that what is good is so for what is inside. */
static void test_nat64(void)
{
	static const struct {
		const char *prefix, *address; /* of 192.0.2.33 or another special one */
		const char *good;	      /* of 8.8.8.8 */
		const char *odd;	      /* the same with something in byte 8 */
	} t[] = {
		{ "2001:db8::/32",
		  "2001:db8:c000:221::", "2001:db8:808:808::", "2001:db8:808:808:100::" },
		{ "2001:db8:100::/40",
		  "2001:db8:1c0:2:21::", "2001:db8:108:808:8::", "2001:db8:108:808:108::" },
		{ "2001:db8:122::/48", "2001:db8:122:c000:2:2100::", "2001:db8:122:808:8:800::",
		  "2001:db8:122:808:108:800::" },
		{ "2001:db8:122:300::/56", "2001:db8:122:3c0:0:221::", "2001:db8:122:308:8:808::",
		  "2001:db8:122:308:108:808::" },
		{ "2001:db8:122:344::/64", "2001:db8:122:344:c0:2:2100::",
		  "2001:db8:122:344:8:808:800::", "2001:db8:122:344:108:808:800::" },
		{ "2001:db8:122:344::/96", "2001:db8:122:344::192.0.2.33",
		  "2001:db8:122:344::8.8.8.8", "2001:db8:122:344:100::8.8.8.8" },
		{ "64:ff9b:1::/96", "64:ff9b:1::10.0.0.1", "64:ff9b:1::8.8.8.8",
		  "64:ff9b:1:0:1::8.8.8.8" },
	};

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		struct cidr prefix;
		struct conf conf = { .nat64_prefixes = { &prefix, 1 } };

		CHECK(cidr_parse(t[i].prefix, &prefix) == 0);
		if (!refused(&conf, t[i].address) || refused(&conf, t[i].good))
			fprintf(stderr, "%s:\n", t[i].prefix);
		CHECK(refused(&conf, t[i].address));
		CHECK(!refused(&conf, t[i].good));
		CHECK(refused(&conf, t[i].odd));
		conf.nat64_prefixes.n = 0;
		CHECK(refused(&conf, t[i].good));
	}
}

/* In ordinary space, where without the key nothing is looked at. */
static void test_nat64_of_ordinary_space(void)
{
	struct cidr prefixes[2], net;
	struct conf conf = { .nat64_prefixes = { prefixes, 2 }, .private_networks = { &net, 0 } };

	CHECK(cidr_parse("2600:64::/32", &prefixes[0]) == 0);
	CHECK(cidr_parse("2600:64:0:1::/96", &prefixes[1]) == 0);
	CHECK(cidr_parse("10.0.0.0/8", &net) == 0);
	CHECK(refused(&conf, "2600:64:a00:1::") && !refused(&conf, "2600:64:808:808::"));
	/* the longer one is the translator's here: not 0.0.0.1 */
	CHECK(refused(&conf, "2600:64:0:1::10.0.0.1") && !refused(&conf, "2600:64:0:1::8.8.8.8"));
	/* byte 8 is nothing a translator makes, but one may pass over it */
	CHECK(refused(&conf, "2600:64:a00:1:100::"));
	conf.private_networks.n = 1;
	CHECK(!refused(&conf, "2600:64:a00:1::") && !refused(&conf, "2600:64:0:1::10.0.0.1"));
	CHECK(refused(&conf, "2600:64:7f00:1::") && refused(&conf, "2600:64:c0a8:1::"));
	conf.nat64_prefixes.n = 0;
	CHECK(!refused(&conf, "2600:64:c0a8:1::"));
}

/* Behind 1:1 NAT no interface has them. */
static void test_own_addresses(void)
{
	struct cidr own[2], listed;
	struct conf conf = { .own_addresses = { own, 2 }, .private_networks = { &listed, 0 } };

	CHECK(cidr_parse("8.8.8.8", &own[0]) == 0 && cidr_parse("2600::/64", &own[1]) == 0);
	CHECK(cidr_parse("8.8.8.0/24", &listed) == 0);
	CHECK(refused(&conf, "8.8.8.8") && !refused(&conf, "8.8.8.9"));
	CHECK(refused(&conf, "2600::7") && !refused(&conf, "2600:0:0:1::7"));
	CHECK(refused(&conf, "64:ff9b::8.8.8.8") && refused(&conf, "2002:808:808::1"));
	conf.private_networks.n = 1;
	CHECK(refused(&conf, "8.8.8.8") && refused(&conf, "64:ff9b::8.8.8.8"));
	CHECK(cidr_parse("8.8.8.8", &listed) == 0);
	CHECK(!refused(&conf, "8.8.8.8") && !refused(&conf, "64:ff9b::8.8.8.8"));
}

static void command(const char *text)
{
	if (system(text) != 0)
		fprintf(stderr, "%s:\n", text);
}

/* Turns the loop until the answer is the one that is waited for; a minute is a failure. */
static bool becomes(struct event_base *base, const struct conf *conf, const char *text, bool want)
{
	for (int i = 0; i < 6000 && refused(conf, text) != want; i++) {
		event_base_loop(base, EVLOOP_NONBLOCK);
		usleep(10000);
	}
	return refused(conf, text) == want;
}

/* Where we may make and take away addresses. false: not as root. */
static bool in_own_network(void)
{
	bool made = unshare(CLONE_NEWNET) == 0;

	CHECK(made || geteuid() != 0);
	return made;
}

/* Reads what is own, and follows it on a loop. */
static struct event_base *follow_own(void)
{
	struct event_base *base = event_base_new();
	char err[200] = "";

	CHECK(own_open(base, err, sizeof(err)) == 0);
	CHECK_STR(err, "");
	return base;
}

/* Addresses of this machine, in a network of its own; they come and go while we look. */
static void test_own(void)
{
	struct conf none = { .private_networks = { NULL, 0 } };
	struct event_base *base;

	if (!in_own_network())
		return;
	command("ip link set lo up && ip addr add 8.8.8.8/32 dev lo && "
		"ip link add v0 type veth peer name v1 && "
		"ip addr add 8.8.4.4/32 peer 8.8.4.5 dev v0 && ip addr add 2600::1/128 dev lo");
	base = follow_own();
	CHECK(refused(&none, "8.8.8.8") && refused(&none, "8.8.4.4") && refused(&none, "2600::1"));
	CHECK(!refused(&none, "8.8.4.5") && !refused(&none, "8.8.8.9"));
	CHECK(!refused(&none, "2600::2"));
	CHECK(refused(&none, "64:ff9b::8.8.8.8") && !refused(&none, "64:ff9b::8.8.8.9"));
	CHECK(refused_with("8.8.0.0/16", "8.8.8.8"));
	CHECK(refused_with("8.8.0.0/16", "64:ff9b::8.8.8.8"));
	CHECK(refused_with("2600::/64", "2600::1"));
	CHECK(!refused_with("8.8.8.8", "8.8.8.8") && !refused_with("8.8.8.8", "64:ff9b::8.8.8.8"));
	CHECK(refused_with("8.8.8.8", "8.8.4.4") && !refused_with("2600::1", "2600::1"));
	command("ip addr add 8.8.8.9/32 dev lo; ip addr del 8.8.8.8/32 dev lo");
	CHECK(becomes(base, &none, "8.8.8.9", true));
	CHECK(becomes(base, &none, "8.8.8.8", false));
	/* more changes than the socket holds: the last one counts, though its news was lost */
	command("(for i in $(seq 2000); do echo addr add 8.9.8.9/32 dev lo; "
		"echo addr del 8.9.8.9/32 dev lo; done; "
		"echo addr add 2600::3/128 dev lo) | ip -batch -");
	CHECK(becomes(base, &none, "2600::3", true));
	CHECK(becomes(base, &none, "8.9.8.9", false));
	CHECK(refused(&none, "2600::1") && refused(&none, "8.8.4.4"));
	own_close();
	CHECK(!refused(&none, "2600::1"));
	event_base_free(base);
}

/* Local routes make addresses of this machine that none of its interfaces has. */
static void test_own_routes(void)
{
	struct conf none = { .private_networks = { NULL, 0 } };
	struct event_base *base;

	if (!in_own_network())
		return;
	command("ip link set lo up && ip route add local 8.8.0.0/16 dev lo && "
		"ip route add local 8.8.8.0/24 dev lo && "
		"ip route add local 8.9.0.0/24 dev lo table 77 && "
		"ip route add local 0.0.0.0/0 dev lo table 78 && "
		"ip route add unreachable 8.10.0.0/16 && "
		"ip -6 route add local 2600:1::/48 dev lo table 77 && "
		"ip -6 route add local ::/0 dev lo table 78 && "
		"ip -6 route add anycast 2600:2::/128 dev lo");
	base = follow_own();
	CHECK(refused(&none, "8.8.0.0") && refused(&none, "8.8.255.255"));
	CHECK(refused(&none, "8.8.8.8") && refused(&none, "8.8.9.0"));
	CHECK(!refused(&none, "8.7.255.255") && !refused(&none, "8.10.0.1"));
	CHECK(refused(&none, "8.9.0.255") && !refused(&none, "8.9.1.0"));
	CHECK(refused(&none, "2600:1:0:ffff::1") && !refused(&none, "2600:1:1::"));
	CHECK(refused(&none, "2600:2::") && !refused(&none, "2600:2::1"));
	CHECK(refused(&none, "64:ff9b::8.8.0.1") && refused_with("8.8.0.0/16", "8.8.0.1"));
	CHECK(!refused_with("8.8.0.1", "8.8.0.1"));
	command("ip route add local 8.11.0.0/16 dev lo; ip route del local 8.8.0.0/16 dev lo;"
		"ip -6 route del local 2600:1::/48 dev lo table 77");
	CHECK(becomes(base, &none, "8.11.1.1", true));
	CHECK(becomes(base, &none, "8.8.0.0", false));
	CHECK(becomes(base, &none, "2600:1::1", false));
	CHECK(refused(&none, "8.8.8.8") && refused(&none, "8.9.0.1"));
	own_close();
	event_base_free(base);
}

static void test_print(void)
{
	struct endpoint_addr a = { .ip = ip("192.0.2.1"), .port = 443 };
	char buf[ADDRESS_TEXT];

	CHECK_STR(address_print(&a, false, buf), "192.0.2.1");
	CHECK_STR(address_print(&a, true, buf), "192.0.2.1:443");
	a.ip = ip("2001:db8::1");
	CHECK_STR(address_print(&a, false, buf), "2001:db8::1");
	CHECK_STR(address_print(&a, true, buf), "[2001:db8::1]:443");
	a.ip = ip("1111:2222:3333:4444:5555:6666:7777:8888");
	a.port = 65535;
	CHECK_STR(address_print(&a, true, buf), "[1111:2222:3333:4444:5555:6666:7777:8888]:65535");
}

static int literal(const char *text, size_t len)
{
	struct in6_addr before, out;

	memset(&before, 0x5a, sizeof(before));
	out = before;
	if (address_literal(text, len, &out) == 0)
		return 0;
	CHECK(memcmp(&out, &before, sizeof(out)) == 0);
	return -EINVAL;
}

static void test_literal(void)
{
	static const char *const bad[] = {
		"",	      "[",	 "[]",	      "::1",	   "[::1",     "::1]",
		"[1.2.3.4]",  "1.2.3",	 "1.2.3.4.5", "1.2.3.256", "01.2.3.4", "0x7f.1",
		"2130706433", "a.b.c.d", "1.2.3.4 ",  "[::1%lo]",  "[[::1]]",
	};
	struct in6_addr out, want = ip("192.0.2.1");

	CHECK(address_literal("192.0.2.1", 9, &out) == 0 && memcmp(&out, &want, 16) == 0);
	want = ip("2001:db8::1");
	CHECK(address_literal("[2001:db8::1]", 13, &out) == 0 && memcmp(&out, &want, 16) == 0);
	CHECK(literal("[::ffff:1.2.3.4]", 16) == 0);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		CHECK(literal(bad[i], strlen(bad[i])) == -EINVAL);
	CHECK(literal("1.2.3.4\0x", 9) == -EINVAL);
	CHECK(literal("[1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa:bbbb]", 57) == -EINVAL);
}

static void test_sockaddr(void)
{
	struct endpoint_addr a = { .ip = ip("192.0.2.1"), .port = 443 }, b;
	struct sockaddr_storage ss;

	CHECK(address_to_sockaddr(&a, &ss) == sizeof(struct sockaddr_in));
	CHECK(ss.ss_family == AF_INET);
	address_from_sockaddr(&b, (struct sockaddr *)&ss);
	CHECK(memcmp(&a.ip, &b.ip, 16) == 0 && b.port == 443);
	a.ip = ip("2001:db8::1");
	CHECK(address_to_sockaddr(&a, &ss) == sizeof(struct sockaddr_in6));
	CHECK(ss.ss_family == AF_INET6);
	address_from_sockaddr(&b, (struct sockaddr *)&ss);
	CHECK(memcmp(&a.ip, &b.ip, 16) == 0 && b.port == 443);
	CHECK(!address_is_v4(&a.ip));
}

static void test_own_listener(void)
{
	struct sockaddr_storage at[2];
	struct conf_listener listener = { .at = at, .n = 2 };
	struct conf conf = { .listeners = &listener, .n_listeners = 1 };
	struct endpoint_addr a = { .ip = ip("0.0.0.0"), .port = 3129 };
	struct endpoint_addr b = { .ip = ip("192.0.2.77"), .port = 3130 };
	struct endpoint_addr loopback = { .ip = ip("127.0.0.1"), .port = 9465 };
	struct endpoint_addr outside = { .ip = ip("192.0.2.77"), .port = 9466 };
	struct sockaddr_storage metrics[2];

	address_to_sockaddr(&loopback, &metrics[0]);
	address_to_sockaddr(&outside, &metrics[1]);
	address_to_sockaddr(&a, &at[0]);
	address_to_sockaddr(&b, &at[1]);
	CHECK(address_is_own_listener(&conf, &conf, &a));
	CHECK(address_is_own_listener(&conf, &conf, &b)); /* ours or not: it is the listener's */
	a.ip = ip("127.0.0.1");
	CHECK(address_is_own_listener(&conf, &conf, &a));
	a.ip = ip("::1");
	CHECK(address_is_own_listener(&conf, &conf, &a));
	a.ip = ip("93.184.216.34");
	CHECK(!address_is_own_listener(&conf, &conf, &a));
	a.ip = ip("127.0.0.1");
	a.port = 443;
	CHECK(!address_is_own_listener(&conf, &conf, &a));

	/* where the metrics are is no destination either */
	a.port = 9465;
	CHECK(!address_is_own_listener(&conf, &conf, &a));
	conf.metrics = (struct conf_metrics){ .at = metrics, .n = 2 };
	CHECK(address_is_own_listener(&conf, &conf, &a));
	a.ip = ip("::1");
	CHECK(address_is_own_listener(&conf, &conf, &a));
	b.port = 9466;
	CHECK(address_is_own_listener(&conf, &conf, &b));
	a.port = 9466;
	CHECK(address_is_own_listener(&conf, &conf, &a));
	b.port = 9465;
	CHECK(!address_is_own_listener(&conf, &conf, &b));
}

/* What a reload has added is own, at the ports that are listened at since the start. */
static void test_own_listener_now(void)
{
	struct endpoint_addr any = { .ip = ip("0.0.0.0"), .port = 3129 };
	struct endpoint_addr a = { .ip = ip("198.51.100.7"), .port = 3129 };
	struct sockaddr_storage at;
	struct conf_listener listener = { .at = &at, .n = 1 };
	struct conf start = { .listeners = &listener, .n_listeners = 1 }, now = { .enforce = true };
	struct cidr own;

	address_to_sockaddr(&any, &at);
	CHECK(cidr_parse("198.51.100.7", &own) == 0);
	CHECK(!address_is_own_listener(&start, &now, &a));
	now.own_addresses = (struct cidr_list){ .at = &own, .n = 1 };
	CHECK(address_is_own_listener(&start, &now, &a));
}

/* What carries an address of ours, for a translator to take out, leads to the listener as well. */
static void test_own_listener_inside(void)
{
	struct endpoint_addr any = { .ip = ip("0.0.0.0"), .port = 3129 }, a = any;
	struct sockaddr_storage at;
	struct conf_listener listener = { .at = &at, .n = 1 };
	struct conf conf = { .listeners = &listener, .n_listeners = 1 };

	address_to_sockaddr(&any, &at);
	a.ip = ip("64:ff9b::127.0.0.1");
	CHECK(address_is_own_listener(&conf, &conf, &a));
	a.ip = ip("64:ff9b::93.184.216.34");
	CHECK(!address_is_own_listener(&conf, &conf, &a));
}

/* A connection nobody redirected: a loop where this machine tracks its loopback, else unknown; and
   unknown when it was reset. With a REDIRECT it is tests/net's business. */
static void test_original(int family, const char *text)
{
	struct endpoint_addr at = { .ip = ip(text) }, from, out, before;
	struct sockaddr_storage ss;
	socklen_t len = address_to_sockaddr(&at, &ss);
	int listener = socket(family, SOCK_STREAM, 0), client = socket(family, SOCK_STREAM, 0);
	struct conf_listener ours = { .at = &ss, .n = 1 };
	struct conf conf = { .listeners = &ours, .n_listeners = 1 };
	struct linger now = { .l_onoff = 1 };
	int fd, r;

	if (bind(listener, (struct sockaddr *)&ss, len) != 0 || listen(listener, 1) != 0) {
		close(listener);
		close(client);
		return; /* no such family here */
	}
	getsockname(listener, (struct sockaddr *)&ss, &len);
	CHECK(connect(client, (struct sockaddr *)&ss, len) == 0);
	fd = accept(listener, (struct sockaddr *)&ss, &len);
	CHECK(fd >= 0);
	address_from_sockaddr(&from, (struct sockaddr *)&ss);
	getsockname(listener, (struct sockaddr *)&ss, &len);
	memset(&out, 0x5a, sizeof(out));
	before = out;
	r = address_original(fd, &conf, &conf, &from, &out);
	CHECK(r == -ELOOP || r == -ENOENT);
	setsockopt(client, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	close(client);
	CHECK(address_original(fd, &conf, &conf, &from, &out) == -ENOENT);
	CHECK(memcmp(&out, &before, sizeof(out)) == 0);
	close(fd);
	close(listener);
	CHECK(address_original(-1, &conf, &conf, &from, &out) == -EBADF);
}

int main(void)
{
	RUN(test_special);
	RUN(test_refused);
	RUN(test_all_of_ipv4);
	RUN(test_guarded);
	RUN(test_nat64);
	RUN(test_nat64_of_ordinary_space);
	RUN(test_own_addresses);
	RUN(test_print);
	RUN(test_literal);
	RUN(test_sockaddr);
	RUN(test_own_listener);
	RUN(test_own_listener_inside);
	RUN(test_own_listener_now);
	RUN(test_original, AF_INET, "127.0.0.1");
	RUN(test_original, AF_INET6, "::1");
	RUN(test_own);
	RUN(test_own_routes);
	TEST_DONE("address");
}
