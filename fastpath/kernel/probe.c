// SPDX-License-Identifier: GPL-2.0-or-later
// Whether this machine can run the kernel path, and if not, the one thing that is missing.
// bpftool's feature list covers too much. What counts is: the kernel version below which sockmap
// loses bytes, BTF, our capabilities, and a byte that went through the real program.
#include "fastpath/kernel/internal.h"
#include "fastpath/kernel/records.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/socket.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "common/cleanup.h"

#define VMLINUX_BTF "/sys/kernel/btf/vmlinux"

/* The versions in which the fixes for lost data and use-after-free in sockmap arrived. */
static const struct {
	unsigned major, minor, patch;
} floors[] = { { 6, 1, 191 }, { 6, 12, 113 }, { 6, 18, 0 } };

bool probe_floor(unsigned major, unsigned minor, unsigned patch)
{
	for (size_t i = 0; i < sizeof(floors) / sizeof(*floors); i++)
		if (floors[i].major == major && floors[i].minor == minor)
			return patch >= floors[i].patch;
	return major > 6 || (major == 6 && minor > 18);
}

bool probe_version(const char *release, const char *version, unsigned out[3])
{
	const char *debian = strstr(version, "Debian ");
	unsigned v[3] = { 0, 0, 0 };

	if (debian && sscanf(debian, "Debian %u.%u.%u", &v[0], &v[1], &v[2]) == 3)
		goto found;
	if (sscanf(release, "%u.%u.%u", &v[0], &v[1], &v[2]) < 2)
		return false;
found:
	memcpy(out, v, sizeof(v));
	return true;
}

static int probe_kernel(char *why, size_t why_len)
{
	struct utsname u;
	unsigned v[3];

	if (uname(&u) != 0 || !probe_version(u.release, u.version, v)) {
		snprintf(why, why_len, "the kernel does not say its version");
		return -ENOTSUP;
	}
	if (probe_floor(v[0], v[1], v[2]))
		return 0;
	snprintf(why, why_len,
		 "kernel %u.%u.%u is below the floor of 6.1.191, 6.12.113 or 6.18 (%s)", v[0], v[1],
		 v[2], u.release);
	return -ENOTSUP;
}

static int probe_capabilities(char *why, size_t why_len)
{
	static const struct {
		cap_value_t cap;
		const char *name;
	} needed[] = {
		{ CAP_BPF, "CAP_BPF" },
		{ CAP_PERFMON, "CAP_PERFMON" },
		{ CAP_NET_ADMIN, "CAP_NET_ADMIN" },
	};
	cap_t have = cap_get_proc();
	cap_flag_value_t set, admin = CAP_CLEAR;
	int err = 0;

	if (!have)
		return -errno;
	cap_get_flag(have, CAP_SYS_ADMIN, CAP_EFFECTIVE, &admin);
	for (size_t i = 0; i < sizeof(needed) / sizeof(*needed) && !err; i++) {
		if (cap_get_flag(have, needed[i].cap, CAP_EFFECTIVE, &set) == 0 && set == CAP_SET)
			continue;
		if (admin == CAP_SET && needed[i].cap != CAP_NET_ADMIN)
			continue;
		snprintf(why, why_len, "capability %s is missing", needed[i].name);
		err = -EPERM;
	}
	cap_free(have);
	return err;
}

int probe_machine(char *why, size_t why_len)
{
	int err = probe_kernel(why, why_len);

	if (!err)
		err = probe_capabilities(why, why_len);
	if (!err && access(VMLINUX_BTF, R_OK) != 0) {
		snprintf(why, why_len, "the kernel has no BTF (" VMLINUX_BTF ")");
		err = -ENOTSUP;
	}
	return err;
}

/* A connected pair of TCP sockets on loopback, of whichever family is available. */
static int tcp_pair(int pair[2])
{
	struct sockaddr_in a4 = { .sin_family = AF_INET,
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct sockaddr_in6 a6 = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT };
	struct sockaddr_storage at = { 0 };
	AUTO_FD int listener = -1;
	AUTO_FD int client = -1;
	socklen_t len = sizeof(a4);
	int fd;

	memcpy(&at, &a4, sizeof(a4));
	listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (listener < 0 || bind(listener, (struct sockaddr *)&at, len) != 0) {
		cleanup_fd(&listener);
		len = sizeof(a6);
		memcpy(&at, &a6, sizeof(a6));
		listener = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (listener < 0 || bind(listener, (struct sockaddr *)&at, len) != 0)
			return -errno;
	}
	if (listen(listener, 1) != 0 || getsockname(listener, (struct sockaddr *)&at, &len) != 0)
		return -errno;
	client = socket(at.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (client < 0 || connect(client, (struct sockaddr *)&at, len) != 0)
		return -errno;
	fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	if (fd < 0)
		return -errno;
	pair[0] = TAKE_FD(client);
	pair[1] = fd;
	return 0;
}

/* One byte that is neither TLS nor HTTP must be seen, counted and passed up. */
static int carry(struct fastpath *fp, uint32_t flow, int pair[2])
{
	struct flow *f = flow_record(fp, flow);
	char byte = 0;
	int err;

	if (send(pair[0], "\1", 1, 0) != 1)
		return -errno;
	err = flow_insert(fp, flow, SIDE_CLIENT, pair[1]);
	if (err)
		return err;
	flow_kick(pair[1]);
	if (recv(pair[1], &byte, 1, 0) != 1 || byte != 1)
		return -EIO;
	return flow_passed(f, SIDE_CLIENT) == 1 && flow_state(f) == FLOW_LOOK ? 0 : -EIO;
}

int probe_carry(struct fastpath *fp, char *why, size_t why_len)
{
	uint32_t flow = flow_take(fp, 0);
	struct timeval limit = { .tv_sec = 2 };
	int pair[2] = { -1, -1 };
	int err = flow == FLOW_NONE ? -ENOBUFS : tcp_pair(pair);

	if (!err) {
		setsockopt(pair[1], SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
		err = carry(fp, flow, pair);
	}
	cleanup_fd(&pair[0]);
	cleanup_fd(&pair[1]);
	if (flow != FLOW_NONE)
		flow_give_back(fp, 0, flow);
	if (err)
		snprintf(why, why_len, "a test connection did not go through the program: %s",
			 strerror(-err));
	return err;
}
