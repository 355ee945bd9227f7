/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * A server at a configured address: listens, and where that fails says why and
 * tries again until it works, since the proxy works without it.
 */

#include <stdint.h>

#include "common/mem.h"
#include "controlplane/httpd/httpd.h"

struct server;

struct server_options {
	struct httpd_options http; /* without `fd` */
	const char *address;	   /* "ADDRESS:PORT"; "" or NULL: no server. Must outlive it */
	uint64_t retry_ms;	   /* between attempts to listen; 0: 5000 (S-210) */
};

/* Returns 0, -EINVAL for what is no address, or -ENOMEM. */
int server_new(const struct server_options *options, struct server **ret);

/* Its handles close on the loop's next turns. Takes NULL too. */
void server_free(struct server *server);
SL_DEFINE_AUTO(server)
