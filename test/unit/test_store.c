/* SPDX-License-Identifier: Apache-2.0 */
#include <malloc.h>
#include <stdio.h>
#include <time.h>

#include "controlplane/store/store.h"
#include "objects.h"

static struct store *store;

static void open_store(void)
{
	store = store_new();
	ck_assert_ptr_nonnull(store);
}

static void close_store(void)
{
	store_free(store);
}

static int put_service(const char *name, int port)
{
	char text[256];

	snprintf(text, sizeof(text),
		 "{'metadata':{'name':'%s'},'spec':{'clusterIP':'10.96.0.1','ports':["
		 "{'name':'http','port':%d}]}}",
		 name, port);
	return store_put_service(store, service_of(text));
}

/* A slice of `service` ("" for none) with one endpoint. */
static int put_slice(const char *name, const char *service, const char *addr)
{
	char text[512];

	snprintf(text, sizeof(text),
		 "{'metadata':{'name':'%s','labels':{'kubernetes.io/service-name':'%s'}},"
		 "'addressType':'IPv4','ports':[{'name':'http','port':80}],"
		 "'endpoints':[{'addresses':['%s'],'nodeName':'node-a',"
		 "'hints':{'forZones':[{'name':'zone-a'}]}}]}",
		 name, service, addr);
	return store_put_slice(store, slice_of(text));
}

static int put_node(const char *name, const char *zone)
{
	char text[256];

	snprintf(text, sizeof(text),
		 "{'metadata':{'name':'%s','labels':{'topology.kubernetes.io/zone':'%s'}}}", name,
		 zone);
	return store_put_node(store, node_of(text));
}

/* Takes what changed and checks its names, in order; NULL ends the list. */
static void assert_changed(const char *first, ...)
{
	struct store_service changed;
	va_list names;

	va_start(names, first);
	for (const char *name = first; name; name = va_arg(names, const char *)) {
		ck_assert_msg(store_next_changed(store, &changed), "%s did not change", name);
		ck_assert_str_eq(changed.name, name);
	}
	va_end(names);
	if (store_next_changed(store, &changed))
		ck_abort_msg("%s changed too", changed.name);
}

static void assert_nothing_changed(void)
{
	assert_changed(NULL);
}

static struct store_service take(void)
{
	struct store_service changed;

	ck_assert(store_next_changed(store, &changed));
	return changed;
}

START_TEST(empty_store_knows_nothing)
{
	assert_nothing_changed();
	ck_assert_ptr_null(store_node(store));
	for (int kind = 0; kind < OBJECT_KIND_MAX; kind++) {
		ck_assert_uint_eq(store_count(store, kind), 0);
		ck_assert(!store_listed(store, kind));
		ck_assert_int_eq(store_remove(store, kind, "default", "web"), 0);
	}
}
END_TEST

START_TEST(new_service_is_a_change)
{
	ck_assert_int_eq(put_service("web", 80), 1);

	struct store_service changed = take();

	ck_assert_str_eq(changed.namespace_, "default");
	ck_assert_str_eq(changed.name, "web");
	ck_assert_uint_eq(changed.service->ports[0].port, 80);
	ck_assert_uint_eq(changed.n_slices, 0);
	ck_assert_uint_eq(store_count(store, OBJECT_SERVICE), 1);
	assert_nothing_changed();
}
END_TEST

START_TEST(equal_service_is_no_change)
{
	put_service("web", 80);
	take();
	ck_assert_int_eq(put_service("web", 80), 0);
	assert_nothing_changed();
	ck_assert_uint_eq(store_count(store, OBJECT_SERVICE), 1);
}
END_TEST

START_TEST(other_service_of_the_name_replaces_it)
{
	put_service("web", 80);
	take();
	ck_assert_int_eq(put_service("web", 81), 1);
	ck_assert_uint_eq(take().service->ports[0].port, 81);
	ck_assert_uint_eq(store_count(store, OBJECT_SERVICE), 1);
}
END_TEST

