/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What the files behind view.h share: reading maps in bulk (view_read.c), what
 * is programmed at one moment (view_snapshot.c) and pieces of documents
 * (view_document.c). All functions return 0 or -errno and fill `error`.
 */

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/abi.h"
#include "common/mem.h"
#include "controlplane/observe/view.h"

#define VIEW_ERROR_MAX 512

/* view_read.c */

/* A map whose sizes are known to be those of this program's ABI. */
struct table {
	const char *name;
	int fd;
	uint32_t type, key_size, value_size, max_entries;
};

/* -ENXIO for a map that is not there, -EPROTO for one of another size. */
int view_table(const struct view *view, enum datapath_map map, size_t key_size, size_t value_size,
	       struct table *ret, char error[VIEW_ERROR_MAX]);

/* Reads what the kernel says about a descriptor; checks nothing. */
int view_table_info(int fd, const char *name, struct table *ret, char error[VIEW_ERROR_MAX]);

/*
 * Calls `each` for the elements of a hash or a trie until it returns other
 * than 0, which is then returned too (negative: an error, already described).
 */
int view_each(const struct table *table,
	      int (*each)(void *context, const void *key, const void *value), void *context,
	      char error[VIEW_ERROR_MAX]);

/* Reads the values of `n` keys of an array from `first` on. */
int view_array(const struct table *table, uint32_t first, uint32_t n, void *values,
	       char error[VIEW_ERROR_MAX]);

/* A whole array, in memory that the caller frees. */
int view_array_all(const struct table *table, void **ret, char error[VIEW_ERROR_MAX]);

/*
 * Sums a per-CPU array of u64 fields over the CPUs, for the keys below `n`
 * with `wanted[key]`, into `ret[key * fields]`, in memory that the caller
 * frees; other keys stay 0.
 */
int view_sums(const struct table *table, const bool *wanted, uint32_t n, uint64_t **ret,
	      char error[VIEW_ERROR_MAX]);

/* view_snapshot.c */

struct frontend {
	uint32_t service;
	uint8_t kind, family;
	uint16_t port; /* network byte order */
	struct sl_addr addr;
};

/* Restricts a snapshot; NULL fields take everything. */
struct snapshot_filter {
	const char *namespace_, *name;
};

/*
 * What is programmed, read once. Indexed by service and backend id; arrays of
 * ids are sorted as documents are.
 */
struct snapshot {
	uint32_t n_services, n_backends; /* sizes of the arrays */
	uint64_t *words;
	struct sl_identity *identities;
	struct sl_backend *backends;
	bool *service_wanted, *backend_wanted;
	uint32_t *service_ids; /* by namespace, name, port, protocol, family */
	size_t n_service_ids;
	uint32_t *backend_ids; /* by service, id */
	size_t n_backend_ids;
	struct frontend *frontends; /* by service, kind, address, port */
	size_t n_frontends, frontends_size;
};

/*
 * Reads services and what `flags` ask for. A backend whose service is not
 * wanted is left out when there is a filter.
 */
#define SNAPSHOT_BACKENDS  1U
#define SNAPSHOT_FRONTENDS 2U
int snapshot_new(const struct view *view, const struct snapshot_filter *filter, unsigned int flags,
		 struct snapshot **ret, char error[VIEW_ERROR_MAX]);
void snapshot_free(struct snapshot *snapshot);
SL_DEFINE_AUTO(snapshot)

/* The first backend, or frontend, of a service, and how many follow it. */
const uint32_t *snapshot_backends(const struct snapshot *snapshot, uint32_t service, size_t *n);
const struct frontend *snapshot_frontends(const struct snapshot *snapshot, uint32_t service,
					  size_t *n);

/* view_service.c */

/* What the documents of services are made from. */
struct sources {
	struct snapshot *snapshot;
	struct table records;
	struct sl_service_stats *services; /* by id, summed */
	struct sl_backend_stats *backends;
	uint32_t *policies; /* sorted: the policy id of every range */
	size_t n_policies, policies_size;
};

void sources_done(struct sources *sources);

/* Reads what `flags` of a snapshot ask for; with SNAPSHOT_FRONTENDS all. */
int sources_load(struct sources *sources, const struct view *view,
		 const struct snapshot_filter *filter, unsigned int flags,
		 char error[VIEW_ERROR_MAX]);

/* Puts the ports from `*i` on that belong to one Service into `service`, and
 * moves `*i` behind them. */
int sources_add_ports(const struct sources *sources, const struct view *view, size_t *i,
		      json_t *service);

/* view_document.c */

/* Writes the message and returns `r`. */
int view_fail(char error[VIEW_ERROR_MAX], int r, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
int view_no_memory(char error[VIEW_ERROR_MAX]);

/* { "apiVersion": "sluice.dev/v1", "kind": kind }; NULL without memory. */
json_t *document_new(const char *kind);

/* The same with "items", which it steals, also when it fails. */
json_t *document_list(const char *kind, json_t *items);

/* Steals `value`; returns 0 or -ENOMEM. */
int document_set(json_t *object, const char *key, json_t *value);

json_t *document_counters(const struct sl_backend_stats *stats);
json_t *document_losses(const uint64_t losses[SL_LOSSES]);
json_t *document_backend(const struct snapshot *snapshot, uint32_t id,
			 const struct sl_backend_stats *stats);

/* "namespace/name:port", "namespace/name" for a port without a name, or null. */
json_t *document_service_port(const struct sl_identity *identity);
