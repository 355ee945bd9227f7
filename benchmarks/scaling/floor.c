/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The floor of benchmarks/scale: a client that receives what sluiced receives
 * from the API server, by the same requests over the same kind of connection,
 * and throws it away. No service proxy that is fed by an API server can be
 * faster.
 *
 *   scale-floor --server URL --cacert FILE --cert FILE --key FILE [--token FILE]
 *               --node NAME [--http 1|2] [--stream]
 *
 * --stream: lists come as the beginning of their watches (sendInitialEvents), not
 * page by page. A line of JSON tells when all lists are there ("synced"), and
 * then one for each line of a watch ("line") with its resourceVersion. Times are
 * nanoseconds of CLOCK_MONOTONIC.
 */

#include <curl/curl.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define PAGE_OBJECTS 500
#define HEAD_MAX     2048 /* of a page or line, which names its version there */
#define TOKEN_MAX    4096
#define POLL_MS	     1000
#define NS_PER_S     1000000000ULL

struct kind {
	const char *path, *selector;
	CURL *easy;
	bool watching, synced;
	char head[HEAD_MAX]; /* of the present page or line */
	size_t head_len;
	char version[32];
	char more[TOKEN_MAX]; /* continue token of the list */
	uint64_t received_ns; /* of the bytes at hand */
};

static struct kind kinds[] = {
	{ .path = "/api/v1/services",
	  .selector = "&labelSelector=%21service.kubernetes.io%2Fservice-proxy-name"
		      "&fieldSelector=spec.clusterIP%21%3DNone" },
	{ .path = "/apis/discovery.k8s.io/v1/endpointslices",
	  .selector = "&labelSelector=%21service.kubernetes.io%2Fheadless" },
	{ .path = "/api/v1/nodes" },
	{ .path = "/apis/networking.k8s.io/v1/servicecidrs", .selector = "" },
};

#define KINDS (sizeof(kinds) / sizeof(kinds[0]))

static struct {
	const char *server, *cacert, *cert, *key, *node;
	char token[TOKEN_MAX];
	bool http2, stream;
} options;

static CURLM *multi;
static uint64_t n_bytes;
static bool told;

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

static void die(const char *what, const char *why)
{
	fprintf(stderr, "scale-floor: %s: %s\n", what, why);
	exit(1);
}

/* Copies the text between `before` and the next quote; false if it is not there. */
static bool find(const char *text, const char *before, char *ret, size_t size)
{
	const char *begin = strstr(text, before);

	if (!begin)
		return false;
	begin += strlen(before);
	size_t len = strcspn(begin, "\"");
	if (begin[len] != '"' || len >= size)
		return false;
	memcpy(ret, begin, len);
	ret[len] = '\0';
	return true;
}

static void tell_synced(void)
{
	for (size_t i = 0; i < KINDS; i++)
		if (!kinds[i].synced)
			return;
	if (!told)
		printf("{\"event\": \"synced\", \"at\": %" PRIu64 ", \"bytes\": %" PRIu64 "}\n",
		       now_ns(), n_bytes);
	told = true;
}

static void line_ended(struct kind *kind)
{
	kind->head[kind->head_len] = '\0';
	kind->head_len = 0;
	if (strstr(kind->head, "\"type\":\"ERROR\""))
		die(kind->path, kind->head);
	find(kind->head, "\"resourceVersion\":\"", kind->version, sizeof(kind->version));
	if (kind->synced) {
		printf("{\"event\": \"line\", \"at\": %" PRIu64 ", \"version\": \"%s\"}\n",
		       kind->received_ns, kind->version);
	} else if (strstr(kind->head, "\"k8s.io/initial-events-end\":\"true\"")) {
		kind->synced = true;
		tell_synced();
	}
}

/* Keeps the beginning of what is being received. */
static void keep(struct kind *kind, const char *data, size_t len)
{
	size_t room = HEAD_MAX - 1 - kind->head_len;

	if (len > room)
		len = room;
	memcpy(kind->head + kind->head_len, data, len);
	kind->head_len += len;
}

static size_t on_body(char *data, size_t size, size_t n, void *context)
{
	struct kind *kind = context;
	size_t left = size * n;

	n_bytes += left;
	kind->received_ns = now_ns();
	while (kind->watching && left > 0) {
		const char *end = memchr(data, '\n', left);
		size_t len = end ? (size_t)(end - data) : left;

		keep(kind, data, len);
		if (end) {
			line_ended(kind);
			len++;
		}
		data += len;
		left -= len;
	}
	keep(kind, data, left);
	return size * n;
}

static void make_url(const struct kind *kind, char *url, size_t size)
{
	char *more = NULL;

	if (kind->watching) {
		snprintf(url, size, "%s%s?watch=1&allowWatchBookmarks=true%s%s%s", options.server,
			 kind->path, kind->selector,
			 kind->synced ? "&resourceVersion="
				      : "&sendInitialEvents=true&resourceVersionMatch=NotOlderThan",
			 kind->version);
		return;
	}
	if (kind->more[0])
		more = curl_easy_escape(kind->easy, kind->more, 0);
	snprintf(url, size, "%s%s?limit=%d%s%s%s", options.server, kind->path, PAGE_OBJECTS,
		 kind->selector, more ? "&continue=" : "", more ? more : "");
	curl_free(more);
}

