// SPDX-License-Identifier: GPL-2.0-or-later
// The words of `flows`, `tail` and `top`, and what they select.
#include "slowpath/report/selection.h"

#include <arpa/inet.h>
#include <errno.h>

#include "tests/unit/test.h"

static struct selection f;
static struct top_question top;
static char err[200];

static int split(char *copy, char *words[16])
{
	int n = 0;

	for (char *word = strtok(copy, " "); word; word = strtok(NULL, " "))
		words[n++] = word;
	return n;
}

/* NULL, or what is wrong. */
static const char *parse(unsigned may, const char *text)
{
	char copy[1200], *words[16];
	int n;

	snprintf(copy, sizeof(copy), "%s", text);
	n = split(copy, words);
	return selection_parse(n, words, may, &f, err, sizeof(err)) ? err : NULL;
}

static const char *parse_top(const char *text)
{
	char copy[200], *words[16];
	int n;

	snprintf(copy, sizeof(copy), "%s", text);
	n = split(copy, words);
	return selection_parse_top(n, words, &top, err, sizeof(err)) ? err : NULL;
}

static bool has_client(const char *text)
{
	uint8_t mapped[16] = { [10] = 0xff, [11] = 0xff };
	struct in6_addr a;

	if (inet_pton(AF_INET, text, mapped + 12) == 1)
		memcpy(&a, mapped, 16);
	else
		CHECK(inet_pton(AF_INET6, text, &a) == 1);
	return selection_has_client(&f, &a);
}

static bool has_name(const char *name)
{
	return selection_has_name(&f, name, strlen(name));
}

static void test_clients(void)
{
	CHECK(!parse(SELECT_FLOWS, "") && f.has == 0 && has_client("192.0.2.1"));
	CHECK(!parse(SELECT_FLOWS, "client 192.0.2.1"));
	CHECK(has_client("192.0.2.1") && !has_client("192.0.2.2") && !has_client("2001:db8::1"));
	CHECK(!parse(SELECT_TAIL, "client 192.0.2.0/24"));
	CHECK(has_client("192.0.2.255") && !has_client("192.0.3.0"));
	CHECK(!parse(SELECT_TAIL, "client 2001:db8::/32"));
	CHECK(has_client("2001:db8:1::1") && !has_client("2001:db9::1"));
	CHECK(!has_client("192.0.2.1"));
	CHECK_STR(parse(SELECT_TAIL, "client 192.0.2.1/24"),
		  "client: '192.0.2.1/24' is not an address, or a network without host bits");
	CHECK_STR(parse(SELECT_TAIL, "client"),
		  "client: an address, or a network without host bits is missing");
	CHECK(parse(SELECT_TAIL, "client a.test"));
	CHECK_STR(parse(SELECT_TAIL, "client 192.0.2.1 client 192.0.2.1"),
		  "'client' is given twice");
}

static void test_names(void)
{
	static const char *const bad[] = { "name",	   "name *",	    "name .",
					   "name a..b",	   "name a*b.test", "name *a.test",
					   "name **.test", "name ..test" };

	CHECK(!parse(SELECT_TAIL, "name A.Test.") && f.kind == NAME_HOST);
	CHECK(has_name("a.test") && !has_name("b.a.test") && !has_name("ba.test"));
	CHECK(!has_name("test") && !has_name(""));
	CHECK(!parse(SELECT_TAIL, "name .a.test"));
	CHECK(has_name("a.test") && has_name("b.a.test") && !has_name("ba.test"));
	CHECK(!parse(SELECT_TAIL, "name *.a.test"));
	CHECK(!has_name("a.test") && has_name("b.a.test") && has_name("c.b.a.test"));
	CHECK(!has_name("ba.test") && !has_name(".test"));
	CHECK(!parse(SELECT_TAIL, "name 192.0.2.1") && has_name("192.0.2.1"));
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		CHECK(parse(SELECT_TAIL, bad[i]));
}

static void test_order(void)
{
	CHECK(!parse(SELECT_FLOWS, "limit 5 name .a.test sort down client 10.0.0.0/8"));
	CHECK(f.has == SELECT_FLOWS && f.limit == 5 && f.sort == SORT_DOWN);
	CHECK(!parse(SELECT_FLOWS, "sort up") && f.sort == SORT_UP);
	CHECK(!parse(SELECT_FLOWS, "sort bytes") && f.sort == SORT_BYTES);
	CHECK(!parse(SELECT_FLOWS, "sort age") && f.sort == SORT_AGE);
	CHECK(!parse(SELECT_FLOWS, "sort client") && f.sort == SORT_CLIENT);
	CHECK(!parse(SELECT_FLOWS, "sort name") && f.sort == SORT_NAME);
	CHECK_STR(parse(SELECT_FLOWS, "sort size"),
		  "sort: 'size' is not up, down, bytes, age, client or name");
	CHECK_STR(parse(SELECT_FLOWS, "limit 0"), "limit: '0' is not a number from 1");
	CHECK(parse(SELECT_FLOWS, "limit -1") && parse(SELECT_FLOWS, "limit 4294967296"));
	CHECK(parse(SELECT_FLOWS, "limit 1x") && parse(SELECT_FLOWS, "limit"));
	CHECK(!parse(SELECT_FLOWS, "limit 4294967295"));
}

/* A verb has its own words only, and a refusal leaves the selection as it was. */
static void test_words(void)
{
	char longest[1100];

	CHECK(!parse(SELECT_TAIL, "denied client 10.0.0.1") && f.has & SELECT_DENIED);
	CHECK_STR(parse(SELECT_FLOWS, "denied"),
		  "unknown word 'denied'; there are client name sort limit");
	CHECK_STR(parse(SELECT_TAIL, "sort up"),
		  "unknown word 'sort'; there are denied client name");
	CHECK(f.has == (SELECT_DENIED | SELECT_CLIENT));
	CHECK(parse(SELECT_TAIL, "denied denied"));
	CHECK(parse(SELECT_TAIL, "Denied"));
	memset(longest, 'x', sizeof(longest));
	longest[sizeof(longest) - 1] = '\0';
	CHECK(strlen(parse(SELECT_TAIL, longest)) < sizeof(err) - 1);
}

static void test_top(void)
{
	CHECK(!parse_top("") && top.names && top.clients && top.limit == TOP_DEFAULT);
	CHECK(!parse_top("names") && top.names && !top.clients);
	CHECK(!parse_top("clients 3") && !top.names && top.clients && top.limit == 3);
	CHECK(!parse_top("1000") && top.names && top.clients && top.limit == 1000);
	CHECK_STR(parse_top("hosts"), "'hosts' is not names, clients or a number from 1 to 1000");
	CHECK(parse_top("0") && parse_top("1001") && parse_top("-1") && parse_top("names x"));
	CHECK_STR(parse_top("names 3 4"), "'4' is one word too many");
	CHECK(parse_top("names clients"));
}

int main(void)
{
	RUN(test_clients);
	RUN(test_names);
	RUN(test_order);
	RUN(test_words);
	RUN(test_top);
	TEST_DONE("selection");
}
