/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What decide() says beside what the loaded program says with real maps, which
 * the map writer filled from the same objects.
 */

#include <arpa/inet.h>
#include <check.h>

#include "controlplane/explain/live.h"
#include "controlplane/tables/tables.h"
#include "test/unit/explain_fixture.h"

#define UPLINK 1001
#define POD    1002

static char root[64], error[512];
static uv_loop_t loop;
static struct datapath *dp;
static struct tables *tables;
static struct store *objects;
static struct profile *profile;

static const struct sl_iface ifaces[] = {
	[0] = { .role = SL_ROLE_UPLINK },
	[1] = { .role = SL_ROLE_POD, .pod_traffic = 1 },
};

static void open_tables(void)
{
	struct datapath_options options = {
		.root = root,
		.instance = "default",
		.max_services = 64,
		.max_backends = 64,
		.max_frontends = 64,
		.max_maglev_slots = 8192,
		.max_policies = 16,
		.max_flows_new = 1024,
		.max_flows = 1024,
		.max_snat_ports = 1024,
		.max_affinity = 1024,
		.max_sockets = 1024,
		.config = { .snat_first = 61000, .snat_count = 100 },
	};

	snprintf(root, sizeof(root), "/sys/fs/bpf/explain-test-%d", getpid());
	uv_loop_init(&loop);
	ck_assert_msg(!datapath_open(&options, &dp, error), "%s", error);
	ck_assert_msg(!tables_new(&loop, dp, &tables, error), "%s", error);
}

static void program(void *context, const struct store_service *s)
{
	struct resolved *resolved = NULL;

	(void)context;
	ck_assert_int_eq(resolve_service(s->namespace_, s->name, s->service, s->slices, s->n_slices,
					 &profile->world.resolve, &profile->world.config,
					 &resolved),
			 0);
	ck_assert_int_ge(tables_apply(tables, resolved, 0, error), 0);
	resolved_free(resolved);
}

/* A node by the fixture's profile with this change, its tables programmed. */
static void start(const char *change)
{
	
	json_t *json = json_of(EXPLAIN_PROFILE), *over = json_of(change);

	json_object_update(json, over);
	objects = explain_store();
	ck_assert_msg(!profile_new(json, objects, &profile, error), "%s", error);
	json_decref(json);
	json_decref(over);
	open_tables();
	ck_assert_int_eq(tables_set_addresses(tables, profile->own.addresses,
					      profile->own.n_addresses), 0);
	tables_set_node(tables, &profile->world.node);
	ck_assert_int_eq(tables_set_iface(tables, UPLINK, &ifaces[0]), 0);
	ck_assert_int_eq(tables_set_iface(tables, POD, &ifaces[1]), 0);
	store_each(objects, program, NULL);
}

static void stop(void)
{
	tables_free(tables);
	uv_run(&loop, UV_RUN_DEFAULT);
	datapath_close(dp);
	uv_loop_close(&loop);
	datapath_remove(root, "default");
	rmdir(root);
	store_free(objects);
	profile_free(profile);
}

static json_t *explain(const char *from, const char *to, bool pod)
{
	const struct explain_live live = {
		.store = objects,
		.node = &profile->world,
		.datapath = dp,
		.ifindex = pod ? POD : UPLINK,
		.iface = ifaces[pod],
	};
	/* The node's own addresses send from its processes. */
	bool own = !strncmp(from, "192.168.", 8);
	const struct explain_query query = { .from = from,
					     .to = to,
					     .iface = own   ? NULL
						      : pod ? "veth1"
							    : "eth0" };
	json_t *document = NULL;
	int err = explain_live(&live, &query, &document, error);

	ck_assert_msg(!err, "%s", error);
	return document;
}

static const char *const profiles[] = {
	"{}",
	"{'masquerade':'minimal'}",
	"{'masqueradeAll':true}",
	"{'clusterCIDRs':[]}",
	"{'detectLocalMode':'interfaceRole'}",
	"{'serviceCIDRs':null,'nodePortAddresses':['all']}",
	"{'sourceRangesEverywhere':true}",
};

