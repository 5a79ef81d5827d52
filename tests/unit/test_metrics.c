// SPDX-License-Identifier: GPL-2.0-or-later
// Counters on their way out: the histogram, the text for Prometheus, `stats` with many rules, and
// the HTTP listener with clients of every kind.
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <event2/buffer.h>
#include <event2/event.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "slowpath/report/exposition.h"
#include "slowpath/report/metrics_server.h"
#include "slowpath/report/report.h"
#include "tests/unit/test.h"

#define MANY 2000
#define LIMIT_MS 200
#define PATIENCE_MS 30000 /* for what must happen, on any machine */

static char *take_text(struct evbuffer *b)
{
	size_t len = evbuffer_get_length(b);
	char *text = malloc(len + 1);

	evbuffer_remove(b, text, len);
	text[len] = '\0';
	evbuffer_free(b);
	return text;
}

static unsigned count(const char *text, const char *needle)
{
	unsigned n = 0;

	for (; (text = strstr(text, needle)); text += strlen(needle))
		n++;
	return n;
}

static bool has_line(const char *text, const char *line)
{
	const char *at = text;
	size_t len = strlen(line);

	for (; (at = strstr(at, line)); at++)
		if ((at == text || at[-1] == '\n') && at[len] == '\n')
			return true;
	return false;
}

/* ---- the histogram ---- */

static void test_histogram(void)
{
	static const struct {
		uint64_t us;
		unsigned bucket;
	} rows[] = {
		{ 0, 0 },    { 250, 0 },       { 251, 1 },	 { 500, 1 },	     { 1000, 2 },
		{ 1001, 3 }, { 10000000, 14 }, { 10000001, 15 }, { 1ull << 40, 15 },
	};
	struct histogram h, sum = { .sum_us = 0 };

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		h = (struct histogram){ .sum_us = 0 };
		histogram_add(&h, rows[i].us);
		CHECK(h.counts[rows[i].bucket] == 1 && histogram_count(&h) == 1);
		CHECK(h.sum_us == rows[i].us);
		histogram_merge(&sum, &h);
		histogram_merge(&sum, &h);
	}
	CHECK(histogram_count(&sum) == 18);
	CHECK(histogram_up_to(&sum, 0) == 4 && histogram_up_to(&sum, 1) == 8);
	CHECK(histogram_up_to(&sum, 14) == 14);
	CHECK_STR(histogram_le(0), "0.00025");
	CHECK_STR(histogram_le(HISTOGRAM_BUCKETS - 1), "+Inf");
	for (unsigned i = 1; i < HISTOGRAM_BUCKETS; i++) /* "+Inf" reads as infinite */
		CHECK(strtod(histogram_le(i), NULL) > strtod(histogram_le(i - 1), NULL));
}

/* ---- the texts ---- */

static struct rule_hits *many_rules(char (*names)[64])
{
	struct rule_hits *rules = calloc(MANY, sizeof(*rules));

	for (unsigned i = 0; i < MANY; i++) {
		snprintf(names[i], sizeof(names[i]),
			 "rule-with-a-name-of-sixty-three-bytes-which-is-"
			 "the-longest-%04u",
			 i);
		rules[i] = (struct rule_hits){ .name = names[i], .hits = i, .is_rule = i < 1500 };
	}
	return rules;
}

static char *exposed(const struct exposition *x)
{
	struct evbuffer *b = evbuffer_new();

	exposition_write(x, b);
	return take_text(b);
}

static char *reported(const struct stats *s, const struct rule_hits *rules, size_t n, bool json)
{
	struct evbuffer *b = evbuffer_new();

	report_stats(s, rules, n, json, b);
	return take_text(b);
}

