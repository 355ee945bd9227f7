/* SPDX-License-Identifier: Apache-2.0 */

#include "controlplane/health/service_health.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controlplane/httpd/listen.h"
#include "controlplane/store/table.h"

#define RETRY_MS       5000
#define CLIENTS_MAX    256
#define STATUS_OK      200
#define STATUS_NOT_NOW 503

struct server {
	struct sl_addr addr;
	struct httpd *httpd;
};

/* A Service in one family. */
struct side {
	struct check *check;
	struct service_health_port want;
	struct server *servers; /* all at want.port */
	size_t n_servers;
	int error; /* told of want.port, or 0 */
};

/* A Service that has servers, or should have. */
struct check {
	struct service_health *health;
	char *namespace_, *name;
	uint64_t hash;
	struct side sides[2];
};

struct places {
	bool all;
	struct sl_addr *addrs;
	size_t n;
};

struct service_health {
	struct service_health_options options;
	struct table checks;
	struct places places[2];
	bool stale; /* servers have to be opened or closed */
	size_t failing;
	uv_timer_t retry;
};

static const struct sl_addr unspecified;

void service_health_answer(const char *namespace_, const char *name, uint32_t local_ready,
			   bool proxy_healthy, struct httpd_response *response)
{
	if (asprintf(&response->body,
		     "{\n\t\"service\": {\n\t\t\"namespace\": \"%s\",\n\t\t\"name\": \"%s\"\n\t},\n"
		     "\t\"localEndpoints\": %u,\n\t\"serviceProxyHealthy\": %s\n}",
		     namespace_, name, local_ready, proxy_healthy ? "true" : "false") < 0)
		response->body = NULL;
	response->status = local_ready && proxy_healthy ? STATUS_OK : STATUS_NOT_NOW;
	httpd_header(response, "Content-Type", "application/json");
	httpd_header(response, "X-Content-Type-Options", "nosniff");
	httpd_header(response, "X-Load-Balancing-Endpoint-Weight", "%u", local_ready);
}

static void on_request(void *side_, const struct httpd_request *request,
		       struct httpd_response *response)
{
	const struct side *side = side_;
	const struct service_health_options *options = &side->check->health->options;

	(void)request;
	service_health_answer(side->check->namespace_, side->check->name, side->want.local_ready,
			      options->proxy_healthy(options->context), response);
}

static void close_server(struct side *side, size_t i)
{
	httpd_free(side->servers[i].httpd);
	side->servers[i] = side->servers[--side->n_servers];
}

static void close_side(struct side *side)
{
	while (side->n_servers)
		close_server(side, side->n_servers - 1);
	free(side->servers);
	side->servers = NULL;
	side->error = 0;
}

static void check_free(struct check *check)
{
	if (!check)
		return;
	for (int i = 0; i < 2; i++)
		close_side(&check->sides[i]);
	free(check->namespace_);
	free(check->name);
	free(check);
}
SL_DEFINE_AUTO(check)

static bool check_is(const void *check_, const void *key)
{
	const struct check *check = check_;
	const char *const *names = key;

	return !strcmp(check->namespace_, names[0]) && !strcmp(check->name, names[1]);
}

static int add_check(struct service_health *health, const char *const names[2], uint64_t hash,
		     struct check **ret)
{
	sl_auto(check) check = calloc(1, sizeof(*check));

	if (!check)
		return -ENOMEM;
	check->health = health;
	check->hash = hash;
	check->namespace_ = strdup(names[0]);
	check->name = strdup(names[1]);
	for (int i = 0; i < 2; i++)
		check->sides[i].check = check;
	if (!check->namespace_ || !check->name || table_add(&health->checks, hash, check))
		return -ENOMEM;
	*ret = sl_take(check);
	return 0;
}

int service_health_set(struct service_health *health, const char *namespace_, const char *name,
		       const struct service_health_port ports[2])
{
	const char *const names[2] = { namespace_, name };
	uint64_t hash = table_hash(name, table_hash(namespace_, 0));
	struct check *check = table_find(&health->checks, hash, check_is, names);
	bool wanted = ports[0].port || ports[1].port;

	if (!check && !wanted)
		return 0;
	if (!check && add_check(health, names, hash, &check))
		return -ENOMEM;
	if (!wanted) {
		table_remove(&health->checks, hash, check);
		check_free(check);
		return 0;
	}
	for (int i = 0; i < 2; i++) {
		struct side *side = &check->sides[i];

		if (side->want.port != ports[i].port) {
			close_side(side);
			health->stale = true;
		}
		side->want = ports[i];
	}
	return 0;
}

static bool is_link_local(const struct sl_addr *addr, uint8_t family)
{
	struct ip_prefix prefix;

	return !ip_prefix_parse("fe80::/10", &prefix) && ip_prefix_has(&prefix, addr, family);
}

