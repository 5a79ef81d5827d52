// SPDX-License-Identifier: GPL-2.0-or-later
// Editors and fetchers write a new file and rename it over the old one; Kubernetes swaps a
// symlink two folders up. A watch on the file itself would stay with the old file. So we watch
// every folder that the path leads through, each for the name in it that is the next step. An
// inotify event only means that it is time to look: then the paths are walked anew, and the
// configuration is read again.
#include "slowpath/daemon/watch.h"

#include <errno.h>
#include <event2/event.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "conf/conf.h"

#define STEP_EVENTS (IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO)
#define FILE_EVENTS (STEP_EVENTS | IN_ATTRIB | IN_CLOSE_WRITE | IN_MODIFY)
#define LINKS_MAX 40	/* the kernel's limit */
#define READS 64	/* at a time, then the loop has its turn */
#define GATHER_MS 10000 /* changes in quick succession are gathered for at most this long */
#define WRITER_MS 60000 /* a writer that has been silent this long is not waited for */

/* A name in a watched folder. */
struct spot {
	int wd;
	bool writing; /* a writer has written to it and not closed it yet */
	char *path;
	const char *name; /* the last part of path */
};

struct spots {
	struct spot *at; /* sorted by wd and name */
	size_t n, room;
};

struct watch {
	void (*changed)(void *arg);
	void *arg;
	struct event_base *base;
	unsigned quiet_ms;
	char **paths; /* of the files followed */
	size_t n_paths;
	int fd;		    /* inotify; -1: nothing is followed */
	struct event *news; /* of fd */
	struct event *quiet;
	struct spots spots;
	int64_t since, last; /* first and last change not reported yet, in ms; 0: none */
	bool said;	     /* logged that we wait for a writer */
	unsigned failures;   /* of the current walk */
};

/* ---- spots ---- */

static int compare(const void *a, const void *b)
{
	const struct spot *x = a, *y = b;

	if (x->wd != y->wd)
		return x->wd < y->wd ? -1 : 1;
	return strcmp(x->name, y->name);
}

static struct spot *find(const struct spots *s, int wd, const char *name)
{
	struct spot wanted = { .wd = wd, .name = name };

	return s->n ? bsearch(&wanted, s->at, s->n, sizeof(*s->at), compare) : NULL;
}

static int add(struct spots *s, int wd, const char *path)
{
	char *copy = strdup(path);

	if (s->n == s->room) {
		size_t room = s->room ? s->room * 2 : 16;
		void *grown = copy ? reallocarray(s->at, room, sizeof(*s->at)) : NULL;

		if (grown) {
			s->at = grown;
			s->room = room;
		} else {
			free(copy);
			return -ENOMEM;
		}
	}
	if (!copy)
		return -ENOMEM;
	s->at[s->n++] = (struct spot){ .wd = wd, .path = copy, .name = strrchr(copy, '/') + 1 };
	return 0;
}

/* Sorts them and drops duplicates. */
static void put_in_order(struct spots *s)
{
	size_t n = 0;

	if (s->n)
		qsort(s->at, s->n, sizeof(*s->at), compare);
	for (size_t i = 0; i < s->n; i++)
		if (n && compare(&s->at[n - 1], &s->at[i]) == 0)
			free(s->at[i].path);
		else
			s->at[n++] = s->at[i];
	s->n = n;
}

static void clear(struct spots *s)
{
	for (size_t i = 0; i < s->n; i++)
		free(s->at[i].path);
	free(s->at);
	*s = (struct spots){ 0 };
}

static struct spot *find_writer(const struct spots *s)
{
	for (size_t i = 0; i < s->n; i++)
		if (s->at[i].writing)
			return &s->at[i];
	return NULL;
}

static void forget_writers(struct spots *s)
{
	for (size_t i = 0; i < s->n; i++)
		s->at[i].writing = false;
}

/* ---- walking the paths ---- */

struct walk {
	struct watch *w;
	struct spots next;
	char folder[PATH_MAX]; /* where the walk is, without symlinks; "" for the root */
	char rest[PATH_MAX];   /* the rest of the way from there */
	char step[PATH_MAX];   /* folder and the first part of the way */
	unsigned links;
};

/* Logs one line for a whole walk. A missing file is not a failure: it may come, and then it is
   seen. */
static void note_failure(struct watch *w, const char *folder, int err)
{
	if (err == ENOENT || err == ENOTDIR || w->failures++)
		return;
	log_error("watch_lists: cannot watch '%s': %s; changes there go unseen", folder,
		  err == ENOSPC ? "the limit of fs.inotify.max_user_watches is reached" :
				  strerror(err));
}

