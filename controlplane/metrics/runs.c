/* SPDX-License-Identifier: Apache-2.0 */

#include "controlplane/metrics/runs.h"

#include <stdlib.h>

#define NS_PER_S 1e9

void runs_init(struct runs *runs, int64_t now_ns)
{
	*runs = (struct runs) { .started_ns = now_ns };
	histogram_init(&runs->any, histogram_sync_bounds);
	histogram_init(&runs->full, histogram_sync_bounds);
	histogram_init(&runs->partial, histogram_sync_bounds);
	for (int i = 0; i < RUNS_FAMILY_MAX; i++)
		histogram_init(&runs->programming[i], histogram_programming_bounds);
}

void runs_clear(struct runs *runs)
{
	free(runs->triggers);
	runs->triggers = NULL;
	runs->n_triggers = runs->triggers_room = 0;
}

void runs_queued(struct runs *runs, int64_t now_ns)
{
	runs->last_queued_ns = now_ns;
}

void runs_begin(struct runs *runs, uint64_t monotonic_ns)
{
	if (runs->running)
		return;
	runs->running = true;
	runs->began_ns = monotonic_ns;
}

void runs_programmed(struct runs *runs, enum runs_family family, int64_t triggered_ns)
{
	if (triggered_ns <= runs->started_ns)
		return;
	if (runs->n_triggers == runs->triggers_room) {
		size_t room = runs->triggers_room ? runs->triggers_room * 2 : 16;
		struct runs_trigger *triggers = realloc(runs->triggers, room * sizeof(*triggers));

		if (!triggers)
			return;
		runs->triggers = triggers;
		runs->triggers_room = room;
	}
	runs->triggers[runs->n_triggers++] = (struct runs_trigger) {
		.when_ns = triggered_ns,
		.family = family,
	};
}

void runs_end(struct runs *runs, bool all, bool full, uint64_t monotonic_ns, int64_t now_ns)
{
	double took = (double)(monotonic_ns - runs->began_ns) / NS_PER_S;

	histogram_add(&runs->any, took);
	histogram_add(full ? &runs->full : &runs->partial, took);
	for (size_t i = 0; i < runs->n_triggers; i++) {
		const struct runs_trigger *trigger = &runs->triggers[i];
		/* Whoever wrote the annotation may have a clock that is ahead. */
		int64_t ns = now_ns > trigger->when_ns ? now_ns - trigger->when_ns : 0;

		histogram_add(&runs->programming[trigger->family], (double)ns / NS_PER_S);
	}
	runs->n_triggers = 0;
	runs->running = false;
	if (all)
		runs->last_ns = now_ns;
	else
		runs->failed++;
}
