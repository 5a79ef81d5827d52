// SPDX-License-Identifier: GPL-2.0-or-later
// Copies a policy into the kernel's maps: into the generation that is not in force, checked
// against what was read, then one word is switched. No packet sees half a policy.
#include <bpf/bpf.h>
#include <errno.h>
#include <linux/membarrier.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "fastpath/fastpath.h"
#include "fastpath/policy.h"
#include "sluice.skel.h"

struct fill {
	int fd;
	size_t n;
};

static int put_name(void *ctx, uint64_t hash, const struct name_sets *sets)
{
	struct fill *f = ctx;

	f->n++;
	return bpf_map_update_elem(f->fd, &hash, sets, BPF_NOEXIST) != 0 ? -errno : 0;
}

static int put_decision(void *ctx, const struct rule_key *key, const struct rule_decision *d)
{
	struct fill *f = ctx;

	f->n++;
	return bpf_map_update_elem(f->fd, key, d, BPF_NOEXIST) != 0 ? -errno : 0;
}

static int same_name(void *ctx, uint64_t hash, const struct name_sets *sets)
{
	struct fill *f = ctx;
	struct name_sets there;

	f->n--;
	if (bpf_map_lookup_elem(f->fd, &hash, &there) != 0)
		return -errno;
	return memcmp(&there, sets, sizeof(there)) != 0 ? -EBADMSG : 0;
}

static int same_decision(void *ctx, const struct rule_key *key, const struct rule_decision *d)
{
	struct fill *f = ctx;
	struct rule_decision there;

	f->n--;
	if (bpf_map_lookup_elem(f->fd, key, &there) != 0)
		return -errno;
	return memcmp(&there, d, sizeof(there)) != 0 ? -EBADMSG : 0;
}

static uint32_t at_least_one(size_t n)
{
	return n ? (uint32_t)n : 1;
}

/* A new inner map with all names; its descriptor, or -errno. */
static int make_names(const struct policy *p)
{
	struct fill f = { .fd = bpf_map_create(BPF_MAP_TYPE_HASH, "sluice_names", sizeof(uint64_t),
					       sizeof(struct name_sets),
					       at_least_one(policy_names(p)), NULL) };
	int err;

	if (f.fd < 0)
		return f.fd;
	err = policy_each_name(p, put_name, &f);
	err = err ?: policy_each_name(p, same_name, &f);
	if (!err && f.n != 0)
		err = -EBADMSG;
	if (err)
		close(f.fd);
	return err ?: f.fd;
}

static int make_rules(const struct policy *p)
{
	struct fill f = { .fd = bpf_map_create(BPF_MAP_TYPE_HASH, "sluice_rules",
					       sizeof(struct rule_key), sizeof(struct rule_decision),
					       at_least_one(policy_decisions(p)), NULL) };
	int err;

	if (f.fd < 0)
		return f.fd;
	err = policy_each_decision(p, put_decision, &f);
	err = err ?: policy_each_decision(p, same_decision, &f);
	if (!err && f.n != 0)
		err = -EBADMSG;
	if (err)
		close(f.fd);
	return err ?: f.fd;
}

static void drop_slot(struct fastpath *fp, uint32_t slot)
{
	bpf_map_delete_elem(bpf_map__fd(fp->skel->maps.policy_names), &slot);
	bpf_map_delete_elem(bpf_map__fd(fp->skel->maps.policy_rules), &slot);
	if (fp->names_fd[slot] >= 0)
		close(fp->names_fd[slot]);
	if (fp->rules_fd[slot] >= 0)
		close(fp->rules_fd[slot]);
	fp->names_fd[slot] = fp->rules_fd[slot] = -1;
}

static int fill_slot(struct fastpath *fp, uint32_t slot, const struct policy *p)
{
	struct sluice_bpf *s = fp->skel;

	drop_slot(fp, slot);
	fp->names_fd[slot] = make_names(p);
	if (fp->names_fd[slot] < 0)
		return fp->names_fd[slot];
	fp->rules_fd[slot] = make_rules(p);
	if (fp->rules_fd[slot] < 0)
		return fp->rules_fd[slot];
	if (bpf_map_update_elem(bpf_map__fd(s->maps.policy_names), &slot, &fp->names_fd[slot], 0) ||
	    bpf_map_update_elem(bpf_map__fd(s->maps.policy_rules), &slot, &fp->rules_fd[slot], 0) ||
	    bpf_map_update_elem(bpf_map__fd(s->maps.policy_ports), &slot, policy_port_classes(p), 0) ||
	    bpf_map_update_elem(bpf_map__fd(s->maps.policy_heads), &slot, policy_head(p), 0))
		return -errno;
	return 0;
}

int fastpath_load_policy(struct fastpath *fp, const struct policy *p, char *why, size_t why_len)
{
	uint32_t old = fp->generation, zero = 0;
	uint32_t slot = old < POLICY_GENERATIONS ? !old : 0;
	struct policy_active active = { .generation = slot };
	int err = fill_slot(fp, slot, p);

	if (!err && bpf_map_update_elem(bpf_map__fd(fp->skel->maps.policy_active), &zero, &active, 0))
		err = -errno;
	if (err) {
		drop_slot(fp, slot);
		snprintf(why, why_len, "the policy does not go into the kernel: %s",
			 err == -EBADMSG ? "what is there is not what was read" : strerror(-err));
		return err;
	}
	fp->generation = slot;
	/* A program run that read the old number must be over before its maps go: it would find
	   nothing there and take that for "no rule". If the kernel cannot tell us, they stay
	   until the next load. */
	if (old < POLICY_GENERATIONS && syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0) == 0)
		drop_slot(fp, old);
	return 0;
}
