/* SPDX-License-Identifier: Apache-2.0 */

/*
 * ICMP errors about translated packets, at every hook that a flow uses: towards
 * the backend and towards the client, from the end itself and from a router.
 */

#include <arpa/inet.h>
#include <string.h>

#include <bpf/bpf.h>

#include "test/packet/frame_icmp.h"
#include "test/packet/harness.h"

#define STEPS 2

static const uint8_t up0_mac[6] = { 2, 0, 0, 0, 0, 2 };
static const uint8_t gateway_mac[6] = { 2, 0, 0, 0, 1, 0x01 };
static const uint8_t router_mac[6] = { 2, 0, 0, 0, 1, 0x20 };

enum where { TC_IN, TC_OUT, XDP };
enum link { POD0, UP0, TUN0 };

/* How a request and its answer are translated, one step a hook. */
struct way {
	const char *name;
	const char *client[2], *backend[2]; /* by family */
	bool compatible;
	bool redirects; /* both ends, and straight on */
	bool hairpin;
	int steps;
	struct {
		enum where where;
		enum link link;
	} forwards[STEPS], backwards[STEPS];
};

static const struct way ways[] = {
	{ "outside to a local backend",
	  { CLIENT4, CLIENT6 },
	  { POD4, POD6 },
	  .steps = 1,
	  .forwards = { { TC_IN, UP0 } },
	  .backwards = { { TC_OUT, UP0 } } },
	{ "outside to a local backend, by XDP",
	  { CLIENT4, CLIENT6 },
	  { POD4, POD6 },
	  .steps = 1,
	  .forwards = { { XDP, UP0 } },
	  .backwards = { { TC_OUT, UP0 } } },
	{ "a pod to another one",
	  { POD4, POD6 },
	  { REMOTE4, REMOTE6 },
	  .steps = 1,
	  .forwards = { { TC_IN, POD0 } },
	  .backwards = { { TC_OUT, POD0 } } },
	{ "outside to a remote backend, redirected",
	  { CLIENT4, CLIENT6 },
	  { REMOTE4, REMOTE6 },
	  .steps = 1,
	  .redirects = true,
	  .forwards = { { TC_IN, UP0 } },
	  .backwards = { { TC_IN, UP0 } } },
	{ "outside to a remote backend, redirected by XDP",
	  { CLIENT4, CLIENT6 },
	  { REMOTE4, REMOTE6 },
	  .steps = 1,
	  .redirects = true,
	  .forwards = { { XDP, UP0 } },
	  .backwards = { { XDP, UP0 } } },
	{ "outside to a backend behind a tunnel",
	  { CLIENT4, CLIENT6 },
	  { TUNNELLED4, TUNNELLED6 },
	  .steps = 2,
	  .forwards = { { TC_IN, UP0 }, { TC_OUT, TUN0 } },
	  .backwards = { { TC_OUT, UP0 }, { TC_IN, TUN0 } } },
	{ "outside to a backend behind a tunnel, by XDP",
	  { CLIENT4, CLIENT6 },
	  { TUNNELLED4, TUNNELLED6 },
	  .steps = 2,
	  .forwards = { { XDP, UP0 }, { TC_OUT, TUN0 } },
	  .backwards = { { TC_OUT, UP0 }, { TC_IN, TUN0 } } },
	{ "outside to a local backend of a compatible node",
	  { CLIENT4, CLIENT6 },
	  { POD4, POD6 },
	  .compatible = true,
	  .steps = 2,
	  .forwards = { { TC_IN, UP0 }, { TC_OUT, POD0 } },
	  .backwards = { { TC_OUT, UP0 }, { TC_IN, POD0 } } },
	{ "a pod to a remote one of a compatible node",
	  { POD4, POD6 },
	  { REMOTE4, REMOTE6 },
	  .compatible = true,
	  .steps = 2,
	  .forwards = { { TC_IN, POD0 }, { TC_OUT, UP0 } },
	  .backwards = { { TC_OUT, POD0 }, { TC_IN, UP0 } } },
	{ "a pod to itself",
	  { POD4, POD6 },
	  { POD4, POD6 },
	  .steps = 1,
	  .hairpin = true,
	  .forwards = { { TC_IN, POD0 } },
	  .backwards = { { TC_IN, POD0 } } },
};

