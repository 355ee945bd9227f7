/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The core schema of YAML 1.2 (section 10.3.2): what a plain scalar stands for. */

#include <jansson.h>

/*
 * Reads the text of a plain scalar. `*ret` is a new reference: null, a boolean,
 * a number, or a string for everything else. Returns 0, -ENOMEM, or -ERANGE
 * for a number that has no exact place in 64 bits or is not finite.
 */
int yaml_scalar_parse(const char *text, json_t **ret);
