/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Whether two objects of one name say the same (S-079; private to store/). */

#include "controlplane/store/object.h"

bool service_equal(const struct service *a, const struct service *b);
bool slice_equal(const struct slice *a, const struct slice *b);
bool node_equal(const struct node *a, const struct node *b);
bool service_cidr_equal(const struct service_cidr *a, const struct service_cidr *b);
