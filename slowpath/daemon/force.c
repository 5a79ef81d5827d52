// SPDX-License-Identifier: GPL-2.0-or-later
#include "slowpath/daemon/force.h"

#include <stdio.h>

#include "common/log.h"
#include "slowpath/daemon/notify.h"
#include "slowpath/daemon/server.h"

/* Puts p in force in every worker; in the kernel it is already. */
static void give_to_all(struct daemon *d, struct policy *p)
{
	for (unsigned i = 0; i < d->n_workers; i++)
		worker_call(&d->workers[i], worker_set_policy, p);
	if (policy_inherit_hits(p, d->policy) != 0)
		log_warn("no memory: rules are counted from now on");
	policy_unref(d->policy);
	d->policy = p;
}

/* r: how it went in the kernel. */
static int settle(struct daemon *d, struct policy *p, int r)
{
	if (r)
		policy_unref(p);
	else
		give_to_all(d, p);
	return r;
}

int force_policy(struct daemon *d, struct policy *p, char *err)
{
	int r = d->shared.fp ? fastpath_switch(d->shared.fp, p, err, ERR_LEN) : 0;

	return settle(d, p, r);
}

/* If this fails, the changes that the kernel has already taken are taken back. */
static int put_in_kernel(struct daemon *d, const struct policy *p, char *err)
{
	char other[ERR_LEN];
	int r = d->shared.fp ? fastpath_load_changes(d->shared.fp, p, err, ERR_LEN) : 0;

	if (r && fastpath_load_changes(d->shared.fp, d->policy, other, ERR_LEN) != 0)
		log_error("%s", other);
	return r;
}

int force_changes(struct daemon *d, struct policy *p, char *err)
{
	int r = put_in_kernel(d, p, err);

	return settle(d, p, r);
}

void force_tell_ready(const struct daemon *d)
{
	char status[128];

	snprintf(status, sizeof(status), "serving, fastpath %s, %zu rules, %zu names",
		 d->shared.fp ? "on" : "off", policy_rules(d->policy), policy_names(d->policy));
	if (!d->stopping)
		notify_ready(status);
}
