/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The policy in force: what puts another in its place, in the kernel and in every worker, or leaves
 * all as it was. Main thread.
 */
#ifndef SLUICE_SLOWPATH_DAEMON_FORCE_H
#define SLUICE_SLOWPATH_DAEMON_FORCE_H

struct daemon;
struct policy;

/* Both take over the reference p. 0; or -errno and a line in err (ERR_LEN), and the old policy
   stays. The tables of a policy that was read must be prepared (fastpath_prepare()). */
int force_policy(struct daemon *d, struct policy *p, char *err);
/* The same policy with other entries made at run time. */
int force_changes(struct daemon *d, struct policy *p, char *err);
/* Tells the service manager that we serve, and what. */
void force_tell_ready(const struct daemon *d);

#endif
