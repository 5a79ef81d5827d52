// SPDX-License-Identifier: GPL-2.0-or-later
// Carries bytes from one socket of a connection to the other, in user space. Two ways:
//   recv/send   what is small, what must be judged, and everything from a socket in the map, by
//               the rules of the hand-over: the kernel may carry again as soon as everything
//               passed up has been written;
//   splice(2)   what comes in large pieces from a socket that is not in the map.
// Edge-triggered: either way goes on until the source has no more or the peer is full, or else asks
// to be called again.
#include "slowpath/proxy/pump.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/* Bound of what one lane may hold, beside what is being judged. With a quarter of this, a flow that
   the kernel had passed up for lack of room did not catch up, and bulk had half the speed. */
#define READ_MAX SCRATCH_BYTES
#define SPLICE_MAX SCRATCH_BYTES
#define BULK_MIN 16384	/* a read of this size begins splicing, and a smaller one ends it */
#define PROMOTE_READS 3 /* by then a connection is more than a question and an answer */
#define ROUNDS 16	/* then other connections have their turn */
#define RETRY_US 1000

/* How a step went: a step is what is done with one read. */
enum step {
	STEP_ON,   /* more can be done at once */
	STEP_WAIT, /* an event will tell when */
	STEP_FAILED,
	STEP_NAMED, /* the caller has to act before anything else is done: as PUMP_* */
	STEP_BAD,
	STEP_HEARD,
};

void pump_retry(struct conn *c)
{
	static const struct timeval soon = { .tv_usec = RETRY_US };

	if (!event_pending(&c->retry, EV_TIMEOUT, NULL))
		event_add(&c->retry, &soon);
}

/* The connection has used up its share of the loop: it goes on when all others have had theirs.
   (event_active() would call it before anything else is looked at.) */
static void pump_next_turn(struct conn *c)
{
	static const struct timeval now = { 0 };

	event_add(&c->retry, &now);
}

/* ---- the lane's buffer ---- */

static int lane_append(struct lane *l, const uint8_t *data, size_t n)
{
	uint32_t used = l->len - l->off;
	uint8_t *grown;

	if (l->off) {
		memmove(l->buf, l->buf + l->off, used);
		l->cleared -= l->off;
		l->off = 0;
		l->len = used;
	}
	if (l->len + n > l->room) {
		grown = realloc(l->buf, l->len + n);
		if (!grown)
			return -ENOMEM;
		l->buf = grown;
		l->room = (uint32_t)(l->len + n);
	}
	memcpy(l->buf + l->len, data, n);
	l->len += (uint32_t)n;
	return 0;
}

static void lane_drop(struct lane *l)
{
	free(l->buf);
	l->buf = NULL;
	l->off = l->cleared = l->len = l->room = 0;
}

void pump_free(struct conn *c)
{
	for (int side = 0; side < SIDE_COUNT; side++) {
		struct lane *l = &c->lane[side];

		lane_drop(l);
		if (l->pipe[0] >= 0)
			pipes_close_one(&c->place->pipes, l->pipe);
	}
	free(c->judge);
	c->judge = NULL;
}

/* ---- the hand-over ---- */

/* Everything the kernel redirected from `side` is in the peer's write queue. */
static bool drained(struct conn *c, int side)
{
	struct lane *l = &c->lane[side];
	struct tcp_info info = { 0 };
	socklen_t len = sizeof(info);
	uint64_t redirected;

	if (!c->in_map[side])
		return true;
	redirected = flow_redirected(c->rec, side);
	if (redirected == l->drained)
		return true;
	if (getsockopt(c->fd[!side], IPPROTO_TCP, TCP_INFO, &info, &len) != 0)
		return false;
	if (info.tcpi_bytes_sent - info.tcpi_bytes_retrans + info.tcpi_notsent_bytes !=
	    redirected + l->written)
		return false;
	l->drained = redirected;
	return true;
}

