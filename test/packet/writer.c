/* SPDX-License-Identifier: Apache-2.0 */

#include "writer.h"

#include <arpa/inet.h>
#include <check.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include <bpf/bpf.h>

#include "common/hash.h"

char error[512];
struct datapath *dp;
struct tables *tables;
uint64_t *services, *filter_words, *endpoint_words, *port_words;
struct sl_record *records;
struct sl_backend *backends;
uint32_t *slots;

static char root[64];
static uv_loop_t loop;

static struct datapath_options options(void)
{
	struct datapath_options o = {
		.root = root,
		.instance = "default",
		.max_services = MAX_SERVICES,
		.max_backends = MAX_BACKENDS,
		.max_frontends = MAX_FRONTENDS,
		.max_maglev_slots = MAX_SLOTS,
		.max_policies = MAX_POLICIES,
		.max_flows_new = 1024,
		.max_flows = 1024,
		.max_snat_ports = 1024,
		.max_affinity = 1024,
		.max_sockets = 1024,
		.config = { .snat_first = 61000, .snat_count = 100 },
	};

	for (int i = 0; i < 2; i++) {
		for (int state = 0; state < SL_FLOW_STATE_MAX; state++)
			o.config.timeout[i][state] = SL_TICKS(60);
	}
	return o;
}

static void *look(enum datapath_map map, size_t value)
{
	size_t len = (datapath_entries(dp, map) * value + 4095) & ~(size_t)4095;
	void *at = mmap(NULL, len, PROT_READ, MAP_SHARED, datapath_map(dp, map), 0);

	ck_assert(at != MAP_FAILED);
	return at;
}

void writer_start(void)
{
	struct datapath_options o = options();
	int err = datapath_open(&o, &dp, error);

	ck_assert_msg(err == 0, "%s", error);
	err = tables_new(&loop, dp, &tables, error);
	ck_assert_msg(err == 0, "%s", error);
	services = look(DATAPATH_services, 8);
	records = look(DATAPATH_records, sizeof(struct sl_record));
	backends = look(DATAPATH_backends, sizeof(struct sl_backend));
	slots = look(DATAPATH_maglev, sizeof(struct sl_slots));
	filter_words = look(DATAPATH_filter, 8);
	endpoint_words = look(DATAPATH_endpoint_set, 8);
	port_words = look(DATAPATH_node_ports, 8);
}

/* The daemon goes; what it pinned stays. */
void writer_stop(void)
{
	tables_free(tables);
	tables = NULL;
	uv_run(&loop, UV_RUN_DEFAULT);
	datapath_close(dp);
	dp = NULL;
}

void writer_restart(void)
{
	writer_stop();
	writer_start();
}

void writer_setup(void)
{
	snprintf(root, sizeof(root), "/sys/fs/bpf/tables-test-%d", getpid());
	uv_loop_init(&loop);
	writer_start();
}

void writer_teardown(void)
{
	writer_stop();
	uv_loop_close(&loop);
	datapath_remove(root, "default");
	rmdir(root);
}

uv_loop_t *writer_loop(void)
{
	return &loop;
}

json_int_t status(const char *field)
{
	json_t *all = tables_status(tables);
	json_int_t value = json_integer_value(json_object_get(all, field));

	json_decref(all);
	return value;
}

/* Runs the loop until every grace period is over. */
void settle(void)
{
	for (int i = 0; status("pending") > 0; i++) {
		ck_assert_int_lt(i, 100);
		uv_run(&loop, UV_RUN_ONCE);
	}
}

struct sl_addr ip(const char *text)
{
	struct sl_addr addr = { { 0 } };

	ck_assert_int_eq(inet_pton(strchr(text, ':') ? AF_INET6 : AF_INET, text, &addr), 1);
	return addr;
}

void web_init(struct web *w, const char *name, const char *vip)
{
	memset(w, 0, sizeof(*w));
	w->resolved = (struct resolved) {
		.namespace_ = "default", .name = (char *)name, .ports = &w->port, .n_ports = 1
	};
	w->port = (struct resolved_port) {
		.name = "http",
		.proto = IPPROTO_TCP,
		.family = strchr(vip, ':') ? 6 : 4,
		.frontends = w->frontends,
		.backends = w->backends,
		.sources = w->sources,
	};
	w->frontends[w->port.n_frontends++] = (struct resolved_frontend) {
		.addr = ip(vip), .port = htons(80), .kind = SL_KIND_CLUSTER_IP
	};
}

void web_backend(struct web *w, const char *addr, uint8_t sets)
{
	w->backends[w->port.n_backends++] = (struct resolved_backend) {
		.addr = ip(addr), .port = htons(8080), .sets = sets, .weight = 1
	};
}

void web_frontend(struct web *w, const char *addr, uint16_t port, uint8_t kind)
{
	struct resolved_frontend *f = &w->frontends[w->port.n_frontends++];

	*f = (struct resolved_frontend) { .port = htons(port), .kind = kind };
	if (addr)
		f->addr = ip(addr);
}

