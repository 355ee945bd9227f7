/* SPDX-License-Identifier: Apache-2.0 */

/* What libcurl is asked for: where, as whom, in which way, for how long. */

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "controlplane/source/http_impl.h"

#define CONNECT_TIMEOUT_MS 10000L
/*
 * A machine that is gone shows after 15 + 3 x 5 s of silence, or when it has
 * not acknowledged for 30 s what was sent to it.
 */
#define KEEPALIVE_IDLE_S     15L
#define KEEPALIVE_INTERVAL_S 5L
#define KEEPALIVE_PROBES     3
#define USER_TIMEOUT_MS	     30000

static int on_socket_made(void *context, curl_socket_t socket, curlsocktype purpose)
{
	int probes = KEEPALIVE_PROBES, timeout_ms = USER_TIMEOUT_MS;

	(void)context;
	(void)purpose;
	/* Without them it works as well, but for what is noticed later. */
	setsockopt(socket, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof(probes));
	setsockopt(socket, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout_ms, sizeof(timeout_ms));
	return CURL_SOCKOPT_OK;
}

static void set_pem(CURL *easy, const struct kubeconfig_pem *pem, CURLoption blob)
{
	struct curl_blob bytes = { pem->data, pem->len, CURL_BLOB_COPY };

	if (pem->data)
		curl_easy_setopt(easy, blob, &bytes);
}

static void set_tls(CURL *easy, const struct kubeconfig *config)
{
	/* Only the given CA counts, never those that the system trusts. */
	curl_easy_setopt(easy, CURLOPT_CAPATH, NULL);
	curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, config->insecure ? 0L : 1L);
	curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, config->insecure ? 0L : 2L);
	/* Never the files: a connection whose certificate was replaced would not be
	 * told from one with the new. */
	set_pem(easy, &config->ca, CURLOPT_CAINFO_BLOB);
	set_pem(easy, &config->cert, CURLOPT_SSLCERT_BLOB);
	set_pem(easy, &config->key, CURLOPT_SSLKEY_BLOB);
}

static void set_connection(CURL *easy)
{
	curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
	/* With TLS the handshake shows whether the server speaks it. */
	curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS);
	curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_TIMEOUT_MS);
	curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
	curl_easy_setopt(easy, CURLOPT_TCP_KEEPIDLE, KEEPALIVE_IDLE_S);
	curl_easy_setopt(easy, CURLOPT_TCP_KEEPINTVL, KEEPALIVE_INTERVAL_S);
	curl_easy_setopt(easy, CURLOPT_SOCKOPTFUNCTION, on_socket_made);
	/* Don't wait for the thread that resolves a name: that would block the loop. */
	curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
}

static void set_transfer(CURL *easy, struct http_request *request)
{
	curl_easy_setopt(easy, CURLOPT_PRIVATE, request);
	curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, request->error);
	curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, http_on_header);
	curl_easy_setopt(easy, CURLOPT_HEADERDATA, request);
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, http_on_body);
	curl_easy_setopt(easy, CURLOPT_WRITEDATA, request);
	curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, http_on_connected);
	curl_easy_setopt(easy, CURLOPT_PREREQDATA, request);
	curl_easy_setopt(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
	curl_easy_setopt(easy, CURLOPT_ACCEPT_ENCODING, request->handler->plain ? NULL : "gzip");
	curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)request->limit_ms);
}

/* False without memory. */
static bool add_header(struct http_request *request, const char *name, const char *value)
{
	sl_auto_mem char *line = NULL;

	if (asprintf(&line, "%s: %s", name, value) < 0) {
		line = NULL;
		return false;
	}
	struct curl_slist *grown = curl_slist_append(request->headers, line);
	if (!grown)
		return false;
	request->headers = grown;
	return true;
}

static bool set_headers(struct http_request *request)
{
	const struct http *http = request->http;
	const char *host = http->servers[request->server].host;
	const char *token = http->config->token;

	if (!add_header(request, "Accept", "application/json") ||
	    !add_header(request, "User-Agent", "sluice/" SLUICE_VERSION))
		return false;
	if (host && !add_header(request, "Host", host))
		return false;
	if (request->body && !add_header(request, "Content-Type", "application/json"))
		return false;
	if (token) {
		sl_auto_mem char *bearer = NULL;

		if (asprintf(&bearer, "Bearer %s", token) < 0) {
			bearer = NULL;
			return false;
		}
		if (!add_header(request, "Authorization", bearer))
			return false;
	}
	return curl_easy_setopt(request->easy, CURLOPT_HTTPHEADER, request->headers) == CURLE_OK;
}

int http_setup(struct http_request *request)
{
	struct http *http = request->http;
	const struct http_server *server = &http->servers[http->server];
	CURL *easy = request->easy;
	sl_auto_mem char *url = NULL;

	request->server = http->server;
	request->generation = http->config->generation;
	curl_slist_free_all(sl_take(request->headers));
	if (asprintf(&url, "%s%s", server->base, request->path) < 0) {
		url = NULL;
		return -ENOMEM;
	}
	if (!set_headers(request) || curl_easy_setopt(easy, CURLOPT_URL, url) != CURLE_OK ||
	    (request->body &&
	     curl_easy_setopt(easy, CURLOPT_POSTFIELDS, request->body) != CURLE_OK))
		return -ENOMEM;
	set_connection(easy);
	set_transfer(easy, request);
	set_tls(easy, http->config);
	if (http->config->proxy)
		curl_easy_setopt(easy, CURLOPT_PROXY, http->config->proxy);
	curl_easy_setopt(easy, CURLOPT_CONNECT_TO, server->connect_to);
	return 0;
}
