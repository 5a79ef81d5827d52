/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The data of a connection. Only the files that make up its life see it: conn.c steers and is the
 * only one to close it, connector.c finds a way to the destination, pump.c carries bytes, account.c
 * reads what became of it.
 */
#ifndef SLUICE_SLOWPATH_PROXY_CONNECTION_H
#define SLUICE_SLOWPATH_PROXY_CONNECTION_H

#include <event2/event.h>
#include <event2/event_struct.h>

#include "bpf/abi/flow.h"
#include "slowpath/address/clients.h"
#include "slowpath/judge/stream.h"
#include "slowpath/proxy/connector.h"
#include "slowpath/proxy/place.h"
#include "slowpath/proxy/poll.h"

#define RULE_NAME 64 /* [rule NAME] has at most 63 */

enum conn_state {
	CONN_HELLO,   /* no verdict yet */
	CONN_RESOLVE, /* allowed: which address? */
	CONN_CONNECT, /* allowed: connecting */
	CONN_OPEN,    /* carrying */
	CONN_ANSWER,  /* the client has time to take the last bytes sent to it */
};

/* What travels from one socket to the other; [SIDE_CLIENT] is client to upstream. */
struct lane {
	uint64_t read;			  /* bytes user space took from the source */
	uint64_t written;		  /* bytes it gave to the other socket */
	uint8_t *buf;			  /* read and not yet written; NULL when there is none */
	uint32_t off, cleared, len, room; /* off <= cleared <= len <= room */
	int pipe[2];			  /* the same in a pipe (splice); -1 when there is none */
	uint32_t in_pipe;
	uint64_t drained; /* how much of what the kernel redirected is known to be written */
	bool ready;	  /* as far as is known, the source has something to read */
	bool bulk;	  /* the bytes come in large pieces */
	bool hup;	  /* the source's FIN was announced */
	bool marked;	  /* urgent data came: a read may stop at the mark */
	bool failed;	  /* an error was announced: it is read after the last bytes */
	bool eof;	  /* the source has ended, and everything before its end was taken */
	bool shut;	  /* the same, and the FIN was passed on */
};

struct conn {
	struct place *place;
	struct conn *next, **prev;
	enum conn_state state;

	int fd[SIDE_COUNT];
	struct poll_item poll[SIDE_COUNT];
	bool in_map[SIDE_COUNT];
	bool settled;	 /* it will not change any more whether the kernel carries */
	unsigned reads;	 /* by user space, while it is not settled */
	unsigned rounds; /* of reading, in this turn of the loop */
	uint32_t flow;	 /* FLOW_NONE: user space only */
	struct flow *rec;
	struct event timer; /* the limit of the present state */
	struct event retry; /* fires soon, to look again for what the kernel has not finished */
	struct lane lane[SIDE_COUNT];

	struct judge *judge; /* while user space owns the verdict, until nothing is left to judge */
	uint64_t judged;     /* how many of the client's bytes the kernel has judged */
	bool dying;	     /* the upstream was reset: RST follows its last bytes */
	unsigned why_dying;
	int broken, error; /* the side whose socket failed, and how: an errno */
	unsigned why_late; /* denied after it was open: the answer waits for its place */
	bool late_fin;	   /* while it waits, the upstream may now be sent a FIN */

	struct endpoint_addr client, original;
	struct client_key client_key; /* what limits and shares go by */
	uint32_t group;		      /* in the worker's policy */
	char name[NAME_BUF];
	size_t name_len;
	unsigned proto;
	char rule[RULE_NAME];
	unsigned reason;
	bool kernel_verdict, counted, connected, enforced, logged, allowed;
	bool on_trial; /* the rule of the last verdict has enforce = no */
	uint64_t requests;

	struct connector to;
	struct resolver_query *query;
	bool resolved; /* a name server was asked, or its remembered answer used */
	uint64_t allowed_us;

	uint64_t began_ms, first_flight, idle_bytes;
	unsigned idle_looks;
};

/* ---- its sockets ---- */

/*
 * While user space carries, it is woken when there is something to read; for room only once it has
 * had to wait for some. A socket from which the kernel carries must not be watched for reading:
 * every redirected segment would wake us.
 */
enum { WATCH_USER = EPOLLIN | EPOLLPRI | EPOLLRDHUP, WATCH_KERNEL = EPOLLRDHUP };

static inline int conn_watch(struct conn *c, int side, uint32_t events)
{
	c->poll[side].owner = c;
	c->poll[side].side = side;
	return poll_watch(&c->place->poller, &c->poll[side], c->fd[side], events);
}

#endif
