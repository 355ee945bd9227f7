/* SPDX-License-Identifier: Apache-2.0 */

#include "controlplane/tables/claim_private.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <string.h>

#include "common/hash.h"
#include "common/log.h"

enum datapath_map claim_map(uint8_t family)
{
	return family == 4 ? DATAPATH_frontends4 : DATAPATH_frontends6;
}

static uint64_t hash_of(const struct claim_key *key)
{
	uint64_t h = chain_hash(key->family, &key->addr, sizeof(key->addr));

	return chain_hash(h, &key->port, sizeof(key->port)) + key->proto;
}

static bool same_key(const struct claim_key *a, const struct claim_key *b)
{
	return ip_equal(&a->addr, &b->addr) && a->port == b->port && a->proto == b->proto &&
	       a->family == b->family;
}

static bool is_node_port(const struct claim_key *key)
{
	static const struct sl_addr none;

	return ip_equal(&key->addr, &none);
}

/* What the map should say while the claim owns its key. */
static uint64_t value_of(const struct claim *claim)
{
	const struct claim_key *key = &claim->key;
	uint32_t tag = key->family == 4 ? sl_frontend_tag(key->addr.w, 1, key->port, key->proto)
					: sl_frontend_tag(key->addr.w, 4, key->port, key->proto);

	return SL_FRONTEND_VALUE(claim->service, claim->kind, tag);
}

/* The next claim on a key, in no order; from the start with `after` NULL. */
static struct claim *next_on(const struct claims *claims, const struct claim_key *key,
			     const struct claim *after)
{
	struct chain_link *link =
		after ? chain_next(&after->link) : chain_first(&claims->chain, hash_of(key));

	for (; link; link = chain_next(link)) {
		struct claim *claim = chain_entry(link, struct claim, link);

		if (same_key(&claim->key, key))
			return claim;
	}
	return NULL;
}

struct claim *claim_owner_of(const struct claims *claims, const struct claim_key *key)
{
	struct claim *claim = next_on(claims, key, NULL);

	while (claim && claim->state != CLAIM_OWNER)
		claim = next_on(claims, key, claim);
	return claim;
}

static uint32_t *keys_of(struct claims *claims, uint8_t family)
{
	return family == 4 ? &claims->keys4 : &claims->keys6;
}

uint32_t claims_keys(const struct claims *claims, uint8_t family)
{
	return family == 4 ? claims->keys4 : claims->keys6;
}

int claims_new(const struct datapath *datapath, struct address_bits *bits, struct claims **ret)
{
	struct claims *claims = calloc(1, sizeof(*claims));

	if (!claims || chain_init(&claims->chain)) {
		free(claims);
		return -ENOMEM;
	}
	claims->datapath = datapath;
	claims->bits = bits;
	*ret = claims;
	return 0;
}

static void free_claim(struct chain_link *link)
{
	free(chain_entry(link, struct claim, link));
}

void claims_free(struct claims *claims)
{
	if (!claims)
		return;
	chain_empty(&claims->chain, free_claim);
	chain_done(&claims->chain);
	free(claims);
}

struct claim *claims_find(const struct claims *claims, const struct claim_key *key,
			  const void *holder)
{
	struct claim *claim = next_on(claims, key, NULL);

	while (claim && claim->holder != holder)
		claim = next_on(claims, key, claim);
	return claim;
}

int claims_prepare(struct claims *claims, const struct claim_key *key, const void *holder,
		   uint32_t service, uint8_t kind, struct claim **ret)
{
	uint32_t *keys = keys_of(claims, key->family);
	bool first = !next_on(claims, key, NULL);
	struct claim *claim;

	if (first && *keys >= datapath_entries(claims->datapath, claim_map(key->family)))
		return -ENOSPC;
	claim = calloc(1, sizeof(*claim));
	if (!claim)
		return -ENOMEM;
	claim->key = *key;
	claim->holder = holder;
	claim->service = service;
	claim->kind = kind;
	claim->order = claims->next_order++;
	*keys += first;
	chain_add(&claims->chain, &claim->link, hash_of(key));
	*ret = claim;
	return 0;
}

/* The slot that the claim's packets are let through by; false if it is the
 * node's own address: that has its bit anyway. */
