// SPDX-License-Identifier: GPL-2.0-or-later
// The resolver against name servers of our own, UDP and TCP, in the same loop. What a server
// does is in the name it is asked for. Time passes by resolver_clock_skew_ms, or not at all;
// only silence of a server costs real seconds.
#include "slowpath/dns/resolver.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <event2/event.h>
#include <event2/thread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/test.h"

#define TYPE_A 1
#define TYPE_CNAME 5
#define TYPE_AAAA 28

enum { NO_ERROR = 0, SERVFAIL = 2, NXDOMAIN = 3, REFUSED = 5 };

struct fake {
	int udp, tcp;
	uint16_t port;
	struct event *on_udp, *on_tcp;
	char text[32]; /* "127.0.0.1:port" */
	bool silent;
	bool broken; /* SERVFAIL to all */
	unsigned asked, asked_tcp;
	bool upper; /* an upper-case letter was seen in a question */
};

static struct event_base *base;
static struct fake fakes[2];
static struct conf conf;
static char *servers[2];
static char hosts_path[] = "/tmp/hosts.XXXXXX";
static struct resolver *r;
static const struct client_key client = { { 0xfd, [15] = 1 } };

/* ---- a name server ---- */

struct message {
	uint8_t at[4096];
	size_t len;
	uint8_t *question;
	size_t question_len;
	char name[256];
	unsigned type;
};

static bool parse_question(struct fake *f, struct message *m)
{
	size_t n = 0, i = 12;

	while (i < m->len && m->at[i]) {
		size_t end = i + 1 + m->at[i];

		for (i++; i < end && i < m->len; i++) {
			f->upper |= isupper(m->at[i]);
			m->name[n++] = (char)tolower(m->at[i]);
		}
		m->name[n++] = '.';
	}
	m->name[n ? n - 1 : 0] = '\0';
	m->question = m->at + 12;
	m->question_len = i + 5 - 12;
	m->type = (unsigned)m->at[i + 1] << 8 | m->at[i + 2];
	m->len = i + 5;
	return n > 0;
}

static void put16(struct message *m, unsigned v)
{
	m->at[m->len++] = (uint8_t)(v >> 8);
	m->at[m->len++] = (uint8_t)v;
}

static void put_record(struct message *m, unsigned type, unsigned ttl, const void *data, size_t len)
{
	put16(m, 0xc00c); /* the question's name */
	put16(m, type);
	put16(m, 1);
	put16(m, ttl >> 16);
	put16(m, ttl & 0xffff);
	put16(m, (unsigned)len);
	memcpy(m->at + m->len, data, len);
	m->len += len;
	m->at[7]++;
}

static void put_addresses(struct message *m, unsigned type, unsigned ttl, unsigned count)
{
	uint8_t v6[16] = { 0x26, 0x06, [15] = 1 }, v4[4] = { 198, 41, 0, 1 };

	for (unsigned i = 0; i < count; i++) {
		if (type == TYPE_A)
			put_record(m, type, ttl, v4, sizeof(v4));
		else
			put_record(m, type, ttl, v6, sizeof(v6));
		v4[3]++;
		v6[15]++;
	}
}

static bool has(const struct message *m, const char *word)
{
	return strstr(m->name, word) != NULL;
}

