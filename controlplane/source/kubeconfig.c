/* SPDX-License-Identifier: Apache-2.0 */

#include "controlplane/source/kubeconfig.h"

#include <ctype.h>
#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "controlplane/source/base64.h"
#include "controlplane/source/buffer.h"
#include "controlplane/source/yaml.h"

#define CONFIG_MAX (4 * 1024 * 1024)
#define TOKEN_MAX  (64 * 1024)

/* One entry of clusters, contexts or users, and how to name its fields. */
struct entry {
	const char *path; /* of the kubeconfig */
	const char *list; /* "clusters" */
	const char *name; /* of the entry */
	const char *key;  /* "cluster" */
	json_t *fields;
};

void kubeconfig_free(struct kubeconfig *config)
{
	if (!config)
		return;

	struct kubeconfig_pem *pems[] = { &config->ca, &config->cert, &config->key };
	for (size_t i = 0; i < SL_COUNT(pems); i++) {
		free(pems[i]->file);
		free(pems[i]->data);
	}
	free(config->server);
	free(config->tls_server_name);
	free(config->proxy);
	free(config->token);
	free(config->token_file);
	free(config);
}

__attribute__((format(printf, 2, 3))) static int refuse(char error[OBJECT_ERROR_MAX],
							const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(error, OBJECT_ERROR_MAX, format, args);
	va_end(args);
	return -EINVAL;
}

__attribute__((format(printf, 4, 5))) static int refuse_field(const struct entry *entry,
							      const char *field,
							      char error[OBJECT_ERROR_MAX],
							      const char *format, ...)
{
	char reason[OBJECT_ERROR_MAX / 2];
	va_list args;

	va_start(args, format);
	vsnprintf(reason, sizeof(reason), format, args);
	va_end(args);
	return refuse(error, "%s: %s[%s].%s.%s: %s", entry->path, entry->list, entry->name,
		      entry->key, field, reason);
}

static int no_memory(char error[OBJECT_ERROR_MAX])
{
	refuse(error, "out of memory");
	return -ENOMEM;
}

/* Reads a whole regular file of at most `max` bytes; adds a 0 after the end. */
static int read_file(const char *path, size_t max, struct buffer *ret)
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

/* A string field: NULL when absent, null or empty. */
static int get_string(const struct entry *entry, const char *field, const char **ret,
		      char error[OBJECT_ERROR_MAX])
{
	const json_t *value = json_object_get(entry->fields, field);

	if (value && !json_is_null(value) && !json_is_string(value))
		return refuse_field(entry, field, error, "is not a string");

	const char *text = json_string_value(value);
	*ret = text && *text ? text : NULL;
	return 0;
}

/* Copies a string field to `*ret`; NULL when it is absent. */
static int copy_string(const struct entry *entry, const char *field, char **ret,
		       char error[OBJECT_ERROR_MAX])
{
	const char *text;
	int err = get_string(entry, field, &text, error);

	if (err || !text)
		return err;
	*ret = strdup(text);
	return *ret ? 0 : no_memory(error);
}

/* A file name as written is relative to the folder of the kubeconfig. */
static char *beside(const char *path, const char *file)
{
	const char *slash = strrchr(path, '/');
	char *joined = NULL;

	if (file[0] == '/' || !slash)
		return strdup(file);
	if (asprintf(&joined, "%.*s/%s", (int)(slash - path), path, file) < 0)
		return NULL;
	return joined;
}

/* Refuses what is certainly no PEM before OpenSSL does so on every attempt. */
static bool looks_like_pem(const char *data)
{
	return strstr(data, "-----BEGIN ") != NULL;
}

static int check_pem_file(const char *file, char reason[OBJECT_ERROR_MAX / 4])
{
	struct buffer text = {};
	int err = read_file(file, CONFIG_MAX, &text);

	if (err) {
		snprintf(reason, OBJECT_ERROR_MAX / 4, "%s: %s", file, strerror(-err));
		return err;
	}
	if (!looks_like_pem(text.data)) {
		snprintf(reason, OBJECT_ERROR_MAX / 4, "%s: holds no PEM", file);
		err = -EINVAL;
	}
	buffer_clear(&text);
	return err;
}

/* Reads `field`-data (base64), which wins, or `field` (a file). */
static int get_pem(const struct entry *entry, const char *field, struct kubeconfig_pem *ret,
		   char error[OBJECT_ERROR_MAX])
{
	char data_field[64], reason[OBJECT_ERROR_MAX / 4];
	const char *data, *file;

	snprintf(data_field, sizeof(data_field), "%s-data", field);
	int err = get_string(entry, data_field, &data, error);
	if (!err)
		err = get_string(entry, field, &file, error);
	if (err)
		return err;

	if (data) {
		err = base64_decode(data, &ret->data, &ret->len);
		if (err == -ENOMEM)
			return no_memory(error);
		if (err)
			return refuse_field(entry, data_field, error, "is not base64");
		if (!looks_like_pem(ret->data))
			return refuse_field(entry, data_field, error, "holds no PEM");
		return 0;
	}
	if (!file)
		return 0;
	ret->file = beside(entry->path, file);
	if (!ret->file)
		return no_memory(error);
	err = check_pem_file(ret->file, reason);
	if (err)
		refuse_field(entry, field, error, "%s", reason);
	return err;
}

