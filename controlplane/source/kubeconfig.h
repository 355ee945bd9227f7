/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * How to reach the API server and who to be there: from a kubeconfig file
 * (current-context) or from what a pod finds in its environment (S-270).
 */

#include <stdbool.h>
#include <stddef.h>

#include "common/mem.h"
#include "controlplane/store/object.h"

/* Where Kubernetes puts the token and the CA of a pod. */
#define KUBECONFIG_SERVICE_ACCOUNT "/var/run/secrets/kubernetes.io/serviceaccount"

/* A certificate or key: in a file, which is read anew for every connection,
 * or in memory. Both are NULL when there is none. */
struct kubeconfig_pem {
	char *file;
	char *data;
	size_t len; /* bytes of data */
};

struct kubeconfig {
	char *server;	       /* http(s)://host[:port][/path], no slash at the end */
	char *tls_server_name; /* the name in the server's certificate; NULL: the host's */
	char *proxy;	       /* URL, or NULL */
	bool insecure;	       /* don't verify the server's certificate */
	struct kubeconfig_pem ca;
	struct kubeconfig_pem cert, key; /* both or none */
	char *token;			 /* bearer token, or NULL */
	char *token_file;		 /* or NULL; where the token comes from, again and again */
};

/*
 * Read the current context of the kubeconfig `path`. `api_server`, unless
 * NULL, replaces the server's URL. File names in it are relative to its own
 * folder.
 *
 * Returns 0, -errno of a file that can't be read, -ENOMEM, or -EINVAL for what
 * can't work, with "FILE: field: reason" in `error`: among others an https
 * server without a CA that is not said to be insecure, and ways to
 * authenticate that are not supported (exec, auth-provider, password,
 * impersonation), which it would be wrong to leave out silently.
 */
int kubeconfig_load(const char *path, const char *api_server, struct kubeconfig **ret,
		    char error[OBJECT_ERROR_MAX]);

/*
 * The same from KUBERNETES_SERVICE_HOST, KUBERNETES_SERVICE_PORT and the
 * service account in `folder` (KUBECONFIG_SERVICE_ACCOUNT but in tests). With
 * `api_server` the two variables are not needed.
 */
int kubeconfig_in_cluster(const char *folder, const char *api_server, struct kubeconfig **ret,
			  char error[OBJECT_ERROR_MAX]);

/*
 * Reads the token file again, if there is one (S-271). Returns 0, or -errno
 * with the reason in `error`; the token is then what it was before.
 */
int kubeconfig_refresh_token(struct kubeconfig *config, char error[OBJECT_ERROR_MAX]);

/* Takes NULL too. */
void kubeconfig_free(struct kubeconfig *config);
SL_DEFINE_AUTO(kubeconfig)
