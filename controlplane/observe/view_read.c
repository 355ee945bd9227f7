/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Bulk reads: batches where the kernel has them for the type of map, else key
 * by key. Memory is bounded by the batch, time by the size of the map.
 */

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <string.h>

#include "controlplane/observe/view_private.h"

#define BATCH	    1024
#define BATCH_MAX   65536
#define SUM_CHUNK   256
#define SUM_SINGLES 8 /* fewer wanted keys a chunk are read one by one */

int view_table_info(int fd, const char *name, struct table *ret, char error[VIEW_ERROR_MAX])
{
	struct bpf_map_info info = { 0 };
	__u32 len = sizeof(info);
	int r;

	if (fd < 0)
		return view_fail(error, -ENXIO, "map %s: not there", name);
	r = bpf_obj_get_info_by_fd(fd, &info, &len);
	if (r)
		return view_fail(error, r, "map %s: %s", name, strerror(-r));
	*ret = (struct table) {
		.name = name,
		.fd = fd,
		.type = info.type,
		.key_size = info.key_size,
		.value_size = info.value_size,
		.max_entries = info.max_entries,
	};
	return 0;
}

int view_table(const struct view *view, enum datapath_map map, size_t key_size, size_t value_size,
	       struct table *ret, char error[VIEW_ERROR_MAX])
{
	struct table table;
	int r = view_table_info(view->fd[map], datapath_map_name(map), &table, error);

	if (r)
		return r;
	if (table.key_size != key_size || table.value_size != value_size)
		return view_fail(
			error, -EPROTO, "map %s: %u byte keys and %u byte values, not %zu and %zu",
			table.name, table.key_size, table.value_size, key_size, value_size);
	*ret = table;
	return 0;
}

/*
 * A removed key sends the kernel back to the first one, so steps are counted:
 * an element may be seen twice, but the walk ends.
 */
static int each_by_key(const struct table *table,
		       int (*each)(void *context, const void *key, const void *value),
		       void *context, char error[VIEW_ERROR_MAX])
{
	sl_auto_mem void *key = malloc(table->key_size);
	sl_auto_mem void *next = malloc(table->key_size);
	sl_auto_mem void *value = malloc(table->value_size);
	const void *previous = NULL;
	int r;

	if (!key || !next || !value)
		return view_no_memory(error);
	for (uint32_t i = 0; i < table->max_entries; i++) {
		r = bpf_map_get_next_key(table->fd, previous, next);
		if (r == -ENOENT)
			return 0;
		if (r)
			return view_fail(error, r, "map %s: %s", table->name, strerror(-r));
		memcpy(key, next, table->key_size);
		previous = key;
		if (bpf_map_lookup_elem(table->fd, key, value))
			continue;
		r = each(context, key, value);
		if (r)
			return r;
	}
	return 0;
}

/* Returns -EOPNOTSUPP if the very first batch fails: this kernel has none. */
static int each_by_batch(const struct table *table,
			 int (*each)(void *context, const void *key, const void *value),
			 void *context, char error[VIEW_ERROR_MAX])
{
	size_t token_size = table->key_size > 8 ? table->key_size : 8;
	sl_auto_mem char *token = calloc(2, token_size);
	sl_auto_mem char *keys = malloc((size_t)BATCH * table->key_size);
	sl_auto_mem char *values = malloc((size_t)BATCH * table->value_size);
	char *in = NULL;
	bool last = false;

	if (!token || !keys || !values)
		return view_no_memory(error);
	while (!last) {
		char *out = token + (in == token ? token_size : 0);
		uint32_t count = BATCH;
		int r = bpf_map_lookup_batch(table->fd, in, out, keys, values, &count, NULL);

		last = r == -ENOENT;
		if (r && !last)
			return in ? view_fail(error, r, "map %s: %s", table->name, strerror(-r))
				  : -EOPNOTSUPP;
		for (uint32_t i = 0; i < count; i++) {
			r = each(context, keys + (size_t)i * table->key_size,
				 values + (size_t)i * table->value_size);
			if (r)
				return r;
		}
		in = out;
	}
	return 0;
}

int view_each(const struct table *table,
	      int (*each)(void *context, const void *key, const void *value), void *context,
	      char error[VIEW_ERROR_MAX])
{
	int r = each_by_batch(table, each, context, error);

	if (r == -EOPNOTSUPP)
		return each_by_key(table, each, context, error);
	return r;
}