static void begin(struct kind *kind)
{
	char url[2 * TOKEN_MAX];

	make_url(kind, url, sizeof(url));
	kind->head_len = 0;
	curl_easy_setopt(kind->easy, CURLOPT_URL, url);
	if (curl_multi_add_handle(multi, kind->easy) != CURLM_OK)
		die(kind->path, "can't be asked");
}

/* What comes after a request has ended. */
static void next(struct kind *kind, CURLcode result)
{
	long status = 0;

	curl_easy_getinfo(kind->easy, CURLINFO_RESPONSE_CODE, &status);
	curl_multi_remove_handle(multi, kind->easy);
	kind->head[kind->head_len] = '\0';
	if (result != CURLE_OK || status != 200)
		die(kind->path, result != CURLE_OK ? curl_easy_strerror(result) : kind->head);
	if (!kind->watching) {
		find(kind->head, "\"resourceVersion\":\"", kind->version, sizeof(kind->version));
		if (!find(kind->head, "\"continue\":\"", kind->more, sizeof(kind->more)))
			kind->more[0] = '\0';
		if (!kind->more[0]) {
			kind->watching = kind->synced = true;
			tell_synced();
		}
	} else if (!kind->synced) {
		die(kind->path, "the stream ended before the list");
	}
	begin(kind);
}

static void prepare(struct kind *kind, struct curl_slist *headers)
{
	CURL *easy = curl_easy_init();

	if (!easy)
		die("curl", "out of memory");
	kind->easy = easy;
	kind->watching = options.stream;
	curl_easy_setopt(easy, CURLOPT_PRIVATE, kind);
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(easy, CURLOPT_WRITEDATA, kind);
	curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers);
	/* As sluiced: a compressed watch can't be read by every libcurl. */
	curl_easy_setopt(easy, CURLOPT_ACCEPT_ENCODING, options.stream ? NULL : "gzip");
	curl_easy_setopt(easy, CURLOPT_CAINFO, options.cacert);
	curl_easy_setopt(easy, CURLOPT_SSLCERT, options.cert);
	curl_easy_setopt(easy, CURLOPT_SSLKEY, options.key);
	curl_easy_setopt(easy, CURLOPT_HTTP_VERSION,
			 options.http2 ? (long)CURL_HTTP_VERSION_2TLS
				       : (long)CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(easy, CURLOPT_PIPEWAIT, options.http2 ? 1L : 0L);
}

static void read_token(const char *path)
{
	FILE *file = fopen(path, "r");

	if (!file || !fgets(options.token, sizeof(options.token), file))
		die(path, "can't be read");
	options.token[strcspn(options.token, "\r\n")] = '\0';
	fclose(file);
}

static void parse(int argc, char **argv)
{
	static const struct option table[] = {
		{ "server", required_argument, NULL, 's' },
		{ "cacert", required_argument, NULL, 'a' },
		{ "cert", required_argument, NULL, 'c' },
		{ "key", required_argument, NULL, 'k' },
		{ "token", required_argument, NULL, 't' },
		{ "node", required_argument, NULL, 'n' },
		{ "http", required_argument, NULL, 'h' },
		{ "stream", no_argument, NULL, 'w' },
		{ 0 },
	};
	int option;

	while ((option = getopt_long(argc, argv, "", table, NULL)) != -1) {
		switch (option) {
		case 's':
			options.server = optarg;
			break;
		case 'a':
			options.cacert = optarg;
			break;
		case 'c':
			options.cert = optarg;
			break;
		case 'k':
			options.key = optarg;
			break;
		case 't':
			read_token(optarg);
			break;
		case 'n':
			options.node = optarg;
			break;
		case 'h':
			options.http2 = strcmp(optarg, "2") == 0;
			break;
		case 'w':
			options.stream = true;
			break;
		default:
			exit(2);
		}
	}
	if (!options.server || !options.cacert || !options.node)
		die("options", "--server, --cacert and --node are needed");
}

static struct curl_slist *make_headers(void)
{
	static char bearer[TOKEN_MAX + 32];
	struct curl_slist *headers = curl_slist_append(NULL, "Accept: application/json");

	if (options.token[0]) {
		snprintf(bearer, sizeof(bearer), "Authorization: Bearer %s", options.token);
		headers = curl_slist_append(headers, bearer);
	}
	return headers;
}

static void end_requests(void)
{
	CURLMsg *message;
	int left;

	while ((message = curl_multi_info_read(multi, &left))) {
		struct kind *kind;
		CURLcode result = message->data.result;

		if (message->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&kind);
		next(kind, result);
	}
}

int main(int argc, char **argv)
{
	static char node[256];
	int running;

	parse(argc, argv);
	setvbuf(stdout, NULL, _IOLBF, 0);
	snprintf(node, sizeof(node), "&fieldSelector=metadata.name%%3D%s", options.node);
	kinds[2].selector = node;
	curl_global_init(CURL_GLOBAL_DEFAULT);
	multi = curl_multi_init();
	struct curl_slist *headers = make_headers();
	for (size_t i = 0; i < KINDS; i++) {
		prepare(&kinds[i], headers);
		begin(&kinds[i]);
	}
	for (;;) {
		if (curl_multi_perform(multi, &running) != CURLM_OK)
			die("curl", "can't go on");
		end_requests();
		if (curl_multi_poll(multi, NULL, 0, POLL_MS, NULL) != CURLM_OK)
			die("curl", "can't wait");
	}
}
