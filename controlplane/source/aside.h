/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Objects of one kind that were received but must not count yet, since what
 * they are a part of is not whole. They are kept as the parsers reduce them.
 */

#include <jansson.h>
#include <stdbool.h>

#include "controlplane/store/store.h"
#include "controlplane/store/table.h"

struct aside {
	enum object_kind kind;
	struct table items;
};

void aside_init(struct aside *aside, enum object_kind kind);

/* Forgets all; may be used again. */
void aside_clear(struct aside *aside);

/*
 * Takes the last word about an object. One that can't be read counts as there:
 * what the store has of it will stay. One of another kind, or that the selectors
 * leave out, is none. Returns 0 or -ENOMEM; or -EINVAL for what has no name, with
 * the reason in `error`.
 */
int aside_put(struct aside *aside, const json_t *object, char error[OBJECT_ERROR_MAX]);

/* The object was deleted meanwhile. */
void aside_remove(struct aside *aside, const json_t *object);

/* What the store has of this object will stay; `why` is logged then. Returns 0
 * or -ENOMEM. */
int aside_keep(struct aside *aside, const char *namespace_, const char *name, const char *why);

/* Puts all of it into the store, and is empty. Returns true if that changed it;
 * what is wrong with objects is logged by name. */
bool aside_apply(struct aside *aside, struct store *store);
