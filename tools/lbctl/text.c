/* SPDX-License-Identifier: Apache-2.0 */

#include "tools/lbctl/text.h"

#include <string.h>

void text_age(FILE *out, json_int_t seconds)
{
	static const struct {
		json_int_t seconds;
		char name;
	} units[] = { { 86400, 'd' }, { 3600, 'h' }, { 60, 'm' }, { 1, 's' } };
	size_t i = 0;

	if (seconds < 0)
		seconds = 0;
	while (units[i].seconds > seconds && units[i].seconds > 1)
		i++;
	fprintf(out, "%lld%c", seconds / units[i].seconds, units[i].name);
	seconds %= units[i].seconds;
	if (seconds && seconds >= units[i + 1].seconds)
		fprintf(out, "%lld%c", seconds / units[i + 1].seconds, units[i + 1].name);
}

void text_bytes(FILE *out, json_int_t bytes)
{
	static const char *const names[] = { "KiB", "MiB", "GiB", "TiB", "PiB" };
	double value = (double)bytes / 1024;
	size_t i = 0;

	if (bytes < 1024) {
		fprintf(out, "%lld B", bytes);
		return;
	}
	while (value >= 1023.95 && i + 1 < sizeof(names) / sizeof(names[0])) {
		value /= 1024;
		i++;
	}
	fprintf(out, "%.1f %s", value, names[i]);
}

void text_microseconds(FILE *out, json_int_t us)
{
	if (us < 1000)
		fprintf(out, "%lld us", us);
	else if (us < 1000000)
		fprintf(out, "%.1f ms", (double)us / 1e3);
	else
		fprintf(out, "%.1f s", (double)us / 1e6);
}

const json_t *text_find(const json_t *object, const char *path)
{
	char key[64];

	while (object && *path) {
		size_t len = strcspn(path, ".");

		if (len >= sizeof(key))
			return NULL;
		memcpy(key, path, len);
		key[len] = 0;
		object = json_object_get(object, key);
		path += len + (path[len] == '.');
	}
	return object;
}

const char *text_string(const json_t *object, const char *path)
{
	const char *text = json_string_value(text_find(object, path));

	return text && *text ? text : "-";
}

json_int_t text_number(const json_t *object, const char *path)
{
	return json_integer_value(text_find(object, path));
}
