// SPDX-License-Identifier: GPL-2.0-or-later
// A hash of the addresses that have a connection open; an entry goes with its last one, so
// it is never larger than max_connections.
#include "slowpath/clients.h"

#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define BUCKETS 4096

struct client {
	struct client *next;
	struct in6_addr ip;
	unsigned open;
};

struct clients {
	pthread_mutex_t lock;
	uint64_t key;
	struct client *buckets[BUCKETS];
};

/* The key keeps a client from choosing the bucket of others. */
static struct client **bucket(struct clients *c, const struct in6_addr *ip)
{
	uint64_t half[2], h;

	memcpy(half, ip, sizeof(half));
	h = (half[0] ^ c->key) * 0x9e3779b97f4a7c15ULL;
	h = ((h ^ h >> 29) ^ half[1]) * 0xbf58476d1ce4e5b9ULL;
	return &c->buckets[(h >> 40) % BUCKETS];
}

static struct client **find(struct clients *c, const struct in6_addr *ip)
{
	struct client **at = bucket(c, ip);

	while (*at && memcmp(&(*at)->ip, ip, sizeof(*ip)) != 0)
		at = &(*at)->next;
	return at;
}

struct clients *clients_new(void)
{
	struct clients *c = calloc(1, sizeof(*c));

	if (c && getrandom(&c->key, sizeof(c->key), 0) != sizeof(c->key)) {
		free(c);
		return NULL;
	}
	if (c)
		pthread_mutex_init(&c->lock, NULL);
	return c;
}

void clients_free(struct clients *c)
{
	if (!c)
		return;
	for (size_t i = 0; i < BUCKETS; i++)
		for (struct client *at = c->buckets[i], *next; at; at = next) {
			next = at->next;
			free(at);
		}
	pthread_mutex_destroy(&c->lock);
	free(c);
}

bool clients_enter(struct clients *c, const struct in6_addr *ip, unsigned max)
{
	struct client **at, *one;
	bool ok;

	pthread_mutex_lock(&c->lock);
	at = find(c, ip);
	if (!*at && (one = calloc(1, sizeof(*one)))) {
		one->ip = *ip;
		*at = one;
	}
	ok = *at && (*at)->open < max;
	if (ok)
		(*at)->open++;
	pthread_mutex_unlock(&c->lock);
	return ok;
}

void clients_leave(struct clients *c, const struct in6_addr *ip)
{
	struct client **at, *one;

	pthread_mutex_lock(&c->lock);
	at = find(c, ip);
	one = *at;
	if (one && --one->open == 0) {
		*at = one->next;
		free(one);
	}
	pthread_mutex_unlock(&c->lock);
}
