/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The backends that the maps hold, as packets see them. Whether flows stay
 * with one after a change is told by its generation (S-128, S-161).
 */

#include "test/semantics/check.h"
#include "test/semantics/world.h"

struct live_backend {
	char who[256]; /* "IPv4 ns/service:port/PROTO" */
	char ep[IP_TEXT_MAX];
	uint32_t id, generation;
};

struct live {
	struct live_backend *items;
	size_t n;
};

/* Returns 0 or -errno. */
int live_read(struct world *world, struct live *ret);
void live_clear(struct live *live);

const struct live_backend *live_find(const struct live *live, const char *who, const char *ep);

/*
 * Flows must stay with the endpoints that `expected`, an object with
 * `servicePorts`, still has, and leave those that it has no more.
 */
void live_compare(struct check *check, const struct live *before, const struct live *after,
		  const json_t *expected, const char *where);
