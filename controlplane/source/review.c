/* SPDX-License-Identifier: Apache-2.0 */

#include "controlplane/source/review.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/log.h"
#include "controlplane/source/apply.h"
#include "controlplane/source/defaults.h"

/* One run over a folder. */
struct run {
	struct review *review;
	/* File names, and lines that quote them, need not be UTF-8. */
	json_t *known; /* what review->known becomes */
	json_t *owner; /* "kind namespace/name" -> the file it is from */
	bool changed;
	bool no_memory;
};

/* The file in hand. */
struct page {
	struct run *run;
	const char *name;
	const json_t *before; /* its entry in review->known, or NULL */
	json_t *entry;	      /* the new one */
	bool same;	      /* the file did not change */
};

int review_init(struct review *review, struct store *store, const char *node_name)
{
	*review = (struct review) {
		.store = store,
		.node_name = node_name,
		.known = json_object(),
	};
	return review->known ? 0 : -ENOMEM;
}

void review_done(struct review *review)
{
	json_decref(sl_take(review->known));
}

static void check(struct page *page, int failed)
{
	if (failed)
		page->run->no_memory = true;
}

/* Logs a line about the file, unless the same was said of the same content. */
static void complain(struct page *page, const char *line)
{
	const json_t *told = json_object_get(page->before, "complaints");
	json_t *item;
	size_t i;

	if (!page->run->review->error[0])
		snprintf(page->run->review->error, OBJECT_ERROR_MAX, "%s", line);
	check(page, json_array_append_new(json_object_get(page->entry, "complaints"),
					  json_string_nocheck(line)));
	if (page->same) {
		json_array_foreach (told, i, item) {
			if (strcmp(json_string_value(item), line) == 0)
				return;
		}
	}
	log_warn("manifests: %s", line);
}

__attribute__((format(printf, 2, 3))) static void complain_of(struct page *page, const char *format,
							      ...)
{
	char line[OBJECT_ERROR_MAX];
	va_list args;

	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	complain(page, line);
}

/* True if the object is this file's; the first file that has it owns it. */
static bool claim(struct page *page, enum object_kind kind, const char *namespace_,
		  const char *name)
{
	sl_auto_mem char *key = NULL;

	if (asprintf(&key, "%s %s%s%s", apply_kind_name(kind), namespace_, *namespace_ ? "/" : "",
		     name) < 0) {
		key = NULL;
		check(page, -1);
		return false;
	}
	const char *owner = json_string_value(json_object_get(page->run->owner, key));
	if (owner) {
		complain_of(page, "%s: %s is in %s already, which counts", page->name, key, owner);
		return false;
	}
	check(page, json_object_set_new(page->run->owner, key, json_string_nocheck(page->name)));
	check(page, json_array_append_new(json_object_get(page->entry, "objects"),
					  json_pack("[iss]", (int)kind, namespace_, name)));
	return true;
}

static void apply_document(struct page *page, json_t *object)
{
	struct review *review = page->run->review;
	char error[OBJECT_ERROR_MAX];
	struct apply_id id;

	check(page, defaults_fill(object));
	int err = apply_identify(object, &id, error);
	if (err == -EINVAL)
		complain_of(page, "%s: %.400s", page->name, error);
	if (err || (id.kind == OBJECT_NODE && strcmp(id.name, review->node_name) != 0))
		return;
	if (!claim(page, id.kind, id.namespace_, id.name))
		return;

	int changed = apply_object(review->store, object, false, error);
	if (changed < 0)
		complain_of(page, "%s: %.400s; what was known of it stays", page->name, error);
	else if (error[0])
		complain_of(page, "%s: %.400s", page->name, error);
	if (changed > 0) {
		page->run->changed = true;
		review->events[id.kind]++;
	}
}

/* Items of a typed list ("ServiceList") may leave out what they are. */
static void name_item(struct page *page, const json_t *list, size_t kind_len, json_t *item)
{
	const char *kind = json_string_value(json_object_get(list, "kind"));
	json_t *version = json_object_get(list, "apiVersion");

	if (kind_len == 0 || !json_is_object(item) || json_object_get(item, "kind"))
		return;
	check(page, json_object_set_new(item, "kind", json_stringn(kind, kind_len)));
	if (version && !json_object_get(item, "apiVersion"))
		check(page, json_object_set(item, "apiVersion", version));
}

/* A document is an object or a list of some; lists in lists are no objects. */
static void apply_any(struct page *page, json_t *document)
{
	static const char list[] = "List";
	const char *kind = json_string_value(json_object_get(document, "kind"));
	json_t *items = json_object_get(document, "items");
	size_t len = kind ? strlen(kind) : 0;
	json_t *item;
	size_t i;

	if (len < sizeof(list) - 1 || strcmp(kind + len - (sizeof(list) - 1), list) != 0 ||
	    !json_is_array(items)) {
		apply_document(page, document);
		return;
	}
	json_array_foreach (items, i, item) {
		name_item(page, document, len - (sizeof(list) - 1), item);
		apply_document(page, item);
	}
}

/* The file can't be read: what it said last still holds. */
static void keep_all(struct page *page)
{
	const json_t *objects = json_object_get(page->before, "objects");
	json_t *object;
	size_t i;

	json_array_foreach (objects, i, object) {
		const char *namespace_, *name;
		int kind;

		if (json_unpack(object, "[iss]", &kind, &namespace_, &name) == 0 &&
		    claim(page, (enum object_kind)kind, namespace_, name))
			store_keep(page->run->review->store, (enum object_kind)kind, namespace_,
				   name);
	}
}

static void apply_file(struct run *run, const struct folder_file *file)
{
	struct page page = {
		.run = run,
		.name = file->name,
		.before = json_object_get(run->review->known, file->name),
		.entry = json_pack("{s:s, s:[], s:[]}", "version", file->version, "objects",
				   "complaints"),
	};
	const char *version = json_string_value(json_object_get(page.before, "version"));
	json_t *document;
	size_t i;

	check(&page, json_object_set_new_nocheck(run->known, file->name, page.entry));
	if (run->no_memory)
		return;
	page.same = version && strcmp(version, file->version) == 0;
	if (file->documents) {
		json_array_foreach (file->documents, i, document)
			apply_any(&page, document);
	} else {
		complain(&page, file->error);
		keep_all(&page);
	}
}

static void begin(struct review *review)
{
	review->error[0] = '\0';
	for (int kind = 0; kind < OBJECT_KIND_MAX; kind++)
		store_list_begin(review->store, (enum object_kind)kind);
}

static void end(struct run *run)
{
	for (int kind = 0; kind < OBJECT_KIND_MAX; kind++) {
		size_t removed = store_list_end(run->review->store, (enum object_kind)kind);

		run->review->events[kind] += removed;
		run->changed |= removed > 0;
	}
}

int review_apply(struct review *review, struct folder *folder)
{
	struct run run = {
		.review = review,
		.known = json_object(),
		.owner = json_object(),
		.no_memory = false,
	};

	if (!run.known || !run.owner)
		run.no_memory = true;
	begin(review);
	for (size_t i = 0; i < folder->n && !run.no_memory; i++)
		apply_file(&run, &folder->files[i]);
	json_decref(run.owner);
	if (run.no_memory) {
		json_decref(run.known);
		return -ENOMEM;
	}
	end(&run);
	json_decref(review->known);
	review->known = run.known;
	return run.changed;
}
