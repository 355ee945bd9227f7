/* SPDX-License-Identifier: Apache-2.0 */

/* lbctl migrate: from kube-proxy to sluice and back, one node at a time. */

#include "tools/lbctl/migrate.h"

#include <bpf/libbpf.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "tools/lbctl/text.h"

void migrate_found(struct migrate *migrate, const char *where, const char *what, size_t chains,
		   size_t rules)
{
	json_array_append_new(migrate->found,
			      json_pack("{s:s, s:s, s:I, s:I}", "where", where, "what", what,
					"chains", (json_int_t)chains, "rules", (json_int_t)rules));
}

void migrate_failed(struct migrate *migrate, const char *where, const char *why)
{
	json_array_append_new(migrate->failed, json_pack("{s:s, s:s}", "where", where, "why", why));
}

void migrate_kept(struct migrate *migrate, const char *where, const char *what, const char *why)
{
	json_array_append_new(migrate->kept, json_pack("{s:s, s:s, s:s}", "where", where, "what",
						       what, "why", why));
}

static void look(struct migrate *migrate, bool removing, bool holds)
{
	*migrate = (struct migrate) {
		.remove = removing,
		.holds = holds,
		.found = json_array(),
		.kept = json_array(),
		.failed = json_array(),
	};
	migrate_nftables(migrate);
	migrate_iptables_nft(migrate);
	migrate_iptables_legacy(migrate);
	migrate_ipvs(migrate);
}

static void forget(struct migrate *migrate)
{
	json_decref(migrate->found);
	json_decref(migrate->kept);
	json_decref(migrate->failed);
}

static void print_leftovers(const struct lbctl *lbctl, const json_t *document, const char *verb)
{
	const json_t *item;
	size_t i;

	json_array_foreach (json_object_get(document, "found"), i, item) {
		fprintf(lbctl->out, "%s%s: %s", verb, text_string(item, "where"),
			text_string(item, "what"));
		if (text_number(item, "chains"))
			fprintf(lbctl->out, ", %lld chains, %lld rules",
				(long long)text_number(item, "chains"),
				(long long)text_number(item, "rules"));
		fputc('\n', lbctl->out);
	}
	json_array_foreach (json_object_get(document, "kept"), i, item)
		fprintf(lbctl->out, "%s%s: %s (%s)\n",
			*verb == ' ' ? "  stays: " : "Kept: ", text_string(item, "where"),
			text_string(item, "what"), text_string(item, "why"));
	json_array_foreach (json_object_get(document, "failed"), i, item)
		fprintf(lbctl->out, "%s%s: %s\n",
			*verb == ' ' ? "  not known: " : "Failed: ", text_string(item, "where"),
			text_string(item, "why"));
}

/* -1: not known */
static json_int_t count_of(const json_t *connections)
{
	return connections ? text_number(connections, "tcp") + text_number(connections, "udp") +
				     text_number(connections, "sctp")
			   : -1;
}

/* plan */

/* What the steps depend on. */
struct state {
	bool running; /* kube-proxy */
	bool rules;   /* of kube-proxy are here */
	bool serving; /* sluiced answers */
};

static void step(json_t *steps, const char *what, const char *command)
{
	json_array_append_new(steps, json_pack("{s:s, s:s?}", "what", what, "command", command));
}

static json_t *steps_for(const struct state *state)
{
	json_t *steps = json_array();

	if (!state->running && !state->rules)
		return steps;
	if (!state->serving)
		step(steps,
		     "start sluiced without setting masquerade: it starts in compatible, takes "
		     "new connections at once, and leaves kube-proxy's conntrack those that it has",
		     "sluiced --source kube --kubeconfig FILE --node-name NODE");
	step(steps, "see that Services are programmed",
	     "lbctl status && lbctl services && lbctl attach");
	if (state->running)
		step(steps,
		     "stop kube-proxy on this node: label all others, then let it run on those "
		     "only",
		     "kubectl label node OTHER sluice.dev/kube-proxy=yes && kubectl -n kube-system "
		     "patch daemonset kube-proxy -p '{\"spec\":{\"template\":{\"spec\":"
		     "{\"nodeSelector\":{\"sluice.dev/kube-proxy\":\"yes\"}}}}}'");
	step(steps, "remove kube-proxy's rules", "lbctl migrate cleanup");
	step(steps, "see what is in the way", "lbctl doctor");
	return steps;
}

static bool is_pinned(const struct lbctl *lbctl)
{
	int fd[DATAPATH_MAP_MAX];
	char root[256];

	libbpf_set_print(NULL);
	snprintf(root, sizeof(root), "%s/sluice", lbctl->bpffs);
	if (datapath_open_pins(root, lbctl->instance, fd))
		return false;
	for (int i = 0; i < DATAPATH_MAP_MAX; i++)
		if (fd[i] >= 0)
			close(fd[i]);
	return true;
}

