/* SPDX-License-Identifier: Apache-2.0 */

#include "controlplane/source/credentials.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "common/log.h"
#include "controlplane/source/backoff.h"
#include "controlplane/source/exec_credential.h"
#include "controlplane/source/exec_run.h"

#define OUTPUT_MAX	(1024 * 1024)
#define COMPLAIN_MS	60000
#define INFO_VARIABLE	"KUBERNETES_EXEC_INFO"
#define ENVIRONMENT_MAX 4096 /* variables */

extern char **environ;

struct credentials {
	struct credentials_options options;
	struct exec_run *run; /* NULL: none */
	bool held;	      /* the plug-in gave something that was not refused */
	time_t expires;	      /* of that; 0: it does not say */
	bool any_refused;
	unsigned int refused; /* the last generation that was, if any */
	struct complaints complaints;
};

static const struct kubeconfig_exec *plugin(const struct credentials *credentials)
{
	return credentials->options.config->exec;
}

/* Puts what the plug-in gave in the place of what was there. */
static void adopt(struct credentials *credentials, struct exec_credential *fresh)
{
	struct kubeconfig *config = credentials->options.config;
	struct exec_credential old = { .token = config->token,
				       .cert = config->cert,
				       .key = config->key };

	config->token = fresh->token;
	config->cert = fresh->cert;
	config->key = fresh->key;
	config->generation++;
	credentials->expires = fresh->expires;
	credentials->held = true;
	exec_credential_clear(&old);
}

static void on_run_done(void *context, const char *output, size_t len, const char *why)
{
	struct credentials *credentials = context;
	const struct kubeconfig_exec *exec = plugin(credentials);
	struct exec_credential fresh = {};
	char reason[OBJECT_ERROR_MAX] = "", error[2 * OBJECT_ERROR_MAX];
	int err = 0;

	credentials->run = NULL;
	if (why) {
		snprintf(error, sizeof(error), "exec %s: %s%s%s", exec->command, why,
			 exec->hint ? "; " : "", exec->hint ? exec->hint : "");
	} else {
		err = exec_credential_parse(output, len, exec->api_version, &fresh, reason);
		snprintf(error, sizeof(error), "exec %s: its answer: %s", exec->command, reason);
	}
	bool good = !why && !err;
	if (good)
		adopt(credentials, &fresh);
	credentials->options.ready(credentials->options.context, good ? NULL : error);
}

/* True if `variable` ("NAME=VALUE") is set by the plug-in's own list. */
static bool is_overridden(const struct kubeconfig_exec *exec, const char *variable)
{
	size_t len = strcspn(variable, "=") + 1;

	if (strncmp(variable, INFO_VARIABLE "=", len) == 0)
		return true;
	for (size_t i = 0; exec->env[i]; i++)
		if (strncmp(exec->env[i], variable, len) == 0)
			return true;
	return false;
}

static void run_plugin(struct credentials *credentials)
{
	const struct kubeconfig_exec *exec = plugin(credentials);
	char *env[ENVIRONMENT_MAX + 1], info[256];
	size_t n = 0;

	for (size_t i = 0; exec->env[i] && n < ENVIRONMENT_MAX - 1; i++)
		env[n++] = exec->env[i];
	for (size_t i = 0; environ[i] && n < ENVIRONMENT_MAX - 1; i++)
		if (!is_overridden(exec, environ[i]))
			env[n++] = environ[i];
	snprintf(info, sizeof(info),
		 INFO_VARIABLE "={\"apiVersion\":\"%s\",\"kind\":\"ExecCredential\","
			       "\"spec\":{\"interactive\":false}}",
		 exec->api_version);
	env[n++] = info;
	env[n] = NULL;

	const struct exec_run_options options = {
		.loop = credentials->options.loop,
		.file = exec->command,
		.args = exec->args,
		.env = env,
		.limit_ms = credentials->options.run_ms,
		.output_max = OUTPUT_MAX,
		.done = on_run_done,
		.context = credentials,
	};
	exec_run_new(&options, &credentials->run);
}

static void refresh(struct credentials *credentials)
{
	char error[OBJECT_ERROR_MAX];
	unsigned int held;

	if (kubeconfig_refresh(credentials->options.config, error) &&
	    complaint_allowed(&credentials->complaints, 0, uv_now(credentials->options.loop),
			      COMPLAIN_MS, &held))
		log_warn("kube: %s; going on with what it was before", error);
}

bool credentials_get(struct credentials *credentials)
{
	refresh(credentials);
	if (!plugin(credentials))
		return true;
	if (credentials->held && credentials->expires && time(NULL) >= credentials->expires)
		credentials->held = false;
	if (!credentials->held && !credentials->run)
		run_plugin(credentials);
	return credentials->held || !credentials->run;
}

bool credentials_refused(struct credentials *credentials, unsigned int generation)
{
	const struct kubeconfig *config = credentials->options.config;
	bool again;

	if (plugin(credentials)) {
		/* Others may have been faster: then there is a new one already. */
		if (generation == config->generation)
			credentials->held = false;
		return true;
	}
	if (!config->token_file && !config->cert.file)
		return false;
	refresh(credentials);
	again = config->generation != generation || !credentials->any_refused ||
		credentials->refused != generation;
	credentials->any_refused = true;
	credentials->refused = generation;
	return again;
}

int credentials_new(const struct credentials_options *options, struct credentials **ret)
{
	struct credentials *credentials = calloc(1, sizeof(*credentials));

	if (!credentials)
		return -ENOMEM;
	credentials->options = *options;
	*ret = credentials;
	return 0;
}

void credentials_free(struct credentials *credentials)
{
	if (!credentials)
		return;
	exec_run_free(credentials->run);
	free(credentials);
}
