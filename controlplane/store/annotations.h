/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What a Service's annotations ask of sluice (private to store/). */

#include "controlplane/store/reader.h"

/*
 * Reads docs/annotations.md's annotations. A value that can't be used is told
 * as ignored; the default then holds.
 */
int annotations_read(struct reader *reader, const struct field *metadata, struct service *service);
