// SPDX-License-Identifier: GPL-2.0-or-later
// The access log: both formats byte for byte, names that try to forge a line, a full disk,
// reopening, more lines than a dead reader takes, a reader or syslog daemon that sleeps.
#include "slowpath/report/access_log.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bpf/abi/flow.h"
#include "common/log.h"
#include "tests/unit/test.h"

#define HANG_S 60 /* a test that hangs ends then */

static char folder[] = "/tmp/access_log.XXXXXX";
static char path[128], old_path[128];
static int hear_fd = -1, real_stderr = STDERR_FILENO;

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
	struct conf conf = { .user = (char *)"",
			     .access_log = (char *)where,
			     .log_format = format };
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
	CHECK(strstr(line_of(&e, LOG_SQUID), " a%20b%09c%0Dd%2541%1B[2J%7F%FF%22%5C:443 "));
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

/* ---- no byte of a name ends a field or a line ---- */

#define SQUID_FIELDS 10

/* Strict: fields are what is between single spaces, none is empty, and there are ten; but for the
   padding of the second one, which Squid has as well. */
static char *squid_name(char *line)
{
	char *field[SQUID_FIELDS], *p = line;
	size_t n = 0;

	if (strlen(line) == 0 || strchr(line, '\n') != line + strlen(line) - 1)
		return NULL;
	line[strlen(line) - 1] = '\0';
	for (; *p; p++)
		if (*p < ' ' || *p > '~')
			return NULL;
	for (p = line; n < SQUID_FIELDS; n++) {
		field[n] = p + (n == 1 ? strspn(p, " ") : 0);
		p = strchrnul(field[n], ' ');
		if (p == field[n] || (*p == '\0') != (n == SQUID_FIELDS - 1))
			return NULL;
		*p++ = '\0';
	}
	p = strrchr(field[6], ':');
	if (strcmp(field[5], "CONNECT") != 0 || !p || strcmp(p, ":443") != 0)
		return NULL;
	*p = '\0';
	return field[6];
}

static const char *unescaped(char *text)
{
	char *out = text;
	unsigned byte;

	for (char *in = text; *in; in++) {
		if (*in == '%' && sscanf(in + 1, "%2X", &byte) == 1) {
			*out++ = (char)byte;
			in += 2;
		} else {
			*out++ = *in;
		}
	}
	*out = '\0';
	return text;
}

/* What `"name":"..."` stands for, a character of Latin-1 being a byte. NULL: not strict JSON. */
static const char *json_name(char *line)
{
	char *in = strstr(line, "\"name\":\""), *out = in, *name = in;
	unsigned byte;

	if (!in || strchr(line, '\n') != line + strlen(line) - 1)
		return NULL;
	for (in += 8; *in != '"'; in++) {
		if (*in < ' ' || *in > '~')
			return NULL;
		if (*in != '\\') {
			*out++ = *in;
		} else if (*++in == 'u') {
			if (sscanf(in + 1, "00%2x", &byte) != 1)
				return NULL;
			*out++ = (char)byte;
			in += 4;
		} else if (*in == '"' || *in == '\\') {
			*out++ = *in;
		} else {
			return NULL;
		}
	}
	if (strncmp(in, "\",\"port\":443,", 13) != 0)
		return NULL;
	*out = '\0';
	return name;
}

static void test_every_byte(void)
{
	struct access_entry e = allowed();
	char name[16], line[LOG_LINE_LEN];

	for (unsigned byte = 1; byte < 256; byte++)
		for (size_t place = 0; place < 3; place++) {
			size_t len;

			strcpy(name, "abc");
			name[place] = (char)byte;
			e.name = name;
			len = log_line(LOG_SQUID, &e, line, sizeof(line) - 1);
			line[len] = '\0';
			CHECK(len > 0 && len == strlen(line));
			CHECK_STR(unescaped(squid_name(line) ?: line), name);
			len = log_line(LOG_JSON, &e, line, sizeof(line) - 1);
			line[len] = '\0';
			CHECK(len > 0 && len == strlen(line));
			CHECK_STR(json_name(line), name);
		}
}

/* ---- the daemon's own log tells of it ---- */

static char heard[65536];
static size_t heard_len;

/* What went to stderr until now: a pipe, since the size of files is limited here. */
static void listen_to(void)
{
	ssize_t n;

	while ((n = read(hear_fd, heard + heard_len, sizeof(heard) - 1 - heard_len)) > 0)
		heard_len += (size_t)n;
	heard[heard_len] = '\0';
}

static void forget_said(void)
{
	listen_to();
	if (test_failures) /* one of these lines may say which */
		(void)!write(real_stderr, heard, heard_len);
	heard_len = 0;
}

static size_t said(const char *text)
{
	const char *all = heard;
	size_t n = 0;

	listen_to();
	for (; (all = strstr(all, text)); all++)
		n++;
	return n;
}

