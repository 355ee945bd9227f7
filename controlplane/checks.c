/* SPDX-License-Identifier: Apache-2.0 */

#include "controlplane/checks.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "common/log.h"
#include "controlplane/health/service_health.h"
#include "controlplane/node_ports.h"

struct checks {
	struct checks_options options;
	struct proxy_health *proxy;
	struct service_health *services;
};

static const struct node *on_node_asked(void *context)
{
	const struct checks *checks = context;

	return store_node(checks->options.store);
}

static bool on_health_asked(void *context)
{
	const struct checks *checks = context;

	return proxy_health_healthy(checks->proxy);
}

static void on_failed(void *context, const char *namespace_, const char *name, const char *message)
{
	const struct checks *checks = context;

	checks->options.failed(checks->options.context, namespace_, name, message);
}

void checks_addresses(struct checks *checks, const struct tables_address *items, size_t n)
{
	const struct config *config = checks->options.config;
	struct sl_addr *addrs = calloc(n + 1, sizeof(*addrs));
	int r = addrs ? 0 : -ENOMEM;

	for (uint8_t family = 4; family <= 6 && !r; family += 2) {
		bool all = node_ports_all(config->node_port_addresses,
					  config->n_node_port_addresses, family);
		size_t kept = 0;

		for (size_t i = 0; i < n; i++)
			if (items[i].family == family && items[i].node_port)
				addrs[kept++] = items[i].addr;
		r = service_health_listen_at(checks->services, family, addrs, kept, all);
	}
	if (r)
		log_error("checks: addresses of this node: %s", strerror(-r));
	free(addrs);
}

const struct proxy_health *checks_proxy(const struct checks *checks)
{
	return checks->proxy;
}

void checks_queued(struct checks *checks)
{
	proxy_health_queued(checks->proxy);
}

int checks_programmed(struct checks *checks, const struct resolved *resolved)
{
	struct service_health_port ports[2] = {};

	/* A family without a cluster IP has no server (S-024). */
	for (size_t i = 0; resolved->health_node_port && i < resolved->n_ports; i++) {
		int family = resolved->ports[i].family == 6;

		ports[family].port = resolved->health_node_port;
		ports[family].local_ready = resolved->local_ready[family];
	}
	return service_health_set(checks->services, resolved->namespace_, resolved->name, ports);
}

void checks_finished(struct checks *checks, bool all)
{
	service_health_commit(checks->services);
	if (all)
		proxy_health_finished(checks->proxy);
}

/* A server takes two descriptors, and the usual limit stands for programs that select(). */
static void raise_files_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit))
		return;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

void checks_free(struct checks *checks)
{
	if (!checks)
		return;
	service_health_free(checks->services);
	proxy_health_free(checks->proxy);
	free(checks);
}

int checks_new(const struct checks_options *options, struct checks **ret)
{
	sl_auto(checks) checks = calloc(1, sizeof(*checks));
	const struct proxy_health_options proxy = {
		.loop = options->loop,
		.address = options->config->healthz_bind_address,
		.node = on_node_asked,
		.context = checks,
	};
	const struct service_health_options services = {
		.loop = options->loop,
		.proxy_healthy = on_health_asked,
		.failed = on_failed,
		.context = checks,
	};
	int r;

	if (!checks)
		return -ENOMEM;
	raise_files_limit();
	checks->options = *options;
	r = proxy_health_new(&proxy, &checks->proxy);
	if (r)
		return r;
	checks->services = service_health_new(&services);
	if (!checks->services)
		return -ENOMEM;
	*ret = sl_take(checks);
	return 0;
}
