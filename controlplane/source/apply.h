/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* One object on its way from a source into the store; private to the sources. */

#include "controlplane/source/source.h"

/* Which object a document is; points into the document. */
struct apply_id {
	enum object_kind kind;
	const char *namespace_; /* "" where the kind has none */
	const char *name;
};

/* metadata.uid; none if it has none. */
struct object_uid apply_uid(const json_t *object);

/* "Service", "EndpointSlice", "Node" or "ServiceCIDR". */
const char *apply_kind_name(enum object_kind kind);

/*
 * Tells what a document is. Returns 0; -ENOENT for a kind that sluice does not
 * read; or -EINVAL, with the reason in `error`, for what is no object at all
 * or lacks its name.
 */
int apply_identify(const json_t *object, struct apply_id *ret, char error[OBJECT_ERROR_MAX]);

/* True if the selectors of S-001 and S-002 leave the object out. */
bool apply_is_left_out(enum object_kind kind, const json_t *object);

/* Reduces an object to what sluice needs of it: a struct service, slice, node or
 * service_cidr. As service_parse() and the like; `error` may tell of a part that
 * was skipped. */
int apply_parse(enum object_kind kind, const json_t *object, void **ret,
		char error[OBJECT_ERROR_MAX]);

/* What apply_parse() gave, into the store or away. The former as store_put_service(). */
int apply_put(struct store *store, enum object_kind kind, void *parsed);
void apply_drop(enum object_kind kind, void *parsed);

/* Logs what is wrong with an object; the store's listener hears of a Service. */
void apply_tell(const struct store *store, enum object_kind kind, const struct store_wrong *wrong);

/*
 * Puts an object into the store, or removes it: if `removed`, or if the
 * selectors of a watch would leave it out (S-001, S-002). What can't be read
 * keeps the version that is there.
 *
 * Returns 1 if the store changed, 0 if not (a kind that sluice does not read
 * among it), -EINVAL or -ENOMEM. `error` says what is wrong, also of an object
 * that was put though some part of it was skipped; else it is empty.
 */
int apply_object(struct store *store, const json_t *object, bool removed,
		 char error[OBJECT_ERROR_MAX]);
