/* SPDX-License-Identifier: Apache-2.0 */

/* The Kubernetes source and an exec plug-in, here a shell script. */

#include <errno.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "kube_fixture.h"

#define VERSION "client.authentication.k8s.io/v1"
#define ANSWER(status)                                                                             \
	"echo '{\"apiVersion\":\"" VERSION "\",\"kind\":\"ExecCredential\",\"status\":" status     \
	"}'\n"

static char script_path[160], runs_path[160];

/* The script counts its runs, then does `body`. */
static void write_script(const char *body)
{
	char text[2048];

	snprintf(text, sizeof(text), "#!/bin/sh\necho run >> %s\n%s", runs_path, body);
	write_text(script_path, text);
	ck_assert_int_eq(chmod(script_path, 0700), 0);
}

static size_t runs(void)
{
	FILE *in = fopen(runs_path, "r");
	char line[64];
	size_t n = 0;

	while (in && fgets(line, sizeof(line), in))
		n++;
	if (in)
		fclose(in);
	return n;
}

static void write_exec_config(const char *command, const char *more)
{
	char text[4096];

	snprintf(text, sizeof(text),
		 "{\"current-context\": \"c\", \"contexts\": [{\"name\": \"c\", \"context\":"
		 " {\"cluster\": \"k\", \"user\": \"u\"}}], \"clusters\": [{\"name\": \"k\","
		 " \"cluster\": {\"server\": \"http://127.0.0.1:%u\"}}], \"users\":"
		 " [{\"name\": \"u\", \"user\": {\"exec\": {\"apiVersion\": \"" VERSION "\","
		 " \"interactiveMode\": \"Never\", \"command\": \"%s\"%s}}}]}",
		 fake.port, command, more);
	write_text(config_path, text);
}

static void setup_exec(void)
{
	setup();
	snprintf(script_path, sizeof(script_path), "%s/plugin", folder);
	snprintf(runs_path, sizeof(runs_path), "%s/runs", folder);
	write_exec_config("./plugin", "");
}

static void teardown_exec(void)
{
	unlink(script_path);
	unlink(runs_path);
	teardown();
}

START_TEST(a_plugin_gives_the_token_for_all)
{
	write_script(ANSWER("{\"token\":\"from-the-plugin\"}"));
	start();
	UNTIL(all_listed() && watching());
	ck_assert_str_eq(fake_request(FAKE_SERVICE, false, 0).authorization,
			 "Bearer from-the-plugin");
	ck_assert_str_eq(fake_request(FAKE_NODE, false, 0).authorization, "Bearer from-the-plugin");
	ck_assert_uint_eq(runs(), 1);
}
END_TEST

START_TEST(a_plugin_gets_arguments_and_environment)
{
	write_script(
		"echo \"{\\\"apiVersion\\\":\\\"" VERSION "\\\",\\\"kind\\\":"
		"\\\"ExecCredential\\\",\\\"status\\\":{\\\"token\\\":"
		"\\\"$1-$FLAVOUR-$INHERITED-$(echo $KUBERNETES_EXEC_INFO | tr -dc a-z)\\\"}}\"");
	write_exec_config("./plugin", ", \"args\": [\"first\"], \"env\": [{\"name\": \"FLAVOUR\","
				      " \"value\": \"salty\"}]");
	setenv("INHERITED", "kept", 1);
	setenv("FLAVOUR", "sweet", 1);
	start();
	UNTIL(watching());
	ck_assert_str_eq(
		fake_request(FAKE_SERVICE, false, 0).authorization,
		"Bearer first-salty-kept-apiersionclientauthenticationksiovkindxecredential"
		"specinteractivefalse");
}
END_TEST

START_TEST(what_has_expired_is_asked_for_again)
{
	write_script(_i ? ANSWER("{\"token\":\"t\",\"expirationTimestamp\":"
				 "\"2100-01-01T00:00:00Z\"}")
			: ANSWER("{\"token\":\"t\",\"expirationTimestamp\":"
				 "\"2001-01-01T00:00:00+01:00\"}"));
	start();
	UNTIL(watching());
	size_t before = runs();
	fake_end(FAKE_SERVICE, FAKE_CLEAN);
	UNTIL(fake_count(FAKE_SERVICE, true) == 2);
	if (_i)
		ck_assert_uint_eq(runs(), before);
	else
		ck_assert_uint_gt(runs(), before);
}
END_TEST

