/* SPDX-License-Identifier: Apache-2.0 */

#include "controlplane/health/proxy_state.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NEVER	       "0001-01-01T00:00:00Z"
#define NS_PER_MS      1000000ULL
#define STATUS_OK      200
#define STATUS_NOT_NOW 503

static const char *const family_names[PROXY_FAMILY_MAX] = {
	[PROXY_IPV4] = "IPv4",
	[PROXY_IPV6] = "IPv6",
};

void proxy_state_queued(struct proxy_state *state, enum proxy_family family,
			const struct proxy_time *now)
{
	if (state->families[family].queued)
		return;
	state->families[family].queued = true;
	state->families[family].queued_ns = now->monotonic_ns;
}

void proxy_state_updated(struct proxy_state *state, enum proxy_family family,
			 const struct proxy_time *now)
{
	state->families[family].queued = false;
	state->families[family].updated = true;
	state->families[family].updated_at = now->wall;
}

static bool family_healthy(const struct proxy_state *state, int family,
			   const struct proxy_time *now, uint64_t timeout_ms)
{
	return !state->families[family].updated || !state->families[family].queued ||
	       now->monotonic_ns - state->families[family].queued_ns < timeout_ms * NS_PER_MS;
}

bool proxy_state_healthy(const struct proxy_state *state, const struct proxy_time *now,
			 uint64_t timeout_ms)
{
	for (int i = 0; i < PROXY_FAMILY_MAX; i++)
		if (!family_healthy(state, i, now, timeout_ms))
			return false;
	return true;
}

bool proxy_node_eligible(const struct node *node)
{
	return node && !node->deleting && !node->to_be_deleted;
}

const char *proxy_time_format(const struct timespec *when, char text[PROXY_TIME_MAX])
{
	char date[24], fraction[16] = "", zone[16] = "Z";
	struct tm tm;

	localtime_r(&when->tv_sec, &tm);
	strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &tm);
	if (when->tv_nsec) {
		size_t len = (size_t)snprintf(fraction, sizeof(fraction), ".%09ld", when->tv_nsec);

		while (fraction[len - 1] == '0')
			fraction[--len] = 0;
	}
	if (tm.tm_gmtoff) {
		long minutes = labs(tm.tm_gmtoff) / 60;

		snprintf(zone, sizeof(zone), "%c%02ld:%02ld", tm.tm_gmtoff < 0 ? '-' : '+',
			 minutes / 60 % 100, minutes % 60);
	}
	snprintf(text, PROXY_TIME_MAX, "%s%s%s", date, fraction, zone);
	return text;
}

/* When the last sync of any family was finished, or NULL. */
static const struct timespec *last_updated(const struct proxy_state *state)
{
	const struct timespec *last = NULL;

	for (int i = 0; i < PROXY_FAMILY_MAX; i++) {
		const struct timespec *at = &state->families[i].updated_at;

		if (!state->families[i].updated)
			continue;
		if (!last || at->tv_sec > last->tv_sec ||
		    (at->tv_sec == last->tv_sec && at->tv_nsec > last->tv_nsec))
			last = at;
	}
	return last;
}

/* `,"status":{...}` of the families that have begun; "" if none has. */
static void write_status(const struct proxy_state *state, const struct proxy_time *now,
			 uint64_t timeout_ms, char text[256])
{
	size_t len = 0;

	text[0] = 0;
	for (int i = 0; i < PROXY_FAMILY_MAX; i++) {
		char time[PROXY_TIME_MAX];

		if (!state->families[i].updated)
			continue;
		proxy_time_format(&state->families[i].updated_at, time);
		len += (size_t)snprintf(
			text + len, 256 - len, "%s\"%s\":{\"lastUpdated\":\"%s\",\"healthy\":%s}",
			len ? "," : ",\"status\":{", family_names[i], time,
			family_healthy(state, i, now, timeout_ms) ? "true" : "false");
	}
	if (len)
		snprintf(text + len, 256 - len, "}");
}

void proxy_state_answer(const struct proxy_state *state, const struct node *node, const char *path,
			const struct proxy_time *now, uint64_t timeout_ms,
			struct httpd_response *response)
{
	bool healthz = !strcmp(path, "/healthz");
	bool healthy = proxy_state_healthy(state, now, timeout_ms);
	bool eligible = proxy_node_eligible(node);
	bool ok = healthy && (eligible || !healthz);
	const struct timespec *last = ok ? &now->wall : last_updated(state);
	char last_text[PROXY_TIME_MAX] = NEVER, now_text[PROXY_TIME_MAX], status[256];

	if (!healthz && strcmp(path, "/livez")) {
		httpd_not_found(response);
		return;
	}
	if (last)
		proxy_time_format(last, last_text);
	proxy_time_format(&now->wall, now_text);
	write_status(state, now, timeout_ms, status);
	if (asprintf(&response->body,
		     "{\"lastUpdated\":\"%s\",\"currentTime\":\"%s\",%s\"healthy\":%s%s}",
		     last_text, now_text,
		     !healthz	? ""
		     : eligible ? "\"nodeEligible\":true,"
				: "\"nodeEligible\":false,",
		     healthy ? "true" : "false", status) < 0)
		response->body = NULL;
	response->status = ok ? STATUS_OK : STATUS_NOT_NOW;
	httpd_header(response, "Content-Type", "application/json");
	httpd_header(response, "X-Content-Type-Options", "nosniff");
}