static void publish(struct conn *c, int side)
{
	if (c->in_map[side] && c->rec->u[side].forwarded != c->lane[side].written)
		flow_forwarded(c->rec, side, c->lane[side].written);
}

/* ---- judging ---- */

/* Nothing is left to judge: the kernel may carry. */
static void judge_done(struct conn *c)
{
	free(c->judge);
	c->judge = NULL;
	if (c->in_map[SIDE_CLIENT] && !flow_hand_on(c->rec, FLOW_LOOK, FLOW_OPAQUE))
		abort(); /* two judges */
}

void pump_clear(struct conn *c)
{
	c->lane[SIDE_CLIENT].cleared += (uint32_t)judge_go_on(c->judge);
}

/* Judges what the lane holds beyond `cleared`. */
static enum judge_word judge_lane(struct conn *c)
{
	struct lane *l = &c->lane[SIDE_CLIENT];
	enum judge_word word = JUDGE_MORE;
	size_t n;

	if (!c->judge) {
		l->cleared = l->len;
		return JUDGE_MORE;
	}
	if (l->cleared < l->len) {
		word = judge_feed(c->judge, l->buf + l->cleared, l->len - l->cleared, &n);
		l->cleared += (uint32_t)n;
	}
	if (word == JUDGE_MORE && c->judge->state == JUDGE_OPAQUE) {
		judge_done(c);
		l->cleared = l->len;
	}
	return word;
}

/* On an open connection. */
static enum step judge_open(struct conn *c)
{
	switch (judge_lane(c)) {
	case JUDGE_NAMED:
		return STEP_NAMED;
	case JUDGE_BAD:
		return STEP_BAD;
	case JUDGE_MORE:
		break;
	}
	return STEP_ON;
}

enum pump_word pump_judge(struct conn *c)
{
	enum step r = judge_open(c);

	return r == STEP_NAMED ? PUMP_NAMED : r == STEP_BAD ? PUMP_BAD : PUMP_GOES_ON;
}

/* How many of the client's next n bytes need no judging: those that the kernel has judged, or all.
 */
static size_t prejudged(const struct conn *c, size_t n)
{
	uint64_t before = c->lane[SIDE_CLIENT].read;
	uint64_t left = c->judged > before ? c->judged - before : 0;

	return !c->judge || left > n ? n : (size_t)left;
}

/* Whether these bytes of the server's decide on what is held of the client's. */
static bool hears(struct conn *c, const uint8_t *data, size_t n)
{
	return c->judge && judge_answered(c->judge, data, n) && !c->why_late;
}

int pump_socket_error(const struct conn *c, int side)
{
	int error = 0;
	socklen_t len = sizeof(error);

	getsockopt(c->fd[side], SOL_SOCKET, SO_ERROR, &error, &len);
	return error;
}

static void watch_room(struct conn *c, int side)
{
	uint32_t watched = c->poll[side].watched;

	if (!(watched & EPOLLOUT))
		conn_watch(c, side, watched | EPOLLOUT);
}

/* After a call on the socket of `side` failed. */
static enum step wait_or_fail(struct conn *c, int side)
{
	if (errno == EAGAIN || errno == EINTR)
		return STEP_WAIT;
	c->broken = side;
	c->error = errno;
	return STEP_FAILED;
}

/* ---- writing ---- */

static enum step send_some(struct conn *c, int side, const uint8_t *data, size_t len, size_t *sent)
{
	ssize_t n = send(c->fd[!side], data, len, MSG_NOSIGNAL | MSG_DONTWAIT);

	*sent = 0;
	if (n < 0)
		return wait_or_fail(c, !side);
	*sent = (size_t)n;
	c->lane[side].written += (uint64_t)n;
	return (size_t)n < len ? STEP_WAIT : STEP_ON;
}

static enum step pipe_out(struct conn *c, int side)
{
	struct lane *l = &c->lane[side];
	ssize_t n;

