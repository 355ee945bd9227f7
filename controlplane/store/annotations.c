/* SPDX-License-Identifier: Apache-2.0 */
#include "controlplane/store/annotations.h"

#include <string.h>

#define ON_REMOVAL    "sluice.dev/on-endpoint-removal"
#define SOURCE_RANGES "sluice.dev/source-ranges"
#define DRAIN	      "drain="
/* A week: far below where the datapath's clock wraps. */
#define DRAIN_MAX_S (7 * 24 * 3600)

/*
 * Reads "1h30m": whole numbers, each with its unit, the larger unit first.
 * Returns the seconds, or 0 for what is none or is longer than DRAIN_MAX_S.
 */
static uint32_t parse_duration(const char *text)
{
	static const struct {
		char name;
		uint32_t seconds;
	} units[] = { { 'h', 3600 }, { 'm', 60 }, { 's', 1 } };
	size_t unit = 0;
	uint32_t total = 0;

	while (*text) {
		uint32_t number = 0;
		const char *digits = text;

		for (; *text >= '0' && *text <= '9'; text++) {
			number = number * 10 + (uint32_t)(*text - '0');
			if (number > DRAIN_MAX_S)
				return 0;
		}
		while (unit < SL_COUNT(units) && units[unit].name != *text)
			unit++;
		if (text == digits || unit == SL_COUNT(units) ||
		    number > (DRAIN_MAX_S - total) / units[unit].seconds)
			return 0;
		total += number * units[unit++].seconds;
		text++;
	}
	return total;
}

static int read_leave(struct reader *reader, const struct field *annotations,
		      struct service *service)
{
	struct field field = field_of(annotations, ON_REMOVAL);
	size_t len = strlen(DRAIN);
	const char *text;
	int err = field_string(reader, annotations, ON_REMOVAL, &text);

	if (err || !*text || !strcmp(text, "keep"))
		return err;
	if (!strcmp(text, "reset")) {
		service->leave = SL_LEAVE_RESET;
		return 0;
	}
	if (!strncmp(text, DRAIN, len))
		service->drain_s = parse_duration(text + len);
	if (service->drain_s)
		service->leave = SL_LEAVE_DRAIN;
	else
		reader_note(reader, &field,
			    "ignored: \"%.40s\" is not keep, reset or drain=DURATION (1s ... 168h)",
			    text);
	return 0;
}

static int read_ranges(struct reader *reader, const struct field *annotations,
		       struct service *service)
{
	struct field field = field_of(annotations, SOURCE_RANGES);
	const char *text;
	int err = field_string(reader, annotations, SOURCE_RANGES, &text);

	if (err || !*text || !strcmp(text, "vip"))
		return err;
	service->ranges_everywhere = !strcmp(text, "all");
	if (!service->ranges_everywhere)
		reader_note(reader, &field, "ignored: \"%.40s\" is not vip or all", text);
	return 0;
}

int annotations_read(struct reader *reader, const struct field *metadata, struct service *service)
{
	struct field annotations;
	int err = field_object(reader, metadata, "annotations", &annotations);

	if (!err)
		err = read_leave(reader, &annotations, service);
	return err ? err : read_ranges(reader, &annotations, service);
}
