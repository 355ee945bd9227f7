/* SPDX-License-Identifier: Apache-2.0 */

/* Any text as a manifest; what can be read is read alike when written as JSON. */

#include <string.h>

#include "controlplane/source/yaml.h"
#include "fuzz.h"

const char *const fuzz_words[] = {
	"null",	    "true", "~",    "-1",	 "0x1f",
	"0o17",	    ".inf", ".nan", "1e999",	 "9223372036854775808",
	"&a",	    "*a",   "<<",   "!!str",	 "!!int",
	"!!binary", "---",  "...",  "%YAML 1.2", "? a",
	"- - -",    "|+",   ">-",   "\\u0000",	 "\\ud83d",
	"\"",	    "''",   "#",    "{a: [",	 "]}",
	NULL,
};

static void check_again(const json_t *documents)
{
	sl_auto_mem char *text = json_dumps(documents, JSON_COMPACT);
	char error[OBJECT_ERROR_MAX];
	json_t *again = NULL;

	FUZZ_CHECK(text);
	/* A list of all documents is one document, and one level deeper. */
	if (yaml_parse("again", text, strlen(text), &again, error))
		return;
	FUZZ_CHECK(json_equal(json_array_get(again, 0), documents));
	json_decref(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char error[OBJECT_ERROR_MAX];
	json_t *documents = NULL;
	int err = yaml_parse("input", (const char *)data, size, &documents, error);

	FUZZ_CHECK(memchr(error, '\0', sizeof(error)));
	if (err) {
		FUZZ_CHECK(!documents && *error && !strchr(error, '\n'));
		return 0;
	}
	FUZZ_CHECK(json_is_array(documents) && !*error);
	check_again(documents);
	json_decref(documents);
	return 0;
}
