// SPDX-License-Identifier: GPL-2.0-or-later
// One table for what is a single number, one function for each metric with labels.
#include "slowpath/report/exposition.h"

#include <event2/buffer.h>
#include <inttypes.h>
#include <string.h>

#include "slowpath/report/log_line.h"

#define COUNTER "counter"
#define GAUGE "gauge"

static const struct {
	const char *name, *type, *help;
	size_t at;
} numbers[] = {
	{ "sluice_connections_accepted_total", COUNTER, "Connections taken from listeners.",
	  offsetof(struct stats, accepted) },
	{ "sluice_connections_open", GAUGE, "Connections that are open.",
	  offsetof(struct stats, open) },
	{ "sluice_connections_pending", GAUGE, "Open connections without a verdict.",
	  offsetof(struct stats, pending) },
	{ "sluice_connections_pending_bytes", GAUGE,
	  "What connections without a verdict have said.", offsetof(struct stats, pending_bytes) },
	{ "sluice_connections_kernel", GAUGE, "Open connections that are in the kernel path.",
	  offsetof(struct stats, flows_kernel) },
	{ "sluice_flow_records_used", GAUGE, "Records of the kernel path lent to connections.",
	  offsetof(struct stats, records_used) },
	{ "sluice_events_lost_total", COUNTER,
	  "Messages of the kernel program that found the ring full.",
	  offsetof(struct stats, events_lost) },
	{ "sluice_overlaps_total", COUNTER,
	  "Retransmissions whose beginning was cut off as it had come before.",
	  offsetof(struct stats, overlaps) },
	{ "sluice_log_lines_lost_total", COUNTER, "Lines of the access log that were lost.",
	  offsetof(struct stats, log_lost) },
	{ "sluice_messages_lost_total", COUNTER, "Messages to standard error that were lost.",
	  offsetof(struct stats, messages_lost) },
	{ "sluice_dns_queries_total", COUNTER, "Names asked of the name servers.",
	  offsetof(struct stats, dns_asked) },
	{ "sluice_dns_cached_total", COUNTER, "Names answered from the cache.",
	  offsetof(struct stats, dns_cached) },
	{ "sluice_dns_failed_total", COUNTER, "Names that the name servers had no answer for.",
	  offsetof(struct stats, dns_failed) },
	{ "sluice_dns_given_up_total", COUNTER, "Names that made way for others or found no place.",
	  offsetof(struct stats, dns_given_up) },
};

/* ---- the format ---- */

static void family(struct evbuffer *out, const char *name, const char *type, const char *help)
{
	evbuffer_add_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void number(struct evbuffer *out, const char *name, const char *type, const char *help,
		   uint64_t value)
{
	family(out, name, type, help);
	evbuffer_add_printf(out, "%s %" PRIu64 "\n", name, value);
}

/* Backslash, quote and line feed are escaped; a byte that is not printable ASCII, which no name of
   ours has, becomes '?' so that the text is UTF-8 whatever comes. */
static void label(struct evbuffer *out, const char *name, const char *value)
{
	evbuffer_add_printf(out, "%s=\"", name);
	for (; *value; value++) {
		unsigned char c = (unsigned char)*value;

		if (c == '\n')
			evbuffer_add(out, "\\n", 2);
		else if (c == '\\' || c == '"')
			evbuffer_add_printf(out, "\\%c", c);
		else
			evbuffer_add_printf(out, "%c", c < 0x20 || c >= 0x7f ? '?' : c);
	}
	evbuffer_add(out, "\"", 1);
}

static void labelled(struct evbuffer *out, const char *name, const char *key, const char *word,
		     uint64_t value)
{
	evbuffer_add_printf(out, "%s{", name);
	label(out, key, word);
	evbuffer_add_printf(out, "} %" PRIu64 "\n", value);
}

/* ---- the metrics ---- */

static void add_numbers(const struct exposition *x, struct evbuffer *out)
{
	uint64_t value;

	for (size_t i = 0; i < sizeof(numbers) / sizeof(*numbers); i++) {
		memcpy(&value, (const char *)&x->stats + numbers[i].at, sizeof(value));
		number(out, numbers[i].name, numbers[i].type, numbers[i].help, value);
	}
}

static void add_reasons(struct evbuffer *out, const char *name, const char *help, unsigned first,
			const uint64_t reasons[])
{
	family(out, name, COUNTER, help);
	for (unsigned i = first; i < REASON_COUNT; i++)
		labelled(out, name, "reason", reason_word(i), reasons[i]);
}

static void add_verdicts(const struct exposition *x, struct evbuffer *out)
{
	static const char judged[] = "sluice_connections_judged_total";
	static const char verdicts[] = "sluice_verdicts_total";
	static const char kernel[] = "sluice_kernel_flights_total";
	const struct stats *s = &x->stats;

	family(out, judged, COUNTER, "Connections that have ended, by verdict.");
	labelled(out, judged, "verdict", "allow", s->allowed);
	labelled(out, judged, "verdict", "deny", s->denied);
	labelled(out, judged, "verdict", "report", s->reported);
	family(out, verdicts, COUNTER, "Verdicts on new connections, by who gave them.");
	labelled(out, verdicts, "path", "kernel", s->verdicts_kernel);
	labelled(out, verdicts, "path", "user", s->verdicts_user);
	family(out, kernel, COUNTER, "First flights the kernel program saw, by what it said.");
	labelled(out, kernel, "verdict", "allow", x->kernel[STAT_ALLOWED]);
	labelled(out, kernel, "verdict", "deny", x->kernel[STAT_DENIED]);
	labelled(out, kernel, "verdict", "look", x->kernel[STAT_LOOKED]);
}

static void add_bytes(const struct stats *s, struct evbuffer *out)
{
	static const char name[] = "sluice_bytes_total";
	const struct {
		const char *path, *direction;
		uint64_t bytes;
	} rows[] = {
		{ "kernel", "up", s->bytes_up_kernel },
		{ "kernel", "down", s->bytes_down_kernel },
		{ "user", "up", s->bytes_up_user },
		{ "user", "down", s->bytes_down_user },
	};

	family(out, name, COUNTER, "Bytes carried, by who carried them and where to.");
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		evbuffer_add_printf(out, "%s{", name);
		label(out, "path", rows[i].path);
		evbuffer_add(out, ",", 1);
		label(out, "direction", rows[i].direction);
		evbuffer_add_printf(out, "} %" PRIu64 "\n", rows[i].bytes);
	}
}

