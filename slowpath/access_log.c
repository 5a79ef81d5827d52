// SPDX-License-Identifier: GPL-2.0-or-later
// The access log: any thread formats its line and leaves it in a buffer; one thread empties
// the buffer into the file. Two buffers change places, so nobody waits for a disk.
#include "slowpath/access_log.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "bpf/abi.h"
#include "common/cleanup.h"
#include "slowpath/json.h"

#define BUFFER_LEN (1024 * 1024) /* lines waiting for the writer; twice that in memory */
#define LINE_LEN 8192		 /* the longest name, every byte escaped, and room to spare */
#define LOG_MODE 0640
#define GATHER_MS 20 /* after a write: lines that come close together share the next one */

enum sink { SINK_FILE, SINK_STDERR, SINK_SYSLOG, SINK_NONE };

struct access_log {
	enum sink sink;
	enum conf_log_format format;
	char *path;
	pthread_t writer;
	pthread_mutex_t lock; /* guards what follows, up to `writing` */
	pthread_cond_t wake;
	char *filling; /* producers append here */
	size_t filled;
	int next_fd; /* a reopened file the writer has not taken yet; -1: none */
	bool asleep; /* the writer waits for the first line */
	bool closing;
	uint64_t lost;

	char *writing; /* the writer's own from here on */
	int fd;
	bool torn; /* the last line in the file is not whole */
};

static const char *const words[REASON_COUNT] = {
	[REASON_OK] = "ok",
	[REASON_POLICY] = "policy",
	[REASON_NO_SNI] = "no_sni",
	[REASON_BAD_NAME] = "bad_name",
	[REASON_BAD_TLS] = "bad_tls",
	[REASON_TLS_VERSION] = "tls_version",
	[REASON_NOT_TLS] = "not_tls",
	[REASON_BAD_HTTP] = "bad_http",
	[REASON_NO_HOST] = "no_host",
	[REASON_NAME_CHANGED] = "name_changed",
	[REASON_UNRESOLVED] = "unresolved",
	[REASON_BAD_DESTINATION] = "bad_destination",
	[REASON_HELLO_TIMEOUT] = "hello_timeout",
	[REASON_LIMIT] = "limit",
	[REASON_LOOP] = "loop",
	[REASON_UPSTREAM_REFUSED] = "upstream_refused",
	[REASON_UPSTREAM_TIMEOUT] = "upstream_timeout",
	[REASON_UPSTREAM_RESET] = "upstream_reset",
};

const char *reason_word(unsigned reason)
{
	return reason < REASON_COUNT ? words[reason] : "?";
}

const char *proto_word(unsigned proto)
{
	return proto == PROTO_TLS ? "tls" : proto == PROTO_HTTP ? "http" : "none";
}

/* ---- one line ---- */

/* Percent-encodes what could end a field or a line, or be taken for an escape. */
static void escape(char *out, size_t size, const char *s)
{
	size_t n = 0;

	for (; *s && n + 4 < size; s++) {
		unsigned char c = (unsigned char)*s;

		if (c <= 0x20 || c >= 0x7f || strchr("%\"\\", c))
			n += (size_t)snprintf(out + n, size - n, "%%%02X", c);
		else
			out[n++] = (char)c;
	}
	out[n] = '\0';
}

static bool is_denied(const struct access_entry *e)
{
	return !e->allowed || !e->enforced;
}

/* As Squid has it: 403 was refused, 503 found nobody; TCP_DENIED/200 is ours, and says that
   it would have been refused (enforce = no). */
static int squid_status(const struct access_entry *e)
{
	if (is_denied(e) && e->enforced)
		return 403;
	return e->connected ? 200 : 503;
}

static size_t format_squid(const struct access_entry *e, char *line, size_t size)
{
	struct endpoint_addr target = { .ip = e->dst.ip, .port = e->port };
	char client[ADDRESS_TEXT], dst[ADDRESS_TEXT], text[NAME_BUF * 3 + ADDRESS_TEXT];
	int status = squid_status(e);
	size_t len;
	int n;

	if (e->name[0]) {
		escape(text, sizeof(text) - 8, e->name);
		len = strlen(text);
		snprintf(text + len, sizeof(text) - len, ":%u", e->port);
	} else {
		address_print(&target, true, text);
	}
	n = snprintf(line, size,
		     "%9lld.%03d %6" PRIu64 " %s %s/%03d %" PRIu64 " CONNECT %s - %s/%s -\n",
		     (long long)e->end.tv_sec, (int)(e->end.tv_nsec / 1000000), e->duration_ms,
		     address_print(&e->client, false, client),
		     is_denied(e) ? "TCP_DENIED" : "TCP_TUNNEL", status, e->bytes_down, text,
		     status == 200 ? "HIER_DIRECT" : "HIER_NONE",
		     status == 200 ? address_print(&e->dst, false, dst) : "-");
	return n > 0 && (size_t)n < size ? (size_t)n : 0;
}

