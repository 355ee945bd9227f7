/* SPDX-License-Identifier: Apache-2.0 */
#include <netinet/in.h>
#include <stdio.h>

#include "controlplane/store/intern.h"
#include "objects.h"

#define METADATA                                                                                   \
	"'metadata':{'name':'web-abc','namespace':'shop',"                                         \
	"'labels':{'kubernetes.io/service-name':'web'}}"

/* An IPv4 slice with the given lists. */
#define SLICE(members)	"{" METADATA ",'addressType':'IPv4'," members "}"
#define ENDPOINTS(list) SLICE("'endpoints':[" list "]")
#define PORTS(list)	SLICE("'ports':[" list "]")

START_TEST(slice_is_read)
{
	sl_auto(slice) slice =
		slice_of(SLICE("'ports':[{'name':'http','port':8080,'protocol':'TCP'}],"
			       "'endpoints':[{'addresses':['10.0.1.5'],'nodeName':'node-a',"
			       "'conditions':{'ready':true,'serving':true,'terminating':false}}]"));
	struct sl_addr addr = addr_of("10.0.1.5");

	ck_assert_str_eq(slice->namespace_, "shop");
	ck_assert_str_eq(slice->name, "web-abc");
	ck_assert_str_eq(slice->service, "web");
	ck_assert_uint_eq(slice->family, 4);
	ck_assert_uint_eq(slice->n_ports, 1);
	ck_assert_str_eq(slice->ports[0].name, "http");
	ck_assert_uint_eq(slice->ports[0].port, 8080);
	ck_assert_uint_eq(slice->ports[0].proto, IPPROTO_TCP);
	ck_assert_uint_eq(slice->n_endpoints, 1);
	ck_assert(ip_equal(&slice->endpoints[0].addr, &addr));
	ck_assert_str_eq(slice->endpoints[0].node, "node-a");
	ck_assert(slice->endpoints[0].ready && slice->endpoints[0].serving);
	ck_assert(!slice->endpoints[0].terminating);
}
END_TEST

START_TEST(shared_names_are_interned)
{
	sl_auto(slice) slice = slice_of(
		SLICE("'ports':[{'name':'http','port':80}],'endpoints':[{'addresses':['10.0.1.5'],"
		      "'nodeName':'node-a','hints':{'forZones':[{'name':'zone-a'}]}}]"));
	const char *names[] = { intern_get("shop"), intern_get("web"), intern_get("http"),
				intern_get("node-a"), intern_get("zone-a") };

	ck_assert_ptr_eq(slice->namespace_, names[0]);
	ck_assert_ptr_eq(slice->service, names[1]);
	ck_assert_ptr_eq(slice->ports[0].name, names[2]);
	ck_assert_ptr_eq(slice->endpoints[0].node, names[3]);
	ck_assert_ptr_eq(slice->endpoints[0].zones[0], names[4]);
	for (size_t i = 0; i < SL_COUNT(names); i++)
		intern_put(names[i]);
}
END_TEST

START_TEST(slice_without_the_label_names_no_service)
{
	sl_auto(slice) none = slice_of("{'metadata':{'name':'x'},'addressType':'IPv4'}");
	sl_auto(slice) other = slice_of("{'metadata':{'name':'x','labels':{'app':'web'}},"
					"'addressType':'IPv4'}");

	ck_assert_str_eq(none->service, "");
	ck_assert_str_eq(other->service, "");
}
END_TEST

START_TEST(ipv6_slice_is_read)
{
	sl_auto(slice) slice = slice_of("{" METADATA ",'addressType':'IPv6','endpoints':["
					"{'addresses':['2001:DB8:0::5']}]}");
	struct sl_addr addr = addr_of("2001:db8::5");

	ck_assert_uint_eq(slice->family, 6);
	ck_assert(ip_equal(&slice->endpoints[0].addr, &addr));
}
END_TEST

static const char *const other_types[] = { "FQDN", "ipv4", "IPv7", "" };

