// SPDX-License-Identifier: GPL-2.0-or-later
// The manual and the tables of the program say the same: verbs, reasons, metrics and keys, all of
// them and nothing else. So does conf/sluice.ini with keys and their defaults.
#include <ctype.h>
#include <event2/buffer.h>
#include <stdbool.h>
#include <stdlib.h>

#include "bpf/abi/reason.h"
#include "conf/keys.h"
#include "slowpath/control/verb_table.h"
#include "slowpath/report/exposition.h"
#include "slowpath/report/log_line.h"
#include "tests/unit/test.h"

#define LINE 512
#define PARAGRAPH 4096
#define LONGEST_TIME 2592000000u /* 30 days, in ms: said once for all times */

/* A text that is read line by line, up to a line that begins with `stop`. */
struct page {
	char *text, *at;
	const char *stop;
};

/* A file of the tree, or an abort: each is there. */
static char *read_file(const char *name)
{
	const char *srcdir = getenv("srcdir");
	char path[4096], *text = NULL;
	size_t len = 0;
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", srcdir ? srcdir : ".", name);
	f = fopen(path, "re");
	if (!f || getdelim(&text, &len, '\0', f) <= 0)
		abort();
	fclose(f);
	return text;
}

/* From the line `start` on. */
static struct page page_open(const char *name, const char *start, const char *stop)
{
	struct page p = { .text = read_file(name), .stop = stop };

	p.at = strstr(p.text, start);
	if (!p.at || (p.at != p.text && p.at[-1] != '\n'))
		abort();
	p.at = strchr(p.at, '\n') + 1;
	return p;
}

static bool page_line(struct page *p, char line[LINE])
{
	size_t len = strcspn(p->at, "\n");

	if (!*p->at || (p->stop && strncmp(p->at, p->stop, strlen(p->stop)) == 0))
		return false;
	if (len >= LINE)
		abort();
	memcpy(line, p->at, len);
	line[len] = '\0';
	p->at += len + (p->at[len] == '\n');
	return true;
}

/* The next line that begins with `head`, from its second word on. */
static bool page_item(struct page *p, const char *head, char line[LINE])
{
	while (page_line(p, line))
		if (strncmp(line, head, strlen(head)) == 0) {
			memmove(line, line + 4, strlen(line + 4) + 1);
			return true;
		}
	return false;
}

struct plain {
	char *out;
	size_t len;
	bool glued; /* no space before what comes next */
};

static void plain_add(struct plain *p, const char *word, bool upper)
{
	if (!p->glued)
		p->out[p->len++] = ' ';
	for (; *word; word++)
		p->out[p->len++] = (char)(upper ? toupper((unsigned char)*word) : *word);
	p->glued = false;
}

/* What mdoc makes of the arguments of a command, with [] for what is optional and capitals for
   what is not said as it stands. */
static void plain(char *line, char out[LINE])
{
	struct plain p = { .out = out, .glued = true };
	bool upper = false, open = false;
	char *save;

	for (char *w = strtok_r(line, " ", &save); w; w = strtok_r(NULL, " ", &save)) {
		if (strcmp(w, "Oo") == 0 || strcmp(w, "Op") == 0) {
			plain_add(&p, "[", false);
			open |= w[1] == 'p';
			p.glued = true;
		} else if (strcmp(w, "Oc") == 0) {
			out[p.len++] = ']';
		} else if (strcmp(w, "Ns") == 0) {
			p.glued = true;
		} else if (strcmp(w, "Ar") == 0 || strcmp(w, "Cm") == 0) {
			upper = w[0] == 'A';
		} else {
			plain_add(&p, w, upper);
		}
	}
	if (open)
		out[p.len++] = ']';
	out[p.len] = '\0';
}

static void test_verbs(void)
{
	struct page p = page_open("man/sluicectl.8", "The verbs are:", ".Sh ");
	char line[LINE], usage[LINE];

	for (const struct verb *v = verbs; v->name; v++) {
		size_t len = strlen(v->name);

		CHECK(strncmp(v->usage, v->name, len) == 0 &&
		      (!v->usage[len] || v->usage[len] == ' '));
		CHECK(v->least <= v->most && v->most <= VERB_WORDS);
		CHECK(verbs_find(v->name) == v);
		if (!v->help)
			continue;
		if (!page_item(&p, ".It Cm ", line))
			line[0] = '\0';
		plain(line, usage);
		CHECK_STR(usage, v->usage);
	}
	CHECK(!page_item(&p, ".It Cm ", line));
	CHECK(!verbs_find("stat") && !verbs_find(""));
	free(p.text);
}

static void test_reasons(void)
{
	struct page p = page_open("man/sluiced.8", ".Ss Reasons", ".El");
	char line[LINE];

	for (unsigned i = 0; i < REASON_COUNT; i++) {
		if (!page_item(&p, ".It Ql ", line))
			line[0] = '\0';
		CHECK_STR(strncmp(line, "Ql ", 3) == 0 ? line + 3 : line, reason_word(i));
	}
	CHECK(!page_item(&p, ".It Ql ", line));
	CHECK_STR(reason_word(REASON_COUNT), "?");
	free(p.text);
}

/* "Ql NAME Pq TYPE", as the manual begins the item of a metric; nothing when there is no more. */
static bool next_metric(struct evbuffer *page, char want[LINE])
{
	char *line, name[LINE / 4], type[LINE / 4];
	bool found = false;

	while (!found && (line = evbuffer_readln(page, NULL, EVBUFFER_EOL_LF))) {
		found = sscanf(line, "# TYPE %127s %127s", name, type) == 2;
		free(line);
	}
	snprintf(want, LINE, "Ql %s Pq %s", name, type);
	return found;
}

