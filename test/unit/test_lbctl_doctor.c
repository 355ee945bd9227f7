/* SPDX-License-Identifier: Apache-2.0 */

/* What lbctl doctor finds in texts. The node is 192.168.0.2, 10.1.0.1 and fd00::2. */

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "objects.h"
#include "tools/lbctl/doctor.h"

static struct doctor doctor;

static void setup(void)
{
	static const char *const own[] = { "192.168.0.2", "10.1.0.1", "fd00::2" };
	struct sl_addr addr;

	ck_assert_int_eq(doctor_init(&doctor), 0);
	for (size_t i = 0; i < SL_COUNT(own); i++) {
		int family = ip_parse(own[i], &addr);

		ck_assert_int_eq(doctor_add_address(&doctor, &addr, (uint8_t)family), 0);
	}
}

static void teardown(void)
{
	doctor_done(&doctor);
}

/* What was found, as "severity where; ", and forgets it. */
static const char *found(void)
{
	static char text[4096];
	const json_t *item;
	size_t i, n = 0;

	text[0] = '\0';
	json_array_foreach (doctor.findings, i, item)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "%s %s; ",
				      json_string_value(json_object_get(item, "severity")),
				      json_string_value(json_object_get(item, "where")));
	json_array_clear(doctor.findings);
	return text;
}

static const char *first_what(void)
{
	return json_string_value(json_object_get(json_array_get(doctor.findings, 0), "what"));
}

struct source {
	const char *text, *severity; /* NULL: not found */
};

#define RULE(chain, rest) "*filter\n:" chain " ACCEPT [0:0]\n-A " chain " " rest "\nCOMMIT\n"

START_TEST(iptables_rules_are_found_by_their_source)
{
	static const struct source rows[] = {
		{ "-s 192.168.0.2/32 -j ACCEPT", "warning" },
		{ "-p tcp -s 192.168.0.2 -j ACCEPT", "warning" },
		{ "! -s 192.168.0.2/32 -j DROP", "warning" },
		{ "-s 192.168.0.0/24 -j ACCEPT", "notice" },
		{ "-s fd00::2/128 -j ACCEPT", "warning" },
		{ "-m iprange --src-range 10.1.0.0-10.1.0.9 -j ACCEPT", "notice" },
		{ "-m iprange --src-range 10.1.0.2-10.1.0.9 -j ACCEPT", NULL },
		{ "-s 192.168.1.0/24 -j ACCEPT", NULL },
		{ "-s 0.0.0.0/0 -j ACCEPT", NULL },
		{ "-d 192.168.0.2/32 -j ACCEPT", NULL },
		{ "-m comment --comment \"a -s 192.168.0.2/32 b\" -j ACCEPT", NULL },
	};
	char text[512], want[128];

	for (size_t i = 0; i < SL_COUNT(rows); i++) {
		snprintf(text, sizeof(text), RULE("INPUT", "%s"), rows[i].text);
		doctor_iptables(&doctor, text, "iptables-save");
		snprintf(want, sizeof(want),
			 "%s iptables-save: table filter, chain INPUT, rule 1; ",
			 rows[i].severity ? rows[i].severity : "");
		ck_assert_msg(!strcmp(found(), rows[i].severity ? want : ""), "%s", rows[i].text);
	}
}
END_TEST

START_TEST(iptables_chains_count_when_packets_of_clients_get_there)
{
	static const struct {
		const char *text;
		bool found;
	} rows[] = {
		{ RULE("INPUT", "-s 10.1.0.1"), true },
		{ RULE("FORWARD", "-s 10.1.0.1"), true },
		{ RULE("POSTROUTING", "-s 10.1.0.1"), true },
		{ RULE("OUTPUT", "-s 10.1.0.1"), false },
		{ RULE("PREROUTING", "-s 10.1.0.1"), false },
		{ "*filter\n-A inner -s 10.1.0.1\n-A outer -g inner\n-A FORWARD -j outer\n", true },
		{ "*filter\n-A inner -s 10.1.0.1\n-A OUTPUT -j inner\n", false },
		{ "*nat\n-A FORWARD -j inner\n*filter\n-A inner -s 10.1.0.1\n", false },
	};

	for (size_t i = 0; i < SL_COUNT(rows); i++) {
		doctor_iptables(&doctor, rows[i].text, "iptables-save");
		ck_assert_msg(!!*found() == rows[i].found, "%s", rows[i].text);
	}
}
END_TEST

