/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The slow path's judgement of a client's bytes: what the kernel program does for one skb, here
 * for a stream that comes in any pieces. OpenSSL's ClientHello callback is the authority for
 * hellos; the strict parsers of bpf/ must agree with it. Bytes only: no sockets, no policy.
 *
 * Feed it what has not been cleared yet, from its first byte, as often as more has come. It
 * says how many of them may travel on, and stops at the first thing that needs an answer.
 */
#ifndef SLUICE_SLOWPATH_JUDGE_H
#define SLUICE_SLOWPATH_JUDGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bpf/abi.h"
#include "bpf/hello.h"
#include "bpf/http.h"
#include "slowpath/answer.h"
#include "slowpath/chunks.h"

#define JUDGE_BYTES_MAX 65536 /* a hello or a head longer than this is none */

enum judge_state {
	JUDGE_FIRST,	/* nothing known yet */
	JUDGE_RECORDS,	/* TLS: after the hello, at a record boundary */
	JUDGE_RECORD,	/* TLS: inside a record that needs no look */
	JUDGE_HEAD,	/* HTTP: before a request head */
	JUDGE_BODY,	/* HTTP: inside a body with a length */
	JUDGE_CHUNKS,	/* HTTP: inside a chunked body */
	JUDGE_UPGRADE,	/* HTTP: behind a request for another protocol, the answer is not here */
	JUDGE_OPAQUE,	/* nothing more to judge */
};

/* Another protocol was asked for, and what the server says to it. */
enum judge_upgrade { UPGRADE_NONE, UPGRADE_ASKED, UPGRADE_GRANTED, UPGRADE_REFUSED };

enum judge_word {
	JUDGE_MORE,  /* all that can be said has been said */
	JUDGE_NAMED, /* a name to ask the policy about: j->name; then judge_go_on() */
	JUDGE_BAD,   /* denied: j->reason */
};

struct judge {
	enum judge_state state;
	unsigned proto;	    /* PROTO_* */
	unsigned reason;    /* REASON_*, with JUDGE_BAD */
	unsigned requests;  /* HTTP heads */
	unsigned version;   /* TLS: highest offered */
	unsigned seen;	    /* TLS_SEEN_* of bpf/hello.h */
	char name[NAME_BUF]; /* normalised, NUL-terminated; "" if there is none */
	size_t name_len;
	bool numeric; /* the name is an address literal or looks like a number */
	bool missing; /* with JUDGE_NAMED: there is no name at all (no_sni, no_host) */

	/* of a hello or head that is not whole: how far it has been looked at */
	struct hello_scan {
		size_t n, off;	/* bytes of the message in whole records, bytes of those records */
		size_t want;	/* bytes of the message, as far as is known; 0: not begun */
		uint8_t head[HELLO_HEADER_LEN];
	} scan;
	struct http_walk head;
	struct http request; /* what of it is known */
	bool head_begun;

	uint64_t left; /* of the record or body */
	struct http_chunks chunks;
	enum judge_upgrade upgrade; /* by the first request, there is no other */
	struct answer answer;	    /* UPGRADE_ASKED: to be read by judge_answer() */
	size_t held;  /* bytes of the flight just named, cleared by judge_go_on() */
	enum judge_state next;
};

void judge_init(struct judge *j);
/* Goes on where the kernel stopped: `name` was judged there. */
void judge_resume(struct judge *j, unsigned proto, const uint8_t *name, size_t name_len,
		  uint64_t body_left, unsigned tls_seen);

/* *cleared: how many of the bytes may travel on now; 0 <= *cleared <= len. */
enum judge_word judge_feed(struct judge *j, const uint8_t *data, size_t len, size_t *cleared);
/* The name was allowed: the held flight is cleared. Returns its length. */
size_t judge_go_on(struct judge *j);
/* UPGRADE_ASKED: what the server says, from its first byte. true: that was the answer. */
bool judge_answer(struct judge *j, const uint8_t *data, size_t len);

/* Once a process; 0 or -ENOMEM. */
int judge_setup(void);
void judge_cleanup(void);

#endif
