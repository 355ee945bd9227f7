/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <time.h>

#include "controlplane/store/equal.h"
#include "controlplane/store/store_private.h"

struct key {
	const char *namespace_, *name;
};

static bool entry_has_key(const void *item, const void *key_)
{
	const struct entry *entry = item;
	const struct key *key = key_;

	return !strcmp(entry->name, key->name) && !strcmp(entry->namespace_, key->namespace_);
}

static bool slice_has_key(const void *item, const void *key_)
{
	const struct slice *slice = ((const struct held_slice *)item)->slice;
	const struct key *key = key_;

	return !strcmp(slice->name, key->name) && !strcmp(slice->namespace_, key->namespace_);
}

static uint64_t key_hash(const struct key *key)
{
	return table_hash(key->name, table_hash(key->namespace_, 0));
}

static void bury_dead(struct store *store)
{
	while (store->dead) {
		struct entry *entry = store->dead;

		store->dead = entry->next;
		entry_free(entry);
	}
}

struct store *store_new(void)
{
	return calloc(1, sizeof(struct store));
}

void store_free(struct store *store)
{
	if (!store)
		return;
	bury_dead(store);
	for (size_t i = 0; i < store->entries.n; i++)
		entry_free(store->entries.items[i].item);
	for (size_t i = 0; i < store->slices.n; i++) {
		struct held_slice *held = store->slices.items[i].item;

		slice_free(held->slice);
		free(held);
	}
	table_clear(&store->entries);
	table_clear(&store->slices);
	cluster_clear(&store->cluster);
	free(store->sorted);
	free(store);
}

void store_mark_changed(struct store *store, struct entry *entry)
{
	if (entry->changed)
		return;
	entry->changed = true;
	entry->received_ns = store->received_ns;
	entry->changed_at = time(NULL);
	entry->next = NULL;
	if (store->last_changed)
		store->last_changed->next = entry;
	else
		store->first_changed = entry;
	store->last_changed = entry;
}

static void note_service(struct store *store, struct entry *entry)
{
	store->changes.services++;
	store->changes.services_pending += !entry->service_waits;
	entry->service_waits = true;
	store_mark_changed(store, entry);
}

static void note_slice(struct store *store, struct entry *entry)
{
	store->changes.slices++;
	store->changes.slices_pending++;
	entry->slices_waiting++;
}

static void note_taken(struct store *store, struct entry *entry)
{
	store->changes.services_pending -= entry->service_waits;
	store->changes.slices_pending -= entry->slices_waiting;
	entry->service_waits = false;
	entry->slices_waiting = 0;
	entry->n_triggers = 0;
}

/* Makes room for one entry more, so that store_each() can't fail. */
static int sorted_reserve(struct store *store)
{
	if (store->entries.n < store->sorted_room)
		return 0;

	size_t room = store->sorted_room ? store->sorted_room * 2 : 16;
	struct entry **sorted = realloc(store->sorted, room * sizeof(*sorted));

	if (!sorted)
		return -ENOMEM;
	store->sorted = sorted;
	store->sorted_room = room;
	return 0;
}

/* The entry of a name, made if there is none. NULL without memory. */
static struct entry *entry_get(struct store *store, const struct key *key)
{
	uint64_t hash = key_hash(key);
	struct entry *found = table_find(&store->entries, hash, entry_has_key, key);

	if (found)
		return found;

	sl_auto(entry) entry = entry_new(key->namespace_, key->name, hash);

	if (!entry || sorted_reserve(store) || table_add(&store->entries, hash, entry))
		return NULL;
	return sl_take(entry);
}

struct entry *store_entry(const struct store *store, const char *namespace_, const char *name)
{
	struct key key = { namespace_, name };

	return table_find(&store->entries, key_hash(&key), entry_has_key, &key);
}

/* Takes back an entry_get() whose purpose failed. */
static void entry_unget(struct store *store, struct entry *entry)
{
	if (!entry_is_empty(entry) || entry->changed)
		return;
	table_remove(&store->entries, entry->hash, entry);
	entry_free(entry);
}

/* An object that says the same has come: it is in force if the old one is. */
static void follow_version(struct object_version *version, const struct object_version *came)
{
	if (version->programmed == version->latest)
		version->programmed = came->latest;
	version->latest = came->latest;
}

int store_put_service(struct store *store, struct service *service_)
{
	sl_auto(service) service = service_;
	struct key key = { service->namespace_, service->name };
	struct entry *entry = entry_get(store, &key);

	bury_dead(store);
	if (!entry)
		return -ENOMEM;
	entry->round = store->round[OBJECT_SERVICE];
	if (entry->service && service_equal(entry->service, service)) {
		follow_version(&entry->service->version, &service->version);
		/* It may have been deleted and made again meanwhile. */
		entry->service->uid = service->uid;
		return 0;
	}
	if (entry->service)
		service->version.programmed = entry->service->version.programmed;
	else
		store->n_services++;
	service_free(entry->service);
	entry->service = sl_take(service);
	note_service(store, entry);
	return 1;
}