static void test_metrics(void)
{
	struct rule_hits rule = { .name = "default" };
	struct exposition x = { .status = { .version = "", .fastpath = "off" },
				.rules = &rule,
				.n_rules = 1 };
	struct page p = page_open("man/sluiced.8", ".Ss Metrics", ".El");
	struct evbuffer *page = evbuffer_new();
	char line[LINE], want[LINE];

	exposition_write(&x, page);
	while (next_metric(page, want)) {
		if (!page_item(&p, ".It Ql ", line))
			line[0] = '\0';
		line[strcspn(line, ";")] = '\0'; /* its labels */
		CHECK_STR(line, want);
	}
	CHECK(!page_item(&p, ".It Ql ", line));
	evbuffer_free(page);
	free(p.text);
}

/* The paragraph of a key in the section that p is at the beginning of; false: there is none. */
static bool find_paragraph(struct page p, const char *key, char text[PARAGRAPH])
{
	char line[LINE], head[LINE];
	bool inside = false;
	size_t len = 0;

	snprintf(head, sizeof(head), ".It Cm %s No = ", key);
	text[0] = '\0';
	while (page_line(&p, line)) {
		if (inside && (strncmp(line, ".It Cm ", 7) == 0 || strcmp(line, ".El") == 0))
			return true;
		inside |= strncmp(line, head, strlen(head)) == 0;
		if (inside && len < PARAGRAPH)
			len += (size_t)snprintf(text + len, PARAGRAPH - len, "%s\n", line);
	}
	return false;
}

/* What follows "Default:", without markup and the end of the sentence; "" if it does not stand. */
static void find_default(const char *text, char out[LINE])
{
	const char *at = strstr(text, "Default:");
	size_t len;

	out[0] = '\0';
	if (!at)
		return;
	at += strlen("Default:") + 1;
	if (*at == '.')
		at += strcspn(at, " \n") + 1;
	len = strcspn(at, "\n");
	while (len && strchr(" .,", at[len - 1]))
		len--;
	if (len < LINE)
		snprintf(out, LINE, "%.*s", (int)len, at);
}

static bool says_range(const char *text, const struct key *k)
{
	char range[LINE], most[LINE];

	snprintf(range, sizeof(range), "%u to %u", k->min, k->max);
	snprintf(most, sizeof(most), "at most %u ", k->max);
	return k->max == 0 || k->max == LONGEST_TIME || strstr(text, range) || strstr(text, most);
}

static void check_default(const char *said, const struct key *k)
{
	if (k->preset)
		CHECK_STR(said, *k->preset ? k->preset : "empty");
	else
		CHECK(!*said || strcmp(said, "none") == 0 || strcmp(said, "any") == 0 ||
		      strncmp(said, "those of", 8) == 0);
}

static void check_section(unsigned section)
{
	char start[LINE], line[LINE], text[PARAGRAPH];
	unsigned n = 0;
	struct page p;

	snprintf(start, sizeof(start), ".Ss [%s%s]", conf_sections[section].name,
		 conf_sections[section].named ? " NAME" : "");
	p = page_open("man/sluice.ini.5", start, ".Ss ");
	for (const struct key *k = conf_keys; k < conf_keys + KEY_COUNT; k++) {
		if (k->section != section)
			continue;
		n++;
		CHECK_STR(find_paragraph(p, k->name, text) ? k->name : "not there", k->name);
		CHECK_STR(says_range(text, k) ? k->name : "another range", k->name);
		find_default(text, line);
		check_default(line, k);
	}
	for (; page_item(&p, ".It Cm ", line); n--)
		;
	CHECK(n == 0);
	free(p.text);
}

static void test_keys(void)
{
	for (unsigned i = 0; i < SECTION_COUNT; i++)
		check_section(i);
}

static unsigned find_section(const char *line)
{
	unsigned i = 0;

	while (i < SECTION_COUNT &&
	       strncmp(line + 1, conf_sections[i].name, strlen(conf_sections[i].name)) != 0)
		i++;
	return i;
}

static const struct key *find_key(unsigned section, const char *name, size_t len)
{
	for (const struct key *k = conf_keys; k < conf_keys + KEY_COUNT; k++)
		if (k->section == section && strlen(k->name) == len &&
		    strncmp(k->name, name, len) == 0)
			return k;
	return NULL;
}

/* In sections of which there may be several, what has no preset is an example. */
static void check_value(const struct key *k, char *value)
{
	char *comment = strstr(value, " ;");
	bool example = conf_sections[k->section].named && (!k->preset || k->late);

	if (comment)
		*comment = '\0';
	while (*value == ' ')
		value++;
	value[strcspn(value, " ")] = '\0';
	if (!example)
		CHECK_STR(value, k->preset ? k->preset : "");
}

static void test_ini(void)
{
	struct page p = page_open("conf/sluice.ini", "; SPDX", NULL);
	unsigned section = SECTION_COUNT;
	uint64_t seen = 0;
	char line[LINE];

	while (page_line(&p, line)) {
		char *at = line + (line[0] == ';');
		const struct key *k;

		if (*at == '[')
			section = find_section(at);
		if (!islower((unsigned char)*at) || !strchr(at, '='))
			continue;
		k = find_key(section, at, strcspn(at, " ="));
		CHECK_STR(k ? "known" : at, "known");
		if (!k)
			continue;
		CHECK_STR(seen >> (k - conf_keys) & 1 ? "twice" : k->name, k->name);
		seen |= 1ull << (k - conf_keys);
		check_value(k, strchr(at, '=') + 1);
	}
	CHECK(seen == (1ull << KEY_COUNT) - 1);
	free(p.text);
}

int main(void)
{
	RUN(test_verbs);
	RUN(test_reasons);
	RUN(test_metrics);
	RUN(test_keys);
	RUN(test_ini);
	TEST_DONE("manual");
}
