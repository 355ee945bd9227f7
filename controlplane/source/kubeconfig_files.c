/* SPDX-License-Identifier: Apache-2.0 */

/* What a kubeconfig or a pod has in files, and what a pod has in its environment. */

#include <ctype.h>
#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "controlplane/source/kubeconfig_impl.h"

#define TOKEN_MAX (64 * 1024)

int kubeconfig_read_file(const char *path, size_t max, struct buffer *ret)
{
	sl_auto_fd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat st;
	char chunk[4096];

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return S_ISDIR(st.st_mode) ? -EISDIR : -EINVAL;

	struct buffer text = {};
	for (;;) {
		ssize_t n = read(fd, chunk, sizeof(chunk));
		int err = n < 0 ? -errno : buffer_add(&text, chunk, (size_t)n);

		if (err == 0 && text.len > max)
			err = -EFBIG;
		if (err == 0 && n == 0)
			err = buffer_add(&text, "", 1);
		if (err) {
			buffer_clear(&text);
			return err;
		}
		if (n == 0)
			break;
	}
	text.len--;
	*ret = text;
	return 0;
}

char *kubeconfig_beside(const char *path, const char *file)
{
	const char *slash = strrchr(path, '/');
	char *joined = NULL;

	if (file[0] == '/' || !slash)
		return strdup(file);
	if (asprintf(&joined, "%.*s/%s", (int)(slash - path), path, file) < 0)
		return NULL;
	return joined;
}

bool kubeconfig_is_pem(const char *data)
{
	return strstr(data, "-----BEGIN ") != NULL;
}

bool kubeconfig_one_word(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (!isgraph((unsigned char)text[i]))
			return false;
	return true;
}

int kubeconfig_read_pem(struct kubeconfig_pem *pem, char reason[OBJECT_ERROR_MAX])
{
	struct buffer text = {};
	int err = kubeconfig_read_file(pem->file, KUBECONFIG_FILE_MAX, &text);

	if (err) {
		snprintf(reason, OBJECT_ERROR_MAX, "%s: %s", pem->file, strerror(-err));
		return err;
	}
	if (!kubeconfig_is_pem(text.data)) {
		snprintf(reason, OBJECT_ERROR_MAX, "%s: holds no PEM", pem->file);
		buffer_clear(&text);
		return -EINVAL;
	}
	if (pem->data && pem->len == text.len && memcmp(pem->data, text.data, text.len) == 0) {
		buffer_clear(&text);
		return 0;
	}
	free(pem->data);
	pem->data = text.data;
	pem->len = text.len;
	return 1;
}

static int check_url(const char *what, const char *url, char error[OBJECT_ERROR_MAX])
{
	/* What comes before an @ may be a password, and the error is logged. */
	const char *at = strrchr(url, '@');
	const char *shown = at ? at + 1 : url;

	if (strncmp(url, "https://", 8) != 0 && strncmp(url, "http://", 7) != 0)
		return kubeconfig_refuse(
			error, "%s: \"%s\" does not begin with https:// or http://", what, shown);

	CURLU *parts = curl_url();
	if (!parts)
		return kubeconfig_no_memory(error);

	char *query = NULL, *user = NULL, *fragment = NULL;
	CURLUcode bad = curl_url_set(parts, CURLUPART_URL, url, 0);
	curl_url_get(parts, CURLUPART_QUERY, &query, 0);
	curl_url_get(parts, CURLUPART_FRAGMENT, &fragment, 0);
	curl_url_get(parts, CURLUPART_USER, &user, 0);
	bool extra = query || user || fragment;
	curl_free(query);
	curl_free(fragment);
	curl_free(user);
	curl_url_cleanup(parts);
	if (bad)
		return kubeconfig_refuse(error, "%s: \"%s\": %s", what, shown,
					 curl_url_strerror(bad));
	if (extra)
		return kubeconfig_refuse(error, "%s: \"%s\": must have no user, query or fragment",
					 what, shown);
	return 0;
}

int kubeconfig_set_servers(struct kubeconfig *config, const char *what, const char *const *urls,
			   size_t n, char error[OBJECT_ERROR_MAX])
{
	config->servers = calloc(n, sizeof(*config->servers));
	if (!config->servers)
		return kubeconfig_no_memory(error);
	for (size_t i = 0; i < n; i++) {
		size_t len = strlen(urls[i]);
		int err = check_url(what, urls[i], error);

		if (err)
			return err;
		while (len > 0 && urls[i][len - 1] == '/')
			len--;
		config->servers[i] = strndup(urls[i], len);
		if (!config->servers[i])
			return kubeconfig_no_memory(error);
		config->n_servers++;
	}
	return 0;
}

