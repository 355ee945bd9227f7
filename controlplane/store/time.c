/* SPDX-License-Identifier: Apache-2.0 */

#include "controlplane/store/time.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <time.h>

#define NS_PER_S 1000000000LL

/* Reads `n` digits, whose number must not be above `max`; -1 for others. */
static int digits(const char **at, int n, int max)
{
	int value = 0;

	for (int i = 0; i < n; i++, (*at)++) {
		if (!isdigit((unsigned char)**at))
			return -1;
		value = value * 10 + (**at - '0');
	}
	return value <= max ? value : -1;
}

static bool skip(const char **at, char c)
{
	if (**at != c)
		return false;
	(*at)++;
	return true;
}

/* ".678", if it is there; false for more than nanoseconds. */
static bool read_fraction(const char **at, int64_t *ret_ns)
{
	int64_t unit = NS_PER_S / 10;

	*ret_ns = 0;
	if (!skip(at, '.'))
		return true;
	for (; isdigit((unsigned char)**at); (*at)++, unit /= 10) {
		if (!unit)
			return false;
		*ret_ns += unit * (**at - '0');
	}
	return unit < NS_PER_S / 10;
}

/* "Z" or "+01:00", how far it is ahead. */
static bool read_zone(const char **at, int64_t *ret_s)
{
	int sign = **at == '-' ? -1 : 1, hours, minutes;

	*ret_s = 0;
	if (skip(at, 'Z'))
		return true;
	if (!skip(at, '+') && !skip(at, '-'))
		return false;
	hours = digits(at, 2, 23);
	if (hours < 0 || !skip(at, ':'))
		return false;
	minutes = digits(at, 2, 59);
	*ret_s = sign * (hours * 3600LL + minutes * 60LL);
	return minutes >= 0;
}

int time_parse(const char *text, int64_t *ret_ns)
{
	struct tm tm = { 0 }, given;
	const char *at = text;
	int64_t fraction, zone;
	time_t seconds;

	tm.tm_year = digits(&at, 4, 9999) - 1900;
	if (tm.tm_year < 70 || tm.tm_year > 350 || !skip(&at, '-'))
		return -EINVAL;
	tm.tm_mon = digits(&at, 2, 12) - 1;
	if (tm.tm_mon < 0 || !skip(&at, '-'))
		return -EINVAL;
	tm.tm_mday = digits(&at, 2, 31);
	if (tm.tm_mday < 1 || !skip(&at, 'T'))
		return -EINVAL;
	tm.tm_hour = digits(&at, 2, 23);
	if (tm.tm_hour < 0 || !skip(&at, ':'))
		return -EINVAL;
	tm.tm_min = digits(&at, 2, 59);
	if (tm.tm_min < 0 || !skip(&at, ':'))
		return -EINVAL;
	tm.tm_sec = digits(&at, 2, 59);
	if (tm.tm_sec < 0 || !read_fraction(&at, &fraction) || !read_zone(&at, &zone) || *at)
		return -EINVAL;
	given = tm;
	seconds = timegm(&tm);
	/* The 30th of February became another day. */
	if (tm.tm_mday != given.tm_mday || tm.tm_mon != given.tm_mon)
		return -EINVAL;
	*ret_ns = (seconds - zone) * NS_PER_S + fraction;
	return 0;
}