	while (l->in_pipe) {
		n = splice(l->pipe[0], NULL, c->fd[!side], NULL, l->in_pipe,
			   SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
		if (n <= 0)
			return wait_or_fail(c, !side);
		l->in_pipe -= (uint32_t)n;
		l->written += (uint64_t)n;
	}
	return STEP_ON;
}

/* The pipe is empty, and others may use it. */
static void pipe_done(struct conn *c, int side)
{
	struct lane *l = &c->lane[side];

	pipes_give_back(&c->place->pipes, l->pipe);
	l->pipe[0] = l->pipe[1] = -1;
}

/* Writes what is cleared; STEP_ON when all of that is gone. */
static enum step write_lane(struct conn *c, int side)
{
	struct lane *l = &c->lane[side];
	size_t sent;
	enum step r = STEP_ON;

	if (l->off < l->cleared) {
		if (!drained(c, side)) {
			pump_retry(c);
			return STEP_WAIT;
		}
		r = send_some(c, side, l->buf + l->off, l->cleared - l->off, &sent);
		l->off += (uint32_t)sent;
	}
	if (l->off == l->len)
		lane_drop(l);
	if (r == STEP_ON && l->pipe[0] >= 0) { /* filled before there was something to look at */
		r = pipe_out(c, side);
		if (r == STEP_ON)
			pipe_done(c, side);
	}
	publish(c, side);
	return r;
}

/* Bytes fresh from the source. STEP_WAIT: those behind *sent are kept in the lane, since they must
   not go at once, others are before them, or the peer is full. */
static enum step send_or_keep(struct conn *c, int side, const uint8_t *data, size_t n, bool at_once,
			      size_t *sent)
{
	struct lane *l = &c->lane[side];
	enum step r;

	*sent = 0;
	l->read += n;
	if (at_once && l->len == 0) {
		r = send_some(c, side, data, n, sent);
		if (r != STEP_WAIT) {
			publish(c, side);
			return r;
		}
	}
	return lane_append(l, data + *sent, n - *sent) == 0 ? STEP_WAIT : STEP_FAILED;
}

/* Bytes fresh from the client: what needs no judging is written at once where that is possible. */
static enum step take_client(struct conn *c, const uint8_t *data, size_t n)
{
	size_t ready = prejudged(c, n), sent;
	enum step r = send_or_keep(c, SIDE_CLIENT, data, n, ready == n, &sent);

	if (r != STEP_WAIT)
		return r;
	if (ready > sent)
		c->lane[SIDE_CLIENT].cleared += (uint32_t)(ready - sent);
	r = judge_open(c);
	return r == STEP_ON ? write_lane(c, SIDE_CLIENT) : r;
}

/* Bytes fresh from the server: all of them may go to the client. */
static enum step take_upstream(struct conn *c, const uint8_t *data, size_t n)
{
	struct lane *l = &c->lane[SIDE_UPSTREAM];
	bool heard = hears(c, data, n);
	size_t sent;
	enum step r = send_or_keep(c, SIDE_UPSTREAM, data, n, !heard, &sent);

	if (r != STEP_WAIT)
		return r;
	l->cleared = l->len;
	return heard ? STEP_HEARD : write_lane(c, SIDE_UPSTREAM);
}

/* ---- reading ---- */

/*
 * The source reports its end. It also does so when a reset came right after the FIN.
 */
static enum step source_ended(struct conn *c, int side)
{
	struct lane *l = &c->lane[side];

	l->eof = true;
	if (side == SIDE_UPSTREAM && c->judge) /* what waits for its answer waits no longer */
		pump_retry(c);
	c->error = l->failed ? pump_socket_error(c, side) : 0;
	if (c->error == 0)
		return STEP_WAIT;
	c->broken = side;
	return STEP_FAILED;
}

/* recv() and what its result means. STEP_ON: *n bytes are in the scratch. */
static enum step read_some(struct conn *c, int side, size_t *n)
{
	struct lane *l = &c->lane[side];
	ssize_t got = recv(c->fd[side], c->place->scratch, READ_MAX, MSG_DONTWAIT);

