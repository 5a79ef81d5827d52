/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The slow path's judgement of a client's bytes: what the kernel program does for one skb, here
 * for a stream that comes in any pieces. OpenSSL's ClientHello callback is the authority for
 * hellos; the strict parsers of bpf/ must agree with it. Bytes only: no sockets, no policy.
 *
 * Feed it what has not been cleared yet, from its first byte, as often as more has come. It
 * says how many of them may travel on, and stops at the first thing that needs an answer. Behind a
 * hello, and behind a request for another protocol, that depends on what the server says: it is
 * fed that, too.
 */
#ifndef SLUICE_SLOWPATH_JUDGE_STREAM_H
#define SLUICE_SLOWPATH_JUDGE_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bpf/abi/name.h"
#include "bpf/wire/hello.h"
#include "bpf/wire/http.h"
#include "bpf/wire/retry.h"
#include "slowpath/judge/answers.h"
#include "slowpath/judge/chunks.h"

#define JUDGE_BYTES_MAX 65536 /* a hello or a head longer than this is none */

enum judge_state {
	JUDGE_FIRST,	/* nothing known yet */
	JUDGE_RECORDS,	/* TLS: after the hello; what comes depends on the server's answer */
	JUDGE_HEAD,	/* HTTP: before a request head */
	JUDGE_BODY,	/* HTTP: inside a body with a length */
	JUDGE_CHUNKS,	/* HTTP: inside a chunked body */
	JUDGE_UPGRADE,	/* HTTP: behind a request for another protocol, the answer is not here */
	JUDGE_SWITCHED, /* HTTP: another protocol, of which the first bytes are still looked at */
	JUDGE_OPAQUE,	/* nothing more to judge */
};

enum judge_word {
	JUDGE_MORE,  /* all that can be said has been said */
	JUDGE_NAMED, /* a name to ask the policy about: j->name; then judge_go_on() */
	JUDGE_BAD,   /* denied: j->reason */
};

struct judge {
	enum judge_state state;
	unsigned proto;	     /* PROTO_* */
	unsigned reason;     /* REASON_*, with JUDGE_BAD */
	unsigned requests;   /* HTTP heads */
	unsigned version;    /* TLS: highest offered */
	char name[NAME_BUF]; /* normalised, NUL-terminated; "" if there is none */
	size_t name_len;
	bool numeric; /* the name is an address literal or looks like a number */
	bool missing; /* with JUDGE_NAMED: there is no name at all (no_sni, no_host) */

	/* of a hello or head that is not whole: how far it has been looked at */
	struct hello_scan {
		size_t n, off; /* bytes of the message in whole records, bytes of those records */
		size_t want;   /* bytes of the message, as far as is known; 0: not begun */
		uint8_t head[HELLO_HEADER_LEN];
	} scan;
	struct http_walk head;
	struct http request; /* what of it is known; the one just named, or the last */
	bool head_begun;

	struct tls_answer answered; /* TLS: what the server has said */
	struct tls_follow follow;   /* TLS: what the client has said behind its hello */
	uint64_t left;		    /* HTTP: of the body */
	struct http_chunks chunks;
	struct answers answers; /* HTTP: the server's, to the requests that were let go */
	bool switched;		/* HTTP: the server has granted another protocol */
	unsigned switched_at;	/* HTTP: the part of what may not be said in it */
	size_t matched;		/* HTTP: bytes of that part */

	size_t held; /* bytes of the flight just named, cleared by judge_go_on() */
};

void judge_init(struct judge *j);
/* Goes on behind the first flight, which the kernel has judged: `name` was allowed there. */
void judge_resume(struct judge *j, unsigned proto, const uint8_t *name, size_t name_len,
		  uint64_t body_len);

/* *cleared: how many of the bytes may travel on now; 0 <= *cleared <= len. */
enum judge_word judge_feed(struct judge *j, const uint8_t *data, size_t len, size_t *cleared);
/* The name was allowed: the held flight is cleared. Returns its length. */
size_t judge_go_on(struct judge *j);
/* The next bytes that the server said. true: what the client said and was held back may be judged
   now, so judge_feed() is to be asked again. */
bool judge_answered(struct judge *j, const uint8_t *data, size_t len);

/*
 * Something of ours may be said behind what the server has said: no answer of its is open. All that
 * was let go is answered, or never will be, because the server has ended.
 */
bool judge_between(const struct judge *j, bool ended);
/* What was not cleared waits for the server's answer. */
bool judge_waits(const struct judge *j);
/* So many of the next bytes of the server's need not be told but may be skipped. */
uint64_t judge_skippable(const struct judge *j);
void judge_skip(struct judge *j, uint64_t n);

/* Once a process; 0 or -ENOMEM. */
int judge_setup(void);
void judge_cleanup(void);

#endif
