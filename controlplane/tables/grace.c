/* SPDX-License-Identifier: Apache-2.0 */

#include "controlplane/tables/grace.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "common/log.h"

struct batch {
	struct grace_item *items;
	size_t n, room;
};

struct grace {
	uv_loop_t *loop;
	void (*done)(void *context, const struct grace_item *item);
	void (*over)(void *context);
	void *context;
	uv_work_t work;
	struct batch waiting; /* for the next wait */
	struct batch flying;  /* for the one that is under way */
	bool busy, closing;
	int outer, inner; /* the map in map, and what is put into it */
	int err;
};

static int make_maps(struct grace *grace)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts);

	grace->inner = bpf_map_create(BPF_MAP_TYPE_ARRAY, "grace_inner", 4, 4, 1, NULL);
	if (grace->inner < 0)
		return -errno;
	opts.inner_map_fd = (uint32_t)grace->inner;
	grace->outer = bpf_map_create(BPF_MAP_TYPE_ARRAY_OF_MAPS, "grace", 4, 4, 1, &opts);
	return grace->outer < 0 ? -errno : 0;
}

int grace_new(uv_loop_t *loop, void (*done)(void *context, const struct grace_item *item),
	      void (*over)(void *context), void *context, struct grace **ret)
{
	sl_auto(grace) grace = calloc(1, sizeof(*grace));
	int err;

	if (!grace)
		return -ENOMEM;
	grace->loop = loop;
	grace->done = done;
	grace->over = over;
	grace->context = context;
	grace->outer = grace->inner = -1;
	grace->work.data = grace;
	err = make_maps(grace);
	if (!err)
		*ret = sl_take(grace);
	return err;
}

static void batch_done(struct batch *batch)
{
	for (size_t i = 0; i < batch->n; i++)
		free(batch->items[i].data);
	free(batch->items);
}

void grace_free(struct grace *grace)
{
	if (!grace)
		return;
	if (grace->busy) {
		grace->closing = true;
		return;
	}
	batch_done(&grace->waiting);
	batch_done(&grace->flying);
	sl_fd_closep(&grace->outer);
	sl_fd_closep(&grace->inner);
	free(grace);
}

int grace_reserve(struct grace *grace, size_t n)
{
	struct batch *batch = &grace->waiting;
	size_t room = batch->n + n;
	struct grace_item *items;

	if (room <= batch->room)
		return 0;
	room += room / 2;
	items = realloc(batch->items, room * sizeof(*items));
	if (!items)
		return -ENOMEM;
	batch->items = items;
	batch->room = room;
	return 0;
}

void grace_add(struct grace *grace, const struct grace_item *item)
{
	grace->waiting.items[grace->waiting.n++] = *item;
}

int grace_wait(struct grace *grace)
{
	uint32_t key = 0;

	return bpf_map_update_elem(grace->outer, &key, &grace->inner, 0) ? -errno : 0;
}

static void work(uv_work_t *request)
{
	struct grace *grace = request->data;

	grace->err = grace_wait(grace);
}

static void worked(uv_work_t *request, int status)
{
	struct grace *grace = request->data;
	struct batch *batch = &grace->flying;

	grace->busy = false;
	if (grace->closing) {
		grace_free(grace);
		return;
	}
	if (status || grace->err) {
		/* Nothing is freed that may still be read; tried again with the
		 * next change. */
		log_error("tables: waiting for a grace period: %s",
			  status ? uv_strerror(status) : strerror(-grace->err));
		return;
	}
	for (size_t i = 0; i < batch->n; i++) {
		grace->done(grace->context, &batch->items[i]);
		free(batch->items[i].data);
	}
	batch->n = 0;
	grace->over(grace->context);
	grace_start(grace);
}

void grace_start(struct grace *grace)
{
	if (grace->busy)
		return;
	if (grace->flying.n == 0) {
		struct batch empty = grace->flying;

		if (grace->waiting.n == 0)
			return;
		grace->flying = grace->waiting;
		grace->waiting = empty;
	}
	grace->busy = uv_queue_work(grace->loop, &grace->work, work, worked) == 0;
}

size_t grace_pending(const struct grace *grace)
{
	return grace->waiting.n + grace->flying.n;
}
