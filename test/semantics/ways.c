/* SPDX-License-Identifier: Apache-2.0 */

#include "test/semantics/ways.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/bpf.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define TC_NEXT	    -1
#define TC_SHOT	    2
#define TC_REDIRECT 7

const char *ways_verdict(enum verdict verdict)
{
	static const char *const words[] = { "dnat", "reject", "drop", "pass", "error" };

	return words[verdict];
}

const char *ways_tell(const struct fate *fate, uint8_t family, char ret[160])
{
	char endpoint[IP_TEXT_MAX];

	if (fate->verdict == VERDICT_DNAT)
		snprintf(ret, 160, "dnat to %s%s",
			 ip_format_port(&fate->addr, family, fate->port, endpoint),
			 fate->snat ? " with snat" : "");
	else
		snprintf(ret, 160, "%s",
			 fate->verdict == VERDICT_ERROR ? fate->error
							: ways_verdict(fate->verdict));
	return ret;
}

struct fate ways_failed(const char *format, ...)
{
	struct fate fate = { .verdict = VERDICT_ERROR };
	va_list args;

	va_start(args, format);
	vsnprintf(fate.error, sizeof(fate.error), format, args);
	va_end(args);
	return fate;
}

__be16 ways_port(void)
{
	static uint16_t port = 10000;

	/* Beside the usual ranges of node ports, SNAT and sockets. */
	port = port >= 29999 ? 10000 : port + 1;
	return htons(port);
}

/* The program's return value, or -errno - 1000. */
static int run(struct world *world, enum datapath_program program, uint32_t ifindex,
	       struct packet *packet)
{
	struct packet out = { 0 };
	struct __sk_buff skb = { .ifindex = ifindex };
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = packet->data, .data_size_in = packet->len,
		    .data_out = out.data, .data_size_out = sizeof(out.data), .ctx_in = &skb,
		    .ctx_size_in = sizeof(skb));
	int fd = datapath_program(world_datapath(world), program);

	if (bpf_prog_test_run_opts(fd, &opts))
		return -errno - 1000;
	out.len = opts.data_size_out;
	*packet = out;
	return (int)opts.retval;
}

struct fate ways_leave(struct world *world, const struct ends *in, struct packet *packet)
{
	uint32_t route[WORLD_ROUTE_MAX];
	struct ends ends;
	size_t n;
	struct fate fate = { .verdict = VERDICT_DNAT };

	if (!packet_ends(packet, &ends))
		return ways_failed("no packet came out of ingress");
	n = world_route(world, &ends.daddr, ends.family, route);
	for (size_t i = 0; i < n; i++) {
		int r = run(world, DATAPATH_EGRESS, route[i], packet);

		if (r == TC_SHOT)
			return (struct fate) { .verdict = VERDICT_DROP };
		if (r != TC_NEXT && r != TC_REDIRECT)
			return ways_failed("egress gave %d", r);
	}
	if (!packet_ends(packet, &ends))
		return ways_failed("no packet came out of egress");
	fate.addr = ends.daddr;
	fate.port = ends.dport;
	fate.snat = !ip_equal(&ends.saddr, &in->saddr);
	if (fate.snat && !world_is_own(world, &ends.saddr, ends.family))
		return ways_failed("its source became one that is none of the node's");
	/* A source that is the node's already keeps its address, not its port. */
	fate.snat = fate.snat || ends.sport != in->sport;
	return fate;
}

struct fate ways_inject(struct world *world, const struct ends *ends, const char *iif)
{
	uint32_t ifindex = iif ? world_link(world, iif) : 0;
	struct packet packet;
	struct ends out;
	int r;

	if (!ifindex)
		return ways_failed("there is no interface %s", iif ? iif : "");
	packet_make(ends, &packet);
	r = run(world, DATAPATH_INGRESS, ifindex, &packet);
	if (r == TC_SHOT)
		return (struct fate) { .verdict = VERDICT_DROP };
	if (r != TC_NEXT && r != TC_REDIRECT)
		return ways_failed("ingress gave %d", r);
	if (packet_is_reject(&packet, ends))
		return (struct fate) { .verdict = VERDICT_REJECT };
	if (!packet_ends(&packet, &out))
		return ways_failed("no packet came out of ingress");
	if (r == TC_NEXT && ip_equal(&out.daddr, &ends->daddr) && out.dport == ends->dport &&
	    ip_equal(&out.saddr, &ends->saddr) && out.sport == ends->sport)
		return (struct fate) { .verdict = VERDICT_PASS };
	return ways_leave(world, ends, &packet);
}
