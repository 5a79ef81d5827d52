// SPDX-License-Identifier: GPL-2.0-or-later
// Metrics that are a single number come from the table of stats.h, in its order; each metric with
// labels has a function.
#include "slowpath/report/exposition.h"

#include <event2/buffer.h>
#include <inttypes.h>
#include <string.h>

#include "slowpath/report/log_line.h"

static const char counter[] = "counter", gauge[] = "gauge";

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
   ours has, becomes '?', so that the text is always UTF-8. */
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
	for (const struct stats_counter *c = stats_counters; c->key; c++)
		if (c->metric && !c->labels[0])
			number(out, c->metric, c->type, c->help, stats_value(&x->stats, c));
}

/* The counters that are one metric, with their labels. */
static void add_family(const struct exposition *x, const char *metric, struct evbuffer *out)
{
	bool first = true;

	for (const struct stats_counter *c = stats_counters; c->key; c++) {
		if (!c->metric || strcmp(c->metric, metric) != 0)
			continue;
		if (first)
			family(out, metric, c->type, c->help);
		evbuffer_add_printf(out, "%s{%s} %" PRIu64 "\n", metric, c->labels,
				    stats_value(&x->stats, c));
		first = false;
	}
}

static void add_reasons(struct evbuffer *out, const char *name, const char *help, unsigned first,
			const uint64_t reasons[])
{
	family(out, name, counter, help);
	for (unsigned i = first; i < REASON_COUNT; i++)
		labelled(out, name, "reason", reason_word(i), reasons[i]);
}

static void add_flights(const struct exposition *x, struct evbuffer *out)
{
	static const char name[] = "sluice_kernel_flights_total";

	family(out, name, counter, "First flights the kernel program saw, by what it said.");
	labelled(out, name, "verdict", "allow", x->kernel[STAT_ALLOWED]);
	labelled(out, name, "verdict", "deny", x->kernel[STAT_DENIED]);
	labelled(out, name, "verdict", "look", x->kernel[STAT_LOOKED]);
}

static void add_rules(const struct exposition *x, struct evbuffer *out)
{
	static const char name[] = "sluice_rule_hits_total";
	uint64_t never = 0;

	family(out, name, counter, "How often a rule, or the default, has decided.");
	for (size_t i = 0; i < x->n_rules; i++) {
		labelled(out, name, "rule", x->rules[i].name, x->rules[i].hits);
		never += x->rules[i].is_rule && x->rules[i].hits == 0;
	}
	number(out, "sluice_rules_never_hit", gauge, "Rules that have not decided anything.",
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

	family(out, build, gauge, "The version, as a label.");
	labelled(out, build, "version", s->version, 1);
	number(out, "sluice_uptime_seconds", gauge, "Time since the start.", s->uptime_s);
	number(out, "sluice_workers", gauge, "Event loops.", s->workers);
	number(out, "sluice_fastpath_enabled", gauge, "1 if the kernel path is in use.",
	       strcmp(s->fastpath, "on") == 0);
}

static void add_policy(const struct exposition *x, struct evbuffer *out)
{
	static const char reloads[] = "sluice_reloads_total";
	const struct status *s = &x->status;

	number(out, "sluice_policy_enforced", gauge, "0 if what would be denied is let through.",
	       s->enforce);
	number(out, "sluice_policy_serial", gauge, "Which of the policies read since the start.",
	       x->serial);
	number(out, "sluice_policy_loaded_timestamp_seconds", gauge,
	       "When the policy in force was put in force.", s->loaded_at);
	number(out, "sluice_policy_rules", gauge, "Rules of the policy in force.", s->rules);
	number(out, "sluice_policy_names", gauge, "Names of the policy in force.", s->names);
	number(out, "sluice_policy_changes", gauge, "Entries made at run time.", x->changes);
	family(out, reloads, counter, "Reloads, by what became of them.");
	labelled(out, reloads, "result", "success", x->reloads - x->reloads_failed);
	labelled(out, reloads, "result", "failure", x->reloads_failed);
	number(out, "sluice_reload_last_successful", gauge, "0 if the last reload failed.",
	       !x->reload_failed);
	number(out, "sluice_reload_last_success_timestamp_seconds", gauge,
	       "When a configuration was last read without an error.", s->loaded_at);
}

static void add_use(struct evbuffer *out, const char *name, const char *help, int64_t value)
{
	if (value >= 0)
		number(out, name, gauge, help, (uint64_t)value);
}

static void add_process(const struct exposition *x, struct evbuffer *out)
{
	number(out, "process_start_time_seconds", gauge, "When the process started.",
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
	add_family(x, METRIC_JUDGED, out);
	add_family(x, METRIC_VERDICTS, out);
	add_flights(x, out);
	add_reasons(out, "sluice_kernel_denials_total", "Denials by the kernel program, by reason.",
		    REASON_OK + 1, x->kernel);
	number(out, "sluice_kernel_no_scratch_total", counter,
	       "First flights not judged as every scratch was taken.", x->kernel[STAT_NO_SCRATCH]);
	number(out, "sluice_kernel_no_flow_total", counter, "Data on sockets that had no record.",
	       x->kernel[STAT_NO_FLOW]);
	add_family(x, METRIC_BYTES, out);
	add_connect(&x->stats.connect, out);
	add_rules(x, out);
	add_process(x, out);
}
