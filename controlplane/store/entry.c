/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "controlplane/store/entry.h"
#include "controlplane/store/intern.h"

struct entry *entry_new(const char *namespace_, const char *name, uint64_t hash)
{
	sl_auto(entry) entry = calloc(1, sizeof(*entry));

	if (!entry)
		return NULL;
	entry->hash = hash;
	entry->namespace_ = intern_get(namespace_);
	entry->name = intern_get(name);
	return entry->namespace_ && entry->name ? sl_take(entry) : NULL;
}

void entry_free(struct entry *entry)
{
	if (!entry)
		return;
	intern_put(entry->namespace_);
	intern_put(entry->name);
	service_free(entry->service);
	free(entry->slices);
	free(entry->triggers);
	free(entry->why);
	free(entry);
}

bool entry_is_empty(const struct entry *entry)
{
	return !entry->service && !entry->n_slices;
}

void entry_add_trigger(struct entry *entry, const struct slice *slice)
{
	if (!slice->triggered_ns)
		return;
	if (entry->n_triggers == entry->triggers_room) {
		size_t room = entry->triggers_room ? entry->triggers_room * 2 : 2;
		struct trigger *triggers = realloc(entry->triggers, room * sizeof(*triggers));

		if (!triggers)
			return;
		entry->triggers = triggers;
		entry->triggers_room = room;
	}
	entry->triggers[entry->n_triggers++] = (struct trigger) {
		.when_ns = slice->triggered_ns,
		.family = slice->family,
	};
}

void entry_drop_triggers(struct entry *entry, uint8_t family)
{
	size_t kept = 0;

	for (size_t i = 0; i < entry->n_triggers; i++)
		if (entry->triggers[i].family != family)
			entry->triggers[kept++] = entry->triggers[i];
	entry->n_triggers = kept;
}

int entry_reserve(struct entry *entry)
{
	if (entry->n_slices < entry->slices_room)
		return 0;

	/* Nearly every Service has one slice a family. */
	size_t room = entry->slices_room ? entry->slices_room * 2 : 2;
	const struct slice **slices = realloc(entry->slices, room * sizeof(*slices));

	if (!slices)
		return -ENOMEM;
	entry->slices = slices;
	entry->slices_room = room;
	return 0;
}

/* Where the slice of this name is, or would be. */
static size_t position(const struct entry *entry, const char *name)
{
	size_t low = 0, high = entry->n_slices;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (strcmp(entry->slices[middle]->name, name) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

void entry_add_slice(struct entry *entry, const struct slice *slice)
{
	size_t at = position(entry, slice->name);

	memmove(&entry->slices[at + 1], &entry->slices[at],
		(entry->n_slices - at) * sizeof(*entry->slices));
	entry->slices[at] = slice;
	entry->n_slices++;
}

void entry_remove_slice(struct entry *entry, const struct slice *slice)
{
	size_t at = position(entry, slice->name);

	entry->n_slices--;
	memmove(&entry->slices[at], &entry->slices[at + 1],
		(entry->n_slices - at) * sizeof(*entry->slices));
}
