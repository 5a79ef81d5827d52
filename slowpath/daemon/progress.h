/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One line on a terminal that shows how far the reading of lists has come, for someone who starts
 * the daemon or runs `sluiced -t` by hand. Without a terminal nothing is written.
 */
#ifndef SLUICE_SLOWPATH_DAEMON_PROGRESS_H
#define SLUICE_SLOWPATH_DAEMON_PROGRESS_H

#include <stdbool.h>

#include "conf/conf.h"

struct progress {
	struct conf_progress to; /* for conf_read_shown() */
	int fd;			 /* of the terminal; -1: none */
	bool shown;		 /* the line is there */
};

void progress_begin(struct progress *p, int fd); /* p must stay where it is */
void progress_end(struct progress *p);		 /* removes the line */

#endif
