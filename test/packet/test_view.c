/* SPDX-License-Identifier: Apache-2.0 */

/* Documents made from real maps of the ABI's sizes, filled by hand. */

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <check.h>
#include <dlfcn.h>
#include <errno.h>
#include <string.h>
#include <time.h>

#include "common/ip.h"
#include "controlplane/observe/view.h"

static struct view view;

/* Stands in for a kernel without batches, or passes on to libbpf. */
static bool no_batches;

int bpf_map_lookup_batch(int fd, void *in, void *out, void *keys, void *values, __u32 *count,
			 const struct bpf_map_batch_opts *options)
{
	static int (*libbpf)(int, void *, void *, void *, void *, __u32 *,
			     const struct bpf_map_batch_opts *);

	if (no_batches)
		return -EINVAL;
	if (!libbpf)
		*(void **)&libbpf = dlsym(RTLD_NEXT, "bpf_map_lookup_batch");
	return libbpf(fd, in, out, keys, values, count, options);
}

static const struct {
	enum bpf_map_type type;
	uint32_t key, value, entries;
} shapes[DATAPATH_MAP_MAX] = {
	[DATAPATH_filter] = { BPF_MAP_TYPE_ARRAY, 4, 8, SL_FILTER_WORDS },
	[DATAPATH_node_ports] = { BPF_MAP_TYPE_ARRAY, 4, 8, SL_PORT_WORDS *SL_PORT_PROTOCOLS },
	[DATAPATH_endpoint_set] = { BPF_MAP_TYPE_ARRAY, 4, 8, SL_ENDPOINT_WORDS },
	[DATAPATH_frontends4] = { BPF_MAP_TYPE_HASH, sizeof(struct sl_frontend4), 8, 4096 },
	[DATAPATH_frontends6] = { BPF_MAP_TYPE_HASH, sizeof(struct sl_frontend6), 8, 64 },
	[DATAPATH_services] = { BPF_MAP_TYPE_ARRAY, 4, 8, 1024 },
	[DATAPATH_records] = { BPF_MAP_TYPE_ARRAY, 4, sizeof(struct sl_record), 2048 },
	[DATAPATH_maglev] = { BPF_MAP_TYPE_ARRAY, 4, sizeof(struct sl_slots), 64 },
	[DATAPATH_backends] = { BPF_MAP_TYPE_ARRAY, 4, sizeof(struct sl_backend), 2048 },
	[DATAPATH_identities] = { BPF_MAP_TYPE_ARRAY, 4, sizeof(struct sl_identity), 1024 },
	[DATAPATH_policy4] = { BPF_MAP_TYPE_LPM_TRIE, sizeof(struct sl_policy4), 4, 64 },
	[DATAPATH_policy6] = { BPF_MAP_TYPE_LPM_TRIE, sizeof(struct sl_policy6), 4, 64 },
	[DATAPATH_new4] = { BPF_MAP_TYPE_LRU_HASH, sizeof(struct sl_tuple4),
			    sizeof(struct sl_flow4), 4096 },
	[DATAPATH_new6] = { BPF_MAP_TYPE_LRU_HASH, sizeof(struct sl_tuple6),
			    sizeof(struct sl_flow6), 4096 },
	[DATAPATH_established4] = { BPF_MAP_TYPE_LRU_HASH, sizeof(struct sl_tuple4),
				    sizeof(struct sl_flow4), 8192 },
	[DATAPATH_established6] = { BPF_MAP_TYPE_LRU_HASH, sizeof(struct sl_tuple6),
				    sizeof(struct sl_flow6), 4096 },
	[DATAPATH_snat4] = { BPF_MAP_TYPE_HASH, sizeof(struct sl_tuple4), sizeof(struct sl_tuple4),
			     64 },
	[DATAPATH_snat6] = { BPF_MAP_TYPE_HASH, sizeof(struct sl_tuple6), sizeof(struct sl_tuple6),
			     64 },
	[DATAPATH_ifaces] = { BPF_MAP_TYPE_HASH, 4, sizeof(struct sl_iface), 64 },
	[DATAPATH_stats_services] = { BPF_MAP_TYPE_PERCPU_ARRAY, 4, sizeof(struct sl_service_stats),
				      1024 },
	[DATAPATH_stats_backends] = { BPF_MAP_TYPE_PERCPU_ARRAY, 4, sizeof(struct sl_backend_stats),
				      2048 },
};

static void open_maps(void)
{
	view = (struct view) { .maps_folder = "/bpffs/maps" };
	for (int i = 0; i < DATAPATH_MAP_MAX; i++) {
		LIBBPF_OPTS(bpf_map_create_opts, options);

		if (shapes[i].type == BPF_MAP_TYPE_LPM_TRIE)
			options.map_flags = BPF_F_NO_PREALLOC;
		view.fd[i] = bpf_map_create(shapes[i].type, "view_test", shapes[i].key,
					    shapes[i].value, shapes[i].entries, &options);
		ck_assert_msg(view.fd[i] >= 0, "map %d: %s", i, strerror(errno));
	}
}

static void close_maps(void)
{
	for (int i = 0; i < DATAPATH_MAP_MAX; i++)
		if (view.fd[i] >= 0)
			close(view.fd[i]);
}

static void put(enum datapath_map map, const void *key, const void *value)
{
	ck_assert_int_eq(bpf_map_update_elem(view.fd[map], key, value, BPF_ANY), 0);
}

static void put_id(enum datapath_map map, uint32_t id, const void *value)
{
	put(map, &id, value);
}

static struct sl_addr addr_of(const char *text)
{
	struct sl_addr addr = { 0 };

