// SPDX-License-Identifier: GPL-2.0-or-later
// The kernel program's parsers behind a door that BPF_PROG_TEST_RUN can open (sk_skb has none):
// test_kernel_parsers compares what they find with what the same code finds in user space.
#include "tests/unit/parsers.h"
#include "bpf/splice.bpf.c"
#include "bpf/wire/retry.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct parsed);
} results SEC(".maps");

/* Those that no program of today asks: the bytes as a server's, and as a client's behind a hello.
 */
static __noinline int answer_and_follow(struct scratch *s, struct parsed *p)
{
	struct tls_answer a = p->answer;
	struct tls_follow f = p->follow;
	__u32 n = 0;
	struct rd in;

	rd_init(&in, s->bytes, s->len);
	p->followed = tls_follow(&f, in, a.word, &n);
	p->follow = f;
	p->passed = n;
	tls_answer_feed(&a, in);
	p->answer = a;
	return 0;
}

/* Every parser is asked about the bytes. */
SEC("tc")
int parsers(struct __sk_buff *skb)
{
	__u32 zero = 0;
	struct scratch *s = bpf_map_lookup_elem(&scratches, &zero);
	struct parsed *p = bpf_map_lookup_elem(&results, &zero);

	(void)skb;
	if (!s || !p || bpf_probe_read_kernel(s->bytes, SCRATCH_LEN, p->bytes) != 0)
		return 1;
	s->len = p->len;
	answer_and_follow(s, p);
	p->hello = parse_hello(s);
	p->hello_used = s->used;
	p->max_version = s->max_version;
	p->sni_off = s->name_off;
	p->sni_end = s->name_end;
	p->head = parse_head(s);
	p->head_used = s->used;
	p->host_off = s->name_off;
	p->host_end = s->name_end;
	p->port = s->port;
	p->upgrade = s->upgrade;
	p->chunked = s->chunked;
	p->head_method = s->head;
	p->body_len = s->body_len;
	s->name_off = 0;
	s->name_end = s->len;
	p->name = parse_name(s);
	p->name_len = s->name_len;
	if (p->name == PARSE_OK) {
		__builtin_memcpy(p->text, s->name, NAME_BUF);
		p->verdict = ask_rules(s, 0, p->group, p->rule_port);
		p->rule = s->rule;
	}
	return 0;
}
