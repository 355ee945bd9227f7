/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Which events go through (private to events/): a function of the time it is
 * given, that reads no clock.
 */

#include <stdbool.h>
#include <stdint.h>

#include "controlplane/events/events.h"

/* Remembers all that can go through within EVENTS_REPEAT_S. */
#define LIMIT_SEEN 64
_Static_assert(EVENTS_BURST + EVENTS_REPEAT_S / EVENTS_REFILL_S + 1 <= LIMIT_SEEN,
	       "an event would be forgotten before it may repeat");

/* Begins as all zero. */
struct limit {
	struct {
		uint64_t hash; /* of object and reason; 0: free */
		uint64_t when_ms;
	} seen[LIMIT_SEEN];
	unsigned int next;	/* where the next one is remembered: the oldest */
	uint64_t spent_ms;	/* the burst is back in full at this time */
	unsigned int held_back; /* by the rate, since one went through */
};

/*
 * Whether the event may go at `now_ms`; if so it counts as sent. `*ret_held` is
 * how many were held back by the rate since the last one.
 */
bool limit_allows(struct limit *limit, const struct event *event, uint64_t now_ms,
		  unsigned int *ret_held);
