/* SPDX-License-Identifier: Apache-2.0 */

/*
 * semantics-check FILE...: runs tables of Service behaviour, recorded from the
 * real kube-proxy, through sluice and says what differs.
 */

#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "common/log.h"
#include "test/semantics/affinity.h"
#include "test/semantics/check.h"
#include "test/semantics/flows.h"
#include "test/semantics/http.h"
#include "test/semantics/mutate.h"
#include "test/semantics/packets.h"
#include "test/semantics/profile.h"
#include "test/semantics/sequence.h"
#include "test/semantics/state.h"
#include "test/semantics/world.h"

struct run {
	struct check check;
	bool kernel;	     /* false: only what is resolved */
	struct world *world; /* of the profile at hand */
	const char *only;    /* the id of a case, NULL: all */
	uint64_t seed;
	unsigned long mutations; /* of each file; 0: it is run as it is */
};

/* Set by a signal: the case at hand is the last, so that nothing stays behind. */
static volatile sig_atomic_t ending;

static void on_signal(int number)
{
	(void)number;
	ending = 1;
}

static const char usage[] =
	"usage: semantics-check [--verbose] [--list] [--state-only] [--case ID]\n"
	"                       [--mutate SEED N] FILE...\n"
	"\n"
	"Runs tables of Service behaviour (tables/README.md says how they look) and ends\n"
	"in \"N passed, N failed\", counted in cases.\n"
	"\n"
	"  --verbose     print every line of a failed case\n"
	"  --list        print a line for each case\n"
	"  --state-only  compare what is resolved, without packets and without root\n"
	"  --case ID     run this case only\n"
	"  --mutate SEED N  run N tables of the same meaning instead of each file: with\n"
	"                other names, addresses, ports and orders\n"
	"\n"
	"Exits with 0; 1 if a case failed, 2 if a file can't be read, 3 if none failed\n"
	"but something could not be run.\n";

static const char *text(const json_t *object, const char *key)
{
	return json_string_value(json_object_get(object, key));
}

/* Whether a Service of the case remembers its clients. */
static bool has_affinity(const json_t *the_case)
{
	const json_t *service;
	size_t i;

	json_array_foreach (json_object_get(the_case, "services"), i, service) {
		const char *affinity = text(json_object_get(service, "spec"), "sessionAffinity");

		if (affinity && strcmp(affinity, "ClientIP") == 0)
			return true;
	}
	return false;
}

static void compare_state(struct check *check, const json_t *profile, const json_t *the_case)
{
	sl_auto(store) store = profile_store(check, profile, json_object_get(the_case, "services"),
					     json_object_get(the_case, "endpointSlices"),
					     json_object_get(the_case, "watched"));
	struct resolve_node node = profile_resolve_node(profile, store);
	struct state state = { 0 };

	state_update(&state, store, &node);
	state_check(check, &state, store, &node, the_case, "");
	state_clear(&state);
	profile_release(&node);
}

static void run_state(struct run *run, const json_t *profile, const json_t *the_case)
{
	struct check *check = &run->check;
	sl_auto(store) store = NULL;

	compare_state(check, profile, the_case);
	if (!run->world)
		return;
	store = profile_store(check, profile, json_object_get(the_case, "services"),
			      json_object_get(the_case, "endpointSlices"), NULL);
	if (world_begin(run->world, store)) {
		check_say(check, "out of memory");
		return;
	}
	store_list_end(store, OBJECT_SERVICE);
	store_list_end(store, OBJECT_SLICE);
	world_sync(run->world);
	if (world_failed(run->world))
		check_say(check, "the tables refused a Service");
	packets_run(check, run->world, json_object_get(the_case, "packets"),
		    has_affinity(the_case));
	world_end(run->world);
}

/* 0, or -1 for a kind that this program does not know. */
static int run_case(struct run *run, const char *kind, const json_t *profile,
		    const json_t *the_case)
{
	static const struct {
		const char *kind;
		void (*run)(struct check *check, struct world *world, const json_t *profile,
			    const json_t *the_case);
	} kinds[] = {
		{ "sequence", sequence_run },
		{ "affinity", affinity_run },
		{ "conntrack", flows_run },
	};

	if (strcmp(kind, "state+packets") == 0) {
		run_state(run, profile, the_case);
		return 0;
	}
	if (strcmp(kind, "http") == 0) {
		http_run(&run->check, the_case);
		return 0;
	}
	for (size_t i = 0; i < SL_COUNT(kinds); i++) {
		if (strcmp(kind, kinds[i].kind) != 0)
			continue;
		if (run->world)
			kinds[i].run(&run->check, run->world, profile, the_case);
		else
			run->check.not_run++;
		return 0;
	}
	return -1;
}

