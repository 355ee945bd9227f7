/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once

/* One's complement sums (RFC 1071, RFC 1624). */

#include "pkt.h"

static __always_inline __u16 fold(__u32 sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return ~sum;
}

/* Adds a difference of one's complement sums to a check field. */
static __always_inline __u16 check_add(__u16 check, __u32 diff)
{
	__u32 sum = (__u16)~check;

	diff = (diff & 0xffff) + (diff >> 16);
	return fold(sum + diff);
}
