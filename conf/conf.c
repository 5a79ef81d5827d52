// SPDX-License-Identifier: GPL-2.0-or-later
#include "conf/conf.h"

#include <stdlib.h>
#include <sys/stat.h>

bool conf_is_current(const struct conf *c)
{
	for (size_t i = 0; i < c->sources.n; i++) {
		struct stat st;
		struct stamp now;

		if (!c->stamps[i].regular)
			continue;
		if (stat(c->sources.at[i], &st) != 0)
			return false;
		now = stamp_of(&st);
		if (!stamp_same(&now, &c->stamps[i]))
			return false;
	}
	return true;
}

static void free_strings(struct string_list *s)
{
	for (size_t i = 0; i < s->n; i++)
		free(s->at[i]);
	free(s->at);
}

static void free_rule(struct conf_rule *rule)
{
	free(rule->name);
	free(rule->groups);
	free(rule->ports);
	free(rule->names);
	free(rule->nets);
}

void conf_forget_rules(struct conf *c)
{
	for (size_t i = 0; i < c->n_rules; i++)
		free_rule(&c->rules[i]);
	free(c->rules);
	free(c->text);
	c->rules = NULL;
	c->text = NULL;
	c->n_rules = c->text_len = 0;
}

void conf_free(struct conf *c)
{
	if (!c)
		return;
	for (size_t i = 0; i < c->n_listeners; i++) {
		free(c->listeners[i].name);
		free(c->listeners[i].at);
	}
	for (size_t i = 0; i < c->n_groups; i++) {
		free(c->groups[i].name);
		free(c->groups[i].networks.at);
	}
	conf_forget_rules(c);
	free(c->listeners);
	free(c->metrics.at);
	free(c->groups);
	free(c->user);
	free(c->access_log);
	free(c->control);
	free(c->pin);
	free(c->private_networks.at);
	free(c->own_addresses.at);
	free(c->nat64_prefixes.at);
	free(c->deny_page);
	free(c->changes);
	free(c->deny_page_text);
	free_strings(&c->nameservers);
	free(c->hosts);
	free(c->stamps);
	free_strings(&c->sources);
	free_strings(&c->warnings);
	free(c);
}
