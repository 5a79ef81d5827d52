/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The kernel path as a whole, for the daemon: load it, put a policy in force in it, publish its
 * maps, read its counters. What it does for one connection is in fastpath/kernel/records.h.
 */
#ifndef SLUICE_FASTPATH_KERNEL_FASTPATH_H
#define SLUICE_FASTPATH_KERNEL_FASTPATH_H

#include <stddef.h>
#include <stdint.h>

#include "bpf/abi/flow.h"
#include "conf/conf.h"

struct fastpath;
struct policy;

/*
 * Probes, loads and attaches. 0 and *out; or -errno, and one line in why that says what is missing.
 * A probe succeeds only if a byte went through the real program on loopback.
 */
int fastpath_open(struct fastpath **out, const struct conf *conf, unsigned workers, char *why,
		  size_t why_len);
/*
 * Puts a policy in force, in two steps. The first may take long and may run on any thread, one call
 * at a time: it fills the generation that is not in force, compares every table there with what was
 * read, and asks the program itself about names of every rule. The second switches; p may have
 * other changes then than in the first. On failure (-errno and a line) the old policy stays in
 * force; -EBADMSG: what is in the kernel is not what was read.
 */
int fastpath_prepare(struct fastpath *fp, const struct policy *p, char *why, size_t why_len);
int fastpath_switch(struct fastpath *fp, const struct policy *p, char *why, size_t why_len);
int fastpath_load_policy(struct fastpath *fp, const struct policy *p, char *why, size_t why_len);
/* Puts the changes of p in force; apart from them p is the policy in force. On failure the kernel
   may have the old or the new changes, and the caller loads the old ones again. */
int fastpath_load_changes(struct fastpath *fp, const struct policy *p, char *why, size_t why_len);
/* Pins the maps under the names that other tools read, in place of an earlier process's pins, which
   are not touched before this call. 0, or -errno and a line. */
int fastpath_publish(struct fastpath *fp, char *why, size_t why_len);
/* Closes and unpins. Every socket must be closed before. NULL is fine. */
void fastpath_close(struct fastpath *fp);

/* Totals of the program's counters, REASON_* and STAT_*. */
void fastpath_stats(const struct fastpath *fp, uint64_t out[STAT_COUNT]);
size_t fastpath_capacity(const struct fastpath *fp); /* records in all */
size_t fastpath_used(struct fastpath *fp);	     /* how many of them are lent to connections */

#endif