/* The daemon's status, or NULL. */
static json_t *status_of(const struct lbctl *lbctl)
{
	char socket[512], error[LBCTL_ERROR_MAX];
	json_t *document = NULL;
	long status;

	snprintf(socket, sizeof(socket), "%s/%s.sock", lbctl->run_dir, lbctl->instance);
	if (client_get(socket, "/v1/status", &status, &document, error))
		return NULL;
	if (status == 200)
		return document;
	json_decref(document);
	return NULL;
}

static int print_plan(const struct lbctl *lbctl, const json_t *plan)
{
	const json_t *item, *connections = json_object_get(plan, "connections");
	const json_t *kube_proxy = json_object_get(plan, "kubeProxy");
	FILE *out = lbctl->out;
	size_t i;

	fprintf(out, "kube-proxy:   %s",
		json_is_true(json_object_get(kube_proxy, "running")) ? "runs" : "does not run");
	json_array_foreach (json_object_get(kube_proxy, "processes"), i, item)
		fprintf(out, "%s%lld", i ? ", " : ", process ",
			(long long)json_integer_value(item));
	if (json_is_string(json_object_get(kube_proxy, "metrics")))
		fprintf(out, ", mode %s by %s", text_string(kube_proxy, "mode"),
			text_string(kube_proxy, "metrics"));
	fprintf(out, "\nIts rules:    %s\n",
		json_array_size(json_object_get(plan, "found")) ? "are here" : "none");
	print_leftovers(lbctl, plan, "  ");
	if (json_is_object(connections))
		fprintf(out,
			"Connections:  %lld TCP, %lld UDP, %lld SCTP flows have their destination "
			"translated by conntrack\n",
			(long long)text_number(connections, "tcp"),
			(long long)text_number(connections, "udp"),
			(long long)text_number(connections, "sctp"));
	else
		fprintf(out, "Connections:  not known: %s\n",
			text_string(plan, "connectionsError"));
	fprintf(out, "sluice:       %s; masquerade %s\n",
		json_is_true(text_find(plan, "sluice.serving")) ? "serves"
		: json_is_true(text_find(plan, "sluice.pinned"))
			? "does not run, but what it pinned works on"
			: "is not here",
		text_string(plan, "sluice.masquerade"));
	if (json_array_size(json_object_get(plan, "steps")))
		fputs("\nSteps:\n", out);
	else
		fputs("\nNothing is left to do.\n", out);
	json_array_foreach (json_object_get(plan, "steps"), i, item) {
		fprintf(out, "  %zu. %s\n", i + 1, text_string(item, "what"));
		if (json_is_string(json_object_get(item, "command")))
			fprintf(out, "       %s\n", text_string(item, "command"));
	}
	return 0;
}

static int run_plan(const struct lbctl *lbctl)
{
	json_t *running = migrate_running(), *status = status_of(lbctl), *connections, *steps,
	       *plan;
	struct migrate migrate;
	struct state state;
	int error, code;

	connections = migrate_connections(&error);
	look(&migrate, false, count_of(connections) != 0);
	state = (struct state) {
		.running = json_is_true(json_object_get(running, "running")),
		.rules = json_array_size(migrate.found),
		.serving = status,
	};
	steps = steps_for(&state);
	plan = json_pack("{s:s, s:s, s:o, s:o, s:o, s:o, s:o?, s:s?, s:{s:b, s:b, s:s?}, s:o}",
			 "apiVersion", "sluice.dev/v1", "kind", "MigrationPlan", "kubeProxy",
			 running, "found", migrate.found, "kept", migrate.kept, "failed",
			 migrate.failed, "connections", connections, "connectionsError",
			 error ? strerror(-error) : NULL, "sluice", "serving", state.serving,
			 "pinned", state.serving || is_pinned(lbctl), "masquerade",
			 json_string_value(text_find(status, "masquerade.mode")), "steps", steps);
	code = plan ? output_document(lbctl, &verb_migrate_plan, plan)
		    : lbctl_complain(lbctl, LBCTL_FAILED, "migrate plan: out of memory");
	if (!code && (json_array_size(steps) || json_array_size(migrate.failed)))
		code = LBCTL_FAILED;
	json_decref(status);
	json_decref(plan);
	return code;
}

/* cleanup */

static int print_cleanup(const struct lbctl *lbctl, const json_t *document)
{
	bool dry = json_is_true(json_object_get(document, "dryRun"));

	print_leftovers(lbctl, document, dry ? "Would remove " : "Removed ");
	if (!json_array_size(json_object_get(document, "found")) &&
	    !json_array_size(json_object_get(document, "failed")))
		fputs("Nothing of kube-proxy's is here.\n", lbctl->out);
	return 0;
}