static void detach(struct store *store, struct held_slice *held)
{
	struct entry *entry = held->entry;

	if (!entry)
		return;

	entry_remove_slice(entry, held->slice);
	held->entry = NULL;
	store_mark_changed(store, entry);
}

/* The entry has room. */
static void attach(struct store *store, struct held_slice *held, struct entry *entry)
{
	entry_add_slice(entry, held->slice);
	held->entry = entry;
	store_mark_changed(store, entry);
}

/* Finds or makes the place for a slice of this name. NULL without memory. */
static struct held_slice *held_get(struct store *store, const struct key *key)
{
	uint64_t hash = key_hash(key);
	struct held_slice *held = table_find(&store->slices, hash, slice_has_key, key);

	if (held)
		return held;
	held = calloc(1, sizeof(*held));
	if (!held)
		return NULL;
	held->hash = hash;
	if (table_add(&store->slices, hash, held)) {
		free(held);
		return NULL;
	}
	return held;
}

/* Makes room for the slice in the entry of the Service that it names. */
static int entry_for_slice(struct store *store, const struct slice *slice, struct entry **ret)
{
	struct key key = { slice->namespace_, slice->service };
	struct entry *entry;

	if (!*slice->service) {
		*ret = NULL;
		return 0;
	}
	entry = entry_get(store, &key);
	if (!entry)
		return -ENOMEM;
	if (entry_reserve(entry)) {
		entry_unget(store, entry);
		return -ENOMEM;
	}
	*ret = entry;
	return 0;
}

int store_put_slice(struct store *store, struct slice *slice_)
{
	sl_auto(slice) slice = slice_;
	struct key key = { slice->namespace_, slice->name };
	struct held_slice *held = table_find(&store->slices, key_hash(&key), slice_has_key, &key);
	struct entry *entry;

	bury_dead(store);
	if (held && slice_equal(held->slice, slice)) {
		follow_version(&held->slice->version, &slice->version);
		held->round = store->round[OBJECT_SLICE];
		return 0;
	}
	if (entry_for_slice(store, slice, &entry))
		return -ENOMEM;
	if (!held)
		held = held_get(store, &key);
	if (!held) {
		if (entry)
			entry_unget(store, entry);
		return -ENOMEM;
	}
	detach(store, held);
	if (held->slice)
		slice->version.programmed = held->slice->version.programmed;
	slice_free(held->slice);
	held->slice = sl_take(slice);
	held->round = store->round[OBJECT_SLICE];
	if (entry) {
		attach(store, held, entry);
		note_slice(store, entry);
		entry_add_trigger(entry, held->slice);
	}
	return 1;
}

int store_put_node(struct store *store, struct node *node)
{
	return cluster_put_node(&store->cluster, node, store->round[OBJECT_NODE]);
}

int store_put_service_cidr(struct store *store, struct service_cidr *cidr)
{
	return cluster_put_cidr(&store->cluster, cidr, store->round[OBJECT_SERVICE_CIDR]);
}

static void remove_service(struct store *store, struct entry *entry)
{
	service_free(entry->service);
	entry->service = NULL;
	store->n_services--;
	note_service(store, entry);
}

static void remove_slice(struct store *store, struct held_slice *held)
{
	if (held->entry) {
		note_slice(store, held->entry);
		entry_drop_triggers(held->entry, held->slice->family);
	}
	detach(store, held);
	table_remove(&store->slices, held->hash, held);
	slice_free(held->slice);
	free(held);
}

int store_remove(struct store *store, enum object_kind kind, const char *namespace_,
		 const char *name)
{
	struct key key = { namespace_ ? namespace_ : "", name };
	struct entry *entry;
	struct held_slice *held;

	bury_dead(store);
	switch (kind) {
	case OBJECT_SERVICE:
		entry = table_find(&store->entries, key_hash(&key), entry_has_key, &key);
		if (!entry || !entry->service)
			return 0;
		remove_service(store, entry);
		return 1;
	case OBJECT_SLICE:
		held = table_find(&store->slices, key_hash(&key), slice_has_key, &key);
		if (!held)
			return 0;
		remove_slice(store, held);
		return 1;
	case OBJECT_NODE:
	case OBJECT_SERVICE_CIDR:
		return cluster_remove(&store->cluster, kind, name);
	case OBJECT_KIND_MAX:
		break;
	}
	return 0;
}

int store_keep(struct store *store, enum object_kind kind, const char *namespace_, const char *name)
{
	struct key key = { namespace_ ? namespace_ : "", name };
	uint32_t *round = NULL;
	struct entry *entry;
	struct held_slice *held;

	switch (kind) {
	case OBJECT_SERVICE:
		entry = table_find(&store->entries, key_hash(&key), entry_has_key, &key);
		round = entry && entry->service ? &entry->round : NULL;
		break;
	case OBJECT_SLICE:
		held = table_find(&store->slices, key_hash(&key), slice_has_key, &key);
		round = held ? &held->round : NULL;
		break;
	case OBJECT_NODE:
	case OBJECT_SERVICE_CIDR:
		round = cluster_round(&store->cluster, kind, name);
		break;
	case OBJECT_KIND_MAX:
		break;
	}
	if (!round)
		return 0;
	*round = store->round[kind];
	return 1;
}

