/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What may be asked over the control socket, as data. The daemon uses it to check the words and to
 * find the function, sluicectl for its help; tests hold the manual and the completion to it.
 */
#ifndef SLUICE_SLOWPATH_CONTROL_VERB_TABLE_H
#define SLUICE_SLOWPATH_CONTROL_VERB_TABLE_H

#include "slowpath/control/control.h"

#define VERB_WORDS (CONTROL_WORDS - 2) /* the most that fit behind the verb and -j */

enum {
	VERB_PATIENCE_S = 60, /* without a byte of the answer */
	VERB_CHANGE_S = 600,  /* the same for what reads every list, or waits for such a verb */
	VERB_ENDLESS = 0,     /* a stream */
};

/*
 * X(function, name, arguments, least, most, patience, help). function: in slowpath/daemon, which
 * alone uses that column, so that a verb without a function does not compile there. arguments: as
 * the manual has them, after a space. least, most: words after the verb. help: NULL for what
 * `sluiced -r` sends to the daemon it replaces, and sluicectl does not offer.
 */
/* clang-format off */
#define VERBS(X)                                                                                   \
	X(verb_status, "status", "", 0, 0, VERB_PATIENCE_S,                                        \
	  "version, uptime, which path is in use, the policy in force")                            \
	X(verb_stats, "stats", "", 0, 0, VERB_PATIENCE_S, "counters since start")                  \
	X(verb_flows, "flows", " [client ADDRESS|NETWORK] [name NAME] [sort WORD] [limit N]",      \
	  0, VERB_WORDS, VERB_PATIENCE_S,                                                          \
	  "open connections; sort by up, down, bytes, age, client or name")                        \
	X(verb_explain, "explain", " CLIENT NAME[:PORT]", 2, 2, VERB_PATIENCE_S,                   \
	  "what would be decided, and by which entry")                                             \
	X(verb_top, "top", " [names|clients] [N]", 0, 2, VERB_PATIENCE_S,                          \
	  "who was denied most in the last 30 to 60 minutes")                                      \
	X(verb_tail, "tail", " [denied] [client ADDRESS|NETWORK] [name NAME]",                     \
	  0, VERB_WORDS, VERB_ENDLESS, "what happens, as it happens, until interrupted")           \
	X(reload_verb, "reload", "", 0, 0, VERB_CHANGE_S,                                          \
	  "read the configuration and put it in force")                                            \
	X(changes_verb_allow, "allow", " NAME [for TIME]", 1, 3, VERB_CHANGE_S,                    \
	  "allow a name from now on")                                                              \
	X(changes_verb_deny, "deny", " NAME [for TIME]", 1, 3, VERB_CHANGE_S,                      \
	  "deny a name from now on")                                                               \
	X(changes_verb_revoke, "revoke", " NAME", 1, 1, VERB_CHANGE_S, "take such a change back")  \
	X(changes_verb_list, "changes", "", 0, 0, VERB_PATIENCE_S, "those in force")               \
	X(verb_handover, "handover", " VERSION", 1, 1, VERB_PATIENCE_S, NULL)                      \
	X(verb_handed_over, "handed-over", " VERSION", 1, 1, VERB_PATIENCE_S, NULL)
/* clang-format on */

struct verb {
	const char *name;
	const char *usage; /* the name and its arguments */
	int least, most;   /* words behind the name */
	int patience_s;	   /* how long sluicectl waits for a byte; VERB_ENDLESS: forever */
	const char *help;  /* NULL: not for sluicectl */
};

/* One for each row of VERBS, in that order, and then one whose name is NULL. */
extern const struct verb verbs[];

const struct verb *verbs_find(const char *name); /* NULL: there is none */
bool verbs_takes(const struct verb *v, int words);

#endif
