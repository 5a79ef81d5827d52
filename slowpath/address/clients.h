/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What makes a client when something is counted or shared by client, and how many connections each
 * one has open, for max_per_client. Any thread.
 *
 * A host has a whole IPv6 network to choose addresses from, so an IPv6 address counts by its first
 * client_prefix6 bits. A key is a type of its own, so that nothing which counts takes an address
 * by mistake. Who the policy speaks of, and what logs, flows and top show, is the address itself.
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

/* IPv4 (v4-mapped) whole, IPv6 by its first prefix6 bits, at most 128. */
struct client_key clients_key(const struct in6_addr *ip, unsigned prefix6);
/* Under a key that was drawn at random no client can choose with whom it shares a place. */
uint64_t clients_hash(const uint64_t secret[2], const struct client_key *key);

struct clients;

/* most: of them at a time, about. NULL: no memory. */
struct clients *clients_new(unsigned most);
void clients_free(struct clients *c);
/* Counts one more unless there are `max` already (or no memory): false then. */
bool clients_enter(struct clients *c, const struct client_key *key, unsigned max);
void clients_leave(struct clients *c, const struct client_key *key);
/* For tests: how many stand in the fullest place of the hash. */
size_t clients_most_in_a_bucket(const struct clients *c);

#endif
