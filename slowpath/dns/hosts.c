// SPDX-License-Identifier: GPL-2.0-or-later
// evdns uses a hosts file only in evdns_getaddrinfo(), which has no TTL, so the file is read here.
// It is kept as a sorted array, because it is read seldom and queried often.
#include "slowpath/dns/hosts.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "bpf/abi/name.h"
#include "common/cleanup.h"
#include "conf/stamp.h"
#include "slowpath/address/address.h"

#define LOOK_EVERY_MS 1000

struct host {
	char *name;
	struct in6_addr ip;
	size_t order; /* in the file */
};

struct hosts {
	char *path;
	bool looked;
	uint64_t looked_ms;
	struct stamp seen; /* of the file when it was read; ino 0: not there */
	struct host *at;
	size_t n, room;
};

static void forget(struct hosts *h)
{
	for (size_t i = 0; i < h->n; i++)
		free(h->at[i].name);
	free(h->at);
	h->at = NULL;
	h->n = h->room = 0;
}

/* Without memory the entry is left out. */
static void add(struct hosts *h, const char *name, size_t len, const struct in6_addr *ip)
{
	char *copy;

	if (h->n == h->room) {
		size_t room = h->room ? h->room * 2 : 16;
		struct host *at = reallocarray(h->at, room, sizeof(*at));

		if (!at)
			return;
		h->at = at;
		h->room = room;
	}
	copy = strndup(name, len);
	if (!copy)
		return;
	for (char *p = copy; *p; p++)
		*p = (char)tolower((unsigned char)*p);
	h->at[h->n] = (struct host){ .name = copy, .ip = *ip, .order = h->n };
	h->n++;
}

static bool parse_address(const char *text, struct in6_addr *out)
{
	return address_literal(text, strlen(text), out) == 0 || inet_pton(AF_INET6, text, out) == 1;
}

static void parse_line(struct hosts *h, char *line)
{
	static const char blanks[] = " \t\r\n";
	char *save = NULL, *word;
	struct in6_addr ip;

	line[strcspn(line, "#")] = '\0';
	word = strtok_r(line, blanks, &save);
	if (!word || !parse_address(word, &ip))
		return;
	while ((word = strtok_r(NULL, blanks, &save))) {
		size_t len = strlen(word);

		if (word[len - 1] == '.')
			len--;
		if (len > 0 && len <= NAME_MAX_LEN)
			add(h, word, len, &ip);
	}
}

static int compare(const void *a, const void *b)
{
	const struct host *x = a, *y = b;
	int order = strcmp(x->name, y->name);

	return order ? order : (x->order > y->order) - (x->order < y->order);
}

static void read_file(struct hosts *h, int fd)
{
	AUTO_FILE FILE *f = fdopen(fd, "r");
	AUTO_FREE char *line = NULL;
	size_t size = 0;

	if (!f) {
		close(fd);
		return;
	}
	while (getline(&line, &size, f) >= 0)
		parse_line(h, line);
	if (h->n > 1)
		qsort(h->at, h->n, sizeof(*h->at), compare);
}

static void look(struct hosts *h)
{
	AUTO_FD int fd = -1;
	struct stat st = { 0 };
	struct stamp now;

	if (h->path[0] == '\0')
		return;
	if (stat(h->path, &st) == 0) {
		now = stamp_of(&st);
		if (stamp_same(&now, &h->seen))
			return;
	}
	forget(h);
	memset(&h->seen, 0, sizeof(h->seen));
	fd = open(h->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0 || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
		return;
	h->seen = stamp_of(&st);
	read_file(h, TAKE_FD(fd));
}

struct hosts *hosts_new(const char *path)
{
	struct hosts *h = calloc(1, sizeof(*h));

	if (!h)
		return NULL;
	h->path = strdup(path ? path : "");
	if (!h->path) {
		free(h);
		return NULL;
	}
	return h;
}

void hosts_free(struct hosts *h)
{
	if (!h)
		return;
	forget(h);
	free(h->path);
	free(h);
}

/* The first entry not before the name. */
static size_t lower_bound(const struct hosts *h, const char *name)
{
	size_t low = 0, high = h->n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (strcmp(h->at[mid].name, name) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static size_t take(const struct hosts *h, size_t first, bool v4, struct in6_addr *out, size_t max)
{
	size_t n = 0;

	for (size_t i = first; i < h->n && n < max; i++) {
		if (strcmp(h->at[i].name, h->at[first].name) != 0)
			break;
		if (address_is_v4(&h->at[i].ip) == v4)
			out[n++] = h->at[i].ip;
	}
	return n;
}

size_t hosts_find(struct hosts *h, uint64_t now_ms, const char *name, int family,
		  struct in6_addr *out, size_t max)
{
	size_t first, n;

	if (!h->looked || now_ms - h->looked_ms >= LOOK_EVERY_MS) {
		h->looked = true;
		h->looked_ms = now_ms;
		look(h);
	}
	first = lower_bound(h, name);
	if (first == h->n || strcmp(h->at[first].name, name) != 0)
		return 0;
	n = take(h, first, family == AF_INET, out, max);
	return n ? n : take(h, first, family != AF_INET, out, max);
}
