/* SPDX-License-Identifier: Apache-2.0 */

#include "tools/lbctl/lbctl.h"
#include "tools/lbctl/table.h"
#include "tools/lbctl/text.h"

static void used_cell(const struct row *row, bool wide, FILE *out)
{
	const json_t *entries = text_find(row->item, "entries");
	json_int_t most = text_number(row->item, "maxEntries");

	(void)wide;
	if (json_is_integer(entries) && most > 0)
		fprintf(out, "%.1f%%%s", 100.0 * (double)json_integer_value(entries) / (double)most,
			json_is_true(text_find(row->item, "nearlyFull")) ? " !" : "");
}

static const struct column columns[] = {
	{ .title = "NAME", .path = "name" },
	{ .title = "TYPE", .path = "type" },
	{ .title = "ENTRIES", .kind = COLUMN_NUMBER, .path = "entries" },
	{ .title = "MAX", .kind = COLUMN_NUMBER, .path = "maxEntries" },
	{ .title = "USED", .kind = COLUMN_OWN_NUMBER, .cell = used_cell },
	{ .title = "MEMORY", .kind = COLUMN_BYTES, .path = "bytes" },
	{ .title = "KEY", .kind = COLUMN_BYTES, .path = "keySize", .wide = true },
	{ .title = "VALUE", .kind = COLUMN_BYTES, .path = "valueSize", .wide = true },
	{ .title = "PINNED", .path = "pinned", .wide = true },
	{ 0 },
};

static int request(const struct lbctl *lbctl, char path[], size_t size)
{
	(void)lbctl;
	return path_add(path, size, "/v1/maps");
}

static int from_pins(const struct lbctl *lbctl, const struct view *view, json_t **ret,
		     char error[LBCTL_ERROR_MAX])
{
	(void)lbctl;
	return view_maps(view, ret, error);
}

static int print(const struct lbctl *lbctl, const json_t *list)
{
	return print_items(lbctl, columns, text_find(list, "items"));
}

const struct verb verb_map_list = {
	.noun = "map",
	.plural = "maps",
	.name = "list",
	.summary = "List the BPF maps, how full they are and what they take",
	.help = "ENTRIES is \"-\" for maps where counting makes no sense. Old flows are not "
		"removed\n"
		"from the flow tables but overwritten, so a full one is normal. \"!\" is at maps "
		"that\n"
		"are nearly full and should be larger: from 90 % on, until below 85 %.\n",
	.request = request,
	.from_pins = from_pins,
	.print = print,
};
