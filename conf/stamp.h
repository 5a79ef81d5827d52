/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Identifies a file and its last change: equal stamps mean equal content. */
#ifndef SLUICE_CONF_STAMP_H
#define SLUICE_CONF_STAMP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

struct stamp {
	bool regular; /* nothing is known of other files, and nothing is compared */
	dev_t dev;
	ino_t ino;
	off_t size;
	struct timespec written, changed; /* mtime, ctime */
};

static inline struct stamp stamp_of(const struct stat *st)
{
	return (struct stamp){ .regular = S_ISREG(st->st_mode),
			       .dev = st->st_dev,
			       .ino = st->st_ino,
			       .size = st->st_size,
			       .written = st->st_mtim,
			       .changed = st->st_ctim };
}

static inline bool stamp_same_file(const struct stamp *a, const struct stamp *b)
{
	return a->dev == b->dev && a->ino == b->ino;
}

static inline bool stamp_same(const struct stamp *a, const struct stamp *b)
{
	return stamp_same_file(a, b) && a->size == b->size &&
	       a->written.tv_sec == b->written.tv_sec && a->written.tv_nsec == b->written.tv_nsec &&
	       a->changed.tv_sec == b->changed.tv_sec && a->changed.tv_nsec == b->changed.tv_nsec;
}

#endif