#define WAYS	 (sizeof(ways) / sizeof(ways[0]))
#define VARIANTS (WAYS * 4) /* of two families and two protocols */

/* A flow that was opened: its ends before, between and after the steps. */
struct opened {
	const struct way *way;
	int v6;
	uint8_t proto;
	char addrs[STEPS + 1][2][INET6_ADDRSTRLEN];
	struct ends ends[STEPS + 1];
};

static uint32_t ifindex_of(enum link link)
{
	return link == POD0 ? harness.pod0 : link == UP0 ? harness.up0 : harness.tun0;
}

static int run_at(enum where where, enum link link, struct frame *f)
{
	switch (where) {
	case TC_IN:
		return run_ingress(ifindex_of(link), f);
	case TC_OUT:
		return run_egress(ifindex_of(link), f);
	default:
		return run_xdp(f);
	}
}

static void take_ends(struct opened *o, int step, const struct frame *f)
{
	const uint8_t *saddr = f->data + (o->v6 ? 14 + 8 : 14 + 12);
	const uint8_t *ports = f->data + (o->v6 ? 14 + 40 : 14 + 20);
	int family = o->v6 ? AF_INET6 : AF_INET;

	inet_ntop(family, saddr, o->addrs[step][0], INET6_ADDRSTRLEN);
	inet_ntop(family, saddr + (o->v6 ? 16 : 4), o->addrs[step][1], INET6_ADDRSTRLEN);
	o->ends[step] = (struct ends) { o->addrs[step][0], ports[0] << 8 | ports[1],
					o->addrs[step][1], ports[2] << 8 | ports[3] };
}

/* A packet of the flow, as large as they come. */
static struct frame packet(const struct opened *o, struct ends ends)
{
	struct frame f = o->proto == IPPROTO_TCP ? frame_tcp(ends, ACK, 5000, 6000, 100)
						 : frame_udp(ends, 100);

	frame_set_ttl(&f, 1);
	return f;
}

static struct ends turned(struct ends e)
{
	return (struct ends) { e.daddr, e.dport, e.saddr, e.sport };
}

static void open_flow(struct opened *o, const struct way *way, int v6, uint8_t proto)
{
	struct sl_node node = { .detect4 = SL_DETECT_INTERFACE,
				.detect6 = SL_DETECT_INTERFACE,
				.compatible = way->compatible };
	struct service_spec spec = {
		.kind = SL_KIND_LOAD_BALANCER,
		.addr = v6 ? VIP6 : VIP4,
		.proto = proto,
		.port = 80,
		.backends = { way->backend[v6] },
		.target_port = 8080,
	};
	struct ends ends = { way->client[v6], 40000, v6 ? VIP6 : VIP4, 80 };
	struct frame f =
		proto == IPPROTO_TCP ? frame_tcp(ends, SYN, 1000, 0, 0) : frame_udp(ends, 20);

	memset(spec.path, way->compatible ? SL_CHOOSE_CLUSTER | SL_MASQUERADE : SL_CHOOSE_CLUSTER,
	       sizeof(spec.path));
	harness_set_node(&node);
	harness_service(&spec, NULL);
	*o = (struct opened) { .way = way, .v6 = v6, .proto = proto };
	take_ends(o, 0, &f);
	for (int i = 0; i < way->steps; i++) {
		run_at(way->forwards[i].where, way->forwards[i].link, &f);
		take_ends(o, i + 1, &f);
	}
}

