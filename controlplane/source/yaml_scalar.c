/* SPDX-License-Identifier: Apache-2.0 */

#include "controlplane/source/yaml_scalar.h"

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"

#define DIGITS "0123456789"

static bool is_one_of(const char *text, const char *const *words, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (strcmp(text, words[i]) == 0)
			return true;
	}
	return false;
}

static bool is_null(const char *text)
{
	static const char *const words[] = { "", "~", "null", "Null", "NULL" };

	return is_one_of(text, words, SL_COUNT(words));
}

static bool is_true(const char *text)
{
	static const char *const words[] = { "true", "True", "TRUE" };

	return is_one_of(text, words, SL_COUNT(words));
}

static bool is_false(const char *text)
{
	static const char *const words[] = { "false", "False", "FALSE" };

	return is_one_of(text, words, SL_COUNT(words));
}

/* ".inf" and ".nan": floats of the schema that JSON has no word for. */
static bool is_not_finite(const char *text)
{
	static const char *const words[] = { ".inf", ".Inf", ".INF", ".nan", ".NaN", ".NAN" };

	return is_one_of(text + strspn(text, "+-"), words, SL_COUNT(words));
}

/* Returns the base of an integer and where its digits begin, or 0. */
static int integer_base(const char *text, const char **ret_digits)
{
	const char *digits = text;
	const char *allowed = DIGITS;
	int base = 10;

	if (strncmp(text, "0x", 2) == 0) {
		digits = text + 2;
		allowed = DIGITS "abcdefABCDEF";
		base = 16;
	} else if (strncmp(text, "0o", 2) == 0) {
		digits = text + 2;
		allowed = "01234567";
		base = 8;
	} else if (*text == '-' || *text == '+') {
		digits = text + 1;
	}
	size_t n = strspn(digits, allowed);
	if (n == 0 || digits[n] != '\0')
		return 0;
	*ret_digits = base == 10 ? text : digits;
	return base;
}

/* [-+]? ( \. [0-9]+ | [0-9]+ ( \. [0-9]* )? ) ( [eE] [-+]? [0-9]+ )? */
static bool is_float(const char *text)
{
	const char *at = text + (*text == '-' || *text == '+');
	size_t whole = strspn(at, DIGITS);

	at += whole;
	if (*at == '.') {
		size_t fraction = strspn(at + 1, DIGITS);

		if (whole == 0 && fraction == 0)
			return false;
		at += 1 + fraction;
	} else if (whole == 0) {
		return false;
	}
	if (*at == 'e' || *at == 'E') {
		at++;
		at += *at == '-' || *at == '+';
		size_t exponent = strspn(at, DIGITS);
		if (exponent == 0)
			return false;
		at += exponent;
	}
	return *at == '\0';
}

static int number(const char *text, json_t **ret)
{
	const char *digits;
	int base = integer_base(text, &digits);

	if (base) {
		errno = 0;
		long long value = strtoll(digits, NULL, base);
		if (errno)
			return -ERANGE;
		*ret = json_integer(value);
	} else {
		double value = strtod(text, NULL);

		if (!isfinite(value))
			return -ERANGE;
		*ret = json_real(value);
	}
	return *ret ? 0 : -ENOMEM;
}

int yaml_scalar_parse(const char *text, json_t **ret)
{
	const char *digits;

	if (is_not_finite(text))
		return -ERANGE;
	if (integer_base(text, &digits) || is_float(text))
		return number(text, ret);

	if (is_null(text))
		*ret = json_null();
	else if (is_true(text))
		*ret = json_true();
	else if (is_false(text))
		*ret = json_false();
	else
		*ret = json_string(text);
	return *ret ? 0 : -ENOMEM;
}