	ck_assert_int_gt(ip_parse(text, &addr), 0);
	return addr;
}

static void put_service(uint32_t id, const char *namespace_, const char *name, const char *port,
			uint8_t proto, uint8_t family)
{
	struct sl_identity identity = { .proto = proto, .family = family };
	uint64_t word = SL_SERVICE_WORD(id + 100, 7);
	struct sl_record record = {
		.set = { { 251, 0 }, { 0, 0 } },
		.service = id,
		.path = { SL_CHOOSE_CLUSTER, SL_CHOOSE_LOCAL, SL_CHOOSE_DROP },
		.affinity_s = 10800,
	};

	snprintf(identity.namespace_, sizeof(identity.namespace_), "%s", namespace_);
	snprintf(identity.service, sizeof(identity.service), "%s", name);
	snprintf(identity.port, sizeof(identity.port), "%s", port);
	put_id(DATAPATH_identities, id, &identity);
	put_id(DATAPATH_records, id + 100, &record);
	put_id(DATAPATH_services, id, &word);
}

static void put_backend(uint32_t id, uint32_t service, const char *address, uint16_t port,
			uint64_t word, uint8_t flags)
{
	struct sl_backend backend = {
		.word = word,
		.port = htons(port),
		.flags = flags,
		.family = (uint8_t)ip_parse(address, &backend.addr),
		.service = service,
	};

	backend.addr = addr_of(address);
	put_id(DATAPATH_backends, id, &backend);
}

static void put_frontend(const char *address, uint16_t port, uint8_t proto, uint32_t service,
			 enum sl_kind kind)
{
	struct sl_addr addr = addr_of(address);
	uint64_t value = SL_FRONTEND_VALUE(service, kind, 0xabcdef);
	struct sl_frontend4 key4 = { { addr.w[0] }, htons(port), proto, 0 };
	struct sl_frontend6 key6 = {
		{ addr.w[0], addr.w[1], addr.w[2], addr.w[3] }, htons(port), proto, 0
	};

	if (strchr(address, ':'))
		put(DATAPATH_frontends6, &key6, &value);
	else
		put(DATAPATH_frontends4, &key4, &value);
}

/* Puts `stats` on every possible CPU. */
static void put_stats(enum datapath_map map, uint32_t id, const void *stats, size_t size)
{
	int cpus = libbpf_num_possible_cpus();
	char values[cpus][size];

	for (int i = 0; i < cpus; i++)
		memcpy(values[i], stats, size);
	put_id(map, id, values);
}

/* ADDR:PORT pairs of a flow entry; IPv6 by a colon in the address. */
struct ends {
	const char *saddr;
	uint16_t sport;
	const char *daddr;
	uint16_t dport;
};

static uint32_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
	return (uint32_t)(((uint64_t)t.tv_sec * 1000000000U + (uint64_t)t.tv_nsec) >>
			  SL_TICK_SHIFT);
}

static void put_flow(bool established, struct ends from, struct ends to, uint8_t proto,
		     const struct sl_flow *flow)
{
	struct sl_addr s = addr_of(from.saddr), d = addr_of(from.daddr);
	struct sl_addr ts = addr_of(to.saddr), td = addr_of(to.daddr);

	if (strchr(from.saddr, ':')) {
		struct sl_tuple6 key = { .sport = htons(from.sport),
					 .dport = htons(from.dport),
					 .proto = proto };
		struct sl_flow6 value = { .f = *flow };

		memcpy(key.saddr, &s, 16);
		memcpy(key.daddr, &d, 16);
		memcpy(value.saddr, &ts, 16);
		memcpy(value.daddr, &td, 16);
		value.f.sport = htons(to.sport);
		value.f.dport = htons(to.dport);
		put(established ? DATAPATH_established6 : DATAPATH_new6, &key, &value);
	} else {
		struct sl_tuple4 key = { .saddr = { s.w[0] },
					 .daddr = { d.w[0] },
					 .sport = htons(from.sport),
					 .dport = htons(from.dport),
					 .proto = proto };
		struct sl_flow4 value = { .f = *flow, .saddr = { ts.w[0] }, .daddr = { td.w[0] } };

		value.f.sport = htons(to.sport);
		value.f.dport = htons(to.dport);
		put(established ? DATAPATH_established4 : DATAPATH_new4, &key, &value);
	}
}

/* A document and its text must be equal, whatever the order of fields. */
static void check_json(json_t *got, const char *expected)
{
	json_error_t e;
	json_t *want = json_loads(expected, JSON_DECODE_ANY, &e);
	char *text = json_dumps(got, JSON_INDENT(1) | JSON_ENCODE_ANY);

	ck_assert_msg(want != NULL, "%s", e.text);
	ck_assert_msg(json_equal(got, want), "got %s", text);
	free(text);
	json_decref(want);
}

static json_t *item(json_t *list, size_t i)
{
	json_t *found = json_array_get(json_object_get(list, "items"), i);

	ck_assert_ptr_nonnull(found);
	return found;
}

static const char *field(json_t *object, const char *name)
{
	return json_string_value(json_object_get(object, name));
}

static json_int_t number(json_t *object, const char *name)
{
	ck_assert(json_is_integer(json_object_get(object, name)));
	return json_integer_value(json_object_get(object, name));
}

static json_t *flows(struct view_flow_filter filter)
{
	char error[512] = "";
	json_t *list = NULL;

	if (!filter.limit)
		filter.limit = VIEW_FLOWS_DEFAULT;
	ck_assert_msg(!view_flows(&view, &filter, &list, error), "%s", error);
	return list;
}

