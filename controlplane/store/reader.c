/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "controlplane/store/intern.h"
#include "controlplane/store/reader.h"

/* DNS labels (RFC 1123): Services, namespaces and ports have no longer names. */
#define NAME_MAX_BYTES 63
/* Room for the longest prefix that makes sense, without white space around. */
#define PREFIX_TEXT_MAX 128

struct field field_of(const struct field *parent, const char *key)
{
	const json_t *json = json_object_get(parent->json, key);

	return (struct field) {
		.parent = parent,
		.key = key,
		.json = json_is_null(json) ? NULL : json,
	};
}

struct field field_at(const struct field *list, size_t index)
{
	const json_t *json = json_array_get(list->json, index);

	return (struct field) {
		.parent = list,
		.index = index,
		.json = json_is_null(json) ? NULL : json,
	};
}

/* Writes "spec.ports[1].port"; returns how many bytes it takes. */
static size_t print_path(const struct field *field, char *out, size_t size)
{
	if (!field->parent)
		return 0;

	size_t n = print_path(field->parent, out, size);
	char *at = n < size ? out + n : NULL;
	size_t room = at ? size - n : 0;

	if (!field->key)
		return n + snprintf(at, room, "[%zu]", field->index);
	/* Labels and the like have dots of their own. */
	if (strchr(field->key, '.'))
		return n + snprintf(at, room, "[%s]", field->key);
	return n + snprintf(at, room, "%s%s", n ? "." : "", field->key);
}

static void tell(struct reader *reader, const struct field *field, const char *format, va_list args)
{
	char path[128] = "", what[128];

	print_path(field, path, sizeof(path));
	vsnprintf(what, sizeof(what), format, args);
	snprintf(reader->error, OBJECT_ERROR_MAX, "%.13s %.63s%s%.160s: %s%s%s", reader->kind,
		 reader->namespace_ ? reader->namespace_ : "", reader->namespace_ ? "/" : "",
		 reader->name ? reader->name : "?", path, *path ? ": " : "", what);
	log_printable(reader->error);
}

int reader_refuse(struct reader *reader, const struct field *field, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	tell(reader, field, format, args);
	va_end(args);
	return -EINVAL;
}

void reader_note(struct reader *reader, const struct field *field, const char *format, ...)
{
	va_list args;

	if (reader->notes++)
		return;
	va_start(args, format);
	tell(reader, field, format, args);
	va_end(args);
}

uint64_t reader_version(const struct field *metadata)
{
	const char *text = json_string_value(json_object_get(metadata->json, "resourceVersion"));
	unsigned long long version;
	char *end;

	if (!text || *text < '1' || *text > '9')
		return 0;
	errno = 0;
	version = strtoull(text, &end, 10);
	return errno || *end ? 0 : version;
}

void reader_end(struct reader *reader)
{
	size_t n = strlen(reader->error);

	if (reader->notes > 1)
		snprintf(reader->error + n, OBJECT_ERROR_MAX - n, " (and %u more)",
			 reader->notes - 1);
}

static const char *type_name(const json_t *json)
{
	switch (json_typeof(json)) {
	case JSON_OBJECT:
		return "an object";
	case JSON_ARRAY:
		return "a list";
	case JSON_STRING:
		return "a string";
	case JSON_INTEGER:
	case JSON_REAL:
		return "a number";
	case JSON_TRUE:
	case JSON_FALSE:
		return "a boolean";
	case JSON_NULL:
		break;
	}
	return "null";
}

static int wrong_type(struct reader *reader, const struct field *field, const char *want)
{
	if (!field->json)
		return reader_refuse(reader, field, "missing");
	return reader_refuse(reader, field, "is %s, not %s", type_name(field->json), want);
}

int field_object(struct reader *reader, const struct field *parent, const char *key,
		 struct field *ret)
{
	struct field field = field_of(parent, key);

	if (field.json && !json_is_object(field.json))
		return wrong_type(reader, &field, "an object");
	*ret = field;
	return 0;
}

int field_list(struct reader *reader, const struct field *parent, const char *key,
	       struct field *ret, size_t *ret_n)
{
	struct field field = field_of(parent, key);

	if (field.json && !json_is_array(field.json))
		return wrong_type(reader, &field, "a list");
	*ret = field;
	*ret_n = json_array_size(field.json);
	return 0;
}

int field_string(struct reader *reader, const struct field *parent, const char *key,
		 const char **ret)
{
	struct field field = field_of(parent, key);

	if (field.json && !json_is_string(field.json))
		return wrong_type(reader, &field, "a string");
	*ret = field.json ? json_string_value(field.json) : "";
	return 0;
}

int field_bool(struct reader *reader, const struct field *parent, const char *key, bool *ret)
{
	struct field field = field_of(parent, key);

	if (field.json && !json_is_boolean(field.json))
		return wrong_type(reader, &field, "a boolean");
	if (field.json)
		*ret = json_is_true(field.json);
	return 0;
}