/* Anything else in a token would end up as a header of its own. */
static bool one_word(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (!isgraph((unsigned char)text[i]))
			return false;
	return true;
}

static bool have_pem(const struct kubeconfig_pem *pem)
{
	return pem->file || pem->data;
}

/* Takes the server's URL, from the field or from what overrides it. */
static int set_server(struct kubeconfig *config, const char *what, const char *url,
		      char error[OBJECT_ERROR_MAX])
{
	if (strncmp(url, "https://", 8) != 0 && strncmp(url, "http://", 7) != 0)
		return refuse(error, "%s: \"%s\" does not begin with https:// or http://", what,
			      url);

	CURLU *parts = curl_url();
	if (!parts)
		return no_memory(error);

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
		return refuse(error, "%s: \"%s\": %s", what, url, curl_url_strerror(bad));
	if (extra)
		return refuse(error, "%s: \"%s\": must have no user, query or fragment", what, url);

	size_t len = strlen(url);
	while (len > 0 && url[len - 1] == '/')
		len--;
	config->server = strndup(url, len);
	return config->server ? 0 : no_memory(error);
}

/* Finds the entry `name` of `list`; `named_by` is the field that asks for it. */
static int find_entry(json_t *root, const char *named_by, struct entry *entry,
		      char error[OBJECT_ERROR_MAX])
{
	json_t *list = json_object_get(root, entry->list);
	size_t i;
	json_t *item;

	json_array_foreach (list, i, item) {
		const char *name = json_string_value(json_object_get(item, "name"));

		if (!name || strcmp(name, entry->name) != 0)
			continue;
		entry->fields = json_object_get(item, entry->key);
		if (!json_is_object(entry->fields))
			return refuse(error, "%s: %s[%s].%s: is missing or no mapping", entry->path,
				      entry->list, entry->name, entry->key);
		return 0;
	}
	return refuse(error, "%s: %s: \"%s\" is not in %s", entry->path, named_by, entry->name,
		      entry->list);
}

static int read_cluster(const struct entry *cluster, const char *api_server,
			struct kubeconfig *config, char error[OBJECT_ERROR_MAX])
{
	const json_t *insecure = json_object_get(cluster->fields, "insecure-skip-tls-verify");
	const char *server;
	char what[OBJECT_ERROR_MAX / 2];

	if (insecure && !json_is_boolean(insecure) && !json_is_null(insecure))
		return refuse_field(cluster, "insecure-skip-tls-verify", error,
				    "is not true or false");
	config->insecure = json_is_true(insecure);

	int err = get_string(cluster, "server", &server, error);
	if (!err)
		err = copy_string(cluster, "tls-server-name", &config->tls_server_name, error);
	if (!err)
		err = copy_string(cluster, "proxy-url", &config->proxy, error);
	if (!err)
		err = get_pem(cluster, "certificate-authority", &config->ca, error);
	if (err)
		return err;

	snprintf(what, sizeof(what), "%s: clusters[%s].cluster.server", cluster->path,
		 cluster->name);
	if (!api_server && !server)
		return refuse(error, "%s: is missing", what);
	err = set_server(config, api_server ? "api-server" : what, api_server ? api_server : server,
			 error);
	if (err)
		return err;

	if (config->insecure && have_pem(&config->ca))
		return refuse_field(cluster, "insecure-skip-tls-verify", error,
				    "contradicts certificate-authority");
	if (strncmp(config->server, "https:", 6) == 0 && !config->insecure &&
	    !have_pem(&config->ca))
		return refuse_field(cluster, "certificate-authority", error,
				    "is missing, so %s can't be verified", config->server);
	return 0;
}

static int read_user(const struct entry *user, struct kubeconfig *config,
		     char error[OBJECT_ERROR_MAX])
{
	static const char *const unsupported[] = { "exec",	"auth-provider",
						   "username",	"password",
						   "as",	"as-uid",
						   "as-groups", "as-user-extra" };
	const char *token_file;

	for (size_t i = 0; i < SL_COUNT(unsupported); i++) {
		const json_t *value = json_object_get(user->fields, unsupported[i]);

		if (value && !json_is_null(value))
			return refuse_field(user, unsupported[i], error,
					    "is not supported; use a certificate or a token");
	}

	int err = get_pem(user, "client-certificate", &config->cert, error);
	if (!err)
		err = get_pem(user, "client-key", &config->key, error);
	if (!err)
		err = copy_string(user, "token", &config->token, error);
	if (!err)
		err = get_string(user, "tokenFile", &token_file, error);
	if (err)
		return err;
	if (have_pem(&config->cert) != have_pem(&config->key))
		return refuse_field(user,
				    have_pem(&config->cert) ? "client-key" : "client-certificate",
				    error, "is missing");
	if (config->token && !one_word(config->token, strlen(config->token)))
		return refuse_field(user, "token", error, "is not one word");
	if (!token_file)
		return 0;
	config->token_file = beside(user->path, token_file);
	return config->token_file ? 0 : no_memory(error);
}

