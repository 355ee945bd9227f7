/* SPDX-License-Identifier: Apache-2.0 */

/* The command line: options, verbs and help. Nothing is asked of anybody. */

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "tools/lbctl/lbctl.h"

#define ARGS_MAX 12

static struct lbctl got;
static unsigned int groups;
static char error[LBCTL_ERROR_MAX];
static char *output, *complaints;

/* Splits a line at single blanks. */
static int split(const char *line, char copy[512], char *argv[ARGS_MAX])
{
	int argc = 0;

	snprintf(copy, 512, "lbctl %s", line);
	for (char *word = strtok(copy, " "); word; word = strtok(NULL, " "))
		argv[argc++] = word;
	return argc;
}

static int parse(const char *line)
{
	static char copy[512];
	char *argv[ARGS_MAX];
	int argc = split(line, copy, argv);

	memset(&got, 0, sizeof(got));
	error[0] = 0;
	return options_parse(argc, argv, &got, &groups, error);
}

static int run(const char *line)
{
	char copy[512], *argv[ARGS_MAX];
	size_t out_len, err_len;
	FILE *out, *err;
	int code;

	free(output);
	free(complaints);
	out = open_memstream(&output, &out_len);
	err = open_memstream(&complaints, &err_len);
	code = lbctl_run(split(line, copy, argv), argv, out, err);
	fclose(out);
	fclose(err);
	return code;
}

static void teardown(void)
{
	free(output);
	free(complaints);
	output = complaints = NULL;
}

START_TEST(defaults_are_the_documented_ones)
{
	ck_assert_int_eq(parse("status"), 0);
	ck_assert_str_eq(got.instance, "default");
	ck_assert_str_eq(got.run_dir, "/run/sluice");
	ck_assert_str_eq(got.bpffs, "/sys/fs/bpf");
	ck_assert_int_eq(got.format, FORMAT_TABLE);
	ck_assert_uint_eq(got.limit, 1000);
	ck_assert_uint_eq(got.n_words, 1);
	ck_assert_ptr_null(got.client);
}
END_TEST

START_TEST(an_option_is_written_in_any_usual_way)
{
	static const char *const lines[] = {
		"-i edge status",	  "status -i edge",	    "-iedge status",
		"--instance edge status", "--instance=edge status", "status -i=edge",
	};

	for (size_t i = 0; i < SL_COUNT(lines); i++) {
		ck_assert_msg(!parse(lines[i]), "%s: %s", lines[i], error);
		ck_assert_str_eq(got.instance, "edge");
		ck_assert_uint_eq(got.n_words, 1);
		ck_assert_str_eq(got.words[0], "status");
	}
}
END_TEST

START_TEST(every_format_is_known)
{
	static const struct {
		const char *line;
		enum lbctl_format want;
	} rows[] = {
		{ "-o table", FORMAT_TABLE },
		{ "-o wide", FORMAT_WIDE },
		{ "-ojson", FORMAT_JSON },
		{ "--output=yaml", FORMAT_YAML },
	};

	for (size_t i = 0; i < SL_COUNT(rows); i++) {
		ck_assert_int_eq(parse(rows[i].line), 0);
		ck_assert_int_eq(got.format, rows[i].want);
	}
}
END_TEST

START_TEST(what_is_wrong_with_an_option_is_said)
{
	static const struct {
		const char *line, *want;
	} rows[] = {
		{ "-o xml", "--output: \"xml\" is not table, wide, json or yaml" },
		{ "--output=", "--output: \"\"" },
		{ "-o", "--output: needs a value: FORMAT" },
		{ "--client", "--client: needs a value: ADDRESS" },
		{ "--client=", "--client: needs a value" },
		{ "--colour", "--colour: no such option" },
		{ "-x", "-x: no such option" },
		{ "-", "-: no such option" },
		{ "--help=yes", "--help takes no value" },
		{ "--limit 0", "--limit: \"0\" is not a number from 1 to 20000" },
		{ "--limit 20001", "--limit: \"20001\"" },
		{ "--limit=-1", "--limit: \"-1\"" },
		{ "--limit 7x", "--limit: \"7x\"" },
		{ "-i Big", "--instance: \"Big\"" },
		{ "-i a/b", "--instance: \"a/b\"" },
		{ "-i 123456789012345678901234567890123", "--instance:" },
		{ "a b c d e", "e: one word too many" },
	};

	for (size_t i = 0; i < SL_COUNT(rows); i++) {
		ck_assert_msg(parse(rows[i].line) < 0, "%s", rows[i].line);
		ck_assert_msg(strstr(error, rows[i].want), "%s: %s", rows[i].line, error);
	}
}
END_TEST

