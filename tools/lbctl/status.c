/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>
#include <string.h>

#include "tools/lbctl/lbctl.h"
#include "tools/lbctl/table.h"
#include "tools/lbctl/text.h"

static int request(const struct lbctl *lbctl, char path[], size_t size)
{
	(void)lbctl;
	return path_add(path, size, "/v1/status");
}

static int from_pins(const struct lbctl *lbctl, const struct view *view, json_t **ret,
		     char error[LBCTL_ERROR_MAX])
{
	json_t *programmed, *losses, *status;
	int r = view_programmed(view, &programmed, error);

	if (r)
		return r;
	r = view_losses(view, &losses, error);
	if (r) {
		json_decref(programmed);
		return r;
	}
	status = json_pack("{s:s, s:s, s:s, s:s, s:o, s:o}", "apiVersion", "sluice.dev/v1", "kind",
			   "Status", "instance", lbctl->instance, "daemon", "not running",
			   "programmed", programmed, "losses", losses);
	if (!status) {
		snprintf(error, LBCTL_ERROR_MAX, "out of memory");
		return -ENOMEM;
	}
	*ret = status;
	return 0;
}

static void print_daemon(FILE *out, const json_t *status)
{
	fprintf(out, "Instance:    %s\n", text_string(status, "instance"));
	if (text_find(status, "daemon")) {
		fprintf(out, "Daemon:      %s\n", text_string(status, "daemon"));
		return;
	}
	fprintf(out, "Daemon:      running, pid %lld, for ", (long long)text_number(status, "pid"));
	text_age(out, text_number(status, "uptime"));
	fprintf(out, " (since %s)\n", text_string(status, "startedAt"));
	fprintf(out, "Version:     %s\n", text_string(status, "version"));
	fprintf(out, "Node:        %s\n", text_string(status, "node"));
}

static void print_source(FILE *out, const json_t *status)
{
	const json_t *source = text_find(status, "source"), *kind;
	size_t i;

	if (!source)
		return;
	fprintf(out, "Source:      %s, %s since %s\n", text_string(source, "source"),
		json_is_true(text_find(source, "connected")) ? "connected" : "not connected",
		text_string(source, "since"));
	if (text_find(source, "error"))
		fprintf(out, "Last error:  %s\n", text_string(source, "error"));
	json_array_foreach (text_find(source, "kinds"), i, kind) {
		fprintf(out, "%s%s %s, events %lld",
			i ? "; " : "Watching:    ", text_string(kind, "kind"),
			json_is_true(text_find(kind, "listed")) ? "listed" : "not listed yet",
			(long long)text_number(kind, "events"));
	}
	if (json_array_size(text_find(source, "kinds")))
		fputc('\n', out);
}

/* Whose source becomes the node's, and why it is so. */
static void print_masquerade(FILE *out, const json_t *status)
{
	static const char *const texts[][2] = {
		{ "configured", "set by the configuration" },
		{ "adopted", "as in the run before" },
		{ "kubeProxy", "taken over from kube-proxy" },
		{ "default", "the default" },
	};
	const char *why = text_string(status, "masquerade.why");

	if (!text_find(status, "masquerade"))
		return;
	for (size_t i = 0; i < SL_COUNT(texts); i++)
		if (!strcmp(why, texts[i][0]))
			why = texts[i][1];
	fprintf(out, "Masquerade:  %s (%s)\n", text_string(status, "masquerade.mode"), why);
}

static void print_ports(FILE *out, const json_t *status)
{
	if (text_find(status, "snatPorts"))
		fprintf(out, "SNAT ports:  %lld-%lld\n",
			(long long)text_number(status, "snatPorts.first"),
			(long long)text_number(status, "snatPorts.last"));
}

/* Whose connections live beside ours; nothing where there is nobody. */
static void print_handover(FILE *out, const json_t *status)
{
	const char *handover = text_string(status, "handover");

	if (!strcmp(handover, "fromKubeProxy"))
		fputs("Handover:    what conntrack translates for kube-proxy is left to it\n", out);
	else if (!strcmp(handover, "toKubeProxy"))
		fputs("Handover:    new connections are kube-proxy's; what is open goes on\n", out);
}

static void print_programmed(FILE *out, const json_t *status)
{
	const json_t *programmed = text_find(status, "programmed");

	if (!programmed)
		return;
	fprintf(out, "Programmed:  services %lld, service ports %lld, backends %lld",
		(long long)text_number(programmed, "services"),
		(long long)text_number(programmed, "servicePorts"),
		(long long)text_number(programmed, "backends"));
	if (text_number(programmed, "pending"))
		fprintf(out, ", pending %lld", (long long)text_number(programmed, "pending"));
	if (text_number(programmed, "failed"))
		fprintf(out, ", FAILED %lld", (long long)text_number(programmed, "failed"));
	fputc('\n', out);
}