START_TEST(kube_proxys_iptables_chains_are_left_alone_and_only_those)
{
	doctor_iptables(&doctor,
			"*nat\n-A POSTROUTING -j KUBE-POSTROUTING\n-A POSTROUTING -j KUBE-ROUTER\n"
			"-A KUBE-POSTROUTING -s 10.1.0.1/32 -j KUBE-SEP-A\n"
			"-A KUBE-SEP-A -s 10.1.0.1/32 -j KUBE-MARK-MASQ\n"
			"-A POSTROUTING -s 10.1.0.1/32 -j KUBE-SERVICES\n"
			"-A KUBE-ROUTER -s 10.1.0.1/32 -j ACCEPT\n",
			"iptables-save");
	ck_assert_str_eq(found(), "warning iptables-save: table nat, chain KUBE-ROUTER, rule 1; ");
}
END_TEST

#define NFT_CHAIN(hook)                                                                            \
	"{'chain':{'family':'inet','table':'fw','name':'c','handle':1,'hook':'" hook "'}}"
#define NFT_RULE(chain, expr)                                                                      \
	"{'rule':{'family':'inet','table':'fw','chain':'" chain "','handle':7,'expr':[" expr "]}}"
#define SADDR(protocol) "{'payload':{'protocol':'" protocol "','field':'saddr'}}"
#define DPORT		"{'payload':{'protocol':'tcp','field':'dport'}}"
#define MATCH(right)	"{'match':{'op':'==','left':" SADDR("ip") ",'right':" right "}}"

static const bool none[2];

static void nft(const char *items)
{
	char text[2048];
	json_t *ruleset;

	snprintf(text, sizeof(text), "{'nftables':[%s]}", items);
	ruleset = json_of(text);
	doctor_nft(&doctor, ruleset, none);
	json_decref(ruleset);
}

START_TEST(nftables_rules_are_found_by_their_source)
{
	static const struct source rows[] = {
		{ MATCH("'192.168.0.2'"), "warning" },
		{ MATCH("{'prefix':{'addr':'192.168.0.0','len':24}}"), "notice" },
		{ MATCH("{'prefix':{'addr':'0.0.0.0','len':0}}"), NULL },
		{ MATCH("{'range':['192.168.0.1','192.168.0.3']}"), "notice" },
		{ MATCH("{'set':['1.1.1.1','192.168.0.2']}"), "warning" },
		{ MATCH("{'set':[{'elem':{'val':'10.1.0.1','comment':'x'}}]}"), "warning" },
		{ MATCH("'@nodes'"), "warning" },
		{ MATCH("'@pairs'"), NULL },
		{ MATCH("'@unknown'"), NULL },
		{ MATCH("'192.168.0.3'"), NULL },
		{ "{'match':{'op':'==','left':" SADDR("ip6") ",'right':'fd00::2'}}", "warning" },
		{ "{'match':{'op':'==','left':{'payload':{'protocol':'ip','field':'daddr'}},"
		  "'right':'192.168.0.2'}}",
		  NULL },
		{ "{'match':{'op':'==','left':{'concat':[" DPORT
		  "," SADDR("ip") "]},"
				  "'right':'@pairs'}}",
		  "warning" },
		{ "{'vmap':{'key':" SADDR("ip") ",'data':{'set':[['10.1.0.1',{'drop':null}]]}}}",
		  "warning" },
		{ "{'vmap':{'key':" SADDR("ip") ",'data':'@verdicts'}}", "warning" },
		{ "{'xt':null}", NULL },
	};

	for (size_t i = 0; i < SL_COUNT(rows); i++) {
		char items[1536], want[128];

		snprintf(items, sizeof(items),
			 NFT_CHAIN("forward") "," NFT_RULE(
				 "c",
				 "%s") ","
				       "{'set':{'family':'inet','table':'fw','name':'nodes','elem':"
				       "['10.1.0.1']}},"
				       "{'set':{'family':'inet','table':'other','name':'unknown',"
				       "'elem':['10.1.0.1']}},"
				       "{'map':{'family':'inet','table':'fw','name':'verdicts',"
				       "'elem':[['10.1.0.1',{'drop':null}]]}},"
				       "{'set':{'family':'inet','table':'fw','name':'pairs',"
				       "'elem':[{'concat':[80,'10.1.0.1']}]}}",
			 rows[i].text);
		nft(items);
		snprintf(want, sizeof(want), "%s nft: table inet fw, chain c, handle 7; ",
			 rows[i].severity ? rows[i].severity : "");
		ck_assert_msg(!strcmp(found(), rows[i].severity ? want : ""), "%s", rows[i].text);
	}
}
END_TEST

