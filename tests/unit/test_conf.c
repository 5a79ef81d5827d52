// SPDX-License-Identifier: GPL-2.0-or-later
// sluice.ini: what is read, field by field, and the exact words about what is wrong.
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "conf/conf.h"
#include "conf/ini.h"
#include "conf/value.h"
#include "tests/unit/folder.h"
#include "tests/unit/test.h"

#define L "[listener a]\naddress = 127.0.0.1:3129\n" /* what every file needs: lines 1, 2 */

static char err[1024];

static struct conf *read_text(const char *text)
{
	folder_text("c.ini", text);
	return conf_read("c.ini", err, sizeof(err));
}

/* ---- good files ---- */

static void test_defaults(void)
{
	struct conf *c = read_text(L);

	CHECK_STR(err, "");
	CHECK(c != NULL);
	if (!c)
		return;
	CHECK_STR(c->user, "sluice");
	CHECK(c->workers == 0);
	CHECK(c->fastpath == FASTPATH_AUTO);
	CHECK(c->max_connections == 65536);
	CHECK(c->max_per_client == 8192);
	CHECK(c->client_prefix6 == 64);
	CHECK_STR(c->access_log, "/var/log/sluice/access.log");
	CHECK(c->log_format == LOG_SQUID);
	CHECK_STR(c->control, "/run/sluice/control.sock");
	CHECK_STR(c->pin, "/sys/fs/bpf/sluice");
	CHECK(c->mark == 0);
	CHECK(c->hello_ms == 5000 && c->connect_ms == 10000 && c->idle_ms == 3600000 &&
	      c->drain_ms == 30000);
	CHECK(!c->default_allow && c->enforce && !c->reload_closes_denied);
	CHECK_STR(c->changes, "");
	CHECK(c->destination == DESTINATION_NAMED);
	CHECK(c->private_networks.n == 0 && c->own_addresses.n == 0 && c->nat64_prefixes.n == 0);
	CHECK(!c->watch_lists);
	CHECK(c->deny_tls == DENY_TLS_ALERT);
	CHECK(c->deny_page_text && strstr(c->deny_page_text, "%h") &&
	      strstr(c->deny_page_text, "%r"));
	CHECK(!c->no_sni_allow && !c->no_host_allow);
	CHECK(c->min_version == 0x0303);
	CHECK(c->nameservers.n == 0);
	CHECK_STR(c->hosts, "/etc/hosts");
	CHECK(c->n_listeners == 1 && c->n_groups == 1 && c->n_rules == 0);
	CHECK_STR(c->groups[0].name, "all");
	CHECK(c->sources.n == 1);
	CHECK_STR(c->sources.at[0], "c.ini");
	conf_free(c);
}

static const char full[] =
	"\xef\xbb\xbf; everything, in Windows clothes\r\n"
	"[sluice]\r\n"
	"user = \r\n"
	"workers = 3\n"
	"fastpath = off ; and why\n"
	"max_connections = 100\n"
	"max_per_client=7\n"
	"access_log = syslog # words too\n"
	"log_format : json\n"
	"control = /tmp/c;x.sock\n"
	"pin =\n"
	"mark = 0xFFFFFFFF\n"
	"[listener one]\n"
	"mode = intercept\n"
	"address = 0.0.0.0:3129, [::]:3129\n"
	"  [::1]:1,\n"
	"address = 192.0.2.1:65535\n"
	"[  listener\ttwo  ]   ; blanks\n"
	"address = 127.0.0.1:1\n"
	"[timeouts]\n"
	"hello = 500ms\nconnect = 7\nidle = 2h\ndrain = 0\n"
	"[policy]\n"
	"default = allow\nenforce = no\ndestination = original\n"
	"private_networks = 10.0.0.0/8, ::1\n"
	"deny_tls = reset\ndeny_page = page.html\n"
	"[tls]\nno_sni = allow\nmin_version = 1.3\n"
	"[http]\nno_host = allow\n"
	"[resolver]\n"
	"nameservers = 192.0.2.53, 192.0.2.53:5353, 2001:db8::53, [2001:db8::53], [::1]:53\n"
	"hosts = my.hosts\n"
	"[rule api]\n"
	"clients = late, agents\n"
	"clients = late\n"
	"allow = .OpenAI.com., *.example.com\n"
	"    api.anthropic.com,\n"
	"\n"
	"\t; in between\n"
	"    192.0.2.0/24, 2001:db8::/32, 192.0.2.7\n"
	"deny = telemetry.openai.com, file:sub/l.list\n"
	"ports = 443, 80, 8000-8100\n"
	"[clients agents]\n"
	"networks = 10.1.0.0/16, fd00:1::/64\n"
	"networks = 10.1.0.0/16\n"
	"[clients late]\nnetworks = 10.2.3.4\n"
	"[rule other]\ndeny = a_b.example\nclients = all\n"
	"[metrics]\naddress = [::1]:9465,\n  192.0.2.1:1\naddress = 127.0.0.1:9465\n";

