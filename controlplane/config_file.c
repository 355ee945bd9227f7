/* SPDX-License-Identifier: Apache-2.0 */

/* The configuration file: a YAML mapping, read with the lines of its nodes. */

#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <yaml.h>

#include "controlplane/config_table.h"

struct file {
	const char *path;
	yaml_document_t document;
	struct config *config;
	size_t *lines;
	char *error;
};

__attribute__((format(printf, 3, 4))) static int refuse(const struct file *f, size_t line,
							const char *format, ...)
{
	va_list args;
	int n = snprintf(f->error, 512, "%.200s:%zu: ", f->path, line);

	va_start(args, format);
	vsnprintf(f->error + n, (size_t)(512 - n), format, args);
	va_end(args);
	return -EINVAL;
}

static size_t line_of(const yaml_node_t *node)
{
	return node->start_mark.line + 1;
}

/* The text of a scalar, or NULL. */
static const char *scalar(const yaml_node_t *node)
{
	if (node->type != YAML_SCALAR_NODE)
		return NULL;
	/* With a NUL in it, it is no text that a flag could have given either. */
	const char *text = (const char *)node->data.scalar.value;
	return strlen(text) == node->data.scalar.length ? text : NULL;
}

/* Nothing, null or ~, not quoted: the field is as good as absent. */
static bool is_null(const yaml_node_t *node)
{
	const char *text = scalar(node);

	return text && node->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
	       (!*text || strcmp(text, "~") == 0 || strcasecmp(text, "null") == 0);
}

/* Of a mapping or a sequence. */
static size_t length(const yaml_node_t *node)
{
	return node->type == YAML_MAPPING_NODE
		       ? (size_t)(node->data.mapping.pairs.top - node->data.mapping.pairs.start)
		       : (size_t)(node->data.sequence.items.top - node->data.sequence.items.start);
}

static void free_values(struct config_values *values)
{
	for (size_t i = 0; i < values->n; i++)
		free(values->text[i]);
	free(values->text);
}

/*
 * Makes values of a sequence of scalars, or of a mapping "name: role". `items`
 * says where each one is. The caller frees, also after an error.
 */
static int collect(struct file *f, const struct config_field *field, yaml_node_t *node,
		   struct config_values *values, size_t *items)
{
	bool pairs = node->type == YAML_MAPPING_NODE;
	size_t n = length(node);

	for (size_t i = 0; i < n; i++) {
		yaml_node_t *item = yaml_document_get_node(
			&f->document, pairs ? node->data.mapping.pairs.start[i].value
					    : node->data.sequence.items.start[i]);
		const yaml_node_t *key =
			pairs ? yaml_document_get_node(&f->document,
						       node->data.mapping.pairs.start[i].key)
			      : NULL;
		char *text = NULL;

		if (!scalar(item) || (key && !scalar(key)))
			return refuse(f, line_of(item), "%s: item %zu is not text", field->name,
				      i + 1);
		if (asprintf(&text, "%s%s%s", key ? scalar(key) : "", key ? "=" : "",
			     scalar(item)) < 0)
			return -ENOMEM;
		items[values->n] = line_of(item);
		values->text[values->n++] = text;
	}
	return 0;
}

static int set_list(struct file *f, const struct config_field *field, yaml_node_t *node)
{
	char reason[CONFIG_REASON_MAX];
	size_t bad = 0, max = length(node);

	if (node->type == YAML_MAPPING_NODE && !field->pairs)
		return refuse(f, line_of(node), "%s: is a mapping, not a list", field->name);
	if (node->type == YAML_SEQUENCE_NODE && field->pairs)
		return refuse(f, line_of(node), "%s: is a list, not a mapping", field->name);

	struct config_values values = { .text = calloc(max + 1, sizeof(char *)) };
	sl_auto_mem size_t *items = calloc(max + 1, sizeof(*items));
	int err = values.text && items ? collect(f, field, node, &values, items) : -ENOMEM;
	if (!err) {
		err = field->set(f->config, field, &values, &bad, reason);
		if (err == -EINVAL)
			refuse(f, items[bad], "%s: %s", field->name, reason);
	}
	free_values(&values);
	return err;
}

