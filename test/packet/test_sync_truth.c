/* SPDX-License-Identifier: Apache-2.0 */

/* What a change costs, when it is in force, and what is said of it. */

#include <bpf/libbpf.h>

#include "common/log.h"
#include "sync_fixture.h"

static void put_node_n1(void)
{
	put_node("", PODS("10.244.1.0/24"), "");
}

/* The slice of "web" with one endpoint. */
static int put_web_slice(const char *addr, unsigned int version)
{
	char text[512];

	snprintf(text, sizeof(text),
		 "{'metadata':{'name':'web-1','namespace':'default','resourceVersion':'%u',"
		 "'labels':{'kubernetes.io/service-name':'web'}},'addressType':'IPv4','ports':["
		 "{'name':'http','port':8080}],'endpoints':[{'addresses':['%s']}]}",
		 version, addr);
	return store_put_slice(store, slice_of(text));
}

static int put_web(unsigned int version, int port)
{
	char text[512];

	snprintf(text, sizeof(text),
		 "{'metadata':{'name':'web','namespace':'default','resourceVersion':'%u'},'spec':{"
		 "'clusterIP':'10.96.0.1','ports':[{'name':'http','port':%d}]}}",
		 version, port);
	return store_put_service(store, service_of(text));
}

static struct store_service web_is(void)
{
	struct store_service found;

	ck_assert(store_find(store, "default", "web", &found));
	return found;
}

static uint32_t version_of(const char *vip)
{
	return (uint32_t)(services[service_at(vip, 80)] >> 32);
}

START_TEST(a_single_change_is_in_force_on_the_next_turn)
{
	list_all();
	put_node_n1();
	ck_assert_uint_ne(service_at("10.96.0.1", 80), 0);
	put_web_slice("10.244.7.7", 1);
	sync_kick(sync_);
	uv_run(writer_loop(), UV_RUN_NOWAIT);
	ck_assert_uint_ne(backend_id("10.244.7.7"), 0);
}
END_TEST

START_TEST(a_burst_of_a_service_is_one_change)
{
	uint32_t before;

	list_all();
	put_node_n1();
	before = version_of("10.96.0.1");
	for (int i = 1; i <= 200; i++) {
		char addr[32];

		snprintf(addr, sizeof(addr), "10.244.7.%d", i);
		put_web_slice(addr, (unsigned int)i);
		sync_kick(sync_);
	}
	go_on();
	ck_assert_uint_ne(backend_id("10.244.7.200"), 0);
	ck_assert_uint_eq(backend_id("10.244.7.199"), 0);
	ck_assert_uint_eq(version_of("10.96.0.1"), before + 1);
}
END_TEST

START_TEST(a_change_touches_no_other_service)
{
	uint32_t before;

	list_all();
	put_node_n1();
	put_service("other", "10.96.0.2", 80, 3);
	go_on();
	before = version_of("10.96.0.2");
	put_web_slice("10.244.7.7", 1);
	go_on();
	ck_assert_uint_eq(version_of("10.96.0.2"), before);
}
END_TEST

/* Slices and their events come while Services are still being listed. */
START_TEST(events_wait_for_the_first_list_of_the_other_kinds)
{
	put_node_n1();
	store_list_begin(store, OBJECT_SLICE);
	put_web_slice("10.244.7.1", 1);
	store_list_end(store, OBJECT_SLICE);
	go_on();
	put_web_slice("10.244.7.2", 2);
	go_on();
	store_list_begin(store, OBJECT_SERVICE);
	put_web(3, 80);
	go_on();
	ck_assert_uint_eq(service_at("10.96.0.1", 80), 0);
	ck_assert_int_eq(web_is().state, STORE_PENDING);
	put_web_slice("10.244.7.3", 4);
	store_list_end(store, OBJECT_SERVICE);
	go_on();
	ck_assert_uint_ne(service_at("10.96.0.1", 80), 0);
	ck_assert_uint_ne(backend_id("10.244.7.3"), 0);
	ck_assert_uint_eq(backend_id("10.244.7.2"), 0);
	ck_assert_int_eq(web_is().state, STORE_PROGRAMMED);
}
END_TEST