/* The URL of KUBERNETES_SERVICE_HOST and _PORT. */
static int set_environment_server(struct kubeconfig *config, char error[OBJECT_ERROR_MAX])
{
	const char *host = getenv("KUBERNETES_SERVICE_HOST");
	const char *port = getenv("KUBERNETES_SERVICE_PORT");
	char url[512];
	const char *urls[] = { url };

	if (!host || !*host || !port || !*port)
		return kubeconfig_refuse(error, "kubeconfig: is not given, and not in a cluster: "
						"KUBERNETES_SERVICE_HOST and "
						"KUBERNETES_SERVICE_PORT are not both set");
	snprintf(url, sizeof(url), strchr(host, ':') ? "https://[%s]:%s" : "https://%s:%s", host,
		 port);
	return kubeconfig_set_servers(config, "KUBERNETES_SERVICE_HOST, KUBERNETES_SERVICE_PORT",
				      urls, 1, error);
}

int kubeconfig_in_cluster(const char *folder, const struct kubeconfig_choice *choice,
			  struct kubeconfig **ret, char error[OBJECT_ERROR_MAX])
{
	sl_auto(kubeconfig) config = calloc(1, sizeof(*config));
	int err;

	if (!config)
		return kubeconfig_no_memory(error);
	if (choice && choice->context)
		return kubeconfig_refuse(error, "context: is given without a kubeconfig");
	if (choice && choice->n_api_servers)
		err = kubeconfig_set_servers(config, "api-server", choice->api_servers,
					     choice->n_api_servers, error);
	else
		err = set_environment_server(config, error);
	if (err)
		return err;
	if (asprintf(&config->ca.file, "%s/ca.crt", folder) < 0) {
		config->ca.file = NULL;
		return kubeconfig_no_memory(error);
	}
	if (asprintf(&config->token_file, "%s/token", folder) < 0) {
		config->token_file = NULL;
		return kubeconfig_no_memory(error);
	}
	err = kubeconfig_refresh(config, error);
	if (!err)
		*ret = sl_take(config);
	return err;
}

/* Reads the token file. Returns as kubeconfig_read_pem() does. */
static int read_token(struct kubeconfig *config, char reason[OBJECT_ERROR_MAX])
{
	struct buffer text = {};
	int err = kubeconfig_read_file(config->token_file, TOKEN_MAX, &text);

	if (err) {
		snprintf(reason, OBJECT_ERROR_MAX, "%s: %s", config->token_file, strerror(-err));
		return err;
	}

	char *token = text.data;
	while (isspace((unsigned char)*token))
		token++;
	size_t len = strlen(token);
	while (len > 0 && isspace((unsigned char)token[len - 1]))
		len--;
	if (!kubeconfig_one_word(token, len))
		err = kubeconfig_refuse(reason, "%s: is not one word", config->token_file);
	if (len == 0)
		err = kubeconfig_refuse(reason, "%s: is empty", config->token_file);
	token[len] = '\0';

	char *copy = NULL;
	if (!err && !(config->token && strcmp(token, config->token) == 0)) {
		copy = strdup(token);
		err = copy ? 1 : kubeconfig_no_memory(reason);
	}
	buffer_clear(&text);
	if (copy) {
		free(config->token);
		config->token = copy;
	}
	return err;
}

int kubeconfig_refresh(struct kubeconfig *config, char error[OBJECT_ERROR_MAX])
{
	struct kubeconfig_pem *pems[] = { &config->ca, &config->cert, &config->key };
	char reason[OBJECT_ERROR_MAX];
	int first = 0;

	for (size_t i = 0; i < SL_COUNT(pems) + 1; i++) {
		const char *file = i < SL_COUNT(pems) ? pems[i]->file : config->token_file;
		int r;

		if (!file)
			continue;
		r = i < SL_COUNT(pems) ? kubeconfig_read_pem(pems[i], reason)
				       : read_token(config, reason);
		if (r > 0)
			config->generation++;
		if (r < 0 && !first) {
			first = r;
			memcpy(error, reason, sizeof(reason));
		}
	}
	return first;
}