START_TEST(slice_of_another_address_type_has_no_effect_and_is_told)
{
	char text[512], note[256];

	snprintf(text, sizeof(text),
		 "{" METADATA ",'addressType':'%s','ports':[{'name':'a','port':80}],"
		 "'endpoints':[{'addresses':['example.org']}]}",
		 other_types[_i]);
	snprintf(note, sizeof(note),
		 "EndpointSlice shop/web-abc: addressType: slice ignored: \"%s\" is not IPv4 or "
		 "IPv6",
		 other_types[_i]);

	sl_auto(slice) slice = slice_noted(text, note);

	ck_assert_uint_eq(slice->family, 0);
	ck_assert_uint_eq(slice->n_endpoints, 0);
}
END_TEST

START_TEST(port_without_a_name_is_left_out_but_an_empty_name_counts)
{
	sl_auto(slice) slice =
		slice_of(PORTS("{'port':80},{'name':null,'port':81},{'name':'','port':82}"));

	ck_assert_uint_eq(slice->n_ports, 1);
	ck_assert_str_eq(slice->ports[0].name, "");
	ck_assert_uint_eq(slice->ports[0].port, 82);
}
END_TEST

START_TEST(port_without_a_number_is_left_out)
{
	sl_auto(slice) slice =
		slice_of(PORTS("{'name':'a'},{'name':'b','port':null},{'name':'c','port':0},"
			       "{'name':'d','port':84,'protocol':'SCTP'}"));

	ck_assert_uint_eq(slice->n_ports, 1);
	ck_assert_str_eq(slice->ports[0].name, "d");
	ck_assert_uint_eq(slice->ports[0].proto, IPPROTO_SCTP);
}
END_TEST

START_TEST(only_the_first_address_counts)
{
	sl_auto(slice) slice = slice_of(ENDPOINTS("{'addresses':['010.0.1.5','10.0.1.6']}"));
	struct sl_addr addr = addr_of("10.0.1.5");

	ck_assert_uint_eq(slice->n_endpoints, 1);
	ck_assert(ip_equal(&slice->endpoints[0].addr, &addr));
}
END_TEST

START_TEST(endpoint_without_addresses_is_left_out)
{
	sl_auto(slice) slice = slice_of(
		ENDPOINTS("{'addresses':[]},{'addresses':null,'nodeName':'node-a'},"
			  "{'hints':{'forZones':[{'name':'a'}]}},{'addresses':['10.0.1.5']}"));

	ck_assert_uint_eq(slice->n_endpoints, 1);
	ck_assert_ptr_null(slice->endpoints[0].node);
	ck_assert_uint_eq(slice->endpoints[0].n_zones, 0);
}
END_TEST

START_TEST(endpoint_with_a_bad_address_is_skipped_and_told)
{
	sl_auto(slice) slice = slice_noted(
		ENDPOINTS("{'addresses':['10.0.1.5']},{'addresses':['10.0.1'],'nodeName':'n'}"),
		"EndpointSlice shop/web-abc: endpoints[1].addresses[0]: skipped: \"10.0.1\" is no "
		"IP address");

	ck_assert_uint_eq(slice->n_endpoints, 1);
}
END_TEST

START_TEST(endpoint_of_the_other_family_is_skipped_and_told)
{
	sl_auto(slice) slice = slice_noted(
		ENDPOINTS("{'addresses':['2001:db8::1']},{'addresses':['10.0.1.5']}"),
		"EndpointSlice shop/web-abc: endpoints[0].addresses[0]: skipped: \"2001:db8::1\" "
		"is not IPv4");

	ck_assert_uint_eq(slice->n_endpoints, 1);
}
END_TEST

static const struct {
	const char *conditions;
	bool ready, serving, terminating;
} conditions[] = {
	{ "null", true, true, false },
	{ "{}", true, true, false },
	{ "{'ready':null,'serving':null,'terminating':null}", true, true, false },
	{ "{'ready':false}", false, true, false },
	{ "{'ready':false,'serving':false,'terminating':true}", false, false, true },
	{ "{'serving':true,'terminating':true}", true, true, true },
};

