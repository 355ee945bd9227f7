/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once

/*
 * How many ICMP messages of its own a CPU may send: so many a second, and a few
 * more at once, as the kernel's icmp_msgs_per_sec and icmp_msgs_burst limit its
 * own. Sources are easily forged, so this bounds what third parties can be sent.
 */

#include "maps.h"
#include "pkt.h"

#define ICMP_BURST 50
#define SECOND_NS  1000000000ULL

/* 1, and one message less is left, or 0. */
static __always_inline int icmp_allowed(void)
{
	__u64 now = bpf_ktime_get_coarse_ns(), step, *due;
	__u32 zero = 0;

	if (config.icmp_rate == 0)
		return 1;
	due = bpf_map_lookup_elem(&icmp_due, &zero);
	if (!due)
		return 0;
	/* Each message moves `due` by its share of a second, a burst ahead of now at most. */
	step = SECOND_NS / config.icmp_rate;
	if (*due > now + (ICMP_BURST - 1) * step)
		return 0;
	*due = (*due > now ? *due : now) + step;
	return 1;
}