static void check_full_scalars(const struct conf *c)
{
	CHECK_STR(c->user, "");
	CHECK(c->workers == 3 && c->fastpath == FASTPATH_OFF);
	CHECK(c->max_connections == 100 && c->max_per_client == 7);
	CHECK_STR(c->access_log, "syslog");
	CHECK(c->log_format == LOG_JSON);
	CHECK_STR(c->control, "/tmp/c;x.sock");
	CHECK_STR(c->pin, "");
	CHECK(c->mark == 0xffffffff);
	CHECK(c->hello_ms == 500 && c->connect_ms == 7000 && c->idle_ms == 7200000 &&
	      c->drain_ms == 0);
	CHECK(c->default_allow && !c->enforce && c->destination == DESTINATION_ORIGINAL);
	CHECK(c->deny_tls == DENY_TLS_RESET);
	CHECK_STR(c->deny_page, "page.html");
	CHECK_STR(c->deny_page_text, "no %h\n");
	CHECK(c->no_sni_allow && c->no_host_allow && c->min_version == 0x0304);
	CHECK_STR(c->hosts, "my.hosts");
	CHECK(c->nameservers.n == 5);
	CHECK_STR(c->nameservers.at[1], "192.0.2.53:5353");
	CHECK_STR(c->nameservers.at[4], "[::1]:53");
}

static void check_metrics(const struct conf *c)
{
	const struct sockaddr_in6 *v6 = (const void *)&c->metrics.at[0];
	const struct sockaddr_in *v4 = (const void *)&c->metrics.at[2];

	CHECK(c->metrics.n == 3);
	CHECK(v6->sin6_family == AF_INET6 && v6->sin6_port == htons(9465) &&
	      IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr));
	CHECK(v4->sin_family == AF_INET && v4->sin_port == htons(9465));
}

/* No section, no listener; a section that does not say where is at loopback. */
static void test_metrics(void)
{
	struct conf *c = read_text(L);
	const struct sockaddr_in *v4;

	CHECK(c && c->metrics.n == 0);
	conf_free(c);
	c = read_text("[metrics]\n" L);
	CHECK(c && c->metrics.n == 1);
	if (!c)
		return;
	v4 = (const void *)&c->metrics.at[0];
	CHECK(v4->sin_family == AF_INET && v4->sin_port == htons(9465) &&
	      v4->sin_addr.s_addr == htonl(INADDR_LOOPBACK));
	conf_free(c);
}

static void check_cidr(const struct cidr *c, const char *want)
{
	char got[64];

	cidr_print(c, got, sizeof(got));
	CHECK_STR(got, want);
}

static void check_full_lists(const struct conf *c)
{
	const struct sockaddr_in *v4;
	const struct sockaddr_in6 *v6;

	CHECK(c->n_listeners == 2);
	CHECK_STR(c->listeners[0].name, "one");
	CHECK_STR(c->listeners[1].name, "two");
	CHECK(c->listeners[0].n == 4 && c->listeners[1].n == 1);
	v4 = (const void *)&c->listeners[0].at[3];
	CHECK(v4->sin_family == AF_INET && v4->sin_port == htons(65535) &&
	      v4->sin_addr.s_addr == htonl(0xc0000201));
	v6 = (const void *)&c->listeners[0].at[2];
	CHECK(v6->sin6_family == AF_INET6 && v6->sin6_port == htons(1) &&
	      IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr));
	CHECK(c->private_networks.n == 2);
	check_cidr(&c->private_networks.at[0], "10.0.0.0/8");
	check_cidr(&c->private_networks.at[1], "::1");
	CHECK(c->n_groups == 3);
	CHECK_STR(c->groups[1].name, "agents");
	CHECK_STR(c->groups[2].name, "late");
	CHECK(c->groups[0].networks.n == 0 && c->groups[1].networks.n == 3);
	check_cidr(&c->groups[1].networks.at[1], "fd00:1::/64");
	check_cidr(&c->groups[2].networks.at[0], "10.2.3.4");
}

static void check_name(const struct conf *c, const struct conf_name *n, const char *text,
		       unsigned kind, bool deny, unsigned source, unsigned line)
{
	CHECK_STR(c->text + n->text, text);
	CHECK(n->kind == kind);
	CHECK(n->deny == deny);
	CHECK(n->source == source);
	CHECK(n->line == line);
}