static size_t count(json_t *list)
{
	return json_array_size(json_object_get(list, "items"));
}

#define LIVE(generation, sets) SL_BACKEND_WORD(generation, sets, SL_BACKEND_LIVE)
#define GONE(generation)       SL_BACKEND_WORD(generation, 0, SL_BACKEND_GONE)

static char error[512];
static json_t *document;

static void setup(void)
{
	open_maps();
	error[0] = 0;
	document = NULL;
}

static void teardown(void)
{
	json_decref(document);
	close_maps();
}

START_TEST(empty_maps_give_empty_lists)
{
	ck_assert_int_eq(view_services(&view, &document, error), 0);
	check_json(document,
		   "{\"apiVersion\":\"sluice.dev/v1\",\"kind\":\"ServiceList\",\"items\":[]}");
	json_decref(document);
	ck_assert_int_eq(view_backends(&view, &document, error), 0);
	ck_assert_uint_eq(count(document), 0);
	json_decref(document);
	document = flows((struct view_flow_filter) { 0 });
	check_json(document, "{\"apiVersion\":\"sluice.dev/v1\",\"kind\":\"FlowList\",\"items\":[],"
			     "\"truncated\":false}");
}
END_TEST

START_TEST(a_service_has_every_documented_field)
{
	const struct sl_service_stats stats = {
		.connections = 3,
		.packets = { 10, 8 },
		.bytes = { 1000, 2000 },
		.losses = { [SL_DROP_POLICY - SL_LOSS_FIRST] = 2 },
	};
	const struct sl_backend_stats backend = { .connections = 1,
						  .packets = { 5, 4 },
						  .bytes = { 6, 7 } };
	char text[1500];
	int cpus = libbpf_num_possible_cpus();

	put_service(5, "shop", "web", "http", IPPROTO_TCP, 4);
	put_frontend("10.96.0.10", 80, IPPROTO_TCP, 5, SL_KIND_CLUSTER_IP);
	put_frontend("0.0.0.0", 30080, IPPROTO_TCP, 5, SL_KIND_NODE_PORT);
	put_backend(9, 5, "10.244.1.2", 8080, LIVE(4, 3), SL_BACKEND_LOCAL);
	put_stats(DATAPATH_stats_services, 5, &stats, sizeof(stats));
	put_stats(DATAPATH_stats_backends, 9, &backend, sizeof(backend));
	ck_assert_int_eq(view_service(&view, "shop", "web", &document, error), 0);
	snprintf(
		text, sizeof(text),
		"{\"apiVersion\":\"sluice.dev/v1\",\"kind\":\"Service\",\"namespace\":\"shop\","
		"\"name\":\"web\",\"ports\":[{\"id\":5,\"name\":\"http\",\"protocol\":\"TCP\","
		"\"family\":\"IPv4\",\"frontends\":[{\"kind\":\"clusterIP\",\"address\":"
		"\"10.96.0.10:80\"},{\"kind\":\"nodePort\",\"address\":\"*:30080\"}],"
		"\"paths\":{\"clusterIP\":\"cluster\",\"outside\":\"local\",\"inside\":\"drop\"},"
		"\"slots\":251,\"restricted\":false,\"sourceRanges\":0,\"affinitySeconds\":10800,"
		"\"version\":7,\"backends\":[{\"id\":9,\"service\":\"shop/web\",\"port\":\"http\","
		"\"protocol\":\"TCP\",\"family\":\"IPv4\",\"address\":\"10.244.1.2:8080\","
		"\"state\":\"live\",\"generation\":4,\"local\":true,\"sets\":[\"cluster\","
		"\"local\"],"
		"\"counters\":{\"connections\":%d,\"packets\":%d,\"bytes\":%d,\"answerPackets\":%d,"
		"\"answerBytes\":%d}}],\"counters\":{\"connections\":%d,\"packets\":%d,\"bytes\":%"
		"d,"
		"\"answerPackets\":%d,\"answerBytes\":%d},\"losses\":[{\"reason\":\"source_range\","
		"\"packets\":%d}]}]}",
		cpus, 5 * cpus, 6 * cpus, 4 * cpus, 7 * cpus, 3 * cpus, 10 * cpus, 1000 * cpus,
		8 * cpus, 2000 * cpus, 2 * cpus);
	check_json(document, text);
}
END_TEST

START_TEST(services_are_sorted_and_their_ports_are_together)
{
	put_service(1, "b", "web", "z", IPPROTO_TCP, 4);
	put_service(2, "a", "web", "", IPPROTO_UDP, 4);
	put_service(3, "b", "web", "a", IPPROTO_TCP, 6);
	put_service(4, "b", "web", "a", IPPROTO_TCP, 4);
	ck_assert_int_eq(view_services(&view, &document, error), 0);
	ck_assert_uint_eq(count(document), 2);
	ck_assert_str_eq(field(item(document, 0), "namespace"), "a");
	json_t *ports = json_object_get(item(document, 1), "ports");
	ck_assert_uint_eq(json_array_size(ports), 3);
	ck_assert_int_eq(number(json_array_get(ports, 0), "id"), 4);
	ck_assert_int_eq(number(json_array_get(ports, 1), "id"), 3);
	ck_assert_str_eq(field(json_array_get(ports, 1), "family"), "IPv6");
	ck_assert_int_eq(number(json_array_get(ports, 2), "id"), 1);
}
END_TEST

