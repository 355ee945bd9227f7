/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A connection that all watches share may die without a word: the machine
 * behind it is gone, or lives and serves nobody. TCP notices the first alone
 * (http_setup.c); so a connection on which nothing came for a while is asked
 * something cheap, which any answer will do for (S-285).
 */

#include <stdio.h>

#include "common/log.h"
#include "controlplane/source/http_impl.h"

/* Everybody who may authenticate may read it, and it asks nothing of etcd. */
#define PING_PATH "/version"

static void arm(struct http *http, uint64_t delay_ms);

static void on_begun(void *context)
{
	(void)context;
}

static void on_body(void *context, const char *data, size_t len, uint64_t when_ns)
{
	(void)context;
	(void)data;
	(void)len;
	(void)when_ns;
}

static void on_done(void *context, const struct http_result *result)
{
	struct http *http = context;
	char reason[128];

	http->ping = NULL;
	/* Any answer is a sign of life, and any other request that was heard. */
	if (!result->failure || uv_now(http->timer.loop) - http->heard_ms < http->times.ping_ms)
		return;
	snprintf(reason, sizeof(reason), "connection is dead: nothing received for %llu s",
		 (unsigned long long)(http->times.ping_ms + http->times.pong_ms) / 1000);
	log_debug("kube: ping: %s", result->reason);
	http_reset(http, reason);
}

static const struct http_handler handler = {
	.begun = on_begun,
	.body = on_body,
	.done = on_done,
};

static bool any_shared(const struct http *http)
{
	const struct http_request *request;

	LIST_FOREACH(request, &http->requests, entry)
	{
		if (request->multiplexed && request != http->ping)
			return true;
	}
	return false;
}

static void on_timer(uv_timer_t *timer)
{
	struct http *http = timer->data;
	uint64_t quiet_ms = uv_now(timer->loop) - http->heard_ms;

	/* The next answer arms it again. */
	if (!any_shared(http))
		return;
	if (quiet_ms < http->times.ping_ms) {
		arm(http, http->times.ping_ms - quiet_ms);
		return;
	}
	if (!http->ping)
		http_get(http, PING_PATH, http->times.pong_ms, &handler, http, &http->ping);
	arm(http, http->times.ping_ms);
}

static void arm(struct http *http, uint64_t delay_ms)
{
	uv_timer_start(&http->ping_timer, on_timer, delay_ms, 0);
}

void http_ping_heard(struct http *http)
{
	http->heard_ms = uv_now(http->timer.loop);
	if (!uv_is_active((uv_handle_t *)&http->ping_timer))
		arm(http, http->times.ping_ms);
}
