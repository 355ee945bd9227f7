/* SPDX-License-Identifier: Apache-2.0 */

#include "controlplane/config.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "controlplane/config_set.h"
#include "controlplane/config_table.h"

#define ERROR_MAX 512

/* What the command line says, and where a field's value is from. */
struct loading {
	struct config *config;
	const char *file;
	const char **flags; /* by field: the value of its flag, or NULL */
	size_t *lines;	    /* by field: its line in the file, or 0 */
	bool options[OPTION_MAX];
	char *error;
};

__attribute__((format(printf, 2, 3))) static int refuse(char *error, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(error, ERROR_MAX, format, args);
	va_end(args);
	return -EINVAL;
}

const char *config_flag(const struct config_field *field, char flag[CONFIG_FLAG_MAX])
{
	size_t n = 2;

	memcpy(flag, "--", 2);
	/* An abbreviation is one word: clusterCIDR is --cluster-cidr. */
	for (const char *at = field->name; *at && n < CONFIG_FLAG_MAX - 2; at++) {
		if (isupper((unsigned char)*at) && !isupper((unsigned char)at[-1]))
			flag[n++] = '-';
		flag[n++] = (char)tolower((unsigned char)*at);
	}
	flag[n] = '\0';
	return flag;
}

/* Levenshtein's distance, letters of either case being equal. */
static size_t distance(const char *a, const char *b)
{
	size_t row[CONFIG_FLAG_MAX];
	size_t len = strnlen(b, CONFIG_FLAG_MAX - 1);

	for (size_t j = 0; j <= len; j++)
		row[j] = j;
	for (size_t i = 0; a[i]; i++) {
		size_t corner = row[0];

		row[0] = i + 1;
		for (size_t j = 0; j < len; j++) {
			bool same = tolower((unsigned char)a[i]) == tolower((unsigned char)b[j]);
			size_t best = corner + !same;

			corner = row[j + 1];
			if (corner + 1 < best)
				best = corner + 1;
			if (row[j] + 1 < best)
				best = row[j] + 1;
			row[j + 1] = best;
		}
	}
	return row[len];
}

const char *config_not_taken(const char *name)
{
	if (strcmp(name, "featureGates") == 0 || strcmp(name, "feature-gates") == 0)
		return "sluice has no feature gates; leave it out";
	return NULL;
}

bool config_suggest(const char *text, bool flags, char ret[CONFIG_FLAG_MAX])
{
	size_t nearest = 2 + strlen(text) / 4;
	bool found = false;

	for (size_t i = 0; i < config_n_fields + (flags ? OPTION_MAX : 0); i++) {
		char flag[CONFIG_FLAG_MAX];
		const char *name = i < config_n_fields ? config_fields[i].name
						       : config_options[i - config_n_fields].flag;

		if (flags && i < config_n_fields)
			name = config_flag(&config_fields[i], flag);
		size_t d = distance(text, name);
		if (d < nearest || (d == nearest && !found)) {
			nearest = d;
			found = true;
			snprintf(ret, CONFIG_FLAG_MAX, "%s", name);
		}
	}
	return found;
}

static char *trimmed(char *text)
{
	text += strspn(text, " \t");
	for (size_t len = strlen(text); len > 0 && strchr(" \t", text[len - 1]); len--)
		text[len - 1] = '\0';
	return text;
}

int config_set_text(struct config *config, const struct config_field *field, const char *text,
		    char reason[CONFIG_REASON_MAX])
{
	sl_auto_mem char *copy = strdup(text);
	sl_auto_mem char **items = calloc(strlen(text) + 1, sizeof(*items));
	struct config_values values = { .text = items };
	size_t bad;

	if (!copy || !items)
		return -ENOMEM;
	if (field->list) {
		char *rest = copy, *item;

		while (*copy && (item = strsep(&rest, ",")))
			items[values.n++] = trimmed(item);
	} else {
		items[values.n++] = copy;
	}
	return field->set(config, field, &values, &bad, reason);
}

static int set_defaults(struct config *config, char *error)
{
	char reason[CONFIG_REASON_MAX], host[256] = "";

	for (size_t i = 0; i < config_n_fields; i++) {
		const struct config_field *field = &config_fields[i];

		if (field->fallback && config_set_text(config, field, field->fallback, reason))
			return refuse(error, "%s: default: %s", field->name, reason);
	}
	gethostname(host, sizeof(host) - 1);
	for (size_t i = 0; i < config_n_fields; i++) {
		/* A host name that is no node name is an error only if it is used. */
		if (strcmp(config_fields[i].name, "nodeName") == 0)
			config_set_text(config, &config_fields[i], host, reason);
	}
	return 0;
}

