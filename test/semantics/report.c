/* SPDX-License-Identifier: Apache-2.0 */

#include "test/semantics/check.h"

#include <stdarg.h>
#include <stdio.h>

/* More of one case is rarely read. */
#define LINES_MAX 12

static const char *const item_names[ITEM_MAX] = {
	[ITEM_WATCHED] = "objects watched or not",
	[ITEM_PORT] = "service ports",
	[ITEM_HEALTH] = "health check states",
	[ITEM_STEP] = "sequence steps",
	[ITEM_FLOW] = "flows",
	[ITEM_CONNECTION] = "affinity connections",
	[ITEM_ANSWER] = "http answers",
	[ITEM_PACKET_TC] = "packets by test run",
	[ITEM_PACKET_SOCKET] = "packets by sockets",
	[ITEM_PACKET_DECIDE] = "packets by decision",
};

void check_case_begin(struct check *check, const char *file, const char *id)
{
	check->file = file;
	check->id = id;
	check->lines = check->failed = check->not_run = 0;
}

void check_case_end(struct check *check)
{
	enum check_result result = check->failed || check->lines ? RESULT_FAILED
				   : check->not_run		 ? RESULT_NOT_RUN
								 : RESULT_PASSED;
	static const char *const words[] = { "passed", "FAILED", "not run" };

	if (check->lines > LINES_MAX && !check->verbose)
		printf("    ... and %zu more\n", check->lines - LINES_MAX);
	if (check->list)
		printf("case %s %s\n", check->id, words[result]);
	check->cases[result]++;
}

void check_say(struct check *check, const char *format, ...)
{
	va_list args;

	if (check->lines++ == 0)
		printf("FAILED %s (%s)\n", check->id, check->file);
	if (check->lines > LINES_MAX && !check->verbose)
		return;
	va_start(args, format);
	fputs("    ", stdout);
	vprintf(format, args);
	putchar('\n');
	va_end(args);
}

void check_count(struct check *check, enum check_item item, enum check_result result)
{
	check->items[item][result]++;
	check->failed += result == RESULT_FAILED;
	check->not_run += result == RESULT_NOT_RUN;
}

void check_count_since(struct check *check, enum check_item item, size_t lines)
{
	check_count(check, item, check->lines > lines ? RESULT_FAILED : RESULT_PASSED);
}

void check_summary(const struct check *check)
{
	printf("%-24s %8s %8s %8s %8s\n", "", "passed", "failed", "differs", "not run");
	for (int i = 0; i < ITEM_MAX; i++) {
		const size_t *n = check->items[i];

		printf("%-24s %8zu %8zu %8zu %8zu\n", item_names[i], n[RESULT_PASSED],
		       n[RESULT_FAILED], n[RESULT_DIFFERS], n[RESULT_NOT_RUN]);
	}
	if (check->cases[RESULT_NOT_RUN])
		printf("%zu cases could not be run in full\n", check->cases[RESULT_NOT_RUN]);
	printf("%zu passed, %zu failed\n", check->cases[RESULT_PASSED],
	       check->cases[RESULT_FAILED]);
}
