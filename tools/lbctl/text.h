/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Values as people read them. */

#include <jansson.h>
#include <stdio.h>

/* "42s", "5m3s", "2h5m", "3d4h" */
void text_age(FILE *out, json_int_t seconds);

/* "512 B", "1.5 KiB", "3.0 GiB" */
void text_bytes(FILE *out, json_int_t bytes);

/* "850 us", "12.4 ms", "3.1 s" */
void text_microseconds(FILE *out, json_int_t us);

/* The value at a path of keys, "counters.packets"; NULL for none. */
const json_t *text_find(const json_t *object, const char *path);

/* The string at a path, or "-" if it is not there or empty. */
const char *text_string(const json_t *object, const char *path);

/* The number at a path, or 0. */
json_int_t text_number(const json_t *object, const char *path);
