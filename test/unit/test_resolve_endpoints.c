/* SPDX-License-Identifier: Apache-2.0 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>

#include "controlplane/resolve/endpoints.h"
#include "controlplane/store/intern.h"
#include "objects.h"

/*
 * Endpoints are written "ADDRESS STATE NODE ZONES NODES", a line each. STATE
 * has r (ready), s (serving) and t (terminating), or -; the others are names,
 * lists with commas, - for none, and "." for the empty name. This node is "n1"
 * in zone "z1".
 */

#define ROWS_MAX 12

static struct resolve_node node;
static struct candidate *candidates;
static size_t n_candidates;

static void open_node(void)
{
	node.name = intern_get("n1");
	node.zone = intern_get("z1");
}

static void close_node(void)
{
	intern_put(node.name);
	intern_put(node.zone);
	free(candidates);
	candidates = NULL;
	n_candidates = 0;
}

static void set_zone(const char *zone)
{
	intern_put(node.zone);
	node.zone = intern_get(zone);
}

static const char *name_of(const char *word)
{
	return intern_get(strcmp(word, ".") ? word : "");
}

static uint16_t list_of(char *words, const char ***ret)
{
	uint16_t n = 0;
	char *rest;

	if (!strcmp(words, "-"))
		return 0;
	*ret = calloc(ROWS_MAX, sizeof(**ret));
	for (char *word = strtok_r(words, ",", &rest); word; word = strtok_r(NULL, ",", &rest))
		(*ret)[n++] = name_of(word);
	return n;
}

/* A slice with one TCP port named "http". */
static struct slice *slice_with(const char *name, uint16_t port, const char *rows)
{
	struct slice *slice = calloc(1, sizeof(*slice));

	slice->namespace_ = intern_get("default");
	slice->service = intern_get("web");
	slice->name = strdup(name);
	slice->ports = calloc(1, sizeof(*slice->ports));
	slice->ports[slice->n_ports++] = (struct slice_port) {
		.name = intern_get("http"),
		.port = port,
		.proto = IPPROTO_TCP,
	};
	slice->endpoints = calloc(ROWS_MAX, sizeof(*slice->endpoints));
	for (int used; *rows; rows += used) {
		char addr[64], state[8], on[64], zones[64], nodes[64];
		struct endpoint *endpoint = &slice->endpoints[slice->n_endpoints++];

		ck_assert_int_eq(sscanf(rows, " %63s %7s %63s %63s %63s %n", addr, state, on, zones,
					nodes, &used),
				 5);
		ck_assert_uint_le(slice->n_endpoints, ROWS_MAX);
		slice->family = ip_parse(addr, &endpoint->addr);
		endpoint->ready = strchr(state, 'r');
		endpoint->serving = strchr(state, 's');
		endpoint->terminating = strchr(state, 't');
		endpoint->node = strcmp(on, "-") ? name_of(on) : NULL;
		endpoint->n_zones = list_of(zones, &endpoint->zones);
		endpoint->n_nodes = list_of(nodes, &endpoint->nodes);
	}
	return slice;
}

static void merge(const struct slice *const *slices, size_t n)
{
	const char *name = intern_get("http");

	free(candidates);
	ck_assert_int_eq(
		endpoints_merge(slices, n, 4, name, IPPROTO_TCP, &node, &candidates, &n_candidates),
		0);
	intern_put(name);
}

/* Checks what the candidates are, in order: "10.0.0.1:80 10.0.0.2:80 ". */
static void assert_merged(const char *want)
{
	char got[512] = "";

	for (size_t i = 0; i < n_candidates; i++)
		strcat(strcat(got, candidates[i].text), " ");
	ck_assert_str_eq(got, want);
}

