/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The map writer on real maps, small ones, in a bpffs folder of our own; and
 * what a packet would find there.
 */

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "controlplane/tables/tables.h"

#define MAX_SERVICES  16
#define MAX_BACKENDS  32
#define MAX_FRONTENDS 24
#define MAX_SLOTS     8192
#define MAX_POLICIES  8

#define BOTH	      (1 << SL_SET_CLUSTER | 1 << SL_SET_LOCAL)
#define CLUSTER	      (1 << SL_SET_CLUSTER)

extern char error[512];
extern struct datapath *dp;
extern struct tables *tables;

/* What other programs see, by a mapping of our own. */
extern uint64_t *services, *filter_words, *endpoint_words, *port_words;
extern struct sl_record *records;
extern struct sl_backend *backends;
extern uint32_t *slots;

/* A Service with one port, to be filled by the test. */
struct web {
	struct resolved resolved;
	struct resolved_port port;
	struct resolved_frontend frontends[8];
	struct resolved_backend backends[64];
	struct ip_prefix sources[16];
};

/* A start of the daemon, its end (what it pinned stays), and both. */
void writer_start(void);
void writer_stop(void);
void writer_restart(void);

/* The first start, and the removal of everything: a checked fixture. */
void writer_setup(void);
void writer_teardown(void);

/* What it runs in. */
uv_loop_t *writer_loop(void);

/* A field of tables_status(). */
json_int_t status(const char *field);

/* Runs the loop until every grace period is over. */
void settle(void);

struct sl_addr ip(const char *text);

void web_init(struct web *w, const char *name, const char *vip);
void web_backend(struct web *w, const char *addr, uint8_t sets);
void web_frontend(struct web *w, const char *addr, uint16_t port, uint8_t kind);
/* 10.96.0.1:80 with three backends. */
void web_three(struct web *w);

/* Must succeed; what tables_apply() returns. */
int apply(struct web *w);
int apply_gone(struct web *w);

/* What a packet finds: the frontend's value, 0 for none. */
uint64_t frontend(const char *addr, uint16_t port, uint8_t proto);
uint32_t service_at(const char *addr, uint16_t port);
const struct sl_record *record_at(const char *addr, uint16_t port);

/* The id of a LIVE backend, 0 if there is none. */
uint32_t backend_id(const char *addr);

/* How often a set's slots name a backend. */
size_t share(const struct sl_set *set, uint32_t id);

unsigned int filter_bits(const char *addr);
bool endpoint_bit(const char *addr);
bool port_bit(int proto, uint16_t port);

/* An IPv4 TCP flow from port 40000, and its entry, last seen `idle` ticks ago. */
struct sl_tuple4 tuple(const char *from, const char *to, uint16_t dport);
void add_flow(enum datapath_map map, const struct sl_tuple4 *key, uint32_t idle);

/* Lets the writer's own sweep go on for a while. */
void run_sweeps(int ms);