static void watch_step(struct walk *k, uint32_t events)
{
	const char *folder = *k->folder ? k->folder : "/";
	int wd = inotify_add_watch(k->w->fd, folder, events | IN_ONLYDIR | IN_MASK_ADD);

	if (wd < 0)
		note_failure(k->w, folder, errno);
	else if (add(&k->next, wd, k->step) != 0)
		note_failure(k->w, folder, ENOMEM);
}

/* Takes the first part off the way; false if there is none, or no room for it. */
static bool take_step(struct walk *k)
{
	char *part = k->rest + strspn(k->rest, "/");
	size_t n = strcspn(part, "/");

	if (!n ||
	    (size_t)snprintf(k->step, PATH_MAX, "%s/%.*s", k->folder, (int)n, part) >= PATH_MAX)
		return false;
	part += n;
	part += strspn(part, "/");
	memmove(k->rest, part, strlen(part) + 1);
	return true;
}

/* Continues the way where the symlink at k->step leads. */
static bool follow_link(struct walk *k, const char *target)
{
	char way[PATH_MAX];

	if (++k->links > LINKS_MAX ||
	    (size_t)snprintf(way, PATH_MAX, "%s/%s", target, k->rest) >= PATH_MAX)
		return false;
	strcpy(k->rest, way);
	if (*target == '/')
		*k->folder = '\0';
	return true;
}

/* Takes one step; false at the end, also if there is nothing there. */
static bool walk_on(struct walk *k)
{
	char target[PATH_MAX];
	const char *name;
	ssize_t n;

	if (!take_step(k))
		return false;
	name = strrchr(k->step, '/') + 1;
	if (strcmp(name, ".") == 0)
		return true;
	if (strcmp(name, "..") != 0) {
		watch_step(k, *k->rest ? STEP_EVENTS : FILE_EVENTS);
		n = readlink(k->step, target, sizeof(target) - 1);
		if (n >= 0) {
			target[n] = '\0';
			return follow_link(k, target);
		}
		if (errno != EINVAL) /* not there */
			return false;
	}
	strcpy(k->folder, k->step);
	return true;
}

static void walk_path(struct walk *k, const char *path)
{
	k->links = 0;
	strcpy(k->folder, *path == '/' ? "" : ".");
	if ((size_t)snprintf(k->rest, PATH_MAX, "%s", path) >= PATH_MAX)
		return;
	while (walk_on(k))
		;
}

static bool has_folder(const struct spots *s, int wd)
{
	size_t low = 0, high = s->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (s->at[middle].wd < wd)
			low = middle + 1;
		else
			high = middle;
	}
	return low < s->n && s->at[low].wd == wd;
}

/* Carries over what is known about writers, and drops the folders that are no longer needed. */
static void replace_spots(struct watch *w, struct spots *next)
{
	for (size_t i = 0; i < next->n; i++) {
		const struct spot *old = find(&w->spots, next->at[i].wd, next->at[i].name);

		next->at[i].writing = old && old->writing;
	}
	for (size_t i = 0; i < w->spots.n; i++) {
		int wd = w->spots.at[i].wd;

		if ((i == 0 || w->spots.at[i - 1].wd != wd) && !has_folder(next, wd))
			inotify_rm_watch(w->fd, wd); /* fails if the folder itself is gone */
	}
	clear(&w->spots);
	w->spots = *next;
}

static void walk_all(struct watch *w)
{
	struct walk *k = calloc(1, sizeof(*k));

	if (!k) {
		log_error("watch_lists: no memory; what is new goes unseen");
		return;
	}
	k->w = w;
	w->failures = 0;
	for (size_t i = 0; i < w->n_paths; i++)
		walk_path(k, w->paths[i]);
	if (w->failures > 1)
		log_error("watch_lists: and %u more", w->failures - 1);
	put_in_order(&k->next);
	replace_spots(w, &k->next);
	free(k);
}

/* ---- on the loop ---- */

static void wait_quiet(struct watch *w)
{
	event_add(w->quiet, &(struct timeval){ .tv_sec = w->quiet_ms / 1000,
					       .tv_usec = w->quiet_ms % 1000 * 1000 });
}

static void note_change(struct watch *w, const char *path)
{
	w->last = (int64_t)clock_ms();
	if (!w->since) {
		w->since = w->last;
		w->said = false;
		log_info("watch_lists: '%s' has changed", path);
	}
	if (w->last - w->since < GATHER_MS || !event_pending(w->quiet, EV_TIMEOUT, NULL))
		wait_quiet(w);
}

/* A file made by open() will be closed later; one made by link() is complete at once. */
static bool is_new_file(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0 && S_ISREG(st.st_mode) && st.st_nlink == 1;
}

