/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The configuration of sluiced: one YAML file, every field also a flag.
 *
 * One table in config_table.c gives names, types, defaults, ranges and help; parser,
 * --help, --print-defaults, --check-config and docs/configuration.md come from
 * it. A field `apiServer` of the file is the flag --api-server.
 */

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/abi.h"
#include "common/ip.h"
#include "common/mem.h"

enum config_source { CONFIG_KUBE, CONFIG_MANIFESTS };
enum config_xdp { CONFIG_XDP_AUTO, CONFIG_XDP_OFF, CONFIG_XDP_ON };

/* Whose source addresses are replaced. */
enum config_masquerade {
	CONFIG_MASQUERADE_MINIMAL,    /* where answers would not come back else */
	CONFIG_MASQUERADE_COMPATIBLE, /* where kube-proxy does (S-133 ... S-137) */
};

/* How pod traffic is told from other (S-130). */
enum config_detect {
	CONFIG_DETECT_CLUSTER_CIDR,
	CONFIG_DETECT_NODE_CIDR,
	CONFIG_DETECT_BRIDGE,
	CONFIG_DETECT_PREFIX,
	CONFIG_DETECT_ROLE,
};

struct config_prefixes {
	struct ip_prefix *items;
	size_t n;
};

struct config_interface {
	char *name;
	enum sl_role role;
};

struct config {
	char *instance;	 /* "default"; [a-z0-9-]{1,32} */
	char *node_name; /* host name, trimmed and lower-cased (S-250) */
	enum config_source source;
	char *manifests;    /* folder */
	char *kubeconfig;   /* NULL: in-cluster */
	char *context;	    /* of the kubeconfig, NULL: its current one */
	char **api_servers; /* none: as the kubeconfig or environment says */
	size_t n_api_servers;
	char *bpffs;	 /* "/sys/fs/bpf" */
	char *run_dir;	 /* "/run/sluice": control socket and lock */
	char *log_level; /* "info" */
	enum config_xdp xdp;
	bool host_processes;		     /* serve the node's own: cgroup programs */
	struct config_interface *interfaces; /* roles that overrule what was found */
	size_t n_interfaces;
	/* CIDRs or "all" | "primary" | "localhost" (S-180); none: "all" */
	char **node_port_addresses;
	size_t n_node_port_addresses;
	uint16_t snat_first, snat_last; /* "snatPorts: 61000-65535" */
	enum config_masquerade masquerade;
	bool masquerade_set; /* by a flag or the file; else takeover.h decides */
	bool taken_over;     /* takeover.h: compatible for kube-proxy's sake */
	bool masquerade_all; /* S-132 */
	bool hand_back;	     /* new connections are kube-proxy's */
	uint8_t handover;    /* enum sl_handover; by handover.h */
	enum config_detect detect;
	struct config_prefixes cluster_cidrs; /* at most one of each family */
	char *bridge_interface;		      /* NULL or "": none */
	char *interface_name_prefix;	      /* NULL or "": none */
	struct config_prefixes service_cidrs; /* beside the ServiceCIDR objects (S-122) */
	bool source_ranges_everywhere;
	char *healthz_bind_address; /* "ADDRESS:PORT" (S-210); "": no server */
	char *metrics_bind_address; /* the same (S-217) */
	int32_t oom_score_adj;	    /* -1000 ... 1000 (S-254) */
	uint32_t audit_s;	    /* a round of the audit; 0: none */
	/* Table sizes. */
	uint32_t max_services, max_backends, max_frontends, max_maglev_slots;
	uint32_t max_policies, max_flows_new, max_flows, max_snat_ports;
	uint32_t max_affinity, max_sockets;
	uint32_t metrics_services; /* service ports with metrics of their own */
	/* Idle timeouts of flows, in seconds. */
	uint32_t timeout_tcp_new, timeout_tcp, timeout_tcp_closing, timeout_tcp_closed;
	uint32_t timeout_udp_new, timeout_udp;
	bool init_only; /* --init-only: load and pin, then exit (S-256) */
	bool cleanup;	/* --cleanup: remove pins and links, then exit (S-247) */
};

enum config_action {
	CONFIG_RUN,
	CONFIG_EXIT, /* --help, --version, --print-defaults, --check-config: done */
};

/*
 * Reads flags, and the file that --config names; flags win. Writes what
 * --help and the like ask for to stdout.
 *
 * Returns 0 and the configuration, which the caller frees (NULL with
 * CONFIG_EXIT), or -EINVAL with "file:line: field: what is wrong" in `error`.
 */
int config_load(int argc, char **argv, struct config **ret, enum config_action *ret_action,
		char error[512]);

/*
 * The configuration as /configz shows it, a new reference: the fields by their
 * names, in the file's form. Nothing secret is in it: files are named, and a
 * password in a URL is left out. NULL without memory.
 */
json_t *config_json(const struct config *config);

/* Takes NULL too. */
void config_free(struct config *config);
SL_DEFINE_AUTO(config)