void store_list_begin(struct store *store, enum object_kind kind)
{
	store->round[kind]++;
}

/* Removes the Services that were not put in this round. */
static size_t sweep_services(struct store *store)
{
	size_t removed = 0;

	for (size_t i = 0; i < store->entries.n; i++) {
		struct entry *entry = store->entries.items[i].item;

		if (!entry->service || entry->round == store->round[OBJECT_SERVICE])
			continue;
		remove_service(store, entry);
		removed++;
	}
	return removed;
}

static size_t sweep_slices(struct store *store)
{
	size_t removed = 0;

	for (size_t i = store->slices.n; i > 0; i--) {
		struct held_slice *held = store->slices.items[i - 1].item;

		if (held->round == store->round[OBJECT_SLICE])
			continue;
		remove_slice(store, held);
		removed++;
	}
	return removed;
}

size_t store_list_end(struct store *store, enum object_kind kind)
{
	bury_dead(store);
	store->listed[kind] = true;
	switch (kind) {
	case OBJECT_SERVICE:
		return sweep_services(store);
	case OBJECT_SLICE:
		return sweep_slices(store);
	case OBJECT_NODE:
	case OBJECT_SERVICE_CIDR:
		return cluster_sweep(&store->cluster, kind, store->round[kind]);
	case OBJECT_KIND_MAX:
		break;
	}
	return 0;
}

bool store_listed(const struct store *store, enum object_kind kind)
{
	return store->listed[kind];
}

void store_received(struct store *store, uint64_t when_ns)
{
	store->received_ns = when_ns;
}

struct store_service store_view(struct entry *entry)
{
	bool pending = entry->changed || !entry->settled_at;

	return (struct store_service) {
		.namespace_ = entry->namespace_,
		.name = entry->name,
		.service = entry->service,
		.slices = entry->slices,
		.n_slices = entry->n_slices,
		.received_ns = entry->received_ns,
		.triggers = entry->triggers,
		.n_triggers = entry->n_triggers,
		.state = entry->why ? STORE_FAILED
			 : pending  ? STORE_PENDING
				    : STORE_PROGRAMMED,
		.since = pending && !entry->why ? entry->changed_at : entry->settled_at,
		.why = entry->why,
		.entry = entry,
	};
}

bool store_next_changed(struct store *store, struct store_service *ret)
{
	struct entry *entry = store->first_changed;

	if (!entry)
		return false;
	store->first_changed = entry->next;
	if (!entry->next)
		store->last_changed = NULL;
	entry->next = NULL;
	entry->changed = false;
	*ret = store_view(entry);
	note_taken(store, entry);
	if (entry_is_empty(entry)) {
		table_remove(&store->entries, entry->hash, entry);
		store->n_failed -= entry->why != NULL;
		entry->next = store->dead;
		store->dead = entry;
	}
	return true;
}

void store_touch_all(struct store *store)
{
	for (size_t i = 0; i < store->entries.n; i++) {
		struct entry *entry = store->entries.items[i].item;

		if (entry->service)
			store_mark_changed(store, entry);
	}
}

const struct node *store_node(const struct store *store)
{
	return store->cluster.node;
}

void store_each_service_cidr(const struct store *store,
			     void (*each)(void *context, const struct ip_prefix *prefix),
			     void *context)
{
	for (size_t i = 0; i < store->cluster.n_cidrs; i++) {
		const struct service_cidr *cidr = store->cluster.cidrs[i].cidr;

		for (size_t at = 0; at < cidr->n_prefixes; at++)
			each(context, &cidr->prefixes[at]);
	}
}

const struct store_changes *store_changes(const struct store *store)
{
	return &store->changes;
}

uint64_t store_node_version(const struct store *store)
{
	return store->cluster.version;
}

size_t store_count(const struct store *store, enum object_kind kind)
{
	switch (kind) {
	case OBJECT_SERVICE:
		return store->n_services;
	case OBJECT_SLICE:
		return store->slices.n;
	case OBJECT_NODE:
		return store->cluster.node ? 1 : 0;
	case OBJECT_SERVICE_CIDR:
		return store->cluster.n_cidrs;
	case OBJECT_KIND_MAX:
		break;
	}
	return 0;
}

static int compare_names(const void *a_, const void *b_)
{
	const struct entry *a = *(const struct entry *const *)a_;
	const struct entry *b = *(const struct entry *const *)b_;
	int order = strcmp(a->namespace_, b->namespace_);

	return order ? order : strcmp(a->name, b->name);
}

void store_each(const struct store *store,
		void (*each)(void *context, const struct store_service *service), void *context)
{
	size_t n = 0;

	for (size_t i = 0; i < store->entries.n; i++) {
		struct entry *entry = store->entries.items[i].item;

		if (entry->service)
			store->sorted[n++] = entry;
	}
	if (n)
		qsort(store->sorted, n, sizeof(*store->sorted), compare_names);
	for (size_t i = 0; i < n; i++) {
		struct store_service service = store_view(store->sorted[i]);

		each(context, &service);
	}
}