static void assert_translated(const struct opened *o)
{
	int last = o->way->steps, family = o->v6 ? AF_INET6 : AF_INET;
	uint8_t daddr[2][16] = {};

	inet_pton(family, o->ends[last].daddr, daddr[0]);
	inet_pton(family, o->way->backend[o->v6], daddr[1]);
	ck_assert_mem_eq(daddr[0], daddr[1], 16);
	if (!o->way->redirects && !o->way->hairpin && last == 1)
		ck_assert_uint_eq(o->ends[last].sport, 40000);
	else
		ck_assert_uint_ge(o->ends[last].sport, SNAT_FIRST);
	ck_assert_uint_eq(o->ends[last].dport, 8080);
}

/* How the frame goes on besides being translated. */
static int expect_forward(const struct opened *o, enum where where, bool to_backend,
			  struct frame *want)
{
	if (o->way->hairpin) {
		frame_swap_macs(want);
		return TC_REDIRECT;
	}
	if (!o->way->redirects)
		return where == XDP ? XDP_PASS : TC_NEXT;
	frame_set_ttl(want, 63);
	if (where != XDP)
		return TC_REDIRECT;
	frame_set_macs(want, to_backend ? router_mac : gateway_mac, up0_mac);
	return XDP_TX;
}

/* An error from `source` about an answer, on its way to the backend, at one step. */
static void check_forwards(const struct opened *o, int i, const char *source,
			   const struct icmp_kind *kind, uint32_t quote)
{
	struct ends in = o->ends[i], out = o->ends[i + 1];
	struct frame old = packet(o, turned(in)), new = packet(o, turned(out));
	struct frame f = frame_icmp(source, in.daddr, kind, &old, quote);
	bool snat = strcmp(in.saddr, out.saddr) != 0;
	struct frame want = frame_icmp(snat ? out.saddr : source, out.daddr, kind, &new, quote);
	enum where where = o->way->forwards[i].where;
	int verdict = expect_forward(o, where, true, &want);

	ck_assert_int_eq(run_at(where, o->way->forwards[i].link, &f), verdict);
	frame_assert_same(&f, &want);
	ck_assert(frame_checksums_right(&f));
}

/* An error from `source` about a request, on its way to the client. */
static void check_backwards(const struct opened *o, int i, const char *source,
			    const struct icmp_kind *kind, uint32_t quote)
{
	struct ends in = o->ends[i + 1], out = o->ends[i];
	struct frame old = packet(o, in), new = packet(o, out);
	struct frame f = frame_icmp(source, in.saddr, kind, &old, quote);
	const char *shown = strcmp(source, in.daddr) ? source : out.daddr;
	struct frame want = frame_icmp(shown, out.saddr, kind, &new, quote);
	enum where where = o->way->backwards[i].where;
	int verdict = expect_forward(o, where, false, &want);

	ck_assert_int_eq(run_at(where, o->way->backwards[i].link, &f), verdict);
	frame_assert_same(&f, &want);
	ck_assert(frame_checksums_right(&f));
}

static void each_error(const struct opened *o, bool backwards)
{
	const char *router = o->v6 ? "2001:db8:99::1" : "198.18.99.1";
	const struct icmp_kind *kinds = o->v6 ? icmp_kinds6 : icmp_kinds4;
	uint32_t header = o->v6 ? 40 : 20;
	/* The least, in the middle of a TCP header, and all of it. */
	uint32_t quotes[] = { header + 8, header + 12, QUOTE_ALL };

	for (int i = 0; i < o->way->steps; i++) {
		const char *end = backwards ? o->ends[i + 1].daddr : o->ends[i].saddr;

		for (int k = 0; k < ICMP_KINDS; k++) {
			for (int q = 0; q < 3; q++) {
				if (backwards) {
					check_backwards(o, i, end, &kinds[k], quotes[q]);
					check_backwards(o, i, router, &kinds[k], quotes[q]);
				} else {
					check_forwards(o, i, end, &kinds[k], quotes[q]);
					check_forwards(o, i, router, &kinds[k], quotes[q]);
				}
			}
		}
	}
}