static void check_full_rules(const struct conf *c)
{
	const struct conf_rule *r = &c->rules[0];

	CHECK(c->n_rules == 2);
	CHECK_STR(r->name, "api");
	CHECK(r->n_groups == 2 && r->groups[0] == 2 && r->groups[1] == 1);
	CHECK(r->n_ports == 3 && r->ports[0].first == 443 && r->ports[0].last == 443 &&
	      r->ports[2].first == 8000 && r->ports[2].last == 8100);
	CHECK(r->n_names == 5 && r->n_nets == 4);
	check_name(c, &r->names[0], "openai.com", NAME_TREE, false, 0, 43);
	check_name(c, &r->names[1], "example.com", NAME_BELOW, false, 0, 43);
	check_name(c, &r->names[2], "api.anthropic.com", NAME_HOST, false, 0, 44);
	check_name(c, &r->names[3], "telemetry.openai.com", NAME_HOST, true, 0, 48);
	check_name(c, &r->names[4], "bad.example", NAME_HOST, true, 1, 2);
	check_cidr(&r->nets[0].cidr, "192.0.2.0/24");
	check_cidr(&r->nets[1].cidr, "2001:db8::/32");
	check_cidr(&r->nets[2].cidr, "192.0.2.7");
	check_cidr(&r->nets[3].cidr, "198.51.100.0/24");
	CHECK(!r->nets[0].deny && r->nets[0].line == 47 && r->nets[0].source == 0);
	CHECK(r->nets[3].deny && r->nets[3].line == 3 && r->nets[3].source == 1);
	CHECK_STR(c->sources.at[1], "sub/l.list");
	CHECK(c->rules[1].n_groups == 1 && c->rules[1].groups[0] == 0 && c->rules[1].n_ports == 0);
}

static void test_full(void)
{
	struct conf *c;

	mkdir("sub", 0700);
	folder_text("sub/l.list", "# bad ones\nbad.example # here\n198.51.100.0/24\n");
	folder_text("page.html", "no %h\n");
	c = read_text(full);
	CHECK_STR(err, "");
	CHECK(c != NULL);
	if (!c)
		return;
	check_full_scalars(c);
	check_full_lists(c);
	check_full_rules(c);
	check_metrics(c);
	conf_free(c);
}

static void test_client_prefix6(void)
{
	static const struct {
		const char *text;
		unsigned bits;
	} good[] = { { L "[sluice]\nclient_prefix6 = 32\n", 32 },
		     { L "[sluice]\nclient_prefix6 = 56\n", 56 },
		     { L "[sluice]\nclient_prefix6 = 128\n", 128 } };

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		struct conf *c = read_text(good[i].text);

		CHECK(c && c->client_prefix6 == good[i].bits);
		conf_free(c);
	}
}

/* The gateway's own beside its interfaces', and prefixes of its translators; repeated to add. */
static void test_own_addresses(void)
{
	struct conf *c = read_text(L "[policy]\n"
				     "own_addresses = 198.51.100.7, 2001:db8::/64\n"
				     "nat64_prefixes = 2001:db8:64::/96, 2001:db8:6400::/40\n"
				     "nat64_prefixes = 2001:db8::/32\n");

	CHECK_STR(err, "");
	CHECK(c && c->own_addresses.n == 2 && c->nat64_prefixes.n == 3);
	if (!c)
		return;
	check_cidr(&c->own_addresses.at[0], "198.51.100.7");
	check_cidr(&c->own_addresses.at[1], "2001:db8::/64");
	check_cidr(&c->nat64_prefixes.at[0], "2001:db8:64::/96");
	check_cidr(&c->nat64_prefixes.at[2], "2001:db8::/32");
	conf_free(c);
}

static void test_watch_lists(void)
{
	struct conf *c = read_text(L "[policy]\nwatch_lists = yes\n");

	CHECK(c && c->watch_lists);
	conf_free(c);
	CHECK(!read_text(L "[policy]\nwatch_lists = inotify\n"));
	CHECK_STR(err,
		  "c.ini:4: watch_lists must be yes, no, on, off, true or false, not 'inotify'");
}

/* From another folder: lists, page and hosts are found beside the INI file. */
static void test_relative(void)
{
	struct conf *c;

	folder_text("sub/page", "p");
	folder_text("sub/c.ini", L "[policy]\ndeny_page = page\n[resolver]\nhosts = h\n"
				   "[rule r]\ndeny = file:l.list\n");
	c = conf_read("sub/c.ini", err, sizeof(err));
	CHECK_STR(err, "");
	if (!c)
		return;
	CHECK_STR(c->deny_page_text, "p");
	CHECK_STR(c->hosts, "sub/h");
	CHECK_STR(c->sources.at[1], "sub/l.list");
	CHECK(c->rules[0].n_names == 1);
	conf_free(c);
}

static void test_changing(void)
{
	struct conf *c = read_text(L "[policy]\nreload_closes_denied = yes\nchanges = /var/lib/c\n"
				     "[rule a]\nallow = a\n[rule b]\ndeny = b\nenforce = no\n");

	CHECK_STR(err, "");
	if (!c)
		return;
	CHECK(c->reload_closes_denied);
	CHECK_STR(c->changes, "/var/lib/c");
	CHECK(c->rules[0].enforce && !c->rules[1].enforce);
	conf_free(c);
}

