/* SPDX-License-Identifier: Apache-2.0 */

/* Prometheus' text format, its histograms, and the list of metrics. */

#include <check.h>
#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "controlplane/metrics/page.h"

static struct page page;

static void done(void)
{
	page_clear(&page);
}

/* What was written after HELP and TYPE of the one metric. */
static const char *samples(void)
{
	const char *type = strstr(page.data, "\n# TYPE ");

	ck_assert_ptr_nonnull(type);
	return strchr(type + 1, '\n') + 1;
}

START_TEST(metric_has_help_and_type_before_its_samples)
{
	page_one_count(&page, METRIC_SERVICES, 18446744073709551615ULL);
	ck_assert_str_eq(page.data, "# HELP sluice_services Services that are programmed.\n"
				    "# TYPE sluice_services gauge\n"
				    "sluice_services 18446744073709551615\n");
	ck_assert_uint_eq(page.len, strlen(page.data));
}
END_TEST

START_TEST(labels_come_in_the_catalogs_order_and_are_escaped)
{
	page_one_count(&page, METRIC_REST_REQUESTS, 3, "<error>", "a\\b\"c\nd", "");
	ck_assert_str_eq(samples(), "rest_client_requests_total{code=\"<error>\","
				    "host=\"a\\\\b\\\"c\\nd\",method=\"\"} 3\n");
}
END_TEST

START_TEST(numbers_are_exact_and_short)
{
	static const struct {
		double value;
		const char *text;
	} rows[] = {
		{ 0, "0" },	      { 0.25, "0.25" },
		{ -1.5, "-1.5" },     { 1764000000.125, "1764000000.125" },
		{ 0.1, "0.1" },	      { 1.0 / 3, "0.3333333333333333" },
		{ INFINITY, "+Inf" },
	};

	for (size_t i = 0; i < SL_COUNT(rows); i++) {
		char want[64];

		page_one_number(&page, METRIC_CPU_SECONDS, rows[i].value);
		snprintf(want, sizeof(want), "process_cpu_seconds_total %s\n", rows[i].text);
		ck_assert_str_eq(samples(), want);
		page_clear(&page);
	}
}
END_TEST

START_TEST(buckets_are_cumulative_and_hold_their_bound)
{
	static const double bounds[] = { 0.25, 1, 5 };
	static const double values[] = { 0.25, 0.250001, 1, 5.5, 0 };
	struct histogram histogram;

	histogram_init(&histogram, bounds);
	for (size_t i = 0; i < SL_COUNT(values); i++)
		histogram_add(&histogram, values[i]);
	page_begin(&page, METRIC_NETWORK_PROGRAMMING);
	page_histogram(&page, &histogram, "IPv4");
#define NAME "kubeproxy_network_programming_duration_seconds"
	ck_assert_str_eq(samples(), NAME "_bucket{ip_family=\"IPv4\",le=\"0.25\"} 2\n" NAME
					 "_bucket{ip_family=\"IPv4\",le=\"1\"} 4\n" NAME
					 "_bucket{ip_family=\"IPv4\",le=\"5\"} 4\n" NAME
					 "_bucket{ip_family=\"IPv4\",le=\"+Inf\"} 5\n" NAME
					 "_sum{ip_family=\"IPv4\"} 7.000001\n" NAME
					 "_count{ip_family=\"IPv4\"} 5\n");
}
END_TEST

START_TEST(histogram_without_labels_has_le_alone)
{
	struct histogram histogram;

	histogram_init(&histogram, histogram_sync_bounds);
	page_begin(&page, METRIC_CHANGE_DURATION);
	page_histogram(&page, &histogram);
	ck_assert_ptr_nonnull(strstr(page.data, "_seconds_bucket{le=\"16.384\"} 0\n"));
	ck_assert_ptr_nonnull(strstr(page.data, "\nsluice_change_duration_seconds_sum 0\n"));
}
END_TEST

