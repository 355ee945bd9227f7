/* SPDX-License-Identifier: Apache-2.0 */

/*
 * semantics-check FILE...: runs tables of Service behaviour, recorded from the
 * real kube-proxy, through sluice and says what differs.
 */

#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "common/log.h"
#include "test/semantics/check.h"
#include "test/semantics/profile.h"
#include "test/semantics/state.h"

static const char usage[] =
	"usage: semantics-check [--verbose] [--list] [--case ID] FILE...\n"
	"\n"
	"Runs tables of Service behaviour (tables/README.md says how they look) and ends\n"
	"in \"N passed, N failed\", counted in cases.\n"
	"\n"
	"  --verbose   print every line of a failed case\n"
	"  --list      print a line for each case\n"
	"  --case ID   run this case only\n"
	"\n"
	"Exits with 0; 1 if a case failed, 2 if a file can't be read, 3 if none failed\n"
	"but something could not be run.\n";

static const char *text(const json_t *object, const char *key)
{
	return json_string_value(json_object_get(object, key));
}

static void run_state(struct check *check, const json_t *profile, const json_t *the_case)
{
	sl_auto(store) store = profile_store(check, profile, json_object_get(the_case, "services"),
					     json_object_get(the_case, "endpointSlices"),
					     json_object_get(the_case, "watched"));
	struct resolve_node node = profile_resolve_node(profile, store);

	state_compare(check, store, &node, the_case, "");
	profile_release(&node);
}

/* 0, or -1 for a kind that this program does not know. */
static int run_case(struct check *check, const char *kind, const json_t *profile,
		    const json_t *the_case)
{
	if (strcmp(kind, "state+packets") == 0)
		run_state(check, profile, the_case);
	else
		return -1;
	return 0;
}

static int run_file(struct check *check, const char *path, const char *only)
{
	json_error_t error;
	json_t *file = json_load_file(path, 0, &error);
	const json_t *cases = json_object_get(file, "cases"), *the_case;
	const char *kind = text(file, "kind");
	size_t i;
	int r = 0;

	if (!file || !kind || !json_is_array(cases) ||
	    json_integer_value(json_object_get(file, "format")) != 1) {
		fprintf(stderr, "semantics-check: %s: %s\n", path,
			file ? "not a table of format 1" : error.text);
		json_decref(file);
		return 2;
	}
	json_array_foreach (cases, i, the_case) {
		const char *profile = text(the_case, "profile");
		const char *id = text(the_case, "id");

		if (only && strcmp(only, id) != 0)
			continue;
		check_case_begin(check, path, id);
		if (run_case(check, kind,
			     profile ? json_object_get(json_object_get(file, "profiles"), profile)
				     : NULL,
			     the_case) < 0) {
			fprintf(stderr, "semantics-check: %s: unknown kind \"%s\"\n", path, kind);
			r = 2;
			break;
		}
		check_case_end(check);
	}
	json_decref(file);
	return r;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "verbose", no_argument, NULL, 'v' },
		{ "list", no_argument, NULL, 'l' },
		{ "case", required_argument, NULL, 'c' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	struct check check = { 0 };
	const char *only = NULL;
	int option, r = 0;

	while ((option = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		if (option == 'v')
			check.verbose = true;
		else if (option == 'l')
			check.list = true;
		else if (option == 'c')
			only = optarg;
		else {
			fputs(usage, option == 'h' ? stdout : stderr);
			return option == 'h' ? 0 : 2;
		}
	}
	if (optind == argc) {
		fputs(usage, stderr);
		return 2;
	}
	log_set_level(LOG_LEVEL_ERROR);
	for (int i = optind; i < argc; i++)
		r = run_file(&check, argv[i], only) ?: r;
	check_summary(&check);
	return r ?: check.cases[RESULT_FAILED] ? 1 : check.cases[RESULT_NOT_RUN] ? 3 : 0;
}
