/* SPDX-License-Identifier: Apache-2.0 */

#include "controlplane/source/yaml.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "common/log.h"
#include "controlplane/source/yaml_scalar.h"

/* A collection whose end is not read yet. */
struct frame {
	json_t *collection; /* its parent's */
	char *key;	    /* of a mapping: the key whose value comes next */
	size_t anchor;	    /* index + 1 in reader.anchors; 0: none */
	size_t nodes;	    /* reader.nodes before it began */
	size_t height;	    /* of the highest child so far */
};

struct anchor {
	char *name;
	json_t *value; /* NULL until its end is read */
	size_t nodes;  /* in it, with itself and what its aliases repeat */
	size_t height;
};

struct reader {
	yaml_parser_t parser;
	const char *name, *text;
	size_t len;
	char *error;
	json_t *documents;
	json_t *root; /* of the document in hand; NULL before its first node */
	struct frame frames[YAML_DEPTH_MAX];
	size_t depth;
	struct anchor anchors[YAML_ANCHORS_MAX];
	size_t n_anchors;
	size_t nodes;	 /* so far, counting what aliases repeat */
	size_t repeated; /* by aliases */
};

__attribute__((format(printf, 3, 4))) static int refuse(struct reader *r, size_t line,
							const char *format, ...)
{
	va_list args;
	int n = snprintf(r->error, OBJECT_ERROR_MAX, "%s:%zu: ", r->name, line);

	if (n < 0 || n >= OBJECT_ERROR_MAX)
		return -EINVAL;
	va_start(args, format);
	vsnprintf(r->error + n, (size_t)(OBJECT_ERROR_MAX - n), format, args);
	va_end(args);
	log_printable(r->error);
	return -EINVAL;
}

static int no_memory(struct reader *r)
{
	snprintf(r->error, OBJECT_ERROR_MAX, "%s: out of memory", r->name);
	return -ENOMEM;
}

static size_t line_of(const yaml_event_t *event)
{
	return event->start_mark.line + 1;
}

static void forget_anchors(struct reader *r)
{
	for (size_t i = 0; i < r->n_anchors; i++) {
		free(r->anchors[i].name);
		json_decref(r->anchors[i].value);
	}
	r->n_anchors = 0;
}

static struct anchor *find_anchor(struct reader *r, const char *name)
{
	for (size_t i = 0; i < r->n_anchors; i++) {
		if (strcmp(r->anchors[i].name, name) == 0)
			return &r->anchors[i];
	}
	return NULL;
}

/* Begins the anchor of a node, if it has one; a later one of the name wins. */
static int begin_anchor(struct reader *r, const yaml_event_t *event, const yaml_char_t *name,
			size_t *ret)
{
	if (!name) {
		*ret = 0;
		return 0;
	}
	struct anchor *anchor = find_anchor(r, (const char *)name);
	if (!anchor) {
		if (r->n_anchors == YAML_ANCHORS_MAX)
			return refuse(r, line_of(event), "more than %d anchors", YAML_ANCHORS_MAX);
		anchor = &r->anchors[r->n_anchors];
		anchor->name = strdup((const char *)name);
		if (!anchor->name)
			return no_memory(r);
		r->n_anchors++;
	} else {
		json_decref(anchor->value);
	}
	anchor->value = NULL;
	*ret = (size_t)(anchor - r->anchors) + 1;
	return 0;
}

static void end_anchor(struct reader *r, size_t anchor, json_t *value, size_t nodes, size_t height)
{
	if (anchor == 0)
		return;
	/* An inner anchor of the same name may have ended since this began. */
	json_decref(r->anchors[anchor - 1].value);
	r->anchors[anchor - 1].value = json_incref(value);
	r->anchors[anchor - 1].nodes = nodes;
	r->anchors[anchor - 1].height = height;
}

static struct frame *top(struct reader *r)
{
	return r->depth ? &r->frames[r->depth - 1] : NULL;
}

static bool wants_key(struct reader *r)
{
	const struct frame *frame = top(r);

	return frame && json_is_object(frame->collection) && !frame->key;
}

static int take_key(struct reader *r, const yaml_event_t *event)
{
	struct frame *frame = top(r);
	const char *key = (const char *)event->data.scalar.value;

	if (strlen(key) != event->data.scalar.length)
		return refuse(r, line_of(event), "a key has a NUL character");
	if (strcmp(key, "<<") == 0 && event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE)
		return refuse(r, line_of(event), "merge keys (<<) are not supported");
	if (json_object_get(frame->collection, key))
		return refuse(r, line_of(event), "%.200s: is given twice", key);
	frame->key = strdup(key);
	return frame->key ? 0 : no_memory(r);
}

/* Puts a value, whose reference it takes, where the next one belongs. */
static int place(struct reader *r, json_t *value, size_t height)
{
	struct frame *frame = top(r);
	int failed;

	if (!value)
		return no_memory(r);
	if (!frame) {
		r->root = value;
		return 0;
	}
	if (height > frame->height)
		frame->height = height;
	if (json_is_array(frame->collection)) {
		failed = json_array_append_new(frame->collection, value);
	} else {
		failed = json_object_set_new(frame->collection, frame->key, value);
		free(sl_take(frame->key));
	}
	return failed ? no_memory(r) : 0;
}

