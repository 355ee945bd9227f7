/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the files behind store.h share. */

#include "controlplane/store/cluster.h"
#include "controlplane/store/entry.h"
#include "controlplane/store/store.h"
#include "controlplane/store/table.h"

struct held_slice {
	struct slice *slice;
	struct entry *entry; /* NULL if the slice names no Service */
	uint64_t hash;
	uint32_t round;
};

struct store {
	struct table entries; /* of struct entry, by the name of the Service */
	struct table slices;  /* of struct held_slice, by the name of the slice */
	struct cluster cluster;
	size_t n_services;
	struct entry *first_changed, *last_changed;
	/* Taken and out of the table; what was taken stays valid for a while. */
	struct entry *dead;
	struct entry **sorted; /* room for all of `entries` */
	size_t sorted_room;
	uint32_t round[OBJECT_KIND_MAX];
	bool listed[OBJECT_KIND_MAX];
	uint64_t received_ns;
	struct store_changes changes;
	size_t n_failed;					       /* entries with a `why` */
	void (*wrong)(void *context, const struct store_wrong *wrong); /* or NULL */
	void *wrong_context;
	size_t next_retried; /* place in `entries` where store_touch_failed() goes on */
};

/* The entry of a name, or NULL. */
struct entry *store_entry(const struct store *store, const char *namespace_, const char *name);

/* Puts an entry into the queue of changed ones, unless it is there. */
void store_mark_changed(struct store *store, struct entry *entry);

/* What others get to see of an entry. */
struct store_service store_view(struct entry *entry);
