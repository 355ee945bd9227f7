/* SPDX-License-Identifier: Apache-2.0 */

/* What verbs print for a document: tables, JSON and YAML. */

#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "tools/lbctl/lbctl.h"
#include "tools/lbctl/text.h"

static char *output, *complaints;

/* Prints `document` (JSON) as `verb` does; returns the exit code. */
static int print(const struct verb *verb, struct lbctl lbctl, const char *document)
{
	json_error_t e;
	json_t *json = json_loads(document, 0, &e);
	size_t out_len, err_len;
	int code;

	ck_assert_msg(json != NULL, "%s", e.text);
	free(output);
	free(complaints);
	lbctl.out = open_memstream(&output, &out_len);
	lbctl.err = open_memstream(&complaints, &err_len);
	code = output_document(&lbctl, verb, json);
	fclose(lbctl.out);
	fclose(lbctl.err);
	json_decref(json);
	return code;
}

static void teardown(void)
{
	free(output);
	free(complaints);
	output = complaints = NULL;
}

static char *written(void (*write)(FILE *, json_int_t), json_int_t value)
{
	static char text[64];
	FILE *out = fmemopen(text, sizeof(text), "w");

	write(out, value);
	fclose(out);
	return text;
}

START_TEST(ages_have_two_units_at_most)
{
	static const struct {
		json_int_t seconds;
		const char *want;
	} rows[] = {
		{ 0, "0s" },	 { 59, "59s" },	     { 60, "1m" },     { 303, "5m3s" },
		{ 3600, "1h" },	 { 3601, "1h" },     { 7500, "2h5m" }, { 86399, "23h59m" },
		{ 86400, "1d" }, { 273600, "3d4h" }, { -5, "0s" },
	};

	for (size_t i = 0; i < SL_COUNT(rows); i++)
		ck_assert_str_eq(written(text_age, rows[i].seconds), rows[i].want);
}
END_TEST

START_TEST(bytes_and_microseconds_have_units)
{
	ck_assert_str_eq(written(text_bytes, 0), "0 B");
	ck_assert_str_eq(written(text_bytes, 1023), "1023 B");
	ck_assert_str_eq(written(text_bytes, 1024), "1.0 KiB");
	ck_assert_str_eq(written(text_bytes, 1048575), "1.0 MiB");
	ck_assert_str_eq(written(text_bytes, 1610612736), "1.5 GiB");
	ck_assert_str_eq(written(text_microseconds, 999), "999 us");
	ck_assert_str_eq(written(text_microseconds, 12400), "12.4 ms");
	ck_assert_str_eq(written(text_microseconds, 3100000), "3.1 s");
}
END_TEST

START_TEST(values_are_found_by_their_path)
{
	json_t *object = json_loads("{\"a\":{\"b\":7,\"c\":\"\"},\"n\":null}", 0, NULL);

	ck_assert_int_eq(text_number(object, "a.b"), 7);
	ck_assert_int_eq(text_number(object, "a.x"), 0);
	ck_assert_int_eq(text_number(object, "x.y"), 0);
	ck_assert_str_eq(text_string(object, "a.c"), "-");
	ck_assert_str_eq(text_string(object, "n"), "-");
	ck_assert_ptr_null(text_find(object, "a.b.c"));
	json_decref(object);
}
END_TEST

#define COUNTERS(n)                                                                                \
	"\"counters\":{\"connections\":" #n ",\"packets\":1" #n ",\"bytes\":2048,"                 \
	"\"answerPackets\":9" #n ",\"answerBytes\":100}"

