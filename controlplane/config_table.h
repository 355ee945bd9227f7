/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The one table behind the configuration; private to config*.c and its tests. */

#include <stdio.h>

#include "controlplane/config.h"

#define CONFIG_REASON_MAX 256

/* What is written for one field: one text, or the items of a list. */
struct config_values {
	char **text;
	size_t n;
};

struct config_field {
	const char *name;     /* in the file; the flag is config_flag() */
	const char *letter;   /* short flag, "-i", or NULL */
	const char *value;    /* what a value is called in help: "FILE" */
	const char *fallback; /* default, as a flag would have it; NULL: none */
	const char *help;
	/*
	 * Checks and stores the values. Returns 0, -ENOMEM, or -EINVAL with
	 * what is wrong in `reason` and the index of the bad value in `ret_bad`.
	 */
	int (*set)(struct config *config, const struct config_field *field,
		   const struct config_values *values, size_t *ret_bad,
		   char reason[CONFIG_REASON_MAX]);
	size_t offset;		    /* of the member in struct config that `set` writes */
	uint32_t min, max;	    /* of numbers */
	const char *const *choices; /* of words, NULL at the end */
	bool list;		    /* takes several values, comma-separated as a flag */
	bool pairs;		    /* of the form NAME=VALUE, in the file a mapping */
	const char *heading;	    /* of the group that begins with this field, or NULL */
};

extern const struct config_field config_fields[];
extern const size_t config_n_fields;

/* Options that are no fields. */
struct config_option {
	const char *flag;   /* "--config" */
	const char *letter; /* "-c", or NULL */
	const char *value;  /* what follows, or NULL */
	const char *help;   /* NULL: not shown */
};

enum config_option_id {
	OPTION_CONFIG,
	OPTION_CHECK,
	OPTION_DEFAULTS,
	OPTION_DOCS,
	OPTION_INIT,
	OPTION_CLEANUP,
	OPTION_VERSION,
	OPTION_HELP,
	OPTION_MAX,
};

extern const struct config_option config_options[OPTION_MAX];

/* "--api-server" for apiServer. */
#define CONFIG_FLAG_MAX 64
const char *config_flag(const struct config_field *field, char flag[CONFIG_FLAG_MAX]);

/* Sets a field from one text, split at commas if it takes a list. */
int config_set_text(struct config *config, const struct config_field *field, const char *text,
		    char reason[CONFIG_REASON_MAX]);

/*
 * What does not fit together. Returns 0, or -EINVAL with the field to blame
 * (by its member's name) and what is wrong.
 */
int config_check(const struct config *config, const char **ret_field,
		 char reason[CONFIG_REASON_MAX]);

/*
 * Reads the file into `config`; `lines[i]` becomes the line of config_fields[i]
 * if the file has it. Returns 0, or -EINVAL or -ENOMEM with a line in `error`.
 */
int config_read_file(const char *path, struct config *config, size_t *lines, char error[512]);

/* Why a field or flag of kube-proxy, without dashes, has no equal here; or NULL. */
const char *config_not_taken(const char *name);

/* Writes the name that is nearest to `text` into `ret`; false if none is near. */
bool config_suggest(const char *text, bool flags, char ret[CONFIG_FLAG_MAX]);

void config_print_help(FILE *out);
void config_print_defaults(FILE *out);
void config_print_docs(FILE *out);
