// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Load generator: TLS-looking traffic without cryptography, so that what stands in the middle
 * is what is measured. One process, one thread, epoll. load.c has the command line.
 *
 * A client sends a ClientHello with a name in it, then application-data records of 200 bytes,
 * each with a number in it. The server sends every such record back, and is silent to a hello
 * unless the client asked for an answer to it. A record may instead be an order: then the server
 * sends bulk, or takes it, on that connection.
 */
#ifndef LOAD_H
#define LOAD_H

#include <netinet/in.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

#include "tests/hello.h"

enum {
	PAYLOAD = 200,
	RECORD = TLS_HEAD + PAYLOAD,
	EVENTS = 256,
	SOURCES_MAX = 16,
};

// --- util.c: it works or the process ends ---------------------------------------------------

_Noreturn void die(const char *what);
void *allocate(size_t count, size_t size);
uint64_t now_ns(void);
socklen_t address_of(const char *text, int port, struct sockaddr_storage *out);
void set_option(int fd, int level, int option, int value);
void watch(int epoll, int operation, int fd, uint32_t events, void *data);

/* A number in a file, shared by server and client: the bytes of bulk that the server has sent
 * or taken. Without a path the process has its own. */
_Atomic uint64_t *open_counter(const char *path);

// --- wire.c: the bytes ----------------------------------------------------------------------

enum order { NO_ORDER, SEND_BULK, TAKE_BULK, STOP_BULK };

/* A ClientHello for TLS 1.3 and 1.2, in one record of about 250 bytes: at most HELLO_MAX. */
size_t make_hello(uint8_t *out, const char *name, bool want_answer);

/* Of a whole record: does the client ask the server for an answer to this hello? */
bool hello_wants_answer(const uint8_t *record, size_t size);

/* A record of 200 bytes that can be told from every other one. */
void make_record(uint8_t *out, int kind, uint32_t connection, uint32_t round);

/* An order to the server, the same size; rate in bytes a second, 0: as fast as it goes. */
void make_order(uint8_t *out, enum order order, uint64_t rate);

enum order read_order(const uint8_t *record, size_t size, uint64_t *rate);

/* One end of a bulk transfer: 16 kB records, one after the other. */
struct bulk {
	uint64_t began, bytes, rate;
};

/* Sends what is due now. -1: the connection is broken; 0: nothing is due, or there is no room. */
ssize_t bulk_send(struct bulk *b, int fd, uint64_t now);

/* Takes what is there without looking at it. -1: broken; 0: end; -2: nothing there. */
ssize_t bulk_take(struct bulk *b, int fd);

// --- window.c: the time in which is measured ------------------------------------------------

/* First it warms up, then it measures, then it is over. */
struct window {
	uint64_t warm_ns, length_ns;   // as asked for
	uint64_t start, began, ended;  // 0: not yet
	double idle_began, idle_ended; // seconds of all CPUs
	double stolen_began, stolen_ended;
};

void window_start(struct window *w);
/* True if the window has just begun or ended. */
bool window_moved(struct window *w, uint64_t now);
bool window_open(const struct window *w);
double window_seconds(const struct window *w);
/* CPU seconds of the whole machine that were not idle, and those the host took. */
double window_busy(const struct window *w);
double window_stolen(const struct window *w);

// --- the programs ---------------------------------------------------------------------------

struct options {
	struct sockaddr_storage to, from[SOURCES_MAX];
	socklen_t size;
	int sources;
	bool answer;			      // to the hello
	long concurrent, most, rate, seconds; // most: connections, 0 without limit
	struct window window;
	_Atomic uint64_t *counter;
	uint8_t hello[HELLO_MAX];
	size_t hello_size;
};

_Noreturn void serve(const char *address, int port, _Atomic uint64_t *counter);

/* A socket that connects, from the source whose turn it is. */
int client_connect(const struct options *o, uint32_t number);

/* 0 if it is connected, or the error. */
int client_connected(int fd);

/* These end by themselves, print one line of JSON, and return 0 if every connection and every
 * byte was as it should be. */
int drive_connect(struct options *o);
int drive_rounds(struct options *o);
int drive_idle(struct options *o);
int drive_bulk(struct options *o, bool up);

#endif