static const char services[] =
	"{\"kind\":\"ServiceList\",\"items\":[{\"namespace\":\"shop\",\"name\":\"web\",\"state\":"
	"\"programmed\",\"since\":\"2026-01-02T03:04:05Z\",\"resourceVersion\":\"41\","
	"\"latest\":\"41\",\"slices\":[{\"name\":\"web-abc\",\"resourceVersion\":\"7\","
	"\"latest\":\"9\"}],\"ports\":["
	"{\"id\":5,\"name\":\"http\",\"protocol\":\"TCP\",\"family\":\"IPv4\",\"frontends\":["
	"{\"kind\":\"clusterIP\",\"address\":\"10.96.0.10:80\"},"
	"{\"kind\":\"nodePort\",\"address\":\"*:30080\"},"
	"{\"kind\":\"loadBalancer\",\"address\":\"192.0.2.1:80\"}],"
	"\"paths\":{\"clusterIP\":\"cluster\",\"outside\":\"local\",\"inside\":\"drop\"},"
	"\"slots\":251,\"restricted\":true,\"sourceRanges\":2,\"sourceRangesOf\":\"all\",\"affinitySeconds\":10800,"
	"\"onEndpointRemoval\":\"drain=90s\","
	"\"version\":7,\"backends\":["
	"{\"id\":9,\"address\":\"10.244.1.2:8080\",\"state\":\"live\",\"local\":true,"
	"\"generation\":4," COUNTERS(
		1) "},"
		   "{\"id\":10,\"address\":\"10.244.2.2:8080\",\"state\":\"gone\",\"local\":false,"
		   "\"generation\":6," COUNTERS(2) "}]," COUNTERS(
			   3) ",\"losses\":[{\"reason\":\"source_range\",\"packets\":4},"
			      "{\"reason\":\"mtu\",\"packets\":1}]},"
			      "{\"id\":6,\"name\":\"\",\"protocol\":\"UDP\",\"family\":\"IPv6\","
			      "\"frontends\":["
			      "{\"kind\":\"clusterIP\",\"address\":\"[fd00::a]:53\"}],"
			      "\"paths\":{\"clusterIP\":\"reject\",\"outside\":\"reject\","
			      "\"inside\":\"reject\"},"
			      "\"slots\":0,\"restricted\":false,\"sourceRanges\":0,"
			      "\"sourceRangesOf\":\"vip\",\"onEndpointRemoval\":\"keep\","
			      "\"affinitySeconds\":0,"
			      "\"version\":1,\"backends\":[]," COUNTERS(0) ",\"losses\":[]}]}]}";

START_TEST(a_table_of_services_is_readable)
{
	ck_assert_int_eq(print(&verb_service_list, (struct lbctl) { 0 }, services), LBCTL_OK);
	ck_assert_str_eq(
		output,
		"NAMESPACE/NAME   STATE        PORT   PROTO   FAMILY   FRONTENDS               "
		"   BACKENDS   CONNECTIONS   PACKETS   DROPS\n"
		"shop/web         programmed   http   TCP     IPv4     10.96.0.10:80,*:30080 "
		"+1          1             3        13       5\n"
		"shop/web         programmed   -      UDP     IPv6     [fd00::a]:53            "
		"          0             0        10       0\n");
}
END_TEST

static const char failed_service[] =
	"{\"namespace\":\"shop\",\"name\":\"late\",\"state\":\"failed\",\"since\":"
	"\"2026-01-02T03:04:05Z\",\"message\":\"map backends: full\",\"resourceVersion\":null,"
	"\"latest\":\"12\",\"slices\":[{\"name\":\"late-abc\",\"resourceVersion\":null,"
	"\"latest\":\"13\"}],\"ports\":[]}";

START_TEST(a_service_that_failed_is_shown_with_its_reason)
{
	char list[1024];

	ck_assert_int_eq(print(&verb_service_get, (struct lbctl) { 0 }, failed_service), LBCTL_OK);
	ck_assert_str_eq(output, "Service shop/late\n"
				 "  State:              FAILED since 2026-01-02T03:04:05Z\n"
				 "  Reason:             map backends: full\n"
				 "  Version in force:   none, should be 12\n"
				 "  EndpointSlice late-abc\n"
				 "    in force:         none, should be 13\n");
	snprintf(list, sizeof(list), "{\"items\":[%s]}", failed_service);
	ck_assert_int_eq(print(&verb_service_list, (struct lbctl) { .no_headings = true }, list),
			 LBCTL_OK);
	ck_assert_msg(strstr(output, "shop/late ") && strstr(output, " FAILED   - "), "%s", output);
}
END_TEST