/* S-230 */
START_TEST(bounds_are_kube_proxys)
{
	double bound = 0.001;

	for (size_t i = 0; i < 15; i++, bound *= 2)
		ck_assert_double_eq_tol(histogram_sync_bounds[i], bound, 1e-9);
	for (size_t i = 1; i < 80; i++) {
		double step = histogram_programming_bounds[i] - histogram_programming_bounds[i - 1];
		double from = histogram_programming_bounds[i - 1];

		ck_assert_double_eq(step, from < 0.5   ? 0.25
					  : from < 1   ? 0.5
					  : from < 60  ? 1
					  : from < 115 ? 5
					  : from < 120 ? 5
						       : 30);
	}
	ck_assert_double_eq(histogram_programming_bounds[0], 0.25);
	ck_assert_double_eq(histogram_programming_bounds[79], 300);
}
END_TEST

static bool is_name(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (!islower((unsigned char)text[i]) && text[i] != '_' &&
		    !(i && isdigit((unsigned char)text[i])))
			return false;
	return len > 0;
}

START_TEST(catalog_keeps_prometheus_rules)
{
	for (size_t i = 0; i < METRIC_MAX; i++) {
		const struct metric_entry *entry = &metric_catalog[i];
		const char *label = entry->labels;

		ck_assert_msg(is_name(entry->name, strlen(entry->name)), "%s", entry->name);
		ck_assert_msg(strlen(entry->help) > 0, "%s", entry->name);
		for (size_t j = 0; j < i; j++)
			ck_assert_str_ne(metric_catalog[j].name, entry->name);
		while (*label) {
			size_t len = strcspn(label, ",");

			ck_assert_msg(is_name(label, len) && strncmp(label, "le,", len + 1) != 0,
				      "%s: %s", entry->name, label);
			label += len + (label[len] == ',');
		}
	}
}
END_TEST

START_TEST(documentation_has_the_same_list)
{
	static char text[65536];
	char path[512], row[1024];
	size_t rows = 0;

	/* From test/unit/ of the sources, wherever the test runs. */
	snprintf(path, sizeof(path), "%s", __FILE__);
	char *end = strstr(path, "test/unit/");
	ck_assert_ptr_nonnull(end);
	snprintf(end, sizeof(path) - (size_t)(end - path), "docs/metrics.md");
	FILE *in = fopen(path, "r");
	ck_assert_msg(in != NULL, "%s", path);
	text[fread(text, 1, sizeof(text) - 1, in)] = '\0';
	fclose(in);
	for (size_t i = 0; i < METRIC_MAX; i++) {
		const struct metric_entry *entry = &metric_catalog[i];

		snprintf(row, sizeof(row), "\n| `%s` | %s | %s | %s |\n", entry->name,
			 metric_type_name(entry->type), entry->labels, entry->help);
		ck_assert_msg(strstr(text, row) != NULL, "docs/metrics.md lacks%s", row);
	}
	for (const char *at = text; (at = strstr(at, "\n| `")); at++)
		rows++;
	ck_assert_uint_eq(rows, METRIC_MAX);
}
END_TEST

START_TEST(a_long_page_is_whole)
{
	page_begin(&page, METRIC_SERVICE_CONNECTIONS);
	for (uint64_t i = 0; i < 20000; i++)
		page_count(&page, i, "default", "web", "http", "tcp", "IPv4");
	ck_assert(!page.no_memory);
	ck_assert_uint_gt(page.len, 20000 * 60);
	ck_assert_uint_eq(page.len, strlen(page.data));
	ck_assert_ptr_nonnull(strstr(page.data, "ip_family=\"IPv4\"} 19999\n"));
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("page");
	TCase *tc = tcase_create("page");

	tcase_add_checked_fixture(tc, NULL, done);
	tcase_add_test(tc, metric_has_help_and_type_before_its_samples);
	tcase_add_test(tc, labels_come_in_the_catalogs_order_and_are_escaped);
	tcase_add_test(tc, numbers_are_exact_and_short);
	tcase_add_test(tc, buckets_are_cumulative_and_hold_their_bound);
	tcase_add_test(tc, histogram_without_labels_has_le_alone);
	tcase_add_test(tc, bounds_are_kube_proxys);
	tcase_add_test(tc, catalog_keeps_prometheus_rules);
	tcase_add_test(tc, documentation_has_the_same_list);
	tcase_add_test(tc, a_long_page_is_whole);
	suite_add_tcase(s, tc);
	return s;
}

int main(void)
{
	SRunner *runner = srunner_create(suite());
	int failed;

	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