/* inih would cut these at 200 bytes; here all of it arrives, or nobody starts. */
static void test_long_line(void)
{
	char text[40000];
	struct conf *c;
	size_t n = (size_t)sprintf(text, L "[rule r]\nallow =");

	for (unsigned i = 0; i < 2000; i++)
		n += (size_t)sprintf(text + n, " n%u.example%s", i, i < 1999 ? "," : " ; end, x");
	sprintf(text + n, "\n   last.example\nports = 1\n");
	c = read_text(text);
	CHECK_STR(err, "");
	if (!c)
		return;
	CHECK(c->rules[0].n_names == 2001);
	for (unsigned i = 0; i < 2000 && i < c->rules[0].n_names; i++) {
		sprintf(text, "n%u.example", i);
		if (strcmp(c->text + c->rules[0].names[i].text, text) != 0 ||
		    c->rules[0].names[i].line != 4)
			break;
		test_checks++;
	}
	CHECK(test_checks > 2000);
	CHECK(c->rules[0].n_names == 2001 && c->rules[0].names[2000].line == 5);
	conf_free(c);
}

/* Every length around inih's limit, with the comma just inside and just outside. */
static void test_line_lengths(void)
{
	char text[1024];
	struct conf *c;

	for (unsigned pad = 100; pad < 260; pad++) {
		sprintf(text, L "[rule r]\nallow = a.example, %*sb.example,c.example\n", pad, "");
		c = read_text(text);
		CHECK_STR(err, "");
		CHECK(c && c->rules[0].n_names == 3);
		conf_free(c);
		sprintf(text, L "[rule r]\nallow = a.example,%*s,c.example\n", pad, "");
		c = read_text(text);
		CHECK_STR(err, "c.ini:4: nothing before a comma of the list");
		conf_free(c);
	}
}

/* ---- bad files ---- */

