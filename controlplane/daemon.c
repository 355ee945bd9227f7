/* SPDX-License-Identifier: Apache-2.0 */

#include "controlplane/daemon.h"

#include <errno.h>
#include <limits.h>
#include <malloc.h>
#include <net/if.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <uv.h>

#include "common/log.h"
#include "controlplane/attach/attach.h"
#include "controlplane/attach/cgroup.h"
#include "controlplane/checks.h"
#include "controlplane/explain/live.h"
#include "controlplane/handover.h"
#include "controlplane/host.h"
#include "controlplane/lock.h"
#include "controlplane/node_facts.h"
#include "controlplane/node_ports.h"
#include "controlplane/notices.h"
#include "controlplane/oom.h"
#include "controlplane/observe/control.h"
#include "controlplane/observe/view.h"
#include "controlplane/scrape/scrape.h"
#include "controlplane/source/source.h"
#include "controlplane/store/store.h"
#include "controlplane/sync.h"
#include "controlplane/tables/datapath.h"
#include "controlplane/tables/tables.h"
#include "controlplane/takeover.h"
#include "controlplane/truth.h"

/* Services that fail, in a status. */
#define FAILURES_SHOWN 20

struct daemon {
	const struct config *config; /* `effective` */
	struct config effective;     /* what was given, and what this start found; owns nothing */
	struct takeover takeover;
	uv_loop_t loop;
	uv_signal_t term, interrupt;
	int lock;
	time_t started;
	char root[PATH_MAX]; /* of the pins */
	char socket[PATH_MAX];
	char maps_folder[PATH_MAX];
	struct view view;
	struct host host;
	struct attach_override *overrides; /* attach looks at them as long as it lives */
	struct node_own own;
	size_t own_room; /* for its addresses */
	/* In the order they are made. */
	struct datapath *datapath;
	struct tables *tables;
	struct store *store;
	struct checks *checks;
	struct sync *sync;
	struct attach *attach;
	struct handover *handover;
	struct source *source;
	struct notices notices;
	struct control *control;
	struct scrape *scrape;
};

static void take_address(void *context, const struct sl_addr *addr, uint8_t family)
{
	struct daemon *daemon = context;
	struct node_own *own = &daemon->own;

	if (own->n_addresses == daemon->own_room) {
		size_t room = daemon->own_room ? daemon->own_room * 2 : 64;
		void *larger = realloc(own->addresses, room * sizeof(*own->addresses));

		if (!larger) {
			log_error("daemon: addresses of this node: %s", strerror(ENOMEM));
			return;
		}
		own->addresses = larger;
		daemon->own_room = room;
	}
	own->addresses[own->n_addresses++] =
		(struct tables_address) { .addr = *addr, .family = family };
}

static void take_iface(void *context, uint32_t ifindex, const struct sl_iface *iface)
{
	struct daemon *daemon = context;
	int r = tables_set_iface(daemon->tables, ifindex, iface);

	if (r < 0)
		log_error("daemon: interface %u: %s", ifindex, strerror(-r));
}

static bool keep_iface(void *context, uint32_t ifindex)
{
	const struct daemon *daemon = context;

	return attach_has_iface(daemon->attach, ifindex);
}

/* The node's interfaces or addresses changed. */
static void on_interfaces(void *context)
{
	struct daemon *daemon = context;
	struct node_own *own = &daemon->own;

	attach_each_iface(daemon->attach, take_iface, daemon);
	tables_prune_ifaces(daemon->tables, keep_iface, daemon);
	own->n_addresses = 0;
	attach_each_address(daemon->attach, take_address, daemon);
	own->snat = attach_node(daemon->attach);
	sync_own_changed(daemon->sync);
}

/* Where node ports answer, which the Node's addresses may decide (S-180). */
static int on_addresses(void *context)
{
	struct daemon *daemon = context;
	const struct config *config = daemon->config;
	struct node_own *own = &daemon->own;
	int r;

	for (size_t i = 0; i < own->n_addresses; i++) {
		struct tables_address *address = &own->addresses[i];

		address->node_port = node_ports_serve(
			config->node_port_addresses, config->n_node_port_addresses,
			store_node(daemon->store), &address->addr, address->family);
	}
	r = tables_set_addresses(daemon->tables, own->addresses, own->n_addresses);
	if (r < 0)
		log_error("daemon: addresses of this node: %s", strerror(-r));
	checks_addresses(daemon->checks, own->addresses, own->n_addresses);
	return r;
}

