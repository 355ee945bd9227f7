/* SPDX-License-Identifier: Apache-2.0 */

#include "test/packet/frame.h"

#include <arpa/inet.h>
#include <check.h>
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <linux/udp.h>
#include <stdio.h>
#include <string.h>

const uint8_t frame_mac_neighbour[6] = { 2, 0, 0, 0, 0, 1 };
const uint8_t frame_mac_own[6] = { 2, 0, 0, 0, 0, 2 };

static bool is6(const struct frame *f)
{
	return ((struct ethhdr *)f->data)->h_proto == htons(ETH_P_IPV6);
}

static struct iphdr *ip4(const struct frame *f)
{
	return (struct iphdr *)(f->data + ETH_HLEN);
}

static struct ipv6hdr *ip6(const struct frame *f)
{
	return (struct ipv6hdr *)(f->data + ETH_HLEN);
}

static bool is_extension(uint8_t proto)
{
	return proto == IPPROTO_HOPOPTS || proto == IPPROTO_ROUTING || proto == IPPROTO_DSTOPTS ||
	       proto == IPPROTO_FRAGMENT;
}

/* Offset of the transport header, and its protocol. */
static uint32_t transport(const struct frame *f, uint8_t *proto)
{
	uint32_t at = ETH_HLEN + sizeof(struct ipv6hdr);

	if (!is6(f)) {
		*proto = ip4(f)->protocol;
		return ETH_HLEN + ip4(f)->ihl * 4;
	}
	*proto = ip6(f)->nexthdr;
	while (is_extension(*proto)) {
		uint32_t len = *proto == IPPROTO_FRAGMENT ? 8 : (f->data[at + 1] + 1) * 8;

		*proto = f->data[at];
		at += len;
	}
	return at;
}

static uint32_t sum(const void *data, uint32_t len, uint32_t start)
{
	const uint8_t *p = data;
	uint64_t s = start;

	for (uint32_t i = 0; i < len; i++)
		s += i % 2 ? p[i] : (uint32_t)p[i] << 8;
	while (s >> 16)
		s = (s & 0xffff) + (s >> 16);
	return s;
}

static uint32_t pseudo_header(const struct frame *f, uint32_t at, uint8_t proto)
{
	uint32_t s = is6(f) ? sum(&ip6(f)->saddr, 32, 0) : sum(&ip4(f)->saddr, 8, 0);

	return s + proto + f->len - at;
}

static uint16_t transport_check(const struct frame *f, uint32_t at, uint8_t proto)
{
	uint32_t s = proto == IPPROTO_ICMP ? 0 : pseudo_header(f, at, proto);

	return htons(~sum(f->data + at, f->len - at, s));
}

static uint16_t *check_field(const struct frame *f, uint32_t at, uint8_t proto)
{
	static const uint8_t offsets[256] = {
		[IPPROTO_TCP] = 16, [IPPROTO_UDP] = 6, [IPPROTO_ICMP] = 2, [IPPROTO_ICMPV6] = 2
	};

	return offsets[proto] ? (uint16_t *)(f->data + at + offsets[proto]) : NULL;
}

/* RFC 9260, appendix A, bit by bit. */
static uint32_t crc32c(const uint8_t *data, uint32_t len)
{
	uint32_t crc = 0xffffffff;

	for (uint32_t i = 0; i < len; i++) {
		crc ^= data[i];
		for (int bit = 0; bit < 8; bit++)
			crc = crc & 1 ? crc >> 1 ^ 0x82f63b78 : crc >> 1;
	}
	return ~crc;
}

static void finish_sctp(struct frame *f, uint32_t at)
{
	uint32_t crc;

	memset(f->data + at + 8, 0, 4);
	crc = crc32c(f->data + at, f->len - at);
	memcpy(f->data + at + 8, &crc, 4); /* little endian */
}

void frame_finish(struct frame *f)
{
	uint8_t proto;
	uint32_t at = transport(f, &proto);
	uint16_t *check = check_field(f, at, proto);

	if (is6(f)) {
		ip6(f)->payload_len = htons(f->len - ETH_HLEN - sizeof(struct ipv6hdr));
	} else {
		ip4(f)->tot_len = htons(f->len - ETH_HLEN);
		ip4(f)->check = 0;
		ip4(f)->check = htons(~sum(ip4(f), ip4(f)->ihl * 4, 0));
	}
	if (proto == IPPROTO_SCTP)
		finish_sctp(f, at);
	if (check) {
		*check = 0;
		*check = transport_check(f, at, proto);
		if (proto == IPPROTO_UDP && *check == 0)
			*check = 0xffff;
	}
}

