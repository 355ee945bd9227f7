/* SPDX-License-Identifier: Apache-2.0 */

/* Any text as what an exec plug-in answers. */

#include <jansson.h>
#include <string.h>

#include "controlplane/source/exec_credential.h"
#include "controlplane/source/kubeconfig_impl.h"
#include "fuzz.h"

#define VERSION "client.authentication.k8s.io/v1"

const char *const fuzz_words[] = {
	VERSION,
	"client.authentication.k8s.io/v1beta1",
	"ExecCredential",
	"kind",
	"apiVersion",
	"status",
	"token",
	"clientCertificateData",
	"clientKeyData",
	"expirationTimestamp",
	"-----BEGIN CERTIFICATE-----",
	"-----BEGIN ",
	"2026-01-02T03:04:05Z",
	"2026-01-02T03:04:05.678+01:30",
	"9999-12-31T23:59:59-23:59",
	"-2147483648-01-01T00:00:00Z",
	"null",
	"{}",
	"\\u0000",
	"\\n",
	NULL,
};

static int parse(const char *text, size_t len, struct exec_credential *ret)
{
	char error[OBJECT_ERROR_MAX] = "";
	int err = exec_credential_parse(text, len, VERSION, ret, error);

	FUZZ_CHECK(memchr(error, '\0', sizeof(error)));
	FUZZ_CHECK(err == 0 || *error);
	if (err) {
		FUZZ_CHECK(!ret->token && !ret->cert.data && !ret->key.data && !ret->expires);
		return err;
	}
	FUZZ_CHECK(ret->token || ret->cert.data);
	FUZZ_CHECK(!ret->cert.data == !ret->key.data);
	if (ret->token)
		FUZZ_CHECK(*ret->token && kubeconfig_one_word(ret->token, strlen(ret->token)));
	if (ret->cert.data)
		FUZZ_CHECK(kubeconfig_is_pem(ret->cert.data) &&
			   ret->cert.len == strlen(ret->cert.data) &&
			   kubeconfig_is_pem(ret->key.data));
	return 0;
}

static bool same(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct exec_credential once = {}, again = {};
	int err = parse((const char *)data, size, &once);
	json_t *json = json_loadb((const char *)data, size, 0, NULL);
	sl_auto_mem char *text = json ? json_dumps(json, JSON_INDENT(1)) : NULL;

	json_decref(json);
	FUZZ_CHECK(text || err);
	if (text) {
		/* However it is written. */
		FUZZ_CHECK(parse(text, strlen(text), &again) == err);
		FUZZ_CHECK(same(once.token, again.token) && once.expires == again.expires);
		FUZZ_CHECK(same(once.cert.data, again.cert.data) &&
			   same(once.key.data, again.key.data));
	}
	exec_credential_clear(&once);
	exec_credential_clear(&again);
	return 0;
}