START_TEST(changes_are_taken_in_the_order_they_came_and_once)
{
	put_service("c", 80);
	put_service("a", 80);
	put_service("b", 80);
	put_service("a", 81);
	assert_changed("c", "a", "b", NULL);
}
END_TEST

START_TEST(slices_come_with_their_service_ordered_by_name)
{
	put_slice("web-c", "web", "10.0.0.3");
	put_slice("web-a", "web", "10.0.0.1");
	put_service("web", 80);
	put_slice("web-b", "web", "10.0.0.2");
	put_slice("db-a", "db", "10.0.0.9");

	struct store_service web = take();

	ck_assert_str_eq(web.name, "web");
	ck_assert_uint_eq(web.n_slices, 3);
	ck_assert_str_eq(web.slices[0]->name, "web-a");
	ck_assert_str_eq(web.slices[1]->name, "web-b");
	ck_assert_str_eq(web.slices[2]->name, "web-c");
	assert_changed("db", NULL);
}
END_TEST

START_TEST(slices_wait_for_their_service)
{
	put_slice("web-a", "web", "10.0.0.1");

	struct store_service before = take();

	ck_assert_ptr_null(before.service);
	ck_assert_uint_eq(before.n_slices, 1);
	ck_assert_uint_eq(store_count(store, OBJECT_SERVICE), 0);

	put_service("web", 80);

	struct store_service after = take();

	ck_assert_ptr_nonnull(after.service);
	ck_assert_uint_eq(after.n_slices, 1);
}
END_TEST

START_TEST(slice_of_another_namespace_is_not_the_services)
{
	put_service("web", 80);
	take();
	store_put_slice(store,
			slice_of("{'metadata':{'name':'web-a','namespace':'shop','labels':{"
				 "'kubernetes.io/service-name':'web'}},'addressType':'IPv4'}"));

	struct store_service changed = take();

	ck_assert_str_eq(changed.namespace_, "shop");
	ck_assert_ptr_null(changed.service);
}
END_TEST

START_TEST(equal_slice_is_no_change)
{
	put_slice("web-a", "web", "10.0.0.1");
	take();
	ck_assert_int_eq(put_slice("web-a", "web", "10.0.0.1"), 0);
	assert_nothing_changed();
}
END_TEST

START_TEST(changed_slice_replaces_the_old_one)
{
	struct sl_addr addr = addr_of("10.0.0.2");

	put_slice("web-a", "web", "10.0.0.1");
	put_slice("web-b", "web", "10.0.0.7");
	take();
	ck_assert_int_eq(put_slice("web-a", "web", "10.0.0.2"), 1);

	struct store_service web = take();

	ck_assert_uint_eq(web.n_slices, 2);
	ck_assert_str_eq(web.slices[0]->name, "web-a");
	ck_assert(ip_equal(&web.slices[0]->endpoints[0].addr, &addr));
	ck_assert_uint_eq(store_count(store, OBJECT_SLICE), 2);
}
END_TEST

START_TEST(slice_that_moves_to_another_service_changes_both)
{
	put_service("one", 80);
	put_service("two", 80);
	put_slice("s", "one", "10.0.0.1");
	assert_changed("one", "two", NULL);
	ck_assert_int_eq(put_slice("s", "two", "10.0.0.1"), 1);

	struct store_service one = take(), two = take();

	ck_assert_str_eq(one.name, "one");
	ck_assert_uint_eq(one.n_slices, 0);
	ck_assert_str_eq(two.name, "two");
	ck_assert_uint_eq(two.n_slices, 1);
}
END_TEST

