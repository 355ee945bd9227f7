/* SPDX-License-Identifier: Apache-2.0 */

#include "test/packet/harness.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <arpa/inet.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/hash.h"
#include "common/ip.h"
#include "common/ticks.h"
#include "common/mem.h"
#include "controlplane/attach/cgroup.h"

/* BPF_F_TEST_SKB_CHECKSUM_COMPLETE, which older headers lack. */
#define TEST_SKB_CHECKSUM_COMPLETE (1U << 2)

struct harness harness;

static const char node_script[] =
	"set -e\n"
	"ip link set lo up\n"
	"ip link add up0 type veth peer name up1\n"
	"ip link add up2 type veth peer name up3\n"
	"ip link add pod0 type veth peer name pod1\n"
	"sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1"
	" net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.default.accept_dad=0\n"
	"ip link set up0 address 02:00:00:00:00:02\n"
	"ip link set up2 address 02:00:00:00:00:03\n"
	"ip link set pod0 address 02:00:00:00:00:02\n"
	"for i in up0 up1 up2 up3 pod0 pod1; do ip link set $i up; done\n"
	"ip addr add 192.0.2.10/24 dev up0\n"
	"ip addr add 2001:db8::10/64 dev up0 nodad\n"
	"for a in 1 20; do ip neigh add 192.0.2.$a lladdr 02:00:00:00:01:$a dev up0 nud permanent\n"
	"ip neigh add 2001:db8::$a lladdr 02:00:00:00:01:$a dev up0 nud permanent; done\n"
	"ip addr add 198.18.0.10/24 dev up2\n"
	"ip addr add 2001:db8:2::10/64 dev up2 nodad\n"
	"ip neigh add 198.18.0.20 lladdr 02:00:00:00:01:20 dev up2 nud permanent\n"
	"ip neigh add 2001:db8:2::20 lladdr 02:00:00:00:01:20 dev up2 nud permanent\n"
	"ip route add 10.244.4.0/24 via 198.18.0.20\n"
	"ip route add fd00:244:4::/64 via 2001:db8:2::20\n"
	"ip route add 10.244.5.0/24 via 192.0.2.77\n"
	"ip route add fd00:244:5::/64 via 2001:db8::77\n"
	"ip route add default via 192.0.2.1\n"
	"ip route add default via 2001:db8::1\n"
	"ip route add 10.244.1.0/24 via 192.0.2.20\n"
	"ip route add fd00:244:1::/64 via 2001:db8::20\n"
	"ip route add 10.244.0.2/32 dev pod0\n"
	"ip route add fd00:244:0::2/128 dev pod0\n"
	"ip link add tun0 type vxlan id 7 dstport 4789 local 192.0.2.10 dev up0\n"
	"ip link set tun0 up\n"
	"ip addr add 10.244.0.0/32 dev tun0\n"
	"ip addr add fd00:244:0::/128 dev tun0 nodad\n"
	"ip route add 10.244.2.0/24 via 10.244.2.0 dev tun0 onlink\n"
	"ip route add fd00:244:2::/64 dev tun0\n"
	"ip neigh add 10.244.2.0 lladdr 02:00:00:00:02:20 dev tun0 nud permanent\n"
	"ip neigh add fd00:244:2::2 lladdr 02:00:00:00:02:20 dev tun0 nud permanent\n"
	"ip route add blackhole 10.244.3.0/24\n";

void harness_make_node(void)
{
	FILE *shell;

	ck_assert_int_eq(unshare(CLONE_NEWNET), 0);
	shell = popen("sh", "w");
	ck_assert_ptr_nonnull(shell);
	fputs(node_script, shell);
	ck_assert_int_eq(pclose(shell), 0);
	harness.pod0 = if_nametoindex("pod0");
	harness.up0 = if_nametoindex("up0");
	harness.up2 = if_nametoindex("up2");
	harness.tun0 = if_nametoindex("tun0");
}

/* Small maps load fast. */
static void size_maps(struct sluice *skel)
{
	struct bpf_map *map;

	bpf_object__for_each_map (map, skel->obj) {
		enum bpf_map_type type = bpf_map__type(map);
		const char *name = bpf_map__name(map);

		if (type == BPF_MAP_TYPE_LRU_HASH || strncmp(name, "snat", 4) == 0)
			bpf_map__set_max_entries(map, 8192);
		else if (type == BPF_MAP_TYPE_HASH || strncmp(name, "stats_", 6) == 0 ||
			 strcmp(name, "backends") == 0 || strcmp(name, "services") == 0 ||
			 strcmp(name, "records") == 0 || strcmp(name, "identities") == 0)
			bpf_map__set_max_entries(map, 256);
		else if (strcmp(name, "maglev") == 0)
			bpf_map__set_max_entries(map, 4096);
	}
}