START_TEST(a_service_without_a_record_is_not_listed)
{
	uint64_t none = SL_SERVICE_WORD(0, 9);

	put_service(1, "a", "web", "", IPPROTO_TCP, 4);
	put_id(DATAPATH_services, 1, &none);
	ck_assert_int_eq(view_services(&view, &document, error), 0);
	ck_assert_uint_eq(count(document), 0);
	json_decref(document);
	document = NULL;
	ck_assert_int_eq(view_service(&view, "a", "web", &document, error), -ENOENT);
	ck_assert_str_eq(error, "service a/web is not programmed");
}
END_TEST

START_TEST(a_record_of_another_service_is_not_shown)
{
	struct sl_record record = { .service = 77 };

	put_service(1, "a", "web", "", IPPROTO_TCP, 4);
	put_id(DATAPATH_records, 101, &record);
	ck_assert_int_eq(view_services(&view, &document, error), 0);
	ck_assert_uint_eq(count(document), 0);
}
END_TEST

START_TEST(frontends_of_all_kinds_and_both_families_are_named)
{
	static const struct {
		const char *address;
		enum sl_kind kind;
		const char *want;
	} rows[] = {
		{ "fd00::1", SL_KIND_CLUSTER_IP,
		  "[{\"kind\":\"clusterIP\",\"address\":\"[fd00::1]:53\"}]" },
		{ "::", SL_KIND_NODE_PORT, "[{\"kind\":\"nodePort\",\"address\":\"*:53\"}]" },
		{ "192.0.2.1", SL_KIND_LOAD_BALANCER,
		  "[{\"kind\":\"loadBalancer\",\"address\":\"192.0.2.1:53\"}]" },
		{ "192.0.2.2", SL_KIND_EXTERNAL_IP,
		  "[{\"kind\":\"externalIP\",\"address\":\"192.0.2.2:53\"}]" },
	};

	for (uint32_t i = 0; i < SL_COUNT(rows); i++) {
		char name[8];

		snprintf(name, sizeof(name), "s%u", i);
		put_service(i + 1, "a", name, "", IPPROTO_UDP, 4);
		put_frontend(rows[i].address, 53, IPPROTO_UDP, i + 1, rows[i].kind);
	}
	ck_assert_int_eq(view_services(&view, &document, error), 0);
	for (uint32_t i = 0; i < SL_COUNT(rows); i++) {
		json_t *port = json_array_get(json_object_get(item(document, i), "ports"), 0);

		check_json(json_object_get(port, "frontends"), rows[i].want);
	}
}
END_TEST

START_TEST(an_address_of_the_node_is_no_frontend)
{
	put_service(1, "a", "web", "", IPPROTO_TCP, 4);
	put_frontend("192.0.2.9", 0, 0, 1, SL_KIND_NODE_ADDRESS);
	put_frontend("10.96.0.1", 0, 0, 1, SL_KIND_CLUSTER_ADDRESS);
	ck_assert_int_eq(view_service(&view, "a", "web", &document, error), 0);
	json_t *port = json_array_get(json_object_get(document, "ports"), 0);
	ck_assert_uint_eq(json_array_size(json_object_get(port, "frontends")), 0);
}
END_TEST

START_TEST(source_ranges_are_counted_by_policy)
{
	const uint32_t one = 1;
	struct sl_record record = { .service = 1, .policy = 3 };

	put_service(1, "a", "web", "", IPPROTO_TCP, 4);
	put_id(DATAPATH_records, 101, &record);
	for (uint32_t i = 0; i < 6; i++) {
		struct sl_policy4 key = { 32 + 16, i < 4 ? 3 : 4, { htonl(0x0a000000 | i << 16) } };

		put(DATAPATH_policy4, &key, &one);
	}
	struct sl_policy6 key6 = { 32 + 8, 3, { htonl(0xfd000000) } };
	put(DATAPATH_policy6, &key6, &one);
	ck_assert_int_eq(view_service(&view, "a", "web", &document, error), 0);
	json_t *port = json_array_get(json_object_get(document, "ports"), 0);
	ck_assert_int_eq(number(port, "sourceRanges"), 5);
	ck_assert(json_is_true(json_object_get(port, "restricted")));
}
END_TEST

START_TEST(backends_that_are_gone_are_shown_as_such_and_free_ids_are_not)
{
	put_service(1, "a", "web", "", IPPROTO_TCP, 6);
	put_backend(3, 1, "fd00::3", 443, GONE(8), 0);
	put_backend(2, 1, "fd00::2", 443, LIVE(1, 1), 0);
	put_backend(1, 1, "fd00::1", 443, 0, 0);
	ck_assert_int_eq(view_backends(&view, &document, error), 0);
	ck_assert_uint_eq(count(document), 2);
	ck_assert_str_eq(field(item(document, 0), "state"), "live");
	ck_assert_str_eq(field(item(document, 0), "address"), "[fd00::2]:443");
	ck_assert_str_eq(field(item(document, 1), "state"), "gone");
	ck_assert_int_eq(number(item(document, 1), "generation"), 8);
	check_json(json_object_get(item(document, 0), "sets"), "[\"cluster\"]");
}
END_TEST

START_TEST(a_backend_of_a_forgotten_service_has_no_service)
{
	put_backend(3, 44, "10.0.0.3", 443, GONE(8), 0);
	put_backend(4, 4000000, "10.0.0.4", 443, GONE(8), 0);
	ck_assert_int_eq(view_backends(&view, &document, error), 0);
	ck_assert_uint_eq(count(document), 2);
	ck_assert(json_is_null(json_object_get(item(document, 0), "service")));
	ck_assert(json_is_null(json_object_get(item(document, 1), "service")));
}
END_TEST

