/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The daemon as a whole: configuration in force, workers, kernel path, signals, control socket.
 */
#ifndef SLUICE_SLOWPATH_DAEMON_DAEMON_H
#define SLUICE_SLOWPATH_DAEMON_DAEMON_H

#include <stdbool.h>

/* Reads the file and everything it names. 0: good; 1: bad, with a message on stderr. */
int daemon_check(const char *conf_path);
/* Serves until told to stop. replace: take the place of the daemon that answers at `control`, which
   is told to end once this one accepts, and is not touched if this one does not get that far.
   Returns the process's exit status. */
int daemon_run(const char *conf_path, const char *version, bool replace);

#endif