/* First of all what is not as it should be. */
static void print_failures(FILE *out, const json_t *status)
{
	const json_t *failures = text_find(status, "failures"), *failure;
	json_int_t more =
		text_number(status, "programmed.failed") - (json_int_t)json_array_size(failures);
	size_t i;

	json_array_foreach (failures, i, failure)
		fprintf(out, "FAILED       %s/%s since %s: %s\n", text_string(failure, "namespace"),
			text_string(failure, "name"), text_string(failure, "since"),
			text_string(failure, "message"));
	if (json_array_size(failures) && more > 0)
		fprintf(out, "FAILED       and %lld more: lbctl services\n", (long long)more);
}

static void print_maps(FILE *out, const json_t *status)
{
	const json_t *map, *fullest = NULL;
	double most = 0;
	size_t i, n = 0;

	if (!text_find(status, "maps"))
		return;
	fputs("Maps:        ", out);
	json_array_foreach (text_find(status, "maps"), i, map) {
		double used = 100.0 * (double)text_number(map, "entries") /
			      (double)text_number(map, "maxEntries");

		if (json_is_true(text_find(map, "nearlyFull")))
			fprintf(out, "%sNEARLY FULL %s %.0f%%", n++ ? ", " : "",
				text_string(map, "name"), used);
		if (!fullest || used > most) {
			fullest = map;
			most = used;
		}
	}
	if (!n && fullest)
		fprintf(out, "the fullest is %s, %.0f%%", text_string(fullest, "name"), most);
	fputc('\n', out);
}

static void print_audit(FILE *out, const json_t *status)
{
	const json_t *repaired;
	const char *map;

	if (!text_find(status, "audit"))
		return;
	fputs("Audit:       ", out);
	if (!text_number(status, "audit.rounds"))
		fputs(text_number(status, "audit.periodSeconds") ? "no round yet" : "off", out);
	else
		fprintf(out, "rounds %lld, the last at %s",
			(long long)text_number(status, "audit.rounds"),
			text_string(status, "audit.lastRoundAt"));
	fputs(json_object_size(text_find(status, "audit.repaired")) ? "; REPAIRED" : "", out);
	/* The document is not changed by looking at it. */
	json_object_foreach ((json_t *)text_find(status, "audit.repaired"), map, repaired)
		fprintf(out, " %s %lld", map, (long long)json_integer_value(repaired));
	fputc('\n', out);
}

static void print_latency(FILE *out, const json_t *status)
{
	static const char *const names[] = { "p50", "p99", "max" };
	static const char *const paths[] = { "latency.p50Us", "latency.p99Us", "latency.maxUs" };

	if (!text_find(status, "latency"))
		return;
	fputs("Latency:     event to tables", out);
	for (size_t i = 0; i < SL_COUNT(paths); i++) {
		fprintf(out, "%s %s ", i ? "," : "", names[i]);
		text_microseconds(out, text_number(status, paths[i]));
	}
	fprintf(out, "; changes %lld\n", (long long)text_number(status, "latency.count"));
}

/* Only where idle connections were to be ended. */
static void print_idle(FILE *out, const json_t *status)
{
	long long sent = (long long)text_number(status, "idleProbes.sent");
	long long unreachable = (long long)text_number(status, "idleProbes.unreachable");

	if (sent || unreachable)
		fprintf(out, "Idle probes: sent %lld, unreachable %lld\n", sent, unreachable);
}

static int print(const struct lbctl *lbctl, const json_t *status)
{
	static const struct column columns[] = {
		{ .title = "LOSS", .path = "reason" },
		{ .title = "PACKETS", .kind = COLUMN_NUMBER, .path = "packets" },
		{ 0 },
	};
	const json_t *losses = text_find(status, "losses");

	print_failures(lbctl->out, status);
	print_daemon(lbctl->out, status);
	print_source(lbctl->out, status);
	print_masquerade(lbctl->out, status);
	print_ports(lbctl->out, status);
	print_handover(lbctl->out, status);
	print_programmed(lbctl->out, status);
	print_latency(lbctl->out, status);
	print_maps(lbctl->out, status);
	print_audit(lbctl->out, status);
	print_idle(lbctl->out, status);
	if (!json_array_size(losses)) {
		fputs("Losses:      none\n", lbctl->out);
		return 0;
	}
	fputc('\n', lbctl->out);
	return print_items(lbctl, columns, losses);
}

const struct verb verb_status = {
	.noun = "status",
	.summary = "Show how sluiced and its source are doing",
	.help = "The daemon, where its objects come from, what is programmed, how long events\n"
		"take to reach the tables, and what was rejected or dropped, by reason.\n"
		"Without the daemon: what is programmed and lost, by the pins; exit code 3.\n",
	.needs_daemon = true,
	.request = request,
	.from_pins = from_pins,
	.print = print,
};
