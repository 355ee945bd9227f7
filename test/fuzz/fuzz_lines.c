/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A stream in any pieces gives the lines that it has. The first byte is the
 * longest line allowed, the second decides on the pieces; the stream follows.
 */

#include <errno.h>
#include <string.h>

#include "controlplane/source/lines.h"
#include "common/mem.h"
#include "fuzz.h"

const char *const fuzz_words[] = { "\n", "\n\n", "\r\n", "{\"type\":\"ADDED\"}\n", NULL };

/* Where the lines should come from, found the plain way. */
struct expected {
	const char *stream;
	size_t len, at, max;
};

/* The next line as lines_next() gives it when the whole stream is there. */
static int next_expected(struct expected *e, const char **ret, size_t *ret_len)
{
	while (e->at < e->len) {
		const char *begin = e->stream + e->at;
		const char *end = memchr(begin, '\n', e->len - e->at);
		size_t len = end ? (size_t)(end - begin) : e->len - e->at;

		if (!end && len <= e->max)
			return 0;
		e->at += len + (end != NULL);
		*ret = begin;
		*ret_len = len < e->max ? len : e->max;
		if (len > e->max)
			return -EMSGSIZE;
		if (len > 0)
			return 1;
	}
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct lines lines;
	uint32_t pieces;
	int found = 0;

	if (size < 2)
		return 0;
	struct expected e = { (const char *)data + 2, size - 2, 0, data[0] };
	pieces = data[1];
	lines_init(&lines, data[0]);
	for (size_t at = 0; at < e.len;) {
		size_t n = 1 + (pieces >> 8) % 40;
		const char *line, *wanted;
		size_t len, wanted_len;

		pieces = pieces * 1103515245 + 12345;
		n = n < e.len - at ? n : e.len - at;
		FUZZ_CHECK(lines_feed(&lines, e.stream + at, n) == 0);
		at += n;
		while ((found = lines_next(&lines, &line, &len)) != 0) {
			FUZZ_CHECK(next_expected(&e, &wanted, &wanted_len) == found);
			FUZZ_CHECK(len == wanted_len && !memcmp(line, wanted, len));
		}
	}

	const char *rest;
	size_t rest_len;
	FUZZ_CHECK(next_expected(&e, &rest, &rest_len) == found);
	lines_clear(&lines);
	return 0;
}