START_TEST(a_wide_table_of_services_has_all_there_is)
{
	print(&verb_service_list, (struct lbctl) { .format = FORMAT_WIDE }, services);
	static const char *const wants[] = {
		"192.0.2.1:80",
		"1 (1 local, 1 gone)",
		"source_range=4,mtu=1",
		"cluster/local/drop",
		"2.0 KiB",
		"100 B",
		"251",
		"3h",
		"RANGES",
		"any",
		"VERSION",
		"ANSWER-BYTES",
	};
	for (size_t i = 0; i < SL_COUNT(wants); i++)
		ck_assert_msg(strstr(output, wants[i]), "%s in %s", wants[i], output);
}
END_TEST

START_TEST(headings_can_be_left_out)
{
	print(&verb_service_list, (struct lbctl) { .no_headings = true }, services);
	ck_assert_ptr_null(strstr(output, "NAMESPACE"));
	ck_assert_int_eq(strncmp(output, "shop/web", 8), 0);
}
END_TEST

START_TEST(an_empty_list_still_has_its_headings)
{
	print(&verb_backend_list, (struct lbctl) { 0 }, "{\"items\":[]}");
	ck_assert_str_eq(output, "SERVICE   PORT   PROTO   ADDRESS   STATE   LOCAL   CONNECTIONS   "
				 "PACKETS   ANSWERS\n");
	print(&verb_backend_list, (struct lbctl) { .no_headings = true }, "{\"items\":[]}");
	ck_assert_str_eq(output, "");
}
END_TEST

START_TEST(one_service_is_shown_with_frontends_and_backends)
{
	json_t *list = json_loads(services, 0, NULL);
	char *one = json_dumps(json_array_get(json_object_get(list, "items"), 0), 0);

	ck_assert_int_eq(print(&verb_service_get, (struct lbctl) { 0 }, one), LBCTL_OK);
	static const char *const wants[] = {
		"Service shop/web\n",
		"  State:              programmed since 2026-01-02T03:04:05Z\n",
		"  Version in force:   41\n",
		"  EndpointSlice web-abc\n    in force:         7, should be 9\n",
		"Port http, TCP, IPv4\n",
		"Port -, UDP, IPv6\n",
		"  From outside:       local\n",
		"  Source ranges:      2, of VIPs, node ports and external IPs\n",
		"  Source ranges:      any\n",
		"  Client affinity:    3h\n",
		"  Client affinity:    none\n",
		"  Endpoint leaves:    drain=90s\n",
		"  Endpoint leaves:    keep\n",
		"  Packets:            13, 2.0 KiB; answers 93, 100 B\n",
		"  Losses:             source_range=4,mtu=1\n",
		"*:30080         nodePort\n",
		"10.244.2.2:8080   gone    no",
	};
	for (size_t i = 0; i < SL_COUNT(wants); i++)
		ck_assert_msg(strstr(output, wants[i]), "%s in %s", wants[i], output);
	ck_assert_ptr_null(strstr(output, "Maglev"));
	print(&verb_service_get, (struct lbctl) { .format = FORMAT_WIDE }, one);
	ck_assert_ptr_nonnull(strstr(output, "5, version 7, 251 Maglev slots"));
	free(one);
	json_decref(list);
}
END_TEST

START_TEST(a_table_of_backends_names_their_services)
{
	print(&verb_backend_list, (struct lbctl) { .format = FORMAT_WIDE },
	      "{\"items\":[{\"id\":9,\"service\":\"shop/"
	      "web\",\"port\":\"http\",\"protocol\":\"TCP\","
	      "\"address\":\"10.244.1.2:8080\",\"state\":\"live\",\"local\":false,\"generation\":4,"
	      "\"sets\":[\"cluster\",\"local\"]," COUNTERS(
		      1) "},"
			 "{\"id\":10,\"service\":null,\"port\":\"\",\"protocol\":null,\"address\":"
			 "\"[fd00::1]:1\","
			 "\"state\":\"gone\",\"local\":true,\"generation\":5,\"sets\":[]," COUNTERS(
				 2) "}]}");
	ck_assert_ptr_nonnull(
		strstr(output, "shop/web   http   TCP     10.244.1.2:8080   live    no"));
	ck_assert_ptr_nonnull(
		strstr(output, "-          -      -       [fd00::1]:1       gone    yes"));
	ck_assert_ptr_nonnull(strstr(output, "cluster,local"));
}
END_TEST

