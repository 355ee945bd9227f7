/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "tools/lbctl/lbctl.h"

enum option_kind { OPTION_FLAG, OPTION_TEXT, OPTION_FORMAT, OPTION_LIMIT };

static const struct option {
	enum option_group group;
	char letter; /* 0: none */
	const char *name, *value;
	enum option_kind kind;
	size_t offset; /* in struct lbctl */
	const char *help;
} options[] = {
	{ OPTION_FLOW_FILTER, 0, "client", "ADDRESS", OPTION_TEXT, offsetof(struct lbctl, client),
	  "only flows of this client: an address or a prefix" },
	{ OPTION_FLOW_FILTER, 0, "service", "NAMESPACE/NAME[:PORT]", OPTION_TEXT,
	  offsetof(struct lbctl, service), "only flows to this Service, or its port of that name" },
	{ OPTION_FLOW_FILTER, 0, "backend", "ADDRESS[:PORT]", OPTION_TEXT,
	  offsetof(struct lbctl, backend), "only flows to this backend" },
	{ OPTION_FLOW_FILTER, 0, "limit", "N", OPTION_LIMIT, offsetof(struct lbctl, limit),
	  "at most N flows, 1 to 20000 [1000]" },
	{ OPTION_EXPLAIN, 0, "from", "ADDRESS[:PORT]", OPTION_TEXT, offsetof(struct lbctl, from),
	  "source of the packet" },
	{ OPTION_EXPLAIN, 0, "to", "ADDRESS:PORT[/PROTOCOL]", OPTION_TEXT,
	  offsetof(struct lbctl, to), "its destination; tcp, udp or sctp [tcp]" },
	{ OPTION_EXPLAIN, 0, "iface", "NAME", OPTION_TEXT, offsetof(struct lbctl, iface),
	  "interface of the node that it comes in at" },
	{ OPTION_EXPLAIN, 0, "local", NULL, OPTION_FLAG, offsetof(struct lbctl, local),
	  "it is from a process of the node" },
	{ OPTION_EXPLAIN, 0, "objects", "FOLDER", OPTION_TEXT, offsetof(struct lbctl, objects),
	  "without the daemon: manifests to explain by" },
	{ OPTION_EXPLAIN, 0, "profile", "FILE", OPTION_TEXT, offsetof(struct lbctl, profile),
	  "without the daemon: what the node is" },
	{ OPTION_DOCTOR, 0, "policies", "FILE", OPTION_TEXT, offsetof(struct lbctl, policies),
	  "NetworkPolicies to look at, YAML or JSON; -: standard input" },
	{ OPTION_CLEANUP, 0, "dry-run", NULL, OPTION_FLAG, offsetof(struct lbctl, dry_run),
	  "only list what would be removed" },
	{ OPTION_CLEANUP, 0, "force", NULL, OPTION_FLAG, offsetof(struct lbctl, force),
	  "also while kube-proxy runs" },
	{ OPTION_GLOBAL, 'i', "instance", "NAME", OPTION_TEXT, offsetof(struct lbctl, instance),
	  "instance of sluiced to look into [default]" },
	{ OPTION_GLOBAL, 'o', "output", "FORMAT", OPTION_FORMAT, offsetof(struct lbctl, format),
	  "table, wide (more columns), json or yaml [table]" },
	{ OPTION_GLOBAL, 0, "no-headings", NULL, OPTION_FLAG, offsetof(struct lbctl, no_headings),
	  "tables without their first line" },
	{ OPTION_GLOBAL, 0, "run-dir", "FOLDER", OPTION_TEXT, offsetof(struct lbctl, run_dir),
	  "where control sockets are [/run/sluice]" },
	{ OPTION_GLOBAL, 0, "bpffs", "FOLDER", OPTION_TEXT, offsetof(struct lbctl, bpffs),
	  "where the bpf file system is mounted [/sys/fs/bpf]" },
	{ OPTION_GLOBAL, 'h', "help", NULL, OPTION_FLAG, offsetof(struct lbctl, help),
	  "show help, also about one verb" },
	{ OPTION_GLOBAL, 'V', "version", NULL, OPTION_FLAG, offsetof(struct lbctl, version),
	  "show the version of lbctl" },
};