START_TEST(conditions_that_are_not_set_have_their_defaults)
{
	char text[512];

	snprintf(text, sizeof(text),
		 "{" METADATA ",'addressType':'IPv4','endpoints':[{'addresses':['10.0.1.5'],"
		 "'conditions':%s}]}",
		 conditions[_i].conditions);

	sl_auto(slice) slice = slice_of(text);

	ck_assert_int_eq(slice->endpoints[0].ready, conditions[_i].ready);
	ck_assert_int_eq(slice->endpoints[0].serving, conditions[_i].serving);
	ck_assert_int_eq(slice->endpoints[0].terminating, conditions[_i].terminating);
}
END_TEST

START_TEST(hints_are_read)
{
	sl_auto(slice) slice =
		slice_of(ENDPOINTS("{'addresses':['10.0.1.5'],'hints':{'forZones':[{'name':'a'},"
				   "{'name':''}],'forNodes':[{'name':'node-b'}]}},"
				   "{'addresses':['10.0.1.6'],'hints':{'forZones':null}}"));

	ck_assert_uint_eq(slice->endpoints[0].n_zones, 2);
	ck_assert_str_eq(slice->endpoints[0].zones[0], "a");
	ck_assert_str_eq(slice->endpoints[0].zones[1], "");
	ck_assert_uint_eq(slice->endpoints[0].n_nodes, 1);
	ck_assert_str_eq(slice->endpoints[0].nodes[0], "node-b");
	ck_assert_uint_eq(slice->endpoints[1].n_zones, 0);
	ck_assert_uint_eq(slice->endpoints[1].n_nodes, 0);
}
END_TEST

START_TEST(null_lists_are_empty)
{
	sl_auto(slice) slice = slice_of(SLICE("'ports':null,'endpoints':null"));

	ck_assert_uint_eq(slice->n_ports, 0);
	ck_assert_uint_eq(slice->n_endpoints, 0);
}
END_TEST

START_TEST(slice_of_a_thousand_endpoints_is_read_whole)
{
	json_t *json = json_of("{" METADATA ",'addressType':'IPv4'}"), *list = json_array();
	struct slice *slice = NULL;
	char error[OBJECT_ERROR_MAX], text[IP_TEXT_MAX];

	for (int i = 0; i < 1000; i++) {
		snprintf(text, sizeof(text), "10.0.%d.%d", i / 250, i % 250 + 1);
		json_array_append_new(list, json_pack("{s:[s]}", "addresses", text));
	}
	json_object_set_new(json, "endpoints", list);
	ck_assert_int_eq(slice_parse(json, &slice, error), 0);
	ck_assert_uint_eq(slice->n_endpoints, 1000);
	slice_free(slice);
	json_decref(json);
}
END_TEST