static struct sl_addr address(const char *text)
{
	struct sl_addr addr;

	ck_assert_msg(ip_parse(text, &addr) > 0, "%s is no address", text);
	return addr;
}

/* Negative, wrapped around, for what lies ahead. */
static uint32_t ticks_of(int seconds)
{
	return seconds < 0 ? -SL_TICKS(-seconds) : SL_TICKS(seconds);
}

static int fd(const struct bpf_map *map)
{
	return bpf_map__fd(map);
}

static void put(const struct bpf_map *map, const void *key, const void *value)
{
	ck_assert_msg(bpf_map_update_elem(fd(map), key, value, BPF_ANY) == 0, "map %s: %s",
		      bpf_map__name(map), strerror(errno));
}

/* Sets bits of one u64 of a bitmap. */
static void or_word(const struct bpf_map *map, uint32_t word, uint64_t bits)
{
	uint64_t value;

	ck_assert_int_eq(bpf_map_lookup_elem(fd(map), &word, &value), 0);
	value |= bits;
	put(map, &word, &value);
}

static void filter_address(const struct sl_addr *addr, int family, uint64_t bits)
{
	uint32_t slot = sl_filter_slot(addr->w, family == 4 ? 1 : 4);

	or_word(harness.skel->maps.filter, slot / 32, bits << slot % 32 * 2);
}

static void endpoint_address(const struct sl_addr *addr, int family)
{
	uint32_t slot = sl_filter_slot(addr->w, family == 4 ? 1 : 4);

	or_word(harness.skel->maps.endpoint_set, slot / 64, 1ULL << slot % 64);
}

static void add_frontend(const struct sl_addr *addr, int family, uint16_t port, uint8_t proto,
			 uint32_t service, uint8_t kind)
{
	struct sl_frontend4 key4 = { .addr = { addr->w[0] }, .port = port, .proto = proto };
	struct sl_frontend6 key6 = { .port = port, .proto = proto };
	uint32_t tag = sl_frontend_tag(addr->w, family == 4 ? 1 : 4, port, proto);
	uint64_t value = SL_FRONTEND_VALUE(service, kind, tag);

	memcpy(key6.addr, addr->w, sizeof(key6.addr));
	if (family == 4)
		put(harness.skel->maps.frontends4, &key4, &value);
	else
		put(harness.skel->maps.frontends6, &key6, &value);
}

static void add_node_port(uint16_t port, uint8_t proto)
{
	uint32_t first = proto == IPPROTO_UDP	 ? SL_PORT_WORDS
			 : proto == IPPROTO_SCTP ? 2 * SL_PORT_WORDS
						 : 0;

	or_word(harness.skel->maps.node_ports, first + port / 64, 1ULL << port % 64);
}

void harness_iface(uint32_t ifindex, enum sl_role role, const char *addr4, const char *addr6,
		   bool xdp)
{
	struct sl_iface iface = {
		.role = role,
		.xdp = xdp,
		.pod_traffic = role == SL_ROLE_POD,
		.addr4 = addr4 ? address(addr4).w[0] : 0,
		.addr6 = addr6 ? address(addr6) : (struct sl_addr) {},
	};

	put(harness.skel->maps.ifaces, &ifindex, &iface);
}

static void add_node_address(const char *text, int family)
{
	struct sl_addr addr = address(text);

	filter_address(&addr, family, SL_FILTER_NODE);
	add_frontend(&addr, family, 0, 0, 0, SL_KIND_NODE_ADDRESS);
}

void harness_set_node(const struct sl_node *node)
{
	uint32_t zero = 0;

	put(harness.skel->maps.node, &zero, node);
}

static void program_node(void)
{
	struct sl_node node = { .detect4 = SL_DETECT_INTERFACE, .detect6 = SL_DETECT_INTERFACE };

	harness_set_node(&node);
	harness_iface(harness.pod0, SL_ROLE_POD, NODE4, NODE6, false);
	harness_iface(harness.up0, SL_ROLE_UPLINK, NODE4, NODE6, true);
	harness_iface(harness.up2, SL_ROLE_UPLINK, NODE4_2, NODE6_2, true);
	harness_iface(harness.tun0, SL_ROLE_TUNNEL, TUNNEL4, TUNNEL6, false);
	add_node_address(NODE4, 4);
	add_node_address(NODE6, 6);
	add_node_address(NODE4_2, 4);
	add_node_address(NODE6_2, 6);
	add_node_address(TUNNEL4, 4);
	add_node_address(TUNNEL6, 6);
	for (uint32_t i = 0; i < harness.snat_count; i++) {
		add_node_port(SNAT_FIRST + i, IPPROTO_TCP);
		add_node_port(SNAT_FIRST + i, IPPROTO_UDP);
	}
}

