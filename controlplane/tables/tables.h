/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The map writer: the only code that writes the datapath's service tables.
 *
 * It knows what is programmed, compares with what resolve wants, and writes
 * the difference so that no packet sees half of it: backends, Maglev slots and
 * record first, then the flip of services[id], then frontends and filter bits;
 * what is no longer reachable is reused after a grace period (design: "One
 * store flips a service").
 */

#include <jansson.h>
#include <stdbool.h>
#include <uv.h>

#include "controlplane/metrics/histogram.h"
#include "controlplane/resolve/resolve.h"
#include "controlplane/tables/datapath.h"

struct tables;

/*
 * Reads what the pinned maps hold and takes it over. Returns 0, or -errno with
 * a line in `error`.
 */
int tables_new(uv_loop_t *loop, struct datapath *datapath, struct tables **ret, char error[512]);

/* The tables stay as they are. Timers and work end in the loop, so run it once
 * more. Takes NULL too. */
void tables_free(struct tables *tables);
SL_DEFINE_AUTO(tables)

/*
 * Makes the tables say what `wanted` says. `received_ns` is when the change
 * was received (uv_hrtime()), 0 if it is none of a source's. Costs what
 * differs. Returns 1 if something was written, 0 if nothing had to be, or
 * -errno with the service and the map in `error`; the service then keeps what
 * was programmed before. Only when the kernel refuses a frontend that there
 * should be room for, the rest of the change is in force; calling again tries
 * again.
 */
int tables_apply(struct tables *tables, const struct resolved *wanted, uint64_t received_ns,
		 char error[512]);

/*
 * The first complete state has been applied: what the pins held and nobody
 * asked for is removed.
 */
void tables_synced(struct tables *tables);

/* `left` is called on the loop, within tables_apply() and the like, for each
 * backend that leaves, and for each service port that gets another leave policy. */
void tables_on_leave(struct tables *tables, void (*left)(void *context), void *context);

/*
 * `served` is called likewise for each UDP service port that is served where it
 * was not: a frontend came, or the first endpoint. Not for the first complete
 * state on new maps, since before that another proxy may have served it.
 */
void tables_on_serve(struct tables *tables, void (*served)(void *context), void *context);

/*
 * `conflict` is called likewise when a Service asks for a frontend that another
 * one holds: who came first keeps it, the other waits for it.
 */
struct tables_conflict {
	const char *namespace_, *name; /* who waits */
	const char *holder_namespace, *holder_name;
	const char *frontend; /* "192.0.2.7:80/TCP", or "nodePort 30080/TCP" */
};
void tables_on_conflict(struct tables *tables,
			void (*conflict)(void *context, const struct tables_conflict *conflict),
			void *context);

/* `room` is called on the loop when something can be used again. */
void tables_on_room(struct tables *tables, void (*room)(void *context), void *context);

/* A walk over all tables that repairs what is not as it was written takes so
 * many seconds and begins anew when it is over; 0: there is none (audit.h). */
void tables_set_audit(struct tables *tables, unsigned int seconds);

/* What the datapath must know of this node, written in the order that struct
 * sl_node asks for. */
void tables_set_node(struct tables *tables, const struct sl_node *node);

/* This node's own addresses; `node_port` tells which of them node ports use
 * (S-182). The others are known as its own, too (S-114). */
struct tables_address {
	struct sl_addr addr;
	uint8_t family;
	bool node_port;
};
int tables_set_addresses(struct tables *tables, const struct tables_address *addresses, size_t n);

/* An interface's entry of `ifaces`. */
int tables_set_iface(struct tables *tables, uint32_t ifindex, const struct sl_iface *iface);

/* Removes the entries of `ifaces` that `keep` says no to, whoever wrote them. */
void tables_prune_ifaces(struct tables *tables, bool (*keep)(void *context, uint32_t ifindex),
			 void *context);

/* For /metrics. */
struct tables_counts {
	uint64_t services, service_ports, backends; /* programmed */
	uint64_t failed;			    /* Services */
	uint64_t pending;			    /* for a grace period */
	uint64_t no_local[2][2];		    /* IPv4, IPv6; internal, external (S-234) */
	struct histogram changes;		    /* from receipt to flip */
	struct sl_service_stats past;		    /* of service ids that are free again */
};
void tables_count(const struct tables *tables, struct tables_counts *ret);

/*
 * Which service ids' counters are not in `past`, as an array by id, which the
 * caller frees. 0 is one: it counts what has no service. NULL without memory.
 */
bool *tables_used_services(const struct tables *tables, uint32_t *ret_n);

/* For lbctl: see docs/api.md. New references. */
json_t *tables_latency(const struct tables *tables); /* { "count", "p50Us", "p99Us", "maxUs" } */

/* `changed` is called on the loop when a map became nearly full, or is so no
 * more (pressure.h). */
void tables_on_pressure(struct tables *tables, void (*changed)(void *context), void *context);

/* [ { "name", "entries", "maxEntries", "nearlyFull" } ] of maps that can be full. */
json_t *tables_fill(const struct tables *tables);

/* See audit_describe(). */
json_t *tables_audit(const struct tables *tables);

/*
 * { "services", "servicePorts", "backends": what is programmed; "pending": what
 *   waits for a grace period; "failed": services whose last change could not
 *   be programmed }
 */
json_t *tables_status(const struct tables *tables);

/* { "sent", "unreachable" }, see idle_describe(). */
json_t *tables_idle(const struct tables *tables);
