// SPDX-License-Identifier: GPL-2.0-or-later
// Entries made at run time, in a daemon without workers and kernel path, whose clock we set.
#include <event2/buffer.h>
#include <event2/event.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "slowpath/daemon/changes.h"
#include "slowpath/daemon/reload.h"
#include "slowpath/daemon/server.h"
#include "slowpath/daemon/verbs.h"
#include "tests/unit/folder.h"
#include "tests/unit/test.h"

#define INI                                                                                        \
	"[sluice]\nuser =\n[listener l]\nmode = intercept\naddress = 127.0.0.1:1\n"                \
	"[policy]\ndefault = deny\nchanges = %s/kept/changes\n"

static char err[ERR_LEN];
static time_t clock_now = 1800000000; /* 2027-01-15T08:00:00Z */

/* In place of the C library's: what changes.c takes for now. */
time_t time(time_t *out)
{
	if (out)
		*out = clock_now;
	return clock_now;
}

static void begin(struct daemon *d)
{
	*d = (struct daemon){ .conf_path = "c.ini" };
	d->base = event_base_new();
	d->policy = reload_read("c.ini", err);
	if (!d->base || !d->policy) {
		fprintf(stderr, "%s\n", err);
		exit(1);
	}
	d->first = policy_keep_conf(d->policy);
	CHECK(changes_open(d, err) == 0);
}

static void end(struct daemon *d)
{
	changes_close(d);
	policy_unref(d->policy);
	conf_free(d->first);
	event_base_free(d->base);
}

/* What a verb answers, in a buffer that the next one takes. */
static const char *say(struct daemon *d, const char *line, enum control_result *result)
{
	static char answer[4096];
	char copy[256], *argv[CONTROL_WORDS + 1];
	struct control_call call = { .argv = argv, .out = evbuffer_new() };
	int n;

	snprintf(copy, sizeof(copy), "%s", line);
	for (char *w = strtok(copy, " "); w; w = strtok(NULL, " "))
		argv[call.argc++] = w;
	*result = verbs_request(d, &call);
	n = evbuffer_remove(call.out, answer, sizeof(answer) - 1);
	answer[n > 0 ? n : 0] = '\0';
	evbuffer_free(call.out);
	return answer;
}

static bool done(struct daemon *d, const char *line)
{
	enum control_result result;

	say(d, line, &result);
	return result == CONTROL_OK;
}

static bool refused(struct daemon *d, const char *line, const char *why)
{
	enum control_result result;
	const char *answer = say(d, line, &result);

	return result == CONTROL_ERROR && strstr(answer, why);
}

static bool allows(const struct daemon *d, const char *name)
{
	struct subject about = subject_name(name, strlen(name));

	return policy_decide(d->policy, GROUP_ALL, &about, 443).allow;
}

static bool lists(struct daemon *d, const char *name)
{
	enum control_result result;

	return strstr(say(d, "changes", &result), name);
}

static int fire(const struct event_base *base, const struct event *ev, void *arg)
{
	(void)base;
	(void)arg;
	event_active((struct event *)ev, EV_TIMEOUT, 0);
	return 0;
}

/* As if the look at the clock were due. */
static void look(struct daemon *d)
{
	event_base_foreach_event(d->base, fire, NULL);
	event_base_loop(d->base, EVLOOP_NONBLOCK);
}

static void test_time_is_over(void)
{
	struct daemon d;

	begin(&d);
	CHECK(done(&d, "allow a.test for 10m") && allows(&d, "a.test"));
	clock_now += 599;
	look(&d);
	CHECK(allows(&d, "a.test") && lists(&d, "a.test"));
	clock_now += 1;
	look(&d);
	CHECK(!allows(&d, "a.test") && !lists(&d, "a.test"));
	end(&d);
}

