// SPDX-License-Identifier: GPL-2.0-or-later
// Plants a difference between what sluiced read and what is in the kernel, where a bug, a bad chip
// or another loader would: LD_PRELOADed, it changes one used slot of a table when the daemon
// freezes it. PLANT says which: the name of the map, and "word" or "key".
#include <bpf/bpf.h>
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bpf/abi/policy.h"

static int is_wanted(int fd, const char *name, struct bpf_map_info *info)
{
	uint32_t len = sizeof(*info);

	memset(info, 0, sizeof(*info));
	return bpf_obj_get_info_by_fd(fd, info, &len) == 0 && strcmp(info->name, name) == 0;
}

/* Of the first slot in use. */
static void change(int fd, uint32_t buckets, int key)
{
	struct bucket b;

	for (uint32_t i = 0; i < buckets; i++) {
		if (bpf_map_lookup_elem(fd, &i, &b) != 0)
			abort();
		for (int k = 0; k < BUCKET_SLOTS; k++) {
			if (b.at[k].key == 0)
				continue;
			if (key)
				b.at[k].key ^= 1;
			else
				b.at[k].value.b ^= VERDICT_ALLOW ^ VERDICT_DENY;
			if (bpf_map_update_elem(fd, &i, &b, 0) != 0)
				abort();
			fputs("plant: a slot is changed\n", stderr);
			return;
		}
	}
}

int bpf_map_freeze(int fd)
{
	int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, "bpf_map_freeze");
	const char *what = getenv("PLANT");
	struct bpf_map_info info;
	char map[32], where[8];

	if (!real || !what || sscanf(what, "%31s %7s", map, where) != 2)
		abort();
	if (is_wanted(fd, map, &info))
		change(fd, info.max_entries, strcmp(where, "key") == 0);
	return real(fd);
}
