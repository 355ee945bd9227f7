/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "objects.h"

#define LEAVE  "'sluice.dev/on-endpoint-removal'"
#define RANGES "'sluice.dev/source-ranges'"

/* Room for a service with these annotations. */
static const char *annotated(const char *annotations)
{
	static char text[512];

	snprintf(text, sizeof(text),
		 "{'metadata':{'name':'web','annotations':{%s}},'spec':{'clusterIP':'10.96.0.1'}}",
		 annotations);
	return text;
}

START_TEST(service_without_annotations_keeps_connections_and_ranges_as_they_are)
{
	static const char *const texts[] = { "", "'other':'x'", LEAVE ":null," RANGES ":null",
					     LEAVE ":''," RANGES ":''",
					     LEAVE ":'keep'," RANGES ":'vip'" };
	sl_auto(service) service = service_of(annotated(texts[_i]));

	ck_assert_int_eq(service->leave, SL_LEAVE_KEEP);
	ck_assert_uint_eq(service->drain_s, 0);
	ck_assert(!service->ranges_everywhere);
}
END_TEST

START_TEST(reset_is_read)
{
	sl_auto(service) service = service_of(annotated(LEAVE ":'reset'"));

	ck_assert_int_eq(service->leave, SL_LEAVE_RESET);
	ck_assert_uint_eq(service->drain_s, 0);
}
END_TEST

static const struct {
	const char *text;
	uint32_t seconds;
} durations[] = {
	{ "30s", 30 },	{ "5m", 300 },	       { "1h30m", 5400 },  { "1h0m1s", 3601 },
	{ "090s", 90 }, { "1h1s", 3601 },      { "168h", 604800 }, { "604800s", 604800 },
	{ "1s", 1 },	{ "167h60m", 604800 },
};

START_TEST(drain_is_read_with_its_duration)
{
	char text[128];

	snprintf(text, sizeof(text), LEAVE ":'drain=%s'", durations[_i].text);

	sl_auto(service) service = service_of(annotated(text));
	ck_assert_int_eq(service->leave, SL_LEAVE_DRAIN);
	ck_assert_uint_eq(service->drain_s, durations[_i].seconds);
}
END_TEST

static const char *const bad_values[] = {
	"Keep",
	"drain",
	"drain=",
	"drain=5",
	"drain=s",
	"drain=-5s",
	"drain=0s",
	"drain=5x",
	"drain=30s1m",
	"drain=1m1m",
	"drain=1.5h",
	"drain= 5s",
	"drain=5s ",
	"drain=169h",
	"drain=168h1s",
	"drain=4294967297s",
	"drain=18446744073709551617s",
	"reset=5s",
	"drain=500ms",
};

START_TEST(bad_leave_policy_is_told_and_connections_are_kept)
{
	char text[128], note[256];

	snprintf(text, sizeof(text), LEAVE ":'%s'", bad_values[_i]);
	snprintf(note, sizeof(note),
		 "Service default/web: metadata.annotations[sluice.dev/on-endpoint-removal]: "
		 "ignored: \"%s\" is not keep, reset or drain=DURATION (1s ... 168h)",
		 bad_values[_i]);

	sl_auto(service) service = service_noted(annotated(text), note);
	ck_assert_int_eq(service->leave, SL_LEAVE_KEEP);
	ck_assert_uint_eq(service->drain_s, 0);
}
END_TEST

START_TEST(source_ranges_may_hold_everywhere)
{
	sl_auto(service) service = service_of(annotated(RANGES ":'all'"));

	ck_assert(service->ranges_everywhere);
}
END_TEST

START_TEST(bad_place_of_source_ranges_is_told_and_vip_holds)
{
	sl_auto(service) service = service_noted(
		annotated(RANGES ":'ALL'"),
		"Service default/web: metadata.annotations[sluice.dev/source-ranges]: ignored: "
		"\"ALL\" is not vip or all");

	ck_assert(!service->ranges_everywhere);
}
END_TEST

START_TEST(annotations_of_another_type_are_refused_by_name)
{
	ck_assert_str_eq(service_error(annotated(LEAVE ":true")),
			 "Service default/web: metadata.annotations[sluice.dev/on-endpoint-removal]"
			 ": is a boolean, not a string");
	ck_assert_str_eq(service_error("{'metadata':{'name':'web','annotations':[]}}"),
			 "Service default/web: metadata.annotations: is a list, not an object");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("annotations");
	TCase *tc = tcase_create("annotations");

	tcase_add_loop_test(
		tc, service_without_annotations_keeps_connections_and_ranges_as_they_are, 0, 5);
	tcase_add_test(tc, reset_is_read);
	tcase_add_loop_test(tc, drain_is_read_with_its_duration, 0, SL_COUNT(durations));
	tcase_add_loop_test(tc, bad_leave_policy_is_told_and_connections_are_kept, 0,
			    SL_COUNT(bad_values));
	tcase_add_test(tc, source_ranges_may_hold_everywhere);
	tcase_add_test(tc, bad_place_of_source_ranges_is_told_and_vip_holds);
	tcase_add_test(tc, annotations_of_another_type_are_refused_by_name);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
