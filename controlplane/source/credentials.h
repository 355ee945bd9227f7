/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Keeps token and certificates of a kubeconfig fresh: files are read again for
 * each use, an exec plug-in is run when what it gave has expired or was refused
 * (S-271). Nothing waits for the plug-in but who needs it.
 */

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "controlplane/source/kubeconfig.h"

struct credentials;

struct credentials_options {
	uv_loop_t *loop;
	struct kubeconfig *config; /* is kept fresh; has to outlive the credentials */
	uint64_t run_ms;	   /* the longest that a plug-in may run */
	/* The plug-in has ended: all is ready, or `error` (else NULL) says why not. */
	void (*ready)(void *context, const char *error);
	void *context;
};

/* Returns 0 or -ENOMEM. */
int credentials_new(const struct credentials_options *options, struct credentials **ret);

/* Its handles close on the loop's next turns. Takes NULL too. */
void credentials_free(struct credentials *credentials);

/*
 * Before a request: returns true if the kubeconfig has what is to be sent, or
 * false if `ready` will be called. What can't be read is logged and stays as
 * it was.
 */
bool credentials_get(struct credentials *credentials);

/*
 * The server answered 401 to a request of this `generation` of the kubeconfig.
 * Returns true if it may take the request after another credentials_get().
 */
bool credentials_refused(struct credentials *credentials, unsigned int generation);
