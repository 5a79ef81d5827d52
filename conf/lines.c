// SPDX-License-Identifier: GPL-2.0-or-later
// Reads the lines of a file in large blocks. Not with fgets(), which cannot tell a NUL from the end
// of its line and cuts a long line in two; nor with getline(), which takes whatever memory a file
// without newlines asks for. A list written to while it is being read would be half old and half
// new, so when its end is reached a file must be what it was at the beginning.
#include "conf/lines.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/cleanup.h"

#define BOM "\xef\xbb\xbf"
#define ROOM 262144 /* bytes read at a time; must hold a line and its line end */

_Static_assert(ROOM > LINES_MAX + 1, "a line and its end");

static int check_kind(int fd, bool regular, struct stamp *stamp)
{
	struct stat st;

	if (fstat(fd, &st) != 0)
		return -errno;
	if (S_ISDIR(st.st_mode))
		return -EISDIR;
	*stamp = stamp_of(&st);
	return regular && !stamp->regular ? -ENOTSUP : 0;
}

int lines_open(struct lines *l, const char *path, bool regular)
{
	AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC | (regular ? O_NONBLOCK : 0));
	struct stamp stamp;
	int err;

	*l = (struct lines){ .fd = -1 };
	if (fd < 0)
		return -errno;
	err = check_kind(fd, regular, &stamp);
	if (err)
		return err;
	l->room = malloc(ROOM + 1); /* one more for a NUL */
	if (!l->room)
		return -ENOMEM;
	l->fd = TAKE_FD(fd);
	l->path = path;
	l->stamp = stamp;
	return 0;
}

/* ---- reading ---- */

/* The end was reached: has it been the same file all the while? A FIFO cannot tell. */
static int check_unchanged(const struct lines *l)
{
	struct stat now;
	struct stamp stamp;

	if (!l->stamp.regular)
		return 0;
	if (stat(l->path, &now) != 0)
		return -ESTALE;
	stamp = stamp_of(&now);
	if (!stamp_same_file(&stamp, &l->stamp))
		return -ESTALE;
	return stamp_same(&stamp, &l->stamp) && l->bytes == (uint64_t)stamp.size ? 0 : -EBUSY;
}

/* Reads more, after what is there. 0 or -errno; l->over at the end. */
static int fill(struct lines *l)
{
	ssize_t got;

	memmove(l->room, l->room + l->at, l->end - l->at);
	l->end -= l->at;
	l->at = 0;
	do
		got = read(l->fd, l->room + l->end, ROOM - l->end);
	while (got < 0 && errno == EINTR);
	if (got < 0)
		return -errno;
	l->end += (size_t)got;
	l->bytes += (size_t)got;
	l->over = got == 0;
	if (l->stamp.regular && l->bytes > (uint64_t)l->stamp.size)
		return -EBUSY; /* fail at once: it may grow faster than it is read */
	return l->over ? check_unchanged(l) : 0;
}

/* Gets a whole line into l->room: *n bytes, not counting its line end. 0 or -errno. */
static int find_end(struct lines *l, size_t *n)
{
	char *newline;
	int err;

	while (!(newline = memchr(l->room + l->at, '\n', l->end - l->at))) {
		if (l->over || l->end - l->at > LINES_MAX)
			break;
		err = fill(l);
		if (err)
			return err;
	}
	*n = newline ? (size_t)(newline - (l->room + l->at)) : l->end - l->at;
	return 0;
}

static void take_line(struct lines *l, size_t n)
{
	l->text = l->room + l->at;
	l->len = n;
	l->at += n < l->end - l->at ? n + 1 : n;
	if (l->len > 0 && l->text[l->len - 1] == '\r')
		l->len--;
	l->text[l->len] = '\0';
	if (l->number != 1 || strncmp(l->text, BOM, 3) != 0)
		return;
	l->len -= 3;
	l->text += 3;
}

int lines_next(struct lines *l)
{
	size_t n = 0;
	int err = find_end(l, &n);

	if (err)
		return err;
	if (l->at == l->end)
		return 0;
	if (l->number == UINT32_MAX)
		return -EOVERFLOW;
	l->number++;
	if (memchr(l->room + l->at, '\0', n < LINES_MAX ? n : LINES_MAX))
		return -EILSEQ;
	if (n > LINES_MAX)
		return -E2BIG;
	take_line(l, n);
	return 1;
}

int lines_rest(struct lines *l, char *out, size_t most, size_t *len)
{
	size_t n = 0, part;
	int err;

	while (!l->over) {
		err = fill(l);
		if (err)
			return err;
		part = l->end - l->at;
		if (part > most - n)
			return -EFBIG;
		memcpy(out + n, l->room + l->at, part);
		n += part;
		l->at = l->end;
	}
	out[n] = '\0';
	*len = n;
	return 0;
}

/* ---- for people ---- */

const char *lines_error(int err)
{
	switch (err) {
	case -E2BIG:
		return "the line is longer than 65535 bytes";
	case -EILSEQ:
		return "the line has a NUL byte";
	case -EOVERFLOW:
		return "more than 4294967295 lines";
	case -EBUSY:
		return "changed while it was read";
	case -ESTALE:
		return "was replaced or removed while it was read";
	case -ENOTSUP:
	case -ENXIO: /* open() of a socket */
		return "not a regular file";
	default:
		return strerror(-err);
	}
}

bool lines_error_has_line(int err)
{
	return err == -E2BIG || err == -EILSEQ || err == -EOVERFLOW;
}

unsigned lines_percent(const struct lines *l)
{
	uint64_t size = (uint64_t)l->stamp.size, done = l->bytes - (l->end - l->at);

	return l->stamp.regular && done < size ? (unsigned)(done * 100 / size) : 100;
}

void lines_close(struct lines *l)
{
	if (l->room)
		close(l->fd);
	free(l->room);
	*l = (struct lines){ .fd = -1 };
}
