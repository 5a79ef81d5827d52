/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Entries made at run time: sluicectl allow, deny, revoke. Main thread. */
#ifndef SLUICE_SLOWPATH_DAEMON_CHANGES_H
#define SLUICE_SLOWPATH_DAEMON_CHANGES_H

#include "slowpath/control/control.h"

struct daemon;
struct policy;

int changes_open(struct daemon *d, char *err); /* reads the saved entries; 0 or -errno and a line */
void changes_close(struct daemon *d);
/* Reads again the entries that the old process has saved meanwhile. 0, or -errno and a line. */
int changes_catch_up(struct daemon *d, char *err);
/* p with the current changes in place of its own, as a new reference; NULL and a line in err. */
struct policy *changes_added(const struct daemon *d, const struct policy *p, char *err);
enum control_result changes_verb_allow(struct daemon *d, struct control_call *call);
enum control_result changes_verb_deny(struct daemon *d, struct control_call *call);
enum control_result changes_verb_revoke(struct daemon *d, struct control_call *call);
enum control_result changes_verb_list(struct daemon *d, struct control_call *call);

#endif
