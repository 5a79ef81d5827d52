// SPDX-License-Identifier: GPL-2.0-or-later
// A fuzzer's harness without the fuzzer: feeds it every file named, and every file below every
// folder named; libFuzzer's options are not for it. Finding none at all is a failure.
#include <ftw.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max);

static unsigned replayed;

static int feed(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
	size_t len = (size_t)st->st_size;
	uint8_t *bytes;
	FILE *f;

	(void)ftw;
	if (kind != FTW_F)
		return kind == FTW_D ? 0 : -1;
	bytes = malloc(len ? len : 1); /* its own size, so that ASan sees one byte too far */
	f = fopen(path, "r");
	if (!bytes || !f || fread(bytes, 1, len, f) != len) {
		perror(path);
		exit(1);
	}
	fclose(f);
	LLVMFuzzerTestOneInput(bytes, len);
	free(bytes);
	replayed++;
	return 0;
}

/* for harnesses that bring a mutator, which only a fuzzer calls */
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max)
{
	(void)data;
	(void)size;
	(void)max;
	abort();
}

int main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		if (argv[i][0] != '-' && nftw(argv[i], feed, 16, FTW_PHYS) != 0) {
			fprintf(stderr, "%s: cannot be read\n", argv[i]);
			return 1;
		}
	printf("%s: %u inputs replayed\n", argv[0], replayed);
	return replayed == 0;
}
