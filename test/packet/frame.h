/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Frames made by hand, and a compare that says in words what differs. */

#include <stdbool.h>
#include <stdint.h>

#define FRAME_MAX 10240

#define FIN	  0x01
#define SYN	  0x02
#define RST	  0x04
#define ACK	  0x10

struct frame {
	uint32_t len;
	uint8_t align[2]; /* the IP header behind 14 bytes of Ethernet */
	uint8_t data[FRAME_MAX];
};

/* Text addresses; both of one family. Ports in host order. */
struct ends {
	const char *saddr;
	uint16_t sport;
	const char *daddr;
	uint16_t dport;
};

/* MAC addresses of frames: from the neighbour to us. */
extern const uint8_t frame_mac_neighbour[6], frame_mac_own[6];

/* A TCP segment with `payload` bytes of a pattern; checksums are right. */
struct frame frame_tcp(struct ends ends, uint8_t flags, uint32_t seq, uint32_t ack,
		       uint32_t payload);
struct frame frame_udp(struct ends ends, uint32_t payload);
/* An SCTP packet of one chunk of type `chunk`, with its checksum (CRC32c). */
struct frame frame_sctp(struct ends ends, uint8_t chunk, uint32_t tag, uint32_t payload);
/* The same with a chunk that is no more than its header, such as COOKIE ACK. */
struct frame frame_sctp_bare(struct ends ends, uint8_t chunk);
struct frame frame_sctp_answer(const struct frame *f, uint8_t chunk, uint32_t tag,
			       uint32_t payload);
struct frame frame_echo(const char *saddr, const char *daddr);
/* `payload` bytes of a pattern behind an IP header that says `proto`. */
struct frame frame_other(const char *saddr, const char *daddr, uint8_t proto, uint32_t payload);

/* What the receiver of `f` sends back: ends and MACs swapped. */
struct frame frame_tcp_answer(const struct frame *f, uint8_t flags, uint32_t seq, uint32_t ack,
			      uint32_t payload);
struct frame frame_udp_answer(const struct frame *f, uint32_t payload);

/* Source port of a frame, in host order. */
uint16_t frame_sport(const struct frame *f);

/* The port unreachable that answers `about`, quoting `quote` bytes of it. */
struct frame frame_unreachable(const struct frame *about, uint32_t quote);

/* Changes to a frame; checksums are made right again. */
void frame_set_ttl(struct frame *f, uint8_t ttl);
void frame_set_window(struct frame *f, uint16_t window);
void frame_swap_macs(struct frame *f);
void frame_swap_addresses(struct frame *f);
void frame_set_macs(struct frame *f, const uint8_t dst[6], const uint8_t src[6]);
/* IPv4 only: sets the fragment field (flags and offset, host order). */
void frame_set_fragment(struct frame *f, uint16_t field);
/* IPv6 only: puts an extension header of 8 bytes in front of the transport. */
void frame_add_extension(struct frame *f, uint8_t kind, uint16_t offset_flags);
/* The same with `len` bytes, a multiple of 8 up to 2048. */
void frame_add_long_extension(struct frame *f, uint8_t kind, uint32_t len);
/* IPv4 only: adds `words` of NOP options. */
void frame_add_options(struct frame *f, uint32_t words);
/* UDP over IPv4: no checksum. */
void frame_clear_udp_check(struct frame *f);
/* UDP: changes the payload's first 2 bytes so that the checksum is ffff. */
void frame_balance_udp_check(struct frame *f);
/* Leaves the TCP or UDP checksum to a network card: only the addresses are summed. */
void frame_unfinish(struct frame *f);
/* Recomputes every checksum. */
void frame_finish(struct frame *f);

/* True if the checksums of IP, TCP, UDP and ICMP are right. */
bool frame_checksums_right(const struct frame *f);

/* Ends the test with the differing headers in words. */
void frame_assert_same(const struct frame *got, const struct frame *want);
