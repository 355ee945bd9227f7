/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What the map writer knows of the programmed state. Private to tables/.
 */

#include "controlplane/metrics/histogram.h"
#include "controlplane/tables/address.h"
#include "controlplane/tables/audit.h"
#include "controlplane/tables/chain.h"
#include "controlplane/tables/claim.h"
#include "controlplane/tables/grace.h"
#include "controlplane/tables/ids.h"
#include "controlplane/tables/idle.h"
#include "controlplane/tables/latency.h"
#include "controlplane/tables/memory.h"
#include "controlplane/tables/pressure.h"
#include "controlplane/tables/slab.h"
#include "controlplane/tables/sweep.h"
#include "controlplane/tables/tables.h"

/* A backend that has an id and is LIVE. */
struct tables_backend {
	struct sl_addr addr;
	__be16 port;
	uint16_t order; /* its place by "ip:port" (S-077) */
	uint8_t sets;
	bool local;
	bool fresh; /* got its id in the change that is being prepared */
	uint32_t id;
	uint32_t generation;
	uint32_t weight;
};

/* One service port in one family: what a service id stands for. */
struct tables_port {
	uint32_t id;
	uint32_t record;	      /* index, 0: none is reachable */
	uint32_t version;	      /* upper half of the word in `services` */
	struct sl_record content;     /* of the record */
	uint64_t run_sum[SL_SET_MAX]; /* state_run_sum() of its Maglev runs */
	char *name;
	const struct tables_service *service;
	uint8_t proto, family;
	bool wanted;			 /* by the state that is being applied, or was at last */
	bool no_local[2];		 /* by internal, external policy: S-234 */
	bool verified;			 /* Maglev runs are known to be those of the backends */
	struct tables_backend *backends; /* sorted by address and port */
	struct claim **claims;
	struct ip_prefix *sources; /* sorted */
	size_t n_backends, n_claims, n_sources;
};

struct tables_service {
	struct chain_link link;
	char *namespace_, *name;
	struct tables_port **ports;
	size_t n_ports;
	bool failed; /* the last change could not be programmed */
};

struct tables_iface {
	struct chain_link link;
	uint32_t ifindex;
	struct sl_iface value;
};

struct tables {
	uv_loop_t *loop;
	struct datapath *datapath;
	struct memory memory;
	struct address_bits *bits;
	struct claims *claims;
	struct grace *grace;
	struct idle idle;
	struct sweep *sweep;
	struct slab *slab;
	struct ids *service_ids, *record_ids, *backend_ids, *policy_ids;
	struct chain services;
	struct tables_port **ports;	  /* by service id */
	struct tables_port **policies[2]; /* by policy id, of IPv4 and IPv6 */
	struct audit *audit;
	struct chain ifaces; /* what `ifaces` should say */
	struct sl_node node; /* what `node` should say */
	size_t n_ports, n_backends;
	uint32_t n_prefixes[2]; /* in policy4 and policy6 */
	struct pressure pressure;
	struct tables_address *addresses;
	size_t n_addresses;
	struct latency latency;
	struct histogram changes;      /* the same as `latency`, for /metrics */
	struct sl_service_stats past;  /* of ids that were given back */
	uint64_t flipped_ns;	       /* when services[] was last stored to */
	uint32_t *scratch;	       /* one Maglev table of the largest size */
	struct sl_service_stats *cpus; /* room for one value of each CPU */
	int n_cpus;
	void *zeros;			/* as many as any counters' values of all CPUs take */
	void (*retired)(void *context); /* tables_on_retire(), or NULL */
	void *retired_context;
	void (*left)(void *context); /* tables_on_leave(), or NULL */
	void *left_context;
	void (*served)(void *context); /* tables_on_serve(), or NULL */
	void *served_context;
	/* tables_on_conflict(), or NULL */
	void (*conflict)(void *context, const struct tables_conflict *conflict);
	void *conflict_context;
	bool complete; /* what is programmed was complete once, maybe in an earlier run */
	void (*room)(void *context); /* tables_on_room(), or NULL */
	void *room_context;
};

/* state.c */
struct tables_service *state_find(const struct tables *tables, const char *namespace_,
				  const char *name);
int state_add_service(struct tables *tables, const char *namespace_, const char *name,
		      struct tables_service **ret);
void state_drop_service(struct tables *tables, struct tables_service *service);
/* Frees one that is in no chain. */
void state_free_service(struct tables_service *service);
struct tables_port *state_find_port(const struct tables_service *service, const char *name,
				    uint8_t proto, uint8_t family);
int state_new_port(const struct tables_service *service, const char *name, uint8_t proto,
		   uint8_t family, struct tables_port **ret);
void state_free_port(struct tables_port *port);

/* By address and port; and by address and length. For qsort(). */
int state_order_backends(const void *left, const void *right);
int state_order_prefixes(const void *left, const void *right);

/* Makes a backend's generation move on: no flow trusts it any more. */
void state_retire_backend(struct tables *tables, uint32_t id, uint32_t generation);

/* What is in `backends` for a backend that serves. */
uint64_t state_backend_word(const struct tables_backend *backend);

/* Fills in who a service port is. -ENAMETOOLONG for a name that does not fit. */
int state_identity(const struct tables_port *port, struct sl_identity *ret);

/* Enters a port into, or takes it out of, the tables by id. */
void state_know_port(struct tables *tables, struct tables_port *port);
void state_know_policy(struct tables *tables, struct tables_port *port, uint32_t before);
void state_forget_port(struct tables *tables, const struct tables_port *port);

/* Tells Maglev runs apart. */
uint64_t state_run_sum(const uint32_t *slots, size_t n);

/* Builds the Maglev run of a set's `n` members with weight into tables->scratch. */
int state_build_run(struct tables *tables, uint8_t family, const struct tables_backend *backends,
		    size_t n_backends, int set, size_t n, uint32_t size);

/* The next backend of a set that has weight; NULL at the end. */
const struct tables_backend *state_next_member(const struct tables_backend *backends, size_t n,
					       int set, size_t *at);

/* Connections of the service may have to be ended: it keeps none, or not for
 * ever, or no service has this id. */
void state_end_connections(struct tables *tables, uint32_t service);

/* Writes who a service id is; NULL: nobody. 0 or -errno. */
int state_write_identity(struct tables *tables, uint32_t id, const struct tables_port *port);

/* Sets the counters of an id that is used again to 0. */
void state_clear_stats(struct tables *tables, enum datapath_map map, uint32_t id);

/* Adds the counters of an id that nobody has any more to `past`. */
void state_keep_stats(struct tables *tables, uint32_t id);

/* A grace period is over: what waited can be used again. */
void state_reclaim(void *context, const struct grace_item *item);
void state_reclaimed(void *context);

/* A bit has lost its last user; for claims_release(). */
void state_bit_left(void *context, enum address_bitmap bitmap, uint32_t slot);

/* How many items a port can give to the grace period at once. */
size_t state_grace_items(const struct tables_port *port);

/* node.c: what `ifaces` should say of an interface, NULL: nothing; and the
 * write. */
struct tables_iface *state_find_iface(const struct tables *tables, uint32_t ifindex);
int state_write_iface(struct tables *tables, const struct tables_iface *iface);

/* adopt.c: reads back what an earlier life left. 0, or -errno and `error`. */
int adopt(struct tables *tables, char error[512]);