START_TEST(nftables_chains_count_when_packets_of_clients_get_there)
{
	static const struct {
		const char *items;
		bool found;
	} rows[] = {
		{ NFT_CHAIN("input") "," NFT_RULE("c", MATCH("'10.1.0.1'")), true },
		{ NFT_CHAIN("postrouting") "," NFT_RULE("c", MATCH("'10.1.0.1'")), true },
		{ NFT_CHAIN("output") "," NFT_RULE("c", MATCH("'10.1.0.1'")), false },
		{ NFT_CHAIN("prerouting") "," NFT_RULE("c", MATCH("'10.1.0.1'")), false },
		{ NFT_RULE("inner", MATCH("'10.1.0.1'")), false },
		{ NFT_CHAIN("input") "," NFT_RULE("c", "{'jump':{'target':'inner'}}") "," NFT_RULE(
			  "inner", MATCH("'10.1.0.1'")),
		  true },
		{ NFT_CHAIN("input") "," NFT_RULE(
			  "c",
			  "{'vmap':{'key':" DPORT
			  ",'data':'@v'}}") ","
					    "{'map':{'family':'inet','table':'fw','name':'v',"
					    "'elem':[[80,{'goto':{'target':'inner'}}]]}}," NFT_RULE(
						    "inner", MATCH("'10.1.0.1'")),
		  true },
	};

	for (size_t i = 0; i < SL_COUNT(rows); i++) {
		nft(rows[i].items);
		ck_assert_msg(!!*found() == rows[i].found, "%s", rows[i].items);
	}
}
END_TEST

START_TEST(tables_of_kube_proxy_and_iptables_are_not_told_twice)
{
	static const char format[] =
		"{'nftables':[{'chain':{'family':'%s','table':'%s','name':'c','hook':'forward'}},"
		"{'rule':{'family':'%s','table':'%s','chain':'c','expr':[" MATCH(
			"'10.1.0.1'") "]}}]}";
	static const struct {
		const char *family, *table;
		bool iptables, found;
	} rows[] = {
		{ "ip", "kube-proxy", false, false }, { "ip", "filter", true, false },
		{ "ip", "filter", false, true },      { "inet", "filter", true, true },
		{ "ip", "mine", true, true },
	};

	for (size_t i = 0; i < SL_COUNT(rows); i++) {
		const bool iptables[2] = { rows[i].iptables, false };
		char text[1024];

		snprintf(text, sizeof(text), format, rows[i].family, rows[i].table, rows[i].family,
			 rows[i].table);
		json_t *ruleset = json_of(text);
		doctor_nft(&doctor, ruleset, iptables);
		json_decref(ruleset);
		ck_assert_msg(!!*found() == rows[i].found, "%s", text);
	}
}
END_TEST

START_TEST(rulesets_that_are_none_are_survived)
{
	static const char *const texts[] = {
		"{}",
		"{'nftables':7}",
		"{'nftables':[7,{'rule':7},{'rule':{'expr':[7]}},{'chain':null}]}",
		"{'nftables':[" NFT_CHAIN("input") "," NFT_RULE("c", MATCH("{'range':[1]}")) "," NFT_RULE(
			"c", MATCH("{'prefix':7}")) "," NFT_RULE("c", MATCH("{'set':null}")) "]}",
	};

	for (size_t i = 0; i < SL_COUNT(texts); i++) {
		json_t *ruleset = json_of(texts[i]);

		doctor_nft(&doctor, ruleset, none);
		json_decref(ruleset);
		ck_assert_str_eq(found(), "");
	}
	doctor_nft(&doctor, NULL, none);
	doctor_iptables(&doctor, "-A\n-A X\n*\n\"\n-A INPUT -s\n-A INPUT ! -s x", "iptables-save");
	ck_assert_str_eq(found(), "");
}
END_TEST

