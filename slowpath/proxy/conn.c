// SPDX-License-Identifier: GPL-2.0-or-later
// The life of a connection: accept, verdict, destination, connect, carry, end. Each step either
// starts the next or waits for one event; every way out is conn_close() or conn_deny(). No other
// file closes a connection: the others return words, and what follows from them is here.
#include "slowpath/proxy/conn.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/clock.h"
#include "slowpath/address/address.h"
#include "slowpath/proxy/account.h"
#include "slowpath/proxy/connection.h"
#include "slowpath/proxy/deny.h"
#include "slowpath/proxy/pump.h"
#include "slowpath/proxy/verdict.h"

#define LINGER_MS 2000 /* for a client to take its answer, and an upstream to end */
#define IDLE_LOOKS 4   /* looks a connection gets within timeouts.idle */

static bool carry(struct conn *c, int side);

static const struct conf *conf(const struct conn *c)
{
	return policy_conf(c->place->policy);
}

/* Kept by name: the number means something else after a reload. */
static void set_rule(struct conn *c, uint32_t rule)
{
	snprintf(c->rule, sizeof(c->rule), "%s", policy_rule_name(c->place->policy, rule));
}

static void rule_decided(struct conn *c, uint32_t rule)
{
	set_rule(c, rule);
	policy_hit(c->place->policy, rule, 1);
}

static void set_timer(struct conn *c, uint64_t ms)
{
	struct timeval tv = { .tv_sec = (time_t)(ms / 1000),
			      .tv_usec = (suseconds_t)(ms % 1000 * 1000) };

	event_add(&c->timer, &tv);
}

/* ---- the end ---- */