bool frame_checksums_right(const struct frame *f)
{
	struct frame copy = *f;
	uint8_t proto;
	uint32_t at = transport(f, &proto);
	uint16_t *check = check_field(f, at, proto);

	frame_finish(&copy);
	if (check && proto == IPPROTO_UDP && *check == 0 && !is6(f))
		frame_clear_udp_check(&copy);
	return memcmp(copy.data, f->data, f->len) == 0;
}

/* Ethernet and IP headers, with room for `len` bytes behind them. */
static struct frame begin(const char *saddr, const char *daddr, uint8_t proto, uint32_t len)
{
	struct frame f = {};
	struct ethhdr *eth = (struct ethhdr *)f.data;

	memcpy(eth->h_source, frame_mac_neighbour, 6);
	memcpy(eth->h_dest, frame_mac_own, 6);
	if (strchr(saddr, ':')) {
		eth->h_proto = htons(ETH_P_IPV6);
		ip6(&f)->version = 6;
		ip6(&f)->nexthdr = proto;
		ip6(&f)->hop_limit = 64;
		ck_assert_int_eq(inet_pton(AF_INET6, saddr, &ip6(&f)->saddr), 1);
		ck_assert_int_eq(inet_pton(AF_INET6, daddr, &ip6(&f)->daddr), 1);
		f.len = ETH_HLEN + sizeof(struct ipv6hdr) + len;
	} else {
		eth->h_proto = htons(ETH_P_IP);
		ip4(&f)->version = 4;
		ip4(&f)->ihl = 5;
		ip4(&f)->ttl = 64;
		ip4(&f)->frag_off = htons(0x4000);
		ip4(&f)->protocol = proto;
		ck_assert_int_eq(inet_pton(AF_INET, saddr, &ip4(&f)->saddr), 1);
		ck_assert_int_eq(inet_pton(AF_INET, daddr, &ip4(&f)->daddr), 1);
		f.len = ETH_HLEN + sizeof(struct iphdr) + len;
	}
	ck_assert_uint_le(f.len, FRAME_MAX);
	return f;
}

static void fill_pattern(struct frame *f, uint32_t payload)
{
	for (uint32_t i = 0; i < payload; i++)
		f->data[f->len - payload + i] = i * 7 + 1;
}

struct frame frame_tcp(struct ends ends, uint8_t flags, uint32_t seq, uint32_t ack,
		       uint32_t payload)
{
	struct frame f =
		begin(ends.saddr, ends.daddr, IPPROTO_TCP, sizeof(struct tcphdr) + payload);
	uint8_t proto;
	struct tcphdr *tcp = (struct tcphdr *)(f.data + transport(&f, &proto));

	tcp->source = htons(ends.sport);
	tcp->dest = htons(ends.dport);
	tcp->seq = htonl(seq);
	tcp->ack_seq = htonl(ack);
	tcp->doff = 5;
	((uint8_t *)tcp)[13] = flags;
	tcp->window = htons(64240);
	fill_pattern(&f, payload);
	frame_finish(&f);
	return f;
}

struct frame frame_udp(struct ends ends, uint32_t payload)
{
	struct frame f =
		begin(ends.saddr, ends.daddr, IPPROTO_UDP, sizeof(struct udphdr) + payload);
	uint8_t proto;
	struct udphdr *udp = (struct udphdr *)(f.data + transport(&f, &proto));

	udp->source = htons(ends.sport);
	udp->dest = htons(ends.dport);
	udp->len = htons(sizeof(*udp) + payload);
	fill_pattern(&f, payload);
	frame_finish(&f);
	return f;
}

struct frame frame_sctp(struct ends ends, uint8_t chunk, uint32_t tag, uint32_t payload)
{
	uint32_t len = 12 + 8 + payload; /* common header, chunk header and initiate tag */
	struct frame f = begin(ends.saddr, ends.daddr, IPPROTO_SCTP, len);
	uint8_t *sctp = f.data + f.len - len;

	sctp[0] = ends.sport >> 8;
	sctp[1] = ends.sport;
	sctp[2] = ends.dport >> 8;
	sctp[3] = ends.dport;
	sctp[12] = chunk;
	sctp[14] = (8 + payload) >> 8;
	sctp[15] = 8 + payload;
	tag = htonl(tag);
	memcpy(sctp + 16, &tag, 4);
	fill_pattern(&f, payload);
	frame_finish(&f);
	return f;
}

struct frame frame_sctp_bare(struct ends ends, uint8_t chunk)
{
	struct frame f = frame_sctp(ends, chunk, 0, 0);

	f.len -= 4; /* no initiate tag */
	f.data[f.len - 1] = 4;
	frame_finish(&f);
	return f;
}

struct frame frame_echo(const char *saddr, const char *daddr)
{
	bool v6 = strchr(saddr, ':');
	struct frame f = begin(saddr, daddr, v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP, 16);

