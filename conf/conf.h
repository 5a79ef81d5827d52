/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The configuration as read: sluice.ini and the lists it names. One struct, built completely and
 * never changed after that; a reload builds another. Times are milliseconds, ports host byte order,
 * addresses network byte order.
 */
#ifndef SLUICE_CONF_CONF_H
#define SLUICE_CONF_CONF_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "conf/cidr.h"
#include "conf/stamp.h"

enum conf_fastpath { FASTPATH_AUTO, FASTPATH_ON, FASTPATH_OFF };
enum conf_log_format { LOG_SQUID, LOG_JSON };
enum conf_destination { DESTINATION_NAMED, DESTINATION_ORIGINAL };
enum conf_deny_tls { DENY_TLS_ALERT, DENY_TLS_RESET };

struct cidr_list {
	struct cidr *at;
	size_t n;
};

struct string_list {
	char **at;
	size_t n;
};

struct port_range {
	uint16_t first, last; /* inclusive */
};

struct conf_listener {
	char *name;
	struct sockaddr_storage *at; /* each worker has a socket for each; IPv6 ones are v6 only */
	size_t n;
};

/* [metrics] */
struct conf_metrics {
	struct sockaddr_storage *at; /* none: nothing listens */
	size_t n;
};

/* [clients NAME]; group 0 is `all`, with no networks of its own unless given */
struct conf_group {
	char *name;
	struct cidr_list networks;
};

enum name_kind {
	NAME_HOST,  /* example.com:   that host */
	NAME_TREE,  /* .example.com:  it and everything below */
	NAME_BELOW, /* *.example.com: only what is below */
};

/* One name of a rule, from the INI file or from a list. */
struct conf_name {
	uint32_t text;	 /* offset in conf.text: normalised, NUL-terminated, without the prefix */
	uint32_t line;	 /* where it was read */
	uint16_t source; /* index of conf.sources: the file */
	uint8_t kind;	 /* enum name_kind */
	uint8_t deny;	 /* 1: from `deny` */
};

/* A CIDR entry of a rule. */
struct conf_net {
	struct cidr cidr;
	uint32_t line;
	uint16_t source;
	uint8_t deny;
};

/* [rule NAME] */
struct conf_rule {
	char *name;
	uint16_t *groups; /* indices of conf.groups; { 0 } for all */
	size_t n_groups;
	struct port_range *ports; /* none: any port */
	size_t n_ports;
	struct conf_name *names;
	size_t n_names;
	struct conf_net *nets;
	size_t n_nets;
	bool enforce; /* false: what it denies is let through, and logged as such */
};

struct conf {
	/* [sluice] */
	char *user;	  /* empty: do not change */
	unsigned workers; /* 0: auto */
	enum conf_fastpath fastpath;
	unsigned max_connections, max_per_client;
	unsigned client_prefix6; /* leading bits of an IPv6 address that identify a client */
	char *access_log;	 /* path, or "stderr", "syslog", "syslog:PATH", "none" */
	enum conf_log_format log_format;
	char *control;
	char *pin; /* empty: not pinned */
	uint32_t mark;

	struct conf_listener *listeners;
	size_t n_listeners;

	struct conf_metrics metrics;

	/* [timeouts] */
	unsigned hello_ms, connect_ms, idle_ms, drain_ms;

	/* [policy] */
	bool default_allow, enforce;
	bool reload_closes_denied; /* open connections that a new policy denies are ended */
	char *changes; /* file that keeps entries made at run time; empty: they are lost at exit */
	enum conf_destination destination;
	struct cidr_list private_networks;
	struct cidr_list own_addresses;	 /* this machine's, though no interface has them */
	struct cidr_list nat64_prefixes; /* /32 to /64 or /96, each once (RFC 6052) */
	enum conf_deny_tls deny_tls;
	char *deny_page;
	char *deny_page_text; /* content of deny_page; the built-in page if that is empty, or not
				 given and missing. %h name, %r reason, %% percent: filled in by
				 slowpath */
	bool watch_lists;

	/* [tls], [http] */
	bool no_sni_allow;
	uint16_t min_version; /* 0x0303 is TLS 1.2 */
	bool no_host_allow;

	/* [resolver] */
	struct string_list nameservers; /* ADDRESS or ADDRESS:PORT; none: /etc/resolv.conf */
	char *hosts;			/* empty: none */

	struct conf_group *groups; /* [0] is all */
	size_t n_groups;
	struct conf_rule *rules; /* in the order of the file */
	size_t n_rules;

	char *text; /* the bytes of all names */
	size_t text_len;
	struct string_list sources;  /* file names, [0] is the INI file */
	struct stamp *stamps;	     /* of each source, as it was read */
	struct string_list warnings; /* `file:line: ...` about what is not an error; for the log */
};

void conf_free(struct conf *c); /* NULL is fine */
/* Frees the rules and whatever large lists have filled; all other keys stay as they are. */
void conf_forget_rules(struct conf *c);

/* Is called with how far the reading of lists has come, every CONF_PROGRESS_LINES lines of a
   list. */
struct conf_progress {
	/* names: read so far, of all files; percent: of the bytes of `file` */
	void (*fn)(void *ctx, const char *file, uint64_t names, unsigned percent);
	void *ctx;
};

#define CONF_PROGRESS_LINES 65536

/* True if the files that c was read from are still what they were. */
bool conf_is_current(const struct conf *c);

#endif