static bool is_word(const char *word, const char *text, size_t len)
{
	return word && strlen(word) == len && strncmp(word, text, len) == 0;
}

/* The index of the field or, after the fields, of the option; -1 for neither. */
static int find_flag(const char *text, size_t len)
{
	char flag[CONFIG_FLAG_MAX];

	for (size_t i = 0; i < config_n_fields; i++) {
		if (is_word(config_flag(&config_fields[i], flag), text, len) ||
		    is_word(config_fields[i].letter, text, len))
			return (int)i;
	}
	for (size_t i = 0; i < OPTION_MAX; i++) {
		if (is_word(config_options[i].flag, text, len) ||
		    is_word(config_options[i].letter, text, len))
			return (int)(config_n_fields + i);
	}
	return -1;
}

static int unknown_flag(const char *text, size_t len, char *error)
{
	char name[CONFIG_FLAG_MAX], near[CONFIG_FLAG_MAX];
	const char *why;

	snprintf(name, sizeof(name), "%.*s", (int)len, text);
	if (text[0] != '-')
		return refuse(error, "%.60s: is not a flag", text);
	why = config_not_taken(name + (len < 2 ? 0 : 2));
	if (why)
		return refuse(error, "%s: %s", name, why);
	if (config_suggest(name, true, near))
		return refuse(error, "%s: no such flag; did you mean %s?", name, near);
	return refuse(error, "%s: no such flag", name);
}

static int read_flags(struct loading *l, int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		size_t len = strcspn(argv[i], "=");
		const char *value = argv[i][len] ? argv[i] + len + 1 : NULL;
		int index = find_flag(argv[i], len);

		if (index < 0)
			return unknown_flag(argv[i], len, l->error);
		size_t option = (size_t)index - config_n_fields;
		bool is_field = (size_t)index < config_n_fields;
		if (!is_field && !config_options[option].value) {
			if (value)
				return refuse(l->error, "%.*s: takes no value", (int)len, argv[i]);
			l->options[option] = true;
			continue;
		}
		const char *flag = argv[i];
		if (!value && i + 1 < argc)
			value = argv[++i];
		if (!value)
			return refuse(l->error, "%.*s: needs a value", (int)len, flag);
		if (is_field)
			l->flags[index] = value;
		else
			l->file = value;
	}
	return 0;
}

static int set_flags(struct loading *l)
{
	char reason[CONFIG_REASON_MAX], flag[CONFIG_FLAG_MAX];

	for (size_t i = 0; i < config_n_fields; i++) {
		if (!l->flags[i])
			continue;
		int err = config_set_text(l->config, &config_fields[i], l->flags[i], reason);
		if (err)
			return refuse(l->error, "%s: %s", config_flag(&config_fields[i], flag),
				      err == -ENOMEM ? "out of memory" : reason);
	}
	return 0;
}

static bool is_empty(const char *text)
{
	return !text || !*text;
}

int config_check(const struct config *config, const char **ret_field,
		 char reason[CONFIG_REASON_MAX])
{
	struct sockaddr_un address;

	if (config->source == CONFIG_MANIFESTS && !config->manifests) {
		*ret_field = "source";
		snprintf(reason, CONFIG_REASON_MAX, "manifests needs a folder (field manifests)");
		return -EINVAL;
	}
	if (!config->node_name) {
		*ret_field = "nodeName";
		snprintf(reason, CONFIG_REASON_MAX, "the host name can't be used, give one");
		return -EINVAL;
	}
	if ((config->detect == CONFIG_DETECT_BRIDGE && is_empty(config->bridge_interface)) ||
	    (config->detect == CONFIG_DETECT_PREFIX && is_empty(config->interface_name_prefix))) {
		*ret_field = "detectLocalMode";
		snprintf(reason, CONFIG_REASON_MAX, "%s needs the field of that name",
			 config->detect == CONFIG_DETECT_BRIDGE ? "bridgeInterface"
								: "interfaceNamePrefix");
		return -EINVAL;
	}
	if (config->masquerade_all && config->masquerade != CONFIG_MASQUERADE_COMPATIBLE) {
		*ret_field = "masqueradeAll";
		snprintf(reason, CONFIG_REASON_MAX, "needs masquerade: compatible");
		return -EINVAL;
	}
	/* The control socket is RUN_DIR/INSTANCE.sock. */
	size_t len = strlen(config->run_dir) + 1 + strlen(config->instance) + strlen(".sock");
	if (len >= sizeof(address.sun_path)) {
		*ret_field = "runDir";
		snprintf(reason, CONFIG_REASON_MAX,
			 "the control socket's path has %zu characters, %zu fit", len,
			 sizeof(address.sun_path) - 1);
		return -EINVAL;
	}
	if (config->max_flows < config->max_flows_new) {
		*ret_field = "maxFlows";
		snprintf(reason, CONFIG_REASON_MAX, "%u is below maxFlowsNew, %u",
			 config->max_flows, config->max_flows_new);
		return -EINVAL;
	}
	if (config->timeout_tcp < config->timeout_tcp_closing) {
		*ret_field = "timeoutTcp";
		snprintf(reason, CONFIG_REASON_MAX, "%u is below timeoutTcpClosing, %u",
			 config->timeout_tcp, config->timeout_tcp_closing);
		return -EINVAL;
	}
	return 0;
}