	f.data[f.len - 16] = v6 ? 128 : 8;
	frame_finish(&f);
	return f;
}

struct frame frame_other(const char *saddr, const char *daddr, uint8_t proto, uint32_t payload)
{
	struct frame f = begin(saddr, daddr, proto, payload);

	fill_pattern(&f, payload);
	frame_finish(&f);
	return f;
}

/* The ends of the frame, swapped; the texts are `a` and `b`. */
static struct ends swapped(const struct frame *f, char a[INET6_ADDRSTRLEN],
			   char b[INET6_ADDRSTRLEN])
{
	int family = is6(f) ? AF_INET6 : AF_INET;
	uint8_t proto;
	const uint16_t *ports = (const uint16_t *)(f->data + transport(f, &proto));

	inet_ntop(family, is6(f) ? (void *)&ip6(f)->daddr : (void *)&ip4(f)->daddr, a,
		  INET6_ADDRSTRLEN);
	inet_ntop(family, is6(f) ? (void *)&ip6(f)->saddr : (void *)&ip4(f)->saddr, b,
		  INET6_ADDRSTRLEN);
	return (struct ends) { a, ntohs(ports[1]), b, ntohs(ports[0]) };
}

struct frame frame_tcp_answer(const struct frame *f, uint8_t flags, uint32_t seq, uint32_t ack,
			      uint32_t payload)
{
	char a[INET6_ADDRSTRLEN], b[INET6_ADDRSTRLEN];

	return frame_tcp(swapped(f, a, b), flags, seq, ack, payload);
}

struct frame frame_udp_answer(const struct frame *f, uint32_t payload)
{
	char a[INET6_ADDRSTRLEN], b[INET6_ADDRSTRLEN];

	return frame_udp(swapped(f, a, b), payload);
}

struct frame frame_sctp_answer(const struct frame *f, uint8_t chunk, uint32_t tag, uint32_t payload)
{
	char a[INET6_ADDRSTRLEN], b[INET6_ADDRSTRLEN];

	return frame_sctp(swapped(f, a, b), chunk, tag, payload);
}

uint16_t frame_sport(const struct frame *f)
{
	uint8_t proto;
	uint32_t at = transport(f, &proto);

	return f->data[at] << 8 | f->data[at + 1];
}

struct frame frame_unreachable(const struct frame *about, uint32_t quote)
{
	char saddr[INET6_ADDRSTRLEN], daddr[INET6_ADDRSTRLEN];
	struct frame f;
	uint8_t *icmp;

	swapped(about, saddr, daddr);
	f = begin(saddr, daddr, is6(about) ? IPPROTO_ICMPV6 : IPPROTO_ICMP, 8 + quote);
	icmp = f.data + f.len - quote - 8;
	icmp[0] = is6(about) ? 1 : 3;
	icmp[1] = is6(about) ? 4 : 3;
	memcpy(icmp + 8, about->data + ETH_HLEN, quote);
	frame_swap_macs(&f);
	frame_finish(&f);
	return f;
}

void frame_set_ttl(struct frame *f, uint8_t ttl)
{
	if (is6(f))
		ip6(f)->hop_limit = ttl;
	else
		ip4(f)->ttl = ttl;
	frame_finish(f);
}

void frame_set_window(struct frame *f, uint16_t window)
{
	uint8_t proto;
	uint32_t at = transport(f, &proto);

	((struct tcphdr *)(f->data + at))->window = htons(window);
	frame_finish(f);
}

void frame_set_macs(struct frame *f, const uint8_t dst[6], const uint8_t src[6])
{
	memcpy(f->data, dst, 6);
	memcpy(f->data + 6, src, 6);
}

void frame_swap_macs(struct frame *f)
{
	uint8_t dst[6], src[6];

	memcpy(dst, f->data, 6);
	memcpy(src, f->data + 6, 6);
	frame_set_macs(f, src, dst);
}

void frame_swap_addresses(struct frame *f)
{
	uint32_t len = is6(f) ? 16 : 4;
	uint8_t *saddr = is6(f) ? (uint8_t *)&ip6(f)->saddr : (uint8_t *)&ip4(f)->saddr;
	uint8_t old[16];

	memcpy(old, saddr, len);
	memcpy(saddr, saddr + len, len);
	memcpy(saddr + len, old, len);
	frame_finish(f);
}

void frame_set_fragment(struct frame *f, uint16_t field)
{
	ip4(f)->frag_off = htons(field);
	frame_finish(f);
}

static void insert(struct frame *f, uint32_t at, uint32_t len)
{
	memmove(f->data + at + len, f->data + at, f->len - at);
	memset(f->data + at, 0, len);
	f->len += len;
}

