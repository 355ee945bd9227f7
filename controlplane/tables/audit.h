/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Compares what the maps hold with what the writer knows it programmed, a slice
 * at a time, and repairs what differs, since others can write to pinned maps,
 * too. Every repair leaves a packet with what was there or with what should be,
 * and touches only what is wrong.
 *
 * Flows, counters and memories of clients belong to the datapath: they are not
 * looked at.
 */

#include <jansson.h>
#include <stdbool.h>
#include <uv.h>

#include "common/mem.h"
#include "controlplane/tables/datapath.h"

struct tables;
struct audit;

/* 0 or -errno. Does nothing before audit_start(). */
int audit_new(struct tables *tables, struct audit **ret);

/* The timer is closed in the loop, so run it once more. Takes NULL too. */
void audit_free(struct audit *audit);
SL_DEFINE_AUTO(audit)

/* A round takes so long, 0: there is none. */
void audit_set_period(struct audit *audit, unsigned int seconds);

/* The tables are complete: from now on what is in the maps has to be wanted. */
void audit_start(struct audit *audit);

/* One slice. Returns true if a round ended with it. */
bool audit_slice(struct audit *audit);

/* Something in a map differed; what, for the log. Counts it. */
void audit_found(struct audit *audit, enum datapath_map map, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* { "rounds", "lastRoundAt" (absent before the first), "repaired": { map: n } } */
json_t *audit_describe(const struct audit *audit);

/* audit_service.c: all of one service id, which returns how many Maglev slots it
 * read; and whether a backend id is free that should be. */
uint32_t audit_service(struct tables *tables, uint32_t id);
void audit_backend(struct tables *tables, uint32_t id);
