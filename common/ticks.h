/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once

#include <stdint.h>
#include <time.h>

#include "common/abi.h"

/* The time in the datapath's ticks (SL_TICK_SHIFT), read as the datapath does. */
static inline uint32_t ticks_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	return (uint32_t)(((uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec) >>
			  SL_TICK_SHIFT);
}