void harness_load(void)
{
	struct sl_config *config;
	uint64_t netns;

	harness.skel = sluice__open();
	ck_assert_ptr_nonnull(harness.skel);
	size_maps(harness.skel);
	if (harness.snat_count == 0)
		harness.snat_count = SNAT_COUNT;
	config = (struct sl_config *)&harness.skel->rodata->config;
	config->snat_first = SNAT_FIRST;
	config->snat_count = harness.snat_count;
	config->can_refuse = 1;
	config->icmp_rate = harness.icmp_rate;
	ck_assert_int_eq(cgroup_netns_cookie(&netns), 0);
	config->netns = netns;
	for (int proto = 0; proto < 2; proto++) {
		config->timeout[proto][SL_FLOW_NEW] = SL_TICKS(30);
		config->timeout[proto][SL_FLOW_ESTABLISHED] = SL_TICKS(proto ? 180 : 3600);
		config->timeout[proto][SL_FLOW_CLOSING] = SL_TICKS(60);
		config->timeout[proto][SL_FLOW_CLOSED] = SL_TICKS(10);
	}
	ck_assert_int_eq(sluice__load(harness.skel), 0);
	harness.services = harness.backends = harness.records = harness.slots = 0;
	harness.gets_shorter = false;
	/* Test runs with a device want its queue known to XDP. */
	ck_assert_int_eq(bpf_xdp_attach(harness.up0,
					bpf_program__fd(harness.skel->progs.sluice_xdp),
					XDP_FLAGS_DRV_MODE, NULL),
			 0);
	program_node();
}

void harness_unload(void)
{
	bpf_xdp_detach(harness.up0, XDP_FLAGS_DRV_MODE, NULL);
	sluice__destroy(harness.skel);
}

TCase *harness_case(Suite *suite, const char *name)
{
	TCase *tcase = tcase_create(name);

	tcase_add_unchecked_fixture(tcase, harness_make_node, NULL);
	tcase_add_checked_fixture(tcase, harness_load, harness_unload);
	tcase_set_timeout(tcase, 60);
	suite_add_tcase(suite, tcase);
	return tcase;
}

