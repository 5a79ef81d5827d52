// SPDX-License-Identifier: GPL-2.0-or-later
// One writer for the daemon's messages, so that a line is never cut by another thread's.
#include "common/log.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <syslog.h>
#include <unistd.h>

#define LINE_MAX_LEN 1024

static bool use_syslog;

static void say(int level, const char *word, const char *fmt, va_list ap)
{
	char line[LINE_MAX_LEN];
	int head = snprintf(line, sizeof(line), "sluiced: %s", word);
	int n;

	if (use_syslog) {
		vsyslog(level, fmt, ap);
		return;
	}
	n = vsnprintf(line + head, sizeof(line) - (size_t)head - 1, fmt, ap);
	if (n < 0)
		return;
	n += head;
	if (n > (int)sizeof(line) - 2)
		n = (int)sizeof(line) - 2;
	line[n++] = '\n';
	(void)!write(STDERR_FILENO, line, (size_t)n);
}

void log_to_syslog(const char *ident)
{
	openlog(ident, LOG_PID | LOG_NDELAY, LOG_DAEMON);
	use_syslog = true;
}

#define LEVEL(name, level, word)                                                                   \
	void name(const char *fmt, ...)                                                            \
	{                                                                                          \
		va_list ap;                                                                        \
		va_start(ap, fmt);                                                                 \
		say(level, word, fmt, ap);                                                         \
		va_end(ap);                                                                        \
	}

LEVEL(log_error, LOG_ERR, "error: ")
LEVEL(log_warn, LOG_WARNING, "warning: ")
LEVEL(log_info, LOG_INFO, "")
