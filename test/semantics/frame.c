/* SPDX-License-Identifier: Apache-2.0 */

#include "test/semantics/frame.h"

#include <arpa/inet.h>
#include <linux/icmp.h>
#include <linux/icmpv6.h>
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <linux/udp.h>
#include <netinet/in.h>
#include <string.h>

#include "common/ip.h"

/* Common header, then an INIT chunk of 20 bytes. */
#define SCTP_LENGTH 32
#define SCTP_INIT   1

static uint32_t sum(const void *data, size_t len, uint32_t start)
{
	const uint8_t *bytes = data;

	for (size_t i = 0; i + 1 < len; i += 2)
		start += (uint32_t)bytes[i] << 8 | bytes[i + 1];
	return start;
}

static __be16 fold(uint32_t value)
{
	while (value >> 16)
		value = (value & 0xffff) + (value >> 16);
	return htons((uint16_t)~value);
}

static uint32_t crc32c(const uint8_t *data, size_t len)
{
	uint32_t crc = ~0U;

	for (size_t i = 0; i < len; i++) {
		crc ^= data[i];
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78U : 0);
	}
	return ~crc;
}

static uint32_t pseudo_header(const struct ends *ends, uint32_t len)
{
	size_t bytes = ends->family == 4 ? 4 : 16;

	return sum(&ends->daddr, bytes, sum(&ends->saddr, bytes, ends->proto + len));
}

/* Writes the transport's header; returns its length. */
static uint32_t make_transport(const struct ends *ends, uint8_t *at)
{
	struct tcphdr tcp = { .source = ends->sport, .dest = ends->dport, .seq = htonl(1000) };
	struct udphdr udp = { .source = ends->sport, .dest = ends->dport };
	uint32_t crc;

	switch (ends->proto) {
	case IPPROTO_TCP:
		tcp.doff = sizeof(tcp) / 4;
		tcp.syn = 1;
		tcp.window = htons(65535);
		tcp.check = fold(sum(&tcp, sizeof(tcp), pseudo_header(ends, sizeof(tcp))));
		memcpy(at, &tcp, sizeof(tcp));
		return sizeof(tcp);
	case IPPROTO_UDP:
		udp.len = htons(sizeof(udp) + 4);
		memset(at + sizeof(udp), 0, 4);
		udp.check = fold(sum(&udp, sizeof(udp), pseudo_header(ends, sizeof(udp) + 4)));
		memcpy(at, &udp, sizeof(udp));
		return sizeof(udp) + 4;
	default:
		memset(at, 0, SCTP_LENGTH);
		memcpy(at, &ends->sport, 2);
		memcpy(at + 2, &ends->dport, 2);
		at[12] = SCTP_INIT;
		at[15] = SCTP_LENGTH - 12;
		crc = crc32c(at, SCTP_LENGTH);
		memcpy(at + 8, &crc, 4);
		return SCTP_LENGTH;
	}
}

void packet_make(const struct ends *ends, struct packet *ret)
{
	struct ethhdr ethernet = { .h_dest = { 2, 0, 0, 0, 0, 2 }, .h_source = { 2, 0, 0, 0, 1 } };
	uint32_t l4 =
		ETH_HLEN + (ends->family == 4 ? sizeof(struct iphdr) : sizeof(struct ipv6hdr));
	uint32_t len = make_transport(ends, ret->data + l4);

	ethernet.h_proto = htons(ends->family == 4 ? ETH_P_IP : ETH_P_IPV6);
	memcpy(ret->data, &ethernet, sizeof(ethernet));
	ret->len = l4 + len;
	if (ends->family == 4) {
		struct iphdr ip = { .version = 4,
				    .ihl = 5,
				    .tot_len = htons((uint16_t)(sizeof(ip) + len)),
				    .frag_off = htons(0x4000),
				    .ttl = 64,
				    .protocol = ends->proto,
				    .saddr = ends->saddr.w[0],
				    .daddr = ends->daddr.w[0] };

		ip.check = fold(sum(&ip, sizeof(ip), 0));
		memcpy(ret->data + ETH_HLEN, &ip, sizeof(ip));
	} else {
		struct ipv6hdr ip = { .version = 6,
				      .payload_len = htons((uint16_t)len),
				      .nexthdr = ends->proto,
				      .hop_limit = 64 };

		memcpy(&ip.saddr, &ends->saddr, 16);
		memcpy(&ip.daddr, &ends->daddr, 16);
		memcpy(ret->data + ETH_HLEN, &ip, sizeof(ip));
	}
}

/* Fills in addresses and protocol; returns where the transport begins, or 0. */
static uint32_t read_ip(const struct packet *packet, struct ends *ret)
{
	const uint8_t *at = packet->data + ETH_HLEN;
	struct iphdr ip4;
	struct ipv6hdr ip6;

	*ret = (struct ends) { 0 };
	if (packet->len < ETH_HLEN + sizeof(ip4))
		return 0;
	if (at[0] >> 4 == 4) {
		memcpy(&ip4, at, sizeof(ip4));
		ret->family = 4;
		ret->proto = ip4.protocol;
		ret->saddr.w[0] = ip4.saddr;
		ret->daddr.w[0] = ip4.daddr;
		return ETH_HLEN + sizeof(ip4);
	}
	if (packet->len < ETH_HLEN + sizeof(ip6))
		return 0;
	memcpy(&ip6, at, sizeof(ip6));
	ret->family = 6;
	ret->proto = ip6.nexthdr;
	memcpy(&ret->saddr, &ip6.saddr, 16);
	memcpy(&ret->daddr, &ip6.daddr, 16);
	return ETH_HLEN + sizeof(ip6);
}

bool packet_ends(const struct packet *packet, struct ends *ret)
{
	uint32_t l4 = read_ip(packet, ret);

	if (!l4 ||
	    (ret->proto != IPPROTO_TCP && ret->proto != IPPROTO_UDP && ret->proto != IPPROTO_SCTP))
		return false;
	memcpy(&ret->sport, packet->data + l4, 2);
	memcpy(&ret->dport, packet->data + l4 + 2, 2);
	return true;
}

bool packet_is_reject(const struct packet *packet, const struct ends *ends)
{
	struct ends got;
	uint32_t l4 = read_ip(packet, &got);

	if (!l4 || got.family != ends->family || !ip_equal(&got.daddr, &ends->saddr))
		return false;
	return got.family == 4
		       ? got.proto == IPPROTO_ICMP && packet->data[l4] == ICMP_DEST_UNREACH &&
				 packet->data[l4 + 1] == ICMP_PORT_UNREACH
		       : got.proto == IPPROTO_ICMPV6 && packet->data[l4] == ICMPV6_DEST_UNREACH &&
				 packet->data[l4 + 1] == ICMPV6_PORT_UNREACH;
}
