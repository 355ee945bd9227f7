/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * lbctl: looks into a running sluiced over its control socket (docs/api.md),
 * or, when it is not there, into the pinned maps.
 *
 * A verb (verbs.c) asks for one document and prints it. Options are one table
 * (options.c), verbs another; dispatch and help come from both.
 */

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "controlplane/observe/view.h"

/* Documented in --help and docs/api.md. */
enum lbctl_exit {
	LBCTL_OK,
	LBCTL_FAILED, /* an error of the daemon, no such object, or doctor found something */
	LBCTL_USAGE,
	LBCTL_NO_DAEMON, /* and the verb needs it, or nothing is pinned either */
};

enum lbctl_format { FORMAT_TABLE, FORMAT_WIDE, FORMAT_JSON, FORMAT_YAML };

#define WORDS_MAX	4
#define LBCTL_ERROR_MAX 512

struct lbctl {
	FILE *out, *err;
	/* options */
	const char *instance, *run_dir, *bpffs;
	enum lbctl_format format;
	bool no_headings, help, version;
	const char *client, *service, *backend;
	size_t limit;
	const char *from, *to, *iface, *objects, *profile, *policies;
	bool local, dry_run, force;
	/* the rest of the command line */
	const char *words[WORDS_MAX];
	size_t n_words;
	const char *argument; /* of the verb, or NULL */
};

struct verb {
	const char *noun, *plural; /* "service", "services" */
	const char *name;	   /* "list"; NULL for a noun that is the verb */
	const char *argument;	   /* "NAMESPACE/NAME", or NULL */
	const char *summary;	   /* one line */
	const char *help;	   /* paragraphs that end in a newline */
	unsigned int options;	   /* enum option_group that it takes besides the global ones */
	bool needs_daemon;	   /* what the pins say is only a part */

	/*
	 * For verbs that show a document: its request path with query (0, or an
	 * exit code after it complained); the same document from the pins, NULL
	 * if only the daemon has it; and how people read it (0 or -errno).
	 */
	int (*request)(const struct lbctl *lbctl, char path[], size_t size);
	int (*from_pins)(const struct lbctl *lbctl, const struct view *view, json_t **ret,
			 char error[LBCTL_ERROR_MAX]);
	int (*print)(const struct lbctl *lbctl, const json_t *document);

	/* For others; returns an exit code. */
	int (*run)(const struct lbctl *lbctl);
};

/* Does all; returns an exit code. */
int lbctl_run(int argc, char *const argv[], FILE *out, FILE *err);

/* "lbctl: ..." and a newline on `err`; returns `code`. */
int lbctl_complain(const struct lbctl *lbctl, int code, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* options.c */

enum option_group {
	OPTION_GLOBAL = 1 << 0,
	OPTION_FLOW_FILTER = 1 << 1,
	OPTION_EXPLAIN = 1 << 2,
	OPTION_DOCTOR = 1 << 3,
	OPTION_CLEANUP = 1 << 4,
};

/*
 * Reads the command line. Options may stand anywhere; a lone "--" ends them.
 * Returns 0, or -EINVAL with what is wrong in `error`. `ret_groups` gets the
 * groups of the options that were used.
 */
int options_parse(int argc, char *const argv[], struct lbctl *ret, unsigned int *ret_groups,
		  char error[LBCTL_ERROR_MAX]);

/* Prints the lines of --help for a group. */
void options_help(FILE *out, enum option_group group);

/* The first option of a group, to name it. */
const char *options_name(unsigned int groups);

/* verbs.c */

extern const struct verb *const verbs[]; /* ends in NULL */

/*
 * The verb that the words begin with; `ret_used` gets how many of them it is.
 * A noun alone means its list. NULL for none.
 */
const struct verb *verb_find(const char *const words[], size_t n_words, size_t *ret_used);

/* "service list" */
const char *verb_name(const struct verb *verb, char text[64]);

/* help.c */

void help_all(FILE *out);
void help_verb(FILE *out, const struct verb *verb);
extern const struct verb verb_help, verb_version;

/* one file a noun */

extern const struct verb verb_status, verb_attach, verb_map_list;
extern const struct verb verb_service_list, verb_service_get;
extern const struct verb verb_backend_list, verb_flow_list, verb_explain, verb_doctor;
extern const struct verb verb_migrate_plan, verb_migrate_cleanup;

/* lbctl.c */

/* Gets the verb's document from the daemon, else the pins, and prints it. */
int lbctl_show(const struct lbctl *lbctl, const struct verb *verb);

/* client.c */

/*
 * Asks the daemon. Returns 0 with the HTTP status and the document, or -errno
 * with the reason in `error` if it does not answer, or not as a daemon does.
 */
int client_get(const char *socket, const char *path, long *ret_status, json_t **ret,
	       char error[LBCTL_ERROR_MAX]);

/*
 * Appends to the string in `path`: a piece as it is, or percent-encoded.
 * Returns 0, or -E2BIG.
 */
int path_add(char path[], size_t size, const char *text);
int path_escape(char path[], size_t size, const char *text);

/* output.c */

/* Prints the document in the format that was asked for; an exit code. */
int output_document(const struct lbctl *lbctl, const struct verb *verb, const json_t *document);

/* yaml.c */

/* Returns 0, -ENOMEM or -EIO. */
int yaml_print(FILE *out, const json_t *document);