START_TEST(what_is_in_force_is_told_by_version)
{
	list_all();
	put_node_n1();
	put_web(10, 80);
	put_web_slice("10.244.7.1", 11);
	ck_assert_int_eq(web_is().state, STORE_PENDING);
	ck_assert_uint_eq(web_is().service->version.latest, 10);
	ck_assert_uint_eq(web_is().service->version.programmed, 0);
	go_on();
	ck_assert_int_eq(web_is().state, STORE_PROGRAMMED);
	ck_assert_int_gt(web_is().since, 0);
	ck_assert_ptr_null(web_is().why);
	ck_assert_uint_eq(web_is().service->version.programmed, 10);
	ck_assert_uint_eq(web_is().slices[0]->version.programmed, 11);

	/* The same again, as of a new version: nothing has to be done for it. */
	ck_assert_int_eq(put_web(20, 80), 0);
	ck_assert_int_eq(web_is().state, STORE_PROGRAMMED);
	ck_assert_uint_eq(web_is().service->version.programmed, 20);
	ck_assert_int_eq(put_web_slice("10.244.7.1", 21), 0);
	ck_assert_uint_eq(web_is().slices[0]->version.programmed, 21);

	ck_assert_int_eq(put_web_slice("10.244.7.2", 30), 1);
	ck_assert_int_eq(web_is().state, STORE_PENDING);
	ck_assert_uint_eq(web_is().slices[0]->version.programmed, 21);
	ck_assert_uint_eq(web_is().slices[0]->version.latest, 30);
}
END_TEST

static void fill_and_fail(void)
{
	list_all();
	put_node_n1();
	put_service("hog", "10.96.0.2", 80, MAX_BACKENDS - 8);
	go_on();
	put_web(10, 80);
	put_web_slice("10.244.7.1", 11);
	go_on();
	put_service("late", "10.96.0.3", 80, 16);
	go_on();
}

START_TEST(a_failure_has_a_name_and_a_reason)
{
	struct store_service late;
	int64_t since;

	fill_and_fail();
	ck_assert_uint_eq(store_failed(store), 1);
	ck_assert(store_find(store, "default", "late", &late));
	ck_assert_int_eq(late.state, STORE_FAILED);
	ck_assert_ptr_nonnull(strstr(late.why, "Service default/late"));
	ck_assert_ptr_nonnull(strstr(late.why, "map backends: full"));
	ck_assert_uint_eq(late.service->version.programmed, 0);
	ck_assert_int_eq(n_settled, 1);
	ck_assert_str_eq(settled_name, "late");
	ck_assert_str_eq(settled_why, late.why);
	since = late.since;
	ck_assert_int_gt(since, 0);
	/* What worked goes on, and is still said to. */
	ck_assert_int_eq(web_is().state, STORE_PROGRAMMED);
	ck_assert_uint_ne(backend_id("10.244.7.1"), 0);

	/* A deleted one fails no more. */
	store_remove(store, OBJECT_SERVICE, "default", "late");
	go_on();
	ck_assert_uint_eq(store_failed(store), 0);
	store_remove(store, OBJECT_SLICE, "default", "late-1");
	go_on();
	ck_assert(!store_find(store, "default", "late", &late));
	ck_assert_int_eq(n_settled, 1);
}
END_TEST

