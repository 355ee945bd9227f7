/* SPDX-License-Identifier: Apache-2.0 */

#include <string.h>

#include "tools/lbctl/lbctl.h"
#include "tools/lbctl/table.h"
#include "tools/lbctl/text.h"

static void addresses_cell(const struct row *row, bool wide, FILE *out)
{
	const json_t *address;
	size_t i;

	(void)wide;
	json_array_foreach (text_find(row->item, "addresses"), i, address)
		fprintf(out, "%s%s", i ? "," : "", json_string_value(address));
}

/* Hooks that are attached by name, others with what is the matter. */
static void hooks_cell(const struct row *row, bool wide, FILE *out)
{
	const json_t *hook;
	bool first = true;
	size_t i;

	json_array_foreach (text_find(row->item, "hooks"), i, hook) {
		const char *state = text_string(hook, "state"), *why = text_string(hook, "why");
		bool attached = !strcmp(state, "attached");

		if (!wide && !strcmp(state, "skipped"))
			continue;
		fprintf(out, "%s%s", first ? "" : ", ", text_string(hook, "hook"));
		first = false;
		if (!attached)
			fprintf(out, " %s", state);
		if (!attached && strcmp(why, "-"))
			fprintf(out, " (%s)", why);
	}
}

static const struct column columns[] = {
	{ .title = "IFINDEX", .kind = COLUMN_NUMBER, .path = "ifindex" },
	{ .title = "NAME", .path = "name" },
	{ .title = "KIND", .path = "kind" },
	{ .title = "ROLE", .path = "role" },
	{ .title = "WHY", .path = "why" },
	{ .title = "MTU", .kind = COLUMN_NUMBER, .path = "mtu", .wide = true },
	{ .title = "ADDRESSES", .kind = COLUMN_OWN, .wide = true, .cell = addresses_cell },
	{ .title = "HOOKS", .kind = COLUMN_OWN, .cell = hooks_cell },
	{ 0 },
};

static int request(const struct lbctl *lbctl, char path[], size_t size)
{
	(void)lbctl;
	return path_add(path, size, "/v1/attach");
}

static int from_pins(const struct lbctl *lbctl, const struct view *view, json_t **ret,
		     char error[LBCTL_ERROR_MAX])
{
	(void)lbctl;
	return view_attach(view, ret, error);
}

static int print(const struct lbctl *lbctl, const json_t *list)
{
	return print_items(lbctl, columns, text_find(list, "items"));
}

const struct verb verb_attach = {
	.noun = "attach",
	.summary = "Show interfaces, their roles and why, and what is attached",
	.help = "A hook that failed is shown with its reason; skipped ones with -o wide.\n"
		"Without the daemon: the interfaces that packets are matched with, by the pins,\n"
		"with the names that they have in lbctl's network namespace; exit code 3.\n",
	.needs_daemon = true,
	.request = request,
	.from_pins = from_pins,
	.print = print,
};
