// SPDX-License-Identifier: GPL-2.0-or-later
// The parsers as the running kernel has verified, pruned and compiled them, against the same
// code in user space. A kernel may load a program and yet have cut out of it what its verifier
// wrongly thought dead (bpf/wire/loop.h); only running it tells. Wants root.
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <pthread.h>
#include <unistd.h>

#include "bpf/wire/hello.h"
#include "bpf/wire/http.h"
#include "bpf/wire/retry.h"
#include "fastpath/policy/table.h"
#include "tests/unit/parsers.h"
#include "tests/unit/policy_tables.h"
#include "tests/unit/sample.h"
#include "tests/unit/test.h"

#define INPUTS 6000
#define NAMES 400
#define GROUPS 3

static struct policy_tables tables;

static struct policy_head head = { .key = { 1, 2 }, .ready = 1, .default_allow = 1 };

static struct bpf_object *open_program(int *prog_fd)
{
	const char *path = getenv("PARSERS_BPF");
	struct bpf_object *o =
		bpf_object__open_file(path ? path : "tests/unit/parsers.bpf.o", NULL);
	struct bpf_program *p;

	if (!o)
		return NULL;
	bpf_object__for_each_program(p, o)
		bpf_program__set_autoload(p, strcmp(bpf_program__name(p), "parsers") == 0);
	if (bpf_object__load(o) != 0)
		return NULL;
	*prog_fd = bpf_program__fd(bpf_object__find_program_by_name(o, "parsers"));
	return o;
}

static int map_fd(struct bpf_object *o, const char *name)
{
	return bpf_object__find_map_fd_by_name(o, name);
}

static uint64_t hash_back(const uint8_t *name, size_t len)
{
	struct sip s;

	sip_init(&s, head.key[0], head.key[1]);
	while (len)
		sip_byte(&s, name[--len]);
	return sip_value(&s);
}

/* Short names of few letters, so that samples are below one another. */
static size_t short_name(uint8_t *name)
{
	size_t len = 0;

	for (uint32_t labels = 1 + sample_random(4); labels--;) {
		for (uint32_t n = 1 + sample_random(labels == 1 ? 12 : 2); n--;)
			name[len++] = "abc"[sample_random(2)];
		if (labels)
			name[len++] = '.';
	}
	return len;
}

/* The first of a name counts. */
static void put_random_name(struct table *t, uint32_t values)
{
	struct slot_value v = { .a = sample_random(values), .b = sample_random(values) };
	uint8_t name[NAME_BUF];
	uint64_t hash = hash_back(name, short_name(name));

	if (!table_find(t, hash))
		CHECK(table_put(t, hash, v) == 0);
}

static void put_random_row(struct table *t, const struct rule_key *key)
{
	struct slot_value v = { .a = 1 + sample_random(1000),
				.b = sample_random(VERDICT_TRIAL + 1) };

	if (sample_random(2))
		CHECK(table_put(t, rule_key_stir(key), v) == 0);
}

/* Its descriptor, which the map does not need. */
static int copy_table(struct bpf_object *o, const char *outer, const struct table *t)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = BPF_F_INNER_MAP | BPF_F_MMAPABLE);
	int fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, NULL, 4, sizeof(struct bucket), t->n_buckets,
				&opts);
	uint32_t zero = 0;

	CHECK(fd >= 0);
	for (uint32_t i = 0; i < t->n_buckets; i++)
		CHECK(bpf_map_update_elem(fd, &i, &t->at[i], 0) == 0);
	CHECK(bpf_map_update_elem(map_fd(o, outer), &zero, &fd, 0) == 0);
	return fd;
}

