/* SPDX-License-Identifier: Apache-2.0 */

#include <bpf/bpf.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "controlplane/tables/claim_private.h"

#define BATCH_MAX 4096

typedef void found_fn(void *context, enum datapath_map map, const char *what);

static void tell(const struct claim_key *key, const char *what, found_fn *found, void *context)
{
	char text[IP_TEXT_MAX + 64], address[IP_TEXT_MAX];

	snprintf(text, sizeof(text), "frontend %s protocol %u%s",
		 ip_format_port(&key->addr, key->family, key->port, address), key->proto, what);
	found(context, claim_map(key->family), text);
}

static void check_owner(struct claims *claims, struct claim *claim, found_fn *found, void *context)
{
	int map = datapath_map(claims->datapath, claim_map(claim->key.family));
	struct sl_frontend4 key4;
	struct sl_frontend6 key6;
	uint64_t value = 0;
	bool known;

	if (claim->state != CLAIM_OWNER)
		return;
	claim_fill_key(&claim->key, &key4, &key6);
	if (bpf_map_lookup_elem(map, claim->key.family == 4 ? (void *)&key4 : (void *)&key6,
				&value) &&
	    errno != ENOENT)
		return;
	if (value == claim->value && !claim->err)
		return;
	/* One that could not be written was told then, and is tried again. */
	known = claim->err != 0;
	claim->value = value;
	claim_write(claims, claim);
	if (!known && !claim->err)
		tell(&claim->key, value ? "" : " is missing", found, context);
}

bool claims_audit(struct claims *claims, struct claims_cursor *cursor, uint32_t n, found_fn *found,
		  void *context)
{
	for (; n > 0 && cursor->bucket < claims->chain.n_buckets; n--, cursor->bucket++) {
		for (struct chain_link *link = claims->chain.buckets[cursor->bucket]; link;
		     link = link->next)
			check_owner(claims, chain_entry(link, struct claim, link), found, context);
	}
	if (cursor->bucket < claims->chain.n_buckets)
		return false;
	*cursor = (struct claims_cursor) { 0 };
	return true;
}

/* A key of a map is somebody's, or it goes. */
static void check_key(struct claims *claims, uint8_t family, const void *key_, found_fn *found,
		      void *context)
{
	const struct sl_frontend4 *key4 = key_;
	const struct sl_frontend6 *key6 = key_;
	struct claim_key key = {
		.family = family,
		.port = family == 4 ? key4->port : key6->port,
		.proto = family == 4 ? key4->proto : key6->proto,
	};

	memcpy(key.addr.w, key6->addr, family == 4 ? 4 : 16);
	if (claim_owner_of(claims, &key))
		return;
	if (bpf_map_delete_elem(datapath_map(claims->datapath, claim_map(family)), key_) == 0)
		tell(&key, " is nobody's", found, context);
}

bool claims_audit_keys(struct claims *claims, struct claims_cursor *cursor, uint32_t n,
		       found_fn *found, void *context)
{
	uint8_t family = cursor->map ? 6 : 4;
	size_t size = family == 4 ? sizeof(struct sl_frontend4) : sizeof(struct sl_frontend6);
	uint32_t count = n < BATCH_MAX ? n : BATCH_MAX, next = 0;
	sl_auto_mem char *keys = malloc(count * size);
	sl_auto_mem uint64_t *values = malloc(count * sizeof(*values));
	int err = keys && values ? 0 : ENOMEM;

	if (!err && bpf_map_lookup_batch(datapath_map(claims->datapath, claim_map(family)),
					 cursor->started ? &cursor->token : NULL, &next, keys,
					 values, &count, NULL))
		err = errno;
	if (!err || err == ENOENT) {
		for (uint32_t i = 0; i < count; i++)
			check_key(claims, family, keys + i * size, found, context);
	}
	cursor->token = next;
	cursor->started = true;
	if (!err)
		return false;
	/* At its end, or it can't be read: the next one. */
	cursor->started = false;
	cursor->map = !cursor->map;
	return cursor->map == 0;
}

size_t claims_n(const struct claims *claims)
{
	return claims->chain.n_buckets;
}
