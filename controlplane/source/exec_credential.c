/* SPDX-License-Identifier: Apache-2.0 */

#include "controlplane/source/exec_credential.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "controlplane/source/kubeconfig_impl.h"

static void pem_clear(struct kubeconfig_pem *pem)
{
	free(pem->file);
	free(pem->data);
	*pem = (struct kubeconfig_pem) {};
}

void exec_credential_clear(struct exec_credential *credential)
{
	free(credential->token);
	pem_clear(&credential->cert);
	pem_clear(&credential->key);
	*credential = (struct exec_credential) {};
}

static int take_pem(const json_t *status, const char *field, struct kubeconfig_pem *ret,
		    char error[OBJECT_ERROR_MAX])
{
	const char *text = json_string_value(json_object_get(status, field));

	if (!text || !*text)
		return 0;
	if (!kubeconfig_is_pem(text))
		return kubeconfig_refuse(error, "status.%s: holds no PEM", field);
	ret->data = strdup(text);
	ret->len = strlen(text);
	return ret->data ? 0 : kubeconfig_no_memory(error);
}

/* RFC 3339, with Z or an offset. */
static int take_time(const char *text, time_t *ret, char error[OBJECT_ERROR_MAX])
{
	struct tm tm = {};
	const char *rest = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);
	int hours, minutes;
	long offset_s = 0;

	if (rest && *rest == '.')
		rest += 1 + strspn(rest + 1, "0123456789");
	if (rest && sscanf(rest, "%*1[+-]%2d:%2d", &hours, &minutes) == 2)
		offset_s = (hours * 60L + minutes) * 60 * (*rest == '-' ? -1 : 1);
	else if (!rest || strcmp(rest, "Z") != 0)
		return kubeconfig_refuse(error, "status.expirationTimestamp: \"%.60s\" is no time",
					 text);
	*ret = timegm(&tm) - offset_s;
	return 0;
}

static int take_status(const json_t *status, struct exec_credential *ret,
		       char error[OBJECT_ERROR_MAX])
{
	const char *token = json_string_value(json_object_get(status, "token"));
	const json_t *expires = json_object_get(status, "expirationTimestamp");
	int err = take_pem(status, "clientCertificateData", &ret->cert, error);

	if (!err)
		err = take_pem(status, "clientKeyData", &ret->key, error);
	if (!err && expires && !json_is_null(expires))
		err = take_time(json_is_string(expires) ? json_string_value(expires) : "",
				&ret->expires, error);
	if (err)
		return err;
	if (!ret->cert.data != !ret->key.data)
		return kubeconfig_refuse(error, "status.%s: is missing",
					 ret->cert.data ? "clientKeyData"
							: "clientCertificateData");
	if (token && *token) {
		if (!kubeconfig_one_word(token, strlen(token)))
			return kubeconfig_refuse(error, "status.token: is not one word");
		ret->token = strdup(token);
		return ret->token ? 0 : kubeconfig_no_memory(error);
	}
	if (!ret->cert.data)
		return kubeconfig_refuse(error, "status: has neither token nor certificate");
	return 0;
}

int exec_credential_parse(const char *text, size_t len, const char *api_version,
			  struct exec_credential *ret, char error[OBJECT_ERROR_MAX])
{
	struct exec_credential credential = {};
	json_error_t bad;
	json_t *root = json_loadb(text, len, 0, &bad);
	const char *kind = json_string_value(json_object_get(root, "kind"));
	const char *version = json_string_value(json_object_get(root, "apiVersion"));
	int err;

	if (!root)
		err = kubeconfig_refuse(error, "is not JSON: %s", bad.text);
	else if (!kind || strcmp(kind, "ExecCredential") != 0)
		err = kubeconfig_refuse(error, "kind: is not ExecCredential");
	else if (!version || strcmp(version, api_version) != 0)
		err = kubeconfig_refuse(error, "apiVersion: is not %s", api_version);
	else
		err = take_status(json_object_get(root, "status"), &credential, error);
	json_decref(root);
	if (err)
		exec_credential_clear(&credential);
	else
		*ret = credential;
	return err;
}
