// SPDX-License-Identifier: GPL-2.0-or-later
// Keeps an operator's entries made at run time over a restart. A file that cannot be read
// completely is an error: a denial must not be forgotten silently.
#include "slowpath/daemon/change_file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "conf/lines.h"
#include "conf/value.h"

#define TIME_FORMAT "%Y-%m-%dT%H:%M:%SZ"
#define WORDS 8

/* ---- one ---- */

int change_parse_name(const char *text, struct policy_change *out)
{
	uint32_t len, numeric;
	char name[NAME_BUF];
	uint8_t kind;

	if (value_entry(text, name, &len, &kind, &numeric) != 0 || numeric)
		return -EINVAL;
	memcpy(out->name, name, len + 1);
	out->kind = kind;
	return 0;
}

void change_time(int64_t at, char out[32])
{
	time_t t = (time_t)at;
	struct tm tm;

	if (at == 0 || !gmtime_r(&t, &tm))
		strcpy(out, "never");
	else
		strftime(out, 32, TIME_FORMAT, &tm);
}

void change_print(const struct policy_change *c, char out[CHANGE_TEXT])
{
	char made[32], until[32];

	change_time(c->made, made);
	change_time(c->until, until);
	snprintf(out, CHANGE_TEXT, "%s %s%s made %s until %s uid %" PRIu32 "\n",
		 c->deny ? "deny" : "allow", value_prefix(c->kind), c->name, made, until, c->uid);
}

static bool parse_time(const char *text, int64_t *out)
{
	struct tm tm = { 0 };
	const char *end = strptime(text, TIME_FORMAT, &tm);

	if (strcmp(text, "never") == 0) {
		*out = 0;
		return true;
	}
	if (!end || *end)
		return false;
	*out = timegm(&tm);
	return *out > 0;
}

int change_parse(char *line, struct policy_change *out)
{
	struct policy_change c = { .kind = NAME_HOST };
	char *word[WORDS] = { NULL }, *save = NULL;
	int n = 0;

	for (char *w = strtok_r(line, " ", &save); w; w = strtok_r(NULL, " ", &save)) {
		if (n == WORDS)
			return -EINVAL;
		word[n++] = w;
	}
	if (n != WORDS || (strcmp(word[0], "allow") != 0 && strcmp(word[0], "deny") != 0) ||
	    change_parse_name(word[1], &c) != 0 || strcmp(word[2], "made") != 0 ||
	    !parse_time(word[3], &c.made) || strcmp(word[4], "until") != 0 ||
	    !parse_time(word[5], &c.until) || strcmp(word[6], "uid") != 0 ||
	    value_number(word[7], false, &c.uid) != 0)
		return -EINVAL;
	c.deny = word[0][0] == 'd';
	*out = c;
	return 0;
}

/* ---- all of them ---- */

static int read_lines(struct lines *l, const char *path, struct policy_change *at, size_t *n,
		      char *err, size_t err_len)
{
	int got;

	while ((got = lines_next(l)) != 0) {
		const char *wrong = NULL;

		if (got < 0)
			wrong = lines_error(got);
		else if (*n == CHANGES_MAX)
			wrong = "too many entries";
		else if (change_parse(l->text, &at[*n]) != 0)
			wrong = "not an entry as sluicectl allow and deny make them";
		if (wrong) {
			snprintf(err, err_len, "%s:%u: %s", path, l->number, wrong);
			return -EINVAL;
		}
		++*n;
	}
	return 0;
}

int change_file_read(const char *path, struct policy_change **at, size_t *n, char *err,
		     size_t err_len)
{
	AUTO_FREE struct policy_change *list = calloc(CHANGES_MAX, sizeof(*list));
	struct lines l = { .fd = -1 };
	size_t count = 0;
	int r = list ? lines_open(&l, path, true) : -ENOMEM;

	if (r == 0)
		r = read_lines(&l, path, list, &count, err, err_len);
	else if (r == -ENOENT)
		r = 0;
	else
		snprintf(err, err_len, "changes = %s: %s", path, lines_error(r));
	lines_close(&l);
	if (r)
		return r;
	*at = TAKE(list);
	*n = count;
	return 0;
}

static int write_lines(int fd, const struct policy_change *at, size_t n)
{
	char line[CHANGE_TEXT];
	FILE *f = fdopen(fd, "w");
	int err = 0;

	if (!f) {
		err = -errno;
		close(fd);
		return err;
	}
	for (size_t i = 0; i < n && !err; i++) {
		change_print(&at[i], line);
		err = fputs(line, f) < 0 ? -EIO : 0;
	}
	if (!err && (fflush(f) != 0 || fsync(fd) != 0))
		err = -errno;
	if (fclose(f) != 0 && !err)
		err = -errno;
	return err;
}

/* Makes a renamed file survive a loss of power. */
static int sync_folder(const char *path)
{
	const char *slash = strrchr(path, '/');
	AUTO_FREE char *folder = slash ? strndup(path, (size_t)(slash - path) + 1) : strdup(".");
	AUTO_FD int fd = folder ? open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;

	return fd < 0 || fsync(fd) != 0 ? -errno : 0;
}

int change_file_write(const char *path, const struct policy_change *at, size_t n, char *err,
		      size_t err_len)
{
	AUTO_FREE char *temporary = NULL;
	int fd, r;

	if (asprintf(&temporary, "%s.new", path) < 0) {
		temporary = NULL;
		return -ENOMEM;
	}
	fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0640);
	r = fd < 0 ? -errno : write_lines(fd, at, n);
	if (r == 0 && rename(temporary, path) != 0)
		r = -errno;
	r = r ?: sync_folder(path);
	if (r) {
		snprintf(err, err_len, "changes = %s: cannot be written: %s", path, strerror(-r));
		unlink(temporary);
	}
	return r;
}
