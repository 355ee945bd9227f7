/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What the daemon says of each Service beside its ports in the tables: whether
 * it is programmed, since when, why not, and which versions of its objects are
 * in force. As fields of docs/api.md's Service; new references.
 */

#include <jansson.h>

#include "controlplane/store/store.h"

/* NULL if there is no such Service. */
json_t *truth_describe(const struct store *store, const char *namespace_, const char *name);

/*
 * The next Service that failed or is pending, as a whole item without ports,
 * from `*cursor` on, which starts as 0; NULL at the end. In no order.
 */
json_t *truth_next(const struct store *store, size_t *cursor);

/* Those that failed, up to `max`, the oldest failures first: namespace, name,
 * since and message. */
json_t *truth_failures(const struct store *store, size_t max);
