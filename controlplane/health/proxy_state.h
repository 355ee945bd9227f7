/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Whether this proxy keeps up with the API server, and how /healthz and /livez
 * say it: S-211 ... S-215. Pure: no sockets, no clock.
 */

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "controlplane/httpd/httpd.h"
#include "controlplane/store/object.h"

/* Room for a time as text. */
#define PROXY_TIME_MAX 56

enum proxy_family { PROXY_IPV4, PROXY_IPV6, PROXY_FAMILY_MAX };

/* One moment by both clocks. */
struct proxy_time {
	uint64_t monotonic_ns;
	struct timespec wall;
};

/* Starts as { 0 }: nothing queued, never updated. */
struct proxy_state {
	struct {
		bool queued; /* a change waits for a finished sync */
		uint64_t queued_ns;
		bool updated; /* a sync was finished at `updated_at` */
		struct timespec updated_at;
	} families[PROXY_FAMILY_MAX];
};

/* A change came; the first since the last finished sync counts (S-212). */
void proxy_state_queued(struct proxy_state *state, enum proxy_family family,
			const struct proxy_time *now);

/* A sync was finished, or the family begins to work. */
void proxy_state_updated(struct proxy_state *state, enum proxy_family family,
			 const struct proxy_time *now);

/*
 * No family has a change waiting for `timeout_ms` or longer. A family that was
 * never updated does not count: it has not begun.
 */
bool proxy_state_healthy(const struct proxy_state *state, const struct proxy_time *now,
			 uint64_t timeout_ms);

/* May load balancers send to this node (S-214)? `node` is NULL when not known. */
bool proxy_node_eligible(const struct node *node);

/* The answer to a request for `path` (S-210, S-213, S-215). */
void proxy_state_answer(const struct proxy_state *state, const struct node *node, const char *path,
			const struct proxy_time *now, uint64_t timeout_ms,
			struct httpd_response *response);

/* RFC 3339 with nanoseconds, without trailing zeros, in the local zone. Returns `text`. */
const char *proxy_time_format(const struct timespec *when, char text[PROXY_TIME_MAX]);
