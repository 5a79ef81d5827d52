// SPDX-License-Identifier: GPL-2.0-or-later
// The access log: both formats byte for byte, names that try to forge a line, a full disk,
// reopening, more lines than a dead reader takes.
#include "slowpath/access_log.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bpf/abi.h"
#include "tests/unit/test.h"

static char folder[] = "/tmp/access_log.XXXXXX";
static char path[128], old_path[128];

static struct endpoint_addr at(const char *text, uint16_t port)
{
	struct endpoint_addr a = { .port = port };

	if (inet_pton(AF_INET6, text, &a.ip) == 1)
		return a;
	a.ip.s6_addr[10] = a.ip.s6_addr[11] = 0xff;
	inet_pton(AF_INET, text, a.ip.s6_addr + 12);
	return a;
}

static struct access_entry allowed(void)
{
	return (struct access_entry){
		.end = { .tv_sec = 1700000000, .tv_nsec = 123999999 },
		.duration_ms = 456,
		.client = at("10.1.0.2", 50000),
		.dst = at("93.184.216.34", 443),
		.connected = true,
		.group = "agents",
		.name = "example.com",
		.port = 443,
		.proto = PROTO_TLS,
		.allowed = true,
		.enforced = true,
		.reason = REASON_OK,
		.rule = "api",
		.path = "kernel",
		.bytes_up = 517,
		.bytes_down = 1234,
	};
}

static struct access_entry denied(void)
{
	struct access_entry e = allowed();

	e.allowed = e.connected = false;
	e.reason = REASON_POLICY;
	e.rule = "default";
	e.bytes_down = 7;
	return e;
}

static struct access_log *open_log(const char *where, enum conf_log_format format)
{
	struct conf conf = { .access_log = (char *)where, .log_format = format };
	struct access_log *log = NULL;
	char err[256] = "";

	CHECK(access_log_open(&log, &conf, err, sizeof(err)) == 0);
	CHECK_STR(err, "");
	return log;
}

static char *slurp(const char *from)
{
	static char text[65536];
	int fd = open(from, O_RDONLY);
	ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);

	text[n > 0 ? n : 0] = '\0';
	if (fd >= 0)
		close(fd);
	return text;
}

/* What one entry becomes. */
static const char *line_of(const struct access_entry *e, enum conf_log_format format)
{
	struct access_log *log;

	unlink(path);
	log = open_log(path, format);
	access_log_write(log, e);
	access_log_close(log);
	return slurp(path);
}

static void test_squid(void)
{
	struct access_entry e = allowed();

	CHECK_STR(line_of(&e, LOG_SQUID),
		  "1700000000.123    456 10.1.0.2 TCP_TUNNEL/200 1234 CONNECT example.com:443 - "
		  "HIER_DIRECT/93.184.216.34 -\n");
	e.name = "";
	CHECK_STR(line_of(&e, LOG_SQUID),
		  "1700000000.123    456 10.1.0.2 TCP_TUNNEL/200 1234 CONNECT 93.184.216.34:443 - "
		  "HIER_DIRECT/93.184.216.34 -\n");
	e.client = at("2001:db8::2", 1);
	e.dst = at("2001:db8::1", 443);
	e.duration_ms = 1234567;
	CHECK_STR(line_of(&e, LOG_SQUID),
		  "1700000000.123 1234567 2001:db8::2 TCP_TUNNEL/200 1234 CONNECT "
		  "[2001:db8::1]:443 - HIER_DIRECT/2001:db8::1 -\n");
	e = denied();
	CHECK_STR(line_of(&e, LOG_SQUID),
		  "1700000000.123    456 10.1.0.2 TCP_DENIED/403 7 CONNECT example.com:443 - "
		  "HIER_NONE/- -\n");
	e = allowed();
	e.connected = false;
	e.reason = REASON_UPSTREAM_REFUSED;
	CHECK_STR(line_of(&e, LOG_SQUID),
		  "1700000000.123    456 10.1.0.2 TCP_TUNNEL/503 1234 CONNECT example.com:443 - "
		  "HIER_NONE/- -\n");
	e = allowed();
	e.enforced = false;
	CHECK_STR(line_of(&e, LOG_SQUID),
		  "1700000000.123    456 10.1.0.2 TCP_DENIED/200 1234 CONNECT example.com:443 - "
		  "HIER_DIRECT/93.184.216.34 -\n");
}