static void iso_time(const struct timespec *ts, char out[40])
{
	struct tm tm;
	size_t n;

	gmtime_r(&ts->tv_sec, &tm);
	n = strftime(out, 32, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(out + n, 40 - n, ".%03dZ", (int)(ts->tv_nsec / 1000000));
}

static size_t format_json(const struct access_entry *e, char *line, size_t size)
{
	char text[ADDRESS_TEXT], time[40];
	struct json j;
	size_t len;

	iso_time(&e->end, time);
	json_init(&j, line, size - 1);
	json_open(&j, NULL, '{');
	json_string(&j, "time", time);
	json_string(&j, "client", address_print(&e->client, false, text));
	json_number(&j, "client_port", e->client.port);
	json_string(&j, "group", e->group);
	json_string(&j, "name", e->name);
	json_number(&j, "port", e->port);
	json_string(&j, "proto", proto_word(e->proto));
	json_string(&j, "verdict", is_denied(e) ? "deny" : "allow");
	json_string(&j, "reason", reason_word(e->reason));
	json_string(&j, "rule", e->rule);
	json_string(&j, "path", e->path);
	json_number(&j, "bytes_up", e->bytes_up);
	json_number(&j, "bytes_down", e->bytes_down);
	json_number(&j, "duration_ms", e->duration_ms);
	json_string(&j, "dst", address_print(&e->dst, false, text));
	json_bool(&j, "connected", e->connected);
	json_bool(&j, "enforced", e->enforced);
	if (e->proto == PROTO_HTTP)
		json_number(&j, "requests", e->requests);
	json_close(&j, '}');
	len = json_done(&j);
	if (len == 0)
		return 0;
	line[len++] = '\n';
	return len;
}

/* ---- the writer ---- */

static uint64_t count_lines(const char *p, size_t len)
{
	uint64_t n = 0;

	for (const char *end = p + len; (p = memchr(p, '\n', (size_t)(end - p))); p++)
		n++;
	return n;
}

static void send_syslog(char *p, size_t len)
{
	char *end = p + len, *eol;

	for (; p < end; p = eol + 1) {
		eol = memchr(p, '\n', (size_t)(end - p));
		*eol = '\0';
		syslog(LOG_DAEMON | LOG_INFO, "%s", p);
	}
}

/* All of it, or -errno; *done is how much. */
static int write_all(int fd, const char *p, size_t len, size_t *done)
{
	for (*done = 0; *done < len;) {
		ssize_t n = write(fd, p + *done, len - *done);

		if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0)
			*done += (size_t)n;
	}
	return 0;
}

/* Returns the lines that did not get there. A line cut in two by a full disk is lost, and is
   ended before the next one begins. */
static uint64_t send_file(struct access_log *log, const char *p, size_t len)
{
	size_t done;

	if (log->torn && write_all(log->fd, "\n", 1, &done) != 0)
		return count_lines(p, len);
	log->torn = false;
	if (write_all(log->fd, p, len, &done) == 0)
		return 0;
	log->torn = done > 0 && p[done - 1] != '\n';
	return count_lines(p + done, len - done);
}

static uint64_t send_lines(struct access_log *log, char *p, size_t len)
{
	if (log->sink != SINK_SYSLOG)
		return send_file(log, p, len);
	send_syslog(p, len);
	return 0;
}

/* Waits, with the lock held, until there is something to do. */
static void await_line(struct access_log *log)
{
	while (!log->closing && log->filled == 0 && log->next_fd < 0) {
		log->asleep = true;
		pthread_cond_wait(&log->wake, &log->lock);
		log->asleep = false;
	}
}

/* Being woken for every line would cost more than the lines do. */
static void gather_lines(struct access_log *log)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += GATHER_MS * 1000000L;
	until.tv_sec += until.tv_nsec / 1000000000L;
	until.tv_nsec %= 1000000000L;
	while (!log->closing && log->filled < BUFFER_LEN / 2 &&
	       pthread_cond_timedwait(&log->wake, &log->lock, &until) == 0)
		;
}

static void *run(void *arg)
{
	struct access_log *log = arg;
	bool closing = false;

	pthread_mutex_lock(&log->lock);
	while (!closing) {
		uint64_t lost;
		size_t len;
		char *p;
		int fd;

		await_line(log);
		p = log->filling;
		len = log->filled;
		fd = TAKE_FD(log->next_fd);
		closing = log->closing;
		log->filling = log->writing;
		log->filled = 0;
		log->writing = p;
		pthread_mutex_unlock(&log->lock);
		if (fd >= 0) {
			close(log->fd);
			log->fd = fd;
			log->torn = false;
		}
		lost = send_lines(log, p, len);
		pthread_mutex_lock(&log->lock);
		log->lost += lost;
		gather_lines(log);
	}
	pthread_mutex_unlock(&log->lock);
	return NULL;
}

