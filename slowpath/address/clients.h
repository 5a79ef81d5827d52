/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What counts as one client where something is counted or shared per client, and how many
 * connections each one has open, for max_per_client. Any thread.
 *
 * A host has a whole IPv6 network to choose addresses from, so only the first client_prefix6 bits
 * of an IPv6 address count. A key has a type of its own, so that no code that counts takes an
 * address by mistake. The policy, logs, flows and top use the full address.
 */
#ifndef SLUICE_SLOWPATH_ADDRESS_CLIENTS_H
#define SLUICE_SLOWPATH_ADDRESS_CLIENTS_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct client_key {
	uint8_t bytes[16];
};

/* IPv4 (v4-mapped) counts whole, IPv6 by its first prefix6 bits (at most 128). */
struct client_key clients_key(const struct in6_addr *ip, unsigned prefix6);
/* `secret` is drawn at random, so that no client can choose with which others it shares a
   bucket. */
uint64_t clients_hash(const uint64_t secret[2], const struct client_key *key);

struct clients;

/* most: roughly how many there may be at a time. NULL: no memory. */
struct clients *clients_new(unsigned most);
void clients_free(struct clients *c);
/* Counts one more connection. False, and nothing is counted, if there are `max` already or there is
   no memory. */
bool clients_enter(struct clients *c, const struct client_key *key, unsigned max);
void clients_leave(struct clients *c, const struct client_key *key);
/* For tests: how many entries the fullest bucket of the hash has. */
size_t clients_most_in_a_bucket(const struct clients *c);

#endif
