/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What an exec plug-in of a kubeconfig says: an ExecCredential. */

#include <time.h>

#include "controlplane/source/kubeconfig.h"

struct exec_credential {
	char *token;			 /* or NULL */
	struct kubeconfig_pem cert, key; /* both or none */
	time_t expires;			 /* 0: it does not say */
};

/* Reads the text of one that has to be of `api_version`. Returns 0, or -EINVAL or
 * -ENOMEM with the reason, which names the field. */
int exec_credential_parse(const char *text, size_t len, const char *api_version,
			  struct exec_credential *ret, char error[OBJECT_ERROR_MAX]);

void exec_credential_clear(struct exec_credential *credential);
