/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What packets may still be reading waits here for the end of a grace period.
 *
 * An update of a map in map, private to us, returns when every program that
 * runs has ended. It takes 8 to 400 ms, so a worker thread makes it, one for
 * all that has gathered.
 */

#include <stdint.h>
#include <uv.h>

#include "common/mem.h"

enum grace_kind {
	GRACE_RECORD,
	GRACE_RUN,
	GRACE_BACKEND,
	GRACE_POLICY,
	GRACE_SERVICE,
	GRACE_BIT,
	GRACE_ALL_BITS,
};

struct grace_item {
	uint8_t kind;  /* enum grace_kind */
	uint8_t which; /* a family, or a bitmap */
	uint32_t id;
	uint32_t n;
	void *data; /* freed with the item */
};

struct grace;

/* `done` is called on the loop for each item whose grace period is over, and
 * `over` after the last of them. Returns 0 or -errno. */
int grace_new(uv_loop_t *loop, void (*done)(void *context, const struct grace_item *item),
	      void (*over)(void *context), void *context, struct grace **ret);

/* Drops what waits. A wait that is under way ends in the loop, so run it once
 * more. Takes NULL too. */
void grace_free(struct grace *grace);
SL_DEFINE_AUTO(grace)

/* Makes sure that `n` more items can be added without failing. 0 or -ENOMEM. */
int grace_reserve(struct grace *grace, size_t n);

/* Adds an item; there must be room for it. */
void grace_add(struct grace *grace, const struct grace_item *item);

/* Starts a wait for what was added, unless one is under way: then the next. */
void grace_start(struct grace *grace);

/* Items that wait. */
size_t grace_pending(const struct grace *grace);

/* Waits here and now: only before the loop runs. 0 or -errno. */
int grace_wait(struct grace *grace);
