/* SPDX-License-Identifier: Apache-2.0 */

#include "controlplane/source/buffer.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int buffer_add(struct buffer *buffer, const void *data, size_t len)
{
	if (len == 0)
		return 0;
	if (len > SIZE_MAX / 4 - buffer->len)
		return -ENOMEM;

	size_t size = buffer->size ? buffer->size : 4096;
	while (size < buffer->len + len)
		size *= 2;
	if (size != buffer->size) {
		char *grown = realloc(buffer->data, size);

		if (!grown)
			return -ENOMEM;
		buffer->data = grown;
		buffer->size = size;
	}
	memcpy(buffer->data + buffer->len, data, len);
	buffer->len += len;
	return 0;
}

void buffer_clear(struct buffer *buffer)
{
	free(buffer->data);
	*buffer = (struct buffer) {};
}