#define BLOCK(text) "{'ipBlock':{'cidr':'" text "'}}"
#define POLICY(from)                                                                               \
	"{'kind':'NetworkPolicy','metadata':{'namespace':'a','name':'p'},"                         \
	"'spec':{'ingress':[{},{'from':[" from "]}]}}"

START_TEST(policies_that_let_the_node_in_are_found)
{
	static const struct {
		const char *from;
		bool found;
	} rows[] = {
		{ BLOCK("192.168.0.2/32"), true },
		{ BLOCK("192.168.0.0/16"), true },
		{ BLOCK("fd00::/64"), true },
		{ BLOCK("192.168.1.0/24"), false },
		{ BLOCK("0.0.0.0/0"), false },
		{ BLOCK("::/0"), false },
		{ BLOCK("nonsense"), false },
		{ "{'podSelector':{}}", false },
		{ "{'ipBlock':{'cidr':'192.168.0.0/16','except':['192.168.0.0/24']}}", false },
		{ "{'ipBlock':{'cidr':'192.168.0.0/16','except':['192.168.7.0/24']}}", true },
		{ BLOCK("192.168.0.2/32") "," BLOCK("0.0.0.0/0"), false },
		{ BLOCK("192.168.0.2/32") "," BLOCK("::/0"), true },
	};

	for (size_t i = 0; i < SL_COUNT(rows); i++) {
		char text[1024];

		snprintf(text, sizeof(text), "[" POLICY("%s") "]", rows[i].from);
		json_t *documents = json_of(text);
		doctor_policies(&doctor, documents, "FILE");
		json_decref(documents);
		ck_assert_msg(!strcmp(found(), rows[i].found ? "warning NetworkPolicy a/p, "
							       "ingress[1].from[0].ipBlock; "
							     : ""),
			      "%s", rows[i].from);
	}
	ck_assert_uint_eq(json_array_size(doctor.skipped), 0);
}
END_TEST

START_TEST(policies_come_alone_or_in_lists)
{
	static const struct {
		const char *documents;
		size_t found;
	} rows[] = {
		{ "[" POLICY(BLOCK("10.1.0.1/32")) "," POLICY(BLOCK("10.1.0.1/32")) "]", 2 },
		{ "[{'kind':'List','items':[" POLICY(BLOCK("10.1.0.1/32")) "]}]", 1 },
		{ "[{'kind':'NetworkPolicyList','items':[{'metadata':{'name':'p'},'spec':"
		  "{'ingress':[{'from':[" BLOCK("10.1.0.1/32") "]}]}}]}]",
		  1 },
		{ "[{'kind':'Service','spec':{'ingress':[{'from':[" BLOCK("10.1.0.1/32") "]}]}}]",
		  0 },
	};

	for (size_t i = 0; i < SL_COUNT(rows); i++) {
		json_t *documents = json_of(rows[i].documents);

		doctor_policies(&doctor, documents, "FILE");
		json_decref(documents);
		ck_assert_uint_eq(json_array_size(doctor.findings), rows[i].found);
		json_array_clear(doctor.findings);
	}
	/* A file with none of them is not a file without findings. */
	ck_assert_uint_eq(json_array_size(doctor.skipped), 1);
}
END_TEST

START_TEST(snat_ports_are_nobody_elses)
{
	static const struct {
		const char *range, *reserved;
		bool found;
	} rows[] = {
		{ "32768\t60999\n", "", false },
		{ "32768\t61000\n", "", true },
		{ "1024\t65535\n", "", true },
		{ "65000\t65535\n", "", true },
		{ "32768\t65535\n", "61000-65535\n", false },
		{ "32768\t65535\n", "80,61000-65534\n", true },
		{ "32768\t61001\n", "61000,61001\n", false },
		{ "nonsense", "", false },
	};

	for (size_t i = 0; i < SL_COUNT(rows); i++) {
		doctor_ports(&doctor, 61000, 65535, rows[i].range, rows[i].reserved);
		ck_assert_msg(!!*found() == rows[i].found, "%s with %s", rows[i].range,
			      rows[i].reserved);
	}
}
END_TEST

