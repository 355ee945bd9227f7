/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Objects that go the other way, to the API server that a source reads from. */

#include "controlplane/source/http.h"
#include "controlplane/source/source.h"

/*
 * Begins POST of `body` to `path`, with the credentials of the source; see
 * http_post(). Cancel the request before the source is freed.
 *
 * Returns 0 and the request; -ENOTSUP where the source has no API server; or
 * -ENOMEM.
 */
int source_post(struct source *source, const char *path, const char *body,
		const struct http_handler *handler, void *context, struct http_request **ret);