static int read_config(const char *path, json_t *root, const char *api_server,
		       struct kubeconfig *config, char error[OBJECT_ERROR_MAX])
{
	struct entry context = { .path = path, .list = "contexts", .key = "context" };
	struct entry cluster = { .path = path, .list = "clusters", .key = "cluster" };
	struct entry user = { .path = path, .list = "users", .key = "user" };
	char named_by[OBJECT_ERROR_MAX / 4];

	context.name = json_string_value(json_object_get(root, "current-context"));
	if (!context.name || !*context.name)
		return refuse(error, "%s: current-context: is missing", path);
	int err = find_entry(root, "current-context", &context, error);
	if (!err)
		err = get_string(&context, "cluster", &cluster.name, error);
	if (!err)
		err = get_string(&context, "user", &user.name, error);
	if (err)
		return err;
	if (!cluster.name)
		return refuse_field(&context, "cluster", error, "is missing");

	snprintf(named_by, sizeof(named_by), "contexts[%s].context.cluster", context.name);
	err = find_entry(root, named_by, &cluster, error);
	if (!err)
		err = read_cluster(&cluster, api_server, config, error);
	if (err || !user.name)
		return err;

	snprintf(named_by, sizeof(named_by), "contexts[%s].context.user", context.name);
	err = find_entry(root, named_by, &user, error);
	return err ? err : read_user(&user, config, error);
}

int kubeconfig_load(const char *path, const char *api_server, struct kubeconfig **ret,
		    char error[OBJECT_ERROR_MAX])
{
	struct buffer text = {};
	json_t *documents = NULL;
	int err = read_file(path, CONFIG_MAX, &text);

	if (err) {
		refuse(error, "%s: %s", path, strerror(-err));
		return err;
	}
	err = yaml_parse(path, text.data, text.len, &documents, error);
	buffer_clear(&text);
	if (err)
		return err;

	sl_auto(kubeconfig) config = calloc(1, sizeof(*config));
	json_t *root = json_array_get(documents, 0);
	if (!config)
		err = no_memory(error);
	else if (json_array_size(documents) != 1 || !json_is_object(root))
		err = refuse(error, "%s: is not a kubeconfig", path);
	else
		err = read_config(path, root, api_server, config, error);
	json_decref(documents);
	if (err)
		return err;
	/* A token beside it serves until the file can be read. */
	err = kubeconfig_refresh_token(config, error);
	if (err && !config->token)
		return err;
	*ret = sl_take(config);
	return 0;
}

int kubeconfig_in_cluster(const char *folder, const char *api_server, struct kubeconfig **ret,
			  char error[OBJECT_ERROR_MAX])
{
	const char *host = getenv("KUBERNETES_SERVICE_HOST");
	const char *port = getenv("KUBERNETES_SERVICE_PORT");
	sl_auto(kubeconfig) config = calloc(1, sizeof(*config));
	char url[512], reason[OBJECT_ERROR_MAX / 4];

	if (!config)
		return no_memory(error);
	if (!api_server) {
		if (!host || !*host || !port || !*port)
			return refuse(error, "kubeconfig: is not given, and not in a cluster: "
					     "KUBERNETES_SERVICE_HOST and "
					     "KUBERNETES_SERVICE_PORT are not both set");
		snprintf(url, sizeof(url), strchr(host, ':') ? "https://[%s]:%s" : "https://%s:%s",
			 host, port);
	}
	int err = set_server(config,
			     api_server ? "api-server"
					: "KUBERNETES_SERVICE_HOST, KUBERNETES_SERVICE_PORT",
			     api_server ? api_server : url, error);
	if (err)
		return err;
	if (asprintf(&config->ca.file, "%s/ca.crt", folder) < 0) {
		config->ca.file = NULL;
		return no_memory(error);
	}
	if (asprintf(&config->token_file, "%s/token", folder) < 0) {
		config->token_file = NULL;
		return no_memory(error);
	}
	err = check_pem_file(config->ca.file, reason);
	if (err) {
		refuse(error, "%s", reason);
		return err;
	}
	err = kubeconfig_refresh_token(config, error);
	if (!err)
		*ret = sl_take(config);
	return err;
}

int kubeconfig_refresh_token(struct kubeconfig *config, char error[OBJECT_ERROR_MAX])
{
	struct buffer text = {};

	if (!config->token_file)
		return 0;
	int err = read_file(config->token_file, TOKEN_MAX, &text);
	if (err) {
		refuse(error, "%s: %s", config->token_file, strerror(-err));
		return err;
	}

	char *token = text.data;
	while (isspace((unsigned char)*token))
		token++;
	size_t len = strlen(token);
	while (len > 0 && isspace((unsigned char)token[len - 1]))
		len--;
	if (!one_word(token, len))
		err = refuse(error, "%s: is not one word", config->token_file);
	if (len == 0)
		err = refuse(error, "%s: is empty", config->token_file);

	char *copy = err ? NULL : strndup(token, len);
	buffer_clear(&text);
	if (err)
		return err;
	if (!copy)
		return no_memory(error);
	free(config->token);
	config->token = copy;
	return 0;
}
