/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The node's interfaces: found and followed by netlink (inventory.h), judged
 * by kind and routes (role.h), and our programs attached to them (link.h).
 * Links are pinned, so programs stay when the daemon goes.
 */

#include <jansson.h>
#include <stdbool.h>
#include <uv.h>

#include "common/abi.h"
#include "common/mem.h"

struct attach;

/* What the configuration says about an interface, by exact name. */
struct attach_override {
	const char *name;
	enum sl_role role;
};

enum attach_xdp {
	ATTACH_XDP_AUTO, /* uplinks whose driver has native XDP; never a veth */
	ATTACH_XDP_OFF,
	ATTACH_XDP_ON, /* every uplink, also a veth */
};

/* At which interfaces pod traffic comes in (S-130), by any of: */
struct attach_detect {
	const char *bridge; /* this bridge and its ports; NULL: none */
	const char *prefix; /* names that begin so; NULL: none */
	bool role;	    /* role pod */
};

/* What pointers lead to stays the caller's and must outlive the attach. */
struct attach_options {
	uv_loop_t *loop;
	int ingress, egress, xdp; /* program descriptors */
	const char *links;	  /* folder in a bpffs to pin links in */
	const struct attach_override *overrides;
	size_t n_overrides;
	enum attach_xdp xdp_mode;
	struct attach_detect detect;
	bool no_tcx; /* clsact filters even where the kernel has TCX */
	/* Called when the interfaces or addresses below changed. */
	void (*changed)(void *context);
	void *context;
};

/*
 * Takes over the links that are pinned, reads the interfaces and attaches;
 * then follows changes. `changed` is called for the first time before this
 * returns, with `*ret` already written. An interface that a program can't be
 * attached to is no error: attach_describe() says why.
 *
 * Works in the network namespace of the calling thread. Returns 0, or -errno
 * with the reason in `error`.
 */
int attach_new(const struct attach_options *options, struct attach **ret, char error[512]);

/* Stops following; programs stay attached. The loop has to run once more to
 * close its handles. Takes NULL too. */
void attach_free(struct attach *attach);
SL_DEFINE_AUTO(attach)

/* Calls `each` for every interface with a role other than SL_ROLE_NONE, and for
 * bridges, whose addresses are the source of what leaves by them (S-137). */
void attach_each_iface(const struct attach *attach,
		       void (*each)(void *context, uint32_t ifindex, const struct sl_iface *iface),
		       void *context);

/* Whether an interface is among them. */
bool attach_has_iface(const struct attach *attach, uint32_t ifindex);

/* The addresses that SNAT uses at interfaces without one: role and all else 0. */
struct sl_iface attach_node(const struct attach *attach);

/* Calls `each` for every address of this node, loopback's left out (S-182). */
void attach_each_address(const struct attach *attach,
			 void (*each)(void *context, const struct sl_addr *addr, uint8_t family),
			 void *context);

/*
 * For lbctl attach, a new reference: an array of
 *   { "ifindex": n, "name": "eth0", "kind": "veth", "role": "uplink",
 *     "why": "carries the default route", "podTraffic": false, "mtu": n,
 *     "addresses": [ "..." ],
 *     "hooks": [ { "hook": "tcx/ingress" | "tcx/egress" | "tc/ingress" | "tc/egress" | "xdp",
 *                  "state": "attached" | "failed" | "skipped", "why": "..." } ] }
 * sorted by ifindex; interfaces with role "none" are there too, with a why.
 * `kind` is rtnetlink's, "" for hardware; an attached hook's `why` is "".
 */
json_t *attach_describe(const struct attach *attach);

/*
 * Detaches our programs from every interface of this network namespace: the
 * links pinned in the folder, and the clsact filters, which have no pins. For
 * --cleanup; no daemon of the instance may be running. Returns 0, also when
 * nothing was there, or -errno of the first filter that stayed.
 */
int attach_remove(const char *links);