START_TEST(two_dashes_end_the_options)
{
	ck_assert_int_eq(parse("-o json -- service get -o"), 0);
	ck_assert_int_eq(got.format, FORMAT_JSON);
	ck_assert_uint_eq(got.n_words, 3);
	ck_assert_str_eq(got.words[2], "-o");
}
END_TEST

START_TEST(filters_are_taken_as_they_are)
{
	ck_assert_int_eq(parse("flows --client fd00::/8 --service=a/b:c --backend [fd00::1]:80 "
			       "--limit 5"),
			 0);
	ck_assert_str_eq(got.client, "fd00::/8");
	ck_assert_str_eq(got.service, "a/b:c");
	ck_assert_str_eq(got.backend, "[fd00::1]:80");
	ck_assert_uint_eq(got.limit, 5);
	ck_assert_uint_eq(groups, OPTION_FLOW_FILTER);
}
END_TEST

START_TEST(verbs_are_found_by_noun_plural_and_name)
{
	static const struct {
		const char *words[2];
		const struct verb *want;
		size_t used;
	} rows[] = {
		{ { "status" }, &verb_status, 1 },
		{ { "service", "list" }, &verb_service_list, 2 },
		{ { "services", "list" }, &verb_service_list, 2 },
		{ { "services" }, &verb_service_list, 1 },
		{ { "service" }, &verb_service_list, 1 },
		{ { "service", "get" }, &verb_service_get, 2 },
		{ { "services", "get" }, &verb_service_get, 2 },
		{ { "backends" }, &verb_backend_list, 1 },
		{ { "flows" }, &verb_flow_list, 1 },
		{ { "attach" }, &verb_attach, 1 },
		{ { "map", "list" }, &verb_map_list, 2 },
		{ { "version" }, &verb_version, 1 },
		{ { "help", "status" }, &verb_help, 1 },
		{ { "service", "delete" }, NULL, 0 },
		{ { "get", "service" }, NULL, 0 },
		{ { "statuses" }, NULL, 0 },
	};

	for (size_t i = 0; i < SL_COUNT(rows); i++) {
		size_t used = 0, n = rows[i].words[1] ? 2 : 1;

		ck_assert_msg(verb_find(rows[i].words, n, &used) == rows[i].want, "row %zu", i);
		ck_assert_uint_eq(used, rows[i].used);
	}
	ck_assert_ptr_null(verb_find(NULL, 0, NULL));
}
END_TEST

START_TEST(a_wrong_command_line_is_usage)
{
	static const struct {
		const char *line, *want;
	} rows[] = {
		{ "", "Usage: lbctl VERB" },
		{ "frobnicate", "no such verb: frobnicate: see lbctl help" },
		{ "service delete a/b", "service has no verb \"delete\": see lbctl help service" },
		{ "service get", "service get: needs NAMESPACE/NAME" },
		{ "service get web", "\"web\" is not NAMESPACE/NAME" },
		{ "service get /web", "\"/web\" is not NAMESPACE/NAME" },
		{ "service get a/", "\"a/\" is not NAMESPACE/NAME" },
		{ "service get a/b/c", "\"a/b/c\" is not NAMESPACE/NAME" },
		{ "service get a b", "one word too many: b" },
		{ "status now", "status: one word too many: now" },
		{ "services --client 10.0.0.1", "service list: does not take --client" },
		{ "status -o xml", "see lbctl help" },
		{ "help frobnicate", "no such verb: frobnicate" },
		{ "help service list now", "no such verb" },
	};

	for (size_t i = 0; i < SL_COUNT(rows); i++) {
		ck_assert_msg(run(rows[i].line) == LBCTL_USAGE, "%s", rows[i].line);
		ck_assert_msg(strstr(complaints, rows[i].want), "%s: %s", rows[i].line, complaints);
		ck_assert_str_eq(output, "");
	}
}
END_TEST

START_TEST(help_lists_every_verb_and_the_exit_codes)
{
	ck_assert_int_eq(run("--help"), LBCTL_OK);
	for (const struct verb *const *verb = verbs; *verb; verb++) {
		char name[64];

		ck_assert_ptr_nonnull(strstr(output, verb_name(*verb, name)));
		ck_assert_ptr_nonnull(strstr(output, (*verb)->summary));
	}
	ck_assert_ptr_nonnull(strstr(output, "Exit codes:\n  0   done\n"));
	ck_assert_str_eq(complaints, "");
}
END_TEST

