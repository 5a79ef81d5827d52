// SPDX-License-Identifier: GPL-2.0-or-later
// Copies a policy into the kernel's maps: into the generation that is not in force, checked
// against what was read, then one word is switched. No packet sees half a policy.
#include <bpf/bpf.h>
#include <errno.h>
#include <linux/membarrier.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "fastpath/kernel/internal.h"
#include "fastpath/policy/policy.h"
#include "fastpath/policy/table.h"
#include "sluice.skel.h"

#define BATCH 1024   /* buckets compared in one go */
#define SAMPLES 1024 /* names that the program is asked about */
#define ASK_TRIES 1000
#define ASKED_GROUPS 2 /* each as a client of all, and as one of the last group */

/* ---- a table ---- */

static int fill(int fd, const struct bucket *at, uint32_t n)
{
	size_t len = n * sizeof(*at);
	void *there = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (there == MAP_FAILED)
		return -errno;
	memcpy(there, at, len);
	munmap(there, len);
	return 0;
}

/* Compares every bucket, as the kernel gives it back. -EBADMSG: one is not what was read. */
static int compare(int fd, const struct bucket *at, uint32_t n)
{
	AUTO_FREE struct bucket *got = malloc(BATCH * sizeof(*got));
	AUTO_FREE uint32_t *keys = malloc(BATCH * sizeof(*keys));
	uint32_t in = 0, out = 0, seen = 0, count;
	int err = 0;

	if (!got || !keys)
		return -ENOMEM;
	while (seen < n && !err) {
		count = BATCH;
		err = bpf_map_lookup_batch(fd, seen ? &in : NULL, &out, keys, got, &count, NULL);
		if (err && errno == ENOENT) /* the last ones */
			err = 0;
		if (err)
			return -errno;
		if (count == 0 || count > n - seen)
			return -EBADMSG;
		for (uint32_t i = 0; i < count && !err; i++)
			if (keys[i] != seen + i || memcmp(&got[i], &at[seen + i], sizeof(*at)) != 0)
				err = -EBADMSG;
		seen += count;
		in = out;
	}
	return err;
}

/* A new inner map that holds this table and takes no other writes; its descriptor, or -errno. */
static int make_table(const char *name, const struct bucket *at, uint32_t n)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = BPF_F_INNER_MAP | BPF_F_MMAPABLE);
	AUTO_FD int fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, name, sizeof(uint32_t),
					sizeof(struct bucket), n, &opts);
	int err;

	if (fd < 0)
		return -errno;
	err = fill(fd, at, n);
	if (!err && bpf_map_freeze(fd) != 0)
		err = -errno;
	err = err ?: compare(fd, at, n);
	return err ?: TAKE_FD(fd);
}

static int put_table(const struct bpf_map *outer, uint32_t slot, int *kept, int fd)
{
	if (fd < 0)
		return fd;
	if (bpf_map_update_elem(bpf_map__fd(outer), &slot, &fd, 0) != 0) {
		int err = -errno;

		close(fd);
		return err;
	}
	if (*kept >= 0)
		close(*kept);
	*kept = fd;
	return 0;
}

static void drop_table(const struct bpf_map *outer, uint32_t slot, int *kept)
{
	if (*kept < 0)
		return;
	bpf_map_delete_elem(bpf_map__fd(outer), &slot);
	close(*kept);
	*kept = -1;
}

/* ---- a generation ---- */

static void drop_slot(struct fastpath *fp, uint32_t slot)
{
	drop_table(fp->skel->maps.policy_names, slot, &fp->names_fd[slot]);
	drop_table(fp->skel->maps.policy_rules, slot, &fp->rules_fd[slot]);
	drop_table(fp->skel->maps.policy_filters, slot, &fp->filters_fd[slot]);
	drop_table(fp->skel->maps.policy_changes, slot, &fp->changes_fd[slot]);
}

