/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>
#include <string.h>

#include "tools/lbctl/lbctl.h"
#include "tools/lbctl/table.h"
#include "tools/lbctl/text.h"

#define FRONTENDS_SHOWN 2

static void name_cell(const struct row *row, bool wide, FILE *out)
{
	(void)wide;
	fprintf(out, "%s/%s", text_string(row->owner, "namespace"),
		text_string(row->owner, "name"));
}

/* What the daemon says; the pins alone know of what is programmed only. */
static void state_cell(const struct row *row, bool wide, FILE *out)
{
	const char *state = text_string(row->owner, "state");

	(void)wide;
	fputs(!strcmp(state, "failed") ? "FAILED" : state, out);
}

static void frontends_cell(const struct row *row, bool wide, FILE *out)
{
	const json_t *frontends = text_find(row->item, "frontends"), *frontend;
	size_t i, n = json_array_size(frontends);

	json_array_foreach (frontends, i, frontend) {
		if (!wide && i == FRONTENDS_SHOWN) {
			fprintf(out, " +%zu", n - i);
			break;
		}
		fprintf(out, "%s%s", i ? "," : "", text_string(frontend, "address"));
	}
}

/* Backends that serve; wide: how many run here, how many are leaving. */
static void backends_cell(const struct row *row, bool wide, FILE *out)
{
	const json_t *backend;
	size_t i, live = 0, local = 0, gone = 0;

	json_array_foreach (text_find(row->item, "backends"), i, backend) {
		bool is_live = !strcmp(text_string(backend, "state"), "live");

		live += is_live;
		gone += !is_live;
		local += is_live && json_is_true(text_find(backend, "local"));
	}
	fprintf(out, "%zu", live);
	if (wide)
		fprintf(out, " (%zu local, %zu gone)", local, gone);
}

static void drops_cell(const struct row *row, bool wide, FILE *out)
{
	const json_t *loss;
	json_int_t sum = 0;
	size_t i;

	(void)wide;
	json_array_foreach (text_find(row->item, "losses"), i, loss)
		sum += text_number(loss, "packets");
	fprintf(out, "%lld", (long long)sum);
}

static void losses_cell(const struct row *row, bool wide, FILE *out)
{
	const json_t *loss;
	size_t i;

	(void)wide;
	json_array_foreach (text_find(row->item, "losses"), i, loss)
		fprintf(out, "%s%s=%lld", i ? "," : "", text_string(loss, "reason"),
			(long long)text_number(loss, "packets"));
}

static void paths_cell(const struct row *row, bool wide, FILE *out)
{
	(void)wide;
	fprintf(out, "%s/%s/%s", text_string(row->item, "paths.clusterIP"),
		text_string(row->item, "paths.outside"), text_string(row->item, "paths.inside"));
}

static void ranges_cell(const struct row *row, bool wide, FILE *out)
{
	(void)wide;
	if (json_is_true(text_find(row->item, "restricted")))
		fprintf(out, "%lld", (long long)text_number(row->item, "sourceRanges"));
	else
		fputs("any", out);
}

static void affinity_cell(const struct row *row, bool wide, FILE *out)
{
	json_int_t seconds = text_number(row->item, "affinitySeconds");

	(void)wide;
	if (seconds)
		text_age(out, seconds);
}

static const struct column list_columns[] = {
	{ .title = "NAMESPACE/NAME", .kind = COLUMN_OWN, .cell = name_cell },
	{ .title = "STATE", .kind = COLUMN_OWN, .cell = state_cell },
	{ .title = "PORT", .path = "name" },
	{ .title = "PROTO", .path = "protocol" },
	{ .title = "FAMILY", .path = "family" },
	{ .title = "FRONTENDS", .kind = COLUMN_OWN, .cell = frontends_cell },
	{ .title = "BACKENDS", .kind = COLUMN_OWN_NUMBER, .cell = backends_cell },
	{ .title = "CONNECTIONS", .kind = COLUMN_NUMBER, .path = "counters.connections" },
	{ .title = "PACKETS", .kind = COLUMN_NUMBER, .path = "counters.packets" },
	{ .title = "DROPS", .kind = COLUMN_OWN_NUMBER, .cell = drops_cell },
	{ .title = "ANSWERS",
	  .kind = COLUMN_NUMBER,
	  .path = "counters.answerPackets",
	  .wide = true },
	{ .title = "BYTES", .kind = COLUMN_BYTES, .path = "counters.bytes", .wide = true },
	{ .title = "ANSWER-BYTES",
	  .kind = COLUMN_BYTES,
	  .path = "counters.answerBytes",
	  .wide = true },
	{ .title = "LOSSES", .kind = COLUMN_OWN, .wide = true, .cell = losses_cell },
	{ .title = "CLUSTERIP/OUTSIDE/INSIDE",
	  .kind = COLUMN_OWN,
	  .wide = true,
	  .cell = paths_cell },
	{ .title = "SLOTS", .kind = COLUMN_NUMBER, .path = "slots", .wide = true },
	{ .title = "RANGES", .kind = COLUMN_OWN_NUMBER, .wide = true, .cell = ranges_cell },
	{ .title = "AFFINITY", .kind = COLUMN_OWN_NUMBER, .wide = true, .cell = affinity_cell },
	{ .title = "ID", .kind = COLUMN_NUMBER, .path = "id", .wide = true },
	{ .title = "VERSION", .kind = COLUMN_NUMBER, .path = "version", .wide = true },
	{ 0 },
};