static const struct {
	const char *text, *err;
} bad[] = {
	{ "", ":1: no [listener NAME] section" },
	{ "# nothing\n\n", ":2: no [listener NAME] section" },
	{ "user = x\n", ":1: key 'user' before the first [section]" },
	{ "[sluice]\nusr = x\n", ":2: unknown key 'usr' in [sluice]; did you mean 'user'?" },
	{ "[sluice]\nacces_log = x\n",
	  ":2: unknown key 'acces_log' in [sluice]; did you mean 'access_log'?" },
	{ "[sluice]\nidle = 1h\n", ":2: unknown key 'idle' in [sluice]; it belongs in [timeouts]" },
	{ "[sluice]\nzzzzzz = 1h\n", ":2: unknown key 'zzzzzz' in [sluice]" },
	{ "[sluice]\n= 3\n", ":2: unknown key '' in [sluice]" },
	{ "[sluice]\nuser\n", ":2: neither a [section] nor a 'key = value'" },
	{ "[sluice]\nuser\n[tls]\n", ":2: neither a [section] nor a 'key = value'" },
	{ "[slice]\n", ":1: unknown section [slice]; did you mean 'sluice'?" },
	{ "[proxy]\n", ":1: unknown section [proxy]" },
	{ "[]\n", ":1: a section without a name" },
	{ "[sluice\nuser = x\n", ":1: a section header without its ']'" },
	{ "[sluice] user = x\n", ":1: 'user = x' after the section header" },
	{ "[sluice x]\n", ":1: [sluice] takes no name" },
	{ "[rule]\n", ":1: [rule] needs a name: [rule NAME]" },
	{ "[rule a b]\n", ":1: the name 'a b' is not 1 to 63 of A-Z a-z 0-9 _ . -" },
	{ "[rule 0123456789012345678901234567890123456789012345678901234567890123]\n",
	  ":1: the name '0123456789012345678901234567890123456789012345678901234567890123' is not "
	  "1 to 63 of A-Z a-z 0-9 _ . -" },
	{ "[rule default]\n", ":1: a rule cannot be called 'default'" },
	{ "[rule runtime]\n", ":1: a rule cannot be called 'runtime'" },
	{ "[tls]\n[http]\n[tls]\n", ":3: section [tls] is given twice, first on line 1" },
	{ L "[listener a]\n", ":3: section [listener a] is given twice, first on line 1" },
	{ "[rule r]\nallow = a\n[rule r]\n",
	  ":3: section [rule r] is given twice, first on line 1" },
	{ "[sluice]\nuser = a\nuser = b\n", ":3: 'user' is given twice" },
	{ "[sluice]\nuser = a\n  b\n", ":3: 'user' is given twice" },
	{ "[sluice]\nuser = a\n  pin = b\n",
	  ":3: an indented line goes on with the key above it; do not indent 'pin = b'" },
	{ "[sluice]\nuser = a\n  [tls]\n",
	  ":3: an indented line goes on with the key above it; do not indent '[tls]'" },
	{ "[sluice]\nworkers =\n", ":2: 'workers' needs a value" },
	{ "[sluice]\nworkers = 0\n",
	  ":2: workers must be auto or a number from 1 to 1024, not '0'" },
	{ "[sluice]\nworkers = -1\n",
	  ":2: workers must be auto or a number from 1 to 1024, not '-1'" },
	{ "[sluice]\nfastpath = yes\n", ":2: fastpath must be auto, on or off, not 'yes'" },
	{ "[sluice]\nfastpath = on;x\n", ":2: fastpath must be auto, on or off, not 'on;x'" },
	{ "[sluice]\nmax_connections = 99999999\n",
	  ":2: max_connections must be a number from 1 to 16777216, not '99999999'" },
	{ "[sluice]\nmax_per_client = 1k\n",
	  ":2: max_per_client must be a number from 1 to 16777216, not '1k'" },
	{ "[sluice]\nclient_prefix6 = 31\n",
	  ":2: client_prefix6 must be a number from 32 to 128, not '31'" },
	{ "[sluice]\nclient_prefix6 = /64\n",
	  ":2: client_prefix6 must be a number from 32 to 128, not '/64'" },
	{ "[sluice]\nclient_prefix6 = 129\n",
	  ":2: client_prefix6 must be a number from 32 to 128, not '129'" },
	{ "[sluice]\naccess_log = sylog\n", ":2: access_log must be an absolute path, stderr, "
					    "syslog or none, not 'sylog'" },
	{ "[sluice]\naccess_log = syslog:log\n", ":2: access_log must be an absolute path, "
						 "stderr, syslog or none, not 'syslog:log'" },
	{ "[sluice]\naccess_log = syslog:/5678901234567890123456789012345678901234567890123456789"
	  "0123456789012345678901234567890123456789012345678901234567890123456789\n",
	  ":2: the path of syslog: is longer than 107 bytes" },
	{ "[sluice]\ncontrol = c.sock\n", ":2: control must be an absolute path, not 'c.sock'" },
	{ "[sluice]\ncontrol = /4567890123456789012345678901234567890123456789012345678901234567890"
	  "123456789012345678901234567890123456789012345\n",
	  ":2: control is longer than 107 bytes" },
	{ "[sluice]\nlog_format = xml\n", ":2: log_format must be squid or json, not 'xml'" },
	{ "[sluice]\nmark = 0x100000000\n",
	  ":2: mark must be a number from 0 to 4294967295, or hex "
	  "from 0x0 to 0xffffffff, not '0x100000000'" },
	{ "[sluice]\nuser = a\vb\n", ":2: a control character in the line" },
	{ "[listener a]\nmode = intercept\n", ":1: listener 'a' has no address" },
	{ "[listener a]\naddress =\n[tls]\n", ":1: listener 'a' has no address" },
	{ "[listener a]\nmode = proxy\n", ":2: mode must be intercept, not 'proxy'" },
	{ "[listener a]\naddress = 127.0.0.1\n",
	  ":2: '127.0.0.1' is not ADDRESS:PORT or [ADDRESS]:PORT" },
	{ "[listener a]\naddress = 127.0.0.1:0\n",
	  ":2: '127.0.0.1:0' is not ADDRESS:PORT or [ADDRESS]:PORT" },
	{ "[listener a]\naddress = [::1:80\n",
	  ":2: '[::1:80' is not ADDRESS:PORT or [ADDRESS]:PORT" },
	{ "[listener a]\naddress = [1.2.3.4]:80\n",
	  ":2: '[1.2.3.4]:80' is not ADDRESS:PORT or [ADDRESS]:PORT" },
	{ "[listener a]\naddress = ::1\n", ":2: '::1' is not ADDRESS:PORT or [ADDRESS]:PORT" },
	{ "[listener a]\naddress = host:80\n",
	  ":2: 'host:80' is not ADDRESS:PORT or [ADDRESS]:PORT" },
	{ L "[listener b]\naddress = 127.0.0.1:3129\n",
	  ":4: '127.0.0.1:3129' is already an address of listener 'a'" },
	{ "[timeouts]\nhello = 0\n",
	  ":2: hello must be a time from 1ms to 30d, as in 500ms, 5s, 2m or 1h, not '0'" },
	{ "[timeouts]\nidle = 1.5h\n",
	  ":2: idle must be a time from 1ms to 30d, as in 500ms, 5s, 2m or 1h, not '1.5h'" },
	{ "[timeouts]\ndrain = 31d\n",
	  ":2: drain must be a time from 0 to 30d, as in 500ms, 5s, 2m or 1h, not '31d'" },
	{ "[policy]\ndefault = no\n", ":2: default must be deny or allow, not 'no'" },
	{ "[policy]\nchanges = var/changes\n",
	  ":2: changes must be an absolute path, not 'var/changes'" },
	{ "[rule runtime]\nallow = a\n", ":1: a rule cannot be called 'runtime'" },
	{ "[rule a]\nallow = a\nenforce = perhaps\n",
	  ":3: enforce must be yes, no, on, off, true or false, not 'perhaps'" },
	{ "[policy]\nenforce = maybe\n",
	  ":2: enforce must be yes, no, on, off, true or false, not 'maybe'" },
	{ "[policy]\nprivate_networks = 10.0.0.1/8\n",
	  ":2: '10.0.0.1/8' has bits beyond its prefix; did you mean 10.0.0.0/8?" },
	{ "[policy]\nnat64_prefixes = 2001:db8::/33\n",
	  ":2: '2001:db8::/33' is not an IPv6 prefix of 32, 40, 48, 56, 64 or 96 bits, "
	  "as in 2001:db8:64::/96" },
	{ "[policy]\nnat64_prefixes = 2001:d00::/24\n",
	  ":2: '2001:d00::/24' is not an IPv6 prefix of 32, 40, 48, 56, 64 or 96 bits, "
	  "as in 2001:db8:64::/96" },
	{ "[policy]\nnat64_prefixes = 2001:db8::/72\n",
	  ":2: '2001:db8::/72' is not an IPv6 prefix of 32, 40, 48, 56, 64 or 96 bits, "
	  "as in 2001:db8:64::/96" },
	{ "[policy]\nnat64_prefixes = 2001:db8::/128\n",
	  ":2: '2001:db8::/128' is not an IPv6 prefix of 32, 40, 48, 56, 64 or 96 bits, "
	  "as in 2001:db8:64::/96" },
	{ "[policy]\nnat64_prefixes = 2001:db8::\n",
	  ":2: '2001:db8::' is not an IPv6 prefix of 32, 40, 48, 56, 64 or 96 bits, "
	  "as in 2001:db8:64::/96" },
	{ "[policy]\nnat64_prefixes = 10.0.0.0/8\n",
	  ":2: '10.0.0.0/8' is not an IPv6 prefix of 32, 40, 48, 56, 64 or 96 bits, "
	  "as in 2001:db8:64::/96" },
	{ "[policy]\nnat64_prefixes = 10.0.0.0\n",
	  ":2: '10.0.0.0' is not an IPv6 prefix of 32, 40, 48, 56, 64 or 96 bits, "
	  "as in 2001:db8:64::/96" },
	{ "[policy]\nnat64_prefixes = 2001:db8::100:0:0:0/96\n",
	  ":2: bits 64 to 71 of '2001:db8::100:0:0:0/96' must be zero (RFC 6052)" },
	{ "[policy]\nnat64_prefixes = 2001:db8::1/96\n",
	  ":2: '2001:db8::1/96' has bits beyond its prefix; did you mean 2001:db8::/96?" },
	{ "[policy]\nnat64_prefixes = 2001:db8::/96\nnat64_prefixes = 2001:db8::/96\n",
	  ":3: '2001:db8::/96' is given twice" },
	{ "[policy]\nown_addresses = here\n", ":2: 'here' is not a network, as in 192.0.2.0/24" },
	{ "[policy]\nprivate_networks = any\n", ":2: 'any' is not a network, as in 192.0.2.0/24" },
	{ "[policy]\ndeny_page = none.html\n",
	  ":2: cannot read deny_page 'none.html': No such file or directory" },
	{ "[policy]\ndeny_page = /\n", ":2: cannot read deny_page '/': Is a directory" },
	{ "[policy]\ndeny_page = big\n", ":2: deny_page 'big' is larger than 65536 bytes" },
	{ "[tls]\nmin_version = 1.4\n", ":2: min_version must be 1.0, 1.1, 1.2 or 1.3, not '1.4'" },
	{ "[http]\nno_sni = deny\n", ":2: unknown key 'no_sni' in [http]; it belongs in [tls]" },
	{ "[http]\nno_hots = deny\n",
	  ":2: unknown key 'no_hots' in [http]; did you mean 'no_host'?" },
	{ "[resolver]\nnameservers = dns.example\n",
	  ":2: 'dns.example' is not ADDRESS or ADDRESS:PORT" },
	{ "[metrics]\naddress = localhost:9465\n",
	  ":2: 'localhost:9465' is not ADDRESS:PORT or [ADDRESS]:PORT" },
	{ "[metrics]\naddress =\n", ":2: 'address' needs a value" },
	{ "[metrics]\naddress = 127.0.0.1:1, 127.0.0.1:1\n", ":2: '127.0.0.1:1' is given twice" },
	{ "[metrics]\nport = 1\n", ":2: unknown key 'port' in [metrics]" },
	{ "[metrics here]\n", ":1: [metrics] takes no name" },
	{ "[metrics]\naddress = 127.0.0.1:3129\n" L,
	  ": an address of [metrics] is one of listener 'a'" },
	{ "[clients g]\n", ":1: group 'g' has no networks" },
	{ "[clients g]\nnetworks = 10.0.0.0/33\n", ":2: '10.0.0.0/33' is not a network, as in "
						   "192.0.2.0/24" },
	{ L "[clients g]\nnetworks = 10.0.0.0/8\n[clients h]\nnetworks = 1.2.3.4,\n  10.0.0.0/8\n",
	  ":7: network 10.0.0.0/8 is already in group 'g' (line 4)" },
	{ L "[clients g]\nnetworks = 9.0.0.0/8, 8.0.0.0/8\n[clients h]\nnetworks = 9.0.0.0/8,\n"
	    "  8.0.0.0/8\n",
	  ":6: network 9.0.0.0/8 is already in group 'g' (line 4)" },
	{ "[rule r]\nclients = all\n", ":1: rule 'r' has neither allow nor deny" },
	{ "[rule r]\nallow =\n[tls]\n", ":1: rule 'r' has neither allow nor deny" },
	{ "[rule r]\nallow = a\nclients =\n", ":1: rule 'r' has an empty 'clients'" },
	{ "[rule r]\nallow = a\nports = ,\n", ":3: nothing before a comma of the list" },
	{ "[rule r]\nallow = a\nports =\n", ":1: rule 'r' has an empty 'ports'" },
	{ "[rule r]\nallow = a\nports = 80-79\n",
	  ":3: '80-79' is neither a port from 1 to 65535 nor FIRST-LAST" },
	{ "[rule r]\nallow = a\nports = 65536\n",
	  ":3: '65536' is neither a port from 1 to 65535 nor FIRST-LAST" },
	{ L "[rule r]\nallow = a\nclients = all,\n  agent\n[clients agents]\nnetworks = ::1\n",
	  ":6: unknown group 'agent'; did you mean 'agents'?" },
	{ L "[rule r]\nallow = a\nclients = nobody\n", ":5: unknown group 'nobody'" },
	{ "[rule r]\nallow = a..b\n", ":2: 'a..b' is not a host name" },
	{ "[rule r]\nallow = .\n", ":2: '.' is not a host name" },
	{ "[rule r]\nallow = *\n", ":2: '*' is not a host name" },
	{ "[rule r]\nallow = a b\n", ":2: 'a b' is not a name; entries are separated by commas" },
	{ "[rule r]\nallow = a.*.com\n",
	  ":2: 'a.*.com': a wildcard stands only for whole labels at "
	  "the start, as in *.example.com" },
	{ "[rule r]\nallow = *a.com\n", ":2: '*a.com': a wildcard stands only for whole labels at "
					"the start, as in *.example.com" },
	{ "[rule r]\nallow = b\xc3\xbc"
	  "cher.example\n",
	  ":2: 'b??cher.example' is not ASCII: give the name in A-label form (xn--...)" },
	{ "[rule r]\nallow = 10.0.0\n", ":2: '10.0.0' is neither a name nor an address" },
	{ "[rule r]\nallow = 10.0.0.256\n", ":2: '10.0.0.256' is neither a name nor an address" },
	{ "[rule r]\nallow = 10.0.0.1/24\n",
	  ":2: '10.0.0.1/24' has bits beyond its prefix; did you mean 10.0.0.0/24?" },
	{ "[rule r]\nallow = https://a.example/\n",
	  ":2: 'https://a.example/' is neither a name, an address nor a network" },
	{ "[rule r]\nallow = file:\n", ":2: 'file:' without a path" },
	{ "[rule r]\nallow = file:no.list\n",
	  ":2: cannot read 'no.list': No such file or directory" },
	{ "[rule r]\nallow = file:/\n", ":2: cannot read '/': Is a directory" },
	{ "[rule r]\nallow = file:/dev/null\n", ":2: cannot read '/dev/null': not a regular file" },
};