/* Whatever the disk says: the file tells by itself when the time of an entry is over. */
static void test_time_is_over_and_the_disk_is_full(void)
{
	struct daemon d;

	begin(&d);
	CHECK(done(&d, "allow a.test for 10m") && done(&d, "allow b.test"));
	CHECK(rename("kept", "elsewhere") == 0);
	CHECK(refused(&d, "allow c.test", "cannot be written") && !allows(&d, "c.test"));
	clock_now += 600;
	look(&d);
	CHECK(!allows(&d, "a.test") && !lists(&d, "a.test") && allows(&d, "b.test"));
	CHECK(rename("elsewhere", "kept") == 0);
	CHECK(done(&d, "revoke b.test") && !allows(&d, "b.test"));
	end(&d);
}

/* One too many is refused before it is kept: a file with it could not be read again. */
static void test_most(void)
{
	FILE *f = fopen("kept/changes", "w");
	struct stat before, after;
	struct daemon d;

	for (int i = 0; f && i < CHANGES_MAX; i++)
		fprintf(f, "deny n%d.test made 2026-01-31T12:00:00Z until never uid 0\n", i);
	CHECK(f && fclose(f) == 0);
	begin(&d);
	CHECK(stat("kept/changes", &before) == 0);
	CHECK(refused(&d, "deny more.test", "too many") && !lists(&d, "more.test"));
	CHECK(stat("kept/changes", &after) == 0 && before.st_ino == after.st_ino &&
	      memcmp(&before.st_mtim, &after.st_mtim, sizeof(after.st_mtim)) == 0);
	CHECK(done(&d, "allow n7.test") && allows(&d, "n7.test"));
	CHECK(unlink("kept/changes") == 0);
	end(&d);
}

/* What the process before has kept, and what it left in the file that was over by then. */
static void test_catching_up(void)
{
	struct daemon d;

	begin(&d);
	CHECK(done(&d, "allow old.test"));
	folder_text("kept/changes",
		    "allow over.test made 2026-01-31T12:00:00Z until 2026-01-31T12:10:00Z uid 0\n"
		    "allow new.test made 2026-01-31T12:00:00Z until never uid 0\n");
	CHECK(changes_catch_up(&d, err) == 0);
	CHECK(allows(&d, "new.test") && lists(&d, "new.test"));
	CHECK(!allows(&d, "old.test") && !lists(&d, "old.test"));
	CHECK(!allows(&d, "over.test") && !lists(&d, "over.test"));
	folder_text("kept/changes", "allow what?\n");
	CHECK(changes_catch_up(&d, err) != 0 && strstr(err, "changes:1: "));
	CHECK(allows(&d, "new.test") && lists(&d, "new.test"));
	CHECK(unlink("kept/changes") == 0);
	end(&d);
}

/* Nobody would hear of it: the file is the next one's, which has read it. */
static void test_handed_over(void)
{
	struct daemon d;

	begin(&d);
	CHECK(done(&d, "allow a.test") && done(&d, "allow b.test for 10m"));
	d.handed_over = true;
	CHECK(refused(&d, "deny a.test", "taken over") && allows(&d, "a.test"));
	CHECK(refused(&d, "allow c.test", "taken over") && !allows(&d, "c.test"));
	CHECK(refused(&d, "revoke a.test", "taken over") && allows(&d, "a.test"));
	CHECK(refused(&d, "reload", "taken over"));
	CHECK(lists(&d, "a.test"));
	clock_now += 600;
	look(&d);
	CHECK(!allows(&d, "b.test") && !lists(&d, "b.test"));
	end(&d);
}

int main(void)
{
	char ini[512];

	folder_enter();
	snprintf(ini, sizeof(ini), INI, folder_path);
	folder_text("c.ini", ini);
	CHECK(mkdir("kept", 0700) == 0);
	RUN(test_time_is_over);
	RUN(test_time_is_over_and_the_disk_is_full);
	RUN(test_most);
	RUN(test_catching_up);
	RUN(test_handed_over);
	folder_leave();
	TEST_DONE("test_changes");
}
