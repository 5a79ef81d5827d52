/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The current addresses of this machine: those of all its interfaces, and the destinations of local
 * and anycast routes in any table. They are read at start through netlink, which then reports every
 * change. Looking one up costs no system call. There is one set for the process; any thread may
 * look.
 *
 * A local route to everything is left out: it is in a table of its own, for marked packets that a
 * transparent proxy takes (TPROXY), and would make the whole world this machine.
 */
#ifndef SLUICE_SLOWPATH_ADDRESS_OWN_H
#define SLUICE_SLOWPATH_ADDRESS_OWN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct event_base;

/* Reads the addresses, then follows changes on base's loop. 0, or -errno and a line in err. Needs
   no privilege, now or later. */
int own_open(struct event_base *base, char *err, size_t err_len);
/* To be called before base is freed; leaves the set empty. */
void own_close(void);
bool own_has(const uint8_t addr[16]); /* v4-mapped when IPv4 */

#endif
