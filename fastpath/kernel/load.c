// SPDX-License-Identifier: GPL-2.0-or-later
// Loads the program, sizes its maps, attaches it, and reads its rings and counters.
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "common/guise.h"
#include "fastpath/kernel/internal.h"
#include "fastpath/kernel/records.h"
#include "sluice.skel.h"

#define BPF_FS_MAGIC_NUMBER 0xcafe4a11
#define EVENTS_MAX 64 /* of one ring at a time */
/* Records in reserve for those that rest, one in RESTING_SHARE: so many connections may end before
   their worker gets to its ring. */
#define RESTING_SHARE 4

struct worker_ring {
	struct ring_buffer *rb;
	uint8_t *positions; /* one page with the reader's position, one with the writer's */
	unsigned left;	    /* events to read before others have their turn */
	void (*fn)(void *ctx, const struct flow_event *e);
	void *ctx;
};

/* libbpf's last complaint, reported when loading fails. */
static __thread char last_word[256];

static int remember(enum libbpf_print_level level, const char *fmt, va_list ap)
{
	if (level == LIBBPF_WARN) {
		int n = vsnprintf(last_word, sizeof(last_word), fmt, ap);

		last_word[strcspn(last_word, "\n")] = '\0';
		return n;
	}
	return 0;
}

static int ring_event(void *ctx, void *data, size_t len)
{
	struct worker_ring *r = ctx;

	if (len == sizeof(struct flow_event))
		r->fn(r->ctx, data);
	return --r->left ? 0 : -EAGAIN;
}

static size_t page_bytes(void)
{
	return (size_t)sysconf(_SC_PAGESIZE);
}

/* Debian 12's libbpf does not give positions; the kernel exposes them to mmap(). */
static int open_ring(struct worker_ring *r, int fd)
{
	void *p = mmap(NULL, 2 * page_bytes(), PROT_READ, MAP_SHARED, fd, 0);

	if (p == MAP_FAILED)
		return -errno;
	r->positions = p;
	r->rb = ring_buffer__new(fd, ring_event, r, NULL);
	return r->rb ? 0 : -errno;
}

static void close_ring(struct worker_ring *r)
{
	if (r->rb)
		ring_buffer__free(r->rb);
	if (r->positions)
		munmap(r->positions, 2 * page_bytes());
}

static uint64_t position(const uint8_t *at)
{
	return __atomic_load_n((const unsigned long *)at, __ATOMIC_ACQUIRE);
}

uint64_t ring_read(const struct fastpath *fp, unsigned worker)
{
	return position(fp->rings[worker].positions);
}

uint64_t ring_written(const struct fastpath *fp, unsigned worker)
{
	return position(fp->rings[worker].positions + page_bytes());
}

static int open_rings(struct fastpath *fp)
{
	int outer = bpf_map__fd(fp->skel->maps.rings);
	int err = 0;

	fp->rings = calloc(fp->workers, sizeof(*fp->rings));
	if (!fp->rings)
		return -ENOMEM;
	for (uint32_t w = 0; w < fp->workers && !err; w++) {
		int fd =
			bpf_map_create(BPF_MAP_TYPE_RINGBUF, "sluice_ring", 0, 0, RING_BYTES, NULL);

		if (fd < 0)
			return fd;
		if (bpf_map_update_elem(outer, &w, &fd, BPF_ANY) != 0)
			err = -errno;
		err = err ?: open_ring(&fp->rings[w], fd);
		close(fd); /* the outer map and the ring's mappings keep it alive */
	}
	return err;
}

/* An mmap-able array of n values of `size` bytes. */
static int share(const struct bpf_map *map, size_t n, size_t size, void **at, size_t *bytes)
{
	size_t page = page_bytes();
	size_t len = (n * size + page - 1) / page * page;
	void *p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, bpf_map__fd(map), 0);

	if (p == MAP_FAILED)
		return -errno;
	*at = p;
	*bytes = len;
	return 0;
}

static int open_records(struct fastpath *fp)
{
	int err = share(fp->skel->maps.flows, fp->capacity, sizeof(struct flow),
			(void **)&fp->records, &fp->records_bytes);

	err = err   ?:
		      share(fp->skel->maps.lost, fp->workers, sizeof(*fp->lost), (void **)&fp->lost,
			    &fp->lost_bytes);
	return err;
}

static int size_maps(struct fastpath *fp)
{
	struct sluice_bpf *s = fp->skel;
	int err = bpf_map__set_max_entries(s->maps.flows, fp->capacity);

	err = err ?: bpf_map__set_max_entries(s->maps.socks, fp->capacity * SIDE_COUNT);
	err = err ?: bpf_map__set_max_entries(s->maps.lost, fp->workers);
	return err ?: bpf_map__set_max_entries(s->maps.rings, fp->workers);
}

