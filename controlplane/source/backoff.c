/* SPDX-License-Identifier: Apache-2.0 */

#include "controlplane/source/backoff.h"

uint64_t backoff_fail(struct backoff *backoff, const struct backoff_limits *limits, uint64_t now_ms,
		      uint32_t random)
{
	if (backoff->failures > 0 && now_ms - backoff->last_ms >= limits->reset_ms)
		backoff->failures = 0;
	backoff->last_ms = now_ms;

	uint64_t delay = limits->min_ms;
	for (unsigned int i = 0; i < backoff->failures && delay < limits->max_ms; i++)
		delay *= 2;
	if (delay > limits->max_ms)
		delay = limits->max_ms;
	backoff->failures++;
	return delay + random % (delay + 1);
}

void backoff_reset(struct backoff *backoff)
{
	backoff->failures = 0;
}

bool complaint_allowed(struct complaints *complaints, int key, uint64_t now_ms, uint64_t every_ms,
		       unsigned int *ret_held)
{
	size_t at = 0;

	/* The entry of this key, else a free one, else the oldest. */
	for (size_t i = 0; i < COMPLAINT_KINDS; i++) {
		if (complaints->kinds[i].used && complaints->kinds[i].key == key) {
			if (now_ms - complaints->kinds[i].said_ms < every_ms) {
				complaints->kinds[i].held++;
				return false;
			}
			*ret_held = complaints->kinds[i].held;
			complaints->kinds[i].held = 0;
			complaints->kinds[i].said_ms = now_ms;
			return true;
		}
		if (!complaints->kinds[at].used)
			continue;
		if (!complaints->kinds[i].used ||
		    complaints->kinds[i].said_ms < complaints->kinds[at].said_ms)
			at = i;
	}
	complaints->kinds[at].key = key;
	complaints->kinds[at].used = true;
	complaints->kinds[at].said_ms = now_ms;
	complaints->kinds[at].held = 0;
	*ret_held = 0;
	return true;
}
