// SPDX-License-Identifier: GPL-2.0-or-later
// Entries made at run time: sluicectl allow, deny, revoke. A change is first saved to the file, if
// there is one, and then put in force; if either step fails, neither has happened.
#include "slowpath/daemon/changes.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/cleanup.h"
#include "common/guise.h"
#include "common/log.h"
#include "conf/value.h"
#include "slowpath/daemon/change_file.h"
#include "slowpath/daemon/force.h"
#include "slowpath/daemon/server.h"
#include "slowpath/report/json.h"
#include "slowpath/report/tail.h"

#define LOOK_MS 1000 /* look at least this often, since the clock that entries go by may be set */

struct changes {
	struct policy_change *at; /* in the order they were made */
	size_t n;
	struct event *expiry;
};

/* ---- in force ---- */

static const char *path_of(const struct daemon *d)
{
	return d->first->changes;
}

struct policy *changes_added(const struct daemon *d, const struct policy *p, char *err)
{
	int why = 0;
	struct policy *new = policy_with_changes(p, d->changes->at, d->changes->n, &why);

	if (!new)
		snprintf(err, ERR_LEN, "entries made at run time: %s",
			 why == -E2BIG ? "too many" : strerror(-why));
	return new;
}

static int keep(const struct daemon *d, const struct policy_change *at, size_t n, char *err)
{
	if (!path_of(d)[0] || d->handed_over)
		return 0;
	return change_file_write(path_of(d), at, n, err, ERR_LEN);
}

static int put_in_force(struct daemon *d, char *err)
{
	struct policy *p = changes_added(d, d->policy, err);

	return p ? force_changes(d, p, err) : -ENOMEM;
}

/* Makes `at` the list in force and takes ownership of it, without writing the file. On failure the
   old list stays. */
static int put_list_in_force(struct daemon *d, struct policy_change *at, size_t n, char *err)
{
	struct changes before = *d->changes;
	int r;

	d->changes->at = at;
	d->changes->n = n;
	r = put_in_force(d, err);
	if (r) {
		d->changes->at = before.at;
		d->changes->n = before.n;
		return r;
	}
	free(before.at);
	return 0;
}

/* As put_list_in_force(), but writes the file first. On failure nothing changed and the caller
   still owns `at`. */
static int replace_list(struct daemon *d, struct policy_change *at, size_t n, char *err)
{
	char other[ERR_LEN];
	int r = keep(d, at, n, err);

	r = r ?: put_list_in_force(d, at, n, err);
	if (r && keep(d, d->changes->at, d->changes->n, other) != 0)
		log_error("%s", other);
	return r;
}

/* ---- time ---- */

static void arm_expiry(struct daemon *d)
{
	struct timeval soon = { .tv_sec = LOOK_MS / 1000 };
	bool any = false;

	for (size_t i = 0; i < d->changes->n; i++)
		any = any || d->changes->at[i].until;
	if (any)
		event_add(d->changes->expiry, &soon);
}

/* A copy of the entries that have not expired at `now` (0: of all), with room for one more; NULL
   without memory. */
static struct policy_change *copy_valid(const struct changes *c, int64_t now, size_t *n)
{
	struct policy_change *at = calloc(c->n + 1, sizeof(*at));

	*n = 0;
	for (size_t i = 0; at && i < c->n; i++)
		if (!c->at[i].until || c->at[i].until > now)
			at[(*n)++] = c->at[i];
	return at;
}

static void log_expired(const struct policy_change *at, size_t n, int64_t now)
{
	char text[CHANGE_TEXT];

	for (size_t i = 0; i < n; i++) {
		if (!at[i].until || at[i].until > now)
			continue;
		snprintf(text, sizeof(text), "%s %s%s is over", at[i].deny ? "deny" : "allow",
			 value_prefix(at[i].kind), at[i].name);
		log_info("runtime: %s", text);
		tail_note("change", text);
	}
}

/* Here the file is written last: it says itself until when an entry is valid, and a full disk must
   not make an entry last longer. */
static int drop_expired(struct daemon *d, struct policy_change *at, size_t n, char *err)
{
	int r = put_list_in_force(d, at, n, err);

	if (!r && keep(d, d->changes->at, d->changes->n, err) != 0)
		log_error("%s", err);
	return r;
}

