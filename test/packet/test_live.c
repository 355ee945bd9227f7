/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Packets that test runs can't make, sent into the pod's veth: their headers
 * are not linear, or a tag or a checksum is beside them. They come back, since
 * the service's backend is the pod itself.
 */

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/virtio_net.h>
#include <net/if.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "test/packet/harness.h"

#define RING_BLOCK 16384
#define WAIT_MS	   2000

struct place {
	const char *pod, *vip, *node;
	uint32_t ip; /* bytes of the IP header */
};

static const struct place places[] = {
	{ POD4, VIP4, NODE4, 20 },
	{ POD6, VIP6, NODE6, 40 },
};

static int sock;

static int open_socket(void)
{
	struct sockaddr_ll at = { .sll_family = AF_PACKET,
				  .sll_protocol = htons(ETH_P_ALL),
				  .sll_ifindex = (int)if_nametoindex("pod1") };
	int fd = socket(AF_PACKET, SOCK_RAW, 0), one = 1;

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &one, sizeof(one)), 0);
	ck_assert_int_eq(setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &one, sizeof(one)), 0);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	return fd;
}

static void detach(void)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = (int)harness.pod0,
		    .attach_point = BPF_TC_INGRESS | BPF_TC_EGRESS);

	bpf_tc_hook_destroy(&hook);
}

static void attach(void)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = (int)harness.pod0,
		    .attach_point = BPF_TC_INGRESS);
	LIBBPF_OPTS(bpf_tc_opts, opts,
		    .prog_fd = bpf_program__fd(harness.skel->progs.sluice_ingress));

	detach(); /* a failed test leaves its own */
	ck_assert_int_eq(bpf_tc_hook_create(&hook), 0);
	ck_assert_int_eq(bpf_tc_attach(&hook, &opts), 0);
	sock = open_socket();
}

static uint32_t serve(const struct place *p, uint8_t proto, enum sl_choice choice)
{
	struct service_spec spec = {
		.kind = SL_KIND_LOAD_BALANCER,
		.addr = p->vip,
		.proto = proto,
		.port = 80,
		.backends = { p->pod },
		.target_port = 8080,
		.path = { choice, choice, choice },
	};

	return harness_service(&spec, NULL);
}

/* Sends `f` out of the pod; its checksum is unfinished if `start` is not 0. */
static void send_frame(const struct frame *f, uint16_t start, uint16_t offset)
{
	uint8_t buffer[sizeof(struct virtio_net_hdr) + FRAME_MAX];
	struct virtio_net_hdr head = {
		.flags = start ? VIRTIO_NET_HDR_F_NEEDS_CSUM : 0,
		.csum_start = start,
		.csum_offset = offset,
	};

	memcpy(buffer, &head, sizeof(head));
	memcpy(buffer + sizeof(head), f->data, f->len);
	ck_assert_int_eq(send(sock, buffer, sizeof(head) + f->len, 0),
			 (ssize_t)(sizeof(head) + f->len));
}

/* Sends `f` with nothing but its Ethernet header linear. */
static void send_in_pages(const struct frame *f)
{
	struct tpacket_req req = { RING_BLOCK, 1, RING_BLOCK, 1 };
	int fd = open_socket(), version = TPACKET_V2, none = 0;
	struct tpacket2_hdr *head;

	ck_assert_int_eq(setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &none, sizeof(none)), 0);
	ck_assert_int_eq(setsockopt(fd, SOL_PACKET, PACKET_VERSION, &version, sizeof(version)), 0);
	ck_assert_int_eq(setsockopt(fd, SOL_PACKET, PACKET_TX_RING, &req, sizeof(req)), 0);
	head = mmap(NULL, RING_BLOCK, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ck_assert_ptr_ne(head, MAP_FAILED);
	memcpy((uint8_t *)head + TPACKET2_HDRLEN - sizeof(struct sockaddr_ll), f->data, f->len);
	head->tp_len = f->len;
	head->tp_status = TP_STATUS_SEND_REQUEST;
	ck_assert_int_eq(send(fd, NULL, 0, 0), (ssize_t)f->len);
	munmap(head, RING_BLOCK);
	close(fd);
}

/* The next frame that is no chatter of the kernel's own. */
static struct frame receive(uint8_t *ret_flags)
{
	uint8_t buffer[sizeof(struct virtio_net_hdr) + FRAME_MAX];
	struct pollfd ready = { .fd = sock, .events = POLLIN };
	struct frame f = {};
	ssize_t n;

	do {
		ck_assert_msg(poll(&ready, 1, WAIT_MS) == 1, "nothing comes back");
		n = recv(sock, buffer, sizeof(buffer), 0);
		ck_assert_int_gt(n, (int)sizeof(struct virtio_net_hdr));
	} while (memcmp(buffer + sizeof(struct virtio_net_hdr), frame_mac_neighbour, 6) != 0);
	*ret_flags = ((struct virtio_net_hdr *)buffer)->flags;
	f.len = n - sizeof(struct virtio_net_hdr);
	memcpy(f.data, buffer + sizeof(struct virtio_net_hdr), f.len);
	return f;
}

