/* SPDX-License-Identifier: Apache-2.0 */

/* Documents of services, backends, maps and interfaces. */

#include <dlfcn.h>

#include "test/packet/view_maps.h"

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
		"\"slots\":251,\"restricted\":false,\"sourceRanges\":0,\"sourceRangesOf\":\"vip\","
		"\"affinitySeconds\":10800,\"onEndpointRemoval\":\"keep\","
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

static const struct {
	struct sl_record record;
	const char *leave, *ranges;
} policies[] = {
	{ { .leave = SL_LEAVE_DRAIN, .drain_s = 90 }, "drain=90s", "vip" },
	{ { .leave = SL_LEAVE_RESET, .flags = SL_RECORD_RANGES_EVERYWHERE }, "reset", "all" },
	{ { .leave = SL_LEAVE_KEEP, .drain_s = 90 }, "keep", "vip" },
};

START_TEST(a_service_shows_the_policies_of_its_record)
{
	struct sl_record record = policies[_i].record;
	json_t *port;

	put_service(1, "a", "web", "", IPPROTO_TCP, 4);
	record.service = 1;
	put_id(DATAPATH_records, 101, &record);
	ck_assert_int_eq(view_service(&view, "a", "web", &document, error), 0);
	port = json_array_get(json_object_get(document, "ports"), 0);
	ck_assert_str_eq(field(port, "onEndpointRemoval"), policies[_i].leave);
	ck_assert_str_eq(field(port, "sourceRangesOf"), policies[_i].ranges);
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
	check_json(item(document, 0),
		   "{\"ifindex\":1,\"name\":\"lo\",\"role\":\"uplink\",\"podTraffic\":false,"
		   "\"addresses\":[\"192.0.2.9\","
		   "\"2001:db8::9\"],\"hooks\":[{\"hook\":\"xdp\",\"state\":\"attached\"}]}");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("view");
	TCase *tcase = tcase_create("documents");

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_set_timeout(tcase, 30);
	tcase_add_test(tcase, empty_maps_give_empty_lists);
	tcase_add_test(tcase, a_service_has_every_documented_field);
	tcase_add_loop_test(tcase, a_service_shows_the_policies_of_its_record, 0,
			    (int)SL_COUNT(policies));
	tcase_add_test(tcase, services_are_sorted_and_their_ports_are_together);
	tcase_add_test(tcase, a_service_without_a_record_is_not_listed);
	tcase_add_test(tcase, a_record_of_another_service_is_not_shown);
	tcase_add_test(tcase, frontends_of_all_kinds_and_both_families_are_named);
	tcase_add_test(tcase, an_address_of_the_node_is_no_frontend);
	tcase_add_test(tcase, source_ranges_are_counted_by_policy);
	tcase_add_test(tcase, backends_that_are_gone_are_shown_as_such_and_free_ids_are_not);
	tcase_add_test(tcase, a_backend_of_a_forgotten_service_has_no_service);
	tcase_add_test(tcase, counters_of_many_backends_go_to_the_right_ones);
	tcase_add_test(tcase, a_kernel_without_batches_gives_the_same_documents);
	tcase_add_test(tcase, losses_are_summed_over_services_and_what_has_none);
	tcase_add_test(tcase, what_is_programmed_is_counted);
	tcase_add_test(tcase, maps_are_listed_with_sizes_and_entries);
	tcase_add_test(tcase, a_missing_map_is_left_out_of_the_list_and_an_error_elsewhere);
	tcase_add_test(tcase, a_map_of_another_size_is_refused);
	tcase_add_test(tcase, interfaces_are_told_by_the_map_alone);
	suite_add_tcase(suite, tcase);
	return run_tests(suite);
}
