/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The control socket (docs/api.md): HTTP and JSON on a UNIX socket, served by
 * libmicrohttpd on the daemon's event loop.
 */

#include <jansson.h>
#include <uv.h>

#include "common/mem.h"
#include "controlplane/explain/query.h"
#include "controlplane/observe/view.h"

struct control;

struct control_options {
	uv_loop_t *loop;
	const char *path; /* of the socket; a stale one is replaced */
	const struct view *view;
	/*
	 * Documents that need the daemon: new references, or NULL, which is
	 * answered with an error.
	 */
	json_t *(*status)(void *context); /* Status; apiVersion, kind, losses are put to it */
	json_t *(*attach)(void *context); /* the items of AttachList */
	/* What is known of a Service beside its ports, NULL if it is none; and one
	 * after the other those that are not programmed, NULL at the end. */
	json_t *(*truth)(void *context, const char *namespace_, const char *name);
	json_t *(*unprogrammed)(void *context, size_t *cursor);
	json_t *(*fill)(void *context); /* see tables_fill() */
	/* Explanation: returns as the views do. */
	int (*explain)(void *context, const struct explain_query *query, json_t **ret,
		       char error[512]);
	void *context;
};

/*
 * Listens. The folder of the socket is made (0755) if its parent is there.
 * `view` must live as long as the control; other options are copied.
 *
 * Returns 0, or -errno with the path in `error`: -EADDRINUSE when somebody
 * answers on the socket, -EEXIST when the path is no socket.
 */
int control_new(const struct control_options *options, struct control **ret, char error[512]);

/*
 * Removes the socket and hangs up. The handles close on the loop's next turns:
 * run the loop until they have before it is closed. Takes NULL too.
 */
void control_free(struct control *control);
SL_DEFINE_AUTO(control)
