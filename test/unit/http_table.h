/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The recorded answers of the health servers, and how to compare one's own with them. */

#include <jansson.h>
#include <strings.h>

#include "http_fixture.h"

static inline const char *table_text(const json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));

	ck_assert_msg(text != NULL, "no \"%s\"", name);
	return text;
}

/* The cases; the caller drops the reference. */
static inline json_t *table_load(void)
{
	json_error_t error;
	json_t *file = json_load_file(SLUICE_TABLES "/http.json", 0, &error);

	ck_assert_msg(file != NULL, "%s", error.text);
	json_t *cases = json_incref(json_object_get(file, "cases"));
	json_decref(file);
	return cases;
}

/* The value of a header, up to its line's end; "" if it is not there. */
static inline void table_header(const struct fixture_reply *reply, const char *name,
				char value[256])
{
	size_t len = strlen(name);

	value[0] = 0;
	for (const char *line = strstr(reply->text, "\r\n"); line && line[2] != '\r';
	     line = strstr(line + 2, "\r\n"))
		if (!strncmp(line + 2, name, len) && line[2 + len] == ':')
			sscanf(line + 2 + len + 1, " %255[^\r]", value);
}

/*
 * Status and headers are those of the case: none is missing, none other is
 * there but for what belongs to the connection, and those in `free_`.
 */
static inline void table_check_head(const json_t *row, const struct fixture_reply *reply,
				    const char *free_)
{
	const char *id = table_text(row, "id"), *name;
	size_t lines = 0, expected = 0;
	json_t *value;

	ck_assert_msg(reply->status == json_integer_value(json_object_get(row, "status")),
		      "%s: status %d", id, reply->status);
	json_object_foreach (json_object_get(row, "headers"), name, value) {
		char got[256];

		table_header(reply, name, got);
		ck_assert_msg(!strcmp(got, json_string_value(value)), "%s: %s: \"%s\"", id, name,
			      got);
		expected++;
	}
	for (const char *line = strstr(reply->text, "\r\n"); line && line[2] != '\r';
	     line = strstr(line + 2, "\r\n"))
		lines += strncmp(line + 2, "Date:", 5) && strncmp(line + 2, "Connection:", 11) &&
			 (!free_ || strncmp(line + 2, free_, strlen(free_)));
	ck_assert_msg(lines == expected, "%s: %zu headers:\n%s", id, lines, reply->text);
}