static int fail(char error[LBCTL_ERROR_MAX], const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static int fail(char error[LBCTL_ERROR_MAX], const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(error, LBCTL_ERROR_MAX, format, args);
	va_end(args);
	return -EINVAL;
}

static int set_format(enum lbctl_format *ret, const char *value, char error[LBCTL_ERROR_MAX])
{
	static const char *const names[] = {
		[FORMAT_TABLE] = "table",
		[FORMAT_WIDE] = "wide",
		[FORMAT_JSON] = "json",
		[FORMAT_YAML] = "yaml",
	};

	for (size_t i = 0; i < SL_COUNT(names); i++)
		if (!strcmp(value, names[i])) {
			*ret = (enum lbctl_format)i;
			return 0;
		}
	return fail(error, "--output: \"%s\" is not table, wide, json or yaml", value);
}

static int set_limit(size_t *ret, const char *value, char error[LBCTL_ERROR_MAX])
{
	unsigned long limit;
	char *end;

	errno = 0;
	limit = strtoul(value, &end, 10);
	if (errno || *value < '0' || *value > '9' || *end || !limit || limit > VIEW_FLOWS_MAX)
		return fail(error, "--limit: \"%s\" is not a number from 1 to %d", value,
			    VIEW_FLOWS_MAX);
	*ret = limit;
	return 0;
}

static int set(struct lbctl *lbctl, const struct option *option, const char *value,
	       char error[LBCTL_ERROR_MAX])
{
	void *field = (char *)lbctl + option->offset;

	switch (option->kind) {
	case OPTION_FLAG:
		*(bool *)field = true;
		return 0;
	case OPTION_FORMAT:
		return set_format(field, value, error);
	case OPTION_LIMIT:
		return set_limit(field, value, error);
	default:
		if (!*value)
			return fail(error, "--%s: needs a value", option->name);
		*(const char **)field = value;
		return 0;
	}
}

static const struct option *find_long(const char *name, size_t len)
{
	for (size_t i = 0; i < SL_COUNT(options); i++)
		if (strlen(options[i].name) == len && !strncmp(options[i].name, name, len))
			return &options[i];
	return NULL;
}

static const struct option *find_letter(char letter)
{
	for (size_t i = 0; i < SL_COUNT(options); i++)
		if (options[i].letter && options[i].letter == letter)
			return &options[i];
	return NULL;
}

/*
 * Reads the option at argv[*i] and moves *i to the last argument that it took.
 */
static int parse_option(int argc, char *const argv[], int *i, struct lbctl *lbctl,
			unsigned int *groups, char error[LBCTL_ERROR_MAX])
{
	const char *text = argv[*i], *value = NULL, *equals;
	const struct option *option;

	if (text[1] == '-') {
		equals = strchr(text, '=');
		option = find_long(text + 2,
				   equals ? (size_t)(equals - text - 2) : strlen(text + 2));
		value = equals ? equals + 1 : NULL;
	} else {
		option = find_letter(text[1]);
		if (text[1] && text[2])
			value = text + 2 + (text[2] == '=');
	}
	if (!option)
		return fail(error, "%s: no such option", text);
	*groups |= option->group;
	if (option->kind == OPTION_FLAG) {
		if (value)
			return fail(error, "%s: --%s takes no value", text, option->name);
		return set(lbctl, option, NULL, error);
	}
	if (!value && *i + 1 >= argc)
		return fail(error, "--%s: needs a value: %s", option->name, option->value);
	if (!value)
		value = argv[++*i];
	return set(lbctl, option, value, error);
}

static bool valid_instance(const char *name)
{
	size_t len = strlen(name);

	return len && len <= 32 && strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-") == len;
}

int options_parse(int argc, char *const argv[], struct lbctl *ret, unsigned int *ret_groups,
		  char error[LBCTL_ERROR_MAX])
{
	struct lbctl lbctl = {
		.out = ret->out,
		.err = ret->err,
		.instance = "default",
		.run_dir = "/run/sluice",
		.bpffs = "/sys/fs/bpf",
		.limit = VIEW_FLOWS_DEFAULT,
	};
	unsigned int groups = 0;
	bool words_only = false;

	for (int i = 1; i < argc; i++) {
		if (!words_only && !strcmp(argv[i], "--")) {
			words_only = true;
		} else if (!words_only && argv[i][0] == '-') {
			int r = parse_option(argc, argv, &i, &lbctl, &groups, error);

			if (r)
				return r;
		} else if (lbctl.n_words == WORDS_MAX) {
			return fail(error, "%s: one word too many", argv[i]);
		} else {
			lbctl.words[lbctl.n_words++] = argv[i];
		}
	}
	if (!valid_instance(lbctl.instance))
		return fail(error, "--instance: \"%s\" is not 1 to 32 of a-z, 0-9 and -",
			    lbctl.instance);
	*ret = lbctl;
	*ret_groups = groups;
	return 0;
}

void options_help(FILE *out, enum option_group group)
{
	for (size_t i = 0; i < SL_COUNT(options); i++) {
		const struct option *option = &options[i];
		char left[64];

		if (option->group != group)
			continue;
		snprintf(left, sizeof(left), "%c%c%c --%s%s%s", option->letter ? '-' : ' ',
			 option->letter ? option->letter : ' ', option->letter ? ',' : ' ',
			 option->name, option->value ? " " : "",
			 option->value ? option->value : "");
		fprintf(out, "  %-36s %s\n", left, option->help);
	}
}

const char *options_name(unsigned int groups)
{
	for (size_t i = 0; i < SL_COUNT(options); i++)
		if (options[i].group & groups)
			return options[i].name;
	return "";
}