/* The node's entry changes. */
static void on_handover(void *context)
{
	struct daemon *daemon = context;

	sync_own_changed(daemon->sync);
}

static void on_store(void *context)
{
	struct daemon *daemon = context;

	sync_kick(daemon->sync);
}

static void on_signal(uv_signal_t *signal, int number)
{
	struct daemon *daemon = signal->data;

	log_info("daemon: signal %d, leaving; traffic goes on from the pinned maps", number);
	uv_stop(&daemon->loop);
}

static void iso_time(time_t when, char text[32])
{
	struct tm tm;

	gmtime_r(&when, &tm);
	strftime(text, 32, "%Y-%m-%dT%H:%M:%SZ", &tm);
}

static json_t *on_status(void *context)
{
	struct daemon *daemon = context;
	json_t *programmed = tables_status(daemon->tables);
	char started[32];

	sync_describe(daemon->sync, programmed);
	iso_time(daemon->started, started);
	json_t *ret = json_pack("{s:s, s:s, s:s, s:i, s:s, s:I, s:s, s:{s:i, s:i}}", "instance",
				daemon->config->instance, "version", SLUICE_VERSION, "node",
				daemon->config->node_name, "pid", (int)getpid(), "startedAt",
				started, "uptime", (json_int_t)(time(NULL) - daemon->started),
				"handover", handover_name(daemon->config), "snatPorts", "first",
				daemon->config->snat_first, "last", daemon->config->snat_last);

	json_object_set_new(ret, "source", source_status(daemon->source));
	json_object_set_new(ret, "programmed", programmed);
	json_object_set_new(ret, "latency", tables_latency(daemon->tables));
	json_object_set_new(ret, "failures", truth_failures(daemon->store, FAILURES_SHOWN));
	json_object_set_new(ret, "audit", tables_audit(daemon->tables));
	json_object_set_new(ret, "maps", tables_fill(daemon->tables));
	json_object_set_new(ret, "idleProbes", tables_idle(daemon->tables));
	json_object_set_new(ret, "masquerade", takeover_describe(&daemon->takeover));
	return ret;
}

static json_t *on_truth(void *context, const char *namespace_, const char *name)
{
	const struct daemon *daemon = context;

	return truth_describe(daemon->store, namespace_, name);
}

static json_t *on_unprogrammed(void *context, size_t *cursor)
{
	const struct daemon *daemon = context;

	return truth_next(daemon->store, cursor);
}

static json_t *on_fill(void *context)
{
	const struct daemon *daemon = context;

	return tables_fill(daemon->tables);
}

static void on_pressure(void *context)
{
	struct daemon *daemon = context;
	json_t *fills = tables_fill(daemon->tables);

	notices_pressure(&daemon->notices, fills);
	json_decref(fills);
}

static json_t *on_attach(void *context)
{
	struct daemon *daemon = context;

	json_t *items = attach_describe(daemon->attach);

	json_array_insert_new(items, 0, cgroup_describe(&daemon->host.cgroup));
	return items;
}

/* The entry of the interface that is asked about. */
static void find_iface(void *context, uint32_t ifindex, const struct sl_iface *iface)
{
	struct explain_live *live = context;

	if (ifindex == live->ifindex)
		live->iface = *iface;
}

static int on_explain(void *context, const struct explain_query *query, json_t **ret,
		      char error[512])
{
	struct daemon *daemon = context;
	struct world_node node;
	struct explain_live live = {
		.store = daemon->store,
		.node = &node,
		.datapath = daemon->datapath,
		.ifindex = query->iface ? if_nametoindex(query->iface) : 0,
	};
	int r;

	if (query->iface && !live.ifindex) {
		snprintf(error, 512, "iface: this node has no interface \"%.100s\"", query->iface);
		return -ENOENT;
	}
	attach_each_iface(daemon->attach, find_iface, &live);
	r = world_node_init(&node, daemon->config, daemon->store, &daemon->own);
	if (r) {
		snprintf(error, 512, "explain: %s", strerror(-r));
		return r;
	}
	r = explain_live(&live, query, ret, error);
	world_node_done(&node);
	return r;
}

