/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once

/*
 * Every map, and nothing else. Keys and values are described in common/abi.h.
 *
 * Sizes are placeholders: sluiced sets them before load (`max*` of its
 * configuration). What the daemon stores word by word is mmapable, because a
 * store into mapped memory is atomic and costs no system call.
 */

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "common/abi.h"

#define SL_ARRAY(name_, value_, entries_, flags_)                                                  \
	struct {                                                                                   \
		__uint(type, BPF_MAP_TYPE_ARRAY);                                                  \
		__uint(max_entries, entries_);                                                     \
		__uint(map_flags, flags_);                                                         \
		__type(key, __u32);                                                                \
		__type(value, value_);                                                             \
	} name_ SEC(".maps")

#define SL_HASH(type_, name_, key_, value_, entries_)                                              \
	struct {                                                                                   \
		__uint(type, type_);                                                               \
		__uint(max_entries, entries_);                                                     \
		__type(key, key_);                                                                 \
		__type(value, value_);                                                             \
	} name_ SEC(".maps")

/* Bitmaps that keep packets which are no service traffic away from hashes. */
SL_ARRAY(filter, __u64, SL_FILTER_WORDS, BPF_F_MMAPABLE);
SL_ARRAY(endpoint_set, __u64, SL_ENDPOINT_WORDS, BPF_F_MMAPABLE);
SL_ARRAY(node_ports, __u64, SL_PORT_WORDS *SL_PORT_PROTOCOLS, BPF_F_MMAPABLE);

/* Services. */
SL_HASH(BPF_MAP_TYPE_HASH, frontends4, struct sl_frontend4, __u64, 65536);
SL_HASH(BPF_MAP_TYPE_HASH, frontends6, struct sl_frontend6, __u64, 65536);
SL_ARRAY(services, __u64, 65536, BPF_F_MMAPABLE);
SL_ARRAY(records, struct sl_record, 131072, BPF_F_MMAPABLE);
SL_ARRAY(maglev, struct sl_slots, 2097152, BPF_F_MMAPABLE);
SL_ARRAY(backends, struct sl_backend, 262144, BPF_F_MMAPABLE);
SL_ARRAY(identities, struct sl_identity, 65536, 0);

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 65536);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct sl_policy4);
	__type(value, __u32);
} policy4 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 65536);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct sl_policy6);
	__type(value, __u32);
} policy6 SEC(".maps");

/* Flows. */
SL_HASH(BPF_MAP_TYPE_LRU_HASH, new4, struct sl_tuple4, struct sl_flow4, 131072);
SL_HASH(BPF_MAP_TYPE_LRU_HASH, new6, struct sl_tuple6, struct sl_flow6, 131072);
SL_HASH(BPF_MAP_TYPE_LRU_HASH, established4, struct sl_tuple4, struct sl_flow4, 1048576);
SL_HASH(BPF_MAP_TYPE_LRU_HASH, established6, struct sl_tuple6, struct sl_flow6, 1048576);
SL_HASH(BPF_MAP_TYPE_HASH, snat4, struct sl_tuple4, struct sl_tuple4, 262144);
SL_HASH(BPF_MAP_TYPE_HASH, snat6, struct sl_tuple6, struct sl_tuple6, 262144);

/* Memory of ClientIP affinity, and of the node's own sockets. */
SL_HASH(BPF_MAP_TYPE_LRU_HASH, affinity4, struct sl_client4, struct sl_affinity, 65536);
SL_HASH(BPF_MAP_TYPE_LRU_HASH, affinity6, struct sl_client6, struct sl_affinity, 65536);
SL_HASH(BPF_MAP_TYPE_LRU_HASH, sockets, struct sl_socket, struct sl_asked, 65536);

/* The node. */
SL_ARRAY(node, struct sl_node, 1, BPF_F_MMAPABLE);
SL_HASH(BPF_MAP_TYPE_HASH, ifaces, __u32, struct sl_iface, 65536);

/* When the budget of own ICMP messages is balanced again, ns (budget.h). Not pinned. */
SL_HASH(BPF_MAP_TYPE_PERCPU_ARRAY, icmp_due, __u32, __u64, 1);

/* Counters. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 65536);
	__type(key, __u32);
	__type(value, struct sl_service_stats);
} stats_services SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 262144);
	__type(key, __u32);
	__type(value, struct sl_backend_stats);
} stats_backends SEC(".maps");
