/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The slow path's judgement of a client's bytes: what the kernel program does for one skb, this
 * does for a stream that comes in pieces of any size. OpenSSL's ClientHello callback is the
 * authority for hellos; the strict parsers of bpf/ must agree with it. It handles bytes only: no
 * sockets, no policy.
 *
 * Feed it the bytes that have not been cleared yet, from the first of them, whenever more have
 * come. It returns how many of them may travel on, and stops at the first thing that needs an
 * answer. After a hello, and after a request for another protocol, the judgement depends on what
 * the server says, so the server's bytes are fed to it, too.
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

#define JUDGE_BYTES_MAX 65536 /* anything longer is not a hello or a head */

enum judge_state {
	JUDGE_FIRST,	/* nothing known yet */
	JUDGE_RECORDS,	/* TLS: after the hello; what may follow depends on the server's answer */
	JUDGE_HEAD,	/* HTTP: before a request head */
	JUDGE_BODY,	/* HTTP: inside a body with a length */
	JUDGE_CHUNKS,	/* HTTP: inside a chunked body */
	JUDGE_UPGRADE,	/* HTTP: after a request for another protocol, whose answer has not come */
	JUDGE_SWITCHED, /* HTTP: another protocol, whose first bytes are still looked at */
	JUDGE_OPAQUE,	/* nothing more to judge */
};

enum judge_word {
	JUDGE_MORE,  /* nothing more can be said without more bytes */
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
	bool missing; /* with JUDGE_NAMED: there is no name (no_sni, no_host) */

	/* how far an incomplete hello or head has been looked at */
	struct hello_scan {
		size_t n, off; /* bytes of the message in complete records, and bytes of those
				  records */
		size_t want;   /* length of the message, as far as it is known; 0: not begun */
		uint8_t head[HELLO_HEADER_LEN];
	} scan;
	struct http_walk head;
	struct http request; /* what is known of the request just named, or of the last one */
	bool head_begun;

	struct tls_answer answered; /* TLS: what the server has sent */
	struct tls_follow follow;   /* TLS: what the client has sent after its hello */
	uint64_t left;		    /* HTTP: bytes of the body */
	struct http_chunks chunks;
	struct answers answers; /* HTTP: the server's answers to the requests passed to it */
	bool switched;		/* HTTP: the server has granted another protocol */
	unsigned switched_at;	/* HTTP: which part of the forbidden beginnings is being matched */
	size_t matched;		/* HTTP: bytes of that part */

	size_t held; /* bytes of the flight just named, cleared by judge_go_on() */
};

void judge_init(struct judge *j);
/* Goes on after the first flight, which the kernel has judged: it allowed `name`. */
void judge_resume(struct judge *j, unsigned proto, const uint8_t *name, size_t name_len,
		  uint64_t body_len);

/* *cleared: how many of the bytes may travel on now; 0 <= *cleared <= len. */
enum judge_word judge_feed(struct judge *j, const uint8_t *data, size_t len, size_t *cleared);
/* The name was allowed: the held flight is cleared. Returns its length. */
size_t judge_go_on(struct judge *j);
/* Takes the next bytes from the server. true: the bytes of the client that were held back can
   perhaps be judged now, so call judge_feed() again. */
bool judge_answered(struct judge *j, const uint8_t *data, size_t len);

/*
 * Whether something of ours may follow what the server has sent: none of its answers is unfinished,
 * and everything passed to it has been answered, or never will be because the server has ended.
 */
bool judge_between(const struct judge *j, bool ended);
/* The bytes that were not cleared wait for the server's answer. */
bool judge_waits(const struct judge *j);
/* How many of the server's next bytes may be skipped instead of fed to judge_answered(). */
uint64_t judge_skippable(const struct judge *j);
void judge_skip(struct judge *j, uint64_t n);

/* Call it once per process. 0 or -ENOMEM. */
int judge_setup(void);
void judge_cleanup(void);

#endif
