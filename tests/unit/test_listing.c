// SPDX-License-Identifier: GPL-2.0-or-later
// What `flows` keeps and in which order, against a plain sort of everything.
#include "slowpath/report/listing.h"

#include <stdlib.h>

#include "tests/unit/test.h"

#define FLOWS 1000

static struct selection selection;
static struct listing list;

/* Number i of FLOWS: each order is another permutation of them. */
static struct flow_info flow(unsigned i)
{
	struct flow_info f = { .bytes_up = i * 7 % FLOWS,
			       .bytes_down = i * 11 % FLOWS * 3,
			       .age_ms = i * 13 % FLOWS,
			       .client.port = 1 };

	f.client.ip.s6_addr[0] = (uint8_t)(i * 17 % FLOWS >> 8);
	f.client.ip.s6_addr[1] = (uint8_t)(i * 17 % FLOWS);
	snprintf(f.name, sizeof(f.name), "n%04u.test", i * 19 % FLOWS);
	return f;
}

static void collect(enum selection_sort sort, uint32_t limit)
{
	free(list.at);
	list = (struct listing){ .selection = &selection };
	selection = (struct selection){ .sort = sort, .limit = limit };
	for (unsigned i = 0; i < FLOWS; i++) {
		struct flow_info f = flow(i);

		if (!listing_add(&list, &f))
			break;
	}
	listing_sort(&list);
	CHECK(!list.failed);
	CHECK(list.n == (limit && limit < FLOWS ? limit : FLOWS));
}

static unsigned client_of(const struct flow_info *f)
{
	return (unsigned)f->client.ip.s6_addr[0] << 8 | f->client.ip.s6_addr[1];
}

static unsigned number_of(const struct flow_info *f)
{
	return (unsigned)atoi(f->name + 1);
}

/* The first of each order are 0, 1, 2 or FLOWS - 1, FLOWS - 2, ... */
static void test_orders(uint32_t limit)
{
	collect(SORT_UP, limit);
	for (unsigned i = 0; i < list.n; i++)
		CHECK(list.at[i].bytes_up == FLOWS - 1 - i);
	collect(SORT_DOWN, limit);
	for (unsigned i = 0; i < list.n; i++)
		CHECK(list.at[i].bytes_down == (FLOWS - 1 - i) * 3);
	collect(SORT_AGE, limit);
	for (unsigned i = 0; i < list.n; i++)
		CHECK(list.at[i].age_ms == FLOWS - 1 - i);
	collect(SORT_CLIENT, limit);
	for (unsigned i = 0; i < list.n; i++)
		CHECK(client_of(&list.at[i]) == i);
	collect(SORT_NAME, limit);
	for (unsigned i = 0; i < list.n; i++)
		CHECK(number_of(&list.at[i]) == i);
	collect(SORT_BYTES, limit);
	for (unsigned i = 1; i < list.n; i++)
		CHECK(list.at[i - 1].bytes_up + list.at[i - 1].bytes_down >=
		      list.at[i].bytes_up + list.at[i].bytes_down);
	CHECK(list.at[0].bytes_up + list.at[0].bytes_down > 3 * FLOWS);
}

/* As they come, and not looked at further than needed. */
static void test_without_order(void)
{
	struct flow_info f = flow(0);

	collect(SORT_NONE, 3);
	for (unsigned i = 0; i < 3; i++) {
		struct flow_info want = flow(i);

		CHECK(list.at[i].bytes_up == want.bytes_up);
	}
	CHECK(!listing_add(&list, &f) && list.n == 3);
	collect(SORT_NONE, 0);
}

static void test_wants(void)
{
	char *words[] = { (char *)"client", (char *)"::ffff:0:0/96", (char *)"name",
			  (char *)".a.test" };
	struct in6_addr v4 = { .s6_addr = { [10] = 0xff, [11] = 0xff, [15] = 1 } };
	char err[100];

	CHECK(selection_parse(4, words, SELECT_FLOWS, &selection, err, sizeof(err)) == 0);
	CHECK(listing_wants(&list, &v4, "b.a.test", 8) && !listing_wants(&list, &v4, "b.test", 6));
	v4.s6_addr[0] = 1;
	CHECK(!listing_wants(&list, &v4, "b.a.test", 8));
}

int main(void)
{
	RUN(test_orders, 0);
	RUN(test_orders, 10);
	RUN(test_orders, 1);
	RUN(test_orders, FLOWS + 5);
	RUN(test_without_order);
	RUN(test_wants);
	free(list.at);
	TEST_DONE("flows");
}
