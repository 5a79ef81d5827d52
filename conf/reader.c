// SPDX-License-Identifier: GPL-2.0-or-later
// Small tools for every file that reads a piece of the configuration.
#include "conf/reader.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "conf/lines.h"

#define BLANKS " \t"
#define WARNING_LEN 512

/* The content of a file must not drive the terminal or the log that shows it. */
static void defuse(char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < ' ' || (unsigned char)*text >= 0x7f)
			*text = '?';
}

/* `file:line: ...` */
static void say(const struct conf_reader *r, char *out, size_t len, const char *fmt, va_list ap)
{
	const char *file = r->conf->sources.at[r->source];
	int n;

	if (r->line)
		n = snprintf(out, len, "%s:%u: ", file, r->line);
	else /* about the file as a whole */
		n = snprintf(out, len, "%s: ", file);
	if (n >= 0 && (size_t)n < len)
		vsnprintf(out + n, len - (size_t)n, fmt, ap);
	if (len)
		defuse(out);
}

int conf_fail(struct conf_reader *r, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(r, r->err, r->err_len, fmt, ap);
	va_end(ap);
	return -EINVAL;
}

int conf_fail_lines(struct conf_reader *r, int err)
{
	if (lines_error_has_line(err))
		return conf_fail(r, "%s", lines_error(err));
	r->line = 0;
	if (err == -EBUSY || err == -ESTALE)
		return conf_fail(r, "%s", lines_error(err));
	return conf_fail(r, "cannot read it: %s", lines_error(err));
}

void conf_fail_more(struct conf_reader *r, const char *fmt, ...)
{
	size_t n = r->err_len ? strlen(r->err) : 0;
	va_list ap;

	if (n == r->err_len)
		return;
	va_start(ap, fmt);
	vsnprintf(r->err + n, r->err_len - n, fmt, ap);
	va_end(ap);
	defuse(r->err);
}

int conf_warn(struct conf_reader *r, const char *fmt, ...)
{
	struct string_list *w = &r->conf->warnings;
	char **at = conf_grow(w->at, w->n, sizeof(*at));
	char text[WARNING_LEN];
	va_list ap;

	if (!at)
		return conf_no_memory(r);
	w->at = at;
	va_start(ap, fmt);
	say(r, text, sizeof(text), fmt, ap);
	va_end(ap);
	at[w->n] = strdup(text);
	if (!at[w->n])
		return conf_no_memory(r);
	w->n++;
	return 0;
}

int conf_no_memory(struct conf_reader *r)
{
	conf_fail(r, "out of memory");
	return -ENOMEM;
}

/* Room doubles whenever n is a power of two, so that nobody has to remember how much there is. */
void *conf_grow(void *array, size_t n, size_t size)
{
	if ((n & (n - 1)) != 0)
		return array;
	return reallocarray(array, n ? n * 2 : 1, size);
}

char *conf_path(const struct conf_reader *r, const char *path)
{
	char *joined;

	if (path[0] == '/')
		return strdup(path);
	return asprintf(&joined, "%s%s", r->folder, path) < 0 ? NULL : joined;
}

static char *trim(char *text)
{
	char *end;

	text += strspn(text, BLANKS);
	end = text + strlen(text);
	while (end > text && strchr(BLANKS, end[-1]))
		end--;
	*end = '\0';
	return text;
}

int conf_each(struct conf_reader *r, const char *list,
	      int (*fn)(struct conf_reader *r, void *arg, char *item), void *arg)
{
	AUTO_FREE char *copy = strdup(list);
	char *rest = copy, *item;
	int err;

	if (!copy)
		return conf_no_memory(r);
	while (rest) {
		item = trim(strsep(&rest, ","));
		if (!*item && !rest)
			return 0;
		if (!*item)
			return conf_fail(r, "nothing before a comma of the list");
		err = fn(r, arg, item);
		if (err)
			return err;
	}
	return 0;
}
