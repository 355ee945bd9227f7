/* SPDX-License-Identifier: Apache-2.0 */

/* Where the API servers are, and which of them is in use. */

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/log.h"
#include "controlplane/source/http_impl.h"

/* The same server's failures are told once in so long. */
#define COMPLAIN_MS 60000

/*
 * tls-server-name: libcurl verifies the host of the URL, so the URL gets that
 * name, the connection is led to the real host, and so is the Host header.
 */
static int rename_server(struct http_server *server, const char *name, CURLU *url)
{
	sl_auto_mem char *target = NULL, *host = NULL;
	char *real_host = NULL, *port = NULL, *base = NULL;
	int err = -ENOMEM;

	curl_url_get(url, CURLUPART_HOST, &real_host, 0);
	curl_url_get(url, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT);
	if (real_host && port && asprintf(&target, "::%s:%s", real_host, port) >= 0 &&
	    asprintf(&host, "%s:%s", real_host, port) >= 0 &&
	    curl_url_set(url, CURLUPART_HOST, name, 0) == CURLUE_OK &&
	    curl_url_get(url, CURLUPART_URL, &base, 0) == CURLUE_OK) {
		size_t len = strlen(base);

		while (len > 0 && base[len - 1] == '/')
			len--;
		free(server->base);
		server->base = strndup(base, len);
		server->host = sl_take(host);
		server->connect_to = curl_slist_append(NULL, target);
		err = server->base && server->connect_to ? 0 : -ENOMEM;
	}
	curl_free(real_host);
	curl_free(port);
	curl_free(base);
	return err;
}

static int server_init(struct http_server *server, const char *base, const char *name)
{
	const char *host = strstr(base, "://");

	host = host ? host + strlen("://") : base;
	server->base = strdup(base);
	server->name = strndup(host, strcspn(host, "/"));
	if (!server->base || !server->name)
		return -ENOMEM;
	if (!name)
		return 0;

	CURLU *url = curl_url();
	int err = -ENOMEM;
	if (url && curl_url_set(url, CURLUPART_URL, base, 0) == CURLUE_OK)
		err = rename_server(server, name, url);
	curl_url_cleanup(url);
	return err;
}

/* Two that differ in their paths alone are one host to whoever reads metrics. */
static size_t first_of_name(const struct http_server *servers, size_t i)
{
	size_t first = 0;

	while (strcmp(servers[first].name, servers[i].name) != 0)
		first++;
	return first;
}

int http_servers_init(struct http *http)
{
	const struct kubeconfig *config = http->config;
	int err = 0;

	http->servers = calloc(config->n_servers, sizeof(*http->servers));
	if (!http->servers)
		return -ENOMEM;
	for (size_t i = 0; i < config->n_servers && !err; i++) {
		err = server_init(&http->servers[i], config->servers[i], config->tls_server_name);
		if (!err)
			http->servers[i].counted_as = first_of_name(http->servers, i);
	}
	return err;
}

void http_servers_clear(struct http *http)
{
	for (size_t i = 0; http->servers && i < http->config->n_servers; i++) {
		free(http->servers[i].name);
		free(http->servers[i].base);
		free(http->servers[i].host);
		curl_slist_free_all(http->servers[i].connect_to);
	}
	free(sl_take(http->servers));
}

bool http_server_failed(struct http *http, size_t server)
{
	const char *const *names = (const char *const *)http->config->servers;
	unsigned int held;

	if (http->config->n_servers == 1)
		return false;
	/* Another request may have noticed before this one. */
	if (server != http->server)
		return true;
	http->server = (http->server + 1) % http->config->n_servers;
	if (complaint_allowed(&http->complaints, (int)server, uv_now(http->timer.loop), COMPLAIN_MS,
			      &held))
		log_warn("kube: %s fails, going on with %s", names[server], names[http->server]);
	return true;
}
