/* SPDX-License-Identifier: Apache-2.0 */

#include "controlplane/source/source.h"

#include <errno.h>
#include <string.h>

#include "controlplane/source/source_impl.h"

void source_free(struct source *source)
{
	if (source)
		source->ops->free(source);
}

json_t *source_status(const struct source *source)
{
	return source->ops->status(source);
}

void source_each_request(const struct source *source, source_request *each, void *context)
{
	if (source->ops->requests)
		source->ops->requests(source, each, context);
}

json_t *source_error(const char *text)
{
	json_t *string = *text ? json_string(text) : NULL;
	sl_auto_mem char *ascii = NULL;

	if (string || !*text)
		return string;
	ascii = strdup(text);
	for (char *at = ascii; at && *at; at++)
		if ((unsigned char)*at >= 0x80)
			*at = '?';
	return json_string(ascii);
}

int source_post(struct source *source, const char *path, const char *body,
		const struct http_handler *handler, void *context, struct http_request **ret)
{
	if (!source->ops->post)
		return -ENOTSUP;
	return source->ops->post(source, path, body, handler, context, ret);
}