/* The last octets of the members of a set: "1 3 ". */
static const char *members(int set, char text[128])
{
	text[0] = '\0';
	for (size_t i = 0; i < n_candidates; i++) {
		const uint8_t *bytes = (const uint8_t *)&candidates[i].endpoint->addr;

		if (candidates[i].sets >> set & 1)
			sprintf(text + strlen(text), "%u ", bytes[3]);
	}
	return text;
}

/* What the rows give for a port that uses both sets, or the one told. */
static struct endpoint_choice choose(const char *rows, bool cluster, bool local)
{
	sl_auto(slice) slice = slice_with("web-a", 80, rows);
	const struct slice *const list[] = { slice };
	struct endpoint_choice choice;

	merge(list, 1);
	choice = endpoints_choose(candidates, n_candidates, cluster, local, &node);
	/* Candidates point into the slice: keep only what members() reads. */
	for (size_t i = 0; i < n_candidates; i++) {
		static struct endpoint copies[ROWS_MAX];

		copies[i] = *candidates[i].endpoint;
		candidates[i].endpoint = &copies[i];
	}
	return choice;
}

static void assert_sets(const char *rows, const char *cluster, const char *local, bool has_any)
{
	char text[128];
	struct endpoint_choice choice = choose(rows, true, true);

	ck_assert_str_eq(members(SL_SET_CLUSTER, text), cluster);
	ck_assert_str_eq(members(SL_SET_LOCAL, text), local);
	ck_assert_int_eq(choice.has_cluster, *cluster != '\0');
	ck_assert_int_eq(choice.has_local, *local != '\0');
	ck_assert_int_eq(choice.has_any, has_any);
}

START_TEST(slices_are_merged_and_sorted_as_text)
{
	sl_auto(slice) a = slice_with("web-a", 80, "10.0.0.9 rs n1 - -  10.0.0.10 rs n1 - -");
	sl_auto(slice) b = slice_with("web-b", 8080, "10.0.0.1 rs n2 - -");
	const struct slice *const list[] = { a, b };

	merge(list, 2);
	assert_merged("10.0.0.10:80 10.0.0.1:8080 10.0.0.9:80 ");
}
END_TEST

START_TEST(address_with_two_ports_is_two_endpoints)
{
	sl_auto(slice) a = slice_with("web-a", 80, "10.0.0.1 rs n1 - -");
	sl_auto(slice) b = slice_with("web-b", 81, "10.0.0.1 rs n1 - -");
	const struct slice *const list[] = { a, b };

	merge(list, 2);
	assert_merged("10.0.0.1:80 10.0.0.1:81 ");
}
END_TEST

START_TEST(slices_of_another_family_port_or_protocol_are_left_out)
{
	sl_auto(slice) a = slice_with("a", 80, "2001:db8::1 rs n1 - -");
	sl_auto(slice) b = slice_with("b", 80, "10.0.0.1 rs n1 - -");
	sl_auto(slice) c = slice_with("c", 80, "10.0.0.2 rs n1 - -");
	sl_auto(slice) d = slice_with("d", 80, "10.0.0.3 rs n1 - -");
	const struct slice *const list[] = { a, b, c, d };

	b->ports[0].proto = IPPROTO_UDP;
	intern_put(c->ports[0].name);
	c->ports[0].name = intern_get("other");
	merge(list, 4);
	assert_merged("10.0.0.3:80 ");
}
END_TEST

START_TEST(no_slices_give_no_candidates)
{
	struct endpoint_choice choice;

	merge(NULL, 0);
	ck_assert_ptr_null(candidates);
	choice = endpoints_choose(candidates, n_candidates, true, true, &node);
	ck_assert(!choice.has_cluster && !choice.has_local && !choice.has_any);
}
END_TEST

START_TEST(endpoint_is_local_by_the_name_of_its_node)
{
	choose("10.0.0.1 rs n1 - -  10.0.0.2 rs n11 - -  10.0.0.3 rs - - -  10.0.0.4 rs N1 - -",
	       true, true);
	ck_assert_uint_eq(n_candidates, 4);
	ck_assert(candidates[0].local);
	ck_assert(!candidates[1].local && !candidates[2].local && !candidates[3].local);
}
END_TEST

