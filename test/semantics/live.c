/* SPDX-License-Identifier: Apache-2.0 */

#include "test/semantics/live.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

static int read_one(struct world *world, uint32_t id, const struct sl_backend *backend,
		    struct live_backend *ret)
{
	struct sl_identity identity;
	int fd = datapath_map(world_datapath(world), DATAPATH_identities);

	if (bpf_map_lookup_elem(fd, &backend->service, &identity))
		return -errno;
	ret->id = id;
	ret->generation = SL_BACKEND_GENERATION(backend->word);
	ip_format_port(&backend->addr, backend->family, backend->port, ret->ep);
	snprintf(ret->who, sizeof(ret->who), "IPv%u %.63s/%.63s:%.63s/%s", identity.family,
		 identity.namespace_, identity.service, identity.port,
		 ip_protocol_name(identity.proto));
	return 0;
}

int live_read(struct world *world, struct live *ret)
{
	struct datapath *datapath = world_datapath(world);
	uint32_t n = datapath_entries(datapath, DATAPATH_backends);
	size_t size = (n * sizeof(struct sl_backend) + 4095) & ~(size_t)4095;
	const struct sl_backend *all = mmap(NULL, size, PROT_READ, MAP_SHARED,
					    datapath_map(datapath, DATAPATH_backends), 0);
	size_t room = 0;
	int err = 0;

	if (all == MAP_FAILED)
		return -errno;
	for (uint32_t id = 1; id < n; id++)
		room += SL_BACKEND_STATE(all[id].word) == SL_BACKEND_LIVE;
	ret->n = 0;
	ret->items = calloc(room + 1, sizeof(*ret->items));
	for (uint32_t id = 1; id < n && ret->n < room && !err; id++) {
		if (SL_BACKEND_STATE(all[id].word) == SL_BACKEND_LIVE)
			err = read_one(world, id, &all[id], &ret->items[ret->n++]);
	}
	munmap((void *)all, size);
	return err;
}

void live_clear(struct live *live)
{
	free(live->items);
	*live = (struct live) { 0 };
}

const struct live_backend *live_find(const struct live *live, const char *who, const char *ep)
{
	for (size_t i = 0; i < live->n; i++)
		if (strcmp(live->items[i].who, who) == 0 && strcmp(live->items[i].ep, ep) == 0)
			return &live->items[i];
	return NULL;
}

/* Does an endpoint serve, so that flows to it stay? */
static bool stays(const json_t *expected, const struct live_backend *backend)
{
	const json_t *port, *endpoint;
	char who[256];
	size_t i, k;

	json_array_foreach (json_object_get(expected, "servicePorts"), i, port) {
		snprintf(who, sizeof(who), "%s %s",
			 json_string_value(json_object_get(port, "family")),
			 json_string_value(json_object_get(port, "name")));
		if (strcmp(who, backend->who) != 0)
			continue;
		json_array_foreach (json_object_get(port, "endpoints"), k, endpoint) {
			const char *ep = json_string_value(json_object_get(endpoint, "ep"));

			if (strcmp(ep, backend->ep) == 0)
				return json_is_true(json_object_get(endpoint, "serving")) ||
				       json_is_true(json_object_get(endpoint, "ready"));
		}
	}
	return false;
}

void live_compare(struct check *check, const struct live *before, const struct live *after,
		  const json_t *expected, const char *where)
{
	for (size_t i = 0; i < before->n; i++) {
		const struct live_backend *was = &before->items[i];
		const struct live_backend *is = live_find(after, was->who, was->ep);
		bool same = is && is->id == was->id && is->generation == was->generation;

		if (stays(expected, was) && !same)
			check_say(check, "%sflows of %s to %s: expected to stay, got picked anew",
				  where, was->who, was->ep);
		else if (!stays(expected, was) && same)
			check_say(check,
				  "%sflows of %s to %s: expected to be picked anew, got kept",
				  where, was->who, was->ep);
	}
}
