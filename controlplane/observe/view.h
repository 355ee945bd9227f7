/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The JSON documents of docs/api.md that can be read from the maps alone:
 * sluiced serves them, and lbctl makes them itself from the pins when the
 * daemon is not there.
 */

#include <jansson.h>
#include <stdbool.h>

#include "common/mem.h"
#include "controlplane/tables/datapath.h"

/* Where to read: map descriptors by enum datapath_map, -1 for a missing one. */
struct view {
	int fd[DATAPATH_MAP_MAX];
	const char *maps_folder; /* for MapList's `pinned`, or NULL */
};

/* Filters of FlowList; NULL for none. */
struct view_flow_filter {
	const char *client;  /* address or prefix */
	const char *service; /* namespace/name[:port] */
	const char *backend; /* address or address:port */
	size_t limit;	     /* 1 ... VIEW_FLOWS_MAX */
};

#define VIEW_FLOWS_DEFAULT 1000
#define VIEW_FLOWS_MAX	   20000

/*
 * Each returns 0 and a new reference, or -errno with the map or the filter in
 * `error`: -EINVAL for a filter that can't be read, -ENOENT for a Service that
 * is not programmed, -ENXIO for a map that is not there.
 */
int view_services(const struct view *view, json_t **ret, char error[512]);
int view_service(const struct view *view, const char *namespace_, const char *name, json_t **ret,
		 char error[512]);
int view_backends(const struct view *view, json_t **ret, char error[512]);
int view_flows(const struct view *view, const struct view_flow_filter *filter, json_t **ret,
	       char error[512]);
int view_maps(const struct view *view, json_t **ret, char error[512]);

/* One map. */
struct view_map {
	const char *name;
	uint32_t type, key_size, value_size, max_entries;
	bool counted;	  /* else `entries` makes no sense */
	uint64_t entries; /* in use */
	bool sized;	  /* else `bytes` is not known */
	uint64_t bytes;
};
int view_map(const struct view *view, enum datapath_map map, struct view_map *ret, char error[512]);

/* Counters by service id, and who has the first ids. */
struct view_counters {
	uint32_t n;
	struct sl_service_stats *stats; /* by id, summed over CPUs; 0 of unused ones */
	struct {
		uint32_t id;
		struct sl_identity who;
	} *ports; /* in use, by id */
	uint32_t n_ports;
	uint32_t left_out; /* that would be in `ports` */
};

/*
 * Reads the counters of the ids below `n` that `used` marks, and the identities
 * of at most `max_ports` of them.
 */
int view_counters(const struct view *view, const bool *used, uint32_t n, uint32_t max_ports,
		  struct view_counters *ret, char error[512]);
void view_counters_done(struct view_counters *counters);
/*
 * The same lists item by item. Making one reads the maps, which may take some
 * 100 ms with many Services, so it is meant for a thread of its own; the rest
 * is quick. `view` has to live as long.
 */
struct view_list;
int view_list_services(const struct view *view, struct view_list **ret, char error[512]);
int view_list_backends(const struct view *view, struct view_list **ret, char error[512]);
void view_list_free(struct view_list *list);
SL_DEFINE_AUTO(view_list)

/* The kind of the document. */
const char *view_list_kind(const struct view_list *list);

/* The next item, a new reference; NULL at the end. 0 or -ENOMEM. */
int view_list_next(struct view_list *list, json_t **ret);

/* Whether a list of Services has this one. */
bool view_list_has(const struct view_list *list, const char *namespace_, const char *name);

/* `losses` over all services, for Status. */
int view_losses(const struct view *view, json_t **ret, char error[512]);

/* { services, servicePorts, backends } that are in the maps, for Status. */
int view_programmed(const struct view *view, json_t **ret, char error[512]);

/* What the map `ifaces` alone says of AttachList: see docs/api.md. */
int view_attach(const struct view *view, json_t **ret, char error[512]);