void frame_add_long_extension(struct frame *f, uint8_t kind, uint32_t len)
{
	uint32_t at = ETH_HLEN + sizeof(struct ipv6hdr);

	insert(f, at, len);
	f->data[at] = ip6(f)->nexthdr;
	f->data[at + 1] = len / 8 - 1;
	ip6(f)->nexthdr = kind;
	frame_finish(f);
}

void frame_add_extension(struct frame *f, uint8_t kind, uint16_t offset_flags)
{
	uint8_t *e = f->data + ETH_HLEN + sizeof(struct ipv6hdr);

	frame_add_long_extension(f, kind, 8);
	e[2] = offset_flags >> 8;
	e[3] = offset_flags & 0xff;
	frame_finish(f);
}

void frame_add_options(struct frame *f, uint32_t words)
{
	uint32_t at = ETH_HLEN + ip4(f)->ihl * 4;

	insert(f, at, words * 4);
	memset(f->data + at, 1 /* NOP */, words * 4);
	ip4(f)->ihl += words;
	frame_finish(f);
}

void frame_clear_udp_check(struct frame *f)
{
	uint8_t proto;
	uint32_t at = transport(f, &proto);

	((struct udphdr *)(f->data + at))->check = 0;
}

void frame_unfinish(struct frame *f)
{
	uint8_t proto;
	uint32_t at = transport(f, &proto);

	*check_field(f, at, proto) = htons(sum(NULL, 0, pseudo_header(f, at, proto)));
}

void frame_balance_udp_check(struct frame *f)
{
	uint8_t proto;
	uint32_t at = transport(f, &proto);
	struct udphdr *udp = (struct udphdr *)(f->data + at);
	uint16_t *payload = (uint16_t *)(udp + 1);

	*payload = 0;
	frame_finish(f);
	*payload = udp->check;
	frame_finish(f);
	ck_assert_uint_eq(udp->check, 0xffff);
}

static void describe_transport(const struct frame *f, char *text, size_t size)
{
	uint8_t proto;
	uint32_t at = transport(f, &proto);
	const struct tcphdr *tcp = (const struct tcphdr *)(f->data + at);
	const struct udphdr *udp = (const struct udphdr *)(f->data + at);

	if (proto == IPPROTO_TCP)
		snprintf(text, size, "tcp %u > %u flags %02x seq %u ack %u check %04x",
			 ntohs(tcp->source), ntohs(tcp->dest), f->data[at + 13], ntohl(tcp->seq),
			 ntohl(tcp->ack_seq), ntohs(tcp->check));
	else if (proto == IPPROTO_UDP)
		snprintf(text, size, "udp %u > %u len %u check %04x", ntohs(udp->source),
			 ntohs(udp->dest), ntohs(udp->len), ntohs(udp->check));
	else
		snprintf(text, size, "protocol %u type %u code %u check %02x%02x", proto,
			 f->data[at], f->data[at + 1], f->data[at + 2], f->data[at + 3]);
}

/* One line: addresses, TTL, transport, length, and whether the checksums are right. */
static void describe(const struct frame *f, char *text, size_t size)
{
	char saddr[INET6_ADDRSTRLEN], daddr[INET6_ADDRSTRLEN], l4[128];
	int family = is6(f) ? AF_INET6 : AF_INET;
	const uint8_t *d = f->data;

	inet_ntop(family, is6(f) ? (void *)&ip6(f)->saddr : (void *)&ip4(f)->saddr, saddr,
		  sizeof(saddr));
	inet_ntop(family, is6(f) ? (void *)&ip6(f)->daddr : (void *)&ip4(f)->daddr, daddr,
		  sizeof(daddr));
	describe_transport(f, l4, sizeof(l4));
	snprintf(text, size,
		 "%02x:%02x:%02x:%02x:%02x:%02x > %02x:%02x:%02x:%02x:%02x:%02x %s > %s ttl %u %s, "
		 "%u bytes, checksums %s",
		 d[6], d[7], d[8], d[9], d[10], d[11], d[0], d[1], d[2], d[3], d[4], d[5], saddr,
		 daddr, is6(f) ? ip6(f)->hop_limit : ip4(f)->ttl, l4, f->len,
		 frame_checksums_right(f) ? "right" : "WRONG");
}

void frame_assert_same(const struct frame *got, const struct frame *want)
{
	char a[512], b[512];
	uint32_t at = 0;

	while (at < got->len && at < want->len && got->data[at] == want->data[at])
		at++;
	if (at == got->len && at == want->len)
		return;
	describe(got, a, sizeof(a));
	describe(want, b, sizeof(b));
	ck_abort_msg("frames differ from byte %u on\n  got  %s\n  want %s", at, a, b);
}