/* Seconds of the configuration into what the datapath compares. */
static void fill_timeouts(const struct config *config, struct sl_config *ret)
{
	__u32(*t)[SL_FLOW_STATE_MAX] = ret->timeout;

	t[0][SL_FLOW_NEW] = SL_TICKS(config->timeout_tcp_new);
	t[0][SL_FLOW_ESTABLISHED] = SL_TICKS(config->timeout_tcp);
	t[0][SL_FLOW_CLOSING] = SL_TICKS(config->timeout_tcp_closing);
	t[0][SL_FLOW_CLOSED] = SL_TICKS(config->timeout_tcp_closed);
	t[1][SL_FLOW_NEW] = SL_TICKS(config->timeout_udp_new);
	t[1][SL_FLOW_ESTABLISHED] = SL_TICKS(config->timeout_udp);
	t[1][SL_FLOW_CLOSING] = t[1][SL_FLOW_CLOSED] = t[1][SL_FLOW_ESTABLISHED];
}

static int load_datapath(struct daemon *daemon, char error[512])
{
	const struct config *config = daemon->config;
	struct datapath_options options = {
		.root = daemon->root,
		.instance = config->instance,
		.max_services = config->max_services,
		.max_backends = config->max_backends,
		.max_frontends = config->max_frontends,
		.max_maglev_slots = config->max_maglev_slots,
		.max_policies = config->max_policies,
		.max_flows_new = config->max_flows_new,
		.max_flows = config->max_flows,
		.max_snat_ports = config->max_snat_ports,
		.max_affinity = config->max_affinity,
		.max_sockets = config->max_sockets,
		.config = {
			.snat_first = config->snat_first,
			.snat_count = config->snat_last - config->snat_first + 1,
		},
	};
	int r;

	fill_timeouts(config, &options.config);
	host_prepare(&daemon->host, config, &options.config);
	options.config.icmp_rate = SL_ICMP_RATE;
	options.config.can_ask_conntrack = handover_can_ask_conntrack();
	r = datapath_open(&options, &daemon->datapath, error);
	if (r < 0)
		return r;
	log_info("daemon: datapath loaded pins=%s/%s maps=%s", daemon->root, config->instance,
		 datapath_adopted(daemon->datapath) ? "adopted" : "new");
	return 0;
}

static int open_datapath(struct daemon *daemon, char error[512])
{
	int r = load_datapath(daemon, error);

	if (r < 0)
		return r;
	takeover_start(&daemon->effective, daemon->datapath, &daemon->takeover);
	handover_start(&daemon->effective, daemon->datapath);
	for (int i = 0; i < DATAPATH_MAP_MAX; i++)
		daemon->view.fd[i] = datapath_map(daemon->datapath, i);
	daemon->view.maps_folder = daemon->maps_folder;
	r = tables_new(&daemon->loop, daemon->datapath, &daemon->tables, error);
	if (r == 0) {
		tables_set_audit(daemon->tables, daemon->config->audit_s);
		tables_on_pressure(daemon->tables, on_pressure, daemon);
		tables_on_conflict(daemon->tables, notices_conflict, &daemon->notices);
	}
	return r;
}

/* S-130: the modes that go by interface. */
static struct attach_detect detect_of(const struct config *config)
{
	return (struct attach_detect) {
		.bridge = config->detect == CONFIG_DETECT_BRIDGE ? config->bridge_interface : NULL,
		.prefix = config->detect == CONFIG_DETECT_PREFIX ? config->interface_name_prefix
								 : NULL,
		.role = config->detect == CONFIG_DETECT_ROLE,
	};
}

