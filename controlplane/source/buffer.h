/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Bytes that grow at the end. Begins as all zero. */

#include <stddef.h>

struct buffer {
	char *data;  /* NULL while size is 0 */
	size_t len;  /* bytes in use */
	size_t size; /* bytes allocated */
};

/* Returns 0 or -ENOMEM, which leaves the buffer as it was. */
int buffer_add(struct buffer *buffer, const void *data, size_t len);

/* Frees the bytes; the buffer is empty and may be used again. */
void buffer_clear(struct buffer *buffer);