/* Fills the answer in; false: none is sent. */
static bool answer(struct fake *f, struct message *m, bool tcp)
{
	static const uint8_t alias[] = "\5other\7example\0";
	unsigned rcode = NO_ERROR, ttl = has(m, "ttl0") ? 0 : has(m, "ttl1") ? 1 : 300;

	m->at[2] = 0x81;
	m->at[3] = 0x80;
	memset(m->at + 6, 0, 6);
	if (f->silent || has(m, "silent"))
		return false;
	if (f->broken || has(m, "servfail"))
		rcode = SERVFAIL;
	else if (has(m, "nxdomain"))
		rcode = NXDOMAIN;
	else if (has(m, "refused"))
		rcode = REFUSED;
	m->at[3] |= (uint8_t)rcode;
	if (rcode != NO_ERROR || has(m, "nodata"))
		return true;
	if ((has(m, "only4") && m->type != TYPE_A) || (has(m, "only6") && m->type != TYPE_AAAA))
		return true;
	if (has(m, "fail6") && m->type == TYPE_AAAA) {
		m->at[3] |= SERVFAIL;
		return true;
	}
	if (has(m, "truncated") && !tcp) {
		m->at[2] |= 2;
		return true;
	}
	if (has(m, "cname"))
		put_record(m, TYPE_CNAME, ttl, alias, sizeof(alias) - 1);
	put_addresses(m, m->type, ttl,
		      has(m, "many")	  ? 28 :
		      has(m, "huge")	  ? 140 :
		      has(m, "truncated") ? 100 :
					    2);
	if (has(m, "lower"))
		for (size_t i = 0; i < m->question_len - 4; i++)
			m->question[i] = (uint8_t)tolower(m->question[i]);
	if (has(m, "othername"))
		m->question[1] ^= 1;
	if (has(m, "cut"))
		m->len -= 5;
	return true;
}

/* Lies first: a wrong identity, a question instead of an answer, three bytes. */
static void send_lies(struct fake *f, struct message *m, struct sockaddr *to, socklen_t len)
{
	m->at[0] ^= 0x55;
	m->at[m->len - 1] = 66;
	sendto(f->udp, m->at, m->len, 0, to, len);
	m->at[0] ^= 0x55;
	m->at[2] &= 0x7f;
	sendto(f->udp, m->at, m->len, 0, to, len);
	m->at[2] |= 0x80;
	sendto(f->udp, "\1\2\3", 3, 0, to, len);
	m->at[m->len - 1] = 2;
}

static void on_udp(evutil_socket_t fd, short what, void *arg)
{
	struct sockaddr_storage from;
	socklen_t from_len = sizeof(from);
	struct message m = { .len = 0 };
	struct fake *f = arg;
	ssize_t n = recvfrom(fd, m.at, 512, 0, (struct sockaddr *)&from, &from_len);

	(void)what;
	m.len = n > 0 ? (size_t)n : 0;
	if (m.len < 17 || !parse_question(f, &m))
		return;
	f->asked++;
	if (!answer(f, &m, false))
		return;
	if (has(&m, "lies"))
		send_lies(f, &m, (struct sockaddr *)&from, from_len);
	sendto(fd, m.at, m.len, 0, (struct sockaddr *)&from, from_len);
}

/* The question comes in one piece: there is nobody between. */
static void on_tcp_question(evutil_socket_t client, short what, void *arg)
{
	struct message m = { .len = 0 };
	struct fake *f = arg;
	uint8_t head[2];
	ssize_t n;

	(void)what;
	if (recv(client, head, 2, 0) != 2)
		goto out;
	n = recv(client, m.at, 512, 0);
	m.len = n > 0 ? (size_t)n : 0;
	if (m.len < 17 || !parse_question(f, &m) || has(&m, "hangup") || !answer(f, &m, true))
		goto out;
	if (has(&m, "twice"))
		m.at[2] |= 2;
	if (has(&m, "wrongid"))
		m.at[0] ^= 1;
	head[0] = (uint8_t)(m.len >> 8);
	head[1] = (uint8_t)m.len;
	send(client, head, 1, MSG_NOSIGNAL);
	send(client, head + 1, 1, MSG_NOSIGNAL);
	send(client, m.at, 100, MSG_NOSIGNAL);
	send(client, m.at + 100, m.len - 100, MSG_NOSIGNAL);
out:
	close(client);
}

static void on_tcp(evutil_socket_t fd, short what, void *arg)
{
	struct fake *f = arg;
	int client = accept(fd, NULL, NULL);

	(void)what;
	f->asked_tcp++;
	CHECK(event_base_once(base, client, EV_READ, on_tcp_question, f, NULL) == 0);
}