static int add_ports(struct row_list *rows, const json_t *service)
{
	const json_t *ports = text_find(service, "ports"), *port;
	size_t i;
	int r = 0;

	/* One that is in no table has a line all the same, with nothing in it. */
	if (!json_array_size(ports))
		return rows_add(rows, ports, service);
	json_array_foreach (ports, i, port) {
		r = rows_add(rows, port, service);
		if (r)
			break;
	}
	return r;
}

static int list_print(const struct lbctl *lbctl, const json_t *list)
{
	__attribute__((cleanup(rows_done))) struct row_list rows = { 0 };
	const json_t *service;
	size_t i;

	json_array_foreach (text_find(list, "items"), i, service) {
		int r = add_ports(&rows, service);

		if (r)
			return r;
	}
	return print_rows(lbctl, list_columns, &rows);
}

static const struct column frontend_columns[] = {
	{ .title = "FRONTEND", .path = "address" },
	{ .title = "KIND", .path = "kind" },
	{ 0 },
};

static const struct column backend_columns[] = {
	{ .title = "BACKEND", .path = "address" },
	{ .title = "STATE", .path = "state" },
	{ .title = "LOCAL", .kind = COLUMN_YES, .path = "local" },
	{ .title = "CONNECTIONS", .kind = COLUMN_NUMBER, .path = "counters.connections" },
	{ .title = "PACKETS", .kind = COLUMN_NUMBER, .path = "counters.packets" },
	{ .title = "ANSWERS", .kind = COLUMN_NUMBER, .path = "counters.answerPackets" },
	{ .title = "BYTES", .kind = COLUMN_BYTES, .path = "counters.bytes" },
	{ .title = "ANSWER-BYTES", .kind = COLUMN_BYTES, .path = "counters.answerBytes" },
	{ .title = "ID", .kind = COLUMN_NUMBER, .path = "id", .wide = true },
	{ .title = "GENERATION", .kind = COLUMN_NUMBER, .path = "generation", .wide = true },
	{ 0 },
};

/* One port of a Service: what it is, then its frontends and backends. */
static int print_port(const struct lbctl *lbctl, const json_t *port)
{
	const struct row row = { .item = port };
	FILE *out = lbctl->out;
	int r;

	fprintf(out, "\nPort %s, %s, %s\n", text_string(port, "name"),
		text_string(port, "protocol"), text_string(port, "family"));
	fprintf(out, "  To the cluster IP:  %s\n", text_string(port, "paths.clusterIP"));
	fprintf(out, "  From outside:       %s\n", text_string(port, "paths.outside"));
	fprintf(out, "  From inside:        %s\n", text_string(port, "paths.inside"));
	fputs("  Source ranges:      ", out);
	ranges_cell(&row, true, out);
	if (json_is_true(text_find(port, "restricted")))
		fputs(!strcmp(text_string(port, "sourceRangesOf"), "all")
			      ? ", of VIPs, node ports and external IPs"
			      : ", of VIPs",
		      out);
	fputs("\n  Client affinity:    ", out);
	if (text_number(port, "affinitySeconds"))
		affinity_cell(&row, true, out);
	else
		fputs("none", out);
	fprintf(out, "\n  Endpoint leaves:    %s\n", text_string(port, "onEndpointRemoval"));
	fprintf(out, "  Connections:        %lld\n",
		(long long)text_number(port, "counters.connections"));
	fprintf(out, "  Packets:            %lld, ",
		(long long)text_number(port, "counters.packets"));
	text_bytes(out, text_number(port, "counters.bytes"));
	fprintf(out, "; answers %lld, ", (long long)text_number(port, "counters.answerPackets"));
	text_bytes(out, text_number(port, "counters.answerBytes"));
	fputs("\n  Losses:             ", out);
	if (json_array_size(text_find(port, "losses")))
		losses_cell(&row, true, out);
	else
		fputs("none", out);
	if (lbctl->format == FORMAT_WIDE)
		fprintf(out, "\n  Id:                 %lld, version %lld, %lld Maglev slots",
			(long long)text_number(port, "id"), (long long)text_number(port, "version"),
			(long long)text_number(port, "slots"));
	fputs("\n\n", out);
	r = print_items(lbctl, frontend_columns, text_find(port, "frontends"));
	fputc('\n', out);
	return r ? r : print_items(lbctl, backend_columns, text_find(port, "backends"));
}

