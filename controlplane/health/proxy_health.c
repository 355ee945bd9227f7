/* SPDX-License-Identifier: Apache-2.0 */

#include "controlplane/health/proxy_health.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "controlplane/httpd/server.h"

#define CLIENTS_MAX 256
#define STATUS_OK   200

struct proxy_health {
	struct proxy_health_options options;
	struct proxy_state state;
	bool families[PROXY_FAMILY_MAX]; /* which of them this kernel has */
	struct server *server;
	struct proxy_health_counts counts;
};

/* S-021 */
static bool kernel_has_ipv6(void)
{
	FILE *file = fopen("/proc/sys/net/ipv6/conf/all/disable_ipv6", "re");
	int disabled = file ? fgetc(file) : '0';

	if (file)
		fclose(file);
	return disabled != '1' && !access("/proc/net/if_inet6", F_OK);
}

static struct proxy_time now_of(const struct proxy_health *health)
{
	struct proxy_time now = { .monotonic_ns = uv_hrtime() };

	if (health->options.clock)
		health->options.clock(health->options.context, &now);
	else
		clock_gettime(CLOCK_REALTIME, &now.wall);
	return now;
}

void proxy_health_queued(struct proxy_health *health)
{
	struct proxy_time now = now_of(health);

	for (int i = 0; i < PROXY_FAMILY_MAX; i++)
		if (health->families[i])
			proxy_state_queued(&health->state, i, &now);
}

void proxy_health_finished(struct proxy_health *health)
{
	struct proxy_time now = now_of(health);

	for (int i = 0; i < PROXY_FAMILY_MAX; i++)
		if (health->families[i])
			proxy_state_updated(&health->state, i, &now);
}

bool proxy_health_healthy(const struct proxy_health *health)
{
	struct proxy_time now = now_of(health);

	return proxy_state_healthy(&health->state, &now, PROXY_HEALTH_TIMEOUT_MS);
}

static void on_request(void *health_, const struct httpd_request *request,
		       struct httpd_response *response)
{
	struct proxy_health *health = health_;
	struct proxy_time now = now_of(health);

	proxy_state_answer(&health->state, health->options.node(health->options.context),
			   request->path, &now, PROXY_HEALTH_TIMEOUT_MS, response);
	if (!strcmp(request->path, "/healthz"))
		health->counts.healthz[response->status != STATUS_OK]++;
	else if (!strcmp(request->path, "/livez"))
		health->counts.livez[response->status != STATUS_OK]++;
}

const struct proxy_health_counts *proxy_health_counts(const struct proxy_health *health)
{
	return &health->counts;
}

bool proxy_health_serves(const struct proxy_health *health, enum proxy_family family)
{
	return health->families[family];
}

void proxy_health_free(struct proxy_health *health)
{
	if (!health)
		return;
	server_free(health->server);
	free(health);
}

int proxy_health_new(const struct proxy_health_options *options, struct proxy_health **ret)
{
	struct server_options server = {
		.http = {
			.loop = options->loop,
			.name = "healthz",
			.clients_max = CLIENTS_MAX,
			.answer = on_request,
		},
		.address = options->address,
		.retry_ms = options->retry_ms,
	};
	sl_auto(proxy_health) health = calloc(1, sizeof(*health));
	int r;

	if (!health)
		return -ENOMEM;
	health->options = *options;
	health->families[PROXY_IPV4] = true;
	health->families[PROXY_IPV6] = kernel_has_ipv6();
	proxy_health_finished(health);
	server.http.context = health;
	r = server_new(&server, &health->server);
	if (r)
		return r;
	*ret = sl_take(health);
	return 0;
}