START_TEST(what_was_refused_is_asked_for_again_at_once)
{
	limits.times.backoff.min_ms = limits.times.backoff.max_ms = 60000;
	write_script(ANSWER("{\"token\":\"old\"}"));
	start();
	UNTIL(watching());
	write_script(ANSWER("{\"token\":\"new\"}"));
	fake_watch(FAKE_SERVICE, 401, "");
	fake_end(FAKE_SERVICE, FAKE_CLEAN);
	UNTIL(fake_count(FAKE_SERVICE, true) == 3);
	ck_assert_str_eq(fake_request(FAKE_SERVICE, true, 1).authorization, "Bearer old");
	ck_assert_str_eq(fake_request(FAKE_SERVICE, true, 2).authorization, "Bearer new");
	ck_assert_uint_eq(runs(), 2);
	ck_assert_uint_eq(logged("warn"), 0);
}
END_TEST

static const struct {
	const char *body, *why;
} failures[] = {
	{ "echo no network >&2; exit 3\n", "plugin: exit status 3: no network" },
	{ "kill -9 $$\n", "plugin: killed by signal 9" },
	{ "echo hello\n", "plugin: its answer: is not JSON" },
	{ "echo '{}'\n", "plugin: its answer: kind: is not ExecCredential" },
	{ "echo '{\"kind\":\"ExecCredential\",\"apiVersion\":\"v9\"}'\n",
	  "its answer: apiVersion: is not " VERSION },
	{ ANSWER("{}"), "its answer: status: has neither token nor certificate" },
	{ ANSWER("{\"token\":\"a b\"}"), "its answer: status.token: is not one word" },
	{ ANSWER("{\"token\":\"t\",\"expirationTimestamp\":\"tomorrow\"}"),
	  "its answer: status.expirationTimestamp: \"tomorrow\" is no time" },
	{ ANSWER("{\"clientCertificateData\":\"x\"}"),
	  "status.clientCertificateData: holds no PEM" },
	{ ANSWER("{\"clientCertificateData\":\"-----BEGIN X\"}"),
	  "status.clientKeyData: is missing" },
	{ "yes | head -c 3000000\n", "plugin: wrote more than 1048576 bytes" },
};

START_TEST(a_plugin_that_fails_is_told_of_and_run_again)
{
	write_script(failures[_i].body);
	start();
	UNTIL(logged(failures[_i].why) > 0);
	ck_assert_uint_eq(fake.n_requests, 0);
	write_script(ANSWER("{\"token\":\"works\"}"));
	UNTIL(watching());
}
END_TEST

/* Neither one that runs nor one that nobody waited for. */
static bool no_child_is_left(void)
{
	siginfo_t info;

	return waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) < 0 && errno == ECHILD;
}

/* The loop goes on meanwhile, and nothing of it is left. */
START_TEST(a_plugin_that_hangs_is_killed)
{
	char pid_path[160], text[256], pid_text[16] = "";

	snprintf(pid_path, sizeof(pid_path), "%s/token", folder);
	snprintf(text, sizeof(text), "sleep 1000 & echo $! > %s; wait\n", pid_path);
	write_text(pid_path, "");
	write_script(text);
	limits.http.exec_ms = 300;
	limits.times.backoff.min_ms = limits.times.backoff.max_ms = 60000;
	start();
	UNTIL(logged("plugin: not over in time, killed") > 0);

	FILE *in = fopen(pid_path, "r");
	ck_assert_ptr_nonnull(fgets(pid_text, sizeof(pid_text), in));
	fclose(in);
	UNTIL(kill(atoi(pid_text), 0) < 0);
	UNTIL(no_child_is_left());
	ck_assert_uint_eq(runs(), 1);
}
END_TEST

START_TEST(a_plugin_that_is_not_there_is_told_with_its_hint)
{
	write_exec_config("./nowhere", ", \"installHint\": \"apt install it\"");
	start();
	UNTIL(logged("nowhere: no such file or directory; apt install it") > 0);
}
END_TEST

START_TEST(it_can_be_freed_while_the_plugin_runs)
{
	write_script("sleep 1000\n");
	start();
	UNTIL(runs() == 1);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("kube exec");
	TCase *exec = tcase_create("exec");
	SRunner *runner = srunner_create(suite);

	tcase_add_checked_fixture(exec, setup_exec, teardown_exec);
	tcase_add_test(exec, a_plugin_gives_the_token_for_all);
	tcase_add_test(exec, a_plugin_gets_arguments_and_environment);
	tcase_add_loop_test(exec, what_has_expired_is_asked_for_again, 0, 2);
	tcase_add_test(exec, what_was_refused_is_asked_for_again_at_once);
	tcase_add_loop_test(exec, a_plugin_that_fails_is_told_of_and_run_again, 0,
			    (int)SL_COUNT(failures));
	tcase_add_test(exec, a_plugin_that_hangs_is_killed);
	tcase_add_test(exec, a_plugin_that_is_not_there_is_told_with_its_hint);
	tcase_add_test(exec, it_can_be_freed_while_the_plugin_runs);
	suite_add_tcase(suite, exec);

	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
