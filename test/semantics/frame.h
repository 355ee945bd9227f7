/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* First packets of connections, and what came out of a program. */

#include <stdbool.h>
#include <stdint.h>

#include "common/abi.h"

#define PACKET_MAX 256

/* Where packet_make()'s frames go: the address of every link of the node. */
#define FRAME_MAC "02:00:00:00:00:02"

struct packet {
	uint8_t data[PACKET_MAX];
	uint32_t len;
};

/* Both ends of a packet; ports in network byte order. */
struct ends {
	struct sl_addr saddr, daddr;
	__be16 sport, dport;
	uint8_t proto, family;
};

/* A TCP SYN, a UDP datagram or an SCTP INIT, its checksums right. */
void packet_make(const struct ends *ends, struct packet *ret);

/* False if it is no packet of these protocols. */
bool packet_ends(const struct packet *packet, struct ends *ret);

/* An ICMP port unreachable (S-119) that answers a packet of these ends. */
bool packet_is_reject(const struct packet *packet, const struct ends *ends);