static void test_bad(void)
{
	char want[512];
	struct conf *c;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		c = read_text(bad[i].text);
		snprintf(want, sizeof(want), "c.ini%s", bad[i].err);
		CHECK(c == NULL);
		CHECK_STR(err, want);
		conf_free(c);
	}
}

static void test_bad_files(void)
{
	static char text[70000];
	struct conf *c;

	CHECK(!conf_read("none.ini", err, sizeof(err)));
	CHECK_STR(err, "none.ini: cannot read it: No such file or directory");
	CHECK(!conf_read("sub", err, sizeof(err)));
	CHECK_STR(err, "sub: cannot read it: Is a directory");
	folder_write("c.ini", "[tls]\n\nno_\0sni = allow\n", 22);
	CHECK(!conf_read("c.ini", err, sizeof(err)));
	CHECK_STR(err, "c.ini:3: the line has a NUL byte");
	memset(text, 'a', sizeof(text) - 1);
	memcpy(text, "[rule r]\nallow = ", 17);
	CHECK(!read_text(text));
	CHECK_STR(err, "c.ini:2: the line is longer than 65535 bytes");
	text[400] = '\0';
	CHECK(!read_text(text));
	CHECK_STR(err, "c.ini:2: more than 197 characters without a comma");
	memcpy(text, "[sluice]\nuser  = ", 17);
	CHECK(!read_text(text));
	CHECK_STR(err, "c.ini:2: more than 197 characters without a comma");
	/* a part that inih would take for a comment */
	memset(text + 17, ' ', 383);
	memcpy(text, "[rule r]\nallow = a,", 19);
	memcpy(text + 380, "b,;c", 4);
	CHECK(!read_text(text));
	CHECK_STR(err, "c.ini:2: ';c' is not a host name");
	/* room for little is no reason to write beyond it */
	memset(err, 'x', sizeof(err));
	c = conf_read("none.ini", err, 5);
	CHECK(!c && strcmp(err, "none") == 0 && err[5] == 'x');
	c = conf_read("none.ini", err, 0);
	CHECK(!c);
}

