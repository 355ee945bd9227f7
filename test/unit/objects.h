/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Objects for tests, written as JSON with ' in place of ". */

#include <check.h>
#include <errno.h>
#include <jansson.h>
#include <string.h>

#include "controlplane/store/object.h"

static inline __attribute__((unused)) json_t *json_of(const char *text)
{
	char *copy = strdup(text);
	json_error_t error;

	ck_assert_ptr_nonnull(copy);
	for (char *c = copy; (c = strchr(c, '\''));)
		*c = '"';

	json_t *json = json_loads(copy, JSON_DECODE_ANY, &error);

	ck_assert_msg(json != NULL, "%s at column %d of %s", error.text, error.column, copy);
	free(copy);
	return json;
}

/* Defines X_of(text), which parses what must be valid, and X_error(text),
 * which gives the error line of what must be refused. */
#define DEFINE_READERS(type)                                                                       \
	static inline __attribute__((unused)) struct type *type##_of(const char *text)             \
	{                                                                                          \
		struct type *object = NULL;                                                        \
		char error[OBJECT_ERROR_MAX] = "untouched";                                        \
		json_t *json = json_of(text);                                                      \
		int err = type##_parse(json, &object, error);                                      \
                                                                                                   \
		json_decref(json);                                                                 \
		ck_assert_msg(!err, "%s", error);                                                  \
		ck_assert_str_eq(error, "");                                                       \
		ck_assert_ptr_nonnull(object);                                                     \
		return object;                                                                     \
	}                                                                                          \
                                                                                                   \
	static inline __attribute__((unused)) const char *type##_error(const char *text)           \
	{                                                                                          \
		static char error[OBJECT_ERROR_MAX];                                               \
		struct type *object = NULL;                                                        \
		json_t *json = json_of(text);                                                      \
                                                                                                   \
		ck_assert_int_eq(type##_parse(json, &object, error), -EINVAL);                     \
		ck_assert_ptr_null(object);                                                        \
		json_decref(json);                                                                 \
		return error;                                                                      \
	}                                                                                          \
                                                                                                   \
	/* What is accepted, but with something skipped: the line about that. */                   \
	static inline __attribute__((unused)) struct type *type##_noted(const char *text,          \
									const char *note)          \
	{                                                                                          \
		struct type *object = NULL;                                                        \
		char error[OBJECT_ERROR_MAX] = "";                                                 \
		json_t *json = json_of(text);                                                      \
                                                                                                   \
		ck_assert_int_eq(type##_parse(json, &object, error), 0);                           \
		ck_assert_str_eq(error, note);                                                     \
		json_decref(json);                                                                 \
		return object;                                                                     \
	}

DEFINE_READERS(service)
DEFINE_READERS(slice)
DEFINE_READERS(node)
DEFINE_READERS(service_cidr)

static inline __attribute__((unused)) struct sl_addr addr_of(const char *text)
{
	struct sl_addr addr;

	ck_assert_msg(ip_parse(text, &addr) > 0, "%s", text);
	return addr;
}

/* Runs a suite of one case; the exit status of main(). */
static inline __attribute__((unused)) int run_suite(Suite *suite)
{
	SRunner *runner = srunner_create(suite);

	srunner_run_all(runner, CK_ENV);

	int failed = srunner_ntests_failed(runner);

	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
