/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A page of a list that is read object by object is the page that jansson reads
 * whole. The first byte limits an object's length (0: no limit), the second
 * decides on the pieces; the page follows.
 */

#include <errno.h>
#include <jansson.h>
#include <string.h>

#include "common/mem.h"
#include "controlplane/source/items.h"
#include "fuzz.h"

const char *const fuzz_words[] = {
	"items",       "{\"items\":[", "]}",	    "\\u0069tems", "metadata", "resourceVersion",
	"continue",    "null",	       "0",	    "00",	   "-",	       "1e5",
	"\"\\\\\"",    "\\\"",	       "\\ud83d",   "{},{}",	   "[[]]",     "\"items\":null",
	"\"a\",\"b\"", ",,",	       "\"kind\":", "ServiceList", NULL,
};

struct taken {
	json_t *items; /* those that are JSON */
	size_t max, n;
	bool whole, valid; /* all of them */
};

static int take(void *context, const char *text, size_t len, bool whole)
{
	struct taken *taken = context;
	json_t *item = json_loadb(text, len, JSON_ALLOW_NUL | JSON_DECODE_ANY, NULL);

	FUZZ_CHECK(len <= taken->max);
	taken->n++;
	taken->whole &= whole;
	taken->valid &= item != NULL;
	if (item)
		json_array_append_new(taken->items, item);
	return 0;
}

static int feed(struct items *items, const char *text, size_t len, uint32_t pieces,
		struct taken *taken)
{
	int err = 0;

	for (size_t at = 0; at < len && !err;) {
		size_t n = 1 + (pieces >> 8) % 40;

		pieces = pieces * 1103515245 + 12345;
		n = n < len - at ? n : len - at;
		err = items_feed(items, text + at, n, take, taken);
		at += n;
	}
	return err;
}

/* Puts the items back where each left a 0. */
static void put_back(json_t *frame, json_t *items)
{
	json_t *zeros = json_object_get(frame, "items"), *item;
	size_t i;

	if (!json_array_size(items))
		return;
	FUZZ_CHECK(json_array_size(zeros) == json_array_size(items));
	json_array_foreach (items, i, item) {
		FUZZ_CHECK(json_integer_value(json_array_get(zeros, i)) == 0);
		json_array_set(zeros, i, item);
	}
}

static void compare(const char *text, size_t len, const struct items *items,
		    const struct taken *taken)
{
	const struct buffer *rest = &items->frame;
	json_t *frame = json_loadb(rest->data ? rest->data : "", rest->len, JSON_ALLOW_NUL, NULL);
	json_error_t bad;
	json_t *whole = json_loadb(text, len, JSON_ALLOW_NUL | JSON_REJECT_DUPLICATES, &bad);
	enum json_error_code code = whole ? json_error_unknown : json_error_code(&bad);

	if (whole) {
		FUZZ_CHECK(frame && taken->valid);
		put_back(frame, taken->items);
		FUZZ_CHECK(json_equal(frame, whole));
	} else if (code != json_error_duplicate_key && code != json_error_stack_overflow) {
		/* What is no JSON never looks like a page. */
		FUZZ_CHECK(!frame || !taken->valid);
	}
	json_decref(frame);
	json_decref(whole);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct items items;

	if (size < 2)
		return 0;

	const char *text = (const char *)data + 2;
	size_t len = size - 2;
	struct taken taken = { .items = json_array(), .whole = true, .valid = true };
	taken.max = data[0] ? data[0] : len + 2;
	items_init(&items, taken.max);
	int err = feed(&items, text, len, data[1], &taken);

	FUZZ_CHECK(err == 0 || (err == -EMSGSIZE && data[0]));
	if (!err && taken.whole)
		compare(text, len, &items, &taken);
	json_decref(taken.items);
	items_clear(&items);
	return 0;
}
