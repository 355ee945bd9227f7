/* SPDX-License-Identifier: Apache-2.0 */

/* Explaining from files: the profile's fields, and a folder of manifests. */

#include <sys/stat.h>

#include "controlplane/explain/offline.h"
#include "explain_fixture.h"

static char folder[64], profile_path[128], why[512];

static void make_folder(void)
{
	strcpy(folder, "/tmp/sluice-explain-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(folder));
	snprintf(profile_path, sizeof(profile_path), "%s/.profile", folder);
}

static void put(const char *name, const char *text)
{
	char path[256];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	file = fopen(path, "w");
	ck_assert_ptr_nonnull(file);
	fputs(text, file);
	fclose(file);
}

static void remove_folder(void)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -r %s", folder);
	ck_assert_int_eq(system(command), 0);
}

static const char manifests[] =
	"apiVersion: v1\n"
	"kind: Service\n"
	"metadata: { name: web }\n"
	"spec:\n"
	"  clusterIP: 10.96.0.1\n"
	"  ports: [ { port: 80 } ]\n"
	"---\n"
	"apiVersion: discovery.k8s.io/v1\n"
	"kind: EndpointSlice\n"
	"metadata:\n"
	"  name: web-1\n"
	"  labels: { kubernetes.io/service-name: web }\n"
	"addressType: IPv4\n"
	"ports: [ { port: 8080 } ]\n"
	"endpoints:\n"
	"  - addresses: [ 10.0.1.1 ]\n"
	"    hints: { forZones: [ { name: za } ] }\n"
	"  - addresses: [ 10.0.2.1 ]\n"
	"    hints: { forZones: [ { name: zb } ] }\n"
	"---\n"
	"apiVersion: v1\n"
	"kind: Node\n"
	"metadata:\n"
	"  name: n1\n"
	"  labels: { topology.kubernetes.io/zone: zb }\n"
	"status: { addresses: [ { type: InternalIP, address: 192.168.0.2 } ] }\n";

static json_t *explain(const char *profile)
{
	const struct explain_query query = { .from = "10.0.1.9",
					     .to = "10.96.0.1:80",
					     .iface = "veth1" };
	json_t *document = NULL;
	int err;

	put("web.yaml", manifests);
	put(".profile", profile);
	err = explain_offline(folder, profile_path, &query, &document, why);
	ck_assert_msg(!err, "%s", why);
	return document;
}

static const char *text(const json_t *document, const char *key)
{
	const char *value = json_string_value(json_object_get(document, key));

	return value ? value : "";
}

START_TEST(a_folder_and_a_profile_are_enough)
{
	json_t *document = explain("nodeName: n2\n");

	ck_assert_str_eq(text(document, "kind"), "Explanation");
	ck_assert_str_eq(text(document, "by"), "objects");
	ck_assert_str_eq(text(document, "verdict"), "forward");
	ck_assert_str_eq(text(document, "service"), "default/web");
	ck_assert_uint_eq(json_array_size(json_object_get(document, "endpoints")), 2);
	ck_assert_ptr_null(json_object_get(document, "agrees"));
	json_decref(document);
}
END_TEST

START_TEST(the_node_object_says_what_the_profile_does_not)
{
	json_t *document = explain("{\"nodeName\":\"n1\"}");

	ck_assert_str_eq(text(document, "chosen"), "10.0.2.1:8080");
	json_decref(document);
	document = explain("nodeName: n1\nzone: za\n");
	ck_assert_str_eq(text(document, "chosen"), "10.0.1.1:8080");
	json_decref(document);
}
END_TEST

static void check_error(const char *objects, const char *profile, int want, const char *message)
{
	const struct explain_query query = { .from = "10.0.1.9", .to = "10.96.0.1:80" };
	json_t *document = NULL;

	ck_assert_int_eq(explain_offline(objects, profile, &query, &document, why), want);
	ck_assert_msg(strstr(why, message), "%s", why);
	ck_assert_ptr_null(document);
}

START_TEST(files_that_cannot_be_read_are_named)
{
	check_error(folder, profile_path, -ENOENT, "/.profile: No such file");
	put(".profile", "nodeName: n1\n");
	check_error("/nowhere", profile_path, -ENOENT, "/nowhere: No such file");
	put(".profile", "nodeName: [\n");
	check_error(folder, profile_path, -EINVAL, "/.profile:");
	put(".profile", "");
	check_error(folder, profile_path, -EINVAL, "/.profile: is empty");
	put(".profile", "zone: z1\n");
	check_error(folder, profile_path, -EINVAL, "/.profile: nodeName: is needed");
}
END_TEST

