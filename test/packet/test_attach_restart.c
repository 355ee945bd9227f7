/* SPDX-License-Identifier: Apache-2.0 */

/* What a restart finds: links of an earlier run, others' programs, filters. */

#include "attach_fixture.h"

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>

START_TEST(a_restart_exchanges_programs_in_the_same_links)
{
	uint32_t ifindex = add_uplink("up0");

	options.xdp_mode = ATTACH_XDP_ON;
	start(&first);
	uint32_t ingress = link_id("tcx_ingress", ifindex);
	uint32_t egress = link_id("tcx_egress", ifindex), xdp = link_id("xdp", ifindex);
	stop();
	ck_assert(has_both_tcx(ifindex, &first));

	start(&second);
	ck_assert(has_both_tcx(ifindex, &second));
	ck_assert(!has_both_tcx(ifindex, &first));
	ck_assert_uint_eq(xdp_id(ifindex), id_of(second.xdp));
	ck_assert_uint_eq(link_id("tcx_ingress", ifindex), ingress);
	ck_assert_uint_eq(link_id("tcx_egress", ifindex), egress);
	ck_assert_uint_eq(link_id("xdp", ifindex), xdp);
}
END_TEST

/* Sends counted frames into the veth's other end until it is told to stop. */
static atomic_bool enough;

static void *send_frames(void *result)
{
	uint64_t *sent = result;
	char frame[COUNTED_BYTES] = { [12] = 0x88, [13] = 0xb5 };

	enter_namespace(other);
	struct sockaddr_ll to = {
		.sll_family = AF_PACKET,
		.sll_ifindex = (int)if_nametoindex("peer-pod1"),
	};
	sl_auto_fd int sock = socket(AF_PACKET, SOCK_RAW, 0);
	ck_assert_int_ge(sock, 0);
	memset(frame, 0xff, ETH_ALEN);
	while (!atomic_load(&enough)) {
		ck_assert_int_eq(
			sendto(sock, frame, sizeof(frame), 0, (struct sockaddr *)&to, sizeof(to)),
			sizeof(frame));
		*sent += 1;
		usleep(50);
	}
	return NULL;
}

/* Restarts ten times under traffic; each time the new program must be in. */
static void restart_under_traffic(uint32_t (*running)(uint32_t ifindex))
{
	uint32_t ifindex = add_veth("pod1");
	pthread_t sender;
	uint64_t sent = 0;

	start(&first);
	ck_assert_int_eq(pthread_create(&sender, NULL, send_frames, &sent), 0);
	for (int i = 0; i < 10; i++) {
		const struct programs *programs = i % 2 ? &first : &second;

		stop();
		start(programs);
		ck_assert_uint_eq(running(ifindex), id_of(programs->ingress));
	}
	atomic_store(&enough, true);
	pthread_join(sender, NULL);
	run_ms(50);
	ck_assert_uint_gt(sent, 1000);
	ck_assert_uint_eq(counted(), sent);
}

static uint32_t tcx_id(uint32_t ifindex)
{
	uint32_t ids[2] = { 0 }, n = SL_COUNT(ids);

	ck_assert_int_eq(
		bpf_prog_query((int)ifindex, (enum bpf_attach_type)TCX_INGRESS, 0, NULL, ids, &n),
		0);
	return ids[0];
}

START_TEST(no_frame_misses_the_programs_over_restarts)
{
	restart_under_traffic(tcx_id);
}
END_TEST

START_TEST(the_programs_see_frames_of_a_veth_once)
{
	pthread_t sender;
	uint64_t sent = 0;

	add_veth("pod1");
	start(&first);
	stop();
	start(&first);
	ck_assert_int_eq(pthread_create(&sender, NULL, send_frames, &sent), 0);
	usleep(20000);
	atomic_store(&enough, true);
	pthread_join(sender, NULL);
	run_ms(50);
	ck_assert_uint_eq(counted(), sent);
}
END_TEST

START_TEST(pins_of_interfaces_that_went_meanwhile_are_removed)
{
	uint32_t ifindex = add_veth("pod1");

	start(&first);
	stop();
	ip("link del pod1");
	ck_assert(is_pinned("tcx_ingress", ifindex));
	start(&second);
	ck_assert(!is_pinned("tcx_ingress", ifindex));
	ck_assert(!is_pinned("tcx_egress", ifindex));
}
END_TEST

START_TEST(an_ifindex_used_again_meanwhile_gets_new_links)
{
	uint32_t ifindex = add_veth("pod1");

	start(&first);
	stop();
	ip("link del pod1");
	ip("link add pod2 index %u type veth peer name p netns %d", ifindex, other);
	start(&second);
	ck_assert(has_both_tcx(ifindex, &second));
	ck_assert_str_eq(hook("pod2", "tcx/ingress"), "attached");
}
END_TEST