static void add_rules(const struct exposition *x, struct evbuffer *out)
{
	static const char name[] = "sluice_rule_hits_total";
	uint64_t never = 0;

	family(out, name, COUNTER, "How often a rule, or the default, has decided.");
	for (size_t i = 0; i < x->n_rules; i++) {
		labelled(out, name, "rule", x->rules[i].name, x->rules[i].hits);
		never += x->rules[i].is_rule && x->rules[i].hits == 0;
	}
	number(out, "sluice_rules_never_hit", GAUGE, "Rules that have not decided anything.",
	       never);
}

static void add_connect(const struct histogram *h, struct evbuffer *out)
{
	static const char name[] = "sluice_verdict_to_connect_seconds";

	family(out, name, "histogram",
	       "From the verdict to the established connection to the destination.");
	for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
		evbuffer_add_printf(out, "%s_bucket{", name);
		label(out, "le", histogram_le(i));
		evbuffer_add_printf(out, "} %" PRIu64 "\n", histogram_up_to(h, i));
	}
	evbuffer_add_printf(out, "%s_sum %" PRIu64 ".%06" PRIu64 "\n%s_count %" PRIu64 "\n", name,
			    h->sum_us / 1000000, h->sum_us % 1000000, name, histogram_count(h));
}

static void add_build(const struct status *s, struct evbuffer *out)
{
	static const char build[] = "sluice_build_info";

	family(out, build, GAUGE, "The version, as a label.");
	labelled(out, build, "version", s->version, 1);
	number(out, "sluice_uptime_seconds", GAUGE, "Time since the start.", s->uptime_s);
	number(out, "sluice_workers", GAUGE, "Event loops.", s->workers);
	number(out, "sluice_fastpath_enabled", GAUGE, "1 if the kernel path is in use.",
	       strcmp(s->fastpath, "on") == 0);
}

static void add_policy(const struct exposition *x, struct evbuffer *out)
{
	static const char reloads[] = "sluice_reloads_total";
	const struct status *s = &x->status;

	number(out, "sluice_policy_enforced", GAUGE, "0 if what would be denied is let through.",
	       s->enforce);
	number(out, "sluice_policy_serial", GAUGE, "Which of the policies read since the start.",
	       x->serial);
	number(out, "sluice_policy_loaded_timestamp_seconds", GAUGE,
	       "When the policy in force was put in force.", s->loaded_at);
	number(out, "sluice_policy_rules", GAUGE, "Rules of the policy in force.", s->rules);
	number(out, "sluice_policy_names", GAUGE, "Names of the policy in force.", s->names);
	number(out, "sluice_policy_changes", GAUGE, "Entries made at run time.", x->changes);
	family(out, reloads, COUNTER, "Reloads, by what became of them.");
	labelled(out, reloads, "result", "success", x->reloads - x->reloads_failed);
	labelled(out, reloads, "result", "failure", x->reloads_failed);
	number(out, "sluice_reload_last_successful", GAUGE, "0 if the last reload failed.",
	       !x->reload_failed);
	number(out, "sluice_reload_last_success_timestamp_seconds", GAUGE,
	       "When a configuration was last read without an error.", s->loaded_at);
}

static void add_use(struct evbuffer *out, const char *name, const char *help, int64_t value)
{
	if (value >= 0)
		number(out, name, GAUGE, help, (uint64_t)value);
}

static void add_process(const struct exposition *x, struct evbuffer *out)
{
	number(out, "process_start_time_seconds", GAUGE, "When the process started.",
	       x->started_at);
	add_use(out, "process_open_fds", "Open file descriptors.", x->use.open_fds);
	add_use(out, "process_max_fds", "How many may be open.", x->use.max_fds);
	add_use(out, "process_resident_memory_bytes", "Memory of the process that is in RAM.",
		x->use.resident_bytes);
}

void exposition_write(const struct exposition *x, struct evbuffer *out)
{
	add_build(&x->status, out);
	add_policy(x, out);
	add_numbers(x, out);
	add_reasons(out, "sluice_connections_ended_total",
		    "Connections that have ended, by reason.", REASON_OK, x->stats.reasons);
	add_verdicts(x, out);
	add_reasons(out, "sluice_kernel_denials_total", "Denials by the kernel program, by reason.",
		    REASON_OK + 1, x->kernel);
	number(out, "sluice_kernel_no_scratch_total", COUNTER,
	       "First flights not judged as every scratch was taken.", x->kernel[STAT_NO_SCRATCH]);
	number(out, "sluice_kernel_no_flow_total", COUNTER, "Data on sockets that had no record.",
	       x->kernel[STAT_NO_FLOW]);
	add_bytes(&x->stats, out);
	add_connect(&x->stats.connect, out);
	add_rules(x, out);
	add_process(x, out);
}
