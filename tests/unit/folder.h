/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A folder of one's own to write test files into, the current one until folder_leave(). */
#ifndef SLUICE_TESTS_UNIT_FOLDER_H
#define SLUICE_TESTS_UNIT_FOLDER_H

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char folder_path[] = "/tmp/sluice-test-XXXXXX";

static inline void folder_enter(void)
{
	if (!mkdtemp(folder_path) || chdir(folder_path) != 0) {
		perror(folder_path);
		exit(1);
	}
}

static inline void folder_write(const char *name, const void *bytes, size_t len)
{
	FILE *f = fopen(name, "w");

	if (!f || fwrite(bytes, 1, len, f) != len || fclose(f) != 0) {
		perror(name);
		exit(1);
	}
}

static inline void folder_text(const char *name, const char *text)
{
	folder_write(name, text, strlen(text));
}

static inline int folder_remove_one(const char *path, const struct stat *st, int kind,
				    struct FTW *ftw)
{
	(void)st;
	(void)kind;
	(void)ftw;
	return remove(path);
}

static inline void folder_leave(void)
{
	if (chdir("/") != 0 || nftw(folder_path, folder_remove_one, 8, FTW_DEPTH | FTW_PHYS) != 0)
		perror(folder_path);
}

#endif
