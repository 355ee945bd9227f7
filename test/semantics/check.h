/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The checker of behaviour tables (tables/README.md): what is counted, and how
 * a case that differs is told.
 */

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "common/mem.h"

/* What a case consists of. A packet is in exactly one of the three ways. */
enum check_item {
	ITEM_WATCHED,
	ITEM_PORT,	    /* service port with its endpoints and sets */
	ITEM_HEALTH,	    /* health check node ports and local endpoints of a state */
	ITEM_STEP,	    /* of a sequence */
	ITEM_FLOW,	    /* of the conntrack group */
	ITEM_CONNECTION,    /* of the affinity group */
	ITEM_ANSWER,	    /* HTTP */
	ITEM_PACKET_TC,	    /* test run of the TC programs */
	ITEM_PACKET_SOCKET, /* a call of connect() or sendto() */
	ITEM_PACKET_DECIDE, /* the decision alone */
	ITEM_MAX,
};

enum check_result {
	RESULT_PASSED,
	RESULT_FAILED,
	RESULT_NOT_RUN, /* nothing can run it yet */
	RESULT_DIFFERS, /* on purpose: docs/semantics.md names the rule */
	RESULT_MAX,
};

struct check {
	size_t items[ITEM_MAX][RESULT_MAX];
	size_t cases[RESULT_MAX]; /* RESULT_DIFFERS stays 0 */
	bool verbose;		  /* every line of a failed case */
	bool list;		  /* a line for each case, for test/run.py */

	/* The case at hand. */
	const char *file, *id;
	size_t lines, failed, not_run;
};

void check_case_begin(struct check *check, const char *file, const char *id);
void check_case_end(struct check *check);

/* Says what differs: "WHERE: expected ..., got ...". Makes the case fail. */
void check_say(struct check *check, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Counts an item. Whoever counts a failed one has said why. */
void check_count(struct check *check, enum check_item item, enum check_result result);

/* Counts one as passed, unless something was said since `lines`. */
void check_count_since(struct check *check, enum check_item item, size_t lines);

/* Prints the counts; the last line is "N passed, N failed". */
void check_summary(const struct check *check);
