/* SPDX-License-Identifier: Apache-2.0 */

#include "controlplane/source/lines.h"

#include <errno.h>
#include <string.h>

/* One huge event must not keep its memory for as long as the watch lives. */
#define KEEP_MAX (256 * 1024)

void lines_init(struct lines *lines, size_t max)
{
	*lines = (struct lines) { .max = max };
}

void lines_clear(struct lines *lines)
{
	buffer_clear(&lines->buffer);
	lines->start = 0;
	lines->scanned = 0;
	lines->skipping = false;
}

/* Moves the half line to the front, or gives a huge line's memory back. */
static void compact(struct lines *lines)
{
	size_t rest = lines->buffer.len - lines->start;

	if (rest == 0 && lines->buffer.size > KEEP_MAX)
		buffer_clear(&lines->buffer);
	else if (lines->start > 0)
		memmove(lines->buffer.data, lines->buffer.data + lines->start, rest);
	lines->buffer.len = rest;
	lines->scanned -= lines->start;
	lines->start = 0;
}

int lines_feed(struct lines *lines, const char *data, size_t len)
{
	compact(lines);
	return buffer_add(&lines->buffer, data, len);
}

int lines_next(struct lines *lines, const char **ret, size_t *ret_len)
{
	for (;;) {
		size_t left = lines->buffer.len - lines->scanned;
		const char *begin = lines->buffer.data + lines->start;
		const char *end = NULL;

		if (left > 0)
			end = memchr(lines->buffer.data + lines->scanned, '\n', left);
		lines->scanned = end ? (size_t)(end - lines->buffer.data) : lines->buffer.len;
		if (lines->skipping) {
			lines->scanned += end != NULL;
			lines->start = lines->scanned;
			lines->skipping = !end;
			if (!end)
				return 0;
			continue;
		}

		size_t len = lines->scanned - lines->start;
		if (len > lines->max) {
			lines->start = lines->scanned;
			lines->skipping = true;
			*ret = begin;
			/* The same, whatever pieces it came in. */
			*ret_len = lines->max;
			return -EMSGSIZE;
		}
		if (!end)
			return 0;
		lines->scanned++;
		lines->start = lines->scanned;
		if (len > 0) {
			*ret = begin;
			*ret_len = len;
			return 1;
		}
	}
}
