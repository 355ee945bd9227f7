/* SPDX-License-Identifier: Apache-2.0 */

#include "controlplane/source/kubeconfig_impl.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "controlplane/source/base64.h"
#include "controlplane/source/yaml.h"

void kubeconfig_free(struct kubeconfig *config)
{
	if (!config)
		return;

	struct kubeconfig_pem *pems[] = { &config->ca, &config->cert, &config->key };
	for (size_t i = 0; i < SL_COUNT(pems); i++) {
		free(pems[i]->file);
		free(pems[i]->data);
	}
	for (size_t i = 0; i < config->n_servers; i++)
		free(config->servers[i]);
	free(config->servers);
	kubeconfig_exec_free(config->exec);
	free(config->tls_server_name);
	free(config->proxy);
	free(config->token);
	free(config->token_file);
	free(config);
}

int kubeconfig_refuse(char error[OBJECT_ERROR_MAX], const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(error, OBJECT_ERROR_MAX, format, args);
	va_end(args);
	return -EINVAL;
}

int kubeconfig_refuse_field(const struct kubeconfig_entry *entry, const char *field,
			    char error[OBJECT_ERROR_MAX], const char *format, ...)
{
	char reason[OBJECT_ERROR_MAX / 2];
	va_list args;

	va_start(args, format);
	vsnprintf(reason, sizeof(reason), format, args);
	va_end(args);
	return kubeconfig_refuse(error, "%s: %s[%s].%s.%s: %s", entry->path, entry->list,
				 entry->name, entry->key, field, reason);
}

int kubeconfig_no_memory(char error[OBJECT_ERROR_MAX])
{
	kubeconfig_refuse(error, "out of memory");
	return -ENOMEM;
}

int kubeconfig_string(const struct kubeconfig_entry *entry, const char *field, const char **ret,
		      char error[OBJECT_ERROR_MAX])
{
	const json_t *value = json_object_get(entry->fields, field);

	if (value && !json_is_null(value) && !json_is_string(value))
		return kubeconfig_refuse_field(entry, field, error, "is not a string");

	const char *text = json_string_value(value);
	*ret = text && *text ? text : NULL;
	return 0;
}

int kubeconfig_copy_string(const struct kubeconfig_entry *entry, const char *field, char **ret,
			   char error[OBJECT_ERROR_MAX])
{
	const char *text;
	int err = kubeconfig_string(entry, field, &text, error);

	if (err || !text)
		return err;
	*ret = strdup(text);
	return *ret ? 0 : kubeconfig_no_memory(error);
}

/* Reads `field`-data (base64), which wins, or `field` (a file). */
static int get_pem(const struct kubeconfig_entry *entry, const char *field,
		   struct kubeconfig_pem *ret, char error[OBJECT_ERROR_MAX])
{
	char data_field[64], reason[OBJECT_ERROR_MAX];
	const char *data, *file;

	snprintf(data_field, sizeof(data_field), "%s-data", field);
	int err = kubeconfig_string(entry, data_field, &data, error);
	if (!err)
		err = kubeconfig_string(entry, field, &file, error);
	if (err)
		return err;

	if (data) {
		err = base64_decode(data, &ret->data, &ret->len);
		if (err == -ENOMEM)
			return kubeconfig_no_memory(error);
		if (err)
			return kubeconfig_refuse_field(entry, data_field, error, "is not base64");
		if (!kubeconfig_is_pem(ret->data))
			return kubeconfig_refuse_field(entry, data_field, error, "holds no PEM");
		return 0;
	}
	if (!file)
		return 0;
	ret->file = kubeconfig_beside(entry->path, file);
	if (!ret->file)
		return kubeconfig_no_memory(error);
	err = kubeconfig_read_pem(ret, reason);
	if (err < 0)
		kubeconfig_refuse_field(entry, field, error, "%s", reason);
	return err < 0 ? err : 0;
}

static bool have_pem(const struct kubeconfig_pem *pem)
{
	return pem->file || pem->data;
}

/* Finds the entry `name` of `list`; `named_by` is the field that asks for it. */
static int find_entry(json_t *root, const char *named_by, struct kubeconfig_entry *entry,
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
			return kubeconfig_refuse(error, "%s: %s[%s].%s: is missing or no mapping",
						 entry->path, entry->list, entry->name, entry->key);
		return 0;
	}
	return kubeconfig_refuse(error, "%s: %s: \"%s\" is not in %s", entry->path, named_by,
				 entry->name, entry->list);
}

