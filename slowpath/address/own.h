/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The addresses of this machine, kept as they are now: those of all its interfaces, and what local
 * and anycast routes of any table lead to. Read at start by netlink, which then tells of every
 * change. Looking one up costs no system call. One set for the process; any thread may look.
 *
 * A local route to everything is left out: it stands in a table of its own, for marked packets
 * that a transparent proxy takes (TPROXY), and would make the whole world this machine.
 */
#ifndef SLUICE_SLOWPATH_ADDRESS_OWN_H
#define SLUICE_SLOWPATH_ADDRESS_OWN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct event_base;

/* Reads them and follows them on base's loop. 0, or -errno and a line in err. Needs no privilege,
   now or later. */
int own_open(struct event_base *base, char *err, size_t err_len);
/* Before base is freed; the set is empty then. */
void own_close(void);
bool own_has(const uint8_t addr[16]); /* v4-mapped when IPv4 */

#endif