static const struct {
	const char *first, *second;
	bool second_wins;
} duplicates[] = {
	{ "10.0.0.1 rs n1 - -", "10.0.0.1 st n1 - -", false },
	{ "10.0.0.1 st n1 - -", "10.0.0.1 rs n1 - -", true },
	{ "10.0.0.1 rs n1 - -", "10.0.0.1 s n1 - -", true },
	{ "10.0.0.1 s n1 - -", "10.0.0.1 rs n1 - -", true },
	{ "10.0.0.1 t n1 - -", "10.0.0.1 st n1 - -", false },
};

START_TEST(of_duplicates_the_last_that_is_not_terminating_wins)
{
	char rows[128];

	/* In one slice */
	snprintf(rows, sizeof(rows), "%s %s", duplicates[_i].first, duplicates[_i].second);

	sl_auto(slice) both = slice_with("web-a", 80, rows);
	const struct slice *const one[] = { both };

	merge(one, 1);
	ck_assert_uint_eq(n_candidates, 1);
	ck_assert_ptr_eq(candidates[0].endpoint, &both->endpoints[duplicates[_i].second_wins]);

	/* Across two */
	sl_auto(slice) a = slice_with("web-a", 80, duplicates[_i].first);
	sl_auto(slice) b = slice_with("web-b", 80, duplicates[_i].second);
	const struct slice *const two[] = { a, b };

	merge(two, 2);
	ck_assert_uint_eq(n_candidates, 1);
	ck_assert_ptr_eq(candidates[0].endpoint,
			 duplicates[_i].second_wins ? b->endpoints : a->endpoints);
}
END_TEST

START_TEST(ready_endpoints_are_chosen_wherever_they_run)
{
	assert_sets("10.0.0.1 rs n1 - -  10.0.0.2 rs n2 - -  10.0.0.3 rs - - -", "1 2 3 ", "1 ",
		    true);
}
END_TEST

START_TEST(not_ready_endpoints_are_never_chosen)
{
	assert_sets("10.0.0.1 s n1 - -  10.0.0.2 - n1 - -  10.0.0.3 s n2 - -", "", "", false);
}
END_TEST

START_TEST(terminating_endpoints_that_serve_are_the_last_resort)
{
	assert_sets("10.0.0.1 st n1 - -  10.0.0.2 st n2 - -  10.0.0.3 t n1 - -  10.0.0.4 s n1 - -",
		    "1 2 ", "1 ", true);
}
END_TEST

START_TEST(terminating_endpoints_that_do_not_serve_are_never_chosen)
{
	assert_sets("10.0.0.1 t n1 - -  10.0.0.2 t n2 - -", "", "", false);
}
END_TEST

START_TEST(ready_beats_terminating)
{
	assert_sets("10.0.0.1 rs n1 - -  10.0.0.2 st n1 - -  10.0.0.3 st n2 - -", "1 ", "1 ", true);
}
END_TEST

START_TEST(ready_counts_even_when_terminating_or_not_serving)
{
	assert_sets("10.0.0.1 rt n1 - -  10.0.0.2 r n2 - -  10.0.0.3 st n1 - -", "1 2 ", "1 ",
		    true);
}
END_TEST

START_TEST(each_set_falls_back_on_its_own)
{
	assert_sets("10.0.0.1 st n1 - -  10.0.0.2 rs n2 - -", "2 ", "1 ", true);
}
END_TEST

START_TEST(local_set_is_empty_though_there_are_endpoints_elsewhere)
{
	assert_sets("10.0.0.1 s n1 - -  10.0.0.2 rs n2 - -", "2 ", "", true);
	assert_sets("10.0.0.1 s n1 - -  10.0.0.2 st n2 - -", "2 ", "", true);
}
END_TEST

