/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which clients and ports each rule covers, in a form that can be queried: ports that all rules
 * treat alike are one class.
 */
#ifndef SLUICE_FASTPATH_POLICY_PORTS_H
#define SLUICE_FASTPATH_POLICY_PORTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "conf/conf.h"

struct ports_rule {
	const uint16_t *groups;
	size_t n_groups;
	uint16_t *classes; /* sorted; none: any port */
	size_t n_classes;
};

struct ports {
	struct ports_rule *rules;
	size_t n;
};

enum { REACH_NONE, REACH_ALL, REACH_NAMED }; /* not at all, through `all`, by the group's name */

/*
 * classes[port] for every port, 0 for those that no rule names. conf is borrowed. 0, -E2BIG or
 * -ENOMEM. Call ports_free() in any case.
 */
int ports_classify(const struct conf *c, struct ports *out, uint16_t classes[65536]);
void ports_free(struct ports *p);

/* Whether a rule applies to a group for a class of ports. */
int ports_rule_reach(const struct ports *p, size_t rule, uint16_t group, uint16_t class);

#endif
