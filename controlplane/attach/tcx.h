/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The parts of the kernel's interface (6.6) for TCX links that older systems'
 * linux/bpf.h lacks, under names of our own.
 */

#include <linux/types.h>

#define TCX_INGRESS   46	/* BPF_TCX_INGRESS */
#define TCX_EGRESS    47	/* BPF_TCX_EGRESS */
#define TCX_LINK_TYPE 11	/* BPF_LINK_TYPE_TCX */
#define TCX_BEFORE    (1U << 3) /* BPF_F_BEFORE; before nothing named: the head */

/* What struct bpf_link_info has for TCX; `ifindex` is where XDP's is too. It is
 * 0 when the interface is gone. */
struct tcx_link_info {
	__u32 ifindex;
	__u32 attach_type;
};
