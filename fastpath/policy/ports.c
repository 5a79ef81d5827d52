// SPDX-License-Identifier: GPL-2.0-or-later
// Classes of ports by partition refinement: at first all ports are one class; each rule splits
// every class that it covers only in part. A class that becomes empty gives its number back, so
// numbers stay below the number of ports.
#include "fastpath/policy/ports.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"

#define PORTS 65536
#define CLASSES (2 * PORTS)   /* old and new ones, while one rule is being applied */
#define TOTAL_MAX (16u << 20) /* classes named by all rules together */

struct refine {
	uint32_t class_of[PORTS];
	uint32_t rule_of[PORTS]; /* number of the last rule that moved the port */
	uint32_t members[CLASSES];
	uint32_t split[CLASSES];    /* where this rule moves the members */
	uint32_t split_by[CLASSES]; /* the rule for which split[] is valid */
	uint32_t vacant[CLASSES];
	uint32_t n_vacant;
};

static void start(struct refine *f)
{
	f->members[0] = PORTS;
	for (uint32_t i = CLASSES - 1; i > 0; i--)
		f->vacant[f->n_vacant++] = i;
}

static void move_port(struct refine *f, uint32_t port, uint32_t rule)
{
	uint32_t old = f->class_of[port];

	if (f->rule_of[port] == rule)
		return;
	if (f->split_by[old] != rule) {
		f->split_by[old] = rule;
		f->split[old] = f->vacant[--f->n_vacant];
	}
	f->rule_of[port] = rule;
	f->class_of[port] = f->split[old];
	f->members[f->split[old]]++;
	if (--f->members[old] == 0 && old != 0)
		f->vacant[f->n_vacant++] = old;
}

/* Gives the classes small numbers; 0 stays 0. There are at most 65535 others, because no rule names
   port 0. */
static void number_classes(struct refine *f, uint16_t classes[PORTS])
{
	uint32_t *number = f->split, next = 1;

	memset(number, 0, sizeof(f->split));
	for (uint32_t port = 0; port < PORTS; port++) {
		uint32_t class = f->class_of[port];

		if (class != 0 && number[class] == 0)
			number[class] = next++;
		classes[port] = (uint16_t)number[class];
	}
}

static int compare_u16(const void *a, const void *b)
{
	return *(const uint16_t *)a - *(const uint16_t *)b;
}

/* Lists the classes of a rule; marks[class] is the last rule that named the class. */
static int list_classes(const struct conf_rule *rule, struct ports_rule *out, uint32_t number,
			uint32_t *marks, const uint16_t classes[PORTS], size_t *total)
{
	AUTO_FREE uint16_t *list = NULL;
	size_t n = 0;

	if (rule->n_ports == 0)
		return 0;
	list = calloc(PORTS, sizeof(*list));
	if (!list)
		return -ENOMEM;
	for (size_t i = 0; i < rule->n_ports; i++)
		for (uint32_t p = rule->ports[i].first; p <= rule->ports[i].last; p++) {
			if (marks[classes[p]] == number)
				continue;
			marks[classes[p]] = number;
			list[n++] = classes[p];
		}
	*total += n;
	if (*total > TOTAL_MAX)
		return -E2BIG;
	qsort(list, n, sizeof(*list), compare_u16);
	out->classes = reallocarray(NULL, n, sizeof(*list));
	if (!out->classes)
		return -ENOMEM;
	memcpy(out->classes, list, n * sizeof(*list));
	out->n_classes = n;
	return 0;
}

int ports_classify(const struct conf *c, struct ports *out, uint16_t classes[PORTS])
{
	AUTO_FREE struct refine *f = calloc(1, sizeof(*f));
	AUTO_FREE uint32_t *marks = calloc(PORTS, sizeof(*marks));
	size_t total = 0;
	int err = 0;

	*out = (struct ports){ .rules = calloc(c->n_rules + 1, sizeof(*out->rules)) };
	if (!f || !marks || !out->rules)
		return -ENOMEM;
	out->n = c->n_rules;
	start(f);
	for (uint32_t i = 0; i < c->n_rules; i++)
		for (size_t j = 0; j < c->rules[i].n_ports; j++)
			for (uint32_t p = c->rules[i].ports[j].first;
			     p <= c->rules[i].ports[j].last; p++)
				move_port(f, p, i + 1);
	number_classes(f, classes);
	for (uint32_t i = 0; i < c->n_rules && !err; i++) {
		out->rules[i].groups = c->rules[i].groups;
		out->rules[i].n_groups = c->rules[i].n_groups;
		err = list_classes(&c->rules[i], &out->rules[i], i + 1, marks, classes, &total);
	}
	return err;
}

void ports_free(struct ports *p)
{
	for (size_t i = 0; i < p->n; i++)
		free(p->rules[i].classes);
	free(p->rules);
	*p = (struct ports){ 0 };
}

int ports_rule_reach(const struct ports *p, size_t rule, uint16_t group, uint16_t class)
{
	const struct ports_rule *r = &p->rules[rule];
	int reach = REACH_NONE;

	if (r->n_classes && !bsearch(&class, r->classes, r->n_classes, sizeof(class), compare_u16))
		return REACH_NONE;
	for (size_t i = 0; i < r->n_groups; i++) {
		if (r->groups[i] == group && group != 0)
			return REACH_NAMED;
		if (r->groups[i] == 0)
			reach = REACH_ALL;
	}
	return reach;
}