START_TEST(an_interface_that_lost_its_role_meanwhile_is_let_go)
{
	const struct attach_override none = { "up0", SL_ROLE_NONE };
	uint32_t ifindex = add_uplink("up0");

	options.xdp_mode = ATTACH_XDP_ON;
	start(&first);
	stop();
	options.overrides = &none;
	options.n_overrides = 1;
	start(&second);
	ck_assert(!is_pinned("tcx_ingress", ifindex));
	ck_assert_int_eq(tcx_place(ifindex, TCX_EGRESS, first.egress), -1);
	ck_assert_uint_eq(xdp_id(ifindex), 0);
}
END_TEST

START_TEST(xdp_switched_off_meanwhile_is_let_go)
{
	uint32_t ifindex = add_uplink("up0");

	options.xdp_mode = ATTACH_XDP_ON;
	start(&first);
	stop();
	options.xdp_mode = ATTACH_XDP_OFF;
	start(&second);
	ck_assert_uint_eq(xdp_id(ifindex), 0);
	ck_assert(has_both_tcx(ifindex, &second));
}
END_TEST

START_TEST(a_link_on_another_namespace_s_interface_is_not_taken_for_ours)
{
	uint32_t ifindex = add_veth("pod1");
	pid_t third;

	start(&first);
	stop();
	third = new_namespace();
	enter_namespace(third);
	ip("link add pod1 index %u type veth peer name p netns %d", ifindex, other);
	start(&second);
	ck_assert(has_both_tcx(ifindex, &second));
	kill(third, SIGKILL);
}
END_TEST

START_TEST(instances_in_two_namespaces_do_not_see_each_other)
{
	uint32_t ifindex = add_veth("pod1");
	struct attach *ours;
	char pins[sizeof(folder)];
	pid_t third;

	start(&first);
	ours = attach;
	strcpy(pins, folder);
	third = new_namespace();
	enter_namespace(third);
	ip("link add pod2 index %u type veth peer name p netns %d", ifindex, other);
	strcat(folder, "-other");
	ck_assert_int_eq(mkdir(folder, 0700), 0);
	start(&second);
	ck_assert_str_eq(described("pod1", "role"), "");
	ck_assert_str_eq(described("pod2", "role"), "pod");
	ck_assert(has_both_tcx(ifindex, &second));
	ck_assert_int_eq(attach_remove(folder), 0);
	ck_assert(!has_both_tcx(ifindex, &second));
	attach_free(attach);
	run_ms(10);
	kill(third, SIGKILL);

	strcpy(folder, pins);
	attach = ours;
	ck_assert(is_pinned("tcx_ingress", ifindex));
	ck_assert_str_eq(described("pod1", "role"), "pod");
}
END_TEST

/* What XDP the uplink had at the moment that its change was told. */
static uint32_t xdp_at_change;

static void on_change_look_at_xdp(void *context)
{
	xdp_at_change = xdp_id(*(const uint32_t *)context);
}

START_TEST(a_program_is_off_before_the_change_is_told)
{
	uint32_t ifindex = add_uplink("up0");

	options.xdp_mode = ATTACH_XDP_ON;
	options.changed = on_change_look_at_xdp;
	options.context = &ifindex;
	start(&first);
	for (int i = 0; i < 5; i++) {
		xdp_at_change = 1;
		ip("route del default");
		AWAIT(strcmp(described("up0", "role"), "pod") == 0);
		ck_assert_uint_eq(xdp_at_change, 0);
		ip("route add default via 192.0.2.1 dev up0");
		AWAIT(xdp_id(ifindex) == id_of(first.xdp));
	}
	ck_assert_str_eq(hook("up0", "xdp"), "attached");
}
END_TEST

static const uint32_t xdp_modes[] = { XDP_FLAGS_DRV_MODE, XDP_FLAGS_SKB_MODE };

START_TEST(another_s_xdp_program_is_left_alone_until_it_goes)
{
	uint32_t ifindex = add_uplink("up0");
	int foreign = load_trivial(BPF_PROG_TYPE_XDP, "foreign", XDP_PASS);
	char want[128];

	ck_assert_int_eq(bpf_xdp_attach((int)ifindex, foreign, xdp_modes[_i], NULL), 0);
	options.xdp_mode = ATTACH_XDP_ON;
	start(&first);
	snprintf(want, sizeof(want), "failed: another XDP program is there (id %u)",
		 id_of(foreign));
	ck_assert_str_eq(hook("up0", "xdp"), want);
	ck_assert_uint_eq(xdp_id(ifindex), id_of(foreign));
	ck_assert(has_both_tcx(ifindex, &first));

	ck_assert_int_eq(bpf_xdp_detach((int)ifindex, xdp_modes[_i], NULL), 0);
	AWAIT(xdp_id(ifindex) == id_of(first.xdp));
	ck_assert_str_eq(hook("up0", "xdp"), "attached");
}
END_TEST

