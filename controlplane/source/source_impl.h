/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What every source begins with; private to the sources. */

#include "controlplane/source/post.h"

struct source_ops {
	void (*free)(struct source *source);
	json_t *(*status)(const struct source *source);
	/* Whom it asks, and how that ended; NULL where there is nobody to ask. */
	void (*requests)(const struct source *source, source_request *each, void *context);
	/* As source_post(); NULL where there is nobody to post to. */
	int (*post)(struct source *source, const char *path, const char *body,
		    const struct http_handler *handler, void *context, struct http_request **ret);
};

struct source {
	const struct source_ops *ops;
};

/* An error for source_status(), whatever bytes it quotes; NULL if it is "". */
json_t *source_error(const char *text);