/* ---- open and close ---- */

static enum sink sink_of(const char *where)
{
	if (strcmp(where, "stderr") == 0)
		return SINK_STDERR;
	if (strcmp(where, "syslog") == 0)
		return SINK_SYSLOG;
	return strcmp(where, "none") == 0 ? SINK_NONE : SINK_FILE;
}

/* Non-blocking only while opening: a FIFO without a reader is an error, not a hang. */
static int open_file(const char *path)
{
	int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK,
		      LOG_MODE);

	if (fd < 0)
		return -errno;
	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK);
	return fd;
}

static void free_log(struct access_log *log)
{
	if (log->sink == SINK_FILE && log->fd >= 0)
		close(log->fd);
	if (log->next_fd >= 0)
		close(log->next_fd);
	free(log->filling);
	free(log->writing);
	free(log->path);
	pthread_cond_destroy(&log->wake);
	pthread_mutex_destroy(&log->lock);
	free(log);
}

/* Signals are the loops' business, and a reader gone from a FIFO is no reason to die. */
static int start_writer(struct access_log *log)
{
	sigset_t all, before;
	int err;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	err = pthread_create(&log->writer, NULL, run, log);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return -err;
}

/* 0 or -errno; what was made so far is free_log()'s to take down. */
static int set_up(struct access_log *log, const struct conf *conf)
{
	int fd;

	log->path = strdup(conf->access_log);
	log->filling = malloc(BUFFER_LEN);
	log->writing = malloc(BUFFER_LEN);
	if (!log->path || !log->filling || !log->writing)
		return -ENOMEM;
	if (log->sink == SINK_FILE) {
		fd = open_file(log->path);
		if (fd < 0)
			return fd;
		log->fd = fd;
	}
	return log->sink == SINK_NONE ? 0 : start_writer(log);
}

/* A clock that is set back must not hold lines up. */
static void init_lock(struct access_log *log)
{
	pthread_condattr_t attr;

	pthread_mutex_init(&log->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&log->wake, &attr);
	pthread_condattr_destroy(&attr);
}

int access_log_open(struct access_log **out, const struct conf *conf, char *err, size_t err_len)
{
	struct access_log *log = calloc(1, sizeof(*log));
	int rc = -ENOMEM;

	if (log) {
		init_lock(log);
		log->sink = sink_of(conf->access_log);
		log->format = conf->log_format;
		log->fd = log->sink == SINK_STDERR ? STDERR_FILENO : -1;
		log->next_fd = -1;
		rc = set_up(log, conf);
	}
	if (rc != 0) {
		snprintf(err, err_len, "access log %s: %s", conf->access_log, strerror(-rc));
		if (log)
			free_log(log);
		return rc;
	}
	*out = log;
	return 0;
}

void access_log_write(struct access_log *log, const struct access_entry *e)
{
	char line[LINE_LEN];
	size_t len;

	if (log->sink == SINK_NONE)
		return;
	len = log->format == LOG_JSON ? format_json(e, line, sizeof(line)) :
					format_squid(e, line, sizeof(line));
	pthread_mutex_lock(&log->lock);
	if (len == 0 || len > BUFFER_LEN - log->filled) {
		log->lost++;
	} else {
		memcpy(log->filling + log->filled, line, len);
		log->filled += len;
		if (log->asleep || log->filled > BUFFER_LEN / 2)
			pthread_cond_signal(&log->wake);
	}
	pthread_mutex_unlock(&log->lock);
}

int access_log_reopen(struct access_log *log)
{
	int fd;

	if (log->sink != SINK_FILE)
		return 0;
	fd = open_file(log->path);
	if (fd < 0)
		return fd;
	pthread_mutex_lock(&log->lock);
	if (log->next_fd >= 0)
		close(log->next_fd);
	log->next_fd = fd;
	pthread_cond_signal(&log->wake);
	pthread_mutex_unlock(&log->lock);
	return 0;
}

uint64_t access_log_lost(const struct access_log *log)
{
	struct access_log *l = (struct access_log *)log;
	uint64_t lost;

	pthread_mutex_lock(&l->lock);
	lost = l->lost;
	pthread_mutex_unlock(&l->lock);
	return lost;
}

void access_log_close(struct access_log *log)
{
	if (!log)
		return;
	if (log->sink != SINK_NONE) {
		pthread_mutex_lock(&log->lock);
		log->closing = true;
		pthread_cond_signal(&log->wake);
		pthread_mutex_unlock(&log->lock);
		pthread_join(log->writer, NULL);
	}
	free_log(log);
}