START_TEST(slice_without_a_service_changes_none)
{
	ck_assert_int_eq(put_slice("s", "", "10.0.0.1"), 1);
	assert_nothing_changed();
	ck_assert_uint_eq(store_count(store, OBJECT_SLICE), 1);
	ck_assert_int_eq(put_slice("s", "web", "10.0.0.1"), 1);
	assert_changed("web", NULL);
	ck_assert_int_eq(put_slice("s", "", "10.0.0.1"), 1);
	ck_assert_uint_eq(take().n_slices, 0);
}
END_TEST

START_TEST(removed_service_is_taken_once_without_object)
{
	put_service("web", 80);
	take();
	ck_assert_int_eq(store_remove(store, OBJECT_SERVICE, "default", "web"), 1);
	ck_assert_int_eq(store_remove(store, OBJECT_SERVICE, "default", "web"), 0);

	struct store_service gone = take();

	ck_assert_str_eq(gone.namespace_, "default");
	ck_assert_str_eq(gone.name, "web");
	ck_assert_ptr_null(gone.service);
	ck_assert_uint_eq(gone.n_slices, 0);
	assert_nothing_changed();
	ck_assert_uint_eq(store_count(store, OBJECT_SERVICE), 0);
}
END_TEST

START_TEST(service_that_returns_before_it_was_taken_is_one_change)
{
	put_service("web", 80);
	take();
	store_remove(store, OBJECT_SERVICE, "default", "web");
	put_service("web", 81);
	ck_assert_uint_eq(take().service->ports[0].port, 81);
	assert_nothing_changed();
}
END_TEST

START_TEST(service_returns_after_its_end_was_taken)
{
	put_service("web", 80);
	store_remove(store, OBJECT_SERVICE, "default", "web");
	take();
	ck_assert_int_eq(put_service("web", 80), 1);
	ck_assert_ptr_nonnull(take().service);
}
END_TEST

START_TEST(names_that_came_and_went_take_no_memory)
{
	size_t before = 0;
	char name[32];

	for (int i = 0; i < 4000; i++) {
		if (i == 1000)
			before = mallinfo2().uordblks;
		snprintf(name, sizeof(name), "svc-%d", i);
		put_service(name, 80);
		put_slice(name, name, "10.0.0.1");
		take();
		store_remove(store, OBJECT_SERVICE, "default", name);
		store_remove(store, OBJECT_SLICE, "default", name);
		take();
	}
	ck_assert_uint_lt(mallinfo2().uordblks, before + 50000);
}
END_TEST

START_TEST(slices_outlive_their_service)
{
	put_service("web", 80);
	put_slice("web-a", "web", "10.0.0.1");
	store_remove(store, OBJECT_SERVICE, "default", "web");
	ck_assert_uint_eq(take().n_slices, 1);
	put_service("web", 80);
	ck_assert_uint_eq(take().n_slices, 1);
}
END_TEST

START_TEST(removed_slice_changes_its_service)
{
	put_service("web", 80);
	put_slice("web-a", "web", "10.0.0.1");
	put_slice("web-b", "web", "10.0.0.2");
	take();
	ck_assert_int_eq(store_remove(store, OBJECT_SLICE, "default", "web-a"), 1);
	ck_assert_int_eq(store_remove(store, OBJECT_SLICE, "default", "web-a"), 0);

	struct store_service web = take();

	ck_assert_uint_eq(web.n_slices, 1);
	ck_assert_str_eq(web.slices[0]->name, "web-b");
}
END_TEST

START_TEST(complete_list_removes_what_it_did_not_have)
{
	put_service("a", 80);
	put_service("b", 80);
	put_service("c", 80);
	assert_changed("a", "b", "c", NULL);

	store_list_begin(store, OBJECT_SERVICE);
	put_service("b", 80);
	put_service("d", 80);
	ck_assert_uint_eq(store_list_end(store, OBJECT_SERVICE), 2);
	ck_assert_uint_eq(store_count(store, OBJECT_SERVICE), 2);
	assert_changed("d", "a", "c", NULL);
}
END_TEST