static void take_event(struct watch *w, const struct inotify_event *e)
{
	struct spot *s;

	if (e->mask & IN_Q_OVERFLOW) {
		log_warn("watch_lists: the kernel lost events (fs.inotify.max_queued_events)");
		forget_writers(&w->spots);
		note_change(w, "something");
	}
	s = e->len ? find(&w->spots, e->wd, e->name) : NULL;
	if (!s)
		return;
	if (e->mask & IN_MODIFY)
		s->writing = true;
	else if (e->mask & IN_CREATE)
		s->writing = is_new_file(s->path);
	else if (!(e->mask & IN_ATTRIB))
		s->writing = false;
	note_change(w, s->path);
}

static void on_news(evutil_socket_t fd, short what, void *arg)
{
	struct watch *w = arg;
	char buf[16384] __attribute__((aligned(__alignof__(struct inotify_event))));

	(void)what;
	for (int i = 0; i < READS; i++) {
		ssize_t n = read(fd, buf, sizeof(buf));
		const struct inotify_event *e;

		if (n <= 0)
			return;
		for (char *p = buf; p < buf + n; p += sizeof(*e) + e->len) {
			e = (const void *)p;
			take_event(w, e);
		}
	}
}

static bool wait_for_writer(struct watch *w)
{
	const struct spot *s = find_writer(&w->spots);
	int64_t now = (int64_t)clock_ms();

	if (!s || now - w->last >= WRITER_MS)
		return false;
	if (now - w->since >= WRITER_MS && !w->said) {
		log_warn("watch_lists: '%s' is still being written to; nothing is read until it is "
			 "closed",
			 s->path);
		w->said = true;
	}
	wait_quiet(w);
	return true;
}

static void on_quiet(evutil_socket_t fd, short what, void *arg)
{
	struct watch *w = arg;

	(void)fd;
	(void)what;
	if (wait_for_writer(w))
		return;
	w->since = 0;
	forget_writers(&w->spots);
	walk_all(w); /* before reading, so that later changes are seen */
	w->changed(w->arg);
}

/* ---- public ---- */

struct watch *watch_open(struct event_base *base, unsigned quiet_ms, void (*changed)(void *arg),
			 void *arg)
{
	struct watch *w = calloc(1, sizeof(*w));

	if (!w)
		return NULL;
	*w = (struct watch){
		.changed = changed, .arg = arg, .base = base, .quiet_ms = quiet_ms, .fd = -1
	};
	w->quiet = event_new(base, -1, 0, on_quiet, w);
	if (w->quiet)
		return w;
	free(w);
	return NULL;
}

static void free_paths(struct watch *w)
{
	for (size_t i = 0; i < w->n_paths; i++)
		free(w->paths[i]);
	free(w->paths);
	w->paths = NULL;
	w->n_paths = 0;
}

static void stop_following(struct watch *w)
{
	event_del(w->quiet);
	if (w->news)
		event_free(w->news);
	if (w->fd >= 0)
		close(w->fd);
	w->news = NULL;
	w->fd = -1;
	w->since = 0;
	clear(&w->spots);
	free_paths(w);
}

static int start_following(struct watch *w)
{
	w->fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (w->fd < 0)
		return -errno;
	w->news = event_new(w->base, w->fd, EV_READ | EV_PERSIST, on_news, w);
	return w->news && event_add(w->news, NULL) == 0 ? 0 : -ENOMEM;
}

/* The INI file, its lists and its page. */
static int copy_paths(struct watch *w, const struct conf *c)
{
	size_t n = c->sources.n + (*c->deny_page != '\0');

	free_paths(w);
	w->paths = calloc(n, sizeof(*w->paths));
	if (!w->paths)
		return -ENOMEM;
	for (w->n_paths = 0; w->n_paths < n; w->n_paths++) {
		size_t i = w->n_paths;

		w->paths[i] = strdup(i < c->sources.n ? c->sources.at[i] : c->deny_page);
		if (!w->paths[i])
			return -ENOMEM;
	}
	return 0;
}

void watch_follow(struct watch *w, const struct conf *c)
{
	int err;

	if (!c->watch_lists) {
		stop_following(w);
		return;
	}
	err = w->fd < 0 ? start_following(w) : 0;
	err = err ?: copy_paths(w, c);
	if (err) {
		log_error("watch_lists: cannot watch anything: %s",
			  err == -EMFILE ? "the limit of open files or of "
					   "fs.inotify.max_user_instances is reached" :
					   strerror(-err));
		stop_following(w);
		return;
	}
	walk_all(w);
	if (!conf_is_current(c)) /* it changed before it was watched */
		note_change(w, c->sources.at[0]);
}

void watch_close(struct watch *w)
{
	if (!w)
		return;
	stop_following(w);
	event_free(w->quiet);
	free(w);
}
