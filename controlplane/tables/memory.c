/* SPDX-License-Identifier: Apache-2.0 */

#include "controlplane/tables/memory.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

static size_t bytes_of(uint32_t entries, size_t value)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	return (entries * ((value + 7) & ~(size_t)7) + page - 1) & ~(page - 1);
}

static const struct {
	enum datapath_map map;
	size_t offset; /* of the pointer in struct memory */
	size_t value;
} areas[] = {
	{ DATAPATH_filter, offsetof(struct memory, filter), 8 },
	{ DATAPATH_endpoint_set, offsetof(struct memory, endpoint_set), 8 },
	{ DATAPATH_node_ports, offsetof(struct memory, node_ports), 8 },
	{ DATAPATH_services, offsetof(struct memory, services), 8 },
	{ DATAPATH_records, offsetof(struct memory, records), sizeof(struct sl_record) },
	{ DATAPATH_maglev, offsetof(struct memory, slots), sizeof(struct sl_slots) },
	{ DATAPATH_backends, offsetof(struct memory, backends), sizeof(struct sl_backend) },
	{ DATAPATH_node, offsetof(struct memory, node), sizeof(struct sl_node) },
};

static void **pointer(struct memory *memory, size_t i)
{
	return (void **)(void *)((char *)memory + areas[i].offset);
}

static uint32_t entries_of(const struct memory *memory, enum datapath_map map)
{
	switch (map) {
	case DATAPATH_filter:
		return SL_FILTER_WORDS;
	case DATAPATH_endpoint_set:
		return SL_ENDPOINT_WORDS;
	case DATAPATH_node_ports:
		return SL_PORT_WORDS * SL_PORT_PROTOCOLS;
	case DATAPATH_services:
		return memory->n_services;
	case DATAPATH_records:
		return memory->n_records;
	case DATAPATH_maglev:
		return memory->n_slots / 2;
	case DATAPATH_backends:
		return memory->n_backends;
	case DATAPATH_node:
		return 1;
	default:
		return 0;
	}
}

int memory_map(const struct datapath *datapath, struct memory *ret, char error[512])
{
	struct memory memory = {
		.n_services = datapath_entries(datapath, DATAPATH_services),
		.n_records = datapath_entries(datapath, DATAPATH_records),
		.n_slots = datapath_entries(datapath, DATAPATH_maglev) * 2,
		.n_backends = datapath_entries(datapath, DATAPATH_backends),
	};

	for (size_t i = 0; i < SL_COUNT(areas); i++) {
		size_t len = bytes_of(entries_of(&memory, areas[i].map), areas[i].value);
		void *at = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED,
				datapath_map(datapath, areas[i].map), 0);

		if (at == MAP_FAILED) {
			int err = -errno;

			snprintf(error, 512, "tables: map %s: mmap: %s",
				 datapath_map_name(areas[i].map), strerror(-err));
			memory_unmap(&memory);
			return err;
		}
		*pointer(&memory, i) = at;
	}
	*ret = memory;
	return 0;
}

void memory_unmap(struct memory *memory)
{
	for (size_t i = 0; i < SL_COUNT(areas); i++) {
		if (*pointer(memory, i))
			munmap(*pointer(memory, i),
			       bytes_of(entries_of(memory, areas[i].map), areas[i].value));
		*pointer(memory, i) = NULL;
	}
}
