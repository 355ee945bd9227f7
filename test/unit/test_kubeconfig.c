/* SPDX-License-Identifier: Apache-2.0 */

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "controlplane/source/base64.h"
#include "controlplane/source/kubeconfig.h"

/* "-----BEGIN X-----", which is enough to be taken for PEM. */
#define PEM	 "-----BEGIN X-----\n"
#define PEM_DATA "LS0tLS1CRUdJTiBYLS0tLS0K"

static char folder[64];
static char path[128];
static char error[OBJECT_ERROR_MAX];
static struct kubeconfig *config;

static void write_file(const char *name, const char *text)
{
	char file[256];

	snprintf(file, sizeof(file), "%s/%s", folder, name);
	FILE *out = fopen(file, "w");
	ck_assert_ptr_nonnull(out);
	fputs(text, out);
	fclose(out);
}

static void setup(void)
{
	strcpy(folder, "/tmp/sluice-kubeconfig-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/config", folder);
	error[0] = '\0';
	unsetenv("KUBERNETES_SERVICE_HOST");
	unsetenv("KUBERNETES_SERVICE_PORT");
}

static void teardown(void)
{
	static const char *const names[] = { "config", "ca.crt", "token", "cert", "key" };
	char file[256];

	kubeconfig_free(config);
	config = NULL;
	for (size_t i = 0; i < SL_COUNT(names); i++) {
		snprintf(file, sizeof(file), "%s/%s", folder, names[i]);
		unlink(file);
	}
	rmdir(folder);
}

/* Writes a kubeconfig of one cluster and one user, and loads it. */
static int load(const char *cluster, const char *user)
{
	char text[2048];

	snprintf(text, sizeof(text),
		 "{\"current-context\": \"c\","
		 " \"contexts\": [{\"name\": \"c\", \"context\": {\"cluster\": \"k\", \"user\": "
		 "\"u\"}}],"
		 " \"clusters\": [{\"name\": \"k\", \"cluster\": {%s}}],"
		 " \"users\": [{\"name\": \"u\", \"user\": {%s}}]}",
		 cluster, user);
	write_file("config", text);
	return kubeconfig_load(path, NULL, &config, error);
}

/* What leads elsewhere: one server, or none. */
static const char *const there_urls[] = { "https://10.0.0.1:6443/" };
static const char *const nowhere_urls[] = { "https://10.0.0.1:6443", "10.0.0.1:6443" };
static const struct kubeconfig_choice there = { .api_servers = there_urls, .n_api_servers = 1 };
static const struct kubeconfig_choice nowhere = { .api_servers = nowhere_urls, .n_api_servers = 2 };

#define CLUSTER "\"server\": \"https://api:6443\", \"certificate-authority-data\": \"" PEM_DATA "\""

#define EXEC	"\"apiVersion\": \"client.authentication.k8s.io/v1\", \"interactiveMode\": \"Never\""

static void assert_refused(int err, const char *why)
{
	ck_assert_int_lt(err, 0);
	ck_assert_ptr_null(config);
	ck_assert_msg(strstr(error, why), "\"%s\" does not have \"%s\"", error, why);
}

START_TEST(inline_certificates_and_token_are_taken)
{
	ck_assert_int_eq(load(CLUSTER ", \"tls-server-name\": \"kubernetes\"",
			      "\"client-certificate-data\": \"" PEM_DATA "\","
			      "\"client-key-data\": \"" PEM_DATA "\", \"token\": \"secret\""),
			 0);
	ck_assert_str_eq(config->servers[0], "https://api:6443");
	ck_assert_str_eq(config->tls_server_name, "kubernetes");
	ck_assert_uint_eq(config->ca.len, strlen(PEM));
	ck_assert_mem_eq(config->ca.data, PEM, strlen(PEM));
	ck_assert_mem_eq(config->cert.data, PEM, strlen(PEM));
	ck_assert_mem_eq(config->key.data, PEM, strlen(PEM));
	ck_assert_str_eq(config->token, "secret");
	ck_assert(!config->insecure);
}
END_TEST

START_TEST(yaml_is_read_as_well)
{
	write_file("config", "apiVersion: v1\nkind: Config\ncurrent-context: c\n"
			     "contexts:\n- name: c\n  context:\n    cluster: k\n"
			     "clusters:\n- name: k\n  cluster:\n    server: https://api:6443\n"
			     "    insecure-skip-tls-verify: true\n");
	ck_assert_int_eq(kubeconfig_load(path, NULL, &config, error), 0);
	ck_assert_str_eq(config->servers[0], "https://api:6443");
	ck_assert(config->insecure);
}
END_TEST

