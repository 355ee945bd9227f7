/* SPDX-License-Identifier: Apache-2.0 */

#include "controlplane/source/items.h"

#include <errno.h>
#include <string.h>

/* What is kept of an item that is too long: enough to name it. */
#define BEGINNING 4096
/* One huge item must not keep its memory for as long as the list lasts. */
#define KEEP_MAX (256 * 1024)

void items_init(struct items *items, size_t max)
{
	*items = (struct items) { .max = max };
}

void items_clear(struct items *items)
{
	buffer_clear(&items->frame);
	buffer_clear(&items->item);
	items_init(items, items->max);
}

static int add_to_frame(struct items *items, const char *data, size_t len)
{
	if (len > items->max - items->frame.len)
		return -EMSGSIZE;
	return buffer_add(&items->frame, data, len);
}

static int add_to_item(struct items *items, const char *data, size_t len)
{
	size_t beginning = items->max < BEGINNING ? items->max : BEGINNING;
	size_t room;

	if (items->skipped == 0 && len <= items->max - items->item.len)
		return buffer_add(&items->item, data, len);
	if (items->item.len > beginning)
		items->item.len = beginning;
	room = items->skipped ? 0 : beginning - items->item.len;
	items->skipped += len;
	return buffer_add(&items->item, data, len < room ? len : room);
}

/* Adds a run of bytes to where they belong. */
static int add(struct items *items, const char *data, size_t len)
{
	return items->place == ITEMS_INSIDE ? add_to_item(items, data, len)
					    : add_to_frame(items, data, len);
}

static int end_item(struct items *items, items_each *each, void *context)
{
	int err = add_to_frame(items, "0", 1);

	if (!err)
		err = each(context, items->item.data ? items->item.data : "", items->item.len,
			   items->skipped == 0);
	items->place = ITEMS_BETWEEN;
	items->skipped = 0;
	items->item.len = 0;
	if (items->item.size > KEEP_MAX)
		buffer_clear(&items->item);
	return err;
}

/* A byte inside a string. */
static void step_string(struct items *items, char c)
{
	if (items->escaped) {
		items->escaped = false;
	} else if (c == '\\') {
		items->escaped = true;
	} else if (c == '"') {
		items->in_string = items->in_key = false;
		return;
	}
	if (items->in_key && items->key_len < sizeof(items->key))
		items->key[items->key_len++] = c;
}

static bool key_is_items(const struct items *items)
{
	return items->key_len == 5 && memcmp(items->key, "items", 5) == 0;
}

/* A byte outside of strings and not in an item; sets `place`. */
static void step_frame(struct items *items, char c)
{
	switch (c) {
	case '"':
		items->in_string = true;
		items->in_key = items->depth == 1 && items->wants_key;
		if (items->in_key)
			items->key_len = 0;
		items->wants_key = false;
		break;
	case '{':
	case '[':
		if (c == '[' && items->depth == 1 && key_is_items(items))
			items->place = ITEMS_BETWEEN;
		items->depth++;
		items->wants_key = c == '{' && items->depth == 1;
		break;
	case '}':
	case ']':
		items->depth -= items->depth > 0;
		break;
	case ',':
		items->wants_key = items->depth == 1;
		if (items->depth == 1)
			items->key_len = 0;
		break;
	}
}

/* A byte between two items: true if it begins one. */
static bool begins_item(struct items *items, char c)
{
	if (c == ']') {
		items->place = ITEMS_FRAME;
		items->depth--;
		items->key_len = 0;
		return false;
	}
	return c != ',' && c != ' ' && c != '\t' && c != '\n' && c != '\r';
}

/* A byte of an item outside of strings: true if the item ends with it. A scalar
 * ended before it. */
static bool ends_item(struct items *items, char c)
{
	if (items->scalar)
		return c == ',' || c == ']' || c == ' ' || c == '\t' || c == '\n' || c == '\r';
	if (c == '"')
		items->in_string = true;
	else if (c == '{' || c == '[')
		items->depth++;
	else if (c == '}' || c == ']')
		items->depth--;
	return items->depth == 2;
}

/* Where the rest of a string that begins here goes on being dull. */
static size_t dull(const struct items *items, const char *data, size_t len)
{
	size_t n = 0;

	if (!items->in_string || items->in_key || items->escaped)
		return 0;
	while (n < len && data[n] != '"' && data[n] != '\\')
		n++;
	return n;
}

int items_feed(struct items *items, const char *data, size_t len, items_each *each, void *context)
{
	size_t from = 0; /* first byte that was not added yet */
	int err = 0;

	for (size_t i = 0; i < len && !err; i++) {
		i += dull(items, data + i, len - i);
		if (i == len)
			break;

		char c = data[i];
		if (items->in_string) {
			step_string(items, c);
			continue;
		}
		if (items->place == ITEMS_FRAME) {
			step_frame(items, c);
			continue;
		}
		if (items->place == ITEMS_BETWEEN) {
			if (!begins_item(items, c))
				continue;
			err = add(items, data + from, i - from);
			from = i;
			items->place = ITEMS_INSIDE;
			items->scalar = c != '{' && c != '[';
			items->in_string = c == '"';
			items->depth += !items->scalar;
			continue;
		}
		if (!ends_item(items, c))
			continue;

		size_t end = items->scalar ? i : i + 1;
		err = add(items, data + from, end - from);
		from = end;
		if (!err)
			err = end_item(items, each, context);
		/* The byte after a scalar is one of the frame. */
		if (!err && end == i)
			begins_item(items, c);
	}
	return err ? err : add(items, data + from, len - from);
}
