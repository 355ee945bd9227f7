/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Cases of kind "http": what the health servers answer. A server with the
 * daemon's code for HTTP and for answers is asked over a local socket, in the
 * state that the case describes.
 */

#include "test/semantics/check.h"

void http_run(struct check *check, const json_t *the_case);
