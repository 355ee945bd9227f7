/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Which masquerade a start takes where the configuration names none.
 *
 * Whoever replaces kube-proxy has policies and firewalls that may rely on the
 * node's address, so such a start is compatible, and stays so over restarts,
 * when kube-proxy's rules are long gone. What was configured ends with its flag.
 */

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "controlplane/config.h"
#include "controlplane/tables/datapath.h"

enum takeover_why {
	TAKEOVER_CONFIGURED, /* by a flag or the file */
	TAKEOVER_ADOPTED,    /* what the run before had, and was not told */
	TAKEOVER_KUBE_PROXY, /* its rules are in this network namespace */
	TAKEOVER_DEFAULT,
};

struct takeover {
	enum config_masquerade mode;
	enum takeover_why why;
	char found[128]; /* with TAKEOVER_KUBE_PROXY: the first that was found */
};

struct takeover_facts {
	const enum config_masquerade *configured; /* NULL: not set */
	const struct sl_node *adopted;		  /* the pinned entry, or NULL for new maps */
	const char *kube_proxy;			  /* what of its rules was found, or NULL */
};

/* Pure. An adopted entry that was never written says nothing. */
struct takeover takeover_decide(const struct takeover_facts *facts);

/* Whether it is compatible for kube-proxy's sake, which the next run is to keep. Pure. */
bool takeover_is_kept(const struct takeover *takeover);

/* Gathers the facts, decides, writes a line to the log, and sets both in `config`. */
void takeover_start(struct config *config, const struct datapath *datapath, struct takeover *ret);

/* For Status, a new reference: { "mode", "why" }. */
json_t *takeover_describe(const struct takeover *takeover);

/*
 * Whether kube-proxy's rules are in this network namespace, in nftables or in
 * the old iptables' tables; what was found is named in `ret`. Asks the kernel,
 * loads no module and runs no program. Returns 1, 0, or -errno if the kernel
 * refused an answer that could have said otherwise.
 */
int takeover_find_kube_proxy(char ret[128]);

/* Whether a chain is kube-proxy's, as nftables name it. Pure. */
bool takeover_is_kube_proxy(const char *table, const char *chain);

/*
 * Whether the old iptables' table is in this network namespace: `names` is
 * /proc/thread-self/net/ip_tables_names or its like. To ask the kernel for a
 * table that is not there would make it.
 */
bool takeover_has_table(const char *names, const char *table);
