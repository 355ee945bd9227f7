/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * How to reach the API servers and who to be there: from a kubeconfig file or
 * from what a pod finds in its environment (S-270).
 */

#include <stdbool.h>
#include <stddef.h>

#include "common/mem.h"
#include "controlplane/store/object.h"

/* Where Kubernetes puts the token and the CA of a pod. */
#define KUBECONFIG_SERVICE_ACCOUNT "/var/run/secrets/kubernetes.io/serviceaccount"

/* A certificate or key. Both are NULL when there is none. */
struct kubeconfig_pem {
	char *file; /* where `data` comes from, again and again; NULL: it stays */
	char *data;
	size_t len; /* bytes of data */
};

/* A program that gives a token or a certificate: users[].user.exec. */
struct kubeconfig_exec {
	char *command;
	char **args; /* begins with the command, NULL at the end */
	char **env;  /* "NAME=VALUE", beside the environment; NULL at the end */
	char *api_version;
	char *hint; /* how to install it, or NULL */
};

struct kubeconfig {
	char **servers; /* http(s)://host[:port][/path], no slash at the end; at least one */
	size_t n_servers;
	char *tls_server_name; /* the name in the servers' certificates; NULL: the host's */
	char *proxy;	       /* URL, or NULL */
	bool insecure;	       /* don't verify the servers' certificates */
	struct kubeconfig_pem ca;
	struct kubeconfig_pem cert, key; /* both or none */
	char *token;			 /* bearer token, or NULL */
	char *token_file;		 /* or NULL; where the token comes from, again and again */
	struct kubeconfig_exec *exec;	 /* or NULL; gives token, cert and key */
	unsigned int generation;	 /* goes up when token, cert or key change */
};

/* What replaces parts of the configuration; as all zero, nothing. */
struct kubeconfig_choice {
	const char *context;		/* NULL: current-context */
	const char *const *api_servers; /* URLs, instead of the cluster's */
	size_t n_api_servers;
};

/*
 * Read a context of the kubeconfig `path`. File names in it are relative to its
 * own folder. `choice` may be NULL.
 *
 * Returns 0, -errno of a file that can't be read, -ENOMEM, or -EINVAL for what
 * can't work, with "FILE: field: reason" in `error`: among others an https
 * server without a CA that is not said to be insecure, and ways to
 * authenticate that are not supported (auth-provider, password, impersonation),
 * which it would be wrong to leave out silently.
 */
int kubeconfig_load(const char *path, const struct kubeconfig_choice *choice,
		    struct kubeconfig **ret, char error[OBJECT_ERROR_MAX]);

/*
 * The same from KUBERNETES_SERVICE_HOST, KUBERNETES_SERVICE_PORT and the
 * service account in `folder` (KUBECONFIG_SERVICE_ACCOUNT but in tests). With
 * API servers in `choice` the two variables are not needed.
 */
int kubeconfig_in_cluster(const char *folder, const struct kubeconfig_choice *choice,
			  struct kubeconfig **ret, char error[OBJECT_ERROR_MAX]);

/*
 * Reads again what is in files: the token, the CA, certificate and key (S-271).
 * Returns 0, or -errno of the first that can't be used with the reason in
 * `error`; that one is then what it was before.
 */
int kubeconfig_refresh(struct kubeconfig *config, char error[OBJECT_ERROR_MAX]);

/* Takes NULL too. */
void kubeconfig_free(struct kubeconfig *config);
SL_DEFINE_AUTO(kubeconfig)