START_TEST(the_program_agrees_about_every_packet)
{
	static const char *const from[] = {
		"10.0.1.77:4000",   "10.0.1.1:4001",	"10.0.2.1",
		"203.0.113.9:4002", "192.168.0.2:4003", "192.168.1.2",
	};
	static const char *const places[] = {
		"10.96.0.%d:80",    "10.96.0.%d:81",	"10.96.0.%d:80/udp",  "192.0.2.%d:80",
		"198.51.100.%d:80", "198.51.100.%d:81", "192.168.0.2:3000%d", "192.168.1.2:3000%d",
		"10.96.9.%d:80",    "127.0.0.1:3000%d",
	};
	size_t n = 0;

	start(profiles[_i]);
	for (size_t f = 0; f < SL_COUNT(from); f++) {
		for (size_t p = 0; p < SL_COUNT(places) * 8; p++) {
			char to[64];
			json_t *document;

			snprintf(to, sizeof(to), places[p / 8], (int)(p % 8) + 1);
			document = explain(from[f], to, f < 2);
			ck_assert_msg(json_is_true(json_object_get(document, "agrees")),
				      "%s: %s -> %s: %s", profiles[_i], from[f], to,
				      json_dumps(document, 0));
			json_decref(document);
			n++;
		}
	}
	ck_assert_uint_eq(n, 480);
	stop();
}
END_TEST

START_TEST(a_table_that_is_wrong_is_reported)
{
	struct resolved *gone = NULL;
	json_t *document, *said;

	start("{}");
	ck_assert_int_eq(resolve_service("a", "web", NULL, NULL, 0, &profile->world.resolve,
					 &profile->world.config, &gone),
			 0);
	ck_assert_int_ge(tables_apply(tables, gone, 0, error), 0);
	resolved_free(gone);

	document = explain("10.0.1.77:4000", "10.96.0.1:80", true);
	said = json_object_get(document, "datapath");
	ck_assert(json_is_false(json_object_get(document, "agrees")));
	ck_assert_str_eq(json_string_value(json_object_get(document, "verdict")), "forward");
	ck_assert_str_eq(json_string_value(json_object_get(said, "verdict")), "drop");
	ck_assert_str_eq(json_string_value(json_object_get(said, "reason")), "unallocated");
	json_decref(document);
	stop();
}
END_TEST

START_TEST(an_address_that_the_tables_lack_is_reported)
{
	json_t *document;

	start("{}");
	ck_assert_int_eq(tables_set_addresses(tables, NULL, 0), 0);
	document = explain("203.0.113.9:4000", "192.168.0.2:30001", false);
	ck_assert(json_is_false(json_object_get(document, "agrees")));
	json_decref(document);
	stop();
}
END_TEST

START_TEST(the_chosen_endpoint_is_the_programs)
{
	size_t seen = 0;

	start("{}");
	for (int port = 40000; port < 40050; port++) {
		char from[32];
		json_t *document;
		const char *chosen, *backend;

		snprintf(from, sizeof(from), "10.0.1.77:%d", port);
		document = explain(from, "10.96.0.1:80", true);
		chosen = json_string_value(json_object_get(document, "chosen"));
		backend = json_string_value(
			json_object_get(json_object_get(document, "datapath"), "backend"));
		ck_assert_str_eq(chosen, backend);
		seen |= 1U << !strcmp(chosen, "10.0.1.1:8080");
		json_decref(document);
	}
	ck_assert_uint_eq(seen, 3);
	stop();
}
END_TEST

START_TEST(with_affinity_the_program_knows_the_endpoint)
{
	json_t *document, *steps;
	const char *text;

	start("{}");
	document = explain("10.0.1.77:4000", "10.96.0.6:80", true);
	ck_assert(json_is_true(json_object_get(document, "agrees")));
	ck_assert(json_is_string(json_object_get(document, "chosen")));
	steps = json_object_get(document, "steps");
	text = json_string_value(
		json_object_get(json_array_get(steps, json_array_size(steps) - 1), "text"));
	ck_assert_msg(strstr(text, "which is also what the hash picks"), "%s", text);
	json_decref(document);
	stop();
}
END_TEST

START_TEST(what_cannot_be_read_is_refused)
{
	const struct explain_live live = { 0 };
	const struct explain_query query = { .from = "10.0.1.77", .to = "10.96.0.6" };
	json_t *document = NULL;

	ck_assert_int_eq(explain_live(&live, &query, &document, error), -EINVAL);
	ck_assert_ptr_null(document);
	ck_assert_ptr_nonnull(strstr(error, "to: \"10.96.0.6\" is not ADDRESS:PORT"));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("explain");
	TCase *tc = tcase_create("live");

	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, the_program_agrees_about_every_packet, 0, SL_COUNT(profiles));
	tcase_add_test(tc, a_table_that_is_wrong_is_reported);
	tcase_add_test(tc, an_address_that_the_tables_lack_is_reported);
	tcase_add_test(tc, the_chosen_endpoint_is_the_programs);
	tcase_add_test(tc, with_affinity_the_program_knows_the_endpoint);
	tcase_add_test(tc, what_cannot_be_read_is_refused);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