static void write_lines(struct access_log *log, unsigned n)
{
	struct access_entry e = allowed();

	for (unsigned i = 0; i < n; i++)
		access_log_write(log, &e);
}

static void wait_lost(struct access_log *log, uint64_t lines)
{
	while (access_log_lost(log) < lines)
		usleep(1000);
}

static void test_full_disk(void)
{
	struct access_log *log = open_log("/dev/full", LOG_SQUID);

	for (unsigned i = 1; i <= 100; i++) {
		write_lines(log, 1);
		if (i % 20 == 0)
			wait_lost(log, i);
	}
	CHECK(access_log_lost(log) == 100);
	CHECK(said("access log /dev/full: No space left on device; lines are being lost") == 1);
	CHECK(access_log_reopen(log) == 0);
	CHECK(access_log_close(log) == 100);
}

/* ---- a disk that is full in the middle of a line ---- */

static void limit_files(size_t bytes)
{
	struct rlimit limit;

	getrlimit(RLIMIT_FSIZE, &limit);
	limit.rlim_cur = bytes ? bytes : limit.rlim_max;
	setrlimit(RLIMIT_FSIZE, &limit);
}

static size_t whole_lines_in(const char *text, const char *line)
{
	size_t n = 0;

	for (const char *eol; (eol = strchrnul(text, '\n')) != text || *eol; text = eol + !!*eol)
		n += strncmp(text, line, strlen(line) - 1) == 0 &&
		     (size_t)(eol - text) == strlen(line) - 1;
	return n;
}

/* Room for `bytes`, then none, then enough again: what is whole in the file and what is counted as
   lost is all there was, and no line has the end of another. */
static void full_after(size_t bytes, const char *one)
{
	struct access_log *log;
	uint64_t lost;

	forget_said();
	unlink(path);
	log = open_log(path, LOG_SQUID);
	limit_files(bytes);
	write_lines(log, 3);
	wait_lost(log, 3 - (bytes + 1) / strlen(one));
	limit_files(0);
	write_lines(log, 1);
	lost = access_log_close(log);
	CHECK(whole_lines_in(slurp(path), one) == 4 - lost);
	CHECK(lost == 3 - (bytes + 1) / strlen(one));
	CHECK(strcmp(slurp(path) + strlen(slurp(path)) - strlen(one), one) == 0);
}

static void test_torn(void)
{
	struct access_entry e = allowed();
	char one[256];

	signal(SIGXFSZ, SIG_IGN);
	snprintf(one, sizeof(one), "%s", line_of(&e, LOG_SQUID));
	for (size_t bytes = 1; bytes < 2 * strlen(one); bytes++)
		full_after(bytes, one);
	unlink(path);
}

/* A line that lacks nothing but its end is not lost, and nobody is told that one is. */
static void test_full_before_the_end(void)
{
	struct access_entry e = allowed();
	struct access_log *log;
	char one[256];

	snprintf(one, sizeof(one), "%s", line_of(&e, LOG_SQUID));
	forget_said();
	unlink(path);
	log = open_log(path, LOG_SQUID);
	limit_files(strlen(one) - 1);
	write_lines(log, 1);
	CHECK(access_log_close(log) == 0);
	limit_files(0);
	CHECK(strlen(slurp(path)) == strlen(one) - 1 && said("lines are being lost") == 0);
	unlink(path);
}

