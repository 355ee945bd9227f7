/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* ICMP messages about a packet, which they quote. */

#include "test/packet/frame.h"

struct icmp_kind {
	const char *name;
	uint8_t type, code;
	uint32_t rest; /* the second half of the head, host order: an MTU, a pointer */
};

#define ICMP_KINDS 4

/* The errors of a family, and its redirect. */
extern const struct icmp_kind icmp_kinds4[ICMP_KINDS], icmp_kinds6[ICMP_KINDS];
extern const struct icmp_kind icmp_redirect4;

/* All of the packet `about` is quoted. */
#define QUOTE_ALL UINT32_MAX

/* From `saddr` to `daddr`, quoting `quote` bytes of `about` from its IP header on. */
struct frame frame_icmp(const char *saddr, const char *daddr, const struct icmp_kind *kind,
			const struct frame *about, uint32_t quote);

/* A redirect of Neighbour Discovery; with `mac` it names the target's MAC address. */
struct frame frame_nd_redirect(const char *saddr, const char *daddr, const struct frame *about,
			       bool mac);