static void expire(struct daemon *d, int64_t now)
{
	AUTO_FREE struct policy_change *all = NULL, *left = NULL;
	char err[ERR_LEN] = "no memory";
	size_t n_all, n_left;

	all = copy_valid(d->changes, 0, &n_all);
	left = copy_valid(d->changes, now, &n_left);
	if (all && left && n_left == n_all)
		return;
	if (!all || !left || drop_expired(d, left, n_left, err) != 0) {
		log_error("runtime: an entry is over but stays: %s", err);
		return;
	}
	left = NULL; /* taken over */
	log_expired(all, n_all, now);
}

static void on_expiry(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	expire(arg, time(NULL));
	arm_expiry(arg);
}

/* ---- the verbs ---- */

static enum control_result refuse(struct control_call *call, const char *why)
{
	evbuffer_add_printf(call->out, "%s", why);
	return CONTROL_ERROR;
}

/* After the hand-over nobody would save the change, and it would be in force only for the
   connections that we still have. */
static const char *too_late(const struct daemon *d)
{
	return d->handed_over ? DAEMON_HANDED_OVER : NULL;
}

static bool same_entry(const struct policy_change *a, const struct policy_change *b)
{
	return a->kind == b->kind && strcmp(a->name, b->name) == 0;
}

/* Takes out the entry for the same text. Returns whether there was one. */
static bool take_out(struct policy_change *at, size_t *n, const struct policy_change *c)
{
	size_t left = 0;

	for (size_t i = 0; i < *n; i++)
		if (!same_entry(&at[i], c))
			at[left++] = at[i];
	if (left == *n)
		return false;
	*n = left;
	return true;
}

/* "for 10m": NULL, or what is wrong. */
static const char *parse_until(const struct control_call *call, int64_t now, int64_t *until)
{
	unsigned ms;

	*until = 0;
	if (call->argc == 2)
		return NULL;
	if (call->argc != 4 || strcmp(call->argv[2], "for") != 0)
		return "usage: allow|deny NAME [for TIME]";
	if (value_duration(call->argv[3], &ms) != 0 || ms < 1000)
		return "TIME must be from 1s to 49d, as in 30s, 10m, 2h or 7d";
	*until = now + ms / 1000;
	return NULL;
}

static void say(const struct policy_change *c, const char *what, uid_t uid,
		struct control_call *call)
{
	char until[32], text[CHANGE_TEXT];

	change_time(c->until, until);
	snprintf(text, sizeof(text), "%s%s %s%s%s%s", what, c->deny ? "deny" : "allow",
		 value_prefix(c->kind), c->name, c->until ? " until " : "", c->until ? until : "");
	log_info("runtime: %s, said by uid %ld", text, (long)(int)uid);
	tail_note("change", text);
	if (call->json)
		evbuffer_add_printf(call->out, "{\"change\":\"%s\"}\n", text);
	else
		evbuffer_add_printf(call->out, "%s\n", text);
}

static enum control_result add(struct daemon *d, struct control_call *call, bool deny)
{
	struct policy_change c = { .deny = deny, .made = time(NULL), .uid = call->uid };
	const char *wrong = too_late(d) ?: parse_until(call, c.made, &c.until);
	struct policy_change *at;
	char err[ERR_LEN] = "no memory";
	size_t n;

	if (wrong)
		return refuse(call, wrong);
	if (change_parse_name(call->argv[1], &c) != 0)
		return refuse(call, "NAME is not a host name, as in example.com, .example.com or "
				    "*.example.com");
	at = copy_valid(d->changes, 0, &n);
	if (!at)
		return refuse(call, err);
	take_out(at, &n, &c);
	if (n == CHANGES_MAX) { /* with one more the file could not be read again */
		free(at);
		return refuse(call, "too many entries made at run time");
	}
	at[n++] = c;
	if (replace_list(d, at, n, err) != 0) {
		free(at);
		return refuse(call, err);
	}
	arm_expiry(d);
	say(&c, "", call->uid, call);
	return CONTROL_OK;
}

enum control_result changes_verb_allow(struct daemon *d, struct control_call *call)
{
	return add(d, call, false);
}

enum control_result changes_verb_deny(struct daemon *d, struct control_call *call)
{
	return add(d, call, true);
}

enum control_result changes_verb_revoke(struct daemon *d, struct control_call *call)
{
	struct policy_change c = { .kind = NAME_HOST };
	struct policy_change *at;
	char err[ERR_LEN] = "no memory";
	size_t n;