/* A server that is spoken to by TLS, or NULL. */
static const char *find_secure(const struct kubeconfig *config)
{
	for (size_t i = 0; i < config->n_servers; i++)
		if (strncmp(config->servers[i], "https:", 6) == 0)
			return config->servers[i];
	return NULL;
}

/* Refuses what no proxy can be, before every attempt fails by it. */
static int check_proxy(const struct kubeconfig_entry *cluster, const char *proxy,
		       char error[OBJECT_ERROR_MAX])
{
	static const char *const schemes[] = { "http://", "https://", "socks5://", "socks5h://" };
	CURLUcode bad = CURLUE_OK;

	if (!proxy)
		return 0;
	for (size_t i = 0; i < SL_COUNT(schemes); i++) {
		if (strncmp(proxy, schemes[i], strlen(schemes[i])) != 0)
			continue;

		CURLU *parts = curl_url();
		if (!parts)
			return kubeconfig_no_memory(error);
		bad = curl_url_set(parts, CURLUPART_URL, proxy, CURLU_NON_SUPPORT_SCHEME);
		curl_url_cleanup(parts);
		if (!bad)
			return 0;
		return kubeconfig_refuse_field(cluster, "proxy-url", error, "%s",
					       curl_url_strerror(bad));
	}
	return kubeconfig_refuse_field(cluster, "proxy-url", error,
				       "begins with none of http://, https://, socks5://");
}

static int read_cluster(const struct kubeconfig_entry *cluster,
			const struct kubeconfig_choice *choice, struct kubeconfig *config,
			char error[OBJECT_ERROR_MAX])
{
	const json_t *insecure = json_object_get(cluster->fields, "insecure-skip-tls-verify");
	const char *server;
	char what[OBJECT_ERROR_MAX / 2];

	if (insecure && !json_is_boolean(insecure) && !json_is_null(insecure))
		return kubeconfig_refuse_field(cluster, "insecure-skip-tls-verify", error,
					       "is not true or false");
	config->insecure = json_is_true(insecure);

	int err = kubeconfig_string(cluster, "server", &server, error);
	if (!err)
		err = kubeconfig_copy_string(cluster, "tls-server-name", &config->tls_server_name,
					     error);
	if (!err)
		err = kubeconfig_copy_string(cluster, "proxy-url", &config->proxy, error);
	if (!err)
		err = get_pem(cluster, "certificate-authority", &config->ca, error);
	if (err)
		return err;

	snprintf(what, sizeof(what), "%s: clusters[%s].cluster.server", cluster->path,
		 cluster->name);
	if (!choice->n_api_servers && !server)
		return kubeconfig_refuse(error, "%s: is missing", what);
	err = choice->n_api_servers
		      ? kubeconfig_set_servers(config, "api-server", choice->api_servers,
					       choice->n_api_servers, error)
		      : kubeconfig_set_servers(config, what, &server, 1, error);
	if (!err)
		err = check_proxy(cluster, config->proxy, error);
	if (err)
		return err;

	if (config->insecure && have_pem(&config->ca))
		return kubeconfig_refuse_field(cluster, "insecure-skip-tls-verify", error,
					       "contradicts certificate-authority");
	const char *secure = find_secure(config);
	if (secure && !config->insecure && !have_pem(&config->ca))
		return kubeconfig_refuse_field(cluster, "certificate-authority", error,
					       "is missing, so %s can't be verified", secure);
	return 0;
}

