// SPDX-License-Identifier: GPL-2.0-or-later
// One writer for the daemon's messages, so that no line is cut by another thread's. Loops that must
// not wait call it, so nothing here waits.
#include "common/log.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>

#include "common/nowait.h"

#define LINE_MAX_LEN 1024
#define TALE_LEN 128 /* for the report of lost messages; with a line it is less than PIPE_BUF */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* held for no longer than a write */
static struct nowait out;
static bool is_open;
static bool torn; /* the last write was cut short */
static uint64_t lost, lost_told;

static void open_once(void)
{
	if (!is_open)
		nowait_init_stderr(&out);
	is_open = true;
}

/* Ends a torn line and reports how many messages were lost. */
static size_t begin(char *text)
{
	int n = 0;

	text[0] = '\0';
	if (torn)
		n = snprintf(text, TALE_LEN, "\n");
	if (lost != lost_told)
		n += snprintf(text + n, TALE_LEN - (size_t)n,
			      "sluiced: warning: %" PRIu64 " messages before this one were lost\n",
			      lost - lost_told);
	return (size_t)n;
}

static void put(const char *text, size_t len)
{
	ssize_t n = nowait_write(&out, text, len);

	if (n == (ssize_t)len) {
		torn = false;
		lost_told = lost;
	} else {
		torn = torn || n > 0;
		lost++;
	}
}

static void say(const char *word, const char *fmt, va_list ap)
{
	char text[TALE_LEN + LINE_MAX_LEN];
	size_t len;
	int n;

	pthread_mutex_lock(&lock);
	open_once();
	len = begin(text);
	len += (size_t)snprintf(text + len, LINE_MAX_LEN, "sluiced: %s", word);
	n = vsnprintf(text + len, sizeof(text) - len - 1, fmt, ap);
	if (n > 0) {
		len += (size_t)n < sizeof(text) - len - 1 ? (size_t)n : sizeof(text) - len - 2;
		text[len++] = '\n';
		put(text, len);
	}
	pthread_mutex_unlock(&lock);
}

void log_open(void)
{
	pthread_mutex_lock(&lock);
	open_once();
	pthread_mutex_unlock(&lock);
}

uint64_t log_messages_lost(void)
{
	uint64_t n;

	pthread_mutex_lock(&lock);
	n = lost;
	pthread_mutex_unlock(&lock);
	return n;
}

#define LEVEL(name, word)                                                                          \
	void name(const char *fmt, ...)                                                            \
	{                                                                                          \
		va_list ap;                                                                        \
		va_start(ap, fmt);                                                                 \
		say(word, fmt, ap);                                                                \
		va_end(ap);                                                                        \
	}

LEVEL(log_error, "error: ")
LEVEL(log_warn, "warning: ")
LEVEL(log_info, "")