static void test_exposition(void)
{
	struct rule_hits rules[] = { { "default", 7, false },
				     { "a\"b\\c\nd\xff", 3, true },
				     { "never", 0, true },
				     { "runtime", 0, false } };
	struct exposition x = {
		.status = { .version = "0.1.0",
			    .fastpath = "on",
			    .loaded_at = 1700000000,
			    .enforce = true },
		.rules = rules,
		.n_rules = 4,
		.reloads = 5,
		.reloads_failed = 2,
		.use = { .open_fds = -1, .max_fds = 1024, .resident_bytes = 4096 },
	};
	char *text;

	x.stats.reasons[REASON_POLICY] = 9;
	x.stats.bytes_down_kernel = 1ull << 63;
	histogram_add(&x.stats.connect, 400);
	histogram_add(&x.stats.connect, 20000007);
	text = exposed(&x);
	CHECK(has_line(text, "sluice_build_info{version=\"0.1.0\"} 1"));
	CHECK(has_line(text, "sluice_fastpath_enabled 1"));
	CHECK(has_line(text, "sluice_connections_ended_total{reason=\"policy\"} 9"));
	CHECK(has_line(text, "sluice_bytes_total{path=\"kernel\",direction=\"down\"} "
			     "9223372036854775808"));
	CHECK(has_line(text, "sluice_rule_hits_total{rule=\"default\"} 7"));
	CHECK(has_line(text, "sluice_rule_hits_total{rule=\"a\\\"b\\\\c\\nd?\"} 3"));
	CHECK(has_line(text, "sluice_rules_never_hit 1"));
	CHECK(has_line(text, "sluice_reloads_total{result=\"success\"} 3"));
	CHECK(has_line(text, "sluice_reloads_total{result=\"failure\"} 2"));
	CHECK(has_line(text, "sluice_verdict_to_connect_seconds_bucket{le=\"0.00025\"} 0"));
	CHECK(has_line(text, "sluice_verdict_to_connect_seconds_bucket{le=\"0.0005\"} 1"));
	CHECK(has_line(text, "sluice_verdict_to_connect_seconds_bucket{le=\"10\"} 1"));
	CHECK(has_line(text, "sluice_verdict_to_connect_seconds_bucket{le=\"+Inf\"} 2"));
	CHECK(has_line(text, "sluice_verdict_to_connect_seconds_sum 20.000407"));
	CHECK(has_line(text, "sluice_verdict_to_connect_seconds_count 2"));
	CHECK(has_line(text, "process_max_fds 1024"));
	CHECK(!strstr(text, "process_open_fds")); /* not known */
	CHECK(count(text, "# HELP ") == count(text, "# TYPE "));
	free(text);
}

/* Each counter, with a value of its own, is in all three texts; and is added like the others. */
static void test_counters(void)
{
	struct rule_hits rule = { .name = "default" };
	struct exposition x = { .status = { .version = "", .fastpath = "off" },
				.rules = &rule,
				.n_rules = 1 };
	struct stats half = { .workers = 0 };
	char *text, *json, *metrics, line[256];
	uint64_t value = 1000;

	for (const struct stats_counter *c = stats_counters; c->key; c++)
		*(uint64_t *)((char *)&half + c->at) = value++;
	stats_add(&x.stats, &half);
	stats_add(&x.stats, &half);
	CHECK(x.stats.workers == 2);
	text = reported(&x.stats, &rule, 1, false);
	json = reported(&x.stats, &rule, 1, true);
	metrics = exposed(&x);
	value = 1000;
	for (const struct stats_counter *c = stats_counters; c->key; c++, value++) {
		CHECK(stats_value(&x.stats, c) == 2 * value);
		snprintf(line, sizeof(line), "%s=%u", c->key, 2 * (unsigned)value);
		CHECK(has_line(text, line));
		snprintf(line, sizeof(line), "\"%s\":%u,", c->key, 2 * (unsigned)value);
		CHECK(count(json, line) == 1);
		if (!c->metric)
			continue;
		snprintf(line, sizeof(line), c->labels[0] ? "%s{%s} %u" : "%s%s %u", c->metric,
			 c->labels, 2 * (unsigned)value);
		CHECK(has_line(metrics, line));
		snprintf(line, sizeof(line), "# TYPE %s %s", c->metric, c->type);
		CHECK(has_line(metrics, line) && count(metrics, line) == 1);
	}
	free(text);
	free(json);
	free(metrics);
}

