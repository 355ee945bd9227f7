/* SPDX-License-Identifier: Apache-2.0 */

#include "test/semantics/packets.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "test/semantics/state.h"

/* Tries for each endpoint: missing one of four by chance takes 10^-15. */
#define TRIES_EACH 120
#define TO_MAX	   128

static const char *text(const json_t *object, const char *key)
{
	return json_string_value(json_object_get(object, key));
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

/* An endpoint that a packet may be sent to. */
struct target {
	char ep[IP_TEXT_MAX];
	bool snat;
	bool hit;
};

/* A packet of a table with what is expected of it. */
struct expectation {
	struct check *check;
	struct world *world;
	const json_t *packet;
	size_t index;
	enum check_item way;
	const char *iif; /* NULL: a process sends it */
	struct ends ends;
	struct target to[TO_MAX];
	size_t n;
	unsigned int tries;
	bool differs; /* a socket keeps the source it is bound to */
};

static void say(struct expectation *e, const char *expected, const char *got)
{
	const json_t *p = e->packet;

	check_say(e->check, "packet %zu, %s %s (%s, %s) -> %s port %d (%s): expected %s, got %s",
		  e->index, text(p, "proto"), text(p, "src"), text(p, "srcKind"),
		  e->iif ? e->iif : "own", text(p, "dst"), ntohs(e->ends.dport), text(p, "dstKind"),
		  expected, got);
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

/* Sends it once, by its way. */
static struct fate send_one(struct expectation *e)
{
	e->ends.sport = ways_port();
	switch (e->way) {
	case ITEM_PACKET_TC:
		return ways_inject(e->world, &e->ends, e->iif);
	case ITEM_PACKET_SOCKET:
		/* Both calls of UDP, in turn. */
		return ways_connect(e->world, &e->ends,
				    e->ends.proto == IPPROTO_UDP && e->tries++ % 2);
	default:
		return ways_decide(e->world, &e->ends, e->iif, NULL);
	}
}

/*
 * Is the source as it should be? A socket's is chosen by the kernel after its
 * destination is translated, so that an address of the node needs no SNAT; one
 * that it is bound to stays, which only shows where that is no link's.
 */
static bool source_is_right(struct expectation *e, const struct target *to, const struct fate *fate)
{
	if (e->way != ITEM_PACKET_SOCKET)
		return to->snat == fate->snat;
	e->differs = e->differs || (to->snat && !fate->snat);
	return true;
}

/* Takes note of the endpoint; false, and said, if it should not have been. */
static bool hit(struct expectation *e, const struct fate *fate)
{
	char got[160], expected[160], ep[IP_TEXT_MAX] = "";

	ways_tell(fate, e->ends.family, got);
	if (fate->verdict == VERDICT_DNAT)
		ip_format_port(&fate->addr, e->ends.family, fate->port, ep);
	for (size_t i = 0; i < e->n; i++) {
		if (strcmp(e->to[i].ep, ep) != 0)
			continue;
		e->to[i].hit = true;
		if (source_is_right(e, &e->to[i], fate))
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

/* What the maps would choose from must be the list, and no other. */
static bool compare_set(struct expectation *e)
{
	struct sl_decide decision;
	struct fate fate = ways_decide(e->world, &e->ends, e->iif, &decision);
	sl_auto_mem char *want = NULL, *have = NULL;
	char got[160];
	json_t *set, *listed;

	if (fate.verdict != VERDICT_DNAT) {
		say(e, "a decision for an endpoint", ways_tell(&fate, e->ends.family, got));
		return false;
	}
	listed = json_array();
	for (size_t i = 0; i < e->n; i++)
		json_array_append_new(listed, json_string(e->to[i].ep));
	set = ways_set(e->world, &decision);
	want = state_join(listed);
	have = state_join(set);
	json_decref(listed);
	json_decref(set);
	if (want && have && strcmp(want, have) == 0)
		return true;
	say(e, want ? want : "a set", have ? have : "no memory");
	return false;
}

/* Every endpoint must be found by some source port, and no other. */
static bool send_all(struct expectation *e, bool affinity)
{
	char expected[160];

	if (!compare_set(e))
		return false;
	for (size_t i = 0; i < e->n; i++)
		e->to[i].hit = false;
	for (size_t i = 0; i < e->n * TRIES_EACH && count_hits(e) < e->n; i++) {
		struct fate fate;

		if (affinity)
			world_forget_clients(e->world);
		fate = send_one(e);
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

static bool send_some(struct expectation *e, const char *verdict)
{
	bool both = e->way == ITEM_PACKET_SOCKET && e->ends.proto == IPPROTO_UDP;
	char got[160];

	for (int i = 0; i < 1 + both; i++) {
		struct fate fate = send_one(e);

		if (strcmp(ways_verdict(fate.verdict), verdict) == 0)
			continue;
		say(e, verdict, ways_tell(&fate, e->ends.family, got));
		return false;
	}
	return true;
}

static enum check_item way_of(const struct expectation *e)
{
	if (e->iif)
		return ITEM_PACKET_TC;
	/* The kernel may have no SCTP, and no hook of it calls our programs. */
	return e->ends.proto == IPPROTO_SCTP ? ITEM_PACKET_DECIDE : ITEM_PACKET_SOCKET;
}

void packets_run(struct check *check, struct world *world, const json_t *packets, bool affinity)
{
	const json_t *packet;
	size_t i;

	json_array_foreach (packets, i, packet) {
		struct expectation e = {
			.check = check,
			.world = world,
			.packet = packet,
			.index = i,
			.iif = text(packet, "iif"),
		};
		const char *verdict = text(packet, "verdict");
		bool ok = packets_read(packet, &e.ends) && read_targets(&e) && verdict;

		e.way = way_of(&e);
		if (!ok)
			say(&e, "a packet", "something else");
		else if (strcmp(verdict, ways_verdict(VERDICT_DNAT)) == 0)
			ok = send_all(&e, affinity);
		else
			ok = send_some(&e, verdict);
		check_count(check, e.way,
			    !ok		? RESULT_FAILED
			    : e.differs ? RESULT_DIFFERS
					: RESULT_PASSED);
	}
	world_forget_flows(world);
}
