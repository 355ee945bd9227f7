/* SPDX-License-Identifier: Apache-2.0 */

/* What became of each Service: not usable; programmed, pending or failed, since when, why. */

#include <string.h>
#include <time.h>

#include "controlplane/store/store_private.h"

void store_on_wrong(struct store *store,
		    void (*wrong)(void *context, const struct store_wrong *wrong), void *context)
{
	store->wrong = wrong;
	store->wrong_context = context;
}

void store_tell_wrong(const struct store *store, const struct store_wrong *wrong)
{
	if (store->wrong)
		store->wrong(store->wrong_context, wrong);
}

static void fail(struct store *store, struct entry *entry, const char *why)
{
	/* Without memory for the reason it fails all the same. */
	static const char unknown[] = "";
	char *copy = strdup(why);

	if (!copy)
		copy = calloc(1, sizeof(unknown));
	if (!copy)
		return;
	if (!entry->why) {
		store->n_failed++;
		entry->settled_at = time(NULL);
	}
	free(entry->why);
	entry->why = copy;
}

static void settle_versions(struct entry *entry)
{
	if (entry->service)
		entry->service->version.programmed = entry->service->version.latest;
	/* The store owns them. */
	for (size_t i = 0; i < entry->n_slices; i++) {
		struct object_version *version = &((struct slice *)entry->slices[i])->version;

		version->programmed = version->latest;
	}
}

void store_outcome(struct store *store, const struct store_service *service, const char *why,
		   bool written)
{
	struct entry *entry = service->entry;

	/* One that is gone for good is remembered no more. */
	if (entry_is_empty(entry))
		return;
	if (why) {
		fail(store, entry, why);
		return;
	}
	settle_versions(entry);
	if (entry->why || written || !entry->settled_at)
		entry->settled_at = time(NULL);
	if (entry->why) {
		store->n_failed--;
		free(entry->why);
		entry->why = NULL;
	}
}

size_t store_failed(const struct store *store)
{
	return store->n_failed;
}

void store_touch_failed(struct store *store, size_t max)
{
	size_t n = store->entries.n;

	for (size_t i = 0; i < n && max > 0; i++) {
		struct entry *entry;

		if (store->next_retried >= n)
			store->next_retried = 0;
		entry = store->entries.items[store->next_retried++].item;
		if (!entry->why)
			continue;
		if (!entry->changed) {
			store_mark_changed(store, entry);
			/* No source's change: it says nothing about latency. */
			entry->received_ns = 0;
		}
		max--;
	}
}

bool store_find(const struct store *store, const char *namespace_, const char *name,
		struct store_service *ret)
{
	struct entry *entry = store_entry(store, namespace_, name);

	if (!entry || !entry->service)
		return false;
	*ret = store_view(entry);
	return true;
}

bool store_at(const struct store *store, size_t index, struct store_service *ret)
{
	if (index >= store->entries.n)
		return false;
	*ret = store_view(store->entries.items[index].item);
	return true;
}

void store_each_in(const struct store *store, enum store_state state,
		   bool (*each)(void *context, const struct store_service *service), void *context)
{
	/* They are few, or none. */
	if (state == STORE_FAILED && store->n_failed == 0)
		return;
	for (size_t i = 0; i < store->entries.n; i++) {
		struct store_service service = store_view(store->entries.items[i].item);

		if (service.service && service.state == state && !each(context, &service))
			return;
	}
}
