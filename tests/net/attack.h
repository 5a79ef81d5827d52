/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What one connection of tests/net/racing does: its seed and number say it. Bytes that begin with a
 * name that is allowed and hide another behind it, and steps: in which pieces they are sent, with
 * what flags, with what pauses, and how the connection ends. Nothing here does I/O.
 */
#ifndef SLUICE_TESTS_NET_ATTACK_H
#define SLUICE_TESTS_NET_ATTACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	ATTACK_BYTES = 96 * 1024,
	ATTACK_STEPS = 512,
	ATTACK_NAME = 80,
};

/* For what kind of server an attack is. LIVE: one that answers while it reads a body. */
enum attack_server { AT_HTTP, AT_LIVE, AT_H2C, AT_TLS, ATTACK_SERVERS };

enum attack_act {
	ACT_SEND,
	ACT_PAUSE,  /* so many microseconds */
	ACT_ANSWER, /* until something has come, at most so many microseconds */
	ACT_LINGER, /* until the other side ends, at most so many microseconds */
	ACT_CORK,
	ACT_UNCORK,
	ACT_SHUT,
	ACT_RESET,
	ACT_CLOSE,
};

struct attack_step {
	enum attack_act act;
	int flags; /* of send() */
	uint32_t at, size;
};

struct attack_domains {
	const char *allowed, *denied;
};

struct attack {
	uint64_t random;
	unsigned kind;
	bool shared; /* every second piece is sent by another thread */
	char name[ATTACK_NAME], hidden[ATTACK_NAME];

	/* how the bytes are cut, in percent of the pieces */
	unsigned urgent, pause, more;
	uint32_t pause_us;

	size_t len;
	unsigned n_steps;
	struct attack_step steps[ATTACK_STEPS];
	uint8_t bytes[ATTACK_BYTES];
};

/* Kinds are numbers from 0; NULL: there are no more. */
const char *attack_name(unsigned kind);
enum attack_server attack_server(unsigned kind);

/* only: of these kinds (bit 1 << kind). */
void attack_make(struct attack *a, uint64_t seed, uint64_t number, unsigned only,
		 const struct attack_domains *domains);
/* The next number of the attack's own source, below n. */
uint32_t attack_pick(struct attack *a, uint32_t n);

#endif
