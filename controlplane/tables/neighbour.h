/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Making the kernel ask for a neighbour's MAC, as a packet to it would. */

#include <linux/types.h>
#include <stdint.h>

/* `family` is 4 or 6; an IPv4 address is the first word. 0 or -errno. */
int neighbour_ask(uint32_t ifindex, uint8_t family, const __be32 addr[4]);