START_TEST(files_are_relative_to_the_kubeconfig)
{
	char want[256];

	write_file("ca.crt", PEM);
	write_file("cert", PEM);
	write_file("key", PEM);
	ck_assert_int_eq(load("\"server\": \"https://api:6443\","
			      "\"certificate-authority\": \"ca.crt\"",
			      "\"client-certificate\": \"cert\", \"client-key\": \"key\""),
			 0);
	snprintf(want, sizeof(want), "%s/ca.crt", folder);
	ck_assert_str_eq(config->ca.file, want);
	snprintf(want, sizeof(want), "%s/key", folder);
	ck_assert_str_eq(config->key.file, want);
}
END_TEST

static const char two_contexts[] =
	"{\"current-context\": \"two\", \"contexts\": ["
	"{\"name\": \"one\", \"context\": {\"cluster\": \"a\", \"user\": \"x\"}},"
	"{\"name\": \"two\", \"context\": {\"cluster\": \"b\", \"user\": \"y\"}}],"
	"\"clusters\": [{\"name\": \"a\", \"cluster\": {\"server\": \"http://a\"}},"
	"{\"name\": \"b\", \"cluster\": {\"server\": \"http://b/\"}}],"
	"\"users\": [{\"name\": \"x\", \"user\": {\"token\": \"tx\"}},"
	"{\"name\": \"y\", \"user\": {\"token\": \"ty\"}}]}";

START_TEST(current_context_chooses_among_several)
{
	write_file("config", two_contexts);
	ck_assert_int_eq(kubeconfig_load(path, NULL, &config, error), 0);
	ck_assert_str_eq(config->servers[0], "http://b");
	ck_assert_str_eq(config->token, "ty");
}
END_TEST

START_TEST(a_context_may_be_chosen)
{
	const struct kubeconfig_choice one = { .context = "one" };
	const struct kubeconfig_choice three = { .context = "three" };

	write_file("config", two_contexts);
	ck_assert_int_eq(kubeconfig_load(path, &one, &config, error), 0);
	ck_assert_str_eq(config->servers[0], "http://a");
	ck_assert_str_eq(config->token, "tx");
	kubeconfig_free(config);
	config = NULL;
	assert_refused(kubeconfig_load(path, &three, &config, error),
		       "context: \"three\" is not in contexts");
	assert_refused(kubeconfig_in_cluster(folder, &one, &config, error), "context: ");
}
END_TEST

START_TEST(api_server_overrides_the_server)
{
	load(CLUSTER, "");
	kubeconfig_free(config);
	config = NULL;
	ck_assert_int_eq(kubeconfig_load(path, &there, &config, error), 0);
	ck_assert_str_eq(config->servers[0], "https://10.0.0.1:6443");
	ck_assert_ptr_nonnull(config->ca.data);
}
END_TEST

START_TEST(a_bad_api_server_is_refused_by_its_name)
{
	load(CLUSTER, "");
	kubeconfig_free(config);
	config = NULL;
	assert_refused(kubeconfig_load(path, &nowhere, &config, error), "api-server");
}
END_TEST

START_TEST(a_file_that_is_not_there_is_named)
{
	int err = kubeconfig_load("/nowhere/config", NULL, &config, error);

	ck_assert_int_eq(err, -ENOENT);
	assert_refused(err, "/nowhere/config: No such file");
}
END_TEST

START_TEST(https_without_a_ca_is_refused)
{
	assert_refused(load("\"server\": \"https://api:6443\"", ""),
		       "clusters[k].cluster.certificate-authority: is missing");
}
END_TEST

