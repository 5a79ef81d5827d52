// SPDX-License-Identifier: GPL-2.0-or-later
// The access log: any thread formats its line and puts it into a buffer; one thread, the writer,
// empties the buffer into the file. Two buffers change places, so no other thread waits for a disk.
// The writer itself waits only where it can be woken for a new file or for the end.
#include "slowpath/report/access_log.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/guise.h"
#include "common/log.h"
#include "common/nowait.h"
#include "common/privilege.h"
#include "common/thread.h"
#include "slowpath/report/syslog_sink.h"

#define BUFFER_LEN (1024 * 1024) /* bytes of lines waiting for the writer; twice that in memory */
#define LOG_MODE 0640
#define GATHER_MS 20  /* pause after a write: lines that come close together share the next one */
#define CLOSE_MS 1000 /* at the end, how long to wait for a reader that does not read */
#define STUCK_MS 500  /* after that, how long to wait for a disk that does not answer */
#define TELL_MS 60000 /* between two messages about lines being lost */
#define SYSLOG_WORD "syslog"

enum sink { SINK_FILE, SINK_STDERR, SINK_SYSLOG, SINK_NONE };

struct access_log {
	enum sink sink;
	enum conf_log_format format;
	char *path;  /* as in the configuration */
	int poke_fd; /* wakes a writer that waits for a reader */
	pthread_t writer;
	pthread_mutex_t lock; /* guards what follows, up to `told_lost` */
	pthread_cond_t wake;
	char *filling; /* producers append here */
	size_t filled;
	uint64_t taken; /* lines in the buffer that the writer has */
	int next_fd;	/* a reopened file that the writer has not taken yet; -1: none */
	bool reconnect; /* the same for syslog */
	bool asleep;	/* the writer waits for the first line */
	bool closing, ended;
	uint64_t close_by_ms;
	uint64_t lost;
	bool told; /* it has been reported that lines are being lost */
	uint64_t told_ms, told_lost;

	char *writing; /* the writer's own from here on */
	struct nowait out;
	struct syslog_sink *syslog;
	bool torn; /* the last line in the file is not whole */
};

/* A log whose writer did not end in time: it belongs to the writer until the process ends. */
static struct access_log *left_to_writer __attribute__((used));

static uint64_t count_lines(const char *p, size_t len)
{
	uint64_t n = 0;

	for (const char *end = p + len; (p = memchr(p, '\n', (size_t)(end - p))); p++)
		n++;
	return n;
}

/* ---- reporting lost lines ---- */

/* With the lock held. true: the loss must be reported, without the lock. A sink that alternately
   fails and works is not reported every time. */
static bool count_lost(struct access_log *log, uint64_t lines)
{
	uint64_t now = clock_ms();

	log->lost += lines;
	if (log->told || (log->told_ms && now - log->told_ms < TELL_MS))
		return false;
	log->told = true;
	log->told_ms = now;
	log->told_lost = log->lost - lines;
	return true;
}

static void tell_lost(const struct access_log *log, const char *why)
{
	log_warn("access log %s: %s; lines are being lost", log->path, why);
}

static void lose(struct access_log *log, uint64_t lines, int err)
{
	bool tell;

	if (lines == 0)
		return;
	pthread_mutex_lock(&log->lock);
	tell = count_lost(log, lines);
	pthread_mutex_unlock(&log->lock);
	if (tell)
		tell_lost(log, err == -ETIMEDOUT ? "nobody reads it" : strerror(-err));
}

/* A whole buffer has been delivered. before: how many lines had been lost when it was taken. */
static void tell_recovered(struct access_log *log, uint64_t before)
{
	uint64_t lines = 0;

	pthread_mutex_lock(&log->lock);
	if (log->told && log->lost == before) {
		lines = log->lost - log->told_lost;
		log->told = false;
	}
	pthread_mutex_unlock(&log->lock);
	if (lines)
		log_info("access log %s works again; %" PRIu64 " lines were lost", log->path,
			 lines);
}