static void fake_open(struct fake *f)
{
	struct sockaddr_in sin = { .sin_family = AF_INET, .sin_port = htons(f->port) };
	socklen_t len = sizeof(sin);
	int one = 1;
	int room = 16 << 20;

	sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	f->udp = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	f->tcp = socket(AF_INET, SOCK_STREAM, 0);
	/* thousands of questions at once must not push one out (root has no limit) */
	if (setsockopt(f->udp, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room)) != 0)
		setsockopt(f->udp, SOL_SOCKET, SO_RCVBUF, &room, sizeof(room));
	setsockopt(f->tcp, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	CHECK(bind(f->udp, (struct sockaddr *)&sin, sizeof(sin)) == 0);
	getsockname(f->udp, (struct sockaddr *)&sin, &len);
	CHECK(bind(f->tcp, (struct sockaddr *)&sin, sizeof(sin)) == 0 && listen(f->tcp, 8) == 0);
	f->port = ntohs(sin.sin_port);
	snprintf(f->text, sizeof(f->text), "127.0.0.1:%u", f->port);
	f->on_udp = event_new(base, f->udp, EV_READ | EV_PERSIST, on_udp, f);
	f->on_tcp = event_new(base, f->tcp, EV_READ | EV_PERSIST, on_tcp, f);
	event_add(f->on_udp, NULL);
	event_add(f->on_tcp, NULL);
}

static void fake_close(struct fake *f)
{
	event_free(f->on_udp);
	event_free(f->on_tcp);
	close(f->udp);
	close(f->tcp);
}

/* ---- a caller ---- */

struct caller {
	unsigned calls;
	int err;
	size_t n;
	struct in6_addr addrs[RESOLVER_ADDRESSES];
	struct resolver_query *q;
	struct caller *cancels; /* its query is cancelled from the callback */
	const char *asks;	/* and this asked */
	bool frees, reloads;
};

static void on_done(void *arg, int err, const struct in6_addr *addrs, size_t n)
{
	struct caller *c = arg;

	c->calls++;
	c->err = err;
	c->n = n;
	if (n)
		memcpy(c->addrs, addrs, n * sizeof(*addrs));
	CHECK((err == 0) == (n > 0));
	if (c->cancels)
		resolver_cancel(c->cancels->q);
	if (c->asks) {
		const char *name = c->asks;

		c->asks = NULL;
		resolver_ask(r, name, AF_INET, &client, on_done, c);
	}
	if (c->reloads)
		CHECK(resolver_reload(r, &conf) == 0);
	if (c->frees) {
		resolver_free(r);
		r = NULL;
	}
}

static void start(struct caller *c, const char *name, int family)
{
	c->q = resolver_ask(r, name, family, &client, on_done, c);
}

static void wait_for(struct caller *c, unsigned calls)
{
	while (c->calls < calls)
		event_base_loop(base, EVLOOP_ONCE);
}

static struct caller ask(const char *name, int family)
{
	struct caller c = { 0 };

	start(&c, name, family);
	CHECK((c.calls == 0) == (c.q != NULL));
	wait_for(&c, 1);
	return c;
}

static void turns(void)
{
	for (int i = 0; i < 20; i++)
		event_base_loop(base, EVLOOP_NONBLOCK);
}

static const char *text(const struct in6_addr *ip)
{
	static char buf[64];

	return inet_ntop(AF_INET6, ip, buf, sizeof(buf));
}

static void begin(size_t n_servers, const char *hosts)
{
	char err[200] = "";

	servers[0] = fakes[0].text;
	servers[1] = fakes[1].text;
	conf.nameservers = (struct string_list){ servers, n_servers };
	conf.hosts = (char *)hosts;
	fakes[0].asked = fakes[1].asked = 0;
	r = resolver_new(base, &conf, err, sizeof(err));
	CHECK(r != NULL);
	CHECK_STR(err, "");
}