START_TEST(among_others_ours_is_first_at_ingress_and_last_at_egress)
{
	uint32_t ifindex = add_veth("pod1");
	int foreign = load_trivial(BPF_PROG_TYPE_SCHED_CLS, "foreign", -1);
	LIBBPF_OPTS(bpf_link_create_opts, opts);

	for (int type = TCX_INGRESS; type <= TCX_EGRESS; type++)
		ck_assert_int_ge(
			bpf_link_create(foreign, (int)ifindex, (enum bpf_attach_type)type, &opts),
			0);
	start(&first);
	ck_assert_int_eq(tcx_place(ifindex, TCX_INGRESS, first.ingress), 0);
	ck_assert_int_eq(tcx_place(ifindex, TCX_INGRESS, foreign), 1);
	ck_assert_int_eq(tcx_place(ifindex, TCX_EGRESS, foreign), 0);
	ck_assert_int_eq(tcx_place(ifindex, TCX_EGRESS, first.egress), 1);
	stop();
	start(&second);
	ck_assert_int_eq(tcx_place(ifindex, TCX_INGRESS, second.ingress), 0);
	ck_assert_int_eq(tcx_place(ifindex, TCX_EGRESS, second.egress), 1);
}
END_TEST

START_TEST(tc_refused_means_no_xdp)
{
	uint32_t ifindex = add_uplink("up0");

	options.xdp_mode = ATTACH_XDP_ON;
	options.links = "/sys/fs/bpf/attach-no-such-folder";
	start(&first);
	ck_assert_str_eq(hook("up0", "tcx/ingress"),
			 "failed: pinning the link: No such file or directory");
	ck_assert_str_eq(hook("up0", "xdp"), "skipped: not without TC");
	ck_assert_uint_eq(xdp_id(ifindex), 0);
}
END_TEST

START_TEST(removal_takes_links_off)
{
	uint32_t ifindex = add_uplink("up0");

	options.xdp_mode = ATTACH_XDP_ON;
	start(&first);
	stop();
	ck_assert_int_eq(attach_remove(folder), 0);
	ck_assert_int_eq(tcx_place(ifindex, TCX_INGRESS, first.ingress), -1);
	ck_assert_int_eq(tcx_place(ifindex, TCX_EGRESS, first.egress), -1);
	ck_assert_uint_eq(xdp_id(ifindex), 0);
	ck_assert_int_eq(attach_remove(folder), 0);
	ck_assert_int_eq(attach_remove("/sys/fs/bpf/attach-no-such-folder"), 0);
}
END_TEST

/* The program of our clsact filter, by the place that is part of the contract
 * with earlier and later versions; 0 if there is none. */
static uint32_t filter_id(uint32_t ifindex, enum bpf_tc_attach_point point)
{
	LIBBPF_OPTS(bpf_tc_hook, at, .ifindex = (int)ifindex, .attach_point = point);
	LIBBPF_OPTS(bpf_tc_opts, filter, .handle = 0x736c6365,
		    .priority = point == BPF_TC_INGRESS ? 7 : 0xf5ce);

	return bpf_tc_query(&at, &filter) == 0 ? filter.prog_id : 0;
}

static void add_foreign_filter(uint32_t ifindex, uint32_t handle, uint32_t priority, int program)
{
	LIBBPF_OPTS(bpf_tc_hook, at, .ifindex = (int)ifindex, .attach_point = BPF_TC_INGRESS);
	LIBBPF_OPTS(bpf_tc_opts, filter, .handle = handle, .priority = priority,
		    .prog_fd = program);

	bpf_tc_hook_create(&at);
	ck_assert_int_eq(bpf_tc_attach(&at, &filter), 0);
}

START_TEST(without_tcx_there_are_clsact_filters)
{
	uint32_t ifindex = add_veth("pod1");

	options.no_tcx = true;
	start(&first);
	ck_assert_str_eq(hook("pod1", "tc/ingress"), "attached");
	ck_assert_str_eq(hook("pod1", "tc/egress"), "attached");
	ck_assert_uint_eq(filter_id(ifindex, BPF_TC_INGRESS), id_of(first.ingress));
	ck_assert_uint_eq(filter_id(ifindex, BPF_TC_EGRESS), id_of(first.egress));
	ck_assert(!is_pinned("tcx_ingress", ifindex));

	uint32_t live = add_veth("pod2");
	AWAIT(filter_id(live, BPF_TC_EGRESS) == id_of(first.egress));
}
END_TEST

