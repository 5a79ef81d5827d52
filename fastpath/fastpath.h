/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the files of fastpath/ share among themselves. */
#ifndef SLUICE_FASTPATH_FASTPATH_H
#define SLUICE_FASTPATH_FASTPATH_H

#include <pthread.h>
#include <stdint.h>
#include <sys/types.h>

#include "fastpath/flow.h"

#define PINNED_MAX 16

struct sluice_bpf;
struct ring_buffer;
struct worker_ring;

/* A record that was given back, and when. */
struct resting {
	uint32_t flow;
	uint64_t since_ms;
};

struct fastpath {
	struct sluice_bpf *skel;
	unsigned workers;
	struct worker_ring *rings;
	char *pin; /* folder our maps are pinned in, or NULL */
	char *user; /* whom we will be, or NULL */
	ino_t pinned[PINNED_MAX]; /* their files, once they are published */

	struct flow *records; /* shared with the program */
	size_t records_bytes;
	uint32_t capacity;
	uint64_t *lost; /* by worker, shared with the program */
	size_t lost_bytes;

	pthread_mutex_t pool_lock;
	struct resting *pool; /* a queue: oldest first */
	uint32_t pool_head, pool_len;
	uint32_t used; /* records that were ever taken */

	int names_fd[POLICY_GENERATIONS]; /* inner maps in the slots, or -1 */
	int rules_fd[POLICY_GENERATIONS];
	int filters_fd[POLICY_GENERATIONS];
	int changes_fd[POLICY_GENERATIONS];
	uint32_t generation; /* in force */
};

/* The running kernel, its BTF and our capabilities: 0, or -ENOTSUP/-EPERM and why. */
int probe_machine(char *why, size_t why_len);
/* Whether a kernel version is at or above the floor of its series. */
bool probe_floor(unsigned major, unsigned minor, unsigned patch);
/* The version that uname's two strings tell; Debian names the stable one in `version`. */
bool probe_version(const char *release, const char *version, unsigned out[3]);
/* Carries a byte through the program on loopback. 0, or -errno and why. */
int probe_carry(struct fastpath *fp, char *why, size_t why_len);

#endif
