/* SPDX-License-Identifier: Apache-2.0 */

/* A JSON document as YAML, by libyaml's emitter. */

#include <ctype.h>
#include <errno.h>
#include <string.h>
#include <strings.h>
#include <yaml.h>

#include "common/mem.h"
#include "tools/lbctl/lbctl.h"

static bool put_value(yaml_emitter_t *emitter, const json_t *value);

/* Would YAML 1.1 or 1.2 take the plain text for something else than a string? */
static bool needs_quotes(const char *text)
{
	static const char *const words[] = { "true", "false", "yes", "no", "on",
					     "off",  "null",  "y",   "n" };

	if (!isalpha((unsigned char)text[0]))
		return true;
	for (size_t i = 0; i < SL_COUNT(words); i++)
		if (!strcasecmp(text, words[i]))
			return true;
	return false;
}

static bool put_scalar(yaml_emitter_t *emitter, const char *text, bool quoted)
{
	yaml_event_t event;

	/* Taken back by yaml_emitter_emit(), also when that fails. */
	return yaml_scalar_event_initialize(
		       &event, NULL, NULL, (const yaml_char_t *)text, (int)strlen(text), !quoted, 1,
		       quoted ? YAML_DOUBLE_QUOTED_SCALAR_STYLE : YAML_PLAIN_SCALAR_STYLE) &&
	       yaml_emitter_emit(emitter, &event);
}

static bool put_string(yaml_emitter_t *emitter, const char *text)
{
	return put_scalar(emitter, text, needs_quotes(text));
}

static bool put_array(yaml_emitter_t *emitter, const json_t *array)
{
	yaml_event_t event;
	const json_t *value;
	size_t i;

	if (!yaml_sequence_start_event_initialize(&event, NULL, NULL, 1,
						  YAML_BLOCK_SEQUENCE_STYLE) ||
	    !yaml_emitter_emit(emitter, &event))
		return false;
	json_array_foreach (array, i, value) {
		if (!put_value(emitter, value))
			return false;
	}
	return yaml_sequence_end_event_initialize(&event) && yaml_emitter_emit(emitter, &event);
}

static bool put_object(yaml_emitter_t *emitter, const json_t *object)
{
	yaml_event_t event;
	json_t *value;
	const char *key;

	if (!yaml_mapping_start_event_initialize(&event, NULL, NULL, 1, YAML_BLOCK_MAPPING_STYLE) ||
	    !yaml_emitter_emit(emitter, &event))
		return false;
	json_object_foreach ((json_t *)(uintptr_t)object, key, value) {
		if (!put_string(emitter, key) || !put_value(emitter, value))
			return false;
	}
	return yaml_mapping_end_event_initialize(&event) && yaml_emitter_emit(emitter, &event);
}

static bool put_value(yaml_emitter_t *emitter, const json_t *value)
{
	char text[64];

	switch (json_typeof(value)) {
	case JSON_OBJECT:
		return put_object(emitter, value);
	case JSON_ARRAY:
		return put_array(emitter, value);
	case JSON_STRING:
		return put_string(emitter, json_string_value(value));
	case JSON_INTEGER:
		snprintf(text, sizeof(text), "%lld", (long long)json_integer_value(value));
		return put_scalar(emitter, text, false);
	case JSON_REAL:
		snprintf(text, sizeof(text), "%.17g", json_real_value(value));
		return put_scalar(emitter, text, false);
	case JSON_TRUE:
		return put_scalar(emitter, "true", false);
	case JSON_FALSE:
		return put_scalar(emitter, "false", false);
	default:
		return put_scalar(emitter, "null", false);
	}
}

static int emit_file(void *file, unsigned char *buffer, size_t size)
{
	return fwrite(buffer, 1, size, file) == size;
}

int yaml_print(FILE *out, const json_t *document)
{
	__attribute__((cleanup(yaml_emitter_delete))) yaml_emitter_t emitter;
	yaml_event_t event;

	if (!yaml_emitter_initialize(&emitter))
		return -ENOMEM;
	yaml_emitter_set_output(&emitter, emit_file, out);
	yaml_emitter_set_unicode(&emitter, 1);
	yaml_emitter_set_width(&emitter, -1);
	if (!yaml_stream_start_event_initialize(&event, YAML_UTF8_ENCODING) ||
	    !yaml_emitter_emit(&emitter, &event) ||
	    !yaml_document_start_event_initialize(&event, NULL, NULL, NULL, 1) ||
	    !yaml_emitter_emit(&emitter, &event) || !put_value(&emitter, document) ||
	    !yaml_document_end_event_initialize(&event, 1) ||
	    !yaml_emitter_emit(&emitter, &event) || !yaml_stream_end_event_initialize(&event) ||
	    !yaml_emitter_emit(&emitter, &event))
		return -EIO;
	return 0;
}
