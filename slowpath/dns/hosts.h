/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The hosts file (hosts(5)), read again when it changes, which is checked once a second at most. A
 * missing or unreadable file counts as one without names.
 */
#ifndef SLUICE_SLOWPATH_DNS_HOSTS_H
#define SLUICE_SLOWPATH_DNS_HOSTS_H

#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>

struct hosts;

struct hosts *hosts_new(const char *path); /* "": no file. NULL: no memory */
void hosts_free(struct hosts *h);	   /* NULL is fine */

/*
 * The addresses of a normalised name, at most max: those of `family` (AF_INET, AF_INET6) if
 * there are any, else the others. Returns how many; 0 if it is not in the file.
 */
size_t hosts_find(struct hosts *h, uint64_t now_ms, const char *name, int family,
		  struct in6_addr *out, size_t max);

#endif