/* The value of a scalar that is not a key. */
static int scalar_value(struct reader *r, const yaml_event_t *event, json_t **ret)
{
	static const char core[] = "tag:yaml.org,2002:";
	const char *text = (const char *)event->data.scalar.value;
	const char *tag = (const char *)event->data.scalar.tag;
	bool plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
	const char *type = NULL;

	if (strlen(text) != event->data.scalar.length)
		return refuse(r, line_of(event), "a string has a NUL character");
	if (tag && strncmp(tag, core, sizeof(core) - 1) == 0)
		type = tag + sizeof(core) - 1;
	if (tag ? strcmp(tag, "!") == 0 || (type && strcmp(type, "str") == 0) : !plain) {
		*ret = json_string(text);
		return *ret ? 0 : no_memory(r);
	}

	json_t *value = NULL;
	int err = yaml_scalar_parse(text, &value);
	if (err == -ERANGE)
		return refuse(r, line_of(event), "number %.60s does not fit", text);
	if (err)
		return no_memory(r);
	bool fits = !tag;
	if (type)
		fits = (strcmp(type, "int") == 0 && json_is_integer(value)) ||
		       (strcmp(type, "float") == 0 && json_is_number(value)) ||
		       (strcmp(type, "bool") == 0 && json_is_boolean(value)) ||
		       (strcmp(type, "null") == 0 && json_is_null(value));
	if (!fits) {
		json_decref(value);
		return refuse(r, line_of(event), "tag %.100s is unknown or does not fit %.60s", tag,
			      text);
	}
	*ret = value;
	return 0;
}

static int on_scalar(struct reader *r, const yaml_event_t *event)
{
	json_t *value = NULL;
	size_t anchor;

	r->nodes++;
	if (wants_key(r))
		return take_key(r, event);
	int err = scalar_value(r, event, &value);
	if (!err)
		err = begin_anchor(r, event, event->data.scalar.anchor, &anchor);
	if (err) {
		json_decref(value);
		return err;
	}
	end_anchor(r, anchor, value, 1, 0);
	return place(r, value, 0);
}

static int on_alias(struct reader *r, const yaml_event_t *event)
{
	const char *name = (const char *)event->data.alias.anchor;
	const struct anchor *anchor = find_anchor(r, name);

	if (wants_key(r))
		return refuse(r, line_of(event), "a key must be a scalar, not an alias");
	if (!anchor)
		return refuse(r, line_of(event), "unknown alias *%.60s", name);
	if (!anchor->value)
		return refuse(r, line_of(event), "alias *%.60s is inside of what it names", name);
	if (r->depth + anchor->height > YAML_DEPTH_MAX)
		return refuse(r, line_of(event), "nested deeper than %d", YAML_DEPTH_MAX);
	r->nodes += anchor->nodes;
	r->repeated += anchor->nodes;
	if (r->repeated > YAML_REPEATED_MAX)
		return refuse(r, line_of(event), "aliases repeat more than %d nodes",
			      YAML_REPEATED_MAX);
	return place(r, json_incref(anchor->value), anchor->height);
}

static int on_start(struct reader *r, const yaml_event_t *event)
{
	bool mapping = event->type == YAML_MAPPING_START_EVENT;
	const yaml_char_t *name =
		mapping ? event->data.mapping_start.anchor : event->data.sequence_start.anchor;
	const char *tag = (const char *)(mapping ? event->data.mapping_start.tag
						 : event->data.sequence_start.tag);
	size_t anchor;

	if (wants_key(r))
		return refuse(r, line_of(event), "a key must be a scalar");
	if (r->depth == YAML_DEPTH_MAX)
		return refuse(r, line_of(event), "nested deeper than %d", YAML_DEPTH_MAX);
	if (tag && strcmp(tag, mapping ? YAML_MAP_TAG : YAML_SEQ_TAG) != 0)
		return refuse(r, line_of(event), "tag %.100s is unknown", tag);
	int err = begin_anchor(r, event, name, &anchor);
	if (err)
		return err;

	json_t *collection = mapping ? json_object() : json_array();
	err = place(r, collection, 0);
	if (err)
		return err;
	r->frames[r->depth++] = (struct frame) {
		.collection = collection,
		.anchor = anchor,
		.nodes = r->nodes++,
	};
	return 0;
}

static void on_end(struct reader *r)
{
	struct frame ended = r->frames[--r->depth];
	struct frame *parent = top(r);
	size_t height = ended.height + 1;

	end_anchor(r, ended.anchor, ended.collection, r->nodes - ended.nodes, height);
	if (parent && height > parent->height)
		parent->height = height;
}

