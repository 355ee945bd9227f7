/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */

/*
 * The harness around a program under test: makes the frame what it was, with
 * the source port of the next flow, and calls the program. A test run with
 * `repeat` would otherwise hand the program its own output.
 */

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define HEADERS 54 /* Ethernet, IPv4, TCP */
#define SPORT	34 /* offset of the source port */

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__uint(key_size, 4);
	__uint(value_size, 4);
} xdp_target SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__uint(key_size, 4);
	__uint(value_size, 4);
} tc_target SEC(".maps");

__u8 headers[64];
__u16 first_port; /* host order */
__u16 flows = 1;  /* ports from first_port on, in turn */
__u32 turn;

static __always_inline int restore(void *data, void *end)
{
	if (data + HEADERS > end)
		return -1;
	__builtin_memcpy(data, headers, HEADERS);
	*(__be16 *)(data + SPORT) = bpf_htons(first_port + turn++ % flows);
	return 0;
}

SEC("xdp.frags")
int wrap_xdp(struct xdp_md *ctx)
{
	if (restore((void *)(long)ctx->data, (void *)(long)ctx->data_end))
		return XDP_ABORTED;
	bpf_tail_call(ctx, &xdp_target, 0);
	return XDP_ABORTED;
}

SEC("tc")
int wrap_tc(struct __sk_buff *skb)
{
	if (restore((void *)(long)skb->data, (void *)(long)skb->data_end))
		return 2;
	bpf_tail_call(skb, &tc_target, 0);
	return 2;
}

SEC("xdp.frags")
int bare_xdp(__attribute__((unused)) struct xdp_md *ctx)
{
	return XDP_TX;
}

SEC("tc")
int bare_tc(__attribute__((unused)) struct __sk_buff *skb)
{
	return -1;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
