/* SPDX-License-Identifier: Apache-2.0 */

#include "controlplane/source/base64.h"

#include <ctype.h>
#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "common/mem.h"

/* 0 ... 63, or -1. */
static int digit(char c)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const char *at = c ? strchr(digits, c) : NULL;

	return at ? (int)(at - digits) : -1;
}

int base64_decode(const char *text, char **ret, size_t *ret_len)
{
	sl_auto_mem char *out = malloc(strlen(text) / 4 * 3 + 4);
	size_t len = 0, digits = 0, padding = 0;
	uint32_t bits = 0;

	if (!out)
		return -ENOMEM;
	for (; *text; text++) {
		if (isspace((unsigned char)*text))
			continue;
		if (*text == '=') {
			padding++;
			continue;
		}

		int value = digit(*text);
		if (value < 0 || padding > 0)
			return -EINVAL;
		bits = bits << 6 | (uint32_t)value;
		if (++digits % 4 == 0) {
			out[len++] = (char)(bits >> 16);
			out[len++] = (char)(bits >> 8);
			out[len++] = (char)bits;
		}
	}
	if ((digits + padding) % 4 != 0 || padding > 2)
		return -EINVAL;
	/* Two digits are one byte and four spare bits, three are two and two. */
	if (digits % 4 == 2)
		out[len++] = (char)(bits >> 4);
	if (digits % 4 == 3) {
		out[len++] = (char)(bits >> 10);
		out[len++] = (char)(bits >> 2);
	}
	out[len] = '\0';
	*ret = sl_take(out);
	*ret_len = len;
	return 0;
}
