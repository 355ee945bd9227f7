/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>

/*
 * Decodes base64 (RFC 4648, section 4), white space ignored. Returns 0 and
 * bytes to be freed, followed by a 0 that is not counted; -EINVAL or -ENOMEM.
 */
int base64_decode(const char *text, char **ret, size_t *ret_len);
