/* SPDX-License-Identifier: Apache-2.0 */

/* Any text as a kubeconfig; one that can be read is read alike as JSON. */

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "controlplane/source/kubeconfig_impl.h"
#include "controlplane/source/yaml.h"
#include "fuzz.h"

const char *const fuzz_words[] = {
	"current-context",
	"contexts",
	"clusters",
	"users",
	"cluster",
	"user",
	"context",
	"name",
	"server",
	"https://10.0.0.1:6443",
	"http://[::1]:8080/",
	"https://user@host/?a#b",
	"certificate-authority",
	"certificate-authority-data",
	"LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCg==",
	"client-certificate-data",
	"client-key-data",
	"client-certificate",
	"client-key",
	"token",
	"tokenFile",
	"insecure-skip-tls-verify",
	"true",
	"false",
	"tls-server-name",
	"proxy-url",
	"socks5://127.0.0.1:1080",
	"exec",
	"command",
	"args",
	"env",
	"value",
	"apiVersion",
	"client.authentication.k8s.io/v1",
	"client.authentication.k8s.io/v1beta1",
	"interactiveMode",
	"Never",
	"Always",
	"installHint",
	"provideClusterInfo",
	"auth-provider",
	"password",
	"pem",
	"./",
	"null",
	"~",
	"[]",
	"{}",
	NULL,
};

/* A folder with nothing but the kubeconfig and a certificate. */
static char folder[] = "/tmp/fuzz-kubeconfig-XXXXXX";
static char path[64], pem_path[64];

static void remove_folder(void)
{
	unlink(path);
	unlink(pem_path);
	rmdir(folder);
}

static void make_folder(void)
{
	FILE *pem;

	if (*path)
		return;
	FUZZ_CHECK(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/kubeconfig", folder);
	snprintf(pem_path, sizeof(pem_path), "%s/pem", folder);
	pem = fopen(pem_path, "w");
	FUZZ_CHECK(pem && fputs("-----BEGIN CERTIFICATE-----\n", pem) >= 0 && !fclose(pem));
	atexit(remove_folder);
}

static struct kubeconfig *load(const char *text, size_t len, int *ret_err)
{
	char error[OBJECT_ERROR_MAX] = "";
	struct kubeconfig *config = NULL;
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	FUZZ_CHECK(fd >= 0 && write(fd, text, len) == (ssize_t)len);
	close(fd);
	*ret_err = kubeconfig_load(path, NULL, &config, error);
	FUZZ_CHECK(memchr(error, '\0', sizeof(error)));
	FUZZ_CHECK(*ret_err == 0 ? config != NULL : !config && *error);
	return config;
}

static bool same(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

static void check(const struct kubeconfig *config)
{
	bool certified = config->cert.data != NULL;

	FUZZ_CHECK(config->n_servers == 1);
	const char *server = config->servers[0];
	size_t len = strlen(server);
	bool secure = strncmp(server, "https://", 8) == 0;
	FUZZ_CHECK(secure || strncmp(server, "http:/", 6) == 0);
	FUZZ_CHECK(server[len - 1] != '/' && !strpbrk(server, "?#"));
	/* Never https that nobody verifies, unless it is said to be so. */
	FUZZ_CHECK(!secure || config->insecure || config->ca.data);
	FUZZ_CHECK(certified == (config->key.data != NULL));
	if (config->token)
		FUZZ_CHECK(*config->token &&
			   kubeconfig_one_word(config->token, strlen(config->token)));
	if (!config->exec)
		return;
	FUZZ_CHECK(!config->token && !config->token_file && !certified);
	FUZZ_CHECK(*config->exec->command && same(config->exec->command, config->exec->args[0]));
	for (char **env = config->exec->env; *env; env++)
		FUZZ_CHECK(strchr(*env, '=') > *env);
}

static void check_same_exec(const struct kubeconfig_exec *a, const struct kubeconfig_exec *b)
{
	FUZZ_CHECK(!a == !b);
	if (!a)
		return;
	FUZZ_CHECK(same(a->api_version, b->api_version) && same(a->hint, b->hint));
	for (size_t i = 0; a->args[i] || b->args[i]; i++)
		FUZZ_CHECK(same(a->args[i], b->args[i]));
	for (size_t i = 0; a->env[i] || b->env[i]; i++)
		FUZZ_CHECK(same(a->env[i], b->env[i]));
}

static void check_same(const struct kubeconfig *a, const struct kubeconfig *b)
{
	FUZZ_CHECK(same(a->servers[0], b->servers[0]) && a->insecure == b->insecure);
	FUZZ_CHECK(same(a->tls_server_name, b->tls_server_name) && same(a->proxy, b->proxy));
	FUZZ_CHECK(same(a->ca.data, b->ca.data) && same(a->cert.data, b->cert.data));
	FUZZ_CHECK(same(a->key.data, b->key.data) && same(a->token, b->token));
	FUZZ_CHECK(same(a->token_file, b->token_file));
	check_same_exec(a->exec, b->exec);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char error[OBJECT_ERROR_MAX];
	json_t *documents = NULL;
	int err, err_again;

	make_folder();
	sl_auto(kubeconfig) config = load((const char *)data, size, &err);
	if (config)
		check(config);
	if (yaml_parse(path, (const char *)data, size, &documents, error)) {
		FUZZ_CHECK(err);
		return 0;
	}
	sl_auto_mem char *text = json_dumps(json_array_get(documents, 0), JSON_COMPACT);
	bool one = json_array_size(documents) == 1 && text;
	json_decref(documents);
	FUZZ_CHECK(one || err);
	if (!one)
		return 0;
	sl_auto(kubeconfig) again = load(text, strlen(text), &err_again);
	FUZZ_CHECK(err == err_again);
	if (config)
		check_same(config, again);
	return 0;
}
