// SPDX-License-Identifier: GPL-2.0-or-later
// From the workers to the followers. Each follower has a number, and each event the set of numbers
// of those who wanted it when it happened.
#include "slowpath/report/tail.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/event.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "slowpath/report/json.h"

#define NOTE_LEN 2048

struct follower {
	bool wanted; /* events are still collected for it */
	bool json;
	struct selection selection;
	uint64_t lost; /* events that did not fit into the buffer and that it has not been told of
			  yet */
	struct control_client *client; /* used by the main thread; NULL: free */
};

/* Precedes the lines of an event in the buffer; either line may be missing. */
struct record {
	uint32_t who; /* bits by number */
	uint16_t text_len, json_len;
};

struct buffer {
	char bytes[TAIL_BYTES];
	size_t len;
};

_Atomic unsigned tail_followers;

static struct {
	pthread_mutex_t lock; /* guards what follows, up to `emptying` */
	struct follower followers[CONTROL_STREAMS];
	struct buffer *filling;
	struct buffer *emptying; /* used by the main thread only, from here on */
	int wake_fd;
	struct event *wake;
} tail = { .lock = PTHREAD_MUTEX_INITIALIZER, .wake_fd = -1 };

_Static_assert(CONTROL_STREAMS <= 32, "a bit for each follower");
_Static_assert(LOG_LINE_LEN <= UINT16_MAX, "the length of a line fits");

/* ---- workers ---- */

static bool wants(const struct follower *f, const struct access_entry *e, size_t name_len)
{
	return f->wanted && (!(f->selection.has & SELECT_DENIED) || log_is_denied(e)) &&
	       selection_has_client(&f->selection, &e->client.ip) &&
	       selection_has_name(&f->selection, e->name, name_len);
}

/* With the lock held: who wants the event, and in which forms. */
static uint32_t who_wants(const struct access_entry *e, bool *text, bool *json)
{
	size_t name_len = strlen(e->name);
	uint32_t who = 0;

	*text = *json = false;
	for (unsigned i = 0; i < CONTROL_STREAMS; i++) {
		if (!wants(&tail.followers[i], e, name_len))
			continue;
		who |= 1u << i;
		*(tail.followers[i].json ? json : text) = true;
	}
	return who;
}

/* With the lock held. Returns whether the buffer was empty before. */
static bool leave(const struct record *r, const char *text, const char *json)
{
	struct buffer *b = tail.filling;
	bool was_empty = b->len == 0;

	if (sizeof(*r) + r->text_len + r->json_len > sizeof(b->bytes) - b->len) {
		for (unsigned i = 0; i < CONTROL_STREAMS; i++)
			tail.followers[i].lost += r->who >> i & 1;
		return false;
	}
	memcpy(b->bytes + b->len, r, sizeof(*r));
	b->len += sizeof(*r);
	memcpy(b->bytes + b->len, text, r->text_len);
	b->len += r->text_len;
	memcpy(b->bytes + b->len, json, r->json_len);
	b->len += r->json_len;
	return was_empty;
}

/* Formatting is done without the lock, so afterwards we ask again who wants the event. A follower
   that has come in between may want a form that was not made, and goes without. */
void tail_event(const struct access_entry *e)
{
	char text[LOG_LINE_LEN], json[LOG_LINE_LEN];
	bool want_text, want_json, now_text, now_json, wake;
	struct record r = { .who = 0 };
	uint64_t one = 1;

	pthread_mutex_lock(&tail.lock);
	r.who = who_wants(e, &want_text, &want_json);
	pthread_mutex_unlock(&tail.lock);
	if (!r.who)
		return;
	if (want_text)
		r.text_len = (uint16_t)log_line_event(e, text, sizeof(text));
	if (want_json)
		r.json_len = (uint16_t)log_line(LOG_JSON, e, json, sizeof(json));
	pthread_mutex_lock(&tail.lock);
	r.who = who_wants(e, &now_text, &now_json);
	wake = r.who && leave(&r, text, json);
	pthread_mutex_unlock(&tail.lock);
	if (wake && write(tail.wake_fd, &one, sizeof(one)) != sizeof(one))
		abort();
}

/* ---- the main thread ---- */

static void give(const struct record *r, const char *text, const char *json)
{
	for (unsigned i = 0; i < CONTROL_STREAMS; i++) {
		struct follower *f = &tail.followers[i];

		if (!(r->who >> i & 1) || !f->client)
			continue;
		if (f->json && r->json_len)
			control_write(f->client, json, r->json_len);
		else if (!f->json && r->text_len)
			control_write(f->client, text, r->text_len);
	}
}

static void give_all(const struct buffer *b)
{
	for (size_t at = 0; at < b->len;) {
		const char *text = b->bytes + at + sizeof(struct record);
		struct record r;

		memcpy(&r, b->bytes + at, sizeof(r));
		give(&r, text, text + r.text_len);
		at += sizeof(r) + r.text_len + r.json_len;
	}
}

