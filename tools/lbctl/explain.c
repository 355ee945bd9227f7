/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>
#include <string.h>

#include "controlplane/explain/offline.h"
#include "tools/lbctl/lbctl.h"
#include "tools/lbctl/table.h"
#include "tools/lbctl/text.h"

static int add_field(char path[], size_t size, const char *name, const char *value)
{
	if (!value)
		return 0;
	return path_add(path, size, strchr(path, '?') ? "&" : "?") || path_add(path, size, name) ||
	       path_add(path, size, "=") || path_escape(path, size, value);
}

static int request(const struct lbctl *lbctl, char path[], size_t size)
{
	if (path_add(path, size, "/v1/explain") || add_field(path, size, "from", lbctl->from) ||
	    add_field(path, size, "to", lbctl->to) ||
	    add_field(path, size, "iface", lbctl->iface) ||
	    add_field(path, size, "local", lbctl->local ? "1" : NULL))
		return lbctl_complain(lbctl, LBCTL_USAGE, "explain: the values are too long");
	return 0;
}

static bool is_true(const json_t *object, const char *key)
{
	return json_is_true(text_find(object, key));
}

static void print_packet(FILE *out, const json_t *e)
{
	fprintf(out, "Packet:    %s %s -> %s", text_string(e, "packet.protocol"),
		text_string(e, "packet.from"), text_string(e, "packet.to"));
	if (is_true(e, "packet.local"))
		fputs(", from a process of this node", out);
	else if (json_is_string(text_find(e, "packet.interface")))
		fprintf(out, ", in at %s", text_string(e, "packet.interface"));
	fputc('\n', out);
}

static void print_facts(FILE *out, const json_t *e)
{
	const json_t *snat = text_find(e, "snat");

	fprintf(out, "Verdict:   %s\n", text_string(e, "summary"));
	if (json_is_object(text_find(e, "frontend")))
		fprintf(out, "Frontend:  %s (%s)\n", text_string(e, "frontend.address"),
			text_string(e, "frontend.kind"));
	if (!json_is_string(text_find(e, "set")))
		return;
	fprintf(out, "Set:       %s\n", text_string(e, "set"));
	fprintf(out, "Chosen:    %s\n",
		json_is_string(text_find(e, "chosen")) ? text_string(e, "chosen")
						       : "depends, see below");
	fprintf(out, "Source:    %s\n",
		json_is_null(snat)   ? "replaced for some endpoints"
		: json_is_true(snat) ? "replaced by an address of this node"
				     : "kept");
}

static void print_steps(FILE *out, const json_t *e)
{
	const json_t *step, *rule;
	size_t i, k;

	fputs("\nWhy:\n", out);
	json_array_foreach (text_find(e, "steps"), i, step) {
		fprintf(out, "  %zu. %s", i + 1, text_string(step, "text"));
		json_array_foreach (text_find(step, "rules"), k, rule)
			fprintf(out, "%s%s", k ? ", " : " [", json_string_value(rule));
		fputs(json_array_size(text_find(step, "rules")) ? "]\n" : "\n", out);
	}
}

static int print_endpoints(const struct lbctl *lbctl, const json_t *e)
{
	static const struct column columns[] = {
		{ .title = "ENDPOINT", .path = "address" },
		{ .title = "LOCAL", .kind = COLUMN_YES, .path = "local" },
		{ .title = "SNAT", .kind = COLUMN_YES, .path = "snat" },
		{ .title = "CHOSEN", .kind = COLUMN_YES, .path = "chosen" },
		{ 0 },
	};

	if (!json_array_size(text_find(e, "endpoints")))
		return 0;
	fputc('\n', lbctl->out);
	return print_items(lbctl, columns, text_find(e, "endpoints"));
}

/* What the loaded programs say, if a daemon asked them. */
static void print_agreement(FILE *out, const json_t *e)
{
	if (!json_is_object(text_find(e, "datapath")))
		return;
	if (is_true(e, "agrees")) {
		fputs("\nThe loaded program, asked with the real maps, decides the same.\n", out);
		return;
	}
	fprintf(out,
		"\nBUG: the loaded program decides otherwise, and it is what packets meet:\n"
		"  verdict %s, reason %s, service %s, path %s, set %s, backend %s, masquerade %s\n"
		"If it stays so (see lbctl status for changes that are pending or failed), please "
		"report it\nwith the output of -o json.\n",
		text_string(e, "datapath.verdict"), text_string(e, "datapath.reason"),
		text_string(e, "datapath.service"), text_string(e, "datapath.path"),
		text_string(e, "datapath.set"), text_string(e, "datapath.backend"),
		is_true(e, "datapath.masquerade") ? "yes" : "no");
}

static int print(const struct lbctl *lbctl, const json_t *e)
{
	int r;

	print_packet(lbctl->out, e);
	print_facts(lbctl->out, e);
	print_steps(lbctl->out, e);
	r = print_endpoints(lbctl, e);
	print_agreement(lbctl->out, e);
	return r;
}

static int offline(const struct lbctl *lbctl)
{
	const struct explain_query query = {
		.from = lbctl->from,
		.to = lbctl->to,
		.iface = lbctl->iface,
		.local = lbctl->local,
	};
	char error[LBCTL_ERROR_MAX];
	json_t *document;
	int r = explain_offline(lbctl->objects, lbctl->profile, &query, &document, error), code;

	if (r)
		return lbctl_complain(lbctl, r == -EINVAL ? LBCTL_USAGE : LBCTL_FAILED, "%s",
				      error);
	code = output_document(lbctl, &verb_explain, document);
	json_decref(document);
	return code;
}

static int run(const struct lbctl *lbctl)
{
	if (!lbctl->from || !lbctl->to)
		return lbctl_complain(lbctl, LBCTL_USAGE, "explain: needs --from and --to");
	if (!lbctl->objects != !lbctl->profile)
		return lbctl_complain(lbctl, LBCTL_USAGE,
				      "explain: --objects and --profile go together");
	return lbctl->objects ? offline(lbctl) : lbctl_show(lbctl, &verb_explain);
}

const struct verb verb_explain = {
	.noun = "explain",
	.summary = "Say what becomes of a packet, and why",
	.help = "Takes the first packet of a connection: which Service it is for, who may answer "
		"it,\n"
		"whether its source is replaced, or why it is rejected, dropped or passed on. "
		"Rules\n"
		"(S-nnn) are those of docs/semantics.md.\n"
		"\n"
		"The daemon decides by its objects and asks the loaded program with the real maps; "
		"if\n"
		"the two differ, that is a bug, and it is shown. With --objects and --profile "
		"neither\n"
		"daemon nor BPF is needed: a folder of manifests, and a file that says what the "
		"node\n"
		"is (docs/api.md has its fields).\n"
		"\n"
		"Without --iface and --local a packet from an address of the node is from one of "
		"its\n"
		"processes, any other from outside. Which endpoint is picked depends on the "
		"source\n"
		"port, too. IPv6 addresses with a port stand in brackets.\n"
		"\n"
		"  lbctl explain --from 10.0.1.17 --to 10.96.0.10:53/udp --iface veth17\n"
		"  lbctl explain --from 203.0.113.9:40000 --to 198.51.100.7:443 --iface eth0\n",
	.options = OPTION_EXPLAIN,
	.request = request,
	.print = print,
	.run = run,
};