START_TEST(every_verb_has_help_in_both_ways)
{
	for (const struct verb *const *verb = verbs; *verb; verb++) {
		char name[64], line[128], *first;

		snprintf(line, sizeof(line), "help %s", verb_name(*verb, name));
		ck_assert_int_eq(run(line), LBCTL_OK);
		ck_assert_ptr_nonnull(strstr(output, "Usage: lbctl "));
		ck_assert_ptr_nonnull(strstr(output, name));
		ck_assert_ptr_nonnull(strstr(output, "--instance NAME"));
		ck_assert_ptr_nonnull(strstr(output, "Exit codes:"));
		first = strdup(output);
		snprintf(line, sizeof(line), "%s --help", name);
		ck_assert_int_eq(run(line), LBCTL_OK);
		ck_assert_str_eq(output, first);
		free(first);
	}
}
END_TEST

START_TEST(help_of_flow_list_has_its_filters_and_others_have_not)
{
	run("help flows");
	ck_assert_ptr_nonnull(strstr(output, "--client ADDRESS"));
	ck_assert_ptr_nonnull(strstr(output, "--limit N"));
	run("help status");
	ck_assert_ptr_null(strstr(output, "--client"));
}
END_TEST

START_TEST(help_of_a_noun_lists_its_verbs)
{
	ck_assert_int_eq(run("help service"), LBCTL_OK);
	ck_assert_ptr_nonnull(strstr(output, "service list"));
	ck_assert_ptr_nonnull(strstr(output, "service get NAMESPACE/NAME"));
	ck_assert_ptr_null(strstr(output, "backend list"));
}
END_TEST

START_TEST(version_is_told_in_every_format)
{
	ck_assert_int_eq(run("version"), LBCTL_OK);
	ck_assert_str_eq(output, "lbctl " SLUICE_VERSION "\n");
	ck_assert_int_eq(run("--version"), LBCTL_OK);
	ck_assert_str_eq(output, "lbctl " SLUICE_VERSION "\n");
	ck_assert_int_eq(run("version -o json"), LBCTL_OK);
	json_t *document = json_loads(output, 0, NULL);
	ck_assert_str_eq(json_string_value(json_object_get(document, "kind")), "Version");
	json_decref(document);
	ck_assert_int_eq(run("version -o yaml"), LBCTL_OK);
	ck_assert_ptr_nonnull(strstr(output, "kind: Version\n"));
}
END_TEST

START_TEST(paths_are_escaped_and_bounded)
{
	char path[16] = "/v1/";

	ck_assert_int_eq(path_escape(path, sizeof(path), "a/b "), 0);
	ck_assert_str_eq(path, "/v1/a%2Fb%20");
	ck_assert_int_lt(path_escape(path, sizeof(path), "12/"), 0);
	strcpy(path, "/v1/");
	ck_assert_int_eq(path_add(path, sizeof(path), "12345678901"), 0);
	ck_assert_int_lt(path_add(path, sizeof(path), "x"), 0);
	ck_assert_str_eq(path, "/v1/12345678901");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("lbctl options");
	TCase *tcase = tcase_create("options");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tcase, NULL, teardown);
	tcase_add_test(tcase, defaults_are_the_documented_ones);
	tcase_add_test(tcase, an_option_is_written_in_any_usual_way);
	tcase_add_test(tcase, every_format_is_known);
	tcase_add_test(tcase, what_is_wrong_with_an_option_is_said);
	tcase_add_test(tcase, two_dashes_end_the_options);
	tcase_add_test(tcase, filters_are_taken_as_they_are);
	tcase_add_test(tcase, verbs_are_found_by_noun_plural_and_name);
	tcase_add_test(tcase, a_wrong_command_line_is_usage);
	tcase_add_test(tcase, help_lists_every_verb_and_the_exit_codes);
	tcase_add_test(tcase, every_verb_has_help_in_both_ways);
	tcase_add_test(tcase, help_of_flow_list_has_its_filters_and_others_have_not);
	tcase_add_test(tcase, help_of_a_noun_lists_its_verbs);
	tcase_add_test(tcase, version_is_told_in_every_format);
	tcase_add_test(tcase, paths_are_escaped_and_bounded);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
