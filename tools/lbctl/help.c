/* SPDX-License-Identifier: Apache-2.0 */

#include <string.h>

#include "tools/lbctl/lbctl.h"

static void exit_codes(FILE *out)
{
	fputs("\nExit codes:\n"
	      "  0   done\n"
	      "  1   the daemon answered with an error, or there is no such object,\n"
	      "      or doctor found something, or migrate has steps left or failed\n"
	      "  2   the command line is wrong\n"
	      "  3   the daemon does not answer, and it is needed or nothing is pinned\n",
	      out);
}

static void verb_line(FILE *out, const struct verb *verb)
{
	char name[64], left[128];

	snprintf(left, sizeof(left), "%s%s%s", verb_name(verb, name), verb->argument ? " " : "",
		 verb->argument ? verb->argument : "");
	fprintf(out, "  %-36s %s\n", left, verb->summary);
}

void help_all(FILE *out)
{
	fputs("Usage: lbctl VERB [options]\n\n"
	      "Looks into sluiced, or, when it is not running, into what it has pinned.\n\n"
	      "Verbs:\n",
	      out);
	for (const struct verb *const *verb = verbs; *verb; verb++)
		verb_line(out, *verb);
	fputs("\nservices, backends, flows and maps are short for service list, and so on.\n"
	      "lbctl help VERB says more about one.\n\nOptions:\n",
	      out);
	options_help(out, OPTION_GLOBAL);
	exit_codes(out);
}

void help_verb(FILE *out, const struct verb *verb)
{
	char name[64];

	fprintf(out, "Usage: lbctl %s%s%s [options]\n\n%s.\n", verb_name(verb, name),
		verb->argument ? " " : "", verb->argument ? verb->argument : "", verb->summary);
	if (verb->help)
		fprintf(out, "\n%s", verb->help);
	if (verb->plural && verb->name && !strcmp(verb->name, "list"))
		fprintf(out, "\nShort: lbctl %s\n", verb->plural);
	if (verb->options) {
		fputs("\nOptions:\n", out);
		options_help(out, verb->options);
	}
	fputs("\nOptions of every verb:\n", out);
	options_help(out, OPTION_GLOBAL);
	exit_codes(out);
}

/* For a noun with more than one verb; else the verb's own help says all. */
static bool noun_help(FILE *out, const char *noun)
{
	const struct verb *found[8];
	size_t n = 0;

	for (const struct verb *const *verb = verbs; *verb && n < SL_COUNT(found); verb++)
		if (!strcmp((*verb)->noun, noun))
			found[n++] = *verb;
	if (n < 2)
		return false;
	fprintf(out, "Verbs of %s:\n", noun);
	for (size_t i = 0; i < n; i++)
		verb_line(out, found[i]);
	fprintf(out, "\nlbctl help %s VERB says more about one.\n", noun);
	return true;
}

static int run_help(const struct lbctl *lbctl)
{
	const char *const *words = lbctl->words + 1;
	size_t n_words = lbctl->n_words - 1, used = 0;
	const struct verb *verb = verb_find(words, n_words, &used);

	if (!n_words) {
		help_all(lbctl->out);
		return LBCTL_OK;
	}
	if (n_words == 1 && noun_help(lbctl->out, words[0]))
		return LBCTL_OK;
	if (!verb || used < n_words)
		return lbctl_complain(lbctl, LBCTL_USAGE, "no such verb: %s%s%s", words[0],
				      n_words > 1 ? " " : "", n_words > 1 ? words[1] : "");
	help_verb(lbctl->out, verb);
	return LBCTL_OK;
}

static int run_version(const struct lbctl *lbctl)
{
	json_t *document;
	int code;

	if (lbctl->format == FORMAT_TABLE || lbctl->format == FORMAT_WIDE) {
		fprintf(lbctl->out, "lbctl %s\n", SLUICE_VERSION);
		return LBCTL_OK;
	}
	document = json_pack("{s:s, s:s, s:s}", "apiVersion", "sluice.dev/v1", "kind", "Version",
			     "version", SLUICE_VERSION);
	if (!document)
		return lbctl_complain(lbctl, LBCTL_FAILED, "out of memory");
	code = output_document(lbctl, &verb_version, document);
	json_decref(document);
	return code;
}

const struct verb verb_help = {
	.noun = "help",
	.argument = "[VERB]",
	.summary = "Show help, of one verb or all",
	.run = run_help,
};

const struct verb verb_version = {
	.noun = "version",
	.summary = "Show the version of lbctl",
	.help = "The daemon's own version is in lbctl status.\n",
	.run = run_version,
};