/* Says where the field that is to blame is from, and what is wrong. */
static int check(struct loading *l)
{
	char reason[CONFIG_REASON_MAX], flag[CONFIG_FLAG_MAX];
	const char *name;
	size_t i = 0;

	if (config_check(l->config, &name, reason) == 0)
		return 0;
	while (strcmp(config_fields[i].name, name) != 0)
		i++;
	if (l->flags[i])
		return refuse(l->error, "%s: %s", config_flag(&config_fields[i], flag), reason);
	if (l->lines[i])
		return refuse(l->error, "%.200s:%zu: %s: %s", l->file, l->lines[i], name, reason);
	return refuse(l->error, "%s: %s", name, reason);
}

/* True if an option was served that wants no configuration. */
static bool print_asked(const struct loading *l)
{
	if (l->options[OPTION_HELP])
		config_print_help(stdout);
	else if (l->options[OPTION_VERSION])
		printf("sluiced %s\n", SLUICE_VERSION);
	else if (l->options[OPTION_DEFAULTS])
		config_print_defaults(stdout);
	else if (l->options[OPTION_DOCS])
		config_print_docs(stdout);
	else
		return false;
	return true;
}

static int load(struct loading *l)
{
	int err = set_defaults(l->config, l->error);

	if (!err && l->file)
		err = config_read_file(l->file, l->config, l->lines, l->error);
	if (!err)
		err = set_flags(l);
	if (!err)
		err = check(l);
	l->config->cleanup = l->options[OPTION_CLEANUP];
	l->config->init_only = l->options[OPTION_INIT];
	return err;
}

int config_load(int argc, char **argv, struct config **ret, enum config_action *ret_action,
		char error[512])
{
	sl_auto(config) config = calloc(1, sizeof(*config));
	sl_auto_mem const char **flags = calloc(config_n_fields, sizeof(*flags));
	sl_auto_mem size_t *lines = calloc(config_n_fields, sizeof(*lines));
	struct loading l = { .config = config, .flags = flags, .lines = lines, .error = error };

	error[0] = '\0';
	if (!config || !flags || !lines)
		return refuse(error, "out of memory");
	int err = read_flags(&l, argc, argv);
	if (err)
		return err;
	bool done = print_asked(&l);
	if (!done) {
		err = load(&l);
		if (err)
			return -EINVAL;
		done = l.options[OPTION_CHECK];
		if (done)
			printf("%s: valid\n", l.file ? l.file : "configuration");
	}
	*ret = done ? NULL : sl_take(config);
	*ret_action = done ? CONFIG_EXIT : CONFIG_RUN;
	return 0;
}

void config_free(struct config *config)
{
	if (!config)
		return;
	free(config->instance);
	free(config->node_name);
	free(config->manifests);
	free(config->kubeconfig);
	free(config->context);
	config_clear_api_servers(config);
	free(config->bpffs);
	free(config->run_dir);
	free(config->log_level);
	free(config->bridge_interface);
	free(config->interface_name_prefix);
	free(config->healthz_bind_address);
	free(config->metrics_bind_address);
	free(config->cluster_cidrs.items);
	free(config->service_cidrs.items);
	config_clear_interfaces(config);
	config_clear_networks(config);
	free(config);
}
