// SPDX-License-Identifier: GPL-2.0-or-later
// Each line overwrites the one before. It must stay within the terminal's width, or the carriage
// return would no longer lead to its beginning.
#include "slowpath/daemon/progress.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define COLUMNS 80 /* of a terminal that does not tell its width */
#define LINE_MAX_LEN 256
#define ERASE "\r\033[K"

static void put(struct progress *p, const char *text)
{
	if (write(p->fd, text, strlen(text)) < 0)
		p->fd = -1; /* the terminal is gone */
}

static size_t columns(int fd)
{
	struct winsize size;

	if (ioctl(fd, TIOCGWINSZ, &size) != 0 || size.ws_col == 0)
		return COLUMNS;
	return size.ws_col;
}

/* A path must not drive the terminal. */
static void defuse(char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < ' ' || (unsigned char)*text >= 0x7f)
			*text = '?';
}

static void show(void *ctx, const char *file, uint64_t names, unsigned percent)
{
	struct progress *p = ctx;
	char line[LINE_MAX_LEN];
	size_t most;

	if (p->fd < 0)
		return;
	snprintf(line, sizeof(line), "%3u%% %" PRIu64 " names, %s", percent, names, file);
	most = columns(p->fd) - 1;
	if (most < strlen(line))
		line[most] = '\0';
	defuse(line);
	put(p, ERASE);
	put(p, line);
	p->shown = true;
}

void progress_begin(struct progress *p, int fd)
{
	*p = (struct progress){ .fd = isatty(fd) ? fd : -1 };
	if (p->fd >= 0)
		p->to = (struct conf_progress){ .fn = show, .ctx = p };
}

void progress_end(struct progress *p)
{
	if (p->shown)
		put(p, ERASE);
	p->shown = false;
}