static int follow_interfaces(struct daemon *daemon, char error[512])
{
	const struct config *config = daemon->config;

	daemon->overrides = calloc(config->n_interfaces + 1, sizeof(*daemon->overrides));
	if (!daemon->overrides) {
		snprintf(error, 512, "%s", strerror(ENOMEM));
		return -ENOMEM;
	}
	struct attach_options options = {
		.loop = &daemon->loop,
		.ingress = datapath_program(daemon->datapath, DATAPATH_INGRESS),
		.egress = datapath_program(daemon->datapath, DATAPATH_EGRESS),
		.xdp = datapath_program(daemon->datapath, DATAPATH_XDP),
		.links = datapath_links_folder(daemon->datapath),
		.overrides = daemon->overrides,
		.n_overrides = config->n_interfaces,
		.xdp_mode = config->xdp == CONFIG_XDP_OFF  ? ATTACH_XDP_OFF
			    : config->xdp == CONFIG_XDP_ON ? ATTACH_XDP_ON
							   : ATTACH_XDP_AUTO,
		.detect = detect_of(config),
		.changed = on_interfaces,
		.context = daemon,
	};
	for (size_t i = 0; i < config->n_interfaces; i++) {
		daemon->overrides[i].name = config->interfaces[i].name;
		daemon->overrides[i].role = config->interfaces[i].role;
	}
	return attach_new(&options, &daemon->attach, error);
}

static int start_source(struct daemon *daemon, char error[512])
{
	const struct config *config = daemon->config;
	struct source_options options = {
		.loop = &daemon->loop,
		.store = daemon->store,
		.node_name = config->node_name,
		.changed = on_store,
		.context = daemon,
		.folder = config->manifests,
		.kubeconfig = config->kubeconfig,
		.context_name = config->context,
		.api_servers = (const char *const *)config->api_servers,
		.n_api_servers = config->n_api_servers,
	};

	return config->source == CONFIG_KUBE
		       ? source_kube_new(&options, &daemon->source, error)
		       : source_manifests_new(&options, &daemon->source, error);
}

/* S-260. Without memory for it the node works all the same. */
static void start_events(struct daemon *daemon)
{
	struct notices *notices = &daemon->notices;

	notices->events = events_new(&daemon->loop, daemon->source, notices->node_name);
	notices_started(notices);
}

static int start_control(struct daemon *daemon, char error[512])
{
	struct control_options options = {
		.loop = &daemon->loop,
		.path = daemon->socket,
		.view = &daemon->view,
		.status = on_status,
		.attach = on_attach,
		.truth = on_truth,
		.unprogrammed = on_unprogrammed,
		.fill = on_fill,
		.explain = on_explain,
		.context = daemon,
	};

	return control_new(&options, &daemon->control, error);
}

static int start_checks(struct daemon *daemon, char error[512])
{
	const struct checks_options options = {
		.loop = &daemon->loop,
		.config = daemon->config,
		.store = daemon->store,
		.failed = notices_check_failed,
		.context = &daemon->notices,
	};
	int r = checks_new(&options, &daemon->checks);

	if (r < 0)
		snprintf(error, 512, "health checks: %s", strerror(-r));
	return r;
}

static int start_scrape(struct daemon *daemon, char error[512])
{
	const struct scrape_options options = {
		.loop = &daemon->loop,
		.config = daemon->config,
		.store = daemon->store,
		.runs = sync_runs(daemon->sync),
		.tables = daemon->tables,
		.health = checks_proxy(daemon->checks),
		.source = daemon->source,
		.view = &daemon->view,
		.attach = on_attach,
		.context = daemon,
	};

	return scrape_new(&options, &daemon->scrape, error);
}

static int start(struct daemon *daemon, char error[512])
{
	struct sync_options sync = {
		.loop = &daemon->loop,
		.config = daemon->config,
		.own = &daemon->own,
		.addresses_changed = on_addresses,
		.context = daemon,
		.settled = notices_settled,
		.settled_context = &daemon->notices,
	};
	int r = open_datapath(daemon, error);

	if (r < 0)
		return r;
	daemon->store = store_new();
	daemon->notices.store = daemon->store;
	daemon->notices.node_name = daemon->config->node_name;
	if (daemon->store) {
		store_on_wrong(daemon->store, notices_wrong, &daemon->notices);
		r = start_checks(daemon, error);
	}
	if (r < 0)
		return r;
	sync.store = daemon->store;
	sync.tables = daemon->tables;
	sync.checks = daemon->checks;
	daemon->sync = daemon->store ? sync_new(&sync) : NULL;
	if (!daemon->sync) {
		snprintf(error, 512, "%s", strerror(ENOMEM));
		return -ENOMEM;
	}
	r = follow_interfaces(daemon, error);
	if (r == 0)
		host_serve(&daemon->host, &daemon->loop, daemon->datapath, daemon->tables);
	if (r == 0)
		r = handover_new(&daemon->loop, &daemon->effective, on_handover, daemon,
				 &daemon->handover);
	if (r == 0)
		r = start_control(daemon, error);
	if (r == 0)
		r = start_source(daemon, error);
	if (r == 0)
		r = start_scrape(daemon, error);
	if (r == 0)
		start_events(daemon);
	return r;
}

