// SPDX-License-Identifier: GPL-2.0-or-later
// Walks the way to a path once, as root, one part at a time. Each folder is held open, so that
// every check is made on the very folder that was walked through.
#include "common/guise.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <linux/securebits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"

#define LINKS_MAX 40 /* the kernel's own limit */

/* ---- putting it on ---- */

/* Set the file rights of this thread; false: they are not what was asked for. */
static bool set_uid(uid_t uid)
{
	setfsuid(uid);
	return (uid_t)setfsuid((uid_t)-1) == uid;
}

static bool set_gid(gid_t gid)
{
	setfsgid(gid);
	return (gid_t)setfsgid((gid_t)-1) == gid;
}

void guise_drop(struct guise *g)
{
	if (!g->worn)
		return;
	if (!set_uid(0) || !set_gid(g->gid) || setgroups((size_t)g->n_groups, g->groups) != 0)
		abort();
	free(g->groups);
	g->groups = NULL;
	g->worn = false;
}

static int wear(struct guise *g, const char *user, const struct passwd *pw)
{
	int n = getgroups(0, NULL);

	/* Root that keeps its capabilities whatever its uid cannot put on another user's rights. */
	if (prctl(PR_GET_SECUREBITS) & SECBIT_NO_SETUID_FIXUP)
		return -EPERM;
	g->groups = n < 0 ? NULL : calloc((size_t)n + 1, sizeof(*g->groups));
	if (!g->groups)
		return n < 0 ? -errno : -ENOMEM;
	g->n_groups = getgroups(n, g->groups);
	g->gid = getegid();
	if (g->n_groups != n || initgroups(user, pw->pw_gid) != 0) { /* nothing has changed */
		free(g->groups);
		g->groups = NULL;
		return -EPERM;
	}
	g->worn = true;
	if (set_gid(pw->pw_gid) && set_uid(pw->pw_uid))
		return 0;
	guise_drop(g);
	return -EPERM;
}

/* ---- whose place it is ---- */

struct walk {
	uid_t user;
	int at; /* the folder that the walk has reached */
	unsigned links;
	char left[PATH_MAX]; /* the parts to come */
};

/* The guise is worn except for the uid. Where the kernel refuses for another reason than rights (a
   read-only file system), the mode decides: whether it lets the group or others write. */
static bool may_write(const struct walk *w, mode_t mode)
{
	bool may;

	if (!set_uid(w->user))
		return true;
	may = faccessat(w->at, "", W_OK, AT_EACCESS | AT_EMPTY_PATH) == 0 ||
	      (errno != EACCES && mode & (S_IWGRP | S_IWOTH));
	if (!set_uid(0))
		abort();
	return may;
}

/* True if only root can put another thing in this one's place, or something where there is
   nothing. */
static bool is_fixed(const struct walk *w, int part)
{
	struct stat folder, st;

	if (fstat(w->at, &folder) != 0 || folder.st_uid != 0)
		return false;
	if (!may_write(w, folder.st_mode))
		return true;
	return folder.st_mode & S_ISVTX && part >= 0 && fstat(part, &st) == 0 &&
	       S_ISDIR(st.st_mode) && st.st_uid == 0;
}

/* The link's target goes in front of the rest of the way. */
static bool follow(struct walk *w, int link)
{
	char target[PATH_MAX], left[PATH_MAX];
	ssize_t n = readlinkat(link, "", target, sizeof(target) - 1);

	if (n <= 0 || ++w->links > LINKS_MAX)
		return false;
	target[n] = '\0';
	if (snprintf(left, sizeof(left), "%s/%s", target, w->left) >= (int)sizeof(left))
		return false;
	memcpy(w->left, left, sizeof(left));
	if (target[0] != '/')
		return true;
	close(w->at);
	w->at = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	return w->at >= 0;
}

/* Cuts off the next part of what is left; false: there is none. */
static bool next_part(struct walk *w, char part[PATH_MAX])
{
	const char *start = w->left + strspn(w->left, "/");
	size_t len = strcspn(start, "/");

	memcpy(part, start, len);
	part[len] = '\0';
	memmove(w->left, start + len, strlen(start + len) + 1);
	return len > 0;
}

/* Walks one part further. true: the way so far is root's; *end: nothing can follow. */
static bool step(struct walk *w, const char *part, bool *end)
{
	AUTO_FD int fd = openat(w->at, part, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	bool missing = fd < 0 && errno == ENOENT;
	struct stat st;

	if ((fd < 0 && !missing) || !is_fixed(w, fd))
		return false;
	*end = missing;
	if (missing)
		return true;
	if (fstat(fd, &st) != 0)
		return false;
	if (S_ISLNK(st.st_mode))
		return follow(w, fd);
	*end = !S_ISDIR(st.st_mode);
	close(w->at);
	w->at = TAKE_FD(fd);
	return true;
}

static bool is_roots(const char *path, uid_t user)
{
	struct walk w = { .user = user, .at = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC) };
	bool good = w.at >= 0 && path[0] == '/' && strlen(path) < sizeof(w.left);
	bool end = false;
	char part[PATH_MAX];

	if (good)
		memcpy(w.left, path, strlen(path) + 1);
	while (good && !end && next_part(&w, part))
		good = step(&w, part, &end);
	cleanup_fd(&w.at);
	return good;
}

/* ---- public ---- */

static const struct passwd *other_user(const char *user)
{
	return geteuid() == 0 && user[0] ? getpwnam(user) : NULL;
}

int guise_wear(struct guise *g, const char *user, const char *path)
{
	const struct passwd *pw = other_user(user);
	uid_t uid = pw ? pw->pw_uid : 0;
	int r;

	*g = (struct guise){ 0 };
	if (geteuid() != 0 || !user[0] || (pw && uid == 0))
		return 0;
	r = pw ? wear(g, user, pw) : -ENOENT;
	if (r)
		return r;
	if (!set_uid(0))
		abort();
	if (is_roots(path, uid))
		guise_drop(g);
	else if (!set_uid(uid))
		abort();
	g->as = g->worn ? user : NULL;
	return 0;
}

void guise_give_file(int fd, const char *user)
{
	const struct passwd *pw = other_user(user);
	struct stat st;

	if (pw && fstat(fd, &st) == 0 && (S_ISREG(st.st_mode) || S_ISFIFO(st.st_mode)) &&
	    fchown(fd, pw->pw_uid, pw->pw_gid) != 0)
		return; /* then the user cannot reopen it, which is reported when that is tried */
}

void guise_give_path(const char *path, const char *user)
{
	const struct passwd *pw = other_user(user);
	uid_t uid = pw ? pw->pw_uid : 0;
	gid_t gid = pw ? pw->pw_gid : 0;
	struct guise g;

	if (!pw || !path[0] || guise_wear(&g, user, path) != 0)
		return;
	if (!g.worn && lchown(path, uid, gid) != 0)
		return; /* the file will stay behind, as it does when a process is killed */
	guise_drop(&g); /* worn: the user has made it, and already owns it */
}

char *guise_explain(const struct guise *g, int err, char *buf, size_t len)
{
	snprintf(buf, len, "%s%s%s", strerror(-err), g->as ? ", as user " : "", g->as ? g->as : "");
	return buf;
}