static int attach(struct fastpath *fp)
{
	/* No bpf_link for this type before 6.10. The map is not pinned, so the attachment ends when
	   the daemon does, however that happens. */
	return bpf_prog_attach(bpf_program__fd(fp->skel->progs.sluice_verdict),
			       bpf_map__fd(fp->skel->maps.socks), BPF_SK_SKB_VERDICT, 0);
}

/* ---- pinning: the maps that other tools may read ---- */

static struct bpf_map *pinned_map(struct sluice_bpf *s, size_t i)
{
	struct bpf_map *maps[] = { s->maps.flows,	  s->maps.stats,
				   s->maps.policy_active, s->maps.policy_heads,
				   s->maps.policy_ports,  s->maps.policy_names,
				   s->maps.policy_rules,  s->maps.policy_filters,
				   s->maps.policy_changes };

	_Static_assert(sizeof(maps) / sizeof(*maps) <= PINNED_MAX, "no room for the pins");
	return i < sizeof(maps) / sizeof(*maps) ? maps[i] : NULL;
}

/* Where a map is pinned, and where it is until fastpath_publish(). bpffs reserves dots in names. */
static void pin_paths(const struct fastpath *fp, const struct bpf_map *m, char path[PATH_MAX],
		      char before[PATH_MAX])
{
	int n = snprintf(path, PATH_MAX, "%s/%s", fp->pin, bpf_map__name(m));
	int k = snprintf(before, PATH_MAX, "%s/%s_new", fp->pin, bpf_map__name(m));

	if (n >= PATH_MAX || k >= PATH_MAX)
		path[0] = before[0] = '\0';
}

static void unlink_pins(struct fastpath *fp)
{
	char path[PATH_MAX], before[PATH_MAX];
	struct bpf_map *m;
	struct stat st;

	for (size_t i = 0; (m = pinned_map(fp->skel, i)); i++) {
		pin_paths(fp, m, path, before);
		/* Do not remove what a successor has put in its place. */
		if (fp->pinned[i] && lstat(path, &st) == 0 && st.st_ino == fp->pinned[i])
			unlink(path);
		if (!fp->pinned[i])
			unlink(before);
	}
	rmdir(fp->pin);
}

static void unpin(struct fastpath *fp)
{
	struct guise as;

	if (!fp->pin)
		return;
	if (guise_wear(&as, fp->user, fp->pin) == 0)
		unlink_pins(fp);
	guise_drop(&as);
	free(fp->pin);
	fp->pin = NULL;
}

static int open_pin_folder(const char *folder)
{
	struct statfs fs;

	if (mkdir(folder, 0750) != 0 && errno != EEXIST)
		return -errno;
	if (statfs(folder, &fs) == 0 && (uint32_t)fs.f_type == BPF_FS_MAGIC_NUMBER)
		return 0;
	rmdir(folder);
	return -ENOTSUP;
}

static int pin_all(struct fastpath *fp)
{
	char path[PATH_MAX], before[PATH_MAX];
	struct bpf_map *m;
	int err = 0;

	for (size_t i = 0; !err && (m = pinned_map(fp->skel, i)); i++) {
		pin_paths(fp, m, path, before);
		unlink(before); /* left by a process that was killed */
		err = bpf_obj_pin(bpf_map__fd(m), before) != 0 ? -errno : 0;
	}
	return err;
}

/* The folder may belong to the user, in a place of root's. Root then works in it but follows no
   link there: neither pinning, renaming and removing nor lstat() follows one. */
static int pin(struct fastpath *fp, const struct conf *conf, char *why, size_t why_len)
{
	char text[128];
	struct guise as;
	int err;

	if (!conf->pin[0])
		return 0;
	fp->user = strdup(conf->user);
	err = fp->user ? guise_wear(&as, fp->user, conf->pin) : -ENOMEM;
	if (err) {
		snprintf(why, why_len, "pin = %.200s, as user %.32s: %s", conf->pin, conf->user,
			 strerror(-err));
		return err;
	}
	err = open_pin_folder(conf->pin);
	if (!err) {
		fp->pin = strdup(conf->pin);
		err = fp->pin ? pin_all(fp) : -ENOMEM;
	}
	guise_drop(&as);
	if (err)
		snprintf(why, why_len, "pin = %.200s: %s", conf->pin,
			 err == -ENOTSUP ? "not on a bpffs (mount -t bpf bpf /sys/fs/bpf)" :
					   guise_explain(&as, err, text, sizeof(text)));
	return err;
}

static int rename_pins(struct fastpath *fp)
{
	char path[PATH_MAX], before[PATH_MAX];
	struct bpf_map *m;
	struct stat st;

	for (size_t i = 0; (m = pinned_map(fp->skel, i)); i++) {
		pin_paths(fp, m, path, before);
		if (lstat(before, &st) != 0 || rename(before, path) != 0)
			return -errno;
		fp->pinned[i] = st.st_ino;
	}
	return 0;
}

