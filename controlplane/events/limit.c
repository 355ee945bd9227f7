/* SPDX-License-Identifier: Apache-2.0 */

#include "controlplane/events/limit.h"

#include "controlplane/store/table.h"

#define REPEAT_MS ((uint64_t)EVENTS_REPEAT_S * 1000)
#define REFILL_MS ((uint64_t)EVENTS_REFILL_S * 1000)

static uint64_t hash_of(const struct event *event, const char *reason)
{
	const char *const parts[] = { event->kind, event->namespace_ ? event->namespace_ : "",
				      event->name, reason };
	uint64_t hash = 0;

	for (size_t i = 0; i < SL_COUNT(parts); i++)
		hash = table_hash(parts[i], hash);
	return hash ? hash : 1;
}

/* What is over may be told again at once. */
static void forget(struct limit *limit, uint64_t hash)
{
	for (size_t i = 0; i < LIMIT_SEEN; i++)
		if (limit->seen[i].hash == hash)
			limit->seen[i].hash = 0;
}

bool limit_allows(struct limit *limit, const struct event *event, uint64_t now_ms,
		  unsigned int *ret_held)
{
	uint64_t hash = hash_of(event, event->reason);

	for (size_t i = 0; i < LIMIT_SEEN; i++)
		if (limit->seen[i].hash == hash && now_ms - limit->seen[i].when_ms < REPEAT_MS)
			return false;
	if (limit->spent_ms < now_ms)
		limit->spent_ms = now_ms;
	if (limit->spent_ms - now_ms > (EVENTS_BURST - 1) * REFILL_MS) {
		limit->held_back++;
		return false;
	}
	limit->spent_ms += REFILL_MS;
	limit->seen[limit->next].hash = hash;
	limit->seen[limit->next].when_ms = now_ms;
	limit->next = (limit->next + 1) % LIMIT_SEEN;
	if (event->ends)
		forget(limit, hash_of(event, event->ends));
	*ret_held = limit->held_back;
	limit->held_back = 0;
	return true;
}
