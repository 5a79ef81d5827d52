/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Whose rights are used to touch a path while we are still root and will become `user`.
 *
 * The folders of the log, of the control socket and of the pinned maps often belong to that user.
 * An attacker who has taken over the user can put a link there, or swap a file for one, and root
 * would create, append to, chmod or remove what the link leads to. So anything in a place that is
 * not root's alone is touched with the user's rights (setfsuid(2)). Then a link gains the attacker
 * nothing that the user could not do anyway, whatever is put there and whenever, because the kernel
 * itself checks the rights, each time, on what it has found.
 *
 * A place is root's if every folder on the way to the path's last part, through every link, belongs
 * to root and the user cannot write in it. In a folder where all may write but each may touch only
 * their own files (/tmp), only folders owned by root qualify. The user cannot change what we find
 * on such a way, now or later, so by induction the whole path will keep its present meaning, and
 * root may use it by name. This is how an administrator's links (/var/log) are followed.
 *
 * All this is for one thread, at the start. Without root, or if the user is root, nothing happens.
 */
#ifndef SLUICE_COMMON_GUISE_H
#define SLUICE_COMMON_GUISE_H

#include <stdbool.h>
#include <sys/types.h>

struct guise {
	bool worn;
	const char *as; /* for messages: the user, borrowed, if it was worn; else NULL */
	gid_t gid;	/* our own ids, under the guise */
	gid_t *groups;
	int n_groups;
};

/* 0, and the guise is worn only if the path's place is not root's; or -errno, and it is not
   worn. */
int guise_wear(struct guise *g, const char *user, const char *path);
void guise_drop(struct guise *g); /* may be called when it is not worn */

/* Give the user what root has made in a place of its own: an open file, but no device; a path, but
   not what a link there leads to. */
void guise_give_file(int fd, const char *user);
void guise_give_path(const char *path, const char *user);

/* Describes the error, and as which user it was met. Returns buf. */
char *guise_explain(const struct guise *g, int err, char *buf, size_t len);

#endif
