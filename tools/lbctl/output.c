/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>
#include <string.h>

#include "tools/lbctl/lbctl.h"

static int print_json(FILE *out, const json_t *document)
{
	if (json_dumpf(document, out, JSON_INDENT(2)) || fputc('\n', out) == EOF)
		return -EIO;
	return 0;
}

int output_document(const struct lbctl *lbctl, const struct verb *verb, const json_t *document)
{
	int r;

	switch (lbctl->format) {
	case FORMAT_JSON:
		r = print_json(lbctl->out, document);
		break;
	case FORMAT_YAML:
		r = yaml_print(lbctl->out, document);
		break;
	default:
		r = verb->print(lbctl, document);
		break;
	}
	if (!r && (fflush(lbctl->out) || ferror(lbctl->out)))
		r = -EIO;
	if (r)
		return lbctl_complain(lbctl, LBCTL_FAILED, "can't print: %s", strerror(-r));
	return LBCTL_OK;
}
