/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once

/*
 * SCTP's checksum after a change of ports (RFC 9260, appendix A). It covers no
 * IP header, and it is a CRC: linear, so the CRC of the difference, moved
 * through the bytes that follow it, is the difference of the CRCs.
 */

#include "pkt.h"

#define CRC32C_REFLECTED 0x82f63b78U
#define SCTP_CHECK	 8 /* offset of the checksum in the header */

/* What 2^k bytes of zeros do to a CRC: x^(8 * 2^k), reflected. */
static const __u32 crc32c_zeros[16] = { 0x00800000, 0x00008000, 0x82f63b78, 0x6ea2d55c,
					0x18b8ea18, 0x510ac59a, 0xb82be955, 0xb8fdb1e7,
					0x88e56f72, 0x74c360a4, 0xe4172b16, 0x0d65762a,
					0x35d73a62, 0x28461564, 0xbf455269, 0xe2ea32dc };

/* The product of two polynomials modulo CRC32C's, all reflected. */
static __always_inline __u32 crc32c_multiply(__u32 a, __u32 b)
{
	__u32 product = 0;

	for (int i = 0; i < 32; i++) {
		product ^= a & 0x80000000U ? b : 0;
		a <<= 1;
		b = b & 1 ? b >> 1 ^ CRC32C_REFLECTED : b >> 1;
	}
	return product;
}

/*
 * The difference of the checksum field, as it lies in memory, of a packet of
 * `len` bytes from the SCTP header on whose ports differ by `ports` (old xor
 * new, as they lie in memory).
 */
__noinline __u32 sctp_check_difference(__u32 ports, __u32 len)
{
	__u32 crc = ports;

	for (int i = 0; i < 32; i++)
		crc = crc & 1 ? crc >> 1 ^ CRC32C_REFLECTED : crc >> 1;
	len -= 4;
	for (int k = 0; k < 16; k++) {
		if (len >> k & 1)
			crc = crc32c_multiply(crc, crc32c_zeros[k]);
	}
	return crc;
}
