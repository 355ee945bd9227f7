/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Every metric that /metrics can have: name, type, labels (comma-separated) and
 * help. docs/metrics.md has the same list, which a test compares.
 *
 * Metrics that kube-proxy has too keep its names, types and labels
 * (S-230 ... S-236); what is ours begins with sluice_.
 */

/* clang-format off */
#define METRICS(X)                                                                                 \
	X(SYNC_DURATION, "kubeproxy_sync_proxy_rules_duration_seconds", HISTOGRAM, "ip_family",    \
	  "How long a programming run took: from its first changed Service until all are "        \
	  "programmed. A run serves both families.")                                               \
	X(SYNC_FULL_DURATION, "kubeproxy_sync_full_proxy_rules_duration_seconds", HISTOGRAM,       \
	  "ip_family",                                                                             \
	  "The same, of runs over all Services: the first, and those after a change of the node.") \
	X(SYNC_PARTIAL_DURATION, "kubeproxy_sync_partial_proxy_rules_duration_seconds", HISTOGRAM, \
	  "ip_family", "The same, of runs over Services that changed, or failed and are retried.") \
	X(NETWORK_PROGRAMMING, "kubeproxy_network_programming_duration_seconds", HISTOGRAM,        \
	  "ip_family",                                                                             \
	  "From a change of a Pod or Service, as its EndpointSlice's annotation has it, to the "   \
	  "end of the programming run.")                                                           \
	X(SYNC_LAST, "kubeproxy_sync_proxy_rules_last_timestamp_seconds", GAUGE, "ip_family",      \
	  "When the last programming run without a failed Service ended. 0: never.")               \
	X(SYNC_LAST_QUEUED, "kubeproxy_sync_proxy_rules_last_queued_timestamp_seconds", GAUGE,     \
	  "ip_family", "When a programming run was last asked for. 0: never.")                     \
	X(ENDPOINT_CHANGES_PENDING, "kubeproxy_sync_proxy_rules_endpoint_changes_pending", GAUGE,  \
	  "", "Changes of EndpointSlices that wait for a programming run.")                        \
	X(ENDPOINT_CHANGES, "kubeproxy_sync_proxy_rules_endpoint_changes_total", COUNTER, "",      \
	  "EndpointSlices that came, changed or went.")                                            \
	X(SERVICE_CHANGES_PENDING, "kubeproxy_sync_proxy_rules_service_changes_pending", GAUGE,    \
	  "", "Services whose change waits for a programming run.")                                \
	X(SERVICE_CHANGES, "kubeproxy_sync_proxy_rules_service_changes_total", COUNTER, "",        \
	  "Services that came, changed or went.")                                                  \
	X(NO_LOCAL_ENDPOINTS, "kubeproxy_sync_proxy_rules_no_local_endpoints_total", GAUGE,        \
	  "ip_family,traffic_policy",                                                              \
	  "Service ports with a Local traffic policy that have endpoints, but none on this node.") \
	X(PROXY_HEALTHZ, "kubeproxy_proxy_healthz_total", COUNTER, "code",                         \
	  "Answers of /healthz at healthzBindAddress.")                                            \
	X(PROXY_LIVEZ, "kubeproxy_proxy_livez_total", COUNTER, "code",                             \
	  "Answers of /livez at healthzBindAddress.")                                              \
	X(REST_REQUESTS, "rest_client_requests_total", COUNTER, "code,host,method",                \
	  "Requests to the API server by the answer's status; <error>: none came.")                \
	X(CPU_SECONDS, "process_cpu_seconds_total", COUNTER, "",                                   \
	  "User and system CPU time of this process.")                                             \
	X(RESIDENT_BYTES, "process_resident_memory_bytes", GAUGE, "",                              \
	  "Resident memory of this process.")                                                      \
	X(VIRTUAL_BYTES, "process_virtual_memory_bytes", GAUGE, "",                                \
	  "Virtual memory of this process.")                                                       \
	X(OPEN_FDS, "process_open_fds", GAUGE, "", "Open file descriptors.")                       \
	X(MAX_FDS, "process_max_fds", GAUGE, "", "File descriptors that may be open.")             \
	X(START_TIME, "process_start_time_seconds", GAUGE, "", "When this process started.")       \
	X(BUILD_INFO, "sluice_build_info", GAUGE, "version,layout",                                \
	  "1, and what runs: its version and the layout of its pinned maps.")                      \
	X(SERVICES, "sluice_services", GAUGE, "", "Services that are programmed.")                 \
	X(SERVICE_PORTS, "sluice_service_ports", GAUGE, "",                                        \
	  "Service ports that are programmed, each family counted.")                               \
	X(BACKENDS, "sluice_backends", GAUGE, "",                                                  \
	  "Endpoints that are programmed, counted once for every service port.")                   \
	X(SERVICES_FAILED, "sluice_services_failed", GAUGE, "",                                    \
	  "Services that are not as they should be, because programming them failed.")             \
	X(GRACE_PENDING, "sluice_grace_pending", GAUGE, "",                                        \
	  "What was replaced in the maps and waits until no packet can see it.")                   \
	X(SYNC_FAILURES, "sluice_sync_failures_total", COUNTER, "",                                \
	  "Programming runs that ended with a failed Service.")                                    \
	X(CHANGE_DURATION, "sluice_change_duration_seconds", HISTOGRAM, "",                        \
	  "From the receipt of a Service's change to the store that makes packets follow it.")     \
	X(SOURCE_CONNECTED, "sluice_source_connected", GAUGE, "source",                            \
	  "1: every watch of the API server is open, or the folder of manifests can be read.")     \
	X(SOURCE_LISTED, "sluice_source_listed", GAUGE, "kind",                                    \
	  "1: a complete list of the kind has come.")                                              \
	X(SOURCE_LISTS, "sluice_source_lists_total", COUNTER, "kind", "Complete lists that came.") \
	X(SOURCE_EVENTS, "sluice_source_events_total", COUNTER, "kind",                            \
	  "Events of watches that came; changed objects of manifests.")                            \
	X(ATTACH_HOOKS, "sluice_attach_hooks", GAUGE, "role,hook,state",                           \
	  "Hooks by the role of their interface and their state; role host: the cgroup's.")        \
	X(MAP_ENTRIES, "sluice_map_entries", GAUGE, "map",                                         \
	  "Entries in use; of flow tables this includes what has timed out.")                      \
	X(MAP_MAX_ENTRIES, "sluice_map_max_entries", GAUGE, "map", "Entries there is room for.")   \
	X(MAP_BYTES, "sluice_map_bytes", GAUGE, "map", "Memory that the map takes.")               \
	X(CONNECTIONS, "sluice_connections_total", COUNTER, "",                                    \
	  "Flows that were opened, over all Services, since this process started.")                \
	X(PACKETS, "sluice_packets_total", COUNTER, "direction",                                   \
	  "Translated packets, over all Services, since this process started. request: to "        \
	  "endpoints; answer: back.")                                                              \
	X(BYTES, "sluice_bytes_total", COUNTER, "direction",                                       \
	  "Their bytes from the IP header on.")                                                    \
	X(LOSSES, "sluice_losses_total", COUNTER, "reason",                                        \
	  "Packets rejected, dropped or reset, by reason, over all Services and what belongs to "  \
	  "none, since this process started.")                                                     \
	X(SERVICE_CONNECTIONS, "sluice_service_connections_total", COUNTER,                        \
	  "service_namespace,service_name,port_name,protocol,ip_family",                                             \
	  "Flows that were opened, since the service port was programmed.")                        \
	X(SERVICE_PACKETS, "sluice_service_packets_total", COUNTER,                                \
	  "service_namespace,service_name,port_name,protocol,ip_family,direction",                                   \
	  "Translated packets, since the service port was programmed.")                            \
	X(SERVICE_BYTES, "sluice_service_bytes_total", COUNTER,                                    \
	  "service_namespace,service_name,port_name,protocol,ip_family,direction",                                   \
	  "Their bytes from the IP header on.")                                                    \
	X(SERVICE_LOSSES, "sluice_service_losses_total", COUNTER,                                  \
	  "service_namespace,service_name,port_name,protocol,ip_family,reason",                                      \
	  "Packets rejected, dropped or reset; only reasons that were met.")                       \
	X(SERVICES_LEFT_OUT, "sluice_metrics_service_ports_left_out", GAUGE, "",                   \
	  "Service ports without metrics of their own, because metricsServices has no room.")
/* clang-format on */

enum metric_type { METRIC_COUNTER, METRIC_GAUGE, METRIC_HISTOGRAM };

enum metric {
#define X(id, name, type, labels, help) METRIC_##id,
	METRICS(X)
#undef X
		METRIC_MAX,
};

struct metric_entry {
	const char *name;
	enum metric_type type;
	const char *labels; /* "" for none */
	const char *help;
};

extern const struct metric_entry metric_catalog[METRIC_MAX];

/* "counter", ... */
const char *metric_type_name(enum metric_type type);
