/* SPDX-License-Identifier: Apache-2.0 */

#include "controlplane/attach/sockets.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <string.h>

#include "common/abi.h"
#include "common/log.h"
#include "common/ticks.h"
#include "controlplane/attach/destroy.h"

#define SLICE_ENTRIES 1024
/* Each peer costs a walk through the kernel's table of sockets. */
#define PEERS_A_TICK 8
#define SOON_MS	     10
#define AGAIN_MS     2000
#define WALKS	     2

/* An entry of the map whose socket is to be closed. */
struct victim {
	struct sl_socket key;
	struct sl_asked asked;
};

struct sockets {
	uv_timer_t timer;
	struct sockets_options options;
	unsigned int walks;   /* to be made, the one under way among them */
	bool started;	      /* `cursor` says where the walk goes on */
	bool read;	      /* the walk has come to the end of the map */
	bool again;	      /* kicked while walking */
	uint32_t cursor;      /* opaque */
	uint64_t deadline_ms; /* of the next connection to drain; 0: none */
	size_t closed;	      /* in this walk */
	struct sl_socket *keys;
	struct sl_asked *values;
	struct victim *victims; /* of the last slice, sorted */
	size_t n_victims, next_victim;
};

static void tick(uv_timer_t *timer);

static bool backend_left(const struct sockets *sockets, const struct sl_asked *asked,
			 struct sl_backend *ret)
{
	if (bpf_map_lookup_elem(sockets->options.backends, &asked->backend, ret))
		return false;
	return SL_BACKEND_GENERATION(ret->word) != asked->generation ||
	       SL_BACKEND_STATE(ret->word) != SL_BACKEND_LIVE;
}

/* The record of the service as it is now; false if there is none. */
static bool read_record(const struct sockets *sockets, uint32_t service, struct sl_record *ret)
{
	uint64_t word;
	uint32_t index;

	if (bpf_map_lookup_elem(sockets->options.services, &service, &word))
		return false;
	index = SL_SERVICE_RECORD(word);
	return index && bpf_map_lookup_elem(sockets->options.records, &index, ret) == 0 &&
	       ret->service == service;
}

/* Has the time passed that connections to a backend are given that left? It is
 * counted from when it left, whoever ran the daemon then. */
static bool is_drained(struct sockets *sockets, uint32_t left, uint32_t drain_s)
{
	int32_t wait = (int32_t)(left + SL_TICKS(drain_s) + 1 - ticks_now());
	uint64_t deadline;

	if (wait <= 0)
		return true;
	deadline = uv_now(sockets->options.loop) + (((uint64_t)wait << SL_TICK_SHIFT) / 1000000);
	if (sockets->deadline_ms == 0 || deadline < sockets->deadline_ms)
		sockets->deadline_ms = deadline;
	return false;
}

static bool is_victim(struct sockets *sockets, const struct sl_socket *key,
		      const struct sl_asked *asked)
{
	struct sl_backend backend;
	struct sl_record record;

	/* UDP's second entry has the frontend in its key. */
	if (!asked->connected ||
	    (key->port == asked->port && memcmp(&key->addr, &asked->addr, sizeof(key->addr)) == 0))
		return false;
	if (!backend_left(sockets, asked, &backend))
		return false;
	if (key->proto == IPPROTO_UDP)
		return true;
	if (!read_record(sockets, asked->service, &record))
		return false;
	return record.leave == SL_LEAVE_RESET ||
	       (record.leave == SL_LEAVE_DRAIN &&
		is_drained(sockets, backend.left, record.drain_s));
}

/* Whether two sockets have the same peer; the cookie comes first in the key. */
static int order_peers(const struct sl_socket *a, const struct sl_socket *b)
{
	size_t skip = offsetof(struct sl_socket, addr);

	return memcmp((const char *)a + skip, (const char *)b + skip, sizeof(*a) - skip);
}

static int by_peer(const void *left, const void *right)
{
	return order_peers(&((const struct victim *)left)->key,
			   &((const struct victim *)right)->key);
}

static void forget(const struct sockets *sockets, const struct victim *victim)
{
	struct sl_socket second = victim->key;

	bpf_map_delete_elem(sockets->options.sockets, &victim->key);
	if (victim->key.proto != IPPROTO_UDP)
		return;
	second.addr = victim->asked.addr;
	second.port = victim->asked.port;
	bpf_map_delete_elem(sockets->options.sockets, &second);
}