static const struct {
	const char *text, *error;
} refused[] = {
	{ "'slice'", "EndpointSlice ?: is not an object" },
	{ "{'metadata':{}}", "EndpointSlice ?: metadata.name: missing" },
	{ "{'metadata':{'name':'x','labels':[]}}",
	  "EndpointSlice default/x: metadata.labels: is a list, not an object" },
	{ "{'metadata':{'name':'x','labels':{'kubernetes.io/service-name':1}}}",
	  "EndpointSlice default/x: metadata.labels[kubernetes.io/service-name]: is a number, not "
	  "a string" },
	{ "{" METADATA ",'addressType':4}",
	  "EndpointSlice shop/web-abc: addressType: is a number, not a string" },
	{ SLICE("'ports':'80'"), "EndpointSlice shop/web-abc: ports: is a string, not a list" },
	{ PORTS("[]"), "EndpointSlice shop/web-abc: ports[0]: is a list, not an object" },
	{ PORTS("{'name':'a','port':65536}"),
	  "EndpointSlice shop/web-abc: ports[0].port: 65536 is not in 0 ... 65535" },
	{ PORTS("{'name':'a','port':-5}"),
	  "EndpointSlice shop/web-abc: ports[0].port: -5 is not in 0 ... 65535" },
	{ PORTS("{'name':'a','port':1,'protocol':'QUIC'}"),
	  "EndpointSlice shop/web-abc: ports[0].protocol: \"QUIC\" is not TCP, UDP or SCTP" },
	{ PORTS("{'name':7,'port':1}"),
	  "EndpointSlice shop/web-abc: ports[0].name: is a number, not a string" },
	{ SLICE("'endpoints':{}"),
	  "EndpointSlice shop/web-abc: endpoints: is an object, not a list" },
	{ ENDPOINTS("null"), "EndpointSlice shop/web-abc: endpoints[0]: missing" },
	{ ENDPOINTS("{'addresses':'10.0.1.5'}"),
	  "EndpointSlice shop/web-abc: endpoints[0].addresses: is a string, not a list" },
	{ ENDPOINTS("{'addresses':[{}]}"),
	  "EndpointSlice shop/web-abc: endpoints[0].addresses[0]: is an object, not a string" },
	{ ENDPOINTS("{'addresses':['10.0.1.5'],'conditions':[]}"),
	  "EndpointSlice shop/web-abc: endpoints[0].conditions: is a list, not an object" },
	{ ENDPOINTS("{'addresses':['10.0.1.5'],'conditions':{'ready':'yes'}}"),
	  "EndpointSlice shop/web-abc: endpoints[0].conditions.ready: is a string, not a "
	  "boolean" },
	{ ENDPOINTS("{'addresses':['10.0.1.5'],'nodeName':{}}"),
	  "EndpointSlice shop/web-abc: endpoints[0].nodeName: is an object, not a string" },
	{ ENDPOINTS("{'addresses':['10.0.1.5'],'nodeName':'n',"
		    "'hints':{'forZones':[{'name':'a'},'b']}}"),
	  "EndpointSlice shop/web-abc: endpoints[0].hints.forZones[1]: is a string, not an "
	  "object" },
	{ ENDPOINTS("{'addresses':['10.0.1.5'],'hints':{'forNodes':[{'name':3}]}}"),
	  "EndpointSlice shop/web-abc: endpoints[0].hints.forNodes[0].name: is a number, not a "
	  "string" },
};

START_TEST(malformed_slice_is_refused_by_object_and_field)
{
	ck_assert_str_eq(slice_error(refused[_i].text), refused[_i].error);
}
END_TEST

START_TEST(more_hints_than_can_be_counted_are_refused)
{
	json_t *json = json_of(ENDPOINTS("{'addresses':['10.0.1.5'],'hints':{'forZones':[]}}"));
	json_t *endpoint = json_array_get(json_object_get(json, "endpoints"), 0);
	json_t *zones = json_object_get(json_object_get(endpoint, "hints"), "forZones");
	struct slice *slice = NULL;
	char error[OBJECT_ERROR_MAX];

	for (int i = 0; i < 65536; i++)
		json_array_append_new(zones, json_pack("{s:s}", "name", "a"));
	ck_assert_int_eq(slice_parse(json, &slice, error), -EINVAL);
	ck_assert_str_eq(error, "EndpointSlice shop/web-abc: endpoints[0].hints.forZones: has more "
				"than 65535 entries");
	json_decref(json);
}
END_TEST

#define TRIGGERED(time)                                                                            \
	"{'metadata':{'name':'web-abc','namespace':'shop','annotations':"                          \
	"{'endpoints.kubernetes.io/last-change-trigger-time':'" time "'}},'addressType':'IPv4'}"

/* 2026-01-02T03:04:05Z */
#define MOMENT (1767323045LL * 1000000000)

