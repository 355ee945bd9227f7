/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A decision as the document Explanation of docs/api.md. */

#include <jansson.h>

#include "controlplane/explain/decide.h"

/*
 * `by` is "daemon" or "objects". Returns 0 and a new reference, or -ENOMEM.
 */
int explain_document(const struct decide_packet *packet, const struct decision *decision,
		     const char *by, json_t **ret);

/* "forward", "pass", "reject" or "drop"; and drop.h's word for the latter two, or NULL. */
const char *explain_verdict(enum sl_verdict verdict);
const char *explain_loss(enum sl_verdict verdict);

/* Words for enum sl_path and, without SL_MASQUERADE, for enum sl_choice. */
const char *explain_path(uint8_t path);
const char *explain_choice(uint8_t choice);
