/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the store knows under one name of a Service (private to store/). */

#include "controlplane/store/object.h"

/* Lives while anything is known, and until its last change was taken. */
struct entry {
	const char *namespace_; /* interned */
	const char *name;	/* interned */
	uint64_t hash;
	struct service *service;     /* NULL: only slices are known */
	const struct slice **slices; /* ordered by name; the store owns them */
	size_t n_slices, slices_room;
	uint64_t received_ns; /* of the first change since it was last taken */
	uint32_t round;	      /* of lists, in which `service` was last put */
	/* What changed since it was last taken (S-231). */
	bool service_waits;
	uint32_t slices_waiting;
	struct trigger *triggers; /* of changed slices (S-235) */
	size_t n_triggers, triggers_room;
	bool changed;	    /* is in the queue of changed entries */
	struct entry *next; /* in that queue, or in the list of the dead */
	int64_t changed_at; /* wall clock, of that first change */
	int64_t settled_at; /* since when it is programmed, or fails; 0: neither yet */
	char *why;	    /* it fails; NULL: it does not */
};

/* Returns NULL without memory. */
struct entry *entry_new(const char *namespace_, const char *name, uint64_t hash);
void entry_free(struct entry *entry);
SL_DEFINE_AUTO(entry)

bool entry_is_empty(const struct entry *entry);

/* Notes when a slice's change was triggered; without memory it is forgotten. */
void entry_add_trigger(struct entry *entry, const struct slice *slice);

/* Forgets those of a family. */
void entry_drop_triggers(struct entry *entry, uint8_t family);

/* Makes room for one slice more. Returns 0 or -ENOMEM. */
int entry_reserve(struct entry *entry);

/* Adds a slice of a name that is not there; needs entry_reserve() before. */
void entry_add_slice(struct entry *entry, const struct slice *slice);

/* Removes a slice that is there. */
void entry_remove_slice(struct entry *entry, const struct slice *slice);
