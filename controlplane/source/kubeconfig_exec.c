/* SPDX-License-Identifier: Apache-2.0 */

/* users[].user.exec: the program to ask for a credential. */

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "controlplane/source/kubeconfig_impl.h"

static void free_list(char **list)
{
	for (size_t i = 0; list && list[i]; i++)
		free(list[i]);
	free(list);
}

void kubeconfig_exec_free(struct kubeconfig_exec *exec)
{
	if (!exec)
		return;
	free(exec->command);
	free_list(exec->args);
	free_list(exec->env);
	free(exec->api_version);
	free(exec->hint);
	free(exec);
}

/* As client-go has it: a name is looked for in PATH, a path with a slash in it is
 * relative to the kubeconfig. */
static int read_command(const struct kubeconfig_entry *entry, struct kubeconfig_exec *exec,
			char error[OBJECT_ERROR_MAX])
{
	const char *command;
	int err = kubeconfig_string(entry, "command", &command, error);

	if (err)
		return err;
	if (!command)
		return kubeconfig_refuse_field(entry, "command", error, "is missing");
	exec->command =
		strchr(command, '/') ? kubeconfig_beside(entry->path, command) : strdup(command);
	return exec->command ? 0 : kubeconfig_no_memory(error);
}

/* The list `field`, or NULL where there is none. */
static int get_list(const struct kubeconfig_entry *entry, const char *field, const json_t **ret,
		    char error[OBJECT_ERROR_MAX])
{
	const json_t *list = json_object_get(entry->fields, field);

	if (list && !json_is_array(list) && !json_is_null(list))
		return kubeconfig_refuse_field(entry, field, error, "is not a list");
	*ret = json_is_array(list) ? list : NULL;
	return 0;
}

static int read_args(const struct kubeconfig_entry *entry, struct kubeconfig_exec *exec,
		     char error[OBJECT_ERROR_MAX])
{
	const json_t *list = NULL, *item;
	size_t i;
	int err = get_list(entry, "args", &list, error);

	if (err)
		return err;
	exec->args = calloc(json_array_size(list) + 2, sizeof(*exec->args));
	if (exec->args)
		exec->args[0] = strdup(exec->command);
	if (!exec->args || !exec->args[0])
		return kubeconfig_no_memory(error);
	json_array_foreach (list, i, item) {
		if (!json_is_string(item))
			return kubeconfig_refuse_field(entry, "args", error,
						       "item %zu is not a string", i);
		exec->args[i + 1] = strdup(json_string_value(item));
		if (!exec->args[i + 1])
			return kubeconfig_no_memory(error);
	}
	return 0;
}

static int read_env(const struct kubeconfig_entry *entry, struct kubeconfig_exec *exec,
		    char error[OBJECT_ERROR_MAX])
{
	const json_t *list = NULL, *item;
	size_t i;
	int err = get_list(entry, "env", &list, error);

	if (err)
		return err;
	exec->env = calloc(json_array_size(list) + 1, sizeof(*exec->env));
	if (!exec->env)
		return kubeconfig_no_memory(error);
	json_array_foreach (list, i, item) {
		const char *name = json_string_value(json_object_get(item, "name"));
		const char *value = json_string_value(json_object_get(item, "value"));

		if (!name || !*name || strchr(name, '=') || !value)
			return kubeconfig_refuse_field(entry, "env", error,
						       "item %zu has no name and value", i);
		if (asprintf(&exec->env[i], "%s=%s", name, value) < 0) {
			exec->env[i] = NULL;
			return kubeconfig_no_memory(error);
		}
	}
	return 0;
}

/* Nobody sits at the terminal of a daemon, and it has none. */
static int check_interactive(const struct kubeconfig_entry *entry, bool needed,
			     char error[OBJECT_ERROR_MAX])
{
	const char *mode;
	int err = kubeconfig_string(entry, "interactiveMode", &mode, error);

	if (err)
		return err;
	if (!mode)
		return needed ? kubeconfig_refuse_field(entry, "interactiveMode", error,
							"is missing")
			      : 0;
	if (strcmp(mode, "Always") == 0)
		return kubeconfig_refuse_field(entry, "interactiveMode", error,
					       "is Always, and there is no terminal");
	if (strcmp(mode, "Never") != 0 && strcmp(mode, "IfAvailable") != 0)
		return kubeconfig_refuse_field(entry, "interactiveMode", error,
					       "is none of Never, IfAvailable, Always");
	return 0;
}

int kubeconfig_read_exec(const struct kubeconfig_entry *user, struct kubeconfig_exec **ret,
			 char error[OBJECT_ERROR_MAX])
{
	json_t *fields = json_object_get(user->fields, "exec");
	const struct kubeconfig_entry entry = { .path = user->path,
						.list = user->list,
						.name = user->name,
						.key = "user.exec",
						.fields = fields };
	struct kubeconfig_exec *exec;
	const char *version;

	if (!json_is_object(fields))
		return kubeconfig_refuse_field(user, "exec", error, "is no mapping");
	exec = calloc(1, sizeof(*exec));
	if (!exec)
		return kubeconfig_no_memory(error);
	*ret = exec; /* from here on it goes with the kubeconfig */

	int err = kubeconfig_copy_string(&entry, "apiVersion", &exec->api_version, error);
	if (err)
		return err;
	version = exec->api_version ? exec->api_version : "";
	bool v1 = strcmp(version, "client.authentication.k8s.io/v1") == 0;
	if (!v1 && strcmp(version, "client.authentication.k8s.io/v1beta1") != 0)
		return kubeconfig_refuse_field(&entry, "apiVersion", error,
					       "is not client.authentication.k8s.io/v1 or v1beta1");
	if (json_is_true(json_object_get(fields, "provideClusterInfo")))
		return kubeconfig_refuse_field(&entry, "provideClusterInfo", error,
					       "is not supported");
	err = check_interactive(&entry, v1, error);
	if (!err)
		err = kubeconfig_copy_string(&entry, "installHint", &exec->hint, error);
	if (!err)
		err = read_command(&entry, exec, error);
	if (!err)
		err = read_args(&entry, exec, error);
	if (!err)
		err = read_env(&entry, exec, error);
	return err;
}