static void end(void)
{
	resolver_free(r);
	turns();
	r = NULL;
}

static struct resolver_stats stats(void)
{
	struct resolver_stats s;

	resolver_stats(r, &s);
	return s;
}

/* ---- what is tested ---- */

static void test_answers(void)
{
	struct caller c;

	begin(1, "");
	c = ask("a.example", AF_INET);
	CHECK(c.err == 0 && c.n == 2);
	CHECK_STR(text(&c.addrs[0]), "::ffff:198.41.0.1");
	CHECK_STR(text(&c.addrs[1]), "::ffff:198.41.0.2");
	c = ask("a.example", AF_INET6);
	CHECK(c.err == 0 && c.n == 2);
	CHECK_STR(text(&c.addrs[0]), "2606::1");
	c = ask("cname.example", AF_INET);
	CHECK(c.err == 0 && c.n == 2);
	c = ask("many.example", AF_INET);
	CHECK(c.err == 0 && c.n == 28);
	c = ask("only4.example", AF_INET6);
	CHECK(c.err == 0 && c.n == 2);
	CHECK_STR(text(&c.addrs[0]), "::ffff:198.41.0.1");
	c = ask("only6.example", AF_INET);
	CHECK(c.err == 0 && c.n == 2);
	CHECK_STR(text(&c.addrs[0]), "2606::1");
	c = ask("fail6.example", AF_INET6);
	CHECK(c.err == 0 && c.n == 2);
	CHECK(ask("nxdomain.example", AF_INET).err == -ENOENT);
	CHECK(ask("nodata.example", AF_INET6).err == -ENOENT);
	CHECK(ask("servfail.example", AF_INET).err == -EIO);
	CHECK(ask("refused.example", AF_INET).err == -EIO);
	CHECK(ask("cut.example", AF_INET).err == -EIO);
	CHECK(ask("othername.example", AF_INET).err == -EIO);
	c = ask("lies.example", AF_INET);
	CHECK(c.err == 0 && c.n == 2);
	CHECK_STR(text(&c.addrs[1]), "::ffff:198.41.0.2");
	/* evdns mixes the letters' case and takes any: a server that does not echo it is fine */
	CHECK(ask("lower.example", AF_INET).err == 0);
	CHECK(fakes[0].upper);
	end();
}

static void test_literals(void)
{
	struct caller c;

	begin(1, "");
	c = ask("192.0.2.1", AF_INET6);
	CHECK(c.err == 0 && c.n == 1 && c.q == NULL);
	CHECK_STR(text(&c.addrs[0]), "::ffff:192.0.2.1");
	c = ask("[2001:db8::1]", AF_INET);
	CHECK(c.err == 0 && c.q == NULL);
	CHECK(ask("2001:db8::1", AF_INET).err == 0);
	CHECK(ask("", AF_INET).err == -EIO);
	CHECK(fakes[0].asked == 0);
	end();
}

static void test_ttl(void)
{
	begin(1, "");
	CHECK(ask("ttl1.example", AF_INET).err == 0);
	CHECK(fakes[0].asked == 1);
	CHECK(ask("ttl1.example", AF_INET).q == NULL);
	CHECK(fakes[0].asked == 1 && stats().cached == 1 && stats().names == 1);
	resolver_clock_skew_ms += 1001;
	CHECK(ask("ttl1.example", AF_INET).err == 0);
	CHECK(fakes[0].asked == 2);
	CHECK(ask("ttl0.example", AF_INET).err == 0);
	CHECK(ask("ttl0.example", AF_INET).err == 0);
	CHECK(fakes[0].asked == 4 && stats().names == 1);
	/* what is not there is kept for some seconds, too */
	CHECK(ask("nxdomain.example", AF_INET).err == -ENOENT);
	CHECK(fakes[0].asked == 6);
	CHECK(ask("nxdomain.example", AF_INET).q == NULL);
	CHECK(ask("nxdomain.example", AF_INET6).err == -ENOENT);
	CHECK(fakes[0].asked == 6);
	resolver_clock_skew_ms += 5001;
	CHECK(ask("nxdomain.example", AF_INET).err == -ENOENT);
	CHECK(fakes[0].asked == 8);
	CHECK(stats().pending == 0 && stats().failed == 4);
	end();
}