int fastpath_publish(struct fastpath *fp, char *why, size_t why_len)
{
	char text[128];
	struct guise as;
	int err;

	if (!fp->pin)
		return 0;
	err = guise_wear(&as, fp->user, fp->pin) ?: rename_pins(fp);
	guise_drop(&as);
	if (err)
		snprintf(why, why_len, "pin = %.200s: %s", fp->pin,
			 guise_explain(&as, err, text, sizeof(text)));
	return err;
}

/* ---- open and close ---- */

static uint32_t records_for(const struct conf *conf)
{
	return conf->max_connections + conf->max_connections / RESTING_SHARE + 64;
}

static int load(struct fastpath *fp, char *why, size_t why_len)
{
	int err;

	last_word[0] = '\0';
	fp->skel = sluice_bpf__open();
	if (!fp->skel)
		err = -errno;
	else
		err = size_maps(fp) ?: sluice_bpf__load(fp->skel);
	if (err)
		snprintf(why, why_len, "the BPF program does not load: %s (%s)", strerror(-err),
			 last_word);
	return err;
}

static int set_up(struct fastpath *fp, const struct conf *conf, char *why, size_t why_len)
{
	const char *what = "records";
	int err = load(fp, why, why_len);

	if (err)
		return err;
	err = open_records(fp);
	if (!err) {
		what = "rings";
		err = open_rings(fp);
	}
	if (!err) {
		what = "attach";
		err = attach(fp);
	}
	if (err) {
		snprintf(why, why_len, "BPF %s: %s", what, strerror(-err));
		return err;
	}
	err = probe_carry(fp, why, why_len);
	return err ?: pin(fp, conf, why, why_len);
}

int fastpath_open(struct fastpath **out, const struct conf *conf, unsigned workers, char *why,
		  size_t why_len)
{
	struct fastpath *fp;
	int err = probe_machine(why, why_len);

	if (err)
		return err;
	fp = calloc(1, sizeof(*fp));
	if (!fp)
		return -ENOMEM;
	libbpf_set_print(remember);
	for (int i = 0; i < POLICY_GENERATIONS; i++)
		fp->names_fd[i] = fp->rules_fd[i] = fp->filters_fd[i] = fp->changes_fd[i] = -1;
	fp->workers = workers;
	fp->capacity = records_for(conf);
	fp->generation = POLICY_GENERATIONS; /* none */
	err = pool_open(&fp->pool, fp->capacity, workers) ?: set_up(fp, conf, why, why_len);
	if (err) {
		fastpath_close(fp);
		return err;
	}
	*out = fp;
	return 0;
}

void fastpath_close(struct fastpath *fp)
{
	if (!fp)
		return;
	unpin(fp);
	free(fp->user);
	for (unsigned w = 0; fp->rings && w < fp->workers; w++)
		close_ring(&fp->rings[w]);
	free(fp->rings);
	if (fp->records)
		munmap(fp->records, fp->records_bytes);
	if (fp->lost)
		munmap(fp->lost, fp->lost_bytes);
	pool_close(&fp->pool);
	for (int i = 0; i < POLICY_GENERATIONS; i++) {
		if (fp->names_fd[i] >= 0)
			close(fp->names_fd[i]);
		if (fp->rules_fd[i] >= 0)
			close(fp->rules_fd[i]);
		if (fp->filters_fd[i] >= 0)
			close(fp->filters_fd[i]);
		if (fp->changes_fd[i] >= 0)
			close(fp->changes_fd[i]);
	}
	if (fp->skel)
		sluice_bpf__destroy(fp->skel);
	free(fp);
}

size_t fastpath_capacity(const struct fastpath *fp)
{
	return fp->capacity;
}

size_t fastpath_used(struct fastpath *fp)
{
	return pool_lent(&fp->pool);
}

void fastpath_stats(const struct fastpath *fp, uint64_t out[STAT_COUNT])
{
	int cpus = libbpf_num_possible_cpus();
	uint64_t *each = cpus > 0 ? calloc((size_t)cpus, sizeof(*each)) : NULL;

	memset(out, 0, sizeof(*out) * STAT_COUNT);
	for (uint32_t i = 0; each && i < STAT_COUNT; i++) {
		if (bpf_map_lookup_elem(bpf_map__fd(fp->skel->maps.stats), &i, each) != 0)
			continue;
		for (int cpu = 0; cpu < cpus; cpu++)
			out[i] += each[cpu];
	}
	free(each);
}

int flow_ring_fd(const struct fastpath *fp, unsigned worker)
{
	return ring_buffer__epoll_fd(fp->rings[worker].rb);
}

void flow_ring_read(struct fastpath *fp, unsigned worker,
		    void (*fn)(void *ctx, const struct flow_event *e), void *ctx)
{
	fp->rings[worker].fn = fn;
	fp->rings[worker].ctx = ctx;
	fp->rings[worker].left = EVENTS_MAX;
	ring_buffer__consume(fp->rings[worker].rb);
	flow_let_go(fp, worker);
}

uint64_t flow_lost(const struct fastpath *fp, unsigned worker)
{
	return __atomic_load_n(&fp->lost[worker], __ATOMIC_RELAXED);
}