static int set_field(struct file *f, const struct config_field *field, yaml_node_t *node)
{
	char reason[CONFIG_REASON_MAX];
	const char *text = scalar(node);

	if (is_null(node))
		return 0;
	if (!text && field->list)
		return set_list(f, field, node);
	if (!text)
		return refuse(f, line_of(node), "%s: is not one value", field->name);
	int err = config_set_text(f->config, field, text, reason);
	return err == -EINVAL ? refuse(f, line_of(node), "%s: %s", field->name, reason) : err;
}

static const struct config_field *find_field(const char *name)
{
	for (size_t i = 0; i < config_n_fields; i++) {
		if (strcmp(config_fields[i].name, name) == 0)
			return &config_fields[i];
	}
	return NULL;
}

static int read_root(struct file *f, yaml_node_t *root)
{
	if (is_null(root))
		return 0;
	if (root->type != YAML_MAPPING_NODE)
		return refuse(f, line_of(root), "not a mapping of fields to values");
	for (yaml_node_pair_t *pair = root->data.mapping.pairs.start;
	     pair < root->data.mapping.pairs.top; pair++) {
		const yaml_node_t *key = yaml_document_get_node(&f->document, pair->key);
		yaml_node_t *value = yaml_document_get_node(&f->document, pair->value);
		const char *name = scalar(key);
		char near[CONFIG_FLAG_MAX];

		if (!name)
			return refuse(f, line_of(key), "a field name is not text");
		const struct config_field *field = find_field(name);
		const char *why = field ? NULL : config_not_taken(name);
		if (why)
			return refuse(f, line_of(key), "%s: %s", name, why);
		if (!field && config_suggest(name, false, near))
			return refuse(f, line_of(key), "%.60s: no such field; did you mean %s?",
				      name, near);
		if (!field)
			return refuse(f, line_of(key), "%.60s: no such field", name);
		size_t *line = &f->lines[field - config_fields];
		if (*line)
			return refuse(f, line_of(key), "%s: is on line %zu already", name, *line);
		*line = line_of(key);
		int err = set_field(f, field, value);
		if (err)
			return err;
	}
	return 0;
}

static int read_document(struct file *f, yaml_parser_t *parser)
{
	if (!yaml_parser_load(parser, &f->document))
		return parser->error == YAML_MEMORY_ERROR
			       ? -ENOMEM
			       : refuse(f, parser->problem_mark.line + 1, "%s%s%s",
					parser->problem ? parser->problem : "not YAML",
					parser->context ? " " : "",
					parser->context ? parser->context : "");
	yaml_node_t *root = yaml_document_get_root_node(&f->document);
	int err = root ? read_root(f, root) : 0;
	yaml_document_delete(&f->document);
	return err;
}

/* The file has one document, or none. */
static int read_stream(struct file *f, yaml_parser_t *parser)
{
	int err = read_document(f, parser);

	if (err)
		return err;
	if (!yaml_parser_load(parser, &f->document))
		return refuse(f, parser->problem_mark.line + 1, "%s",
			      parser->problem ? parser->problem : "not YAML");
	const yaml_node_t *root = yaml_document_get_root_node(&f->document);
	size_t line = root ? line_of(root) : 0;
	yaml_document_delete(&f->document);
	return root ? refuse(f, line, "a second document begins here") : 0;
}

int config_read_file(const char *path, struct config *config, size_t *lines, char error[512])
{
	struct file f = { .path = path, .config = config, .lines = lines, .error = error };
	yaml_parser_t parser;
	FILE *in = fopen(path, "re");

	if (!in) {
		snprintf(error, 512, "%.200s: %s", path, strerror(errno));
		return -EINVAL;
	}
	int err = -ENOMEM;
	if (yaml_parser_initialize(&parser)) {
		yaml_parser_set_input_file(&parser, in);
		err = read_stream(&f, &parser);
		yaml_parser_delete(&parser);
	}
	fclose(in);
	if (err == -ENOMEM)
		snprintf(error, 512, "%.200s: out of memory", path);
	return err;
}
