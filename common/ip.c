/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "common/ip.h"

#define IP4_BYTES 4
#define IP6_BYTES 16

static const uint8_t mapped[IP6_BYTES - IP4_BYTES] = { [10] = 0xff, [11] = 0xff };

static const struct {
	const char *name;
	uint8_t number;
} protocols[] = {
	{ "TCP", IPPROTO_TCP },
	{ "UDP", IPPROTO_UDP },
	{ "SCTP", IPPROTO_SCTP },
};

static int digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Reads digits of `base` and moves `*at` behind them. Returns -1 if there is
 * none, or the number is above `max`. Leading zeros are free. */
static int number(const char **at, int base, int max)
{
	const char *start = *at;
	int n = 0;

	for (int d = digit(**at); d >= 0 && d < base; d = digit(**at)) {
		n = n * base + d;
		if (n > max)
			return -1;
		(*at)++;
	}
	return *at == start ? -1 : n;
}

/* The whole of `text` is four decimal octets. */
static bool parse4(const char *text, uint8_t out[IP4_BYTES])
{
	for (int i = 0; i < IP4_BYTES; i++) {
		if (i && *text++ != '.')
			return false;

		int n = number(&text, 10, 255);

		if (n < 0)
			return false;
		out[i] = n;
	}
	return !*text;
}

/* Opens the gap that "::" at byte `gap` of the first `n` bytes stands for. */
static void expand(uint8_t out[IP6_BYTES], int n, int gap)
{
	memmove(out + IP6_BYTES - (n - gap), out + gap, n - gap);
	memset(out + gap, 0, IP6_BYTES - n);
}

static bool parse6(const char *text, uint8_t out[IP6_BYTES])
{
	int n = 0, gap = -1;

	memset(out, 0, IP6_BYTES);
	if (text[0] == ':' && text[1] == ':') {
		gap = 0;
		text += 2;
		if (!*text)
			return true;
	}
	while (n < IP6_BYTES) {
		const char *group = text;
		int value = number(&text, 16, 0xffff);

		if (*text == '.') {
			/* The last four bytes may be written as IPv4. */
			if (n > IP6_BYTES - IP4_BYTES || !parse4(group, out + n))
				return false;
			n += IP4_BYTES;
			text = "";
			break;
		}
		if (value < 0)
			return false;
		out[n++] = value >> 8;
		out[n++] = value & 0xff;
		if (!*text)
			break;
		if (*text++ != ':')
			return false;
		if (*text == ':') {
			if (gap >= 0)
				return false;
			gap = n;
			if (!*++text)
				break;
		} else if (!*text) {
			return false;
		}
	}
	if (*text || (gap < 0 && n < IP6_BYTES) || (gap >= 0 && n == IP6_BYTES))
		return false;
	if (gap >= 0)
		expand(out, n, gap);
	return true;
}

/* Without turning mapped addresses into IPv4. Returns the family or -EINVAL. */
static int parse(const char *text, uint8_t out[IP6_BYTES])
{
	memset(out, 0, IP6_BYTES);
	if (!strchr(text, ':'))
		return parse4(text, out) ? 4 : -EINVAL;
	return parse6(text, out) ? 6 : -EINVAL;
}

static bool is_mapped(const uint8_t bytes[IP6_BYTES])
{
	return !memcmp(bytes, mapped, sizeof(mapped));
}

static void unmap(uint8_t bytes[IP6_BYTES])
{
	memcpy(bytes, bytes + sizeof(mapped), IP4_BYTES);
	memset(bytes + IP4_BYTES, 0, IP6_BYTES - IP4_BYTES);
}

int ip_parse(const char *text, struct sl_addr *ret)
{
	uint8_t bytes[IP6_BYTES];
	int family = parse(text, bytes);

	if (family < 0)
		return family;
	if (family == 6 && is_mapped(bytes)) {
		unmap(bytes);
		family = 4;
	}
	memcpy(ret, bytes, sizeof(bytes));
	return family;
}

static void mask(uint8_t bytes[IP6_BYTES], int len)
{
	for (int i = 0; i < IP6_BYTES; i++) {
		int keep = len - i * 8;

		if (keep <= 0)
			bytes[i] = 0;
		else if (keep < 8)
			bytes[i] &= 0xff << (8 - keep);
	}
}

