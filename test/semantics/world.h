/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The datapath in the kernel, and the nodes of the tables: a network namespace
 * for each profile, with its interfaces and addresses, which sluice takes for
 * the node's as the daemon does. Links that packets name (veth100) or profiles
 * have (eth0) are veths whose other ends lie in a namespace of their own;
 * bridges have a port for one pod.
 */

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "controlplane/store/store.h"
#include "controlplane/tables/tables.h"

struct world;

/* The datapath, loaded once. Returns 0, or -errno with a line in `error`. */
int world_new(struct world **ret, char error[512]);
/* Removes everything that was made. Takes NULL too. */
void world_free(struct world *world);
SL_DEFINE_AUTO(world)

/*
 * Moves the process into the namespace of a profile, with sluice's programs on
 * its interfaces; a repeated name costs nothing until world_leave(). `cases`
 * are those of the file. Returns 0, or -errno with a line in `error`.
 */
int world_enter(struct world *world, const char *name, const json_t *profile, const json_t *cases,
		char error[512]);
/* Forgets every profile: another file may mean something else by a name. */
void world_leave(struct world *world);

/*
 * The store of a case goes to the tables as the daemon does it, from now until
 * world_end(), which takes its services out of store and tables. Returns 0 or
 * -ENOMEM.
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

/* Whether an address is one of the node's. */
bool world_is_own(const struct world *world, const struct sl_addr *addr, uint8_t family);

/*
 * The interfaces a packet to `dst` leaves by, in order, where our programs
 * are. Returns how many; none for what is delivered here.
 */
#define WORLD_ROUTE_MAX 2
size_t world_route(struct world *world, const struct sl_addr *dst, uint8_t family,
		   uint32_t ret[WORLD_ROUTE_MAX]);

struct datapath *world_datapath(const struct world *world);
