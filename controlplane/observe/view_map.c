/* SPDX-License-Identifier: Apache-2.0 */

/* The maps themselves, and the interfaces they know. */

#include <bpf/libbpf.h>
#include <errno.h>
#include <inttypes.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>

#include "common/ip.h"
#include "controlplane/observe/view_private.h"

/* How the elements in use of a map are told; others are not counted. */
enum counting {
	COUNT_NONE,
	COUNT_ELEMENTS,
	COUNT_SERVICES,
	COUNT_BACKENDS,
	COUNT_IDENTITIES,
};

static enum counting counting_of(enum datapath_map map, uint32_t type)
{
	switch (map) {
	case DATAPATH_services:
		return COUNT_SERVICES;
	case DATAPATH_backends:
		return COUNT_BACKENDS;
	case DATAPATH_identities:
		return COUNT_IDENTITIES;
	default:
		break;
	}
	switch (type) {
	case BPF_MAP_TYPE_HASH:
	case BPF_MAP_TYPE_LRU_HASH:
	case BPF_MAP_TYPE_LPM_TRIE:
		return COUNT_ELEMENTS;
	default:
		return COUNT_NONE;
	}
}

static int count_one(void *count, const void *key, const void *value)
{
	(void)key;
	(void)value;
	++*(uint64_t *)count;
	return 0;
}

static bool in_use(enum counting counting, const void *value)
{
	switch (counting) {
	case COUNT_SERVICES:
		return SL_SERVICE_RECORD(*(const uint64_t *)value);
	case COUNT_BACKENDS:
		return SL_BACKEND_STATE(((const struct sl_backend *)value)->word) !=
		       SL_BACKEND_FREE;
	default:
		return ((const struct sl_identity *)value)->family;
	}
}

static int count_array(const struct table *table, enum counting counting, uint64_t *ret,
		       char error[VIEW_ERROR_MAX])
{
	static const uint32_t sizes[] = {
		[COUNT_SERVICES] = sizeof(uint64_t),
		[COUNT_BACKENDS] = sizeof(struct sl_backend),
		[COUNT_IDENTITIES] = sizeof(struct sl_identity),
	};
	sl_auto_mem void *values = NULL;
	int r;

	if (table->value_size != sizes[counting])
		return view_fail(error, -EPROTO, "map %s: %u byte values, not %u", table->name,
				 table->value_size, sizes[counting]);
	r = view_array_all(table, &values, error);
	for (uint32_t i = 0; !r && i < table->max_entries; i++)
		*ret += in_use(counting, (char *)values + (size_t)i * table->value_size);
	return r;
}

/* What the kernel says that a map takes. */
static bool memory_of(int fd, uint64_t *ret)
{
	char path[64], line[256];
	bool found = false;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	file = fopen(path, "re");
	if (!file)
		return false;
	while (!found && fgets(line, sizeof(line), file))
		found = sscanf(line, "memlock: %" SCNu64, ret) == 1;
	fclose(file);
	return found;
}

int view_map(const struct view *view, enum datapath_map map, struct view_map *ret,
	     char error[VIEW_ERROR_MAX])
{
	struct table table;
	enum counting counting;
	uint64_t entries = 0;
	int r = view_table_info(view->fd[map], datapath_map_name(map), &table, error);

	if (r)
		return r;
	counting = counting_of(map, table.type);
	if (counting == COUNT_ELEMENTS)
		r = view_each(&table, count_one, &entries, error);
	else if (counting != COUNT_NONE)
		r = count_array(&table, counting, &entries, error);
	if (r)
		return r;
	*ret = (struct view_map) {
		.name = table.name,
		.type = table.type,
		.key_size = table.key_size,
		.value_size = table.value_size,
		.max_entries = table.max_entries,
		.counted = counting != COUNT_NONE,
		.entries = entries,
	};
	ret->sized = memory_of(table.fd, &ret->bytes);
	return 0;
}

