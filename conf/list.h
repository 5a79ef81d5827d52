/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a rule covers: names and networks, from its own keys and from the lists they name.
 */
#ifndef SLUICE_CONF_LIST_H
#define SLUICE_CONF_LIST_H

#include <stdbool.h>

struct conf_reader;
struct conf_rule;

/* One entry of `allow` or `deny`: NAME, ADDRESS, NETWORK or file:PATH. 0, or an error after
   conf_fail(); the rule then holds the entries before the error. */
int list_entry(struct conf_reader *r, struct conf_rule *rule, char *text, bool deny);

#endif