int ip_prefix_parse(const char *text, struct ip_prefix *ret)
{
	const char *slash = strchr(text, '/');
	/* Any number of leading zeros is allowed, but nobody writes this many. */
	char addr[128];
	uint8_t bytes[IP6_BYTES];

	if (!slash || (size_t)(slash - text) >= sizeof(addr))
		return -EINVAL;
	memcpy(addr, text, slash - text);
	addr[slash - text] = '\0';

	const char *at = slash + 1;
	int family = parse(addr, bytes);
	int len = family < 0 ? -1 : number(&at, 10, family == 4 ? 32 : 128);

	if (len < 0 || *at)
		return -EINVAL;
	mask(bytes, len);
	/* A shorter mapped prefix holds more than IPv4 addresses. */
	if (family == 6 && len >= 96 && is_mapped(bytes)) {
		unmap(bytes);
		family = 4;
		len -= 96;
	}
	*ret = (struct ip_prefix) { .family = family, .len = len };
	memcpy(&ret->addr, bytes, sizeof(bytes));
	return 0;
}

bool ip_prefix_has(const struct ip_prefix *prefix, const struct sl_addr *addr, uint8_t family)
{
	uint8_t bytes[IP6_BYTES];

	if (prefix->family != family)
		return false;
	memcpy(bytes, addr, sizeof(bytes));
	mask(bytes, prefix->len);
	return !memcmp(bytes, &prefix->addr, sizeof(bytes));
}

/* inet_ntop() writes addresses in ::/96 with an IPv4 tail, RFC 5952 does not. */
static void format6(const uint8_t bytes[IP6_BYTES], char text[IP_TEXT_MAX])
{
	int best = 0, longest = 1;
	char *at = text;

	for (int i = 0; i < 8; i++) {
		int n = 0;

		while (i + n < 8 && !bytes[2 * (i + n)] && !bytes[2 * (i + n) + 1])
			n++;
		if (n > longest) {
			best = i;
			longest = n;
		}
	}
	for (int i = 0; i < 8; i++) {
		if (longest > 1 && i == best) {
			at += sprintf(at, "::");
			i += longest - 1;
			continue;
		}
		at += sprintf(at, "%s%x", at > text && at[-1] != ':' ? ":" : "",
			      bytes[2 * i] << 8 | bytes[2 * i + 1]);
	}
}

const char *ip_format(const struct sl_addr *addr, uint8_t family, char text[IP_TEXT_MAX])
{
	uint8_t b[IP6_BYTES];

	memcpy(b, addr, sizeof(b));
	if (family == 4)
		snprintf(text, IP_TEXT_MAX, "%u.%u.%u.%u", b[0], b[1], b[2], b[3]);
	else
		format6(b, text);
	return text;
}

const char *ip_format_port(const struct sl_addr *addr, uint8_t family, uint16_t port,
			   char text[IP_TEXT_MAX])
{
	char plain[IP_TEXT_MAX];

	ip_format(addr, family, plain);
	/* 47 bytes at most; the precision tells the compiler so. */
	snprintf(text, IP_TEXT_MAX, family == 4 ? "%.46s:%u" : "[%.46s]:%u", plain, ntohs(port));
	return text;
}

bool ip_is_loopback(const struct sl_addr *addr, uint8_t family)
{
	uint8_t b[IP6_BYTES];

	memcpy(b, addr, sizeof(b));
	if (family == 4)
		return b[0] == 127;
	return !memcmp(b, &in6addr_loopback, sizeof(b));
}

const char *ip_protocol_name(uint8_t proto)
{
	for (size_t i = 0; i < sizeof(protocols) / sizeof(protocols[0]); i++)
		if (protocols[i].number == proto)
			return protocols[i].name;
	return NULL;
}

int ip_protocol_parse(const char *name)
{
	for (size_t i = 0; i < sizeof(protocols) / sizeof(protocols[0]); i++)
		if (!strcasecmp(protocols[i].name, name))
			return protocols[i].number;
	return -EINVAL;
}