int view_array(const struct table *table, uint32_t first, uint32_t n, void *values,
	       char error[VIEW_ERROR_MAX])
{
	sl_auto_mem uint32_t *keys = malloc((n ? n : 1) * sizeof(*keys));
	uint32_t previous = first - 1, out, count = n;
	size_t stride = table->value_size;
	int r;

	if (table->type == BPF_MAP_TYPE_PERCPU_ARRAY) {
		r = libbpf_num_possible_cpus();
		if (r < 0)
			return view_fail(error, r, "CPUs: %s", strerror(-r));
		stride = (stride + 7) / 8 * 8 * (size_t)r;
	}
	if (!keys)
		return view_no_memory(error);
	r = bpf_map_lookup_batch(table->fd, first ? &previous : NULL, &out, keys, values, &count,
				 NULL);
	if ((!r || r == -ENOENT) && count == n)
		return 0;
	for (uint32_t i = 0; i < n; i++) {
		uint32_t key = first + i;

		r = bpf_map_lookup_elem(table->fd, &key, (char *)values + i * stride);
		if (r)
			return view_fail(error, r, "map %s: key %u: %s", table->name, key,
					 strerror(-r));
	}
	return 0;
}

int view_array_all(const struct table *table, void **ret, char error[VIEW_ERROR_MAX])
{
	sl_auto_mem char *values = calloc(table->max_entries, table->value_size);
	uint32_t n;
	int r;

	if (!values)
		return view_no_memory(error);
	for (uint32_t first = 0; first < table->max_entries; first += n) {
		n = table->max_entries - first;
		if (n > BATCH_MAX)
			n = BATCH_MAX;
		r = view_array(table, first, n, values + (size_t)first * table->value_size, error);
		if (r)
			return r;
	}
	*ret = sl_take(values);
	return 0;
}

static void add_cpus(const uint64_t *values, size_t fields, int cpus, uint64_t *sum)
{
	for (int cpu = 0; cpu < cpus; cpu++)
		for (size_t i = 0; i < fields; i++)
			sum[i] += values[(size_t)cpu * fields + i];
}

/* Sums the wanted keys among `n` from `first` on; `values` has room for all. */
static int sum_chunk(const struct table *table, const bool *wanted, uint32_t first, uint32_t n,
		     int cpus, uint64_t *values, uint64_t *sums, char error[VIEW_ERROR_MAX])
{
	size_t fields = table->value_size / sizeof(uint64_t);
	uint32_t count = 0;
	int r = 0;

	for (uint32_t i = 0; i < n; i++)
		count += wanted[first + i];
	if (!count)
		return 0;
	if (count >= SUM_SINGLES)
		r = view_array(table, first, n, values, error);
	for (uint32_t i = 0; !r && i < n; i++) {
		uint64_t *value = values + (size_t)i * fields * (size_t)cpus;

		if (!wanted[first + i])
			continue;
		if (count < SUM_SINGLES)
			r = view_array(table, first + i, 1, value, error);
		if (!r)
			add_cpus(value, fields, cpus, sums + (size_t)(first + i) * fields);
	}
	return r;
}

int view_sums(const struct table *table, const bool *wanted, uint32_t n, uint64_t **ret,
	      char error[VIEW_ERROR_MAX])
{
	int r = 0, cpus = libbpf_num_possible_cpus();
	sl_auto_mem uint64_t *values = NULL;
	sl_auto_mem uint64_t *sums = NULL;

	if (cpus < 0)
		return view_fail(error, cpus, "CPUs: %s", strerror(-cpus));
	if (table->value_size % sizeof(uint64_t) || n > table->max_entries)
		return view_fail(error, -EPROTO, "map %s: %u entries, not %u", table->name,
				 table->max_entries, n);
	values = calloc((size_t)SUM_CHUNK * (size_t)cpus, table->value_size);
	sums = calloc(n ? n : 1, table->value_size);
	if (!values || !sums)
		return view_no_memory(error);
	for (uint32_t first = 0; !r && first < n; first += SUM_CHUNK) {
		uint32_t count = n - first < SUM_CHUNK ? n - first : SUM_CHUNK;

		r = sum_chunk(table, wanted, first, count, cpus, values, sums, error);
	}
	if (!r)
		*ret = sl_take(sums);
	return r;
}
