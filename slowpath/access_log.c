// SPDX-License-Identifier: GPL-2.0-or-later
// The access log: any thread formats its line and leaves it in a buffer; one thread empties
// the buffer into the file. Two buffers change places, so nobody waits for a disk.
#include "slowpath/access_log.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "slowpath/privilege.h"

#define BUFFER_LEN (1024 * 1024) /* lines waiting for the writer; twice that in memory */
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

	if (privilege_none() != 0) /* the file is open, and is opened again by another thread */
		abort();
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
	char line[LOG_LINE_LEN];
	size_t len;

	if (log->sink == SINK_NONE)
		return;
	len = log_line(log->format, e, line, sizeof(line));
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
