/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Bytes decide on a Service and its slices, out of few names and addresses so
 * that they meet; what resolve makes of them keeps its promises and does not
 * depend on the order in which lists were written.
 */

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

#include "controlplane/resolve/resolve.h"
#include "controlplane/store/intern.h"
#include "fuzz.h"

#define PORTS_MAX     4
#define SLICES_MAX    5
#define ENDPOINTS_MAX 6

const char *const fuzz_words[] = { NULL };

static const char *const names[] = { "", "http", "dns", "x" };
static const char *const places[] = { "", "node-a", "node-b", "zone-1", "zone-2" };
static const char *const addresses[] = { "10.0.0.1",	"10.0.0.2",   "10.0.0.10", "192.0.2.1",
					 "192.168.0.1", "127.0.0.1",  "fd00::1",   "fd00::2",
					 "fd00::a",	"2001:db8::1" };
static const uint8_t protocols[] = { IPPROTO_TCP, IPPROTO_UDP, IPPROTO_SCTP };

/* Bytes that decide; 0 when there are no more. */
struct bytes {
	const uint8_t *data;
	size_t len;
};

static size_t take(struct bytes *b, size_t n)
{
	if (!b->len)
		return 0;
	b->len--;
	return *b->data++ % n;
}

static const char *take_name(struct bytes *b, const char *const *list, size_t n)
{
	const char *name = intern_get(list[take(b, n)]);

	FUZZ_CHECK(name);
	return name;
}

static void *list_of(size_t n, size_t size)
{
	void *list = n ? calloc(n, size) : NULL;

	FUZZ_CHECK(list || !n);
	return list;
}

static struct object_address take_address(struct bytes *b)
{
	struct object_address address;

	address.family = (uint8_t)ip_parse(addresses[take(b, SL_COUNT(addresses))], &address.addr);
	return address;
}

static struct object_address *take_addresses(struct bytes *b, size_t *ret_n)
{
	struct object_address *list = list_of(*ret_n = take(b, 4), sizeof(*list));

	for (size_t i = 0; i < *ret_n; i++)
		list[i] = take_address(b);
	return list;
}

/* As the parser has it: no two of a protocol with one name or number. */
static void take_ports(struct bytes *b, struct service *service)
{
	size_t n = take(b, PORTS_MAX + 1);

	service->ports = list_of(n, sizeof(*service->ports));
	for (size_t i = 0; i < n; i++) {
		struct service_port *port = &service->ports[i];

		port->name = take_name(b, names, SL_COUNT(names));
		port->proto = protocols[take(b, SL_COUNT(protocols))];
		port->port = (uint16_t)(80 + i);
		port->node_port = take(b, 2) ? (uint16_t)(30000 + i) : 0;
		bool twice = false;
		for (size_t at = 0; at < service->n_ports; at++)
			twice |= service->ports[at].name == port->name &&
				 service->ports[at].proto == port->proto;
		if (twice) {
			intern_put(port->name);
			break;
		}
		service->n_ports++;
	}
}

static void take_ranges(struct bytes *b, struct service *service)
{
	static const char *const ranges[] = { "10.0.0.0/8", "0.0.0.0/0", "192.168.0.0/16",
					      "fd00::/8",   "::/0",	 "192.0.2.1/32" };
	size_t n = take(b, 4);

	service->source_ranges = list_of(n, sizeof(*service->source_ranges));
	for (; service->n_source_ranges < n; service->n_source_ranges++)
		ip_prefix_parse(ranges[take(b, SL_COUNT(ranges))],
				&service->source_ranges[service->n_source_ranges]);
}

static struct service *take_service(struct bytes *b)
{
	struct service *service = list_of(1, sizeof(*service));

	service->namespace_ = intern_get("shop");
	service->name = strdup("web");
	service->type = (enum service_type)take(b, SERVICE_EXTERNAL_NAME + 1);
	service->headless = take(b, 16) == 15;
	service->has_ip4 = take(b, 4) != 3;
	service->has_ip6 = take(b, 2);
	ip_parse("10.96.0.1", &service->ip4);
	ip_parse("fd00:96::1", &service->ip6);
	service->internal_policy = (enum traffic_policy)take(b, 2);
	service->external_policy = (enum traffic_policy)take(b, 2);
	service->affinity_s = (uint32_t)take(b, 2) * 60;
	service->health_check_node_port = (uint16_t)(take(b, 2) * 31000);
	service->leave = (enum sl_leave)take(b, 3);
	service->ranges_everywhere = take(b, 2);
	take_ports(b, service);
	service->external_ips = take_addresses(b, &service->n_external_ips);
	service->vips = take_addresses(b, &service->n_vips);
	take_ranges(b, service);
	return service;
}

