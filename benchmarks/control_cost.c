/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What the control plane costs with many Services: objects as the API server
 * writes them are parsed, stored, resolved and programmed into real maps, in
 * one process without a network. Prints times, memory and the maps' bytes.
 *
 *     control-cost [SERVICES [ENDPOINTS-EACH [CHANGES [FLAG-OF-SLUICED...]]]]
 *
 * Needs root and a bpffs at /sys/fs/bpf; removes what it pins there.
 */

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#include <uv.h>

#include "common/log.h"
#include "controlplane/checks.h"
#include "controlplane/config.h"
#include "controlplane/observe/view.h"
#include "controlplane/source/source.h"
#include "controlplane/sync.h"
#include "controlplane/tables/datapath.h"
#include "controlplane/tables/state.h"

struct bench {
	unsigned int services, endpoints, changes;
	uv_loop_t loop;
	struct config *config;
	struct node_own own;
	struct datapath *datapath;
	struct tables *tables;
	struct store *store;
	struct checks *checks;
	struct sync *sync;
	size_t bytes; /* of the objects' text */
};

static char text[65536];

static double cpu_s(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
	       (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static double now_s(void)
{
	return (double)uv_hrtime() / 1e9;
}

static double anon_mib(void)
{
	char line[128];
	long kb = 0;
	FILE *file = fopen("/proc/self/status", "re");

	while (file && fgets(line, sizeof(line), file))
		sscanf(line, "RssAnon: %ld", &kb);
	if (file)
		fclose(file);
	return (double)kb / 1024;
}

__attribute__((format(printf, 2, 3))) static size_t add(size_t at, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	at += (size_t)vsnprintf(text + at, sizeof(text) - at, format, args);
	va_end(args);
	return at;
}

#define MANAGED                                                                                    \
	"\"managedFields\":[{\"manager\":\"kube-controller-manager\",\"operation\":\"Update\","    \
	"\"apiVersion\":\"v1\",\"time\":\"2026-01-01T00:00:00Z\",\"fieldsType\":\"FieldsV1\","     \
	"\"fieldsV1\":{\"f:spec\":{\"f:ports\":{},\"f:selector\":{},\"f:type\":{}}}}]"

static size_t write_service(unsigned int i)
{
	return add(0,
		   "{\"apiVersion\":\"v1\",\"kind\":\"Service\",\"metadata\":{\"name\":\"app-%u\","
		   "\"namespace\":\"team-%u\",\"uid\":\"%08x-0000-4000-8000-000000000000\","
		   "\"resourceVersion\":\"%u\",\"creationTimestamp\":\"2026-01-01T00:00:00Z\","
		   "\"labels\":{\"app\":\"app-%u\"}," MANAGED "},\"spec\":{\"type\":\"ClusterIP\","
		   "\"clusterIP\":\"10.%u.%u.%u\",\"clusterIPs\":[\"10.%u.%u.%u\"],"
		   "\"ipFamilies\":[\"IPv4\"],\"ipFamilyPolicy\":\"SingleStack\","
		   "\"internalTrafficPolicy\":\"Cluster\",\"sessionAffinity\":\"None\","
		   "\"selector\":{\"app\":\"app-%u\"},\"ports\":[{\"name\":\"http\","
		   "\"protocol\":\"TCP\",\"port\":80,\"targetPort\":8080}]},"
		   "\"status\":{\"loadBalancer\":{}}}",
		   i, i % 100, i, i + 1, i, 96 + i / 65536, i / 256 % 256, i % 256, 96 + i / 65536,
		   i / 256 % 256, i % 256, i);
}

/* `version` moves the last endpoint to another address. */
static size_t write_slice(const struct bench *bench, unsigned int i, unsigned int version)
{
	size_t at = add(0,
			"{\"apiVersion\":\"discovery.k8s.io/v1\",\"kind\":\"EndpointSlice\","
			"\"metadata\":{\"name\":\"app-%u-abcde\",\"namespace\":\"team-%u\","
			"\"resourceVersion\":\"%u\",\"labels\":{\"kubernetes.io/service-name\":"
			"\"app-%u\"}," MANAGED "},\"addressType\":\"IPv4\",\"ports\":[{\"name\":"
			"\"http\",\"protocol\":\"TCP\",\"port\":8080}],\"endpoints\":[",
			i, i % 100, i + 1 + version, i);

	for (unsigned int e = 0; e < bench->endpoints; e++) {
		unsigned int pod = i * bench->endpoints + e;
		unsigned int net = 1 + (e + 1 == bench->endpoints ? version : 0);

		at = add(at,
			 "%s{\"addresses\":[\"%u.%u.%u.%u\"],\"conditions\":{\"ready\":true,"
			 "\"serving\":true,\"terminating\":false},\"nodeName\":\"node-%u\","
			 "\"targetRef\":{\"kind\":\"Pod\",\"namespace\":\"team-%u\","
			 "\"name\":\"app-%u-%08x\",\"uid\":\"%08x-0000-4000-8000-000000000001\"},"
			 "\"zone\":\"zone-%u\"}",
			 e ? "," : "", 20 + net, pod / 65536 % 256, pod / 256 % 256, pod % 256,
			 pod % 1000, i % 100, i, pod, pod, pod % 3);
	}
	return add(at, "]}");
}

static void put(struct bench *bench, size_t len)
{
	json_error_t error;
	json_t *object = json_loadb(text, len, 0, &error);

	if (!object) {
		fprintf(stderr, "control-cost: %s\n", error.text);
		exit(EXIT_FAILURE);
	}
	bench->bytes += len;
	source_apply(bench->store, object, false);
	json_decref(object);
}

/* Lets it do all that there is to do. */
static void go_on(struct bench *bench)
{
	sync_kick(bench->sync);
	while (sync_busy(bench->sync))
		uv_run(&bench->loop, UV_RUN_NOWAIT);
}

static int on_addresses(void *context)
{
	(void)context;
	return 0;
}

static void start(struct bench *bench, const char *root)
{
	char error[512];
	struct datapath_options o = {
		.root = root,
		.instance = "bench",
		.max_services = bench->config->max_services,
		.max_backends = bench->config->max_backends,
		.max_frontends = bench->config->max_frontends,
		.max_maglev_slots = bench->config->max_maglev_slots,
		.max_policies = bench->config->max_policies,
		.max_flows_new = bench->config->max_flows_new,
		.max_flows = bench->config->max_flows,
		.max_snat_ports = bench->config->max_snat_ports,
		.max_affinity = bench->config->max_affinity,
		.max_sockets = bench->config->max_sockets,
		.config = { .snat_first = 61000, .snat_count = 100 },
	};
	struct sync_options sync = {
		.loop = &bench->loop,
		.config = bench->config,
		.own = &bench->own,
		.addresses_changed = on_addresses,
	};
	struct checks_options checks = { .loop = &bench->loop, .config = bench->config };

	bench->store = sync.store = store_new();
	checks.store = bench->store;
	if (datapath_open(&o, &bench->datapath, error) ||
	    tables_new(&bench->loop, bench->datapath, &bench->tables, error)) {
		fprintf(stderr, "control-cost: %s\n", error);
		exit(EXIT_FAILURE);
	}
	checks_new(&checks, &bench->checks);
	sync.checks = bench->checks;
	sync.tables = bench->tables;
	bench->sync = sync_new(&sync);
}

static void program_all(struct bench *bench)
{
	double began = now_s(), cpu = cpu_s(), read;

	for (int kind = 0; kind < OBJECT_KIND_MAX; kind++) {
		store_list_begin(bench->store, kind);
		for (unsigned int i = 0; kind == OBJECT_SERVICE && i < bench->services; i++)
			put(bench, write_service(i));
		for (unsigned int i = 0; kind == OBJECT_SLICE && i < bench->services; i++)
			put(bench, write_slice(bench, i, 0));
		store_list_end(bench->store, kind);
	}
	read = now_s();
	printf("read             %8.3f s  (%.1f MB of JSON)\n", read - began,
	       (double)bench->bytes / 1e6);
	printf("  RssAnon        %8.1f MiB\n", anon_mib());
	go_on(bench);
	printf("programmed       %8.3f s  after %.3f s in all, CPU %.3f s\n", now_s() - read,
	       now_s() - began, cpu_s() - cpu);
	printf("  RssAnon        %8.1f MiB\n", anon_mib());
}

static int compare(const void *a_, const void *b_)
{
	double a = *(const double *)a_, b = *(const double *)b_;

	return a < b ? -1 : a > b;
}

static void change_some(struct bench *bench)
{
	double *took = calloc(bench->changes + 1, sizeof(*took)), cpu = cpu_s();
	unsigned int n = bench->changes;

	for (unsigned int i = 0; took && i < n; i++) {
		size_t len = write_slice(bench, (unsigned int)rand() % bench->services,
					 1 + i / bench->services);
		double began = now_s();

		put(bench, len);
		go_on(bench);
		took[i] = now_s() - began;
	}
	if (!took || !n)
		return;
	qsort(took, n, sizeof(*took), compare);
	printf("a change         p50 %.1f us, p99 %.1f us, max %.1f us; CPU of 100: %.2f ms\n",
	       took[n / 2] * 1e6, took[n * 99 / 100] * 1e6, took[n - 1] * 1e6,
	       (cpu_s() - cpu) / n * 1e5);
	free(took);
}

static void audit_all(struct bench *bench)
{
	double began = cpu_s(), longest = 0;
	unsigned int n = 0;
	bool over = false;

	for (; !over; n++) {
		double slice = cpu_s();

		over = audit_slice(bench->tables->audit);
		slice = cpu_s() - slice;
		longest = slice > longest ? slice : longest;
	}
	printf("audit            %8.3f s CPU a round of %u slices, the longest %.1f ms\n",
	       cpu_s() - began, n, longest * 1e3);
}

static void show_maps(struct bench *bench)
{
	struct view view = { .maps_folder = NULL };
	json_t *list, *item;
	json_int_t all = 0;
	char error[512];
	size_t i;

	for (int map = 0; map < DATAPATH_MAP_MAX; map++)
		view.fd[map] = datapath_map(bench->datapath, map);
	if (view_maps(&view, &list, error))
		return;
	json_array_foreach (json_object_get(list, "items"), i, item) {
		json_int_t bytes = json_integer_value(json_object_get(item, "bytes"));

		all += bytes;
		printf("  %-15s %8.1f MiB\n", json_string_value(json_object_get(item, "name")),
		       (double)bytes / 1048576);
	}
	printf("maps             %8.1f MiB\n", (double)all / 1048576);
	json_decref(list);
}

static void stop(struct bench *bench)
{
	double began = now_s();

	sync_free(bench->sync);
	checks_free(bench->checks);
	tables_free(bench->tables);
	uv_run(&bench->loop, UV_RUN_DEFAULT);
	store_free(bench->store);
	printf("freed            %8.3f s\n", now_s() - began);
	datapath_close(bench->datapath);
}

/* The defaults, and what the rest of the command line says. */
static void configure(struct bench *bench, int n, char **flags)
{
	char *argv[64] = { (char *)"sluiced", (char *)"--source=manifests", (char *)"--manifests=/",
			   (char *)"--node-name=node-1", (char *)"--healthz-bind-address=" };
	enum config_action action;
	char error[512];
	int argc = 5;

	for (int i = 0; i < n && argc < 63; i++)
		argv[argc++] = flags[i];
	if (config_load(argc, argv, &bench->config, &action, error) || !bench->config) {
		fprintf(stderr, "control-cost: %s\n", error);
		exit(EXIT_FAILURE);
	}
}

int main(int argc, char **argv)
{
	struct bench bench = {
		.services = argc > 1 ? (unsigned int)atoi(argv[1]) : 50000,
		.endpoints = argc > 2 ? (unsigned int)atoi(argv[2]) : 5,
		.changes = argc > 3 ? (unsigned int)atoi(argv[3]) : 2000,
	};
	char root[64];

	configure(&bench, argc - 4, argv + 4);
	snprintf(root, sizeof(root), "/sys/fs/bpf/control-cost-%d", getpid());
	printf("%u Services, %u endpoints each\n", bench.services, bench.endpoints);
	uv_loop_init(&bench.loop);
	start(&bench, root);
	printf("started\n  RssAnon        %8.1f MiB\n", anon_mib());
	program_all(&bench);
	change_some(&bench);
	audit_all(&bench);
	show_maps(&bench);
	stop(&bench);
	datapath_remove(root, "bench");
	rmdir(root);
	config_free(bench.config);
	return EXIT_SUCCESS;
}