static const char flow_list[] =
	"{\"items\":[{\"client\":\"10.244.0.5:40000\",\"frontend\":\"10.96.0.10:80\",\"backend\":"
	"\"10.244.1.2:8080\",\"protocol\":\"TCP\",\"service\":\"shop/web:http\",\"backendId\":9,"
	"\"state\":\"established\",\"forward\":\"redirect\",\"table\":\"new\",\"source\":"
	"\"192.0.2.9:61000\",\"idle\":12,\"age\":303,\"packets\":7,\"bytes\":700,"
	"\"answerPackets\":5,\"answerBytes\":900}],\"truncated\":true}";

START_TEST(a_table_of_flows_has_ages_and_says_that_it_is_cut)
{
	print(&verb_flow_list, (struct lbctl) { 0 }, flow_list);
	ck_assert_ptr_nonnull(strstr(output, "established    12s   5m3s         7         5\n"));
	ck_assert_ptr_null(strstr(output, "61000"));
	ck_assert_ptr_nonnull(strstr(complaints, "more than these 1 flows: see --limit"));
	print(&verb_flow_list, (struct lbctl) { .format = FORMAT_WIDE }, flow_list);
	ck_assert_ptr_nonnull(strstr(output, "192.0.2.9:61000   redirect   new"));
}
END_TEST

START_TEST(a_table_of_maps_tells_how_full_they_are)
{
	print(&verb_map_list, (struct lbctl) { 0 },
	      "{\"items\":[{\"name\":\"new4\",\"type\":\"lru_hash\",\"keySize\":16,\"valueSize\":"
	      "64,"
	      "\"maxEntries\":1000,\"entries\":125,\"bytes\":1572864,\"pinned\":\"/x/new4\"},"
	      "{\"name\":\"maglev\",\"type\":\"array\",\"maxEntries\":10,\"entries\":null,"
	      "\"bytes\":null}]}");
	ck_assert_str_eq(output, "NAME     TYPE       ENTRIES    MAX    USED    MEMORY\n"
				 "new4     lru_hash       125   1000   12.5%   1.5 MiB\n"
				 "maglev   array            -     10       -         -\n");
}
END_TEST

START_TEST(a_table_of_interfaces_shows_what_failed)
{
	static const char list[] =
		"{\"items\":[{\"ifindex\":2,\"name\":\"eth0\",\"kind\":\"veth\",\"role\":"
		"\"uplink\","
		"\"why\":\"carries the default route\",\"mtu\":1500,\"addresses\":[\"192.0.2.9\","
		"\"fd00::9\"],\"hooks\":[{\"hook\":\"tcx/ingress\",\"state\":\"attached\"},"
		"{\"hook\":\"tcx/egress\",\"state\":\"failed\",\"why\":\"EPERM\"},"
		"{\"hook\":\"xdp\",\"state\":\"skipped\",\"why\":\"a veth\"}]}]}";

	print(&verb_attach, (struct lbctl) { 0 }, list);
	ck_assert_ptr_nonnull(strstr(output, "tcx/ingress, tcx/egress failed (EPERM)\n"));
	print(&verb_attach, (struct lbctl) { .format = FORMAT_WIDE }, list);
	ck_assert_ptr_nonnull(strstr(output, "192.0.2.9,fd00::9"));
	ck_assert_ptr_nonnull(strstr(output, "xdp skipped (a veth)\n"));
}
END_TEST