static void test_many_rules(void)
{
	char(*names)[64] = calloc(MANY, sizeof(*names));
	struct rule_hits *rules = many_rules(names);
	struct exposition x = { .status = { .version = "", .fastpath = "off" },
				.rules = rules,
				.n_rules = MANY };
	struct stats s = { .accepted = 1 };
	char *text = exposed(&x);
	size_t len;

	CHECK(count(text, "\nsluice_rule_hits_total{rule=\"") == MANY);
	CHECK(strstr(text, "longest-1999\"} 1999\n"));
	CHECK(has_line(text, "sluice_rules_never_hit 1"));
	free(text);
	text = reported(&s, rules, MANY, false);
	CHECK(count(text, "\nrule.rule-with") == MANY);
	CHECK(has_line(text, "rules_never_hit=1"));
	free(text);
	for (unsigned i = 0; i < MANY; i++)
		rules[i].hits = 0;
	text = reported(&s, rules, MANY, true);
	len = strlen(text);
	CHECK(strncmp(text, "{\"accepted\":1,", 14) == 0);
	CHECK(count(text, "\":0,\"rule-with-a") == MANY - 1);
	CHECK(count(text, "\",\"rule-with-a") == 1499); /* of the list of 1,500 */
	CHECK(strstr(text, "\"rules\":{\"rule-with-a") &&
	      strstr(text, "\"rules_never_hit\":[\"rule"));
	CHECK(len > 4 && strcmp(text + len - 4, "\"]}\n") == 0);
	free(text);
	free(rules);
	free(names);
}

/* ---- the listener ---- */

static struct event_base *base;
static struct metrics *metrics;
static struct sockaddr_storage at[2]; /* IPv4 and IPv6 */
static unsigned written;	      /* pages */
static unsigned at_rest;	      /* descriptors, without a client */

static void turn(void)
{
	event_base_loop(base, EVLOOP_NONBLOCK);
}

static void write_page(void *arg, struct evbuffer *out)
{
	written++;
	for (unsigned i = 0; i < *(unsigned *)arg; i++)
		evbuffer_add_printf(out, "line %07u\n", i);
}

static unsigned descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned n = 0;

	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

/* So many more than at rest are open, once what has ended is let go of. */
static bool settled(unsigned more)
{
	uint64_t until = clock_ms() + PATIENCE_MS;

	while (descriptors() != at_rest + more && clock_ms() < until) {
		turn();
		poll(NULL, 0, 1);
	}
	return descriptors() == at_rest + more;
}

static socklen_t length(const struct sockaddr_storage *ss)
{
	return ss->ss_family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
}

/* A socket at a free port of loopback. */
static int bound(int family, struct sockaddr_storage *out)
{
	int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	socklen_t len = sizeof(*out);

	memset(out, 0, sizeof(*out));
	out->ss_family = (sa_family_t)family;
	if (family == AF_INET6)
		((struct sockaddr_in6 *)out)->sin6_addr = in6addr_loopback;
	else
		((struct sockaddr_in *)out)->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (bind(fd, (struct sockaddr *)out, length(out)) != 0 ||
	    getsockname(fd, (struct sockaddr *)out, &len) != 0)
		abort();
	return fd;
}