/* One row a way to be refused. */
static const struct {
	const char *cluster, *user, *why;
} refused[] = {
	{ "", "", "clusters[k].cluster.server: is missing" },
	{ "\"server\": \"ftp://api\"", "", "clusters[k].cluster.server" },
	{ "\"server\": \"https://api:99999\"", "", "clusters[k].cluster.server" },
	{ "\"server\": 7", "", "clusters[k].cluster.server: is not a string" },
	{ "\"server\": \"http://u:p@api\"", "", "clusters[k].cluster.server: \"api\": must have" },
	{ "\"server\": \"https://u:p@api:x\"", "", "clusters[k].cluster.server: \"api:x\"" },
	{ "\"server\": \"u:p@api\"", "", "clusters[k].cluster.server: \"api\" does not begin" },
	{ "\"server\": \"https://api\", \"certificate-authority-data\": \"%%\"", "",
	  "certificate-authority-data: is not base64" },
	{ "\"server\": \"https://api\", \"certificate-authority-data\": \"AAAA\"", "",
	  "certificate-authority-data: holds no PEM" },
	{ "\"server\": \"https://api\", \"certificate-authority\": \"gone.crt\"", "",
	  "gone.crt: No such file" },
	{ "\"server\": \"https://api\", \"insecure-skip-tls-verify\": \"yes\"", "",
	  "insecure-skip-tls-verify: is not true or false" },
	{ CLUSTER ", \"insecure-skip-tls-verify\": true", "", "insecure-skip-tls-verify" },
	{ CLUSTER, "\"client-certificate-data\": \"" PEM_DATA "\"", "client-key: is missing" },
	{ CLUSTER, "\"client-key-data\": \"" PEM_DATA "\"", "client-certificate: is missing" },
	{ CLUSTER, "\"token\": 12", "users[u].user.token: is not a string" },
	{ CLUSTER, "\"token\": \"a\\nX-Evil: b\"", "users[u].user.token: is not one word" },
	{ CLUSTER, "\"tokenFile\": \"gone\"", "gone: No such file" },
	{ CLUSTER ", \"proxy-url\": \"gopher://p\"", "", "clusters[k].cluster.proxy-url: begins" },
	{ CLUSTER ", \"proxy-url\": \"http://p:99999\"", "", "clusters[k].cluster.proxy-url: " },
	{ CLUSTER, "\"exec\": 7", "users[u].user.exec: is no mapping" },
	{ CLUSTER, "\"exec\": {\"command\": \"aws\"}", "users[u].user.exec.apiVersion: is not" },
	{ CLUSTER, "\"exec\": {" EXEC "}", "users[u].user.exec.command: is missing" },
	{ CLUSTER, "\"exec\": {" EXEC ", \"command\": \"a\", \"args\": [1]}",
	  "users[u].user.exec.args: item 0 is not a string" },
	{ CLUSTER, "\"exec\": {" EXEC ", \"command\": \"a\", \"env\": [{\"name\": \"A\"}]}",
	  "users[u].user.exec.env: item 0 has no name and value" },
	{ CLUSTER, "\"exec\": {\"apiVersion\": \"client.authentication.k8s.io/v1\"}",
	  "users[u].user.exec.interactiveMode: is missing" },
	{ CLUSTER,
	  "\"exec\": {\"apiVersion\": \"client.authentication.k8s.io/v1\","
	  "\"interactiveMode\": \"Always\"}",
	  "users[u].user.exec.interactiveMode: is Always" },
	{ CLUSTER, "\"exec\": {" EXEC ", \"provideClusterInfo\": true}",
	  "users[u].user.exec.provideClusterInfo: is not supported" },
	{ CLUSTER, "\"token\": \"t\", \"exec\": {" EXEC ", \"command\": \"a\"}",
	  "users[u].user.exec: contradicts" },
	{ CLUSTER, "\"auth-provider\": {}", "users[u].user.auth-provider: is not supported" },
	{ CLUSTER, "\"username\": \"x\"", "users[u].user.username: is not supported" },
	{ CLUSTER, "\"as\": \"root\"", "users[u].user.as: is not supported" },
};

START_TEST(what_can_not_work_is_refused_by_the_name_of_the_field)
{
	assert_refused(load(refused[_i].cluster, refused[_i].user), refused[_i].why);
}
END_TEST

static const struct {
	const char *text, *why;
} broken[] = {
	{ "", "is not a kubeconfig" },
	{ "[]", "is not a kubeconfig" },
	{ "{}", "current-context: is missing" },
	{ "{\"current-context\": \"c\"}", "current-context: \"c\" is not in contexts" },
	{ "{\"current-context\": \"c\", \"contexts\": [{\"name\": \"c\"}]}",
	  "contexts[c].context: is missing" },
	{ "{\"current-context\": \"c\", \"contexts\": [{\"name\": \"c\", \"context\": {}}]}",
	  "contexts[c].context.cluster: is missing" },
	{ "{\"current-context\": \"c\", \"contexts\": [{\"name\": \"c\", \"context\":"
	  " {\"cluster\": \"k\"}}]}",
	  "contexts[c].context.cluster: \"k\" is not in clusters" },
	{ "{\"current-context\": \"c\", \"contexts\": [{\"name\": \"c\", \"context\":"
	  " {\"cluster\": \"k\", \"user\": \"u\"}}], \"clusters\": [{\"name\": \"k\", \"cluster\":"
	  " {\"server\": \"http://a\"}}]}",
	  "contexts[c].context.user: \"u\" is not in users" },
};