/* The same log: what was said once is not said again at once, and that it works is said. */
static void test_recovers(void)
{
	char working[256];
	struct access_log *log;

	forget_said();
	unlink(path);
	log = open_log(path, LOG_SQUID);
	snprintf(working, sizeof(working), "access log %s works again; 3 lines were lost", path);
	limit_files(1);
	write_lines(log, 3);
	wait_lost(log, 3);
	limit_files(0);
	CHECK(said(working) == 0);
	write_lines(log, 1);
	while (said(working) == 0)
		usleep(1000);
	write_lines(log, 1);
	CHECK(access_log_close(log) == 3);
	CHECK(said(working) == 1);
	unlink(path);
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

/* ---- a reader that sleeps ---- */

static unsigned read_lines(int fd, unsigned most)
{
	unsigned got = 0;
	char c;

	while (got < most && read(fd, &c, 1) == 1)
		got += c == '\n';
	return got;
}

/* Reopening gets past a FIFO that nobody reads, and no line is lost by that, nor torn; not even
   one that is so long that a part of it is in the FIFO. */
static void test_reopen_past_a_dead_fifo(size_t name_len)
{
	struct access_entry e = allowed();
	static char name[1024], one[LOG_LINE_LEN + 1];
	size_t in_fifo, in_file, len;
	struct access_log *log;
	unsigned count;
	char *text;
	int fd;

	memset(name, '\n', name_len);
	name[name_len] = '\0';
	e.name = name;
	one[log_line(LOG_JSON, &e, one, LOG_LINE_LEN)] = '\0';
	count = (unsigned)(200000 / strlen(one)); /* more than a pipe has room for */
	unlink(path);
	CHECK(mkfifo(path, 0600) == 0);
	fd = open(path, O_RDONLY | O_NONBLOCK);
	log = open_log(path, LOG_JSON);
	for (unsigned i = 0; i < count; i++)
		access_log_write(log, &e);
	CHECK(rename(path, old_path) == 0);
	CHECK(access_log_reopen(log) == 0);
	access_log_write(log, &e);
	CHECK(access_log_close(log) == 0);
	in_fifo = read_lines(fd, count + 1);
	close(fd);
	len = (count + 1) * strlen(one) + 1;
	text = malloc(len);
	fd = open(path, O_RDONLY);
	text[read(fd, text, len - 1)] = '\0';
	in_file = whole_lines_in(text, one);
	CHECK(in_file > 0 && in_fifo + in_file == count + 1);
	CHECK(strlen(text) == in_file * strlen(one));
	close(fd);
	free(text);
	unlink(path);
	unlink(old_path);
}

/* The end waits a bounded time, and what nobody has read is lost, counted and told. */
static void test_close_with_a_dead_fifo(void)
{
	unsigned count = 2000, got;
	struct access_log *log;
	char message[256];
	uint64_t lost;
	int fd;

	unlink(path);
	CHECK(mkfifo(path, 0600) == 0);
	fd = open(path, O_RDONLY | O_NONBLOCK);
	log = open_log(path, LOG_SQUID);
	write_lines(log, count);
	lost = access_log_close(log);
	got = read_lines(fd, count);
	CHECK(lost > 0 && lost + got == count);
	snprintf(message, sizeof(message), "access log %s: the last %llu lines are lost", path,
		 (unsigned long long)lost);
	CHECK(said(message) == 1);
	close(fd);
	unlink(path);
}

/* Standard error is a full pipe that others have as well: nobody waits, and their end of it does
   not become non-blocking. In a process of its own, since it is our stderr. */
static void test_close_with_a_dead_stderr(void)
{
	int fds[2], status = 1;
	pid_t pid;

	CHECK(pipe(fds) == 0);
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		struct access_log *log;
		uint64_t lost;

		dup2(fds[1], STDERR_FILENO);
		log_open();
		log = open_log("stderr", LOG_SQUID);
		write_lines(log, 2000);
		lost = access_log_close(log);
		log_warn("nobody reads this");
		_exit(lost == 0 || lost >= 2000 || log_messages_lost() == 0 ||
		      (fcntl(STDERR_FILENO, F_GETFL) & O_NONBLOCK) || test_failures);
	}
	CHECK(waitpid(pid, &status, 0) == pid && status == 0);
	close(fds[0]);
	close(fds[1]);
}

/* ---- syslog ---- */

static int syslog_daemon(int type)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

	unlink(path);
	memcpy(at.sun_path, path, strlen(path));
	CHECK(bind(fd, (struct sockaddr *)&at, sizeof(at)) == 0);
	CHECK(type != SOCK_STREAM || listen(fd, 4) == 0);
	return fd;
}

static struct access_log *open_syslog(void)
{
	char where[160];

	snprintf(where, sizeof(where), "syslog:%s", path);
	return open_log(where, LOG_SQUID);
}

static const char squid_line[] = "1700000000.123    456 10.1.0.2 TCP_TUNNEL/200 1234 CONNECT "
				 "example.com:443 - HIER_DIRECT/93.184.216.34 -";

/* RFC 3164 as local daemons have it; returns what is behind the head. */
static const char *syslog_text(char *message, ssize_t len)
{
	char month[4] = "", *behind;
	int day, hour, minute, second, pid;

	message[len > 0 ? len : 0] = '\0';
	behind = strstr(message, "]: ");
	CHECK(sscanf(message, "<30>%3s %d %d:%d:%d sluiced[%d]: ", month, &day, &hour, &minute,
		     &second, &pid) == 6);
	CHECK(strstr("JanFebMarAprMayJunJulAugSepOctNovDec", month) && day <= 31 && hour < 24);
	CHECK(pid == getpid());
	CHECK(strlen(message) > 19 && message[7] == ' ' && message[10] == ' ');
	return behind ? behind + 3 : "";
}