START_TEST(complete_list_of_slices_removes_the_others)
{
	put_service("web", 80);
	for (int i = 0; i < 9; i++) {
		char name[16];

		snprintf(name, sizeof(name), "web-%d", i);
		put_slice(name, "web", "10.0.0.1");
	}
	take();
	store_list_begin(store, OBJECT_SLICE);
	put_slice("web-4", "web", "10.0.0.1");
	ck_assert_uint_eq(store_list_end(store, OBJECT_SLICE), 8);

	struct store_service web = take();

	ck_assert_uint_eq(web.n_slices, 1);
	ck_assert_str_eq(web.slices[0]->name, "web-4");
	ck_assert_ptr_nonnull(web.service);
}
END_TEST

START_TEST(aborted_list_removes_nothing)
{
	put_service("a", 80);
	put_service("b", 80);
	store_list_begin(store, OBJECT_SERVICE);
	put_service("a", 80);
	ck_assert(!store_listed(store, OBJECT_SERVICE));
	store_list_begin(store, OBJECT_SERVICE);
	put_service("a", 80);
	put_service("b", 80);
	ck_assert_uint_eq(store_list_end(store, OBJECT_SERVICE), 0);
	ck_assert_uint_eq(store_count(store, OBJECT_SERVICE), 2);
}
END_TEST

START_TEST(object_that_is_kept_outlives_the_list)
{
	put_service("bad", 80);
	put_slice("bad-a", "bad", "10.0.0.1");
	take();
	store_list_begin(store, OBJECT_SERVICE);
	store_list_begin(store, OBJECT_SLICE);
	ck_assert_int_eq(store_keep(store, OBJECT_SERVICE, "default", "bad"), 1);
	ck_assert_int_eq(store_keep(store, OBJECT_SLICE, "default", "bad-a"), 1);
	ck_assert_int_eq(store_keep(store, OBJECT_SERVICE, "default", "other"), 0);
	ck_assert_uint_eq(store_list_end(store, OBJECT_SERVICE), 0);
	ck_assert_uint_eq(store_list_end(store, OBJECT_SLICE), 0);
	assert_nothing_changed();
}
END_TEST

START_TEST(list_of_one_kind_leaves_the_others)
{
	put_service("web", 80);
	put_slice("web-a", "web", "10.0.0.1");
	put_node("node-a", "zone-1");
	store_list_begin(store, OBJECT_SERVICE);
	ck_assert_uint_eq(store_list_end(store, OBJECT_SERVICE), 1);
	ck_assert_uint_eq(store_count(store, OBJECT_SLICE), 1);
	ck_assert_uint_eq(store_count(store, OBJECT_NODE), 1);
	ck_assert(store_listed(store, OBJECT_SERVICE));
	ck_assert(!store_listed(store, OBJECT_SLICE));
}
END_TEST

START_TEST(what_is_put_after_a_list_stays)
{
	store_list_begin(store, OBJECT_SERVICE);
	store_list_end(store, OBJECT_SERVICE);
	put_service("late", 80);
	ck_assert_uint_eq(store_list_end(store, OBJECT_SERVICE), 0);
	ck_assert_uint_eq(store_count(store, OBJECT_SERVICE), 1);
	ck_assert(store_listed(store, OBJECT_SERVICE));
}
END_TEST

START_TEST(change_carries_the_time_of_the_first_bytes_since_it_was_taken)
{
	store_received(store, 100);
	put_service("web", 80);
	store_received(store, 200);
	put_slice("web-a", "web", "10.0.0.1");
	ck_assert_uint_eq(take().received_ns, 100);

	store_received(store, 300);
	put_slice("web-a", "web", "10.0.0.1");
	store_received(store, 400);
	put_slice("web-a", "web", "10.0.0.2");
	ck_assert_uint_eq(take().received_ns, 400);
}
END_TEST

