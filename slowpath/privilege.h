/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Becoming an ordinary user, with the few capabilities that are still needed. */
#ifndef SLUICE_SLOWPATH_PRIVILEGE_H
#define SLUICE_SLOWPATH_PRIVILEGE_H

#include <stdbool.h>
#include <stddef.h>

/* Gives `path` to `user`, so that it can be removed at the end; a missing path is fine. */
void privilege_give(const char *user, const char *path);

/* 0, or -ENOENT and a line: there is no such user. */
int privilege_check(const char *user, char *err, size_t err_len);

/*
 * Changes to `user` and keeps CAP_BPF (a reload makes new maps) when bpf is true, CAP_NET_ADMIN
 * (SO_MARK) when mark is true. Empty user: nothing is changed. 0, or -errno and a line.
 */
int privilege_drop(const char *user, bool bpf, bool mark, char *err, size_t err_len);

#endif