static void fill_policy(struct bpf_object *o)
{
	struct rule_key key = { .set = 0 };
	struct table blocks;
	uint32_t zero = 0;

	CHECK(table_open(&tables.names, NAMES) == 0 && table_open(&tables.rules, 4096) == 0 &&
	      table_open_buckets(&tables.changes, CHANGES_BUCKETS) == 0);
	for (int i = 0; i < NAMES; i++)
		put_random_name(&tables.names, 20);
	for (int i = 0; i < NAMES / 8; i++)
		put_random_name(&tables.changes, VERDICT_DENY + 1);
	for (key.set = 1; key.set < 20; key.set++)
		for (key.group = 0; key.group < GROUPS; key.group++)
			for (key.port_class = 0; key.port_class < 3; key.port_class++)
				put_random_row(&tables.rules, &key);
	table_seal(&tables.names);
	table_seal(&tables.rules);
	table_seal(&tables.changes);
	head.name_buckets = tables.names.n_buckets;
	head.rule_buckets = tables.rules.n_buckets;
	CHECK(filter_open(&tables.filter, &tables.names) == 0);
	head.filter_blocks = tables.filter.n_blocks;
	blocks = (struct table){ .at = (struct bucket *)tables.filter.at,
				 .n_buckets = tables.filter.n_blocks };
	close(copy_table(o, "policy_filters", &blocks));
	close(copy_table(o, "policy_names", &tables.names));
	close(copy_table(o, "policy_rules", &tables.rules));
	close(copy_table(o, "policy_changes", &tables.changes));
	CHECK(bpf_map_update_elem(map_fd(o, "policy_heads"), &zero, &head, 0) == 0);
}

static void fill_ports(struct bpf_object *o)
{
	uint16_t *classes = calloc(65536, sizeof(*classes));
	uint32_t zero = 0;

	for (uint32_t i = 0; i < 65536; i++)
		classes[i] = i % 3;
	CHECK(bpf_map_update_elem(map_fd(o, "policy_ports"), &zero, classes, 0) == 0);
	free(classes);
}

static void run_kernel(int prog, int results, struct parsed *p)
{
	uint8_t packet[64] = { 0 };
	uint32_t zero = 0;
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = packet, .data_size_in = sizeof(packet));

	if (bpf_map_update_elem(results, &zero, p, 0) != 0 ||
	    bpf_prog_test_run_opts(prog, &opts) != 0 || opts.retval != 0 ||
	    bpf_map_lookup_elem(results, &zero, p) != 0) {
		perror("parsers.bpf.o");
		exit(1);
	}
}

/* before: with what the kernel began. */
static int same_retry(const struct parsed *p, struct rd in, const struct parsed *before)
{
	struct tls_answer a = before->answer;
	struct tls_follow f = before->follow;
	__u32 n = 0;

	if (in.end == 0)
		return 1;
	if ((int)p->followed != tls_follow(&f, in, a.word, &n) || p->passed != n)
		return 0;
	tls_answer_feed(&a, in);
	return memcmp(&p->follow, &f, sizeof(f)) == 0 && memcmp(&p->answer, &a, sizeof(a)) == 0;
}

static int same_tls(const struct parsed *p, struct rd in)
{
	struct hello h = { .used = 0 };
	int rc = hello_parse(in, &h);

	/* the kernel says BAD for MORE too */
	if ((rc == PARSE_OK) != (p->hello == PARSE_OK))
		return 0;
	return rc != PARSE_OK || (p->hello_used == h.used && p->max_version == h.max_version &&
				  p->sni_off == (h.has_name ? h.name.off : 0) &&
				  p->sni_end == (h.has_name ? h.name.end : 0));
}

static int same_http(const struct parsed *p, struct rd in)
{
	struct http h = { .used = 0 };
	int rc = http_parse(in, &h);

	if ((rc == PARSE_OK) != (p->head == PARSE_OK))
		return 0;
	return rc != PARSE_OK ||
	       (p->head_used == h.used && p->host_off == (h.has_host ? h.host.off : 0) &&
		p->host_end == (h.has_host ? h.host.end : 0) && p->port == h.port &&
		p->upgrade == h.upgrade && p->body_len == h.body_len && p->head_method == h.head &&
		p->chunked == (h.body == HTTP_BODY_CHUNKED));
}