static void test_json(void)
{
	struct access_entry e = allowed();

	CHECK_STR(line_of(&e, LOG_JSON),
		  "{\"time\":\"2023-11-14T22:13:20.123Z\",\"client\":\"10.1.0.2\","
		  "\"client_port\":50000,\"group\":\"agents\",\"name\":\"example.com\","
		  "\"port\":443,\"proto\":\"tls\",\"verdict\":\"allow\",\"reason\":\"ok\","
		  "\"rule\":\"api\",\"path\":\"kernel\",\"bytes_up\":517,\"bytes_down\":1234,"
		  "\"duration_ms\":456,\"dst\":\"93.184.216.34\",\"connected\":true,"
		  "\"enforced\":true}\n");
	e = denied();
	e.proto = PROTO_HTTP;
	e.requests = 2;
	CHECK_STR(line_of(&e, LOG_JSON),
		  "{\"time\":\"2023-11-14T22:13:20.123Z\",\"client\":\"10.1.0.2\","
		  "\"client_port\":50000,\"group\":\"agents\",\"name\":\"example.com\","
		  "\"port\":443,\"proto\":\"http\",\"verdict\":\"deny\",\"reason\":\"policy\","
		  "\"rule\":\"default\",\"path\":\"kernel\",\"bytes_up\":517,\"bytes_down\":7,"
		  "\"duration_ms\":456,\"dst\":\"93.184.216.34\",\"connected\":false,"
		  "\"enforced\":true,\"requests\":2}\n");
	e = allowed();
	e.enforced = false;
	CHECK(strstr(line_of(&e, LOG_JSON), "\"verdict\":\"deny\""));
	CHECK(strstr(slurp(path), "\"enforced\":false"));
}

static size_t newlines(const char *s)
{
	size_t n = 0;

	for (; *s; s++)
		n += *s == '\n';
	return n;
}

