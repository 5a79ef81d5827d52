// SPDX-License-Identifier: GPL-2.0-or-later
// Squid's native format and JSON. Names are the client's: nothing in them ends a field or a line.
#include "slowpath/report/log_line.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "bpf/abi/flow.h"
#include "slowpath/report/json.h"

#define TARGET_TEXT (NAME_BUF * 3 + ADDRESS_TEXT)

#define WORD(name_, word_) word_,

static const char *const words[REASON_COUNT] = { REASONS(WORD) };

const char *reason_word(unsigned reason)
{
	return reason < REASON_COUNT ? words[reason] : "?";
}

const char *proto_word(unsigned proto)
{
	return proto == PROTO_TLS ? "tls" : proto == PROTO_HTTP ? "http" : "none";
}

/* Percent-encodes what could end a field or a line, or be taken for an escape. */
char *log_escape(const char *s, char *out, size_t size)
{
	size_t n = 0;

	for (; *s && n + 4 < size; s++) {
		unsigned char c = (unsigned char)*s;

		if (c <= 0x20 || c >= 0x7f || strchr("%\"\\", c))
			n += (size_t)snprintf(out + n, size - n, "%%%02X", c);
		else
			out[n++] = (char)c;
	}
	out[n] = '\0';
	return out;
}

bool log_is_denied(const struct access_entry *e)
{
	return !e->allowed || !e->enforced;
}

/* As Squid has it: 403 was refused, 503 found nobody. TCP_DENIED/200 is our own, for a connection
   that would have been refused (enforce = no). */
static int squid_status(const struct access_entry *e)
{
	if (log_is_denied(e) && e->enforced)
		return 403;
	return e->connected ? 200 : 503;
}

/* What was asked for, with its port. */
static char *print_target(const struct access_entry *e, char text[TARGET_TEXT])
{
	struct endpoint_addr target = { .ip = e->dst.ip, .port = e->port };
	size_t len;

	if (!e->name[0])
		return address_print(&target, true, text);
	log_escape(e->name, text, TARGET_TEXT - 8);
	len = strlen(text);
	snprintf(text + len, TARGET_TEXT - len, ":%u", e->port);
	return text;
}

static size_t format_squid(const struct access_entry *e, char *line, size_t size)
{
	char client[ADDRESS_TEXT], dst[ADDRESS_TEXT], text[TARGET_TEXT];
	int status = squid_status(e);
	int n;

	print_target(e, text);
	n = snprintf(line, size,
		     "%9lld.%03d %6" PRIu64 " %s %s/%03d %" PRIu64 " CONNECT %s - %s/%s -\n",
		     (long long)e->end.tv_sec, (int)(e->end.tv_nsec / 1000000), e->duration_ms,
		     address_print(&e->client, false, client),
		     log_is_denied(e) ? "TCP_DENIED" : "TCP_TUNNEL", status, e->bytes_down, text,
		     status == 200 ? "HIER_DIRECT" : "HIER_NONE",
		     status == 200 ? address_print(&e->dst, false, dst) : "-");
	return n > 0 && (size_t)n < size ? (size_t)n : 0;
}

char *log_time(const struct timespec *ts, char out[LOG_TIME])
{
	struct tm tm;
	size_t n;

	gmtime_r(&ts->tv_sec, &tm);
	n = strftime(out, 32, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(out + n, LOG_TIME - n, ".%03dZ", (int)(ts->tv_nsec / 1000000));
	return out;
}

static size_t format_json(const struct access_entry *e, char *line, size_t size)
{
	char text[ADDRESS_TEXT], time[LOG_TIME];
	struct json j;
	size_t len;

	json_init(&j, line, size - 1);
	json_open(&j, NULL, '{');
	json_string(&j, "time", log_time(&e->end, time));
	if (e->event)
		json_string(&j, "event", e->event);
	json_string(&j, "client", address_print(&e->client, false, text));
	json_number(&j, "client_port", e->client.port);
	json_string(&j, "group", e->group);
	json_string(&j, "name", e->name);
	json_number(&j, "port", e->port);
	json_string(&j, "proto", proto_word(e->proto));
	json_string(&j, "verdict", log_is_denied(e) ? "deny" : "allow");
	json_string(&j, "reason", reason_word(e->reason));
	json_string(&j, "rule", e->rule);
	json_string(&j, "path", e->path);
	json_number(&j, "bytes_up", e->bytes_up);
	json_number(&j, "bytes_down", e->bytes_down);
	json_number(&j, "duration_ms", e->duration_ms);
	json_string(&j, "dst", address_print(&e->dst, false, text));
	json_bool(&j, "connected", e->connected);
	json_bool(&j, "enforced", e->enforced);
	if (e->proto == PROTO_HTTP)
		json_number(&j, "requests", e->requests);
	json_close(&j, '}');
	len = json_done(&j);
	if (len == 0)
		return 0;
	line[len++] = '\n';
	return len;
}

size_t log_line_event(const struct access_entry *e, char *line, size_t size)
{
	char client[ADDRESS_TEXT], dst[ADDRESS_TEXT], target[TARGET_TEXT], time[LOG_TIME];
	char rule[TARGET_TEXT], group[TARGET_TEXT];
	int n = snprintf(
		line, size,
		"%s %-4s %s %s %s %s%s rule=%s group=%s path=%s up=%" PRIu64 " down=%" PRIu64
		" ms=%" PRIu64 "\n",
		log_time(&e->end, time), e->event, address_print(&e->client, false, client),
		print_target(e, target), e->connected ? address_print(&e->dst, false, dst) : "-",
		reason_word(e->reason), e->enforced ? "" : " enforced=no",
		log_escape(e->rule, rule, sizeof(rule)), log_escape(e->group, group, sizeof(group)),
		e->path, e->bytes_up, e->bytes_down, e->duration_ms);

	return n > 0 && (size_t)n < size ? (size_t)n : 0;
}

size_t log_line(enum conf_log_format format, const struct access_entry *e, char *line, size_t size)
{
	return format == LOG_JSON ? format_json(e, line, size) : format_squid(e, line, size);
}
