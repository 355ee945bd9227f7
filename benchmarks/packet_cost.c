/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What a packet costs in the datapath: the shipped object by
 * BPF_PROG_TEST_RUN, each case in turn with a program that does nothing, in
 * many rounds. Printed is the median over the rounds, and the spread between
 * the quartiles, of what the case costs above the program that does nothing.
 */

#include <bpf/bpf.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "packet_cost.skel.h"
#include "test/packet/harness.h"

#define ROUNDS_MAX 1000
#define FIRST_PORT 20000
#define NOT_A_SERVICE "192.0.2.99"

struct measured {
	const char *name;
	bool xdp;
	uint32_t ifindex;
	struct ends ends;
	bool bare; /* the program that does nothing */
	double ns[ROUNDS_MAX];
};

static struct packet_cost *wrap;
static int rounds = 30, packets = 200000, flows = 1000;

static void target(bool xdp, bool bare)
{
	const struct bpf_program *program =
		xdp    ? bare ? wrap->progs.bare_xdp : harness.skel->progs.sluice_xdp
		: bare ? wrap->progs.bare_tc
		       : harness.skel->progs.sluice_ingress;
	int map = bpf_map__fd(xdp ? wrap->maps.xdp_target : wrap->maps.tc_target);
	int fd = bpf_program__fd(program);
	uint32_t zero = 0;

	if (bpf_map_update_elem(map, &zero, &fd, BPF_ANY)) {
		fprintf(stderr, "packet-cost: can't call the program: %s\n", strerror(errno));
		exit(EXIT_FAILURE);
	}
}

static double sample(const struct measured *m)
{
	struct frame f = frame_tcp(m->ends, ACK, 1001, 2001, 6);
	struct __sk_buff skb = { .ifindex = m->ifindex };
	struct xdp_md md = { .data_end = f.len, .ingress_ifindex = m->ifindex };
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = f.data, .data_size_in = f.len,
		    .repeat = packets);
	int fd = bpf_program__fd(m->xdp ? wrap->progs.wrap_xdp : wrap->progs.wrap_tc);

	memcpy(wrap->bss->headers, f.data, sizeof(wrap->bss->headers));
	wrap->bss->first_port = FIRST_PORT;
	wrap->data->flows = flows;
	opts.ctx_in = m->xdp ? (void *)&md : (void *)&skb;
	opts.ctx_size_in = m->xdp ? sizeof(md) : sizeof(skb);
	target(m->xdp, m->bare);
	if (bpf_prog_test_run_opts(fd, &opts)) {
		fprintf(stderr, "packet-cost: %s: %s\n", m->name, strerror(errno));
		exit(EXIT_FAILURE);
	}
	return opts.duration;
}

static void establish(const struct measured *m)
{
	for (int i = 0; i < flows; i++) {
		struct ends e = m->ends;
		bool redirected = strcmp(e.daddr, VIP4) == 0;

		e.sport = FIRST_PORT + i;
		harness_establish(m->ifindex, redirected ? harness.up0 : 0, e);
	}
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

/* What the case cost above the bare program, round by round. */
static void report(const struct measured *m, const struct measured *bare)
{
	double over[ROUNDS_MAX];

	for (int i = 0; i < rounds; i++)
		over[i] = m->bare ? m->ns[i] : m->ns[i] - bare->ns[i];
	qsort(over, rounds, sizeof(*over), by_value);
	printf("%-52s %6.0f ns  (%.0f ... %.0f)\n", m->name, over[rounds / 2], over[rounds / 4],
	       over[rounds * 3 / 4]);
}

static void services(void)
{
	struct service_spec vip = {
		.kind = SL_KIND_LOAD_BALANCER,
		.addr = VIP4,
		.proto = IPPROTO_TCP,
		.port = 80,
		.backends = { REMOTE4 },
		.target_port = 8080,
	};
	struct service_spec local = vip;

	harness_service(&vip, NULL);
	local.addr = "203.0.113.2";
	local.backends[0] = POD4;
	harness_service(&local, NULL);
	local.kind = SL_KIND_CLUSTER_IP;
	local.addr = CLUSTER4;
	local.backends[0] = REMOTE4;
	harness_service(&local, NULL);
}

static int number(const char *text, int max)
{
	int n = atoi(text);

	if (n < 1 || n > max) {
		fprintf(stderr, "packet-cost: \"%s\" is not in 1 ... %d\n", text, max);
		exit(2);
	}
	return n;
}

static void options(int argc, char **argv)
{
	int c;

	while ((c = getopt(argc, argv, "r:p:f:h")) != -1) {
		if (c == 'r') {
			rounds = number(optarg, ROUNDS_MAX);
		} else if (c == 'p') {
			packets = number(optarg, 10000000);
		} else if (c == 'f') {
			flows = number(optarg, 2000);
		} else {
			puts("usage: packet-cost [-r ROUNDS] [-p PACKETS a sample] [-f FLOWS]");
			exit(c == 'h' ? EXIT_SUCCESS : 2);
		}
	}
}

static struct measured all[] = {
	{ "xdp: returns XDP_TX only (harness alone)", true, 0, {}, true, {} },
	{ "xdp: no service traffic", true, 0, { CLIENT4, 1, NOT_A_SERVICE, 80 }, false, {} },
	{ "xdp: established TCP, DNAT, to the stack", true, 0, { CLIENT4, 1, "203.0.113.2", 80 },
	  false, {} },
	{ "xdp: established TCP, SNAT, FIB lookup, redirect", true, 0, { CLIENT4, 1, VIP4, 80 },
	  false, {} },
	{ "tc: returns TCX_NEXT only (harness alone)", false, 0, {}, true, {} },
	{ "tc: no service traffic", false, 0, { POD4, 1, NOT_A_SERVICE, 80 }, false, {} },
	{ "tc: established TCP of a pod, DNAT, to the stack", false, 0, { POD4, 1, CLUSTER4, 80 },
	  false, {} },
};

/* A Check test, because the packet tests' harness asserts by Check. */
START_TEST(measure)
{
	services();
	wrap = packet_cost__open_and_load();
	ck_assert_ptr_nonnull(wrap);
	for (size_t i = 0; i < SL_COUNT(all); i++) {
		all[i].ifindex = all[i].xdp ? harness.up0 : harness.pod0;
		if (all[i].bare)
			all[i].ends = (struct ends){ CLIENT4, 1, VIP4, 80 };
		else if (strcmp(all[i].ends.daddr, NOT_A_SERVICE))
			establish(&all[i]);
	}
	for (int r = 0; r < rounds; r++) {
		for (size_t i = 0; i < SL_COUNT(all); i++)
			all[i].ns[r] = sample(&all[i]);
	}

	printf("%d rounds of %d packets over %d flows; median (quartiles), above the harness\n",
	       rounds, packets, flows);
	for (size_t i = 0; i < SL_COUNT(all); i++)
		report(&all[i], all[i].xdp ? &all[0] : &all[4]);
	packet_cost__destroy(wrap);
}
END_TEST

int main(int argc, char **argv)
{
	Suite *suite = suite_create("packet-cost");
	SRunner *runner = srunner_create(suite);
	int failed;

	options(argc, argv);
	harness.snat_count = 4000;
	tcase_add_test(harness_case(suite, "packet-cost"), measure);
	srunner_set_fork_status(runner, CK_NOFORK);
	srunner_run_all(runner, CK_MINIMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