int harness_run(Suite *suite)
{
	SRunner *runner;
	int failed;

	if (geteuid() != 0) {
		puts("needs root, to load BPF programs and make a network namespace");
		return 77;
	}
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

static bool is_local(const char *addr)
{
	return strncmp(addr, "10.244.0.", 9) == 0 || strncmp(addr, "fd00:244:0:", 11) == 0 ||
	       strcmp(addr, NODE4) == 0 || strcmp(addr, NODE6) == 0;
}

static uint32_t add_backend(uint32_t service, const char *text, int family, uint16_t port)
{
	uint32_t id = ++harness.backends;
	struct sl_backend backend = {
		.word = SL_BACKEND_WORD(1, 3, SL_BACKEND_LIVE) | SL_BACKEND_ORDERED(id),
		.addr = address(text),
		.port = htons(port),
		.flags = is_local(text) ? SL_BACKEND_LOCAL : 0,
		.family = family,
		.service = service,
	};

	put(harness.skel->maps.backends, &id, &backend);
	endpoint_address(&backend.addr, family);
	return id;
}

/* Slots that hold the `n` backends in turn, 16 each. */
static struct sl_set make_set(const uint32_t *ids, uint32_t n)
{
	struct sl_set set = { .slots = n * 16, .first = harness.slots };

	if (n == 1)
		return (struct sl_set) { .slots = 1, .first = ids[0] };
	for (uint32_t i = 0; i < set.slots; i += 2) {
		struct sl_slots slots = { { ids[i % n], ids[(i + 1) % n] } };
		uint32_t index = (set.first + i) / 2;

		put(harness.skel->maps.maglev, &index, &slots);
	}
	harness.slots += set.slots;
	return n ? set : (struct sl_set) {};
}

static void set_record(uint32_t service, const struct sl_record *record)
{
	uint32_t index = ++harness.records;
	uint64_t word = SL_SERVICE_WORD(index, index);

	put(harness.skel->maps.records, &index, record);
	put(harness.skel->maps.services, &service, &word);
}

static void add_source(uint32_t policy, const char *text)
{
	struct ip_prefix prefix;
	struct sl_policy4 key4 = { .policy = policy };
	struct sl_policy6 key6 = { .policy = policy };
	uint32_t one = 1;

	ck_assert_int_eq(ip_prefix_parse(text, &prefix), 0);
	key4.prefixlen = key6.prefixlen = 32 + prefix.len;
	key4.addr[0] = prefix.addr.w[0];
	memcpy(key6.addr, prefix.addr.w, sizeof(key6.addr));
	if (prefix.family == 4)
		put(harness.skel->maps.policy4, &key4, &one);
	else
		put(harness.skel->maps.policy6, &key6, &one);
}

uint32_t harness_service(const struct service_spec *spec, uint32_t *ret_backend)
{
	uint32_t id = ++harness.services, n = 0, locals = 0;
	uint32_t ids[SL_COUNT(spec->backends)], local[SL_COUNT(spec->backends)];
	int family = !spec->addr ? spec->family : strchr(spec->addr, ':') ? 6 : 4;
	struct sl_addr addr = spec->addr ? address(spec->addr) : (struct sl_addr) {};
	struct sl_record record = { .service = id,
				    .affinity_s = spec->affinity_s,
				    .flags = spec->flags };
	uint32_t first = harness.backends + 1;

	for (; n < SL_COUNT(ids) && spec->backends[n]; n++) {
		ids[n] = add_backend(id, spec->backends[n], family, spec->target_port);
		if (is_local(spec->backends[n]))
			local[locals++] = ids[n];
	}
	record.set[SL_SET_CLUSTER] = make_set(ids, n);
	record.set[SL_SET_LOCAL] = locals ? make_set(local, locals) : record.set[SL_SET_CLUSTER];
	memcpy(record.path, spec->path, sizeof(spec->path));
	if (spec->sources) {
		record.policy = id;
		add_source(id, spec->sources);
	}
	set_record(id, &record);
	add_frontend(&addr, family, htons(spec->port), spec->proto, id, spec->kind);
	if (spec->kind == SL_KIND_NODE_PORT)
		add_node_port(spec->port, spec->proto);
	else
		filter_address(&addr, family, SL_FILTER_SERVICE);
	if (spec->kind == SL_KIND_CLUSTER_IP)
		add_frontend(&addr, family, 0, 0, id, SL_KIND_CLUSTER_ADDRESS);
	if (ret_backend)
		*ret_backend = first;
	return id;
}

void harness_retire_backend(uint32_t id)
{
	struct sl_backend backend;

	ck_assert_int_eq(bpf_map_lookup_elem(fd(harness.skel->maps.backends), &id, &backend), 0);
	backend.word = SL_BACKEND_WORD(SL_BACKEND_GENERATION(backend.word) + 1, 0, SL_BACKEND_GONE);
	backend.left = ticks_now();
	put(harness.skel->maps.backends, &id, &backend);
}

void harness_age_backend(uint32_t id, int seconds)
{
	struct sl_backend backend;

	ck_assert_int_eq(bpf_map_lookup_elem(fd(harness.skel->maps.backends), &id, &backend), 0);
	backend.left -= ticks_of(seconds);
	put(harness.skel->maps.backends, &id, &backend);
}

static struct sl_record record_of(uint32_t service)
{
	struct sl_record record;
	uint64_t word;
	uint32_t index;

	ck_assert_int_eq(bpf_map_lookup_elem(fd(harness.skel->maps.services), &service, &word), 0);
	index = SL_SERVICE_RECORD(word);
	ck_assert_int_eq(bpf_map_lookup_elem(fd(harness.skel->maps.records), &index, &record), 0);
	return record;
}

void harness_set_backend(uint32_t service, uint32_t backend)
{
	struct sl_record record = record_of(service);

	record.set[SL_SET_CLUSTER] = record.set[SL_SET_LOCAL] = make_set(&backend, 1);
	set_record(service, &record);
}

void harness_set_leave(uint32_t service, enum sl_leave leave, uint32_t drain_s)
{
	struct sl_record record = record_of(service);

	record.leave = leave;
	record.drain_s = drain_s;
	set_record(service, &record);
}

static int run(const struct bpf_program *program, struct frame *f, void *ctx, uint32_t ctx_len,
	       uint32_t flags)
{
	struct frame out = {};
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = f->data, .data_size_in = f->len,
		    .data_out = out.data, .data_size_out = sizeof(out.data), .ctx_in = ctx,
		    .ctx_size_in = ctx_len, .flags = flags);
	int err = bpf_prog_test_run_opts(bpf_program__fd(program), &opts);

	if (err == -EINVAL && flags) /* a kernel before 6.16 */
		return run(program, f, ctx, ctx_len, 0);
	ck_assert_msg(err == 0, "test run: %s%s", strerror(-err),
		      err == -EBADMSG ? ", the card's checksum is wrong now" : "");
	out.len = opts.data_size_out;
	*f = out;
	return (int)opts.retval;
}

