/* SPDX-License-Identifier: Apache-2.0 */

#include "test/semantics/sequence.h"

#include <stdio.h>
#include <string.h>

#include "test/semantics/live.h"
#include "test/semantics/profile.h"
#include "test/semantics/state.h"

/* Does to the store what the step says. */
static void change(struct check *check, struct store *store, const json_t *profile,
		   const json_t *step, const char *op)
{
	const json_t *object =
		json_object_get(step, "service") ?: json_object_get(step, "endpointSlice");

	if (strcmp(op, "services-synced") == 0) {
		store_list_end(store, OBJECT_SERVICE);
	} else if (strcmp(op, "slices-synced") == 0) {
		store_list_end(store, OBJECT_SLICE);
	} else if (strcmp(op, "topology") == 0) {
		json_t *node = profile_node(profile, json_object_get(step, "labels"));

		profile_apply(check, store, node, false);
		json_decref(node);
	} else if (object) {
		size_t length = strlen(op);
		bool removed = length > 7 && strcmp(op + length - 7, "-delete") == 0;

		profile_apply(check, store, object, removed);
	} else {
		check_say(check, "unknown step \"%s\"", op);
	}
}

static json_int_t in_tables(struct world *world)
{
	json_t *status = world_status(world);
	json_int_t n = json_integer_value(json_object_get(status, "servicePorts"));

	json_decref(status);
	return n;
}

/* A store for the daemon's way, and one whose changes are resolved here. */
struct both {
	struct store *store, *mirror;
	struct state state;
};

/* What must be true after a step. `before`: backends before it. */
static void compare(struct check *check, struct world *world, struct both *both,
		    const json_t *profile, const json_t *step, const struct live *before,
		    const char *where)
{
	bool expected = json_is_true(json_object_get(step, "programmed"));
	json_int_t ports = (json_int_t)json_array_size(json_object_get(step, "servicePorts"));
	struct resolve_node node = profile_resolve_node(profile, both->mirror);
	struct live after;

	if (world_programmed(world) != expected)
		check_say(check, "%sprogrammed: expected %s", where, expected ? "true" : "false");
	if (world_failed(world))
		check_say(check, "%sthe tables refused a Service", where);
	if (in_tables(world) != ports)
		check_say(check, "%sservice ports in the tables: expected %lld, got %lld", where,
			  (long long)ports, (long long)in_tables(world));
	/* A label of the node concerns all. */
	if (json_object_get(step, "labels"))
		store_touch_all(both->mirror);
	state_update(&both->state, both->mirror, &node);
	if (expected)
		state_check(check, &both->state, both->mirror, &node, step, where);
	if (live_read(world, &after) == 0)
		live_compare(check, before, &after, step, where);
	live_clear(&after);
	profile_release(&node);
}

static void run_steps(struct check *check, struct world *world, struct both *both,
		      const json_t *profile, const json_t *steps)
{
	const json_t *step;
	size_t i;

	json_array_foreach (steps, i, step) {
		const char *op = json_string_value(json_object_get(step, "op"));
		size_t lines = check->lines;
		struct live before = { 0 };
		char where[64];

		snprintf(where, sizeof(where), "step %zu (%s): ", i, op);
		live_read(world, &before);
		change(check, both->store, profile, step, op);
		change(check, both->mirror, profile, step, op);
		world_sync(world);
		compare(check, world, both, profile, step, &before, where);
		live_clear(&before);
		check_count_since(check, ITEM_STEP, lines);
	}
}

void sequence_run(struct check *check, struct world *world, const json_t *profile,
		  const json_t *the_case)
{
	const json_t *services = json_object_get(the_case, "services");
	const json_t *slices = json_object_get(the_case, "endpointSlices");
	sl_auto(store) store = profile_store(check, profile, services, slices, NULL);
	sl_auto(store) mirror = profile_store(check, profile, services, slices, NULL);
	struct both both = { .store = store, .mirror = mirror };

	if (world_begin(world, store))
		return;
	world_sync(world);
	run_steps(check, world, &both, profile, json_object_get(the_case, "steps"));
	state_clear(&both.state);
	world_end(world);
}
