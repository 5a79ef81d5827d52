/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * With whose rights a path is touched while we are still root and will become `user`.
 *
 * The folders of the log, of the control socket and of the pinned maps are often that user's. Who
 * has got hold of the user puts a link there, or swaps a file for one, and root would create,
 * append to, chmod or remove what it leads to. So what lies in a place that is not root's alone is
 * touched with the user's rights (setfsuid(2)): then a link leads to nothing that he could not do
 * himself, whatever he puts there and whenever, since it is the kernel that asks, each time, of
 * what it has found.
 *
 * A place is root's if every folder on the way to the path's last part, through every link, is
 * root's and the user cannot write in it. Of a folder in which everybody may write, but only touch
 * what is his own (/tmp), root's own folders in it will do, and nothing else. What we find on such
 * a way cannot be changed by the user, not the next moment either, and so by induction the whole
 * path means then what it means now: it may be used as root, by its name. Links of the
 * administrator's (/var/log) are followed so.
 *
 * All this is for one thread, at the start; without root, or with root for user, nothing happens.
 */
#ifndef SLUICE_COMMON_GUISE_H
#define SLUICE_COMMON_GUISE_H

#include <stdbool.h>
#include <sys/types.h>

struct guise {
	bool worn;
	const char *as; /* the user, borrowed, if it was worn; else NULL: for messages */
	gid_t gid;	/* what is under it */
	gid_t *groups;
	int n_groups;
};

/* 0, worn only if the path's place is not root's; or -errno, and it is not worn. */
int guise_wear(struct guise *g, const char *user, const char *path);
void guise_drop(struct guise *g); /* one that is not worn is fine */

/* What root has made in a place of its own is given to the user: an open file, no device; a path,
   and not what a link there leads to. */
void guise_give_file(int fd, const char *user);
void guise_give_path(const char *path, const char *user);

/* The error, and as whom it was met. Returns buf. */
char *guise_explain(const struct guise *g, int err, char *buf, size_t len);

#endif
