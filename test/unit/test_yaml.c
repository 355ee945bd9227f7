/* SPDX-License-Identifier: Apache-2.0 */

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "controlplane/source/yaml.h"

static char error[OBJECT_ERROR_MAX];

static json_t *parse(const char *text)
{
	json_t *documents = NULL;
	int err = yaml_parse("a.yaml", text, strlen(text), &documents, error);

	ck_assert_msg(err == 0, "%s: %s", text, error);
	ck_assert_str_eq(error, "");
	return documents;
}

/* Compares all documents of a text with JSON. */
static void expect(const char *text, const char *json)
{
	json_t *documents = parse(text);
	json_t *wanted = json_loads(json, 0, NULL);

	ck_assert_ptr_nonnull(wanted);
	if (!json_equal(documents, wanted))
		ck_abort_msg("%s: is %s, not %s", text, json_dumps(documents, JSON_COMPACT), json);
	json_decref(documents);
	json_decref(wanted);
}

static void expect_error_n(const char *text, size_t len, const char *wanted)
{
	json_t *documents = NULL;

	ck_assert_int_eq(yaml_parse("a.yaml", text, len, &documents, error), -EINVAL);
	ck_assert_ptr_null(documents);
	ck_assert_msg(strncmp(error, wanted, strlen(wanted)) == 0, "got '%s', want '%s'", error,
		      wanted);
}

static void expect_error(const char *text, const char *wanted)
{
	expect_error_n(text, strlen(text), wanted);
}

START_TEST(a_service_reads_like_its_json)
{
	expect("apiVersion: v1\n"
	       "kind: Service\n"
	       "metadata: {name: web, labels: {app: \"web\"}} # comment\n"
	       "spec:\n"
	       "  clusterIP: 10.96.0.10\n"
	       "  ports:\n"
	       "  - port: 80\n"
	       "    nodePort: 30080\n",
	       "[{\"apiVersion\":\"v1\",\"kind\":\"Service\",\"metadata\":{\"name\":\"web\","
	       "\"labels\":{\"app\":\"web\"}},\"spec\":{\"clusterIP\":\"10.96.0.10\","
	       "\"ports\":[{\"port\":80,\"nodePort\":30080}]}}]");
}
END_TEST

static const struct {
	const char *text, *json;
} scalars[] = {
	{ "null", "null" },
	{ "~", "null" },
	{ "Null", "null" },
	{ "true", "true" },
	{ "False", "false" },
	{ "yes", "\"yes\"" },
	{ "off", "\"off\"" },
	{ "12", "12" },
	{ "-7", "-7" },
	{ "+7", "7" },
	{ "0x1F", "31" },
	{ "0o17", "15" },
	{ "017", "17" },
	{ "1.5", "1.5" },
	{ "1e3", "1000.0" },
	{ ".5", "0.5" },
	{ "-2.", "-2.0" },
	{ "1.2.3.4", "\"1.2.3.4\"" },
	{ "1_000", "\"1_000\"" },
	{ "0x", "\"0x\"" },
	{ ".", "\".\"" },
	{ "1e", "\"1e\"" },
	{ "-", "[null]" },
	{ "2026-01-02", "\"2026-01-02\"" },
	{ "9223372036854775807", "9223372036854775807" },
	{ "a b", "\"a b\"" },
	{ "\xc3\xa9", "\"\xc3\xa9\"" },
};

START_TEST(plain_scalars_follow_the_core_schema)
{
	char text[128], json[128];

	snprintf(text, sizeof(text), "v: %s\n",
		 strcmp(scalars[_i].text, "-") == 0 ? "\n- " : scalars[_i].text);
	snprintf(json, sizeof(json), "[{\"v\": %s}]", scalars[_i].json);
	expect(text, json);
}
END_TEST

START_TEST(quoted_scalars_are_strings)
{
	expect("a: \"80\"\nb: 'true'\nc: \"\"\nd: |\n  12\ne: >-\n  null\n",
	       "[{\"a\":\"80\",\"b\":\"true\",\"c\":\"\",\"d\":\"12\\n\",\"e\":\"null\"}]");
}
END_TEST

START_TEST(tags_say_what_a_scalar_is)
{
	expect("a: !!str 80\nb: !!int \"80\"\nc: ! null\nd: !!float 2\n",
	       "[{\"a\":\"80\",\"b\":80,\"c\":\"null\",\"d\":2}]");
	expect_error("a: !!int x\n", "a.yaml:1: tag ");
	expect_error("a: 1\nb: !binary aGk=\n", "a.yaml:2: tag !binary");
	expect_error("a: !mine {}\n", "a.yaml:1: tag !mine");
}
END_TEST