START_TEST(only_the_sets_that_are_used_are_filled)
{
	static const char rows[] = "10.0.0.1 rs n1 - -  10.0.0.2 rs n2 - -";
	char text[128];
	struct endpoint_choice cluster = choose(rows, true, false);

	ck_assert_str_eq(members(SL_SET_CLUSTER, text), "1 2 ");
	ck_assert_str_eq(members(SL_SET_LOCAL, text), "");
	ck_assert(cluster.has_cluster && !cluster.has_local && cluster.has_any);

	struct endpoint_choice local = choose(rows, false, true);

	ck_assert_str_eq(members(SL_SET_CLUSTER, text), "");
	ck_assert_str_eq(members(SL_SET_LOCAL, text), "1 ");
	ck_assert(!local.has_cluster && local.has_local && local.has_any);
}
END_TEST

START_TEST(endpoints_elsewhere_count_as_any_for_a_local_port)
{
	struct endpoint_choice ready = choose("10.0.0.1 rs n2 - -", false, true);
	struct endpoint_choice fallback = choose("10.0.0.1 st n2 - -", false, true);
	struct endpoint_choice none = choose("10.0.0.1 s n2 - -", false, true);

	ck_assert(!ready.has_local && ready.has_any);
	ck_assert(!fallback.has_local && fallback.has_any);
	ck_assert(!none.has_local && !none.has_any);
}
END_TEST

START_TEST(zone_hints_keep_traffic_in_the_zone)
{
	assert_sets("10.0.0.1 rs n2 z1 -  10.0.0.2 rs n3 z2,z1 -  10.0.0.3 rs n4 z3 -", "1 2 ", "",
		    true);
}
END_TEST

START_TEST(zone_hints_decide_and_not_where_an_endpoint_runs)
{
	assert_sets("10.0.0.1 rs n1 z2 -  10.0.0.2 rs n9 z1 -", "2 ", "1 ", true);
}
END_TEST

START_TEST(zone_hints_without_this_zone_are_ignored)
{
	assert_sets("10.0.0.1 rs n2 z2 -  10.0.0.2 rs n3 z3 -", "1 2 ", "", true);
}
END_TEST

START_TEST(one_ready_endpoint_without_a_hint_switches_hints_off)
{
	assert_sets("10.0.0.1 rs n2 z1 -  10.0.0.2 rs n3 - -  10.0.0.3 rs n4 z2 -", "1 2 3 ", "",
		    true);
}
END_TEST

START_TEST(endpoints_that_are_not_ready_need_no_hint)
{
	assert_sets("10.0.0.1 rs n2 z1 -  10.0.0.2 s n3 - -  10.0.0.3 st n4 - -  10.0.0.4 rs n5 z2 "
		    "-",
		    "1 ", "", true);
}
END_TEST

START_TEST(hints_of_endpoints_that_are_not_ready_do_not_count)
{
	assert_sets("10.0.0.1 s n2 z1 -  10.0.0.2 rs n3 z2 -", "2 ", "", true);
}
END_TEST

START_TEST(node_hints_win_over_zone_hints)
{
	assert_sets("10.0.0.1 rs n2 z1 n1  10.0.0.2 rs n3 z1 n3  10.0.0.3 rs n4 z2 n4,n1", "1 3 ",
		    "", true);
}
END_TEST

START_TEST(node_hints_for_other_nodes_fall_back_to_the_zone)
{
	assert_sets("10.0.0.1 rs n2 z1 n2  10.0.0.2 rs n3 z2 n3", "1 ", "", true);
}
END_TEST

START_TEST(missing_node_hint_falls_back_to_the_zone)
{
	assert_sets("10.0.0.1 rs n2 z1 n1  10.0.0.2 rs n3 z2 -", "1 ", "", true);
}
END_TEST

