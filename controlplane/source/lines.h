/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Splits a stream that arrives in arbitrary pieces into lines: the events of a
 * watch (S-273).
 */

#include <stdbool.h>

#include "controlplane/source/buffer.h"

struct lines {
	size_t max; /* bytes of the longest line, without its newline */
	struct buffer buffer;
	size_t start;	/* where the first line that was not given out begins */
	size_t scanned; /* no newline between start and here */
	bool skipping;	/* what is left of a line that was too long */
};

void lines_init(struct lines *lines, size_t max);

/* Forgets what is there, also a half line; may be used again. */
void lines_clear(struct lines *lines);

/* Adds bytes as they came. Returns 0 or -ENOMEM, which adds nothing. */
int lines_feed(struct lines *lines, const char *data, size_t len);

/*
 * Takes the next complete line, without its newline; empty ones are skipped.
 * It is valid until the next call with these lines.
 *
 * Returns 1 and the line, 0 if there is no complete one, or -EMSGSIZE with the
 * first `max` bytes of a line that is longer: the rest of it is passed over,
 * and the next call goes on after it.
 */
int lines_next(struct lines *lines, const char **ret, size_t *ret_len);