START_TEST(status_tells_daemon_source_tables_and_losses)
{
	print(&verb_status, (struct lbctl) { 0 },
	      "{\"instance\":\"edge\",\"version\":\"1\",\"node\":\"n1\",\"pid\":77,\"startedAt\":"
	      "\"2026-01-02T03:04:05Z\",\"uptime\":303,\"source\":{\"source\":\"kube\","
	      "\"connected\":"
	      "false,\"since\":\"2026-01-02T03:05:00Z\",\"error\":\"401\",\"kinds\":[{\"kind\":"
	      "\"Service\",\"listed\":true,\"events\":3},{\"kind\":\"Node\",\"listed\":false,"
	      "\"events\":0}]},\"programmed\":{\"services\":2,\"servicePorts\":3,\"backends\":4,"
	      "\"pending\":0,\"failed\":1},\"latency\":{\"count\":9,\"p50Us\":850,\"p99Us\":12400,"
	      "\"maxUs\":3100000},\"maps\":[{\"name\":\"maglev\",\"entries\":93,"
	      "\"maxEntries\":100,\"nearlyFull\":true},{\"name\":\"backends\",\"entries\":50,"
	      "\"maxEntries\":100,\"nearlyFull\":false}],\"audit\":{\"rounds\":3,\"lastRoundAt\":"
	      "\"2026-01-02T03:06:00Z\",\"repaired\":{\"filter\":2,\"maglev\":1}},"
	      "\"idleProbes\":{\"sent\":7,\"unreachable\":2},\"losses\":[{"
	      "\"reason\":\"mtu\",\"packets\":5}]}");
	ck_assert_str_eq(
		output,
		"Instance:    edge\n"
		"Daemon:      running, pid 77, for 5m3s (since 2026-01-02T03:04:05Z)\n"
		"Version:     1\n"
		"Node:        n1\n"
		"Source:      kube, not connected since 2026-01-02T03:05:00Z\n"
		"Last error:  401\n"
		"Watching:    Service listed, events 3; Node not listed yet, events 0\n"
		"Programmed:  services 2, service ports 3, backends 4, FAILED 1\n"
		"Latency:     event to tables p50 850 us, p99 12.4 ms, max 3.1 s; changes 9\n"
		"Maps:        NEARLY FULL maglev 93%\n"
		"Audit:       rounds 3, the last at 2026-01-02T03:06:00Z; REPAIRED filter 2 maglev "
		"1\n"
		"Idle probes: sent 7, unreachable 2\n"
		"\n"
		"LOSS   PACKETS\n"
		"mtu          5\n");
}
END_TEST

START_TEST(status_tells_whether_there_is_an_audit)
{
	print(&verb_status, (struct lbctl) { 0 },
	      _i ? "{\"snatPorts\":{\"first\":100,\"last\":200},"
		   "\"audit\":{\"rounds\":0,\"periodSeconds\":300,\"repaired\":{}}}"
		 : "{\"audit\":{\"rounds\":0,\"periodSeconds\":0,\"repaired\":{}}}");
	ck_assert_ptr_nonnull(
		strstr(output, _i ? "Audit:       no round yet\n" : "Audit:       off\n"));
	ck_assert_int_eq(strstr(output, "SNAT ports:  100-200\n") != NULL, _i);
}
END_TEST

START_TEST(status_begins_with_what_fails)
{
	print(&verb_status, (struct lbctl) { 0 },
	      "{\"instance\":\"edge\",\"daemon\":\"x\",\"programmed\":{\"failed\":5},\"failures\":["
	      "{\"namespace\":\"a\",\"name\":\"b\",\"since\":\"2026-01-02T03:04:05Z\","
	      "\"message\":\"map maglev: full\"}]}");
	ck_assert_int_eq(strncmp(output,
				 "FAILED       a/b since 2026-01-02T03:04:05Z: map maglev: full\n"
				 "FAILED       and 4 more: lbctl services\nInstance:",
				 110),
			 0);
}
END_TEST

START_TEST(json_is_the_document_in_its_order)
{
	static const char document[] = "{\n  \"kind\": \"X\",\n  \"b\": [\n    1\n  ],\n"
				       "  \"a\": null\n}\n";

	ck_assert_int_eq(print(&verb_status, (struct lbctl) { .format = FORMAT_JSON }, document),
			 LBCTL_OK);
	ck_assert_str_eq(output, document);
}
END_TEST

START_TEST(yaml_is_the_document_in_blocks)
{
	print(&verb_status, (struct lbctl) { .format = FORMAT_YAML },
	      "{\"kind\":\"X\",\"n\":-5,\"list\":[{\"address\":\"10.0.0.1:80\",\"up\":true},[]],"
	      "\"none\":null,\"empty\":{}}");
	ck_assert_str_eq(output, "kind: X\n"
				 "\"n\": -5\n"
				 "list:\n"
				 "- address: \"10.0.0.1:80\"\n"
				 "  up: true\n"
				 "- []\n"
				 "none: null\n"
				 "empty: {}\n");
}
END_TEST

