// SPDX-License-Identifier: GPL-2.0-or-later
// What `explain` and `top` print, as text and as JSON.
#include "slowpath/report/report.h"

#include <arpa/inet.h>
#include <event2/buffer.h>

#include "slowpath/report/selection.h"
#include "slowpath/report/top.h"
#include "tests/unit/test.h"

static char text[8192];

/* What was printed; empties out. */
static const char *take(struct evbuffer *out)
{
	size_t n = (size_t)evbuffer_remove(out, text, sizeof(text) - 1);

	text[n] = '\0';
	return text;
}

static const char *explain(const char *where, bool json)
{
	struct evbuffer *out = evbuffer_new();
	struct explanation e = { .verdict = "deny",
				 .group = "all",
				 .rule = where[0] ? "base" : "default",
				 .where = where,
				 .enforced = !strstr(where, "trial"),
				 .conf_path = "/etc/sluice.ini" };

	report_explain(&e, json, out);
	take(out);
	evbuffer_free(out);
	return text;
}

#define SAYS(file, line, entry, where)                                                             \
	"{\"verdict\":\"deny\",\"group\":\"all\",\"rule\":\"base\",\"default\":false,"             \
	"\"enforced\":true,\"where\":\"" where "\",\"file\":\"" file "\",\"line\":" line           \
	",\"entry\":\"" entry "\"}\n"

static void test_explain(void)
{
	CHECK_STR(explain("/etc/a.list:17: *.a.test", false),
		  "verdict: deny\ngroup: all\nrule: base\nwhere: /etc/a.list:17: *.a.test\n");
	CHECK_STR(explain("/etc/a.list:17: *.a.test", true),
		  SAYS("/etc/a.list", "17", "*.a.test", "/etc/a.list:17: *.a.test"));
	CHECK_STR(explain("/a:1: b:2: 2001:db8::/32", true),
		  SAYS("/a:1: b", "2", "2001:db8::/32", "/a:1: b:2: 2001:db8::/32"));
	CHECK_STR(explain("runtime: .a.test", true), SAYS("", "0", ".a.test", "runtime: .a.test"));
	CHECK_STR(explain("/a:1x: a.test", true), SAYS("", "0", "a.test", "/a:1x: a.test"));
	CHECK_STR(explain("/a:: a.test", true), SAYS("", "0", "a.test", "/a:: a.test"));
	CHECK_STR(explain("/trial:1: a.test", false),
		  "verdict: deny\ngroup: all\nrule: base\nwhere: /trial:1: a.test\n"
		  "enforced: no, it is let through and told\n");
	CHECK_STR(explain("", false),
		  "verdict: deny\ngroup: all\nrule: default\n"
		  "where: default: no entry; [policy] default = deny in /etc/sluice.ini\n");
	CHECK(strstr(explain("", true), "\"default\":true") && strstr(text, "\"entry\":\"\""));
}

static void test_top(void)
{
	struct evbuffer *out = evbuffer_new();
	struct top *t = top_new();
	struct top_sum sum = { .failed = false };
	struct top_question q = { .names = true, .clients = true, .limit = 2 };
	struct in6_addr a;

	inet_pton(AF_INET6, "::ffff:192.0.2.1", &a);
	top_count(t, &a, "a.test", false, 1000);
	top_count(t, &a, "a.test", true, 1000);
	top_count(t, &a, "b\n\".test", false, 1000);
	top_count(t, &a, "c.test", false, 1000);
	top_add(t, 1000, &sum);
	top_finish(&sum);
	report_top(&sum, &q, 61000, true, out);
	CHECK_STR(take(out),
		  "{\"window_s\":60,\"denied\":3,\"reported\":1,\"names\":["
		  "{\"name\":\"a.test\",\"count\":2,\"over\":0,\"denied\":1,\"reported\":1},"
		  "{\"name\":\"b\\u000a\\\".test\",\"count\":1,\"over\":0,\"denied\":1,"
		  "\"reported\":0}],"
		  "\"clients\":["
		  "{\"client\":\"192.0.2.1\",\"count\":4,\"over\":0,\"denied\":3,"
		  "\"reported\":1}]}\n");
	q.clients = false;
	report_top(&sum, &q, 61000, false, out);
	CHECK_STR(take(out), "window: 60 s\ndenied: 3\nreported: 1\n\n"
			     "     COUNT       OVER     DENIED   REPORTED  NAME\n"
			     "         2          0          1          1  a.test\n"
			     "         1          0          1          0  b%0A%22.test\n");
	top_sum_free(&sum);
	sum = (struct top_sum){ .failed = false };
	q.clients = true;
	report_top(&sum, &q, 61000, true, out); /* nothing was denied */
	CHECK_STR(take(out),
		  "{\"window_s\":0,\"denied\":0,\"reported\":0,\"names\":[],\"clients\":[]}\n");
	top_free(t);
	evbuffer_free(out);
}

int main(void)
{
	RUN(test_explain);
	RUN(test_top);
	TEST_DONE("report");
}