static void test_coalescing(void)
{
	struct caller many[50] = { 0 };

	begin(1, "");
	for (size_t i = 0; i < 50; i++)
		start(&many[i], "ttl0.example", AF_INET);
	CHECK(stats().pending == 1);
	wait_for(&many[49], 1);
	for (size_t i = 0; i < 50; i++)
		CHECK(many[i].calls == 1 && many[i].n == 2);
	CHECK(fakes[0].asked == 1 && stats().asked == 1);
	end();
}

static void test_cancel(void)
{
	struct caller a = { 0 }, b = { 0 }, c = { 0 }, d = { 0 };

	begin(1, "");
	/* in flight; the other waiter and the cache get the answer */
	start(&a, "x.example", AF_INET);
	start(&b, "x.example", AF_INET);
	resolver_cancel(a.q);
	wait_for(&b, 1);
	CHECK(a.calls == 0 && b.n == 2);
	start(&a, "y.example", AF_INET);
	resolver_cancel(a.q);
	turns();
	CHECK(a.calls == 0 && stats().pending == 0);
	CHECK(ask("y.example", AF_INET).q == NULL);
	/* from a callback: one that waits for the same, one for something else */
	memset(&b, 0, sizeof(b));
	start(&c, "z.example", AF_INET);
	start(&a, "z.example", AF_INET);
	start(&b, "silent.example", AF_INET);
	start(&d, "z.example", AF_INET);
	c.cancels = &a;
	d.cancels = &b;
	wait_for(&d, 1);
	turns();
	CHECK(a.calls == 0 && b.calls == 0 && c.calls == 1 && d.calls == 1);
	end();
}

static void test_from_callbacks(void)
{
	struct caller a = { .asks = "w.example" }, b = { .asks = "v.example" }, c = { 0 },
		      d = { .reloads = true }, e = { 0 };

	begin(1, "");
	/* asks for the same, which is in the cache then; and for another */
	start(&a, "w.example", AF_INET);
	start(&b, "w.example", AF_INET);
	wait_for(&b, 2);
	CHECK(a.calls == 2 && b.calls == 2 && b.n == 2);
	/* reloads, with others waiting for this and that */
	start(&d, "u.example", AF_INET);
	start(&c, "u.example", AF_INET);
	start(&e, "only4.example", AF_INET6);
	wait_for(&e, 1);
	CHECK(c.calls == 1 && d.calls == 1 && e.calls == 1 && e.n == 2);
	/* frees */
	memset(&a, 0, sizeof(a));
	memset(&c, 0, sizeof(c));
	memset(&e, 0, sizeof(e));
	a.frees = true;
	start(&a, "t.example", AF_INET);
	start(&c, "t.example", AF_INET);
	start(&e, "silent.example", AF_INET);
	wait_for(&a, 1);
	turns();
	CHECK(r == NULL && c.calls == 0 && e.calls == 0);
}

/* With questions under way, and with answers that have come but are not delivered yet. */
static void test_free_early(void)
{
	struct caller c[4] = { 0 };

	begin(2, "");
	start(&c[0], "silent.example", AF_INET);
	start(&c[1], "a.example", AF_INET);
	end();
	begin(2, "");
	start(&c[2], "a.example", AF_INET);
	event_base_loop(base, EVLOOP_ONCE); /* the server has it */
	end();
	begin(1, "");
	start(&c[3], "truncated.example", AF_INET);
	while (fakes[0].asked_tcp == 0)
		event_base_loop(base, EVLOOP_ONCE);
	fakes[0].asked_tcp = 0;
	end();
	CHECK(c[0].calls + c[1].calls + c[2].calls == 0);
}

