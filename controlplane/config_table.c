/* SPDX-License-Identifier: Apache-2.0 */

#include "controlplane/config_table.h"

#include <stddef.h>

#include "controlplane/config_set.h"

static const char *const sources[] = { "kube", "manifests", NULL };
static const char *const levels[] = { "error", "warn", "info", "debug", NULL };
static const char *const xdp_modes[] = { "auto", "off", "on", NULL };
static const char *const booleans[] = { "false", "true", NULL };
static const char *const masquerades[] = {
	[CONFIG_MASQUERADE_MINIMAL] = "minimal",
	[CONFIG_MASQUERADE_COMPATIBLE] = "compatible",
	NULL,
};
static const char *const detectors[] = {
	[CONFIG_DETECT_CLUSTER_CIDR] = "clusterCIDR",
	[CONFIG_DETECT_NODE_CIDR] = "nodeCIDR",
	[CONFIG_DETECT_BRIDGE] = "bridgeInterface",
	[CONFIG_DETECT_PREFIX] = "interfaceNamePrefix",
	[CONFIG_DETECT_ROLE] = "interfaceRole",
	NULL,
};

/* clang-format off */
#define AT(member_) .offset = offsetof(struct config, member_)
#define COUNT(name_, member_, fallback_, min_, max_, help_)                                        \
	.name = name_, .value = "N", .fallback = fallback_, .min = min_, .max = max_,              \
	.set = config_set_number, AT(member_), .help = help_
#define SECONDS(name_, member_, fallback_, max_, help_)                                            \
	.name = name_, .value = "SECONDS", .fallback = fallback_, .min = 1, .max = max_,           \
	.set = config_set_number, AT(member_), .help = help_

