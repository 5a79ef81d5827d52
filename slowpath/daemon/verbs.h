/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What sluicectl may ask. Main thread. */
#ifndef SLUICE_SLOWPATH_DAEMON_VERBS_H
#define SLUICE_SLOWPATH_DAEMON_VERBS_H

#include "slowpath/control/control.h"

/* The control socket's handler; arg is the struct daemon. */
enum control_result verbs_request(void *arg, struct control_call *call);

#endif
