// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Makes a race certain, or nearly (hold.bpf.c):
 *   hold OBJECT PID LISTENER
 * of the daemon. Says "ready", then reads commands:
 *   arm PORT    the flight that comes from there, with an urgent byte, is held; says "armed"
 *   met         says how many flights were held until the daemon had looked
 * Ends with its standard input.
 */
#include "tests/net/hold.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const __u32 zero;

static _Noreturn void die(const char *what)
{
	fprintf(stderr, "hold: %s: %s\n", what, strerror(errno));
	exit(2);
}

static void attach(struct bpf_object *object, const char *name)
{
	struct bpf_program *p = bpf_object__find_program_by_name(object, name);

	if (!p || !bpf_program__attach(p))
		die(name);
}

/* The file descriptor of its map. */
static int load(const char *path)
{
	struct bpf_object *object = bpf_object__open_file(path, NULL);
	struct bpf_map *map;

	if (!object || bpf_object__load(object) != 0)
		die(path);
	attach(object, "hold_data");
	attach(object, "hold_told");
	map = bpf_object__find_map_by_name(object, "holds");
	if (!map)
		die("holds");
	return bpf_map__fd(map);
}

static void arm(const char *port, int map, char **argv)
{
	struct stat pids;
	struct hold h;

	if (bpf_map_lookup_elem(map, &zero, &h) != 0)
		die("holds");
	if (stat("/proc/self/ns/pid", &pids) != 0)
		die("/proc/self/ns/pid");
	h = (struct hold){
		.pids_dev = pids.st_dev,
		.pids_ino = pids.st_ino,
		.pid = (__u32)atoi(argv[2]),
		.ports.client = htons((uint16_t)atoi(port)),
		.ports.listener = (__u16)atoi(argv[3]),
		.armed = 1,
		.met = h.met,
	};
	if (bpf_map_update_elem(map, &zero, &h, BPF_ANY) != 0)
		die("holds");
	puts("armed");
}

static void tell(int map)
{
	struct hold h;

	if (bpf_map_lookup_elem(map, &zero, &h) != 0)
		die("holds");
	printf("%u\n", h.met);
}

int main(int argc, char **argv)
{
	char line[32];
	int map;

	if (argc != 4) {
		fputs("usage: hold OBJECT PID LISTENER\n", stderr);
		return 2;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	map = load(argv[1]);
	puts("ready");
	while (fgets(line, sizeof(line), stdin)) {
		if (strncmp(line, "arm ", 4) == 0)
			arm(line + 4, map, argv);
		else
			tell(map);
	}
	return 0;
}
