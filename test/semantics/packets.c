/* SPDX-License-Identifier: Apache-2.0 */

#include "test/semantics/packets.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/bpf.h>
#include <stdio.h>
#include <string.h>

#include "common/ip.h"

#define TC_NEXT	    -1
#define TC_SHOT	    2
#define TC_REDIRECT 7

/* Tries for each endpoint: missing one of four by chance takes 10^-15. */
#define TRIES_EACH 120
#define TO_MAX	   128

static const char *const verdicts[] = { "dnat", "reject", "drop", "pass", "error" };

static const char *text(const json_t *object, const char *key)
{
	return json_string_value(json_object_get(object, key));
}

__be16 packets_port(void)
{
	static uint16_t port = 10000;

	/* Below the range for SNAT, beside the usual one of node ports. */
	port = port >= 29999 ? 10000 : port + 1;
	return htons(port);
}

bool packets_read(const json_t *packet, struct ends *ret)
{
	int family = ip_parse(text(packet, "src"), &ret->saddr);
	int proto = ip_protocol_parse(text(packet, "proto"));

	if (family < 0 || proto < 0 || ip_parse(text(packet, "dst"), &ret->daddr) != family)
		return false;
	ret->family = (uint8_t)family;
	ret->proto = (uint8_t)proto;
	ret->sport = 0;
	ret->dport = htons((uint16_t)json_integer_value(json_object_get(packet, "port")));
	return true;
}

