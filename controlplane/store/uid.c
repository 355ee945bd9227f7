/* SPDX-License-Identifier: Apache-2.0 */

#include "controlplane/store/uid.h"

#include <stdio.h>
#include <string.h>

static const char digits[] = "0123456789abcdef";

static bool has_dash_before(size_t byte)
{
	return byte == 4 || byte == 6 || byte == 8 || byte == 10;
}

/* The value of a digit, or -1. */
static int value_of(char digit)
{
	const char *at = digit ? strchr(digits, digit) : NULL;

	return at ? (int)(at - digits) : -1;
}

struct object_uid uid_parse(const char *text)
{
	static const struct object_uid none;
	struct object_uid uid;

	if (!text)
		return none;
	for (size_t i = 0; i < sizeof(uid.byte); i++) {
		int high, low;

		if (has_dash_before(i) && *text++ != '-')
			return none;
		high = value_of(text[0]);
		low = high < 0 ? -1 : value_of(text[1]);
		if (low < 0)
			return none;
		uid.byte[i] = (uint8_t)(high << 4 | low);
		text += 2;
	}
	return *text ? none : uid;
}

const char *uid_format(const struct object_uid *uid, char text[UID_TEXT_MAX])
{
	static const struct object_uid none;
	char *at = text;

	if (memcmp(uid, &none, sizeof(none)) == 0)
		return NULL;
	for (size_t i = 0; i < sizeof(uid->byte); i++) {
		if (has_dash_before(i))
			*at++ = '-';
		*at++ = digits[uid->byte[i] >> 4];
		*at++ = digits[uid->byte[i] & 15];
	}
	*at = '\0';
	return text;
}