START_TEST(counters_of_many_backends_go_to_the_right_ones)
{
	int cpus = libbpf_num_possible_cpus();

	put_service(1, "a", "web", "", IPPROTO_TCP, 4);
	for (uint32_t id = 1; id < 2048; id++) {
		const struct sl_backend_stats stats = { .connections = id };

		put_backend(id, 1, "10.0.0.1", (uint16_t)id, LIVE(1, 1), 0);
		put_stats(DATAPATH_stats_backends, id, &stats, sizeof(stats));
	}
	ck_assert_int_eq(view_backends(&view, &document, error), 0);
	ck_assert_uint_eq(count(document), 2047);
	for (uint32_t i = 0; i < 2047; i++) {
		json_t *backend = item(document, i);

		ck_assert_int_eq(number(json_object_get(backend, "counters"), "connections"),
				 number(backend, "id") * cpus);
	}
}
END_TEST

START_TEST(a_flow_is_one_item_with_the_counters_of_its_answers)
{
	struct sl_flow flow = {
		.service = 1,
		.backend = 9,
		.state = SL_FLOW_ESTABLISHED,
		.forward = SL_TO_STACK,
		.seen = now() - 10,
		.opened = now() - 100,
		.packets = 7,
		.bytes = 700,
	};
	struct sl_flow answer = flow;

	put_service(1, "a", "web", "http", IPPROTO_TCP, 4);
	put_flow(true, (struct ends) { "10.244.0.5", 40000, "10.96.0.10", 80 },
		 (struct ends) { "10.244.0.5", 40000, "10.244.1.2", 8080 }, IPPROTO_TCP, &flow);
	answer.flags = SL_FLOW_REVERSE | SL_FLOW_EGRESS;
	answer.packets = 5;
	answer.bytes = 900;
	put_flow(true, (struct ends) { "10.244.1.2", 8080, "10.244.0.5", 40000 },
		 (struct ends) { "10.96.0.10", 80, "10.244.0.5", 40000 }, IPPROTO_TCP, &answer);
	document = flows((struct view_flow_filter) { 0 });
	ck_assert_uint_eq(count(document), 1);
	json_int_t idle = number(item(document, 0), "idle"), age = number(item(document, 0), "age");
	ck_assert_int_ge(idle, 10);
	ck_assert_int_le(idle, 12);
	ck_assert_int_ge(age, 107);
	ck_assert_int_le(age, 109);
	json_object_del(item(document, 0), "idle");
	json_object_del(item(document, 0), "age");
	check_json(item(document, 0),
		   "{\"client\":\"10.244.0.5:40000\",\"frontend\":\"10.96.0.10:80\",\"backend\":"
		   "\"10.244.1.2:8080\",\"protocol\":\"TCP\",\"service\":\"a/web:http\","
		   "\"backendId\":9,\"state\":\"established\",\"forward\":\"stack\",\"table\":"
		   "\"established\",\"packets\":7,\"bytes\":700,\"answerPackets\":5,"
		   "\"answerBytes\":900}");
}
END_TEST

START_TEST(a_redirected_flow_names_its_translated_source)
{
	struct sl_flow flow = { .state = SL_FLOW_NEW,
				.forward = SL_REDIRECT,
				.flags = SL_FLOW_SNAT };

	put_flow(false, (struct ends) { "203.0.113.7", 50000, "192.0.2.1", 443 },
		 (struct ends) { "192.0.2.100", 61001, "10.0.0.2", 8443 }, IPPROTO_TCP, &flow);
	flow.flags = SL_FLOW_REVERSE;
	flow.packets = 1;
	put_flow(false, (struct ends) { "10.0.0.2", 8443, "192.0.2.100", 61001 },
		 (struct ends) { "192.0.2.1", 443, "203.0.113.7", 50000 }, IPPROTO_TCP, &flow);
	document = flows((struct view_flow_filter) { 0 });
	ck_assert_uint_eq(count(document), 1);
	ck_assert_str_eq(field(item(document, 0), "source"), "192.0.2.100:61001");
	ck_assert_str_eq(field(item(document, 0), "forward"), "redirect");
	ck_assert_str_eq(field(item(document, 0), "table"), "new");
	ck_assert_int_eq(number(item(document, 0), "answerPackets"), 1);
	ck_assert(json_is_null(json_object_get(item(document, 0), "service")));
}
END_TEST

START_TEST(a_tunnelled_flow_of_four_entries_is_one_item)
{
	struct sl_flow flow = { .state = SL_FLOW_ESTABLISHED,
				.forward = SL_TO_STACK,
				.packets = 4 };

	/* ingress: destination only */
	put_flow(true, (struct ends) { "203.0.113.7", 50000, "192.0.2.1", 443 },
		 (struct ends) { "203.0.113.7", 50000, "10.244.2.2", 8443 }, IPPROTO_TCP, &flow);
	/* egress of the tunnel: source */
	flow.flags = SL_FLOW_EGRESS | SL_FLOW_SNAT;
	put_flow(true, (struct ends) { "203.0.113.7", 50000, "10.244.2.2", 8443 },
		 (struct ends) { "10.244.0.0", 61001, "10.244.2.2", 8443 }, IPPROTO_TCP, &flow);
	/* ingress of the tunnel: back to the client */
	flow.flags = SL_FLOW_REVERSE;
	flow.packets = 99;
	put_flow(true, (struct ends) { "10.244.2.2", 8443, "10.244.0.0", 61001 },
		 (struct ends) { "10.244.2.2", 8443, "203.0.113.7", 50000 }, IPPROTO_TCP, &flow);
	/* egress to the client: the frontend's address */
	flow.flags = SL_FLOW_REVERSE | SL_FLOW_EGRESS;
	flow.packets = 3;
	put_flow(true, (struct ends) { "10.244.2.2", 8443, "203.0.113.7", 50000 },
		 (struct ends) { "192.0.2.1", 443, "203.0.113.7", 50000 }, IPPROTO_TCP, &flow);
	document = flows((struct view_flow_filter) { 0 });
	ck_assert_uint_eq(count(document), 1);
	ck_assert_str_eq(field(item(document, 0), "client"), "203.0.113.7:50000");
	ck_assert_str_eq(field(item(document, 0), "source"), "10.244.0.0:61001");
	ck_assert_int_eq(number(item(document, 0), "packets"), 4);
	ck_assert_int_eq(number(item(document, 0), "answerPackets"), 3);
}
END_TEST

