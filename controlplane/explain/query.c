/* SPDX-License-Identifier: Apache-2.0 */

#include "controlplane/explain/query.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PLACE_MAX 80 /* an address, brackets and a port */

/* 1 ... 65535 in network byte order, or 0 for what is no such number. */
static __be16 parse_port(const char *text)
{
	char *end;
	unsigned long port = strtoul(text, &end, 10);

	if (*text < '0' || *text > '9' || *end || port > 65535)
		return 0;
	return htons((uint16_t)port);
}

/*
 * Reads ADDR or ADDR:PORT. Returns the family, or -EINVAL; `*ret_port` stays
 * as it is if there is no port.
 */
static int parse_place(const char *text, struct sl_addr *ret, __be16 *ret_port)
{
	char copy[PLACE_MAX], *addr = copy, *port = NULL, *end;
	__be16 number;
	int family;

	if (strlen(text) >= sizeof(copy))
		return -EINVAL;
	strcpy(copy, text);
	if (*copy == '[') {
		addr = copy + 1;
		end = strchr(addr, ']');
		if (!end || (end[1] && end[1] != ':'))
			return -EINVAL;
		*end = 0;
		port = end[1] ? end + 2 : NULL;
	} else if (strchr(copy, ':') && strchr(copy, ':') == strrchr(copy, ':')) {
		end = strchr(copy, ':');
		*end = 0;
		port = end + 1;
	}
	family = ip_parse(addr, ret);
	if (family < 0)
		return family;
	if (port) {
		number = parse_port(port);
		if (!number)
			return -EINVAL;
		*ret_port = number;
	}
	return family;
}

static int fail(char error[512], const char *what, const char *text, const char *why)
{
	snprintf(error, 512, "%s: \"%.100s\" %s", what, text, why);
	return -EINVAL;
}

int explain_query_parse(const struct explain_query *query, struct decide_packet *ret,
			char error[512])
{
	struct decide_packet packet = { .local = query->local, .iface = query->iface };
	char to[PLACE_MAX + 8];
	int family, proto = IPPROTO_TCP;
	char *slash;

	if (!query->from || !query->to) {
		snprintf(error, 512, "%s: is needed", query->from ? "to" : "from");
		return -EINVAL;
	}
	if (query->iface && query->local) {
		snprintf(error, 512,
			 "iface, local: a packet is either from an interface or from a "
			 "process of the node");
		return -EINVAL;
	}
	snprintf(to, sizeof(to), "%s", query->to);
	slash = strchr(to, '/');
	if (slash) {
		*slash = 0;
		proto = ip_protocol_parse(slash + 1);
		if (proto < 0)
			return fail(error, "to", query->to, "does not end in tcp, udp or sctp");
	}
	family = parse_place(to, &packet.daddr, &packet.dport);
	if (strlen(query->to) >= sizeof(to) || family < 0 || !packet.dport)
		return fail(error, "to", query->to,
			    "is not ADDRESS:PORT or ADDRESS:PORT/PROTOCOL (IPv6 in brackets)");
	packet.family = (uint8_t)family;
	packet.proto = (uint8_t)proto;
	family = parse_place(query->from, &packet.saddr, &packet.sport);
	if (family < 0)
		return fail(error, "from", query->from,
			    "is not ADDRESS or ADDRESS:PORT (IPv6 with a port in brackets)");
	if (family != packet.family)
		return fail(error, "from", query->from,
			    "is of another family than the destination");
	*ret = packet;
	return 0;
}