START_TEST(a_failed_change_leaves_the_version_that_is_in_force)
{
	char text[2048];
	int len;

	fill_and_fail();
	len = snprintf(text, sizeof(text),
		       "{'metadata':{'name':'web-1','namespace':'default','resourceVersion':'40',"
		       "'labels':{'kubernetes.io/service-name':'web'}},'addressType':'IPv4',"
		       "'ports':[{'name':'http','port':8080}],'endpoints':[");
	for (int i = 0; i < 20; i++)
		len += snprintf(text + len, sizeof(text) - (size_t)len,
				"%s{'addresses':['10.244.8.%d']}", i ? "," : "", i + 1);
	snprintf(text + len, sizeof(text) - (size_t)len, "]}");
	ck_assert_int_eq(store_put_slice(store, slice_of(text)), 1);
	go_on();
	ck_assert_int_eq(web_is().state, STORE_FAILED);
	ck_assert_uint_eq(web_is().slices[0]->version.latest, 40);
	ck_assert_uint_eq(web_is().slices[0]->version.programmed, 11);
	ck_assert_uint_ne(backend_id("10.244.7.1"), 0);
}
END_TEST

/* Long before the retry that was planned. */
START_TEST(room_that_comes_is_used)
{
	fill_and_fail();
	ck_assert_uint_eq(service_at("10.96.0.3", 80), 0);
	put_service("hog", "10.96.0.2", 80, 1);
	go_on();
	for (int i = 0; i < 1000 && store_failed(store); i++) {
		uv_run(writer_loop(), UV_RUN_NOWAIT);
		usleep(10000);
	}
	ck_assert_uint_eq(store_failed(store), 0);
	ck_assert_uint_ne(service_at("10.96.0.3", 80), 0);
	ck_assert_int_eq(n_settled, 2);
	ck_assert_str_eq(settled_name, "late");
	ck_assert_str_eq(settled_why, "");
}
END_TEST

/* Somebody else's keys: the model has room that the map has not. */
START_TEST(a_frontend_that_the_kernel_refused_is_tried_again)
{
	int map = datapath_map(dp, DATAPATH_frontends4);
	struct sl_frontend4 key = { .proto = 6 };
	uint64_t value = 1;
	uint32_t n = 0;

	list_all();
	put_node_n1();
	for (key.port = 1; n < MAX_FRONTENDS; key.port++, n++) {
		key.addr[0] = inet_addr("192.0.2.99");
		if (bpf_map_update_elem(map, &key, &value, BPF_NOEXIST))
			break;
	}
	ck_assert_uint_lt(n, MAX_FRONTENDS);
	put_service("late", "10.96.0.3", 80, 2);
	go_on();
	ck_assert_uint_eq(store_failed(store), 1);
	ck_assert_uint_eq(service_at("10.96.0.3", 80), 0);
	while (key.port-- > 1)
		bpf_map_delete_elem(map, &key);
	for (int i = 0; i < 500 && store_failed(store); i++) {
		go_on();
		usleep(10000);
	}
	ck_assert_uint_eq(store_failed(store), 0);
	ck_assert_uint_ne(service_at("10.96.0.3", 80), 0);
}
END_TEST

static void setup_patient(void)
{
	retry_ms = 60000;
	setup();
}

int main(void)
{
	Suite *suite = suite_create("sync_truth");
	TCase *tc = tcase_create("changes");

	log_set_level(LOG_LEVEL_ERROR);
	libbpf_set_print(NULL);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, a_single_change_is_in_force_on_the_next_turn);
	tcase_add_test(tc, a_burst_of_a_service_is_one_change);
	tcase_add_test(tc, a_change_touches_no_other_service);
	tcase_add_test(tc, events_wait_for_the_first_list_of_the_other_kinds);
	tcase_add_test(tc, what_is_in_force_is_told_by_version);
	tcase_add_test(tc, a_frontend_that_the_kernel_refused_is_tried_again);
	suite_add_tcase(suite, tc);
	tc = tcase_create("failures");
	tcase_add_checked_fixture(tc, setup_patient, teardown);
	tcase_set_timeout(tc, 30);
	tcase_add_test(tc, a_failure_has_a_name_and_a_reason);
	tcase_add_test(tc, a_failed_change_leaves_the_version_that_is_in_force);
	tcase_add_test(tc, room_that_comes_is_used);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