static int fill_changes(struct fastpath *fp, uint32_t slot, const struct policy *p)
{
	const struct bucket *at = policy_changes_table(p);

	if (!at) {
		drop_table(fp->skel->maps.policy_changes, slot, &fp->changes_fd[slot]);
		return 0;
	}
	return put_table(fp->skel->maps.policy_changes, slot, &fp->changes_fd[slot],
			 make_table("sluice_changes", at, CHANGES_BUCKETS));
}

static int fill_slot(struct fastpath *fp, uint32_t slot, const struct policy *p)
{
	const struct table *names = policy_names_table(p), *rules = policy_rules_table(p);
	const struct filter *filter = policy_filter(p);
	struct sluice_bpf *s = fp->skel;
	int err;

	drop_slot(fp, slot);
	err = put_table(s->maps.policy_names, slot, &fp->names_fd[slot],
			make_table("sluice_names", names->at, names->n_buckets));
	err = err   ?:
		      put_table(s->maps.policy_rules, slot, &fp->rules_fd[slot],
				make_table("sluice_rules", rules->at, rules->n_buckets));
	err = err   ?:
		      put_table(s->maps.policy_filters, slot, &fp->filters_fd[slot],
				make_table("sluice_filter", (const struct bucket *)filter->at,
					   filter->n_blocks));
	err = err ?: fill_changes(fp, slot, p);
	if (err)
		return err;
	if (bpf_map_update_elem(bpf_map__fd(s->maps.policy_ports), &slot, policy_port_classes(p),
				0) ||
	    bpf_map_update_elem(bpf_map__fd(s->maps.policy_heads), &slot, policy_head(p), 0))
		return -errno;
	return 0;
}

/* ---- the check ---- */

static int compare_scalars(struct fastpath *fp, uint32_t slot, const struct policy *p)
{
	AUTO_FREE uint16_t *ports = malloc(sizeof(uint16_t) << 16);
	struct policy_head head;

	if (!ports)
		return -ENOMEM;
	if (bpf_map_lookup_elem(bpf_map__fd(fp->skel->maps.policy_heads), &slot, &head) != 0 ||
	    bpf_map_lookup_elem(bpf_map__fd(fp->skel->maps.policy_ports), &slot, ports) != 0)
		return -errno;
	return memcmp(&head, policy_head(p), sizeof(head)) != 0 ||
			       memcmp(ports, policy_port_classes(p), sizeof(uint16_t) << 16) != 0 ?
		       -EBADMSG :
		       0;
}

/* What the program itself answers for a name, from its own maps; in the form of sluice_ask(). */
static int ask_program(struct fastpath *fp, uint32_t slot, uint32_t group, const char *name,
		       uint16_t port, uint32_t *answer)
{
	struct {
		struct policy_question q;
		uint8_t name[NAME_BUF];
	} packet = { .q = { .generation = slot, .group = group, .port = port } };
	LIBBPF_OPTS(bpf_test_run_opts, run, .data_in = &packet, .data_size_in = sizeof(packet));

	packet.q.len = (uint32_t)strlen(name);
	memcpy(packet.name, name, packet.q.len);
	if (bpf_prog_test_run_opts(bpf_program__fd(fp->skel->progs.sluice_ask), &run) != 0)
		return -errno;
	if (run.retval == UINT32_MAX)
		return -EBUSY;
	*answer = run.retval;
	return 0;
}

/* Every scratch of a CPU may be taken for a moment. */
static int ask_patiently(struct fastpath *fp, uint32_t slot, uint32_t group, const char *name,
			 uint16_t port, uint32_t *answer)
{
	int err = -EBUSY;

	for (int i = 0; i < ASK_TRIES && err == -EBUSY; i++) {
		if (i)
			sched_yield();
		err = ask_program(fp, slot, group, name, port, answer);
	}
	return err;
}

static uint32_t expected(const struct policy *p, uint32_t group, const char *name, uint16_t port)
{
	struct subject about = subject_name(name, strlen(name));
	struct policy_verdict v = policy_decide(p, group, &about, port);
	uint32_t word = v.allow ? VERDICT_ALLOW : v.report ? VERDICT_REPORT : VERDICT_DENY;

	return v.rule << 2 | word;
}