/* Takes all that is in the buffer and passes it on; what was lost came after that. */
static void drain(void)
{
	uint64_t lost[CONTROL_STREAMS];
	struct buffer *b;

	pthread_mutex_lock(&tail.lock);
	b = tail.filling;
	tail.filling = tail.emptying;
	tail.emptying = b;
	for (unsigned i = 0; i < CONTROL_STREAMS; i++) {
		lost[i] = tail.followers[i].lost;
		tail.followers[i].lost = 0;
	}
	pthread_mutex_unlock(&tail.lock);
	give_all(b);
	b->len = 0;
	for (unsigned i = 0; i < CONTROL_STREAMS; i++)
		if (lost[i] && tail.followers[i].client)
			control_lost(tail.followers[i].client, lost[i]);
}

static void on_wake(evutil_socket_t fd, short what, void *arg)
{
	uint64_t n;

	(void)what;
	(void)arg;
	if (read(fd, &n, sizeof(n)) == sizeof(n))
		drain();
}

/* Nothing more is collected for the follower; give() drops what the buffer still has for it. */
static void on_gone(void *arg)
{
	struct follower *f = arg;

	pthread_mutex_lock(&tail.lock);
	f->wanted = false;
	pthread_mutex_unlock(&tail.lock);
	f->client = NULL;
	atomic_fetch_sub_explicit(&tail_followers, 1, memory_order_relaxed);
}

static struct follower *free_follower(void)
{
	for (unsigned i = 0; i < CONTROL_STREAMS; i++)
		if (!tail.followers[i].client)
			return &tail.followers[i];
	return NULL;
}

enum control_result tail_follow(struct control_call *call, const struct selection *selection)
{
	struct follower *f = free_follower();

	if (!f || !tail.wake) {
		evbuffer_add_printf(call->out, "too many follow already");
		return CONTROL_ERROR;
	}
	if (!control_stream(call, on_gone, f))
		return CONTROL_ERROR;
	drain(); /* so that nothing is left that was meant for the previous follower */
	pthread_mutex_lock(&tail.lock);
	f->selection = *selection;
	f->json = call->json;
	f->lost = 0;
	f->wanted = true;
	pthread_mutex_unlock(&tail.lock);
	f->client = call->client;
	atomic_fetch_add_explicit(&tail_followers, 1, memory_order_relaxed);
	return CONTROL_STREAM;
}

static size_t note_json(const char *time, const char *kind, const char *text, char *line,
			size_t size)
{
	struct json j;
	size_t len;

	json_init(&j, line, size - 1);
	json_open(&j, NULL, '{');
	json_string(&j, "time", time);
	json_string(&j, "event", kind);
	json_string(&j, "text", text);
	json_close(&j, '}');
	len = json_done(&j);
	if (len)
		line[len++] = '\n';
	return len;
}

/* Makes sure that nothing in it ends the line: file names may hold anything. */
static size_t note_text(const char *time, const char *kind, const char *text, char *line,
			size_t size)
{
	int n = snprintf(line, size - 1, "%s %s ", time, kind);
	size_t len = (size_t)n;

	for (; *text && len < size - 1; text++)
		line[len++] = (unsigned char)*text < 0x20 || *text == 0x7f ? '?' : *text;
	line[len++] = '\n';
	return len;
}

void tail_note(const char *kind, const char *text)
{
	char time[LOG_TIME], line[NOTE_LEN];
	struct timespec now;

	if (!tail_listening() || !tail.wake)
		return;
	drain(); /* earlier events come first */
	clock_gettime(CLOCK_REALTIME, &now);
	log_time(&now, time);
	for (unsigned i = 0; i < CONTROL_STREAMS; i++) {
		struct follower *f = &tail.followers[i];
		size_t len;

		if (!f->client || f->selection.has)
			continue;
		len = (f->json ? note_json : note_text)(time, kind, text, line, sizeof(line));
		if (len)
			control_write(f->client, line, len);
		else
			control_lost(f->client, 1);
	}
}

/* ---- life ---- */

int tail_open(struct event_base *base)
{
	tail.filling = calloc(1, sizeof(*tail.filling));
	tail.emptying = calloc(1, sizeof(*tail.emptying));
	tail.wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (tail.wake_fd >= 0)
		tail.wake = event_new(base, tail.wake_fd, EV_READ | EV_PERSIST, on_wake, NULL);
	if (!tail.filling || !tail.emptying || !tail.wake || event_add(tail.wake, NULL) != 0) {
		tail_close();
		return -ENOMEM;
	}
	return 0;
}

void tail_close(void)
{
	if (tail.wake) {
		drain();
		event_free(tail.wake);
	}
	if (tail.wake_fd >= 0)
		close(tail.wake_fd);
	free(tail.filling);
	free(tail.emptying);
	tail.filling = tail.emptying = NULL;
	tail.wake = NULL;
	tail.wake_fd = -1;
}
