/* SPDX-License-Identifier: Apache-2.0 */

/*
 * decide() against packets that the real kube-proxy was asked about: verdict,
 * endpoints and whether the source is translated (test/semantics/tables).
 */

#include <arpa/inet.h>
#include <check.h>
#include <glob.h>
#include <netinet/in.h>
#include <stdio.h>
#include <unistd.h>

#include "controlplane/explain/document.h"
#include "controlplane/explain/profile.h"
#include "controlplane/source/apply.h"
#include "objects.h"

#define SKIPPED 77

static size_t n_packets, n_failed;

static const char *text(const json_t *object, const char *key)
{
	const char *value = json_string_value(json_object_get(object, key));

	return value ? value : "";
}

static struct decide_packet read_packet(const json_t *json)
{
	struct decide_packet packet = {
		.iface = json_string_value(json_object_get(json, "iif")),
		.local = json_is_true(json_object_get(json, "fromNode")),
		.dport = htons((uint16_t)json_integer_value(json_object_get(json, "port"))),
		.proto = (uint8_t)ip_protocol_parse(text(json, "proto")),
		.family = strcmp(text(json, "family"), "IPv4") ? 6 : 4,
	};

	packet.saddr = addr_of(text(json, "src"));
	packet.daddr = addr_of(text(json, "dst"));
	return packet;
}

/* "dnat", "reject", "drop" or "pass" as the tables say it. */
static const char *verdict_of(const struct decision *decision)
{
	return decision->verdict == SL_NEXT ? "dnat" : explain_verdict(decision->verdict);
}

/* The decision's endpoints as `to` of the tables has them; a text to compare. */
static void print_endpoints(const struct decision *d, char *out, size_t size)
{
	size_t used = 0;
	char at[IP_TEXT_MAX];

	out[0] = 0;
	for (size_t i = 0; i < d->n_endpoints && used < size; i++) {
		const struct resolved_backend *b = d->endpoints[i].backend;

		used += (size_t)snprintf(out + used, size - used, "%s%s ",
					 ip_format_port(&b->addr, d->port->family, b->port, at),
					 d->endpoints[i].snat ? "+snat" : "");
	}
}

static void print_wanted(const json_t *to, char *out, size_t size)
{
	const json_t *item;
	size_t used = 0, i;

	out[0] = 0;
	json_array_foreach (to, i, item)
		if (used < size)
			used += (size_t)snprintf(
				out + used, size - used, "%s%s ", text(item, "ep"),
				json_is_true(json_object_get(item, "snat")) ? "+snat" : "");
}

static void check_packet(const struct store *store, const struct profile *profile, const char *id,
			 const json_t *json)
{
	struct decide_packet packet = read_packet(json);
	sl_auto(world) world = NULL;
	struct decision decision;
	char got[2048], want[2048];

	profile_place(profile, &packet);
	ck_assert_int_eq(world_new(store, &profile->world, &packet, &world), 0);
	ck_assert_int_eq(decide(&world->decide, &packet, &decision), 0);
	print_endpoints(&decision, got, sizeof(got));
	print_wanted(json_object_get(json, "to"), want, sizeof(want));
	n_packets++;
	if (strcmp(verdict_of(&decision), text(json, "verdict")) || strcmp(got, want)) {
		n_failed++;
		printf("%s: %s %s (%s) -> %s:%u (%s): expected %s %s, got %s %s\n", id,
		       text(json, "proto"), text(json, "src"), text(json, "srcKind"),
		       text(json, "dst"), ntohs(packet.dport), text(json, "dstKind"),
		       text(json, "verdict"), want, verdict_of(&decision), got);
	}
	decision_done(&decision);
}

static void put_all(struct store *store, const json_t *list)
{
	char error[OBJECT_ERROR_MAX];
	const json_t *object;
	size_t i;

	json_array_foreach (list, i, object)
		ck_assert_msg(apply_object(store, object, false, error) >= 0, "%s", error);
}

static void check_case(const json_t *profiles, const json_t *json)
{
	json_t *of_case = json_deep_copy(json_object_get(profiles, text(json, "profile")));
	sl_auto(store) store = store_new();
	sl_auto(profile) profile = NULL;
	const json_t *packet;
	char error[512];
	size_t i;

	json_object_set_new(of_case, "masquerade", json_string("compatible"));
	ck_assert_msg(!profile_new(of_case, store, &profile, error), "%s", error);
	json_decref(of_case);
	put_all(store, json_object_get(json, "services"));
	put_all(store, json_object_get(json, "endpointSlices"));
	json_array_foreach (json_object_get(json, "packets"), i, packet)
		check_packet(store, profile, text(json, "id"), packet);
}

static void check_file(const char *path)
{
	json_error_t error;
	json_t *table = json_load_file(path, 0, &error);
	const json_t *item;
	size_t i;

	ck_assert_msg(table != NULL, "%s: %s", path, error.text);
	json_array_foreach (json_object_get(table, "cases"), i, item)
		if (json_object_get(item, "packets"))
			check_case(json_object_get(table, "profiles"), item);
	json_decref(table);
}

static const char *in_tables(const char *name)
{
	static char text[512];
	const char *folder = getenv("SLUICE_TABLES");

	snprintf(text, sizeof(text), "%s/%s", folder ? folder : SLUICE_TABLES, name);
	return text;
}

START_TEST(decisions_are_those_of_kube_proxy)
{
	glob_t found;

	ck_assert_int_eq(glob(in_tables("*.json"), 0, NULL, &found), 0);
	for (size_t i = 0; i < found.gl_pathc; i++)
		check_file(found.gl_pathv[i]);
	globfree(&found);
	printf("%zu packets, %zu failed\n", n_packets, n_failed);
	ck_assert_uint_gt(n_packets, 0);
	ck_assert_uint_eq(n_failed, 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("decide_tables");
	TCase *tc = tcase_create("tables");

	if (access(in_tables("policies.json"), R_OK)) {
		printf("%s is not there: skipped\n", in_tables("policies.json"));
		return SKIPPED;
	}
	tcase_set_timeout(tc, 100);
	tcase_add_test(tc, decisions_are_those_of_kube_proxy);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