static void test_truncated(void)
{
	struct caller c;

	begin(1, "");
	fakes[0].asked_tcp = 0;
	c = ask("truncated.example", AF_INET);
	CHECK(c.err == 0 && c.n == 100);
	CHECK_STR(text(&c.addrs[0]), "::ffff:198.41.0.1");
	CHECK(fakes[0].asked_tcp == 1);
	CHECK(ask("truncated.example", AF_INET).q == NULL);
	c = ask("truncated.example", AF_INET6);
	CHECK(c.err == 0 && c.n == 100);
	CHECK(ask("truncated.huge.example", AF_INET).n == RESOLVER_ADDRESSES);
	CHECK(ask("truncated.hangup.example", AF_INET).err == -EIO);
	CHECK(ask("truncated.twice.example", AF_INET).err == -EIO);
	CHECK(ask("truncated.wrongid.example", AF_INET).err == -EIO);
	CHECK(ask("truncated.cut.example", AF_INET).err == -EIO);
	end();
}

static void write_hosts(const char *content)
{
	FILE *f = fopen(hosts_path, "w");

	fputs(content, f);
	fclose(f);
	resolver_clock_skew_ms += 1000;
}

static void test_hosts(void)
{
	struct caller c;

	write_hosts("# comment\n"
		    "10.0.0.1\tone.example One.Alias. two.example # more\n"
		    "2001:db8::2 two.example\n"
		    "10.0.0.3 two.example\r\n"
		    "not-an-address bad.example\n"
		    "10.0.0.4\n"
		    "fe80::1%lo bad.example\n"
		    "10.0.0.5 last.example");
	begin(1, hosts_path);
	c = ask("one.example", AF_INET6);
	CHECK(c.n == 1 && c.q == NULL);
	CHECK_STR(text(&c.addrs[0]), "::ffff:10.0.0.1");
	CHECK(ask("one.alias", AF_INET).n == 1);
	c = ask("two.example", AF_INET);
	CHECK(c.n == 2);
	CHECK_STR(text(&c.addrs[1]), "::ffff:10.0.0.3");
	c = ask("two.example", AF_INET6);
	CHECK(c.n == 1);
	CHECK_STR(text(&c.addrs[0]), "2001:db8::2");
	CHECK(ask("last.example", AF_INET).n == 1);
	CHECK(fakes[0].asked == 0);
	CHECK(ask("bad.example", AF_INET).n == 2);
	CHECK(fakes[0].asked == 1);
	write_hosts("10.0.0.9 one.example\n10.0.0.9 bad.example more.example\n");
	c = ask("one.example", AF_INET);
	CHECK_STR(text(&c.addrs[0]), "::ffff:10.0.0.9");
	CHECK(ask("bad.example", AF_INET).n == 1); /* before the cache */
	unlink(hosts_path);
	resolver_clock_skew_ms += 1000;
	c = ask("one.example", AF_INET);
	CHECK_STR(text(&c.addrs[0]), "::ffff:198.41.0.1");
	end();
}

/* A dead server is passed over, and remembered; a failing one is passed over each time. */
static void test_failover(void)
{
	struct caller c;

	begin(2, "");
	fakes[0].broken = true;
	CHECK(ask("a.example", AF_INET).err == 0);
	CHECK(fakes[0].asked == 1 && fakes[1].asked == 1);
	fakes[0].broken = false;
	fakes[0].silent = true;
	c = ask("b.example", AF_INET);
	CHECK(c.err == 0 && fakes[0].asked == 2 && fakes[1].asked == 2);
	CHECK(ask("c.example", AF_INET).err == 0);
	CHECK(fakes[0].asked == 2 && fakes[1].asked == 3);
	/* the other dies as well, the first is back */
	fakes[0].silent = false;
	fakes[1].silent = true;
	CHECK(ask("d.example", AF_INET).err == 0);
	CHECK(ask("e.example", AF_INET).err == 0);
	CHECK(fakes[1].asked == 4);
	fakes[1].silent = false;
	end();
}