static int run_tc(const struct bpf_program *program, uint32_t ifindex, struct frame *f)
{
	struct __sk_buff skb = { .ifindex = ifindex };

	return run(program, f, &skb, sizeof(skb),
		   harness.gets_shorter ? 0 : TEST_SKB_CHECKSUM_COMPLETE);
}

int run_ingress(uint32_t ifindex, struct frame *f)
{
	return run_tc(harness.skel->progs.sluice_ingress, ifindex, f);
}

int run_egress(uint32_t ifindex, struct frame *f)
{
	return run_tc(harness.skel->progs.sluice_egress, ifindex, f);
}

int run_ingress_gso(uint32_t ifindex, struct frame *f, uint32_t segments, uint32_t size)
{
	struct __sk_buff skb = { .ifindex = ifindex, .gso_segs = segments, .gso_size = size };

	return run(harness.skel->progs.sluice_ingress, f, &skb, sizeof(skb), 0);
}

int run_xdp(struct frame *f)
{
	struct xdp_md md = { .data_end = f->len, .ingress_ifindex = harness.up0 };

	return run(harness.skel->progs.sluice_xdp, f, &md, sizeof(md), 0);
}

struct frame harness_establish(uint32_t ifindex, uint32_t back, struct ends ends)
{
	struct frame syn = frame_tcp(ends, SYN, 1000, 0, 0);
	struct frame answer, ack = frame_tcp(ends, ACK, 1001, 2001, 0);

	ck_assert_int_ne(run_ingress(ifindex, &syn), TC_DROP);
	answer = frame_tcp_answer(&syn, SYN | ACK, 2000, 1001, 0);
	ck_assert_int_ne(back ? run_ingress(back, &answer) : run_egress(ifindex, &answer), TC_DROP);
	ck_assert_int_ne(run_ingress(ifindex, &ack), TC_DROP);
	return syn;
}

/* Adds up the u64 of a per-CPU value. */
static void sum_cpus(const struct bpf_map *map, uint32_t index, void *ret, size_t size)
{
	int cpus = libbpf_num_possible_cpus();
	uint64_t *values = calloc(cpus, size), *sum = ret;

	memset(ret, 0, size);
	ck_assert_int_eq(bpf_map_lookup_elem(fd(map), &index, values), 0);
	for (size_t i = 0; i < cpus * size / 8; i++)
		sum[i % (size / 8)] += values[i];
	free(values);
}

struct sl_service_stats harness_service_stats(uint32_t service)
{
	struct sl_service_stats stats;

	sum_cpus(harness.skel->maps.stats_services, service, &stats, sizeof(stats));
	return stats;
}

struct sl_backend_stats harness_backend_stats(uint32_t backend)
{
	struct sl_backend_stats stats;

	sum_cpus(harness.skel->maps.stats_backends, backend, &stats, sizeof(stats));
	return stats;
}

uint64_t harness_losses(uint32_t service, enum sl_verdict reason)
{
	return harness_service_stats(service).losses[reason - SL_LOSS_FIRST];
}

int harness_count(const struct bpf_map *map)
{
	uint8_t key[64], next[64];
	int n = 0;

	if (bpf_map_get_next_key(fd(map), NULL, key))
		return 0;
	for (n = 1; bpf_map_get_next_key(fd(map), key, next) == 0; n++)
		memcpy(key, next, sizeof(key));
	return n;
}

/* The keys first: an update puts an entry to the front of its bucket, so that a
 * walk could meet the same two for ever. */
static void age_map(const struct bpf_map *map, uint32_t ticks)
{
	uint8_t keys[512][sizeof(struct sl_tuple6)];
	struct sl_flow6 flow; /* the longer one */
	void *previous = NULL;
	size_t n = 0;

	while (n < 512 && bpf_map_get_next_key(fd(map), previous, keys[n]) == 0)
		previous = keys[n++];
	ck_assert_uint_lt(n, 512);
	for (size_t i = 0; i < n; i++) {
		ck_assert_int_eq(bpf_map_lookup_elem(fd(map), keys[i], &flow), 0);
		flow.f.seen -= ticks;
		put(map, keys[i], &flow);
	}
}

void harness_age_flows(int seconds)
{
	uint32_t ticks = ticks_of(seconds);

	age_map(harness.skel->maps.new4, ticks);
	age_map(harness.skel->maps.new6, ticks);
	age_map(harness.skel->maps.established4, ticks);
	age_map(harness.skel->maps.established6, ticks);
}