/* A slice whose endpoint changed `s` seconds after 2026-01-02T03:04:00Z. */
static void put_triggered(const char *name, const char *type, const char *addr, int s)
{
	char text[512];

	snprintf(text, sizeof(text),
		 "{'metadata':{'name':'%s','labels':{'kubernetes.io/service-name':'web'},"
		 "'annotations':{'endpoints.kubernetes.io/last-change-trigger-time':"
		 "'2026-01-02T03:04:%02dZ'}},'addressType':'%s',"
		 "'endpoints':[{'addresses':['%s']}]}",
		 name, s, type, addr);
	store_put_slice(store, slice_of(text));
}

static int seconds(const struct trigger *trigger)
{
	return (int)(trigger->when_ns / 1000000000 - 1767323040);
}

START_TEST(change_carries_when_its_slices_changes_were_triggered)
{
	struct store_service changed;

	put_triggered("web-a", "IPv4", "10.0.0.1", 1);
	put_triggered("web-b", "IPv6", "2001:db8::1", 2);
	put_triggered("web-a", "IPv4", "10.0.0.2", 3);
	put_triggered("web-a", "IPv4", "10.0.0.2", 4); /* changes nothing */
	changed = take();
	ck_assert_uint_eq(changed.n_triggers, 3);
	ck_assert_int_eq(seconds(&changed.triggers[0]), 1);
	ck_assert_uint_eq(changed.triggers[0].family, 4);
	ck_assert_int_eq(seconds(&changed.triggers[1]), 2);
	ck_assert_uint_eq(changed.triggers[1].family, 6);
	ck_assert_int_eq(seconds(&changed.triggers[2]), 3);
	put_slice("web-c", "web", "10.0.0.9");
	ck_assert_uint_eq(take().n_triggers, 0);
}
END_TEST

/* S-235: the annotation of a removed slice tells of its last change. */
START_TEST(removed_slice_takes_the_triggers_of_its_family_along)
{
	struct store_service changed;

	put_triggered("web-a", "IPv4", "10.0.0.1", 1);
	put_triggered("web-b", "IPv4", "10.0.0.2", 2);
	put_triggered("web-c", "IPv6", "2001:db8::1", 3);
	store_remove(store, OBJECT_SLICE, "default", "web-a");
	put_triggered("web-d", "IPv4", "10.0.0.3", 4);
	changed = take();
	ck_assert_uint_eq(changed.n_triggers, 2);
	ck_assert_int_eq(seconds(&changed.triggers[0]), 3);
	ck_assert_int_eq(seconds(&changed.triggers[1]), 4);
}
END_TEST

static void assert_changes(uint64_t services, uint64_t services_pending, uint64_t slices,
			   uint64_t slices_pending)
{
	const struct store_changes *changes = store_changes(store);

	ck_assert_uint_eq(changes->services, services);
	ck_assert_uint_eq(changes->services_pending, services_pending);
	ck_assert_uint_eq(changes->slices, slices);
	ck_assert_uint_eq(changes->slices_pending, slices_pending);
}

START_TEST(changes_are_counted_and_wait_until_they_are_taken)
{
	assert_changes(0, 0, 0, 0);
	put_service("web", 80);
	put_service("web", 81);
	put_service("web", 81);
	put_service("other", 80);
	assert_changes(3, 2, 0, 0);
	put_slice("web-a", "web", "10.0.0.1");
	put_slice("web-a", "web", "10.0.0.2");
	put_slice("web-a", "web", "10.0.0.2");
	put_slice("stray", "", "10.0.0.3");
	assert_changes(3, 2, 2, 2);
	take();
	assert_changes(3, 1, 2, 0);
	store_touch_all(store);
	assert_changes(3, 1, 2, 0);
	store_remove(store, OBJECT_SLICE, "default", "web-a");
	store_remove(store, OBJECT_SERVICE, "default", "web");
	assert_changes(4, 2, 3, 1);
	take();
	take();
	assert_changes(4, 0, 3, 0);
}
END_TEST

