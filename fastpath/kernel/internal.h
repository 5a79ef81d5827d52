/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the files of fastpath/kernel/ share among themselves. */
#ifndef SLUICE_FASTPATH_KERNEL_INTERNAL_H
#define SLUICE_FASTPATH_KERNEL_INTERNAL_H

#include <pthread.h>
#include <stdint.h>
#include <sys/types.h>

#include "bpf/abi/policy.h"
#include "fastpath/kernel/fastpath.h"
#include "fastpath/kernel/pool.h"

#define PINNED_MAX 16

struct sluice_bpf;
struct ring_buffer;
struct flow;
struct worker_ring;

struct fastpath {
	struct sluice_bpf *skel;
	unsigned workers;
	struct worker_ring *rings;
	char *pin;		  /* folder in which our maps are pinned, or NULL */
	char *user;		  /* the user we will become, or NULL */
	ino_t pinned[PINNED_MAX]; /* inodes of the pins, once published */

	struct flow *records; /* shared with the program */
	size_t records_bytes;
	uint32_t capacity;
	uint64_t *lost; /* by worker, shared with the program */
	size_t lost_bytes;

	struct pool pool; /* of record numbers */

	int names_fd[POLICY_GENERATIONS]; /* inner maps in the slots, or -1 */
	int rules_fd[POLICY_GENERATIONS];
	int filters_fd[POLICY_GENERATIONS];
	int changes_fd[POLICY_GENERATIONS];
	uint32_t generation; /* in force */
};

/* Positions in a worker's ring, in bytes that went through it: where the next event will be
   written, and up to where the ring has been read. */
uint64_t ring_written(const struct fastpath *fp, unsigned worker);
uint64_t ring_read(const struct fastpath *fp, unsigned worker);

/* The running kernel, its BTF and our capabilities: 0, or -ENOTSUP or -EPERM and why. */
int probe_machine(char *why, size_t why_len);
/* Whether a kernel version is at or above the floor of its series. */
bool probe_floor(unsigned major, unsigned minor, unsigned patch);
/* The version, from the two strings of uname(); Debian gives the stable one in `version`. */
bool probe_version(const char *release, const char *version, unsigned out[3]);
/* Carries a byte through the program on loopback. 0, or -errno and why. */
int probe_carry(struct fastpath *fp, char *why, size_t why_len);

#endif