static void test_injection(void)
{
	struct access_entry e = allowed();
	char longest[1024];

	e.name = "a\n1700000000.123 1 10.9.9.9 TCP_TUNNEL/200";
	CHECK(newlines(line_of(&e, LOG_SQUID)) == 1);
	CHECK(strstr(slurp(path),
		     " CONNECT a%0A1700000000.123%201%2010.9.9.9%20TCP_TUNNEL/200:443 "));
	e.name = "a b\tc\rd%41\x1b[2J\x7f\xff\"\\";
	CHECK(strstr(line_of(&e, LOG_SQUID),
		     " a%20b%09c%0Dd%2541%1B[2J%7F%FF%22%5C:443 "));
	e.name = "x\",\"verdict\":\"allow\n\\\xff";
	CHECK(strstr(line_of(&e, LOG_JSON),
		     "\"name\":\"x\\\",\\\"verdict\\\":\\\"allow\\u000a\\\\\\u00ff\","));
	CHECK(newlines(slurp(path)) == 1);
	memset(longest, '\n', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	e.name = longest;
	CHECK(newlines(line_of(&e, LOG_JSON)) == 1);
	CHECK(newlines(line_of(&e, LOG_SQUID)) == 1);
	CHECK(strstr(slurp(path), ":443 - HIER_DIRECT/93.184.216.34 -\n"));
}

static void test_full_disk(void)
{
	struct access_log *log = open_log("/dev/full", LOG_SQUID);
	struct access_entry e = allowed();

	for (int i = 0; i < 100; i++)
		access_log_write(log, &e);
	while (access_log_lost(log) < 100)
		usleep(1000);
	CHECK(access_log_lost(log) == 100);
	CHECK(access_log_reopen(log) == 0);
	access_log_close(log);
}

/* A FIFO whose reader does not read: the buffer fills, the rest is counted, nobody waits. */
static void test_slow_reader(void)
{
	struct access_entry e = allowed();
	struct access_log *log;
	uint64_t got = 0, lost;
	char text[65536];
	ssize_t n;
	int fd;

	unlink(path);
	CHECK(mkfifo(path, 0600) == 0);
	fd = open(path, O_RDONLY | O_NONBLOCK);
	log = open_log(path, LOG_SQUID);
	for (int i = 0; i < 100000; i++)
		access_log_write(log, &e);
	lost = access_log_lost(log);
	CHECK(lost > 0 && lost < 100000);
	fcntl(fd, F_SETFL, 0);
	while (got < 100000 - lost && (n = read(fd, text, sizeof(text))) > 0)
		for (ssize_t i = 0; i < n; i++)
			got += text[i] == '\n';
	CHECK(got == 100000 - lost);
	access_log_close(log);
	close(fd);
	unlink(path);
}

/* The line is in the file without anyone closing anything. */
static void wait_for(const char *where, const char *text)
{
	while (strcmp(slurp(where), text) != 0)
		usleep(1000);
	CHECK_STR(slurp(where), text);
}

static void test_reopen(void)
{
	struct access_entry e = denied();
	struct access_log *log;
	char one[256];
	struct stat st;

	snprintf(one, sizeof(one), "%s", line_of(&e, LOG_SQUID));
	unlink(path);
	log = open_log(path, LOG_SQUID);
	CHECK(stat(path, &st) == 0 && (st.st_mode & 0777 & ~0640) == 0);
	access_log_write(log, &e);
	wait_for(path, one);
	CHECK(rename(path, old_path) == 0);
	CHECK(access_log_reopen(log) == 0);
	access_log_write(log, &e);
	wait_for(path, one);
	CHECK_STR(slurp(old_path), one);
	/* a folder in its place: the old file stays in use */
	CHECK(unlink(path) == 0 && mkdir(path, 0700) == 0);
	CHECK(access_log_reopen(log) == -EISDIR);
	CHECK(rmdir(path) == 0);
	access_log_write(log, &e);
	CHECK(access_log_reopen(log) == 0 && access_log_reopen(log) == 0);
	access_log_close(log);
	unlink(old_path);
	unlink(path);
}

static void test_other_sinks(void)
{
	struct conf conf = { .access_log = (char *)"/nonexistent/log" };
	struct access_entry e = allowed();
	struct access_log *log = NULL;
	char err[256] = "";

	CHECK(access_log_open(&log, &conf, err, sizeof(err)) == -ENOENT);
	CHECK(log == NULL);
	CHECK_STR(err, "access log /nonexistent/log: No such file or directory");
	log = open_log("none", LOG_JSON);
	access_log_write(log, &e);
	CHECK(access_log_reopen(log) == 0);
	CHECK(access_log_lost(log) == 0);
	access_log_close(log);
	access_log_close(NULL);
}

static void test_words(void)
{
	for (unsigned i = 0; i < REASON_COUNT; i++)
		CHECK(reason_word(i) && reason_word(i)[0] != '?');
	CHECK_STR(reason_word(REASON_COUNT), "?");
	CHECK_STR(reason_word(REASON_OK), "ok");
	CHECK_STR(reason_word(REASON_UPSTREAM_RESET), "upstream_reset");
}

int main(void)
{
	if (!mkdtemp(folder))
		return 99;
	snprintf(path, sizeof(path), "%s/log", folder);
	snprintf(old_path, sizeof(old_path), "%s/log.1", folder);
	test_squid();
	test_json();
	test_injection();
	test_full_disk();
	test_slow_reader();
	test_reopen();
	test_other_sinks();
	test_words();
	unlink(path);
	rmdir(folder);
	TEST_DONE("access_log");
}