static bool slot_of(const struct claim *claim, enum address_bitmap *ret_bitmap, uint32_t *ret_slot)
{
	int64_t port = address_port_slot(claim->key.proto, claim->key.port);

	if (claim->kind == SL_KIND_NODE_ADDRESS || claim->kind == SL_KIND_OWN_ADDRESS ||
	    (is_node_port(&claim->key) && port < 0))
		return false;
	if (is_node_port(&claim->key)) {
		*ret_bitmap = ADDRESS_PORT;
		*ret_slot = (uint32_t)port;
	} else {
		*ret_bitmap = ADDRESS_SERVICE;
		*ret_slot = address_slot(&claim->key.addr, claim->key.family);
	}
	return true;
}

static void use_slot(struct claims *claims, const struct claim *claim)
{
	enum address_bitmap bitmap;
	uint32_t slot;

	if (slot_of(claim, &bitmap, &slot))
		address_bits_use(claims->bits, bitmap, slot);
}

void claim_fill_key(const struct claim_key *key, struct sl_frontend4 *ret4,
		    struct sl_frontend6 *ret6)
{
	*ret4 = (struct sl_frontend4) { .addr = { key->addr.w[0] },
					.port = key->port,
					.proto = key->proto };
	*ret6 = (struct sl_frontend6) { .port = key->port, .proto = key->proto };
	memcpy(ret6->addr, key->addr.w, sizeof(ret6->addr));
}

/* Changes the value in place, so that no packet misses the key meanwhile. */
static int store(struct claims *claims, const struct claim_key *key, uint64_t value)
{
	struct sl_frontend4 key4;
	struct sl_store argument = {
		.map = key->family == 4 ? SL_STORE_FRONTEND4 : SL_STORE_FRONTEND6,
		.frontend.value = value,
	};
	LIBBPF_OPTS(bpf_test_run_opts, run, .ctx_in = &argument, .ctx_size_in = sizeof(argument));

	claim_fill_key(key, &key4, &argument.frontend.key);
	if (bpf_prog_test_run_opts(datapath_program(claims->datapath, DATAPATH_STORE), &run))
		return -errno;
	return run.retval == 0 ? 0 : -ENOENT;
}

static int insert(struct claims *claims, const struct claim_key *key, uint64_t value)
{
	int map = datapath_map(claims->datapath, claim_map(key->family));
	struct sl_frontend4 key4;
	struct sl_frontend6 key6;

	claim_fill_key(key, &key4, &key6);
	if (bpf_map_update_elem(map, key->family == 4 ? (void *)&key4 : (void *)&key6, &value,
				BPF_NOEXIST))
		return -errno;
	return 0;
}

/* Makes the map say what the owner's value is. */
void claim_write(struct claims *claims, struct claim *claim)
{
	uint64_t value = value_of(claim);
	int err;

	claims->failed -= claim->err != 0;
	claim->err = 0;
	if (claim->value == value)
		return;
	err = claim->value ? store(claims, &claim->key, value) : -ENOENT;
	if (err == -ENOENT)
		err = insert(claims, &claim->key, value);
	if (err) {
		/* The claim keeps its old value: see claims_retry(). */
		char text[IP_TEXT_MAX];

		log_error(
			"tables: map %s: %s: %s", datapath_map_name(claim_map(claim->key.family)),
			ip_format_port(&claim->key.addr, claim->key.family, claim->key.port, text),
			strerror(-err));
		claim->err = (int16_t)err;
		claims->failed++;
		return;
	}
	claim->value = value;
}

static void retry_one(void *context, struct claim *claim)
{
	if (claim->err)
		claim_write(context, claim);
}

void claims_retry(struct claims *claims)
{
	if (claims->failed > 0)
		claims_each(claims, retry_one, claims);
}

const struct claim *claims_activate(struct claims *claims, struct claim *claim)
{
	struct claim *owner = claim_owner_of(claims, &claim->key);

	use_slot(claims, claim);
	if (owner && owner->holder) {
		claim->state = CLAIM_WAITING;
		return owner;
	}
	claim->state = CLAIM_OWNER;
	if (owner) {
		claim->value = owner->value;
		chain_remove(&claims->chain, &owner->link);
		free(owner);
	}
	claim_write(claims, claim);
	return NULL;
}