static struct frame from_pod(const struct place *p, uint8_t proto, uint16_t sport)
{
	struct ends ends = { p->pod, sport, p->vip, 80 };

	return proto == IPPROTO_TCP ? frame_tcp(ends, SYN, 1000, 0, 7) : frame_udp(ends, 30);
}

/* What comes back for it, `got` telling its source port. */
static struct frame come_back(const struct place *p, uint8_t proto, const struct frame *got)
{
	struct ends ends = { p->node, frame_sport(got), p->pod, 8080 };
	struct frame want =
		proto == IPPROTO_TCP ? frame_tcp(ends, SYN, 1000, 0, 7) : frame_udp(ends, 30);

	frame_swap_macs(&want);
	return want;
}

START_TEST(headers_that_are_not_linear_are_found)
{
	const struct place *p = &places[_i & 1];
	uint8_t proto = _i & 2 ? IPPROTO_TCP : IPPROTO_UDP, flags;
	struct frame f = from_pod(p, proto, 40000), got, want;

	serve(p, proto, SL_CHOOSE_CLUSTER);
	send_in_pages(&f);
	got = receive(&flags);
	want = come_back(p, proto, &got);
	frame_assert_same(&got, &want);
}
END_TEST

START_TEST(headers_that_are_neither_linear_nor_there_are_left)
{
	const struct place *p = &places[_i];
	struct frame f = from_pod(p, IPPROTO_UDP, 40000), marker = from_pod(p, IPPROTO_UDP, 40001);
	struct frame got, want;
	uint8_t flags;

	serve(p, IPPROTO_UDP, SL_CHOOSE_CLUSTER);
	f.len = ETH_HLEN + p->ip + 7;
	send_in_pages(&f);
	f.len = ETH_HLEN + p->ip - 1;
	send_in_pages(&f);
	send_frame(&marker, 0, 0);
	got = receive(&flags);
	want = come_back(p, IPPROTO_UDP, &got);
	frame_assert_same(&got, &want);
	ck_assert_int_eq(harness_count(_i ? harness.skel->maps.new6 : harness.skel->maps.new4), 2);
}
END_TEST

START_TEST(a_frame_whose_vlan_tag_the_kernel_took_off_is_left)
{
	struct frame f = from_pod(&places[0], IPPROTO_UDP, 40000);
	struct frame marker = from_pod(&places[0], IPPROTO_UDP, 40001), got, want;
	const uint16_t tag[2] = { htons(ETH_P_8021Q), htons(100) };
	uint8_t flags;

	serve(&places[0], IPPROTO_UDP, SL_CHOOSE_CLUSTER);
	memmove(f.data + 16, f.data + 12, f.len - 12);
	memcpy(f.data + 12, tag, sizeof(tag));
	f.len += 4;
	send_frame(&f, 0, 0);
	send_frame(&marker, 0, 0);
	got = receive(&flags);
	want = come_back(&places[0], IPPROTO_UDP, &got);
	frame_assert_same(&got, &want);
	ck_assert_int_eq(harness_count(harness.skel->maps.new4), 2);
}
END_TEST

START_TEST(an_unfinished_checksum_stays_unfinished)
{
	const struct place *p = &places[_i & 1];
	uint8_t proto = _i & 2 ? IPPROTO_TCP : IPPROTO_UDP, flags;
	struct frame f = from_pod(p, proto, 40000), got, want;

	serve(p, proto, SL_CHOOSE_CLUSTER);
	frame_unfinish(&f);
	send_frame(&f, ETH_HLEN + p->ip, proto == IPPROTO_TCP ? 16 : 6);
	got = receive(&flags);
	ck_assert_uint_eq(flags & VIRTIO_NET_HDR_F_NEEDS_CSUM, VIRTIO_NET_HDR_F_NEEDS_CSUM);
	want = come_back(p, proto, &got);
	frame_unfinish(&want);
	frame_assert_same(&got, &want);
}
END_TEST

START_TEST(a_packet_with_an_unfinished_checksum_is_rejected_as_it_is)
{
	const struct place *p = &places[_i];
	struct frame f = from_pod(p, IPPROTO_TCP, 40000), got, want;
	uint8_t flags;

	serve(p, IPPROTO_TCP, SL_CHOOSE_REJECT);
	frame_unfinish(&f);
	send_frame(&f, ETH_HLEN + p->ip, 16);
	got = receive(&flags);
	want = frame_unreachable(&f, p->ip + 20);
	frame_assert_same(&got, &want);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("live");
	TCase *tcase = harness_case(suite, "live");

	libbpf_set_print(NULL);
	tcase_add_checked_fixture(tcase, attach, detach);
	tcase_add_loop_test(tcase, headers_that_are_not_linear_are_found, 0, 4);
	add_for_both(tcase, headers_that_are_neither_linear_nor_there_are_left);
	tcase_add_test(tcase, a_frame_whose_vlan_tag_the_kernel_took_off_is_left);
	tcase_add_loop_test(tcase, an_unfinished_checksum_stays_unfinished, 0, 4);
	add_for_both(tcase, a_packet_with_an_unfinished_checksum_is_rejected_as_it_is);
	return harness_run(suite);
}
