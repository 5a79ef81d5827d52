/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Becoming an ordinary user, with the few capabilities that are still needed. */
#ifndef SLUICE_COMMON_PRIVILEGE_H
#define SLUICE_COMMON_PRIVILEGE_H

#include <stdbool.h>
#include <stddef.h>

/*
 * From here on nothing that is executed can have more than we have (no_new_privs), in this thread
 * and in those it starts: to be called before there are others. 0 or -errno.
 */
int privilege_never_more(void);

/*
 * Takes every capability from the calling thread, for one that never needs any. One of root's is
 * left alone: it loses them when privilege_drop() changes the user of all threads, and without
 * them it could not follow, at which glibc aborts. 0 or -errno.
 */
int privilege_none(void);

/* 0, or -ENOENT and a line: there is no such user. */
int privilege_check(const char *user, char *err, size_t err_len);

/*
 * Changes to `user`, if it is another, and keeps of the capabilities in the calling thread
 *   CAP_BPF        when bpf is true: a reload makes the maps of the new policy. What it needs no
 *                  more is CAP_PERFMON, with which the program was loaded, and CAP_NET_ADMIN, with
 *                  which it was attached: its sockets go into the map by its descriptor.
 *   CAP_NET_ADMIN  when mark is true: SO_MARK on each connection to a destination.
 * and no other, whether it started as root or as that user. Threads that run already keep theirs:
 * privilege_none() is for them. Whether it may dump core or be traced is left to the kernel, which
 * lets nobody trace a process that has capabilities the tracer has not. Empty user, or root:
 * nothing is changed. 0, or -errno and a line.
 */
int privilege_drop(const char *user, bool bpf, bool mark, char *err, size_t err_len);

#endif
