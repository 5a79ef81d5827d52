// SPDX-License-Identifier: GPL-2.0-or-later
// From sluice.ini to a policy in force, at start and again whenever it is asked for.
#include <stdio.h>
#include <string.h>

#include "common/log.h"
#include "slowpath/notify.h"
#include "slowpath/server.h"

struct policy *reload_read(const char *path, char *err)
{
	struct conf *conf = conf_read(path, err, ERR_LEN);
	struct policy *p;

	if (!conf)
		return NULL;
	p = policy_new(conf, err, ERR_LEN);
	if (!p)
		conf_free(conf);
	return p;
}

static bool same_listeners(const struct conf *a, const struct conf *b)
{
	if (a->n_listeners != b->n_listeners)
		return false;
	for (size_t i = 0; i < a->n_listeners; i++)
		if (a->listeners[i].n != b->listeners[i].n ||
		    memcmp(a->listeners[i].at, b->listeners[i].at,
			   a->listeners[i].n * sizeof(*a->listeners[i].at)) != 0)
			return false;
	return true;
}

/* What a reload does not change is said, so that nobody waits for it. */
static void warn_of_restart(const struct conf *old, const struct conf *new)
{
	if (!same_listeners(old, new))
		log_warn("reload: changed [listener] sections need a restart");
	if (strcmp(old->user, new->user) || old->workers != new->workers ||
	    old->fastpath != new->fastpath || old->max_connections != new->max_connections ||
	    old->max_per_client != new->max_per_client ||
	    strcmp(old->access_log, new->access_log) || old->log_format != new->log_format ||
	    strcmp(old->control, new->control) || strcmp(old->pin, new->pin) ||
	    old->mark != new->mark)
		log_warn("reload: changed keys of [sluice] need a restart");
}

static bool put_in_force(struct daemon *d, char *err)
{
	struct policy *p = reload_read(d->conf_path, err);

	if (!p)
		return false;
	policy_set_serial(p, ++d->serial);
	if (d->shared.fp && fastpath_load_policy(d->shared.fp, p, err, ERR_LEN) != 0) {
		policy_unref(p);
		return false;
	}
	warn_of_restart(d->shared.start, policy_conf(p));
	for (unsigned i = 0; i < d->n_workers; i++)
		worker_call(&d->workers[i], worker_set_policy, p);
	policy_unref(d->policy);
	d->policy = p;
	d->loaded = time(NULL);
	return true;
}

bool reload(struct daemon *d, char *err)
{
	bool good;

	notify_reloading();
	good = put_in_force(d, err);
	daemon_tell_ready(d);
	if (!good) {
		log_error("reload: %s; the old configuration stays", err);
		return false;
	}
	log_info("reloaded %s: %zu rules, %zu names", d->conf_path, policy_rules(d->policy),
		 policy_names(d->policy));
	return true;
}
