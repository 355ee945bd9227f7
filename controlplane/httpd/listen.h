/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Where a server listens. */

#include <stdbool.h>
#include <stdint.h>

#include "common/ip.h"

struct listen_address {
	struct sl_addr addr;
	uint8_t family; /* 4 or 6 */
	bool both;	/* every address of both families; `addr` is 0 */
	uint16_t port;	/* host order */
};

/*
 * Reads "192.0.2.1:80" or "[2001:db8::1]:80". 0.0.0.0 and [::] both mean every
 * address of both families, as they do for the programs that this text is
 * shared with. Returns 0, or -EINVAL, leaving `*ret` untouched.
 */
int listen_address_parse(const char *text, struct listen_address *ret);

/*
 * Opens a TCP socket that listens and does not block. Without `both`, an IPv6
 * socket takes no IPv4. Returns 0 and the socket, or -errno.
 */
int listen_open(const struct listen_address *address, int *ret_fd);