START_TEST(every_document_is_read_and_empty_ones_are_skipped)
{
	expect("---\na: 1\n---\n---\n# nothing\n---\nb: 2\n...\n", "[{\"a\":1},{\"b\":2}]");
	expect("", "[]");
	expect("# only a comment\n", "[]");
}
END_TEST

START_TEST(json_is_read_with_its_escapes)
{
	expect("{\n\t\"a\": \"\\ud83d\\ude00\\/\",\n\t\"b\": [1, 2.5, null, true]\n}\n",
	       "[{\"a\":\"\xf0\x9f\x98\x80/\",\"b\":[1,2.5,null,true]}]");
	expect("{\"a\":1}\n{\"b\":2}\n", "[{\"a\":1},{\"b\":2}]");
}
END_TEST

START_TEST(flow_yaml_that_is_no_json_is_read)
{
	expect("{a: b, c: [d, 'e']}\n", "[{\"a\":\"b\",\"c\":[\"d\",\"e\"]}]");
}
END_TEST

START_TEST(aliases_repeat_what_they_name)
{
	expect("a: &x {p: [1, 2]}\nb: *x\nc: &s text\nd: [*s, *s]\n",
	       "[{\"a\":{\"p\":[1,2]},\"b\":{\"p\":[1,2]},\"c\":\"text\","
	       "\"d\":[\"text\",\"text\"]}]");
}
END_TEST

START_TEST(a_later_anchor_of_a_name_wins)
{
	expect("[&x 1, *x, &x 2, *x, &x [&x 3, *x], *x]\n", "[[1,1,2,2,[3,3],[3,3]]]");
}
END_TEST

START_TEST(anchors_end_with_their_document)
{
	expect_error("a: &x 1\n---\nb: *x\n", "a.yaml:3: unknown alias *x");
}
END_TEST

START_TEST(an_alias_of_an_enclosing_node_is_refused)
{
	expect_error("a: &x\n  b:\n  - *x\n", "a.yaml:3: alias *x is inside");
}
END_TEST

START_TEST(billion_laughs_are_refused)
{
	char text[1024] = "a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol]\n";

	for (int i = 1; i < 9; i++) {
		size_t n = strlen(text);

		snprintf(text + n, sizeof(text) - n,
			 "a%d: &a%d [*a%d, *a%d, *a%d, *a%d, *a%d, *a%d, *a%d, *a%d, *a%d]\n", i, i,
			 i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1);
	}
	expect_error(text, "a.yaml:6: aliases repeat more than 100000 nodes");
}
END_TEST

static void nest(char *text, const char *open, const char *close, int depth)
{
	*text = '\0';
	for (int i = 0; i < depth; i++)
		strcat(text, open);
	for (int i = 0; i < depth; i++)
		strcat(text, close);
}

START_TEST(nesting_is_bounded_in_yaml_and_json)
{
	char text[8 * YAML_DEPTH_MAX];

	nest(text, "[", "]", YAML_DEPTH_MAX);
	json_decref(parse(text));
	nest(text, "[", "]", YAML_DEPTH_MAX + 1);
	expect_error(text, "a.yaml:1: nested deeper than 128");
	nest(text, "[ ", ",]", YAML_DEPTH_MAX + 1);
	expect_error(text, "a.yaml:1: nested deeper than 128");
}
END_TEST

START_TEST(aliases_do_not_get_around_the_nesting_bound)
{
	char text[16 * (YAML_DEPTH_MAX + 2)] = "- &a0 []\n";

	for (int i = 1; i < YAML_DEPTH_MAX + 1; i++) {
		size_t n = strlen(text);

		snprintf(text + n, sizeof(text) - n, "- &a%d [*a%d]\n", i, i - 1);
	}
	expect_error(text, "a.yaml:128: nested deeper than 128");
}
END_TEST

START_TEST(the_number_of_anchors_is_bounded)
{
	static char text[16 * (YAML_ANCHORS_MAX + 2)];
	size_t n = 0;

	for (int i = 0; i <= YAML_ANCHORS_MAX; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "- &a%d 1\n", i);
	expect_error(text, "a.yaml:1025: more than 1024 anchors");
}
END_TEST

START_TEST(a_text_that_is_too_long_is_not_looked_at)
{
	expect_error_n(NULL, YAML_TEXT_MAX + 1, "a.yaml:1: longer than");
}
END_TEST