/* ---- the writer ---- */

/* If the sink is not a file, write whole lines where possible: others may write there too. */
static size_t whole_lines(const char *p, size_t len)
{
	const char *end = len > PIPE_BUF ? memrchr(p, '\n', PIPE_BUF) : NULL;

	return end ? (size_t)(end - p) + 1 : len;
}

static ssize_t put_file(struct access_log *log, const char *p, size_t len)
{
	if (log->torn) {
		ssize_t n = nowait_write(&log->out, "\n", 1);

		if (n < 0)
			return n;
		log->torn = false;
	}
	return nowait_write(&log->out, p, log->out.kind == NOWAIT_FILE ? len : whole_lines(p, len));
}

static ssize_t put_syslog(struct access_log *log, const char *p, size_t len)
{
	const char *eol = memchr(p, '\n', len);
	int err = syslog_sink_send(log->syslog, p, (size_t)(eol - p));

	return err ?: eol - p + 1;
}

/* With the lock held: takes what SIGUSR1 has left for the writer. true: the sink is now another
   one. */
static bool take_sink(struct access_log *log)
{
	int fd = TAKE_FD(log->next_fd);
	bool changed = fd >= 0 || log->reconnect;

	if (log->reconnect)
		syslog_sink_reset(log->syslog);
	log->reconnect = false;
	if (fd >= 0) {
		close(log->out.fd);
		nowait_init(&log->out, fd);
		log->torn = false;
	}
	return changed;
}

enum room { ROOM, OTHER_SINK, TOO_LATE };

static enum room await_room(struct access_log *log)
{
	int fd = log->syslog ? syslog_sink_fd(log->syslog) : log->out.fd;
	struct pollfd polled[] = { { .fd = log->poke_fd, .events = POLLIN },
				   { .fd = fd, .events = POLLOUT } };
	uint64_t now = clock_ms(), poked;
	enum room room = ROOM;
	int wait_ms;

	pthread_mutex_lock(&log->lock);
	wait_ms = !log->closing ? -1 : now < log->close_by_ms ? (int)(log->close_by_ms - now) : 0;
	if (take_sink(log))
		room = OTHER_SINK;
	else if (wait_ms == 0)
		room = TOO_LATE;
	pthread_mutex_unlock(&log->lock);
	if (room == ROOM && poll(polled, 2, wait_ms) > 0 && polled[0].revents)
		(void)!read(log->poke_fd, &poked, sizeof(poked));
	return room;
}

/* The start of the line that contains p. */
static const char *line_start(const char *from, const char *p)
{
	const char *eol = p > from ? memrchr(from, '\n', (size_t)(p - from)) : NULL;

	return eol ? eol + 1 : from;
}

/*
 * Gives the rest up as lost. A line of which a part was delivered is ended before the next begins;
 * if only its newline is missing, it is not lost.
 */
static void give_up(struct access_log *log, const char *p, const char *end, bool within, int err)
{
	if (log->syslog)
		syslog_sink_reset(log->syslog);
	log->torn = log->torn || within;
	if (within && *p == '\n')
		p++;
	lose(log, count_lines(p, (size_t)(end - p)), err);
}

/* false: lines were lost. */
static bool deliver(struct access_log *log, const char *from, size_t len)
{
	const char *p = from, *end = from + len;
	bool whole = true;

	while (p < end) {
		size_t left = (size_t)(end - p);
		ssize_t n = log->syslog ? put_syslog(log, p, left) : put_file(log, p, left);
		enum room room = n == -EAGAIN ? await_room(log) : ROOM;

		if (n > 0) {
			p += n;
		} else if (n == -EMSGSIZE) { /* only this line is too long */
			p = (const char *)memchr(p, '\n', left) + 1;
			lose(log, 1, -EMSGSIZE);
			whole = false;
		} else if (room == OTHER_SINK) {
			p = line_start(from, p);
		} else if (n != -EAGAIN || room == TOO_LATE) {
			give_up(log, p, end, p > line_start(from, p),
				room == TOO_LATE ? -ETIMEDOUT :
				n < 0		 ? (int)n :
						   -EIO);
			return false;
		}
	}
	return whole;
}

