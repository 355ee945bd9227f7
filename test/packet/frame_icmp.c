/* SPDX-License-Identifier: Apache-2.0 */

#include "test/packet/frame_icmp.h"

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <netinet/in.h>
#include <string.h>

const struct icmp_kind icmp_kinds4[ICMP_KINDS] = {
	{ "port unreachable", 3, 3, 0 },
	{ "fragmentation needed", 3, 4, 1400 },
	{ "time exceeded", 11, 0, 0 },
	{ "parameter problem", 12, 0, 1U << 24 },
};
const struct icmp_kind icmp_kinds6[ICMP_KINDS] = {
	{ "port unreachable", 1, 4, 0 },
	{ "packet too big", 2, 0, 1280 },
	{ "time exceeded", 3, 0, 0 },
	{ "parameter problem", 4, 1, 6 },
};
const struct icmp_kind icmp_redirect4 = { "redirect", 5, 1, 0x0a000001 };

struct frame frame_icmp(const char *saddr, const char *daddr, const struct icmp_kind *kind,
			const struct frame *about, uint32_t quote)
{
	uint8_t proto = strchr(saddr, ':') ? IPPROTO_ICMPV6 : IPPROTO_ICMP;
	uint32_t rest = htonl(kind->rest);
	struct frame f;
	uint8_t *icmp;

	if (quote > about->len - ETH_HLEN)
		quote = about->len - ETH_HLEN;
	f = frame_other(saddr, daddr, proto, 8 + quote);
	icmp = f.data + f.len - quote - 8;
	icmp[0] = kind->type;
	icmp[1] = kind->code;
	memcpy(icmp + 4, &rest, 4);
	memcpy(icmp + 8, about->data + ETH_HLEN, quote);
	frame_finish(&f);
	return f;
}

struct frame frame_nd_redirect(const char *saddr, const char *daddr, const struct frame *about,
			       bool mac)
{
	uint32_t quote = about->len - ETH_HLEN, options = mac ? 16 : 8;
	struct frame f = frame_other(saddr, daddr, IPPROTO_ICMPV6, 40 + options + quote);
	uint8_t *nd = f.data + f.len - quote - options - 40;

	memset(nd, 0, 40 + options);
	nd[0] = 137;
	if (mac) {
		nd[40] = 2;
		nd[41] = 1;
	}
	nd[40 + options - 8] = 4;
	nd[41 + options - 8] = (8 + quote) / 8;
	memcpy(nd + 40 + options, about->data + ETH_HLEN, quote);
	frame_set_ttl(&f, 255);
	return f;
}
