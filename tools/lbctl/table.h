/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Tables of JSON objects, by a description of their columns. */

#include "tools/lbctl/lbctl.h"

enum column_kind {
	COLUMN_TEXT,   /* a string */
	COLUMN_NUMBER, /* aligned to the right, like all below */
	COLUMN_BYTES,
	COLUMN_AGE, /* seconds */
	COLUMN_YES, /* "yes" or "no" */
	COLUMN_OWN, /* what `cell` writes */
	COLUMN_OWN_NUMBER,
};

/* An object and the one that holds its list, or NULL. */
struct row {
	const json_t *item, *owner;
};

struct column {
	const char *title;
	enum column_kind kind;
	const char *path; /* in the item, keys joined by dots */
	bool wide;	  /* only with -o wide */
	void (*cell)(const struct row *row, bool wide, FILE *out);
};

struct row_list {
	struct row *rows;
	size_t n, size;
};

int rows_add(struct row_list *rows, const json_t *item, const json_t *owner);
void rows_done(struct row_list *rows);

/*
 * Prints a table; a cell without a value is "-". The list of columns ends with
 * a title of NULL. Returns 0, or -errno.
 */
int print_rows(const struct lbctl *lbctl, const struct column *columns,
	       const struct row_list *rows);

/* The same for all items of a list. */
int print_items(const struct lbctl *lbctl, const struct column *columns, const json_t *items);