START_TEST(touching_all_changes_every_service)
{
	put_service("a", 80);
	put_service("b", 80);
	put_slice("lonely-a", "lonely", "10.0.0.1");
	assert_changed("a", "b", "lonely", NULL);
	put_service("b", 81);
	store_touch_all(store);
	assert_changed("b", "a", NULL);
}
END_TEST

START_TEST(node_is_kept_and_compared)
{
	ck_assert_int_eq(put_node("node-a", "zone-1"), 1);
	ck_assert_int_eq(put_node("node-a", "zone-1"), 0);
	ck_assert_int_eq(put_node("node-a", "zone-2"), 1);
	ck_assert_str_eq(store_node(store)->zone, "zone-2");
	ck_assert_uint_eq(store_count(store, OBJECT_NODE), 1);
	assert_nothing_changed();
}
END_TEST

START_TEST(node_is_removed_by_its_name_or_by_a_list_without_it)
{
	put_node("node-a", "zone-1");
	ck_assert_int_eq(store_remove(store, OBJECT_NODE, NULL, "node-b"), 0);
	ck_assert_int_eq(store_remove(store, OBJECT_NODE, NULL, "node-a"), 1);
	ck_assert_ptr_null(store_node(store));

	put_node("node-a", "zone-1");
	store_list_begin(store, OBJECT_NODE);
	put_node("node-a", "zone-1");
	ck_assert_uint_eq(store_list_end(store, OBJECT_NODE), 0);
	store_list_begin(store, OBJECT_NODE);
	ck_assert_uint_eq(store_list_end(store, OBJECT_NODE), 1);
	ck_assert_ptr_null(store_node(store));
}
END_TEST

static void append_name(void *context, const struct store_service *service)
{
	strcat(strcat(strcat(strcat(context, service->namespace_), "/"), service->name), " ");
}

START_TEST(each_visits_services_ordered_by_namespace_and_name)
{
	char names[256] = "";

	put_service("b", 80);
	put_slice("lonely-a", "aaa-lonely", "10.0.0.1");
	put_service("a", 80);
	store_put_service(store, service_of("{'metadata':{'name':'z','namespace':'app'},"
					    "'spec':{'clusterIP':'10.96.0.1'}}"));
	store_each(store, append_name, names);
	ck_assert_str_eq(names, "app/z default/a default/b ");
	/* Looking takes nothing. */
	assert_changed("b", "aaa-lonely", "a", "z", NULL);
}
END_TEST

START_TEST(each_of_an_empty_store_visits_nothing)
{
	char names[16] = "";

	store_each(store, append_name, names);
	ck_assert_str_eq(names, "");
}
END_TEST

static double now_s(void)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return now.tv_sec + now.tv_nsec / 1e9;
}

#define MANY 50000

/* CPU seconds that n puts of new objects take, parsing left out. */
static double put_many(size_t from, size_t n)
{
	struct service **services = calloc(n, sizeof(*services));
	struct slice **slices = calloc(n, sizeof(*slices));
	char text[256];

	for (size_t i = 0; i < n; i++) {
		snprintf(text, sizeof(text),
			 "{'metadata':{'name':'svc-%zu'},'spec':{'clusterIP':'10.96.0.1'}}",
			 from + i);
		services[i] = service_of(text);
		snprintf(text, sizeof(text),
			 "{'metadata':{'name':'svc-%zu-x','labels':{'kubernetes.io/service-name':"
			 "'svc-%zu'}},'addressType':'IPv4'}",
			 from + i, from + i);
		slices[i] = slice_of(text);
	}

	double start = now_s();

	for (size_t i = 0; i < n; i++) {
		ck_assert_int_eq(store_put_service(store, services[i]), 1);
		ck_assert_int_eq(store_put_slice(store, slices[i]), 1);
	}
	start = now_s() - start;
	free(services);
	free(slices);
	return start;
}

