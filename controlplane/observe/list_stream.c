/* SPDX-License-Identifier: Apache-2.0 */

#include "controlplane/observe/list_stream.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct list_stream {
	struct httpd_stream base;
	struct view_list *list;
	const struct control_options *options;
	void (*ended)(void *context);
	void *context;
	bool services;
	enum { HEAD, ITEMS, UNPROGRAMMED, TAIL, END } part;
	bool any;      /* an item was written */
	size_t cursor; /* of UNPROGRAMMED */
	char *text;    /* what is to be written next, from `at` on */
	size_t len, at;
};

static int take_text(struct list_stream *s, char *text)
{
	if (!text)
		return -ENOMEM;
	s->text = text;
	s->len = strlen(text);
	return 0;
}

/* Takes the item. */
static int take_item(struct list_stream *s, json_t *item)
{
	char *text = json_dumps(item, JSON_COMPACT);
	char *line = NULL;

	json_decref(item);
	if (text && asprintf(&line, "%s%s", s->any ? "," : "", text) < 0)
		line = NULL;
	free(text);
	s->any = true;
	return take_text(s, line);
}

/* The next item of the maps with what the daemon knows of it. */
static int next_item(struct list_stream *s)
{
	json_t *item, *truth;
	int r = view_list_next(s->list, &item);

	if (r)
		return r;
	if (!item) {
		s->part = s->services ? UNPROGRAMMED : TAIL;
		return 0;
	}
	if (s->services) {
		truth = s->options->truth(s->options->context,
					  json_string_value(json_object_get(item, "namespace")),
					  json_string_value(json_object_get(item, "name")));
		r = truth ? json_object_update_missing(item, truth) : 0;
		json_decref(truth);
	}
	if (r) {
		json_decref(item);
		return -ENOMEM;
	}
	return take_item(s, item);
}

/* Services that have no ports in the tables, failed or not yet programmed. */
static int next_unprogrammed(struct list_stream *s)
{
	json_t *item = s->options->unprogrammed(s->options->context, &s->cursor);

	if (!item) {
		s->part = TAIL;
		return 0;
	}
	if (view_list_has(s->list, json_string_value(json_object_get(item, "namespace")),
			  json_string_value(json_object_get(item, "name")))) {
		json_decref(item);
		return 0;
	}
	return take_item(s, item);
}

static int next_text(struct list_stream *s)
{
	char *text = NULL;

	switch (s->part) {
	case HEAD:
		s->part = ITEMS;
		if (asprintf(&text, "{\"apiVersion\":\"sluice.dev/v1\",\"kind\":\"%s\",\"items\":[",
			     view_list_kind(s->list)) < 0)
			text = NULL;
		return take_text(s, text);
	case ITEMS:
		return next_item(s);
	case UNPROGRAMMED:
		return next_unprogrammed(s);
	case TAIL:
		s->part = END;
		return take_text(s, strdup("]}"));
	case END:
		break;
	}
	return 0;
}

static ssize_t more(struct httpd_stream *stream, char *buffer, size_t size)
{
	struct list_stream *s = (struct list_stream *)stream;
	size_t n = 0;

	while (n < size) {
		size_t some = s->len - s->at;

		if (some > size - n)
			some = size - n;
		if (some > 0) {
			memcpy(buffer + n, s->text + s->at, some);
			n += some;
			s->at += some;
			continue;
		}
		free(sl_take(s->text));
		s->len = s->at = 0;
		if (s->part == END)
			break;
		if (next_text(s))
			return -ENOMEM;
	}
	return (ssize_t)n;
}

static void stream_free(struct httpd_stream *stream)
{
	struct list_stream *s = (struct list_stream *)stream;

	s->ended(s->context);
	view_list_free(s->list);
	free(s->text);
	free(s);
}

struct httpd_stream *list_stream_new(struct view_list *list, const struct control_options *options,
				     void (*ended)(void *context), void *context)
{
	struct list_stream *s = calloc(1, sizeof(*s));

	if (!s) {
		view_list_free(list);
		return NULL;
	}
	*s = (struct list_stream) {
		.base = { .more = more, .free = stream_free },
		.list = list,
		.options = options,
		.ended = ended,
		.context = context,
		.services = !strcmp(view_list_kind(list), "ServiceList"),
	};
	return &s->base;
}
