/* SPDX-License-Identifier: Apache-2.0 */

#include "controlplane/health/proxy_health.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/log.h"
#include "controlplane/httpd/listen.h"

#define RETRY_MS    5000
#define CLIENTS_MAX 256

struct proxy_health {
	struct proxy_health_options options;
	struct proxy_state state;
	bool families[PROXY_FAMILY_MAX]; /* which of them this kernel has */
	struct listen_address address;
	int error; /* of the last attempt to listen */
	struct httpd *httpd;
	uv_timer_t retry;
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
	const struct proxy_health *health = health_;
	struct proxy_time now = now_of(health);

	proxy_state_answer(&health->state, health->options.node(health->options.context),
			   request->path, &now, PROXY_HEALTH_TIMEOUT_MS, response);
}

static int serve(struct proxy_health *health)
{
	struct httpd_options options = {
		.loop = health->options.loop,
		.name = "healthz",
		.clients_max = CLIENTS_MAX,
		.answer = on_request,
		.context = health,
	};
	int r = listen_open(&health->address, &options.fd);

	return r ? r : httpd_new(&options, &health->httpd);
}

static void attempt(uv_timer_t *timer)
{
	struct proxy_health *health = timer->data;
	int r = serve(health);

	if (r && r != health->error)
		log_error("healthz: listen on %s: %s, trying again every %llu ms",
			  health->options.address, strerror(-r),
			  (unsigned long long)health->options.retry_ms);
	else if (!r)
		log_info("healthz: listening on %s", health->options.address);
	health->error = r;
	if (r)
		uv_timer_start(timer, attempt, health->options.retry_ms, 0);
}

static void on_close(uv_handle_t *handle)
{
	free(handle->data);
}

void proxy_health_free(struct proxy_health *health)
{
	if (!health)
		return;
	httpd_free(health->httpd);
	uv_close((uv_handle_t *)&health->retry, on_close);
}

int proxy_health_new(const struct proxy_health_options *options, struct proxy_health **ret)
{
	bool serving = options->address && *options->address;
	struct proxy_health *health;
	struct listen_address address = {};

	if (serving && listen_address_parse(options->address, &address))
		return -EINVAL;
	health = calloc(1, sizeof(*health));
	if (!health)
		return -ENOMEM;
	health->options = *options;
	if (!health->options.retry_ms)
		health->options.retry_ms = RETRY_MS;
	health->address = address;
	health->families[PROXY_IPV4] = true;
	health->families[PROXY_IPV6] = kernel_has_ipv6();
	uv_timer_init(options->loop, &health->retry);
	health->retry.data = health;
	proxy_health_finished(health);
	if (serving)
		attempt(&health->retry);
	*ret = health;
	return 0;
}
