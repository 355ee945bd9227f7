/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The sentences of a decision, for somebody who is woken at three in the
 * morning. Private to explain/.
 */

#include "controlplane/explain/decide.h"

/* What the decision is about and has come to so far. */
struct reason {
	const struct decide_world *world;
	const struct decide_packet *packet;
	struct decision *decision;
};

/* Each adds the steps of its stage. */
void reason_unseen(const struct reason *r);
void reason_frontend(const struct reason *r);
void reason_cluster_address(const struct reason *r);
void reason_unallocated(const struct reason *r, const struct ip_prefix *range);
/* `known`: the destination is a frontend's address, with other ports. */
void reason_pass(const struct reason *r, const struct tables_address *own,
		 const struct resolved_frontend *known);
void reason_sources(const struct reason *r, bool allowed);
void reason_source_kind(const struct reason *r, bool from_node);
void reason_path(const struct reason *r);
void reason_endpoints(const struct reason *r);
void reason_masquerade(const struct reason *r);

/* decide.c */

/* The effective policies, by what resolve() made of them. */
bool decide_internal_local(const struct resolved_port *port);
bool decide_external_local(const struct resolved_port *port);

/* Whether loadBalancerSourceRanges hold for frontends of this kind (S-054). */
bool decide_ranges_hold(const struct resolved_port *port, uint8_t kind);

/* The address if it is this node's, or NULL. */
const struct tables_address *decide_own(const struct decide_world *world,
					const struct sl_addr *addr, uint8_t family);
