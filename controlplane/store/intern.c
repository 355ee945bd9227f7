/* SPDX-License-Identifier: Apache-2.0 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "controlplane/store/intern.h"
#include "controlplane/store/table.h"

struct shared {
	size_t uses;
	char text[];
};

static struct table strings;

static bool has_text(const void *item, const void *text)
{
	return !strcmp(((const struct shared *)item)->text, text);
}

const char *intern_get(const char *text)
{
	if (!text)
		return NULL;

	uint64_t hash = table_hash(text, 0);
	struct shared *shared = table_find(&strings, hash, has_text, text);

	if (!shared) {
		size_t size = strlen(text) + 1;

		shared = malloc(sizeof(*shared) + size);
		if (!shared)
			return NULL;
		shared->uses = 0;
		memcpy(shared->text, text, size);
		if (table_add(&strings, hash, shared)) {
			free(shared);
			return NULL;
		}
	}
	shared->uses++;
	return shared->text;
}

void intern_put(const char *text)
{
	if (!text)
		return;

	struct shared *shared = (struct shared *)(text - offsetof(struct shared, text));

	if (--shared->uses)
		return;
	table_remove(&strings, table_hash(text, 0), shared);
	free(shared);
	if (!strings.n)
		table_clear(&strings);
}