/* The cases of one profile, NULL: those without. */
static int run_profile(struct run *run, const char *path, const json_t *file, const char *name)
{
	const json_t *cases = json_object_get(file, "cases"), *the_case;
	const json_t *profile = json_object_get(json_object_get(file, "profiles"), name);
	const char *kind = text(file, "kind");
	char error[512];
	size_t i;
	int r = 0;

	json_array_foreach (cases, i, the_case) {
		const char *its = text(the_case, "profile"), *id = text(the_case, "id");

		if (ending)
			r = 2;
		if (r || !!its != !!name || (name && strcmp(its, name) != 0) ||
		    (run->only && strcmp(run->only, id) != 0))
			continue;
		if (run->kernel && profile && !run->world &&
		    world_new(name, profile, cases, &run->world, error)) {
			fprintf(stderr, "semantics-check: %s: %s\n", path, error);
			r = 2;
			break;
		}
		check_case_begin(&run->check, path, id);
		if (run_case(run, kind, profile, the_case) < 0) {
			fprintf(stderr, "semantics-check: %s: unknown kind \"%s\"\n", path, kind);
			r = 2;
		}
		check_case_end(&run->check);
	}
	world_free(sl_take(run->world));
	return r;
}

static int run_cases(struct run *run, const char *path, const json_t *file)
{
	json_t *profiles = json_object_get(file, "profiles"), *profile;
	const char *name;
	int r = run_profile(run, path, file, NULL);

	json_object_foreach (profiles, name, profile)
		r = r ?: run_profile(run, path, file, name);
	return r;
}

static int run_mutations(struct run *run, const char *path, const json_t *file)
{
	int r = 0;

	for (unsigned long i = 0; i < run->mutations && !r && !ending; i++) {
		json_t *other = mutate_table(file, run->seed + i);
		size_t failed = run->check.cases[RESULT_FAILED];

		r = run_cases(run, path, other);
		json_decref(other);
		if (run->check.cases[RESULT_FAILED] > failed)
			printf("%s: seed %llu failed\n", path, (unsigned long long)(run->seed + i));
	}
	return r;
}

static int run_file(struct run *run, const char *path)
{
	json_error_t error;
	json_t *file = json_load_file(path, 0, &error);
	int r = 2;

	if (!file)
		fprintf(stderr, "semantics-check: %s: line %d: %s\n", path, error.line, error.text);
	else if (json_integer_value(json_object_get(file, "format")) != 1 ||
		 !json_is_array(json_object_get(file, "cases")) || !text(file, "kind"))
		fprintf(stderr, "semantics-check: %s: not a table of format 1\n", path);
	else if (!run->mutations)
		r = run_cases(run, path, file);
	else if (strcmp(text(file, "kind"), "http") == 0)
		r = 0; /* recorded texts have nothing that could be changed */
	else
		r = run_mutations(run, path, file);
	json_decref(file);
	return r;
}

static int read_options(int argc, char **argv, struct run *run)
{
	static const struct option options[] = {
		{ "verbose", no_argument, NULL, 'v' },
		{ "list", no_argument, NULL, 'l' },
		{ "case", required_argument, NULL, 'c' },
		{ "state-only", no_argument, NULL, 's' },
		{ "mutate", required_argument, NULL, 'm' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	int option;

	while ((option = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		if (option == 'v')
			run->check.verbose = true;
		else if (option == 'l')
			run->check.list = true;
		else if (option == 'c')
			run->only = optarg;
		else if (option == 'm' && optind < argc) {
			run->seed = strtoull(optarg, NULL, 10);
			run->mutations = strtoul(argv[optind++], NULL, 10) ?: 1;
		} else if (option == 's')
			run->kernel = false;
		else
			return option == 'h' ? 0 : 2;
	}
	return optind < argc ? -1 : 2;
}

int main(int argc, char **argv)
{
	struct run run = { .kernel = true };
	int r = read_options(argc, argv, &run);

	if (r >= 0) {
		fputs(usage, r ? stderr : stdout);
		return r;
	}
	signal(SIGINT, on_signal);
	signal(SIGTERM, on_signal);
	setvbuf(stdout, NULL, _IOLBF, 0);
	log_set_level(LOG_LEVEL_ERROR);
	log_take_libbpf();
	r = 0;
	for (int i = optind; i < argc; i++)
		r = run_file(&run, argv[i]) ?: r;
	check_summary(&run.check);
	if (r)
		return r;
	if (run.check.cases[RESULT_FAILED])
		return 1;
	return run.check.cases[RESULT_NOT_RUN] || !run.kernel ? 3 : 0;
}
