/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a connection of tests/net/stream does: its number says it. Client and server make the same
 * plan out of the same number, and the same bytes, so that each knows what the other must send,
 * and when, and how it ends. Nothing here does I/O.
 *
 * What an end sends is a row of messages. A message is a head (the hello, an HTTP head, or
 * nothing) and a body of pseudo-random bytes, each of which depends on where it stands.
 */
#ifndef SLUICE_TESTS_NET_PLAN_H
#define SLUICE_TESTS_NET_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/hello.h"

/* An end, and the way on which it sends: CLIENT is from client to server. */
enum { CLIENT = 0, SERVER = 1, ENDS = 2 };

enum scenario {
	BOTH_AT_ONCE,	/* each ends when it has said all */
	SLOW_READERS,	/* small bites with rests between them, on one side or both */
	BURSTY_READERS, /* a small receive buffer; stop reading, then drain */
	BULK,		/* some megabytes one way */
	CLIENT_FIRST,	/* FIN before the answer begins */
	DURING,		/* FIN in the middle of the answer */
	AFTER,		/* FIN when the whole answer is there */
	SERVER_FIRST,	/* the server ends before the client begins */
	FIN_WITH_DATA,	/* FIN in the segment of the last bytes, on both sides */
	FIRST_FLIGHT,	/* hello, all the data and FIN at once */
	ONE_BYTE,	/* segments of one byte */
	TURNS,		/* many small messages, each waits for the one before; big ones between */
	HELLO_PIECES,	/* the hello in several segments, or in several records */
	CLIENT_RESETS,
	SERVER_RESETS,
	HTTP_LENGTH, /* a body with Content-Length */
	HTTP_CHUNKED,
	HTTP_TURNS,	/* several requests, one after the other */
	HTTP_PIPELINED, /* several requests at once */
	SCENARIOS
};

/* When an end may send its message m, after the prologue. */
enum gate {
	SEND_AT_ONCE,
	SEND_IN_TURN,	/* the client's m when it has m answers, the server's when it has m + 1 */
	SEND_AFTER_END, /* of the other side; but for the preface */
};

/* When an end that has sent all may send FIN. */
enum ending {
	END_AT_ONCE,
	END_AT_MARK, /* when so much has come from the other side */
	END_AFTER_END,
	END_NEVER, /* the other end will reset */
};

/* How one end behaves. */
struct manner {
	enum gate gate;
	enum ending ending;
	uint64_t end_mark;
	uint64_t alone_from, alone_until; /* here a piece waits until the last is acknowledged */
	uint32_t alone_piece;
	uint32_t piece;			   /* most bytes of one send(); 0: now this, now that */
	uint32_t send_burst, send_rest_us; /* rests after so many bytes; 0: never */
	uint32_t read_burst, read_rest_us;
	uint32_t bite;	    /* most bytes of one recv() */
	int receive_buffer; /* 0: as the system has it */
	bool nodelay, fin_with_data, cork;
	bool resets;
	uint64_t reset_sent, reset_received; /* when it has sent and received so much */
};

struct plan {
	uint64_t seed, number;
	enum scenario scenario;
	enum { FRAME_TLS, FRAME_LENGTH, FRAME_CHUNKED } frame;
	char name[HELLO_NAME_MAX + 1]; /* scenario.DOMAIN */
	unsigned messages;	       /* of each end */
	unsigned prologue;	       /* so many of them come first, short ones and in turn */
	uint64_t main[ENDS];	       /* where those end */
	uint64_t key[ENDS], size[ENDS];
	size_t preface; /* the client's first head: with it the server knows the plan */
	struct manner manner[ENDS];
};

#define PLAN_HEAD_MAX (HELLO_MAX + 128)
#define PLAN_PREFACE_MAX 2048 /* in so many bytes from the client its plan can be found */

struct message {
	uint64_t begin; /* where it begins, in the bytes of its way */
	uint64_t size, body, chunk;
	size_t head;
	uint8_t text[PLAN_HEAD_MAX]; /* the head */
};

/* A place in what an end sends. */
struct cursor {
	unsigned index; /* whole messages before it */
	uint64_t at;	/* bytes before it */
	struct message message;
};

const char *scenario_name(enum scenario scenario);
/* SCENARIOS: there is none of that name. */
enum scenario scenario_find(const char *name);

/* domain: the names are SCENARIO.domain. */
void plan_make(struct plan *p, uint64_t seed, uint64_t number, enum scenario scenario,
	       const char *domain);

enum plan_found { PLAN_FOUND, PLAN_MORE, PLAN_BAD };
/* Finds the plan in the first bytes that came from a client. */
enum plan_found plan_find(struct plan *p, const uint8_t *data, size_t size, const char *domain);

void cursor_begin(struct cursor *c, const struct plan *p, int end);
/* The next bytes, at most size, and at most the rest of the message: how many. */
size_t cursor_fill(const struct cursor *c, const struct plan *p, int end, uint8_t *out,
		   size_t size);
/* size is at most what cursor_fill() gives. */
void cursor_advance(struct cursor *c, const struct plan *p, int end, size_t size);

#endif