static const struct {
	const char *text, *wanted;
} errors[] = {
	{ "a: 1\nb: 2\na: 3\n", "a.yaml:3: a: is given twice" },
	{ "{\"a\": 1,\n \"a\": 2}", "a.yaml:2: a: is given twice" },
	{ "x: y\nbase: &b {a: 1}\nc:\n  <<: *b\n", "a.yaml:4: merge keys" },
	{ "? [a]\n: b\n", "a.yaml:1: a key must be a scalar" },
	{ "a: &k b\n*k : c\n", "a.yaml:2: a key must be a scalar, not an alias" },
	{ "\na: 9223372036854775808\n", "a.yaml:2: number 9223372036854775808 does not fit" },
	{ "a: 0xfffffffffffffffff\n", "a.yaml:1: number " },
	{ "a: 1e999\n", "a.yaml:1: number 1e999 does not fit" },
	{ "a: -.inf\n", "a.yaml:1: number -.inf does not fit" },
	{ "a: .nan\n", "a.yaml:1: number .nan does not fit" },
	{ "{\"a\": 99999999999999999999}", "a.yaml:1: number 9999" },
	{ "a: \"x\\0y\"\n", "a.yaml:1: a string has a NUL" },
	{ "\"x\\0y\": 1\n", "a.yaml:1: a key has a NUL" },
	{ "a: 1\n  b: 2\n", "a.yaml:2: mapping values are not allowed" },
	{ "a: [1, 2\nb: 3\n", "a.yaml:" },
	{ "a: 1\n\tb: 2\n", "a.yaml:2: " },
	{ "a: 1\nb: \xff\n", "a.yaml:2: " },
	{ "a: *none\n", "a.yaml:1: unknown alias *none" },
};

START_TEST(what_is_wrong_is_told_with_its_line)
{
	expect_error(errors[_i].text, errors[_i].wanted);
}
END_TEST

/* Cut anywhere, a text is read or refused, and nothing is leaked or overread. */
START_TEST(what_is_wrong_stays_one_line_whatever_the_text_holds)
{
	static const char text[] = "a: !x one\n\n  two\n";

	expect_error_n(text, sizeof(text) - 1,
		       "a.yaml:1: tag !x is unknown or does not fit one?two");
}
END_TEST

START_TEST(a_text_cut_anywhere_does_no_harm)
{
	static const char text[] = "a: &x {p: [1, \"\\u00e9\"], q: !!str 5}\nb: *x\n---\n"
				   "? k\n: |\n  text\n...\n{\"j\": [1.5, null]}\n";

	for (size_t len = 0; len < sizeof(text); len++) {
		json_t *documents = NULL;
		char *copy = malloc(len + 1);

		memcpy(copy, text, len);
		if (yaml_parse("cut", copy, len, &documents, error) == 0)
			json_decref(documents);
		else
			ck_assert_int_eq(strncmp(error, "cut:", 4), 0);
		free(copy);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("yaml");
	TCase *tc = tcase_create("yaml");
	SRunner *runner = srunner_create(suite);

	tcase_add_test(tc, a_service_reads_like_its_json);
	tcase_add_loop_test(tc, plain_scalars_follow_the_core_schema, 0,
			    sizeof(scalars) / sizeof(scalars[0]));
	tcase_add_test(tc, quoted_scalars_are_strings);
	tcase_add_test(tc, tags_say_what_a_scalar_is);
	tcase_add_test(tc, every_document_is_read_and_empty_ones_are_skipped);
	tcase_add_test(tc, json_is_read_with_its_escapes);
	tcase_add_test(tc, flow_yaml_that_is_no_json_is_read);
	tcase_add_test(tc, aliases_repeat_what_they_name);
	tcase_add_test(tc, a_later_anchor_of_a_name_wins);
	tcase_add_test(tc, anchors_end_with_their_document);
	tcase_add_test(tc, an_alias_of_an_enclosing_node_is_refused);
	tcase_add_test(tc, billion_laughs_are_refused);
	tcase_add_test(tc, nesting_is_bounded_in_yaml_and_json);
	tcase_add_test(tc, aliases_do_not_get_around_the_nesting_bound);
	tcase_add_test(tc, the_number_of_anchors_is_bounded);
	tcase_add_test(tc, a_text_that_is_too_long_is_not_looked_at);
	tcase_add_loop_test(tc, what_is_wrong_is_told_with_its_line, 0,
			    sizeof(errors) / sizeof(errors[0]));
	tcase_add_test(tc, what_is_wrong_stays_one_line_whatever_the_text_holds);
	tcase_add_test(tc, a_text_cut_anywhere_does_no_harm);
	suite_add_tcase(suite, tc);

	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
