// SPDX-License-Identifier: GPL-2.0-or-later
// Any bytes as a list of names: read or refused, and every name that is read is normalised and
// decided by its own rule, and stands on a line that is there.
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "conf/ini.h"
#include "fastpath/policy/policy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int memory_file(const void *bytes, size_t len)
{
	int fd = memfd_create("fuzz", MFD_CLOEXEC);

	if (fd < 0 || write(fd, bytes, len) != (ssize_t)len)
		abort();
	return fd;
}

static void check_names(const struct policy *p, uint32_t lines)
{
	const struct conf *c = policy_conf(p);
	uint8_t name[NAME_BUF];
	struct subject about;
	size_t len;

	for (size_t i = 0; i < c->rules[0].n_names; i++) {
		const struct conf_name *e = &c->rules[0].names[i];

		if (e->source != 1 || e->line < 1 || e->line > lines || e->text >= c->text_len)
			abort();
		len = strlen(c->text + e->text);
		if (len == 0 || len > NAME_MAX_LEN)
			abort();
		memset(name, 0, sizeof(name));
		memcpy(name, c->text + e->text, len);
		about = subject_name(name, len);
		if (e->kind != NAME_BELOW && policy_decide(p, 0, &about, 443).rule != 1)
			abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char ini[160], path[64], err[256] = "";
	int list = memory_file(data, size), fd;
	uint32_t lines = 1;
	struct conf *conf;
	struct policy *p;

	fd = memory_file(ini, (size_t)sprintf(ini,
					      "[listener a]\naddress = 127.0.0.1:1\n"
					      "[rule r]\nallow = file:/proc/self/fd/%d\n",
					      list));
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	conf = conf_read(path, err, sizeof(err));
	close(fd);
	close(list);
	if (!conf)
		return 0;
	p = policy_new(conf, err, sizeof(err));
	if (!p)
		abort();
	for (size_t i = 0; i < size; i++)
		lines += data[i] == '\n';
	check_names(p, lines);
	policy_unref(p);
	return 0;
}
