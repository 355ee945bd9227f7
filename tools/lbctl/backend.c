/* SPDX-License-Identifier: Apache-2.0 */

#include "tools/lbctl/lbctl.h"
#include "tools/lbctl/table.h"
#include "tools/lbctl/text.h"

static void sets_cell(const struct row *row, bool wide, FILE *out)
{
	const json_t *set;
	size_t i;

	(void)wide;
	json_array_foreach (text_find(row->item, "sets"), i, set)
		fprintf(out, "%s%s", i ? "," : "", json_string_value(set));
}

static const struct column columns[] = {
	{ .title = "SERVICE", .path = "service" },
	{ .title = "PORT", .path = "port" },
	{ .title = "PROTO", .path = "protocol" },
	{ .title = "ADDRESS", .path = "address" },
	{ .title = "STATE", .path = "state" },
	{ .title = "LOCAL", .kind = COLUMN_YES, .path = "local" },
	{ .title = "CONNECTIONS", .kind = COLUMN_NUMBER, .path = "counters.connections" },
	{ .title = "PACKETS", .kind = COLUMN_NUMBER, .path = "counters.packets" },
	{ .title = "ANSWERS", .kind = COLUMN_NUMBER, .path = "counters.answerPackets" },
	{ .title = "BYTES", .kind = COLUMN_BYTES, .path = "counters.bytes", .wide = true },
	{ .title = "ANSWER-BYTES",
	  .kind = COLUMN_BYTES,
	  .path = "counters.answerBytes",
	  .wide = true },
	{ .title = "SETS", .kind = COLUMN_OWN, .wide = true, .cell = sets_cell },
	{ .title = "ID", .kind = COLUMN_NUMBER, .path = "id", .wide = true },
	{ .title = "GENERATION", .kind = COLUMN_NUMBER, .path = "generation", .wide = true },
	{ 0 },
};

static int request(const struct lbctl *lbctl, char path[], size_t size)
{
	(void)lbctl;
	return path_add(path, size, "/v1/backends");
}

static int from_pins(const struct lbctl *lbctl, const struct view *view, json_t **ret,
		     char error[LBCTL_ERROR_MAX])
{
	(void)lbctl;
	return view_backends(view, ret, error);
}

static int print(const struct lbctl *lbctl, const json_t *list)
{
	return print_items(lbctl, columns, text_find(list, "items"));
}

const struct verb verb_backend_list = {
	.noun = "backend",
	.plural = "backends",
	.name = "list",
	.summary = "List the backends of all Services",
	.help = "STATE is live for a backend that serves, gone for one that left and that flows "
		"may\n"
		"still remember. LOCAL ones run on this node. SETS (-o wide) says who may be sent "
		"to\n"
		"it: everybody (cluster), or also who must stay on this node (local).\n",
	.request = request,
	.from_pins = from_pins,
	.print = print,
};
