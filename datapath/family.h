/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once

/*
 * The stages are written once and compiled for two families, because IPv4
 * flows with keys of their own cost a third less (fewer cache misses). Files
 * that say "for each family" are included by stages.h with FAMILY set to 4 and
 * then to 6: F(name) is name4 or name6, WORDS the length of an address.
 */

#define SL_PASTE_(a, b)	    a##b
#define SL_PASTE(a, b)	    SL_PASTE_(a, b)
#define F(name)		    SL_PASTE(name, FAMILY)
#define WORDS		    (FAMILY == 4 ? 1 : 4)
#define ADDR_BYTES	    (WORDS * 4)

#define copy_addr(to, from) __builtin_memcpy(to, from, ADDR_BYTES)

/* Spelled out: __builtin_memcmp() becomes a call on unaligned stack memory. */
static __always_inline int same_words(const __be32 *a, const __be32 *b, int words)
{
	return words == 1 ? a[0] == b[0]
			  : a[0] == b[0] && a[1] == b[1] && a[2] == b[2] && a[3] == b[3];
}

#define same_addr(a, b) same_words(a, b, WORDS)