/* A version that is in force, and the one that should be if that is another. */
static void print_version(FILE *out, const char *title, const json_t *object)
{
	const char *programmed = text_string(object, "resourceVersion");
	const char *latest = text_string(object, "latest");

	fprintf(out, "  %-19s %s", title, strcmp(programmed, "-") ? programmed : "none");
	if (strcmp(programmed, latest))
		fprintf(out, ", should be %s", latest);
	fputc('\n', out);
}

static void print_state(FILE *out, const json_t *service)
{
	const char *state = text_string(service, "state");
	const json_t *slice;
	size_t i;

	if (!text_find(service, "state"))
		return;
	fprintf(out, "  State:              %s since %s\n",
		!strcmp(state, "failed") ? "FAILED" : state, text_string(service, "since"));
	if (text_find(service, "message"))
		fprintf(out, "  Reason:             %s\n", text_string(service, "message"));
	if (json_is_string(text_find(service, "latest")))
		print_version(out, "Version in force:", service);
	json_array_foreach (text_find(service, "slices"), i, slice) {
		if (!json_is_string(text_find(slice, "latest")))
			continue;
		fprintf(out, "  EndpointSlice %s\n", text_string(slice, "name"));
		print_version(out, "  in force:", slice);
	}
}

static int get_print(const struct lbctl *lbctl, const json_t *service)
{
	const json_t *port;
	size_t i;
	int r = 0;

	fprintf(lbctl->out, "Service %s/%s\n", text_string(service, "namespace"),
		text_string(service, "name"));
	print_state(lbctl->out, service);
	json_array_foreach (text_find(service, "ports"), i, port) {
		r = print_port(lbctl, port);
		if (r)
			break;
	}
	return r;
}

static int list_request(const struct lbctl *lbctl, char path[], size_t size)
{
	(void)lbctl;
	return path_add(path, size, "/v1/services");
}

static int list_from_pins(const struct lbctl *lbctl, const struct view *view, json_t **ret,
			  char error[LBCTL_ERROR_MAX])
{
	(void)lbctl;
	return view_services(view, ret, error);
}

/* "namespace/name" in two; false if it is not that. */
static bool split_name(const char *text, char namespace_[64], const char **ret_name)
{
	const char *slash = strchr(text, '/');

	if (!slash || slash == text || slash - text > 63 || !slash[1] || strchr(slash + 1, '/'))
		return false;
	memcpy(namespace_, text, (size_t)(slash - text));
	namespace_[slash - text] = 0;
	*ret_name = slash + 1;
	return true;
}

static int get_request(const struct lbctl *lbctl, char path[], size_t size)
{
	char namespace_[64];
	const char *name;

	if (!split_name(lbctl->argument, namespace_, &name))
		return lbctl_complain(lbctl, LBCTL_USAGE,
				      "service get: \"%s\" is not NAMESPACE/NAME", lbctl->argument);
	if (path_add(path, size, "/v1/services/") || path_escape(path, size, namespace_) ||
	    path_add(path, size, "/") || path_escape(path, size, name))
		return lbctl_complain(lbctl, LBCTL_USAGE, "service get: the name is too long");
	return 0;
}

static int get_from_pins(const struct lbctl *lbctl, const struct view *view, json_t **ret,
			 char error[LBCTL_ERROR_MAX])
{
	char namespace_[64];
	const char *name;

	if (!split_name(lbctl->argument, namespace_, &name))
		return -EINVAL; /* was refused before */
	return view_service(view, namespace_, name, ret, error);
}

const struct verb verb_service_list = {
	.noun = "service",
	.plural = "services",
	.name = "list",
	.summary = "List the ports of all Services",
	.help = "PACKETS and BYTES go to backends, ANSWERS come back from them. BACKENDS are "
		"those\n"
		"that serve. DROPS counts what was rejected or dropped; LOSSES (-o wide) has the\n"
		"reasons. STATE is \"pending\" while a change waits to be programmed and FAILED "
		"when\n"
		"it could not be: lbctl service get says why. CLUSTERIP/OUTSIDE/INSIDE (-o wide) "
		"is what happens to packets to the\n"
		"cluster IP, and to other frontends from outside and from pods of this node: all\n"
		"backends (cluster), those of this node (local), reject or drop.\n",
	.request = list_request,
	.from_pins = list_from_pins,
	.print = list_print,
};

const struct verb verb_service_get = {
	.noun = "service",
	.plural = "services",
	.name = "get",
	.argument = "NAMESPACE/NAME",
	.summary = "Show one Service with its frontends and backends",
	.request = get_request,
	.from_pins = get_from_pins,
	.print = get_print,
};
