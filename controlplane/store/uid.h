/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* metadata.uid, which Kubernetes makes as a UUID. */

#include <stdbool.h>
#include <stdint.h>

#define UID_TEXT_MAX 37

/* All zero: none, or one that is no UUID. */
struct object_uid {
	uint8_t byte[16];
};

/* Reads a UUID as Kubernetes writes it, in lower case; anything else, and NULL, is none. */
struct object_uid uid_parse(const char *text);

/* Writes it as it was read. Returns `text`, or NULL for none. */
const char *uid_format(const struct object_uid *uid, char text[UID_TEXT_MAX]);