static const char routes4[] =
	"Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"
	"eth0\t00000000\t0100A8C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n"
	"eth2\t0000A8C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n";
static const char routes6[] =
	"00000000000000000000000000000000 00 00000000000000000000000000000000 00 "
	"fe800000000000000000000000000001 00000400 00000001 00000000 00000003     eth1\n"
	"00000000000000000000000000000000 00 00000000000000000000000000000000 00 "
	"00000000000000000000000000000000 ffffffff 00000001 00000000 00200200     eth3\n";

START_TEST(interfaces_and_hooks_that_do_not_serve_are_found)
{
	static const struct {
		const char *item, *found;
	} rows[] = {
		{ "'name':'eth0','role':'none','why':'x'", "warning interface eth0; " },
		{ "'name':'eth1','role':'none','why':'x'", "warning interface eth1; " },
		{ "'name':'eth2','role':'none','why':'x'", "" },
		{ "'name':'eth3','role':'none','why':'x'", "" }, /* unreachable */
		{ "'name':'eth0','role':'uplink'", "" },
		{ "'name':'eth0','role':'uplink','hooks':[{'hook':'tcx/ingress','state':'failed',"
		  "'why':'x'}]",
		  "error interface eth0; " },
		{ "'name':'eth0','role':'uplink','hooks':[{'hook':'xdp','state':'skipped'}]", "" },
		{ "'name':'eth0','role':'uplink','xdpProgram':7,"
		  "'hooks':[{'hook':'xdp','state':'attached'}]",
		  "" },
		{ "'name':'eth0','role':'uplink','xdpProgram':7,"
		  "'hooks':[{'hook':'xdp','state':'skipped'}]",
		  "warning interface eth0; " },
		{ "'name':'','kind':'cgroup2','role':'host','why':'hostProcesses is false'", "" },
		{ "'name':'','kind':'cgroup2','role':'host','why':'none is mounted'",
		  "error hostProcesses; " },
		{ "'name':'/c','kind':'cgroup2','role':'host','why':'the processes'", "" },
	};

	for (size_t i = 0; i < SL_COUNT(rows); i++) {
		char text[512];

		snprintf(text, sizeof(text), "{'items':[{'ifindex':2,%s}]}", rows[i].item);
		json_t *list = json_of(text);
		doctor_attach(&doctor, list, routes4, routes6);
		json_decref(list);
		ck_assert_msg(!strcmp(found(), rows[i].found), "%s", rows[i].item);
	}
	doctor_attach(&doctor, NULL, NULL, NULL);
	ck_assert_str_eq(found(), "");
}
END_TEST

START_TEST(a_finding_names_the_address_that_it_is_about)
{
	doctor_iptables(&doctor, RULE("INPUT", "! -s 10.1.0.1/32 -j DROP"), "iptables-save");
	ck_assert_ptr_nonnull(strstr(first_what(), "excepts sources that are 10.1.0.1,"));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("lbctl doctor");
	TCase *tc = tcase_create("findings");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, iptables_rules_are_found_by_their_source);
	tcase_add_test(tc, iptables_chains_count_when_packets_of_clients_get_there);
	tcase_add_test(tc, kube_proxys_iptables_chains_are_left_alone_and_only_those);
	tcase_add_test(tc, nftables_rules_are_found_by_their_source);
	tcase_add_test(tc, nftables_chains_count_when_packets_of_clients_get_there);
	tcase_add_test(tc, tables_of_kube_proxy_and_iptables_are_not_told_twice);
	tcase_add_test(tc, rulesets_that_are_none_are_survived);
	tcase_add_test(tc, policies_that_let_the_node_in_are_found);
	tcase_add_test(tc, policies_come_alone_or_in_lists);
	tcase_add_test(tc, snat_ports_are_nobody_elses);
	tcase_add_test(tc, interfaces_and_hooks_that_do_not_serve_are_found);
	tcase_add_test(tc, a_finding_names_the_address_that_it_is_about);
	suite_add_tcase(suite, tc);

	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