static const struct {
	const char *text;
	int64_t want;
} triggers[] = {
	{ TRIGGERED("2026-01-02T03:04:05Z"), MOMENT },
	{ TRIGGERED("2026-01-02T03:04:05.5Z"), MOMENT + 500000000 },
	{ TRIGGERED("2026-01-02T03:04:05.000000001Z"), MOMENT + 1 },
	{ TRIGGERED("2026-01-02T03:04:05.123456789Z"), MOMENT + 123456789 },
	{ TRIGGERED("2026-01-02T05:34:05+02:30"), MOMENT },
	{ TRIGGERED("2026-01-01T20:04:05-07:00"), MOMENT },
	{ TRIGGERED("2024-02-29T00:00:00Z"), 1709164800LL * 1000000000 },
	{ TRIGGERED(""), 0 },
	{ "{'metadata':{'name':'web-abc'},'addressType':'IPv4'}", 0 },
};

START_TEST(time_of_the_trigger_is_read)
{
	struct slice *slice = slice_of(triggers[_i].text);

	ck_assert_int_eq(slice->triggered_ns, triggers[_i].want);
	slice_free(slice);
}
END_TEST

static const char *const no_times[] = {
	"now",
	"2026-01-02",
	"2026-01-02T03:04:05",
	"2026-01-02 03:04:05Z",
	"2026-02-30T03:04:05Z",
	"2026-13-01T03:04:05Z",
	"2026-00-01T03:04:05Z",
	"2026-01-00T03:04:05Z",
	"2026-01-02T24:04:05Z",
	"2026-01-02T03:60:05Z",
	"2026-01-02T03:04:60Z",
	"2026-01-02T03:04:05.Z",
	"2026-01-02T03:04:05.1234567890Z",
	"2026-01-02T03:04:05+1:00",
	"2026-01-02T03:04:05+01:60",
	"2026-01-02T03:04:05+01:00x",
	"1969-01-02T03:04:05Z",
	"-026-01-02T03:04:05Z",
	"9999-01-02T03:04:05Z",
};

START_TEST(what_is_no_time_is_told_and_the_slice_kept)
{
	char text[512], note[512];
	struct slice *slice;

	snprintf(text, sizeof(text), TRIGGERED("%s"), no_times[_i]);
	snprintf(note, sizeof(note),
		 "EndpointSlice shop/web-abc: metadata.annotations[endpoints.kubernetes.io/"
		 "last-change-trigger-time]: ignored: \"%s\" is no time",
		 no_times[_i]);
	slice = slice_noted(text, note);
	ck_assert_int_eq(slice->triggered_ns, 0);
	slice_free(slice);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("parse_slice");
	TCase *good = tcase_create("good"), *bad = tcase_create("bad");

	tcase_add_test(good, slice_is_read);
	tcase_add_test(good, shared_names_are_interned);
	tcase_add_test(good, slice_without_the_label_names_no_service);
	tcase_add_test(good, ipv6_slice_is_read);
	tcase_add_loop_test(good, slice_of_another_address_type_has_no_effect_and_is_told, 0,
			    SL_COUNT(other_types));
	tcase_add_test(good, port_without_a_name_is_left_out_but_an_empty_name_counts);
	tcase_add_test(good, port_without_a_number_is_left_out);
	tcase_add_test(good, only_the_first_address_counts);
	tcase_add_test(good, endpoint_without_addresses_is_left_out);
	tcase_add_test(good, endpoint_with_a_bad_address_is_skipped_and_told);
	tcase_add_test(good, endpoint_of_the_other_family_is_skipped_and_told);
	tcase_add_loop_test(good, conditions_that_are_not_set_have_their_defaults, 0,
			    SL_COUNT(conditions));
	tcase_add_test(good, hints_are_read);
	tcase_add_test(good, null_lists_are_empty);
	tcase_add_loop_test(good, time_of_the_trigger_is_read, 0, SL_COUNT(triggers));
	tcase_add_loop_test(good, what_is_no_time_is_told_and_the_slice_kept, 0,
			    SL_COUNT(no_times));
	tcase_add_test(good, slice_of_a_thousand_endpoints_is_read_whole);
	tcase_add_loop_test(bad, malformed_slice_is_refused_by_object_and_field, 0,
			    SL_COUNT(refused));
	tcase_add_test(bad, more_hints_than_can_be_counted_are_refused);
	suite_add_tcase(suite, good);
	suite_add_tcase(suite, bad);
	return run_suite(suite);
}
