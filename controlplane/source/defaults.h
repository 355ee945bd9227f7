/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <jansson.h>

/*
 * Fills in what an API server would have filled in before it stored a
 * manifest, as far as sluice reads it: the namespace, protocols, names of
 * slice ports, clusterIP out of clusterIPs and the timeout of ClientIP affinity. Other kinds and
 * fields that are there, even wrong ones, stay as they are. Returns 0 or -ENOMEM.
 */
int defaults_fill(json_t *object);