static uint32_t ingress_filter_id(uint32_t ifindex)
{
	return filter_id(ifindex, BPF_TC_INGRESS);
}

START_TEST(no_frame_misses_the_filters_over_restarts)
{
	options.no_tcx = true;
	restart_under_traffic(ingress_filter_id);
}
END_TEST

START_TEST(others_filters_stay_and_ours_go_with_the_role)
{
	const struct attach_override none = { "pod1", SL_ROLE_NONE };
	uint32_t ifindex = add_veth("pod1");
	int foreign = load_trivial(BPF_PROG_TYPE_SCHED_CLS, "foreign", -1);
	LIBBPF_OPTS(bpf_tc_hook, at, .ifindex = (int)ifindex, .attach_point = BPF_TC_INGRESS);
	LIBBPF_OPTS(bpf_tc_opts, theirs, .handle = 1, .priority = 1);

	add_foreign_filter(ifindex, 1, 1, foreign);
	options.no_tcx = true;
	start(&first);
	ck_assert_uint_eq(filter_id(ifindex, BPF_TC_INGRESS), id_of(first.ingress));
	stop();
	options.overrides = &none;
	options.n_overrides = 1;
	start(&second);
	ck_assert_uint_eq(filter_id(ifindex, BPF_TC_INGRESS), 0);
	ck_assert_uint_eq(filter_id(ifindex, BPF_TC_EGRESS), 0);
	ck_assert_int_eq(bpf_tc_query(&at, &theirs), 0);
	ck_assert_uint_eq(theirs.prog_id, id_of(foreign));
}
END_TEST

START_TEST(another_s_filter_in_our_place_is_left_alone)
{
	uint32_t ifindex = add_veth("pod1");
	int foreign = load_trivial(BPF_PROG_TYPE_SCHED_CLS, "foreign", -1);

	add_foreign_filter(ifindex, 0x736c6365, 7, foreign);
	options.no_tcx = true;
	start(&first);
	ck_assert_ptr_eq(strstr(hook("pod1", "tc/ingress"), "failed: another program"),
			 hook("pod1", "tc/ingress"));
	ck_assert_str_eq(hook("pod1", "tc/egress"), "attached");
	ck_assert_int_eq(attach_remove(folder), 0);
	ck_assert_uint_eq(filter_id(ifindex, BPF_TC_INGRESS), id_of(foreign));
	ck_assert_uint_eq(filter_id(ifindex, BPF_TC_EGRESS), 0);
}
END_TEST

START_TEST(an_ifindex_used_again_gets_filters_again)
{
	uint32_t ifindex = add_veth("pod1");

	options.no_tcx = true;
	start(&first);
	ip("link del pod1");
	ip("link add pod2 index %u type veth peer name p netns %d", ifindex, other);
	AWAIT(filter_id(ifindex, BPF_TC_INGRESS) == id_of(first.ingress));
}
END_TEST

static void add_tests(TCase *tc)
{
	tcase_add_test(tc, a_restart_exchanges_programs_in_the_same_links);
	tcase_add_test(tc, no_frame_misses_the_programs_over_restarts);
	tcase_add_test(tc, the_programs_see_frames_of_a_veth_once);
	tcase_add_test(tc, pins_of_interfaces_that_went_meanwhile_are_removed);
	tcase_add_test(tc, an_ifindex_used_again_meanwhile_gets_new_links);
	tcase_add_test(tc, an_interface_that_lost_its_role_meanwhile_is_let_go);
	tcase_add_test(tc, xdp_switched_off_meanwhile_is_let_go);
	tcase_add_test(tc, a_link_on_another_namespace_s_interface_is_not_taken_for_ours);
	tcase_add_test(tc, instances_in_two_namespaces_do_not_see_each_other);
	tcase_add_test(tc, a_program_is_off_before_the_change_is_told);
	tcase_add_loop_test(tc, another_s_xdp_program_is_left_alone_until_it_goes, 0,
			    SL_COUNT(xdp_modes));
	tcase_add_test(tc, among_others_ours_is_first_at_ingress_and_last_at_egress);
	tcase_add_test(tc, tc_refused_means_no_xdp);
	tcase_add_test(tc, removal_takes_links_off);
	tcase_add_test(tc, without_tcx_there_are_clsact_filters);
	tcase_add_test(tc, no_frame_misses_the_filters_over_restarts);
	tcase_add_test(tc, others_filters_stay_and_ours_go_with_the_role);
	tcase_add_test(tc, another_s_filter_in_our_place_is_left_alone);
	tcase_add_test(tc, an_ifindex_used_again_gets_filters_again);
}

int main(void)
{
	return run_suite("attach-restart", add_tests);
}
