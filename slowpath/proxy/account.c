// SPDX-License-Identifier: GPL-2.0-or-later
#include "slowpath/proxy/account.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "common/clock.h"
#include "slowpath/report/tail.h"
#include "slowpath/report/top.h"

void account_bytes(const struct conn *c, uint64_t all[SIDE_COUNT], uint64_t kernel[SIDE_COUNT])
{
	for (int side = 0; side < SIDE_COUNT; side++) {
		kernel[side] = c->rec ? flow_redirected(c->rec, side) : 0;
		all[side] = c->lane[side].written + kernel[side];
	}
}

/* "kernel": the kernel gave the verdict, and user space carried no more than the first flight.
   "user": the kernel had no part in it. */
static const char *path_word(const struct conn *c)
{
	uint64_t all[SIDE_COUNT], kernel[SIDE_COUNT], first = 0;

	account_bytes(c, all, kernel);
	if (kernel[SIDE_CLIENT] + kernel[SIDE_UPSTREAM] == 0)
		return !c->kernel_verdict ? "user" : c->connected ? "mixed" : "kernel";
	if (c->rec && c->kernel_verdict)
		first = c->first_flight;
	return c->kernel_verdict && all[SIDE_UPSTREAM] == kernel[SIDE_UPSTREAM] &&
			       all[SIDE_CLIENT] - kernel[SIDE_CLIENT] <= first ?
		       "kernel" :
		       "mixed";
}

/* What is known of the connection by now, as the access log shows it. */
static struct access_entry describe(const struct conn *c)
{
	uint64_t all[SIDE_COUNT], kernel[SIDE_COUNT];
	struct access_entry e = {
		.duration_ms = clock_ms() - c->began_ms,
		.client = c->client,
		.dst = c->connected ? c->to.dst : c->original,
		.connected = c->connected,
		.group = policy_group_name(c->place->policy, c->group),
		.name = c->name,
		.port = c->original.port,
		.proto = c->proto,
		.allowed = c->allowed,
		.enforced = c->enforced,
		.reason = c->reason,
		.rule = c->rule,
		.path = path_word(c),
		.requests = c->requests,
	};

	account_bytes(c, all, kernel);
	e.bytes_up = all[SIDE_CLIENT];
	e.bytes_down = all[SIDE_UPSTREAM];
	clock_gettime(CLOCK_REALTIME, &e.end);
	return e;
}

/* A destination that failed is not a denial. */
static void count_denial(const struct conn *c, const struct access_entry *e)
{
	char asked[ADDRESS_TEXT];

	if (log_is_denied(e) && e->reason < REASON_UPSTREAM_REFUSED)
		top_count(c->place->top, &c->client.ip,
			  e->name[0] ? e->name : address_print(&c->original, false, asked),
			  e->allowed, clock_ms());
}

void account_log(const struct conn *c)
{
	struct access_entry e = describe(c);

	if (c->place->shared->log)
		access_log_write(c->place->shared->log, &e);
	count_denial(c, &e);
	e.event = e.allowed ? "end" : "deny";
	if (tail_listening())
		tail_event(&e);
}

void account_open(const struct conn *c)
{
	struct access_entry e;

	if (!tail_listening())
		return;
	e = describe(c);
	e.event = "open";
	tail_event(&e);
}

static void add_bytes(struct stats *s, const uint64_t all[SIDE_COUNT],
		      const uint64_t kernel[SIDE_COUNT])
{
	s->bytes_up_kernel += kernel[SIDE_CLIENT];
	s->bytes_down_kernel += kernel[SIDE_UPSTREAM];
	s->bytes_up_user += all[SIDE_CLIENT] - kernel[SIDE_CLIENT];
	s->bytes_down_user += all[SIDE_UPSTREAM] - kernel[SIDE_UPSTREAM];
}

void account_end(const struct conn *c)
{
	struct stats *s = &c->place->stats;
	uint64_t all[SIDE_COUNT], kernel[SIDE_COUNT];

	account_bytes(c, all, kernel);
	s->ended++;
	s->reasons[c->reason]++;
	*(c->allowed ? c->enforced ? &s->allowed : &s->reported : &s->denied) += 1;
	add_bytes(s, all, kernel);
}

void account_info(const struct conn *c, struct flow_info *out)
{
	static const char *const states[] = { "hello", "resolve", "connect", "open", "closing" };
	uint64_t all[SIDE_COUNT], kernel[SIDE_COUNT];

	memset(out, 0, sizeof(*out));
	account_bytes(c, all, kernel);
	out->client = c->client;
	out->dst = c->connected ? c->to.dst : c->original;
	memcpy(out->name, c->name, c->name_len);
	snprintf(out->group, sizeof(out->group), "%s",
		 policy_group_name(c->place->policy, c->group));
	snprintf(out->rule, sizeof(out->rule), "%s", c->rule);
	out->state = states[c->state];
	out->path = path_word(c);
	out->proto = c->proto;
	out->port = c->original.port;
	out->bytes_up = all[SIDE_CLIENT];
	out->bytes_down = all[SIDE_UPSTREAM];
	out->age_ms = clock_ms() - c->began_ms;
}

void account_add_open(const struct conn *c, struct stats *sum)
{
	uint64_t all[SIDE_COUNT], kernel[SIDE_COUNT];

	account_bytes(c, all, kernel);
	sum->open++;
	sum->pending += c->state == CONN_HELLO;
	sum->pending_bytes += c->state == CONN_HELLO ? c->lane[SIDE_CLIENT].len : 0;
	sum->flows_kernel += c->in_map[SIDE_CLIENT];
	add_bytes(sum, all, kernel);
}
