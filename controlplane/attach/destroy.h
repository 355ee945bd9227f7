/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Closing sockets of other processes: sock_diag's SOCK_DESTROY. */

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
