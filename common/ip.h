/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/abi.h"

/* The length that fits every address, port and brackets, with its NUL. */
#define IP_TEXT_MAX 64

/* A prefix: the host bits of `addr` are 0. */
struct ip_prefix {
	struct sl_addr addr;
	uint8_t family; /* 4 or 6 */
	uint8_t len;	/* bits of the address, 0 ... 32 or 128 */
};

/*
 * Reads an address as Kubernetes does (S-025): IPv4 octets may have leading
 * zeros and stay decimal; ::ffff:a.b.c.d is IPv4. No zone, no white space.
 * Returns the family (4 or 6), or -EINVAL, leaving `*ret` untouched.
 */
int ip_parse(const char *text, struct sl_addr *ret);

/*
 * Reads "address/length" as S-050 does: leniently as above, host bits are
 * masked off. Returns 0, or -EINVAL, leaving `*ret` untouched.
 */
int ip_prefix_parse(const char *text, struct ip_prefix *ret);

bool ip_prefix_has(const struct ip_prefix *prefix, const struct sl_addr *addr, uint8_t family);

/* Writes the address in canonical form (RFC 5952) and returns `text`. */
const char *ip_format(const struct sl_addr *addr, uint8_t family, char text[IP_TEXT_MAX]);

/* Writes "addr:port" or "[addr]:port"; `port` is in network byte order. */
const char *ip_format_port(const struct sl_addr *addr, uint8_t family, uint16_t port,
			   char text[IP_TEXT_MAX]);

static inline bool ip_equal(const struct sl_addr *a, const struct sl_addr *b)
{
	return a->w[0] == b->w[0] && a->w[1] == b->w[1] && a->w[2] == b->w[2] && a->w[3] == b->w[3];
}

/* 127.0.0.0/8 or ::1 */
bool ip_is_loopback(const struct sl_addr *addr, uint8_t family);

/* "TCP", "UDP", "SCTP"; NULL for another protocol number. */
const char *ip_protocol_name(uint8_t proto);

/* The protocol number of "TCP", "UDP" or "SCTP" in any case, or -EINVAL. */
int ip_protocol_parse(const char *name);