START_TEST(answers_are_found_in_the_other_table)
{
	struct sl_flow flow = { .state = SL_FLOW_ESTABLISHED, .forward = SL_HAIRPIN };

	put_flow(true, (struct ends) { "fd00::5", 1000, "fd00::a", 80 },
		 (struct ends) { "fd00::a", 1001, "fd00::5", 81 }, IPPROTO_UDP, &flow);
	flow.flags = SL_FLOW_REVERSE;
	flow.packets = 6;
	put_flow(false, (struct ends) { "fd00::5", 81, "fd00::a", 1001 },
		 (struct ends) { "fd00::a", 80, "fd00::5", 1000 }, IPPROTO_UDP, &flow);
	document = flows((struct view_flow_filter) { 0 });
	ck_assert_uint_eq(count(document), 1);
	ck_assert_int_eq(number(item(document, 0), "answerPackets"), 6);
	ck_assert_str_eq(field(item(document, 0), "client"), "[fd00::5]:1000");
	ck_assert_str_eq(field(item(document, 0), "forward"), "hairpin");
	ck_assert_str_eq(field(item(document, 0), "source"), "[fd00::a]:1001");
}
END_TEST

START_TEST(a_promoted_flow_is_listed_once_and_a_reopened_one_twice)
{
	const struct ends from = { "10.244.0.5", 40000, "10.96.0.10", 80 };
	const struct ends to = { "10.244.0.5", 40000, "10.244.1.2", 8080 };
	struct sl_flow flow = { .state = SL_FLOW_ESTABLISHED, .opened = 50 };

	put_flow(true, from, to, IPPROTO_TCP, &flow);
	put_flow(false, from, to, IPPROTO_TCP, &flow);
	document = flows((struct view_flow_filter) { 0 });
	ck_assert_uint_eq(count(document), 1);
	ck_assert_str_eq(field(item(document, 0), "table"), "established");
	json_decref(document);
	flow.opened = 51;
	put_flow(false, from, to, IPPROTO_TCP, &flow);
	document = flows((struct view_flow_filter) { 0 });
	ck_assert_uint_eq(count(document), 2);
}
END_TEST

static void put_three_flows(void)
{
	struct sl_flow flow = { .state = SL_FLOW_ESTABLISHED, .service = 1 };

	put_service(1, "a", "web", "http", IPPROTO_TCP, 4);
	put_service(2, "a", "web", "admin", IPPROTO_TCP, 4);
	put_service(3, "a", "webs", "http", IPPROTO_TCP, 6);
	put_flow(true, (struct ends) { "10.244.0.5", 1, "10.96.0.10", 80 },
		 (struct ends) { "10.244.0.5", 1, "10.244.1.2", 8080 }, IPPROTO_TCP, &flow);
	flow.service = 2;
	put_flow(false, (struct ends) { "10.244.9.6", 2, "10.96.0.10", 81 },
		 (struct ends) { "10.244.9.6", 2, "10.244.1.2", 8081 }, IPPROTO_TCP, &flow);
	flow.service = 3;
	put_flow(true, (struct ends) { "fd00::5", 3, "fd01::a", 80 },
		 (struct ends) { "fd00::5", 3, "fd00::2", 80 }, IPPROTO_TCP, &flow);
}

/* Sums of source ports tell which of the three flows were found. */
START_TEST(flows_are_filtered)
{
	static const struct {
		const char *client, *service, *backend;
		int want;
	} rows[] = {
		{ NULL, NULL, NULL, 6 },
		{ "10.244.0.5", NULL, NULL, 1 },
		{ "10.244.0.0/16", NULL, NULL, 3 },
		{ "10.244.9.0/24", NULL, NULL, 2 },
		{ "fd00::/16", NULL, NULL, 3 },
		{ "::/0", NULL, NULL, 3 },
		{ NULL, "a/web", NULL, 3 },
		{ NULL, "a/web:admin", NULL, 2 },
		{ NULL, "a/webs", NULL, 3 },
		{ NULL, NULL, "10.244.1.2", 3 },
		{ NULL, NULL, "10.244.1.2:8081", 2 },
		{ NULL, NULL, "10.244.1.2:9", 0 },
		{ NULL, NULL, "fd00::2", 3 },
		{ NULL, NULL, "[fd00::2]:80", 3 },
		{ "10.244.0.5", "a/web:admin", NULL, 0 },
	};

	put_three_flows();
	for (size_t i = 0; i < SL_COUNT(rows); i++) {
		json_t *list = flows((struct view_flow_filter) {
			.client = rows[i].client,
			.service = rows[i].service,
			.backend = rows[i].backend,
		});
		int sum = 0;

		for (size_t j = 0; j < count(list); j++)
			sum += atoi(strrchr(field(item(list, j), "client"), ':') + 1);
		ck_assert_msg(sum == rows[i].want, "row %zu: %d", i, sum);
		json_decref(list);
	}
}
END_TEST