/* The only server is away, then back: the next question finds it. */
static void test_recovery(void)
{
	begin(1, "");
	fakes[0].silent = true;
	CHECK(ask("a.example", AF_INET).err == -ETIMEDOUT);
	CHECK(fakes[0].asked == 3);
	CHECK(ask("a.example", AF_INET).q == NULL); /* remembered for a second */
	resolver_clock_skew_ms += 1001;
	fakes[0].silent = false;
	CHECK(ask("a.example", AF_INET).err == 0);
	CHECK(ask("b.example", AF_INET).err == 0);
	CHECK(fakes[0].asked == 5); /* and no probes */
	/* the process is gone, and another in its place */
	fake_close(&fakes[0]);
	fake_open(&fakes[0]);
	CHECK(ask("c.example", AF_INET).err == 0);
	end();
}

static void test_reload(void)
{
	struct caller c = { 0 };
	struct conf other;

	begin(1, "");
	CHECK(ask("a.example", AF_INET).err == 0);
	fakes[0].silent = true;
	start(&c, "b.example", AF_INET);
	turns();
	other = conf;
	servers[0] = fakes[1].text;
	CHECK(resolver_reload(r, &other) == 0);
	wait_for(&c, 1);
	CHECK(c.err == 0 && fakes[1].asked == 1);
	CHECK(ask("a.example", AF_INET).err == 0);
	CHECK(fakes[1].asked == 2);
	servers[0] = (char *)"nonsense";
	CHECK(resolver_reload(r, &other) == -EINVAL);
	CHECK(ask("c.example", AF_INET).err == 0);
	fakes[0].silent = false;
	end();
}

static void test_bad_server(void)
{
	char err[200] = "";

	servers[0] = (char *)"not.an.address";
	conf.nameservers.n = 1;
	CHECK(resolver_new(base, &conf, err, sizeof(err)) == NULL);
	CHECK_STR(err, "name server not.an.address: Invalid argument");
	conf.nameservers.n = 0;
	r = resolver_new(base, &conf, err, sizeof(err));
	CHECK(r != NULL); /* the system's */
	end();
}

/* More names than the cache holds: it stays bounded, and drops the oldest. */
static void test_bounded(void)
{
	struct caller c = { 0 };
	char name[64];

	begin(1, "");
	for (int i = 0; i < 10050; i++) {
		snprintf(name, sizeof(name), "n%d.example", i);
		start(&c, name, AF_INET);
		if (i % 50 == 49)
			wait_for(&c, (unsigned)i + 1);
	}
	CHECK(stats().names == 10000 && stats().pending == 0 && c.err == 0);
	CHECK(ask("n10049.example", AF_INET).q == NULL);
	CHECK(ask("n0.example", AF_INET).q != NULL);
	end();
}

static struct client_key client_number(unsigned n)
{
	struct client_key key = client;

	memcpy(&key.bytes[4], &n, sizeof(n));
	return key;
}

static void start_for(struct caller *c, unsigned who, unsigned n)
{
	struct client_key key = client_number(who);
	char name[64];

	snprintf(name, sizeof(name), "n%u.silent.example", n);
	c->q = resolver_ask(r, name, AF_INET, &key, on_done, c);
}

/* Questions that have waited longer than a new one may be kept waiting. */
static void grow_old(void)
{
	resolver_clock_stands_at_ms += 300;
}

