/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What the kernel says of this network namespace: interfaces, addresses, and
 * of routes only what they tell about an interface, so that a full routing
 * table costs no memory.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/abi.h"
#include "common/mem.h"

/* Which unicast routes of the main table leave by an interface. */
enum inventory_routes {
	INVENTORY_DEFAULT = 1 << 0,
	INVENTORY_GATEWAY = 1 << 1, /* by a next hop, the default route included */
	INVENTORY_HOST = 1 << 2,    /* to a single address, without a next hop */
};

#define INVENTORY_NAME_MAX 16
#define INVENTORY_KIND_MAX 24

struct inventory_link {
	uint32_t ifindex;
	uint32_t master; /* the bridge, bond ... it is a part of, or 0 */
	uint32_t lower;	 /* a VLAN's parent, a veth's peer ..., or 0 */
	uint32_t mtu;
	uint16_t type;	/* ARPHRD_* */
	uint8_t routes; /* enum inventory_routes */
	bool elsewhere; /* `lower` is an index of another network namespace */
	char name[INVENTORY_NAME_MAX];
	char kind[INVENTORY_KIND_MAX]; /* "veth", "vxlan" ...; "" for hardware */
};

struct inventory_address {
	uint32_t ifindex;
	uint32_t flags; /* IFA_F_* */
	uint8_t family; /* 4 or 6 */
	uint8_t len;	/* of its prefix */
	uint8_t scope;	/* RT_SCOPE_* */
	uint8_t pad;
	struct sl_addr addr;
};

/* Never has uninitialised bytes: two are equal if their arrays' bytes are. */
struct inventory {
	struct inventory_link *links; /* sorted by ifindex */
	size_t n_links;
	struct inventory_address *addresses; /* in the kernel's order */
	size_t n_addresses;
};

/*
 * Reads it all; blocks for the time of four dumps. A dump that the kernel
 * calls interrupted five times is used as it is (S-166).
 *
 * Returns 0, or -errno with the failed request in `error`.
 */
int inventory_read(struct inventory **ret, char error[512]);

/* Takes NULL too. */
void inventory_free(struct inventory *inventory);
SL_DEFINE_AUTO(inventory)

/* NULL if there is none with that index. */
const struct inventory_link *inventory_find(const struct inventory *inventory, uint32_t ifindex);