const struct config_field config_fields[] = {
	{ .heading = "Who and where",
	  .name = "instance", .letter = "-i", .value = "NAME", .fallback = "default",
	  .set = config_set_instance, AT(instance),
	  .help = "Everything a daemon owns (pins, lock, control socket) carries this name, so that "
		  "several can run on one machine, each in a network namespace of its own." },
	{ .name = "nodeName", .value = "NAME",
	  .set = config_set_node_name, AT(node_name),
	  .help = "Name of this node as endpoints and the Node object have it. Default: the host "
		  "name. It is trimmed and lower-cased." },
	{ .name = "bpffs", .value = "FOLDER", .fallback = "/sys/fs/bpf",
	  .set = config_set_path, AT(bpffs),
	  .help = "Where a BPF file system is mounted; maps, programs and links are pinned in "
		  "sluice/INSTANCE below it." },
	{ .name = "runDir", .value = "FOLDER", .fallback = "/run/sluice",
	  .set = config_set_path, AT(run_dir),
	  .help = "Where the control socket and the lock are." },
	{ .name = "logLevel", .value = "LEVEL", .fallback = "info",
	  .set = config_set_word, AT(log_level), .choices = levels,
	  .help = "Messages above this level are not written." },

	{ .heading = "Where Services come from",
	  .name = "source", .value = "SOURCE", .fallback = "kube",
	  .set = config_set_choice, AT(source), .choices = sources,
	  .help = "An API server (kube) or a folder of Kubernetes YAML and JSON (manifests)." },
	{ .name = "manifests", .value = "FOLDER",
	  .set = config_set_text_field, AT(manifests),
	  .help = "The folder for source manifests: Services, EndpointSlices and this Node in *.yaml, "
		  "*.yml and *.json. Changes are followed." },
	{ .name = "kubeconfig", .value = "FILE",
	  .set = config_set_text_field, AT(kubeconfig),
	  .help = "The kubeconfig for source kube. Default: the service account of the pod." },
	{ .name = "context", .value = "NAME",
	  .set = config_set_text_field, AT(context),
	  .help = "The context of the kubeconfig. Default: its current-context." },
	{ .name = "apiServer", .value = "URL", .list = true,
	  .set = config_set_api_servers, AT(api_servers),
	  .help = "Addresses of API servers, instead of the one that the kubeconfig or the pod's "
		  "environment names; CA, tls-server-name and credentials stay. Of several each is used "
		  "until it fails, then the next. In a pod the environment's address is a cluster "
		  "IP, which needs a working service proxy first: give this." },

	{ .heading = "Interfaces and addresses",
	  .name = "interfaces", .value = "NAME=ROLE", .list = true, .pairs = true,
	  .set = config_set_interfaces, AT(interfaces),
	  .help = "Roles that overrule what was found out about an interface: none, pod, uplink or "
		  "tunnel." },
	{ .name = "xdp", .value = "MODE", .fallback = "auto",
	  .set = config_set_choice, AT(xdp), .choices = xdp_modes,
	  .help = "XDP on uplinks whose driver has it natively (auto), on every uplink, also a veth "
		  "(on), or nowhere (off); TC does the rest." },
	{ .name = "hostProcesses", .value = "BOOL", .fallback = "true",
	  .set = config_set_flag, AT(host_processes), .choices = booleans,
	  .help = "Let processes in the node's own network namespace reach Services, by programs at "
		  "the root of the cgroup v2 hierarchy." },
	{ .name = "nodePortAddresses", .value = "NETWORK", .fallback = "all", .list = true,
	  .set = config_set_networks, AT(node_port_addresses),
	  .help = "Addresses of this node that node ports answer on: prefixes, primary (the node's "
		  "first address of each family), localhost or all. Loopback addresses never do, so "
		  "localhost alone means none." },
	{ .name = "snatPorts", .value = "FIRST-LAST", .fallback = "61000-65535", .min = 1024, .max = 65535,
	  .set = config_set_ports, AT(snat_first),
	  .help = "Source ports for translated sources. Nothing else on the node may use them: keep "
		  "them apart from net.ipv4.ip_local_port_range and the node ports." },

	{ .heading = "Sources, and who is a pod",
	  .name = "masquerade", .value = "MODE",
	  .set = config_set_masquerade, AT(masquerade), .choices = masquerades,
	  .help = "Whose source address becomes the node's. minimal: only where answers would not "
		  "come back else; clients' addresses stay visible. compatible: wherever kube-proxy "
		  "does it. Default: compatible where kube-proxy's rules are in this network namespace "
		  "when the first run starts, and so in all runs that adopt its pinned maps; else "
		  "minimal." },
	{ .name = "masqueradeAll", .value = "BOOL", .fallback = "false",
	  .set = config_set_flag, AT(masquerade_all), .choices = booleans,
	  .help = "Every connection to a cluster IP gets the node's address, pods' too. Needs "
		  "masquerade: compatible." },
	{ .name = "handBack", .value = "BOOL", .fallback = "false",
	  .set = config_set_flag, AT(hand_back), .choices = booleans,
	  .help = "Opens no connection any more, but goes on translating those that are open: new "
		  "ones are kube-proxy's, which must run and have its rules in place. For the way "
		  "back to it." },
	{ .name = "detectLocalMode", .value = "MODE", .fallback = "interfaceRole",
	  .set = config_set_choice, AT(detect), .choices = detectors,
	  .help = "How pod traffic is told from other, which decides about masquerade and who may "
		  "take the short cut to endpoints on other nodes despite externalTrafficPolicy "
		  "Local. By source address: in clusterCIDR, or in this Node's spec.podCIDRs "
		  "(nodeCIDR); a family without a prefix has no pod traffic. By the interface that a "
		  "packet comes in at: a port of bridgeInterface or the bridge, a name that begins "
		  "with interfaceNamePrefix, or one whose role is pod (interfaceRole)." },
	{ .name = "clusterCIDR", .value = "NETWORK", .list = true,
	  .set = config_set_cluster_cidrs, AT(cluster_cidrs),
	  .help = "The pods' addresses for detectLocalMode clusterCIDR, one prefix of each family." },
	{ .name = "bridgeInterface", .value = "NAME",
	  .set = config_set_interface, AT(bridge_interface),
	  .help = "The pods' bridge for detectLocalMode bridgeInterface." },
	{ .name = "interfaceNamePrefix", .value = "TEXT",
	  .set = config_set_interface, AT(interface_name_prefix),
	  .help = "How names of pods' interfaces begin, for detectLocalMode interfaceNamePrefix." },
	{ .name = "serviceCIDRs", .value = "NETWORK", .list = true,
	  .set = config_set_service_cidrs, AT(service_cidrs),
	  .help = "Prefixes of cluster IPs, beside those of the ServiceCIDR objects, up to 4 of each "
		  "family. Packets to an address in them that no Service has are dropped." },
	{ .name = "sourceRangesEverywhere", .value = "BOOL", .fallback = "false",
	  .set = config_set_flag, AT(source_ranges_everywhere), .choices = booleans,
	  .help = "loadBalancerSourceRanges hold for a Service's node ports and external IPs, too; "
		  "kube-proxy applies them to load balancer addresses only." },

	{ .heading = "Health and metrics",
	  .name = "healthzBindAddress", .value = "ADDRESS:PORT", .fallback = "0.0.0.0:10256",
	  .set = config_set_bind, AT(healthz_bind_address),
	  .help = "Where /healthz and /livez are served; the port may be left out. An empty text, \"\": nowhere." },
	{ .name = "metricsBindAddress", .value = "ADDRESS:PORT", .fallback = "127.0.0.1:10249",
	  .set = config_set_metrics_bind, AT(metrics_bind_address),
	  .help = "Where /metrics, /healthz, /proxyMode and /configz are served, to whoever can reach it; the port may "
		  "be left out. An empty text, \"\": nowhere." },
	{ COUNT("metricsServices", metrics_services, "1000", 0, 1048576,
		        "So many service ports have metrics of their own, the first that were programmed; a service "
		        "port has 5, and one for each reason of its losses. 0: none.") },
	{ .heading = "The process",
	  .name = "oomScoreAdj", .value = "N", .fallback = "-999",
	  .set = config_set_oom_score, AT(oom_score_adj),
	  .help = "How soon the kernel ends this process when memory runs out, -1000 (never) to 1000. What can't be "
		  "set is told and has no other effect." },

	{ .heading = "Audit",
	  .name = "auditInterval", .value = "SECONDS", .fallback = "300", .min = 0, .max = 86400,
	  .set = config_set_number, AT(audit_s),
	  .help = "In this time all tables are compared once with what was written to them, a bit at a "
		  "time, and what differs is repaired. 0: never." },

	{ .heading = "Table sizes",
	  COUNT("maxServices", max_services, "65536", 16, 1048576,
		        "Service ports, each family counted.") },
	{ COUNT("maxFrontends", max_frontends, "131072", 16, 4194304,
		        "Addresses and ports of Services, in each family; a cluster IP takes one more.") },
	{ COUNT("maxBackends", max_backends, "262144", 16, 4194304,
		        "Endpoints, counted once for every service port that has them.") },
	{ COUNT("maxMaglevSlots", max_maglev_slots, "29360128", 1024, 268435456,
		        "Slots of all Maglev tables together, 4 bytes each. A service port of N backends takes "
		        "100 x N, rounded up to a power of two of 256 or more, during an update twice; one of a "
		        "single backend takes none.") },
	{ COUNT("maxPolicies", max_policies, "65536", 16, 4194304,
		        "Source ranges (loadBalancerSourceRanges), in each family.") },
	{ COUNT("maxFlowsNew", max_flows_new, "131072", 1024, 16777216,
		        "Flows without an answer yet, in each family; a flow takes two entries.") },
	{ COUNT("maxFlows", max_flows, "524288", 1024, 134217728,
		        "Established flows, in each family; a flow takes two entries. The oldest make room.") },
	{ COUNT("maxSnatPorts", max_snat_ports, "131072", 1024, 16777216,
		        "Translated sources in use, in each family.") },
	{ COUNT("maxAffinity", max_affinity, "65536", 1024, 16777216,
		        "Clients of Services with ClientIP affinity, in each family.") },
	{ COUNT("maxSockets", max_sockets, "65536", 1024, 16777216,
		        "Connections of the node's own processes to Services.") },

	{ .heading = "Idle timeouts of flows",
	  SECONDS("timeoutTcpNew", timeout_tcp_new, "60", 3600,
		  "TCP before the handshake is complete.") },
	{ SECONDS("timeoutTcp", timeout_tcp, "86400", 2592000,
		  "Established TCP.") },
	{ SECONDS("timeoutTcpClosing", timeout_tcp_closing, "120", 86400,
		  "TCP after a FIN in both directions.") },
	{ SECONDS("timeoutTcpClosed", timeout_tcp_closed, "10", 86400,
		  "TCP after a reset.") },
	{ SECONDS("timeoutUdpNew", timeout_udp_new, "30", 86400,
		  "UDP and SCTP without an answer yet.") },
	{ SECONDS("timeoutUdp", timeout_udp, "120", 2592000,
		  "UDP and SCTP that were answered.") },
};

const size_t config_n_fields = SL_COUNT(config_fields);

const struct config_option config_options[OPTION_MAX] = {
	[OPTION_CONFIG] = { "--config", "-c", "FILE", "Read this file; flags win over it." },
	[OPTION_CHECK] = { "--check-config", NULL, NULL,
			   "Say whether file and flags are valid, then exit." },
	[OPTION_DEFAULTS] = { "--print-defaults", NULL, NULL,
			      "Write a file of all fields and their defaults, then exit." },
	[OPTION_DOCS] = { "--print-config-docs", NULL, NULL, NULL },
	[OPTION_INIT] = { "--init-only", NULL, NULL,
			  "Load the programs, make and pin the maps, then exit; attach nothing." },
	[OPTION_CLEANUP] = { "--cleanup", NULL, NULL,
			     "Remove the instance's pins and links, then exit." },
	[OPTION_VERSION] = { "--version", "-V", NULL, "Write the version, then exit." },
	[OPTION_HELP] = { "--help", "-h", NULL, "Write this text, then exit." },
};
/* clang-format on */