START_TEST(filters_that_cannot_be_read_are_refused_by_name)
{
	static const struct {
		struct view_flow_filter filter;
		int want;
		const char *text;
	} rows[] = {
		{ { .client = "10.0.0", .limit = 1 }, -EINVAL, "client: \"10.0.0\"" },
		{ { .client = "10.0.0.0/33", .limit = 1 }, -EINVAL, "client:" },
		{ { .backend = "10.0.0.1:0", .limit = 1 }, -EINVAL, "backend:" },
		{ { .backend = "10.0.0.1:66000", .limit = 1 }, -EINVAL, "backend:" },
		{ { .backend = "10.0.0.1:8x", .limit = 1 }, -EINVAL, "backend:" },
		{ { .backend = ":80", .limit = 1 }, -EINVAL, "backend:" },
		{ { .backend = "", .limit = 1 }, -EINVAL, "backend:" },
		{ { .service = "web", .limit = 1 }, -EINVAL, "service: \"web\"" },
		{ { .service = "/web", .limit = 1 }, -EINVAL, "service:" },
		{ { .service = "a/", .limit = 1 }, -EINVAL, "service:" },
		{ { .service = "a/none", .limit = 1 }, -ENOENT, "a/none" },
		{ { .service = "a/web:none", .limit = 1 }, -ENOENT, "a/web:none" },
		{ { .limit = 0 }, -EINVAL, "limit: 0" },
		{ { .limit = VIEW_FLOWS_MAX + 1 }, -EINVAL, "limit:" },
	};

	put_three_flows();
	for (size_t i = 0; i < SL_COUNT(rows); i++) {
		int r = view_flows(&view, &rows[i].filter, &document, error);

		ck_assert_msg(r == rows[i].want, "row %zu: %d", i, r);
		ck_assert_msg(strstr(error, rows[i].text), "row %zu: %s", i, error);
	}
}
END_TEST

START_TEST(a_list_of_flows_stops_at_its_limit_and_says_so)
{
	struct sl_flow flow = { .state = SL_FLOW_ESTABLISHED };

	for (uint16_t port = 1; port <= 3000; port++)
		put_flow(true, (struct ends) { "10.244.0.5", port, "10.96.0.10", 80 },
			 (struct ends) { "10.244.0.5", port, "10.244.1.2", 8080 }, IPPROTO_TCP,
			 &flow);
	document = flows((struct view_flow_filter) { .limit = 2999 });
	ck_assert_uint_eq(count(document), 2999);
	ck_assert(json_is_true(json_object_get(document, "truncated")));
	json_decref(document);
	document = flows((struct view_flow_filter) { .limit = 3000 });
	ck_assert_uint_eq(count(document), 3000);
	ck_assert(json_is_false(json_object_get(document, "truncated")));
}
END_TEST

START_TEST(a_kernel_without_batches_gives_the_same_documents)
{
	const struct sl_service_stats stats = { .connections = 3 };
	json_t *with[4], *without[4];

	put_three_flows();
	put_frontend("10.96.0.10", 80, IPPROTO_TCP, 1, SL_KIND_CLUSTER_IP);
	put_backend(1, 1, "10.0.0.1", 80, LIVE(1, 1), 0);
	put_stats(DATAPATH_stats_services, 1, &stats, sizeof(stats));
	for (int i = 0; i < 2; i++) {
		json_t **documents = i ? without : with;

		no_batches = i;
		ck_assert_int_eq(view_services(&view, &documents[0], error), 0);
		ck_assert_int_eq(view_backends(&view, &documents[1], error), 0);
		ck_assert_int_eq(view_maps(&view, &documents[2], error), 0);
		documents[3] = flows((struct view_flow_filter) { .client = "10.244.0.5" });
		/* Times go on. */
		json_object_del(item(documents[3], 0), "idle");
		json_object_del(item(documents[3], 0), "age");
	}
	for (int i = 0; i < 4; i++) {
		ck_assert_uint_gt(count(with[i]), 0);
		ck_assert_msg(json_equal(with[i], without[i]), "document %d", i);
		json_decref(with[i]);
		json_decref(without[i]);
	}
}
END_TEST

START_TEST(losses_are_summed_over_services_and_what_has_none)
{
	struct sl_service_stats stats = {
		.losses = { [SL_DROP_MTU - SL_LOSS_FIRST] = 1,
			    [SL_REJECT_UNKNOWN_PORT - SL_LOSS_FIRST] = 2 },
	};
	char text[200];
	int cpus = libbpf_num_possible_cpus();

	put_service(4, "a", "web", "", IPPROTO_TCP, 4);
	put_stats(DATAPATH_stats_services, 4, &stats, sizeof(stats));
	put_stats(DATAPATH_stats_services, 0, &stats, sizeof(stats));
	put_stats(DATAPATH_stats_services, 900, &stats, sizeof(stats)); /* no service */
	ck_assert_int_eq(view_losses(&view, &document, error), 0);
	snprintf(text, sizeof(text),
		 "[{\"reason\":\"unknown_port\",\"packets\":%d},{\"reason\":\"mtu\",\"packets\":%d}"
		 "]",
		 4 * cpus, 2 * cpus);
	check_json(document, text);
}
END_TEST

START_TEST(what_is_programmed_is_counted)
{
	put_three_flows();
	put_backend(1, 1, "10.0.0.1", 80, LIVE(1, 1), 0);
	put_backend(2, 1, "10.0.0.2", 80, GONE(1), 0);
	ck_assert_int_eq(view_programmed(&view, &document, error), 0);
	check_json(document, "{\"services\":2,\"servicePorts\":3,\"backends\":1}");
}
END_TEST

