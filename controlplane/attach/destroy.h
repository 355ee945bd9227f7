/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Closing sockets of other processes: sock_diag's SOCK_DESTROY. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/abi.h"

/*
 * Closes the sockets of this network namespace that are connected to the peer
 * (its cookie is not looked at) and have one of the `n` cookies. Their
 * processes see ECONNABORTED. Adds how many there were to *ret_closed.
 *
 * Returns 0, also when there was none, or -errno.
 */
int destroy_sockets(const struct sl_socket *peer, const uint64_t *cookies, size_t n,
		    size_t *ret_closed);

/* A connected UDP socket; an IPv4 address in IPv6 form is one of family 4. */
struct destroy_udp {
	struct sl_addr addr, peer;
	__be16 port, peer_port;
	uint8_t family; /* 4 or 6 */
	uint64_t cookie;
};

/*
 * Closes the connected UDP sockets of this network namespace that are `wanted`,
 * at most DESTROY_UDP_MAX of each kind; there may be more then. Results as above.
 */
#define DESTROY_UDP_MAX 1024
int destroy_udp(bool (*wanted)(void *context, const struct destroy_udp *socket), void *context,
		size_t *ret_closed);