static const char **take_hints(struct bytes *b, uint16_t *ret_n)
{
	size_t n = take(b, 3);
	const char **list = list_of(n, sizeof(*list));

	*ret_n = (uint16_t)n;
	for (size_t i = 0; i < n; i++)
		list[i] = take_name(b, places, SL_COUNT(places));
	return list;
}

static void take_endpoint(struct bytes *b, uint8_t family, struct endpoint *endpoint)
{
	struct object_address address = take_address(b);

	/* The parser leaves out what is not of the slice's family. */
	if (address.family != family)
		ip_parse(family == 4 ? "10.0.0.1" : "fd00::1", &address.addr);
	endpoint->addr = address.addr;
	if (take(b, 4))
		endpoint->node = take_name(b, places + 1, 2);
	endpoint->zones = take_hints(b, &endpoint->n_zones);
	endpoint->nodes = take_hints(b, &endpoint->n_nodes);

	size_t state = take(b, 8);
	endpoint->ready = state & 1;
	endpoint->serving = state & 2;
	endpoint->terminating = state & 4;
}

static struct slice *take_slice(struct bytes *b)
{
	static const uint8_t families[] = { 4, 4, 4, 6, 6, 0 };
	struct slice *slice = list_of(1, sizeof(*slice));

	slice->namespace_ = intern_get("shop");
	slice->service = intern_get("web");
	slice->name = strdup("web-1");
	slice->family = families[take(b, SL_COUNT(families))];
	slice->ports = list_of(slice->n_ports = take(b, 4), sizeof(*slice->ports));
	for (size_t i = 0; i < slice->n_ports; i++) {
		slice->ports[i].name = take_name(b, names, SL_COUNT(names));
		slice->ports[i].port = (uint16_t)(8080 + take(b, 3));
		slice->ports[i].proto = protocols[take(b, SL_COUNT(protocols))];
	}
	if (!slice->family)
		return slice;
	slice->n_endpoints = take(b, ENDPOINTS_MAX + 1);
	slice->endpoints = list_of(slice->n_endpoints, sizeof(*slice->endpoints));
	for (size_t i = 0; i < slice->n_endpoints; i++)
		take_endpoint(b, slice->family, &slice->endpoints[i]);
	return slice;
}

/* Which backends a path's choice may take: a bit of `sets`, 0 for none. */
static uint8_t set_of(uint8_t path)
{
	switch (SL_PATH_CHOICE(path)) {
	case SL_CHOOSE_CLUSTER:
		return 1 << SL_SET_CLUSTER;
	case SL_CHOOSE_LOCAL:
		return 1 << SL_SET_LOCAL;
	default:
		return 0;
	}
}

static void check_backends(const struct resolved_port *port)
{
	char last[IP_TEXT_MAX] = "", text[IP_TEXT_MAX];
	uint8_t sets = 0;

	for (size_t i = 0; i < port->n_backends; i++) {
		const struct resolved_backend *backend = &port->backends[i];

		ip_format_port(&backend->addr, port->family, backend->port, text);
		FUZZ_CHECK(strcmp(last, text) < 0);
		memcpy(last, text, sizeof(last));
		FUZZ_CHECK(backend->port && backend->weight > 0);
		FUZZ_CHECK(!(backend->sets >> SL_SET_MAX));
		FUZZ_CHECK(backend->local || !(backend->sets & 1 << SL_SET_LOCAL));
		sets |= backend->sets;
	}
	for (size_t i = 0; i < SL_PATH_MAX; i++) {
		uint8_t set = set_of(port->path[i]);

		FUZZ_CHECK(!set || (sets & set));
	}
}

static int compare_frontends(const struct resolved_frontend *a, const struct resolved_frontend *b)
{
	int order = a->kind - b->kind;

	if (!order)
		order = memcmp(&a->addr, &b->addr, sizeof(a->addr));
	return order ? order : ntohs(a->port) - ntohs(b->port);
}

static void check_port(const struct resolved_port *port)
{
	FUZZ_CHECK(port->family == 4 || port->family == 6);
	FUZZ_CHECK(port->n_frontends > 0);
	for (size_t i = 0; i < port->n_frontends; i++) {
		FUZZ_CHECK(port->frontends[i].port && port->frontends[i].kind < SL_KIND_MAX);
		if (i)
			FUZZ_CHECK(compare_frontends(&port->frontends[i - 1], &port->frontends[i]) <
				   0);
	}
	for (size_t i = 0; i < port->n_sources; i++)
		FUZZ_CHECK(port->sources[i].family == port->family);
	check_backends(port);
}