int field_int(struct reader *reader, const struct field *parent, const char *key, long long min,
	      long long max, long long *ret)
{
	struct field field = field_of(parent, key);

	if (!field.json)
		return 0;
	if (json_is_real(field.json))
		return reader_refuse(reader, &field, "%g is not a whole number in %lld ... %lld",
				     json_real_value(field.json), min, max);
	if (!json_is_integer(field.json))
		return wrong_type(reader, &field, "a number");

	long long value = json_integer_value(field.json);

	if (value < min || value > max)
		return reader_refuse(reader, &field, "%lld is not in %lld ... %lld", value, min,
				     max);
	*ret = value;
	return 0;
}

int element_object(struct reader *reader, const struct field *element)
{
	return json_is_object(element->json) ? 0 : wrong_type(reader, element, "an object");
}

int element_string(struct reader *reader, const struct field *element, const char **ret)
{
	if (!json_is_string(element->json))
		return wrong_type(reader, element, "a string");
	*ret = json_string_value(element->json);
	return 0;
}

int reader_name_fits(struct reader *reader, const struct field *field, const char *name)
{
	if (strlen(name) <= NAME_MAX_BYTES)
		return 0;
	return reader_refuse(reader, field, "is longer than %d bytes", NAME_MAX_BYTES);
}

int reader_begin(struct reader *reader, const char *kind, bool namespaced, const json_t *json,
		 char error[OBJECT_ERROR_MAX], struct field *ret_root, struct field *ret_metadata)
{
	const char *name = "", *namespace_ = "";

	*reader = (struct reader) { .kind = kind, .error = error };
	error[0] = '\0';
	*ret_root = (struct field) { .json = json };
	if (!json_is_object(json))
		return reader_refuse(reader, ret_root, "is not an object");
	if (field_object(reader, ret_root, "metadata", ret_metadata) ||
	    field_string(reader, ret_metadata, "name", &name))
		return -EINVAL;

	struct field field = field_of(ret_metadata, "name");

	if (!*name)
		return reader_refuse(reader, &field, "missing");
	reader->name = name;
	if (!namespaced)
		return 0;
	if (field_string(reader, ret_metadata, "namespace", &namespace_))
		return -EINVAL;
	reader->namespace_ = *namespace_ ? namespace_ : "default";
	field = field_of(ret_metadata, "namespace");
	return reader_name_fits(reader, &field, reader->namespace_);
}

int reader_label(struct reader *reader, const struct field *metadata, const char *label,
		 const char **ret)
{
	struct field labels;
	int err = field_object(reader, metadata, "labels", &labels);

	return err ? err : field_string(reader, &labels, label, ret);
}

bool reader_address(struct reader *reader, const struct field *field, const char *text,
		    struct object_address *ret)
{
	static const struct sl_addr unspecified;
	struct sl_addr addr;
	int family = ip_parse(text, &addr);

	if (family < 0) {
		reader_note(reader, field, "skipped: \"%.50s\" is no IP address", text);
		return false;
	}
	if (ip_equal(&addr, &unspecified)) {
		reader_note(reader, field, "skipped: \"%.50s\" stands for no host", text);
		return false;
	}
	*ret = (struct object_address) { .addr = addr, .family = family };
	return true;
}

/* Trims white space (S-050). */
static bool parse_prefix(const char *text, struct ip_prefix *ret)
{
	static const char space[] = " \t\r\n\v\f";
	char trimmed[PREFIX_TEXT_MAX];

	text += strspn(text, space);

	size_t len = strlen(text);

	while (len && strchr(space, text[len - 1]))
		len--;
	if (len >= sizeof(trimmed))
		return false;
	memcpy(trimmed, text, len);
	trimmed[len] = '\0';
	return !ip_prefix_parse(trimmed, ret);
}

int reader_prefixes(struct reader *reader, const struct field *parent, const char *key,
		    struct ip_prefix **ret, size_t *ret_n)
{
	struct field list;
	size_t n;
	int err = field_list(reader, parent, key, &list, &n);

	if (err || !n)
		return err;

	struct ip_prefix *prefixes = calloc(n, sizeof(*prefixes));

	if (!prefixes)
		return reader_no_memory(reader);
	*ret = prefixes;
	for (size_t i = 0; i < n; i++) {
		struct field field = field_at(&list, i);
		const char *text = "";

		err = element_string(reader, &field, &text);
		if (err)
			return err;
		if (parse_prefix(text, &prefixes[*ret_n]))
			(*ret_n)++;
		else
			reader_note(reader, &field, "skipped: \"%.50s\" is no CIDR", text);
	}
	return 0;
}

int reader_no_memory(struct reader *reader)
{
	static const struct field whole;

	reader_refuse(reader, &whole, "out of memory");
	return -ENOMEM;
}

int reader_intern(struct reader *reader, const char *text, const char **ret)
{
	const char *shared = intern_get(text);

	if (!shared)
		return reader_no_memory(reader);
	*ret = shared;
	return 0;
}

int reader_protocol(struct reader *reader, const struct field *port, uint8_t *ret)
{
	const char *name = "";

	if (field_string(reader, port, "protocol", &name))
		return -EINVAL;

	int proto = ip_protocol_parse(*name ? name : "TCP");

	if (proto < 0) {
		struct field field = field_of(port, "protocol");

		return reader_refuse(reader, &field, "\"%.50s\" is not TCP, UDP or SCTP", name);
	}
	*ret = proto;
	return 0;
}