/* Closes the next victims that have one peer in common. */
static void close_some(struct sockets *sockets)
{
	const struct victim *first = &sockets->victims[sockets->next_victim];
	uint64_t cookies[SLICE_ENTRIES];
	size_t n = 0, closed = 0;

	do {
		cookies[n] = first[n].key.cookie;
		n++;
	} while (sockets->next_victim + n < sockets->n_victims &&
		 order_peers(&first->key, &first[n].key) == 0);
	int err = destroy_sockets(&first->key, cookies, n, &closed);
	if (err)
		log_warn("sockets: sockets of a backend that left can't be closed: %s",
			 strerror(-err));
	/* One that was not found may be about to be connected; not any more in
	 * the last walk. */
	for (size_t i = 0; i < n && (closed == n || sockets->walks == 1); i++)
		forget(sockets, &first[i]);
	sockets->closed += closed;
	sockets->next_victim += n;
}

static void walk_on(struct sockets *sockets)
{
	uint32_t n = SLICE_ENTRIES, next = 0;
	int err = 0;

	sockets->n_victims = sockets->next_victim = 0;
	if (bpf_map_lookup_batch(sockets->options.sockets,
				 sockets->started ? &sockets->cursor : NULL, &next, sockets->keys,
				 sockets->values, &n, NULL))
		err = errno;
	if (err && err != ENOENT) {
		log_warn("sockets: map sockets: %s", strerror(err));
		sockets->read = true;
		return;
	}
	for (uint32_t i = 0; i < n; i++)
		if (is_victim(sockets, &sockets->keys[i], &sockets->values[i]))
			sockets->victims[sockets->n_victims++] =
				(struct victim) { sockets->keys[i], sockets->values[i] };
	qsort(sockets->victims, sockets->n_victims, sizeof(*sockets->victims), by_peer);
	sockets->cursor = next;
	sockets->started = true;
	sockets->read = err == ENOENT;
}

static void end_walk(struct sockets *sockets)
{
	uint64_t now = uv_now(sockets->options.loop);

	if (sockets->closed)
		log_info("sockets: closed sockets whose backend left number=%zu", sockets->closed);
	sockets->closed = 0;
	sockets->started = sockets->read = false;
	sockets->walks--;
	if (sockets->again)
		sockets->walks = WALKS;
	if (sockets->walks) {
		uv_timer_start(&sockets->timer, tick, sockets->again ? SOON_MS : AGAIN_MS, 0);
	} else if (sockets->deadline_ms) {
		sockets->walks = 1;
		uv_timer_start(
			&sockets->timer, tick,
			sockets->deadline_ms > now ? sockets->deadline_ms - now + 1 : SOON_MS, 0);
	}
	sockets->again = false;
}

static void tick(uv_timer_t *timer)
{
	struct sockets *sockets = timer->data;

	if (!sockets->started)
		sockets->deadline_ms = 0;
	if (sockets->next_victim == sockets->n_victims)
		walk_on(sockets);
	for (int i = 0; i < PEERS_A_TICK && sockets->next_victim < sockets->n_victims; i++)
		close_some(sockets);
	if (sockets->read && sockets->next_victim == sockets->n_victims)
		end_walk(sockets);
	else
		uv_timer_start(&sockets->timer, tick, SOON_MS, 0);
}

void sockets_kick(struct sockets *sockets)
{
	if (!sockets)
		return;
	if (sockets->started) {
		sockets->again = true;
		return;
	}
	sockets->walks = WALKS;
	uv_timer_start(&sockets->timer, tick, SOON_MS, 0);
}

static void closed(uv_handle_t *timer)
{
	struct sockets *sockets = timer->data;

	free(sockets->keys);
	free(sockets->values);
	free(sockets->victims);
	free(sockets);
}

int sockets_new(const struct sockets_options *options, struct sockets **ret)
{
	struct sockets *sockets = calloc(1, sizeof(*sockets));
	int err;

	if (!sockets)
		return -ENOMEM;
	sockets->options = *options;
	sockets->keys = calloc(SLICE_ENTRIES, sizeof(*sockets->keys));
	sockets->values = calloc(SLICE_ENTRIES, sizeof(*sockets->values));
	sockets->victims = calloc(SLICE_ENTRIES, sizeof(*sockets->victims));
	err = sockets->keys && sockets->values && sockets->victims
		      ? uv_timer_init(options->loop, &sockets->timer)
		      : -ENOMEM;
	sockets->timer.data = sockets;
	if (err) {
		closed((uv_handle_t *)&sockets->timer);
		return err;
	}
	uv_unref((uv_handle_t *)&sockets->timer);
	sockets_kick(sockets);
	*ret = sockets;
	return 0;
}

void sockets_free(struct sockets *sockets)
{
	if (sockets)
		uv_close((uv_handle_t *)&sockets->timer, closed);
}
