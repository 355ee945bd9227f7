/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the parts of http share: http.c has the requests and whom they are told
 * to, http_loop.c libcurl on the event loop, http_setup.c what libcurl is asked
 * for, http_server.c where the servers are, http_ping.c the connections that have fallen silent. */

#include <curl/curl.h>
#include <stdbool.h>
#include <sys/queue.h>

#include "controlplane/source/backoff.h"
#include "controlplane/source/buffer.h"
#include "controlplane/source/credentials.h"
#include "controlplane/source/http.h"

/* Statuses that are counted one by one. */
#define HTTP_STATUS_MAX 600

enum http_method { HTTP_GET, HTTP_POST, HTTP_METHOD_MAX };

/* One API server. */
struct http_server {
	char *name;					   /* host and port, as they were given */
	size_t counted_as;				   /* the first server of that name */
	uint64_t counts[HTTP_METHOD_MAX][HTTP_STATUS_MAX]; /* by status; 0: no answer */
	char *base;					   /* what comes before the path */
	char *host;		       /* Host header, if it is not the base's */
	struct curl_slist *connect_to; /* where base leads, if not to its host */
};

/* Libcurl knows a request only from connecting on. */
enum http_stage {
	HTTP_NEW,
	HTTP_WAITS_FOR_CREDENTIALS,
	HTTP_WAITS_FOR_CONNECTION, /* that another one is making and it may share */
	HTTP_CONNECTING,
	HTTP_SENT,
};

struct http_request {
	struct http *http;
	size_t server;		 /* which one it was sent to */
	unsigned int generation; /* of the kubeconfig's credentials */
	enum http_stage stage;
	bool is_ping;
	bool sent_again; /* after an answer 401 */
	CURL *easy;
	char *path;
	char *body; /* of a POST, else NULL */
	uint64_t limit_ms;
	struct curl_slist *headers;
	enum http_method method;
	const struct http_handler *handler;
	void *context;
	char error[CURL_ERROR_SIZE];
	struct buffer pending; /* received, not yet handed on */
	uint64_t received_ns;  /* of its first byte */
	long status;
	bool header_told;
	bool multiplexed; /* its connection is shared: HTTP/2 */
	bool finished;
	CURLcode failure;
	LIST_ENTRY(http_request) entry;
};

struct http_poller;

struct http {
	uv_timer_t timer;      /* libcurl's; its data is the http */
	uv_timer_t ping_timer; /* the same */
	int open_handles;      /* of the two */
	CURLM *multi;
	struct kubeconfig *config;
	struct credentials *credentials;
	struct http_times times;
	struct http_server *servers; /* as many as the kubeconfig's */
	size_t server;		     /* the one in use */
	struct complaints complaints;
	uint64_t heard_ms;		 /* loop time of the last bytes by HTTP/2 */
	struct http_request *connecting; /* to the server in use; NULL: none */
	struct http_request *ping;	 /* NULL: none is under way */
	LIST_HEAD(, http_request) requests;
	LIST_HEAD(, http_poller) pollers;
};

/* Makes the multi handle, bound to the loop. Returns 0 or -ENOMEM. */
int http_loop_open(struct http *http);

/* Closes all connections; no request may be left. Takes what failed to open. */
void http_loop_close(struct http *http);

/* Tells the handlers what came; not from inside libcurl. */
void http_deliver(struct http *http);

/* Ends all requests and connections; the handlers learn it as a failure. */
void http_reset(struct http *http, const char *reason);

/* Fills in the servers. Returns 0 or -ENOMEM, also with a part of them. */
int http_servers_init(struct http *http);
void http_servers_clear(struct http *http);

/* A server could not be reached or used. Returns whether another one is in use
 * now. */
bool http_server_failed(struct http *http, size_t server);

/* Sets all that libcurl has to know of a request, anew if need be, to send it to
 * the server in use. Returns 0 or -ENOMEM. */
int http_setup(struct http_request *request);

/* Bytes of a shared connection came. */
void http_ping_heard(struct http *http);

/* libcurl: a request has a connection and is about to be sent. */
int http_on_connected(void *context, char *remote, char *local, int remote_port, int local_port);

/* libcurl: a line of the header, and a piece of the body. */
size_t http_on_header(char *data, size_t size, size_t n, void *context);
size_t http_on_body(char *data, size_t size, size_t n, void *context);
