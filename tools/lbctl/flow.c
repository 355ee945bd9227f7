/* SPDX-License-Identifier: Apache-2.0 */

#include "tools/lbctl/lbctl.h"
#include "tools/lbctl/table.h"
#include "tools/lbctl/text.h"

static const struct column columns[] = {
	{ .title = "CLIENT", .path = "client" },
	{ .title = "FRONTEND", .path = "frontend" },
	{ .title = "BACKEND", .path = "backend" },
	{ .title = "PROTO", .path = "protocol" },
	{ .title = "SERVICE", .path = "service" },
	{ .title = "STATE", .path = "state" },
	{ .title = "IDLE", .kind = COLUMN_AGE, .path = "idle" },
	{ .title = "AGE", .kind = COLUMN_AGE, .path = "age" },
	{ .title = "PACKETS", .kind = COLUMN_NUMBER, .path = "packets" },
	{ .title = "ANSWERS", .kind = COLUMN_NUMBER, .path = "answerPackets" },
	{ .title = "BYTES", .kind = COLUMN_BYTES, .path = "bytes", .wide = true },
	{ .title = "ANSWER-BYTES", .kind = COLUMN_BYTES, .path = "answerBytes", .wide = true },
	{ .title = "SOURCE", .path = "source", .wide = true },
	{ .title = "FORWARD", .path = "forward", .wide = true },
	{ .title = "TABLE", .path = "table", .wide = true },
	{ .title = "BACKEND-ID", .kind = COLUMN_NUMBER, .path = "backendId", .wide = true },
	{ 0 },
};

static int request(const struct lbctl *lbctl, char path[], size_t size)
{
	const struct {
		const char *name, *value;
	} queries[] = {
		{ "&client=", lbctl->client },
		{ "&service=", lbctl->service },
		{ "&backend=", lbctl->backend },
	};
	char first[64];

	snprintf(first, sizeof(first), "/v1/flows?limit=%zu", lbctl->limit);
	if (path_add(path, size, first))
		return LBCTL_USAGE;
	for (size_t i = 0; i < SL_COUNT(queries); i++)
		if (queries[i].value && (path_add(path, size, queries[i].name) ||
					 path_escape(path, size, queries[i].value)))
			return lbctl_complain(lbctl, LBCTL_USAGE,
					      "flow list: a filter is too long");
	return 0;
}

static int from_pins(const struct lbctl *lbctl, const struct view *view, json_t **ret,
		     char error[LBCTL_ERROR_MAX])
{
	const struct view_flow_filter filter = {
		.client = lbctl->client,
		.service = lbctl->service,
		.backend = lbctl->backend,
		.limit = lbctl->limit,
	};

	return view_flows(view, &filter, ret, error);
}

static int print(const struct lbctl *lbctl, const json_t *list)
{
	int r = print_items(lbctl, columns, text_find(list, "items"));

	if (!r && json_is_true(text_find(list, "truncated")))
		lbctl_complain(lbctl, 0, "there are more than these %zu flows: see --limit",
			       json_array_size(text_find(list, "items")));
	return r;
}

const struct verb verb_flow_list = {
	.noun = "flow",
	.plural = "flows",
	.name = "list",
	.summary = "List flows, all or those that the filters pick",
	.help = "A flow is shown once, with what goes to the backend (PACKETS, BYTES) and what "
		"comes\n"
		"back (ANSWERS, ANSWER-BYTES). SOURCE (-o wide) is the address that the backend\n"
		"sees, where it is not the client's. IDLE is the time since its last packet.\n"
		"Filters are combined: a flow must match all of them.\n",
	.options = OPTION_FLOW_FILTER,
	.request = request,
	.from_pins = from_pins,
	.print = print,
};