START_TEST(a_broken_kubeconfig_is_refused_by_the_name_of_the_field)
{
	write_file("config", broken[_i].text);
	assert_refused(kubeconfig_load(path, NULL, &config, error), broken[_i].why);
}
END_TEST

START_TEST(a_token_file_is_read_and_trimmed)
{
	write_file("token", "  abc.def-1\n\n");
	ck_assert_int_eq(load(CLUSTER, "\"tokenFile\": \"token\""), 0);
	ck_assert_str_eq(config->token, "abc.def-1");
}
END_TEST

START_TEST(a_token_file_is_read_again)
{
	write_file("token", "old");
	ck_assert_int_eq(load(CLUSTER, "\"tokenFile\": \"token\""), 0);
	write_file("token", "new");
	ck_assert_int_eq(kubeconfig_refresh(config, error), 0);
	ck_assert_str_eq(config->token, "new");
}
END_TEST

START_TEST(the_old_token_stays_when_the_file_is_of_no_use)
{
	write_file("token", "old");
	ck_assert_int_eq(load(CLUSTER, "\"tokenFile\": \"token\""), 0);
	write_file("token", " \n");
	ck_assert_int_eq(kubeconfig_refresh(config, error), -EINVAL);
	write_file("token", "two words");
	ck_assert_int_eq(kubeconfig_refresh(config, error), -EINVAL);
	snprintf(path, sizeof(path), "%s/token", folder);
	unlink(path);
	ck_assert_int_eq(kubeconfig_refresh(config, error), -ENOENT);
	ck_assert_str_eq(config->token, "old");
}
END_TEST

START_TEST(certificates_in_files_are_read_again)
{
	write_file("ca.crt", PEM);
	write_file("cert", PEM);
	write_file("key", PEM);
	ck_assert_int_eq(load("\"server\": \"https://api:6443\","
			      "\"certificate-authority\": \"ca.crt\"",
			      "\"client-certificate\": \"cert\", \"client-key\": \"key\""),
			 0);
	unsigned int generation = config->generation;
	ck_assert_int_eq(kubeconfig_refresh(config, error), 0);
	ck_assert_uint_eq(config->generation, generation);
	write_file("cert", PEM "new");
	write_file("ca.crt", "garbage");
	ck_assert_int_eq(kubeconfig_refresh(config, error), -EINVAL);
	ck_assert_ptr_nonnull(strstr(error, "ca.crt: holds no PEM"));
	ck_assert_str_eq(config->cert.data, PEM "new");
	ck_assert_str_eq(config->ca.data, PEM);
	ck_assert_uint_gt(config->generation, generation);
}
END_TEST

START_TEST(an_exec_plugin_is_read)
{
	char want[256];

	ck_assert_int_eq(load(CLUSTER, "\"exec\": {" EXEC ", \"command\": \"bin/get\","
				       "\"args\": [\"-a\", \"b\"], \"env\": [{\"name\":"
				       "\"A\", \"value\": \"1=2\"}]}"),
			 0);
	snprintf(want, sizeof(want), "%s/bin/get", folder);
	ck_assert_str_eq(config->exec->command, want);
	ck_assert_str_eq(config->exec->args[0], want);
	ck_assert_str_eq(config->exec->args[2], "b");
	ck_assert_ptr_null(config->exec->args[3]);
	ck_assert_str_eq(config->exec->env[0], "A=1=2");
	ck_assert_ptr_null(config->exec->env[1]);
}
END_TEST

START_TEST(in_a_cluster_the_environment_and_the_service_account_are_used)
{
	write_file("ca.crt", PEM);
	write_file("token", "pod-token\n");
	setenv("KUBERNETES_SERVICE_HOST", "10.96.0.1", 1);
	setenv("KUBERNETES_SERVICE_PORT", "443", 1);
	ck_assert_int_eq(kubeconfig_in_cluster(folder, NULL, &config, error), 0);
	ck_assert_str_eq(config->servers[0], "https://10.96.0.1:443");
	ck_assert_str_eq(config->token, "pod-token");
	ck_assert_ptr_nonnull(config->ca.file);
}
END_TEST

START_TEST(in_a_cluster_ipv6_gets_brackets)
{
	write_file("ca.crt", PEM);
	write_file("token", "t");
	setenv("KUBERNETES_SERVICE_HOST", "fd00::1", 1);
	setenv("KUBERNETES_SERVICE_PORT", "443", 1);
	ck_assert_int_eq(kubeconfig_in_cluster(folder, NULL, &config, error), 0);
	ck_assert_str_eq(config->servers[0], "https://[fd00::1]:443");
}
END_TEST

