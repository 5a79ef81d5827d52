// SPDX-License-Identifier: GPL-2.0-or-later
// Any bytes as a hosts file: every word of it can be asked for, and the answer is of one family,
// of addresses that stand in the file.
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "slowpath/address/address.h"
#include "slowpath/dns/hosts.h"

#define ADDRESSES 4

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t ask(struct hosts *h, const char *name, int family, struct in6_addr *out)
{
	size_t n = hosts_find(h, 1, name, family, out, ADDRESSES);

	if (n > ADDRESSES)
		abort();
	for (size_t i = 1; i < n; i++)
		if (address_is_v4(&out[i]) != address_is_v4(&out[0]))
			abort();
	return n;
}

static void ask_both(struct hosts *h, const char *name)
{
	struct in6_addr v4[ADDRESSES], v6[ADDRESSES];
	size_t n4 = ask(h, name, AF_INET, v4), n6 = ask(h, name, AF_INET6, v6);

	if (!n4 != !n6)
		abort();
	/* the family not asked for is given only in want of the other */
	if (n4 && !address_is_v4(&v4[0]) && (n4 != n6 || memcmp(v4, v6, n4 * sizeof(*v4)) != 0))
		abort();
	if (n6 && address_is_v4(&v6[0]) && (n4 != n6 || memcmp(v4, v6, n4 * sizeof(*v4)) != 0))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int fd = memfd_create("hosts", MFD_CLOEXEC);
	char path[64], *text = strndup((const char *)data, size), *save = NULL;
	struct hosts *h;

	if (fd < 0 || !text || write(fd, data, size) != (ssize_t)size)
		abort();
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	h = hosts_new(path);
	if (!h)
		abort();
	ask_both(h, "localhost");
	for (char *word = strtok_r(text, " \t\r\n#", &save); word;
	     word = strtok_r(NULL, " \t\r\n#", &save))
		ask_both(h, word);
	hosts_free(h);
	close(fd);
	free(text);
	return 0;
}