/* A client has a share. When that is used up its own oldest question makes way, not another's. */
static void test_share(void)
{
	static struct caller c[1030];
	struct caller honest = { 0 };
	unsigned refused = 0;

	memset(c, 0, sizeof(c));
	resolver_clock_stands_at_ms = 1000;
	resolver_key_is_zero = true; /* these two have different shares */
	begin(1, "");
	start_for(&honest, 2, 9999);
	grow_old();
	for (unsigned i = 0; i < 1030; i++) {
		start_for(&c[i], 1, i);
		refused += c[i].calls && c[i].err == -EIO;
	}
	/* all are young: the new ones are not asked (both families were tried) */
	CHECK(refused == 6 && stats().pending == 1025 && stats().given_up == 12);
	grow_old();
	start_for(&c[1024], 1, 20000);
	CHECK(c[0].calls == 0); /* told from the loop, not from within another's question */
	turns();
	CHECK(c[0].calls == 1 && c[0].err == -ETIMEDOUT && c[1].calls == 0);
	CHECK(honest.calls == 0 && stats().pending == 1025 && stats().given_up == 13);
	CHECK(c[1024].q != NULL);
	end();
	resolver_key_is_zero = false;
	resolver_clock_stands_at_ms = 0;
}

/* Every place is taken: who has waited longest makes way for a new question, if it was long
   enough; honest names get through. */
static void test_jostle(void)
{
	static struct caller c[4096];
	struct caller fresh = { 0 };
	struct client_key other = client_number(77777);

	memset(c, 0, sizeof(c));
	resolver_clock_stands_at_ms = 1000;
	begin(1, "");
	for (unsigned i = 0; i < 4096; i++)
		start_for(&c[i], i, i);
	CHECK(stats().pending == 4096 && stats().given_up == 0);
	fresh.q = resolver_ask(r, "honest.example", AF_INET, &other, on_done, &fresh);
	CHECK(fresh.calls == 1 && fresh.err == -EIO); /* too early */
	grow_old();
	fresh.q = resolver_ask(r, "honest.example", AF_INET, &other, on_done, &fresh);
	CHECK(fresh.calls == 1 && stats().pending == 4096);
	wait_for(&fresh, 2);
	CHECK(fresh.err == 0 && fresh.n == 2);
	CHECK(c[0].calls == 1 && c[0].err == -ETIMEDOUT && c[1].calls == 0);
	/* given up, and freed before anybody was told */
	start_for(&c[0], 0, 5000);
	start_for(&c[0], 0, 5001);
	end();
	CHECK(c[1].calls == 0);
	turns();
	resolver_clock_stands_at_ms = 0;
}

/* Nobody is there any more: asked anew, but not for each connection. */
static void test_forget(void)
{
	begin(1, "");
	CHECK(ask("a.example", AF_INET).err == 0 && ask("a.example", AF_INET6).err == 0);
	CHECK(fakes[0].asked == 2);
	resolver_forget(r, "a.example");
	CHECK(ask("a.example", AF_INET).q == NULL);
	resolver_clock_skew_ms += 1000;
	resolver_forget(r, "a.example");
	resolver_forget(r, "b.example");
	CHECK(ask("a.example", AF_INET).q != NULL && ask("a.example", AF_INET6).q != NULL);
	CHECK(fakes[0].asked == 4);
	end();
}

int main(void)
{
	int fd = mkstemp(hosts_path);

	evthread_use_pthreads();
	base = event_base_new();
	fake_open(&fakes[0]);
	fake_open(&fakes[1]);
	RUN(test_answers);
	RUN(test_literals);
	RUN(test_ttl);
	RUN(test_coalescing);
	RUN(test_cancel);
	RUN(test_from_callbacks);
	RUN(test_free_early);
	RUN(test_truncated);
	RUN(test_hosts);
	RUN(test_failover);
	RUN(test_recovery);
	RUN(test_reload);
	RUN(test_bad_server);
	RUN(test_bounded);
	RUN(test_share);
	RUN(test_jostle);
	RUN(test_forget);
	fake_close(&fakes[0]);
	fake_close(&fakes[1]);
	event_base_free(base);
	close(fd);
	unlink(hosts_path);
	TEST_DONE("resolver");
}
