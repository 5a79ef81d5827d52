/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Whether a server grants an Upgrade: its answer is 101. Other answers of one hundred and
 * something only come before the one that counts (RFC 9110 15.2).
 */
#ifndef SLUICE_SLOWPATH_ANSWER_H
#define SLUICE_SLOWPATH_ANSWER_H

#include <stddef.h>
#include <stdint.h>

enum answer_word { ANSWER_MORE, ANSWER_SWITCHES, ANSWER_STAYS };

/* All zero at first. */
struct answer {
	unsigned at;	 /* what comes next */
	unsigned status; /* digits so far */
};

/* The server's bytes in any pieces, until it does not say ANSWER_MORE. */
enum answer_word answer_feed(struct answer *a, const uint8_t *data, size_t len);

#endif