static void stop(struct daemon *daemon)
{
	uv_close((uv_handle_t *)&daemon->term, NULL);
	uv_close((uv_handle_t *)&daemon->interrupt, NULL);
	scrape_free(daemon->scrape);
	control_free(daemon->control);
	events_free(daemon->notices.events);
	source_free(daemon->source);
	host_stop(&daemon->host);
	handover_free(daemon->handover);
	attach_free(daemon->attach);
	sync_free(daemon->sync);
	checks_free(daemon->checks);
	tables_free(daemon->tables);
	uv_run(&daemon->loop, UV_RUN_DEFAULT);
	free(daemon->overrides);
	free(daemon->own.addresses);
	store_free(daemon->store);
	datapath_close(daemon->datapath);
	uv_loop_close(&daemon->loop);
}

static void name_paths(struct daemon *daemon, const struct config *config)
{
	daemon->effective = *config;
	daemon->config = &daemon->effective;
	snprintf(daemon->root, sizeof(daemon->root), "%s/sluice", config->bpffs);
	snprintf(daemon->socket, sizeof(daemon->socket), "%s/%s.sock", config->run_dir,
		 config->instance);
	snprintf(daemon->maps_folder, sizeof(daemon->maps_folder), "%s/sluice/%s/v%d/maps",
		 config->bpffs, config->instance, SL_LAYOUT);
}

/*
 * Large blocks, as lists of lbctl take, go back to the system when they are
 * freed: by default the first such free makes malloc keep all later ones.
 */
static void limit_memory(void)
{
	mallopt(M_MMAP_THRESHOLD, 256 * 1024);
	mallopt(M_ARENA_MAX, 2);
}

int daemon_run(const struct config *config, char error[512])
{
	struct daemon daemon = { .started = time(NULL) };
	int r;

	limit_memory();
	name_paths(&daemon, config);
	daemon.lock = lock_take(config->run_dir, config->instance, error, 512);
	if (daemon.lock < 0)
		return daemon.lock;
	uv_loop_init(&daemon.loop);
	uv_signal_init(&daemon.loop, &daemon.term);
	uv_signal_init(&daemon.loop, &daemon.interrupt);
	daemon.term.data = daemon.interrupt.data = &daemon;
	signal(SIGPIPE, SIG_IGN);
	oom_set_score(config->oom_score_adj);

	log_info("daemon: sluiced %s instance=%s node=%s", SLUICE_VERSION, config->instance,
		 config->node_name);
	r = start(&daemon, error);
	if (r == 0) {
		uv_signal_start(&daemon.term, on_signal, SIGTERM);
		uv_signal_start(&daemon.interrupt, on_signal, SIGINT);
		uv_run(&daemon.loop, UV_RUN_DEFAULT);
	}
	stop(&daemon);
	close(daemon.lock);
	return r;
}

int daemon_init(const struct config *config, char error[512])
{
	struct daemon daemon = {};
	int r;

	name_paths(&daemon, config);
	daemon.lock = lock_take(config->run_dir, config->instance, error, 512);
	if (daemon.lock < 0)
		return daemon.lock;
	r = load_datapath(&daemon, error);
	if (r == 0)
		log_info("daemon: nothing was attached, as --init-only asks");
	datapath_close(daemon.datapath);
	close(daemon.lock);
	return r;
}

int daemon_cleanup(const struct config *config, char error[512])
{
	struct daemon daemon = {};
	char links[PATH_MAX + 16];
	int lock, r;

	name_paths(&daemon, config);
	lock = lock_take(config->run_dir, config->instance, error, 512);
	if (lock < 0)
		return lock;
	snprintf(links, sizeof(links), "%s/%s/v%d/links", daemon.root, config->instance, SL_LAYOUT);
	cgroup_detach(links);
	r = attach_remove(links);
	if (r == 0)
		r = datapath_remove(daemon.root, config->instance);
	if (r < 0)
		snprintf(error, 512, "pins of instance \"%s\": %s", config->instance, strerror(-r));
	close(lock);
	return r;
}
