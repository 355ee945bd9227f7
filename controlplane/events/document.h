/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* An event as the API server takes it (private to events/). */

#include <jansson.h>
#include <sys/time.h>

#include "controlplane/events/events.h"

/* Where it is posted to, to be freed; NULL without memory. */
char *document_path(const struct event *event);

/* Its JSON, to be freed; NULL without memory, or if a name is not UTF-8. */
char *document_text(const struct event *event, const char *node_name, struct timeval when);
