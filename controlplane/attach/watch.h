/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Says when to read the inventory again. Netlink's messages are only a sign
 * that something changed: some changes have none (the kernel drops the routes
 * of a link that goes down without a word) and messages can get lost.
 */

#include <stdbool.h>
#include <uv.h>

#include "common/mem.h"

struct watch;

/*
 * Calls `sync` on the loop after changes of links, addresses and routes of the
 * namespace of the calling thread: at once for the first, and once for all
 * that follow within a pause of at least 20 ms, or ten times what `sync` took.
 * `doubtful` is true if an interface went away or messages were lost, so that
 * an interface of the same index may be another one. If `sync` returns an
 * error it is called again after a second.
 *
 * Returns 0, or -errno with the reason in `error`.
 */
int watch_new(uv_loop_t *loop, int (*sync)(void *context, bool doubtful), void *context,
	      struct watch **ret, char error[512]);

/* No call comes after this. The memory goes when the loop has run again. Takes NULL too. */
void watch_free(struct watch *watch);
SL_DEFINE_AUTO(watch)