/* What failed is not among what was removed. */
static void leave_out_failed(struct migrate *migrate)
{
	const json_t *failed, *item;
	char both[160];
	size_t i, k;

	json_array_foreach (migrate->failed, i, failed)
		for (k = json_array_size(migrate->found); k-- > 0;) {
			const char *text = text_string(failed, "where"), *where, *what;

			item = json_array_get(migrate->found, k);
			where = text_string(item, "where");
			what = text_string(item, "what");
			snprintf(both, sizeof(both), "%s: %s", where, what);
			if (!strcmp(text, where) || !strcmp(text, what) || !strcmp(text, both))
				json_array_remove(migrate->found, k);
		}
}

static int run_cleanup(const struct lbctl *lbctl)
{
	json_t *running = migrate_running(), *connections, *document;
	bool runs = json_is_true(json_object_get(running, "running"));
	struct migrate migrate;
	int code, error;

	json_decref(running);
	if (runs && !lbctl->force && !lbctl->dry_run)
		return lbctl_complain(lbctl, LBCTL_FAILED,
				      "migrate cleanup: kube-proxy runs on this node and would "
				      "write its rules anew; stop it first, or use --force");
	connections = migrate_connections(&error);
	look(&migrate, false, count_of(connections) != 0);
	json_decref(connections);
	if (!lbctl->dry_run) {
		error = migrate.holds && json_array_size(migrate.found) ? migrate_hold() : 0;
		if (error) {
			forget(&migrate);
			return lbctl_complain(lbctl, LBCTL_FAILED,
					      "migrate cleanup: table sluice-handover, without "
					      "which connections would break: %s",
					      strerror(-error));
		}
		forget(&migrate);
		look(&migrate, true, migrate.holds);
	}
	if (!lbctl->dry_run)
		leave_out_failed(&migrate);
	code = json_array_size(migrate.failed) ? LBCTL_FAILED : LBCTL_OK;
	document = json_pack("{s:s, s:s, s:b, s:o, s:o, s:o}", "apiVersion", "sluice.dev/v1",
			     "kind", "MigrationCleanup", "dryRun", lbctl->dry_run, "found",
			     migrate.found, "kept", migrate.kept, "failed", migrate.failed);
	if (!document)
		return lbctl_complain(lbctl, LBCTL_FAILED, "migrate cleanup: out of memory");
	code = output_document(lbctl, &verb_migrate_cleanup, document) ?: code;
	json_decref(document);
	return code;
}

const struct verb verb_migrate_plan = {
	.noun = "migrate",
	.name = "plan",
	.summary = "Say what of kube-proxy is on this node, and the steps to take over from it",
	.help = "Looks, in the network namespace that it runs in, for\n"
		"  - kube-proxy itself: its process, and its configuration on 127.0.0.1:10249\n"
		"  - its rules in nftables, iptables-nft and iptables-legacy, IPv4 and IPv6; the\n"
		"    interface kube-ipvs0; its sets of ipset\n"
		"  - connections whose destination conntrack translates: Services', and also those "
		"of\n"
		"    hostPorts; of TCP those that are open\n"
		"  - sluice\n"
		"and lists the steps that are left, in order. Changes nothing.\n"
		"\n"
		"Exit code 0: nothing is left to do; 1: there are steps, or something can't be "
		"looked at.\n",
	.print = print_plan,
	.run = run_plan,
};

const struct verb verb_migrate_cleanup = {
	.noun = "migrate",
	.name = "cleanup",
	.summary = "Remove kube-proxy's rules from this node",
	.help = "Removes what kube-proxy --cleanup would, in this network namespace: the tables "
		"kube-proxy\n"
		"of nftables, its chains in iptables' tables nat, filter and mangle (iptables-nft "
		"and\n"
		"iptables-legacy) with the jumps to them, the interface kube-ipvs0, and its sets "
		"of\n"
		"ipset. kubelet's chains stay, and a chain that others' chains jump to is named "
		"and\n"
		"stays. So does IPVS's table of virtual servers: ipvsadm --clear removes that.\n"
		"Connections that conntrack translates live on: where kube-proxy's tables of "
		"nftables\n"
		"were what it needs for that, idle ones of the name sluice-handover take their "
		"place,\n"
		"which a later cleanup removes.\n"
		"\n"
		"Refuses while kube-proxy runs on the node, but for --dry-run and --force.\n"
		"\n"
		"Exit code 0: nothing is left, or it was a dry run; 1: something failed, or "
		"kube-proxy runs.\n",
	.options = OPTION_CLEANUP,
	.print = print_cleanup,
	.run = run_cleanup,
};