/* ---- networks ---- */

static void test_cidr(void)
{
	static const char *const wrong[] = {
		"",	      "/",	    "1.2.3",	"1.2.3.4/", "1.2.3.4/33",
		"1.2.3.4/-1", "1.2.3.4/0",  "::1/0",	"::/129",   "1.2.3.4/032x",
		"[::1]",      "fe80::1%lo", " 1.2.3.4", "01.2.3.4", "1.2.3.4/ 8"
	};
	static const char *const right[][2] = {
		{ "1.2.3.4", "1.2.3.4" },
		{ "0.0.0.0/0", "0.0.0.0/0" },
		{ "10.0.0.0/8", "10.0.0.0/8" },
		{ "::/0", "::/0" },
		{ "::1", "::1" },
		{ "::ffff:10.0.0.0/104", "10.0.0.0/8" },
		{ "2001:DB8::/32", "2001:db8::/32" },
		{ "1.2.3.4/32", "1.2.3.4" },
	};
	struct cidr c, same;
	struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(0x0a010203) };
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT };
	uint8_t a[16], b[16];
	char text[64];

	memset(&c, 7, sizeof(c));
	same = c;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		CHECK(cidr_parse(wrong[i], &c) == -EINVAL);
		CHECK(memcmp(&c, &same, sizeof(c)) == 0);
	}
	for (size_t i = 0; i < sizeof(right) / sizeof(right[0]); i++) {
		CHECK(cidr_parse(right[i][0], &c) == 0);
		cidr_print(&c, text, sizeof(text));
		CHECK_STR(text, right[i][1]);
	}
	cidr_from_sockaddr(a, (struct sockaddr *)&v4);
	cidr_from_sockaddr(b, (struct sockaddr *)&v6);
	CHECK(cidr_parse("10.0.0.0/8", &c) == 0 && cidr_has(&c, a) && !cidr_has(&c, b));
	CHECK(cidr_parse("10.1.2.3", &c) == 0 && cidr_has(&c, a));
	CHECK(cidr_parse("10.1.2.2", &c) == 0 && !cidr_has(&c, a));
	CHECK(cidr_parse("10.1.2.0/23", &c) == 0 && cidr_has(&c, a));
	CHECK(cidr_parse("0.0.0.0/0", &c) == 0 && cidr_has(&c, a) && !cidr_has(&c, b));
	CHECK(cidr_parse("::/0", &c) == 0 && !cidr_has(&c, a) && cidr_has(&c, b));
	CHECK(cidr_parse("::ffff:0:0/95", &c) == -EINVAL); /* a host bit is set */
}