START_TEST(maps_are_listed_with_sizes_and_entries)
{
	put_three_flows();
	put_backend(1, 1, "10.0.0.1", 80, LIVE(1, 1), 0);
	ck_assert_int_eq(view_maps(&view, &document, error), 0);
	ck_assert_uint_eq(count(document), DATAPATH_MAP_MAX);
	json_t *map = item(document, DATAPATH_established4);
	ck_assert_int_gt(number(map, "bytes"), 8192 * 80);
	json_object_del(map, "bytes");
	check_json(map, "{\"name\":\"established4\",\"type\":\"lru_hash\",\"keySize\":16,"
			"\"valueSize\":64,\"maxEntries\":8192,\"entries\":1,"
			"\"pinned\":\"/bpffs/maps/established4\"}");
	ck_assert_int_eq(number(item(document, DATAPATH_services), "entries"), 3);
	ck_assert_int_eq(number(item(document, DATAPATH_backends), "entries"), 1);
	ck_assert_int_eq(number(item(document, DATAPATH_identities), "entries"), 3);
	ck_assert_int_eq(number(item(document, DATAPATH_snat4), "entries"), 0);
	ck_assert(json_is_null(json_object_get(item(document, DATAPATH_maglev), "entries")));
}
END_TEST

START_TEST(a_missing_map_is_left_out_of_the_list_and_an_error_elsewhere)
{
	close(view.fd[DATAPATH_records]);
	view.fd[DATAPATH_records] = -1;
	view.maps_folder = NULL;
	ck_assert_int_eq(view_maps(&view, &document, error), 0);
	ck_assert_uint_eq(count(document), DATAPATH_MAP_MAX - 1);
	ck_assert(json_is_null(json_object_get(item(document, 0), "pinned")));
	json_decref(document);
	document = NULL;
	ck_assert_int_eq(view_services(&view, &document, error), -ENXIO);
	ck_assert_str_eq(error, "map records: not there");
}
END_TEST

START_TEST(a_map_of_another_size_is_refused)
{
	close(view.fd[DATAPATH_backends]);
	view.fd[DATAPATH_backends] =
		bpf_map_create(BPF_MAP_TYPE_ARRAY, "view_test", 4, 24, 8, NULL);
	ck_assert_int_eq(view_backends(&view, &document, error), -EPROTO);
	ck_assert_ptr_nonnull(strstr(error, "map backends: 4 byte keys and 24 byte values"));
	ck_assert_int_eq(view_maps(&view, &document, error), -EPROTO);
}
END_TEST

START_TEST(interfaces_are_told_by_the_map_alone)
{
	const uint32_t loopback = 1;
	struct sl_iface iface = { .role = SL_ROLE_UPLINK, .xdp = 1 };

	iface.addr4 = addr_of("192.0.2.9").w[0];
	iface.addr6 = addr_of("2001:db8::9");
	put(DATAPATH_ifaces, &loopback, &iface);
	ck_assert_int_eq(view_attach(&view, &document, error), 0);
	check_json(
		item(document, 0),
		"{\"ifindex\":1,\"name\":\"lo\",\"role\":\"uplink\",\"addresses\":[\"192.0.2.9\","
		"\"2001:db8::9\"],\"hooks\":[{\"hook\":\"xdp\",\"state\":\"attached\"}]}");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("view");
	TCase *tcase = tcase_create("documents");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_set_timeout(tcase, 30);
	tcase_add_test(tcase, empty_maps_give_empty_lists);
	tcase_add_test(tcase, a_service_has_every_documented_field);
	tcase_add_test(tcase, services_are_sorted_and_their_ports_are_together);
	tcase_add_test(tcase, a_service_without_a_record_is_not_listed);
	tcase_add_test(tcase, a_record_of_another_service_is_not_shown);
	tcase_add_test(tcase, frontends_of_all_kinds_and_both_families_are_named);
	tcase_add_test(tcase, an_address_of_the_node_is_no_frontend);
	tcase_add_test(tcase, source_ranges_are_counted_by_policy);
	tcase_add_test(tcase, backends_that_are_gone_are_shown_as_such_and_free_ids_are_not);
	tcase_add_test(tcase, a_backend_of_a_forgotten_service_has_no_service);
	tcase_add_test(tcase, counters_of_many_backends_go_to_the_right_ones);
	tcase_add_test(tcase, a_flow_is_one_item_with_the_counters_of_its_answers);
	tcase_add_test(tcase, a_redirected_flow_names_its_translated_source);
	tcase_add_test(tcase, a_tunnelled_flow_of_four_entries_is_one_item);
	tcase_add_test(tcase, answers_are_found_in_the_other_table);
	tcase_add_test(tcase, a_promoted_flow_is_listed_once_and_a_reopened_one_twice);
	tcase_add_test(tcase, flows_are_filtered);
	tcase_add_test(tcase, filters_that_cannot_be_read_are_refused_by_name);
	tcase_add_test(tcase, a_list_of_flows_stops_at_its_limit_and_says_so);
	tcase_add_test(tcase, a_kernel_without_batches_gives_the_same_documents);
	tcase_add_test(tcase, losses_are_summed_over_services_and_what_has_none);
	tcase_add_test(tcase, what_is_programmed_is_counted);
	tcase_add_test(tcase, maps_are_listed_with_sizes_and_entries);
	tcase_add_test(tcase, a_missing_map_is_left_out_of_the_list_and_an_error_elsewhere);
	tcase_add_test(tcase, a_map_of_another_size_is_refused);
	tcase_add_test(tcase, interfaces_are_told_by_the_map_alone);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
