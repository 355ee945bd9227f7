/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What the first packet of a connection meets, and why: a pure function of
 * resolved services and what the node is. It decides as the datapath does, by
 * the same resolve() output that the map writer programs, so it also tells
 * whether the loaded programs do what they should (live.h).
 *
 * Source: the rules S-110 ... S-136 and S-180 ... S-184 of docs/semantics.md.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/abi.h"
#include "controlplane/resolve/resolve.h"
#include "controlplane/tables/tables.h"

/* What pointers lead to stays the caller's and outlives the decision. */
struct decide_world {
	/* Those that the packet could be for; others do no harm. */
	struct resolved *const *services;
	size_t n_services;
	const struct tables_address *addresses; /* of this node, but loopback */
	size_t n_addresses;
	struct sl_node node; /* detectors, ServiceCIDRs, `compatible` */
	/* Who is known to hold a frontend that several want; NULL: the first. */
	const struct sl_identity *prefer;
};

struct decide_packet {
	struct sl_addr saddr, daddr;
	__be16 sport; /* 0: not known */
	__be16 dport;
	uint8_t proto;	   /* IPPROTO_TCP, _UDP or _SCTP */
	uint8_t family;	   /* 4 or 6 */
	bool local;	   /* from a process of this node */
	bool pod_traffic;  /* sl_iface.pod_traffic of where it comes in */
	uint8_t role;	   /* enum sl_role of where it comes in */
	const char *iface; /* its name; NULL: not known, which is not "none" */
};

/* A backend that the packet may go to. */
struct decide_endpoint {
	const struct resolved_backend *backend;
	bool masquerade; /* its path or S-136 asks for it */
	bool snat;	 /* as sluice does: with `masquerade: minimal` less often */
	bool hairpin;	 /* it is the client itself (S-136) */
};

/* A reason: rules, comma-separated, "" where none is meant; and a sentence. */
struct decide_step {
	char rules[40];
	char text[320];
};

#define DECIDE_STEPS_MAX 12
#define DECIDE_UNKNOWN	 SIZE_MAX

struct decision {
	/* SL_NEXT: goes to an endpoint; SL_LEAVE: passes, untouched; or a loss. */
	enum sl_verdict verdict;
	const struct resolved *service; /* whose address it is; NULL: nobody's */
	const struct resolved_port *port;
	const struct resolved_frontend *frontend; /* NULL: the address, not the port */
	size_t rivals;	/* other service ports that want the same frontend */
	bool pod;	/* pod traffic (S-130) */
	bool has_path;	/* `path` and `choice` are set */
	uint8_t path;	/* enum sl_path */
	uint8_t choice; /* of the path, with SL_MASQUERADE */
	bool has_affinity;
	struct decide_endpoint *endpoints; /* sorted as in `port` */
	size_t n_endpoints;
	size_t pick;   /* what the hash picks: index, or DECIDE_UNKNOWN */
	size_t chosen; /* the same, unless affinity decides */
	struct decide_step steps[DECIDE_STEPS_MAX]; /* in the order of deciding */
	size_t n_steps;
};

/* Returns 0 and the decision, to be ended by decision_done(), or -ENOMEM. */
int decide(const struct decide_world *world, const struct decide_packet *packet,
	   struct decision *ret);

void decision_done(struct decision *decision);

/* Whether kube-proxy's local detector would call it pod traffic (S-130). */
bool decide_is_pod(const struct decide_world *world, const struct decide_packet *packet);

/* "cluster IP" and so on, as part of a sentence. */
const char *decide_kind_text(uint8_t kind);

/* "default/web:http", without the port if it has no name. Returns `text`. */
#define DECIDE_NAME_MAX 200
const char *decide_name(const struct resolved *service, const struct resolved_port *port,
			char text[DECIDE_NAME_MAX]);
