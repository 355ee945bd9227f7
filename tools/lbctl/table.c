/* SPDX-License-Identifier: Apache-2.0 */

#include "tools/lbctl/table.h"

#include <errno.h>
#include <libsmartcols.h>
#include <stdlib.h>

#include "common/mem.h"
#include "tools/lbctl/text.h"

int rows_add(struct row_list *rows, const json_t *item, const json_t *owner)
{
	if (rows->n == rows->size) {
		size_t size = rows->size ? 2 * rows->size : 64;
		void *memory = realloc(rows->rows, size * sizeof(*rows->rows));

		if (!memory)
			return -ENOMEM;
		rows->rows = memory;
		rows->size = size;
	}
	rows->rows[rows->n++] = (struct row) { .item = item, .owner = owner };
	return 0;
}

void rows_done(struct row_list *rows)
{
	free(rows->rows);
	*rows = (struct row_list) { 0 };
}

static void write_cell(const struct column *column, const struct row *row, bool wide, FILE *out)
{
	const json_t *value = column->path ? text_find(row->item, column->path) : NULL;

	switch (column->kind) {
	case COLUMN_TEXT:
		fputs(text_string(row->item, column->path), out);
		return;
	case COLUMN_OWN:
	case COLUMN_OWN_NUMBER:
		column->cell(row, wide, out);
		return;
	case COLUMN_YES:
		fputs(json_is_boolean(value) ? (json_is_true(value) ? "yes" : "no") : "-", out);
		return;
	default:
		break;
	}
	if (!json_is_integer(value))
		fputc('-', out);
	else if (column->kind == COLUMN_BYTES)
		text_bytes(out, json_integer_value(value));
	else if (column->kind == COLUMN_AGE)
		text_age(out, json_integer_value(value));
	else
		fprintf(out, "%lld", (long long)json_integer_value(value));
}

/* The text of a cell, in memory that the caller frees; NULL without memory. */
static char *cell_text(const struct column *column, const struct row *row, bool wide)
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	if (!out)
		return NULL;
	write_cell(column, row, wide, out);
	if (!ftell(out))
		fputc('-', out);
	if (fclose(out)) {
		free(text);
		return NULL;
	}
	return text;
}

static bool shown(const struct column *column, bool wide)
{
	return wide || !column->wide;
}

static int add_columns(struct libscols_table *table, const struct column *columns, bool wide)
{
	for (const struct column *column = columns; column->title; column++) {
		int flags = column->kind == COLUMN_TEXT || column->kind == COLUMN_YES ||
					    column->kind == COLUMN_OWN
				    ? 0
				    : SCOLS_FL_RIGHT;

		if (shown(column, wide) && !scols_table_new_column(table, column->title, 0, flags))
			return -ENOMEM;
	}
	return 0;
}

static int add_row(struct libscols_table *table, const struct column *columns,
		   const struct row *row, bool wide)
{
	struct libscols_line *line = scols_table_new_line(table, NULL);
	size_t i = 0;

	if (!line)
		return -ENOMEM;
	for (const struct column *column = columns; column->title; column++) {
		char *text;

		if (!shown(column, wide))
			continue;
		text = cell_text(column, row, wide);
		if (!text || scols_line_refer_data(line, i++, text)) {
			free(text);
			return -ENOMEM;
		}
	}
	return 0;
}

static void unref_table(struct libscols_table **table)
{
	scols_unref_table(*table);
}

int print_rows(const struct lbctl *lbctl, const struct column *columns, const struct row_list *rows)
{
	const bool wide = lbctl->format == FORMAT_WIDE;
	__attribute__((cleanup(unref_table))) struct libscols_table *table = scols_new_table();
	int r;

	if (!table)
		return -ENOMEM;
	scols_table_set_stream(table, lbctl->out);
	scols_table_set_column_separator(table, "   ");
	scols_table_enable_minout(table, 1);
	scols_table_enable_noheadings(table, lbctl->no_headings);
	/* Never cut cells to the width of a terminal. */
	scols_table_set_termforce(table, SCOLS_TERMFORCE_NEVER);
	r = add_columns(table, columns, wide);
	for (size_t i = 0; !r && i < rows->n; i++)
		r = add_row(table, columns, &rows->rows[i], wide);
	if (r)
		return r;
	if (!rows->n) {
		/* smartcols prints nothing for a table without lines. */
		const char *separator = "";

		for (const struct column *column = columns; column->title && !lbctl->no_headings;
		     column++)
			if (shown(column, wide)) {
				fprintf(lbctl->out, "%s%s", separator, column->title);
				separator = "   ";
			}
		if (*separator)
			fputc('\n', lbctl->out);
		return 0;
	}
	return scols_print_table(table);
}

int print_items(const struct lbctl *lbctl, const struct column *columns, const json_t *items)
{
	__attribute__((cleanup(rows_done))) struct row_list rows = { 0 };
	const json_t *item;
	size_t i;
	int r;

	json_array_foreach (items, i, item) {
		r = rows_add(&rows, item, NULL);
		if (r)
			return r;
	}
	return print_rows(lbctl, columns, &rows);
}