START_TEST(put_costs_the_same_among_fifty_thousand_services)
{
	struct store_service changed;
	size_t n = 0;
	double first = put_many(0, 2000);

	put_many(2000, MANY - 4000);

	double last = put_many(MANY - 2000, 2000);

	ck_assert_uint_eq(store_count(store, OBJECT_SERVICE), MANY);
	ck_assert_uint_eq(store_count(store, OBJECT_SLICE), MANY);
	while (store_next_changed(store, &changed)) {
		ck_assert_uint_eq(changed.n_slices, 1);
		n++;
	}
	ck_assert_uint_eq(n, MANY);
	/* A scan would make it 25 times as long; caches and rehashing cost some. */
	ck_assert_msg(last < first * 10 + 0.005, "2000 puts took %f s, then %f s", first, last);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("store");
	TCase *tc = tcase_create("store");
	TCase *lists = tcase_create("lists");
	TCase *size = tcase_create("size");

	tcase_add_checked_fixture(tc, open_store, close_store);
	tcase_add_test(tc, empty_store_knows_nothing);
	tcase_add_test(tc, new_service_is_a_change);
	tcase_add_test(tc, equal_service_is_no_change);
	tcase_add_test(tc, other_service_of_the_name_replaces_it);
	tcase_add_test(tc, changes_are_taken_in_the_order_they_came_and_once);
	tcase_add_test(tc, slices_come_with_their_service_ordered_by_name);
	tcase_add_test(tc, slices_wait_for_their_service);
	tcase_add_test(tc, slice_of_another_namespace_is_not_the_services);
	tcase_add_test(tc, equal_slice_is_no_change);
	tcase_add_test(tc, changed_slice_replaces_the_old_one);
	tcase_add_test(tc, slice_that_moves_to_another_service_changes_both);
	tcase_add_test(tc, slice_without_a_service_changes_none);
	tcase_add_test(tc, removed_service_is_taken_once_without_object);
	tcase_add_test(tc, service_that_returns_before_it_was_taken_is_one_change);
	tcase_add_test(tc, service_returns_after_its_end_was_taken);
	tcase_add_test(tc, names_that_came_and_went_take_no_memory);
	tcase_add_test(tc, slices_outlive_their_service);
	tcase_add_test(tc, removed_slice_changes_its_service);
	tcase_add_test(tc, change_carries_the_time_of_the_first_bytes_since_it_was_taken);
	tcase_add_test(tc, change_carries_when_its_slices_changes_were_triggered);
	tcase_add_test(tc, removed_slice_takes_the_triggers_of_its_family_along);
	tcase_add_test(tc, changes_are_counted_and_wait_until_they_are_taken);
	tcase_add_test(tc, touching_all_changes_every_service);
	tcase_add_test(tc, node_is_kept_and_compared);
	tcase_add_test(tc, node_is_removed_by_its_name_or_by_a_list_without_it);
	tcase_add_test(tc, each_visits_services_ordered_by_namespace_and_name);
	tcase_add_test(tc, each_of_an_empty_store_visits_nothing);
	tcase_add_checked_fixture(lists, open_store, close_store);
	tcase_add_test(lists, complete_list_removes_what_it_did_not_have);
	tcase_add_test(lists, complete_list_of_slices_removes_the_others);
	tcase_add_test(lists, aborted_list_removes_nothing);
	tcase_add_test(lists, object_that_is_kept_outlives_the_list);
	tcase_add_test(lists, list_of_one_kind_leaves_the_others);
	tcase_add_test(lists, what_is_put_after_a_list_stays);
	tcase_add_checked_fixture(size, open_store, close_store);
	tcase_set_timeout(size, 60);
	tcase_add_test(size, put_costs_the_same_among_fifty_thousand_services);
	suite_add_tcase(suite, tc);
	suite_add_tcase(suite, lists);
	suite_add_tcase(suite, size);
	return run_suite(suite);
}
