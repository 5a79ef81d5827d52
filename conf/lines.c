// SPDX-License-Identifier: GPL-2.0-or-later
// Lines of a file. Not fgets(): that cannot tell a NUL from the end of its line, and cuts a
// long one in two; not getline(): that takes whatever memory a file without newlines asks for.
#include "conf/lines.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/cleanup.h"

#define BOM "\xef\xbb\xbf"

static int check_kind(int fd, bool regular)
{
	struct stat st;

	if (fstat(fd, &st) != 0)
		return -errno;
	if (S_ISDIR(st.st_mode))
		return -EISDIR;
	return regular && !S_ISREG(st.st_mode) ? -ENOTSUP : 0;
}

int lines_open(struct lines *l, const char *path, bool regular)
{
	AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC | (regular ? O_NONBLOCK : 0));
	AUTO_FREE char *text = malloc(LINES_MAX + 1);
	FILE *f;
	int err;

	if (fd < 0)
		return -errno;
	err = check_kind(fd, regular);
	if (err)
		return err;
	f = text ? fdopen(fd, "r") : NULL;
	if (!f)
		return -ENOMEM;
	TAKE_FD(fd);
	*l = (struct lines){ .f = f, .text = TAKE(text) };
	return 0;
}

static void finish_line(struct lines *l)
{
	if (l->len > 0 && l->text[l->len - 1] == '\r')
		l->len--;
	l->text[l->len] = '\0';
	if (l->number != 1 || strncmp(l->text, BOM, 3) != 0)
		return;
	l->len -= 3;
	memmove(l->text, l->text + 3, l->len + 1);
}

int lines_next(struct lines *l)
{
	size_t n = 0;
	int c;

	l->number++;
	while ((c = getc_unlocked(l->f)) != EOF && c != '\n') {
		if (c == '\0')
			return -EILSEQ;
		if (n == LINES_MAX)
			return -E2BIG;
		l->text[n++] = (char)c;
	}
	if (ferror(l->f))
		return -EIO;
	if (c == EOF && n == 0) {
		l->number--;
		return 0;
	}
	l->len = n;
	finish_line(l);
	return 1;
}

const char *lines_error(int err)
{
	switch (err) {
	case -E2BIG:
		return "the line is longer than 65535 bytes";
	case -EILSEQ:
		return "the line has a NUL byte";
	case -ENOTSUP:
		return "not a regular file";
	default:
		return strerror(-err);
	}
}

void lines_close(struct lines *l)
{
	if (l->f)
		fclose(l->f);
	free(l->text);
	*l = (struct lines){ 0 };
}