/* Waits, with the lock held, until there is work to do. */
static void await_line(struct access_log *log)
{
	while (!log->closing && log->filled == 0 && log->next_fd < 0) {
		log->asleep = true;
		pthread_cond_wait(&log->wake, &log->lock);
		log->asleep = false;
	}
}

/* Being woken for every line would cost more than writing the lines. */
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

static void free_log(struct access_log *log)
{
	if (log->out.fd >= 0 && log->out.fd != STDERR_FILENO)
		close(log->out.fd);
	if (log->next_fd >= 0)
		close(log->next_fd);
	if (log->poke_fd >= 0)
		close(log->poke_fd);
	syslog_sink_close(log->syslog);
	free(log->filling);
	free(log->writing);
	free(log->path);
	pthread_cond_destroy(&log->wake);
	pthread_mutex_destroy(&log->lock);
	free(log);
}

static void *run(void *arg)
{
	struct access_log *log = arg;
	bool closing = false;

	if (privilege_none() != 0) /* the file is open, and another thread reopens it */
		abort();
	pthread_mutex_lock(&log->lock);
	while (!closing) {
		uint64_t lost_before;
		size_t len;
		char *p;

		await_line(log);
		p = log->filling;
		len = log->filled;
		take_sink(log);
		closing = log->closing;
		lost_before = log->lost;
		log->filling = log->writing;
		log->filled = 0;
		log->writing = p;
		log->taken = count_lines(p, len);
		pthread_mutex_unlock(&log->lock);
		if (deliver(log, p, len) && len > 0)
			tell_recovered(log, lost_before);
		pthread_mutex_lock(&log->lock);
		log->taken = 0;
		gather_lines(log);
	}
	log->ended = true;
	pthread_cond_broadcast(&log->wake);
	pthread_mutex_unlock(&log->lock);
	return NULL;
}

/* ---- open and close ---- */

static enum sink sink_of(const char *where)
{
	if (strcmp(where, "stderr") == 0)
		return SINK_STDERR;
	if (strncmp(where, SYSLOG_WORD, strlen(SYSLOG_WORD)) == 0)
		return SINK_SYSLOG;
	return strcmp(where, "none") == 0 ? SINK_NONE : SINK_FILE;
}

/* A FIFO without a reader is an error, not a hang; and for one whose reader sleeps we wait where we
   also learn of the end. */
static int open_file(const char *path)
{
	int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK,
		      LOG_MODE);

	return fd < 0 ? -errno : fd;
}

static int open_sink(struct access_log *log)
{
	const char *colon = strchr(log->path, ':');
	int fd;

	switch (log->sink) {
	case SINK_SYSLOG:
		return syslog_sink_open(&log->syslog, colon ? colon + 1 : SYSLOG_PATH, "sluiced");
	case SINK_STDERR:
		nowait_init_stderr(&log->out);
		return 0;
	case SINK_FILE:
		fd = open_file(log->path);
		if (fd < 0)
			return fd;
		nowait_init(&log->out, fd);
		return 0;
	case SINK_NONE:
		break;
	}
	return 0;
}

/* Opens the sink with the rights of the user, who will open it again on SIGUSR1; unless the place
   is root's: then the file is given to the user. */
static int open_sink_for(struct access_log *log, const char *user, struct guise *as)
{
	int err = log->sink == SINK_FILE ? guise_wear(as, user, log->path) : 0;

	err = err ?: open_sink(log);
	if (!err && log->sink == SINK_FILE && !as->worn)
		guise_give_file(log->out.fd, user);
	guise_drop(as);
	return err;
}

