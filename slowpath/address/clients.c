// SPDX-License-Identifier: GPL-2.0-or-later
// A hash of the clients that have a connection open. An entry goes when its last connection does,
// so the hash is never larger than max_connections.
#include "slowpath/address/clients.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "bpf/wire/hash.h"
#include "conf/conf.h"

#define BUCKETS_MIN 4096

struct client {
	struct client *next;
	struct client_key key;
	unsigned open;
};

struct clients {
	pthread_mutex_t lock;
	uint64_t secret[2];
	size_t n_buckets; /* a power of two */
	struct client *buckets[];
};

struct client_key clients_key(const struct in6_addr *ip, unsigned prefix6)
{
	struct client_key key = { { 0 } };
	unsigned bits = IN6_IS_ADDR_V4MAPPED(ip) ? 128 : prefix6;

	memcpy(key.bytes, ip, sizeof(key.bytes));
	cidr_mask(key.bytes, bits);
	return key;
}

uint64_t clients_hash(const uint64_t secret[2], const struct client_key *key)
{
	struct sip s;

	sip_init(&s, secret[0], secret[1]);
	for (size_t i = 0; i < sizeof(key->bytes); i++)
		sip_byte(&s, key->bytes[i]);
	return sip_value(&s);
}

static struct client **find(struct clients *c, const struct client_key *key)
{
	struct client **at = &c->buckets[clients_hash(c->secret, key) & (c->n_buckets - 1)];

	while (*at && memcmp(&(*at)->key, key, sizeof(*key)) != 0)
		at = &(*at)->next;
	return at;
}

struct clients *clients_new(unsigned most)
{
	size_t n = BUCKETS_MIN;
	struct clients *c;

	while (n < most)
		n *= 2;
	c = calloc(1, sizeof(*c) + n * sizeof(c->buckets[0]));
	if (!c)
		return NULL;
	c->n_buckets = n;
	if (getrandom(c->secret, sizeof(c->secret), 0) != sizeof(c->secret)) {
		free(c);
		return NULL;
	}
	pthread_mutex_init(&c->lock, NULL);
	return c;
}

void clients_free(struct clients *c)
{
	if (!c)
		return;
	for (size_t i = 0; i < c->n_buckets; i++)
		for (struct client *at = c->buckets[i], *next; at; at = next) {
			next = at->next;
			free(at);
		}
	pthread_mutex_destroy(&c->lock);
	free(c);
}

bool clients_enter(struct clients *c, const struct client_key *key, unsigned max)
{
	struct client **at, *one;
	bool ok;

	pthread_mutex_lock(&c->lock);
	at = find(c, key);
	if (!*at && (one = calloc(1, sizeof(*one)))) {
		one->key = *key;
		*at = one;
	}
	ok = *at && (*at)->open < max;
	if (ok)
		(*at)->open++;
	pthread_mutex_unlock(&c->lock);
	return ok;
}

void clients_leave(struct clients *c, const struct client_key *key)
{
	struct client **at, *one;

	pthread_mutex_lock(&c->lock);
	at = find(c, key);
	one = *at;
	if (one && --one->open == 0) {
		*at = one->next;
		free(one);
	}
	pthread_mutex_unlock(&c->lock);
}

size_t clients_most_in_a_bucket(const struct clients *c)
{
	size_t most = 0;

	for (size_t i = 0; i < c->n_buckets; i++) {
		size_t n = 0;

		for (const struct client *at = c->buckets[i]; at; at = at->next)
			n++;
		most = n > most ? n : most;
	}
	return most;
}
