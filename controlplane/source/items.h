/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Splits the answer to a list into its items as it arrives, so that never more
 * than one of them is in memory as JSON (S-274).
 *
 * What surrounds the items stays: the same document with a 0 in the place of
 * each. It has to be parsed in the end; then it is known that the whole was JSON
 * if each item is.
 */

#include <stdbool.h>

#include "controlplane/source/buffer.h"

enum items_place { ITEMS_FRAME, ITEMS_BETWEEN, ITEMS_INSIDE };

struct items {
	size_t max; /* bytes of the longest item, and of the frame */
	enum items_place place;
	unsigned int depth; /* of brackets and braces */
	bool in_string, escaped;
	bool wants_key; /* at depth 1: a string would be a name */
	bool in_key;	/* and this is one */
	bool scalar;	/* the item is no object and no array */
	size_t skipped; /* bytes of the item beyond the limit */
	char key[8];	/* its beginning */
	size_t key_len;
	struct buffer frame, item;
};

/* Takes one item; `whole` is false for one that is too long, of which the
 * beginning is given. Returns 0 to go on, or what items_feed() is to return. */
typedef int items_each(void *context, const char *item, size_t len, bool whole);

void items_init(struct items *items, size_t max);

/* Forgets all; may be used again. */
void items_clear(struct items *items);

/* Takes bytes as they came. Returns 0, -ENOMEM, -EMSGSIZE if the frame is too long, or
 * what `each` returned. After an error only items_clear() is left. */
int items_feed(struct items *items, const char *data, size_t len, items_each *each, void *context);