/* Asks for a name as written, and for one below it; each as a client of `all`, and as one of the
   last group. */
static int check_name(struct fastpath *fp, uint32_t slot, const struct policy *p, const char *name)
{
	uint32_t last = (uint32_t)policy_conf(p)->n_groups - 1, answer = 0;
	char below[NAME_BUF + 2];
	int err = 0;

	snprintf(below, sizeof(below), "x.%s", name);
	for (uint32_t i = 0; i < ASKED_GROUPS * 2 && !err; i++) {
		const char *asked = i & 1 && strlen(below) <= NAME_MAX_LEN ? below : name;
		uint32_t group = i & 2 ? last : GROUP_ALL;

		err = ask_patiently(fp, slot, group, asked, 443, &answer);
		if (!err && answer != expected(p, group, asked, 443))
			err = -EBADMSG;
	}
	return err;
}

/* Asks for names of every rule, evenly, and for one that no list has. */
static int check_samples(struct fastpath *fp, uint32_t slot, const struct policy *p)
{
	const struct conf *c = policy_conf(p);
	size_t n = 0, step, at = 0;
	int err = check_name(fp, slot, p, "invalid");

	for (size_t i = 0; i < c->n_rules; i++)
		n += c->rules[i].n_names;
	step = n / SAMPLES + 1;
	for (size_t i = 0; i < c->n_rules; i++) {
		const struct conf_rule *rule = &c->rules[i];

		for (; at < rule->n_names && !err; at += step)
			err = check_name(fp, slot, p, c->text + rule->names[at].text);
		at -= rule->n_names < at ? rule->n_names : at;
	}
	return err;
}

static int check_slot(struct fastpath *fp, uint32_t slot, const struct policy *p)
{
	int err = compare_scalars(fp, slot, p);

	return err ?: check_samples(fp, slot, p);
}

/* ---- in force ---- */

static int trouble(int err, char *why, size_t why_len)
{
	snprintf(why, why_len, "the policy does not go into the kernel: %s",
		 err == -EBADMSG ? "what is there is not what was read" : strerror(-err));
	return err;
}

int fastpath_prepare(struct fastpath *fp, const struct policy *p, char *why, size_t why_len)
{
	uint32_t slot = fp->generation < POLICY_GENERATIONS ? !fp->generation : 0;
	int err = fill_slot(fp, slot, p);

	err = err ?: check_slot(fp, slot, p);
	if (!err)
		return 0;
	drop_slot(fp, slot);
	return trouble(err, why, why_len);
}

int fastpath_switch(struct fastpath *fp, const struct policy *p, char *why, size_t why_len)
{
	uint32_t old = fp->generation, zero = 0;
	uint32_t slot = old < POLICY_GENERATIONS ? !old : 0;
	struct policy_active active = { .generation = slot };
	int err = fill_changes(fp, slot, p);

	if (!err &&
	    bpf_map_update_elem(bpf_map__fd(fp->skel->maps.policy_active), &zero, &active, 0))
		err = -errno;
	if (err) {
		drop_slot(fp, slot);
		return trouble(err, why, why_len);
	}
	fp->generation = slot;
	/* A program run that read the old number must be over before its maps go: it would find
	   nothing there, and leave the client to user space. If the kernel cannot tell us (with
	   nohz_full it does not), the maps stay until the next load. */
	if (old < POLICY_GENERATIONS && syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0) == 0)
		drop_slot(fp, old);
	return 0;
}

int fastpath_load_policy(struct fastpath *fp, const struct policy *p, char *why, size_t why_len)
{
	int err = fastpath_prepare(fp, p, why, why_len);

	return err ?: fastpath_switch(fp, p, why, why_len);
}

int fastpath_load_changes(struct fastpath *fp, const struct policy *p, char *why, size_t why_len)
{
	size_t n;
	const struct policy_change *c = policy_changes(p, &n);
	int err = fill_changes(fp, fp->generation, p);

	for (size_t i = 0; i < n && !err; i++)
		err = check_name(fp, fp->generation, p, c[i].name);
	return err ? trouble(err, why, why_len) : 0;
}