static void close_fd(struct conn *c, int side, bool reset)
{
	struct linger now = { .l_onoff = 1 };

	if (c->fd[side] < 0)
		return;
	if (reset)
		setsockopt(c->fd[side], SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	close(c->fd[side]); /* takes it out of the map as well; never delete it there */
	poll_closed(&c->place->poller, &c->poll[side]);
	c->fd[side] = -1;
}

static void write_log(struct conn *c)
{
	if (!c->logged)
		account_log(c);
	c->logged = true;
}

/* One less of what the limits count. */
static void gone(struct place *p)
{
	p->shared->open--;
	p->left(p);
}

/* The one exit. why: REASON_OK or the reason it ended; reset: with RST. Logs and frees. */
static void conn_close(struct conn *c, unsigned why, bool reset)
{
	struct place *p = c->place;

	if (c->reason == REASON_OK)
		c->reason = why;
	if (c->query)
		resolver_cancel(c->query);
	event_del(&c->timer);
	event_del(&c->retry);
	close_fd(c, SIDE_UPSTREAM, reset);
	close_fd(c, SIDE_CLIENT, reset);
	write_log(c);
	account_end(c);
	pump_free(c);
	if (c->flow != FLOW_NONE) {
		p->shared->by_flow[c->flow] = NULL;
		flow_give_back(p->shared->fp, p->index, c->flow);
	}
	if (c->counted)
		clients_leave(p->shared->clients, &c->client_key);
	*c->prev = c->next;
	if (c->next)
		c->next->prev = c->prev;
	free(c);
	gone(p);
}

/* The answer's bytes; *owned is to be freed. NULL: a reset is the answer. */
static const void *answer(struct conn *c, unsigned why, char **owned, size_t *len)
{
	*owned = NULL;
	if (c->proto == PROTO_TLS && conf(c)->deny_tls == DENY_TLS_ALERT &&
	    why < REASON_UPSTREAM_REFUSED && why != REASON_LIMIT) {
		*len = DENY_TLS_LEN;
		return deny_tls_alert;
	}
	if (c->proto == PROTO_HTTP)
		*owned = deny_http(conf(c), c->name, why, len);
	return *owned;
}

/* The client has LINGER_MS to take what was sent to it. */
static void await_end(struct conn *c, unsigned why)
{
	shutdown(c->fd[SIDE_CLIENT], SHUT_WR);
	write_log(c);
	if (c->lane[SIDE_CLIENT].hup) {
		conn_close(c, why, false);
		return;
	}
	c->state = CONN_ANSWER;
	set_timer(c, LINGER_MS);
}

/* Sends the client its last words: the answer, or a reset. */
static void say(struct conn *c, unsigned why)
{
	const void *bytes;
	char *owned;
	size_t len = 0;
	bool whole;

	close_fd(c, SIDE_UPSTREAM, false);
	bytes = answer(c, why, &owned, &len);
	whole = bytes &&
		send(c->fd[SIDE_CLIENT], bytes, len, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)len;
	free(owned);
	if (whole)
		await_end(c, why);
	else
		conn_close(c, why, true);
}

/* Answers a denial of an open connection and closes. If an answer of the server's is incomplete,
   closes without a word. */
static void answer_late(struct conn *c)
{
	const struct lane *down = &c->lane[SIDE_UPSTREAM];

	if (judge_between(c->judge, down->eof) && !down->len && !down->in_pipe) {
		say(c, c->why_late);
		return;
	}
	if (!down->eof || down->len || down->in_pipe) { /* cut off: it must not look complete */
		conn_close(c, c->why_late, true);
		return;
	}
	close_fd(c, SIDE_UPSTREAM, false);
	await_end(c, c->why_late);
}

/*
 * An open connection is not answered here. What was allowed goes up, its answers come down, and
 * only where none of them is incomplete may something of ours follow: pump() finds the place.
 */
static void deny_open(struct conn *c, unsigned why)
{
	struct lane *up = &c->lane[SIDE_CLIENT];

	c->why_late = why;
	up->eof = true;
	up->len = up->cleared;
	c->idle_bytes = c->lane[SIDE_UPSTREAM].written;
	set_timer(c, LINGER_MS);
	pump_retry(c);
}

/* Waits as long as the server goes on answering what was allowed; then sends it a FIN, since
   nothing more comes, and waits once more. */
static void on_late_look(struct conn *c)
{
	uint64_t now = c->lane[SIDE_UPSTREAM].written;

	if (now == c->idle_bytes && c->late_fin) {
		answer_late(c);
		return;
	}
	c->late_fin = now == c->idle_bytes;
	c->idle_bytes = now;
	set_timer(c, LINGER_MS);
	if (c->late_fin)
		pump_retry(c);
}

/* Denies: answers the client as the protocol has it, then closes. */
static void conn_deny(struct conn *c, unsigned why)
{
	c->reason = why;
	c->allowed = false;
	c->enforced = true;
	if (c->query)
		resolver_cancel(c->query);
	c->query = NULL;
	if (c->state == CONN_OPEN)
		deny_open(c, why);
	else
		say(c, why);
}

/* true: enforce = no, for all or for the rule that denies, lets it through; the log says so. */
static bool only_reported(struct conn *c, unsigned why)
{
	if (conf(c)->enforce && !(c->on_trial && why == REASON_POLICY))
		return false;
	c->reason = why;
	c->enforced = false;
	return true;
}

/* ---- connecting ---- */

static void start_carrying(struct conn *c)
{
	event_del(&c->timer);
	histogram_add(&c->place->stats.connect, clock_us() - c->allowed_us);
	c->connected = true;
	c->state = CONN_OPEN;
	c->settled = !c->in_map[SIDE_CLIENT];
	set_timer(c, conf(c)->idle_ms / IDLE_LOOKS);
	if (c->kernel_verdict)
		c->first_flight = flow_passed(c->rec, SIDE_CLIENT);
	account_open(c);
	if (!carry(c, SIDE_CLIENT))
		return;
	if (c->lane[SIDE_UPSTREAM].ready || c->lane[SIDE_UPSTREAM].hup)
		carry(c, SIDE_UPSTREAM);
}

/* Begins to connect to the next address, and watches the socket; if none is left, denies. */
static void connect_next(struct conn *c, unsigned last_failure)
{
	int fd;

	c->state = CONN_CONNECT;
	close_fd(c, SIDE_UPSTREAM, false);
	while (connector_has_next(&c->to)) {
		fd = connector_next(&c->to, c->original.port, c->place->shared->start->mark);
		if (fd >= 0) {
			c->fd[SIDE_UPSTREAM] = fd;
			fd = conn_watch(c, SIDE_UPSTREAM, WATCH_USER | EPOLLOUT);
			if (fd == 0) {
				set_timer(c, connector_limit_ms(&c->to, clock_ms()));
				return;
			}
			close_fd(c, SIDE_UPSTREAM, false);
		}
		last_failure = connector_reason(-fd);
	}
	if (c->resolved)
		resolver_forget(c->place->resolver, c->name); /* it may have moved */
	conn_deny(c, last_failure);
}

static void on_connected(struct conn *c, uint32_t events)
{
	if (events & (EPOLLERR | EPOLLHUP))
		connect_next(c, connector_reason(pump_socket_error(c, SIDE_UPSTREAM)));
	else if (events & EPOLLOUT)
		start_carrying(c);
}

static void begin_connect(struct conn *c)
{
	if (c->to.n == 0)
		conn_deny(c, REASON_BAD_DESTINATION);
	else
		connect_next(c, REASON_OK);
}

static void on_resolved(void *arg, int err, const struct in6_addr *addrs, size_t n)
{
	struct conn *c = arg;

	c->query = NULL;
	c->resolved = true;
	if (err || n == 0) {
		conn_deny(c, REASON_UNRESOLVED);
		return;
	}
	connector_add_all(&c->to, c->place->shared->start, conf(c), &c->original, addrs, n);
	begin_connect(c);
}

static void connect_one(struct conn *c, const struct in6_addr *ip)
{
	struct endpoint_addr to = { .ip = *ip, .port = c->original.port };

	connector_add(&c->to, c->place->shared->start, conf(c), &to);
	begin_connect(c);
}

/* Allowed: where to? */
static void find_destination(struct conn *c)
{
	struct resolver_query *q;
	struct in6_addr literal;

	c->allowed = true;
	c->allowed_us = clock_us();
	c->state = CONN_RESOLVE;
	c->to.by_ms = c->allowed_us / 1000 + conf(c)->connect_ms;
	set_timer(c, conf(c)->connect_ms);
	if (c->name_len == 0 || conf(c)->destination == DESTINATION_ORIGINAL) {
		connect_one(c, &c->original.ip);
		return;
	}
	if (address_literal(c->name, c->name_len, &literal) == 0) {
		connect_one(c, &literal);
		return;
	}
	/* on_resolved() may be called before this returns, and may end the connection. */
	q = resolver_ask(c->place->resolver, c->name,
			 address_is_v4(&c->original.ip) ? AF_INET : AF_INET6, &c->client_key,
			 on_resolved, c);
	if (q)
		c->query = q;
}

/* ---- the verdict ---- */

static struct verdict_question question_of(const struct conn *c)
{
	return (struct verdict_question){
		.policy = c->place->policy,
		.group = c->group,
		.original = &c->original,
	};
}

/* The rule goes into the log, and is counted if it decided. */
static void apply(struct conn *c, const struct verdict *v)
{
	if (!v->asked)
		return;
	if (v->rule_decided)
		rule_decided(c, v->rule);
	else
		set_rule(c, v->rule);
	c->on_trial = v->report;
}

static unsigned decide(struct conn *c, const struct verdict_question *q)
{
	struct verdict v = verdict_decide(q);

	apply(c, &v);
	return v.why;
}

/* What the policy says of c->judge's name: REASON_OK, or why not. */
static unsigned ask(struct conn *c)
{
	const struct judge *j = c->judge;
	struct verdict_question q = question_of(c);

	q.proto = j->proto;
	q.version = j->version;
	q.name = j->name;
	q.name_len = j->name_len;
	q.missing = j->missing;
	q.numeric = j->numeric;
	return decide(c, &q);
}

/* The same for a client that speaks neither TLS nor HTTP: by the address it wants to go to. */
static unsigned ask_of_address(struct conn *c)
{
	struct verdict_question q = question_of(c);

	q.proto = PROTO_NONE;
	q.missing = true;
	return decide(c, &q);
}

static void take_judged_name(struct conn *c)
{
	c->proto = c->judge->proto;
	c->requests = c->judge->requests;
	c->name_len = c->judge->missing ? 0 : c->judge->name_len;
	memcpy(c->name, c->judge->name, c->name_len);
	c->name[c->name_len] = '\0';
}

static void judged_name(struct conn *c)
{
	unsigned why;

	take_judged_name(c);
	c->place->stats.verdicts_user++;
	why = ask(c);
	if (why != REASON_OK && !only_reported(c, why)) {
		conn_deny(c, why);
		return;
	}
	if (why != REASON_OK && why != REASON_POLICY && why != REASON_TLS_VERSION)
		c->name_len = 0; /* reported only: there is no name to go to */
	pump_clear(c);
	find_destination(c);
}

/* Let through unjudged, to where the client wanted to go. */
static void pass_unjudged(struct conn *c)
{
	c->judge->state = JUDGE_OPAQUE;
	c->name_len = 0;
	c->name[0] = '\0';
	find_destination(c);
}

/* No name, and no hello to take one from. */
static void judged_bad(struct conn *c)
{
	unsigned why = c->judge->reason;

	if (why == REASON_NOT_TLS)
		why = ask_of_address(c);
	c->proto = c->judge->proto;
	memcpy(c->name, c->judge->name, c->judge->name_len);
	c->name_len = c->judge->name_len;
	c->place->stats.verdicts_user++;
	if (why == REASON_OK || only_reported(c, why))
		pass_unjudged(c);
	else
		conn_deny(c, why);
}

/* A later name on an open connection: the same name, asked again. */
static void judged_again(struct conn *c)
{
	unsigned why = ask(c);

	c->requests = c->judge->requests;
	if (why == REASON_OK || only_reported(c, why))
		pump_clear(c);
	else
		conn_deny(c, why);
}

static void judged_bad_again(struct conn *c)
{
	if (only_reported(c, c->judge->reason))
		c->judge->state = JUDGE_OPAQUE;
	else
		conn_deny(c, c->judge->reason);
}

/* ---- who owns the verdict ---- */

/*
 * The one place where user space begins to judge; the caller sets the judge up. User space must own
 * the verdict: without the kernel path it always does; with it, the record says so, once the
 * program has handed the verdict on or user space has taken it over.
 */
static bool begin_judging(struct conn *c)
{
	if (c->judge || (c->in_map[SIDE_CLIENT] && flow_state(c->rec) != FLOW_LOOK))
		abort(); /* two judges */
	c->judge = malloc(sizeof(*c->judge));
	if (!c->judge) {
		conn_close(c, REASON_LIMIT, true);
		return false;
	}
	return true;
}

static void take_kernel_verdict(struct conn *c)
{
	const struct flow_verdict *v = &c->rec->v;

	c->kernel_verdict = true;
	c->proto = v->proto;
	if (v->rule || v->reason == REASON_OK || v->reason == REASON_POLICY)
		rule_decided(c, v->rule);
	else
		set_rule(c, 0);
	c->name_len = v->name_len;
	memcpy(c->name, v->name, v->name_len);
	c->name[c->name_len] = '\0';
	c->place->stats.verdicts_kernel++;
}

/* What follows the first flight is user space's to judge, until nothing is left. */
static void allow_as_kernel(struct conn *c)
{
	const struct flow_verdict *v = &c->rec->v;

	take_kernel_verdict(c);
	if (!begin_judging(c))
		return;
	judge_resume(c->judge, v->proto, v->name, v->name_len, v->body_len);
	c->requests = c->judge->requests;
	c->judged = v->look_at;
	find_destination(c);
}

static void deny_as_kernel(struct conn *c)
{
	take_kernel_verdict(c);
	conn_deny(c, c->rec->v.reason);
}

/* The client went away before it had sent enough to be judged. */
static void client_gone(struct conn *c)
{
	c->proto = c->judge->proto;
	conn_close(c,
		   c->proto == PROTO_TLS  ? REASON_BAD_TLS :
		   c->proto == PROTO_HTTP ? REASON_BAD_HTTP :
					    REASON_NOT_TLS,
		   false);
}

static void look_at_first(struct conn *c)
{
	enum judge_word word;
	bool ended;

	word = pump_first(c, &ended);
	if (word == JUDGE_NAMED)
		judged_name(c);
	else if (word == JUDGE_BAD)
		judged_bad(c);
	else if (ended)
		client_gone(c);
}

/* Whether the program has given its verdict: allowed, or denied. */
static bool kernel_has_judged(const struct conn *c)
{
	uint32_t state = c->in_map[SIDE_CLIENT] && !c->judge ? flow_state(c->rec) : FLOW_NEW;

	return state == FLOW_DENY || (state == FLOW_LOOK && c->rec->v.look_at != 0);
}

/*
 * May user space begin to judge? Yes if the program has passed the flight up, or if the socket has
 * news that the program has not: TCP reports an end, a failure and urgent data before the program
 * has run. Then user space takes the verdict over, unless the program is quicker.
 */
static bool is_ours_to_judge(struct conn *c)
{
	const struct lane *l = &c->lane[SIDE_CLIENT];

	if (!c->in_map[SIDE_CLIENT])
		return true;
	if ((l->hup || l->ready) && flow_hand_on(c->rec, FLOW_NEW, FLOW_LOOK))
		return true;
	return flow_state(c->rec) == FLOW_LOOK && c->rec->v.look_at == 0;
}

/* Judges if that is user space's to do, or takes the kernel's verdict if there is one by now. */
static void look_for_verdict(struct conn *c)
{
	if (!c->judge && is_ours_to_judge(c)) {
		if (!begin_judging(c))
			return;
		judge_init(c->judge);
	}
	if (c->judge)
		look_at_first(c);
	else if (kernel_has_judged(c))
		flow_state(c->rec) == FLOW_DENY ? deny_as_kernel(c) : allow_as_kernel(c);
}

/* ---- carrying ---- */

/*
 * The flow is worth it, and nothing of it is left to judge: the upstream's socket goes into the map
 * too, and the kernel carries. Most connections exchange a few words and end: for those, two
 * sockets in the map cost more than they save. What was read from the upstream before counts as
 * passed up.
 */
static void promote(struct conn *c)
{
	const struct lane *down = &c->lane[SIDE_UPSTREAM];

	if (c->judge)
		abort(); /* the kernel would carry what is not judged */
	c->settled = true;
	flow_set_carried(c->rec, SIDE_UPSTREAM, down->read, down->written);
	if (flow_insert(c->place->shared->fp, c->flow, SIDE_UPSTREAM, c->fd[SIDE_UPSTREAM]) != 0)
		return;
	c->in_map[SIDE_UPSTREAM] = true;
	flow_set_quiet(c->rec, SIDE_CLIENT, QUIET_NOTHING);
	flow_pair(c->rec);
	conn_watch(c, SIDE_CLIENT, WATCH_KERNEL);
	conn_watch(c, SIDE_UPSTREAM, WATCH_KERNEL);
	flow_kick(c->fd[SIDE_UPSTREAM]);
}

/*
 * A server that has finished and is sent more, for example a TLS client's close_notify, answers
 * with RST: that is an end like others. TCP reports a reset after a FIN as EPIPE.
 */
static unsigned reset_reason(int error, bool after_fin)
{
	if (error == ETIMEDOUT)
		return REASON_UPSTREAM_TIMEOUT;
	return after_fin || error == EPIPE ? REASON_OK : REASON_UPSTREAM_RESET;
}

/* The upstream has failed; after_fin: it had ended its stream. What came before that belongs to the
   client, which has LINGER_MS to take it, and then gets an RST. false: c is gone. */
static bool upstream_gone(struct conn *c, int error, bool after_fin)
{
	if (!c->dying) {
		c->why_dying = reset_reason(error, after_fin);
		set_timer(c, LINGER_MS);
	}
	c->dying = true;
	c->lane[SIDE_UPSTREAM].hup = true;
	if (!c->lane[SIDE_UPSTREAM].shut)
		return carry(c, SIDE_UPSTREAM);
	conn_close(c, c->why_dying, true);
	return false;
}

/* A socket failed while lane `side` was carried. false: c is gone. */
static bool carry_failed(struct conn *c, int side)
{
	bool after_fin;

	if (c->broken == SIDE_CLIENT) {
		conn_close(c, REASON_OK, true);
		return false;
	}
	/* The upstream takes no more, but what it has sent belongs to the client. */
	after_fin = c->lane[SIDE_UPSTREAM].eof;
	c->lane[SIDE_CLIENT].shut = true;
	if (side == SIDE_UPSTREAM)
		c->lane[SIDE_UPSTREAM].eof = true;
	return upstream_gone(c, c->error, after_fin);
}

/* What the server has just sent decides on what is held of the client's: judges that before either
   is carried on. */
static void judge_held(struct conn *c)
{
	enum pump_word word;

	while (!c->why_late && (word = pump_judge(c)) != PUMP_GOES_ON)
		word == PUMP_NAMED ? judged_again(c) : judged_bad_again(c);
	pump_retry(c); /* carries what was held back until now */
}

/* What follows from those words of pump() that mean an end. */
static bool carry_ends(struct conn *c, int side, enum pump_word word)
{
	if (word == PUMP_FAILED)
		return carry_failed(c, side);
	if (word == PUMP_PLACE)
		answer_late(c);
	else if (c->dying)
		conn_close(c, c->why_dying, true);
	else
		conn_close(c, REASON_OK, false);
	return false;
}

/* Carries what can be carried from `side`, and does what follows from it. false: c is gone, or
   about to go. */
static bool carry(struct conn *c, int side)
{
	enum pump_word word;

	c->rounds = 0;
	while ((word = pump(c, side)) != PUMP_GOES_ON) {
		switch (word) {
		case PUMP_NAMED:
			judged_again(c);
			break;
		case PUMP_BAD:
			judged_bad_again(c);
			break;
		case PUMP_HEARD:
			judge_held(c);
			break;
		case PUMP_SETTLE: /* then carry what came meanwhile */
			promote(c);
			return carry(c, SIDE_CLIENT) && carry(c, SIDE_UPSTREAM);
		default:
			return carry_ends(c, side, word);
		}
	}
	return true;
}

/* ---- events ---- */

static void note_events(struct lane *l, uint32_t events)
{
	if (events & (EPOLLERR | EPOLLHUP))
		l->failed = true;
	if (events & (EPOLLIN | EPOLLERR | EPOLLHUP))
		l->ready = true;
	if (events & EPOLLPRI)
		l->marked = true;
	if (events & EPOLLRDHUP)
		l->hup = true;
}

static void client_open(struct conn *c, uint32_t events)
{
	if (events & EPOLLOUT && pump_pending(c, SIDE_UPSTREAM) && !carry(c, SIDE_UPSTREAM))
		return;
	if (events & ~(uint32_t)EPOLLOUT && !carry(c, SIDE_CLIENT))
		return;
	if (events &
	    EPOLLERR) /* what it sent before could not be passed on, and nobody waits for it */
		conn_close(c, REASON_OK, true);
}

static void client_event(struct conn *c, uint32_t events)
{
	note_events(&c->lane[SIDE_CLIENT], events);
	switch (c->state) {
	case CONN_HELLO:
		look_for_verdict(c);
		return;
	case CONN_OPEN:
		client_open(c, events);
		return;
	case CONN_ANSWER:
		if (events & (EPOLLRDHUP | EPOLLERR | EPOLLHUP))
			conn_close(c, c->reason, false);
		return;
	case CONN_RESOLVE:
	case CONN_CONNECT:
		if (events & EPOLLERR)
			conn_close(c, REASON_OK, true);
		return;
	}
}

static void upstream_open(struct conn *c, uint32_t events)
{
	int error = 0;

	if (events & EPOLLERR && c->lane[SIDE_UPSTREAM].eof) /* else reading finds the error */
		error = pump_socket_error(c, SIDE_UPSTREAM);
	if (error) {
		upstream_gone(c, error, true);
		return;
	}
	if (events & EPOLLOUT && pump_pending(c, SIDE_CLIENT) && !carry(c, SIDE_CLIENT))
		return;
	if (events & ~(uint32_t)EPOLLOUT)
		carry(c, SIDE_UPSTREAM);
}

static void upstream_event(struct conn *c, uint32_t events)
{
	note_events(&c->lane[SIDE_UPSTREAM], events);
	if (c->state == CONN_CONNECT)
		on_connected(c, events);
	else if (c->state == CONN_OPEN)
		upstream_open(c, events);
}

void conn_poll(struct poll_item *item, uint32_t events)
{
	if (item->side == SIDE_CLIENT)
		client_event(item->owner, events);
	else
		upstream_event(item->owner, events);
}

static void on_retry(evutil_socket_t fd, short what, void *arg)
{
	struct conn *c = arg;

	(void)fd;
	(void)what;
	if (c->state == CONN_HELLO)
		look_for_verdict(c);
	else if (c->state == CONN_OPEN && carry(c, SIDE_CLIENT))
		carry(c, SIDE_UPSTREAM);
}

static void on_idle_look(struct conn *c)
{
	uint64_t all[SIDE_COUNT], kernel[SIDE_COUNT], now;

	account_bytes(c, all, kernel);
	now = all[SIDE_CLIENT] + all[SIDE_UPSTREAM];
	if (now != c->idle_bytes) {
		c->idle_bytes = now;
		c->idle_looks = 0;
	} else if (++c->idle_looks >= IDLE_LOOKS) {
		conn_close(c, REASON_OK, false);
		return;
	}
	set_timer(c, conf(c)->idle_ms / IDLE_LOOKS + 1);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct conn *c = arg;

	(void)fd;
	(void)what;
	switch (c->state) {
	case CONN_HELLO:
		if (c->judge)
			c->proto = c->judge->proto;
		conn_deny(c, REASON_HELLO_TIMEOUT);
		return;
	case CONN_CONNECT:
		connect_next(c, REASON_UPSTREAM_TIMEOUT);
		return;
	case CONN_OPEN:
		if (c->dying)
			conn_close(c, c->why_dying, true);
		else if (c->why_late)
			on_late_look(c);
		else
			on_idle_look(c);
		return;
	case CONN_ANSWER:
		/* The client has had its answer and still sends, so reset it: for a socket in the
		   map, close() sends no RST because of unread bytes. */
		conn_close(c, c->reason, true);
		return;
	case CONN_RESOLVE:
		resolver_cancel(c->query);
		c->query = NULL;
		conn_deny(c, REASON_UNRESOLVED);
		return;
	}
}

void conn_event(struct conn *c, int side)
{
	if (flow_broken(c->rec)) {
		conn_close(c, c->connected ? REASON_UPSTREAM_RESET : REASON_BAD_TLS, true);
		return;
	}
	switch (c->state) {
	case CONN_HELLO:
		look_for_verdict(c);
		return;
	case CONN_OPEN:
		carry(c, side);
		return;
	case CONN_RESOLVE:
	case CONN_CONNECT:
	case CONN_ANSWER:
		return;
	}
}

/* ---- no more time ---- */

/* A last look for news that the worker has not come to. false: c has ended, or has its answer. */
static bool last_turn(struct conn *c)
{
	c->settled = true;
	for (int side = 0; side < SIDE_COUNT; side++)
		c->lane[side].ready = c->lane[side].hup = true;
	return carry(c, SIDE_CLIENT) && carry(c, SIDE_UPSTREAM);
}

void conn_stop(struct conn *c)
{
	if (c->state == CONN_OPEN && !last_turn(c))
		return;
	close_fd(c, SIDE_CLIENT, !c->lane[SIDE_UPSTREAM].shut && c->state != CONN_ANSWER);
	close_fd(c, SIDE_UPSTREAM, !c->lane[SIDE_CLIENT].shut);
	conn_close(c, c->dying ? c->why_dying : REASON_OK, true);
}

/* ---- the beginning ---- */

static uint32_t flow_group(const struct conn *c)
{
	return FLOW_GROUP(policy_head(c->place->policy)->serial, c->group);
}

/* What the kernel has judged by now was judged by the policy that ends, so take it now: the number
   of a rule means something else in the next policy. */
void conn_policy_ends(struct conn *c)
{
	if (c->state == CONN_HELLO && kernel_has_judged(c))
		look_for_verdict(c);
}

/* For reload_closes_denied. An open stream is reset, since no answer can be put into it. */
static void end_if_denied(struct conn *c)
{
	struct verdict_question q = question_of(c);
	struct verdict v;

	if (!conf(c)->enforce || c->state == CONN_HELLO || c->state == CONN_ANSWER || c->why_late ||
	    c->dying)
		return;
	q.standing = true;
	q.proto = c->proto;
	q.name = c->name;
	q.name_len = c->name_len;
	q.missing = c->name_len == 0;
	v = verdict_decide(&q);
	if (v.why == REASON_OK || v.report)
		return;
	if (!v.asked)
		set_rule(c, 0); /* the rule that let it in is not what ends it */
	apply(c, &v);
	if (c->state != CONN_OPEN) {
		conn_deny(c, v.why);
		return;
	}
	c->reason = v.why;
	c->allowed = false;
	c->enforced = true;
	conn_close(c, v.why, true);
}

void conn_policy_changed(struct conn *c)
{
	c->group = policy_group(c->place->policy, c->client.ip.s6_addr);
	if (c->rec)
		__atomic_store_n(&c->rec->u[SIDE_CLIENT].group, flow_group(c), __ATOMIC_RELEASE);
	if (conf(c)->reload_closes_denied)
		end_if_denied(c);
}

/* Puts the client's socket into the map; what has already come is judged before this returns. */
static void enter_kernel_path(struct conn *c)
{
	struct shared *s = c->place->shared;
	struct flow_user *u;

	if (!s->fp)
		return;
	c->flow = flow_take(s->fp, c->place->index);
	if (c->flow == FLOW_NONE)
		return;
	c->rec = flow_record(s->fp, c->flow);
	s->by_flow[c->flow] = c;
	u = &c->rec->u[SIDE_CLIENT];
	u->group = flow_group(c);
	u->port = c->original.port;
	u->quiet = QUIET_ALL;
	if (flow_insert(s->fp, c->flow, SIDE_CLIENT, c->fd[SIDE_CLIENT])) {
		s->by_flow[c->flow] = NULL;
		flow_give_back(s->fp, c->place->index, c->flow);
		c->flow = FLOW_NONE;
		c->rec = NULL;
		return;
	}
	c->in_map[SIDE_CLIENT] = true;
	flow_kick(c->fd[SIDE_CLIENT]);
	flow_set_quiet(c->rec, SIDE_CLIENT, QUIET_PASSED);
}

static struct conn *conn_new(struct place *p, int fd, const struct sockaddr *client)
{
	struct conn *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->place = p;
	c->began_ms = clock_ms();
	c->fd[SIDE_CLIENT] = fd;
	c->fd[SIDE_UPSTREAM] = -1;
	c->flow = FLOW_NONE;
	c->enforced = true;
	set_rule(c, 0);
	for (int side = 0; side < SIDE_COUNT; side++)
		c->lane[side].pipe[0] = c->lane[side].pipe[1] = -1;
	address_from_sockaddr(&c->client, client);
	c->client_key = clients_key(&c->client.ip, p->shared->start->client_prefix6);
	c->next = p->conns;
	c->prev = &p->conns;
	if (c->next)
		c->next->prev = &c->next;
	p->conns = c;
	event_assign(&c->timer, p->base, -1, 0, on_timer, c);
	event_assign(&c->retry, p->base, -1, 0, on_retry, c);
	return c;
}

/* REASON_OK, or why this connection is not wanted at all. */
static unsigned admit(struct conn *c)
{
	const struct conf *start = c->place->shared->start;
	int r;

	if (c->place->shared->open > start->max_connections)
		return REASON_LIMIT;
	c->counted =
		clients_enter(c->place->shared->clients, &c->client_key, start->max_per_client);
	if (!c->counted)
		return REASON_LIMIT;
	r = address_original(c->fd[SIDE_CLIENT], start, conf(c), &c->client, &c->original);
	return r == 0 ? REASON_OK : r == -ELOOP ? REASON_LOOP : REASON_UNTRACKED;
}

void conn_accept(struct place *p, int fd, const struct sockaddr *client)
{
	struct conn *c = conn_new(p, fd, client);
	unsigned why;

	p->shared->open++;
	p->stats.accepted++;
	if (!c) {
		close(fd);
		gone(p);
		return;
	}
	why = admit(c);
	if (why != REASON_OK) {
		conn_close(c, why, true);
		return;
	}
	c->group = policy_group(p->policy, c->client.ip.s6_addr);
	enter_kernel_path(c);
	if (conn_watch(c, SIDE_CLIENT, WATCH_USER) != 0) {
		conn_close(c, REASON_LIMIT, true);
		return;
	}
	set_timer(c, conf(c)->hello_ms);
	look_for_verdict(c);
}
