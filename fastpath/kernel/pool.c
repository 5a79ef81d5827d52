// SPDX-License-Identifier: GPL-2.0-or-later
// Free records are shared, under a lock; resting ones belong to one worker, which needs no lock.
#include "fastpath/kernel/pool.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void push(struct pool *p, struct pool_queue *q, uint32_t record)
{
	p->links[record].next = POOL_NONE;
	if (q->len++)
		p->links[q->tail].next = record;
	else
		q->head = record;
	q->tail = record;
}

static uint32_t pop(struct pool *p, struct pool_queue *q)
{
	uint32_t record = q->head;

	q->head = p->links[record].next;
	q->len--;
	return record;
}

/* Frees all records from `first` to `last`, which are already linked. */
static void set_free(struct pool *p, uint32_t first, uint32_t last)
{
	pthread_mutex_lock(&p->lock);
	p->links[last].next = p->free;
	p->free = first;
	pthread_mutex_unlock(&p->lock);
}

int pool_open(struct pool *p, uint32_t capacity, unsigned workers)
{
	memset(p, 0, sizeof(*p));
	pthread_mutex_init(&p->lock, NULL);
	p->capacity = capacity;
	p->free = POOL_NONE;
	p->links = calloc(capacity, sizeof(*p->links));
	p->workers = calloc(workers, sizeof(*p->workers));
	return p->links && p->workers ? 0 : -ENOMEM;
}

void pool_close(struct pool *p)
{
	free(p->links);
	free(p->workers);
	pthread_mutex_destroy(&p->lock);
}

uint32_t pool_take(struct pool *p)
{
	uint32_t record = POOL_NONE;

	pthread_mutex_lock(&p->lock);
	if (p->free != POOL_NONE) {
		record = p->free;
		p->free = p->links[record].next;
	} else if (p->used < p->capacity) {
		record = p->used++;
	}
	pthread_mutex_unlock(&p->lock);
	if (record != POOL_NONE)
		p->lent++;
	return record;
}

size_t pool_lent(const struct pool *p)
{
	return p->lent;
}

void pool_returned(struct pool *p)
{
	p->lent--;
}

void pool_rest(struct pool *p, unsigned worker, uint32_t record, uint64_t until)
{
	p->links[record].until = until;
	push(p, &p->workers[worker].resting, record);
}

void pool_passed(struct pool *p, unsigned worker, uint64_t position)
{
	struct pool_queue *q = &p->workers[worker].resting;
	uint32_t first = q->head, last = POOL_NONE;

	while (q->len && p->links[q->head].until <= position)
		last = pop(p, q);
	if (last != POOL_NONE)
		set_free(p, first, last);
}

void pool_linger(struct pool *p, unsigned worker, uint32_t record)
{
	push(p, &p->workers[worker].lingering, record);
}

uint32_t pool_lingering(const struct pool *p, unsigned worker)
{
	return p->workers[worker].lingering.len;
}

uint32_t pool_next_lingering(struct pool *p, unsigned worker)
{
	return pop(p, &p->workers[worker].lingering);
}