bool claims_refresh(struct claims *claims, struct claim *claim, uint8_t kind)
{
	bool changed = claim->kind != kind;

	claim->kind = kind;
	if (claim->state != CLAIM_OWNER)
		return changed;
	changed = claim->value != value_of(claim);
	claim_write(claims, claim);
	return changed;
}

static struct claim *oldest_waiting(struct claims *claims, const struct claim_key *key)
{
	struct claim *oldest = NULL;

	for (struct claim *claim = next_on(claims, key, NULL); claim;
	     claim = next_on(claims, key, claim)) {
		if (claim->state == CLAIM_WAITING && (!oldest || claim->order < oldest->order))
			oldest = claim;
	}
	return oldest;
}

/* The key goes to who has waited longest, or out of the map. */
static void hand_over(struct claims *claims, struct claim *claim)
{
	struct claim *heir = oldest_waiting(claims, &claim->key);
	struct sl_frontend4 key4;
	struct sl_frontend6 key6;

	if (heir) {
		heir->state = CLAIM_OWNER;
		heir->value = claim->value;
		claim_write(claims, heir);
		return;
	}
	claim_fill_key(&claim->key, &key4, &key6);
	if (claim->value)
		bpf_map_delete_elem(datapath_map(claims->datapath, claim_map(claim->key.family)),
				    claim->key.family == 4 ? (void *)&key4 : (void *)&key6);
}

void claims_release(struct claims *claims, struct claim *claim,
		    void (*left)(void *context, enum address_bitmap bitmap, uint32_t slot),
		    void *context)
{
	enum address_bitmap bitmap;
	uint32_t slot;

	if (claim->state == CLAIM_OWNER)
		hand_over(claims, claim);
	if (claim->state != CLAIM_PREPARED && claim->holder && slot_of(claim, &bitmap, &slot) &&
	    address_bits_leave(claims->bits, bitmap, slot))
		left(context, bitmap, slot);
	chain_remove(&claims->chain, &claim->link);
	claims->failed -= claim->err != 0;
	if (!next_on(claims, &claim->key, NULL))
		--*keys_of(claims, claim->key.family);
	free(claim);
}

static int adopt_one(struct claims *claims, const struct claim_key *key, uint64_t value,
		     const void *holder)
{
	struct claim *claim;
	int err = claims_prepare(claims, key, holder, SL_FRONTEND_SERVICE(value),
				 SL_FRONTEND_KIND(value), &claim);

	if (err)
		return err;
	claim->state = CLAIM_OWNER;
	claim->value = value;
	if (holder)
		use_slot(claims, claim);
	return 0;
}

static int adopt_map(struct claims *claims, uint8_t family,
		     const void *(*holder_of)(void *context, uint32_t service), void *context)
{
	int map = datapath_map(claims->datapath, claim_map(family));
	union {
		struct sl_frontend4 of4;
		struct sl_frontend6 of6;
	} key, next;
	bool any = bpf_map_get_next_key(map, NULL, &next) == 0;

	while (any) {
		struct claim_key k = { .family = family };
		uint64_t value;
		int err;

		key = next;
		any = bpf_map_get_next_key(map, &key, &next) == 0;
		if (bpf_map_lookup_elem(map, &key, &value))
			continue;
		memcpy(k.addr.w, key.of6.addr, family == 4 ? 4 : 16);
		k.port = family == 4 ? key.of4.port : key.of6.port;
		k.proto = family == 4 ? key.of4.proto : key.of6.proto;
		err = adopt_one(claims, &k, value, holder_of(context, SL_FRONTEND_SERVICE(value)));
		if (err)
			return err;
	}
	return 0;
}

int claims_adopt(struct claims *claims, const void *(*holder_of)(void *context, uint32_t service),
		 void *context)
{
	return adopt_map(claims, 4, holder_of, context) ?: adopt_map(claims, 6, holder_of, context);
}

void claims_each(struct claims *claims, void (*each)(void *context, struct claim *claim),
		 void *context)
{
	for (size_t i = 0; i < claims->chain.n_buckets; i++) {
		for (struct chain_link *link = claims->chain.buckets[i], *next; link; link = next) {
			next = link->next;
			each(context, chain_entry(link, struct claim, link));
		}
	}
}
