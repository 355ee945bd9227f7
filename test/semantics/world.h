/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * A node of the tables: a network namespace with a profile's interfaces and
 * addresses, a cgroup for its processes, and sluice at work there as the
 * daemon sets it up, but for a source of objects. Links that packets name
 * (veth100) or profiles have (eth0) are veths whose other ends lie in a
 * namespace of their own; bridges have a port for one pod.
 */

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "controlplane/store/store.h"
#include "controlplane/tables/tables.h"

struct world;

/*
 * Makes it and moves the process there. `cases` are the file's: their packets
 * tell which links pods have. What the arguments point to must outlive it.
 * Returns 0, or -errno with a line in `error`.
 */
int world_new(const char *name, const json_t *profile, const json_t *cases, struct world **ret,
	      char error[512]);
/* Removes everything that was made. Takes NULL too. */
void world_free(struct world *world);
SL_DEFINE_AUTO(world)

/*
 * A case's store goes to the tables as the daemon does it, from now until
 * world_end(), which takes its services out of both. Returns 0 or -ENOMEM.
 */
int world_begin(struct world *world, struct store *store);
void world_end(struct world *world);
/* After a change of the store: what the loop's next turns do. */
void world_sync(struct world *world);
/* False before the first complete lists (S-240). */
bool world_programmed(const struct world *world);
/* Services that the tables refused. */
size_t world_failed(const struct world *world);
/* What tables_status() says. A new reference. */
json_t *world_status(const struct world *world);

/* Flows; or whom clients with affinity were sent to. */
void world_forget_flows(struct world *world);
void world_forget_clients(struct world *world);

/* The interface that packets of `iif` come in by, 0 if there is none. */
uint32_t world_link(const struct world *world, const char *iif);

/* The name of the interface with the default route; false if there is none. */
bool world_uplink(const struct world *world, char ret[16]);

/* Whether an address is one of the node's, not counting loopback's 127/8, ::1. */
bool world_is_own(const struct world *world, const struct sl_addr *addr, uint8_t family);

/* Whether it is one of a link, so not only of loopback. */
bool world_has_link(const struct world *world, const struct sl_addr *addr, uint8_t family);

/*
 * The interfaces a packet to `dst` leaves by, in order, where our programs
 * are. Returns how many; none for what is delivered here.
 */
#define WORLD_ROUTE_MAX 2
size_t world_route(struct world *world, const struct sl_addr *dst, uint8_t family,
		   uint32_t ret[WORLD_ROUTE_MAX]);

struct datapath *world_datapath(const struct world *world);
