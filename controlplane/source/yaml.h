/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Text of YAML 1.2 (core schema) or JSON, as a value of jansson's.
 *
 * Only plain scalars are null, true, false or numbers; quoted ones are
 * strings, and so is what YAML 1.1 took for a boolean ("yes", "off"). Refused,
 * because they have no meaning in JSON or are there to do harm: duplicate and
 * merge ("<<") keys, keys that are not scalars, numbers that don't fit 64
 * bits, NUL characters, unknown tags, aliases of an enclosing node, nesting
 * above YAML_DEPTH_MAX, aliases that repeat more than YAML_REPEATED_MAX nodes
 * and texts above YAML_TEXT_MAX bytes.
 *
 * Pure, and safe to call from any thread.
 */

#include <jansson.h>
#include <stddef.h>

#include "controlplane/store/object.h"

#define YAML_TEXT_MAX	  (64U << 20)
#define YAML_DEPTH_MAX	  128
#define YAML_REPEATED_MAX 100000
#define YAML_ANCHORS_MAX  1024

/* Reads every document of a YAML or JSON text into an array; -EINVAL with "NAME:LINE: reason", in
 * one line, in error. Empty documents are skipped. -ENOMEM has a reason in error, too. */
int yaml_parse(const char *name, const char *text, size_t len, json_t **ret,
	       char error[OBJECT_ERROR_MAX]);