/* 0 or -errno; on failure free_log() takes down what was set up. */
static int set_up(struct access_log *log, const struct conf *conf, struct guise *as)
{
	int err;

	log->path = strdup(conf->access_log);
	if (!log->path)
		return -ENOMEM;
	if (log->sink == SINK_NONE)
		return 0;
	log->filling = malloc(BUFFER_LEN);
	log->writing = malloc(BUFFER_LEN);
	if (!log->filling || !log->writing)
		return -ENOMEM;
	log->poke_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (log->poke_fd < 0)
		return -errno;
	err = open_sink_for(log, conf->user, as);
	return err ?: thread_start(&log->writer, run, log);
}

/* Setting the clock back must not hold lines up, so the wait goes by the monotonic clock. */
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
	struct guise as = { 0 };
	char why[128];
	int rc = -ENOMEM;

	if (log) {
		init_lock(log);
		log->sink = sink_of(conf->access_log);
		log->format = conf->log_format;
		log->out.fd = log->next_fd = log->poke_fd = -1;
		rc = set_up(log, conf, &as);
	}
	if (rc != 0) {
		snprintf(err, err_len, "access log %s: %s", conf->access_log,
			 guise_explain(&as, rc, why, sizeof(why)));
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
	bool tell = false;
	size_t len;

	if (log->sink == SINK_NONE)
		return;
	len = log_line(log->format, e, line, sizeof(line));
	pthread_mutex_lock(&log->lock);
	if (len == 0 || len > BUFFER_LEN - log->filled) {
		tell = count_lost(log, 1);
	} else {
		memcpy(log->filling + log->filled, line, len);
		log->filled += len;
		if (log->asleep || log->filled > BUFFER_LEN / 2)
			pthread_cond_signal(&log->wake);
	}
	pthread_mutex_unlock(&log->lock);
	if (tell)
		tell_lost(log, "its reader does not keep up");
}

/* With the lock held. */
static void wake_writer(struct access_log *log)
{
	static const uint64_t one = 1;

	pthread_cond_signal(&log->wake);
	(void)!write(log->poke_fd, &one, sizeof(one));
}

int access_log_reopen(struct access_log *log)
{
	int fd = -1;

	if (log->sink == SINK_FILE)
		fd = open_file(log->path);
	else if (log->sink != SINK_SYSLOG)
		return 0;
	if (log->sink == SINK_FILE && fd < 0)
		return fd;
	pthread_mutex_lock(&log->lock);
	if (log->next_fd >= 0)
		close(log->next_fd);
	log->next_fd = fd;
	log->reconnect = log->sink == SINK_SYSLOG;
	wake_writer(log);
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

/* With the lock held, once. false: the writer is stuck in a system call. */
static bool end_writer(struct access_log *log)
{
	struct timespec until;
	uint64_t by_ms;

	log->closing = true;
	log->close_by_ms = clock_ms() + CLOSE_MS;
	by_ms = log->close_by_ms + STUCK_MS;
	wake_writer(log);
	until = (struct timespec){ .tv_sec = (time_t)(by_ms / 1000),
				   .tv_nsec = (long)(by_ms % 1000) * 1000000 };
	while (!log->ended && pthread_cond_timedwait(&log->wake, &log->lock, &until) == 0)
		;
	return log->ended;
}

uint64_t access_log_close(struct access_log *log)
{
	uint64_t lost, before;
	bool ended;

	if (!log || log->sink == SINK_NONE) {
		if (log)
			free_log(log);
		return 0;
	}
	pthread_mutex_lock(&log->lock);
	before = log->lost;
	ended = end_writer(log);
	if (!ended)
		log->lost += log->taken + count_lines(log->filling, log->filled);
	lost = log->lost;
	if (lost != before)
		log_warn("access log %s: the last %" PRIu64 " lines are lost", log->path,
			 lost - before);
	pthread_mutex_unlock(&log->lock);
	if (ended) {
		pthread_join(log->writer, NULL);
		free_log(log);
	} else {
		pthread_detach(log->writer);
		left_to_writer = log;
	}
	return lost;
}
