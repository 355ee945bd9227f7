/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The control socket (docs/api.md): HTTP and JSON on a UNIX socket, served by
 * libmicrohttpd on the daemon's event loop.
 */

#include <jansson.h>
#include <uv.h>

#include "common/mem.h"
#include "controlplane/observe/view.h"

struct control;

struct control_options {
	uv_loop_t *loop;
	const char *path; /* of the socket; a stale one is replaced */
	const struct view *view;
	/* Documents that need the daemon: new references, or NULL. */
	json_t *(*status)(void *context);
	json_t *(*attach)(void *context); /* the items of AttachList */
	void *context;
};

/* Returns 0, or -errno with the path in `error`. */
int control_new(const struct control_options *options, struct control **ret, char error[512]);

/* Takes NULL too. Removes the socket. */
void control_free(struct control *control);
SL_DEFINE_AUTO(control)
