/* SPDX-License-Identifier: Apache-2.0 */

/* HTTP to the daemon's UNIX socket. */

#include <curl/curl.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "tools/lbctl/lbctl.h"

#define CONNECT_TIMEOUT_S 5L
#define TIMEOUT_S	  60L

int path_add(char path[], size_t size, const char *text)
{
	size_t used = strlen(path);

	if (strlen(text) >= size - used)
		return -E2BIG;
	strcpy(path + used, text);
	return 0;
}

int path_escape(char path[], size_t size, const char *text)
{
	static const char plain[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
	size_t used = strlen(path);

	for (; *text; text++) {
		if (size - used < 4)
			return -E2BIG;
		if (strchr(plain, *text))
			path[used++] = *text;
		else
			used += (size_t)sprintf(path + used, "%%%02X", (unsigned char)*text);
	}
	path[used] = 0;
	return 0;
}

struct body {
	char *text;
	size_t len, size;
};

static size_t on_data(char *data, size_t one, size_t n, void *body_)
{
	struct body *body = body_;

	(void)one;
	if (body->len + n + 1 > body->size) {
		size_t size = 2 * body->size + n + 4096;
		char *memory = realloc(body->text, size);

		if (!memory)
			return 0;
		body->text = memory;
		body->size = size;
	}
	memcpy(body->text + body->len, data, n);
	body->len += n;
	body->text[body->len] = 0;
	return n;
}

static void curl_done(CURL **curl)
{
	curl_easy_cleanup(*curl);
}

static int why(CURL *curl, CURLcode code, char error[LBCTL_ERROR_MAX])
{
	long os = 0;

	curl_easy_getinfo(curl, CURLINFO_OS_ERRNO, &os);
	if (code == CURLE_COULDNT_CONNECT && os) {
		snprintf(error, LBCTL_ERROR_MAX, "%s", strerror((int)os));
		return -(int)os;
	}
	snprintf(error, LBCTL_ERROR_MAX, "%s", curl_easy_strerror(code));
	return code == CURLE_OPERATION_TIMEDOUT ? -ETIMEDOUT : -EIO;
}

int client_get(const char *socket, const char *path, long *ret_status, json_t **ret,
	       char error[LBCTL_ERROR_MAX])
{
	__attribute__((cleanup(curl_done))) CURL *curl = curl_easy_init();
	struct body body = { 0 };
	char url[2048];
	json_t *document;
	CURLcode code;
	long status = 0;
	int r;

	if (!curl) {
		snprintf(error, LBCTL_ERROR_MAX, "out of memory");
		return -ENOMEM;
	}
	snprintf(url, sizeof(url), "http://sluice%s", path);
	curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, socket);
	curl_easy_setopt(curl, CURLOPT_URL, url);
	curl_easy_setopt(curl, CURLOPT_PROXY, "");
	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, CONNECT_TIMEOUT_S);
	curl_easy_setopt(curl, CURLOPT_TIMEOUT, TIMEOUT_S);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_data);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, &body);
	code = curl_easy_perform(curl);
	if (code != CURLE_OK) {
		r = why(curl, code, error);
		free(body.text);
		return r;
	}
	curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
	document = body.text ? json_loadb(body.text, body.len, 0, NULL) : NULL;
	free(body.text);
	if (!json_is_object(document)) {
		json_decref(document);
		snprintf(error, LBCTL_ERROR_MAX, "the answer (HTTP %ld) is no document", status);
		return -EPROTO;
	}
	*ret_status = status;
	*ret = document;
	return 0;
}