START_TEST(what_is_wrong_with_a_profile_is_said)
{
	static const struct {
		const char *profile, *want;
	} rows[] = {
		{ "[]", "the profile is no object" },
		{ "{'nodeName':7}", "nodeName: is no string" },
		{ "{'nodeName':'n','zone':[]}", "zone: is no string" },
		{ "{'nodeName':'n','addresses':'x'}", "addresses: is no list" },
		{ "{'nodeName':'n','addresses':['x']}", "addresses: \"x\" is no address" },
		{ "{'nodeName':'n','addresses':[7]}", "addresses[0]: is no string" },
		{ "{'nodeName':'n','nodeIPs':{'IPv4':'x'}}", "\"x\" is no address" },
		{ "{'nodeName':'n','interfaces':['eth0']}", "interfaces: is no object" },
		{ "{'nodeName':'n','interfaces':{'eth0':['x']}}",
		  "interfaces: eth0: \"x\" is no address" },
		{ "{'nodeName':'n','interfaces':{'eth0':[1]}}",
		  "interfaces: eth0: addresses[0]: is no string" },
		{ "{'nodeName':'n','interfaces':{'eth0':{'role':'x'}}}",
		  "interfaces: eth0: role \"x\" is not none, pod, uplink or tunnel" },
		{ "{'nodeName':'n','nodePortAddresses':'all'}", "nodePortAddresses: is no list" },
		{ "{'nodeName':'n','detectLocalMode':'x'}", "detectLocalMode: \"x\" is not" },
		{ "{'nodeName':'n','detectLocalMode':'BridgeInterface'}", "detectLocalMode:" },
		{ "{'nodeName':'n','detectLocalMode':'clusterCIDR','clusterCIDRs':['x']}",
		  "clusterCIDRs: \"x\" is no prefix" },
		{ "{'nodeName':'n','detectLocalMode':'nodeCIDR','nodePodCIDRs':['x']}",
		  "nodePodCIDRs: \"x\" is no prefix" },
		{ "{'nodeName':'n','serviceCIDRs':['x']}", "serviceCIDRs: \"x\" is no prefix" },
		{ "{'nodeName':'n','masqueradeAll':1}", "masqueradeAll: is not true or false" },
		{ "{'nodeName':'n','masquerade':'x'}",
		  "masquerade: \"x\" is not minimal or compatible" },
	};

	for (size_t i = 0; i < SL_COUNT(rows); i++) {
		json_t *json = json_of(rows[i].profile);
		sl_auto(store) store = store_new();
		struct profile *profile = NULL;

		ck_assert_int_eq(profile_new(json, store, &profile, why), -EINVAL);
		ck_assert_ptr_null(profile);
		ck_assert_msg(strstr(why, rows[i].want), "%s: %s", rows[i].profile, why);
		json_decref(json);
	}
}
END_TEST

static struct profile *profile_of(const char *profile)
{
	sl_auto(store) store = store_new();
	struct profile *ret = NULL;
	json_t *json = json_of(profile);

	ck_assert_msg(!profile_new(json, store, &ret, why), "%s", why);
	json_decref(json);
	return ret;
}

START_TEST(the_first_prefix_of_each_family_has_the_pods)
{
	struct profile *profile =
		profile_of("{'nodeName':'n','detectLocalMode':'nodeCIDR','nodePodCIDRs':"
			   "['fd00:1::/33','10.1.0.0/20','10.2.0.0/16','fd00:2::/64']}");
	const struct sl_node *node = &profile->world.node;
	const struct sl_addr pods4 = addr_of("10.1.0.0"), mask4 = addr_of("255.255.240.0");
	const struct sl_addr pods6 = addr_of("fd00:1::"), mask6 = addr_of("ffff:ffff:8000::");

	ck_assert_int_eq(node->detect4, SL_DETECT_SOURCE);
	ck_assert_int_eq(node->detect6, SL_DETECT_SOURCE);
	ck_assert_mem_eq(node->pods4.addr, pods4.w, 4);
	ck_assert_mem_eq(node->pods4.mask, mask4.w, 4);
	ck_assert_mem_eq(node->pods6.addr, pods6.w, 16);
	ck_assert_mem_eq(node->pods6.mask, mask6.w, 16);
	ck_assert(profile->world.config.detect4 && profile->world.config.detect6);
	profile_free(profile);
}
END_TEST

START_TEST(interfaces_have_roles_and_addresses)
{
	static const struct {
		const char *iface;
		int role;
		bool pod_traffic;
	} rows[] = {
		{ "eth0", SL_ROLE_UPLINK, false },
		{ "vx0", SL_ROLE_TUNNEL, false },
		{ "cbr0", SL_ROLE_POD, true },
		{ "other", SL_ROLE_POD, true },
	};
	struct profile *profile =
		profile_of("{'nodeName':'n','interfaces':{'lo':['127.0.0.1/8','::1'],"
			   "'eth0':['192.0.2.1/24'],'vx0':{'role':'tunnel'},"
			   "'cbr0':{'role':'pod','addresses':['10.0.0.1','fd00::1/64']}}}");

	ck_assert_uint_eq(profile->own.n_addresses, 3); /* loopback is none of them */
	for (size_t i = 0; i < SL_COUNT(rows); i++) {
		struct decide_packet packet = { .iface = rows[i].iface, .family = 4 };

		profile_place(profile, &packet);
		ck_assert_int_eq(packet.role, rows[i].role);
		ck_assert_int_eq(packet.pod_traffic, rows[i].pod_traffic);
		ck_assert(!packet.local);
	}
	profile_free(profile);
}
END_TEST

START_TEST(without_an_interface_own_addresses_are_processes)
{
	struct profile *profile = profile_of(EXPLAIN_PROFILE);
	struct decide_packet own = { .saddr = addr_of("192.168.1.2"), .family = 4 };
	struct decide_packet loopback = { .saddr = addr_of("127.0.0.1"), .family = 4 };
	struct decide_packet other = { .saddr = addr_of("10.0.1.7"), .family = 4 };

	profile_place(profile, &own);
	profile_place(profile, &loopback);
	profile_place(profile, &other);
	ck_assert(own.local && loopback.local && !other.local);
	profile_free(profile);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("explain_offline");
	TCase *tc = tcase_create("files");

	tcase_add_checked_fixture(tc, make_folder, remove_folder);
	tcase_add_test(tc, a_folder_and_a_profile_are_enough);
	tcase_add_test(tc, the_node_object_says_what_the_profile_does_not);
	tcase_add_test(tc, files_that_cannot_be_read_are_named);
	tcase_add_test(tc, what_is_wrong_with_a_profile_is_said);
	tcase_add_test(tc, the_first_prefix_of_each_family_has_the_pods);
	tcase_add_test(tc, interfaces_have_roles_and_addresses);
	tcase_add_test(tc, without_an_interface_own_addresses_are_processes);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
