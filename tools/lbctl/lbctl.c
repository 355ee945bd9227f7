/* SPDX-License-Identifier: Apache-2.0 */

/* From the command line to a verb, from the verb to its document. */

#include "tools/lbctl/lbctl.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

int lbctl_complain(const struct lbctl *lbctl, int code, const char *format, ...)
{
	va_list args;

	fputs("lbctl: ", lbctl->err);
	va_start(args, format);
	vfprintf(lbctl->err, format, args);
	va_end(args);
	fputc('\n', lbctl->err);
	return code;
}

static void close_pins(const struct view *view)
{
	for (int i = 0; i < DATAPATH_MAP_MAX; i++)
		if (view->fd[i] >= 0)
			close(view->fd[i]);
}

/* The document from the pins, and the exit code that says what it is worth. */
static int read_pins(const struct lbctl *lbctl, const struct verb *verb, json_t **ret)
{
	char root[256], maps[512], error[LBCTL_ERROR_MAX] = "";
	struct view view = { .maps_folder = maps };
	int r;

	snprintf(root, sizeof(root), "%s/sluice", lbctl->bpffs);
	snprintf(maps, sizeof(maps), "%s/%s/v%d/maps", root, lbctl->instance, SL_LAYOUT);
	r = datapath_open_pins(root, lbctl->instance, view.fd);
	if (r == -ENOENT)
		return lbctl_complain(
			lbctl, LBCTL_NO_DAEMON,
			"and nothing is pinned under %s/%s; is the instance right (-i)?", root,
			lbctl->instance);
	if (r)
		return lbctl_complain(lbctl, LBCTL_NO_DAEMON, "and the pins under %s/%s: %s", root,
				      lbctl->instance,
				      r == -EPROTO ? "are of another version of sluice"
						   : strerror(-r));
	r = verb->from_pins(lbctl, &view, ret, error);
	close_pins(&view);
	if (r)
		return lbctl_complain(lbctl, r == -EINVAL ? LBCTL_USAGE : LBCTL_FAILED, "%s",
				      error);
	lbctl_complain(lbctl, 0, "showing what is pinned under %s/%s%s", root, lbctl->instance,
		       verb->needs_daemon ? ", which is only a part" : "");
	return verb->needs_daemon ? LBCTL_NO_DAEMON : LBCTL_OK;
}

/*
 * Gets the document from the daemon, else from the pins. Without one `ret` is
 * left alone and the reason has been told.
 */
static int fetch(const struct lbctl *lbctl, const struct verb *verb, json_t **ret)
{
	char path[1536] = "", socket[512], error[LBCTL_ERROR_MAX] = "";
	json_t *document;
	const char *message;
	long status;
	int r;

	r = verb->request(lbctl, path, sizeof(path));
	if (r)
		return r;
	snprintf(socket, sizeof(socket), "%s/%s.sock", lbctl->run_dir, lbctl->instance);
	r = client_get(socket, path, &status, &document, error);
	if (r) {
		lbctl_complain(lbctl, 0, "sluiced does not answer on %s: %s", socket, error);
		return verb->from_pins ? read_pins(lbctl, verb, ret) : LBCTL_NO_DAEMON;
	}
	if (status == 200) {
		*ret = document;
		return LBCTL_OK;
	}
	message = json_string_value(json_object_get(document, "message"));
	lbctl_complain(lbctl, 0, "%s", message ? message : "sluiced answered with an error");
	json_decref(document);
	return status == 400 ? LBCTL_USAGE : LBCTL_FAILED;
}

int lbctl_show(const struct lbctl *lbctl, const struct verb *verb)
{
	json_t *document = NULL;
	int code = fetch(lbctl, verb, &document);

	if (document) {
		int printed = output_document(lbctl, verb, document);

		json_decref(document);
		if (printed)
			return printed;
	}
	return code;
}

static int no_verb(const struct lbctl *lbctl)
{
	const char *word = lbctl->words[0];
	size_t used;

	if (!lbctl->n_words) {
		help_all(lbctl->err);
		return LBCTL_USAGE;
	}
	if (verb_find(&word, 1, &used))
		return lbctl_complain(lbctl, LBCTL_USAGE,
				      "%s has no verb \"%s\": see lbctl help %s", word,
				      lbctl->words[1], word);
	return lbctl_complain(lbctl, LBCTL_USAGE, "no such verb: %s: see lbctl help", word);
}

/* The words behind the verb are its argument. */
static int take_argument(struct lbctl *lbctl, const struct verb *verb, size_t used)
{
	char name[64];

	if (verb == &verb_help)
		return 0; /* takes any words */
	verb_name(verb, name);
	if (lbctl->n_words > used + (verb->argument != NULL))
		return lbctl_complain(lbctl, LBCTL_USAGE, "%s: one word too many: %s", name,
				      lbctl->words[lbctl->n_words - 1]);
	if (verb->argument && lbctl->n_words == used)
		return lbctl_complain(lbctl, LBCTL_USAGE, "%s: needs %s", name, verb->argument);
	if (lbctl->n_words > used)
		lbctl->argument = lbctl->words[used];
	return 0;
}

int lbctl_run(int argc, char *const argv[], FILE *out, FILE *err)
{
	struct lbctl lbctl = { .out = out, .err = err };
	char error[LBCTL_ERROR_MAX], name[64];
	unsigned int groups = 0;
	const struct verb *verb;
	size_t used = 0;

	if (options_parse(argc, argv, &lbctl, &groups, error))
		return lbctl_complain(&lbctl, LBCTL_USAGE, "%s: see lbctl help", error);
	verb = verb_find(lbctl.words, lbctl.n_words, &used);
	if (lbctl.help && (verb || !lbctl.n_words)) {
		if (verb)
			help_verb(out, verb);
		else
			help_all(out);
		return LBCTL_OK;
	}
	if (lbctl.version && !lbctl.n_words)
		verb = &verb_version;
	if (!verb)
		return no_verb(&lbctl);
	if (groups & ~(OPTION_GLOBAL | verb->options))
		return lbctl_complain(&lbctl, LBCTL_USAGE, "%s: does not take --%s",
				      verb_name(verb, name),
				      options_name(groups & ~(OPTION_GLOBAL | verb->options)));
	if (take_argument(&lbctl, verb, used))
		return LBCTL_USAGE;
	return verb->run ? verb->run(&lbctl) : lbctl_show(&lbctl, verb);
}