static int same_verdict(const struct parsed *p, const uint8_t *name, uint32_t len)
{
	struct verdict_walk w = { .tables = tables };
	uint32_t verdict;

	w.name = name;
	w.len = len;
	w.group = (uint16_t)p->group;
	w.port_class = (uint16_t)(p->rule_port % 3);
	verdict_name(&w, &head);
	verdict = w.best.verdict == VERDICT_NONE ? VERDICT_ALLOW : w.best.verdict;
	return p->verdict == verdict && p->rule == w.best.rule;
}

static int same_name(const struct parsed *p, struct rd in)
{
	uint8_t name[NAME_BUF];
	uint32_t len = 0, numeric = 0;
	int rc = name_normalise(in, name, &len, &numeric);

	if ((rc == PARSE_OK && !numeric) != (p->name == PARSE_OK))
		return 0;
	return p->name != PARSE_OK || (p->name_len == len && memcmp(p->text, name, len) == 0 &&
				       same_verdict(p, name, len));
}

static void sample_short_name(struct sample *s)
{
	s->len = short_name(s->bytes);
}

static void compare(struct bpf_object *o, int prog, const struct samples *corpus,
		    void (*make)(struct sample *), unsigned ok[4])
{
	static struct parsed p, before;
	static struct sample s;
	int results = map_fd(o, "results");
	struct rd in;

	for (uint32_t i = 0; i < INPUTS; i++) {
		if (make == sample_short_name) {
			make(&s);
			if (sample_random(4) == 0)
				sample_mutate(&s);
		} else {
			sample_any(&s, corpus, i, make);
		}
		memset(&p, 0, sizeof(p));
		p.len = (uint32_t)s.len;
		memcpy(p.bytes, s.bytes, s.len);
		p.answer.word = sample_random(TLS_ANSWER_FINAL + 1);
		p.answer.left = sample_random(4) ? 0 : sample_random(30);
		p.answer.type = TLS_CHANGE_CIPHER_SPEC + sample_random(3);
		p.follow.left = sample_random(4) ? 0 : sample_random(30);
		p.follow.data = sample_random(2);
		p.group = sample_random(GROUPS);
		p.rule_port = sample_random(3);
		before = p;
		run_kernel(prog, results, &p);
		rd_init(&in, s.bytes, (uint32_t)s.len);
		CHECK(same_tls(&p, in));
		CHECK(same_retry(&p, in, &before));
		CHECK(same_http(&p, in));
		CHECK(same_name(&p, in));
		ok[0] += p.hello == PARSE_OK;
		ok[1] += p.answer.word == TLS_ANSWER_RETRY &&
			 before.answer.word == TLS_ANSWER_UNKNOWN;
		ok[2] += p.head == PARSE_OK;
		ok[3] += p.name == PARSE_OK;
	}
}

/* A generation that was taken down while it was asked: its default is not the answer. */
static void test_taken_down(struct bpf_object *o, int prog)
{
	static const char *const outer[] = { "policy_names", "policy_rules" };
	static struct parsed p;
	uint32_t zero = 0;

	for (int i = 0; i < 2; i++) {
		CHECK(bpf_map_delete_elem(map_fd(o, outer[i]), &zero) == 0);
		p.len = (uint32_t)strlen("unknown.test");
		memcpy(p.bytes, "unknown.test", p.len);
		run_kernel(prog, map_fd(o, "results"), &p);
		CHECK(p.name == PARSE_OK && p.verdict == VERDICT_REPORT);
		close(copy_table(o, outer[i], i ? &tables.rules : &tables.names));
	}
}

#define SWAPS 60
#define LABELS 120

static int changes_fd, outer_fd;

/* Puts what was said at run time in force, and takes all of it back. */
static void *swap_changes(void *done)
{
	uint32_t zero = 0;
	int err = 0;

	for (int i = 0; i < SWAPS; i++) {
		err |= bpf_map_update_elem(outer_fd, &zero, &changes_fd, 0);
		err |= bpf_map_delete_elem(outer_fd, &zero);
	}
	CHECK(err == 0);
	__atomic_store_n((bool *)done, true, __ATOMIC_RELEASE);
	return NULL;
}

