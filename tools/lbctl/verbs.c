/* SPDX-License-Identifier: Apache-2.0 */

#include <string.h>

#include "tools/lbctl/lbctl.h"

const struct verb *const verbs[] = {
	&verb_status,
	&verb_service_list,
	&verb_service_get,
	&verb_backend_list,
	&verb_flow_list,
	&verb_explain,
	&verb_doctor,
	&verb_migrate_plan,
	&verb_migrate_cleanup,
	&verb_attach,
	&verb_map_list,
	&verb_version,
	&verb_help,
	NULL,
};

static bool is_noun(const struct verb *verb, const char *word)
{
	return !strcmp(word, verb->noun) || (verb->plural && !strcmp(word, verb->plural));
}

const struct verb *verb_find(const char *const words[], size_t n_words, size_t *ret_used)
{
	if (!n_words)
		return NULL;
	for (const struct verb *const *verb = verbs; *verb; verb++) {
		if (!is_noun(*verb, words[0]))
			continue;
		if (!(*verb)->name || (n_words == 1 && !strcmp((*verb)->name, "list"))) {
			*ret_used = 1;
			return *verb;
		}
		if (n_words > 1 && !strcmp((*verb)->name, words[1])) {
			*ret_used = 2;
			return *verb;
		}
	}
	return NULL;
}

const char *verb_name(const struct verb *verb, char text[64])
{
	snprintf(text, 64, "%s%s%s", verb->noun, verb->name ? " " : "",
		 verb->name ? verb->name : "");
	return text;
}