	/* A short read has taken all there was, unless an urgent mark or an error follows. */
	l->ready = got == READ_MAX || (got > 0 && (l->failed || l->marked));
	if (got > 0) {
		*n = (size_t)got;
		return STEP_ON;
	}
	if (got < 0 && wait_or_fail(c, side) == STEP_FAILED)
		return STEP_FAILED;
	/* Bytes passed up may still be on their way behind the egress queue: then even a 0 is
	   not the end. */
	if (c->in_map[side] && flow_passed(c->rec, side) != l->read)
		pump_retry(c);
	else if (got == 0)
		return source_ended(c, side);
	return STEP_WAIT;
}

/* Whether the source has anything for us: no system call where that is known. */
static bool worth_reading(const struct conn *c, int side)
{
	const struct lane *l = &c->lane[side];

	return l->ready || l->hup || (c->in_map[side] && flow_passed(c->rec, side) != l->read);
}

/* How many of the next bytes from `side` may be carried without a look at them. */
static uint64_t unseen(const struct conn *c, int side)
{
	if (!c->judge)
		return UINT64_MAX;
	return side == SIDE_UPSTREAM ? judge_skippable(c->judge) : 0;
}

static bool splices(const struct conn *c, int side)
{
	return c->lane[side].bulk && !c->in_map[side] && unseen(c, side) >= BULK_MIN;
}

static enum step read_and_take(struct conn *c, int side)
{
	size_t n;
	enum step r = read_some(c, side, &n);

	if (r != STEP_ON)
		return r;
	c->reads++;
	c->lane[side].bulk = n >= BULK_MIN;
	return side == SIDE_CLIENT ? take_client(c, c->place->scratch, n) :
				     take_upstream(c, c->place->scratch, n);
}

static enum step pump_copy(struct conn *c, int side)
{
	struct lane *l = &c->lane[side];
	enum step r;

	/* Judge what came with the first flight and was not judged with it. */
	r = side == SIDE_CLIENT && c->judge && !c->why_late ? judge_open(c) : STEP_ON;
	if (r != STEP_ON)
		return r;
	for (;;) {
		r = write_lane(c, side);
		if (r != STEP_ON)
			return r;
		if (l->eof || !worth_reading(c, side))
			return STEP_WAIT;
		if (l->len - l->cleared >= JUDGE_BYTES_MAX)
			return STEP_WAIT; /* held back until the server has answered */
		if (!drained(c, side)) {
			pump_retry(c);
			return STEP_WAIT;
		}
		if (c->rounds++ >= ROUNDS)
			return STEP_ON;
		r = read_and_take(c, side);
		if (r != STEP_ON || splices(c, side))
			return r;
	}
}

static enum step pipe_in(struct conn *c, int side)
{
	struct lane *l = &c->lane[side];
	uint64_t most = unseen(c, side);
	ssize_t n = splice(c->fd[side], NULL, l->pipe[1], NULL,
			   most < SPLICE_MAX ? (size_t)most : SPLICE_MAX,
			   SPLICE_F_MOVE | SPLICE_F_NONBLOCK);

	l->ready = n > 0;
	if (n < 0)
		return wait_or_fail(c, side);
	if (n == 0)
		return source_ended(c, side);
	if (c->judge)
		judge_skip(c->judge, (uint64_t)n);
	l->in_pipe = (uint32_t)n;
	l->read += (uint64_t)n;
	c->reads++;
	return STEP_ON;
}

static enum step pump_splice(struct conn *c, int side)
{
	struct lane *l = &c->lane[side];
	uint64_t before = l->read;
	enum step r = write_lane(c, side); /* what was read before splicing began */