static void put_change(struct table *t, const char *name, struct slot_value v)
{
	CHECK(table_put(t, hash_back((const uint8_t *)name, strlen(name)), v) == 0);
}

/* An allow and a deny below it end in one moment: there is none in which the allow alone holds. */
static void test_changed_while_asked(struct bpf_object *o, int prog)
{
	static const struct slot_value allow = { .b = VERDICT_ALLOW }, deny = { .a = VERDICT_DENY };
	struct policy_head strict = head;
	struct table t;
	static struct parsed p;
	uint32_t zero = 0;
	unsigned wrong = 0, denied = 0;
	char name[NAME_BUF] = "";
	bool done = false;
	pthread_t thread;

	strict.default_allow = 0;
	CHECK(bpf_map_update_elem(map_fd(o, "policy_heads"), &zero, &strict, 0) == 0);
	for (int i = 0; i < LABELS; i++)
		strcat(name, i ? ".t" : "t");
	CHECK(table_open_buckets(&t, CHANGES_BUCKETS) == 0);
	put_change(&t, "t", allow);
	put_change(&t, name, deny);
	changes_fd = copy_table(o, "policy_changes", &t);
	outer_fd = map_fd(o, "policy_changes");
	CHECK(pthread_create(&thread, NULL, swap_changes, &done) == 0);
	while (!__atomic_load_n(&done, __ATOMIC_ACQUIRE)) {
		p.len = (uint32_t)strlen(name);
		memcpy(p.bytes, name, p.len);
		run_kernel(prog, map_fd(o, "results"), &p);
		wrong += p.name != PARSE_OK || p.verdict == VERDICT_ALLOW;
		denied += p.verdict == VERDICT_DENY;
	}
	pthread_join(thread, NULL);
	close(changes_fd);
	CHECK(wrong == 0 && denied > 0);
	table_close(&t);
}

/* What may follow a hello, from either side. */
static void sample_records(struct sample *s)
{
	static const uint8_t types[] = { 20, 21, 22, 22, 22, 23, 24 };
	size_t body;

	s->len = 0;
	for (uint32_t n = 1 + sample_random(sample_random(8) ? 4 : 20); n--;) {
		sample_u8(s, types[sample_random(sample_random(4) ? 5 : 7)]);
		sample_u16(s, sample_random(32) ? 0x0303 : 0x0203);
		body = sample_vec(s, 2);
		sample_u8(s, sample_random(3));
		sample_u8(s, 0);
		sample_noise(s, 2);
		sample_u8(s, 3);
		sample_u8(s, sample_random(2) ? 3 : 4);
		for (unsigned i = 0; i < HELLO_RANDOM_LEN; i++)
			sample_u8(s, tls_retry_byte(i) ^ (sample_random(200) == 0));
		sample_noise(s, sample_random(20));
		if (sample_random(4) == 0)
			s->len = body + sample_random(6);
		sample_length(s, body, 2);
	}
}

int main(void)
{
	struct samples hellos = sample_folder("hello"), heads = sample_folder("http");
	unsigned ok[4] = { 0 };
	struct bpf_object *o;
	int prog;

	if (geteuid() != 0)
		TEST_SKIP("not root");
	o = open_program(&prog);
	if (!o) {
		perror("parsers.bpf.o does not load");
		return 1;
	}
	fill_policy(o);
	fill_ports(o);
	RUN(compare, o, prog, &hellos, sample_hello, ok);
	RUN(compare, o, prog, &hellos, sample_records, ok);
	RUN(compare, o, prog, &heads, sample_head, ok);
	RUN(compare, o, prog, &heads, sample_short_name, ok);
	printf("# kernel parsers: %u hellos, %u retry requests, %u heads, %u names were good\n",
	       ok[0], ok[1], ok[2], ok[3]);
	CHECK(ok[0] > 500 && ok[1] > 50 && ok[2] > 500 && ok[3] > 500);
	RUN(test_taken_down, o, prog);
	RUN(test_changed_while_asked, o, prog);
	bpf_object__close(o);
	free(hellos.at);
	free(heads.at);
	TEST_DONE("test_kernel_parsers");
}
