// SPDX-License-Identifier: GPL-2.0-or-later
// The table of verbs, without the functions: those are the daemon's.
#include "slowpath/control/verb_table.h"

#include <string.h>

#define ROW(function_, name_, arguments_, least_, most_, patience_, help_)                         \
	{ .name = (name_),                                                                         \
	  .usage = name_ arguments_,                                                               \
	  .least = (least_),                                                                       \
	  .most = (most_),                                                                         \
	  .patience_s = (patience_),                                                               \
	  .help = (help_) },

const struct verb verbs[] = { VERBS(ROW){ .name = NULL } };

const struct verb *verbs_find(const char *name)
{
	for (const struct verb *v = verbs; v->name; v++)
		if (strcmp(v->name, name) == 0)
			return v;
	return NULL;
}

bool verbs_takes(const struct verb *v, int words)
{
	return words >= v->least && words <= v->most;
}