static void test_values(void)
{
	unsigned ms = 1;
	uint32_t n = 1;

	CHECK(value_duration("49d", &ms) == 0 && ms == 49u * 86400000);
	CHECK(value_duration("50d", &ms) == -EINVAL && ms == 49u * 86400000);
	CHECK(value_duration("4294967296ms", &ms) == -EINVAL);
	CHECK(value_duration("99999999999999999999", &ms) == -EINVAL);
	CHECK(value_duration("", &ms) == -EINVAL && value_duration("s", &ms) == -EINVAL);
	CHECK(value_duration("5 s", &ms) == -EINVAL && value_duration("5S", &ms) == -EINVAL);
	CHECK(value_number("0x10", false, &n) == -EINVAL &&
	      value_number("0x", true, &n) == -EINVAL);
	CHECK(value_number("4294967296", false, &n) == -EINVAL && n == 1);
	CHECK(value_number("0xAb", true, &n) == 0 && n == 0xab);
}

static void test_installed(const char *path)
{
	struct conf *c = conf_read(path, err, sizeof(err));

	CHECK_STR(err, "");
	CHECK(c && c->n_listeners == 1 && c->n_rules == 0 && !c->default_allow);
	conf_free(c);
}

int main(void)
{
	const char *top = getenv("srcdir"); /* automake's; else started at the top */
	static char big[65537];		    /* one byte more than a deny page may have */
	char path[4096];

	if (!realpath(top ? top : ".", path))
		return 1;
	strncat(path, "/conf/sluice.ini", sizeof(path) - strlen(path) - 1);
	folder_enter();
	folder_write("big", memset(big, 'a', sizeof(big)), sizeof(big));
	RUN(test_installed, path);
	RUN(test_defaults);
	RUN(test_full);
	RUN(test_client_prefix6);
	RUN(test_own_addresses);
	RUN(test_watch_lists);
	RUN(test_relative);
	RUN(test_changing);
	RUN(test_metrics);
	RUN(test_long_line);
	RUN(test_line_lengths);
	RUN(test_bad);
	RUN(test_bad_files);
	RUN(test_cidr);
	RUN(test_values);
	folder_leave();
	TEST_DONE("test_conf");
}
