/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * A list as the text of its document, made item by item as the client takes
 * it, so that a long one holds up the loop no longer than a short one.
 */

#include "controlplane/httpd/httpd.h"
#include "controlplane/observe/control.h"

/*
 * Takes the list, also when it fails, for want of memory: then NULL. `options`
 * have to live as long; `ended` is called when the stream is freed.
 */
struct httpd_stream *list_stream_new(struct view_list *list, const struct control_options *options,
				     void (*ended)(void *context), void *context);