START_TEST(node_hints_alone_for_other_nodes_are_ignored)
{
	assert_sets("10.0.0.1 rs n2 - n2  10.0.0.2 rs n3 - n3", "1 2 ", "", true);
}
END_TEST

START_TEST(last_resort_ignores_hints)
{
	assert_sets("10.0.0.1 st n2 z1 n1  10.0.0.2 st n3 z2 n3", "1 2 ", "", true);
}
END_TEST

START_TEST(local_set_ignores_hints)
{
	assert_sets("10.0.0.1 rs n1 z2 n3  10.0.0.2 rs n1 z1 n1", "2 ", "1 2 ", true);
}
END_TEST

START_TEST(empty_zone_hint_is_for_nodes_without_a_zone)
{
	static const char rows[] = "10.0.0.1 rs n2 . -  10.0.0.2 rs n3 z1 -";

	assert_sets(rows, "2 ", "", true);
	set_zone("");
	assert_sets(rows, "1 ", "", true);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("resolve_endpoints");
	TCase *merging = tcase_create("merge"), *sets = tcase_create("sets");
	TCase *hints = tcase_create("hints");

	tcase_add_checked_fixture(merging, open_node, close_node);
	tcase_add_test(merging, slices_are_merged_and_sorted_as_text);
	tcase_add_test(merging, address_with_two_ports_is_two_endpoints);
	tcase_add_test(merging, slices_of_another_family_port_or_protocol_are_left_out);
	tcase_add_test(merging, no_slices_give_no_candidates);
	tcase_add_test(merging, endpoint_is_local_by_the_name_of_its_node);
	tcase_add_loop_test(merging, of_duplicates_the_last_that_is_not_terminating_wins, 0,
			    SL_COUNT(duplicates));
	tcase_add_checked_fixture(sets, open_node, close_node);
	tcase_add_test(sets, ready_endpoints_are_chosen_wherever_they_run);
	tcase_add_test(sets, not_ready_endpoints_are_never_chosen);
	tcase_add_test(sets, terminating_endpoints_that_serve_are_the_last_resort);
	tcase_add_test(sets, terminating_endpoints_that_do_not_serve_are_never_chosen);
	tcase_add_test(sets, ready_beats_terminating);
	tcase_add_test(sets, ready_counts_even_when_terminating_or_not_serving);
	tcase_add_test(sets, each_set_falls_back_on_its_own);
	tcase_add_test(sets, local_set_is_empty_though_there_are_endpoints_elsewhere);
	tcase_add_test(sets, only_the_sets_that_are_used_are_filled);
	tcase_add_test(sets, endpoints_elsewhere_count_as_any_for_a_local_port);
	tcase_add_checked_fixture(hints, open_node, close_node);
	tcase_add_test(hints, zone_hints_keep_traffic_in_the_zone);
	tcase_add_test(hints, zone_hints_decide_and_not_where_an_endpoint_runs);
	tcase_add_test(hints, zone_hints_without_this_zone_are_ignored);
	tcase_add_test(hints, one_ready_endpoint_without_a_hint_switches_hints_off);
	tcase_add_test(hints, endpoints_that_are_not_ready_need_no_hint);
	tcase_add_test(hints, hints_of_endpoints_that_are_not_ready_do_not_count);
	tcase_add_test(hints, node_hints_win_over_zone_hints);
	tcase_add_test(hints, node_hints_for_other_nodes_fall_back_to_the_zone);
	tcase_add_test(hints, missing_node_hint_falls_back_to_the_zone);
	tcase_add_test(hints, node_hints_alone_for_other_nodes_are_ignored);
	tcase_add_test(hints, last_resort_ignores_hints);
	tcase_add_test(hints, local_set_ignores_hints);
	tcase_add_test(hints, empty_zone_hint_is_for_nodes_without_a_zone);
	suite_add_tcase(suite, merging);
	suite_add_tcase(suite, sets);
	suite_add_tcase(suite, hints);
	return run_suite(suite);
}
