/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The maps that are written word by word, mapped into our memory: a store into
 * it is atomic and costs no system call.
 */

#include <stdint.h>

#include "controlplane/tables/datapath.h"

struct memory {
	__u64 *filter, *endpoint_set, *node_ports;
	__u64 *services;
	struct sl_record *records;
	uint32_t *slots; /* of `maglev` */
	struct sl_backend *backends;
	struct sl_node *node; /* one */
	uint32_t n_services, n_records, n_slots, n_backends;
};

/* 0, or -errno with the map's name in `error`. */
int memory_map(const struct datapath *datapath, struct memory *ret, char error[512]);
void memory_unmap(struct memory *memory);

/* What other CPUs read is stored at once, after everything stored before. */
static inline void memory_store(__u64 *word, __u64 value)
{
	__atomic_store_n(word, value, __ATOMIC_RELEASE);
}
