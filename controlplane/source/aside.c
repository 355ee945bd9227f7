/* SPDX-License-Identifier: Apache-2.0 */

#include "controlplane/source/aside.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/log.h"
#include "controlplane/source/apply.h"

struct wrong {
	struct object_uid uid;
	char what[];
};

struct item {
	uint64_t hash;
	void *parsed;	     /* NULL: what the store has stays */
	struct wrong *wrong; /* what is to be told, or NULL */
	size_t name;	     /* where it begins in `key` */
	char key[];	     /* namespace, 0, name, 0 */
};

struct key {
	const char *namespace_, *name;
};

static bool item_has_key(const void *item_, const void *key_)
{
	const struct item *item = item_;
	const struct key *key = key_;

	return strcmp(item->key + item->name, key->name) == 0 &&
	       strcmp(item->key, key->namespace_) == 0;
}

static uint64_t key_hash(const struct key *key)
{
	return table_hash(key->name, table_hash(key->namespace_, 0));
}

static void item_free(enum object_kind kind, struct item *item)
{
	apply_drop(kind, item->parsed);
	free(item->wrong);
	free(item);
}

void aside_init(struct aside *aside, enum object_kind kind)
{
	*aside = (struct aside) { .kind = kind };
}

void aside_clear(struct aside *aside)
{
	for (size_t i = 0; i < aside->items.n; i++)
		item_free(aside->kind, aside->items.items[i].item);
	table_clear(&aside->items);
}

static struct item *item_new(const struct key *key, uint64_t hash)
{
	size_t namespace_len = strlen(key->namespace_) + 1, name_len = strlen(key->name) + 1;
	struct item *item = calloc(1, sizeof(*item) + namespace_len + name_len);

	if (!item)
		return NULL;
	item->hash = hash;
	item->name = namespace_len;
	memcpy(item->key, key->namespace_, namespace_len);
	memcpy(item->key + namespace_len, key->name, name_len);
	return item;
}

/* NULL for nothing, or without memory: it is not told then. */
static struct wrong *wrong_new(struct object_uid uid, const char *what)
{
	size_t len = what ? strlen(what) : 0;
	struct wrong *wrong = len ? malloc(sizeof(*wrong) + len + 1) : NULL;

	if (!wrong)
		return NULL;
	wrong->uid = uid;
	memcpy(wrong->what, what, len + 1);
	return wrong;
}

/* Sets what is known of the object; takes `parsed` over, also when it fails. */
static int set(struct aside *aside, const struct key *key, void *parsed, struct object_uid uid,
	       const char *what)
{
	uint64_t hash = key_hash(key);
	struct item *item = table_find(&aside->items, hash, item_has_key, key);
	struct wrong *wrong = wrong_new(uid, what);

	if (!item) {
		item = item_new(key, hash);
		if (!item || table_add(&aside->items, hash, item)) {
			free(item);
			free(wrong);
			apply_drop(aside->kind, parsed);
			return -ENOMEM;
		}
	}
	apply_drop(aside->kind, item->parsed);
	free(item->wrong);
	item->parsed = parsed;
	item->wrong = wrong;
	return 0;
}

static void forget(struct aside *aside, const struct key *key)
{
	uint64_t hash = key_hash(key);
	struct item *item = table_find(&aside->items, hash, item_has_key, key);

	if (!item)
		return;
	table_remove(&aside->items, hash, item);
	item_free(aside->kind, item);
}

int aside_put(struct aside *aside, const json_t *object, char error[OBJECT_ERROR_MAX])
{
	struct apply_id id;
	void *parsed = NULL;
	int err = apply_identify(object, &id, error);

	if (err == -EINVAL)
		return err;
	if (err || id.kind != aside->kind)
		return 0;

	const struct key key = { id.namespace_, id.name };
	if (apply_is_left_out(id.kind, object)) {
		forget(aside, &key);
		return 0;
	}
	err = apply_parse(id.kind, object, &parsed, error);
	if (err == -ENOMEM)
		return err;
	return set(aside, &key, err ? NULL : parsed, apply_uid(object), error);
}

void aside_remove(struct aside *aside, const json_t *object)
{
	char error[OBJECT_ERROR_MAX];
	struct apply_id id;

	if (apply_identify(object, &id, error) || id.kind != aside->kind)
		return;
	forget(aside, &(struct key) { id.namespace_, id.name });
}

int aside_keep(struct aside *aside, const char *namespace_, const char *name, const char *why)
{
	static const struct object_uid unknown;

	return set(aside, &(struct key) { namespace_, name }, NULL, unknown, why);
}

/* Returns true if the store changed. */
static bool apply_item(struct store *store, enum object_kind kind, struct item *item)
{
	const char *name = item->key + item->name;
	int changed = 0;

	if (item->parsed)
		changed = apply_put(store, kind, sl_take(item->parsed));
	else
		changed = -EINVAL;
	if (changed < 0)
		store_keep(store, kind, item->key, name);
	if (item->wrong && changed != 0)
		apply_tell(store, kind,
			   &(struct store_wrong) {
				   .namespace_ = item->key,
				   .name = name,
				   .uid = item->wrong->uid,
				   .refused = changed < 0,
				   .what = item->wrong->what,
			   });
	else if (changed < 0)
		log_warn("source: %s %s/%s: %s; what was known of it stays", apply_kind_name(kind),
			 item->key, name, strerror(-changed));
	return changed > 0;
}

bool aside_apply(struct aside *aside, struct store *store)
{
	bool changed = false;

	for (size_t i = 0; i < aside->items.n; i++)
		changed |= apply_item(store, aside->kind, aside->items.items[i].item);
	aside_clear(aside);
	return changed;
}
