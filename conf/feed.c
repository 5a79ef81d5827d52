// SPDX-License-Identifier: GPL-2.0-or-later
// inih's limits are fixed when the library is compiled: lines are cut at 200 bytes, section names
// at 49, what follows a `]` is dropped, sections are not announced, reading goes on after an error.
// So inih is given lines it cannot spoil: comments are removed first, a section line is judged here
// (inih only learns that a new one begins), and a long list goes to it in parts, each as an
// indented line that continues a value. inih splits key from value and joins continued values. A
// line for which it does not call back has not been understood, which is an error whatever the
// library makes of it.
#include "conf/feed.h"

#include <errno.h>
#include <ini.h>
#include <string.h>

#include "conf/lines.h"
#include "conf/reader.h"

#define BLANKS " \t"
#define NEW_SECTION "[-]\n"

struct feed {
	struct conf_reader *r;
	const struct feed_calls *calls;
	void *ctx;
	struct lines lines;
	char *rest; /* the part of the current line that inih has not had yet */
	char nothing[1];
	bool continued; /* rest continues a value */
	bool has_key;	/* there is a key that an indented line would continue */
	bool expect;	/* inih was given something for which it must call back */
	int err;	/* the first error ends it */
};

static char *skip_blanks(char *text)
{
	return text + strspn(text, BLANKS);
}

/* Cuts off everything from a `;` or `#`, at the start or after a blank, to the end, and the blanks
   before it. */
static void cut_comment(char *text)
{
	char *end = text;

	for (char *p = text; *p; p++) {
		if ((*p == ';' || *p == '#') && (p == text || strchr(BLANKS, p[-1])))
			break;
		if (!strchr(BLANKS, *p))
			end = p + 1;
	}
	*end = '\0';
}

static bool has_control(const char *text)
{
	for (; *text; text++)
		if (((unsigned char)*text < ' ' && *text != '\t') || *text == 0x7f)
			return true;
	return false;
}

/* `[::]:3129` may continue a list of addresses; `[policy]` may not. */
static bool is_header(const char *text)
{
	return *text == '[' && text[1 + strspn(text + 1, "0123456789abcdefABCDEF:.")] != ']';
}

static int take_section(struct feed *f, char *text)
{
	char *end = strchr(text, ']');

	f->has_key = false;
	if (!end)
		return conf_fail(f->r, "a section header without its ']'");
	if (end[1])
		return conf_fail(f->r, "'%s' after the section header", skip_blanks(end + 1));
	*end = '\0';
	return f->calls->section(f->ctx, text + 1);
}

/* In inih an indented line continues the key above it. Someone who indents whole sections meant
   something else, and must not have one key swallowed by another. */
static int take_continued(struct feed *f, char *text)
{
	if (strchr(text, '=') || is_header(text))
		return conf_fail(f->r,
				 "an indented line goes on with the key above it; "
				 "do not indent '%s'",
				 text);
	f->rest = text;
	f->continued = true;
	return 0;
}

/* Takes in one line; *section is set if it was a section line. */
static int take_line(struct feed *f, bool *section)
{
	char *text = f->lines.text;
	bool indented = strchr(BLANKS, *text) != NULL;

	cut_comment(text);
	if (has_control(text))
		return conf_fail(f->r, "a control character in the line");
	text = skip_blanks(text);
	if (!*text)
		return 0;
	if (indented && f->has_key)
		return take_continued(f, text);
	if (*text == '[') {
		*section = true;
		return take_section(f, text);
	}
	f->rest = text;
	f->continued = false;
	f->has_key = true;
	return 0;
}

static void put_piece(struct feed *f, char *out, size_t n)
{
	if (f->continued)
		*out++ = ' ';
	memcpy(out, f->rest, n);
	out[n] = '\n';
	out[n + 1] = '\0';
	f->rest = skip_blanks(f->rest + n);
	f->continued = true;
	f->expect = true;
}

/* As much of the line as inih can hold: all of it, or up to a comma. */
static int next_piece(struct feed *f, char *out, size_t room)
{
	size_t most = room - 3; /* a blank, a newline, a NUL */
	size_t key = f->continued ? 0 : strcspn(f->rest, "=:");
	size_t n = strlen(f->rest);

	if (n > most) {
		for (n = most; n > key && f->rest[n - 1] != ',';)
			n--;
		if (n <= key)
			return conf_fail(f->r, "more than %zu characters without a comma", most);
	}
	put_piece(f, out, n);
	return 0;
}

static int next_line(struct feed *f, bool *section)
{
	int got = lines_next(&f->lines);

	f->rest = f->nothing;
	if (got != 0)
		f->r->line = f->lines.number;
	if (got < 0)
		return conf_fail_lines(f->r, got);
	return got == 0 ? 1 : take_line(f, section);
}

/* inih's fgets(). */
static char *on_read(char *out, int room, void *stream)
{
	struct feed *f = stream;
	bool section = false;

	if (f->expect && !f->err)
		f->err = conf_fail(f->r, "neither a [section] nor a 'key = value'");
	while (!f->err && !*f->rest && !section)
		f->err = next_line(f, &section);
	if (!f->err && section)
		return strcpy(out, NEW_SECTION);
	if (!f->err)
		f->err = next_piece(f, out, (size_t)room);
	return f->err ? NULL : out;
}

static int on_key(void *user, const char *section, const char *key, const char *value)
{
	struct feed *f = user;

	(void)section;
	if (f->err || !key || !value)
		return 1;
	f->expect = false;
	f->err = f->calls->key(f->ctx, key, value);
	return !f->err;
}

int feed_ini(struct conf_reader *r, const char *path, const struct feed_calls *calls, void *ctx)
{
	struct feed f = { .r = r, .calls = calls, .ctx = ctx };
	int err = lines_open(&f.lines, path, false);

	if (err) {
		conf_fail(r, "cannot read it: %s", lines_error(err));
		return err;
	}
	r->conf->stamps[0] = f.lines.stamp;
	f.rest = f.nothing;
	err = ini_parse_stream(on_read, &f, on_key, &f);
	lines_close(&f.lines);
	if (err == -2)
		return conf_no_memory(r);
	return f.err > 0 ? 0 : f.err;
}