static int read_user(const struct kubeconfig_entry *user, struct kubeconfig *config,
		     char error[OBJECT_ERROR_MAX])
{
	static const char *const unsupported[] = { "auth-provider", "username",
						   "password",	    "as",
						   "as-uid",	    "as-groups",
						   "as-user-extra" };
	const json_t *exec = json_object_get(user->fields, "exec");
	const char *token_file;

	for (size_t i = 0; i < SL_COUNT(unsupported); i++) {
		const json_t *value = json_object_get(user->fields, unsupported[i]);

		if (value && !json_is_null(value))
			return kubeconfig_refuse_field(
				user, unsupported[i], error,
				"is not supported; use a certificate, a token or exec");
	}

	int err = get_pem(user, "client-certificate", &config->cert, error);
	if (!err)
		err = get_pem(user, "client-key", &config->key, error);
	if (!err)
		err = kubeconfig_copy_string(user, "token", &config->token, error);
	if (!err)
		err = kubeconfig_string(user, "tokenFile", &token_file, error);
	if (err)
		return err;
	if (have_pem(&config->cert) != have_pem(&config->key))
		return kubeconfig_refuse_field(
			user, have_pem(&config->cert) ? "client-key" : "client-certificate", error,
			"is missing");
	if (config->token && !kubeconfig_one_word(config->token, strlen(config->token)))
		return kubeconfig_refuse_field(user, "token", error, "is not one word");
	if (token_file) {
		config->token_file = kubeconfig_beside(user->path, token_file);
		if (!config->token_file)
			return kubeconfig_no_memory(error);
	}
	if (!exec || json_is_null(exec))
		return 0;
	/* Which of them counts would be anybody's guess. */
	if (config->token || config->token_file || have_pem(&config->cert))
		return kubeconfig_refuse_field(user, "exec", error,
					       "contradicts the token or certificate beside it");
	return kubeconfig_read_exec(user, &config->exec, error);
}

static int read_config(const char *path, json_t *root, const struct kubeconfig_choice *choice,
		       struct kubeconfig *config, char error[OBJECT_ERROR_MAX])
{
	struct kubeconfig_entry context = { .path = path, .list = "contexts", .key = "context" };
	struct kubeconfig_entry cluster = { .path = path, .list = "clusters", .key = "cluster" };
	struct kubeconfig_entry user = { .path = path, .list = "users", .key = "user" };
	char named_by[OBJECT_ERROR_MAX / 4];

	context.name = choice->context;
	if (!context.name)
		context.name = json_string_value(json_object_get(root, "current-context"));
	if (!context.name || !*context.name)
		return kubeconfig_refuse(error, "%s: current-context: is missing", path);
	int err =
		find_entry(root, choice->context ? "context" : "current-context", &context, error);
	if (!err)
		err = kubeconfig_string(&context, "cluster", &cluster.name, error);
	if (!err)
		err = kubeconfig_string(&context, "user", &user.name, error);
	if (err)
		return err;
	if (!cluster.name)
		return kubeconfig_refuse_field(&context, "cluster", error, "is missing");

	snprintf(named_by, sizeof(named_by), "contexts[%s].context.cluster", context.name);
	err = find_entry(root, named_by, &cluster, error);
	if (!err)
		err = read_cluster(&cluster, choice, config, error);
	if (err || !user.name)
		return err;

	snprintf(named_by, sizeof(named_by), "contexts[%s].context.user", context.name);
	err = find_entry(root, named_by, &user, error);
	return err ? err : read_user(&user, config, error);
}

int kubeconfig_load(const char *path, const struct kubeconfig_choice *choice,
		    struct kubeconfig **ret, char error[OBJECT_ERROR_MAX])
{
	static const struct kubeconfig_choice none;
	struct buffer text = {};
	json_t *documents = NULL;
	int err = kubeconfig_read_file(path, KUBECONFIG_FILE_MAX, &text);

	if (err) {
		kubeconfig_refuse(error, "%s: %s", path, strerror(-err));
		return err;
	}
	err = yaml_parse(path, text.data, text.len, &documents, error);
	buffer_clear(&text);
	if (err)
		return err;

	sl_auto(kubeconfig) config = calloc(1, sizeof(*config));
	json_t *root = json_array_get(documents, 0);
	if (!config)
		err = kubeconfig_no_memory(error);
	else if (json_array_size(documents) != 1 || !json_is_object(root))
		err = kubeconfig_refuse(error, "%s: is not a kubeconfig", path);
	else
		err = read_config(path, root, choice ? choice : &none, config, error);
	json_decref(documents);
	if (err)
		return err;
	/* A token beside it serves until the file can be read. */
	err = kubeconfig_refresh(config, error);
	if (err && !config->token)
		return err;
	*ret = sl_take(config);
	return 0;
}
