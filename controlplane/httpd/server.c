/* SPDX-License-Identifier: Apache-2.0 */

#include "controlplane/httpd/server.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "controlplane/httpd/listen.h"

#define RETRY_MS 5000

struct server {
	struct server_options options;
	struct listen_address address;
	int error; /* of the last attempt to listen */
	struct httpd *httpd;
	uv_timer_t retry;
};

static int serve(struct server *server)
{
	int r = listen_open(&server->address, &server->options.http.fd);

	return r ? r : httpd_new(&server->options.http, &server->httpd);
}

static void attempt(uv_timer_t *timer)
{
	struct server *server = timer->data;
	const char *name = server->options.http.name;
	int r = serve(server);

	if (r && r != server->error)
		log_error("%s: listen on %s: %s, trying again every %llu ms", name,
			  server->options.address, strerror(-r),
			  (unsigned long long)server->options.retry_ms);
	else if (!r)
		log_info("%s: listening on %s", name, server->options.address);
	server->error = r;
	if (r)
		uv_timer_start(timer, attempt, server->options.retry_ms, 0);
}

static void on_close(uv_handle_t *handle)
{
	free(handle->data);
}

void server_free(struct server *server)
{
	if (!server)
		return;
	httpd_free(server->httpd);
	uv_close((uv_handle_t *)&server->retry, on_close);
}

int server_new(const struct server_options *options, struct server **ret)
{
	bool serving = options->address && *options->address;
	struct listen_address address = {};
	struct server *server;

	if (serving && listen_address_parse(options->address, &address))
		return -EINVAL;
	server = calloc(1, sizeof(*server));
	if (!server)
		return -ENOMEM;
	server->options = *options;
	if (!server->options.retry_ms)
		server->options.retry_ms = RETRY_MS;
	server->address = address;
	uv_timer_init(options->http.loop, &server->retry);
	server->retry.data = server;
	if (serving)
		attempt(&server->retry);
	*ret = server;
	return 0;
}
