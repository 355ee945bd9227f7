/* SPDX-License-Identifier: Apache-2.0 */

#include "controlplane/tables/probe.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <errno.h>
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <string.h>

#include "controlplane/tables/neighbour.h"

#define HOPS   64
#define WINDOW 65535

static uint32_t add_up(const void *data, size_t len, uint32_t sum)
{
	const uint8_t *bytes = data;

	for (size_t i = 0; i + 1 < len; i += 2)
		sum += (uint32_t)bytes[i] << 8 | bytes[i + 1];
	return sum;
}

static __be16 fold(uint32_t sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return htons((uint16_t)~sum);
}

/*
 * Without a memory of sequence numbers: two that are 2^31 apart can't both lie in
 * a window, which is at most 2^30, and the receiver acknowledges what is outside of
 * it (RFC 9293, 3.10.7.4). The first is the one before the server's first byte, as
 * in a keep-alive, since it passes firewalls for which the server has sent little.
 * Should one lie in the window, its ack is old and harmless.
 */
static uint32_t sequence(const struct sl_flow *flow, unsigned int number)
{
	return flow->proof - 1 + (number & 1) * (1U << 31);
}

static struct tcphdr segment(const struct sl_tuple6 *key, const struct sl_flow *flow,
			     unsigned int number)
{
	return (struct tcphdr) {
		.source = key->dport,
		.dest = key->sport,
		.seq = htonl(sequence(flow, number)),
		.ack_seq = htonl(flow->isn + 1),
		.doff = sizeof(struct tcphdr) / 4,
		.ack = 1,
		.window = htons(WINDOW),
	};
}

size_t probe_frame(const struct sl_tuple6 *key, uint8_t family, const struct sl_flow *flow,
		   unsigned int number, uint8_t ret_frame[PROBE_FRAME_MAX])
{
	struct ethhdr eth = { .h_proto = htons(family == 4 ? ETH_P_IP : ETH_P_IPV6) };
	struct tcphdr tcp = segment(key, flow, number);
	size_t addr_len = family == 4 ? 4 : 16, ip_len = family == 4 ? 20 : 40;
	struct iphdr ip4 = {
		.version = 4,
		.ihl = 5,
		.tot_len = htons(sizeof(ip4) + sizeof(tcp)),
		.frag_off = htons(0x4000), /* don't fragment */
		.ttl = HOPS,
		.protocol = IPPROTO_TCP,
		.saddr = key->daddr[0],
		.daddr = key->saddr[0],
	};
	struct ipv6hdr ip6 = {
		.version = 6,
		.payload_len = htons(sizeof(tcp)),
		.nexthdr = IPPROTO_TCP,
		.hop_limit = HOPS,
	};
	uint32_t sum = IPPROTO_TCP + sizeof(tcp);

	memcpy(&ip6.saddr, key->daddr, sizeof(ip6.saddr));
	memcpy(&ip6.daddr, key->saddr, sizeof(ip6.daddr));
	ip4.check = fold(add_up(&ip4, sizeof(ip4), 0));
	sum = add_up(key->saddr, addr_len, add_up(key->daddr, addr_len, sum));
	tcp.check = fold(add_up(&tcp, sizeof(tcp), sum));

	memcpy(ret_frame, &eth, sizeof(eth));
	memcpy(ret_frame + sizeof(eth), family == 4 ? (const void *)&ip4 : &ip6, ip_len);
	memcpy(ret_frame + sizeof(eth) + ip_len, &tcp, sizeof(tcp));
	return sizeof(eth) + ip_len + sizeof(tcp);
}

int probe_send(int program, const struct sl_tuple6 *key, uint8_t family, const struct sl_flow *flow)
{
	uint8_t frame[PROBE_FRAME_MAX];
	size_t len = probe_frame(key, family, flow, SL_FLOW_PROBES(flow->flags), frame);
	struct __sk_buff out = { 0 };
	LIBBPF_OPTS(bpf_test_run_opts, run, .data_in = frame, .data_size_in = (uint32_t)len,
		    .ctx_out = &out, .ctx_size_out = sizeof(out));

	if (bpf_prog_test_run_opts(program, &run))
		return -errno;
	if (run.retval == SL_PROBE_NO_NEIGHBOUR)
		neighbour_ask(out.mark, (uint8_t)out.priority, out.cb);
	return (int)run.retval;
}