/* 10.96.0.1:80 with three backends. */
void web_three(struct web *w)
{
	web_init(w, "web", "10.96.0.1");
	web_backend(w, "10.244.1.1", BOTH);
	web_backend(w, "10.244.1.2", CLUSTER);
	web_backend(w, "10.244.1.3", CLUSTER);
}

int apply(struct web *w)
{
	int err = tables_apply(tables, &w->resolved, uv_hrtime(), error);

	ck_assert_msg(err >= 0, "%d: %s", err, error);
	return err;
}

int apply_gone(struct web *w)
{
	w->resolved.n_ports = 0;
	return apply(w);
}

/* What a packet finds: the frontend's value, 0 for none. */
uint64_t frontend(const char *addr, uint16_t port, uint8_t proto)
{
	struct sl_frontend4 key4 = { .port = htons(port), .proto = proto };
	struct sl_frontend6 key6 = { .port = htons(port), .proto = proto };
	struct sl_addr a = ip(addr);
	bool is6 = strchr(addr, ':');
	uint32_t tag;
	uint64_t value;

	key4.addr[0] = a.w[0];
	memcpy(key6.addr, a.w, sizeof(key6.addr));
	if (bpf_map_lookup_elem(datapath_map(dp, is6 ? DATAPATH_frontends6 : DATAPATH_frontends4),
				is6 ? (void *)&key6 : (void *)&key4, &value))
		return 0;
	tag = is6 ? sl_frontend_tag(a.w, 4, htons(port), proto)
		  : sl_frontend_tag(a.w, 1, htons(port), proto);
	ck_assert_uint_eq(SL_FRONTEND_TAG(value), tag & 0xffffff);
	return value;
}

uint32_t service_at(const char *addr, uint16_t port)
{
	return SL_FRONTEND_SERVICE(frontend(addr, port, IPPROTO_TCP));
}

const struct sl_record *record_at(const char *addr, uint16_t port)
{
	uint32_t id = service_at(addr, port);
	uint32_t index = id ? SL_SERVICE_RECORD(services[id]) : 0;

	return index ? &records[index] : NULL;
}

/* The id of a LIVE backend, 0 if there is none. */
uint32_t backend_id(const char *addr)
{
	struct sl_addr a = ip(addr);

	for (uint32_t id = 1; id < MAX_BACKENDS; id++) {
		if (SL_BACKEND_STATE(backends[id].word) == SL_BACKEND_LIVE &&
		    ip_equal(&backends[id].addr, &a))
			return id;
	}
	return 0;
}

/* How often a set's slots name a backend. */
size_t share(const struct sl_set *set, uint32_t id)
{
	size_t n = 0;

	if (set->slots == 1)
		return set->first == id;
	for (uint32_t i = 0; i < set->slots; i++)
		n += slots[set->first + i] == id;
	return n;
}

unsigned int filter_bits(const char *addr)
{
	struct sl_addr a = ip(addr);
	uint32_t slot = strchr(addr, ':') ? sl_filter_slot(a.w, 4) : sl_filter_slot(a.w, 1);

	return filter_words[slot / 32] >> slot % 32 * 2 & 3;
}

bool endpoint_bit(const char *addr)
{
	struct sl_addr a = ip(addr);
	uint32_t slot = strchr(addr, ':') ? sl_filter_slot(a.w, 4) : sl_filter_slot(a.w, 1);

	return endpoint_words[slot / 64] >> slot % 64 & 1;
}

bool port_bit(int proto, uint16_t port)
{
	return port_words[proto * SL_PORT_WORDS + port / 64] >> port % 64 & 1;
}

static uint32_t now_ticks(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	return (uint32_t)(((uint64_t)now.tv_sec * 1000000000ULL + (uint64_t)now.tv_nsec) >>
			  SL_TICK_SHIFT);
}

struct sl_tuple4 tuple(const char *from, const char *to, uint16_t dport)
{
	return (struct sl_tuple4) { .saddr = { ip(from).w[0] },
				    .daddr = { ip(to).w[0] },
				    .sport = htons(40000),
				    .dport = htons(dport),
				    .proto = IPPROTO_TCP };
}

void add_flow(enum datapath_map map, const struct sl_tuple4 *key, uint32_t idle)
{
	struct sl_flow4 flow = { .f = { .state = SL_FLOW_ESTABLISHED,
					.seen = now_ticks() - idle } };

	ck_assert_int_eq(bpf_map_update_elem(datapath_map(dp, map), key, &flow, 0), 0);
}

void run_sweeps(int ms)
{
	uint64_t end = uv_hrtime() + (uint64_t)ms * 1000000;
	uv_timer_t keep;

	/* The sweep's timer alone does not keep the loop running. */
	uv_timer_init(&loop, &keep);
	while (uv_hrtime() < end) {
		uv_timer_start(&keep, (uv_timer_cb)uv_stop, 20, 0);
		uv_run(&loop, UV_RUN_ONCE);
	}
	uv_close((uv_handle_t *)&keep, NULL);
	uv_run(&loop, UV_RUN_NOWAIT);
}