static void check(const struct service *service, const struct resolved *resolved)
{
	if (service->headless || service->type == SERVICE_EXTERNAL_NAME)
		FUZZ_CHECK(!resolved->n_ports);
	FUZZ_CHECK(resolved->n_ports <= 2 * service->n_ports);
	for (size_t i = 0; i < resolved->n_ports; i++) {
		const struct resolved_port *port = &resolved->ports[i];
		const struct resolved_port *last = i ? port - 1 : NULL;

		check_port(port);
		if (!last)
			continue;
		FUZZ_CHECK(last->family <= port->family);
		if (last->family == port->family)
			FUZZ_CHECK(
				last->proto < port->proto ||
				(last->proto == port->proto && strcmp(last->name, port->name) < 0));
	}
}

static void check_same_port(const struct resolved_port *a, const struct resolved_port *b)
{
	FUZZ_CHECK(a->name == b->name && a->proto == b->proto && a->family == b->family);
	FUZZ_CHECK(a->n_frontends == b->n_frontends && a->n_backends == b->n_backends);
	FUZZ_CHECK(a->n_sources == b->n_sources && a->affinity_s == b->affinity_s);
	FUZZ_CHECK(!memcmp(a->path, b->path, sizeof(a->path)));
	FUZZ_CHECK(a->ranges_everywhere == b->ranges_everywhere && a->leave == b->leave);
	for (size_t i = 0; i < a->n_frontends; i++)
		FUZZ_CHECK(!compare_frontends(&a->frontends[i], &b->frontends[i]));
	for (size_t i = 0; i < a->n_backends; i++) {
		const struct resolved_backend *x = &a->backends[i], *y = &b->backends[i];

		FUZZ_CHECK(ip_equal(&x->addr, &y->addr) && x->port == y->port &&
			   x->sets == y->sets && x->local == y->local && x->weight == y->weight);
	}
	for (size_t i = 0; i < a->n_sources; i++)
		FUZZ_CHECK(ip_equal(&a->sources[i].addr, &b->sources[i].addr) &&
			   a->sources[i].len == b->sources[i].len);
}

#define REVERSE(list, n)                                                                           \
	for (size_t i_ = 0; i_ < (n) / 2; i_++) {                                                  \
		__typeof__(*(list)) one_ = (list)[i_];                                             \
		(list)[i_] = (list)[(n) - 1 - i_];                                                 \
		(list)[(n) - 1 - i_] = one_;                                                       \
	}

static void reverse_lists(struct service *service)
{
	REVERSE(service->ports, service->n_ports);
	REVERSE(service->external_ips, service->n_external_ips);
	REVERSE(service->vips, service->n_vips);
	REVERSE(service->source_ranges, service->n_source_ranges);
}

static struct resolved *resolve(const struct service *service, const struct slice *const *slices,
				size_t n, const struct resolve_node *node,
				const struct resolve_config *config)
{
	struct resolved *resolved = NULL;

	FUZZ_CHECK(!resolve_service("shop", "web", service, slices, n, node, config, &resolved));
	return resolved;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bytes bytes = { data, size };
	sl_auto(service) service = take_service(&bytes);
	struct slice *slices[2 * SLICES_MAX];
	size_t n = take(&bytes, SLICES_MAX + 1);
	struct resolve_node node = { .name = intern_get("node-a") };
	struct resolve_config config = { 0 };

	for (size_t i = 0; i < n; i++)
		slices[i] = slices[n + i] = take_slice(&bytes);
	node.zone = take_name(&bytes, places, SL_COUNT(places));
	ip_parse("192.168.0.1", &node.ip4);
	if (take(&bytes, 2))
		ip_parse("fd00::a", &node.ip6);
	config.compatible = take(&bytes, 2);
	config.masquerade_all = take(&bytes, 2);
	config.detect4 = take(&bytes, 2);
	config.detect6 = take(&bytes, 2);
	config.ranges_everywhere = take(&bytes, 2);

	const struct slice *const *list = (const struct slice *const *)slices;
	sl_auto(resolved) once = resolve(service, list, n, &node, &config);
	/* Every slice twice: the same ip:port counts once (S-074). */
	sl_auto(resolved) twice = resolve(service, list, 2 * n, &node, &config);
	reverse_lists(service);
	sl_auto(resolved) reversed = resolve(service, list, n, &node, &config);

	check(service, once);
	FUZZ_CHECK(once->n_ports == twice->n_ports && once->n_ports == reversed->n_ports);
	for (size_t i = 0; i < once->n_ports; i++) {
		check_same_port(&once->ports[i], &twice->ports[i]);
		check_same_port(&once->ports[i], &reversed->ports[i]);
	}
	intern_put(node.name);
	intern_put(node.zone);
	for (size_t i = 0; i < n; i++)
		slice_free(slices[i]);
	return 0;
}
