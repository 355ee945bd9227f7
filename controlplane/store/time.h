/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Times in objects (private to store/). */

#include <stdint.h>

/*
 * Reads RFC 3339 with up to nanoseconds, "2026-01-02T03:04:05.678+01:00", into
 * nanoseconds since 1970. Returns 0, or -EINVAL, leaving `*ret` untouched.
 */
int time_parse(const char *text, int64_t *ret_ns);
