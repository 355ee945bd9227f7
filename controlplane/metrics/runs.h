/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What is counted of programming runs: a run begins with the first changed
 * Service and ends when all that changed meanwhile is programmed. Pure: the
 * caller says what time it is, in ns since 1970.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "controlplane/metrics/histogram.h"

enum runs_family { RUNS_IPV4, RUNS_IPV6, RUNS_FAMILY_MAX };

/* A change that was programmed in this run, and its slice's family. */
struct runs_trigger {
	int64_t when_ns;
	enum runs_family family;
};

struct runs {
	int64_t started_ns;
	struct histogram any, full, partial;	       /* durations */
	struct histogram programming[RUNS_FAMILY_MAX]; /* S-235 */
	int64_t last_ns, last_queued_ns;	       /* 0: never */
	uint64_t failed;
	bool running;
	uint64_t began_ns; /* monotonic */
	struct runs_trigger *triggers;
	size_t n_triggers, triggers_room;
};

/* `now_ns` is when the process began: older triggers are another one's. */
void runs_init(struct runs *runs, int64_t now_ns);
void runs_clear(struct runs *runs);

void runs_queued(struct runs *runs, int64_t now_ns);

/* A run begins, or goes on. */
void runs_begin(struct runs *runs, uint64_t monotonic_ns);

/* A change was programmed; without memory for that it is not measured. */
void runs_programmed(struct runs *runs, enum runs_family family, int64_t triggered_ns);

/*
 * A run ended. `all`: every Service is as it should be; `full`: it went over
 * all of them.
 */
void runs_end(struct runs *runs, bool all, bool full, uint64_t monotonic_ns, int64_t now_ns);
