/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once

/*
 * Stores into values of hash maps, run by the daemon through BPF_PROG_TEST_RUN
 * (struct sl_store). An update from user space would replace the element, and
 * packets would meanwhile miss a key that is always there.
 */

#include "maps.h"

/* Returns 0, or 1 when there is no such key (the daemon then inserts it). */
static __always_inline int store_frontend(void *map, const void *key, __u64 value)
{
	__u64 *old = bpf_map_lookup_elem(map, key);

	if (!old)
		return 1;
	*(volatile __u64 *)old = value;
	return 0;
}

static __always_inline int store_iface(const __u32 *ifindex, const struct sl_iface *value)
{
	struct sl_iface *iface = bpf_map_lookup_elem(&ifaces, ifindex);

	if (!iface)
		return 1;
	*iface = *value;
	return 0;
}

SEC("syscall")
int sluice_store(struct sl_store *argument)
{
	/* Copied here and nowhere else: the verifier refuses a context pointer
	 * that the compiler moved on before it reads. */
	struct sl_store store = *argument;
	struct sl_frontend4 key4;

	asm volatile("" : : "r"(&store) : "memory");
	switch (store.map) {
	case SL_STORE_FRONTEND4:
		key4 = (struct sl_frontend4) {
			.addr = { store.frontend.key.addr[0] },
			.port = store.frontend.key.port,
			.proto = store.frontend.key.proto,
		};
		return store_frontend(&frontends4, &key4, store.frontend.value);
	case SL_STORE_FRONTEND6:
		return store_frontend(&frontends6, &store.frontend.key, store.frontend.value);
	case SL_STORE_IFACE:
		return store_iface(&store.iface.ifindex, &store.iface.value);
	}
	return -1;
}