static int map_document(const struct view *view, enum datapath_map map, json_t **ret,
			char error[VIEW_ERROR_MAX])
{
	const char *type;
	struct view_map is;
	int r = view_map(view, map, &is, error);

	if (r)
		return r;
	type = libbpf_bpf_map_type_str(is.type);
	*ret = json_pack("{s:s, s:s, s:I, s:I, s:I, s:o, s:o, s:o}", "name", is.name, "type",
			 type ? type : "unknown", "keySize", (json_int_t)is.key_size, "valueSize",
			 (json_int_t)is.value_size, "maxEntries", (json_int_t)is.max_entries,
			 "entries", is.counted ? json_integer((json_int_t)is.entries) : json_null(),
			 "bytes", is.sized ? json_integer((json_int_t)is.bytes) : json_null(),
			 "pinned",
			 view->maps_folder ? json_sprintf("%s/%s", view->maps_folder, is.name)
					   : json_null());
	return *ret ? 0 : view_no_memory(error);
}

int view_maps(const struct view *view, json_t **ret, char error[512])
{
	json_t *items = json_array(), *list, *item;
	int r;

	for (unsigned int map = 0; items && map < DATAPATH_MAP_MAX; map++) {
		if (view->fd[map] < 0)
			continue;
		r = map_document(view, map, &item, error);
		if (!r && json_array_append_new(items, item))
			r = view_no_memory(error);
		if (r) {
			json_decref(items);
			return r;
		}
	}
	list = document_list("MapList", items);
	if (!list)
		return view_no_memory(error);
	*ret = list;
	return 0;
}

static int add_address(json_t *list, const struct sl_addr *addr, uint8_t family)
{
	static const struct sl_addr none;
	char text[IP_TEXT_MAX];

	if (ip_equal(addr, &none))
		return 0;
	return json_array_append_new(list, json_string(ip_format(addr, family, text)));
}

static int add_iface(void *items, const void *key, const void *value)
{
	static const char *const roles[SL_ROLE_MAX] = {
		[SL_ROLE_NONE] = "none",
		[SL_ROLE_POD] = "pod",
		[SL_ROLE_UPLINK] = "uplink",
		[SL_ROLE_TUNNEL] = "tunnel",
	};
	uint32_t ifindex = *(const uint32_t *)key;
	const struct sl_iface *iface = value;
	const struct sl_addr addr4 = { .w = { iface->addr4 } };
	json_t *addresses = json_array(), *hooks = json_array();
	char name[IF_NAMESIZE];

	if (!addresses || !hooks || add_address(addresses, &addr4, 4) ||
	    add_address(addresses, &iface->addr6, 6) ||
	    (iface->xdp && json_array_append_new(hooks, json_pack("{s:s, s:s}", "hook", "xdp",
								  "state", "attached")))) {
		json_decref(addresses);
		json_decref(hooks);
		return -ENOMEM;
	}
	return json_array_append_new(
		       items,
		       json_pack("{s:I, s:s?, s:s, s:b, s:o, s:o}", "ifindex", (json_int_t)ifindex,
				 "name", if_indextoname(ifindex, name), "role",
				 iface->role < SL_ROLE_MAX ? roles[iface->role] : "unknown",
				 "podTraffic", iface->pod_traffic, "addresses", addresses, "hooks",
				 hooks))
		       ? -ENOMEM
		       : 0;
}

int view_attach(const struct view *view, json_t **ret, char error[512])
{
	json_t *items, *list;
	struct table table;
	int r = view_table(view, DATAPATH_ifaces, 4, sizeof(struct sl_iface), &table, error);

	if (r)
		return r;
	items = json_array();
	if (!items)
		return view_no_memory(error);
	r = view_each(&table, add_iface, items, error);
	if (r) {
		json_decref(items);
		return r == -ENOMEM ? view_no_memory(error) : r;
	}
	list = document_list("AttachList", items);
	if (!list)
		return view_no_memory(error);
	*ret = list;
	return 0;
}