	if (too_late(d))
		return refuse(call, too_late(d));
	if (change_parse_name(call->argv[1], &c) != 0)
		return refuse(call, "NAME is not a host name");
	at = copy_valid(d->changes, 0, &n);
	if (!at)
		return refuse(call, err);
	for (size_t i = 0; i < n; i++)
		if (same_entry(&at[i], &c))
			c = at[i];
	if (!take_out(at, &n, &c)) {
		free(at);
		return refuse(call, "nothing was said of that name at run time");
	}
	if (replace_list(d, at, n, err) != 0) {
		free(at);
		return refuse(call, err);
	}
	c.until = 0;
	say(&c, "revoked: ", call->uid, call);
	return CONTROL_OK;
}

static void list_json(const struct changes *c, struct evbuffer *out)
{
	char buf[CHANGE_TEXT * 2], entry[NAME_BUF + 2], made[32], until[32];
	struct json j;

	evbuffer_add(out, "[", 1);
	for (size_t i = 0; i < c->n; i++) {
		snprintf(entry, sizeof(entry), "%s%s", value_prefix(c->at[i].kind), c->at[i].name);
		change_time(c->at[i].made, made);
		change_time(c->at[i].until, until);
		json_init(&j, buf, sizeof(buf));
		j.comma = i > 0;
		json_open(&j, NULL, '{');
		json_string(&j, "verdict", c->at[i].deny ? "deny" : "allow");
		json_string(&j, "name", entry);
		json_string(&j, "made", made);
		json_string(&j, "until", until);
		json_number(&j, "uid", c->at[i].uid);
		json_close(&j, '}');
		evbuffer_add(out, buf, json_done(&j));
	}
	evbuffer_add(out, "]\n", 2);
}

enum control_result changes_verb_list(struct daemon *d, struct control_call *call)
{
	char line[CHANGE_TEXT];

	if (call->json) {
		list_json(d->changes, call->out);
		return CONTROL_OK;
	}
	for (size_t i = 0; i < d->changes->n; i++) {
		change_print(&d->changes->at[i], line);
		evbuffer_add(call->out, line, strlen(line));
	}
	return CONTROL_OK;
}

/* ---- life ---- */

/* Puts the entries read from the file in force, without the expired ones. */
static int put_kept(struct daemon *d, char *err)
{
	struct policy_change *at;
	struct policy *p;
	size_t n;

	at = copy_valid(d->changes, time(NULL), &n);
	if (!at)
		return -ENOMEM;
	free(d->changes->at);
	d->changes->at = at;
	d->changes->n = n;
	p = changes_added(d, d->policy, err);
	if (!p)
		return -ENOMEM;
	policy_unref(d->policy);
	d->policy = p;
	arm_expiry(d);
	return 0;
}

static int read_kept(struct daemon *d, size_t *n, char *err)
{
	struct guise as;
	int r = guise_wear(&as, d->first->user, path_of(d));
	char text[128];

	r = r ?: change_file_read(path_of(d), &d->changes->at, n, err, ERR_LEN);
	guise_drop(&as);
	if (r == -EACCES)
		snprintf(err, ERR_LEN, "changes = %.300s: %s", path_of(d),
			 guise_explain(&as, r, text, sizeof(text)));
	return r;
}

int changes_open(struct daemon *d, char *err)
{
	size_t n = 0;
	int r = 0;

	d->changes = calloc(1, sizeof(*d->changes));
	if (!d->changes)
		return -ENOMEM;
	d->changes->expiry = event_new(d->base, -1, 0, on_expiry, d);
	if (!d->changes->expiry)
		return -ENOMEM;
	if (path_of(d)[0])
		r = read_kept(d, &n, err);
	d->changes->n = n;
	if (r)
		return r;
	log_expired(d->changes->at, n, time(NULL));
	return put_kept(d, err);
}

int changes_catch_up(struct daemon *d, char *err)
{
	struct changes read = { .n = 0 };
	struct policy_change *at;
	size_t n;
	int r;

	if (!path_of(d)[0])
		return 0;
	r = change_file_read(path_of(d), &read.at, &read.n, err, ERR_LEN);
	if (r)
		return r;
	at = copy_valid(&read, time(NULL), &n);
	free(read.at);
	snprintf(err, ERR_LEN, "no memory for entries made at run time");
	r = at ? put_list_in_force(d, at, n, err) : -ENOMEM;
	if (r)
		free(at);
	else
		arm_expiry(d);
	return r;
}

void changes_close(struct daemon *d)
{
	if (!d->changes)
		return;
	if (d->changes->expiry)
		event_free(d->changes->expiry);
	free(d->changes->at);
	free(d->changes);
	d->changes = NULL;
}
