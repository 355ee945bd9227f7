/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The BPF object in the kernel: loaded, its maps and programs pinned under
 *
 *   ROOT/INSTANCE/v<SL_LAYOUT>/{maps,programs,links}/NAME
 *
 * Pinned maps of the same layout and size are adopted with what is in them, so
 * flows survive a restart. Pins of another layout are left alone: an older
 * daemon that meets newer ones refuses to start.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/abi.h"
#include "common/mem.h"

/* Every map, in the order lbctl map list shows them. */
#define DATAPATH_MAPS(X)                                                                           \
	X(filter)                                                                                  \
	X(node_ports)                                                                              \
	X(endpoint_set)                                                                            \
	X(frontends4)                                                                              \
	X(frontends6)                                                                              \
	X(services)                                                                                \
	X(records)                                                                                 \
	X(maglev)                                                                                  \
	X(backends)                                                                                \
	X(identities)                                                                              \
	X(policy4)                                                                                 \
	X(policy6)                                                                                 \
	X(new4)                                                                                    \
	X(new6)                                                                                    \
	X(established4)                                                                            \
	X(established6)                                                                            \
	X(snat4)                                                                                   \
	X(snat6)                                                                                   \
	X(affinity4)                                                                               \
	X(affinity6)                                                                               \
	X(sockets)                                                                                 \
	X(node)                                                                                    \
	X(ifaces)                                                                                  \
	X(stats_services)                                                                          \
	X(stats_backends)

enum datapath_map {
#define X(name) DATAPATH_##name,
	DATAPATH_MAPS(X)
#undef X
		DATAPATH_MAP_MAX,
};

enum datapath_program {
	DATAPATH_INGRESS, /* sluice_ingress, TC */
	DATAPATH_EGRESS,  /* sluice_egress, TC */
	DATAPATH_XDP,	  /* sluice_xdp */
	DATAPATH_STORE,	  /* sluice_store, syscall */
	DATAPATH_DECIDE,  /* sluice_decide, for test runs with a struct sl_decide */
	DATAPATH_PROBE,	  /* sluice_probe, for test runs with a frame */
	/* For the node's own sockets, in the order of CGROUP_HOOKS; not loaded
	 * where config.netns is 0. */
	DATAPATH_CONNECT4,
	DATAPATH_CONNECT6,
	DATAPATH_SENDMSG4,
	DATAPATH_SENDMSG6,
	DATAPATH_RECVMSG4,
	DATAPATH_RECVMSG6,
	DATAPATH_GETPEERNAME4,
	DATAPATH_GETPEERNAME6,
	DATAPATH_RELEASE,
	DATAPATH_PROGRAM_MAX,
};

struct datapath;

struct datapath_options {
	const char *root;     /* a folder in a bpffs, e.g. /sys/fs/bpf/sluice */
	const char *instance; /* [a-z0-9-]{1,32} */
	uint32_t max_services, max_backends, max_frontends, max_maglev_slots;
	uint32_t max_policies, max_flows_new, max_flows, max_snat_ports;
	uint32_t max_affinity, max_sockets;
	struct sl_config config; /* the object's read-only data */
};

/*
 * Loads the programs and creates or adopts the maps.
 *
 * Returns 0 and the datapath, or -errno with a line in `error` that names the
 * map or program: -EEXIST when an adopted map has another size than asked
 * for, -EPROTO for pins of a newer layout, -ENODEV when the root is not in a
 * bpffs, what the kernel said otherwise. A failed start changes no pin.
 */
int datapath_open(const struct datapath_options *options, struct datapath **ret, char error[512]);

/* Closes descriptors; pins, links and traffic stay. Takes NULL too. */
void datapath_close(struct datapath *datapath);

/* Descriptors stay the datapath's. */
int datapath_map(const struct datapath *datapath, enum datapath_map map);
int datapath_program(const struct datapath *datapath, enum datapath_program program);

/* How many entries a map has room for, and what the programs were loaded with. */
uint32_t datapath_entries(const struct datapath *datapath, enum datapath_map map);
const struct sl_config *datapath_config(const struct datapath *datapath);

const char *datapath_map_name(enum datapath_map map);

/* True if the maps were there before: a restart, not a first start. */
bool datapath_adopted(const struct datapath *datapath);

/* The folder of the link pins; made by datapath_open(). */
const char *datapath_links_folder(const struct datapath *datapath);

/*
 * Opens the maps that are pinned for an instance, read-only, for a tool
 * without the daemon: `ret_fds[map]` is a descriptor or -1. Returns 0, or
 * -ENOENT when nothing is pinned there, or -EPROTO when the pins have another
 * layout than this program's.
 */
int datapath_open_pins(const char *root, const char *instance, int ret_fds[DATAPATH_MAP_MAX]);

/* Removes every pin of the instance: traffic is no longer translated. */
int datapath_remove(const char *root, const char *instance);