static int on_document_end(struct reader *r)
{
	json_t *root = sl_take(r->root);

	forget_anchors(r);
	if (!root || json_is_null(root)) {
		json_decref(root);
		return 0;
	}
	return json_array_append_new(r->documents, root) ? no_memory(r) : 0;
}

static int on_event(struct reader *r, const yaml_event_t *event)
{
	switch (event->type) {
	case YAML_SCALAR_EVENT:
		return on_scalar(r, event);
	case YAML_ALIAS_EVENT:
		return on_alias(r, event);
	case YAML_SEQUENCE_START_EVENT:
	case YAML_MAPPING_START_EVENT:
		return on_start(r, event);
	case YAML_SEQUENCE_END_EVENT:
	case YAML_MAPPING_END_EVENT:
		on_end(r);
		return 0;
	case YAML_DOCUMENT_END_EVENT:
		return on_document_end(r);
	default:
		return 0;
	}
}

static int parser_error(struct reader *r)
{
	const yaml_parser_t *p = &r->parser;
	size_t line = p->problem_mark.line + 1;

	if (p->error == YAML_MEMORY_ERROR)
		return no_memory(r);
	if (p->error == YAML_READER_ERROR) {
		line = 1;
		for (size_t i = 0; i < p->problem_offset && i < r->len; i++)
			line += r->text[i] == '\n';
	}
	return refuse(r, line, "%s%s%s", p->problem ? p->problem : "not YAML",
		      p->context ? " " : "", p->context ? p->context : "");
}

static int read_yaml(struct reader *r)
{
	bool more = true;
	int err = 0;

	yaml_parser_set_encoding(&r->parser, YAML_ANY_ENCODING);
	yaml_parser_set_input_string(&r->parser, (const unsigned char *)r->text, r->len);
	while (more && !err) {
		yaml_event_t event;

		if (!yaml_parser_parse(&r->parser, &event))
			return parser_error(r);
		more = event.type != YAML_STREAM_END_EVENT;
		err = on_event(r, &event);
		yaml_event_delete(&event);
	}
	return err;
}

/* What a reader that failed half-way still holds is freed here, too. */
static int parse_yaml(const char *name, const char *text, size_t len, json_t *documents,
		      char *error)
{
	sl_auto_mem struct reader *r = calloc(1, sizeof(*r));

	if (!r || !yaml_parser_initialize(&r->parser)) {
		snprintf(error, OBJECT_ERROR_MAX, "%s: out of memory", name);
		return -ENOMEM;
	}
	r->name = name;
	r->text = text;
	r->len = len;
	r->error = error;
	r->documents = documents;

	int err = read_yaml(r);
	while (r->depth > 0)
		free(r->frames[--r->depth].key);
	json_decref(r->root);
	forget_anchors(r);
	yaml_parser_delete(&r->parser);
	return err;
}

static bool is_deep(const json_t *value, size_t left)
{
	const json_t *child;
	const char *key;
	size_t i;

	if (!json_is_array(value) && !json_is_object(value))
		return false;
	if (left == 0)
		return true;
	json_array_foreach (value, i, child) {
		if (is_deep(child, left - 1))
			return true;
	}
	json_object_foreach ((json_t *)value, key, child) {
		if (is_deep(child, left - 1))
			return true;
	}
	return false;
}

/*
 * JSON is YAML, but jansson is faster and knows surrogate pairs. True if the
 * whole text is JSON values in a row; the YAML reader tells what is wrong.
 */
static bool parse_json(const char *text, size_t len, json_t *documents)
{
	size_t at = 0;

	for (;;) {
		json_error_t error;

		while (at < len && strchr(" \t\r\n", text[at]) && text[at] != '\0')
			at++;
		if (at == len)
			return true;
		if (text[at] != '{' && text[at] != '[')
			return false;
		json_t *value = json_loadb(text + at, len - at,
					   JSON_REJECT_DUPLICATES | JSON_DISABLE_EOF_CHECK, &error);
		if (!value)
			return false;
		if (is_deep(value, YAML_DEPTH_MAX)) {
			json_decref(value);
			return false;
		}
		at += (size_t)error.position;
		if (json_array_append_new(documents, value))
			return false;
	}
}

int yaml_parse(const char *name, const char *text, size_t len, json_t **ret,
	       char error[OBJECT_ERROR_MAX])
{
	json_t *documents = json_array();

	error[0] = '\0';
	if (!documents) {
		snprintf(error, OBJECT_ERROR_MAX, "%s: out of memory", name);
		return -ENOMEM;
	}
	if (len > YAML_TEXT_MAX) {
		snprintf(error, OBJECT_ERROR_MAX, "%s:1: longer than %u bytes", name,
			 YAML_TEXT_MAX);
		json_decref(documents);
		return -EINVAL;
	}
	if (!parse_json(text, len, documents)) {
		json_array_clear(documents);
		int err = parse_yaml(name, text, len, documents, error);
		if (err) {
			json_decref(documents);
			return err;
		}
	}
	*ret = documents;
	return 0;
}