/* Strings must come back as strings, whatever they look like. */
START_TEST(yaml_quotes_what_would_not_be_a_string)
{
	static const struct {
		const char *text;
		bool quoted;
	} rows[] = {
		{ "web", false },      { "true", true },       { "No", true },
		{ "null", true },      { "", true },	       { "5", true },
		{ "1e3", true },       { "0x1f", true },       { "~", true },
		{ "-", true },	       { "*:30080", true },    { "::1", true },
		{ "shop/web", false }, { "2026-01-02", true }, { ".inf", true },
		{ " x", true },
	};

	for (size_t i = 0; i < SL_COUNT(rows); i++) {
		json_t *json = json_pack("{s:s}", "key", rows[i].text);
		char *document = json_dumps(json, 0);
		yaml_parser_t parser;
		yaml_event_t event;
		int scalars = 0;
		bool done = false;

		print(&verb_status, (struct lbctl) { .format = FORMAT_YAML }, document);
		yaml_parser_initialize(&parser);
		yaml_parser_set_input_string(&parser, (unsigned char *)output, strlen(output));
		while (!done) {
			ck_assert_msg(yaml_parser_parse(&parser, &event), "%s", output);
			if (event.type == YAML_SCALAR_EVENT && ++scalars == 2) {
				ck_assert_str_eq((char *)event.data.scalar.value, rows[i].text);
				ck_assert_msg((event.data.scalar.style !=
					       YAML_PLAIN_SCALAR_STYLE) == rows[i].quoted,
					      "%s", output);
			}
			done = event.type == YAML_STREAM_END_EVENT;
			yaml_event_delete(&event);
		}
		ck_assert_int_eq(scalars, 2);
		yaml_parser_delete(&parser);
		free(document);
		json_decref(json);
	}
}
END_TEST

START_TEST(output_that_cannot_be_written_is_an_error)
{
	struct lbctl lbctl = { .out = fopen("/dev/full", "w"), .format = FORMAT_JSON };
	json_t *document = json_pack("{s:s}", "kind", "X");
	size_t len;

	ck_assert_ptr_nonnull(lbctl.out);
	lbctl.err = open_memstream(&complaints, &len);
	ck_assert_int_eq(output_document(&lbctl, &verb_status, document), LBCTL_FAILED);
	fclose(lbctl.err);
	fclose(lbctl.out);
	ck_assert_ptr_nonnull(strstr(complaints, "can't print"));
	json_decref(document);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("lbctl output");
	TCase *tcase = tcase_create("output");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tcase, NULL, teardown);
	tcase_add_test(tcase, ages_have_two_units_at_most);
	tcase_add_test(tcase, bytes_and_microseconds_have_units);
	tcase_add_test(tcase, values_are_found_by_their_path);
	tcase_add_test(tcase, a_table_of_services_is_readable);
	tcase_add_test(tcase, a_service_that_failed_is_shown_with_its_reason);
	tcase_add_loop_test(tcase, status_tells_whether_there_is_an_audit, 0, 2);
	tcase_add_test(tcase, status_begins_with_what_fails);
	tcase_add_test(tcase, a_wide_table_of_services_has_all_there_is);
	tcase_add_test(tcase, headings_can_be_left_out);
	tcase_add_test(tcase, an_empty_list_still_has_its_headings);
	tcase_add_test(tcase, one_service_is_shown_with_frontends_and_backends);
	tcase_add_test(tcase, a_table_of_backends_names_their_services);
	tcase_add_test(tcase, a_table_of_flows_has_ages_and_says_that_it_is_cut);
	tcase_add_test(tcase, a_table_of_maps_tells_how_full_they_are);
	tcase_add_test(tcase, a_table_of_interfaces_shows_what_failed);
	tcase_add_test(tcase, status_tells_daemon_source_tables_and_losses);
	tcase_add_test(tcase, json_is_the_document_in_its_order);
	tcase_add_test(tcase, yaml_is_the_document_in_blocks);
	tcase_add_test(tcase, yaml_quotes_what_would_not_be_a_string);
	tcase_add_test(tcase, output_that_cannot_be_written_is_an_error);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
