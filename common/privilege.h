/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Becoming an ordinary user that keeps only the few capabilities still needed. */
#ifndef SLUICE_COMMON_PRIVILEGE_H
#define SLUICE_COMMON_PRIVILEGE_H

#include <stdbool.h>
#include <stddef.h>

/*
 * From here on no program that is executed can gain rights that we do not have (no_new_privs).
 * Holds for this thread and those it starts, so call it before there are others. 0 or -errno.
 */
int privilege_never_more(void);

/*
 * Takes every capability from the calling thread, for a thread that never needs any. A thread of
 * root's is left alone: it loses them when privilege_drop() changes the user of all threads, and
 * without them it could not follow that change, at which glibc aborts. 0 or -errno.
 */
int privilege_none(void);

/* 0, or -ENOENT and a line if there is no such user. */
int privilege_check(const char *user, char *err, size_t err_len);

/*
 * Changes to `user`, if we are not that user already, and of the calling thread's capabilities
 * keeps
 *   CAP_BPF        when bpf is true: a reload makes the maps of the new policy. What it needs no
 *                  more is CAP_PERFMON, with which the program was loaded, and CAP_NET_ADMIN, with
 *                  which it was attached: its sockets go into the map by its descriptor.
 *   CAP_NET_ADMIN  when mark is true: for SO_MARK on each connection to a destination.
 * and no other, whether the process started as root or as that user. Threads that already run keep
 * theirs: they use privilege_none(). Whether the process may dump core or be traced is left to the
 * kernel, which lets no process trace one that has capabilities the tracer lacks. With an empty
 * user, or root, nothing changes. 0, or -errno and a line.
 */
int privilege_drop(const char *user, bool bpf, bool mark, char *err, size_t err_len);

#endif