START_TEST(in_a_cluster_both_variables_are_needed)
{
	write_file("ca.crt", PEM);
	write_file("token", "t");
	setenv("KUBERNETES_SERVICE_HOST", "10.96.0.1", 1);
	assert_refused(kubeconfig_in_cluster(folder, NULL, &config, error),
		       "KUBERNETES_SERVICE_PORT");
}
END_TEST

START_TEST(in_a_cluster_api_server_makes_the_variables_needless)
{
	write_file("ca.crt", PEM);
	write_file("token", "t");
	ck_assert_int_eq(kubeconfig_in_cluster(folder, &there, &config, error), 0);
	ck_assert_str_eq(config->servers[0], "https://10.0.0.1:6443");
}
END_TEST

START_TEST(in_a_cluster_a_missing_ca_or_token_is_named)
{
	assert_refused(kubeconfig_in_cluster(folder, &there, &config, error), "ca.crt");
	write_file("ca.crt", PEM);
	assert_refused(kubeconfig_in_cluster(folder, &there, &config, error), "token");
}
END_TEST

static const struct {
	const char *text, *want; /* NULL: refused */
} base64[] = {
	{ "", "" },	      { "Zg==", "f" },	      { "Zm8=", "fo" },
	{ "Zm9v", "foo" },    { "Zm9vYg==", "foob" }, { "Zm\n9v\n", "foo" },
	{ "Zm9", NULL },      { "Zg=", NULL },	      { "Z===", NULL },
	{ "Zg==Zg==", NULL }, { "Zm-v", NULL },	      { "====", NULL },
};

START_TEST(base64_is_decoded_or_refused)
{
	char *data = NULL;
	size_t len = 0;
	int err = base64_decode(base64[_i].text, &data, &len);

	ck_assert_msg(err == (base64[_i].want ? 0 : -EINVAL), "%s: %d", base64[_i].text, err);
	if (base64[_i].want) {
		ck_assert_str_eq(data, base64[_i].want);
		ck_assert_uint_eq(len, strlen(base64[_i].want));
	}
	free(data);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("kubeconfig");
	TCase *file = tcase_create("file");
	TCase *cluster = tcase_create("in cluster");
	SRunner *runner = srunner_create(suite);

	tcase_add_checked_fixture(file, setup, teardown);
	tcase_add_test(file, inline_certificates_and_token_are_taken);
	tcase_add_test(file, yaml_is_read_as_well);
	tcase_add_test(file, files_are_relative_to_the_kubeconfig);
	tcase_add_test(file, current_context_chooses_among_several);
	tcase_add_test(file, api_server_overrides_the_server);
	tcase_add_test(file, a_bad_api_server_is_refused_by_its_name);
	tcase_add_test(file, a_file_that_is_not_there_is_named);
	tcase_add_test(file, https_without_a_ca_is_refused);
	tcase_add_loop_test(file, what_can_not_work_is_refused_by_the_name_of_the_field, 0,
			    (int)SL_COUNT(refused));
	tcase_add_loop_test(file, a_broken_kubeconfig_is_refused_by_the_name_of_the_field, 0,
			    (int)SL_COUNT(broken));
	tcase_add_test(file, a_token_file_is_read_and_trimmed);
	tcase_add_test(file, a_token_file_is_read_again);
	tcase_add_test(file, the_old_token_stays_when_the_file_is_of_no_use);
	tcase_add_test(file, certificates_in_files_are_read_again);
	tcase_add_test(file, an_exec_plugin_is_read);
	tcase_add_test(file, a_context_may_be_chosen);
	tcase_add_loop_test(file, base64_is_decoded_or_refused, 0, (int)SL_COUNT(base64));
	suite_add_tcase(suite, file);

	tcase_add_checked_fixture(cluster, setup, teardown);
	tcase_add_test(cluster, in_a_cluster_the_environment_and_the_service_account_are_used);
	tcase_add_test(cluster, in_a_cluster_ipv6_gets_brackets);
	tcase_add_test(cluster, in_a_cluster_both_variables_are_needed);
	tcase_add_test(cluster, in_a_cluster_api_server_makes_the_variables_needless);
	tcase_add_test(cluster, in_a_cluster_a_missing_ca_or_token_is_named);
	suite_add_tcase(suite, cluster);

	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
