// SPDX-License-Identifier: GPL-2.0-or-later
// What makes a client, how many connections it may have, and that no choice of addresses fills one
// place of the hash.
#include "slowpath/address/clients.h"

#include <arpa/inet.h>

#include "tests/unit/test.h"

#define MANY 65536
#define CROWDED                                                                                    \
	16 /* of MANY that are dealt at random into as many places: less than one in 10^8          \
	    */

static struct in6_addr parse(const char *text)
{
	struct in6_addr ip;

	CHECK(inet_pton(AF_INET6, text, &ip) == 1);
	return ip;
}

/* ---- the key ---- */

static bool same(const char *a, const char *b, unsigned prefix6)
{
	struct in6_addr x = parse(a), y = parse(b);
	struct client_key kx = clients_key(&x, prefix6), ky = clients_key(&y, prefix6);

	return memcmp(&kx, &ky, sizeof(kx)) == 0;
}

static void test_prefix(void)
{
	CHECK(same("2001:db8:1:2::1", "2001:db8:1:2:ffff:ffff:ffff:ffff", 64));
	CHECK(!same("2001:db8:1:2::1", "2001:db8:1:3::1", 64));
	CHECK(same("2001:db8:1:2::1", "2001:db8:1:3::1", 63));
	CHECK(!same("2001:db8:1:2::1", "2001:db8:1:4::1", 62));
	CHECK(same("2001:db8:1:ff00::", "2001:db8:1::", 48));
	CHECK(!same("2001:db8:1:8000::", "2001:db8:1::", 49));
	CHECK(same("2001:db8:ffff::", "2001:db8::", 32));
	CHECK(!same("2001:db8::2", "2001:db8::3", 128));
	CHECK(same("2001:db8::2", "2001:db8::3", 127));
}

/* Every bit up to the prefix counts, and none behind it. */
static void test_every_bit(void)
{
	struct in6_addr ip = parse("2001:db8:1:2:3:4:5:6");

	for (unsigned prefix = 32; prefix <= 128; prefix++)
		for (unsigned bit = 0; bit < 128; bit++) {
			struct client_key key = clients_key(&ip, prefix), other;
			struct in6_addr flipped = ip;

			flipped.s6_addr[bit / 8] ^= (uint8_t)(0x80 >> bit % 8);
			other = clients_key(&flipped, prefix);
			CHECK((memcmp(&key, &other, sizeof(key)) == 0) == (bit >= prefix));
		}
}

static void test_ipv4_is_whole(void)
{
	CHECK(!same("::ffff:192.0.2.1", "::ffff:192.0.2.2", 32));
	CHECK(!same("::ffff:192.0.2.1", "::ffff:192.0.2.2", 64));
	CHECK(same("::ffff:192.0.2.1", "::ffff:192.0.2.1", 64));
	CHECK(same("::fffe:192.0.2.1", "::fffe:192.0.2.2", 64)); /* IPv6, though it looks alike */
}

/* ---- limits ---- */

static bool enter(struct clients *c, const char *ip, unsigned prefix6, unsigned max)
{
	struct in6_addr parsed = parse(ip);
	struct client_key key = clients_key(&parsed, prefix6);

	return clients_enter(c, &key, max);
}

static void leave(struct clients *c, const char *ip, unsigned prefix6)
{
	struct in6_addr parsed = parse(ip);
	struct client_key key = clients_key(&parsed, prefix6);

	clients_leave(c, &key);
}

static void test_limit(void)
{
	struct clients *c = clients_new(1);

	CHECK(enter(c, "2001:db8::1", 64, 2) && enter(c, "2001:db8::2", 64, 2));
	CHECK(!enter(c, "2001:db8::3", 64, 2));
	CHECK(enter(c, "2001:db8:0:1::3", 64, 2));
	CHECK(enter(c, "::ffff:192.0.2.1", 64, 2) && enter(c, "::ffff:192.0.2.1", 64, 2));
	CHECK(!enter(c, "::ffff:192.0.2.1", 64, 2) && enter(c, "::ffff:192.0.2.2", 64, 2));
	leave(c, "2001:db8::9", 64);
	CHECK(enter(c, "2001:db8::3", 64, 2) && !enter(c, "2001:db8::1", 64, 2));
	clients_free(c);
}

static void test_gone_with_the_last(void)
{
	struct clients *c = clients_new(1);

	CHECK(enter(c, "2001:db8::1", 128, 9) && enter(c, "2001:db8::1", 128, 9));
	leave(c, "2001:db8::1", 128);
	CHECK(clients_most_in_a_bucket(c) == 1);
	leave(c, "2001:db8::1", 128);
	CHECK(clients_most_in_a_bucket(c) == 0);
	leave(c, "2001:db8::1", 128); /* one that was never counted */
	clients_free(c);
}

/* ---- the hash ---- */

/* MANY clients, whose addresses differ in the two bytes from `at` on: how many share a place. */
static size_t crowding(const char *first, unsigned at, unsigned prefix6)
{
	struct clients *c = clients_new(MANY);
	struct in6_addr ip = parse(first);
	size_t most;

	for (unsigned i = 0; i < MANY; i++) {
		struct client_key key;

		ip.s6_addr[at] = (uint8_t)(i >> 8);
		ip.s6_addr[at + 1] = (uint8_t)i;
		key = clients_key(&ip, prefix6);
		CHECK(clients_enter(c, &key, 1));
	}
	most = clients_most_in_a_bucket(c);
	clients_free(c);
	return most;
}

static void test_spread(void)
{
	CHECK(crowding("2001:db8::", 14, 128) < CROWDED);     /* a /112 */
	CHECK(crowding("2001:db8::", 8, 128) < CROWDED);      /* of a /64 */
	CHECK(crowding("2001:db8:1::", 6, 64) < CROWDED);     /* the /64 of a /48 */
	CHECK(crowding("::ffff:10.1.0.0", 14, 64) < CROWDED); /* a /16 of IPv4 */
}

static void test_key_counts(void)
{
	static const uint64_t secrets[3][2] = { { 1, 2 }, { 1, 3 }, { 2, 2 } };
	struct in6_addr ip = parse("2001:db8::1");
	struct client_key key = clients_key(&ip, 64);
	uint64_t hash = clients_hash(secrets[0], &key);

	CHECK(hash == clients_hash(secrets[0], &key));
	CHECK(hash != clients_hash(secrets[1], &key) && hash != clients_hash(secrets[2], &key));
}

int main(void)
{
	RUN(test_prefix);
	RUN(test_every_bit);
	RUN(test_ipv4_is_whole);
	RUN(test_limit);
	RUN(test_gone_with_the_last);
	RUN(test_spread);
	RUN(test_key_counts);
	TEST_DONE("test_clients");
}
