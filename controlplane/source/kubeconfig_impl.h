/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the parts of a kubeconfig's reader share: kubeconfig.c has the document,
 * kubeconfig_exec.c the plug-in in it, kubeconfig_files.c what is in files. */

#include <jansson.h>

#include "controlplane/source/buffer.h"
#include "controlplane/source/kubeconfig.h"

#define KUBECONFIG_FILE_MAX (4 * 1024 * 1024)

/* One entry of clusters, contexts or users, and how to name its fields. */
struct kubeconfig_entry {
	const char *path; /* of the kubeconfig */
	const char *list; /* "clusters" */
	const char *name; /* of the entry */
	const char *key;  /* "cluster" */
	json_t *fields;
};

/* Both return -EINVAL. */
__attribute__((format(printf, 2, 3))) int kubeconfig_refuse(char error[OBJECT_ERROR_MAX],
							    const char *format, ...);
__attribute__((format(printf, 4, 5))) int
kubeconfig_refuse_field(const struct kubeconfig_entry *entry, const char *field,
			char error[OBJECT_ERROR_MAX], const char *format, ...);

/* Returns -ENOMEM. */
int kubeconfig_no_memory(char error[OBJECT_ERROR_MAX]);

/* A string field: NULL when absent, null or empty. */
int kubeconfig_string(const struct kubeconfig_entry *entry, const char *field, const char **ret,
		      char error[OBJECT_ERROR_MAX]);

/* Copies a string field to `*ret`; NULL when it is absent. */
int kubeconfig_copy_string(const struct kubeconfig_entry *entry, const char *field, char **ret,
			   char error[OBJECT_ERROR_MAX]);

/* A file name as written is relative to the folder of the kubeconfig. */
char *kubeconfig_beside(const char *path, const char *file);

/* Reads a whole regular file of at most `max` bytes; adds a 0 after the end. */
int kubeconfig_read_file(const char *path, size_t max, struct buffer *ret);

/* Whether a token is one; anything else would end up as a header of its own. */
bool kubeconfig_one_word(const char *text, size_t len);

/* Refuses what is certainly no PEM before OpenSSL does so on every attempt. */
bool kubeconfig_is_pem(const char *data);

/* Reads `pem->file` into `pem->data`. Returns 1 if that changed it, 0 if not, or
 * an error, which leaves it as it was, with the reason. */
int kubeconfig_read_pem(struct kubeconfig_pem *pem, char reason[OBJECT_ERROR_MAX]);

/* Takes the servers' URLs, which `what` names. */
int kubeconfig_set_servers(struct kubeconfig *config, const char *what, const char *const *urls,
			   size_t n, char error[OBJECT_ERROR_MAX]);

/* Reads users[].user.exec, which there is. */
int kubeconfig_read_exec(const struct kubeconfig_entry *user, struct kubeconfig_exec **ret,
			 char error[OBJECT_ERROR_MAX]);
void kubeconfig_exec_free(struct kubeconfig_exec *exec);
