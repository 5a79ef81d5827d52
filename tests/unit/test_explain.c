// SPDX-License-Identifier: GPL-2.0-or-later
// What `explain` takes for a client, a name and a port.
#include "slowpath/daemon/explain.h"

#include "tests/unit/test.h"

static struct explain_question q;

static const char *ask(const char *client, const char *name)
{
	static char copy[128]; /* a name in q is there */

	snprintf(copy, sizeof(copy), "%s", name);
	return explain_parse(client, copy, &q);
}

static void test_names(void)
{
	CHECK(!ask("10.1.0.2", "A.Test.") && q.about.kind == SUBJECT_NAME && q.port == 443);
	CHECK(q.about.len == 6);
	CHECK_STR((const char *)q.about.name, "a.test");
	CHECK(!ask("2001:db8::1", "a.test:8443") && q.port == 8443);
	CHECK(ask("10.1.0.2", "a b"));
	CHECK(ask("10.1.0.2", "1.2.3"));
	CHECK(ask("a.test", "a.test"));
	CHECK(ask("10.1.0.0/16", "a.test"));
}

static void test_literals(void)
{
	CHECK(!ask("10.1.0.2", "192.0.2.1:80") && q.about.kind == SUBJECT_ADDRESS && q.port == 80);
	CHECK(!ask("10.1.0.2", "2001:db8::1") && q.about.kind == SUBJECT_ADDRESS && q.port == 443);
	CHECK(!ask("10.1.0.2", "[2001:db8::1]:80") && q.about.kind == SUBJECT_ADDRESS &&
	      q.port == 80);
	CHECK(ask("10.1.0.2", "192.0.2.0/24"));
}

static void test_ports(void)
{
	CHECK(ask("10.1.0.2", "a.test:"));
	CHECK(ask("10.1.0.2", "a.test:0"));
	CHECK(ask("10.1.0.2", "a.test:65536"));
	CHECK(ask("10.1.0.2", "a.test:+443"));
	CHECK(ask("10.1.0.2", "a.test:-1"));
	CHECK(ask("10.1.0.2", "a.test:99999999999999999999"));
	CHECK(ask("10.1.0.2", ":443"));
}

int main(void)
{
	RUN(test_names);
	RUN(test_literals);
	RUN(test_ports);
	TEST_DONE("question");
}