const char *packets_tell(const struct fate *fate, uint8_t family, char ret[160])
{
	char endpoint[IP_TEXT_MAX];

	if (fate->verdict == VERDICT_DNAT)
		snprintf(ret, 160, "dnat to %s%s",
			 ip_format_port(&fate->addr, family, fate->port, endpoint),
			 fate->snat ? " with snat" : "");
	else
		snprintf(ret, 160, "%s%s%s", verdicts[fate->verdict],
			 fate->verdict == VERDICT_ERROR ? ": " : "",
			 fate->verdict == VERDICT_ERROR ? fate->error : "");
	return ret;
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

static struct fate failed(const char *what, int code)
{
	struct fate fate = { .verdict = VERDICT_ERROR };

	snprintf(fate.error, sizeof(fate.error), "%s %d", what, code);
	return fate;
}

/* What the packet's way out does with it. */
static struct fate leave(struct world *world, const struct ends *in, struct packet *packet)
{
	uint32_t route[WORLD_ROUTE_MAX];
	struct ends ends;
	size_t n;
	struct fate fate = { .verdict = VERDICT_DNAT };

	if (!packet_ends(packet, &ends))
		return failed("no packet came out, family", in->family);
	n = world_route(world, &ends.daddr, ends.family, route);
	for (size_t i = 0; i < n; i++) {
		int r = run(world, DATAPATH_EGRESS, route[i], packet);

		if (r == TC_SHOT)
			return failed("dropped at egress of interface", (int)route[i]);
		if (r != TC_NEXT && r != TC_REDIRECT)
			return failed("egress gave", r);
	}
	if (!packet_ends(packet, &ends))
		return failed("no packet went out, family", in->family);
	fate.addr = ends.daddr;
	fate.port = ends.dport;
	fate.snat = !ip_equal(&ends.saddr, &in->saddr);
	if (fate.snat && !world_is_own(world, &ends.saddr, ends.family))
		return failed("its source became one that is none of the node's, family",
			      in->family);
	/* A source that is the node's already keeps its address, not its port. */
	fate.snat = fate.snat || ends.sport != in->sport;
	return fate;
}

struct fate packets_inject(struct world *world, const struct ends *ends, const char *iif)
{
	uint32_t ifindex = iif ? world_link(world, iif) : 0;
	struct packet packet;
	struct ends out;
	int r;

	if (!ifindex)
		return failed("no such interface", 0);
	packet_make(ends, &packet);
	r = run(world, DATAPATH_INGRESS, ifindex, &packet);
	if (r == TC_SHOT)
		return (struct fate) { .verdict = VERDICT_DROP };
	if (r != TC_NEXT && r != TC_REDIRECT)
		return failed("ingress gave", r);
	if (packet_is_reject(&packet, ends))
		return (struct fate) { .verdict = VERDICT_REJECT };
	if (!packet_ends(&packet, &out))
		return failed("no packet came out of ingress, verdict", r);
	if (r == TC_NEXT && ip_equal(&out.daddr, &ends->daddr) && out.dport == ends->dport &&
	    ip_equal(&out.saddr, &ends->saddr) && out.sport == ends->sport)
		return (struct fate) { .verdict = VERDICT_PASS };
	return leave(world, ends, &packet);
}

/* An endpoint that a packet may be sent to. */
struct target {
	char ep[IP_TEXT_MAX];
	bool snat;
	bool hit;
};

/* Packets of a table with what is expected of them. */
struct expectation {
	struct check *check;
	struct world *world;
	const json_t *packet;
	size_t index;
	struct ends ends;
	struct target to[TO_MAX];
	size_t n;
};

static void say(struct expectation *e, const char *expected, const char *got)
{
	const json_t *p = e->packet;
	const char *iif = text(p, "iif");

	check_say(e->check, "packet %zu, %s %s (%s, %s) -> %s port %d (%s): expected %s, got %s",
		  e->index, text(p, "proto"), text(p, "src"), text(p, "srcKind"), iif ? iif : "own",
		  text(p, "dst"), ntohs(e->ends.dport), text(p, "dstKind"), expected, got);
}

static bool read_targets(struct expectation *e)
{
	const json_t *item;
	size_t i;

	json_array_foreach (json_object_get(e->packet, "to"), i, item) {
		if (e->n == TO_MAX)
			return false;
		snprintf(e->to[e->n].ep, IP_TEXT_MAX, "%s", text(item, "ep"));
		e->to[e->n++].snat = json_is_true(json_object_get(item, "snat"));
	}
	return true;
}

/* Takes note of the endpoint; false, and said, if it should not have been. */
static bool hit(struct expectation *e, const struct fate *fate)
{
	char got[160], expected[160], ep[IP_TEXT_MAX];

	packets_tell(fate, e->ends.family, got);
	if (fate->verdict != VERDICT_DNAT) {
		snprintf(expected, sizeof(expected), "dnat to %s%s", e->to[0].ep,
			 e->n > 1 ? " or others" : "");
		say(e, expected, got);
		return false;
	}
	ip_format_port(&fate->addr, e->ends.family, fate->port, ep);
	for (size_t i = 0; i < e->n; i++) {
		if (strcmp(e->to[i].ep, ep) != 0)
			continue;
		e->to[i].hit = true;
		if (e->to[i].snat == fate->snat)
			return true;
		snprintf(expected, sizeof(expected), "dnat to %s %s snat", ep,
			 e->to[i].snat ? "with" : "without");
		say(e, expected, got);
		return false;
	}
	snprintf(expected, sizeof(expected), "dnat to %s%s", e->n ? e->to[0].ep : "nobody",
		 e->n > 1 ? " or others listed" : "");
	say(e, expected, got);
	return false;
}

static size_t count_hits(const struct expectation *e)
{
	size_t n = 0;

	for (size_t i = 0; i < e->n; i++)
		n += e->to[i].hit;
	return n;
}

/* Every endpoint must be found by some source port, and no other. */
static bool inject_all(struct expectation *e, bool affinity)
{
	char expected[160];

	for (size_t i = 0; i < e->n * TRIES_EACH && count_hits(e) < e->n; i++) {
		struct fate fate;

		if (affinity)
			world_forget_clients(e->world);
		e->ends.sport = packets_port();
		fate = packets_inject(e->world, &e->ends, text(e->packet, "iif"));
		if (!hit(e, &fate))
			return false;
	}
	for (size_t i = 0; i < e->n; i++) {
		if (e->to[i].hit)
			continue;
		snprintf(expected, sizeof(expected), "also dnat to %s", e->to[i].ep);
		say(e, expected, "only others");
		return false;
	}
	return true;
}

static bool inject_one(struct expectation *e, const char *verdict)
{
	char got[160];
	struct fate fate;

	e->ends.sport = packets_port();
	fate = packets_inject(e->world, &e->ends, text(e->packet, "iif"));
	if (strcmp(verdicts[fate.verdict], verdict) == 0)
		return true;
	say(e, verdict, packets_tell(&fate, e->ends.family, got));
	return false;
}

void packets_run(struct check *check, struct world *world, const json_t *packets, bool affinity)
{
	const json_t *packet;
	size_t i;

	json_array_foreach (packets, i, packet) {
		struct expectation e = {
			.check = check, .world = world, .packet = packet, .index = i
		};
		const char *verdict = text(packet, "verdict");
		bool ok;

		if (!packets_read(packet, &e.ends) || !read_targets(&e)) {
			say(&e, "a packet", "something else");
			check_count(check, ITEM_PACKET_TC, RESULT_FAILED);
			continue;
		}
		if (json_is_true(json_object_get(packet, "fromNode"))) {
			check_count(check,
				    e.ends.proto == IPPROTO_SCTP ? ITEM_PACKET_DECIDE
								 : ITEM_PACKET_SOCKET,
				    RESULT_NOT_RUN);
			continue;
		}
		ok = strcmp(verdict, "dnat") == 0 ? inject_all(&e, affinity)
						  : inject_one(&e, verdict);
		check_count(check, ITEM_PACKET_TC, ok ? RESULT_PASSED : RESULT_FAILED);
	}
	world_forget_flows(world);
}