static int call_at(const struct sockaddr_storage *to)
{
	int fd = socket(to->ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (connect(fd, (const struct sockaddr *)to, length(to)) != 0 && errno != EINPROGRESS)
		abort();
	return fd;
}

/* Reads to the end while the loop runs; the length, or -1 if the end does not come. A reset is
   an end like others. */
static ssize_t read_all(int fd, char *buf, size_t size)
{
	uint64_t until = clock_ms() + PATIENCE_MS;
	size_t len = 0;
	ssize_t n = -1;

	while (clock_ms() < until) {
		struct pollfd p = { .fd = fd, .events = POLLIN };

		turn();
		if (poll(&p, 1, 1) <= 0)
			continue;
		n = read(fd, buf + len, size - 1 - len);
		if (n == 0 || (n < 0 && errno != EAGAIN)) {
			buf[len] = '\0';
			return (ssize_t)len;
		}
		len += n > 0 ? (size_t)n : 0;
	}
	return -1;
}

static char answer[1 << 20];

/* What is said to these bytes; "" for nothing. */
static const char *ask_bytes(const void *bytes, size_t len)
{
	int fd = call_at(&at[0]);
	size_t off = 0;

	while (off < len) {
		ssize_t n = send(fd, (const char *)bytes + off, len - off, MSG_NOSIGNAL);

		if (n < 0 && errno != EAGAIN)
			break;
		off += n > 0 ? (size_t)n : 0;
		turn();
	}
	if (read_all(fd, answer, sizeof(answer)) < 0)
		strcpy(answer, "no end");
	close(fd);
	return answer;
}

static const char *ask(const char *text)
{
	return ask_bytes(text, strlen(text));
}

static bool says(const char *request, const char *status)
{
	char want[64];

	snprintf(want, sizeof(want), "HTTP/1.1 %s ", status);
	return strncmp(ask(request), want, strlen(want)) == 0;
}

#define END "\r\nHost: x\r\n\r\n"

static void test_requests(void)
{
	static char long_head[METRICS_HEAD_MAX * 2], long_body[METRICS_BODY_MAX * 2];
	static unsigned char noise[4096];
	unsigned before;
	const char *got = ask("GET /metrics HTTP/1.1" END);

	CHECK(strncmp(got, "HTTP/1.1 200 ", 13) == 0);
	CHECK(strstr(got, "\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n"));
	CHECK(strstr(got, "\r\nContent-Length: 39\r\n") &&
	      strstr(got, "\r\nConnection: close\r\n"));
	CHECK(strstr(got, "\r\n\r\nline 0000000\nline 0000001\nline 0000002\n") &&
	      strcmp(got + strlen(got) - 39, "line 0000000\nline 0000001\nline 0000002\n") == 0);
	got = ask("HEAD /metrics HTTP/1.1" END);
	CHECK(strncmp(got, "HTTP/1.1 200 ", 13) == 0 && strstr(got, "\r\nContent-Length: 39\r\n"));
	CHECK(strcmp(got + strlen(got) - 4, "\r\n\r\n") == 0);
	CHECK(says("GET /metrics?a=b HTTP/1.1" END, "200"));
	CHECK(strstr(ask("GET /metrics HTTP/1.0\r\n\r\n"), "line 0000002\n"));
	before = written;
	CHECK(says("GET / HTTP/1.1" END, "404"));
	CHECK(says("GET /metrics/ HTTP/1.1" END, "404"));
	CHECK(says("GET /metrics%00 HTTP/1.1" END, "404"));
	CHECK(says("POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx", "405"));
	CHECK(strstr(answer, "\r\nAllow: GET, HEAD\r\n"));
	CHECK(says("DELETE /metrics HTTP/1.1" END, "405"));
	CHECK(!strstr(ask("BREW /metrics HTTP/1.1" END), "line "));
	CHECK(!strstr(ask("GET\r\n\r\n"), "line "));
	CHECK(!strstr(ask("\x16\x03\x01\x02\x00\x01\x00\r\n\r\n"), "line "));
	memset(long_head, 'a', sizeof(long_head) - 1);
	memcpy(long_head, "GET /metrics HTTP/1.1\r\nHost: ", 29);
	memcpy(long_head + sizeof(long_head) - 5, "\r\n\r\n", 4);
	CHECK(!strstr(ask(long_head), "line ")); /* good but for its length */
	snprintf(long_body, sizeof(long_body),
		 "POST /metrics HTTP/1.1\r\nContent-Length: %d\r\n\r\n%*s", METRICS_BODY_MAX + 1,
		 METRICS_BODY_MAX + 1, "");
	CHECK(says(long_body, "413"));
	for (size_t i = 0; i < sizeof(noise); i++)
		noise[i] = (unsigned char)(i * 2654435761u >> 13);
	CHECK(!strstr(ask_bytes(noise, sizeof(noise)), "line "));
	CHECK(written == before);
	/* one request a connection: the second gets nothing */
	CHECK(count(ask("GET /metrics HTTP/1.1" END "GET /metrics HTTP/1.1" END), "HTTP/1.1 ") ==
	      1);
}

/* However often it is asked for. */
static void test_fresh(void)
{
	uint64_t begin = clock_ms();
	unsigned before = written, pages;

	for (int i = 0; i < 50; i++)
		CHECK(says("GET /metrics HTTP/1.1" END, "200"));
	pages = written - before;
	CHECK(pages >= 1 || clock_ms() - begin < METRICS_FRESH_MS);
	CHECK(pages <= (clock_ms() - begin) / METRICS_FRESH_MS + 1);
}

/* Nobody stays longer than the limit: who says nothing, who says it too slowly, who does not
   read. Each is told by the end of its connection. */
static void test_time(unsigned *lines)
{
	int silent = call_at(&at[0]), slow = call_at(&at[1]), deaf = call_at(&at[0]);
	static char all[1 << 20];
	uint64_t begin = clock_ms(), until = begin + PATIENCE_MS;
	unsigned kept = *lines;
	bool gone = false;

	*lines = 1 << 19; /* 6.5 MB: more than the sockets take */
	send(deaf, "GET /metrics HTTP/1.1" END, strlen("GET /metrics HTTP/1.1" END), 0);
	while (!gone && clock_ms() < until) {	  /* a byte at a time, until it is cut off */
		struct pollfd p = { .fd = slow }; /* its end ends the wait */

		turn();
		poll(&p, 1, 1);
		gone = send(slow, "G", 1, MSG_NOSIGNAL) < 0 && errno != EAGAIN && errno != ENOTCONN;
	}
	CHECK(gone && clock_ms() - begin >= LIMIT_MS);
	CHECK(read_all(silent, all, sizeof(all)) == 0);
	CHECK(settled(3)); /* the deaf one's end is gone as well, and it has not read a byte */
	close(silent);
	close(slow);
	close(deaf);
	*lines = kept;
}

/* More than METRICS_CLIENTS that hang: those beyond cost nothing, and are served when others have
   run out of time. */
static void test_crowd(void)
{
	int fds[METRICS_CLIENTS + 8];
	unsigned n = sizeof(fds) / sizeof(*fds);

	for (unsigned i = 0; i < n; i++)
		fds[i] = call_at(&at[i % 2]);
	for (int i = 0; i < 20; i++)
		turn(); /* time for one more, if one more were taken */
	CHECK(settled(n + METRICS_CLIENTS));
	CHECK(says("GET /metrics HTTP/1.1" END, "200"));
	for (unsigned i = 0; i < n; i++) {
		CHECK(read_all(fds[i], answer, sizeof(answer)) == 0);
		close(fds[i]);
	}
}

static void test_listener(void)
{
	struct sockaddr_storage busy;
	struct conf_metrics taken = { .at = &busy, .n = 1 }, ours = { .at = at, .n = 2 };
	struct metrics *other = NULL;
	unsigned lines = 3;
	char err[256], want[64];
	int fd = bound(AF_INET, &busy), v4, v6;

	base = event_base_new();
	listen(fd, 1);
	snprintf(want, sizeof(want), "127.0.0.1:%u: Address already in use",
		 ntohs(((struct sockaddr_in *)&busy)->sin_port));
	CHECK(metrics_open(&other, base, &taken, false, LIMIT_MS, write_page, &lines, err,
			   sizeof(err)) == -EADDRINUSE);
	CHECK(!other && strstr(err, "[metrics] cannot listen at ") && strstr(err, want));
	close(fd);
	v4 = bound(AF_INET, &at[0]);
	v6 = bound(AF_INET6, &at[1]);
	close(v4);
	close(v6);
	CHECK(metrics_open(&metrics, base, &ours, false, LIMIT_MS, write_page, &lines, err,
			   sizeof(err)) == 0);
	CHECK(metrics_open(&other, base, &ours, false, LIMIT_MS, write_page, &lines, err,
			   sizeof(err)) == -EADDRINUSE); /* another one is another program */
	at_rest = descriptors();
	test_requests();
	test_fresh();
	CHECK(settled(0));
	test_time(&lines);
	test_crowd();
	CHECK(says("GET /metrics HTTP/1.1" END, "200")); /* all that has not harmed it */
	CHECK(metrics_open(&other, base, &ours, true, LIMIT_MS, write_page, &lines, err,
			   sizeof(err)) == 0); /* but for the one that replaces it */
	metrics_close(metrics);
	metrics = other;
	CHECK(says("GET /metrics HTTP/1.1" END, "200"));
	fd = call_at(&at[1]); /* one is there when it ends */
	turn();
	metrics_close(metrics);
	turn();
	close(fd);
	event_base_free(base);
}

int main(void)
{
	unsigned before;

	log_open(); /* has one of its own */
	before = descriptors();
	RUN(test_histogram);
	RUN(test_exposition);
	RUN(test_counters);
	RUN(test_many_rules);
	RUN(test_listener);
	CHECK(descriptors() == before);
	TEST_DONE("metrics");
}