static void open_variant(struct opened *o, int variant)
{
	const struct way *way = &ways[variant / 4];
	int v6 = variant & 1;
	uint8_t proto = variant & 2 ? IPPROTO_UDP : IPPROTO_TCP;

	/* Shown by a failure: which variant it was. */
	fprintf(stderr, "%s, IPv%d, protocol %u\n", way->name, v6 ? 6 : 4, proto);
	open_flow(o, way, v6, proto);
	assert_translated(o);
}

START_TEST(errors_about_answers_reach_the_backend)
{
	struct opened o;

	open_variant(&o, _i);
	each_error(&o, false);
}
END_TEST

START_TEST(errors_about_requests_reach_the_client)
{
	struct opened o;

	open_variant(&o, _i);
	each_error(&o, true);
}
END_TEST

/* Everything in a map, one after the other. */
static size_t dump(const struct bpf_map *map, uint8_t *to, size_t room)
{
	size_t key_size = bpf_map__key_size(map), size = bpf_map__value_size(map), used = 0;
	void *previous = NULL;

	while (used + key_size + size <= room &&
	       bpf_map_get_next_key(bpf_map__fd(map), previous, to + used) == 0) {
		previous = to + used;
		ck_assert_int_eq(
			bpf_map_lookup_elem(bpf_map__fd(map), previous, to + used + key_size), 0);
		used += key_size + size;
	}
	return used;
}

static size_t dump_flows(uint8_t *to, size_t room)
{
	struct sluice *s = harness.skel;
	const struct bpf_map *maps[] = { s->maps.new4,	       s->maps.new6,  s->maps.established4,
					 s->maps.established6, s->maps.snat4, s->maps.snat6 };
	size_t used = 0;

	for (int i = 0; i < 6; i++)
		used += dump(maps[i], to + used, room - used);
	return used;
}

START_TEST(errors_change_no_flow)
{
	static uint8_t before[4096], after[4096];
	struct opened o;
	size_t n;

	open_variant(&o, 4 * _i + _i % 2);
	harness_age_flows(5);
	n = dump_flows(before, sizeof(before));
	each_error(&o, false);
	each_error(&o, true);
	ck_assert_uint_eq(dump_flows(after, sizeof(after)), n);
	ck_assert_mem_eq(after, before, n);
	ck_assert_uint_eq(n, (o.v6 ? 128 : 80) * 2 * o.way->steps);
}
END_TEST

static void forget(const struct bpf_map *map)
{
	uint8_t key[64];

	while (bpf_map_get_next_key(bpf_map__fd(map), NULL, key) == 0)
		ck_assert_int_eq(bpf_map_delete_elem(bpf_map__fd(map), key), 0);
}

/* Also when a flood has evicted what they left behind among the young ones. */
START_TEST(established_flows_have_their_errors_translated)
{
	struct sluice *s = harness.skel;
	struct opened o;

	open_variant(&o, _i);
	harness_establish(harness.up0, o.way->redirects ? harness.up0 : 0, o.ends[0]);
	ck_assert_int_eq(harness_count(o.v6 ? s->maps.established6 : s->maps.established4), 2);
	each_error(&o, false);
	forget(o.v6 ? s->maps.new6 : s->maps.new4);
	each_error(&o, false);
	each_error(&o, true);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("icmp");
	TCase *tcase = harness_case(suite, "errors of flows");

	tcase_add_loop_test(tcase, errors_about_answers_reach_the_backend, 0, VARIANTS);
	tcase_add_loop_test(tcase, errors_about_requests_reach_the_client, 0, VARIANTS);
	tcase_add_loop_test(tcase, errors_change_no_flow, 0, WAYS);
	tcase_add_loop_test(tcase, established_flows_have_their_errors_translated, 0, 2);
	tcase_add_loop_test(tcase, established_flows_have_their_errors_translated, 12, 14);
	return harness_run(suite);
}
