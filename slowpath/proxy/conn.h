/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A connection, from accept to its line in the access log. One owner (the worker), one exit:
 * conn_close(), after which nobody touches it. The steering is in conn.c, the carrying of
 * bytes in pump.c; both see this struct, nobody else looks inside.
 */
#ifndef SLUICE_SLOWPATH_PROXY_CONN_H
#define SLUICE_SLOWPATH_PROXY_CONN_H

#include <event2/event.h>
#include <event2/event_struct.h>

#include "bpf/abi/flow.h"
#include "slowpath/address/clients.h"
#include "slowpath/judge/stream.h"
#include "slowpath/proxy/poll.h"
#include "slowpath/proxy/worker.h"

#define CONN_ADDRESSES 16 /* of a name are tried */
#define RULE_NAME 64	  /* [rule NAME] has at most 63 */

enum conn_state {
	CONN_HELLO,   /* no verdict yet */
	CONN_RESOLVE, /* allowed: which address? */
	CONN_CONNECT, /* allowed: connecting */
	CONN_OPEN,    /* carrying */
	CONN_ANSWER,  /* the last words to the client are being said */
};

/* What travels from one socket to the other; [SIDE_CLIENT] is client to upstream. */
struct lane {
	uint64_t read;			  /* bytes user space took from the source */
	uint64_t written;		  /* bytes it gave to the other socket */
	uint8_t *buf;			  /* read and not yet written; NULL when there is none */
	uint32_t off, cleared, len, room; /* off <= cleared <= len <= room */
	int pipe[2];			  /* the same in a pipe (splice); -1 when there is none */
	uint32_t in_pipe;
	uint64_t drained; /* so much of what the kernel redirected is known to be written */
	bool ready;	  /* the source has something, as far as is known */
	bool bulk;	  /* it comes in large pieces */
	bool hup;	  /* the source's FIN was announced */
	bool marked;	  /* urgent data came: a read may stop at the mark */
	bool failed;	  /* an error was announced: it is read behind the last bytes */
	bool eof;	  /* and everything before it was taken */
	bool shut;	  /* and the FIN was passed on */
};

struct conn {
	struct worker *w;
	struct conn *next, **prev;
	enum conn_state state;

	int fd[SIDE_COUNT];
	struct poll_item poll[SIDE_COUNT];
	bool in_map[SIDE_COUNT];
	bool settled;	/* whether the kernel carries it will not change any more */
	unsigned reads; /* by user space, while it is not settled */
	uint32_t flow;	/* FLOW_NONE: user space only */
	struct flow *rec;
	struct event timer; /* the limit of the present state */
	struct event retry; /* soon, for what the kernel has not finished */
	struct lane lane[SIDE_COUNT];

	struct judge *judge; /* while user space owns the verdict; then nothing is left to judge */
	uint64_t judged;     /* of the client's bytes: so many the kernel has judged */
	bool dying;	     /* the upstream was reset: RST follows its last bytes */
	unsigned why_dying;
	int broken, error; /* the side whose socket failed, and how: an errno */
	unsigned why_late; /* denied after it was open: the answer waits for its place */
	bool late_fin;	   /* the upstream is told then that nothing more comes */

	struct endpoint_addr client, original, dst;
	struct client_key client_key; /* what limits and shares go by */
	uint32_t group;		      /* in the worker's policy */
	char name[NAME_BUF];
	size_t name_len;
	unsigned proto;
	char rule[RULE_NAME];
	unsigned reason;
	bool kernel_verdict, counted, connected, enforced, logged, allowed;
	bool on_trial; /* the rule that speaks last has enforce = no */
	uint64_t requests;

	struct resolver_query *query;
	bool resolved; /* the name server was asked, or its answer remembered */
	struct in6_addr addrs[CONN_ADDRESSES]; /* all of them may be connected to */
	size_t n_addrs, next_addr;
	uint64_t connect_by_ms, allowed_us;

	uint64_t began_ms, first_flight, idle_bytes;
	unsigned idle_looks;
};

/* Takes the accepted socket over; may end it at once. */
void conn_accept(struct worker *w, int fd, const struct sockaddr *client);
/* A socket of it has news: poll_fn for the worker's poller. */
void conn_poll(struct poll_item *item, uint32_t events);
/* The kernel program has news of this connection. */
void conn_event(struct conn *c, int side);
/* The one exit. why: REASON_OK or the reason it ended; reset: with RST. Logs and frees. */
void conn_close(struct conn *c, unsigned why, bool reset);
/* No more time. What has come by now is passed on, and a stream that has ended ends as it did; one
   that has not is reset. It may take a second call for a denial to be answered. */
void conn_stop(struct conn *c);
/* Denies: answers the client as the protocol has it, then closes. */
void conn_deny(struct conn *c, unsigned why);
/* The worker will have another policy, and has it: the client's group is asked for again. Both may
   end the connection. */
void conn_policy_ends(struct conn *c);
void conn_policy_changed(struct conn *c);
void conn_info(const struct conn *c, struct flow_info *out);
/* Bytes carried: up and down, in all and by the kernel. */
void conn_bytes(const struct conn *c, uint64_t all[SIDE_COUNT], uint64_t kernel[SIDE_COUNT]);

/* ---- conn.c for pump.c ---- */

/* c->judge has a later name on an open connection. false: denied, an answer is on its way. */
bool conn_judge_again(struct conn *c);
/* c->judge found something bad on an open connection. true: it is let through. */
bool conn_bad_again(struct conn *c);
/* The upstream has failed, with this errno; after_fin: it had ended its stream. What it said before
   goes to the client, then RST. false: gone. */
bool conn_upstream_gone(struct conn *c, int error, bool after_fin);
/* A denial of an open connection has its place now: says it and closes. The server's answer is
   open: closes without a word. */
void conn_answer(struct conn *c);
/* The flow is worth it, and nothing of it is left to judge: the upstream's socket goes into the map
   too, and the kernel carries. Pump both sides then. */
void conn_promote(struct conn *c);
/* SO_ERROR, which is gone then: 0 or an errno. */
int conn_socket_error(const struct conn *c, int side);
/* Asks to be told when the socket of `side` takes bytes again. */
void conn_watch_room(struct conn *c, int side);

/* ---- pump.c ---- */

/* Carries what can be carried from `side`; may call conn_close(): false then. */
bool pump(struct conn *c, int side);
/* Whether something waits for room in the other socket. */
bool pump_pending(const struct conn *c, int side);
/* Judges and moves the client's bytes before there is an upstream: fills lane[SIDE_CLIENT]. */
enum judge_word pump_first(struct conn *c, bool *ended);
/* What user space has judged of lane [SIDE_CLIENT] is allowed now. */
void pump_clear(struct conn *c);
void pump_free(struct conn *c);
void pump_retry(struct conn *c); /* look again in a millisecond */

#endif