static void test_syslog(void)
{
	int fd = syslog_daemon(SOCK_DGRAM);
	struct access_log *log = open_syslog();
	char message[1024];

	write_lines(log, 2);
	for (int i = 0; i < 2; i++)
		CHECK_STR(syslog_text(message, recv(fd, message, sizeof(message) - 1, 0)),
			  squid_line);
	/* started again: another socket at the same place */
	close(fd);
	fd = syslog_daemon(SOCK_DGRAM);
	write_lines(log, 1);
	CHECK_STR(syslog_text(message, recv(fd, message, sizeof(message) - 1, 0)), squid_line);
	CHECK(access_log_lost(log) == 0);
	/* gone: every line is counted */
	close(fd);
	unlink(path);
	write_lines(log, 3);
	wait_lost(log, 3);
	/* and back */
	fd = syslog_daemon(SOCK_DGRAM);
	write_lines(log, 1);
	CHECK_STR(syslog_text(message, recv(fd, message, sizeof(message) - 1, 0)), squid_line);
	CHECK(access_log_close(log) == 3);
	close(fd);
	unlink(path);
}

/* Messages of a stream end with NUL. */
static void test_syslog_stream(void)
{
	int listener = syslog_daemon(SOCK_STREAM), fd;
	struct access_log *log = open_syslog();
	char message[1024];

	for (int i = 0; i < 2; i++) { /* the second time it was started again */
		ssize_t len = 0;

		write_lines(log, 2);
		fd = accept(listener, NULL, NULL);
		for (int end = 0; end < 2; end += message[len - 1] == '\0')
			len += recv(fd, message + len, 1, 0);
		CHECK_STR(syslog_text(message, len), squid_line);
		CHECK(strlen(message) * 2 + 2 == (size_t)len);
		CHECK_STR(syslog_text(message, (ssize_t)strlen(message)), squid_line);
		close(fd);
	}
	CHECK(access_log_close(log) == 0);
	close(listener);
	unlink(path);
}

/* One that does not read costs lines, not time; reopening finds the one that has its place. */
static void test_syslog_that_sleeps(void)
{
	unsigned count = 5000, got = 0, later = 0;
	int asleep = syslog_daemon(SOCK_DGRAM), fd;
	struct access_log *log = open_syslog();
	char message[1024];
	uint64_t lost;

	write_lines(log, count);
	CHECK(recv(asleep, message, sizeof(message), MSG_PEEK) > 0);
	fd = syslog_daemon(SOCK_DGRAM); /* in its place, while it still has the old one */
	fcntl(fd, F_SETFL, O_NONBLOCK);
	CHECK(access_log_reopen(log) == 0);
	while (later < 10) { /* no more than that: it sleeps as well now */
		if (recv(fd, message, sizeof(message), 0) > 0)
			later++;
		else
			usleep(1000);
	}
	lost = access_log_close(log);
	while (recv(fd, message, sizeof(message), 0) > 0)
		later++;
	fcntl(asleep, F_SETFL, O_NONBLOCK);
	while (recv(asleep, message, sizeof(message), 0) > 0)
		got++;
	CHECK(got > 0 && lost > 0);
	CHECK(got + later + lost == count);
	close(asleep);
	close(fd);
	unlink(path);
}

static void test_other_sinks(void)
{
	struct conf conf = { .user = (char *)"", .access_log = (char *)"/nonexistent/log" };
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

/* What the log and the checks say is kept, and shown if a check failed. */
static void hear(void)
{
	int fds[2];

	CHECK(pipe2(fds, O_CLOEXEC) == 0);
	fcntl(fds[0], F_SETFL, O_NONBLOCK);
	hear_fd = fds[0];
	real_stderr = dup(STDERR_FILENO);
	dup2(fds[1], STDERR_FILENO);
	close(fds[1]);
}

static void tell(void)
{
	listen_to();
	dup2(real_stderr, STDERR_FILENO);
	if (test_failures)
		fputs(heard, stderr);
}

static void give_up(int sig)
{
	(void)sig;
	listen_to();
	(void)!write(real_stderr, heard, heard_len);
	_exit(1);
}

int main(void)
{
	if (!mkdtemp(folder))
		return 99;
	snprintf(path, sizeof(path), "%s/log", folder);
	snprintf(old_path, sizeof(old_path), "%s/log.1", folder);
	signal(SIGALRM, give_up);
	alarm(HANG_S);
	RUN(test_close_with_a_dead_stderr);
	hear();
	RUN(test_squid);
	RUN(test_json);
	RUN(test_injection);
	RUN(test_every_byte);
	RUN(test_full_disk);
	RUN(test_torn);
	RUN(test_full_before_the_end);
	RUN(test_recovers);
	RUN(test_slow_reader);
	RUN(test_reopen);
	RUN(test_reopen_past_a_dead_fifo, 10);
	RUN(test_reopen_past_a_dead_fifo, 900);
	RUN(test_close_with_a_dead_fifo);
	RUN(test_syslog);
	RUN(test_syslog_stream);
	RUN(test_syslog_that_sleeps);
	RUN(test_other_sinks);
	RUN(test_words);
	tell();
	unlink(path);
	rmdir(folder);
	TEST_DONE("access_log");
}