int service_health_listen_at(struct service_health *health, uint8_t family,
			     const struct sl_addr *addrs, size_t n, bool all)
{
	struct places *places = &health->places[family == 6];
	struct sl_addr *copy = calloc(n + 1, sizeof(*copy));
	size_t kept = 0;

	if (!copy)
		return -ENOMEM;
	if (all)
		copy[kept++] = unspecified;
	for (size_t i = 0; !all && i < n; i++)
		if (!is_link_local(&addrs[i], family))
			copy[kept++] = addrs[i];
	if (all != places->all || kept != places->n ||
	    memcmp(copy, places->addrs, kept * sizeof(*copy)))
		health->stale = true;
	free(places->addrs);
	*places = (struct places) { .all = all, .addrs = copy, .n = kept };
	return 0;
}

static bool has_place(const struct places *places, const struct sl_addr *addr)
{
	for (size_t i = 0; i < places->n; i++)
		if (ip_equal(&places->addrs[i], addr))
			return true;
	return false;
}

static bool has_server(const struct side *side, const struct sl_addr *addr)
{
	for (size_t i = 0; i < side->n_servers; i++)
		if (ip_equal(&side->servers[i].addr, addr))
			return true;
	return false;
}

static int open_server(struct side *side, const struct listen_address *address)
{
	const struct service_health *health = side->check->health;
	struct httpd_options options = {
		.loop = health->options.loop,
		.name = "health check",
		.clients_max = CLIENTS_MAX,
		.answer = on_request,
		.context = side,
	};
	struct server *grown =
		realloc(side->servers, (side->n_servers + 1) * sizeof(*side->servers));
	int r;

	if (!grown)
		return -ENOMEM;
	side->servers = grown;
	r = listen_open(address, &options.fd);
	if (!r)
		r = httpd_new(&options, &grown[side->n_servers].httpd);
	if (!r)
		grown[side->n_servers++].addr = address->addr;
	return r;
}

static void tell(struct side *side, const struct listen_address *address, int error)
{
	const struct service_health_options *options = &side->check->health->options;
	char place[IP_TEXT_MAX], message[256];

	snprintf(message, sizeof(message), "health check node port: listen on %s: %s",
		 ip_format_port(&address->addr, address->family, htons(address->port), place),
		 strerror(-error));
	options->failed(options->context, side->check->namespace_, side->check->name, message);
}

static void commit_side(struct side *side, uint8_t family)
{
	struct service_health *health = side->check->health;
	const struct places *places = &health->places[family == 6];
	int error = 0;

	for (size_t i = side->n_servers; i-- > 0;)
		if (!has_place(places, &side->servers[i].addr))
			close_server(side, i);
	for (size_t i = 0; side->want.port && i < places->n; i++) {
		struct listen_address address = {
			.addr = places->addrs[i],
			.family = family,
			.port = side->want.port,
		};
		int r = has_server(side, &address.addr) ? 0 : open_server(side, &address);

		if (!r)
			continue;
		health->failing++;
		/* The first failure stands for the others. */
		if (!error && r != side->error)
			tell(side, &address, r);
		error = error ? error : r;
	}
	side->error = error;
}

static void on_retry(uv_timer_t *timer)
{
	service_health_commit(timer->data);
}

void service_health_commit(struct service_health *health)
{
	if (!health->stale && !health->failing)
		return;
	health->stale = false;
	health->failing = 0;
	for (size_t i = 0; i < health->checks.n; i++) {
		struct check *check = health->checks.items[i].item;

		commit_side(&check->sides[0], 4);
		commit_side(&check->sides[1], 6);
	}
	if (health->failing)
		uv_timer_start(&health->retry, on_retry, health->options.retry_ms, 0);
	else
		uv_timer_stop(&health->retry);
}

size_t service_health_failing(const struct service_health *health)
{
	return health->failing;
}

static void on_close(uv_handle_t *handle)
{
	free(handle->data);
}

void service_health_free(struct service_health *health)
{
	if (!health)
		return;
	for (size_t i = 0; i < health->checks.n; i++)
		check_free(health->checks.items[i].item);
	table_clear(&health->checks);
	for (int i = 0; i < 2; i++)
		free(health->places[i].addrs);
	uv_close((uv_handle_t *)&health->retry, on_close);
}

struct service_health *service_health_new(const struct service_health_options *options)
{
	struct service_health *health = calloc(1, sizeof(*health));

	if (!health)
		return NULL;
	health->options = *options;
	if (!health->options.retry_ms)
		health->options.retry_ms = RETRY_MS;
	uv_timer_init(options->loop, &health->retry);
	health->retry.data = health;
	if (service_health_listen_at(health, 4, NULL, 0, true) ||
	    service_health_listen_at(health, 6, NULL, 0, true)) {
		service_health_free(health);
		return NULL;
	}
	return health;
}