	if (r != STEP_ON)
		return r;
	if (l->pipe[0] < 0 && (l->eof || pipes_take(&c->place->pipes, l->pipe) != 0))
		return l->eof ? STEP_WAIT : pump_copy(c, side);
	for (int i = 0; i < ROUNDS && r == STEP_ON; i++) {
		r = pipe_out(c, side);
		if (r == STEP_ON && unseen(c, side) == 0)
			break;
		if (r == STEP_ON)
			r = l->eof ? STEP_WAIT : pipe_in(c, side);
	}
	l->bulk = l->in_pipe || l->read - before >= BULK_MIN;
	if (l->in_pipe == 0)
		pipe_done(c, side);
	return r;
}

/* ---- the end of a lane ---- */

/* Something of the client's waits for the server's answer, and may be allowed then. */
static bool is_held(const struct conn *c, int side)
{
	const struct lane *l = &c->lane[side];

	return side == SIDE_CLIENT && l->cleared < l->len && c->judge && judge_waits(c->judge) &&
	       !c->lane[SIDE_UPSTREAM].eof;
}

/* A denial of an open connection waits until no answer of the server's is incomplete, or until none
   will be completed any more. */
static bool is_place(const struct conn *c)
{
	const struct lane *l = &c->lane[SIDE_UPSTREAM];

	return c->why_late && !c->dying && !l->len && !l->in_pipe &&
	       (l->eof || judge_between(c->judge, false));
}

/* Passes the FIN on when everything before it was written. */
static enum pump_word finish(struct conn *c, int side)
{
	struct lane *l = &c->lane[side];

	if (side == SIDE_UPSTREAM && is_place(c))
		return PUMP_PLACE;
	if (!l->eof || l->shut || l->off < l->cleared || l->in_pipe || is_held(c, side))
		return PUMP_GOES_ON;
	/* There are servers that a FIN keeps from answering what was allowed. */
	if (side == SIDE_CLIENT && c->why_late && !c->late_fin)
		return PUMP_GOES_ON;
	if (!drained(c, side)) {
		pump_retry(c);
		return PUMP_GOES_ON;
	}
	lane_drop(l); /* the beginning of something that will not come any more */
	l->shut = true;
	if (side == SIDE_UPSTREAM && c->dying)
		return PUMP_ENDED;
	if (c->lane[!side].shut)
		return PUMP_ENDED;
	shutdown(c->fd[!side], SHUT_WR);
	return PUMP_GOES_ON;
}

bool pump_pending(const struct conn *c, int side)
{
	const struct lane *l = &c->lane[side];

	return l->off < l->cleared || l->in_pipe || c->why_late || c->dying;
}

enum pump_word pump(struct conn *c, int side)
{
	if (c->state != CONN_OPEN || c->lane[side].shut)
		return PUMP_GOES_ON;
	switch (splices(c, side) ? pump_splice(c, side) : pump_copy(c, side)) {
	case STEP_NAMED:
		return PUMP_NAMED;
	case STEP_BAD:
		return PUMP_BAD;
	case STEP_HEARD:
		return PUMP_HEARD;
	case STEP_FAILED:
		return PUMP_FAILED;
	case STEP_ON:
		pump_next_turn(c);
		break;
	case STEP_WAIT:
		if (pump_pending(c, side))
			watch_room(c, !side);
		break;
	}
	if (!c->settled && !c->judge && c->reads >= PROMOTE_READS && !c->dying)
		return PUMP_SETTLE;
	return finish(c, side);
}

/* ---- before there is an upstream ---- */

enum judge_word pump_first(struct conn *c, bool *ended)
{
	struct lane *l = &c->lane[SIDE_CLIENT];
	enum judge_word word = JUDGE_MORE;
	size_t n;
	enum step r;

	*ended = false;
	while (word == JUDGE_MORE && worth_reading(c, SIDE_CLIENT) && !l->eof) {
		r = read_some(c, SIDE_CLIENT, &n);
		if (r == STEP_WAIT)
			break;
		if (r == STEP_FAILED || lane_append(l, c->place->scratch, n) != 0) {
			*ended = true;
			break;
		}
		l->read += n;
		word = judge_lane(c);
	}
	if (word == JUDGE_MORE && l->eof)
		*ended = true;
	return word;
}
