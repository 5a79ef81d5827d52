// SPDX-License-Identifier: GPL-2.0-or-later
// Any bytes as sluice.ini: read or refused with one line, and what is read can be compiled.
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "conf/ini.h"
#include "fastpath/policy/policy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char path[64], err[256] = "";
	int fd = memfd_create("ini", MFD_CLOEXEC);
	struct conf *conf;
	struct policy *p;

	if (fd < 0 || write(fd, data, size) != (ssize_t)size)
		abort();
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	conf = conf_read(path, err, sizeof(err));
	close(fd);
	if (!conf) {
		/* the file may be a list that the bytes happen to name */
		if (!strchr(err, ':') || strchr(err, '\n'))
			abort();
		return 0;
	}
	p = policy_new(conf, err, sizeof(err));
	if (!p)
		conf_free(conf);
	policy_unref(p);
	return 0;
}
